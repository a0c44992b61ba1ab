// DELTA_BINARY_PACKED: what is written is read, also at the edges of blocks and of the type, and
// streams that can not be are refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/base/alloc.h"
#include "format/parquet/parquet_delta.h"

enum { MOST_VALUES = 1000, CEILING_BYTES = 1 << 20 };

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state * 0x2545f4914f6cdd1du;
}

static void check(const int64_t *values, size_t count, const char *name)
{
    struct k2_buffer bytes;
    k2_buffer_init(&bytes, CEILING_BYTES);
    k2_parquet_delta_put(&bytes, values, count);
    assert_false(bytes.failed);
    // Memory of its own, so that a sanitizer sees a read beyond.
    uint8_t *copy = malloc(bytes.size_bytes);
    int64_t *found = malloc((count + 1) * sizeof *found);
    memcpy(copy, bytes.data, bytes.size_bytes);
    struct k2_byte_reader reader = {.rest = {copy, bytes.size_bytes}};
    if (!k2_parquet_delta_read(&reader, found, count) || reader.rest.size_bytes != 0 ||
        (count > 0 && memcmp(found, values, count * sizeof *found) != 0)) {
        fail_msg("%s: %zu values are not what they were", name, count);
    }
    for (size_t cut = 0; cut < bytes.size_bytes; cut++) {
        reader = (struct k2_byte_reader){.rest = {copy, cut}};
        if (k2_parquet_delta_read(&reader, found, count)) {
            fail_msg("%s: %zu values read from %zu of %zu bytes", name, count, cut,
                     bytes.size_bytes);
        }
    }
    free(found);
    free(copy);
    k2_buffer_deinit(&bytes);
}

static void every_width_and_count_is_read_back(void **state)
{
    (void)state;
    static const size_t counts[] = {0, 1, 2, 31, 32, 33, 34, 128, 129, 130, 160, 161, 257, 300};
    uint64_t random = 3;
    int64_t values[MOST_VALUES];
    for (unsigned width = 0; width <= 64; width++) {
        uint64_t mask = width == 64 ? UINT64_MAX : ((uint64_t)1 << width) - 1;
        for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
            char name[32];
            uint64_t value = next_random(&random);
            for (size_t j = 0; j < counts[i]; j++) {
                value += next_random(&random) & mask; // wraps round
                values[j] = (int64_t)value;
            }
            (void)snprintf(name, sizeof name, "width %u", width);
            check(values, counts[i], name);
        }
    }
}

static void extremes_are_read_back(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int64_t values[6];
    } rows[] = {
        {"least and greatest take turns",
         {INT64_MIN, INT64_MAX, INT64_MIN, INT64_MAX, INT64_MAX, INT64_MIN}},
        {"around zero", {-1, 0, 1, 0, -1, 0}},
        {"falls", {5, 4, 3, 2, 1, 0}},
        {"one value", {7, 7, 7, 7, 7, 7}},
        {"a jump", {1, 2, 3, INT64_MAX, 4, 5}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check(rows[i].values, 6, rows[i].name);
    }
}

static void streams_that_can_not_be_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint8_t bytes[12];
        size_t size_bytes, count;
        bool good;
    } rows[] = {
        {"one value", {0x80, 1, 4, 1, 14}, 5, 1, true},
        {"a block of another size", {0x80, 2, 4, 1, 14}, 5, 1, true},
        {"another count", {0x80, 1, 4, 2, 14}, 5, 1, false},
        {"no miniblocks", {0x80, 1, 0, 1, 14}, 5, 1, false},
        {"miniblocks that do not fit", {0x80, 1, 3, 1, 14}, 5, 1, false},
        {"a miniblock of 16", {64, 4, 1, 14}, 4, 1, false},
        {"no block", {0, 4, 1, 14}, 4, 1, false},
        {"a width of 65", {0x80, 1, 4, 2, 14, 0, 65, 0, 0, 0}, 10, 2, false},
        {"widths of miniblocks that are not needed",
         {0x80, 1, 4, 2, 14, 2, 0, 99, 99, 99},
         10,
         2,
         true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t values[2];
        struct k2_byte_reader reader = {.rest = {rows[i].bytes, rows[i].size_bytes}};
        if (k2_parquet_delta_read(&reader, values, rows[i].count) != rows[i].good) {
            fail_msg("%s", rows[i].name);
        }
    }
}

static void no_memory_turns_failed_on(void **state)
{
    (void)state;
    int64_t values[MOST_VALUES] = {0};
    struct k2_buffer bytes = {.ceiling_bytes = 0};
    k2_parquet_delta_put(&bytes, values, MOST_VALUES);
    assert_true(bytes.failed);
    for (size_t ceiling = 4; ceiling < 40; ceiling++) { // in the midst of a block
        for (size_t i = 0; i < MOST_VALUES; i++) {
            values[i] = (int64_t)(i * i * i);
        }
        k2_buffer_init(&bytes, ceiling);
        k2_parquet_delta_put(&bytes, values, MOST_VALUES);
        assert_true(bytes.failed);
        k2_buffer_deinit(&bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_width_and_count_is_read_back),
        cmocka_unit_test(extremes_are_read_back),
        cmocka_unit_test(streams_that_can_not_be_are_refused),
        cmocka_unit_test(no_memory_turns_failed_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
