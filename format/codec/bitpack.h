// Bit packing and the loops over blocks behind the codecs, one table per instruction set.
//
// Values of `width` bits (0..64) are packed in one of two layouts, by count alone:
//
//   fewer than 512 values: one after the other, lowest bit first, ceil(count * width / 8) bytes
//   else 16 lanes of 64-bit words: value i is row i / 16 of lane i % 16; a lane packs its rows
//   lowest bit first into words, word k of lane l stands at byte (k * 16 + l) * 8
//
// The second is what SIMD likes: a row is unpacked with one shift for all lanes, and comes out in
// natural order. Its last row counts as full. Every instruction set gives the same bytes.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/base/bytes.h"

struct k2_bins_tree;
struct k2_bins_scale;
struct k2_bins_plan;

enum {
    K2_BITPACK_LANES = 16,
    K2_BITPACK_WORD_BYTES = K2_BITPACK_LANES * 8, // one word of every lane
    K2_BITPACK_LANE_COUNT_MIN = 512,              // fewer values are packed without lanes
    K2_BITPACK_VALUES = 1024,                     // the most values of a block
};

// What some rows of a price and a quantity amount to.
struct k2_trade_sums {
    int64_t low, high; // of the prices
    uint64_t quantity; // their sum
    // sum(price * quantity) = product_high * 2^52 + product_low; which part has what depends on the
    // kernel.
    uint64_t product_low, product_high;
};

struct k2_bitpack_kernels {
    const char *name;

    // Packs ceil(count / 16) rows into lanes. `values` < 2^width; those behind the last value, up
    // to the end of the row, are zero. `packed` has room for k2_bitpack_size.
    void (*pack)(const uint64_t *values, size_t count, unsigned width, uint8_t *packed);

    // values[i] = base + divisor * packed[i], for whole rows; wraps. Width 1..64.
    void (*unpack)(const uint8_t *packed, size_t count, unsigned width, uint64_t base,
                   uint64_t divisor, int64_t *values);

    // values[i] = base + the sum of slope + divisor * packed[j] over j <= i; else like unpack.
    void (*unpack_sum)(const uint8_t *packed, size_t count, unsigned width, uint64_t base,
                       uint64_t divisor, uint64_t slope, int64_t *values);

    // The least and the greatest of count >= 1 values.
    void (*range)(const int64_t *values, size_t count, int64_t *min, int64_t *max);

    // quotients[i] = (values[i] - min) / divisor, with divisor = odd << shift and odd * inverse = 1
    // (mod 2^64). Gives the first index whose difference is no multiple, or count.
    size_t (*divide)(const int64_t *values, size_t count, int64_t min, uint64_t odd,
                     uint64_t inverse, unsigned shift, uint64_t *quotients);

    // The range of values[i] - values[i - 1], i >= 1, of count >= 2 values; wraps.
    void (*delta_range)(const uint64_t *values, size_t count, int64_t *min, int64_t *max);

    // The sum of packed[i], for whole rows; width 1..54, so that it has no overflow.
    uint64_t (*sum_packed)(const uint8_t *packed, size_t count, unsigned width);

    // The sum of the values, modulo 2^64.
    uint64_t (*sum)(const int64_t *values, size_t count);

    // Like unpack, of values one after the other; `packed` has 64 bytes more that may be read, and
    // `values` room for 7 more.
    void (*unpack_plain)(const uint8_t *packed, size_t count, unsigned width, uint64_t base,
                         uint64_t divisor, int64_t *values);

    // values[i] = base + the sum of the values up to and with it; wraps. May read and write up to 7
    // values behind the last.
    void (*sum_up)(uint64_t base, size_t count, int64_t *values);

    // How many of the values, which rise, are at most `most`.
    size_t (*count_up_to)(const int64_t *values, size_t count, int64_t most);

    // Of 1 to 1,024 rows, all values being 0 to 2^52 - 1.
    void (*trade_sums)(const int64_t *prices, const int64_t *quantities, size_t count,
                       struct k2_trade_sums *sums);

    // texts[i] = table[codes[i]]; false, and no matter what is written, when a code is not below
    // table_count. The table may be read up to 8 texts from its first one on; may read up to 7
    // codes and write up to 7 texts behind the last.
    bool (*look_up_texts)(const struct k2_slice *table, size_t table_count, const int64_t *codes,
                          size_t count, struct k2_slice *texts);

    // values[i] = first + i * step; wraps. May write up to 7 values behind the last.
    void (*count_up)(size_t count, uint64_t first, uint64_t step, int64_t *values);

    // values[i] += others[i]; wraps. May read and write up to 7 values behind the last.
    void (*add)(const int64_t *others, size_t count, int64_t *values);

    // values[i] += how many rows just before row i have the same in `others`: 0 where a run of them
    // begins. Wraps; room as for add.
    void (*add_ordinals)(const int64_t *others, size_t count, int64_t *values);

    // values[i] = runs[ones among the bits 0 to i of `words` - 1]; the first bit is one. Reads up
    // to 8 runs behind the last, writes up to 7 values behind it.
    void (*spread)(const uint64_t *words, const int64_t *runs, size_t count, int64_t *values);

    // values[i] = table[values[i]], of values below 2^width <= 256; reads and writes up to 7 behind
    // the last.
    void (*look_up)(const int64_t *table, unsigned width, size_t count, int64_t *values);

    // picked[i] = values[places[i]].
    void (*pick)(const int64_t *values, const int32_t *places, size_t count, int64_t *picked);

    // Decodes BINS, see bins.h.
    bool (*bins)(const struct k2_bins_tree *tree, const struct k2_bins_scale *scale,
                 const uint8_t *bits, size_t size_bytes, size_t count, uint64_t *values);

    // Begins to encode them.
    void (*bins_put)(const struct k2_bins_plan *plan, const uint64_t *values, size_t count,
                     uint8_t *bins, uint8_t *bits);
};

extern const struct k2_bitpack_kernels k2_bitpack_scalar; // the reference
extern const struct k2_bitpack_kernels k2_bitpack_avx2;
extern const struct k2_bitpack_kernels k2_bitpack_avx512;
bool k2_bitpack_avx2_usable(void); // by this build and this machine
bool k2_bitpack_avx512_usable(void);

// The kernels that k2_codec_select chose, else the best usable ones.
const struct k2_bitpack_kernels *k2_bitpack_selected(void);

size_t k2_bitpack_size(size_t count, unsigned width); // bytes

// Bits that `value` needs: 0 for 0.
static inline unsigned k2_bitpack_width(uint64_t value)
{
    return value == 0 ? 0 : 64 - (unsigned)__builtin_clzll(value);
}

// Both layouts. `values` and `packed` as for the kernels; unpacking reads k2_bitpack_size bytes and
// may write up to 15 values behind the last.
void k2_bitpack(const uint64_t *values, size_t count, unsigned width, uint8_t *packed);
void k2_bitunpack(const uint8_t *packed, size_t count, unsigned width, uint64_t base,
                  uint64_t divisor, int64_t *values);
void k2_bitunpack_sum(const uint8_t *packed, size_t count, unsigned width, uint64_t base,
                      uint64_t divisor, uint64_t slope, int64_t *values);

// One after the other, whatever the count (at most 1,024). Unpacking may write up to 7 values
// behind the last.
size_t k2_bitpack_plain_size(size_t count, unsigned width);
void k2_bitpack_plain(const uint64_t *values, size_t count, unsigned width, uint8_t *packed);
void k2_bitunpack_plain(const uint8_t *packed, size_t count, unsigned width, uint64_t base,
                        uint64_t divisor, int64_t *values);
