// A disk that loses power at any operation of a writer, and keeps of what was not synced yet
// whatever it likes (disk_log.h). The writer is the real engine with the real LMDB; every call that
// they make is noted, and from the notes the states are made that the disk may be in. In each of
// them the next start finds every acknowledged step, none twice, none foreign, and goes on.
//
// A history goes over several power cuts: one of the states is what the next writer begins with, so
// that recovery itself, and work on what recovery left, lose power as well.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/check.h"
#include "engine/file_io.h"
#include "tests/crash/disk_recorder.h"
#include "tests/support/tier.h"

enum {
    STATES = 20000,        // in the default tier
    TRIES_A_POSITION = 16, // states after each operation, equal ones not counted
    STEPS_A_LIFE = 16,     // of a writer until the power is cut
    LIVES = 4,             // of writers on one store
    SEEN_SLOTS = 1 << 18,
    JOURNAL_STEPS = LIVES * STEPS_A_LIFE + 32,
};

struct history {
    struct workload_journal *journal;
    char folder[TEST_PATH_BYTES]; // in memory where there is such a file system
    uint64_t chance, seed;
    uint64_t *seen; // hashes of states, of one life
    size_t seen_count;
    size_t states, tries, lives, operations;
    uint64_t deep, continued;
};

static bool is_new(struct history *history, uint64_t hash)
{
    hash = hash == 0 ? 1 : hash;
    size_t slot = (size_t)(hash % SEEN_SLOTS);
    while (history->seen[slot] != 0 && history->seen[slot] != hash) {
        slot = (slot + 1) % SEEN_SLOTS;
    }
    bool added = history->seen[slot] == 0;
    assert_true(!added || ++history->seen_count < SEEN_SLOTS / 2);
    history->seen[slot] = hash;
    return added;
}

static void print_finding(void *context, const char *text)
{
    (void)context;
    print_error("finding: %s\n", text);
}

static void check_clean(struct k2_engine *engine, bool deep, const char *where)
{
    struct k2_error error = {0};
    struct k2_check_options options = {.deep = deep, .finding = print_finding};
    struct k2_check_report report = {0};
    if (k2_check(engine, &options, &report, &error) != K2_OK || report.findings != 0) {
        fail_msg("%s: check: %d findings, %s", where, (int)report.findings, error.text);
    }
}

// What a reader sees who opens the store before the next writer does.
static void judge_reader(struct history *history, const char *path, const char *where)
{
    struct k2_engine *engine = NULL;
    struct k2_error error = {0};
    enum k2_status status = k2_engine_open(&engine, path, K2_ENGINE_READ, &error);
    if (status == K2_OK && k2_engine_table_at(engine, 1) != NULL) {
        size_t done = atomic_load(&history->journal->done);
        size_t begun = atomic_load(&history->journal->begun);
        workload_settle(engine, history->journal, &history->chance, where);
        atomic_store(&history->journal->done, done);
        atomic_store(&history->journal->begun, begun);
    } else if (status != K2_OK &&
               (status != K2_NOT_FOUND || atomic_load(&history->journal->done) > 0)) {
        fail_msg("%s: a reader: %s", where, error.text);
    }
    k2_engine_close(engine);
}

// The next writer's start. Leaves in the journal what the state turned out to be.
static void judge_writer(struct history *history, const char *path, size_t further_steps,
                         const char *where)
{
    struct k2_engine *engine = NULL;
    struct k2_error error = {0};
    if (workload_open(&engine, path, &error) != K2_OK) {
        fail_msg("%s: the next writer: %s", where, error.text);
    }
    workload_settle(engine, history->journal, &history->chance, where);
    check_clean(engine, history->states % 8 == 0, where);
    size_t until = atomic_load(&history->journal->done) + further_steps;
    while (atomic_load(&history->journal->done) < until) {
        if (workload_step(&engine, path, history->journal, &error) != K2_OK) {
            fail_msg("%s: step %zu of the next writer: %s", where,
                     atomic_load(&history->journal->done), error.text);
        }
    }
    if (further_steps > 0) {
        if (!workload_matches(engine, history->journal, until, 4, &history->chance, &error)) {
            fail_msg("%s: %zu steps later: %s", where, further_steps, error.text);
        }
        check_clean(engine, true, where);
    }
    k2_engine_close(engine);
}

