// The two sides of a power cut, see `run`.
//
//   power_cut work STORE STEPS DEVICE           in the virtual machine: does steps; writes into the
//                                               log of DEVICE (dm-log-writes) what is acknowledged
//   power_cut judge STORE DONE SNAPSHOTS_FILE   outside: what a disk holds that lost power after
//                                               DONE acknowledged steps; ends with 0 if it is right
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/dm-ioctl.h>

#include <cmocka.h>

#include "engine/check.h"
#include "tests/support/tier.h"
#include "tests/support/workload.h"

enum { STEPS_AFTERWARDS = 3 };

// As `dmsetup message DEVICE 0 mark TEXT`, without a process for each.
static bool mark(int control, const char *device, const char *text)
{
    union {
        struct dm_ioctl head;
        char room[sizeof(struct dm_ioctl) + sizeof(struct dm_target_msg) + 128];
    } request;
    memset(&request, 0, sizeof request);
    request.head.version[0] = DM_VERSION_MAJOR;
    request.head.data_size = sizeof request;
    request.head.data_start = sizeof request.head;
    (void)snprintf(request.head.name, sizeof request.head.name, "%s", device);
    char *message =
        request.room + sizeof request.head + offsetof(struct dm_target_msg, message); // sector 0
    (void)snprintf(message, 128, "mark %s", text);
    return ioctl(control, DM_TARGET_MSG, &request) == 0;
}

static int work(const char *path, size_t steps, const char *device)
{
    struct workload_journal *journal = workload_journal_create();
    struct k2_engine *engine = NULL;
    struct k2_error error = {0};
    int control = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
    bool marked = control >= 0;
    enum k2_status status = workload_open(&engine, path, &error);
    while (status == K2_OK && marked && atomic_load(&journal->done) < steps) {
        status = workload_step(&engine, path, journal, &error);
        size_t done = atomic_load(&journal->done);
        if (status == K2_OK) {
            char text[64];
            (void)snprintf(text, sizeof text, "done:%zu:%" PRIu64, done,
                           atomic_load(&journal->snapshots[done - 1]));
            marked = mark(control, device, text);
        }
    }
    if (status != K2_OK || !marked) {
        (void)fprintf(stderr, "power_cut: step %zu: %s\n", atomic_load(&journal->done),
                      marked ? error.text : strerror(errno));
    }
    (void)close(control);
    k2_engine_close(engine);
    workload_journal_destroy(journal);
    return status == K2_OK && marked ? 0 : 1;
}

struct cut {
    const char *path, *snapshots_file;
    size_t done;
};

static void print_finding(void *context, const char *text)
{
    (void)context;
    print_error("finding: %s\n", text);
}

static struct workload_journal *read_journal(const struct cut *cut)
{
    struct workload_journal *journal = workload_journal_create();
    FILE *file = fopen(cut->snapshots_file, "r");
    assert_non_null(file);
    uint64_t snapshot;
    for (size_t step = 0; step < cut->done; step++) {
        assert_int_equal(fscanf(file, "%" SCNu64, &snapshot), 1);
        atomic_store(&journal->snapshots[step], snapshot);
    }
    (void)fclose(file);
    atomic_store(&journal->done, cut->done);
    atomic_store(&journal->begun, cut->done + 1);
    return journal;
}

static void what_was_acknowledged_is_there(void **state)
{
    const struct cut *cut = *state;
    struct workload_journal *journal = read_journal(cut);
    uint64_t chance = test_seed();
    struct k2_engine *engine = NULL;
    struct k2_error error = {0};
    enum k2_status status = k2_engine_open(&engine, cut->path, K2_ENGINE_READ, &error);
    if (status == K2_OK && k2_engine_table_at(engine, 1) != NULL) {
        workload_settle(engine, journal, &chance, "a reader");
    } else if (status != K2_OK && (status != K2_NOT_FOUND || cut->done > 0)) {
        fail_msg("a reader: %s", error.text);
    }
    k2_engine_close(engine);
    engine = NULL;
    if (workload_open(&engine, cut->path, &error) != K2_OK) {
        fail_msg("the next writer: %s", error.text);
    }
    workload_settle(engine, journal, &chance, "the next writer");
    size_t until = atomic_load(&journal->done) + STEPS_AFTERWARDS;
    while (atomic_load(&journal->done) < until) {
        if (workload_step(&engine, cut->path, journal, &error) != K2_OK) {
            fail_msg("step %zu afterwards: %s", atomic_load(&journal->done), error.text);
        }
    }
    workload_settle(engine, journal, &chance, "afterwards");
    struct k2_check_options options = {.deep = true, .finding = print_finding};
    struct k2_check_report report = {0};
    if (k2_check(engine, &options, &report, &error) != K2_OK || report.findings != 0) {
        fail_msg("check: %d findings, %s", (int)report.findings, error.text);
    }
    k2_engine_close(engine);
    workload_journal_destroy(journal);
}

int main(int argument_count, char **arguments)
{
    if (argument_count == 5 && strcmp(arguments[1], "work") == 0) {
        return work(arguments[2], strtoul(arguments[3], NULL, 10), arguments[4]);
    }
    if (argument_count == 5 && strcmp(arguments[1], "judge") == 0) {
        struct cut cut = {.path = arguments[2],
                          .done = strtoul(arguments[3], NULL, 10),
                          .snapshots_file = arguments[4]};
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_prestate(what_was_acknowledged_is_there, &cut)};
        return cmocka_run_group_tests(tests, NULL, NULL);
    }
    (void)fprintf(stderr, "usage: power_cut work|judge STORE ...\n");
    return 2;
}
