// Files of a store that are not what K2 wrote: swapped, stale, of another store, cut short; an
// index with pages that are zeros, have a flipped bit or stand for other ones. It is found, or
// without effect: never a row that is not right, and never a sound segment that goes.
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/check.h"
#include "tests/crash/disk_log.h"
#include "tests/support/tier.h"
#include "tests/support/workload.h"

enum { PAGE_BYTES = 4096, STEPS = 14, LIMIT_SECONDS = 20 };

enum outcome { SAME, FOUND, WRONG, OUTCOMES };

struct world {
    char folder[TEST_PATH_BYTES], path[TEST_PATH_BYTES + 16];
    struct workload_journal *journal;
    struct disk_log now;    // the files of the store, and no operation
    struct disk_log before; // of the same store, two steps earlier
    struct disk_log other;  // of another store after the same steps
    uint64_t chance;
    size_t outcomes[OUTCOMES], killed;
};

// ---- the store

static void write_out(struct world *world, const struct disk_log *log)
{
    struct disk_crash crash;
    test_folder_remove(world->path);
    test_folder_make_at(world->path);
    disk_crash_begin(&crash, log);
    disk_crash_write(&crash, 0, world->path);
    disk_crash_end(&crash);
}

static void keep(struct world *world, struct disk_log *log)
{
    *log = (struct disk_log){0};
    disk_image_load(&log->start, world->path);
    log->node_count = log->start.node_count;
    log->is_folder = calloc(log->node_count, sizeof *log->is_folder);
    assert_non_null(log->is_folder);
    for (size_t i = 0; i < log->node_count; i++) {
        log->is_folder[i] = log->start.nodes[i].is_folder;
    }
}

static void work(struct world *world, size_t from, size_t until)
{
    struct k2_engine *engine = NULL;
    struct k2_error error;
    enum k2_status status = workload_open(&engine, world->path, &error);
    assert_int_equal(atomic_load(&world->journal->done), from);
    while (status == K2_OK && atomic_load(&world->journal->done) < until) {
        status = workload_step(&engine, world->path, world->journal, &error);
    }
    if (status != K2_OK) {
        fail_msg("%s", error.text);
    }
    k2_engine_close(engine);
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    world->chance = test_seed();
    test_folder_make_quick(world->folder);
    (void)snprintf(world->path, sizeof world->path, "%s/store", world->folder);
    world->journal = workload_journal_create();
    test_folder_make_at(world->path);
    work(world, 0, STEPS);
    keep(world, &world->other);
    test_folder_remove(world->path);
    test_folder_make_at(world->path);
    workload_journal_reset(world->journal);
    work(world, 0, STEPS - 2);
    keep(world, &world->before);
    work(world, STEPS - 2, STEPS);
    keep(world, &world->now);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    disk_log_clear(&world->now);
    disk_log_clear(&world->before);
    disk_log_clear(&world->other);
    test_folder_remove(world->folder);
    workload_journal_destroy(world->journal);
    free(world);
    return 0;
}

static struct disk_node *file_of(struct disk_log *log, size_t index, char name[DISK_NAME_BYTES])
{
    size_t seen = 0;
    for (size_t i = 0; i < log->start.entry_count; i++) {
        const struct disk_entry *entry = &log->start.entries[i];
        if (strstr(entry->place.name, ".k2s") != NULL && seen++ == index) {
            memcpy(name, entry->place.name, DISK_NAME_BYTES);
            return &log->start.nodes[entry->node];
        }
    }
    return NULL;
}

static struct disk_node *file_named(struct disk_log *log, const char *name)
{
    for (size_t i = 0; i < log->start.entry_count; i++) {
        if (strcmp(log->start.entries[i].place.name, name) == 0) {
            return &log->start.nodes[log->start.entries[i].node];
        }
    }
    return NULL;
}

// ---- judging, in a child: LMDB ends a process that meets some kinds of nonsense

static enum outcome outcome_of(enum k2_status status)
{
    return status == K2_OK ? SAME : status == K2_REJECTED ? WRONG : FOUND;
}

// What a reader sees. What it is told must not contradict `k2 check`.
static enum outcome read_all(struct world *world, struct k2_error *error)
{
    struct k2_engine *engine = NULL;
    struct k2_check_options options = {.deep = true};
    struct k2_check_report report = {0};
    enum k2_status status = k2_engine_open(&engine, world->path, K2_ENGINE_READ, error);
    if (status == K2_OK &&
        !workload_matches(engine, world->journal, STEPS, 16, &world->chance, error)) {
        status = error->status;
    }
    enum k2_status checked =
        engine == NULL ? K2_CORRUPT : k2_check(engine, &options, &report, NULL);
    bool found = checked != K2_OK || report.findings > 0;
    k2_engine_close(engine);
    if (outcome_of(status) == SAME) {
        return found ? FOUND : SAME;
    }
    return outcome_of(status) == FOUND && !found ? WRONG : outcome_of(status);
}

