// What goes into a row group comes out of it, and damaged bytes never pass for rows.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/base/alloc.h"
#include "format/base/checksum.h"
#include "format/segment/row_group_view.h"
#include "format/segment/segment_layout.h"
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
            bool bounded = vector.values != NULL && (vector.valid == NULL || vector.valid[i] == 1);
            if (what == NULL && bounded && vector.values[i] < min) {
                what = "lower bound";
            }
            if (what == NULL && bounded && vector.values[i] > max) {
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
        assert_int_equal(info->inputs[i].begin, expected.inputs[i].begin);
        assert_int_equal(info->inputs[i].end, expected.inputs[i].end);
        assert_int_equal(info->inputs[i].earlier, expected.inputs[i].earlier);
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

static void a_group_of_five_rows_is_one_page(void **state)
{
    (void)state;
    struct k2_test_shape shape = {.row_count = 5, .instrument_count = 2, .null_percent = 30};
    struct k2_test_rows *rows = k2_test_rows_create(&shape);
    struct k2_buffer group;
    encode(rows, &group);
    assert_int_equal(group.size_bytes, K2_SEGMENT_ALIGNMENT);
    k2_buffer_deinit(&group);
    k2_test_rows_destroy(rows);
}

static void check_stats(const struct k2_test_rows *rows, const struct k2_group_column *column,
                        size_t index)
{
    const struct k2_batch_column *cells = &rows->batch->columns[index];
    struct k2_column_stats expected = {0};
    bool ranged = k2_kind_is_fixed(column->kind) && column->kind != K2_KIND_FLOAT64;
    for (size_t row = 0; row < rows->batch->row_count; row++) {
        if (cells->valid[row] == 0) {
            expected.null_count++;
        } else if (ranged) {
            int64_t value = cells->values[row];
            expected.min = !expected.has_range || value < expected.min ? value : expected.min;
            expected.max = !expected.has_range || value > expected.max ? value : expected.max;
            expected.sum += value;
            expected.has_range = true;
        }
    }
    assert_int_equal(column->stats.null_count, expected.null_count);
    assert_int_equal(column->stats.has_range, expected.has_range);
    assert_true(column->stats.min == expected.min && column->stats.max == expected.max);
    assert_true(column->stats.sum == expected.sum);
    assert_int_equal(column->all_null, expected.null_count == rows->batch->row_count);
}

static void statistics_are_those_of_the_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < SHAPE_COUNT; i++) {
        struct k2_test_rows *rows = k2_test_rows_create(&shapes[i].shape);
        struct k2_buffer group;
        struct k2_row_group_view *view;
        encode(rows, &group);
        assert_int_equal(k2_row_group_view_open(&view, k2_buffer_slice(&group), 7, 12288, NULL),
                         K2_OK);
        assert_int_equal(k2_row_group_view_length(view), group.size_bytes);
        size_t count;
        const struct k2_group_column *columns = k2_row_group_view_columns(view, &count);
        assert_int_equal(count, K2_TEST_COLUMNS - 2 + shapes[i].shape.with_commits);
        for (size_t k = 0; k < count; k++) {
            if (columns[k].id > K2_KEY_COLUMN_COUNT && columns[k].id < K2_COLUMN_ID_COMMIT) {
                check_stats(rows, &columns[k], columns[k].id - 1u);
            }
        }
        k2_row_group_view_close(view);
        k2_buffer_deinit(&group);
        k2_test_rows_destroy(rows);
    }
}

