#include "query/http_coding.h"

#include <zlib.h>
#include <zstd.h>

#include "format/base/alloc.h"
#include "query/canonical.h"
#include "query/http_response.h"
#include "query/http_text.h"

enum {
    LEAST_BYTES = 1 << 10, // less is not worth the work of both sides
    GZIP_LEVEL = 1,
    GZIP_WINDOW = 15 + 16, // 16: gzip, not zlib
    GZIP_MEMORY = 8,
    ZSTD_LEVEL = 1,
    ROOM_BYTES = 64 << 10,
    WEIGHT_ONE = 1000,
};

// ---- what the client takes

static struct k2_slice take_trimmed(struct k2_slice *rest, char mark)
{
    return k2_http_trim(k2_http_take_until(rest, mark));
}

// `0`, `1`, `0.5`, in thousandths; -1 if it is none.
static int read_weight(struct k2_slice text)
{
    if (text.size_bytes == 0 || text.size_bytes > 5 || text.data[0] < '0' || text.data[0] > '1' ||
        (text.size_bytes > 1 && text.data[1] != '.')) {
        return -1;
    }
    int weight = (text.data[0] - '0') * WEIGHT_ONE;
    int unit = WEIGHT_ONE / 10;
    for (size_t i = 2; i < text.size_bytes; i++, unit /= 10) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return -1;
        }
        weight += (text.data[i] - '0') * unit;
    }
    return weight <= WEIGHT_ONE ? weight : -1;
}

// Of the parameters of a coding; -1 if they are malformed.
static int weight_of(struct k2_slice parameters)
{
    int weight = WEIGHT_ONE;
    while (parameters.size_bytes > 0) {
        struct k2_slice value = take_trimmed(&parameters, ';');
        struct k2_slice name = take_trimmed(&value, '=');
        if (k2_equal_without_case(name, k2_slice_of("q"))) {
            weight = read_weight(value);
        }
    }
    return weight;
}

enum k2_http_coding k2_http_coding_choose(struct k2_slice accept_encoding)
{
    static const char *const names[] = {
        [K2_HTTP_PLAIN] = "identity", [K2_HTTP_GZIP] = "gzip", [K2_HTTP_ZSTD] = "zstd"};
    enum { CODINGS = sizeof names / sizeof names[0] };
    int weights[CODINGS] = {-1, -1, -1};
    int others = -1;
    while (accept_encoding.size_bytes > 0) {
        struct k2_slice parameters = take_trimmed(&accept_encoding, ',');
        struct k2_slice name = take_trimmed(&parameters, ';');
        int weight = weight_of(parameters);
        if (k2_slice_equal(name, k2_slice_of("*"))) {
            others = weight;
        } else if (k2_equal_without_case(name, k2_slice_of("x-gzip"))) {
            name = k2_slice_of("gzip");
        }
        for (size_t i = 0; i < CODINGS; i++) {
            if (k2_equal_without_case(name, k2_slice_of(names[i]))) {
                weights[i] = weight;
            }
        }
    }
    if (weights[K2_HTTP_GZIP] < 0) {
        weights[K2_HTTP_GZIP] = others;
    }
    enum k2_http_coding best = K2_HTTP_PLAIN;
    int best_weight = weights[K2_HTTP_PLAIN] > 0 ? weights[K2_HTTP_PLAIN] : 1;
    for (size_t i = K2_HTTP_GZIP; i < CODINGS; i++) {
        if (weights[i] >= best_weight) {
            best = (enum k2_http_coding)i;
            best_weight = weights[i];
        }
    }
    return best;
}

// ---- the codings

struct coder {
    enum k2_http_coding coding;
    ZSTD_CCtx *zstd; // of zstd alone
    z_stream gzip;   // of gzip alone
};

static enum k2_status no_memory(struct k2_error *error)
{
    return k2_fail(error, K2_NO_MEMORY, "answer: no memory to compress it");
}

static enum k2_status coder_open(struct coder *coder, enum k2_http_coding coding,
                                 struct k2_error *error)
{
    *coder = (struct coder){.coding = coding};
    if (coding == K2_HTTP_ZSTD) {
        coder->zstd = ZSTD_createCCtx();
        bool ready =
            coder->zstd != NULL &&
            !ZSTD_isError(ZSTD_CCtx_setParameter(coder->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL));
        return ready ? K2_OK : no_memory(error);
    }
    bool ready = deflateInit2(&coder->gzip, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW, GZIP_MEMORY,
                              Z_DEFAULT_STRATEGY) == Z_OK;
    return ready ? K2_OK : no_memory(error);
}

static void coder_close(struct coder *coder)
{
    ZSTD_freeCCtx(coder->zstd);
    if (coder->coding == K2_HTTP_GZIP) {
        (void)deflateEnd(&coder->gzip); // also of one that was not opened
    }
}

// Codes from `in` into `room_bytes` at `place`. `*more`: call again.
static bool code_zstd(struct coder *coder, ZSTD_inBuffer *in, bool last, uint8_t *place,
                      size_t *room_bytes, bool *more)
{
    ZSTD_outBuffer out = {place, *room_bytes, 0};
    size_t left = ZSTD_compressStream2(coder->zstd, &out, in, last ? ZSTD_e_end : ZSTD_e_flush);
    *room_bytes = out.pos;
    *more = left > 0;
    return !ZSTD_isError(left);
}

