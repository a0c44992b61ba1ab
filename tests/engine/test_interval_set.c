#include "engine/interval_set.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "format/base/alloc.h"

static void sets_join_and_split_as_told(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int64_t values[8];
        size_t value_count;
        struct k2_interval expected[4];
        size_t expected_count;
    } rows[] = {
        {"one", {5}, 1, {{5, 5}}, 1},
        {"ascending run", {1, 2, 3}, 3, {{1, 3}}, 1},
        {"a gap stays", {1, 3}, 2, {{1, 1}, {3, 3}}, 2},
        {"a late value closes it", {1, 3, 2}, 3, {{1, 3}}, 1},
        {"grows downwards", {9, 8, 7}, 3, {{7, 9}}, 1},
        {"twice is once", {4, 4, 4}, 3, {{4, 4}}, 1},
        {"extremes",
         {INT64_MAX, INT64_MIN},
         2,
         {{INT64_MIN, INT64_MIN}, {INT64_MAX, INT64_MAX}},
         2},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct k2_interval_set set = {0};
        for (size_t j = 0; j < rows[i].value_count; j++) {
            bool had = k2_interval_set_has(&set, rows[i].values[j]), added;
            assert_int_equal(k2_interval_set_add(&set, rows[i].values[j], &added, NULL), K2_OK);
            assert_int_equal(added, !had);
        }
        assert_int_equal(set.count, rows[i].expected_count);
        assert_memory_equal(set.items, rows[i].expected, set.count * sizeof *set.items);
        k2_interval_set_deinit(&set);
    }
}

static void random_sets_survive_writing_and_reading(void **state)
{
    (void)state;
    uint64_t random = 88172645463325252u;
    for (int turn = 0; turn < 200; turn++) {
        struct k2_interval_set set = {0}, copy = {0};
        bool model[256] = {false};
        for (int i = 0; i < turn; i++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            uint8_t value = (uint8_t)random;
            bool added;
            assert_int_equal(k2_interval_set_add(&set, value - 128, &added, NULL), K2_OK);
            assert_int_equal(added, !model[value]);
            model[value] = true;
        }
        struct k2_buffer bytes;
        k2_buffer_init(&bytes, 1 << 16);
        k2_interval_set_put(&set, &bytes);
        assert_int_equal(k2_interval_set_read(&copy, k2_buffer_slice(&bytes), NULL), K2_OK);
        for (int value = 0; value < 256; value++) {
            assert_int_equal(k2_interval_set_has(&copy, value - 128), model[value]);
        }
        for (size_t size = 0; size < bytes.size_bytes; size++) { // a cut one is told
            struct k2_slice cut = {bytes.data, size};
            assert_int_equal(k2_interval_set_read(&copy, cut, NULL), K2_CORRUPT);
        }
        k2_buffer_deinit(&bytes);
        k2_interval_set_deinit(&set);
        k2_interval_set_deinit(&copy);
    }
}

static void too_many_intervals_are_refused(void **state)
{
    (void)state;
    struct k2_interval_set set = {0};
    bool added;
    for (int64_t i = 0; i < K2_MAX_INTERVALS; i++) {
        assert_int_equal(k2_interval_set_add(&set, i * 2, &added, NULL), K2_OK);
    }
    assert_int_equal(k2_interval_set_add(&set, -2, &added, NULL), K2_LIMIT);
    assert_int_equal(set.count, K2_MAX_INTERVALS);
    assert_int_equal(k2_interval_set_add(&set, 1, &added, NULL), K2_OK); // closes a gap
    assert_int_equal(set.count, K2_MAX_INTERVALS - 1);
    k2_interval_set_deinit(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_join_and_split_as_told),
        cmocka_unit_test(random_sets_survive_writing_and_reading),
        cmocka_unit_test(too_many_intervals_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
