#include "engine/commit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/check.h"
#include "engine/compact.h"
#include "engine/instruments.h"
#include "engine/snapshot.h"
#include "engine/store.h"
#include "format/base/alloc.h"
#include "tests/support/store_rows.h"
#include "tests/support/tier.h"

static void expect_rows(struct test_store *store, uint64_t snapshot, const char *expected)
{
    char *rows = test_store_rows(store, snapshot);
    assert_string_equal(rows, expected);
    k2_free(rows);
}

static void expect_sound(struct test_store *store)
{
    struct k2_check_options options = {.deep = true};
    struct k2_check_report report;
    struct k2_error error;
    assert_int_equal(k2_check(store->engine, &options, &report, &error), K2_OK);
    assert_int_equal(report.findings, 0);
}

static void rows_come_back_in_order_and_stay_after_reopening(void **state)
{
    (void)state;
    struct test_store store;
    struct k2_commit_outcome outcome;
    test_store_open(&store);
    const struct test_trade trades[] = {
        {"BBB", 20, 1, 5, 1}, {"AAA", 20, 2, 6, 1}, {"AAA", 10, 1, 7, 1}, {"BBB", -5, 9, 8, 1}};
    uint64_t first = test_store_commit(&store, trades, 4, K2_NUMBERING_SPARSE, &outcome);
    assert_int_equal(outcome.stored, 4);
    const char *expected = "BBB -5 9 8 1;AAA 10 1 7 1;AAA 20 2 6 1;BBB 20 1 5 1;";
    expect_rows(&store, 0, expected);
    const struct test_trade late = {"AAA", 15, 1, 9, 1};
    uint64_t second = test_store_commit(&store, &late, 1, K2_NUMBERING_SPARSE, &outcome);
    assert_int_equal(second, first + 1);
    expect_rows(&store, first, expected);
    const char *both = "BBB -5 9 8 1;AAA 10 1 7 1;AAA 15 1 9 1;AAA 20 2 6 1;BBB 20 1 5 1;";
    expect_rows(&store, second, both);
    test_store_reopen(&store, K2_ENGINE_READ);
    expect_rows(&store, first, expected);
    expect_rows(&store, 0, both);
    expect_sound(&store);
    test_store_close(&store);
}

// Each row commits `trades` after the base rows {AAA 10 1 7 1; AAA 10 2 8 1; BBB 10 1 9 1}.
static void duplicates_and_conflicts_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum k2_numbering numbering;
        struct test_trade trades[4];
        size_t count, stored, duplicates, conflicts;
    } rows[] = {
        {"the same row", K2_NUMBERING_SPARSE, {{"AAA", 10, 1, 7, 1}}, 1, 0, 1, 0},
        {"other price", K2_NUMBERING_SPARSE, {{"AAA", 10, 1, 6, 1}}, 1, 0, 0, 1},
        {"other sequence", K2_NUMBERING_SPARSE, {{"AAA", 10, 3, 7, 1}}, 1, 1, 0, 0},
        {"other time", K2_NUMBERING_SPARSE, {{"AAA", 11, 1, 7, 1}}, 1, 1, 0, 0},
        {"other symbol", K2_NUMBERING_SPARSE, {{"CCC", 10, 1, 7, 1}}, 1, 1, 0, 0},
        {"twice in one batch",
         K2_NUMBERING_SPARSE,
         {{"AAA", 11, 1, 7, 1}, {"AAA", 11, 1, 7, 1}, {"AAA", 11, 1, 8, 1}},
         3,
         1,
         1,
         1},
        {"twice in one batch and stored",
         K2_NUMBERING_SPARSE,
         {{"AAA", 10, 1, 6, 1}, {"AAA", 10, 1, 7, 1}},
         2,
         0,
         1,
         1},
        {"ordinal is probed alike", K2_NUMBERING_ORDINAL, {{"BBB", 10, 1, 9, 1}}, 1, 0, 1, 0},
        {"dense knows the number alone",
         K2_NUMBERING_DENSE,
         {{"AAA", 99, 1, 6, 6}, {"AAA", 99, 4, 6, 6}, {"AAA", 99, 3, 6, 6}, {"AAA", 98, 3, 1, 1}},
         4,
         2,
         2,
         0},
    };
    const struct test_trade base[] = {
        {"AAA", 10, 1, 7, 1}, {"AAA", 10, 2, 8, 1}, {"BBB", 10, 1, 9, 1}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct test_store store;
        struct k2_commit_outcome outcome;
        test_store_open(&store);
        (void)test_store_commit(&store, base, 3, K2_NUMBERING_SPARSE, &outcome);
        (void)test_store_commit(&store, rows[i].trades, rows[i].count, rows[i].numbering, &outcome);
        if (outcome.stored != rows[i].stored || outcome.duplicates != rows[i].duplicates ||
            outcome.conflict_count != rows[i].conflicts) {
            fail_msg("%s: %zu stored, %zu duplicates, %zu conflicts", rows[i].name, outcome.stored,
                     outcome.duplicates, outcome.conflict_count);
        }
        struct k2_table_counters counters;
        assert_int_equal(k2_engine_counters(store.engine, store.table, &counters, NULL), K2_OK);
        assert_int_equal(counters.stored + counters.duplicates + counters.rejected,
                         3 + rows[i].count);
        test_store_close(&store);
    }
}

