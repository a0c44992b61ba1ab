// Content codings: what a client takes, and that bodies decode to what they were.
#include "query/http_coding.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>
#include <zstd.h>

#include "format/base/alloc.h"
#include "query/http_response.h"

enum { PIECES = 40, PIECE_ROWS = 500, PLAIN_BYTES = 4 << 20 };

// ---- what a client takes

static void the_coding_is_what_the_client_prefers(void **state)
{
    (void)state;
    const struct {
        const char *name, *header;
        enum k2_http_coding coding;
    } rows[] = {
        {"no header", "", K2_HTTP_PLAIN},
        {"curl --compressed", "deflate, gzip, br, zstd", K2_HTTP_ZSTD},
        {"a browser", "gzip, deflate, br", K2_HTTP_GZIP},
        {"any case", "GZip", K2_HTTP_GZIP},
        {"an old name", "x-gzip", K2_HTTP_GZIP},
        {"none that K2 has", "br, deflate", K2_HTTP_PLAIN},
        {"plain alone", "identity", K2_HTTP_PLAIN},
        {"plain at the same weight", "identity, gzip", K2_HTTP_GZIP},
        {"plain preferred", "gzip;q=0.5, identity", K2_HTTP_PLAIN},
        {"gzip preferred", "zstd;q=0.5, gzip;q=0.8", K2_HTTP_GZIP},
        {"a thousandth more", "zstd;q=0.801, gzip;q=0.8", K2_HTTP_ZSTD},
        {"refused", "gzip;q=0", K2_HTTP_PLAIN},
        {"refused with all digits", "gzip;q=0.000, zstd;q=0.000", K2_HTTP_PLAIN},
        {"anything", "*", K2_HTTP_GZIP},
        {"anything but gzip", "gzip;q=0, *", K2_HTTP_PLAIN},
        {"nothing else", "zstd, *;q=0", K2_HTTP_ZSTD},
        {"blanks", " gzip\t; q=1.0 ,\tzstd ;q=0.1", K2_HTTP_GZIP},
        {"Q", "zstd;Q=0.1, gzip;Q=0.2", K2_HTTP_GZIP},
        {"empty pieces", ",,gzip,", K2_HTTP_GZIP},
        {"a weight over 1", "gzip;q=1.5", K2_HTTP_PLAIN},
        {"a weight of letters", "gzip;q=high", K2_HTTP_PLAIN},
        {"a weight without a number", "gzip;q=", K2_HTTP_PLAIN},
        {"four digits", "gzip;q=0.1234", K2_HTTP_PLAIN},
        {"a longer name", "gzipped, zstandard", K2_HTTP_PLAIN},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        enum k2_http_coding coding = k2_http_coding_choose(k2_slice_of(rows[i].header));
        if (coding != rows[i].coding) {
            fail_msg("%s: `%s` gave %d", rows[i].name, rows[i].header, (int)coding);
        }
    }
}

// ---- bodies

// Rows as CSV has them; with `noise` bytes that do not shrink.
static void put_rows(struct k2_buffer *out, unsigned first, unsigned count, bool noise)
{
    uint64_t random = first * 2 + 1;
    for (unsigned row = first; row < first + count; row++) {
        if (noise) {
            for (int i = 0; i < 5; i++) {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                k2_put_u64(out, random);
            }
        } else {
            k2_put_format(out, "BHP,%u,38.%u,100\n", 100000 + row, row % 97);
        }
    }
}

struct pieces {
    unsigned made, count, fail_at; // fail_at 0: never
    bool noise, closed;
};

static enum k2_status next_plain(void *context, struct k2_http_response *response,
                                 size_t enough_bytes, struct k2_buffer *out, bool *done,
                                 struct k2_error *error)
{
    struct pieces *pieces = context;
    assert_true(enough_bytes > 0);
    assert_false(*done);
    if (pieces->fail_at != 0 && pieces->made == pieces->fail_at) {
        return k2_fail(error, K2_CORRUPT, "damage");
    }
    if (pieces->made < pieces->count) { // the last one is empty
        put_rows(out, pieces->made * PIECE_ROWS, PIECE_ROWS, pieces->noise);
        pieces->made++;
    } else {
        *done = true;
        k2_http_response_trailer(response, "X-K2-Rows", "%u", pieces->made * PIECE_ROWS);
    }
    return K2_OK;
}

static void close_plain(void *context)
{
    struct pieces *pieces = context;
    assert_false(pieces->closed);
    pieces->closed = true;
}

