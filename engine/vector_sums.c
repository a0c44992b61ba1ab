#include "engine/vector_sums.h"

static void product_with_nulls(const int64_t *prices, const uint8_t *price_valid,
                               const int64_t *quantities, const uint8_t *quantity_valid,
                               size_t row_count, struct k2_wide_sum *amount, k2_int128 *weight)
{
    for (size_t i = 0; i < row_count; i++) {
        if ((price_valid == NULL || price_valid[i] != 0) &&
            (quantity_valid == NULL || quantity_valid[i] != 0)) {
            k2_wide_sum_add(amount, (k2_int128)prices[i] * quantities[i]);
            *weight += quantities[i];
        }
    }
}

static unsigned magnitude_bits(int64_t value)
{
    uint64_t magnitude = value < 0 ? -(uint64_t)value : (uint64_t)value;
    return magnitude == 0 ? 0 : 64 - (unsigned)__builtin_clzll(magnitude);
}

static unsigned most_bits(int64_t min, int64_t max)
{
    unsigned low = magnitude_bits(min), high = magnitude_bits(max);
    return low > high ? low : high;
}

enum k2_factors k2_factors_of(int64_t left_min, int64_t left_max, int64_t right_min,
                              int64_t right_max)
{
    enum { SAFE_BITS = 116 };
    const int64_t short_end = INT64_C(1) << 52;
    if (left_min >= 0 && right_min >= 0 && left_max < short_end && right_max < short_end) {
        return K2_FACTORS_SHORT;
    }
    return most_bits(left_min, left_max) + most_bits(right_min, right_max) <= SAFE_BITS
               ? K2_FACTORS_SAFE
               : K2_FACTORS_ANY;
}

void k2_vector_product(const int64_t *prices, const uint8_t *price_valid, const int64_t *quantities,
                       const uint8_t *quantity_valid, size_t row_count, enum k2_factors factors,
                       struct k2_wide_sum *amount, k2_int128 *weight)
{
    if (factors == K2_FACTORS_ANY || price_valid != NULL || quantity_valid != NULL) {
        product_with_nulls(prices, price_valid, quantities, quantity_valid, row_count, amount,
                           weight);
        return;
    }
    if (factors == K2_FACTORS_SHORT && row_count > 0) {
        struct k2_trade_sums sums;
        k2_bitpack_selected()->trade_sums(prices, quantities, row_count, &sums);
        k2_wide_sum_add(amount, k2_trade_product(&sums));
        *weight += sums.quantity;
        return;
    }
    k2_int128 products = 0, sum = 0;
    for (size_t i = 0; i < row_count; i++) {
        products += (k2_int128)prices[i] * quantities[i];
        sum += quantities[i];
    }
    k2_wide_sum_add(amount, products);
    *weight += sum;
}

void k2_vector_sum(const int64_t *values, const uint8_t *valid, size_t row_count, k2_int128 *sum,
                   uint64_t *value_count)
{
    k2_int128 total = 0;
    uint64_t count = row_count;
    if (valid == NULL) {
        // Halves of 32 bits do not overflow 64, and need no carry.
        uint64_t low = 0;
        int64_t high = 0;
        for (size_t i = 0; i < row_count; i++) {
            low += (uint32_t)values[i];
            high += values[i] >> 32;
        }
        total = (k2_int128)high * ((k2_int128)1 << 32) + low;
    } else {
        count = 0;
        for (size_t i = 0; i < row_count; i++) {
            total += valid[i] != 0 ? values[i] : 0;
            count += valid[i] != 0;
        }
    }
    *sum += total;
    *value_count += count;
}

void k2_vector_range(const int64_t *values, const uint8_t *valid, size_t row_count, int64_t *min,
                     int64_t *max)
{
    int64_t least = *min, most = *max;
    if (valid == NULL && row_count > 0) {
        k2_bitpack_selected()->range(values, row_count, &least, &most);
        *min = least < *min ? least : *min;
        *max = most > *max ? most : *max;
        return;
    }
    for (size_t i = 0; i < row_count; i++) {
        if (valid == NULL || valid[i] != 0) {
            least = values[i] < least ? values[i] : least;
            most = values[i] > most ? values[i] : most;
        }
    }
    *min = least;
    *max = most;
}
