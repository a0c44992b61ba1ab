// An export dies, or something fails, at the k-th thing that it does to files, to the catalog or to
// the store's index, for every k. The next one finishes: no row twice, none missing, no file
// missing that the table names, no file left that it does not name.
#include <errno.h>
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

#include "engine/file_io.h"
#include "format/base/alloc.h"
#include "format/base/timestamp.h"
#include "tests/support/exported_table.h"
#include "tests/support/store_rows.h"
#include "tests/support/tier.h"

enum { ROWS = 40 };

struct fixture {
    struct test_store store;
    char warehouse[TEST_PATH_BYTES];
    int64_t next;
};

// Rows of three symbols over four days, two of them before 1970; each call has later sequences.
static void add_rows(struct fixture *fixture)
{
    static const char *const symbols[] = {"B", "A", "C"};
    struct test_trade trades[ROWS];
    struct k2_commit_outcome outcome;
    for (int64_t i = 0; i < ROWS; i++, fixture->next++) {
        trades[i] = (struct test_trade){
            .symbol = symbols[i % 3],
            .time_ns = (i % 4 - 2) * K2_NS_PER_DAY + fixture->next * 1000 + i,
            .sequence = fixture->next,
            .price = 100000000 + i,
            .quantity = 100000000,
        };
    }
    test_store_commit(&fixture->store, trades, ROWS, K2_NUMBERING_SPARSE, &outcome);
    assert_int_equal(outcome.stored, ROWS);
}

static void set_up(struct fixture *fixture)
{
    *fixture = (struct fixture){0};
    test_store_open(&fixture->store);
    test_folder_make(fixture->warehouse);
    add_rows(fixture);
}

static void tear_down(struct fixture *fixture)
{
    test_store_close(&fixture->store);
    test_folder_remove(fixture->warehouse);
}

static void export_now(struct fixture *fixture, uint64_t rows, const char *where)
{
    struct k2_export_result result;
    struct k2_error error = {0};
    if (exported_table_export(fixture->store.engine, fixture->warehouse, false, &result, &error) !=
        K2_OK) {
        fail_msg("%s: %s", where, error.text);
    }
    if (rows != UINT64_MAX && result.rows_added != rows) {
        fail_msg("%s: %llu rows added", where, (unsigned long long)result.rows_added);
    }
    k2_free(result.metadata);
}

static int die(void *context, enum k2_file_operation operation)
{
    long *left = context;
    (void)operation;
    if ((*left)-- == 0) {
        (void)kill(getpid(), SIGKILL);
    }
    return 0;
}

