// Columns that are kept as differences to another one: receive times, ask prices, ordinals.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/base/alloc.h"
#include "format/base/checksum.h"
#include "format/segment/row_group_view_private.h"
#include "format/segment/segment_layout.h"
#include "tests/support/segment_rows.h"

enum { ROWS = 5000, PRICE = 9, QUANTITY = 10, RECEIVED = 11 }; // places of columns

static char symbols[4096][16];

// What a column is made to be near.
enum shape { NEAR, NEAR_WITH_NULLS, FAR, EXTREME };

static struct k2_test_rows *create_rows(enum shape shape, size_t row_count)
{
    struct k2_test_shape even = {.row_count = row_count, .instrument_count = 3, .seed = 5};
    struct k2_test_rows *rows = k2_test_rows_create(&even);
    struct k2_row_batch *batch = rows->batch;
    uint64_t random = 77;
    int64_t time_ns = 1394665200000000000;
    for (size_t row = 0; row < row_count; row++) {
        uint64_t bits = k2_test_random(&random);
        int64_t noise = (int64_t)(bits >> 40 & 1023);
        int64_t bid = 3700000000 + (int64_t)(bits & 0xffffff) * 1000;
        time_ns += (int64_t)(bits & 0x3fffffff);
        batch->keys[row].time_ns = time_ns;
        k2_row_batch_set_value(batch, row, PRICE, bid);
        k2_row_batch_set_value(batch, row, QUANTITY, shape == FAR ? noise : bid + noise * 1000);
        k2_row_batch_set_value(batch, row, RECEIVED, shape == FAR ? 5 : time_ns + 1000 + noise);
        if (shape == NEAR_WITH_NULLS && bits >> 60 == 0) {
            k2_row_batch_set_null(batch, row, QUANTITY);
            k2_row_batch_set_null(batch, row, RECEIVED);
        }
        if (shape == EXTREME) {
            batch->columns[PRICE].values[row] = (int64_t)bits;
            batch->columns[QUANTITY].values[row] = (int64_t)(bits + (bits >> 50));
        }
    }
    return rows;
}

static void encode(const struct k2_test_rows *rows, struct k2_buffer *out)
{
    struct k2_row_group_info info = k2_test_group_info();
    k2_buffer_init(out, (size_t)1 << 31);
    assert_int_equal(k2_row_group_encode(rows->batch, rows->order, rows->batch->row_count, &info,
                                         k2_test_name_of, symbols, out, NULL),
                     K2_OK);
}

static struct k2_row_group_view *open_view(const struct k2_buffer *group)
{
    struct k2_row_group_view *view;
    assert_int_equal(k2_row_group_view_open(&view, k2_buffer_slice(group), 7, 12288, NULL), K2_OK);
    return view;
}

static size_t place_of(const struct k2_row_group_view *view, uint16_t column_id)
{
    size_t i = 0;
    while (view->columns[i].id != column_id) {
        i++;
    }
    return i;
}

static void check_values(const struct k2_test_rows *rows, const struct k2_row_group_view *view,
                         size_t column)
{
    const struct k2_batch_column *cells = &rows->batch->columns[column];
    struct k2_vector_store *store = k2_alloc_aligned(sizeof *store);
    struct k2_column_reader *reader;
    bool found;
    assert_non_null(store);
    assert_int_equal(k2_column_reader_open(&reader, view, rows->columns[column].id, &found, NULL),
                     K2_OK);
    size_t row = 0;
    for (uint32_t block = 0; row < rows->batch->row_count; block++) {
        struct k2_vector vector;
        uint32_t row_count;
        int64_t min = INT64_MIN;
        int64_t max = INT64_MAX;
        assert_int_equal(k2_column_reader_decode(reader, block, store, &vector, &row_count, NULL),
                         K2_OK);
        (void)k2_column_reader_bounds(reader, block, &min, &max);
        for (uint32_t i = 0; i < row_count; i++, row++) {
            bool valid = vector.valid == NULL || vector.valid[i] == 1;
            assert_int_equal(valid, cells->valid[row] == 1);
            assert_true(!valid || vector.values[i] == cells->values[row]);
            assert_true(!valid || (min <= vector.values[i] && vector.values[i] <= max));
        }
    }
    k2_column_reader_close(reader);
    k2_free(store);
}

