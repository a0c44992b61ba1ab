#include "engine/commit_log.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/support/folder.h"

enum { COMMITS = 1000 };

// Commit i (from 1) is at i * 10 us and adds i rows to table i % 3 + 1; every tenth is a
// compaction.
static struct k2_snapshot commit_of(uint64_t id)
{
    struct k2_snapshot snapshot = {
        .id = id,
        .time_ns = (int64_t)id * 10000,
        .operation = id % 10 == 0 ? K2_OPERATION_COMPACT : K2_OPERATION_APPEND,
    };
    if (id % 10 != 0) {
        snapshot.table_count = 1;
        snapshot.tables[0].table_id = (uint16_t)(id % 3 + 1);
        snapshot.tables[0].added = id;
    }
    return snapshot;
}

static uint64_t rows_of(uint64_t id, uint16_t table_id)
{
    uint64_t rows = 0;
    for (uint64_t i = 1; i <= id; i++) {
        rows += i % 10 != 0 && i % 3 + 1 == table_id ? i : 0;
    }
    return rows;
}

static void expect(const struct k2_snapshot *snapshot, uint64_t id)
{
    assert_int_equal(snapshot->id, id);
    assert_int_equal(snapshot->parent, id - 1);
    assert_int_equal(snapshot->time_ns, (int64_t)id * 10000);
    assert_int_equal(snapshot->operation,
                     id % 10 == 0 ? K2_OPERATION_COMPACT : K2_OPERATION_APPEND);
    for (size_t i = 0; i < snapshot->table_count; i++) {
        uint16_t table_id = snapshot->tables[i].table_id;
        assert_int_equal(snapshot->tables[i].rows, rows_of(id, table_id));
        bool adds = id % 10 != 0 && id % 3 + 1 == table_id;
        assert_int_equal(snapshot->tables[i].added, adds ? id : 0);
    }
}

static void every_commit_is_found_by_id_and_by_time(void **state)
{
    (void)state;
    char folder[TEST_PATH_BYTES];
    struct k2_store *store;
    struct k2_store_txn *txn;
    struct k2_snapshot snapshot;
    bool found;
    test_folder_make(folder);
    assert_int_equal(k2_store_open(&store, folder, true, NULL), K2_OK);
    assert_int_equal(k2_store_begin(store, true, &txn, NULL), K2_OK);
    assert_int_equal(k2_commit_log_newest(txn, &snapshot, NULL), K2_OK);
    assert_int_equal(snapshot.id, 0);
    assert_int_equal(k2_commit_log_at(txn, 5, &found, &snapshot, NULL), K2_OK);
    assert_false(found);
    for (uint64_t id = 1; id <= COMMITS; id++) {
        struct k2_snapshot commit = commit_of(id);
        assert_int_equal(k2_commit_log_append(txn, &commit, NULL), K2_OK);
        assert_int_equal(k2_commit_log_newest(txn, &snapshot, NULL), K2_OK);
        uint64_t newest;
        assert_int_equal(k2_commit_log_newest_id(txn, &newest, NULL), K2_OK);
        assert_int_equal(newest, snapshot.id);
        expect(&snapshot, id);
    }
    for (uint64_t id = 1; id <= COMMITS; id++) {
        assert_int_equal(k2_commit_log_get(txn, id, &found, &snapshot, NULL), K2_OK);
        assert_true(found);
        expect(&snapshot, id);
        for (int64_t later_ns = 0; later_ns < 10000; later_ns += 9999) {
            assert_int_equal(
                k2_commit_log_at(txn, (int64_t)id * 10000 + later_ns, &found, &snapshot, NULL),
                K2_OK);
            assert_true(found);
            expect(&snapshot, id);
        }
    }
    static const int64_t before[] = {INT64_MIN, 0, 9999};
    for (size_t i = 0; i < sizeof before / sizeof before[0]; i++) {
        assert_int_equal(k2_commit_log_at(txn, before[i], &found, &snapshot, NULL), K2_OK);
        assert_false(found);
    }
    assert_int_equal(k2_commit_log_at(txn, INT64_MAX, &found, &snapshot, NULL), K2_OK);
    assert_true(found && snapshot.id == COMMITS);
    assert_int_equal(k2_commit_log_get(txn, COMMITS + 1, &found, &snapshot, NULL), K2_OK);
    assert_false(found);
    assert_int_equal(k2_commit_log_get(txn, 0, &found, &snapshot, NULL), K2_OK);
    assert_false(found);
    assert_int_equal(k2_store_commit(txn, NULL), K2_OK);
    k2_store_close(store);
    test_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_commit_is_found_by_id_and_by_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
