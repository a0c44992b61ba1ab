// A process that works on a store dies at the k-th thing that it does to files or to the index, for
// every k. Whoever opens the store next finds every acknowledged step, none twice, none foreign.
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/check.h"
#include "engine/file_io.h"
#include "tests/support/folder.h"
#include "tests/support/tier.h"
#include "tests/support/workload.h"

// Dies before operation number `left`; K2_FILE_INDEX_COMMITTED is the moment after a commit.
static int die(void *context, enum k2_file_operation operation)
{
    long *left = context;
    (void)operation;
    if ((*left)-- == 0) {
        (void)kill(getpid(), SIGKILL);
    }
    return 0;
}

// In a child: opens the store and does steps up to `until`, dying at operation `operations`.
// True when the child lived.
static bool work_in_child(const char *path, struct workload_journal *journal, size_t until,
                          long operations)
{
    (void)fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct k2_engine *engine = NULL;
        struct k2_error error = {0};
        k2_file_set_hook(die, &operations);
        enum k2_status status = workload_open(&engine, path, &error);
        while (status == K2_OK && atomic_load(&journal->done) < until) {
            status = workload_step(&engine, path, journal, &error);
        }
        k2_engine_close(engine);
        if (status != K2_OK) {
            (void)fprintf(stderr, "step %zu: %s\n", atomic_load(&journal->done), error.text);
        }
        test_leave(status == K2_OK ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    bool died = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    assert_true(died || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
    return !died;
}

static void print_finding(void *context, const char *text)
{
    (void)context;
    print_error("finding: %s\n", text);
}

static void check_clean(struct k2_engine *engine, const char *where)
{
    struct k2_error error = {0};
    struct k2_check_options options = {.deep = true, .finding = print_finding};
    struct k2_check_report report = {0};
    if (k2_check(engine, &options, &report, &error) != K2_OK || report.findings != 0) {
        fail_msg("%s: check: %d findings, %s", where, (int)report.findings, error.text);
    }
}

// What the next reader and the next writer see; they go on from there to the end of the script.
static void judge(const char *path, struct workload_journal *journal, size_t until,
                  uint64_t *chance, const char *where)
{
    struct k2_engine *engine = NULL;
    struct k2_error error = {0};
    enum k2_status status = k2_engine_open(&engine, path, K2_ENGINE_READ, &error);
    if (status == K2_OK && k2_engine_table_at(engine, 1) != NULL) {
        workload_settle(engine, journal, chance, where);
    } else if (status != K2_OK && (status != K2_NOT_FOUND || atomic_load(&journal->done) > 0)) {
        fail_msg("%s: a reader: %s", where, error.text);
    }
    k2_engine_close(engine);

    engine = NULL;
    if (workload_open(&engine, path, &error) != K2_OK) {
        fail_msg("%s: the next writer: %s", where, error.text);
    }
    workload_settle(engine, journal, chance, where);
    check_clean(engine, where);
    while (atomic_load(&journal->done) < until) {
        status = workload_step(&engine, path, journal, &error);
        if (status != K2_OK) {
            fail_msg("%s: step %zu of the next writer: %s", where, atomic_load(&journal->done),
                     error.text);
        }
    }
    if (!workload_matches(engine, journal, until, 8, chance, &error)) {
        fail_msg("%s: at the end: %s", where, error.text);
    }
    check_clean(engine, where);
    k2_engine_close(engine);
}

static void every_operation_may_be_the_last(void **state)
{
    (void)state;
    struct workload_journal *journal = workload_journal_create();
    uint64_t chance = test_seed();
    long deaths = 0;
    bool lived = false;
    for (long last = 0; !lived; last += test_stride(7), deaths++) {
        char path[TEST_PATH_BYTES];
        test_folder_make(path);
        workload_journal_reset(journal);
        lived = work_in_child(path, journal, WORKLOAD_STEPS, last);
        char where[64];
        (void)snprintf(where, sizeof where, "death at operation %ld", last);
        judge(path, journal, WORKLOAD_STEPS, &chance, where);
        test_folder_remove(path);
    }
    print_message("# died at %ld operations\n", deaths - 1);
    assert_true(deaths * test_stride(7) > WORKLOAD_STEPS);
    workload_journal_destroy(journal);
}

// The process that opens a store after a crash may die at any operation of that, too.
static void recovery_may_die_at_every_operation(void **state)
{
    (void)state;
    struct workload_journal *journal = workload_journal_create();
    uint64_t chance = test_seed();
    size_t deaths = 0;
    bool lived = false;
    for (long first = 0; !lived; first += test_is_torture() ? 1 : 7 * test_stride(5)) {
        char path[TEST_PATH_BYTES];
        test_folder_make(path);
        workload_journal_reset(journal);
        lived = work_in_child(path, journal, WORKLOAD_STEPS, first);
        bool recovered = false;
        for (long second = 0; !recovered; second++, deaths++) {
            recovered = work_in_child(path, journal, atomic_load(&journal->done), second);
        }
        char where[64];
        (void)snprintf(where, sizeof where, "death at operation %ld and in recovery", first);
        judge(path, journal, WORKLOAD_STEPS, &chance, where);
        test_folder_remove(path);
    }
    print_message("# died %zu times while opening\n", deaths);
    workload_journal_destroy(journal);
}

// SIGKILL at moments that nobody chose, on one store that lives on.
static void a_kill_at_any_moment_loses_nothing(void **state)
{
    (void)state;
    uint64_t chance = test_seed();
    print_message("# seed %llu\n", (unsigned long long)chance);
    struct workload_journal *journal = workload_journal_create();
    char path[TEST_PATH_BYTES];
    test_folder_make(path);
    struct test_budget budget = {0};
    size_t kills = 0;
    while (test_goes_on(&budget, (uint64_t)(150 / test_stride(5))) &&
           atomic_load(&journal->done) < WORKLOAD_MOST_STEPS / 2) {
        (void)fflush(NULL);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            struct k2_engine *engine = NULL;
            struct k2_error error = {0};
            enum k2_status status = workload_open(&engine, path, &error);
            while (status == K2_OK) {
                status = workload_step(&engine, path, journal, &error);
            }
            (void)fprintf(stderr, "step %zu: %s\n", atomic_load(&journal->done), error.text);
            _exit(1);
        }
        (void)usleep(
            (useconds_t)(500 + test_random_below(&chance, 40000 * (uint64_t)test_stride(8))));
        (void)kill(child, SIGKILL);
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        struct k2_engine *engine = NULL;
        struct k2_error error = {0};
        if (workload_open(&engine, path, &error) != K2_OK) {
            fail_msg("kill %zu: %s", kills, error.text);
        }
        workload_settle(engine, journal, &chance, "random kill");
        k2_engine_close(engine);
        kills++;
    }
    struct k2_engine *engine = NULL;
    assert_int_equal(workload_open(&engine, path, NULL), K2_OK);
    check_clean(engine, "after the last kill");
    k2_engine_close(engine);
    print_message("# %zu kills, %zu steps\n", kills, atomic_load(&journal->done));
    test_folder_remove(path);
    workload_journal_destroy(journal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operation_may_be_the_last),
        cmocka_unit_test(recovery_may_die_at_every_operation),
        cmocka_unit_test(a_kill_at_any_moment_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
