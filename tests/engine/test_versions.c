// Versions of rows: which ones a commit takes, what a rewrite says of them, and how many rows each
// snapshot shows when only the segments tell.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/level_work.h"
#include "engine/policy.h"
#include "engine/repair.h"
#include "engine/retain.h"
#include "engine/rewrite_versions.h"
#include "engine/shown_rows.h"
#include "engine/snapshot.h"
#include "format/base/alloc.h"
#include "tests/support/store_rows.h"

enum { MOST_ROWS = 4, NEW = K2_ROW_NEW, DUP = K2_ROW_DUPLICATE };

// ---- rewrites

struct chain {
    const char *name;
    size_t count;
    struct {
        uint64_t commit, until;
        enum k2_row_op op;
    } before[MOST_ROWS], after[MOST_ROWS];
    bool elsewhere; // other groups may have versions of it, too
};

static const struct chain chains[] = {
    {"all are there",
     3,
     {{1, 0, K2_OP_PUT}, {4, 0, K2_OP_REPLACE}, {6, 0, K2_OP_DELETE}},
     {{1, 4, K2_OP_PUT}, {4, 6, K2_OP_PUT}, {6, 0, K2_OP_DELETE}},
     false},
    {"the first is not",
     2,
     {{4, 0, K2_OP_REPLACE}, {6, 0, K2_OP_REPLACE}},
     {{4, 6, K2_OP_REPLACE}, {6, 0, K2_OP_REPLACE}},
     false},
    {"one may be elsewhere",
     2,
     {{1, 0, K2_OP_PUT}, {6, 0, K2_OP_REPLACE}},
     {{1, 6, K2_OP_PUT}, {6, 0, K2_OP_REPLACE}},
     true},
    {"one in between was not at hand before",
     3,
     {{1, 6, K2_OP_PUT}, {4, 0, K2_OP_REPLACE}, {6, 0, K2_OP_PUT}},
     {{1, 4, K2_OP_PUT}, {4, 6, K2_OP_PUT}, {6, 0, K2_OP_PUT}},
     false},
    {"one in between is in a group of plain rows",
     3,
     {{1, 3, K2_OP_PUT}, {5, 0, K2_OP_REPLACE}, {6, 0, K2_OP_REPLACE}},
     {{1, 3, K2_OP_PUT}, {5, 6, K2_OP_REPLACE}, {6, 0, K2_OP_REPLACE}},
     false},
};

static void run_chain(const struct k2_schema *schema, const struct chain *chain)
{
    static const struct k2_retain_rule nothing;
    static const struct k2_version_place everywhere = {INT64_MIN, INT64_MAX, 0, UINT32_MAX};
    const struct k2_row_key key = {.instrument = 1, .time_ns = 5};
    uint32_t current[MOST_ROWS], history[MOST_ROWS];
    struct k2_version_split split = {
        .rule = &nothing,
        .elsewhere = &everywhere,
        .elsewhere_count = chain->elsewhere,
        .current = current,
        .history = history,
    };
    struct k2_row_batch *batch = NULL;
    assert_int_equal(k2_row_batch_create(&batch, schema, MOST_ROWS, true, NULL), K2_OK);
    for (size_t i = 0; i < chain->count; i++) {
        size_t row;
        assert_int_equal(k2_row_batch_add(batch, &key, 0, &row, NULL), K2_OK);
        batch->commits[row] = chain->before[i].commit;
        assert_int_equal(k2_row_batch_set_op(batch, row, chain->before[i].op, NULL), K2_OK);
        assert_int_equal(k2_row_batch_set_until(batch, row, chain->before[i].until, NULL), K2_OK);
    }
    assert_int_equal(k2_version_split(&split, batch, NULL), K2_OK);
    for (size_t i = 0; i < chain->count; i++) {
        if (batch->untils[i] != chain->after[i].until || batch->ops[i] != chain->after[i].op) {
            fail_msg("%s: version %zu: op %d, until %llu", chain->name, i, batch->ops[i],
                     (unsigned long long)batch->untils[i]);
        }
    }
    assert_int_equal(split.current_count + split.history_count, chain->count);
    k2_row_batch_destroy(batch);
}

static void a_rewrite_says_only_what_it_knows(void **state)
{
    (void)state;
    struct k2_schema *schema = NULL;
    assert_int_equal(k2_schema_builtin(&schema, "trades", NULL), K2_OK);
    for (size_t i = 0; i < sizeof chains / sizeof chains[0]; i++) {
        run_chain(schema, &chains[i]);
    }
    k2_schema_destroy(schema);
}

// ---- commits of a source that counts

struct counted {
    const char *name;
    enum k2_duplicate_rule rule;
    size_t count;
    struct {
        int64_t time_ns, sequence, price;
        bool deletes;
        int fate;
    } rows[MOST_ROWS];
    const char *shown;
};

