#include "format/parquet/parquet_delta.h"

#include "format/codec/bitpack.h"

// The stream: values in a block, miniblocks in a block, values in all (varints), the first value
// (zigzag); then blocks: the least difference (zigzag), a byte for each miniblock's width, the
// miniblocks, each value as its difference less the least one. Differences wrap round.
enum {
    BLOCK = 128,
    MINIBLOCKS = 4,
    MINIBLOCK = BLOCK / MINIBLOCKS,
    MOST_WIDTH = 64,
    MOST_BLOCK = 1 << 20, // of other writers
};

static uint64_t zigzag(uint64_t value)
{
    return value << 1 ^ (0 - (value >> 63));
}

static uint64_t unzigzag(uint64_t value)
{
    return value >> 1 ^ (0 - (value & 1));
}

static void store_u64(uint8_t *place, uint64_t value)
{
    for (size_t i = 0; i < sizeof value; i++) { // one instruction where the machine allows
        place[i] = (uint8_t)(value >> 8 * i);
    }
}

// ---- writing --------------------------------------------------------------------------------

// MINIBLOCK values of `width` > 0 bits; a multiple of 32 bits.
static void pack(uint8_t *place, const uint64_t *values, unsigned width)
{
    uint64_t pending = 0;
    unsigned bits = 0;
    for (size_t i = 0; i < MINIBLOCK; i++) {
        pending |= values[i] << bits;
        bits += width;
        if (bits >= 64) {
            store_u64(place, pending);
            place += sizeof pending;
            bits -= 64;
            pending = bits == 0 ? 0 : values[i] >> (width - bits);
        }
    }
    for (; bits > 0; bits -= 8) {
        *place++ = (uint8_t)pending;
        pending >>= 8;
    }
}

static unsigned width_of(const uint64_t *values, size_t count)
{
    uint64_t all = 0;
    for (size_t i = 0; i < count; i++) {
        all |= values[i];
    }
    return all == 0 ? 0 : (unsigned)(64 - __builtin_clzll(all));
}

// `count` > 0 values, each with the one before it.
static void put_block(struct k2_buffer *out, const int64_t *values, size_t count)
{
    uint64_t differences[BLOCK];
    int64_t least, greatest;
    k2_bitpack_selected()->delta_range((const uint64_t *)values - 1, count + 1, &least, &greatest);
    for (size_t i = 0; i < count; i++) {
        differences[i] = (uint64_t)values[i] - (uint64_t)values[(ptrdiff_t)i - 1] - (uint64_t)least;
    }
    memset(&differences[count], 0, (BLOCK - count) * sizeof *differences);
    k2_put_varint(out, zigzag((uint64_t)least));
    uint8_t *widths = k2_buffer_extend(out, MINIBLOCKS);
    if (widths == NULL) {
        return;
    }
    size_t size_bytes = 0;
    for (size_t i = 0; i < MINIBLOCKS; i++) {
        widths[i] = (uint8_t)width_of(&differences[i * MINIBLOCK], MINIBLOCK);
        size_bytes += (size_t)widths[i] * MINIBLOCK / 8;
    }
    size_t before = out->size_bytes;
    uint8_t *place = k2_buffer_extend(out, size_bytes);
    if (place == NULL) {
        return;
    }
    widths = out->data + before - MINIBLOCKS; // the buffer may have moved
    for (size_t i = 0; i < MINIBLOCKS; i++) {
        if (widths[i] > 0) {
            pack(place, &differences[i * MINIBLOCK], widths[i]);
            place += (size_t)widths[i] * MINIBLOCK / 8;
        }
    }
}

void k2_parquet_delta_put(struct k2_buffer *out, const int64_t *values, size_t value_count)
{
    k2_put_varint(out, BLOCK);
    k2_put_varint(out, MINIBLOCKS);
    k2_put_varint(out, value_count);
    k2_put_varint(out, zigzag(value_count == 0 ? 0 : (uint64_t)values[0]));
    for (size_t i = 1; i < value_count; i += BLOCK) {
        size_t left = value_count - i;
        put_block(out, &values[i], left < BLOCK ? left : BLOCK);
    }
}

// ---- reading --------------------------------------------------------------------------------

static uint64_t unpack(const uint8_t *packed, size_t at, unsigned width)
{
    uint64_t bit = (uint64_t)at * width, value = 0;
    for (unsigned j = 0; j < width; j++, bit++) {
        value |= (uint64_t)(packed[bit / 8] >> bit % 8 & 1) << j;
    }
    return value;
}

// One block of at most `left` values behind `*last`.
static bool read_block(struct k2_byte_reader *bytes, size_t miniblock_count, size_t miniblock,
                       uint64_t *last, int64_t *values, size_t left)
{
    uint64_t least = unzigzag(k2_read_varint(bytes));
    struct k2_slice widths = k2_read_bytes(bytes, miniblock_count);
    size_t done = 0;
    for (size_t i = 0; i < miniblock_count && done < left && !bytes->truncated; i++) {
        unsigned width = widths.data[i];
        if (width > MOST_WIDTH) {
            return false;
        }
        struct k2_slice packed = k2_read_bytes(bytes, miniblock / 8 * width);
        size_t count = miniblock < left - done ? miniblock : left - done;
        for (size_t j = 0; j < count && !bytes->truncated; j++) {
            *last += least + unpack(packed.data, j, width);
            values[done + j] = (int64_t)*last;
        }
        done += count;
    }
    return !bytes->truncated;
}

bool k2_parquet_delta_read(struct k2_byte_reader *bytes, int64_t *values, size_t value_count)
{
    uint64_t block = k2_read_varint(bytes), miniblock_count = k2_read_varint(bytes);
    uint64_t total = k2_read_varint(bytes), last = unzigzag(k2_read_varint(bytes));
    if (bytes->truncated || total != value_count || block == 0 || block > MOST_BLOCK ||
        miniblock_count == 0 || block % miniblock_count != 0 ||
        block / miniblock_count % MINIBLOCK != 0) {
        return false;
    }
    if (value_count > 0) {
        values[0] = (int64_t)last;
    }
    size_t miniblock = (size_t)(block / miniblock_count);
    for (size_t i = 1; i < value_count; i += (size_t)block) {
        size_t left = value_count - i;
        if (!read_block(bytes, (size_t)miniblock_count, miniblock, &last, &values[i],
                        left < block ? left : (size_t)block)) {
            return false;
        }
    }
    return !bytes->truncated;
}
