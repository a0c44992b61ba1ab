// Backups: whole or not there, whatever the writer does meanwhile and wherever they end.
#include "engine/backup.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/check.h"
#include "engine/compact.h"
#include "engine/file_io.h"
#include "format/base/alloc.h"
#include "tests/support/store_rows.h"

struct case_state {
    struct test_store store;
    char home[TEST_PATH_BYTES], target[TEST_PATH_BYTES];
};

static int set_up(void **state)
{
    static struct case_state self;
    memset(&self, 0, sizeof self);
    test_store_open(&self.store);
    test_folder_make(self.home);
    int size = snprintf(self.target, sizeof self.target, "%s/copy", self.home);
    assert_in_range(size, 1, sizeof self.target - 1);
    *state = &self;
    return 0;
}

static int tear_down(void **state)
{
    struct case_state *self = *state;
    k2_file_set_hook(NULL, NULL);
    k2_alloc_fail_after(-1);
    test_store_close(&self->store);
    test_folder_remove(self->home);
    return 0;
}

static uint64_t commit(struct test_store *store, int64_t number)
{
    struct k2_commit_outcome outcome;
    struct test_trade trades[] = {{"AAA", 1000 + number, number, number * 3, 1},
                                  {"BBB", 1000 + number, number, number * 5, 2}};
    return test_store_commit(store, trades, 2, K2_NUMBERING_SPARSE, &outcome);
}

static void back_up(struct case_state *self, bool copy_all, struct k2_backup_report *report)
{
    struct k2_backup_options options = {.copy_all = copy_all};
    struct k2_error error;
    if (k2_backup(self->store.engine, self->target, &options, report, &error) != K2_OK) {
        fail_msg("%s", error.text);
    }
}

// Opens the copy in place of the store; the handle of the store is given back.
static struct test_store open_copy(struct case_state *self, enum k2_engine_mode mode)
{
    struct test_store copy = {0};
    (void)snprintf(copy.folder, sizeof copy.folder, "%s", self->target);
    test_store_reopen(&copy, mode);
    return copy;
}

static void expect_same(struct test_store *left, uint64_t left_snapshot, struct test_store *right,
                        uint64_t right_snapshot)
{
    char *expected = test_store_rows(left, left_snapshot);
    char *got = test_store_rows(right, right_snapshot);
    assert_string_equal(got, expected);
    k2_free(expected);
    k2_free(got);
}

static void expect_sound(struct test_store *store)
{
    struct k2_check_options options = {.deep = true};
    struct k2_check_report report;
    assert_int_equal(k2_check(store->engine, &options, &report, NULL), K2_OK);
    assert_int_equal(report.findings, 0);
}

static void a_backup_holds_every_snapshot_and_goes_on(void **state)
{
    struct case_state *self = *state;
    struct k2_backup_report report;
    uint64_t first = commit(&self->store, 1);
    (void)commit(&self->store, 2);
    test_store_reopen(&self->store, K2_ENGINE_WRITE); // the next commit begins another file
    uint64_t last = commit(&self->store, 3);
    back_up(self, false, &report);
    assert_int_equal(report.snapshot, last);
    assert_int_equal(report.segments, 2);
    assert_int_equal(report.rows, 6);
    uint64_t later = commit(&self->store, 4);
    struct test_store copy = open_copy(self, K2_ENGINE_WRITE);
    expect_same(&self->store, last, &copy, 0);
    expect_same(&self->store, first, &copy, first);
    assert_int_equal(commit(&copy, 4), later);
    expect_same(&self->store, later, &copy, later);
    expect_sound(&copy);
    (void)commit(&copy, 5); // and what one of them does, the other does not see
    expect_same(&self->store, later, &self->store, 0);
    expect_sound(&self->store);
    k2_row_batch_destroy(copy.batch);
    k2_engine_close(copy.engine);
}

static nlink_t links_of(const char *folder, const char *name)
{
    char path[TEST_PATH_BYTES + 80];
    struct stat status;
    (void)snprintf(path, sizeof path, "%s/segments/%s", folder, name);
    assert_int_equal(stat(path, &status), 0);
    return status.st_nlink;
}

