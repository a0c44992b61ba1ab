// Corrections, deletions and policies as users type them.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/command_line.h"
#include "tests/support/folder.h"
#include "tools/commands.h"

static const struct k2_command *const commands[] = {
    &k2_command_load,    &k2_command_query,
    &k2_command_policy,  &k2_command_tag,
    &k2_command_compact, &k2_command_repair,
    &k2_command_check,   &k2_command_retain,
    &k2_command_gaps,    NULL,
};

#define HEADER "exchange,symbol,timestamp,sequence,price,quantity\n"

static const struct {
    const char *name, *text;
} files[] = {
    {"first.csv", HEADER "X,A,1,1,5,1\nX,A,2,1,6,1\nX,B,1,1,7,1\n"},
    {"corrected.csv", HEADER "X,A,2,1,6.5,1\n"},
    {"again.csv", HEADER "X,A,2,1,6.75,1\n"},
    {"future.csv", HEADER "X,A,4102444800000000000,1,9,1\n"},
    {"busted.csv", "exchange,symbol,timestamp,sequence\nX,B,1,1\n"},
    {"unknown.csv", "exchange,symbol,timestamp,sequence\nX,B,1,9\n"},
    {"mixed.json", "{\"exchange\":\"X\",\"symbol\":\"A\",\"timestamp\":1,\"sequence\":1,"
                   "\"_op\":\"delete\"}\n"
                   "{\"exchange\":\"X\",\"symbol\":\"A\",\"timestamp\":3,\"sequence\":1,"
                   "\"price\":8,\"quantity\":1,\"_op\":\"put\"}\n"
                   "{\"exchange\":\"X\",\"symbol\":\"A\",\"timestamp\":3,\"sequence\":2,"
                   "\"price\":8,\"quantity\":1,\"_op\":\"upsert\"}\n"},
    {"fixes.avsc",
     "{\"type\":\"record\",\"name\":\"fixes\",\"fields\":["
     "{\"name\":\"symbol\",\"type\":\"string\"},"
     "{\"name\":\"timestamp\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-nanos\"}},"
     "{\"name\":\"sequence\",\"type\":\"long\"},"
     "{\"name\":\"price\",\"type\":\"long\"},"
     "{\"name\":\"revision\",\"type\":\"int\",\"k2.role\":\"version\"}]}"},
    {"one.csv", "symbol,timestamp,sequence,price,revision\nA,1,1,10,1\nA,2,1,20,1\n"},
    {"two.csv", "symbol,timestamp,sequence,price,revision\nA,1,1,11,2\n"},
    {"three.csv", "symbol,timestamp,sequence,price,revision\nA,1,1,12,3\nA,1,1,11,2\n"},
    {"gone.csv", "symbol,timestamp,sequence\nA,2,1\n"},
};

struct step {
    const char *line; // NULL: the end; `wait`: more than a second passes
    int code;
    const char *out; // how stdout begins
    const char *err; // somewhere on stderr
};

static void write_files(const char *folder)
{
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char path[2 * TEST_PATH_BYTES];
        (void)snprintf(path, sizeof path, "%s/%s", folder, files[i].name);
        FILE *file = fopen(path, "we");
        assert_non_null(file);
        assert_true(fputs(files[i].text, file) >= 0);
        assert_int_equal(fclose(file), 0);
    }
}

static void take_steps(const struct step *steps)
{
    char folder[TEST_PATH_BYTES];
    static struct test_result result;
    test_folder_make(folder);
    write_files(folder);
    assert_int_equal(chdir(folder), 0);
    for (size_t i = 0; steps[i].line != NULL; i++) {
        if (strcmp(steps[i].line, "wait") == 0) {
            struct timespec pause = {1, 100000000};
            (void)nanosleep(&pause, NULL);
            continue;
        }
        test_command_line(commands, steps[i].line, NULL, -1, &result);
        bool good = strncmp(result.out, steps[i].out, strlen(steps[i].out)) == 0 &&
                    strstr(result.err, steps[i].err) != NULL;
        if (!good || result.code != steps[i].code) {
            fail_msg("step %zu: %s: code %d, stdout: %s, stderr: %s", i, steps[i].line, result.code,
                     result.out, result.err);
        }
    }
    assert_int_equal(chdir("/"), 0);
    test_folder_remove(folder);
}