// The store has number 1 at time 10 before.
static const struct counted counted[] = {
    {"the last of a key in a commit counts",
     K2_KEEP_LAST,
     2,
     {{20, 2, 5, false, DUP}, {20, 2, 6, false, NEW}},
     "A 10 1 1 1;A 20 2 6 1;"},
    {"a number under another key is a duplicate",
     K2_KEEP_LAST,
     2,
     {{20, 2, 5, false, NEW}, {21, 2, 6, false, DUP}},
     "A 10 1 1 1;A 20 2 5 1;"},
    {"a stored row is replaced",
     K2_KEEP_LAST,
     2,
     {{10, 1, 2, false, NEW}, {11, 1, 3, false, DUP}},
     "A 10 1 2 1;"},
    {"a deletion shows no number",
     K2_KEEP_LAST,
     2,
     {{20, 2, 5, true, K2_ROW_UNKNOWN_KEY}, {21, 2, 6, false, NEW}},
     "A 10 1 1 1;A 21 2 6 1;"},
    {"what is a duplicate can not be deleted",
     K2_KEEP_FIRST,
     2,
     {{11, 1, 5, false, DUP}, {11, 1, 5, true, K2_ROW_UNKNOWN_KEY}},
     "A 10 1 1 1;"},
    {"second rows are rejected where they are to be",
     K2_REJECT_SECOND,
     2,
     {{10, 1, 1, false, K2_ROW_REPEATED}, {11, 1, 1, false, K2_ROW_REPEATED}},
     "A 10 1 1 1;"},
};

static void set_rule(struct test_store *store, enum k2_duplicate_rule rule)
{
    const struct k2_policy policy = {.duplicates = rule};
    assert_int_equal(k2_policy_set(store->engine, store->table, &policy, NULL), K2_OK);
}

static void run_counted(const struct counted *row)
{
    struct test_store store;
    struct test_trade trades[MOST_ROWS] = {{"A", 10, 1, 1, 1}};
    struct k2_commit_outcome outcome;
    struct k2_commit *commit = NULL;
    uint64_t snapshot;
    test_store_open(&store);
    set_rule(&store, row->rule);
    (void)test_store_commit(&store, trades, 1, K2_NUMBERING_DENSE, &outcome);
    for (size_t i = 0; i < row->count; i++) {
        trades[i] = (struct test_trade){"A", row->rows[i].time_ns, row->rows[i].sequence,
                                        row->rows[i].price, 1};
    }
    test_store_fill(&store, trades, row->count);
    for (size_t i = 0; i < row->count; i++) {
        if (row->rows[i].deletes) {
            assert_int_equal(k2_row_batch_set_op(store.batch, i, K2_OP_DELETE, NULL), K2_OK);
        }
    }
    assert_int_equal(k2_commit_begin(store.engine, &commit, NULL), K2_OK);
    assert_int_equal(k2_commit_add(commit, store.batch, K2_NUMBERING_DENSE, &outcome, NULL), K2_OK);
    for (size_t i = 0; i < row->count; i++) {
        if (outcome.fates[i] != row->rows[i].fate) {
            fail_msg("%s: row %zu: fate %d", row->name, i, outcome.fates[i]);
        }
    }
    assert_int_equal(k2_commit_finish(commit, &snapshot, NULL), K2_OK);
    char *shown = test_store_rows(&store, 0);
    assert_string_equal(shown, row->shown);
    k2_free(shown);
    test_store_close(&store);
}

static void a_number_tells_a_duplicate_and_a_key_tells_a_correction(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof counted / sizeof counted[0]; i++) {
        run_counted(&counted[i]);
    }
}

// ---- how many rows snapshots show

static uint64_t told(struct test_store *store, uint64_t id)
{
    struct k2_snapshot snapshot;
    bool found;
    assert_int_equal(k2_snapshot_get(store->engine, id, &found, &snapshot, NULL), K2_OK);
    assert_true(found && snapshot.table_count == 1);
    return snapshot.tables[0].rows;
}

enum { SNAPSHOTS = 600, FEW = 30 }; // more than two chunks of the log; few

