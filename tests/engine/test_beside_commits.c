// What changes a store while another thread commits to it: retains, policies, tags, compactions.
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/check.h"
#include "engine/compact.h"
#include "engine/policy.h"
#include "engine/retain.h"
#include "engine/snapshot.h"
#include "format/base/alloc.h"
#include "tests/support/store_rows.h"
#include "tests/support/tier.h"

enum { TIMES = 40, BATCH_ROWS = 12, FAILURE_BYTES = 200 };

static const int64_t century_ns = INT64_C(100) * 365 * 86400 * 1000000000;

struct changer {
    struct test_store *store;
    enum k2_status (*change)(struct changer *self, uint64_t *chance, struct k2_error *error);
    _Atomic int64_t cut_ns; // up to where rows may be dropped
    atomic_bool ends;
    unsigned turns;
    char failure[FAILURE_BYTES]; // empty: none
};

static enum k2_status change(struct changer *self, uint64_t *chance, struct k2_error *error)
{
    struct k2_engine *engine = self->store->engine;
    const struct k2_table *table = self->store->table;
    struct k2_policy policy = {.duplicates = K2_KEEP_LAST, .history_ns = century_ns};
    struct k2_retain_report retained;
    struct k2_compact_options options = {.full = test_random_below(chance, 2) == 0};
    struct k2_compact_report compacted;
    struct k2_snapshot newest;
    enum k2_status status = k2_snapshot_newest(engine, &newest, error);
    if (status != K2_OK || newest.id == 0) {
        return status;
    }
    switch (test_random_below(chance, 4)) {
    case 0:
        return k2_compact(engine, &options, &compacted, error);
    case 1:
        status = k2_tag_set(engine, k2_slice_of("here"), newest.id, error);
        return status == K2_OK ? k2_tag_delete(engine, k2_slice_of("here"), error) : status;
    case 2:
        return k2_policy_set(engine, table, &policy, error);
    default: // all that is older than now
        status = k2_policy_set(engine, table, &policy, error);
        return status == K2_OK
                   ? k2_retain(engine, table, newest.time_ns + century_ns, false, &retained, error)
                   : status;
    }
}

static void *run(void *context)
{
    struct changer *self = context;
    uint64_t chance = test_seed();
    struct k2_error error;
    while (!atomic_load(&self->ends) && self->failure[0] == '\0') {
        if (self->change(self, &chance, &error) != K2_OK) {
            (void)snprintf(self->failure, sizeof self->failure, "%.190s", error.text);
        }
        self->turns++;
    }
    return NULL;
}

// Corrections and deletions of few keys; each price tells which commit it came with.
static void commit_some(struct test_store *store, int64_t number, uint64_t *chance, int64_t *prices)
{
    struct test_trade trades[BATCH_ROWS];
    bool deletes[BATCH_ROWS];
    struct k2_commit *commit = NULL;
    struct k2_commit_outcome outcome;
    struct k2_error error;
    uint64_t snapshot;
    for (size_t i = 0; i < BATCH_ROWS; i++) {
        int64_t time_ns = (int64_t)test_random_below(chance, TIMES);
        deletes[i] = test_random_below(chance, 4) == 0 && prices[time_ns] > 0;
        trades[i] = (struct test_trade){"A", time_ns, 1, number, 1};
        prices[time_ns] = deletes[i] ? 0 : number;
    }
    test_store_fill(store, trades, BATCH_ROWS);
    for (size_t i = 0; i < BATCH_ROWS; i++) {
        enum k2_row_op op = deletes[i] ? K2_OP_DELETE : K2_OP_PUT;
        assert_int_equal(k2_row_batch_set_op(store->batch, i, op, NULL), K2_OK);
    }
    if (k2_commit_begin(store->engine, &commit, &error) != K2_OK ||
        k2_commit_add(commit, store->batch, K2_NUMBERING_SPARSE, &outcome, &error) != K2_OK ||
        k2_commit_finish(commit, &snapshot, &error) != K2_OK) {
        fail_msg("%s", error.text);
    }
    assert_int_equal(outcome.conflict_count, 0);
}

static void expect_store(struct test_store *store, const int64_t *prices)
{
    struct k2_table_counters counters;
    const struct k2_check_options options = {.deep = true};
    struct k2_check_report report;
    struct k2_buffer expected;
    uint64_t rows = 0;
    k2_buffer_init(&expected, 1 << 20);
    for (int i = 0; i < TIMES; i++) {
        if (prices[i] > 0) {
            k2_put_format(&expected, "A %d 1 %lld 1;", i, (long long)prices[i]);
            rows++;
        }
    }
    k2_put_u8(&expected, 0);
    char *shown = test_store_rows(store, 0);
    assert_string_equal(shown, (char *)expected.data);
    assert_int_equal(k2_engine_counters(store->engine, store->table, &counters, NULL), K2_OK);
    assert_int_equal(counters.rows, rows);
    assert_int_equal(k2_check(store->engine, &options, &report, NULL), K2_OK);
    assert_int_equal(report.findings, 0);
    k2_free(shown);
    k2_buffer_deinit(&expected);
}

