// Locations of files, told apart by what they name.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "format/base/alloc.h"
#include "query/export/location_set.h"

static void spellings_of_a_location_are_one(void **state)
{
    (void)state;
    static const struct {
        const char *name, *one, *other;
        bool same;
    } rows[] = {
        {"a file with one slash", "file:///w/a", "file:/w/a", true},
        {"a path", "file:///w/a", "/w/a", true},
        {"slashes before a path", "file:////w/a", "/w/a", true},
        {"another path", "file:///w/a", "file:/w/b", false},
        {"schemes of a bucket", "s3://b/a", "s3a://b/a", true},
        {"the oldest scheme", "s3n://b/a", "s3://b/a", true},
        {"another bucket", "s3://b/a", "s3a://c/a", false},
        {"keys that differ by a slash", "s3://b/a//c", "s3://b/a/c", false},
        {"a path like a bucket", "s3://b/a", "/b/a", false},
        {"other schemes", "gs://b/a", "s3://b/a", false},
        {"a name alone", "b/a", "b/a", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct k2_location_set set = {0};
        assert_false(k2_location_set_has(&set, rows[i].one));
        assert_int_equal(k2_location_set_add(&set, rows[i].one, NULL), K2_OK);
        assert_true(k2_location_set_has(&set, rows[i].one));
        if (k2_location_set_has(&set, rows[i].other) != rows[i].same) {
            fail_msg("%s", rows[i].name);
        }
        assert_int_equal(k2_location_set_add(&set, rows[i].other, NULL), K2_OK);
        assert_int_equal(set.count, rows[i].same ? 1 : 2);
        k2_location_set_deinit(&set);
    }
}

static void a_set_grows_and_survives_every_failed_allocation(void **state)
{
    (void)state;
    enum { LOCATIONS = 1000 };
    char location[64];
    enum k2_status status = K2_NO_MEMORY;
    long calls = 0;
    for (; status != K2_OK; calls++) {
        struct k2_location_set set = {0};
        k2_alloc_fail_after(calls);
        status = K2_OK;
        for (int i = 0; i < LOCATIONS && status == K2_OK; i++) {
            (void)snprintf(location, sizeof location, "s3://bucket/data/%d.parquet", i);
            status = k2_location_set_add(&set, location, NULL);
        }
        k2_alloc_fail_after(-1);
        assert_true(status == K2_OK || status == K2_NO_MEMORY);
        for (int i = 0; i < LOCATIONS; i++) {
            (void)snprintf(location, sizeof location, "s3a://bucket/data/%d.parquet", i);
            assert_int_equal(k2_location_set_has(&set, location), (size_t)i < set.count);
        }
        k2_location_set_deinit(&set);
    }
    assert_true(calls > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spellings_of_a_location_are_one),
        cmocka_unit_test(a_set_grows_and_survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
