#include "format/parquet/parquet_runs.h"

enum {
    GROUP = 8, // values of a bit-packed group; a shorter run is cheaper so, too
};

unsigned k2_parquet_bit_width(uint32_t value)
{
    unsigned width = 0;
    while (width < 32 && value >> width != 0) {
        width++;
    }
    return width;
}

static size_t run_length(const uint32_t *values, size_t count)
{
    size_t length = 1;
    while (length < count && values[length] == values[0]) {
        length++;
    }
    return length;
}

void k2_parquet_put_run(struct k2_buffer *out, uint32_t value, size_t length, unsigned bit_width)
{
    k2_put_varint(out, (uint64_t)length << 1);
    for (unsigned bit = 0; bit < bit_width; bit += 8) {
        k2_put_u8(out, (uint8_t)(value >> bit));
    }
}

// The last group is filled up with zeros.
static void put_packed(struct k2_buffer *out, const uint32_t *values, size_t count,
                       unsigned bit_width)
{
    size_t group_count = (count + GROUP - 1) / GROUP;
    k2_put_varint(out, (uint64_t)group_count << 1 | 1);
    uint8_t *bytes = k2_buffer_extend(out, group_count * bit_width);
    if (bytes == NULL) {
        return;
    }
    uint64_t pending = 0;
    unsigned pending_bits = 0;
    for (size_t i = 0; i < count; i++) {
        pending |= (uint64_t)values[i] << pending_bits;
        pending_bits += bit_width;
        if (pending_bits >= 32) {
            for (size_t j = 0; j < 4; j++) { // one instruction where the machine allows
                bytes[j] = (uint8_t)(pending >> 8 * j);
            }
            bytes += 4;
            pending >>= 32;
            pending_bits -= 32;
        }
    }
    for (uint8_t *end = out->data + out->size_bytes; bytes < end; pending >>= 8) {
        *bytes++ = (uint8_t)pending;
    }
}

static bool is_run(const uint32_t *values)
{
    uint32_t difference = 0;
    for (size_t i = 1; i < GROUP; i++) {
        difference |= values[i] ^ values[0];
    }
    return difference == 0;
}

void k2_parquet_put_runs(struct k2_buffer *out, const uint32_t *values, size_t count,
                         unsigned bit_width)
{
    size_t packed = 0; // values before `i` that wait to be bit-packed: whole groups
    for (size_t i = 0; i < count;) {
        size_t left = count - i;
        if (left < GROUP || !is_run(values + i)) {
            size_t group = left < GROUP ? left : GROUP;
            packed += group;
            i += group;
            continue;
        }
        if (packed > 0) {
            put_packed(out, values + i - packed, packed, bit_width);
            packed = 0;
        }
        size_t length = run_length(values + i, left);
        k2_parquet_put_run(out, values[i], length, bit_width);
        i += length;
    }
    if (packed > 0) {
        put_packed(out, values + count - packed, packed, bit_width);
    }
}
