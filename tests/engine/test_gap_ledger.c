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
#include "engine/k2.h"
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
        "AAA 0 4-8(30,90)@2x4 AAA 0 4-5(30,60)@4 AAA 0 7-8(60,90)@4 "
        "BBB 0 101-101(1000,1020)@3 ",
        "AAA 0 4-8(30,90)@2x4 AAA 0 4-5(30,60)@4x5 AAA 0 7-8(60,90)@4x5 "
        "BBB 0 101-101(1000,1020)@3 ",
    };
    struct k2_gap_figures figures;
    for (size_t i = 0; i < sizeof ledgers / sizeof ledgers[0]; i++) {
        expect_ledger(store, i + 1, ledgers[i]); // by (epoch, first, snapshot) within a counter
    }
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

// Every other number of 20,010: more gaps than are followed.
static void too_many_gaps_end_the_pursuit(void **state)
{
    (void)state;
    enum { ROWS = 10005 };
    struct test_store store;
    struct k2_commit_outcome outcome;
    struct k2_gap_figures figures;
    struct k2_completeness known;
    test_store_open(&store);
    struct test_trade *trades = k2_alloc_zero(ROWS, sizeof *trades);
    assert_non_null(trades);
    for (int i = 0; i < ROWS; i++) {
        trades[i] = (struct test_trade){"AAA", 100 + 2 * i, 2 * i, 1, 1};
    }
    (void)test_store_commit(&store, trades, 5000, K2_NUMBERING_DENSE, &outcome);
    assert_int_equal(outcome.gave_up, 0);
    (void)test_store_commit(&store, trades + 5000, ROWS - 5000, K2_NUMBERING_DENSE, &outcome);
    assert_int_equal(outcome.gave_up, 1);
    char *whole = ledger_text(&store, 2, true);
    assert_string_equal(whole, "AAA 0 1-20007(100,20108)@2 ");
    k2_free(whole);
    assert_int_equal(k2_gap_figures_get(store.engine, store.table, &figures, NULL), K2_OK);
    assert_int_equal(figures.open, 1);
    assert_int_equal(figures.given_up, 1);
    // What was stored is known by its key now; what is new is stored.
    (void)test_store_commit(&store, trades, ROWS, K2_NUMBERING_DENSE, &outcome);
    assert_int_equal(outcome.duplicates, ROWS);
    static const struct test_trade late[] = {{"AAA", 103, 3, 1, 1}, {"AAA", 90000, 40000, 1, 1}};
    (void)test_store_commit(&store, late, 2, K2_NUMBERING_DENSE, &outcome);
    assert_int_equal(outcome.stored, 2);
    assert_int_equal(outcome.gave_up, 0);
    static const struct {
        uint64_t snapshot;
        int64_t start_ns;
        enum k2_complete complete;
        enum k2_incomplete_reason reason;
        uint64_t gap_count;
    } rows[] = {
        {1, 0, K2_COMPLETE_NO, K2_INCOMPLETE_GAP, 4999},
        {1, 20000, K2_COMPLETE_YES, K2_INCOMPLETE_NOTHING, 0},
        {3, 0, K2_COMPLETE_NO, K2_INCOMPLETE_GAP, 1},
        {3, 20109, K2_COMPLETE_UNKNOWN, K2_INCOMPLETE_NOT_DENSE, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct k2_completeness_request request = {.table = store.table,
                                                  .snapshot = rows[i].snapshot,
                                                  .has_start = true,
                                                  .start_ns = rows[i].start_ns};
        assert_int_equal(k2_completeness_get(store.engine, &request, &known, NULL), K2_OK);
        assert_int_equal(known.complete, rows[i].complete);
        assert_int_equal(known.reason, rows[i].reason);
        assert_int_equal(known.gap_count, rows[i].gap_count);
    }
    k2_free(trades);
    test_store_close(&store);
}

static void close_store(struct test_store *store)
{
    k2_row_batch_destroy(store->batch);
    store->batch = NULL;
    k2_engine_close(store->engine);
    store->engine = NULL;
}

static void programs_learn_what_is_missing(void **state)
{
    (void)state;
    static const struct k2_symbol a[] = {{"TEST", "AAA"}}, b[] = {{NULL, "BBB"}},
                                  none[] = {{"TEST", "none"}};
    static const struct {
        const struct k2_symbol *symbols;
        uint64_t snapshot;
        enum k2_coverage_state state;
        const char *reason;
        uint64_t gap_count;
    } rows[] = {
        {NULL, 0, K2_COVERAGE_GAPS, "gap", 1},      {a, 0, K2_COVERAGE_COMPLETE, NULL, 0},
        {a, 2, K2_COVERAGE_GAPS, "gap", 1},         {b, 0, K2_COVERAGE_GAPS, "gap", 1},
        {none, 0, K2_COVERAGE_UNKNOWN, "empty", 0},
    };
    struct test_store store;
    struct k2_db *db = NULL;
    test_store_open(&store);
    make_history(&store);
    close_store(&store);
    assert_int_equal(k2_db_open(&db, store.folder, K2_DB_READ, NULL), K2_OK);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct k2_query query = {.size_bytes = sizeof query,
                                 .table = "trades",
                                 .snapshot = rows[i].snapshot,
                                 .symbols = rows[i].symbols,
                                 .symbol_count = rows[i].symbols != NULL};
        struct k2_coverage coverage = {.size_bytes = sizeof coverage};
        assert_int_equal(k2_query_coverage(db, &query, &coverage, NULL), K2_OK);
        assert_int_equal(coverage.state, rows[i].state);
        assert_int_equal(coverage.gap_count, rows[i].gap_count);
        assert_int_equal(coverage.snapshot, rows[i].snapshot > 0 ? rows[i].snapshot : 5);
        assert_true((coverage.reason == NULL) == (rows[i].reason == NULL));
        assert_true(rows[i].reason == NULL || strcmp(coverage.reason, rows[i].reason) == 0);
    }
    struct k2_coverage small = {.size_bytes = 1};
    struct k2_query query = {.size_bytes = sizeof query, .table = "trades"};
    assert_int_equal(k2_query_coverage(db, &query, &small, NULL), K2_BAD_REQUEST);
    k2_db_close(db);
    test_store_close(&store);
}

