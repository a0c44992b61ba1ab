#include "tests/support/store_rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "engine/instruments.h"
#include "format/base/alloc.h"

static size_t column(const struct test_store *store, const char *name)
{
    int index = k2_schema_find(store->table->schema, k2_slice_of(name));
    assert_true(index >= 0);
    return (size_t)index;
}

void test_store_reopen(struct test_store *store, enum k2_engine_mode mode)
{
    struct k2_error error;
    k2_row_batch_destroy(store->batch);
    store->batch = NULL;
    k2_engine_close(store->engine);
    store->engine = NULL;
    if (k2_engine_open(&store->engine, store->folder, mode, &error) != K2_OK) {
        fail_msg("%s", error.text);
    }
    store->table = k2_engine_table(store->engine, k2_slice_of("trades"));
    assert_non_null(store->table);
    assert_int_equal(
        k2_row_batch_create(&store->batch, store->table->schema, K2_GROUP_ROWS, false, &error),
        K2_OK);
}

void test_store_open(struct test_store *store)
{
    memset(store, 0, sizeof *store);
    test_folder_make(store->folder);
    test_store_reopen(store, K2_ENGINE_CREATE);
}

void test_store_close(struct test_store *store)
{
    k2_row_batch_destroy(store->batch);
    k2_engine_close(store->engine);
    test_folder_remove(store->folder);
}

void test_store_fill(struct test_store *store, const struct test_trade *trades, size_t count)
{
    size_t price = column(store, "price"), quantity = column(store, "quantity");
    k2_row_batch_clear(store->batch);
    for (size_t i = 0; i < count; i++) {
        struct k2_row_key key = {.time_ns = trades[i].time_ns, .sequence = trades[i].sequence};
        size_t row;
        key.epoch = store->epochs == NULL ? 0 : store->epochs[i];
        assert_int_equal(k2_instrument_intern(store->engine, k2_slice_of("TEST"),
                                              k2_slice_of(trades[i].symbol), &key.instrument, NULL),
                         K2_OK);
        assert_int_equal(k2_row_batch_add(store->batch, &key, i, &row, NULL), K2_OK);
        k2_row_batch_set_value(store->batch, row, price, trades[i].price);
        k2_row_batch_set_value(store->batch, row, quantity, trades[i].quantity);
    }
}

uint64_t test_store_commit(struct test_store *store, const struct test_trade *trades, size_t count,
                           enum k2_numbering numbering, struct k2_commit_outcome *outcome)
{
    struct k2_commit *commit;
    struct k2_error error;
    uint64_t snapshot = 0;
    test_store_fill(store, trades, count);
    assert_int_equal(k2_commit_begin(store->engine, &commit, &error), K2_OK);
    if (k2_commit_add(commit, store->batch, numbering, outcome, &error) != K2_OK ||
        k2_commit_finish(commit, &snapshot, &error) != K2_OK) {
        fail_msg("%s", error.text);
    }
    return snapshot;
}

char *test_store_rows(struct test_store *store, uint64_t snapshot)
{
    const size_t columns[] = {K2_SYMBOL, K2_TIMESTAMP, K2_SEQUENCE, column(store, "price"),
                              column(store, "quantity")};
    struct k2_scan_request request = {
        .table = store->table,
        .snapshot = snapshot,
        .columns = columns,
        .column_count = sizeof columns / sizeof columns[0],
    };
    struct k2_scan *scan;
    struct k2_error error;
    struct k2_buffer text;
    k2_buffer_init(&text, 64 << 20);
    if (k2_scan_open(store->engine, &request, &scan, &error) != K2_OK) {
        fail_msg("%s", error.text);
    }
    for (size_t rows = 1; rows > 0;) {
        const struct k2_vector *v;
        if (k2_scan_next(scan, &v, &rows, &error) != K2_OK) {
            fail_msg("%s", error.text);
        }
        for (size_t i = 0; i < rows; i++) {
            k2_put_bytes(&text, v[0].texts[i].data, v[0].texts[i].size_bytes);
            k2_put_format(&text, " %lld %lld %lld %lld;", (long long)v[1].values[i],
                          (long long)v[2].values[i], (long long)v[3].values[i],
                          (long long)v[4].values[i]);
        }
    }
    k2_scan_close(scan);
    k2_put_u8(&text, 0);
    assert_false(text.failed);
    return (char *)text.data;
}
