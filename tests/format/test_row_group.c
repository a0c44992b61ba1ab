// What goes into a row group comes out of it, and damaged bytes never pass for rows.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/base/alloc.h"
#include "format/segment/row_group_view.h"
#include "tests/support/segment_rows.h"

static char symbols[4096][16]; // of k2_test_name_of

static const struct {
    const char *name;
    struct k2_test_shape shape;
} shapes[] = {
    {"one row", {.row_count = 1, .instrument_count = 1, .null_percent = 30}},
    {"one row of nulls", {.row_count = 1, .instrument_count = 1, .null_percent = 100}},
    {"five rows", {.row_count = 5, .instrument_count = 2, .null_percent = 30}},
    {"seventeen rows, no null", {.row_count = 17, .instrument_count = 3}},
    {"600 rows", {.row_count = 600, .instrument_count = 50, .null_percent = 20}},
    {"one block", {.row_count = 1024, .instrument_count = 1, .null_percent = 10}},
    {"a block and a row", {.row_count = 1025, .instrument_count = 1025, .null_percent = 90}},
    {"columns of nulls", {.row_count = 3000, .instrument_count = 7, .null_percent = 100}},
    {"rewritten", {.row_count = 5000, .instrument_count = 20, .with_commits = true}},
    {"many blocks, rare values", {.row_count = 20000, .instrument_count = 9, .null_percent = 99}},
    {"long texts",
     {.row_count = 3000, .instrument_count = 5, .null_percent = 5, .long_text_bytes = 65535}},
    {"full", {.row_count = 65536, .instrument_count = 1000, .null_percent = 3}},
};
enum { SHAPE_COUNT = sizeof shapes / sizeof shapes[0] };

static void encode(const struct k2_test_rows *rows, struct k2_buffer *out)
{
    struct k2_error error = {0};
    struct k2_row_group_info info = k2_test_group_info();
    k2_buffer_init(out, (size_t)1 << 31);
    if (k2_row_group_encode(rows->batch, rows->order, rows->batch->row_count, &info,
                            k2_test_name_of, symbols, out, &error) != K2_OK) {
        fail_msg("%s", error.text);
    }
    assert_int_equal(out->size_bytes % K2_SEGMENT_ALIGNMENT, 0);
}

// A cell against the batch. Gives a text of what differs, or NULL.
static const char *compare_cell(const struct k2_test_rows *rows, size_t row, size_t column,
                                const struct k2_vector *vector, size_t i)
{
    const struct k2_row_key *key = &rows->batch->keys[row];
    const struct k2_batch_column *cells = &rows->batch->columns[column];
    bool valid = vector->valid == NULL || vector->valid[i] == 1;
    switch (column) {
    case K2_TIMESTAMP:
        return valid && vector->values[i] == key->time_ns ? NULL : "time";
    case K2_EPOCH:
        return valid && vector->values[i] == key->epoch ? NULL : "epoch";
    case K2_SEQUENCE:
        return valid && vector->values[i] == key->sequence ? NULL : "sequence";
    default:
        break;
    }
    if (valid != (cells->valid[row] == 1)) {
        return "validity";
    }
    if (k2_kind_is_fixed(vector->kind)) {
        return !valid || vector->values[i] == cells->values[row] ? NULL : "value";
    }
    if (!valid) {
        return vector->texts[i].size_bytes == 0 ? NULL : "text of a null";
    }
    return k2_slice_equal(vector->texts[i], k2_row_batch_text(rows->batch, cells->texts[row]))
               ? NULL
               : "text";
}

static enum k2_status compare_column(const struct k2_test_rows *rows,
                                     const struct k2_row_group_view *view, size_t column,
                                     struct k2_vector_store *store, struct k2_error *error)
{
    struct k2_column_reader *reader;
    bool found;
    enum k2_status status =
        k2_column_reader_open(&reader, view, rows->columns[column].id, &found, error);
    if (status != K2_OK || !found) {
        return status != K2_OK ? status : K2_NOT_FOUND;
    }
    size_t row = 0;
    for (uint32_t block = 0; status == K2_OK && row < rows->batch->row_count; block++) {
        struct k2_vector vector;
        uint32_t row_count;
        status = k2_column_reader_decode(reader, block, store, &vector, &row_count, error);
        int64_t min = INT64_MIN;
        int64_t max = INT64_MAX;
        (void)k2_column_reader_bounds(reader, block, &min, &max);
        for (uint32_t i = 0; status == K2_OK && i < row_count; i++, row++) {
            const char *what = compare_cell(rows, row, column, &vector, i);
            if (what == NULL && vector.values != NULL && vector.values[i] < min) {
                what = "lower bound";
            }
            if (what == NULL && vector.values != NULL && vector.values[i] > max) {
                what = "upper bound";
            }
            if (what != NULL) {
                fail_msg("row %zu, column %s: wrong %s", row, rows->columns[column].name, what);
            }
        }
    }
    k2_column_reader_close(reader);
    return status;
}

