// Sums of products of 64-bit integers that never overflow, and their exact quotients.
//
// A value of 192 bits: enough for 2^64 products. Pure.
#pragma once

#include "format/segment/row_group_view.h"

__extension__ typedef unsigned __int128 k2_uint128;

struct k2_wide_sum { // high * 2^128 + low
    k2_uint128 low;
    int64_t high;
};

static inline void k2_wide_sum_add(struct k2_wide_sum *sum, k2_int128 value)
{
    k2_uint128 low = sum->low + (k2_uint128)value;
    sum->high += (low < sum->low ? 1 : 0) - (value < 0 ? 1 : 0);
    sum->low = low;
}

static inline void k2_wide_sum_join(struct k2_wide_sum *sum, const struct k2_wide_sum *other)
{
    k2_uint128 low = sum->low + other->low;
    sum->high += other->high + (low < sum->low ? 1 : 0);
    sum->low = low;
}

// sum * 10^up / (divisor * 10^down), rounded half to even. `up` and `down` are at most 18. False,
// and nothing written, when the divisor is 0 or the quotient is not below 10^18 in magnitude, the
// bound of decimals.
bool k2_wide_sum_divide(const struct k2_wide_sum *sum, k2_int128 divisor, unsigned up,
                        unsigned down, int64_t *quotient);

// sum(price * quantity) / sum(quantity) with `scale_out` places, the price having `scale` of them.
static inline bool k2_wide_sum_average(const struct k2_wide_sum *amount, k2_int128 weight,
                                       unsigned scale, unsigned scale_out, int64_t *average)
{
    return k2_wide_sum_divide(amount, weight, scale_out > scale ? scale_out - scale : 0,
                              scale > scale_out ? scale - scale_out : 0, average);
}