static void check_commits(bool with_commits)
{
    struct k2_test_shape shape = {
        .row_count = 1500, .instrument_count = 2, .with_commits = with_commits};
    struct k2_test_rows *rows = k2_test_rows_create(&shape);
    struct k2_vector_store *store = create_store();
    struct k2_buffer group;
    struct k2_row_group_view *view;
    struct k2_column_reader *reader;
    bool found;
    encode(rows, &group);
    assert_int_equal(k2_row_group_view_open(&view, k2_buffer_slice(&group), 7, 12288, NULL), K2_OK);
    assert_int_equal(k2_column_reader_open(&reader, view, K2_COLUMN_ID_COMMIT, &found, NULL),
                     K2_OK);
    assert_true(found);
    for (uint32_t block = 0; block < 2; block++) {
        struct k2_vector vector;
        uint32_t row_count;
        int64_t min;
        int64_t max;
        assert_int_equal(k2_column_reader_decode(reader, block, store, &vector, &row_count, NULL),
                         K2_OK);
        assert_int_equal(row_count, block == 0 ? 1024 : 476);
        assert_true(k2_column_reader_bounds(reader, block, &min, &max));
        for (size_t i = 0; i < row_count; i++) {
            size_t row = block * 1024 + i;
            int64_t expected = with_commits ? (int64_t)rows->batch->commits[row] : 512;
            assert_int_equal(vector.values[i], expected);
            assert_true(min <= expected && expected <= max);
        }
    }
    k2_column_reader_close(reader);
    k2_row_group_view_close(view);
    k2_buffer_deinit(&group);
    k2_free(store);
    k2_test_rows_destroy(rows);
}

#define LONG_PREFIX "012345678901234567890123456789012345678901234567890123456789012-" // 64 bytes

static const struct {
    const char *name;
    const char *texts[4]; // NULL: null
    const char *codec;    // of the block, or NULL when the texts are not kept as integers
} digit_rows[] = {
    {"ids in order", {"998", "999", "1000", "1001"}, "FOR"},
    {"zero and the most digits", {"0", "999999999999999999", "1", "10"}, "FOR"},
    {"nulls between", {NULL, "7", NULL, "7"}, "CONST"},
    {"a leading zero", {"1", "02", "3", "4"}, NULL},
    {"an empty text", {"1", "", "3", "4"}, NULL},
    {"a sign", {"1", "-2", "3", "4"}, NULL},
    {"too many digits", {"1", "1000000000000000000", "3", "4"}, NULL},
    {"a letter", {"1", "2", "3", "4a"}, NULL},
    {"a prefix", {"BINANCE-998", "BINANCE-999", "BINANCE-1000", "BINANCE-1001"}, "FOR"},
    {"a prefix and the most digits", {"A-0", "A-999999999999999999", "A-1", "A-10"}, "FOR"},
    {"a prefix with digits", {"L2:1", "L2:2", "L2:4", "L2:2"}, "FOR"},
    {"a prefix of UTF-8", {"\xc3\xa9 7", "\xc3\xa9 7", "\xc3\xa9 7", "\xc3\xa9 7"}, "CONST"},
    {"nulls before a prefix", {NULL, "A-7", NULL, "A-7"}, "CONST"},
    {"two prefixes", {"A-1", "B-2", "A-3", "A-4"}, NULL},
    {"a longer prefix", {"A-1", "A--2", "A-3", "A-4"}, NULL},
    {"a prefix alone", {"A-1", "A-", "A-3", "A-4"}, NULL},
    {"less than the prefix", {"A-1", "A", "A-3", "A-4"}, NULL},
    {"a leading zero behind a prefix", {"A-1", "A-02", "A-3", "A-4"}, NULL},
    {"no digits at all", {"abc", "abd", "abe", "abf"}, NULL},
    {"a prefix of 64 bytes",
     {LONG_PREFIX "1", LONG_PREFIX "2", LONG_PREFIX "3", LONG_PREFIX "4"},
     "FOR"},
    {"a prefix of 65 bytes",
     {LONG_PREFIX "x1", LONG_PREFIX "x2", LONG_PREFIX "x3", LONG_PREFIX "x4"},
     NULL},
};

