// Which groups are rewritten when, and that files do not keep space that nobody needs.
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "engine/check.h"
#include "engine/compact.h"
#include "engine/level_work.h"
#include "engine/policy.h"
#include "format/base/alloc.h"
#include "tests/support/store_rows.h"
#include "tests/support/tier.h"

static const int64_t hour_ns = (int64_t)3600 * 1000000000, day_ns = (int64_t)86400 * 1000000000;

// ---- choosing

enum { MOST_GROUPS = 128 };

struct group {
    uint16_t level;
    uint64_t segment_id;
    int64_t first_hour, last_hour; // of the newest day if negative or zero
    uint32_t rows;
    size_t times;   // as many of them; 0: one
    uint32_t bytes; // 0: a page
};

struct choice {
    const char *name;
    struct group groups[6];
    enum k2_level_effort effort;
    uint64_t newest_segment;
    uint64_t sparse; // a file, 0: none
    enum k2_level_task task;
    uint16_t level; // of a fold
    size_t inputs;
};

static const struct choice choices[] = {
    {"nothing", {{0}}, K2_EFFORT_FULL, 9, 0, K2_TASK_NONE, 0, 0},
    {"a few commits wait",
     {{K2_LEVEL_COMMIT, 1, 0, 0, 9, 0, 0}},
     K2_EFFORT_BOUND,
     0,
     0,
     K2_TASK_NONE,
     0,
     0},
    {"they are sorted on demand",
     {{K2_LEVEL_COMMIT, 1, 0, 0, 9, 0, 0}},
     K2_EFFORT_SORTED,
     0,
     0,
     K2_TASK_SORT,
     0,
     1},
    {"commits in a sparse file go elsewhere",
     {{K2_LEVEL_COMMIT, 1, 0, 0, 9, 0, 0}, {K2_LEVEL_COMMIT, 2, 0, 0, 9, 0, 0}},
     K2_EFFORT_BOUND,
     0,
     1,
     K2_TASK_FOLD,
     K2_LEVEL_FOLD,
     1},
    {"so do folds",
     {{K2_LEVEL_FOLDS, 3, 0, 0, 9, 0, 0}},
     K2_EFFORT_BOUND,
     0,
     3,
     K2_TASK_FOLD,
     K2_LEVEL_FOLDS,
     1},
    {"and late rows",
     {{K2_LEVEL_LATE, 3, 0, 0, 9, 0, 0}, {K2_LEVEL_DAILY, 4, -30, -25, 65536, 0, 0}},
     K2_EFFORT_BOUND,
     0,
     3,
     K2_TASK_FOLD,
     K2_LEVEL_LATE,
     1},
    {"and sorted ones, with those between them",
     {{K2_LEVEL_DAILY, 3, -9, -5, 9, 0, 0},
      {K2_LEVEL_DAILY, 4, -6, -4, 9, 0, 0},
      {K2_LEVEL_DAILY, 4, -3, -2, 9, 0, 0}},
     K2_EFFORT_BOUND,
     0,
     3,
     K2_TASK_MERGE,
     0,
     2},
    {"and history, which nothing else moves",
     {{K2_LEVEL_HISTORY, 3, -9, -5, 9, 0, 0},
      {K2_LEVEL_HISTORY, 4, -9, -5, 65536, 0, 0},
      {K2_LEVEL_DAILY, 4, 0, 0, 9, 0, 0}},
     K2_EFFORT_BOUND,
     0,
     3,
     K2_TASK_FOLD,
     K2_LEVEL_HISTORY,
     1},
    {"large history stays",
     {{K2_LEVEL_HISTORY, 4, -9, -5, 65536, 0, 0}, {K2_LEVEL_HISTORY, 4, 0, 0, 9, 0, 0}},
     K2_EFFORT_BOUND,
     0,
     0,
     K2_TASK_NONE,
     0,
     0},
    {"full: what the work wrote itself is done",
     {{K2_LEVEL_DAILY, 8, -9, -5, 9, 0, 0}},
     K2_EFFORT_FULL,
     7,
     0,
     K2_TASK_NONE,
     0,
     0},
    {"full: what is older is not",
     {{K2_LEVEL_DAILY, 7, -9, -5, 9, 0, 0}, {K2_LEVEL_DAILY, 8, 0, 0, 9, 0, 0}},
     K2_EFFORT_FULL,
     7,
     0,
     K2_TASK_MERGE,
     0,
     1},
    {"an hourly group of a day that is over is daily as it is",
     {{K2_LEVEL_HOURLY, 7, -30, -29, 9, 0, 0}, {K2_LEVEL_HOURLY, 7, 0, 0, 9, 0, 0}},
     K2_EFFORT_BOUND,
     0,
     0,
     K2_TASK_SETTLE,
     0,
     1},
    {"small ones are put together",
     {{K2_LEVEL_HOURLY, 7, -30, -29, 9, 0, 0},
      {K2_LEVEL_HOURLY, 7, -28, -27, 9, 0, 0},
      {K2_LEVEL_HOURLY, 7, 0, 0, 9, 0, 0}},
     K2_EFFORT_BOUND,
     0,
     0,
     K2_TASK_MERGE,
     0,
     2},
    {"31 commits wait", {{K2_LEVEL_COMMIT, 1, 0, 0, 9, 31, 0}}, .task = K2_TASK_NONE},
    {"32 are folded",
     {{K2_LEVEL_COMMIT, 1, 0, 0, 9, 32, 0}},
     .task = K2_TASK_FOLD,
     .level = K2_LEVEL_FOLD,
     .inputs = 32},
    {"31 wait while nothing else is done",
     {{K2_LEVEL_COMMIT, 1, 0, 0, 9, 31, 0}},
     .effort = K2_EFFORT_FOLDS},
    {"32 are folded then, too",
     {{K2_LEVEL_COMMIT, 1, 0, 0, 9, 32, 0}, {K2_LEVEL_FOLD, 1, -2, -1, 9, 1, 0}},
     .effort = K2_EFFORT_FOLDS,
     .task = K2_TASK_FOLD,
     .level = K2_LEVEL_FOLD,
     .inputs = 32},
    {"one commit of many bytes waits", {{K2_LEVEL_COMMIT, 1, 0, 0, 9, 1, 9 << 20}}, .inputs = 0},
    {"two are folded",
     {{K2_LEVEL_COMMIT, 1, 0, 0, 9, 2, 4 << 20}},
     .task = K2_TASK_FOLD,
     .level = K2_LEVEL_FOLD,
     .inputs = 2},
    {"commits of many rows are sorted",
     {{K2_LEVEL_COMMIT, 1, 0, 0, 9000, 32, 0}},
     .task = K2_TASK_SORT,
     .inputs = 32},
    {"32 folds become one",
     {{K2_LEVEL_FOLD, 1, 0, 0, 9, 32, 0}},
     .task = K2_TASK_FOLD,
     .level = K2_LEVEL_FOLDS,
     .inputs = 32},
    {"folds of many rows are sorted",
     {{K2_LEVEL_FOLD, 1, 0, 0, 65536, 4, 0}},
     .task = K2_TASK_SORT,
     .inputs = 4},
    {"16 folds of folds are sorted",
     {{K2_LEVEL_FOLDS, 1, 0, 0, 9, 16, 0}},
     .task = K2_TASK_SORT,
     .inputs = 16},
    {"folds of an hour that is over are sorted",
     {{K2_LEVEL_FOLD, 1, -2, -1, 9, 1, 0}, {K2_LEVEL_FOLDS, 1, -4, -1, 9, 1, 0}},
     .task = K2_TASK_SORT,
     .inputs = 2},
    {"one of this hour keeps all waiting",
     {{K2_LEVEL_FOLD, 1, -2, -1, 9, 1, 0}, {K2_LEVEL_FOLDS, 1, -4, 0, 9, 1, 0}},
     .task = K2_TASK_NONE},
    {"seven late groups wait",
     {{K2_LEVEL_LATE, 3, -30, -25, 9, 7, 0}, {K2_LEVEL_DAILY, 4, -30, -25, 65536, 1, 0}},
     .task = K2_TASK_NONE},
    {"eight are folded",
     {{K2_LEVEL_LATE, 3, -30, -25, 9, 8, 0}, {K2_LEVEL_DAILY, 4, -30, -25, 65536, 1, 0}},
     .task = K2_TASK_FOLD,
     .level = K2_LEVEL_LATE,
     .inputs = 8},
    {"eight large ones are merged",
     {{K2_LEVEL_LATE, 3, -30, -25, 40000, 8, 0}, {K2_LEVEL_DAILY, 4, -30, -25, 65536, 60, 0}},
     .task = K2_TASK_MERGE,
     .inputs = 68},
    {"a tenth is merged",
     {{K2_LEVEL_LATE, 3, -30, -25, 9, 2, 0}, {K2_LEVEL_DAILY, 4, -30, -25, 180, 1, 0}},
     .task = K2_TASK_MERGE,
     .inputs = 3},
    {"31 groups of history wait", {{K2_LEVEL_HISTORY, 3, -30, -25, 9, 31, 0}}, .inputs = 0},
    {"32 become one",
     {{K2_LEVEL_HISTORY, 3, -30, -25, 9, 32, 0}},
     .task = K2_TASK_FOLD,
     .level = K2_LEVEL_HISTORY,
     .inputs = 32},
};