static void dense_sources_remember_across_commits_and_restarts(void **state)
{
    (void)state;
    struct test_store store;
    struct k2_commit_outcome outcome;
    test_store_open(&store);
    const struct test_trade first[] = {
        {"AAA", 1, 1, 1, 1}, {"AAA", 2, 2, 1, 1}, {"AAA", 3, 5, 1, 1}};
    (void)test_store_commit(&store, first, 3, K2_NUMBERING_DENSE, &outcome);
    test_store_reopen(&store, K2_ENGINE_WRITE);
    const struct test_trade next[] = {
        {"AAA", 7, 2, 1, 1}, {"AAA", 8, 3, 1, 1}, {"AAA", 9, 6, 1, 1}};
    (void)test_store_commit(&store, next, 3, K2_NUMBERING_DENSE, &outcome);
    assert_int_equal(outcome.stored, 2);
    assert_int_equal(outcome.duplicates, 1);
    const struct test_trade sparse = {"AAA", 10, 7, 1, 1}; // from another source
    (void)test_store_commit(&store, &sparse, 1, K2_NUMBERING_SPARSE, &outcome);
    const struct test_trade again = {"AAA", 11, 7, 1, 1};
    (void)test_store_commit(&store, &again, 1, K2_NUMBERING_DENSE, &outcome);
    assert_int_equal(outcome.duplicates, 1);
    test_store_close(&store);
}

static void counters_progress_and_rows_are_one_commit(void **state)
{
    (void)state;
    struct test_store store;
    struct k2_commit *commit;
    struct k2_commit_outcome outcome;
    struct k2_buffer value;
    uint64_t snapshot = 99;
    bool found;
    test_store_open(&store);
    k2_buffer_init(&value, 100);
    assert_int_equal(k2_commit_begin(store.engine, &commit, NULL), K2_OK);
    assert_int_equal(
        k2_commit_set_progress(commit, k2_slice_of("kafka/t/0"), k2_slice_of("17"), NULL), K2_OK);
    k2_commit_count_rejected(commit, store.table, 3);
    assert_int_equal(k2_commit_finish(commit, &snapshot, NULL), K2_OK);
    assert_int_equal(snapshot, 0); // nothing stored: no new snapshot
    assert_int_equal(k2_commit_begin(store.engine, &commit, NULL), K2_OK);
    assert_int_equal(
        k2_commit_set_progress(commit, k2_slice_of("kafka/t/0"), k2_slice_of("18"), NULL), K2_OK);
    const struct test_trade trade = {"AAA", 1, 1, 1, 1};
    test_store_fill(&store, &trade, 1);
    assert_int_equal(k2_commit_add(commit, store.batch, K2_NUMBERING_SPARSE, &outcome, NULL),
                     K2_OK);
    k2_commit_abort(commit);
    test_store_reopen(&store, K2_ENGINE_WRITE);
    assert_int_equal(
        k2_engine_progress(store.engine, k2_slice_of("kafka/t/0"), &found, &value, NULL), K2_OK);
    assert_true(found && value.size_bytes == 2 && memcmp(value.data, "17", 2) == 0);
    struct k2_table_counters counters;
    assert_int_equal(k2_engine_counters(store.engine, store.table, &counters, NULL), K2_OK);
    assert_int_equal(counters.rejected, 3);
    assert_int_equal(counters.rows, 0);
    k2_buffer_deinit(&value);
    test_store_close(&store);
}