static void ids_of_digits_are_kept_as_integers_and_come_back_as_texts(void **state)
{
    (void)state;
    struct k2_vector_store *store = create_store();
    for (size_t i = 0; i < sizeof digit_rows / sizeof digit_rows[0]; i++) {
        struct k2_test_shape shape = {.row_count = 4, .instrument_count = 1};
        struct k2_test_rows *rows = k2_test_rows_create(&shape);
        for (size_t row = 0; row < 4; row++) {
            const char *text = digit_rows[i].texts[row];
            if (text == NULL) {
                k2_row_batch_set_null(rows->batch, row, 18);
            } else {
                assert_int_equal(
                    k2_row_batch_set_text(rows->batch, row, 18, k2_slice_of(text), NULL), K2_OK);
            }
        }
        struct k2_buffer group;
        struct k2_row_group_view *view;
        struct k2_column_reader *reader;
        struct k2_block_info info;
        bool found;
        encode(rows, &group);
        assert_int_equal(compare_rows(rows, k2_buffer_slice(&group), store, NULL), K2_OK);
        assert_int_equal(k2_row_group_view_open(&view, k2_buffer_slice(&group), 7, 12288, NULL),
                         K2_OK);
        assert_int_equal(k2_column_reader_open(&reader, view, 19, &found, NULL), K2_OK);
        assert_true(k2_column_reader_block_info(reader, 0, &info));
        if (digit_rows[i].codec != NULL && strcmp(info.codec, digit_rows[i].codec) != 0) {
            fail_msg("%s: %s", digit_rows[i].name, info.codec);
        }
        k2_column_reader_close(reader);
        k2_row_group_view_close(view);
        k2_buffer_deinit(&group);
        k2_test_rows_destroy(rows);
    }
    k2_free(store);
}

static void commits_are_a_column_or_the_header_stands_for_all_rows(void **state)
{
    (void)state;
    check_commits(false);
    check_commits(true);
}

static void a_column_that_is_not_there_is_not_found(void **state)
{
    (void)state;
    struct k2_test_shape shape = {.row_count = 3, .instrument_count = 1};
    struct k2_test_rows *rows = k2_test_rows_create(&shape);
    struct k2_buffer group;
    struct k2_row_group_view *view;
    encode(rows, &group);
    assert_int_equal(k2_row_group_view_open(&view, k2_buffer_slice(&group), 7, 12288, NULL), K2_OK);
    static const uint16_t ids[] = {1, 2, 99, K2_COLUMN_ID_UNTIL, K2_COLUMN_ID_OP};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        struct k2_column_reader *reader = NULL;
        bool found = true;
        assert_int_equal(k2_column_reader_open(&reader, view, ids[i], &found, NULL), K2_OK);
        assert_false(found);
        assert_null(reader);
    }
    k2_row_group_view_close(view);
    k2_buffer_deinit(&group);
    k2_test_rows_destroy(rows);
}

// Bytes in memory of exactly their size, so that the address sanitizer sees a stray read.
static enum k2_status compare_exact(const struct k2_test_rows *rows, struct k2_slice bytes,
                                    struct k2_vector_store *store)
{
    uint8_t *exact = malloc(bytes.size_bytes);
    memcpy(exact, bytes.data, bytes.size_bytes);
    struct k2_slice slice = {exact, bytes.size_bytes};
    enum k2_status status = compare_rows(rows, slice, store, NULL);
    free(exact);
    return status;
}