static void groups_are_chosen(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++) {
        const struct choice *choice = &choices[i];
        struct k2_plan_group groups[MOST_GROUPS] = {0};
        size_t count = 0;
        int64_t newest_ns = 100 * day_ns + hour_ns / 2;
        for (size_t j = 0; j < 6 && choice->groups[j].rows > 0; j++) {
            const struct group *group = &choice->groups[j];
            for (size_t turn = 0; turn == 0 || turn < group->times; turn++, count++) {
                assert_true(count < MOST_GROUPS);
                groups[count] = (struct k2_plan_group){
                    .segment_id = group->segment_id,
                    .offset = 4096 * (count + 1),
                    .length_bytes = group->bytes == 0 ? 4096 : group->bytes,
                    .row_count = group->rows,
                    .time_min_ns = 100 * day_ns + group->first_hour * hour_ns,
                    .time_max_ns = 100 * day_ns + group->last_hour * hour_ns,
                    .level = group->level,
                };
            }
        }
        const struct k2_level_state level_state = {
            .groups = groups,
            .group_count = count,
            .newest_ns = newest_ns,
            .effort = choice->effort,
            .newest_segment = choice->newest_segment,
            .sparse = &choice->sparse,
            .sparse_count = choice->sparse != 0,
        };
        struct k2_level_job job;
        assert_int_equal(k2_levels_choose(&level_state, &job, NULL), K2_OK);
        if (job.task != choice->task || job.input_count != choice->inputs ||
            (job.task == K2_TASK_FOLD && job.level != choice->level)) {
            fail_msg("%s: task %d, level %d, %zu inputs", choice->name, (int)job.task, job.level,
                     job.input_count);
        }
        k2_level_job_deinit(&job);
    }
}