static void the_file_that_may_grow_is_copied(void **state)
{
    struct case_state *self = *state;
    struct k2_backup_report report;
    (void)commit(&self->store, 1);
    test_store_reopen(&self->store, K2_ENGINE_WRITE);
    (void)commit(&self->store, 2);
    back_up(self, false, &report);
    assert_int_equal(links_of(self->target, "0000000000000001.k2s"), 2);
    assert_int_equal(links_of(self->target, "0000000000000002.k2s"), 1);
    test_folder_remove(self->target);
    back_up(self, true, &report);
    assert_int_equal(links_of(self->target, "0000000000000001.k2s"), 1);
    assert_int_equal(links_of(self->target, "0000000000000002.k2s"), 1);
}

static void bytes_behind_the_committed_length_are_left_out(void **state)
{
    struct case_state *self = *state;
    struct k2_backup_report report;
    char path[TEST_PATH_BYTES];
    struct stat before, after;
    (void)commit(&self->store, 1);
    test_store_reopen(&self->store, K2_ENGINE_WRITE);
    test_folder_first(self->store.folder, "segments", path);
    assert_int_equal(stat(path, &before), 0);
    (void)commit(&self->store, 2);
    int file = open(path, O_WRONLY | O_APPEND);
    assert_int_equal(write(file, "more", 4), 4);
    (void)close(file);
    back_up(self, false, &report);
    test_folder_first(self->target, "segments", path);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(after.st_size, before.st_size);
}

static void an_empty_store_has_a_backup(void **state)
{
    struct case_state *self = *state;
    struct k2_backup_report report;
    assert_int_equal(mkdir(self->target, 0750), 0); // and an empty folder may be there
    back_up(self, false, &report);
    assert_int_equal(report.snapshot, 0);
    assert_int_equal(report.segments, 0);
}

static void expect_nothing_left(const struct case_state *self)
{
    assert_int_not_equal(access(self->target, F_OK), 0);
    assert_int_equal(test_folder_count(self->home, "."), 0);
}

static void a_folder_with_anything_in_it_is_refused(void **state)
{
    struct case_state *self = *state;
    struct k2_backup_report report;
    struct k2_backup_options options = {0};
    (void)commit(&self->store, 1);
    back_up(self, false, &report);
    assert_int_equal(k2_backup(self->store.engine, self->target, &options, &report, NULL),
                     K2_LIMIT);
    assert_int_equal(k2_backup(self->store.engine, "", &options, &report, NULL), K2_BAD_REQUEST);
    struct test_store copy = open_copy(self, K2_ENGINE_READ);
    expect_sound(&copy);
    k2_row_batch_destroy(copy.batch);
    k2_engine_close(copy.engine);
}

static void a_damaged_store_has_no_backup(void **state)
{
    struct case_state *self = *state;
    struct k2_backup_report report;
    struct k2_backup_options options = {0};
    char path[TEST_PATH_BYTES];
    (void)commit(&self->store, 1);
    test_folder_first(self->store.folder, "segments", path);
    int file = open(path, O_WRONLY);
    assert_int_equal(pwrite(file, "?", 1, 4096 + 500), 1);
    (void)close(file);
    assert_int_equal(k2_backup(self->store.engine, self->target, &options, &report, NULL),
                     K2_CORRUPT);
    expect_nothing_left(self);
    assert_int_equal(truncate(path, 5000), 0);
    assert_int_equal(k2_backup(self->store.engine, self->target, &options, &report, NULL),
                     K2_CORRUPT);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(k2_backup(self->store.engine, self->target, &options, &report, NULL),
                     K2_CORRUPT);
    expect_nothing_left(self);
}

// The writer commits and rewrites everything while the first segment is being taken.
struct busy_writer {
    struct case_state *self;
    int creations;
};