static void what_is_near_another_column_is_kept_as_a_difference(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum shape shape;
        size_t row_count;
        bool received, quantity; // are differences
    } rows[] = {
        {"near", NEAR, ROWS, true, true},
        {"near, one block", NEAR, 100, true, true},
        {"few rows", NEAR, 63, false, false},
        {"near, with nulls", NEAR_WITH_NULLS, ROWS, true, true},
        {"far", FAR, ROWS, false, false},
        {"differences that wrap", EXTREME, ROWS, true, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct k2_test_rows *made = create_rows(rows[i].shape, rows[i].row_count);
        struct k2_buffer group;
        encode(made, &group);
        struct k2_row_group_view *view = open_view(&group);
        const struct k2_column_place *received = &view->places[place_of(view, RECEIVED + 1)];
        const struct k2_column_place *quantity = &view->places[place_of(view, QUANTITY + 1)];
        if ((received->encoding == K2_ENCODING_DIFFERENCES) != rows[i].received ||
            (quantity->encoding == K2_ENCODING_DIFFERENCES) != rows[i].quantity) {
            fail_msg("%s: encodings %u and %u", rows[i].name, received->encoding,
                     quantity->encoding);
        }
        assert_int_equal(received->reference, rows[i].received ? K2_TIMESTAMP + 1 : 0);
        assert_int_equal(quantity->reference, rows[i].quantity ? PRICE + 1 : 0);
        for (size_t column = PRICE; column <= RECEIVED; column++) {
            check_values(made, view, column);
        }
        const struct k2_column_stats *stats = &view->columns[place_of(view, PRICE + 1)].stats;
        assert_true(stats->has_range);
        k2_row_group_view_close(view);
        k2_buffer_deinit(&group);
        k2_test_rows_destroy(made);
    }
}

// Sequences that count the rows of each instrument and time, runs of any length over the borders of
// blocks; or that begin anywhere, or skip now and then.
static struct k2_test_rows *create_ordinals(size_t row_count, uint64_t longest, int64_t first,
                                            bool with_holes)
{
    struct k2_test_shape even = {.row_count = row_count, .instrument_count = 2, .seed = 6};
    struct k2_test_rows *rows = k2_test_rows_create(&even);
    struct k2_row_key *keys = rows->batch->keys;
    uint64_t random = 99;
    for (size_t row = 0, left = 0; row < row_count; row++, left--) {
        bool same = row > 0 && keys[row].instrument == keys[row - 1].instrument;
        uint64_t bits = k2_test_random(&random);
        if (left == 0) {
            left = bits % longest + 1;
            same = false;
        }
        keys[row].time_ns = row == 0 ? 5 : keys[row - 1].time_ns + (same ? 0 : 1000);
        keys[row].sequence = same ? keys[row - 1].sequence + 1 : first;
        keys[row].sequence += with_holes && bits >> 58 == 0;
    }
    return rows;
}

static void check_sequences(const struct k2_test_rows *rows, const struct k2_row_group_view *view)
{
    struct k2_vector_store *store = k2_alloc_aligned(sizeof *store);
    struct k2_column_reader *reader;
    bool found;
    assert_int_equal(k2_column_reader_open(&reader, view, K2_SEQUENCE + 1, &found, NULL), K2_OK);
    size_t row = 0;
    for (uint32_t block = 0; row < rows->batch->row_count; block++) {
        struct k2_vector vector;
        uint32_t row_count;
        int64_t min = INT64_MIN;
        int64_t max = INT64_MAX;
        assert_int_equal(k2_column_reader_decode(reader, block, store, &vector, &row_count, NULL),
                         K2_OK);
        (void)k2_column_reader_bounds(reader, block, &min, &max);
        assert_null(vector.valid);
        for (uint32_t i = 0; i < row_count; i++, row++) {
            assert_int_equal(vector.values[i], rows->batch->keys[row].sequence);
            assert_true(min <= vector.values[i] && vector.values[i] <= max);
        }
    }
    k2_column_reader_close(reader);
    k2_free(store);
}