// ---- space

static uint64_t file_bytes(const struct test_store *store)
{
    char path[TEST_PATH_BYTES + 300];
    (void)snprintf(path, sizeof path, "%s/segments", store->folder);
    DIR *folder = opendir(path);
    uint64_t bytes = 0;
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        struct stat about;
        (void)snprintf(path, sizeof path, "%s/segments/%s", store->folder, entry->d_name);
        assert_int_equal(stat(path, &about), 0);
        bytes += S_ISREG(about.st_mode) ? (uint64_t)about.st_size : 0;
    }
    (void)closedir(folder);
    return bytes;
}

static void commit_rows(struct test_store *store, int64_t first, int64_t step, size_t count,
                        int64_t price)
{
    enum { PART = 16384 };
    struct test_trade *trades = k2_alloc_zero(PART, sizeof *trades);
    struct k2_commit_outcome outcome;
    uint64_t chance = (uint64_t)first;
    for (size_t done = 0; done < count; done += PART) {
        size_t part = count - done < PART ? count - done : PART;
        for (size_t i = 0; i < part; i++) {
            int64_t number = first + (int64_t)(done + i) * step;
            trades[i] = (struct test_trade){
                .symbol = number % 2 == 0 ? "AAA" : "BBB",
                .time_ns = number * 1000,
                .sequence = number,
                .price = price + (int64_t)test_random_below(&chance, 1000000000),
                .quantity = number * 31 % 1009,
            };
        }
        (void)test_store_commit(store, trades, part, K2_NUMBERING_SPARSE, &outcome);
        assert_int_equal(outcome.stored, part);
    }
    k2_free(trades);
}

static void compact(struct test_store *store, bool full)
{
    struct k2_compact_options options = {.full = full};
    struct k2_compact_report report;
    struct k2_check_options deep = {.deep = true};
    struct k2_check_report found;
    assert_int_equal(k2_compact(store->engine, &options, &report, NULL), K2_OK);
    assert_int_equal(k2_check(store->engine, &deep, &found, NULL), K2_OK);
    assert_int_equal(found.findings, 0);
}

