#include "ingest/column_map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "format/base/alloc.h"
#include "format/base/timestamp.h"
#include "ingest/map_time.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static struct k2_schema *trades(void)
{
    struct k2_schema *schema = NULL;
    assert_int_equal(k2_schema_builtin(&schema, "trades", NULL), K2_OK);
    return schema;
}

static void a_bad_map_is_refused_with_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *word;
    } rows[] = {
        {"unknown word", "header none\nfrobnicate 1\n", "line 2"},
        {"another table", "table quotes\n", "quotes"},
        {"no fields", "header none\n", "field"},
        {"no such column", "header none\nfield 1 colour\n", "colour"},
        {"field 0", "header none\nfield 0 price\n", "line 2"},
        {"names without a header", "header none\nfield Price price\n", "header"},
        {"numbers with a header", "field 1 price\n", "header"},
        {"beyond the fields", "header none\nfields 2\nfield 3 price\n", "field 3"},
        {"no such zone", "zone Mars/Olympus\n", "Mars"},
        {"a zone outside", "zone ../../etc/passwd\n", "passwd"},
        {"two zones", "zone UTC\nzone UTC\n", "line 2"},
        {"an element of a price", "header none\nfield 1 price[]\n", "price"},
        {"a divisor that is none", "header none\nfield 1 price /7\n", "/7"},
        {"a divisor too large", "header none\nfield 1 price /1000000000\n", "/1000000000"},
        {"a divisor of a text", "header none\nfield 1 trade_id /10\n", "/10"},
        {"a date without format", "header none\nfield 1 @date\n", "@date"},
        {"a translation without =", "translate a b\n", "`b`"},
        {"half a line", "set\n", "set"},
        {"a separator of two", "separator ab\n", "ab"},
        {"a column twice", "header none\nfield 1 price\nfield 2 price\n", "same column"},
        {"whole and in parts", "header none\nfield 1 vendor_data\nfield 2 vendor_data.x\n", "part"},
        {"a time without date", "header none\nfield 1 @time\n", "@date"},
        {"two times", "header none\nfield 1 timestamp ms\nfield 2 timestamp us\n", "timestamp"},
        {"an unknown unit", "header none\nfield 1 @time min\n", "min"},
    };
    struct k2_schema *schema = trades();
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct k2_column_map *map = NULL;
        struct k2_error error = {0};
        enum k2_status status =
            k2_column_map_parse(&map, "m.map", k2_slice_of(rows[i].text), schema, &error);
        if (status != K2_BAD_REQUEST || strstr(error.text, rows[i].word) == NULL || map != NULL) {
            fail_msg("%s: %s", rows[i].name, error.text);
        }
    }
    k2_schema_destroy(schema);
}

#define MAP                                                                                        \
    "header none # comment\nfield 1 price\nset exchange {m:upper}\nset symbol {s:upper}.{n}\n"     \
    "path {m}/x-{s}-*/{n}_{day}.csv\ndate {day} YYYYMMDD\ntranslate n 1=ONE 2=TWO\n"

static void the_path_says_what_all_rows_have(void **state)
{
    (void)state;
    static const struct {
        const char *path, *exchange, *symbol; // NULL: refused
        int64_t days;
    } rows[] = {
        {"/data/asx/x-bhp-z/1_19700103.csv", "ASX", "BHP.ONE", 2},
        {"asx/x-b-h-p/2_19691231.csv", "ASX", "B.TWO", -1},
        {"asx/x-bhp-z/3_19700103.csv", NULL, NULL, 0},
        {"asx/x-bhp-z/1_19700132.csv", NULL, NULL, 0},
        {"asx/y-bhp-z/1_19700103.csv", NULL, NULL, 0},
        {"x-bhp-z/1_19700103.csv", NULL, NULL, 0},
        {"asx/x-bhp-z/1_19700103.csv.txt", NULL, NULL, 0},
        {"", NULL, NULL, 0},
    };
    struct k2_schema *schema = trades();
    struct k2_column_map *map = NULL;
    bool given[K2_MAX_COLUMNS] = {false};
    struct k2_map_constants constants;
    assert_int_equal(k2_column_map_parse(&map, "m", k2_slice_of(MAP), schema, NULL), K2_OK);
    for (size_t i = 0; i < COUNT(rows); i++) {
        enum k2_status status = k2_column_map_constants(map, rows[i].path, given, &constants, NULL);
        if ((status == K2_OK) != (rows[i].exchange != NULL)) {
            fail_msg("%s", rows[i].path);
        }
        if (status == K2_OK) {
            assert_string_equal(constants.texts[K2_EXCHANGE], rows[i].exchange);
            assert_string_equal(constants.texts[K2_SYMBOL], rows[i].symbol);
            assert_int_equal(constants.date_days, rows[i].days);
            k2_map_constants_deinit(&constants);
        }
    }
    given[K2_SYMBOL] = true; // an option says it: no translation is needed
    assert_int_equal(
        k2_column_map_constants(map, "asx/x-bhp-z/3_19700103.csv", given, &constants, NULL), K2_OK);
    assert_null(constants.texts[K2_SYMBOL]);
    k2_map_constants_deinit(&constants);
    k2_column_map_destroy(map);
    k2_schema_destroy(schema);
}