// A commit that fails changes nothing: tried again, it does what it would have done.
static void any_allocation_may_fail(void **state)
{
    (void)state;
    static const struct test_trade trades[] = {
        {"AAA", 10, 1, 7, 1}, {"AAA", 50, 5, 7, 1}, {"BBB", 20, 2, 7, 1}, {"CCC", 90, 9, 8, 1}};
    static const struct test_trade late[] = {{"AAA", 30, 3, 7, 1}, {"CCC", 30, 12, 8, 1}};
    struct k2_source source = {.numbering = K2_NUMBERING_DENSE};
    for (int named = 0; named < 2; named++) {
        struct test_store store;
        test_store_open(&store);
        if (named) {
            source.domain.columns[0] =
                (size_t)k2_schema_find(store.table->schema, k2_slice_of("price"));
            source.domain.column_count = 1;
        }
        for (int part = 0; part < 2; part++) {
            enum k2_status status = K2_NO_MEMORY;
            for (long calls = 0; status != K2_OK; calls++) {
                struct k2_commit *commit = NULL;
                struct k2_commit_outcome outcome;
                struct k2_error error;
                uint64_t snapshot;
                test_store_fill(&store, part == 0 ? trades : late, part == 0 ? 4 : 2);
                k2_alloc_fail_after(calls);
                status = k2_commit_begin(store.engine, &commit, &error);
                if (status == K2_OK) {
                    status = k2_commit_add_from(commit, store.batch, &source, &outcome, &error);
                    if (status == K2_OK) {
                        status = k2_commit_finish(commit, &snapshot, &error);
                    } else {
                        k2_commit_abort(commit);
                    }
                }
                k2_alloc_fail_after(-1);
                if (status != K2_OK && status != K2_NO_MEMORY) {
                    fail_msg("%ld: %s", calls, error.text);
                }
            }
        }
        expect_ledger(&store, UINT64_MAX,
                      named ? "price=7 0 3-4(20,50)@1x2 price=7 0 4-4(30,50)@2 "
                              "price=8 0 10-11(90,30)@2 "
                            : "AAA 0 2-4(10,50)@1x2 AAA 0 2-2(10,30)@2 AAA 0 4-4(30,50)@2 "
                              "CCC 0 10-11(90,30)@2 ");
        enum k2_status status = K2_NO_MEMORY;
        for (long calls = 0; status != K2_OK; calls++) {
            struct k2_gap_list_request request = {.table = store.table, .snapshot = UINT64_MAX};
            struct k2_completeness_request asked = {.table = store.table, .snapshot = UINT64_MAX};
            struct k2_completeness known;
            struct k2_gap_list *list = NULL;
            struct k2_gap gap;
            bool found = true;
            k2_alloc_fail_after(calls);
            status = k2_gap_list_open(&list, store.engine, &request, NULL);
            while (status == K2_OK && found) {
                status = k2_gap_list_next(list, &found, &gap, NULL);
            }
            k2_gap_list_close(list);
            if (status == K2_OK) {
                status = k2_completeness_get(store.engine, &asked, &known, NULL);
            }
            k2_alloc_fail_after(-1);
            assert_true(status == K2_OK || status == K2_NO_MEMORY);
        }
        test_store_close(&store);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_ledger_has_every_past_state),
        cmocka_unit_test(rows_alone_give_the_ledger_again),
        cmocka_unit_test(too_many_gaps_end_the_pursuit),
        cmocka_unit_test(programs_learn_what_is_missing),
        cmocka_unit_test(any_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