static uint64_t live_bytes(struct test_store *store)
{
    struct k2_table_counters counters;
    uint64_t bytes = 0;
    const struct k2_table *table;
    for (size_t i = 0; (table = k2_engine_table_at(store->engine, i)) != NULL; i++) {
        assert_int_equal(k2_engine_counters(store->engine, table, &counters, NULL), K2_OK);
        bytes += counters.bytes;
    }
    return bytes;
}

// Corrections leave history groups behind, which must not hold the files that they were written to.
static void corrected_tables_do_not_grow(void **state)
{
    (void)state;
    enum { ROWS = 100000, ROUNDS = 3, FILES_MOST = 16 };
    struct test_store store;
    test_store_open(&store);
    struct k2_policy policy = {.duplicates = K2_KEEP_LAST};
    assert_int_equal(k2_policy_set(store.engine, store.table, &policy, NULL), K2_OK);
    commit_rows(&store, 0, 1, ROWS, 0);
    for (int64_t round = 1; round <= ROUNDS; round++) {
        commit_rows(&store, round, 1000, ROWS / 1000 - 1, round);
        compact(&store, true);
        assert_true(file_bytes(&store) <= live_bytes(&store) + FILES_MOST * 4096);
    }
    test_store_close(&store);
}

static void step(struct test_store *store, const struct k2_table *table,
                 enum k2_level_effort effort)
{
    const struct k2_level_request request = {.effort = effort};
    struct k2_rewrite_report report;
    for (bool done = true; done;) {
        assert_int_equal(k2_level_step(store->engine, table, &request, &done, &report, NULL),
                         K2_OK);
    }
}

// A group of another table does not hold the large file that both were committed to.
static void bounded_work_gives_back_mostly_empty_files(void **state)
{
    (void)state;
    enum { ROWS = 300000 };
    struct test_store store;
    const struct k2_table *table;
    test_store_open(&store);
    struct k2_policy policy = {.duplicates = K2_KEEP_LAST}; // writes to `_log`, into the same file
    assert_int_equal(k2_policy_set(store.engine, store.table, &policy, NULL), K2_OK);
    commit_rows(&store, 0, 1, ROWS, 0);
    uint64_t before = live_bytes(&store);
    assert_true(before > 1 << 20);
    test_store_reopen(&store, K2_ENGINE_WRITE); // begins another file
    step(&store, store.table, K2_EFFORT_SORTED);
    test_store_reopen(&store, K2_ENGINE_WRITE); // collects
    assert_true(file_bytes(&store) > before + live_bytes(&store) / 2);
    for (size_t i = 0; (table = k2_engine_table_at(store.engine, i)) != NULL; i++) {
        step(&store, table, K2_EFFORT_BOUND);
    }
    test_store_reopen(&store, K2_ENGINE_WRITE);
    assert_true(file_bytes(&store) < live_bytes(&store) + (1 << 19));
    test_store_close(&store);
}

// Of two groups that overlap, one ends yesterday and one today.
static void work_at_the_border_of_a_day_ends(void **state)
{
    (void)state;
    enum { YESTERDAY = 70000, TODAY = 50 };
    struct test_store store;
    struct test_trade *trades = k2_alloc_zero(YESTERDAY, sizeof *trades);
    struct k2_commit_outcome outcome;
    test_store_open(&store);
    for (size_t done = 0; done < YESTERDAY + TODAY; done += 10000) {
        size_t count = done < YESTERDAY ? 10000 : TODAY;
        for (size_t i = 0; i < count; i++) {
            trades[i] = (struct test_trade){
                .symbol = done < YESTERDAY ? "AAA" : "BBB",
                .time_ns = done < YESTERDAY ? (int64_t)(done + i) * 1000000000
                                            : day_ns - hour_ns + (int64_t)i * hour_ns / 10,
                .sequence = (int64_t)(done + i),
                .price = (int64_t)i,
            };
        }
        (void)test_store_commit(&store, trades, count, K2_NUMBERING_SPARSE, &outcome);
        assert_int_equal(outcome.stored, count);
    }
    const struct k2_level_request request = {.effort = K2_EFFORT_SORTED};
    struct k2_rewrite_report report;
    size_t steps = 0;
    for (bool done = true; done; steps++) {
        assert_int_equal(k2_level_step(store.engine, store.table, &request, &done, &report, NULL),
                         K2_OK);
        assert_true(steps < 8);
    }
    k2_free(trades);
    test_store_close(&store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_are_chosen),
        cmocka_unit_test(corrected_tables_do_not_grow),
        cmocka_unit_test(work_at_the_border_of_a_day_ends),
        cmocka_unit_test(bounded_work_gives_back_mostly_empty_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