static void commits_and_what_changes_their_rules_do_not_cross(void **state)
{
    (void)state;
    struct test_store store;
    struct k2_policy policy = {.duplicates = K2_KEEP_LAST};
    struct test_budget budget = {0};
    uint64_t chance = test_seed() + 1;
    int64_t prices[TIMES] = {0}, number = 1;
    pthread_t thread;
    print_message("seed %llu\n", (unsigned long long)test_seed());
    test_store_open(&store);
    struct changer changer = {.store = &store, .change = change};
    assert_int_equal(k2_policy_set(store.engine, store.table, &policy, NULL), K2_OK);
    assert_int_equal(pthread_create(&thread, NULL, run, &changer), 0);
    while (test_goes_on(&budget, 1000 / (uint64_t)test_stride(8)) && number < 200000) {
        commit_some(&store, number++, &chance, prices);
    }
    atomic_store(&changer.ends, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    print_message("# %lld commits beside %u changes\n", (long long)number - 1, changer.turns);
    assert_string_equal(changer.failure, "");
    expect_store(&store, prices);
    test_store_reopen(&store, K2_ENGINE_WRITE);
    expect_store(&store, prices);
    test_store_close(&store);
}

// All that is older than where the commits are, but for 300 ns.
static enum k2_status drop_old(struct changer *self, uint64_t *chance, struct k2_error *error)
{
    struct k2_engine *engine = self->store->engine;
    const struct k2_compact_options options = {.full = false};
    struct k2_compact_report compacted;
    struct k2_retain_report retained;
    if (test_random_below(chance, 8) == 0) {
        return k2_compact(engine, &options, &compacted, error);
    }
    bool dry_run = test_random_below(chance, 4) == 0;
    return k2_retain(engine, self->store->table, atomic_load(&self->cut_ns) + 1, dry_run, &retained,
                     error);
}

// Rows of times that go up, and one that is late, maybe older than what was dropped.
static void commit_row_and_late_one(struct test_store *store, int64_t number)
{
    const struct test_trade trades[] = {{"A", number * 10, 1, number, 1},
                                        {"B", number * 10 - number % 700, 2, number, 1}};
    struct k2_commit_outcome outcome;
    (void)test_store_commit(store, trades, 2, K2_NUMBERING_SPARSE, &outcome);
    assert_int_equal(outcome.conflict_count, 0);
}

// The rows of the commits from 1 to `last` that are not older than `cut_ns`.
static void expect_since(struct test_store *store, int64_t last, int64_t cut_ns)
{
    struct k2_table_counters counters;
    const struct k2_check_options options = {.deep = true};
    struct k2_check_report report;
    uint64_t rows = 0, seen = 0;
    int64_t sum = 0;
    for (int64_t number = 1; number <= last; number++) {
        int64_t times[] = {number * 10, number * 10 - number % 700};
        for (int i = 0; i < 2; i++) {
            rows += times[i] >= cut_ns;
            sum += times[i] >= cut_ns ? times[i] : 0;
        }
    }
    char *shown = test_store_rows(store, 0);
    for (char *row = shown; *row != '\0'; row = strchr(row, ';') + 1) {
        seen++;
        sum -= strtoll(row + 2, NULL, 10);
    }
    k2_free(shown);
    assert_int_equal(seen, rows);
    assert_int_equal(sum, 0);
    assert_int_equal(k2_engine_counters(store->engine, store->table, &counters, NULL), K2_OK);
    assert_int_equal(counters.rows, rows);
    assert_int_equal(k2_check(store->engine, &options, &report, NULL), K2_OK);
    assert_int_equal(report.findings, 0);
}

static void old_rows_go_while_others_come(void **state)
{
    (void)state;
    struct test_store store;
    struct k2_policy policy = {.duplicates = K2_KEEP_FIRST, .retention_ns = 1};
    struct test_budget budget = {0};
    struct k2_retain_report report;
    int64_t number = 0;
    pthread_t thread;
    test_store_open(&store);
    struct changer changer = {.store = &store, .change = drop_old};
    assert_int_equal(k2_policy_set(store.engine, store.table, &policy, NULL), K2_OK);
    commit_row_and_late_one(&store, ++number);
    assert_int_equal(pthread_create(&thread, NULL, run, &changer), 0);
    while (test_goes_on(&budget, 1000 / (uint64_t)test_stride(8)) && number < 200000) {
        commit_row_and_late_one(&store, ++number);
        atomic_store(&changer.cut_ns, number * 10 - 300);
        (void)usleep(100); // the lock of commits is not fair
    }
    atomic_store(&changer.ends, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    print_message("# %lld commits beside %u changes\n", (long long)number, changer.turns);
    assert_string_equal(changer.failure, "");
    int64_t cut_ns = number * 10 - 200; // and what came late
    assert_int_equal(k2_retain(store.engine, store.table, cut_ns + 1, false, &report, NULL), K2_OK);
    expect_since(&store, number, cut_ns);
    test_store_reopen(&store, K2_ENGINE_WRITE);
    expect_since(&store, number, cut_ns);
    test_store_close(&store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(old_rows_go_while_others_come),
        cmocka_unit_test(commits_and_what_changes_their_rules_do_not_cross),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