static void compare_directory(const struct k2_test_rows *rows, const struct k2_row_group_view *view)
{
    size_t count;
    const struct k2_directory_entry *entries = k2_row_group_view_directory(view, &count);
    size_t row = 0;
    for (size_t i = 0; i < count; i++) {
        const struct k2_directory_entry *entry = &entries[i];
        struct k2_instrument_name name = k2_test_name_of(symbols, entry->instrument);
        assert_int_equal(entry->first_row, row);
        assert_true(k2_slice_equal(entry->symbol, name.symbol));
        assert_true(k2_slice_equal(entry->exchange, name.exchange));
        for (size_t k = 0; k < entry->row_count; k++, row++) {
            const struct k2_row_key *key = &rows->batch->keys[row];
            assert_int_equal(key->instrument, entry->instrument);
            assert_in_range(key->time_ns, entry->time_min_ns, entry->time_max_ns);
            assert_true(key->sequence >= entry->sequence_min);
            assert_true(key->sequence <= entry->sequence_max);
            assert_in_range(key->epoch, entry->epoch_min, entry->epoch_max);
        }
    }
    assert_int_equal(row, rows->batch->row_count);
}

static void compare_info(const struct k2_row_group_view *view)
{
    const struct k2_row_group_info *info = k2_row_group_view_info(view);
    struct k2_row_group_info expected = k2_test_group_info();
    assert_memory_equal(info->store_id, expected.store_id, 16);
    assert_int_equal(info->segment_id, expected.segment_id);
    assert_int_equal(info->offset, expected.offset);
    assert_int_equal(info->table_id, expected.table_id);
    assert_int_equal(info->level, expected.level);
    assert_int_equal(info->schema_version, expected.schema_version);
    assert_int_equal(info->run, expected.run);
    assert_int_equal(info->run_base, expected.run_base);
    assert_int_equal(info->commit, expected.commit);
    assert_int_equal(info->part, expected.part);
    assert_int_equal(info->part_count, expected.part_count);
    assert_int_equal(info->commit_time_ns, expected.commit_time_ns);
    assert_true(k2_slice_equal(info->table_name, expected.table_name));
    assert_int_equal(info->marker_count, expected.marker_count);
    for (size_t i = 0; i < expected.marker_count; i++) {
        assert_true(k2_slice_equal(info->markers[i].key, expected.markers[i].key));
        assert_true(k2_slice_equal(info->markers[i].value, expected.markers[i].value));
    }
    assert_int_equal(info->input_count, expected.input_count);
    for (size_t i = 0; i < expected.input_count; i++) {
        assert_int_equal(info->inputs[i].segment_id, expected.inputs[i].segment_id);
        assert_int_equal(info->inputs[i].length_bytes, expected.inputs[i].length_bytes);
    }
}

// Every row of `bytes` against the batch; a status other than K2_OK ends it.
static enum k2_status compare_rows(const struct k2_test_rows *rows, struct k2_slice bytes,
                                   struct k2_vector_store *store, struct k2_error *error)
{
    struct k2_row_group_view *view;
    enum k2_status status = k2_row_group_view_open(&view, bytes, 7, 12288, error);
    if (status != K2_OK) {
        return status;
    }
    assert_int_equal(k2_row_group_view_rows(view), rows->batch->row_count);
    compare_info(view);
    compare_directory(rows, view);
    for (size_t i = K2_TIMESTAMP; status == K2_OK && i < K2_TEST_COLUMNS; i++) {
        status = compare_column(rows, view, i, store, error);
    }
    k2_row_group_view_close(view);
    return status;
}

static struct k2_vector_store *create_store(void)
{
    struct k2_vector_store *store = k2_alloc_aligned(sizeof *store);
    assert_non_null(store);
    return store;
}

static void every_kind_of_row_comes_back(void **state)
{
    (void)state;
    struct k2_vector_store *store = create_store();
    for (size_t i = 0; i < SHAPE_COUNT; i++) {
        struct k2_test_rows *rows = k2_test_rows_create(&shapes[i].shape);
        struct k2_buffer group;
        struct k2_error error = {0};
        encode(rows, &group);
        if (compare_rows(rows, k2_buffer_slice(&group), store, &error) != K2_OK) {
            fail_msg("%s: %s", shapes[i].name, error.text);
        }
        k2_buffer_deinit(&group);
        k2_test_rows_destroy(rows);
    }
    k2_free(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_row_comes_back),
    };
    return cmocka_run_group_tests_name("row_group", tests, NULL, NULL);
}
