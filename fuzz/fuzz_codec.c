// Any bytes decode to the same values on every instruction set, or to K2_CORRUPT, within their
// bounds; and any values come back from the bytes that they were encoded to.
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "format/codec/bins.h"
#include "format/codec/codec_table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum k2_status decode_on(const char *instruction_set, const struct k2_block_entry *entry,
                                struct k2_slice payload, int64_t *values, size_t count)
{
    memset(values, 0, (count + 64) * sizeof *values);
    if (!k2_codec_select(instruction_set)) {
        (void)k2_codec_select("scalar");
    }
    return k2_block_decode(entry, payload, values, count, NULL);
}

static void decode_any(struct k2_byte_reader *reader)
{
    int64_t expected[K2_BITPACK_VALUES + 64];
    int64_t values[K2_BITPACK_VALUES + 64];
    struct k2_block_entry entry = {.codec = k2_read_u8(reader) % (K2_CODEC_LAST + 2),
                                   .width_bits = k2_read_u8(reader) % 67};
    size_t count = k2_read_u16(reader) % K2_BITPACK_VALUES + 1;
    entry.divisor = k2_read_u64(reader);
    entry.base = k2_read_i64(reader);
    if (reader->truncated) {
        return;
    }
    enum k2_status status = decode_on("scalar", &entry, reader->rest, expected, count);
    assert(status == K2_OK || status == K2_CORRUPT);
    // In memory of exactly its size, so that the sanitizer sees a read behind it; and with bytes
    // behind it that may be read and change nothing.
    static const char *const sets[] = {"avx2", "avx512"};
    static const size_t spares[] = {0, K2_BINS_PADDING_BYTES};
    for (size_t i = 0; i < 2 * sizeof sets / sizeof sets[0]; i++) {
        struct k2_slice slice = {NULL, reader->rest.size_bytes};
        entry.spare_bytes = spares[i / 2];
        uint8_t *payload = malloc(slice.size_bytes + entry.spare_bytes);
        assert(payload != NULL || slice.size_bytes + entry.spare_bytes == 0);
        memset(payload, 0xa5, slice.size_bytes + entry.spare_bytes);
        if (slice.size_bytes > 0) {
            memcpy(payload, reader->rest.data, slice.size_bytes);
        }
        slice.data = payload;
        assert(decode_on(sets[i % 2], &entry, slice, values, count) == status);
        assert(status != K2_OK || memcmp(values, expected, count * sizeof *values) == 0);
        // Some of the rows alone.
        entry.first_row = (uint16_t)((uint64_t)entry.base % count);
        entry.end_row = (uint16_t)(entry.first_row + 1 + entry.divisor % (count - entry.first_row));
        size_t bytes = (size_t)(entry.end_row - entry.first_row) * sizeof *values;
        enum k2_status narrow = decode_on(sets[i % 2], &entry, slice, values, count);
        assert(status != K2_OK || narrow == K2_OK);
        assert(status != K2_OK ||
               memcmp(values + entry.first_row, expected + entry.first_row, bytes) == 0);
        entry.first_row = entry.end_row = 0;
        free(payload);
    }
}

static void encode_any(struct k2_byte_reader *reader)
{
    int64_t values[K2_BITPACK_VALUES];
    int64_t decoded[K2_BITPACK_VALUES + 64];
    unsigned bytes_each = k2_read_u8(reader) % 8 + 1;
    int64_t factor = k2_read_i64(reader);
    size_t count = 0;
    while (count < K2_BITPACK_VALUES && reader->rest.size_bytes >= bytes_each) {
        uint64_t bits = k2_read_fixed(reader, bytes_each);
        values[count++] = (int64_t)(bits * (uint64_t)factor);
    }
    if (count == 0) {
        return;
    }
    for (uint8_t codec = 0; codec <= K2_CODEC_LAST; codec++) {
        struct k2_block_entry entry;
        struct k2_buffer payload;
        bool encoded = true;
        k2_buffer_init(&payload, 1 << 20);
        if (codec == 0) {
            struct k2_block_history history = {.sorted_level = factor % 2 != 0};
            k2_block_encode(values, count, &history, &entry, &payload); // the cheapest
        } else {
            encoded = k2_block_encode_as(codec, true, values, count, &entry, &payload);
        }
        if (encoded) {
            enum k2_status status =
                k2_block_decode(&entry, k2_buffer_slice(&payload), decoded, count, NULL);
            assert(status == K2_OK);
            assert(memcmp(values, decoded, count * sizeof *values) == 0);
        }
        k2_buffer_deinit(&payload);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct k2_byte_reader reader = {.rest = {data, size}};
    if (k2_read_u8(&reader) % 2 == 0) {
        decode_any(&reader);
    } else {
        encode_any(&reader);
    }
    return 0;
}