static void wall_clocks_become_utc(void **state)
{
    (void)state;
    static const struct {
        const char *zone, *local; // the wall clock as if it were UTC
        bool known;
        const char *utc;
    } rows[] = {
        {"UTC", "2014-03-10T10:00:00Z", true, "2014-03-10T10:00:00Z"},
        {"Etc/GMT+5", "2014-07-10T16:00:00Z", true, "2014-07-10T21:00:00Z"},
        {"Australia/Sydney", "2014-03-10T10:00:00Z", true, "2014-03-09T23:00:00Z"},
        {"Australia/Sydney", "2014-07-10T10:00:00Z", true, "2014-07-10T00:00:00Z"},
        {"America/New_York", "2013-10-08T09:30:00Z", true, "2013-10-08T13:30:00Z"},
        {"America/New_York", "2013-03-10T01:59:59Z", true, "2013-03-10T06:59:59Z"},
        {"America/New_York", "2013-03-10T02:00:00Z", false, NULL}, // left out
        {"America/New_York", "2013-03-10T02:59:59Z", false, NULL},
        {"America/New_York", "2013-03-10T03:00:00Z", true, "2013-03-10T07:00:00Z"},
        {"America/New_York", "2013-11-03T00:59:59Z", true, "2013-11-03T04:59:59Z"},
        {"America/New_York", "2013-11-03T01:30:00Z", true, "2013-11-03T05:30:00Z"}, // the first
        {"America/New_York", "2013-11-03T02:00:00Z", true, "2013-11-03T07:00:00Z"},
        {"America/New_York", "1800-01-01T00:00:00Z", true, "1800-01-01T04:56:02Z"},
        {"America/New_York", "2250-01-01T00:00:00Z", false, NULL}, // beyond the file's list
        {"Asia/Tokyo", "2250-01-01T09:00:00Z", true, "2250-01-01T00:00:00Z"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct k2_time_zone *zone = NULL;
        int64_t local_ns, utc_ns, utc_s;
        struct k2_error error = {0};
        if (k2_time_zone_load(&zone, rows[i].zone, &error) != K2_OK) {
            fail_msg("%s", error.text);
        }
        assert_int_equal(k2_timestamp_parse(k2_slice_of(rows[i].local), &local_ns), 0);
        bool known = k2_time_zone_to_utc(zone, local_ns / K2_NS_PER_SECOND, &utc_s);
        if (known != rows[i].known) {
            fail_msg("%s %s", rows[i].zone, rows[i].local);
        }
        if (known) {
            assert_int_equal(k2_timestamp_parse(k2_slice_of(rows[i].utc), &utc_ns), 0);
            if (utc_s != utc_ns / K2_NS_PER_SECOND) {
                fail_msg("%s %s: %lld", rows[i].zone, rows[i].local, (long long)utc_s);
            }
        }
        k2_time_zone_destroy(zone);
    }
}

static void units_are_read_exactly(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned digits;
        bool good;
        int64_t value_ns;
    } rows[] = {
        {"62.2662", 6, true, 62266200},
        {"0", 9, true, 0},
        {"-1.5", 3, true, -1500},
        {"1723161600.123456789", 9, true, 1723161600123456789},
        {"1723161600123", 6, true, 1723161600123000000},
        {"7", 0, true, 7},
        {"7.0", 0, true, 7},
        {"7.1", 0, false, 0},
        {"0.0000001", 6, false, 0},
        {"9223372037", 9, false, 0},
        {"", 6, false, 0},
        {".", 6, false, 0},
        {"1e3", 6, false, 0},
        {"1.2.3", 6, false, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t value_ns = 0;
        bool good = k2_map_parse_units(k2_slice_of(rows[i].text), rows[i].digits, &value_ns);
        if (good != rows[i].good || (good && value_ns != rows[i].value_ns)) {
            fail_msg("%s: %d %lld", rows[i].text, good, (long long)value_ns);
        }
    }
    int64_t ns = 0, days = 0;
    assert_true(k2_map_parse_time_of_day(k2_slice_of("07:57:14.754"), &ns));
    assert_int_equal(ns, 28634754000000);
    assert_false(k2_map_parse_time_of_day(k2_slice_of("24:00:00"), &ns));
    assert_false(k2_map_parse_time_of_day(k2_slice_of("07:57:14Z"), &ns));
    assert_true(k2_map_parse_date("MM/DD/YYYY", k2_slice_of("03/10/2014"), &days));
    assert_int_equal(days, 16139);
    assert_false(k2_map_parse_date("MM/DD/YYYY", k2_slice_of("3/10/2014"), &days));
    assert_false(k2_map_parse_date("YYYYMMDD", k2_slice_of("20140230"), &days));
}

static void parsing_survives_every_failed_allocation(void **state)
{
    (void)state;
    struct k2_schema *schema = trades();
    struct k2_column_map *map = NULL;
    bool given[K2_MAX_COLUMNS] = {false};
    enum k2_status status = K2_NO_MEMORY;
    for (long count = 0; status != K2_OK; count++) {
        k2_alloc_fail_after(count);
        status = k2_column_map_parse(&map, "m", k2_slice_of(MAP "zone Asia/Tokyo\n"), schema, NULL);
        assert_true(status == K2_OK || (status == K2_NO_MEMORY && map == NULL));
    }
    status = K2_NO_MEMORY;
    for (long count = 0; status != K2_OK; count++) {
        struct k2_map_constants constants;
        k2_alloc_fail_after(count);
        status = k2_column_map_constants(map, "a/x-b-c/1_20200101.csv", given, &constants, NULL);
        assert_true(status == K2_OK || status == K2_NO_MEMORY);
        k2_map_constants_deinit(&constants);
    }
    k2_alloc_fail_after(-1);
    k2_column_map_destroy(map);
    k2_schema_destroy(schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bad_map_is_refused_with_its_line),
        cmocka_unit_test(the_path_says_what_all_rows_have),
        cmocka_unit_test(wall_clocks_become_utc),
        cmocka_unit_test(units_are_read_exactly),
        cmocka_unit_test(parsing_survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