static int write_meanwhile(void *context, enum k2_file_operation operation)
{
    struct busy_writer *writer = context;
    if (operation == K2_FILE_CREATE && ++writer->creations == 2) { // the first was the index
        struct k2_compact_options options = {.full = true};
        struct k2_compact_report report;
        (void)commit(&writer->self->store, 3);
        assert_int_equal(k2_compact(writer->self->store.engine, &options, &report, NULL), K2_OK);
        (void)commit(&writer->self->store, 4);
    }
    return 0;
}

static void a_rewrite_meanwhile_takes_no_file_away(void **state)
{
    struct case_state *self = *state;
    struct k2_backup_report report;
    struct busy_writer writer = {.self = self};
    (void)commit(&self->store, 1);
    test_store_reopen(&self->store, K2_ENGINE_WRITE);
    uint64_t last = commit(&self->store, 2);
    k2_file_set_hook(write_meanwhile, &writer);
    back_up(self, true, &report);
    k2_file_set_hook(NULL, NULL);
    assert_true(writer.creations > 2);
    assert_int_equal(report.snapshot, last);
    struct test_store copy = open_copy(self, K2_ENGINE_READ);
    expect_same(&self->store, last, &copy, 0);
    k2_row_batch_destroy(copy.batch);
    k2_engine_close(copy.engine);
}

struct countdown {
    long left;
};

static int count_down(void *context, enum k2_file_operation operation)
{
    struct countdown *countdown = context;
    if (operation == K2_FILE_UNLINK || operation == K2_FILE_INDEX_COMMITTED) {
        return 0;
    }
    return countdown->left-- == 0 ? 28 : 0; // ENOSPC
}

static void any_operation_may_fail_and_nothing_is_left(void **state)
{
    struct case_state *self = *state;
    struct k2_backup_report report;
    struct k2_backup_options options = {0};
    (void)commit(&self->store, 1);
    test_store_reopen(&self->store, K2_ENGINE_WRITE);
    (void)commit(&self->store, 2);
    enum k2_status status = K2_NO_SPACE;
    long calls = 0;
    for (; status != K2_OK; calls++) {
        struct countdown countdown = {.left = calls};
        options.copy_all = calls % 2 == 1;
        k2_file_set_hook(count_down, &countdown);
        status = k2_backup(self->store.engine, self->target, &options, &report, NULL);
        k2_file_set_hook(NULL, NULL);
        bool renamed = access(self->target, F_OK) == 0;
        if (status != K2_OK && !renamed) {
            assert_int_equal(status, K2_NO_SPACE);
            expect_nothing_left(self);
        } else if (status != K2_OK) { // only its name was not made durable: it is whole
            struct test_store copy = open_copy(self, K2_ENGINE_READ);
            expect_sound(&copy);
            k2_row_batch_destroy(copy.batch);
            k2_engine_close(copy.engine);
            test_folder_remove(self->target);
        }
    }
    assert_in_range(calls, 8, 40);
}

static void any_allocation_may_fail_and_nothing_is_left(void **state)
{
    struct case_state *self = *state;
    struct k2_backup_report report;
    struct k2_backup_options options = {0};
    (void)commit(&self->store, 1);
    enum k2_status status = K2_NO_MEMORY;
    for (long calls = 0; status != K2_OK; calls++) {
        k2_alloc_fail_after(calls);
        status = k2_backup(self->store.engine, self->target, &options, &report, NULL);
        k2_alloc_fail_after(-1);
        assert_true(status == K2_OK || status == K2_NO_MEMORY);
        if (status != K2_OK) {
            expect_nothing_left(self);
        }
    }
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_backup_holds_every_snapshot_and_goes_on),
        CASE(the_file_that_may_grow_is_copied),
        CASE(bytes_behind_the_committed_length_are_left_out),
        CASE(an_empty_store_has_a_backup),
        CASE(a_folder_with_anything_in_it_is_refused),
        CASE(a_damaged_store_has_no_backup),
        CASE(a_rewrite_meanwhile_takes_no_file_away),
        CASE(any_operation_may_fail_and_nothing_is_left),
        CASE(any_allocation_may_fail_and_nothing_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
