#include "format/base/decimal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

#define BIG 999999999999999999

static void texts_become_exact_units_or_a_named_failure(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned scale;
        enum k2_decimal_result result;
        int64_t unscaled;
    } rows[] = {
        {"0", 8, K2_DECIMAL_OK, 0},
        {"-0", 8, K2_DECIMAL_OK, 0},
        {"1", 8, K2_DECIMAL_OK, 100000000},
        {"+1", 8, K2_DECIMAL_OK, 100000000},
        {"42.10", 8, K2_DECIMAL_OK, 4210000000},
        {".5", 1, K2_DECIMAL_OK, 5},
        {"5.", 1, K2_DECIMAL_OK, 50},
        {"0.00000001", 8, K2_DECIMAL_OK, 1},
        {"-0.00000001", 8, K2_DECIMAL_OK, -1},
        {"9999999999.99999999", 8, K2_DECIMAL_OK, BIG},
        {"-9999999999.99999999", 8, K2_DECIMAL_OK, -BIG},
        {"999999999999999999", 0, K2_DECIMAL_OK, BIG},
        {"0.999999999999999999", 18, K2_DECIMAL_OK, BIG},
        {"0000000000000000000000000012", 0, K2_DECIMAL_OK, 12},
        {"1.2500000000000000000000000000000000000", 2, K2_DECIMAL_OK, 125},
        {"1e-8", 8, K2_DECIMAL_OK, 1},
        {"1E+2", 0, K2_DECIMAL_OK, 100},
        {"12.5e1", 0, K2_DECIMAL_OK, 125},
        {"100e-2", 0, K2_DECIMAL_OK, 1},
        {"0e999999999999999999", 0, K2_DECIMAL_OK, 0},
        {"0.000e-999999999999999999", 0, K2_DECIMAL_OK, 0},
        {"123000000000000000000000e-21", 0, K2_DECIMAL_OK, 123},
        {"10000000000", 8, K2_DECIMAL_OVERFLOW, 0},
        {"1000000000000000000", 0, K2_DECIMAL_OVERFLOW, 0},
        {"12345678901234567890", 8, K2_DECIMAL_OVERFLOW, 0},
        {"18446744073709551617", 0, K2_DECIMAL_OVERFLOW, 0},
        {"123456789012345678901234567890", 0, K2_DECIMAL_OVERFLOW, 0},
        {"1e18", 0, K2_DECIMAL_OVERFLOW, 0},
        {"1e999999999999999999", 0, K2_DECIMAL_OVERFLOW, 0},
        {"1.123456789", 8, K2_DECIMAL_TOO_MANY_PLACES, 0},
        {"0.5", 0, K2_DECIMAL_TOO_MANY_PLACES, 0},
        {"1e-9", 8, K2_DECIMAL_TOO_MANY_PLACES, 0},
        {"1e-999999999999999999", 8, K2_DECIMAL_TOO_MANY_PLACES, 0},
        {"", 8, K2_DECIMAL_NOT_A_NUMBER, 0},
        {"-", 8, K2_DECIMAL_NOT_A_NUMBER, 0},
        {".", 8, K2_DECIMAL_NOT_A_NUMBER, 0},
        {"-.", 8, K2_DECIMAL_NOT_A_NUMBER, 0},
        {"--5", 8, K2_DECIMAL_NOT_A_NUMBER, 0},
        {"+-5", 8, K2_DECIMAL_NOT_A_NUMBER, 0},
        {"1,000", 8, K2_DECIMAL_NOT_A_NUMBER, 0},
        {"1.2.3", 8, K2_DECIMAL_NOT_A_NUMBER, 0},
        {"e5", 8, K2_DECIMAL_NOT_A_NUMBER, 0},
        {"1e", 8, K2_DECIMAL_NOT_A_NUMBER, 0},
        {"1e+", 8, K2_DECIMAL_NOT_A_NUMBER, 0},
        {"1e2x", 8, K2_DECIMAL_NOT_A_NUMBER, 0},
        {"1e1.5", 8, K2_DECIMAL_NOT_A_NUMBER, 0},
        {"twelve", 8, K2_DECIMAL_NOT_A_NUMBER, 0},
        {"NaN", 8, K2_DECIMAL_NOT_A_NUMBER, 0},
        {"Infinity", 8, K2_DECIMAL_NOT_A_NUMBER, 0},
        {"0x10", 8, K2_DECIMAL_NOT_A_NUMBER, 0},
        {" 1", 8, K2_DECIMAL_NOT_A_NUMBER, 0},
        {"1 ", 8, K2_DECIMAL_NOT_A_NUMBER, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t unscaled = 0;
        enum k2_decimal_result result =
            k2_decimal_parse(k2_slice_of(rows[i].text), rows[i].scale, &unscaled);
        if (result != rows[i].result || unscaled != rows[i].unscaled) {
            fail_msg("`%s` with %u places: %s, %lld", rows[i].text, rows[i].scale,
                     k2_decimal_result_name(result), (long long)unscaled);
        }
    }
}

static void units_print_as_plain_exact_digits(void **state)
{
    (void)state;
    static const struct {
        int64_t unscaled;
        unsigned scale;
        const char *text;
    } rows[] = {
        {0, 8, "0"},
        {0, 0, "0"},
        {7, 0, "7"},
        {-1, 8, "-0.00000001"},
        {4210000000, 8, "42.1"},
        {100000000, 8, "1"},
        {-100000000, 8, "-1"},
        {BIG, 8, "9999999999.99999999"},
        {-BIG, 18, "-0.999999999999999999"},
        {1000, 0, "1000"},
        {INT64_MIN, 18, "-9.223372036854775808"},
        {INT64_MIN, 0, "-9223372036854775808"},
        {INT64_MAX, 8, "92233720368.54775807"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[K2_DECIMAL_TEXT_BYTES + 1];
        text[k2_decimal_print(text, rows[i].unscaled, rows[i].scale)] = '\0';
        assert_string_equal(text, rows[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_become_exact_units_or_a_named_failure),
        cmocka_unit_test(units_print_as_plain_exact_digits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
