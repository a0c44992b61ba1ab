// A process dies while it works on a store, and the index is lost with it. What `k2 repair` makes
// of the segments alone has every acknowledged step, none twice, none foreign.
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
#include "engine/repair.h"
#include "tests/support/folder.h"
#include "tests/support/tier.h"
#include "tests/support/workload.h"

static int die(void *context, enum k2_file_operation operation)
{
    long *left = context;
    (void)operation;
    if ((*left)-- == 0) {
        (void)kill(getpid(), SIGKILL);
    }
    return 0;
}

// In a child: does all steps that are left, dying at operation `operations`. True when it lived.
static bool work_in_child(const char *path, struct workload_journal *journal, long operations)
{
    (void)fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct k2_engine *engine = NULL;
        k2_file_set_hook(die, &operations);
        enum k2_status status = workload_open(&engine, path, NULL);
        while (status == K2_OK && atomic_load(&journal->done) < WORKLOAD_STEPS) {
            status = workload_step(&engine, path, journal, NULL);
        }
        k2_engine_close(engine);
        test_leave(status == K2_OK ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    bool died = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    assert_true(died || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
    return !died;
}

static void lose_index(const char *path, const char *where)
{
    char index[TEST_PATH_BYTES + 8];
    struct k2_error error;
    struct k2_repair_options options = {.from_segments = false};
    struct k2_repair_report report;
    (void)snprintf(index, sizeof index, "%s/index", path);
    test_folder_remove(index);
    enum k2_status status = k2_repair(path, &options, &report, &error);
    if (status != K2_OK && status != K2_NOT_FOUND) {
        fail_msg("%s: repair: %s", where, error.text);
    }
}

static void judge(const char *path, struct workload_journal *journal, uint64_t *chance,
                  const char *where)
{
    struct k2_engine *engine = NULL;
    struct k2_error error = {0};
    struct k2_check_options options = {.deep = true};
    struct k2_check_report report = {0};
    if (workload_open(&engine, path, &error) != K2_OK) {
        fail_msg("%s: the next writer: %s", where, error.text);
    }
    workload_settle(engine, journal, chance, where);
    assert_int_equal(k2_check(engine, &options, &report, NULL), K2_OK);
    assert_int_equal(report.findings, 0);
    k2_engine_close(engine);
}

static void the_index_may_be_lost_at_any_operation(void **state)
{
    (void)state;
    struct workload_journal *journal = workload_journal_create();
    uint64_t chance = test_seed();
    long deaths = 0, step = test_is_torture() ? 1 : 3 * test_stride(3);
    bool lived = false;
    for (long last = 0; !lived; last += step, deaths++) {
        char path[TEST_PATH_BYTES], where[80];
        test_folder_make(path);
        workload_journal_reset(journal);
        lived = work_in_child(path, journal, last);
        (void)snprintf(where, sizeof where, "death at operation %ld", last);
        lose_index(path, where);
        judge(path, journal, &chance, where);
        (void)work_in_child(path, journal, last / 2); // again, on what was repaired
        (void)snprintf(where, sizeof where, "deaths at operations %ld and %ld", last, last / 2);
        lose_index(path, where);
        judge(path, journal, &chance, where);
        (void)work_in_child(path, journal, -1);
        lose_index(path, where);
        judge(path, journal, &chance, where);
        assert_int_equal(atomic_load(&journal->done), WORKLOAD_STEPS);
        test_folder_remove(path);
    }
    print_message("# died at %ld operations\n", deaths - 1);
    workload_journal_destroy(journal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_index_may_be_lost_at_any_operation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
