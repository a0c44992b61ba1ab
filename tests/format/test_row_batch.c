// Batches keep what was set, know their nulls, and stay whole when memory ends.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "format/base/alloc.h"
#include "format/segment/row_batch.h"

enum { PRICE = K2_KEY_COLUMN_COUNT, SIDE, NOTE, LOT, COLUMN_COUNT };

static struct k2_column columns[COLUMN_COUNT] = {
    {.name = "exchange", .id = 1, .kind = K2_KIND_SYMBOLIC},
    {.name = "symbol", .id = 2, .kind = K2_KIND_SYMBOLIC},
    {.name = "timestamp", .id = 3, .kind = K2_KIND_TIMESTAMP},
    {.name = "epoch", .id = 4, .kind = K2_KIND_INT64},
    {.name = "sequence", .id = 5, .kind = K2_KIND_INT64},
    {.name = "price", .id = 6, .kind = K2_KIND_DECIMAL64, .scale = 8},
    {.name = "side",
     .id = 7,
     .kind = K2_KIND_SYMBOLIC,
     .has_default = true,
     .default_text = "UNKNOWN"},
    {.name = "note", .id = 8, .kind = K2_KIND_TEXT, .nullable = true},
    {.name = "lot", .id = 9, .kind = K2_KIND_INT32, .has_default = true, .default_value = 100},
};
static const struct k2_schema schema = {.columns = columns, .column_count = COLUMN_COUNT};

static struct k2_row_batch *create_batch(size_t row_capacity)
{
    struct k2_row_batch *batch;
    assert_int_equal(k2_row_batch_create(&batch, &schema, row_capacity, false, NULL), K2_OK);
    return batch;
}

static size_t add_row(struct k2_row_batch *batch, int64_t time_ns)
{
    struct k2_row_key key = {.instrument = 1, .time_ns = time_ns};
    size_t row;
    assert_int_equal(k2_row_batch_add(batch, &key, 7, &row, NULL), K2_OK);
    return row;
}

static void assert_text(const struct k2_row_batch *batch, size_t row, size_t column,
                        const char *expected)
{
    const struct k2_batch_column *cells = &batch->columns[column];
    assert_int_equal(cells->valid[row], 1);
    struct k2_slice text = k2_row_batch_text(batch, cells->texts[row]);
    assert_true(k2_slice_equal(text, k2_slice_of(expected)));
}

static void a_new_row_holds_its_defaults(void **state)
{
    (void)state;
    struct k2_row_batch *batch = create_batch(3);
    for (int64_t i = 0; i < 3; i++) {
        size_t row = add_row(batch, 50 + i);
        assert_int_equal(batch->keys[row].time_ns, 50 + i);
        assert_int_equal(batch->positions[row], 7);
        assert_int_equal(batch->payloads[row].size_bytes, 0);
        assert_int_equal(batch->columns[PRICE].valid[row], 0);
        assert_int_equal(batch->columns[NOTE].valid[row], 0);
        assert_int_equal(batch->columns[LOT].values[row], 100);
        assert_text(batch, row, SIDE, "UNKNOWN");
    }
    assert_int_equal(batch->columns[PRICE].null_count, 3);
    assert_int_equal(batch->columns[SIDE].null_count, 0);
    assert_int_equal(batch->text.size_bytes, strlen("UNKNOWN")); // one copy for all three
    k2_row_batch_destroy(batch);
}

static void cells_keep_what_was_set_last(void **state)
{
    (void)state;
    struct k2_row_batch *batch = create_batch(2);
    size_t row = add_row(batch, 1);
    k2_row_batch_set_value(batch, row, PRICE, INT64_MIN);
    k2_row_batch_set_value(batch, row, PRICE, 5);
    assert_int_equal(batch->columns[PRICE].values[row], 5);
    assert_int_equal(batch->columns[PRICE].null_count, 0);
    k2_row_batch_set_null(batch, row, PRICE);
    k2_row_batch_set_null(batch, row, PRICE);
    assert_int_equal(batch->columns[PRICE].null_count, 1);
    assert_int_equal(k2_row_batch_set_text(batch, row, NOTE, k2_slice_of("first"), NULL), K2_OK);
    assert_int_equal(k2_row_batch_set_text(batch, row, NOTE, k2_slice_of(""), NULL), K2_OK);
    assert_text(batch, row, NOTE, "");
    assert_int_equal(k2_row_batch_set_payload(batch, row, k2_slice_of("1,2"), NULL), K2_OK);
    assert_true(k2_slice_equal(k2_row_batch_text(batch, batch->payloads[row]), k2_slice_of("1,2")));
    k2_row_batch_destroy(batch);
}