static void ordinals_are_kept_by_the_runs_of_their_times(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t row_count;
        uint64_t longest; // run
        int64_t first;
        bool with_holes;
        uint8_t encoding;
    } rows[] = {
        {"short runs", ROWS, 9, 1, false, K2_ENCODING_ORDINALS},
        {"runs of several blocks", 9000, 5000, 1, false, K2_ENCODING_ORDINALS},
        {"with holes", ROWS, 40, 1, true, K2_ENCODING_ORDINALS},
        {"from the least number", ROWS, 9, INT64_MIN, false, K2_ENCODING_ORDINALS},
        {"near the greatest number", ROWS, 9, INT64_MAX - 20, false, K2_ENCODING_ORDINALS},
        {"few rows", 63, 9, 1, false, K2_ENCODING_INTEGERS},
        {"every row another time", ROWS, 1, 1, false, K2_ENCODING_INTEGERS},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct k2_test_rows *made =
            create_ordinals(rows[i].row_count, rows[i].longest, rows[i].first, rows[i].with_holes);
        struct k2_buffer group;
        encode(made, &group);
        struct k2_row_group_view *view = open_view(&group);
        size_t place = place_of(view, K2_SEQUENCE + 1);
        if (view->places[place].encoding != rows[i].encoding) {
            fail_msg("%s: encoding %u", rows[i].name, view->places[place].encoding);
        }
        static const char *const sets[] = {"scalar", "avx2", "avx512"};
        for (size_t set = 0; set < 3; set++) {
            if (k2_codec_select(sets[set])) {
                check_sequences(made, view);
            }
        }
        if (rows[i].encoding == K2_ENCODING_ORDINALS && !rows[i].with_holes) {
            assert_true(view->columns[place].length_bytes < rows[i].row_count / 8);
        }
        k2_row_group_view_close(view);
        k2_buffer_deinit(&group);
        k2_test_rows_destroy(made);
    }
}

static void a_lent_reference_is_not_decoded_again(void **state)
{
    (void)state;
    struct k2_test_rows *rows = create_rows(NEAR_WITH_NULLS, ROWS);
    struct k2_vector_store *stores = k2_alloc_aligned(2 * sizeof *stores);
    struct k2_column_reader *times;
    struct k2_column_reader *received;
    struct k2_buffer group;
    uint16_t reference;
    bool found;
    encode(rows, &group);
    struct k2_row_group_view *view = open_view(&group);
    assert_int_equal(k2_column_reader_open(&times, view, K2_TIMESTAMP + 1, &found, NULL), K2_OK);
    assert_int_equal(k2_column_reader_open(&received, view, RECEIVED + 1, &found, NULL), K2_OK);
    assert_false(k2_column_reader_reference(times, &reference));
    assert_true(k2_column_reader_reference(received, &reference));
    assert_int_equal(reference, K2_TIMESTAMP + 1);
    for (uint32_t block = 0; block * 1024 < ROWS; block++) {
        struct k2_vector vector;
        uint32_t row_count;
        assert_int_equal(
            k2_column_reader_decode(times, block, &stores[0], &vector, &row_count, NULL), K2_OK);
        stores[0].values[1] += 100; // so that it shows whose values were added
        k2_column_reader_lend(received, &vector);
        for (int64_t lent = 1; lent >= 0; lent--) {
            assert_int_equal(
                k2_column_reader_decode(received, block, &stores[1], &vector, &row_count, NULL),
                K2_OK);
            for (uint32_t i = 0; i < row_count; i++) {
                int64_t expected = rows->batch->columns[RECEIVED].values[block * 1024 + i];
                assert_true(vector.valid[i] == 0 ||
                            vector.values[i] == expected + (i == 1 ? lent * 100 : 0));
            }
        }
    }
    k2_column_reader_close(times);
    k2_column_reader_close(received);
    k2_row_group_view_close(view);
    k2_buffer_deinit(&group);
    k2_free(stores);
    k2_test_rows_destroy(rows);
}

