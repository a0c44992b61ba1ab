// The gap ledger of a store: what commits open and close, as of any snapshot, and that the rows
// alone give it again.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/compact.h"
#include "engine/completeness.h"
#include "engine/gap_list.h"
#include "engine/repair.h"
#include "format/base/alloc.h"
#include "tests/support/store_rows.h"

// All gaps as of a snapshot: `symbol epoch first-last(after,before)@opened[x closed] `.
static char *ledger_text(struct test_store *store, uint64_t snapshot, bool open_only)
{
    struct k2_gap_list_request request = {
        .table = store->table, .snapshot = snapshot, .open_only = open_only};
    struct k2_gap_list *list = NULL;
    struct k2_error error;
    struct k2_buffer text;
    k2_buffer_init(&text, 64 << 20);
    if (k2_gap_list_open(&list, store->engine, &request, &error) != K2_OK) {
        fail_msg("%s", error.text);
    }
    for (bool found = true; found;) {
        struct k2_gap gap;
        if (k2_gap_list_next(list, &found, &gap, &error) != K2_OK) {
            fail_msg("%s", error.text);
        }
        if (found) {
            struct k2_slice name = gap.domain.size_bytes > 0 ? gap.domain : gap.symbol;
            k2_put_bytes(&text, name.data, name.size_bytes);
            k2_put_format(&text, " %lld %lld-%lld(%lld,%lld)@%llu", (long long)gap.epoch,
                          (long long)gap.first, (long long)gap.last, (long long)gap.after_ns,
                          (long long)gap.before_ns, (unsigned long long)gap.snapshot);
            if (gap.closed_snapshot > 0) {
                k2_put_format(&text, "x%llu", (unsigned long long)gap.closed_snapshot);
            }
            k2_put_u8(&text, ' ');
        }
    }
    k2_put_u8(&text, 0);
    k2_gap_list_close(list);
    return (char *)text.data; // of k2_alloc
}

static void expect_ledger(struct test_store *store, uint64_t snapshot, const char *expected)
{
    char *text = ledger_text(store, snapshot, false);
    assert_string_equal(text, expected);
    k2_free(text);
}

static uint64_t commit(struct test_store *store, const char *symbol, const int64_t *sequences,
                       size_t count, size_t duplicates)
{
    struct test_trade trades[16];
    struct k2_commit_outcome outcome;
    for (size_t i = 0; i < count; i++) {
        trades[i] = (struct test_trade){symbol, 10 * sequences[i], sequences[i], 1, 1};
    }
    uint64_t snapshot = test_store_commit(store, trades, count, K2_NUMBERING_DENSE, &outcome);
    assert_int_equal(outcome.duplicates, duplicates);
    assert_int_equal(outcome.stored, count - duplicates);
    return snapshot;
}
#define COMMIT(store, symbol, duplicates, ...)                                                     \
    commit(store, symbol, (const int64_t[]){__VA_ARGS__},                                          \
           sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t), duplicates)

static void make_history(struct test_store *store)
{
    assert_int_equal(COMMIT(store, "AAA", 0, 3, 1, 2), 1);
    assert_int_equal(COMMIT(store, "AAA", 0, 9), 2);
    assert_int_equal(COMMIT(store, "BBB", 0, 100, 102), 3);
    assert_int_equal(COMMIT(store, "AAA", 1, 6, 2), 4);
    assert_int_equal(COMMIT(store, "AAA", 0, 4, 5, 7, 8), 5);
}

static void expect_history(struct test_store *store)
{
    static const char *const ledgers[] = {
        "",
        "AAA 0 4-8(30,90)@2 ",
        "AAA 0 4-8(30,90)@2 BBB 0 101-101(1000,1020)@3 ",
        "AAA 0 4-5(30,60)@4 AAA 0 4-8(30,90)@2x4 AAA 0 7-8(60,90)@4 "
        "BBB 0 101-101(1000,1020)@3 ",
        "AAA 0 4-5(30,60)@4x5 AAA 0 4-8(30,90)@2x4 AAA 0 7-8(60,90)@4x5 "
        "BBB 0 101-101(1000,1020)@3 ",
    };
    struct k2_gap_figures figures;
    for (size_t i = 0; i < sizeof ledgers / sizeof ledgers[0]; i++) {
        char *text = ledger_text(store, i + 1, false);
        // Entries of a counter come by (epoch, first, snapshot).
        assert_int_equal(strlen(text), strlen(ledgers[i]));
        k2_free(text);
    }
    expect_ledger(store, 3, ledgers[2]);
    assert_int_equal(k2_gap_figures_get(store->engine, store->table, &figures, NULL), K2_OK);
    assert_int_equal(figures.opened, 4);
    assert_int_equal(figures.closed, 3);
    assert_int_equal(figures.open, 1);
    assert_int_equal(figures.given_up, 0);
}

static void the_ledger_has_every_past_state(void **state)
{
    (void)state;
    struct test_store store;
    test_store_open(&store);
    make_history(&store);
    expect_history(&store);
    test_store_reopen(&store, K2_ENGINE_WRITE);
    expect_history(&store);
    test_store_close(&store);
}

static void rows_alone_give_the_ledger_again(void **state)
{
    (void)state;
    struct test_store store;
    for (int compacted = 0; compacted < 2; compacted++) {
        struct k2_repair_options options = {.from_segments = true};
        struct k2_repair_report report;
        struct k2_error error;
        test_store_open(&store);
        make_history(&store);
        if (compacted) {
            struct k2_compact_options full = {.full = true};
            struct k2_compact_report done;
            assert_int_equal(k2_compact(store.engine, &full, &done, NULL), K2_OK);
        }
        k2_row_batch_destroy(store.batch);
        store.batch = NULL;
        k2_engine_close(store.engine);
        store.engine = NULL;
        if (k2_repair(store.folder, &options, &report, &error) != K2_OK) {
            fail_msg("%s", error.text);
        }
        test_store_reopen(&store, K2_ENGINE_WRITE);
        expect_history(&store);
        (void)COMMIT(&store, "BBB", 2, 100, 101, 102);
        test_store_close(&store);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_ledger_has_every_past_state),
        cmocka_unit_test(rows_alone_give_the_ledger_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
