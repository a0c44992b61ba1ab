// Sums and ranges of any rows of a group are those of its decoded values.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/base/alloc.h"
#include "format/codec/codec.h"
#include "format/segment/row_group_view.h"
#include "tests/support/segment_rows.h"

static char symbols[4096][16];

enum { PRICE = 9, QUANTITY = 10, RECEIVED = 11 }; // places of columns

static const struct {
    const char *name;
    struct k2_test_shape shape;
} shapes[] = {
    {"one row", {.row_count = 1, .instrument_count = 1}},
    {"one block", {.row_count = 1024, .instrument_count = 3, .null_percent = 30}},
    {"one zone", {.row_count = 8192, .instrument_count = 9, .null_percent = 10}},
    {"a zone and a row", {.row_count = 8193, .instrument_count = 9, .null_percent = 100}},
    {"full", {.row_count = 65536, .instrument_count = 90, .null_percent = 3, .with_commits = true}},
    {"nulls only now and then", {.row_count = 30000, .instrument_count = 7, .null_percent = 99}},
};
enum { SHAPE_COUNT = sizeof shapes / sizeof shapes[0] };

// Values near another column, so that some columns are kept as differences; now and then, runs and
// values of every magnitude.
static void make_values(struct k2_test_rows *rows, uint64_t seed)
{
    uint64_t random = seed + 1;
    for (size_t row = 0; row < rows->batch->row_count; row++) {
        uint64_t bits = k2_test_random(&random);
        int64_t price = 3700000000 + (int64_t)(row / 9 * 0x9e3779b97f4a7c15u >> 60) * 1000000;
        int64_t time_ns = rows->batch->keys[row].time_ns;
        k2_row_batch_set_value(rows->batch, row, PRICE, price);
        if (rows->batch->columns[QUANTITY].valid[row] != 0) {
            k2_row_batch_set_value(rows->batch, row, QUANTITY,
                                   price + (int64_t)(bits & 7) * 500000);
        }
        if (rows->batch->columns[RECEIVED].valid[row] != 0) {
            k2_row_batch_set_value(rows->batch, row, RECEIVED, time_ns + (int64_t)(bits >> 50));
        }
        if (row / 2048 % 3 == 1) {
            int64_t wide = row % 2 == 0 ? INT64_MAX - (int64_t)(bits >> 40) : (int64_t)(bits >> 9);
            k2_row_batch_set_value(rows->batch, row, 8, wide);
        }
    }
}

static struct k2_row_group_view *open_group(const struct k2_test_rows *rows, uint16_t level,
                                            struct k2_buffer *group)
{
    struct k2_row_group_info info = k2_test_group_info();
    struct k2_row_group_view *view;
    info.level = level;
    k2_buffer_init(group, (size_t)1 << 31);
    assert_int_equal(k2_row_group_encode(rows->batch, rows->order, rows->batch->row_count, &info,
                                         k2_test_name_of, symbols, group, NULL),
                     K2_OK);
    assert_int_equal(k2_row_group_view_open(&view, k2_buffer_slice(group), 7, 12288, NULL), K2_OK);
    return view;
}

static int64_t value_of(const struct k2_test_rows *rows, size_t row, size_t column, bool *valid)
{
    const struct k2_row_key *key = &rows->batch->keys[row];
    *valid = true;
    switch (column) {
    case K2_TIMESTAMP:
        return key->time_ns;
    case K2_EPOCH:
        return key->epoch;
    case K2_SEQUENCE:
        return key->sequence;
    default:
        *valid = rows->batch->columns[column].valid[row] != 0;
        return rows->batch->columns[column].values[row];
    }
}

static void check_rows(const char *what, const struct k2_test_rows *rows, size_t column,
                       struct k2_column_reader *reader, struct k2_vector_store *store,
                       uint32_t first, uint32_t count)
{
    struct k2_range_sum expected = {0};
    struct k2_range_bounds bounds = {0};
    for (size_t row = first; row < first + count; row++) {
        bool valid;
        int64_t value = value_of(rows, row, column, &valid);
        if (valid) {
            expected.sum += value;
            expected.value_count++;
            bounds.min = !bounds.found || value < bounds.min ? value : bounds.min;
            bounds.max = !bounds.found || value > bounds.max ? value : bounds.max;
            bounds.found = true;
        }
    }
    struct k2_range_sum sum = {.sum = 5, .value_count = 7}; // they are added to
    struct k2_range_bounds range = {0};
    assert_int_equal(k2_column_reader_sum(reader, first, count, store, &sum, NULL), K2_OK);
    assert_int_equal(k2_column_reader_range(reader, first, count, store, &range, NULL), K2_OK);
    if (sum.sum - 5 != expected.sum || sum.value_count - 7 != expected.value_count) {
        fail_msg("%s: sum of column %s, %u rows from %u", what, rows->columns[column].name, count,
                 first);
    }
    if (range.found != bounds.found || range.min != bounds.min || range.max != bounds.max) {
        fail_msg("%s: range of column %s, %u rows from %u", what, rows->columns[column].name, count,
                 first);
    }
}