// What `bytes` decode to, as far as they go; `*whole`: the end was there and nothing behind it.
static size_t decode(enum k2_http_coding coding, struct k2_slice bytes, uint8_t *plain, bool *whole)
{
    if (coding == K2_HTTP_ZSTD) {
        ZSTD_DCtx *zstd = ZSTD_createDCtx();
        ZSTD_inBuffer in = {bytes.data, bytes.size_bytes, 0};
        ZSTD_outBuffer out = {plain, PLAIN_BYTES, 0};
        size_t left = 1;
        while (in.pos < in.size && left != 0) {
            left = ZSTD_decompressStream(zstd, &out, &in);
            assert_false(ZSTD_isError(left));
        }
        ZSTD_freeDCtx(zstd);
        *whole = left == 0 && in.pos == in.size;
        return out.pos;
    }
    z_stream gzip = {.next_in = (Bytef *)(uintptr_t)bytes.data,
                     .avail_in = (uInt)bytes.size_bytes,
                     .next_out = plain,
                     .avail_out = PLAIN_BYTES};
    assert_int_equal(inflateInit2(&gzip, 15 + 16), Z_OK);
    int result = inflate(&gzip, Z_SYNC_FLUSH);
    assert_true(result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR);
    *whole = result == Z_STREAM_END && gzip.avail_in == 0;
    (void)inflateEnd(&gzip);
    return PLAIN_BYTES - gzip.avail_out;
}

static const char *header_of(const struct k2_http_response *response, const char *name)
{
    for (size_t i = 0; i < response->header_count; i++) {
        if (strcmp(response->headers[i].name, name) == 0) {
            return response->headers[i].value;
        }
    }
    return NULL;
}

static const struct {
    enum k2_http_coding coding;
    const char *name;
} codings[] = {{K2_HTTP_GZIP, "gzip"}, {K2_HTTP_ZSTD, "zstd"}};

static void whole_bodies_decode_to_what_they_were(void **state)
{
    (void)state;
    static uint8_t plain[PLAIN_BYTES];
    for (size_t i = 0; i < 4; i++) {
        enum k2_http_coding coding = codings[i / 2].coding;
        struct k2_http_response response;
        struct k2_buffer rows;
        struct k2_error error;
        bool whole;
        k2_buffer_init(&rows, PLAIN_BYTES);
        put_rows(&rows, 0, 40000, i % 2 == 1);
        k2_http_response_init(&response);
        k2_put_bytes(&response.body, rows.data, rows.size_bytes);
        assert_int_equal(k2_http_response_encode(&response, coding, &error), K2_OK);
        assert_string_equal(header_of(&response, "Content-Encoding"), codings[i / 2].name);
        assert_string_equal(header_of(&response, "Vary"), "Accept-Encoding");
        size_t size = decode(coding, k2_buffer_slice(&response.body), plain, &whole);
        assert_true(whole);
        assert_int_equal(size, rows.size_bytes);
        assert_memory_equal(plain, rows.data, size);
        assert_true(i % 2 == 1 || response.body.size_bytes * 3 < rows.size_bytes);
        k2_http_response_deinit(&response);
        k2_buffer_deinit(&rows);
    }
}

static void open_stream(struct k2_http_response *response, struct pieces *pieces)
{
    k2_http_response_init(response);
    response->chunked = true;
    response->stream =
        (struct k2_http_stream){.context = pieces, .next = next_plain, .close = close_plain};
    put_rows(&response->body, 0, PIECE_ROWS, pieces->noise);
    pieces->made = 1;
}

static void a_stream_decodes_piece_by_piece(void **state)
{
    (void)state;
    static uint8_t plain[PLAIN_BYTES];
    for (size_t i = 0; i < 4; i++) {
        enum k2_http_coding coding = codings[i / 2].coding;
        struct pieces pieces = {.count = PIECES, .noise = i % 2 == 1};
        struct k2_http_response response;
        struct k2_buffer rows;
        struct k2_error error;
        bool done = false, whole;
        unsigned known = 1;
        k2_buffer_init(&rows, PLAIN_BYTES);
        put_rows(&rows, 0, PIECE_ROWS, pieces.noise);
        open_stream(&response, &pieces);
        assert_int_equal(k2_http_response_encode(&response, coding, &error), K2_OK);
        while (!done) {
            size_t size = decode(coding, k2_buffer_slice(&response.body), plain, &whole);
            assert_false(whole); // yet all that was sent can be read
            assert_int_equal(size, rows.size_bytes);
            assert_memory_equal(plain, rows.data, size);
            assert_int_equal(response.stream.next(response.stream.context, &response,
                                                  response.body.size_bytes + 3000, &response.body,
                                                  &done, &error),
                             K2_OK);
            for (; known < pieces.made; known++) {
                put_rows(&rows, known * PIECE_ROWS, PIECE_ROWS, pieces.noise);
            }
        }
        size_t size = decode(coding, k2_buffer_slice(&response.body), plain, &whole);
        assert_true(whole);
        assert_int_equal(size, rows.size_bytes);
        assert_memory_equal(plain, rows.data, size);
        assert_int_equal(response.trailer_count, 1);
        k2_http_response_deinit(&response);
        assert_true(pieces.closed);
        k2_buffer_deinit(&rows);
    }
}