#define LOAD "load --data s --table trades --format json "
#define LOAD_FIXES "load --data s --table fixes --exchange X --format json "
#define ROWS "query --data s --table trades --format csv --time ns --fields symbol,timestamp,price"
#define ROWS_FIXES "query --data s --table fixes --format csv --time ns --fields timestamp,price"
#define POLICY "policy --data s --table trades "
#define SUMMARY(read, stored, duplicate, rejected)                                                 \
    "{\"rows_read\":" #read ",\"rows_stored\":" #stored ",\"rows_duplicate\":" #duplicate          \
    ",\"rows_rejected\":" #rejected ","
#define FIRST "symbol,timestamp,price\nA,1,5\nB,1,7\nA,2,6\n"
#define FUTURE "A,4102444800000000000,9\n"
#define SECOND "symbol,timestamp,price\nA,1,5\nB,1,7\nA,2,6.5\n"

static void a_correction_takes_the_place_of_a_row_and_leaves_it_to_older_snapshots(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {LOAD "first.csv", 0, SUMMARY(3, 3, 0, 0), ""},
        {LOAD "corrected.csv", 1, SUMMARY(1, 0, 0, 1), ""},
        {POLICY "--duplicates keep-last", 0, "trades", ""},
        {LOAD "corrected.csv", 0, SUMMARY(1, 1, 0, 0), ""},
        {LOAD "corrected.csv", 0, SUMMARY(1, 0, 1, 0), ""},
        {ROWS, 0, SECOND, "rows=3 snapshot=3"},
        {ROWS " --as-of 1", 0, FIRST, "rows=3 snapshot=1"},
        {ROWS " --order desc --limit 1", 0, "symbol,timestamp,price\nA,2,6.5\n", ""},
        {POLICY "--duplicates keep-first", 2, "", "1 rows that were replaced or deleted"},
        {"compact --data s --full", 0, "", ""},
        {ROWS, 0, SECOND, ""},
        {ROWS " --as-of 2", 0, FIRST, ""},
        {"repair --data s --from-segments", 0, "", ""},
        {POLICY, 0, "trades            duplicates keep-last", ""},
        {POLICY "--duplicates keep-first", 2, "", "1 rows that were replaced or deleted"},
        {ROWS, 0, SECOND, ""},
        {ROWS " --as-of 2", 0, FIRST, ""},
        {"check --data s --deep", 0, "", ""},
        {NULL, 0, "", ""},
    };
    take_steps(steps);
}

static void a_deletion_hides_a_row_from_newer_snapshots(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {LOAD "first.csv", 0, SUMMARY(3, 3, 0, 0), ""},
        {LOAD "--delete unknown.csv", 1, SUMMARY(1, 0, 0, 1), ""},
        {LOAD "--delete busted.csv", 0, SUMMARY(1, 1, 0, 0), ""},
        {LOAD "--delete busted.csv", 0, SUMMARY(1, 0, 1, 0), ""},
        {ROWS, 0, "symbol,timestamp,price\nA,1,5\nA,2,6\n", "rows=2"},
        {ROWS " --as-of 1", 0, FIRST, "rows=3"},
        {LOAD "first.csv", 0, SUMMARY(3, 0, 3, 0), ""}, // does not bring it back
        {LOAD "--rejects r.csv mixed.json", 1, SUMMARY(3, 2, 0, 1), ""},
        {ROWS, 0, "symbol,timestamp,price\nA,2,6\nA,3,8\n", "rows=2"},
        {ROWS " --as-of 1", 0, FIRST, "rows=3"},
        {"repair --data s --from-segments", 0, "", ""},
        {ROWS, 0, "symbol,timestamp,price\nA,2,6\nA,3,8\n", "rows=2"},
        {NULL, 0, "", ""},
    };
    take_steps(steps);
}