static void check_column(const char *what, const struct k2_test_rows *rows, size_t column,
                         const struct k2_row_group_view *view, struct k2_vector_store *store)
{
    struct k2_column_reader *reader;
    uint32_t row_count = (uint32_t)rows->batch->row_count;
    uint64_t random = column + 1;
    bool found;
    assert_int_equal(k2_column_reader_open(&reader, view, rows->columns[column].id, &found, NULL),
                     K2_OK);
    check_rows(what, rows, column, reader, store, 0, row_count);
    for (int i = 0; i < 40; i++) {
        uint32_t first = (uint32_t)(k2_test_random(&random) >> 32) % row_count;
        uint32_t count = (uint32_t)(k2_test_random(&random) >> 32) % (row_count - first) + 1;
        if (i % 4 == 1) { // along the blocks
            first = first / 1024 * 1024;
            count = (count + 1023) / 1024 * 1024;
            count = count < row_count - first ? count : row_count - first;
        }
        check_rows(what, rows, column, reader, store, first, count);
    }
    k2_column_reader_close(reader);
}

static void sums_and_ranges_are_those_of_the_values(void **state)
{
    (void)state;
    static const char *const sets[] = {"scalar", "avx2", "avx512"};
    struct k2_vector_store *store = k2_alloc_aligned(sizeof *store);
    assert_non_null(store);
    for (size_t i = 0; i < SHAPE_COUNT; i++) {
        struct k2_test_rows *rows = k2_test_rows_create(&shapes[i].shape);
        make_values(rows, i);
        for (uint16_t level = 0; level < 2; level++) {
            struct k2_buffer group;
            struct k2_row_group_view *view = open_group(rows, level, &group);
            for (size_t column = K2_TIMESTAMP; column < K2_TEST_COLUMNS; column++) {
                enum k2_kind kind = rows->columns[column].kind;
                for (size_t set = 0; set < sizeof sets / sizeof sets[0]; set++) {
                    if (k2_kind_is_fixed(kind) && kind != K2_KIND_FLOAT64 &&
                        k2_codec_select(sets[set])) {
                        check_column(shapes[i].name, rows, column, view, store);
                    }
                }
            }
            k2_row_group_view_close(view);
            k2_buffer_deinit(&group);
        }
        k2_test_rows_destroy(rows);
    }
    k2_free(store);
}

static void a_commit_of_the_header_counts_for_every_row(void **state)
{
    (void)state;
    struct k2_test_shape shape = {.row_count = 3000, .instrument_count = 2};
    struct k2_test_rows *rows = k2_test_rows_create(&shape);
    struct k2_vector_store *store = k2_alloc_aligned(sizeof *store);
    struct k2_buffer group;
    struct k2_row_group_view *view = open_group(rows, 0, &group);
    struct k2_column_reader *reader;
    struct k2_range_sum sum = {0};
    struct k2_range_bounds range = {0};
    bool found;
    assert_int_equal(k2_column_reader_open(&reader, view, K2_COLUMN_ID_COMMIT, &found, NULL),
                     K2_OK);
    assert_int_equal(k2_column_reader_sum(reader, 5, 2000, store, &sum, NULL), K2_OK);
    assert_int_equal(k2_column_reader_range(reader, 5, 2000, store, &range, NULL), K2_OK);
    assert_true(sum.sum == 2000 * 512 && sum.value_count == 2000);
    assert_true(range.found && range.min == 512 && range.max == 512);
    k2_column_reader_close(reader);
    k2_row_group_view_close(view);
    k2_buffer_deinit(&group);
    k2_free(store);
    k2_test_rows_destroy(rows);
}

static void texts_and_floats_have_no_sum(void **state)
{
    (void)state;
    struct k2_test_shape shape = {.row_count = 30, .instrument_count = 2};
    struct k2_test_rows *rows = k2_test_rows_create(&shape);
    struct k2_buffer group;
    struct k2_row_group_view *view = open_group(rows, 0, &group);
    for (size_t column = K2_KEY_COLUMN_COUNT; column < K2_TEST_COLUMNS; column++) {
        enum k2_kind kind = rows->columns[column].kind;
        if (k2_kind_is_fixed(kind) && kind != K2_KIND_FLOAT64) {
            continue;
        }
        struct k2_column_reader *reader;
        struct k2_range_sum sum = {0};
        struct k2_range_bounds range = {0};
        bool found;
        assert_int_equal(
            k2_column_reader_open(&reader, view, rows->columns[column].id, &found, NULL), K2_OK);
        assert_int_equal(k2_column_reader_sum(reader, 0, 30, NULL, &sum, NULL), K2_CORRUPT);
        assert_int_equal(k2_column_reader_range(reader, 0, 30, NULL, &range, NULL), K2_CORRUPT);
        k2_column_reader_close(reader);
    }
    k2_row_group_view_close(view);
    k2_buffer_deinit(&group);
    k2_test_rows_destroy(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_and_ranges_are_those_of_the_values),
        cmocka_unit_test(a_commit_of_the_header_counts_for_every_row),
        cmocka_unit_test(texts_and_floats_have_no_sum),
    };
    return cmocka_run_group_tests_name("column_sum", tests, NULL, NULL);
}