static void a_stream_that_fails_has_no_end(void **state)
{
    (void)state;
    static uint8_t plain[PLAIN_BYTES];
    for (size_t i = 0; i < 2; i++) {
        struct pieces pieces = {.count = PIECES, .fail_at = 5};
        struct k2_http_response response;
        struct k2_error error;
        bool done = false, whole;
        open_stream(&response, &pieces);
        assert_int_equal(k2_http_response_encode(&response, codings[i].coding, &error), K2_OK);
        enum k2_status status = response.stream.next(response.stream.context, &response, SIZE_MAX,
                                                     &response.body, &done, &error);
        assert_int_equal(status, K2_CORRUPT);
        assert_false(done);
        decode(codings[i].coding, k2_buffer_slice(&response.body), plain, &whole);
        assert_false(whole);
        k2_http_response_deinit(&response);
        assert_true(pieces.closed);
    }
}

static void what_gains_nothing_stays_as_it_is(void **state)
{
    (void)state;
    const struct {
        const char *name;
        unsigned status;
        bool compressed, vary;
        size_t rows;
        enum k2_http_coding coding;
    } rows[] = {
        {"short", 200, false, false, 10, K2_HTTP_ZSTD},
        {"Parquet", 200, true, false, 1000, K2_HTTP_ZSTD},
        {"an error", 400, false, false, 1000, K2_HTTP_GZIP},
        {"not asked for", 200, false, true, 1000, K2_HTTP_PLAIN},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct k2_http_response response;
        struct k2_error error;
        k2_http_response_init(&response);
        response.status = rows[i].status;
        response.compressed = rows[i].compressed;
        put_rows(&response.body, 0, (unsigned)rows[i].rows, false);
        size_t size = response.body.size_bytes;
        assert_int_equal(k2_http_response_encode(&response, rows[i].coding, &error), K2_OK);
        assert_null(header_of(&response, "Content-Encoding"));
        assert_int_equal(header_of(&response, "Vary") != NULL, rows[i].vary);
        assert_int_equal(response.body.size_bytes, size);
        k2_http_response_deinit(&response);
    }
}

// Every allocation of K2 fails in turn: an error, or a body that is right.
static void without_memory_nothing_wrong_is_sent(void **state)
{
    (void)state;
    static uint8_t plain[PLAIN_BYTES];
    enum k2_status status = K2_NO_MEMORY;
    for (long after = 0; status != K2_OK; after++) {
        struct pieces pieces = {.count = 3};
        struct k2_http_response response;
        struct k2_error error;
        bool done = false, whole;
        assert_true(after < 100);
        open_stream(&response, &pieces);
        k2_alloc_fail_after(after);
        status = k2_http_response_encode(&response, K2_HTTP_GZIP, &error);
        if (status == K2_OK) {
            status = response.stream.next(response.stream.context, &response, SIZE_MAX,
                                          &response.body, &done, &error);
        }
        k2_alloc_fail_after(-1);
        if (status == K2_OK) {
            decode(K2_HTTP_GZIP, k2_buffer_slice(&response.body), plain, &whole);
            assert_true(whole);
        } else {
            assert_int_equal(status, K2_NO_MEMORY);
        }
        k2_http_response_deinit(&response);
        assert_true(pieces.closed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_coding_is_what_the_client_prefers),
        cmocka_unit_test(whole_bodies_decode_to_what_they_were),
        cmocka_unit_test(a_stream_decodes_piece_by_piece),
        cmocka_unit_test(a_stream_that_fails_has_no_end),
        cmocka_unit_test(what_gains_nothing_stays_as_it_is),
        cmocka_unit_test(without_memory_nothing_wrong_is_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