static void every_flipped_bit_is_found_or_harmless(void **state)
{
    (void)state;
    struct k2_test_shape shape = {.row_count = 9, .instrument_count = 2, .null_percent = 30};
    struct k2_test_rows *rows = k2_test_rows_create(&shape);
    struct k2_vector_store *store = create_store();
    struct k2_buffer group;
    size_t harmless = 0;
    encode(rows, &group);
    for (size_t bit = 0; bit < group.size_bytes * 8; bit++) {
        group.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        enum k2_status status = compare_rows(rows, k2_buffer_slice(&group), store, NULL);
        if (status != K2_CORRUPT && status != K2_OK) {
            fail_msg("bit %zu: %s", bit, k2_status_name(status));
        }
        harmless += status == K2_OK;
        group.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    print_message("%zu of %zu bits are padding\n", harmless, group.size_bytes * 8);
    assert_true(harmless < group.size_bytes * 8 / 2);
    k2_buffer_deinit(&group);
    k2_free(store);
    k2_test_rows_destroy(rows);
}

static void every_truncation_is_found(void **state)
{
    (void)state;
    struct k2_test_shape shape = {.row_count = 300, .instrument_count = 2, .null_percent = 30};
    struct k2_test_rows *rows = k2_test_rows_create(&shape);
    struct k2_vector_store *store = create_store();
    struct k2_buffer group;
    encode(rows, &group);
    for (size_t size = 0; size < group.size_bytes; size++) {
        struct k2_slice cut = {group.data, size};
        assert_int_equal(compare_exact(rows, cut, store), K2_CORRUPT);
    }
    assert_int_equal(compare_exact(rows, k2_buffer_slice(&group), store), K2_OK);
    k2_buffer_deinit(&group);
    k2_free(store);
    k2_test_rows_destroy(rows);
}

static void intact_bytes_in_another_place_are_corrupt(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint64_t segment_id, offset;
    } places[] = {
        {"another segment", 8, 12288},
        {"another offset", 7, 16384},
        {"zero", 0, 0},
    };
    struct k2_test_shape shape = {.row_count = 3, .instrument_count = 1};
    struct k2_test_rows *rows = k2_test_rows_create(&shape);
    struct k2_buffer group;
    encode(rows, &group);
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct k2_row_group_view *view = NULL;
        struct k2_error error;
        if (k2_row_group_view_open(&view, k2_buffer_slice(&group), places[i].segment_id,
                                   places[i].offset, &error) != K2_CORRUPT) {
            fail_msg("%s", places[i].name);
        }
        assert_null(view);
    }
    k2_buffer_deinit(&group);
    k2_test_rows_destroy(rows);
}

static void groups_follow_each_other_in_one_buffer(void **state)
{
    (void)state;
    struct k2_test_shape shape = {.row_count = 400, .instrument_count = 3, .null_percent = 10};
    struct k2_test_rows *rows = k2_test_rows_create(&shape);
    struct k2_vector_store *store = create_store();
    struct k2_buffer out;
    k2_buffer_init(&out, 1 << 28);
    k2_put_zeros(&out, 4096);
    struct k2_row_group_info info = k2_test_group_info();
    assert_int_equal(k2_row_group_encode(rows->batch, rows->order, 400, &info, k2_test_name_of,
                                         symbols, &out, NULL),
                     K2_OK);
    size_t second = out.size_bytes;
    info.offset += second - 4096;
    assert_int_equal(k2_row_group_encode(rows->batch, rows->order, 1, &info, k2_test_name_of,
                                         symbols, &out, NULL),
                     K2_OK);
    struct k2_slice first = {out.data + 4096, out.size_bytes - 4096};
    assert_int_equal(compare_rows(rows, first, store, NULL), K2_OK);
    struct k2_row_group_view *view;
    struct k2_slice rest = {out.data + second, out.size_bytes - second};
    assert_int_equal(k2_row_group_view_open(&view, rest, 7, info.offset, NULL), K2_OK);
    assert_int_equal(k2_row_group_view_rows(view), 1);
    k2_row_group_view_close(view);
    k2_buffer_deinit(&out);
    k2_free(store);
    k2_test_rows_destroy(rows);
}