static void many_commits_keep_every_past_state_through_compaction(void **state)
{
    (void)state;
    enum { COMMITS = 300, ROWS = 7 };
    struct test_store store;
    struct k2_commit_outcome outcome;
    char *answers[4];
    const uint64_t kept[4] = {1, 57, 256, COMMITS};
    test_store_open(&store);
    uint64_t random = 88172645463325252u;
    for (int i = 0; i < COMMITS; i++) {
        struct test_trade trades[ROWS];
        for (int j = 0; j < ROWS; j++) {
            static const char *const symbols[] = {"AAA", "BBB", "CCC"};
            trades[j] = (struct test_trade){symbols[test_random_below(&random, 3)],
                                            (int64_t)test_random_below(&random, 50), i * ROWS + j,
                                            (int64_t)test_random_below(&random, 1 << 30),
                                            (int64_t)test_random_below(&random, 9)};
        }
        (void)test_store_commit(&store, trades, ROWS, K2_NUMBERING_SPARSE, &outcome);
        assert_int_equal(outcome.stored, ROWS);
    }
    for (int i = 0; i < 4; i++) {
        answers[i] = test_store_rows(&store, kept[i]);
    }
    for (int full = 0; full < 2; full++) {
        struct k2_compact_options options = {.full = full == 1};
        struct k2_compact_report report;
        struct k2_error error;
        if (k2_compact(store.engine, &options, &report, &error) != K2_OK) {
            fail_msg("%s", error.text);
        }
        assert_int_equal(report.segments_after, 3); // of trades, of _log, and where it goes on
        assert_int_equal(test_folder_count(store.folder, "segments"), 3);
        for (int i = 0; i < 4; i++) {
            expect_rows(&store, kept[i], answers[i]);
        }
        expect_sound(&store);
        test_store_reopen(&store, K2_ENGINE_WRITE);
    }
    struct k2_snapshot snapshot;
    assert_int_equal(k2_snapshot_newest(store.engine, &snapshot, NULL), K2_OK);
    assert_int_equal(snapshot.id, COMMITS + 2);
    assert_int_equal(snapshot.operation, K2_OPERATION_COMPACT);
    assert_int_equal(snapshot.tables[0].rows, COMMITS * ROWS);
    bool found;
    for (uint64_t id = 1; id <= COMMITS; id++) {
        assert_int_equal(k2_snapshot_get(store.engine, id, &found, &snapshot, NULL), K2_OK);
        assert_true(found && snapshot.id == id && snapshot.parent == id - 1);
        assert_int_equal(snapshot.tables[0].rows, id * ROWS);
        assert_int_equal(snapshot.tables[0].added, ROWS);
        char text[32];
        (void)snprintf(text, sizeof text, "%llu", (unsigned long long)id);
        struct k2_snapshot same;
        assert_int_equal(k2_snapshot_resolve(store.engine, k2_slice_of(text), &same, NULL), K2_OK);
        assert_int_equal(same.id, id);
    }
    for (int i = 0; i < 4; i++) {
        k2_free(answers[i]);
    }
    test_store_close(&store);
}

