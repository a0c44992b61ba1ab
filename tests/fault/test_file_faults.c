// Every operation on files and on the index fails in turn, once or from then on, with EIO or
// ENOSPC: the error is clean, nothing that was acknowledged is lost, and the work can be finished.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/check.h"
#include "engine/file_io.h"
#include "tests/support/folder.h"
#include "tests/support/tier.h"
#include "tests/support/workload.h"

struct fault {
    long left;        // operations until the fault
    int error_number; // what it fails with
    bool lasting;     // all later ones fail too
    bool fired;
};

static int fail_in_turn(void *context, enum k2_file_operation operation)
{
    struct fault *fault = context;
    if (operation == K2_FILE_INDEX_COMMITTED) {
        return 0; // a moment, nothing that could fail
    }
    if (fault->left-- == 0 || (fault->fired && fault->lasting)) {
        fault->fired = true;
        return fault->error_number;
    }
    return 0;
}

static void reopen(struct k2_engine **engine, const char *path, const char *where)
{
    struct k2_error error = {0};
    k2_engine_close(*engine);
    *engine = NULL;
    if (workload_open(engine, path, &error) != K2_OK) {
        fail_msg("%s: opening without the fault: %s", where, error.text);
    }
}

// The disk failed, and is well again: nothing is changed before the store is opened anew, and all
// that was there can be read.
static void judge_read_only(struct k2_engine *engine, const char *path,
                            struct workload_journal *journal, uint64_t *chance, const char *where)
{
    struct k2_error error = {0}, why = {0};
    struct k2_engine *same = engine;
    size_t done = atomic_load(&journal->done), begun = atomic_load(&journal->begun);
    if (k2_engine_failure(engine) == NULL) {
        fail_msg("%s: the store does not say that it is read-only", where);
    }
    if (!workload_reopens(done)) {
        assert_int_equal(workload_step(&same, path, journal, &error), K2_IO);
        assert_non_null(strstr(error.text, "read-only since a failure"));
    }
    if (!workload_matches(engine, journal, done, 2, chance, &why) &&
        !workload_matches(engine, journal, begun, 2, chance, &why)) {
        fail_msg("%s: reading a read-only store: %s", where, why.text);
    }
}

// A step failed. While the fault lasts, reading goes on and a second try fails as cleanly.
static void judge_failure(struct k2_engine **engine, const char *path,
                          struct workload_journal *journal, enum k2_status status,
                          const struct k2_error *error, uint64_t *chance, const char *where)
{
    struct k2_error why = {0};
    if ((status != K2_IO && status != K2_NO_SPACE) || error->text[0] == '\0') {
        fail_msg("%s: step %zu ended with %s: %s", where, atomic_load(&journal->done),
                 k2_status_name(status), error->text);
    }
    if (*engine != NULL && status == K2_NO_SPACE &&
        !workload_matches(*engine, journal, atomic_load(&journal->done), 2, chance, &why)) {
        fail_msg("%s: no space, but something happened: %s", where, why.text);
    }
    k2_file_set_hook(NULL, NULL);
    if (*engine != NULL && status == K2_IO) {
        judge_read_only(*engine, path, journal, chance, where);
    }
    if (*engine == NULL || status == K2_IO) {
        reopen(engine, path, where);
        workload_settle(*engine, journal, chance, where);
    }
}

// Returns false when the work was done before the fault's turn came.
static bool work_with_fault(struct fault fault, const char *where)
{
    struct workload_journal *journal = workload_journal_create();
    uint64_t chance = test_seed();
    struct k2_engine *engine = NULL;
    struct k2_error error = {0};
    char path[TEST_PATH_BYTES];
    test_folder_make(path);
    k2_file_set_hook(fail_in_turn, &fault);
    enum k2_status status = workload_open(&engine, path, &error);
    if (status != K2_OK) {
        judge_failure(&engine, path, journal, status, &error, &chance, where);
    }
    size_t failures = 0;
    while (atomic_load(&journal->done) < WORKLOAD_STEPS) {
        status = workload_step(&engine, path, journal, &error);
        if (status != K2_OK) {
            assert_true(++failures < 4); // the fault is gone after the first
            judge_failure(&engine, path, journal, status, &error, &chance, where);
        }
    }
    k2_file_set_hook(NULL, NULL);
    reopen(&engine, path, where);
    struct k2_check_options options = {.deep = true};
    struct k2_check_report report = {0};
    if (!workload_matches(engine, journal, WORKLOAD_STEPS, 8, &chance, &error)) {
        fail_msg("%s: at the end: %s", where, error.text);
    }
    assert_int_equal(k2_check(engine, &options, &report, &error), K2_OK);
    assert_int_equal(report.findings, 0);
    k2_engine_close(engine);
    test_folder_remove(path);
    workload_journal_destroy(journal);
    return fault.fired;
}

static void every_operation_fails(int error_number, const char *name, bool lasting)
{
    long turn = 0;
    for (bool fired = true; fired; turn += test_stride(11)) {
        char where[64];
        (void)snprintf(where, sizeof where, "%s at operation %ld%s", name, turn,
                       lasting ? " and after" : "");
        fired = work_with_fault(
            (struct fault){.left = turn, .error_number = error_number, .lasting = lasting}, where);
    }
    print_message("# %s%s: %ld operations\n", name, lasting ? ", lasting" : "",
                  turn - test_stride(11));
    assert_true(turn > WORKLOAD_STEPS);
}

static void one_operation_meets_a_broken_disk(void **state)
{
    (void)state;
    every_operation_fails(EIO, "EIO", false);
}

static void the_disk_breaks_and_stays_broken(void **state)
{
    (void)state;
    every_operation_fails(EIO, "EIO", true);
}

static void one_operation_meets_a_full_disk(void **state)
{
    (void)state;
    every_operation_fails(ENOSPC, "ENOSPC", false);
}

static void the_disk_fills_and_stays_full(void **state)
{
    (void)state;
    every_operation_fails(ENOSPC, "ENOSPC", true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_operation_meets_a_broken_disk),
        cmocka_unit_test(the_disk_breaks_and_stays_broken),
        cmocka_unit_test(one_operation_meets_a_full_disk),
        cmocka_unit_test(the_disk_fills_and_stays_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