static void rows_come_in_the_order_that_is_asked_for(void **state)
{
    (void)state;
    struct k2_test_shape shape = {.row_count = 2500, .instrument_count = 1};
    struct k2_test_rows *rows = k2_test_rows_create(&shape);
    struct k2_vector_store *store = create_store();
    struct k2_row_group_info info = k2_test_group_info();
    struct k2_buffer out;
    k2_buffer_init(&out, 1 << 28);
    for (size_t i = 0; i < 1250; i++) {
        rows->order[i] = (uint32_t)i * 2 + 1;
    }
    assert_int_equal(k2_row_group_encode(rows->batch, rows->order, 1250, &info, k2_test_name_of,
                                         symbols, &out, NULL),
                     K2_OK);
    struct k2_row_group_view *view;
    struct k2_column_reader *reader;
    struct k2_vector vector;
    bool found;
    uint32_t row_count;
    assert_int_equal(k2_row_group_view_open(&view, k2_buffer_slice(&out), 7, 12288, NULL), K2_OK);
    assert_int_equal(k2_column_reader_open(&reader, view, 10, &found, NULL), K2_OK);
    assert_int_equal(k2_column_reader_decode(reader, 1, store, &vector, &row_count, NULL), K2_OK);
    assert_int_equal(row_count, 226);
    for (size_t i = 0; i < row_count; i++) {
        assert_int_equal(vector.values[i], rows->batch->columns[9].values[(1024 + i) * 2 + 1]);
    }
    k2_column_reader_close(reader);
    k2_row_group_view_close(view);
    k2_buffer_deinit(&out);
    k2_free(store);
    k2_test_rows_destroy(rows);
}

static void encoding_survives_every_failed_allocation(void **state)
{
    (void)state;
    struct k2_test_shape shape = {.row_count = 1500, .instrument_count = 40, .null_percent = 5};
    struct k2_test_rows *rows = k2_test_rows_create(&shape);
    struct k2_vector_store *store = create_store();
    struct k2_row_group_info info = k2_test_group_info();
    enum k2_status status = K2_NO_MEMORY;
    for (long calls = 0; status != K2_OK; calls++) {
        struct k2_buffer out;
        k2_buffer_init(&out, 1 << 28);
        k2_alloc_fail_after(calls);
        status = k2_row_group_encode(rows->batch, rows->order, shape.row_count, &info,
                                     k2_test_name_of, symbols, &out, NULL);
        k2_alloc_fail_after(-1);
        assert_true(status == K2_OK || (status == K2_NO_MEMORY && out.size_bytes == 0));
        if (status == K2_OK) {
            assert_int_equal(compare_rows(rows, k2_buffer_slice(&out), store, NULL), K2_OK);
        }
        k2_buffer_deinit(&out);
    }
    k2_free(store);
    k2_test_rows_destroy(rows);
}

static void reading_survives_every_failed_allocation(void **state)
{
    (void)state;
    struct k2_test_shape shape = {.row_count = 1500, .instrument_count = 40, .null_percent = 5};
    struct k2_test_rows *rows = k2_test_rows_create(&shape);
    struct k2_vector_store *store = create_store();
    struct k2_buffer group;
    enum k2_status status = K2_NO_MEMORY;
    encode(rows, &group);
    for (long calls = 0; status != K2_OK; calls++) {
        k2_alloc_fail_after(calls);
        status = compare_rows(rows, k2_buffer_slice(&group), store, NULL);
        k2_alloc_fail_after(-1);
        assert_true(status == K2_OK || status == K2_NO_MEMORY);
    }
    k2_buffer_deinit(&group);
    k2_free(store);
    k2_test_rows_destroy(rows);
}

static void a_ceiling_of_the_buffer_is_a_limit(void **state)
{
    (void)state;
    struct k2_test_shape shape = {.row_count = 20000, .instrument_count = 1};
    struct k2_test_rows *rows = k2_test_rows_create(&shape);
    struct k2_row_group_info info = k2_test_group_info();
    struct k2_buffer out;
    k2_buffer_init(&out, 65536);
    assert_int_equal(k2_row_group_encode(rows->batch, rows->order, 20000, &info, k2_test_name_of,
                                         symbols, &out, NULL),
                     K2_LIMIT);
    assert_int_equal(out.size_bytes, 0);
    k2_buffer_deinit(&out);
    k2_test_rows_destroy(rows);
}