static void judge(struct history *history, const struct disk_crash *crash, uint64_t choice)
{
    uint64_t snapshots[JOURNAL_STEPS];
    struct workload_journal *journal = history->journal;
    char path[TEST_PATH_BYTES + 16], where[160];
    (void)snprintf(path, sizeof path, "%s/state", history->folder);
    test_folder_make_at(path);
    disk_crash_write(crash, choice, path);
    (void)snprintf(where, sizeof where,
                   "seed %llu, life %zu, after operation %zu of %zu, choice %llu",
                   (unsigned long long)history->seed, history->lives, crash->position,
                   crash->log->count, (unsigned long long)choice);
    for (size_t i = 0; i < JOURNAL_STEPS; i++) {
        snapshots[i] = atomic_load(&journal->snapshots[i]);
    }
    if (history->states % 16 == 0) {
        judge_reader(history, path, where);
    }
    judge_writer(history, path, history->states % 64 == 5 ? 5 : 0, where);
    for (size_t i = 0; i < JOURNAL_STEPS; i++) {
        atomic_store(&journal->snapshots[i], snapshots[i]);
    }
    test_folder_remove(path);
}

// What had been acknowledged just before the next operation, whose step may have begun.
static void set_journal(struct history *history, const struct disk_crash *crash)
{
    const struct disk_log *log = crash->log;
    bool ended = crash->position == log->count;
    const struct disk_operation *next = &log->operations[crash->position];
    atomic_store(&history->journal->done, ended ? log->done : next->done);
    atomic_store(&history->journal->begun, ended ? log->done : next->begun);
}

// All moments of one writer's life, and several states of the disk at each.
static void judge_life(struct history *history, const struct disk_log *log, size_t limit)
{
    struct disk_crash crash;
    memset(history->seen, 0, SEEN_SLOTS * sizeof *history->seen);
    history->seen_count = 0;
    disk_crash_begin(&crash, log);
    do {
        for (uint64_t i = 0; i < TRIES_A_POSITION && history->states < limit; i++) {
            uint64_t choice = i < 2 ? i : test_random(&history->chance) | 2;
            set_journal(history, &crash);
            uint64_t hash = disk_crash_describe(&crash, choice) +
                            0x9e3779b97f4a7c15 * atomic_load(&history->journal->done);
            history->tries++;
            if (is_new(history, hash)) {
                judge(history, &crash, choice);
                history->states++;
            }
        }
    } while (disk_crash_next(&crash));
    disk_crash_end(&crash);
}

// An offset of a segment is written once, ever, and no segment is made shorter.
static void check_written_once(const struct history *history, const struct disk_log *log)
{
    uint64_t *ends = calloc(log->node_count, sizeof *ends);
    bool *is_index = calloc(log->node_count, sizeof *is_index);
    assert_non_null(ends);
    assert_non_null(is_index);
    for (size_t i = 0; i < log->start.entry_count; i++) {
        const struct disk_entry *entry = &log->start.entries[i];
        is_index[entry->node] = strcmp(entry->place.name, "data.mdb") == 0;
        ends[entry->node] = log->start.nodes[entry->node].size_bytes;
    }
    for (size_t i = 0; i < log->count; i++) {
        const struct disk_operation *operation = &log->operations[i];
        uint32_t node = operation->node;
        if (operation->kind == DISK_NAME) {
            is_index[node] = strcmp(operation->to.name, "data.mdb") == 0;
        } else if ((operation->kind == DISK_WRITE || operation->kind == DISK_LENGTH) &&
                   !is_index[node]) {
            if (operation->offset < ends[node]) {
                fail_msg("seed %llu, life %zu, operation %zu: byte %llu of a segment of %llu bytes "
                         "is written again",
                         (unsigned long long)history->seed, history->lives, i,
                         (unsigned long long)operation->offset, (unsigned long long)ends[node]);
            }
            ends[node] = operation->offset + operation->size_bytes;
        }
    }
    free(ends);
    free(is_index);
}