static void a_dropped_row_takes_its_nulls_with_it(void **state)
{
    (void)state;
    struct k2_row_batch *batch = create_batch(2);
    size_t row = add_row(batch, 1);
    k2_row_batch_set_value(batch, row, PRICE, 5);
    (void)add_row(batch, 2);
    assert_int_equal(batch->columns[PRICE].null_count, 1);
    k2_row_batch_drop_last(batch);
    assert_int_equal(batch->row_count, 1);
    assert_int_equal(batch->columns[PRICE].null_count, 0);
    assert_int_equal(batch->columns[NOTE].null_count, 1);
    k2_row_batch_clear(batch);
    assert_int_equal(batch->row_count, 0);
    assert_int_equal(batch->columns[NOTE].null_count, 0);
    assert_int_equal(batch->text.size_bytes, 0);
    row = add_row(batch, 3);
    assert_int_equal(row, 0);
    assert_text(batch, row, SIDE, "UNKNOWN");
    k2_row_batch_destroy(batch);
}

static void creation_survives_every_failed_allocation(void **state)
{
    (void)state;
    struct k2_row_batch *batch = NULL;
    enum k2_status status = K2_NO_MEMORY;
    long calls = 0;
    for (; status != K2_OK; calls++) {
        k2_alloc_fail_after(calls);
        status = k2_row_batch_create(&batch, &schema, 100, true, NULL);
        assert_true(status == K2_OK || (status == K2_NO_MEMORY && batch == NULL));
    }
    k2_alloc_fail_after(-1);
    assert_true(calls > 5 + 2 * (COLUMN_COUNT - K2_KEY_COLUMN_COUNT));
    k2_row_batch_destroy(batch);
}

static void a_row_that_finds_no_memory_leaves_the_batch_as_it_was(void **state)
{
    (void)state;
    struct k2_row_batch *batch = create_batch(2);
    struct k2_row_key key = {.instrument = 1};
    size_t row;
    k2_alloc_fail_after(0);
    enum k2_status status = k2_row_batch_add(batch, &key, 0, &row, NULL);
    k2_alloc_fail_after(-1);
    assert_int_equal(status, K2_NO_MEMORY);
    assert_int_equal(batch->row_count, 0);
    assert_int_equal(batch->columns[PRICE].null_count, 0);
    row = add_row(batch, 1);
    assert_text(batch, row, SIDE, "UNKNOWN");
    char large[5000];
    memset(large, 'x', sizeof large);
    struct k2_slice text = {(const uint8_t *)large, sizeof large};
    k2_alloc_fail_after(0);
    status = k2_row_batch_set_text(batch, row, NOTE, text, NULL);
    k2_alloc_fail_after(-1);
    assert_int_equal(status, K2_NO_MEMORY);
    assert_int_equal(batch->columns[NOTE].valid[row], 0);
    assert_int_equal(k2_row_batch_set_text(batch, row, NOTE, text, NULL), K2_OK);
    assert_int_equal(batch->columns[NOTE].null_count, 0);
    k2_row_batch_destroy(batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_row_holds_its_defaults),
        cmocka_unit_test(cells_keep_what_was_set_last),
        cmocka_unit_test(a_dropped_row_takes_its_nulls_with_it),
        cmocka_unit_test(creation_survives_every_failed_allocation),
        cmocka_unit_test(a_row_that_finds_no_memory_leaves_the_batch_as_it_was),
    };
    return cmocka_run_group_tests_name("row_batch", tests, NULL, NULL);
}
