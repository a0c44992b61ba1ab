// Readers are killed in the middle of scans while a writer commits and compacts: no error, no
// reader slot left behind, every replaced file unlinked.
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/garbage.h"
#include "engine/scan.h"
#include "engine/store.h"
#include "tests/support/folder.h"
#include "tests/support/tier.h"
#include "tests/support/workload.h"

enum { READERS_AT_ONCE = 8 };

// Another process: opens the store and scans until it is killed. Ends with 1 when a read fails.
static int read_for_ever(const char *path)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); // also when the test itself ends early
    struct k2_engine *engine = NULL;
    struct k2_error error = {0};
    enum k2_status status = k2_engine_open(&engine, path, K2_ENGINE_READ, &error);
    while (status == K2_OK) {
        struct k2_scan_request request = {.table = k2_engine_table(engine, k2_slice_of("trades"))};
        struct k2_scan *scan = NULL;
        status = k2_scan_open(engine, &request, &scan, &error);
        for (size_t row_count = 1; status == K2_OK && row_count > 0;) {
            const struct k2_vector *columns;
            status = k2_scan_next(scan, &columns, &row_count, &error);
        }
        k2_scan_close(scan);
    }
    (void)fprintf(stderr, "reader: %s\n", error.text);
    return 1;
}

// Another process: holds a read transaction, as between a plan and its mappings, until it is
// killed.
static int hold_for_ever(const char *path)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    char index_path[TEST_PATH_BYTES + 16], ready[TEST_PATH_BYTES + 16];
    (void)snprintf(index_path, sizeof index_path, "%s/index", path);
    (void)snprintf(ready, sizeof ready, "%s/ready", path);
    struct k2_store *store = NULL;
    struct k2_store_txn *txn = NULL;
    if (k2_store_open(&store, index_path, false, NULL) != K2_OK ||
        k2_store_begin(store, false, &txn, NULL) != K2_OK || mkdir(ready, 0750) != 0) {
        return 1;
    }
    for (;;) {
        (void)pause();
    }
}

// Spawned and not forked: a child that has not yet become the reader would hold LOCK.
static pid_t start_reader(char *role, char *path)
{
    char name[] = "test_killed_readers";
    char *arguments[] = {name, role, path, NULL};
    pid_t child = 0;
    assert_int_equal(posix_spawn(&child, "/proc/self/exe", NULL, NULL, arguments, environ), 0);
    return child;
}

static void kill_reader(pid_t child)
{
    (void)kill(child, SIGKILL);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
        fail_msg("a reader ended by itself: status %d", status);
    }
}

static void do_step(struct k2_engine **engine, const char *path, struct workload_journal *journal)
{
    struct k2_error error = {0};
    if (workload_step(engine, path, journal, &error) != K2_OK) {
        fail_msg("step %zu: %s", atomic_load(&journal->done), error.text);
    }
}

static void expect_nothing_pinned(const char *path)
{
    char index_path[TEST_PATH_BYTES + 16];
    (void)snprintf(index_path, sizeof index_path, "%s/index", path);
    struct k2_store *store = NULL;
    struct k2_error error = {0};
    uint64_t oldest = 0;
    if (k2_store_open(&store, index_path, true, &error) != K2_OK ||
        k2_store_oldest_reader(store, &oldest, &error) != K2_OK) {
        fail_msg("index: %s", error.text);
    }
    assert_true(oldest == UINT64_MAX);
    k2_store_close(store);
}

static size_t segments_named(struct k2_engine *engine)
{
    size_t segments = 0;
    const struct k2_table *table;
    for (size_t i = 0; (table = k2_engine_table_at(engine, i)) != NULL; i++) {
        struct k2_table_counters counters;
        assert_int_equal(k2_engine_counters(engine, table, &counters, NULL), K2_OK);
        segments += counters.segments;
    }
    return segments;
}