static void the_file_header_names_store_and_segment(void **state)
{
    (void)state;
    static const uint8_t store_id[16] = "0123456789abcde";
    static const uint8_t other_id[16] = "0123456789abcdf";
    struct k2_buffer out;
    struct k2_error error;
    k2_buffer_init(&out, 1 << 16);
    assert_int_equal(k2_segment_header_encode(store_id, 42, &out, NULL), K2_OK);
    assert_int_equal(out.size_bytes, K2_SEGMENT_ALIGNMENT);
    struct k2_slice file = k2_buffer_slice(&out);
    assert_int_equal(k2_segment_header_check(file, store_id, 42, NULL), K2_OK);
    assert_true(k2_segment_header_writable(file));
    assert_int_equal(k2_segment_header_check(file, store_id, 43, &error), K2_CORRUPT);
    assert_int_equal(k2_segment_header_check(file, other_id, 42, &error), K2_CORRUPT);
    file.size_bytes--;
    assert_int_equal(k2_segment_header_check(file, store_id, 42, &error), K2_CORRUPT);
    file.size_bytes++;
    for (size_t bit = 0; bit < out.size_bytes * 8; bit++) {
        out.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(k2_segment_header_check(file, store_id, 42, NULL), K2_CORRUPT);
        out.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    k2_buffer_deinit(&out);
}

static void a_newer_format_is_refused_by_its_features(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t offset;
        enum k2_status status;
        bool writable;
    } rows[] = {
        {"newer major version", K2_SEGMENT_AT_MAJOR, K2_BAD_REQUEST, true},
        {"newer minor version", K2_SEGMENT_AT_MINOR, K2_OK, true},
        {"incompatible feature", K2_SEGMENT_AT_INCOMPATIBLE, K2_BAD_REQUEST, true},
        {"read-only feature", K2_SEGMENT_AT_READ_ONLY, K2_OK, false},
        {"compatible feature", K2_SEGMENT_AT_COMPATIBLE, K2_OK, true},
    };
    static const uint8_t store_id[16] = "0123456789abcde";
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct k2_buffer out;
        struct k2_error error = {0};
        k2_buffer_init(&out, 1 << 16);
        assert_int_equal(k2_segment_header_encode(store_id, 42, &out, NULL), K2_OK);
        out.data[rows[i].offset] |= 0x40;
        struct k2_slice checked = {out.data + K2_SEGMENT_AT_CHECKED,
                                   K2_SEGMENT_ALIGNMENT - K2_SEGMENT_AT_CHECKED};
        k2_buffer_patch_u64(&out, K2_SEGMENT_AT_CHECKSUM,
                            k2_checksum(checked, 42, K2_SEGMENT_AT_CHECKED));
        struct k2_slice file = k2_buffer_slice(&out);
        if (k2_segment_header_check(file, store_id, 42, &error) != rows[i].status ||
            k2_segment_header_writable(file) != rows[i].writable) {
            fail_msg("%s: %s", rows[i].name, error.text);
        }
        k2_buffer_deinit(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_row_comes_back),
        cmocka_unit_test(a_group_of_five_rows_is_one_page),
        cmocka_unit_test(statistics_are_those_of_the_rows),
        cmocka_unit_test(ids_of_digits_are_kept_as_integers_and_come_back_as_texts),
        cmocka_unit_test(commits_are_a_column_or_the_header_stands_for_all_rows),
        cmocka_unit_test(a_column_that_is_not_there_is_not_found),
        cmocka_unit_test(every_flipped_bit_is_found_or_harmless),
        cmocka_unit_test(every_truncation_is_found),
        cmocka_unit_test(intact_bytes_in_another_place_are_corrupt),
        cmocka_unit_test(groups_follow_each_other_in_one_buffer),
        cmocka_unit_test(rows_come_in_the_order_that_is_asked_for),
        cmocka_unit_test(encoding_survives_every_failed_allocation),
        cmocka_unit_test(reading_survives_every_failed_allocation),
        cmocka_unit_test(a_ceiling_of_the_buffer_is_a_limit),
        cmocka_unit_test(the_file_header_names_store_and_segment),
        cmocka_unit_test(a_newer_format_is_refused_by_its_features),
    };
    return cmocka_run_group_tests_name("row_group", tests, NULL, NULL);
}