// Every third commit corrects the row of the one before it, every fifth of those deletes it.
static void make_history(struct test_store *store, int64_t count, int64_t *rows)
{
    set_rule(store, K2_KEEP_LAST);
    for (int64_t i = 1; i <= count; i++) {
        bool corrects = i % 3 == 0, deletes = i % 15 == 0;
        const struct test_trade trade = {"A", corrects ? i - 1 : i, 1, i, 1};
        struct k2_commit *commit = NULL;
        struct k2_commit_outcome outcome;
        uint64_t snapshot;
        test_store_fill(store, &trade, 1);
        if (deletes) {
            assert_int_equal(k2_row_batch_set_op(store->batch, 0, K2_OP_DELETE, NULL), K2_OK);
        }
        assert_int_equal(k2_commit_begin(store->engine, &commit, NULL), K2_OK);
        assert_int_equal(k2_commit_add(commit, store->batch, K2_NUMBERING_SPARSE, &outcome, NULL),
                         K2_OK);
        assert_int_equal(k2_commit_finish(commit, &snapshot, NULL), K2_OK);
        assert_int_equal(snapshot, i);
        rows[i] = rows[i - 1] + (deletes ? -1 : corrects ? 0 : 1);
    }
}

static void repair(struct test_store *store)
{
    const struct k2_repair_options options = {.from_segments = true};
    struct k2_repair_report report;
    k2_row_batch_destroy(store->batch);
    store->batch = NULL;
    k2_engine_close(store->engine);
    store->engine = NULL;
    assert_int_equal(k2_repair(store->folder, &options, &report, NULL), K2_OK);
    assert_int_equal(report.lost, 0);
    test_store_reopen(store, K2_ENGINE_WRITE);
}

// The file of the first commits stays, for a row of `_log`, and no rewrite that is left has it
// among its inputs.
static void what_was_dropped_stays_away_through_repairs(void **state)
{
    (void)state;
    struct test_store store;
    const struct test_trade trades[] = {{"A", 5, 1, 1, 1}, {"A", 500, 2, 2, 1}};
    struct k2_commit_outcome outcome;
    struct k2_retain_report report;
    struct k2_policy policy = {.retention_ns = 1000};
    test_store_open(&store);
    set_rule(&store, K2_KEEP_FIRST); // the row of `_log`
    for (size_t i = 0; i < 2; i++) {
        (void)test_store_commit(&store, &trades[i], 1, K2_NUMBERING_SPARSE, &outcome);
    }
    test_store_reopen(&store, K2_ENGINE_WRITE);
    const struct k2_level_request sort = {.effort = K2_EFFORT_SORTED};
    struct k2_rewrite_report sorted;
    bool done;
    assert_int_equal(k2_level_step(store.engine, store.table, &sort, &done, &sorted, NULL), K2_OK);
    assert_true(done);
    repair(&store);
    assert_int_equal(k2_policy_set(store.engine, store.table, &policy, NULL), K2_OK);
    assert_int_equal(k2_retain(store.engine, store.table, 1100, false, &report, NULL), K2_OK);
    assert_int_equal(report.rows_old, 1);
    for (int turn = 0; turn < 2; turn++) {
        char *shown = test_store_rows(&store, 0);
        assert_string_equal(shown, "A 500 2 2 1;");
        k2_free(shown);
        repair(&store);
    }
    test_store_close(&store);
}

static void a_lost_index_does_not_change_what_snapshots_show(void **state)
{
    (void)state;
    struct test_store store;
    int64_t rows[SNAPSHOTS + 1] = {0}, counted_rows[SNAPSHOTS];
    test_store_open(&store);
    make_history(&store, SNAPSHOTS, rows);
    for (int turn = 0; turn < 2; turn++) {
        for (uint64_t i = 1; i <= SNAPSHOTS; i++) {
            assert_int_equal(told(&store, i), rows[i]);
        }
        repair(&store);
    }
    assert_int_equal(
        k2_shown_rows_count(store.engine, store.table, 1, SNAPSHOTS, counted_rows, NULL), K2_OK);
    assert_memory_equal(counted_rows, rows + 1, sizeof counted_rows);
    test_store_close(&store);
}

static void counting_survives_every_failed_allocation(void **state)
{
    (void)state;
    struct test_store store;
    int64_t rows[FEW + 1] = {0}, counted_rows[FEW];
    enum k2_status status = K2_NO_MEMORY;
    test_store_open(&store);
    make_history(&store, FEW, rows);
    for (long calls = 0; status != K2_OK; calls++) {
        k2_alloc_fail_after(calls);
        status = k2_shown_rows_count(store.engine, store.table, 1, FEW, counted_rows, NULL);
        k2_alloc_fail_after(-1);
        assert_true(status == K2_OK || status == K2_NO_MEMORY);
    }
    assert_memory_equal(counted_rows, rows + 1, sizeof counted_rows);
    test_store_close(&store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rewrite_says_only_what_it_knows),
        cmocka_unit_test(a_number_tells_a_duplicate_and_a_key_tells_a_correction),
        cmocka_unit_test(what_was_dropped_stays_away_through_repairs),
        cmocka_unit_test(a_lost_index_does_not_change_what_snapshots_show),
        cmocka_unit_test(counting_survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
