#include "format/codec/bitpack.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

#include "format/codec/bins.h"
#include "format/codec/bitpack_loops.h"

static void store_word(uint8_t *bytes, uint64_t value)
{
    value = htole64(value);
    memcpy(bytes, &value, sizeof value);
}

static uint64_t mask_of(unsigned width)
{
    return width == 64 ? UINT64_MAX : ((uint64_t)1 << width) - 1;
}

static void scalar_pack(const uint64_t *values, size_t count, unsigned width, uint8_t *packed)
{
    size_t rows = (count + K2_BITPACK_LANES - 1) / K2_BITPACK_LANES;
    for (size_t lane = 0; lane < K2_BITPACK_LANES; lane++) {
        uint8_t *out = packed + lane * 8;
        uint64_t word = 0;
        unsigned shift = 0;
        for (size_t row = 0; row < rows; row++) {
            uint64_t value = values[row * K2_BITPACK_LANES + lane];
            word |= value << shift;
            shift += width;
            if (shift >= 64) {
                store_word(out, word);
                out += K2_BITPACK_WORD_BYTES;
                shift -= 64;
                word = shift == 0 ? 0 : value >> (width - shift);
            }
        }
        if (shift > 0) {
            store_word(out, word);
        }
    }
}

static uint64_t lane_value(const uint8_t *packed, size_t row, size_t lane, unsigned width)
{
    size_t bit = row * width;
    unsigned shift = (unsigned)(bit % 64);
    const uint8_t *word = packed + bit / 64 * K2_BITPACK_WORD_BYTES + lane * 8;
    uint64_t value = loop_load_word(word) >> shift;
    if (shift + width > 64) {
        value |= loop_load_word(word + K2_BITPACK_WORD_BYTES) << ((64 - shift) % 64); // 1 to 63
    }
    return value & mask_of(width);
}

static void scalar_unpack(const uint8_t *packed, size_t count, unsigned width, uint64_t base,
                          uint64_t divisor, int64_t *values)
{
    size_t rows = (count + K2_BITPACK_LANES - 1) / K2_BITPACK_LANES;
    for (size_t row = 0; row < rows; row++) {
        for (size_t lane = 0; lane < K2_BITPACK_LANES; lane++) {
            uint64_t value = base + divisor * lane_value(packed, row, lane, width);
            values[row * K2_BITPACK_LANES + lane] = (int64_t)value;
        }
    }
}

static void scalar_unpack_sum(const uint8_t *packed, size_t count, unsigned width, uint64_t base,
                              uint64_t divisor, uint64_t slope, int64_t *values)
{
    size_t rows = (count + K2_BITPACK_LANES - 1) / K2_BITPACK_LANES;
    uint64_t sum = base;
    for (size_t row = 0; row < rows; row++) {
        for (size_t lane = 0; lane < K2_BITPACK_LANES; lane++) {
            sum += slope + divisor * lane_value(packed, row, lane, width);
            values[row * K2_BITPACK_LANES + lane] = (int64_t)sum;
        }
    }
}

static void scalar_spread(const uint64_t *words, const int64_t *runs, size_t count, int64_t *values)
{
    const int64_t *run = runs - 1;
    for (size_t first = 0; first < count; first += 64) {
        size_t rows = count - first < 64 ? count - first : 64;
        uint64_t word = words[first / 64];
        for (size_t i = 0; i < rows; i++, word >>= 1) {
            run += word & 1;
            values[first + i] = *run;
        }
    }
}

static uint64_t scalar_sum_packed(const uint8_t *packed, size_t count, unsigned width)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += lane_value(packed, i / K2_BITPACK_LANES, i % K2_BITPACK_LANES, width);
    }
    return sum;
}