static void versions_with_numbers_may_come_in_any_order(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {LOAD_FIXES "--schema fixes.avsc one.csv", 0, SUMMARY(2, 2, 0, 0), ""},
        {"policy --data s --table fixes --duplicates keep-last", 0, "fixes", ""},
        {LOAD_FIXES "three.csv", 0, SUMMARY(2, 1, 1, 0), ""},
        {LOAD_FIXES "two.csv", 0, SUMMARY(1, 0, 1, 0), ""},
        {LOAD_FIXES "one.csv three.csv", 0, SUMMARY(4, 0, 4, 0), ""},
        {ROWS_FIXES, 0, "timestamp,price\n1,12\n2,20\n", ""},
        {ROWS_FIXES " --as-of 1", 0, "timestamp,price\n1,10\n2,20\n", ""},
        {LOAD_FIXES "--delete gone.csv", 0, SUMMARY(1, 1, 0, 0), ""},
        {LOAD_FIXES "one.csv", 0, SUMMARY(2, 0, 2, 0), ""}, // not newer than what was deleted
        {ROWS_FIXES, 0, "timestamp,price\n1,12\n", ""},
        {NULL, 0, "", ""},
    };
    take_steps(steps);
}

static void a_table_may_reject_every_second_row(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {POLICY "--duplicates reject", 0, "trades", ""},
        {LOAD "first.csv", 0, SUMMARY(3, 3, 0, 0), ""},
        {LOAD "first.csv corrected.csv", 1, SUMMARY(4, 0, 0, 4), ""},
        {ROWS, 0, FIRST, ""},
        {NULL, 0, "", ""},
    };
    take_steps(steps);
}

static void a_snapshot_older_than_the_history_has_expired_unless_it_has_a_tag(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {LOAD "first.csv", 0, SUMMARY(3, 3, 0, 0), ""},
        {"tag --data s before", 0, "before 1", ""},
        {LOAD "--delete busted.csv", 0, SUMMARY(1, 1, 0, 0), ""},
        {LOAD "mixed.json", 1, SUMMARY(3, 2, 0, 1), ""},
        {POLICY "--history 1s", 0, "trades            duplicates keep-first  history 1s", ""},
        {"wait", 0, "", ""},
        {ROWS " --as-of 2", 3, "", "snapshot 2 has expired: the history of table trades goes back"},
        {ROWS " --as-of before", 0, FIRST, ""},
        {ROWS " --as-of 1", 0, FIRST, ""},
        {ROWS " --as-of 3", 0, "symbol,timestamp,price\nA,2,6\nA,3,8\n", ""},
        {POLICY "--history always", 0, "trades", ""},
        {ROWS " --as-of 2", 0, "symbol,timestamp,price\nA,1,5\nA,2,6\n", ""},
        {NULL, 0, "", ""},
    };
    take_steps(steps);
}

// Events of 1970 and of 2100.
static void old_rows_are_dropped_and_stay_away(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {LOAD "first.csv future.csv", 0, SUMMARY(4, 4, 0, 0), ""},
        {"retain --data s", 0, "trades            0 rows dropped", ""},
        {POLICY "--retention 5y", 0,
         "trades            duplicates keep-first  history always    "
         "retention 5y",
         ""},
        {"retain --data s --table trades --dry-run --format json", 0,
         "[{\"table\":\"trades\",\"rows_dropped\":3,\"rows_old\":3,\"history_snapshot\":0,"
         "\"dropped_before\":null,\"snapshot\":2}]\n",
         ""},
        {ROWS, 0, FIRST FUTURE, "rows=4 snapshot=2 complete=null"},
        {"retain --data s --table trades", 0,
         "trades            3 rows dropped: 3 old, 0 replaced or deleted\n", ""},
        {ROWS, 0, "symbol,timestamp,price\n" FUTURE, "rows=1 snapshot=3 complete=false"},
        {ROWS " --as-of 1", 0, "symbol,timestamp,price\n", "rows=0 snapshot=1 complete=false"},
        {ROWS " --start 2099-01-01", 0, "symbol,timestamp,price\n" FUTURE,
         "rows=1 snapshot=3 complete=null"},
        {"retain --data s", 0, "trades            0 rows dropped", ""},
        {"check --data s --deep", 0, "", ""},
        {"repair --data s --from-segments", 0, "1 rows are there; 0 losses", ""},
        {ROWS, 0, "symbol,timestamp,price\n" FUTURE, "rows=1 snapshot=3 complete=false"},
        {LOAD "first.csv", 0, SUMMARY(3, 3, 0, 0), ""}, // late: the next retain takes them
        {"retain --data s --table quotes", 0, "quotes            0 rows dropped", ""},
        {"retain --data s --table nothing", 3, "", "there is no table `nothing`"},
        {NULL, 0, "", ""},
    };
    take_steps(steps);
}