static bool code_gzip(struct coder *coder, ZSTD_inBuffer *in, bool last, uint8_t *place,
                      size_t *room_bytes, bool *more)
{
    z_stream *gzip = &coder->gzip;
    gzip->next_in = (Bytef *)(uintptr_t)in->src + in->pos;
    gzip->avail_in = (uInt)(in->size - in->pos);
    gzip->next_out = place;
    gzip->avail_out = (uInt)*room_bytes;
    int result = deflate(gzip, last ? Z_FINISH : Z_SYNC_FLUSH);
    in->pos = in->size - gzip->avail_in;
    *room_bytes -= gzip->avail_out;
    *more = last ? result != Z_STREAM_END : gzip->avail_out == 0;
    return result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR;
}

// Appends what decodes to `bytes`; behind the last ones, the end.
static enum k2_status code(struct coder *coder, struct k2_slice bytes, bool last,
                           struct k2_buffer *out, struct k2_error *error)
{
    ZSTD_inBuffer in = {bytes.data, bytes.size_bytes, 0};
    bool more = last || bytes.size_bytes > 0;
    while (more) {
        size_t old_bytes = out->size_bytes, size_bytes = ROOM_BYTES;
        uint8_t *place = k2_buffer_extend(out, size_bytes);
        if (place == NULL) {
            return k2_buffer_check(out, "answer", error);
        }
        bool good = coder->coding == K2_HTTP_ZSTD
                        ? code_zstd(coder, &in, last, place, &size_bytes, &more)
                        : code_gzip(coder, &in, last, place, &size_bytes, &more);
        if (!good) { // parameters and order of calls are right: what is left is memory
            return no_memory(error);
        }
        out->size_bytes = old_bytes + size_bytes;
    }
    return K2_OK;
}

// ---- bodies

struct coded_stream {
    struct coder coder;
    struct k2_http_stream plain;
    struct k2_buffer piece; // of the plain body
};

static void close_coded(void *context)
{
    struct coded_stream *self = context;
    if (self->plain.close != NULL) {
        self->plain.close(self->plain.context);
    }
    coder_close(&self->coder);
    k2_buffer_deinit(&self->piece);
    k2_free(self);
}

static enum k2_status next_coded(void *context, struct k2_http_response *response,
                                 size_t enough_bytes, struct k2_buffer *out, bool *done,
                                 struct k2_error *error)
{
    struct coded_stream *self = context;
    enum k2_status status = K2_OK;
    while (status == K2_OK && !*done && out->size_bytes < enough_bytes) {
        k2_buffer_clear(&self->piece);
        status = self->plain.next(self->plain.context, response, enough_bytes, &self->piece, done,
                                  error);
        if (status == K2_OK) {
            status = code(&self->coder, k2_buffer_slice(&self->piece), *done, out, error);
        }
    }
    return status;
}

// Replaces the body, whole or the first piece, by what the coder makes of it.
static enum k2_status code_body(struct k2_http_response *response, struct coder *coder,
                                struct k2_error *error)
{
    struct k2_buffer coded;
    k2_buffer_init(&coded, K2_HTTP_BODY_BYTES);
    bool last = response->stream.next == NULL;
    enum k2_status status = code(coder, k2_buffer_slice(&response->body), last, &coded, error);
    if (status != K2_OK) {
        k2_buffer_deinit(&coded);
        return status;
    }
    k2_buffer_deinit(&response->body);
    response->body = coded;
    return K2_OK;
}

// The stream is wrapped even if the coder fails, so that closing the answer closes both.
static enum k2_status code_stream(struct k2_http_response *response, enum k2_http_coding coding,
                                  struct k2_error *error)
{
    struct coded_stream *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return no_memory(error);
    }
    self->plain = response->stream;
    k2_buffer_init(&self->piece, K2_HTTP_BODY_BYTES);
    response->stream =
        (struct k2_http_stream){.context = self, .next = next_coded, .close = close_coded};
    enum k2_status status = coder_open(&self->coder, coding, error);
    return status == K2_OK ? code_body(response, &self->coder, error) : status;
}

static enum k2_status code_whole(struct k2_http_response *response, enum k2_http_coding coding,
                                 struct k2_error *error)
{
    struct coder coder;
    enum k2_status status = coder_open(&coder, coding, error);
    if (status == K2_OK) {
        status = code_body(response, &coder, error);
    }
    coder_close(&coder);
    return status;
}

enum k2_status k2_http_response_encode(struct k2_http_response *response,
                                       enum k2_http_coding coding, struct k2_error *error)
{
    bool is_stream = response->stream.next != NULL;
    if (response->status != 200 || response->compressed ||
        (!is_stream && response->body.size_bytes < LEAST_BYTES)) {
        return K2_OK;
    }
    k2_http_response_header(response, "Vary", "Accept-Encoding");
    if (coding == K2_HTTP_PLAIN) {
        return K2_OK;
    }
    k2_http_response_header(response, "Content-Encoding", "%s",
                            coding == K2_HTTP_ZSTD ? "zstd" : "gzip");
    return is_stream ? code_stream(response, coding, error) : code_whole(response, coding, error);
}