const struct k2_bitpack_kernels k2_bitpack_scalar = {
    .name = "scalar",
    .pack = scalar_pack,
    .unpack = scalar_unpack,
    .unpack_sum = scalar_unpack_sum,
    .sum_packed = scalar_sum_packed,
    .sum = loop_sum,
    .unpack_plain = loop_unpack_plain,
    .sum_up = loop_sum_up,
    .count_up_to = loop_count_up_to,
    .trade_sums = loop_trade_sums,
    .look_up_texts = loop_look_up_texts,
    .count_up = loop_count_up,
    .add = loop_add,
    .add_ordinals = loop_add_ordinals,
    .spread = scalar_spread,
    .look_up = loop_look_up,
    .pick = loop_pick,
    .range = loop_range,
    .divide = loop_divide,
    .delta_range = loop_delta_range,
    .bins = k2_bins_scalar,
    .bins_put = k2_bins_put_scalar,
};

size_t k2_bitpack_plain_size(size_t count, unsigned width)
{
    return (count * width + 7) / 8;
}

size_t k2_bitpack_size(size_t count, unsigned width)
{
    if (count < K2_BITPACK_LANE_COUNT_MIN) {
        return k2_bitpack_plain_size(count, width);
    }
    size_t rows = (count + K2_BITPACK_LANES - 1) / K2_BITPACK_LANES;
    return (rows * width + 63) / 64 * K2_BITPACK_WORD_BYTES;
}

void k2_bitpack_plain(const uint64_t *values, size_t count, unsigned width, uint8_t *packed)
{
    uint64_t word = 0;
    unsigned used = 0; // bits of `word`
    for (size_t i = 0; i < count && width > 0; i++) {
        word |= values[i] << used;
        used += width;
        if (used >= 64) {
            store_word(packed, word);
            packed += 8;
            used -= 64;
            word = used == 0 ? 0 : values[i] >> (width - used);
        }
    }
    for (; used > 0; used = used > 8 ? used - 8 : 0) {
        *packed++ = (uint8_t)word;
        word >>= 8;
    }
}

void k2_bitunpack_plain(const uint8_t *packed, size_t count, unsigned width, uint64_t base,
                        uint64_t divisor, int64_t *values)
{
    assert(count <= K2_BITPACK_VALUES && width <= 64);
    uint8_t copy[K2_BITPACK_VALUES * 8 + 64]; // padded, so that a load may pass the end
    size_t size = k2_bitpack_plain_size(count, width);
    if (width == 0) {
        k2_bitunpack(packed, count, 0, base, divisor, values);
        return;
    }
    memcpy(copy, packed, size);
    memset(copy + size, 0, 64);
    k2_bitpack_selected()->unpack_plain(copy, count, width, base, divisor, values);
}

void k2_bitpack(const uint64_t *values, size_t count, unsigned width, uint8_t *packed)
{
    if (count < K2_BITPACK_LANE_COUNT_MIN) {
        k2_bitpack_plain(values, count, width, packed);
    } else if (width > 0) {
        k2_bitpack_selected()->pack(values, count, width, packed);
    }
}

void k2_bitunpack(const uint8_t *packed, size_t count, unsigned width, uint64_t base,
                  uint64_t divisor, int64_t *values)
{
    if (width == 0) {
        k2_bitpack_selected()->count_up(count, base, 0, values);
    } else if (count < K2_BITPACK_LANE_COUNT_MIN) {
        k2_bitunpack_plain(packed, count, width, base, divisor, values);
    } else {
        k2_bitpack_selected()->unpack(packed, count, width, base, divisor, values);
    }
}

void k2_bitunpack_sum(const uint8_t *packed, size_t count, unsigned width, uint64_t base,
                      uint64_t divisor, uint64_t slope, int64_t *values)
{
    if (width > 0 && count >= K2_BITPACK_LANE_COUNT_MIN) {
        k2_bitpack_selected()->unpack_sum(packed, count, width, base, divisor, slope, values);
        return;
    }
    if (width == 0) {
        k2_bitpack_selected()->count_up(count, base + slope, slope, values);
        return;
    }
    k2_bitunpack(packed, count, width, slope, divisor, values);
    uint64_t sum = base;
    for (size_t i = 0; i < count; i++) {
        sum += (uint64_t)values[i];
        values[i] = (int64_t)sum;
    }
}