static void replaced_rows_are_dropped_but_for_those_that_a_tag_shows(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {POLICY "--duplicates keep-last --history 1s", 0, "trades", ""},
        {LOAD "first.csv", 0, SUMMARY(3, 3, 0, 0), ""},
        {"tag --data s before", 0, "before 1", ""},
        {LOAD "corrected.csv", 0, SUMMARY(1, 1, 0, 0), ""},
        {LOAD "again.csv", 0, SUMMARY(1, 1, 0, 0), ""},
        {LOAD "--delete busted.csv", 0, SUMMARY(1, 1, 0, 0), ""},
        {"wait", 0, "", ""},
        {"retain --data s --table trades", 0,
         "trades            1 rows dropped: 0 old, 1 replaced or deleted\n", ""},
        {ROWS, 0, "symbol,timestamp,price\nA,1,5\nA,2,6.75\n", "snapshot=5 complete=null"},
        {ROWS " --as-of before", 0, FIRST, ""},
        {ROWS " --as-of 2", 3, "", "snapshot 2 has expired"},
        {"tag --data s late --snapshot 2", 3, "", "snapshot 2 has expired"},
        {"repair --data s --from-segments", 0, "", ""},
        {ROWS " --as-of before", 0, FIRST, ""},
        {ROWS, 0, "symbol,timestamp,price\nA,1,5\nA,2,6.75\n", "snapshot=5"},
        {"tag --data s before --delete", 0, "before", ""},
        {"retain --data s --table trades", 0,
         "trades            2 rows dropped: 0 old, 2 replaced or deleted\n", ""},
        {ROWS " --as-of 1", 3, "", "snapshot 1 has expired"},
        {ROWS, 0, "symbol,timestamp,price\nA,1,5\nA,2,6.75\n", "snapshot=6"},
        {LOAD "first.csv", 0, SUMMARY(3, 2, 1, 0), ""}, // the last row of a key counts
        {"check --data s --deep", 0, "", ""},
        {NULL, 0, "", ""},
    };
    take_steps(steps);
}

static void what_is_wrong_in_a_policy_is_told(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"policy --data s", 3, "", "no store here"},
        {"policy --data s --history 3d", 2, "", "--table: missing"},
        {POLICY "--history 3", 2, "", "--history: `3` is neither"},
        {POLICY "--retention 9999999999y", 2, "", "--retention:"},
        {POLICY "--duplicates newest", 2, "", "--duplicates:"},
        {"policy --data s --table _log --history 3d", 3, "", "there is no table `_log`"},
        {POLICY "--retention 2w --history 365d --format json", 0,
         "[{\"table\":\"trades\",\"duplicates\":\"keep-first\",\"history\":\"1y\","
         "\"retention\":\"14d\",\"history_snapshot\":0,\"dropped_before\":null}]\n",
         ""},
        {NULL, 0, "", ""},
    };
    take_steps(steps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_correction_takes_the_place_of_a_row_and_leaves_it_to_older_snapshots),
        cmocka_unit_test(a_deletion_hides_a_row_from_newer_snapshots),
        cmocka_unit_test(versions_with_numbers_may_come_in_any_order),
        cmocka_unit_test(a_table_may_reject_every_second_row),
        cmocka_unit_test(a_snapshot_older_than_the_history_has_expired_unless_it_has_a_tag),
        cmocka_unit_test(old_rows_are_dropped_and_stay_away),
        cmocka_unit_test(replaced_rows_are_dropped_but_for_those_that_a_tag_shows),
        cmocka_unit_test(what_is_wrong_in_a_policy_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
