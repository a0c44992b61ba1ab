// Every allocation fails in turn: the step says so, leaves the store as it was, and works when
// memory is there again.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "format/base/alloc.h"
#include "tests/support/folder.h"
#include "tests/support/tier.h"
#include "tests/support/workload.h"

enum { MOST_ALLOCATIONS = 20000 }; // of one step

static void expect_no_memory(enum k2_status status, const struct k2_error *error, long allocation,
                             size_t step)
{
    if (status != K2_NO_MEMORY || error->text[0] == '\0') {
        fail_msg("step %zu, allocation %ld: %s: %s", step, allocation, k2_status_name(status),
                 error->text);
    }
}

static void open_in_spite(struct k2_engine **engine, const char *path, long *failures)
{
    struct k2_error error = {0};
    enum k2_status status = K2_NO_MEMORY;
    for (long allocation = 0; status != K2_OK; allocation += test_stride(17)) {
        assert_true(allocation < MOST_ALLOCATIONS);
        k2_alloc_fail_after(allocation);
        status = workload_open(engine, path, &error);
        k2_alloc_fail_after(-1);
        if (status != K2_OK) {
            expect_no_memory(status, &error, allocation, 0);
            assert_null(*engine);
            ++*failures;
        }
    }
}

static void every_step_survives_every_failed_allocation(void **state)
{
    (void)state;
    struct workload_journal *journal = workload_journal_create();
    uint64_t chance = test_seed();
    struct k2_engine *engine = NULL;
    struct k2_error error = {0};
    long failures = 0;
    char path[TEST_PATH_BYTES];
    test_folder_make(path);
    open_in_spite(&engine, path, &failures);
    for (size_t step = 0; step < WORKLOAD_STEPS; step++) {
        enum k2_status status = K2_NO_MEMORY;
        // A compaction begins anew after each failure, syncs included: not at every allocation.
        long stride = workload_is_compaction(step) && !test_is_torture() ? 11 : test_stride(17);
        for (long allocation = 0; status != K2_OK; allocation += stride) {
            assert_true(allocation < MOST_ALLOCATIONS);
            k2_alloc_fail_after(allocation);
            status = workload_step(&engine, path, journal, &error);
            k2_alloc_fail_after(-1);
            if (status != K2_OK) {
                expect_no_memory(status, &error, allocation, step);
                failures++;
            }
            if (engine == NULL) {
                open_in_spite(&engine, path, &failures);
            }
        }
        if (!workload_matches(engine, journal, step + 1, 2, &chance, &error)) {
            fail_msg("after step %zu: %s", step, error.text);
        }
    }
    print_message("# allocations that failed in turn: %ld\n", failures);
    assert_true(failures > WORKLOAD_STEPS);
    k2_engine_close(engine);
    test_folder_remove(path);
    workload_journal_destroy(journal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_step_survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