static void a_second_writer_is_told_the_pid(void **state)
{
    (void)state;
    struct test_store store;
    struct k2_engine *other = NULL;
    struct k2_error error;
    char pid[32];
    test_store_open(&store);
    assert_int_equal(k2_engine_open(&other, store.folder, K2_ENGINE_WRITE, &error), K2_BUSY);
    (void)snprintf(pid, sizeof pid, "process %ld ", (long)getpid());
    assert_non_null(strstr(error.text, pid));
    test_store_close(&store);
}

static void what_is_no_store_is_told_apart(void **state)
{
    (void)state;
    struct test_store store;
    struct k2_engine *engine = NULL;
    char folder[TEST_PATH_BYTES], path[TEST_PATH_BYTES + 16], moved[TEST_PATH_BYTES + 16];
    test_folder_make(folder);
    assert_int_equal(k2_engine_open(&engine, folder, K2_ENGINE_READ, NULL), K2_NOT_FOUND);
    assert_int_equal(k2_engine_open(&engine, folder, K2_ENGINE_WRITE, NULL), K2_NOT_FOUND);
    assert_int_equal(k2_engine_open(&engine, "", K2_ENGINE_CREATE, NULL), K2_BAD_REQUEST);
    assert_int_equal(k2_engine_open(&engine, "/dev/null", K2_ENGINE_CREATE, NULL), K2_BAD_REQUEST);
    test_folder_remove(folder);
    test_store_open(&store);
    struct k2_commit_outcome outcome;
    const struct test_trade trade = {"AAA", 1, 1, 1, 1};
    (void)test_store_commit(&store, &trade, 1, K2_NUMBERING_SPARSE, &outcome);
    (void)snprintf(path, sizeof path, "%s/index", store.folder);
    (void)snprintf(moved, sizeof moved, "%s/lost", store.folder);
    assert_int_equal(rename(path, moved), 0);
    assert_int_equal(k2_engine_open(&engine, store.folder, K2_ENGINE_READ, NULL), K2_CORRUPT);
    assert_int_equal(k2_engine_open(&engine, store.folder, K2_ENGINE_CREATE, NULL), K2_CORRUPT);
    test_store_close(&store);
}

// As another user, when the tests run as the superuser, whom nothing is forbidden.
static void what_may_not_be_read_is_not_taken_for_absent(void **state)
{
    (void)state;
    enum { NOBODY = 65534 };
    struct k2_engine *engine = NULL;
    char folder[TEST_PATH_BYTES], path[TEST_PATH_BYTES + 16];
    test_folder_make(folder);
    (void)snprintf(path, sizeof path, "%s/store", folder);
    assert_int_equal(k2_engine_open(&engine, path, K2_ENGINE_CREATE, NULL), K2_OK);
    k2_engine_close(engine);
    static const struct {
        const char *name;
        mode_t folder, store;
    } rows[] = {{"the folder above", 0, 0777}, {"the store itself", 0777, 0}};
    bool is_superuser = geteuid() == 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(chmod(path, rows[i].store), 0);
        assert_int_equal(chmod(folder, rows[i].folder), 0);
        assert_true(!is_superuser || seteuid(NOBODY) == 0);
        enum k2_status status = k2_engine_open(&engine, path, K2_ENGINE_READ, NULL);
        assert_true(!is_superuser || seteuid(0) == 0);
        assert_int_equal(chmod(folder, 0700), 0);
        assert_int_equal(chmod(path, 0700), 0);
        if (status != K2_NOT_PERMITTED) {
            fail_msg("%s: %s", rows[i].name, k2_status_name(status));
        }
    }
    test_folder_remove(folder);
}