static void killed_readers_hold_nothing(void **state)
{
    (void)state;
    uint64_t chance = test_seed();
    size_t readers = test_is_torture() ? 2000 : 200 / (size_t)test_stride(4);
    print_message("# seed %llu, %zu readers\n", (unsigned long long)chance, readers);
    struct workload_journal *journal = workload_journal_create();
    struct k2_engine *engine = NULL;
    char path[TEST_PATH_BYTES];
    test_folder_make(path);
    assert_int_equal(workload_open(&engine, path, NULL), K2_OK);
    do_step(&engine, path, journal);
    pid_t running[READERS_AT_ONCE] = {0};
    char role[] = "read";
    for (size_t started = 0; started < readers; started++) {
        size_t place = (size_t)test_random_below(&chance, READERS_AT_ONCE);
        if (running[place] != 0) {
            kill_reader(running[place]);
        }
        running[place] = start_reader(role, path);
        if (started % 4 == 0) {
            do_step(&engine, path, journal); // every third or so of these compacts
        }
    }
    for (size_t i = 0; i < READERS_AT_ONCE; i++) {
        if (running[i] != 0) {
            kill_reader(running[i]);
        }
    }
    // The next commits find the slots of the dead and unlink what they held.
    for (size_t i = 0; i < WORKLOAD_STEPS; i++) {
        do_step(&engine, path, journal);
    }
    struct k2_error error = {0};
    if (!workload_matches(engine, journal, atomic_load(&journal->done), 8, &chance, &error)) {
        fail_msg("%s", error.text);
    }
    size_t left = 0;
    assert_int_equal(k2_garbage_collect(engine, &left, &error), K2_OK);
    assert_int_equal(left, 0);
    // One more file at most: the open tail.
    size_t named = segments_named(engine);
    size_t files = test_folder_count(path, "segments");
    print_message("# %zu steps, %zu files for %zu segments\n", atomic_load(&journal->done), files,
                  named);
    assert_true(files <= named + 1);
    k2_engine_close(engine);
    expect_nothing_pinned(path);
    test_folder_remove(path);
    workload_journal_destroy(journal);
}

// Segments that were replaced stay as long as a transaction from before is open, over commits and
// rewrites, and go when it ends.
static void a_reader_keeps_what_it_planned(void **state)
{
    (void)state;
    struct workload_journal *journal = workload_journal_create();
    struct k2_engine *engine = NULL;
    char path[TEST_PATH_BYTES], first[TEST_PATH_BYTES], ready[TEST_PATH_BYTES + 16];
    char role[] = "hold";
    test_folder_make(path);
    assert_int_equal(workload_open(&engine, path, NULL), K2_OK);
    do_step(&engine, path, journal);
    test_folder_first(path, "segments", first);
    pid_t child = start_reader(role, path);
    (void)snprintf(ready, sizeof ready, "%s/ready", path);
    for (int i = 0; i < 1000 && access(ready, F_OK) != 0; i++) {
        (void)usleep(10000);
    }
    assert_int_equal(access(ready, F_OK), 0);
    size_t left = 0;
    while (atomic_load(&journal->done) < WORKLOAD_STEPS) { // compacts and opens anew, too
        do_step(&engine, path, journal);
        assert_int_equal(k2_garbage_collect(engine, &left, NULL), K2_OK);
        assert_int_equal(access(first, F_OK), 0);
    }
    assert_true(left > 0);
    kill_reader(child);
    assert_int_equal(k2_garbage_collect(engine, &left, NULL), K2_OK);
    assert_int_equal(left, 0);
    assert_int_not_equal(access(first, F_OK), 0);
    k2_engine_close(engine);
    test_folder_remove(path);
    workload_journal_destroy(journal);
}

int main(int argument_count, char **arguments)
{
    if (argument_count == 3 && strcmp(arguments[1], "read") == 0) {
        return read_for_ever(arguments[2]);
    }
    if (argument_count == 3 && strcmp(arguments[1], "hold") == 0) {
        return hold_for_ever(arguments[2]);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reader_keeps_what_it_planned),
        cmocka_unit_test(killed_readers_hold_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
