#include "format/base/zstd.h"

#include <zstd.h>

enum {
    LEVEL = 3,
    LEAST_BYTES = 64, // less never pays for the frame
};

bool k2_zstd_append(struct k2_buffer *out, struct k2_slice bytes)
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
    size_t size = ZSTD_compress(place, most, bytes.data, bytes.size_bytes, LEVEL);
    out->size_bytes = ZSTD_isError(size) ? before : before + size;
    return !ZSTD_isError(size);
}

bool k2_zstd_decompress(struct k2_slice compressed, uint8_t *bytes, size_t size_bytes)
{
    return ZSTD_decompress(bytes, size_bytes, compressed.data, compressed.size_bytes) == size_bytes;
}