// An index without content must not make a writer sweep the segments away.
static void segments_outlive_an_empty_index(void **state)
{
    (void)state;
    struct test_store store;
    struct k2_commit_outcome outcome;
    struct k2_engine *engine = NULL;
    char empty[TEST_PATH_BYTES], from[TEST_PATH_BYTES + 32], to[TEST_PATH_BYTES + 32];
    const struct test_trade trade = {"AAA", 1, 1, 1, 1};
    test_store_open(&store);
    (void)test_store_commit(&store, &trade, 1, K2_NUMBERING_SPARSE, &outcome);
    test_folder_make(empty);
    struct k2_store *index = NULL;
    assert_int_equal(k2_store_open(&index, empty, true, NULL), K2_OK);
    k2_store_close(index);
    (void)snprintf(from, sizeof from, "%s/data.mdb", empty);
    (void)snprintf(to, sizeof to, "%s/index/data.mdb", store.folder);
    k2_row_batch_destroy(store.batch);
    store.batch = NULL;
    k2_engine_close(store.engine);
    store.engine = NULL;
    assert_int_equal(rename(from, to), 0);
    assert_int_equal(k2_engine_open(&engine, store.folder, K2_ENGINE_CREATE, NULL), K2_CORRUPT);
    assert_int_equal(test_folder_count(store.folder, "segments"), 1);
    test_folder_remove(empty);
    test_store_close(&store);
}

static void tags_name_snapshots_once(void **state)
{
    (void)state;
    struct test_store store;
    struct k2_commit_outcome outcome;
    struct k2_snapshot snapshot;
    struct k2_tag *tags;
    size_t count;
    test_store_open(&store);
    const struct test_trade trade = {"AAA", 1, 1, 1, 1};
    uint64_t id = test_store_commit(&store, &trade, 1, K2_NUMBERING_SPARSE, &outcome);
    assert_int_equal(k2_tag_set(store.engine, k2_slice_of("close-1"), id, NULL), K2_OK);
    assert_int_equal(k2_tag_set(store.engine, k2_slice_of("close-1"), id, NULL), K2_LIMIT);
    assert_int_equal(k2_tag_set(store.engine, k2_slice_of("9close"), id, NULL), K2_BAD_REQUEST);
    assert_int_equal(k2_tag_set(store.engine, k2_slice_of("other"), id + 1, NULL), K2_NOT_FOUND);
    assert_int_equal(k2_snapshot_resolve(store.engine, k2_slice_of("close-1"), &snapshot, NULL),
                     K2_OK);
    assert_int_equal(snapshot.id, id);
    assert_int_equal(k2_tag_list(store.engine, &tags, &count, NULL), K2_OK);
    assert_int_equal(count, 1);
    assert_string_equal(tags[0].name, "close-1");
    k2_free(tags);
    assert_int_equal(k2_tag_delete(store.engine, k2_slice_of("close-1"), NULL), K2_OK);
    assert_int_equal(k2_tag_delete(store.engine, k2_slice_of("close-1"), NULL), K2_NOT_FOUND);
    static const char *const nothing[] = {"close-1", "999", "1970-01-01", "?"};
    for (size_t i = 0; i < sizeof nothing / sizeof nothing[0]; i++) {
        assert_int_equal(
            k2_snapshot_resolve(store.engine, k2_slice_of(nothing[i]), &snapshot, NULL),
            K2_NOT_FOUND);
    }
    test_store_close(&store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_back_in_order_and_stay_after_reopening),
        cmocka_unit_test(duplicates_and_conflicts_are_told_apart),
        cmocka_unit_test(dense_sources_remember_across_commits_and_restarts),
        cmocka_unit_test(counters_progress_and_rows_are_one_commit),
        cmocka_unit_test(many_commits_keep_every_past_state_through_compaction),
        cmocka_unit_test(a_second_writer_is_told_the_pid),
        cmocka_unit_test(what_is_no_store_is_told_apart),
        cmocka_unit_test(what_may_not_be_read_is_not_taken_for_absent),
        cmocka_unit_test(segments_outlive_an_empty_index),
        cmocka_unit_test(tags_name_snapshots_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
