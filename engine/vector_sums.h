// Sums over parts of decoded vectors. Pure.
#pragma once

#include "engine/wide_sum.h"
#include "format/codec/bitpack.h"

// What is known of the values of two factors.
enum k2_factors {
    K2_FACTORS_ANY,
    K2_FACTORS_SAFE,  // 1,024 products can be added in 128 bits
    K2_FACTORS_SHORT, // all are from 0 to 2^52 - 1
};

// By the bounds of both.
enum k2_factors k2_factors_of(int64_t left_min, int64_t left_max, int64_t right_min,
                              int64_t right_max);

// Adds price * quantity and quantity of the rows, 1,024 at most, in which neither is null. `valid`
// NULL: no nulls.
void k2_vector_product(const int64_t *prices, const uint8_t *price_valid, const int64_t *quantities,
                       const uint8_t *quantity_valid, size_t row_count, enum k2_factors factors,
                       struct k2_wide_sum *amount, k2_int128 *weight);

// sum(price * quantity) of the kernel's two parts.
static inline k2_int128 k2_trade_product(const struct k2_trade_sums *sums)
{
    return (k2_int128)sums->product_high * ((k2_int128)1 << 52) + sums->product_low;
}

// Adds the values that are not null to `sum`, and how many there are to `value_count`.
void k2_vector_sum(const int64_t *values, const uint8_t *valid, size_t row_count, k2_int128 *sum,
                   uint64_t *value_count);

// Widens [*min, *max], which is empty while *min > *max, by the values that are not null.
void k2_vector_range(const int64_t *values, const uint8_t *valid, size_t row_count, int64_t *min,
                     int64_t *max);
