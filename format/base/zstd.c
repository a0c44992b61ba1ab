#include "format/base/zstd.h"

#include <zstd.h>

#include "format/base/alloc.h"

enum {
    LEVEL = 3,
    FAST_LEVEL = 1,
    LEAST_BYTES = 64, // less never pays for the frame
    // Of pieces of some 100 KB: 4,096 places are remembered, which stay in the first cache, and
    // after each miss so many bytes are passed over. What is left is coded by its frequencies, as
    // at level 1; the negative levels, which pass over bytes, too, leave it as it is.
    HASH_LOG = 12,
    STEP_OF_NUMBERS = 1,
    STEP_OF_TEXTS = 3,
    LITERAL_CODING = ZSTD_c_experimentalParam5, // 1: always
};

bool k2_zstd_append(struct k2_buffer *out, struct k2_slice bytes, bool fast)
{
    if (bytes.size_bytes < LEAST_BYTES || out->failed) {
        return false;
    }
    size_t before = out->size_bytes;
    size_t most = bytes.size_bytes - bytes.size_bytes / 8;
    uint8_t *place = k2_buffer_extend(out, most);
    if (place == NULL) {
        out->failed = false; // nothing was put: the caller goes on without
        return false;
    }
    size_t size =
        ZSTD_compress(place, most, bytes.data, bytes.size_bytes, fast ? FAST_LEVEL : LEVEL);
    out->size_bytes = ZSTD_isError(size) ? before : before + size;
    return !ZSTD_isError(size);
}

bool k2_zstd_decompress(struct k2_slice compressed, uint8_t *bytes, size_t size_bytes)
{
    return ZSTD_decompress(bytes, size_bytes, compressed.data, compressed.size_bytes) == size_bytes;
}

struct k2_zstd_compressor {
    ZSTD_CCtx *context;
};

// What a later libzstd does not know stays as level 1 has it.
static void set_up(ZSTD_CCtx *context)
{
    (void)ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, FAST_LEVEL);
    (void)ZSTD_CCtx_setParameter(context, ZSTD_c_hashLog, HASH_LOG);
    (void)ZSTD_CCtx_setParameter(context, (ZSTD_cParameter)LITERAL_CODING, 1);
}

struct k2_zstd_compressor *k2_zstd_compressor_create(void)
{
    struct k2_zstd_compressor *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return NULL;
    }
    self->context = ZSTD_createCCtx();
    if (self->context == NULL) {
        k2_zstd_compressor_destroy(self);
        return NULL;
    }
    set_up(self->context);
    return self;
}

void k2_zstd_compressor_destroy(struct k2_zstd_compressor *compressor)
{
    if (compressor != NULL) {
        ZSTD_freeCCtx(compressor->context);
        k2_free(compressor);
    }
}

void k2_zstd_compress(struct k2_zstd_compressor *compressor, struct k2_slice bytes,
                      enum k2_zstd_content content, struct k2_buffer *out)
{
    size_t before = out->size_bytes, most = ZSTD_compressBound(bytes.size_bytes);
    uint8_t *place = k2_buffer_extend(out, most);
    if (place == NULL) {
        return;
    }
    (void)ZSTD_CCtx_setParameter(compressor->context, ZSTD_c_targetLength,
                                 content == K2_ZSTD_TEXTS ? STEP_OF_TEXTS : STEP_OF_NUMBERS);
    size_t size = ZSTD_compress2(compressor->context, place, most, bytes.data, bytes.size_bytes);
    out->size_bytes = before + (ZSTD_isError(size) ? 0 : size);
    out->failed = ZSTD_isError(size); // only its working memory can be missing
}