static enum outcome write_some(struct world *world, struct k2_error *error)
{
    struct k2_engine *engine = NULL;
    enum k2_status status = workload_open(&engine, world->path, error);
    k2_engine_close(engine);
    return status == K2_OK ? SAME : FOUND;
}

typedef enum outcome visit(struct world *world, struct k2_error *error);

static void judge(struct world *world, visit *go, const char *what)
{
    (void)fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct k2_error error = {0};
        static const int signals[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
        for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
            (void)signal(signals[i], SIG_DFL); // cmocka's handlers would tear down
        }
        (void)alarm(LIMIT_SECONDS);
        (void)close(STDERR_FILENO);
        enum outcome outcome = go(world, &error);
        if (outcome == WRONG) {
            (void)printf("%s: %s\n", what, error.text);
            (void)fflush(stdout);
        }
        test_leave((int)outcome);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status)) {
        if (getenv("K2_TEST_VERBOSE") != NULL) {
            print_message("# %s: signal %d\n", what, WTERMSIG(status));
        }
        assert_int_not_equal(WTERMSIG(status), SIGALRM);
        world->killed++;
        return;
    }
    assert_true(WEXITSTATUS(status) < OUTCOMES);
    world->outcomes[WEXITSTATUS(status)]++;
    if (WEXITSTATUS(status) == WRONG) {
        fail_msg("%s: a wrong answer, or none that `k2 check` explains", what);
    }
}

static void judge_files(struct world *world, const char *what)
{
    write_out(world, &world->now);
    judge(world, read_all, what);
}

static void print_outcomes(const struct world *world, const char *what)
{
    print_message("# %s: %zu found, %zu without effect, %zu ended the process\n", what,
                  world->outcomes[FOUND], world->outcomes[SAME], world->killed);
}

// ---- segments

static void swap_contents(struct disk_node *left, struct disk_node *right)
{
    struct disk_node node = *left;
    *left = *right;
    *right = node;
}

static void exchanged_segments_are_found(void **state)
{
    struct world *world = *state;
    struct disk_node *left, *right;
    char a[DISK_NAME_BYTES], b[DISK_NAME_BYTES], what[160];
    for (size_t i = 0; (left = file_of(&world->now, i, a)) != NULL; i++) {
        for (size_t j = i + 1; (right = file_of(&world->now, j, b)) != NULL; j++) {
            (void)snprintf(what, sizeof what, "%s and %s exchanged", a, b);
            swap_contents(left, right);
            judge_files(world, what);
            swap_contents(left, right);
        }
    }
    assert_true(world->outcomes[FOUND] > 0);
    assert_int_equal(world->killed, 0);
}

// A file from a backup, or of another store.
static void stale_and_foreign_segments_are_found(void **state)
{
    struct world *world = *state;
    struct disk_log *sources[] = {&world->before, &world->other};
    struct disk_node *node, *other;
    char name[DISK_NAME_BYTES], what[160];
    for (size_t source = 0; source < 2; source++) {
        for (size_t i = 0; (node = file_of(&world->now, i, name)) != NULL; i++) {
            other = file_named(sources[source], name);
            if (other != NULL) {
                (void)snprintf(what, sizeof what, "%s from %s", name,
                               source == 0 ? "an earlier time" : "another store");
                swap_contents(node, other);
                judge_files(world, what);
                swap_contents(node, other);
            }
        }
    }
    assert_true(world->outcomes[FOUND] > 0);
    assert_int_equal(world->killed, 0);
}

static void every_truncation_of_a_segment_is_found(void **state)
{
    struct world *world = *state;
    struct disk_node *node;
    char name[DISK_NAME_BYTES], what[160];
    for (size_t i = 0; (node = file_of(&world->now, i, name)) != NULL; i++) {
        size_t whole = node->size_bytes;
        for (size_t page = 0; page * PAGE_BYTES <= whole; page++) {
            for (size_t more = 0; more < 3; more++) { // one byte less, none, one more
                node->size_bytes = page * PAGE_BYTES + more - (page > 0);
                if (node->size_bytes < whole) {
                    (void)snprintf(what, sizeof what, "%s cut at byte %zu", name, node->size_bytes);
                    judge_files(world, what);
                }
            }
        }
        node->size_bytes = whole;
    }
    print_outcomes(world, "truncations");
    assert_int_equal(world->outcomes[SAME], 0);
    assert_int_equal(world->killed, 0);
}

