// Maintenance beside commits: the number of unsorted groups stays bounded, no answer changes.
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/check.h"
#include "engine/file_io.h"
#include "engine/levels.h"
#include "engine/maintenance.h"
#include "format/base/alloc.h"
#include "tests/support/store_rows.h"
#include "tests/support/tier.h"

static size_t unsorted(struct test_store *store)
{
    struct k2_plan plan;
    struct k2_plan_request request = {
        .table = store->table,
        .time_min_ns = INT64_MIN,
        .time_max_ns = INT64_MAX,
        .snapshot = UINT64_MAX,
        .unsorted_only = true,
        .headers_only = true,
    };
    assert_int_equal(k2_plan_open(store->engine, &request, &plan, NULL), K2_OK);
    size_t count = plan.group_count;
    k2_plan_close(&plan);
    return count;
}

static void expect_sound(struct test_store *store)
{
    struct k2_check_options options = {.deep = true};
    struct k2_check_report report;
    assert_int_equal(k2_check(store->engine, &options, &report, NULL), K2_OK);
    assert_int_equal(report.findings, 0);
}

static struct k2_maintenance *start(struct test_store *store, uint64_t bytes_per_second)
{
    struct k2_maintenance *maintenance = NULL;
    const struct k2_maintenance_options options = {.bytes_per_second = bytes_per_second};
    assert_int_equal(k2_maintenance_start(&maintenance, store->engine, &options, NULL), K2_OK);
    return maintenance;
}

// Times go on by 20 s a commit; now and then a row is hours late.
static void commit_some(struct test_store *store, int64_t number, uint64_t *chance)
{
    static const char *const symbols[] = {"AAA", "BBB", "CCC", "DDD"};
    struct test_trade trades[8];
    struct k2_commit_outcome outcome;
    size_t count = 1 + test_random_below(chance, 8);
    for (size_t i = 0; i < count; i++) {
        int64_t late = test_random_below(chance, 50) == 0 ? 30000 : 0;
        trades[i] = (struct test_trade){
            .symbol = symbols[test_random_below(chance, 4)],
            .time_ns = (number * 20 + (int64_t)i - late) * 1000000000,
            .sequence = number * 8 + (int64_t)i,
            .price = (int64_t)test_random_below(chance, 1000),
            .quantity = 1,
        };
    }
    (void)test_store_commit(store, trades, count, K2_NUMBERING_SPARSE, &outcome);
    assert_int_equal(outcome.stored, count);
}

static void unsorted_groups_stay_bounded_through_every_commit(void **state)
{
    (void)state;
    enum { MOST_KEPT = 8 };
    int64_t commits = test_is_torture() ? 50000 : 1600 / test_stride(8);
    uint64_t chance = test_seed();
    struct test_store store;
    size_t most = 0;
    test_store_open(&store);
    struct k2_maintenance *maintenance = start(&store, 0);
    for (int64_t i = 0; i < commits; i++) {
        commit_some(&store, i, &chance);
        size_t count = unsorted(&store);
        most = count > most ? count : most;
        assert_true(count <= K2_MOST_UNSORTED_GROUPS);
    }
    k2_maintenance_settle(maintenance);
    struct k2_maintenance_figures figures;
    k2_maintenance_get(maintenance, &figures);
    assert_true(figures.rewrites > 0 && figures.bytes_written > 0);
    assert_string_equal(figures.reason, "");
    print_message("# %lld commits, at most %zu unsorted groups, %llu rewrites\n",
                  (long long)commits, most, (unsigned long long)figures.rewrites);
    k2_maintenance_stop(maintenance);
    expect_sound(&store);
    char *kept[MOST_KEPT];
    for (uint64_t i = 0; i < MOST_KEPT; i++) {
        kept[i] = test_store_rows(&store, 1 + i * (uint64_t)commits / MOST_KEPT);
    }
    test_store_reopen(&store, K2_ENGINE_WRITE);
    maintenance = start(&store, 0);
    k2_maintenance_settle(maintenance);
    k2_maintenance_stop(maintenance);
    for (uint64_t i = 0; i < MOST_KEPT; i++) {
        char *now = test_store_rows(&store, 1 + i * (uint64_t)commits / MOST_KEPT);
        assert_string_equal(now, kept[i]);
        k2_free(now);
        k2_free(kept[i]);
    }
    test_store_close(&store);
}

static void a_paused_one_does_nothing_and_holds_nobody_up(void **state)
{
    (void)state;
    struct test_store store;
    uint64_t chance = 7;
    test_store_open(&store);
    struct k2_maintenance *maintenance = start(&store, 1000000);
    k2_maintenance_pause(maintenance, true);
    for (int64_t i = 0; i < 120; i++) {
        commit_some(&store, i, &chance);
    }
    assert_int_equal(unsorted(&store), 120);
    k2_maintenance_pause(maintenance, false);
    k2_maintenance_settle(maintenance);
    assert_true(unsorted(&store) < K2_FOLD_GROUPS);
    k2_maintenance_stop(maintenance);
    expect_sound(&store);
    test_store_close(&store);
}

static int no_space(void *context, enum k2_file_operation operation)
{
    const atomic_bool *full = context;
    return *full && operation == K2_FILE_WRITE ? 28 : 0; // ENOSPC
}

static void a_full_disk_is_a_state_that_ends_by_itself(void **state)
{
    (void)state;
    struct test_store store;
    uint64_t chance = 7;
    atomic_bool full = true;
    struct k2_maintenance_figures figures = {0};
    test_store_open(&store);
    for (int64_t i = 0; i < 60; i++) {
        commit_some(&store, i, &chance);
    }
    char *before = test_store_rows(&store, 0);
    k2_file_set_hook(no_space, &full);
    struct k2_maintenance *maintenance = start(&store, 0);
    k2_maintenance_settle(maintenance);
    k2_maintenance_get(maintenance, &figures);
    assert_int_equal(figures.state, K2_MAINTENANCE_FULL);
    assert_non_null(strstr(figures.reason, "space"));
    assert_int_equal(unsorted(&store), 60);
    full = false;
    for (int i = 0; i < 100 && unsorted(&store) >= K2_FOLD_GROUPS; i++) {
        k2_maintenance_settle(maintenance);
    }
    assert_true(unsorted(&store) < K2_FOLD_GROUPS);
    k2_maintenance_stop(maintenance);
    k2_file_set_hook(NULL, NULL);
    char *after = test_store_rows(&store, 0);
    assert_string_equal(after, before);
    k2_free(before);
    k2_free(after);
    expect_sound(&store);
    test_store_close(&store);
}

int main(void)
{
    // pthread_create: this program runs under the thread sanitizer, too
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unsorted_groups_stay_bounded_through_every_commit),
        cmocka_unit_test(a_paused_one_does_nothing_and_holds_nobody_up),
        cmocka_unit_test(a_full_disk_is_a_state_that_ends_by_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
