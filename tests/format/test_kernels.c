// The loops over decoded values: every instruction set gives what the scalar reference gives, bit
// by bit, for every count and place.
#include "format/codec/bitpack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/codec/codec.h"

enum { MOST = 1024, ROOM = MOST + 64, TEXTS = 20 };
__extension__ typedef unsigned __int128 uint128;

struct data {
    uint64_t random;
    int64_t left[ROOM], right[ROOM], expected[ROOM];
    struct k2_slice table[TEXTS], texts[ROOM], expected_texts[ROOM];
};

static const char *const sets[] = {"scalar", "avx2", "avx512"};

static uint64_t next_random(struct data *data)
{
    data->random ^= data->random << 13;
    data->random ^= data->random >> 7;
    data->random ^= data->random << 17;
    return data->random * 0x2545f4914f6cdd1du;
}

// Calls `check` for the kernels of each set that this machine has, with counts and places.
static void for_all(void (*check)(struct data *data, const struct k2_bitpack_kernels *kernels,
                                  size_t begin, size_t count))
{
    struct data *data = calloc(1, sizeof *data);
    assert_non_null(data);
    data->random = 7;
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        if (!k2_codec_select(sets[i])) {
            print_message("no %s here\n", sets[i]);
            continue;
        }
        for (size_t count = 1; count <= MOST; count += count < 70 ? 1 : 53) {
            size_t begin = next_random(data) % (MOST - count + 1);
            check(data, k2_bitpack_selected(), begin, count);
        }
    }
    free(data);
}

static void sums_go_up(struct data *data, const struct k2_bitpack_kernels *kernels, size_t begin,
                       size_t count)
{
    uint64_t base = next_random(data);
    for (size_t i = 0; i < count; i++) {
        data->left[begin + i] = data->expected[i] = (int64_t)next_random(data);
    }
    k2_bitpack_scalar.sum_up(base, count, data->expected);
    kernels->sum_up(base, count, data->left + begin);
    assert_memory_equal(data->left + begin, data->expected, count * sizeof(int64_t));
}

static void sums_go_up_alike(void **state)
{
    (void)state;
    int64_t values[16] = {1, 2, -3, INT64_MAX};
    k2_bitpack_scalar.sum_up(10, 4, values);
    assert_int_equal(values[0], 11);
    assert_int_equal(values[2], 10);
    assert_int_equal(values[3], INT64_MIN + 9); // it wraps
    for_all(sums_go_up);
}

static void rising_values_are_counted(struct data *data, const struct k2_bitpack_kernels *kernels,
                                      size_t begin, size_t count)
{
    int64_t *values = data->left + begin;
    int64_t value = (int64_t)next_random(data) / 4;
    for (size_t i = 0; i < count; i++) {
        values[i] = value += (int64_t)(next_random(data) % 3);
    }
    int64_t limits[] = {values[0] - 1, values[0],    values[count - 1], values[count / 2],
                        INT64_MIN,     INT64_MAX,    values[count / 3], values[count - 1] - 1,
                        values[0] + 1, values[0] + 9};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        size_t expected = 0;
        while (expected < count && values[expected] <= limits[i]) {
            expected++;
        }
        assert_int_equal(kernels->count_up_to(values, count, limits[i]), expected);
    }
    assert_int_equal(kernels->count_up_to(values, 0, INT64_MAX), 0);
}

static void rising_values_are_counted_alike(void **state)
{
    (void)state;
    for_all(rising_values_are_counted);
}

static void trades_are_added(struct data *data, const struct k2_bitpack_kernels *kernels,
                             size_t begin, size_t count)
{
    int64_t *prices = data->left + begin, *quantities = data->right + begin;
    unsigned shift = 12 + (unsigned)(next_random(data) % 52); // the longest have 52 bits
    int64_t low = INT64_MAX, high = 0;
    uint64_t quantity = 0;
    uint128 product = 0;
    for (size_t i = 0; i < count; i++) {
        prices[i] = (int64_t)(next_random(data) >> shift);
        quantities[i] = (int64_t)(next_random(data) >> (75 - shift));
        if (i % 97 == 3) {
            prices[i] = quantities[i] = (INT64_C(1) << 52) - 1;
        }
        low = prices[i] < low ? prices[i] : low;
        high = prices[i] > high ? prices[i] : high;
        quantity += (uint64_t)quantities[i];
        product += (uint128)(uint64_t)prices[i] * (uint64_t)quantities[i];
    }
    struct k2_trade_sums sums;
    kernels->trade_sums(prices, quantities, count, &sums);
    assert_true(sums.low == low && sums.high == high);
    assert_true(sums.quantity == quantity);
    assert_true(((uint128)sums.product_high << 52) + sums.product_low == product);
}

static void trades_are_added_alike(void **state)
{
    (void)state;
    for_all(trades_are_added);
}

static void texts_are_looked_up(struct data *data, const struct k2_bitpack_kernels *kernels,
                                size_t begin, size_t count)
{
    size_t table_count = 1 + next_random(data) % TEXTS;
    for (size_t i = 0; i < TEXTS; i++) {
        data->table[i] = (struct k2_slice){(const uint8_t *)data + i, i * 3};
    }
    for (size_t i = 0; i < count; i++) {
        data->left[begin + i] = (int64_t)(next_random(data) % table_count);
        data->expected_texts[i] = data->table[data->left[begin + i]];
    }
    assert_true(
        kernels->look_up_texts(data->table, table_count, data->left + begin, count, data->texts));
    for (size_t i = 0; i < count; i++) {
        assert_ptr_equal(data->texts[i].data, data->expected_texts[i].data);
        assert_int_equal(data->texts[i].size_bytes, data->expected_texts[i].size_bytes);
    }
    static const int64_t wrong[] = {-1, INT64_MIN, INT64_MAX};
    size_t place = begin + next_random(data) % count;
    for (size_t i = 0; i < 4; i++) {
        data->left[place] = i < 3 ? wrong[i] : (int64_t)table_count;
        assert_false(kernels->look_up_texts(data->table, table_count, data->left + begin, count,
                                            data->texts));
    }
    // What follows the codes does not matter.
    data->left[place] = 0;
    data->left[begin + count] = -1;
    assert_true(
        kernels->look_up_texts(data->table, table_count, data->left + begin, count, data->texts));
}

static void texts_are_looked_up_alike(void **state)
{
    (void)state;
    for_all(texts_are_looked_up);
}

static void values_are_picked(struct data *data, const struct k2_bitpack_kernels *kernels,
                              size_t begin, size_t count)
{
    int32_t places[ROOM];
    for (size_t i = 0; i < ROOM; i++) {
        data->left[i] = (int64_t)next_random(data);
        data->right[i] = data->expected[i] = -7;
        places[i] = (int32_t)(next_random(data) % ROOM);
    }
    for (size_t i = 0; i < count; i++) {
        data->expected[begin + i] = data->left[places[i]];
    }
    kernels->pick(data->left, places, count, data->right + begin);
    assert_memory_equal(data->right, data->expected, sizeof data->right); // and nothing beside
}

static void values_are_picked_alike(void **state)
{
    (void)state;
    for_all(values_are_picked);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_go_up_alike),
        cmocka_unit_test(rising_values_are_counted_alike),
        cmocka_unit_test(trades_are_added_alike),
        cmocka_unit_test(texts_are_looked_up_alike),
        cmocka_unit_test(values_are_picked_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
