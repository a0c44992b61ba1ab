// Sums that do not overflow, and exact quotients of them.
#include "engine/wide_sum.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/support/tier.h"

// Exact quotients, half to even.
static void averages_are_rounded_half_to_even(void **state)
{
    (void)state;
    const k2_int128 huge = (k2_int128)1 << 126;
    static const int64_t decimal_most = INT64_C(999999999999999999);
    const struct {
        const char *name;
        k2_int128 parts[2]; // their sum
        k2_int128 divisor;
        unsigned up, down;
        bool fits;
        int64_t quotient;
    } cases[] = {
        {"a third", {1, 0}, 3, 0, 0, true, 0},
        {"two thirds", {2, 0}, 3, 0, 0, true, 1},
        {"a half goes down to even", {1, 0}, 2, 0, 0, true, 0},
        {"one and a half goes up to even", {3, 0}, 2, 0, 0, true, 2},
        {"two and a half goes down to even", {5, 0}, 2, 0, 0, true, 2},
        {"below zero as above", {-5, 0}, 2, 0, 0, true, -2},
        {"a divisor below zero", {7, 0}, -2, 0, 0, true, -4},
        {"both below zero", {-7, 0}, -2, 0, 0, true, 4},
        {"no divisor", {7, 0}, 0, 0, 0, false, 0},
        {"nothing", {0, 0}, 5, 0, 0, true, 0},
        {"more places", {1, 0}, 3, 8, 0, true, 33333333},
        {"more places, a half", {1, 0}, 8, 2, 0, true, 12},
        {"more places, three eighths", {3, 0}, 8, 2, 0, true, 38},
        {"fewer places", {123456789, 0}, 1, 0, 4, true, 12346},
        {"fewer places, a half", {125, 0}, 1, 0, 1, true, 12},
        {"beyond 128 bits", {huge, huge}, huge / 500, 0, 0, true, 1000},
        {"beyond 128 bits below zero", {-huge, -huge}, huge / 500, 0, 0, true, -1000},
        {"the greatest decimal", {decimal_most, 0}, 1, 0, 0, true, decimal_most},
        {"one more does not fit", {decimal_most, 1}, 1, 0, 0, false, 0},
        {"far too large", {huge, huge}, 3, 18, 0, false, 0},
        {"far too large, short", {huge, 0}, 3, 0, 0, false, 0},
        {"rounds up to what does not fit", {decimal_most, decimal_most + 1}, 2, 0, 0, false, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct k2_wide_sum sum = {0};
        int64_t quotient = 4711;
        k2_wide_sum_add(&sum, cases[i].parts[0]);
        k2_wide_sum_add(&sum, cases[i].parts[1]);
        bool fits =
            k2_wide_sum_divide(&sum, cases[i].divisor, cases[i].up, cases[i].down, &quotient);
        if (fits != cases[i].fits || quotient != (fits ? cases[i].quotient : 4711)) {
            fail_msg("%s: %d, %lld", cases[i].name, fits, (long long)quotient);
        }
    }
}

static void wide_sums_go_beyond_128_bits_and_back(void **state)
{
    uint64_t random = 42;
    (void)state;
    for (int turn = 0; turn < 1000; turn++) {
        struct k2_wide_sum sum = {0}, other = {0};
        k2_int128 values[50];
        for (int i = 0; i < 50; i++) {
            values[i] = (k2_int128)((k2_uint128)test_random_below(&random, UINT64_MAX) << 64 |
                                    test_random_below(&random, UINT64_MAX));
            k2_wide_sum_add(i % 2 == 0 ? &sum : &other, values[i]);
        }
        k2_wide_sum_join(&sum, &other);
        for (int i = 0; i < 49; i++) {
            k2_wide_sum_add(&sum, -values[i]);
        }
        assert_true((k2_int128)sum.low == values[49]);
        assert_int_equal(sum.high, values[49] < 0 ? -1 : 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(averages_are_rounded_half_to_even),
        cmocka_unit_test(wide_sums_go_beyond_128_bits_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
