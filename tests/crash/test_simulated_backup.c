// Power cuts (disk_log.h) while a backup is taken and while a repair makes a new index: the store
// is as it was, a backup is whole or not there, and a repair can be run again.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/backup.h"
#include "engine/check.h"
#include "engine/repair.h"
#include "tests/crash/disk_recorder.h"
#include "tests/support/tier.h"

enum { STEPS = 13, TRIES = 6, PATH_BYTES = TEST_PATH_BYTES + 64 };

struct world {
    struct workload_journal *journal;
    char folder[TEST_PATH_BYTES]; // with work/, where store/ is, and state/
    char work[PATH_BYTES], store[PATH_BYTES], state[PATH_BYTES];
    uint64_t chance;
    size_t states;
};

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    struct k2_engine *engine = NULL;
    assert_non_null(world);
    test_folder_make_quick(world->folder);
    (void)snprintf(world->work, sizeof world->work, "%s/work", world->folder);
    (void)snprintf(world->store, sizeof world->store, "%s/work/store", world->folder);
    (void)snprintf(world->state, sizeof world->state, "%s/state", world->folder);
    test_folder_make_at(world->work);
    world->chance = test_seed();
    world->journal = workload_journal_create();
    assert_int_equal(workload_open(&engine, world->store, NULL), K2_OK);
    while (atomic_load(&world->journal->done) < STEPS) {
        assert_int_equal(workload_step(&engine, world->store, world->journal, NULL), K2_OK);
    }
    k2_engine_close(engine);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    test_folder_remove(world->folder);
    workload_journal_destroy(world->journal);
    free(world);
    return 0;
}

// The store at `path`, opened by a reader, is whole and has all steps.
static void check_store(struct world *world, const char *path, const char *where)
{
    struct k2_engine *engine = NULL;
    struct k2_error error = {0};
    struct k2_check_options options = {.deep = true};
    struct k2_check_report report = {0};
    if (k2_engine_open(&engine, path, K2_ENGINE_READ, &error) != K2_OK ||
        !workload_matches(engine, world->journal, STEPS, 2, &world->chance, &error)) {
        fail_msg("%s: %s: %s", where, path, error.text);
    }
    assert_int_equal(k2_check(engine, &options, &report, &error), K2_OK);
    assert_int_equal(report.findings, 0);
    k2_engine_close(engine);
}

// What must hold below `path`; `ended`: the work had been acknowledged.
typedef void visit(struct world *world, const char *path, bool ended, const char *where);

static void each_state(struct world *world, const struct disk_log *log, visit *judge)
{
    struct disk_crash crash;
    disk_crash_begin(&crash, log);
    do {
        for (uint64_t i = 0; i < TRIES; i++) {
            char where[120];
            uint64_t choice = i < 2 ? i : test_random(&world->chance) | 2;
            (void)snprintf(where, sizeof where, "after operation %zu of %zu, choice %llu",
                           crash.position, log->count, (unsigned long long)choice);
            test_folder_make_at(world->state);
            disk_crash_write(&crash, choice, world->state);
            judge(world, world->state, crash.position == log->count, where);
            test_folder_remove(world->state);
            world->states++;
        }
    } while (disk_crash_next(&crash));
    disk_crash_end(&crash);
    print_message("# %zu states at %zu operations\n", world->states, log->count);
    assert_true(world->states > 100);
}

// ---- backup

static void judge_backup(struct world *world, const char *path, bool ended, const char *where)
{
    char store[PATH_BYTES], copy[PATH_BYTES];
    struct stat about;
    (void)snprintf(store, sizeof store, "%s/store", path);
    (void)snprintf(copy, sizeof copy, "%s/copy", path);
    check_store(world, store, where);
    bool exists = stat(copy, &about) == 0;
    if (ended && !exists) {
        fail_msg("%s: the backup is not there", where);
    }
    if (exists) {
        check_store(world, copy, where);
    }
}

static void take_backup(struct world *world, bool copy_all)
{
    struct k2_engine *engine = NULL;
    struct k2_backup_options options = {.copy_all = copy_all};
    struct k2_backup_report report;
    struct k2_error error = {0};
    struct disk_log log;
    char copy[PATH_BYTES + 16];
    (void)snprintf(copy, sizeof copy, "%s/copy", world->work);
    assert_int_equal(k2_engine_open(&engine, world->store, K2_ENGINE_READ, NULL), K2_OK);
    disk_recorder_start(&log, world->work, world->journal);
    disk_recorder_cut_writes(true);
    enum k2_status status = k2_backup(engine, copy, &options, &report, &error);
    disk_recorder_cut_writes(false);
    disk_recorder_stop();
    k2_engine_close(engine);
    if (status != K2_OK) {
        fail_msg("%s", error.text);
    }
    each_state(world, &log, judge_backup);
    disk_log_clear(&log);
}

static void a_backup_is_whole_or_not_there(void **state)
{
    take_backup(*state, true);
}

static void a_backup_with_links_is_whole_or_not_there(void **state)
{
    take_backup(*state, false);
}

// ---- repair

static void judge_repair(struct world *world, const char *path, bool ended, const char *where)
{
    struct k2_repair_options options = {.from_segments = false};
    struct k2_repair_report report;
    struct k2_error error = {0};
    char store[PATH_BYTES];
    (void)snprintf(store, sizeof store, "%s/store", path);
    if (!ended && k2_repair(store, &options, &report, &error) != K2_OK) {
        fail_msg("%s: repair again: %s", where, error.text);
    }
    check_store(world, store, where);
}

static void repair(struct world *world, bool from_segments)
{
    struct k2_repair_options options = {.from_segments = from_segments};
    struct k2_repair_report report;
    struct k2_error error = {0};
    struct disk_log log;
    disk_recorder_start(&log, world->work, world->journal);
    enum k2_status status = k2_repair(world->store, &options, &report, &error);
    disk_recorder_stop();
    if (status != K2_OK) {
        fail_msg("%s", error.text);
    }
    assert_int_equal(report.lost, 0);
    each_state(world, &log, judge_repair);
    disk_log_clear(&log);
}

static void a_repair_without_index_can_be_run_again(void **state)
{
    struct world *world = *state;
    char index[PATH_BYTES + 16];
    (void)snprintf(index, sizeof index, "%s/index", world->store);
    test_folder_remove(index);
    repair(world, false);
}

static void a_repair_from_segments_can_be_run_again(void **state)
{
    repair(*state, true);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_backup_is_whole_or_not_there),
        CASE(a_backup_with_links_is_whole_or_not_there),
        CASE(a_repair_without_index_can_be_run_again),
        CASE(a_repair_from_segments_can_be_run_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