// In a child, with a handle of its own; true when it lived.
static bool export_in_child(struct fixture *fixture, long operations)
{
    char path[TEST_PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s", k2_engine_path(fixture->store.engine));
    k2_row_batch_destroy(fixture->store.batch); // it borrows the engine's schema
    fixture->store.batch = NULL;
    k2_engine_close(fixture->store.engine);
    fixture->store.engine = NULL;
    (void)fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct k2_engine *engine = NULL;
        struct k2_export_result result;
        struct k2_error error = {0};
        enum k2_status status = k2_engine_open(&engine, path, K2_ENGINE_WRITE, &error);
        k2_file_set_hook(die, &operations);
        if (status == K2_OK) {
            status = exported_table_export(engine, fixture->warehouse, false, &result, &error);
        }
        if (status != K2_OK) {
            (void)fprintf(stderr, "child: %s\n", error.text);
        }
        test_leave(status == K2_OK ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    bool died = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    assert_true(died || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
    test_store_reopen(&fixture->store, K2_ENGINE_WRITE);
    return !died;
}

// The first export makes the table, the second adds to it; both die at operation k.
static void an_export_dies_at_every_step(void **state)
{
    (void)state;
    long deaths = 0;
    bool lived = false;
    for (long turn = 0; !lived; turn += test_stride(3)) {
        struct fixture fixture;
        char where[64];
        (void)snprintf(where, sizeof where, "death at operation %ld", turn);
        set_up(&fixture);
        lived = export_in_child(&fixture, turn);
        export_now(&fixture, lived ? 0 : UINT64_MAX, where);
        exported_table_check(fixture.store.engine, fixture.warehouse, true, where);
        add_rows(&fixture);
        bool second = export_in_child(&fixture, turn);
        deaths += (lived ? 0 : 1) + (second ? 0 : 1);
        add_rows(&fixture);
        export_now(&fixture, UINT64_MAX, where);
        exported_table_check(fixture.store.engine, fixture.warehouse, true, where);
        export_now(&fixture, 0, where);
        tear_down(&fixture);
    }
    print_message("# %ld deaths\n", deaths);
    assert_true(deaths >= 50 / test_stride(3));
}

struct fault {
    long left;
    int error_number;
    bool fired;
};

static int fail_in_turn(void *context, enum k2_file_operation operation)
{
    struct fault *fault = context;
    if (operation == K2_FILE_INDEX_COMMITTED || fault->left-- != 0) {
        return 0;
    }
    fault->fired = true;
    return fault->error_number;
}

static bool export_with_fault(struct fixture *fixture, struct fault fault, const char *where)
{
    struct k2_export_result result;
    struct k2_error error = {0};
    k2_file_set_hook(fail_in_turn, &fault);
    enum k2_status status =
        exported_table_export(fixture->store.engine, fixture->warehouse, false, &result, &error);
    k2_file_set_hook(NULL, NULL);
    k2_free(status == K2_OK ? result.metadata : NULL);
    if (status != K2_OK && (error.text[0] == '\0' || !fault.fired)) {
        fail_msg("%s: %s: %s", where, k2_status_name(status), error.text);
    }
    if (status == K2_IO) { // an index that failed is opened again
        test_store_reopen(&fixture->store, K2_ENGINE_WRITE);
    }
    return fault.fired;
}

static void every_operation_fails(int error_number, const char *name)
{
    bool fired = true;
    long turn = 0;
    for (; fired; turn += test_stride(3)) {
        struct fixture fixture;
        char where[64];
        struct fault fault = {.left = turn, .error_number = error_number};
        (void)snprintf(where, sizeof where, "%s at operation %ld", name, turn);
        set_up(&fixture);
        fired = export_with_fault(&fixture, fault, where);
        add_rows(&fixture);
        export_now(&fixture, UINT64_MAX, where);
        exported_table_check(fixture.store.engine, fixture.warehouse, false, where);
        add_rows(&fixture);
        (void)export_with_fault(&fixture, fault, where);
        export_now(&fixture, UINT64_MAX, where);
        exported_table_check(fixture.store.engine, fixture.warehouse, false, where);
        tear_down(&fixture);
    }
    print_message("# %s: %ld operations\n", name, turn - test_stride(3));
    assert_true(turn > 20);
}

static void one_operation_meets_a_broken_disk(void **state)
{
    (void)state;
    every_operation_fails(EIO, "EIO");
}

static void one_operation_meets_a_full_disk(void **state)
{
    (void)state;
    every_operation_fails(ENOSPC, "ENOSPC");
}

static void one_allocation_fails(void **state)
{
    (void)state;
    enum k2_status status = K2_NO_MEMORY;
    for (long calls = 0; status != K2_OK; calls += test_stride(7) * 3) {
        struct fixture fixture;
        struct k2_export_result result;
        struct k2_error error = {0};
        char where[64];
        (void)snprintf(where, sizeof where, "allocation %ld", calls);
        set_up(&fixture);
        export_now(&fixture, ROWS, where);
        add_rows(&fixture);
        k2_alloc_fail_after(calls);
        status =
            exported_table_export(fixture.store.engine, fixture.warehouse, false, &result, &error);
        k2_alloc_fail_after(-1);
        k2_free(status == K2_OK ? result.metadata : NULL);
        if (status != K2_OK && (status != K2_NO_MEMORY || error.text[0] == '\0')) {
            fail_msg("%s: %s: %s", where, k2_status_name(status), error.text);
        }
        export_now(&fixture, UINT64_MAX, where);
        exported_table_check(fixture.store.engine, fixture.warehouse, false, where);
        tear_down(&fixture);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_export_dies_at_every_step),
        cmocka_unit_test(one_operation_meets_a_broken_disk),
        cmocka_unit_test(one_operation_meets_a_full_disk),
        cmocka_unit_test(one_allocation_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
