// Thousands of commits: opening the first, the last or any snapshot finds what it should, and what
// it costs is printed. 5,000 commits; 100,000 in torture.
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/commit.h"
#include "engine/instruments.h"
#include "engine/scan.h"
#include "engine/snapshot.h"
#include "tests/support/folder.h"
#include "tests/support/tier.h"

enum { ROWS_A_COMMIT = 4, SAMPLES = 400 };

static const struct k2_table *trades_of(struct k2_engine *engine)
{
    const struct k2_table *table = k2_engine_table(engine, k2_slice_of("trades"));
    struct k2_schema *schema = NULL;
    if (table == NULL) {
        assert_int_equal(k2_schema_builtin(&schema, "trades", NULL), K2_OK);
        assert_int_equal(k2_engine_add_table(engine, &schema, &table, NULL), K2_OK);
    }
    return table;
}

static uint64_t commit_rows(struct k2_engine *engine, struct k2_row_batch *batch, size_t turn)
{
    struct k2_error error = {0};
    size_t price = (size_t)k2_schema_find(batch->schema, k2_slice_of("price"));
    size_t quantity = (size_t)k2_schema_find(batch->schema, k2_slice_of("quantity"));
    k2_row_batch_clear(batch);
    for (size_t i = 0; i < ROWS_A_COMMIT; i++) {
        int64_t number = (int64_t)(turn * ROWS_A_COMMIT + i);
        struct k2_row_key key = {.time_ns = number * 1000, .sequence = number};
        size_t row;
        assert_int_equal(k2_instrument_intern(engine, k2_slice_of("TEST"),
                                              k2_slice_of(i % 2 == 0 ? "A" : "B"), &key.instrument,
                                              NULL),
                         K2_OK);
        assert_int_equal(k2_row_batch_add(batch, &key, 0, &row, NULL), K2_OK);
        k2_row_batch_set_value(batch, row, price, number);
        k2_row_batch_set_value(batch, row, quantity, 1);
    }
    struct k2_commit *commit = NULL;
    struct k2_commit_outcome outcome;
    uint64_t snapshot = 0;
    enum k2_status status = k2_commit_begin(engine, &commit, &error);
    if (status == K2_OK) {
        status = k2_commit_add(commit, batch, K2_NUMBERING_SPARSE, &outcome, &error);
    }
    if (status == K2_OK) {
        status = k2_commit_finish(commit, &snapshot, &error);
    }
    if (status != K2_OK) {
        fail_msg("commit %zu: %s", turn, error.text);
    }
    return snapshot;
}

// Resolves the snapshot and reads the newest rows that it shows. Gives the time in microseconds.
static int64_t open_snapshot(struct k2_engine *engine, uint64_t id, size_t turn)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%" PRIu64, id);
    struct k2_error error = {0};
    struct k2_snapshot snapshot;
    int64_t begun = test_now_ns();
    enum k2_status status = k2_snapshot_resolve(engine, k2_slice_of(text), &snapshot, &error);
    const size_t columns[] = {K2_SEQUENCE};
    struct k2_scan_request request = {.table = trades_of(engine),
                                      .snapshot = id,
                                      .columns = columns,
                                      .column_count = 1,
                                      .order = K2_ORDER_TIME_DESCENDING,
                                      .limit = 1};
    int64_t opened = test_now_ns() - begun;
    struct k2_scan *scan = NULL;
    const struct k2_vector *rows;
    size_t row_count = 0;
    if (status == K2_OK) {
        status = k2_scan_open(engine, &request, &scan, &error);
    }
    if (status == K2_OK) {
        status = k2_scan_next(scan, &rows, &row_count, &error);
    }
    if (status != K2_OK) {
        fail_msg("snapshot %" PRIu64 ": %s", id, error.text);
    }
    assert_int_equal(row_count, 1);
    assert_int_equal(rows[0].values[0], (int64_t)((turn + 1) * ROWS_A_COMMIT - 1));
    assert_int_equal(snapshot.tables[0].rows, (turn + 1) * ROWS_A_COMMIT);
    k2_scan_close(scan);
    return opened / 1000;
}

static int order_numbers(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left;
    int64_t b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

static void measure(struct k2_engine *engine, const char *which, const uint64_t *snapshots,
                    size_t first, size_t count, uint64_t *chance)
{
    static int64_t costs[SAMPLES];
    for (size_t i = 0; i < SAMPLES; i++) {
        size_t turn = first + (size_t)test_random_below(chance, count);
        costs[i] = open_snapshot(engine, snapshots[turn], turn);
    }
    qsort(costs, SAMPLES, sizeof costs[0], order_numbers);
    print_message("# open %s snapshot: p50 %" PRId64 " us, p99 %" PRId64 " us\n", which,
                  costs[SAMPLES / 2], costs[SAMPLES * 99 / 100]);
}

static void any_of_many_snapshots_opens(void **state)
{
    (void)state;
    size_t commits = test_is_torture() ? 100000 : 5000 / (size_t)test_stride(5);
    uint64_t chance = test_seed();
    char path[TEST_PATH_BYTES];
    test_folder_make(path);
    struct k2_engine *engine = NULL;
    assert_int_equal(k2_engine_open(&engine, path, K2_ENGINE_CREATE, NULL), K2_OK);
    uint64_t *snapshots = calloc(commits, sizeof *snapshots);
    assert_non_null(snapshots);
    struct k2_row_batch *batch = NULL;
    assert_int_equal(
        k2_row_batch_create(&batch, trades_of(engine)->schema, ROWS_A_COMMIT, false, NULL), K2_OK);
    int64_t begun = test_now_ns();
    for (size_t turn = 0; turn < commits; turn++) {
        snapshots[turn] = commit_rows(engine, batch, turn);
    }
    print_message("# %zu commits, %" PRId64 " us each\n", commits,
                  (test_now_ns() - begun) / 1000 / (int64_t)commits);
    measure(engine, "the first", snapshots, 0, 1, &chance);
    measure(engine, "the last", snapshots, commits - 1, 1, &chance);
    measure(engine, "a random", snapshots, 0, commits, &chance);
    k2_row_batch_destroy(batch);
    k2_engine_close(engine);
    free(snapshots);
    test_folder_remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_of_many_snapshots_opens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