static void statistics_are_those_of_the_values(void **state)
{
    (void)state;
    struct k2_test_rows *rows = create_rows(NEAR_WITH_NULLS, ROWS);
    struct k2_buffer group;
    encode(rows, &group);
    struct k2_row_group_view *view = open_view(&group);
    const struct k2_column_stats *stats = &view->columns[place_of(view, RECEIVED + 1)].stats;
    const struct k2_batch_column *cells = &rows->batch->columns[RECEIVED];
    int64_t min = INT64_MAX;
    int64_t max = INT64_MIN;
    k2_int128 sum = 0;
    for (size_t row = 0; row < ROWS; row++) {
        if (cells->valid[row] == 1) {
            min = cells->values[row] < min ? cells->values[row] : min;
            max = cells->values[row] > max ? cells->values[row] : max;
            sum += cells->values[row];
        }
    }
    assert_true(stats->min == min && stats->max == max && stats->sum == sum);
    k2_row_group_view_close(view);
    k2_buffer_deinit(&group);
    k2_test_rows_destroy(rows);
}

// Names another reference in the column entry and sets the checksum of the head right.
static void set_reference(struct k2_buffer *group, size_t place, uint16_t reference)
{
    size_t entry = K2_GROUP_HEADER_BYTES + place * K2_COLUMN_ENTRY_BYTES;
    group->data[entry + K2_COLUMN_AT_REFERENCE] = (uint8_t)reference;
    group->data[entry + K2_COLUMN_AT_REFERENCE + 1] = (uint8_t)(reference >> 8);
    struct k2_byte_reader reader = {.rest = {group->data + K2_GROUP_AT_HEAD_BYTES, 4}};
    size_t head_bytes = k2_read_u32(&reader);
    struct k2_slice checked = {group->data + K2_GROUP_AT_CHECKED, head_bytes - K2_GROUP_AT_CHECKED};
    k2_buffer_patch_u64(group, K2_GROUP_AT_CHECKSUM,
                        k2_checksum(checked, 7, 12288 + K2_GROUP_AT_CHECKED));
}

static void a_reference_without_integers_is_corrupt(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint16_t reference;
    } rows[] = {
        {"none", 0},
        {"a column that is not there", 999},
        {"a column of texts", 16},
        {"differences", QUANTITY + 1},
        {"itself", RECEIVED + 1},
    };
    struct k2_test_rows *made = create_rows(NEAR, ROWS);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct k2_buffer group;
        struct k2_column_reader *reader;
        bool found;
        encode(made, &group);
        struct k2_row_group_view *view = open_view(&group);
        size_t place = place_of(view, RECEIVED + 1);
        k2_row_group_view_close(view);
        set_reference(&group, place, rows[i].reference);
        view = open_view(&group);
        if (k2_column_reader_open(&reader, view, RECEIVED + 1, &found, NULL) != K2_CORRUPT) {
            fail_msg("%s: opened", rows[i].name);
        }
        k2_row_group_view_close(view);
        k2_buffer_deinit(&group);
    }
    k2_test_rows_destroy(made);
}

static void reading_survives_every_failed_allocation(void **state)
{
    (void)state;
    struct k2_test_rows *rows = create_rows(NEAR, 100);
    struct k2_buffer group;
    encode(rows, &group);
    struct k2_row_group_view *view = open_view(&group);
    struct k2_column_reader *reader;
    enum k2_status status = K2_NO_MEMORY;
    long calls = 0;
    for (; status != K2_OK; calls++) {
        bool found;
        k2_alloc_fail_after(calls);
        status = k2_column_reader_open(&reader, view, RECEIVED + 1, &found, NULL);
        assert_true(status == K2_OK || status == K2_NO_MEMORY);
        if (status == K2_OK) {
            static struct k2_vector_store store;
            struct k2_vector vector;
            uint32_t row_count;
            status = k2_column_reader_decode(reader, 0, &store, &vector, &row_count, NULL);
            assert_true(status == K2_OK || status == K2_NO_MEMORY);
            k2_column_reader_close(reader);
        }
    }
    k2_alloc_fail_after(-1);
    assert_int_equal(calls, 3); // the reader and its room, and then none
    k2_row_group_view_close(view);
    k2_buffer_deinit(&group);
    k2_test_rows_destroy(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_near_another_column_is_kept_as_a_difference),
        cmocka_unit_test(ordinals_are_kept_by_the_runs_of_their_times),
        cmocka_unit_test(a_lent_reference_is_not_decoded_again),
        cmocka_unit_test(statistics_are_those_of_the_values),
        cmocka_unit_test(a_reference_without_integers_is_corrupt),
        cmocka_unit_test(reading_survives_every_failed_allocation),
    };
    return cmocka_run_group_tests_name("differences", tests, NULL, NULL);
}
