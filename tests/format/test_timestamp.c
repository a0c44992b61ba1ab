#include "format/base/timestamp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void texts_become_nanoseconds_or_a_named_failure(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum k2_timestamp_result result;
        int64_t time_ns;
    } rows[] = {
        {"0", K2_TIMESTAMP_OK, 0},
        {"-1", K2_TIMESTAMP_OK, -1},
        {"1394409600123456789", K2_TIMESTAMP_OK, 1394409600123456789},
        {"9223372036854775807", K2_TIMESTAMP_OK, INT64_MAX},
        {"-9223372036854775808", K2_TIMESTAMP_OK, INT64_MIN},
        {"9223372036854775808", K2_TIMESTAMP_OUT_OF_RANGE, 0},
        {"99999999999999999999", K2_TIMESTAMP_OUT_OF_RANGE, 0},
        {"1970-01-01", K2_TIMESTAMP_OK, 0},
        {"1969-12-31", K2_TIMESTAMP_OK, -K2_NS_PER_DAY},
        {"2014-03-11", K2_TIMESTAMP_OK, 1394496000000000000},
        {"2014-03-11T00:00:00Z", K2_TIMESTAMP_OK, 1394496000000000000},
        {"2014-03-11 00:00:00z", K2_TIMESTAMP_OK, 1394496000000000000},
        {"2014-03-11T00:00Z", K2_TIMESTAMP_OK, 1394496000000000000},
        {"2014-03-11T11:00:00+11:00", K2_TIMESTAMP_OK, 1394496000000000000},
        {"2014-03-11T11:00:00+1100", K2_TIMESTAMP_OK, 1394496000000000000},
        {"2014-03-11T11:00:00+11", K2_TIMESTAMP_OK, 1394496000000000000},
        {"2014-03-10T19:30:00.5-04:30", K2_TIMESTAMP_OK, 1394496000500000000},
        {"1970-01-01T00:00:00.000000001Z", K2_TIMESTAMP_OK, 1},
        {"1969-12-31T23:59:59.999999999Z", K2_TIMESTAMP_OK, -1},
        {"1970-01-01T00:00:00.00000000100Z", K2_TIMESTAMP_OK, 1},
        {"2000-02-29", K2_TIMESTAMP_OK, 951782400000000000},
        {"1900-01-01", K2_TIMESTAMP_OK, -2208988800000000000},
        {"1677-09-21T00:12:43.145224192Z", K2_TIMESTAMP_OK, INT64_MIN},
        {"2262-04-11T23:47:16.854775807Z", K2_TIMESTAMP_OK, INT64_MAX},
        {"2262-04-12T00:17:16.854775807+00:30", K2_TIMESTAMP_OK, INT64_MAX},
        {"1677-09-20T23:42:43.145224192-00:30", K2_TIMESTAMP_OK, INT64_MIN},
        {"1677-09-21T00:12:43.145224191Z", K2_TIMESTAMP_OUT_OF_RANGE, 0},
        {"2262-04-11T23:47:16.854775808Z", K2_TIMESTAMP_OUT_OF_RANGE, 0},
        {"0001-01-01", K2_TIMESTAMP_OUT_OF_RANGE, 0},
        {"9999-12-31", K2_TIMESTAMP_OUT_OF_RANGE, 0},
        {"2014-03-11T00:00:00", K2_TIMESTAMP_NO_ZONE, 0},
        {"2014-03-11 10:00", K2_TIMESTAMP_NO_ZONE, 0},
        {"1970-01-01T00:00:00.0000000001Z", K2_TIMESTAMP_TOO_MANY_PLACES, 0},
        {"", K2_TIMESTAMP_NOT_A_TIME, 0},
        {"-", K2_TIMESTAMP_NOT_A_TIME, 0},
        {"1.5", K2_TIMESTAMP_NOT_A_TIME, 0},
        {"yesterday", K2_TIMESTAMP_NOT_A_TIME, 0},
        {"soon", K2_TIMESTAMP_NOT_A_TIME, 0},
        {"2014-3-11", K2_TIMESTAMP_NOT_A_TIME, 0},
        {"2014-13-01", K2_TIMESTAMP_NOT_A_TIME, 0},
        {"2014-02-29", K2_TIMESTAMP_NOT_A_TIME, 0},
        {"1900-02-29", K2_TIMESTAMP_NOT_A_TIME, 0},
        {"2014-00-10", K2_TIMESTAMP_NOT_A_TIME, 0},
        {"2014-03-00", K2_TIMESTAMP_NOT_A_TIME, 0},
        {"0000-01-01", K2_TIMESTAMP_NOT_A_TIME, 0},
        {"2014-03-11T24:00:00Z", K2_TIMESTAMP_NOT_A_TIME, 0},
        {"2014-03-11T10:60:00Z", K2_TIMESTAMP_NOT_A_TIME, 0},
        {"2014-03-11T10:00:60Z", K2_TIMESTAMP_NOT_A_TIME, 0},
        {"2014-03-11T10:00:00.Z", K2_TIMESTAMP_NOT_A_TIME, 0},
        {"2014-03-11T10:00:00ZZ", K2_TIMESTAMP_NOT_A_TIME, 0},
        {"2014-03-11T10:00:00+1", K2_TIMESTAMP_NOT_A_TIME, 0},
        {"2014-03-11T10:00:00+24:00", K2_TIMESTAMP_NOT_A_TIME, 0},
        {"2014-03-11T10:00:00+01:0", K2_TIMESTAMP_NOT_A_TIME, 0},
        {"2014-03-11T", K2_TIMESTAMP_NOT_A_TIME, 0},
        {"2014-03-11x", K2_TIMESTAMP_NOT_A_TIME, 0},
        {"-2014-03-11", K2_TIMESTAMP_NOT_A_TIME, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t time_ns = 0;
        enum k2_timestamp_result result = k2_timestamp_parse(k2_slice_of(rows[i].text), &time_ns);
        if (result != rows[i].result || time_ns != rows[i].time_ns) {
            fail_msg("`%s`: %s, %lld", rows[i].text, k2_timestamp_result_name(result),
                     (long long)time_ns);
        }
    }
}

static void check_round_trip(int64_t time_ns)
{
    char text[K2_TIMESTAMP_TEXT_BYTES];
    k2_timestamp_print(text, time_ns);
    int64_t back_ns = 0;
    struct k2_slice slice = {(const uint8_t *)text, sizeof text};
    if (k2_timestamp_parse(slice, &back_ns) != K2_TIMESTAMP_OK || back_ns != time_ns) {
        fail_msg("%lld prints as %.30s", (long long)time_ns, text);
    }
}

static void every_day_prints_as_it_parses(void **state)
{
    (void)state;
    for (int64_t day = -106751; day <= 106751; day++) {
        check_round_trip(day * K2_NS_PER_DAY);
        check_round_trip(day * K2_NS_PER_DAY - (day > -106751));
    }
    check_round_trip(INT64_MIN);
    check_round_trip(INT64_MAX);
    char text[K2_TIMESTAMP_TEXT_BYTES + 1] = "";
    k2_timestamp_print(text, 1394496000000000007);
    assert_string_equal(text, "2014-03-11T00:00:00.000000007Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_become_nanoseconds_or_a_named_failure),
        cmocka_unit_test(every_day_prints_as_it_parses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