// Lets single operations meet a full disk, most of all those that follow upon written bytes.
static int fail_sometimes(void *context, enum k2_file_operation operation)
{
    uint64_t *chance = context;
    bool is_late = operation == K2_FILE_SYNC || operation == K2_FILE_INDEX_COMMIT;
    return operation != K2_FILE_INDEX_COMMITTED && test_random_below(chance, is_late ? 12 : 24) == 0
               ? ENOSPC
               : 0;
}

// One writer's life is recorded: it opens the store at `path` and works until it is to be judged.
static void live(struct history *history, const char *path, struct disk_log *log)
{
    struct workload_journal *journal = history->journal;
    struct k2_engine *engine = NULL;
    struct k2_error error = {0};
    uint64_t fault_chance = test_random(&history->chance);
    disk_recorder_start(log, path, journal);
    disk_recorder_cut_writes(history->lives % 3 == 1);
    k2_file_set_hook(history->lives % 3 == 2 ? fail_sometimes : NULL, &fault_chance);
    enum k2_status status = K2_OK;
    size_t until = atomic_load(&journal->done) + STEPS_A_LIFE;
    while ((status == K2_OK || status == K2_NO_SPACE) && atomic_load(&journal->done) < until) {
        status = engine == NULL ? workload_open(&engine, path, &error)
                                : workload_step(&engine, path, journal, &error);
    }
    k2_file_set_hook(NULL, NULL);
    disk_recorder_stop();
    k2_engine_close(engine);
    check_written_once(history, log);
    if (status != K2_OK) {
        fail_msg("seed %llu: step %zu: %s", (unsigned long long)history->seed,
                 atomic_load(&journal->done), error.text);
    }
    history->operations += log->count;
}

// Some moment of the log becomes the state that the next writer finds at `path`.
static void cut_power(struct history *history, const struct disk_log *log, const char *path)
{
    struct disk_crash crash;
    char scratch[TEST_PATH_BYTES + 16];
    size_t position = (size_t)test_random_below(&history->chance, log->count) + 1;
    uint64_t choice = test_random(&history->chance);
    disk_crash_begin(&crash, log);
    while (crash.position < position && disk_crash_next(&crash)) {
    }
    set_journal(history, &crash);
    (void)snprintf(scratch, sizeof scratch, "%s/state", history->folder);
    test_folder_make_at(scratch);
    disk_crash_write(&crash, choice, scratch);
    judge_writer(history, scratch, 0, "after a power cut"); // settles the journal
    test_folder_remove(scratch);
    test_folder_remove(path);
    test_folder_make_at(path);
    disk_crash_write(&crash, choice, path);
    disk_crash_end(&crash);
}

static void no_power_cut_loses_or_invents_anything(void **state)
{
    (void)state;
    struct history history = {.seed = test_seed(), .journal = workload_journal_create()};
    history.chance = history.seed;
    print_message("# seed %llu\n", (unsigned long long)history.seed);
    history.seen = calloc(SEEN_SLOTS, sizeof *history.seen);
    assert_non_null(history.seen);
    size_t limit = test_is_torture() ? SIZE_MAX : STATES / (size_t)test_stride(10);
    struct test_budget budget = {0};
    test_folder_make_quick(history.folder);
    char path[TEST_PATH_BYTES + 16];
    (void)snprintf(path, sizeof path, "%s/store", history.folder);
    int64_t began_ns = test_now_ns();
    while (history.states < limit && (!test_is_torture() || test_goes_on(&budget, 1))) {
        workload_journal_reset(history.journal);
        test_folder_make_at(path);
        for (size_t i = 0; i < LIVES && history.states < limit; i++) {
            struct disk_log log;
            live(&history, path, &log);
            judge_life(&history, &log, limit);
            cut_power(&history, &log, path);
            disk_log_clear(&log);
            history.lives++;
        }
        test_folder_remove(path);
    }
    print_message(
        "# %zu states of the disk (%zu tried) at %zu operations of %zu writers, "
        "%lld a second\n",
        history.states, history.tries, history.operations, history.lives,
        (long long)((int64_t)history.states * 1000000000 / (test_now_ns() - began_ns + 1)));
    test_folder_remove(history.folder);
    free(history.seen);
    workload_journal_destroy(history.journal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_power_cut_loses_or_invents_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
