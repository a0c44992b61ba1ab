// Sums over parts of decoded vectors. Pure.
#pragma once

#include "engine/wide_sum.h"

// Products of values whose magnitudes have so many bits together can be added 1,024 times.
enum { K2_SAFE_PRODUCT_BITS = 116 };

// Adds price * quantity and quantity of the rows in which neither is null. `valid` NULL: no nulls.
// `safe`: see above.
void k2_vector_product(const int64_t *prices, const uint8_t *price_valid, const int64_t *quantities,
                       const uint8_t *quantity_valid, size_t row_count, bool safe,
                       struct k2_wide_sum *amount, k2_int128 *weight);

// Adds the values that are not null to `sum`, and how many there are to `value_count`.
void k2_vector_sum(const int64_t *values, const uint8_t *valid, size_t row_count, k2_int128 *sum,
                   uint64_t *value_count);

// Widens [*min, *max], which is empty while *min > *max, by the values that are not null.
void k2_vector_range(const int64_t *values, const uint8_t *valid, size_t row_count, int64_t *min,
                     int64_t *max);
