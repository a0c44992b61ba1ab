// Loops that the compiler turns into the vectors of whichever instruction set the including file
// is compiled for. Included by one kernel file each; integers only, so that all agree bit by bit.
#pragma once

#include <endian.h>
#include <string.h>

#include "format/codec/bitpack.h"

static inline void loop_range(const int64_t *values, size_t count, int64_t *min, int64_t *max)
{
    int64_t least = values[0];
    int64_t greatest = values[0];
    for (size_t i = 1; i < count; i++) {
        least = values[i] < least ? values[i] : least;
        greatest = values[i] > greatest ? values[i] : greatest;
    }
    *min = least;
    *max = greatest;
}

static inline void loop_subtract(const int64_t *values, size_t count, int64_t min,
                                 uint64_t *quotients)
{
    for (size_t i = 0; i < count; i++) {
        quotients[i] = (uint64_t)values[i] - (uint64_t)min;
    }
}

// An exact multiple of an odd number times its inverse is the quotient; anything else comes out
// above the greatest possible quotient.
static inline size_t loop_divide(const int64_t *values, size_t count, int64_t min, uint64_t odd,
                                 uint64_t inverse, unsigned shift, uint64_t *quotients)
{
    if (odd == 1 && shift == 0) {
        loop_subtract(values, count, min, quotients);
        return count;
    }
    uint64_t limit = UINT64_MAX / odd;
    uint64_t low_bits = ((uint64_t)1 << shift) - 1;
    for (size_t begin = 0; begin < count; begin += 64) {
        size_t end = begin + 64 < count ? begin + 64 : count;
        uint64_t wrong = 0;
        for (size_t i = begin; i < end; i++) {
            uint64_t difference = (uint64_t)values[i] - (uint64_t)min;
            uint64_t quotient = (difference >> shift) * inverse;
            quotients[i] = quotient;
            wrong |= (difference & low_bits) | (uint64_t)(quotient > limit);
        }
        for (size_t i = begin; wrong != 0 && i < end; i++) {
            uint64_t difference = (uint64_t)values[i] - (uint64_t)min;
            if ((difference & low_bits) != 0 || quotients[i] > limit) {
                return i;
            }
        }
    }
    return count;
}

static inline void loop_delta_range(const uint64_t *values, size_t count, int64_t *min,
                                    int64_t *max)
{
    int64_t least = (int64_t)(values[1] - values[0]);
    int64_t greatest = least;
    for (size_t i = 2; i < count; i++) {
        int64_t delta = (int64_t)(values[i] - values[i - 1]);
        least = delta < least ? delta : least;
        greatest = delta > greatest ? delta : greatest;
    }
    *min = least;
    *max = greatest;
}

static inline uint64_t loop_load_word(const uint8_t *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
    return le64toh(value);
}

static inline void loop_unpack_plain(const uint8_t *packed, size_t count, unsigned width,
                                     uint64_t base, uint64_t divisor, int64_t *values)
{
    uint64_t mask = width == 64 ? UINT64_MAX : ((uint64_t)1 << width) - 1;
    size_t bit = 0;
    for (size_t i = 0; i < count; i++, bit += width) {
        unsigned shift = (unsigned)(bit % 8);
        uint64_t value = loop_load_word(packed + bit / 8) >> shift;
        if (shift + width > 64) {
            value |= (uint64_t)packed[bit / 8 + 8] << ((64 - shift) % 64); // 1 to 63
        }
        values[i] = (int64_t)(base + divisor * (value & mask));
    }
}

static inline void loop_pick(const int64_t *values, const int32_t *places, size_t count,
                             int64_t *picked)
{
    for (size_t i = 0; i < count; i++) {
        picked[i] = values[places[i]];
    }
}

static inline void loop_look_up(const int64_t *table, unsigned width, size_t count, int64_t *values)
{
    uint64_t mask = ((uint64_t)1 << width) - 1;
    for (size_t i = 0; i < count; i++) {
        values[i] = table[(uint64_t)values[i] & mask];
    }
}

static inline void loop_count_up(size_t count, uint64_t first, uint64_t step, int64_t *values)
{
    for (size_t i = 0; i < count; i++) {
        values[i] = (int64_t)(first + i * step);
    }
}

static inline void loop_add(const int64_t *others, size_t count, int64_t *values)
{
    for (size_t i = 0; i < count; i++) {
        values[i] = (int64_t)((uint64_t)values[i] + (uint64_t)others[i]);
    }
}

static inline void loop_add_ordinals(const int64_t *others, size_t count, int64_t *values)
{
    uint64_t ordinal = 0;
    for (size_t i = 1; i < count; i++) {
        ordinal = others[i] == others[i - 1] ? ordinal + 1 : 0;
        values[i] = (int64_t)((uint64_t)values[i] + ordinal);
    }
}

static inline void loop_sum_up(uint64_t base, size_t count, int64_t *values)
{
    for (size_t i = 0; i < count; i++) {
        base += (uint64_t)values[i];
        values[i] = (int64_t)base;
    }
}

static inline size_t loop_count_up_to(const int64_t *values, size_t count, int64_t most)
{
    size_t begin = 0;
    size_t step = 8; // usually they are few
    while (count - begin > step && values[begin + step - 1] <= most) {
        begin += step;
        step *= 2;
    }
    size_t end = count - begin < step ? count : begin + step;
    while (begin < end) {
        size_t middle = begin + (end - begin) / 2;
        if (values[middle] <= most) {
            begin = middle + 1;
        } else {
            end = middle;
        }
    }
    return begin;
}

static inline bool loop_look_up_texts(const struct k2_slice *table, size_t table_count,
                                      const int64_t *codes, size_t count, struct k2_slice *texts)
{
    for (size_t i = 0; i < count; i++) {
        if ((uint64_t)codes[i] >= table_count) {
            return false;
        }
        texts[i] = table[codes[i]];
    }
    return true;
}

static inline uint64_t loop_sum(const int64_t *values, size_t count)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += (uint64_t)values[i];
    }
    return sum;
}

static inline void loop_trade_sums(const int64_t *prices, const int64_t *quantities, size_t count,
                                   struct k2_trade_sums *sums)
{
    enum { LOW_BITS = 52 };
    __extension__ unsigned __int128 product = 0;
    for (size_t i = 0; i < count; i++) {
        __extension__ unsigned __int128 one = (uint64_t)prices[i];
        product += one * (uint64_t)quantities[i];
    }
    loop_range(prices, count, &sums->low, &sums->high);
    sums->quantity = loop_sum(quantities, count);
    sums->product_low = (uint64_t)product & (((uint64_t)1 << LOW_BITS) - 1);
    sums->product_high = (uint64_t)(product >> LOW_BITS);
}