static void a_flipped_bit_of_a_segment_is_found(void **state)
{
    struct world *world = *state;
    struct disk_node *node;
    char name[DISK_NAME_BYTES], what[160];
    for (size_t i = 0; (node = file_of(&world->now, i, name)) != NULL; i++) {
        for (size_t page = 0; page * PAGE_BYTES < node->size_bytes; page++) {
            for (size_t turn = 0; turn < 12; turn++) {
                size_t rest = node->size_bytes - page * PAGE_BYTES, byte = 0;
                rest = rest < PAGE_BYTES ? rest : PAGE_BYTES;
                for (size_t attempt = 0; attempt < 8; attempt++) { // mostly not in the padding
                    byte = page * PAGE_BYTES + (size_t)test_random_below(&world->chance, rest);
                    if (node->bytes[byte] != 0) {
                        break;
                    }
                }
                unsigned bit = (unsigned)test_random_below(&world->chance, 8);
                (void)snprintf(what, sizeof what, "%s, bit %u of byte %zu flipped", name, bit,
                               byte);
                node->bytes[byte] = (uint8_t)(node->bytes[byte] ^ 1u << bit);
                judge_files(world, what);
                node->bytes[byte] = (uint8_t)(node->bytes[byte] ^ 1u << bit);
            }
        }
    }
    print_outcomes(world, "flipped bits of segments");
    assert_true(world->outcomes[FOUND] > world->outcomes[SAME]);
    assert_int_equal(world->killed, 0);
}

// ---- the index

// After a writer met the damage the old index comes back: is all there that it names?
static void judge_index(struct world *world, struct disk_node *index, const uint8_t *sound,
                        const char *what)
{
    judge_files(world, what);
    judge(world, write_some, what);
    char name[DISK_NAME_BYTES];
    for (size_t i = 0; file_of(&world->now, i, name) != NULL; i++) {
        char file[TEST_PATH_BYTES + 128];
        (void)snprintf(file, sizeof file, "%s/segments/%.48s", world->path, name);
        if (access(file, F_OK) != 0) {
            fail_msg("%s: a writer removed %s", what, name);
        }
    }
    memcpy(index->bytes, sound, index->size_bytes);
}

static void a_damaged_index_is_found(void **state)
{
    struct world *world = *state;
    struct disk_node *index = file_named(&world->now, "data.mdb");
    assert_non_null(index);
    size_t pages = index->size_bytes / PAGE_BYTES;
    uint8_t *sound = malloc(index->size_bytes);
    assert_non_null(sound);
    memcpy(sound, index->bytes, index->size_bytes);
    for (size_t page = 0; page < pages; page++) {
        char what[160];
        uint8_t *bytes = index->bytes + page * PAGE_BYTES;
        (void)snprintf(what, sizeof what, "page %zu of the index is zeros", page);
        memset(bytes, 0, PAGE_BYTES);
        judge_index(world, index, sound, what);
        size_t other = (size_t)test_random_below(&world->chance, pages);
        (void)snprintf(what, sizeof what, "page %zu of the index is page %zu", page, other);
        memcpy(bytes, sound + other * PAGE_BYTES, PAGE_BYTES);
        judge_index(world, index, sound, what);
        for (size_t turn = 0; turn < 32; turn++) { // in the entries, anywhere, in the header
            uint16_t upper;                        // entries begin there
            memcpy(&upper, bytes + 14, sizeof upper);
            size_t begin = turn % 8 > 1 && upper < PAGE_BYTES ? upper : 0;
            size_t room = turn % 8 == 1 ? 64 : PAGE_BYTES - begin;
            size_t byte = begin + (size_t)test_random_below(&world->chance, room);
            unsigned bit = (unsigned)test_random_below(&world->chance, 8);
            (void)snprintf(what, sizeof what, "page %zu of the index, bit %u of byte %zu flipped",
                           page, bit, byte);
            bytes[byte] = (uint8_t)(bytes[byte] ^ 1u << bit);
            judge_index(world, index, sound, what);
        }
    }
    free(sound);
    print_outcomes(world, "damaged indexes, read and opened for writing");
    assert_true(world->outcomes[FOUND] > 0);
    assert_int_equal(world->killed, 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(exchanged_segments_are_found),
        CASE(stale_and_foreign_segments_are_found),
        CASE(every_truncation_of_a_segment_is_found),
        CASE(a_flipped_bit_of_a_segment_is_found),
        CASE(a_damaged_index_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
