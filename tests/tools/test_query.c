// query, snapshots, tag, stats and dlq as users type them, against a store of a few trades.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "format/base/alloc.h"
#include "tests/support/command_line.h"
#include "tests/support/store_rows.h"
#include "tools/commands.h"

static const struct k2_command *const commands[] = {&k2_command_query, &k2_command_snapshots,
                                                    &k2_command_tag,   &k2_command_stats,
                                                    &k2_command_dlq,   NULL};

static int open_fixture(void **state)
{
    static struct test_store store;
    static const struct test_trade first[] = {{"BHP", 1000000000, 1, 3815500000, 100000000},
                                              {"DVN", 1000000000, 2, 100000000, 200000000}};
    static const struct test_trade late[] = {{"BHP", 0, 3, 1, 1}};
    struct k2_commit_outcome outcome;
    test_store_open(&store);
    test_store_commit(&store, first, 2, K2_NUMBERING_SPARSE, &outcome);
    test_store_commit(&store, late, 1, K2_NUMBERING_SPARSE, &outcome);
    k2_row_batch_destroy(store.batch); // the commands open it, as other processes would
    store.batch = NULL;
    k2_engine_close(store.engine);
    store.engine = NULL;
    *state = &store;
    return 0;
}

static int close_fixture(void **state)
{
    test_store_close(*state);
    return 0;
}

#define FIELDS "--fields symbol,timestamp,price"

// In their order: some change what the later ones see. `out` and `err` are parts, `out` "" is all.
static const struct {
    const char *line;
    int code;
    const char *out, *err;
} rows[] = {
    {"query --table trades " FIELDS " --format csv", 0,
     "symbol,timestamp,price\nBHP,1970-01-01T00:00:00.000000000Z,0.00000001\n"
     "BHP,1970-01-01T00:00:01.000000000Z,38.155\nDVN,1970-01-01T00:00:01.000000000Z,1\n",
     "rows=3 snapshot=2 complete=null gaps=0\n"},
    {"query --table trades " FIELDS " --format csv --as-of 1 --time ns --order desc", 0,
     "symbol,timestamp,price\nDVN,1000000000,1\nBHP,1000000000,38.155\n", "rows=2 snapshot=1"},
    {"query --table trades " FIELDS " --limit 1", 0,
     "symbol  timestamp                            price\n"
     "BHP     1970-01-01T00:00:00.000000000Z  0.00000001\n",
     "rows=1"},
    {"query --table trades --fields price --symbol dvn --format json", 0,
     "[\n{\"price\":\"1\"}\n]\n", "rows=1"},
    {"query --table trades --fields price --symbol dvn --format json --numbers float", 0,
     "[\n{\"price\":1}\n]\n", "rows=1"},
    {"query --table trades --fields price --symbol X --format json", 0, "[]\n", "rows=0"},
    {"query --table trades --fields sequence --start 1 --end 1970-01-02 --format ndjson", 0,
     "{\"sequence\":1}\n{\"sequence\":2}\n", "rows=2"},
    {"query", 2, "", "k2: query: --table is needed"},
    {"query --table nothing", 3, "", "k2: query: --table: there is no table `nothing`"},
    {"query --table trades --limit 0", 2, "", "--limit: `0` is not a number"},
    {"query --table trades --fields x", 2, "", "--fields: table trades has no column `x`"},
    {"query --table trades --start soon", 2, "", "--start: `soon` is no time"},
    {"query --table trades --order up", 2, "", "--order: `up` is not known"},
    {"query --table trades --as-of never", 3, "", "--as-of: no snapshot, tag or commit"},
    {"query --table trades --server http://127.0.0.1:1", 2, "", "--data or --server"},
    {"tag first --snapshot 1 --format json", 0, "{\"tag\":\"first\",\"snapshot\":1}\n", ""},
    {"tag first", 1, "", "k2: tag first: "},
    {"tag 1st", 2, "", "k2: "},
    {"tag other --snapshot 9", 3, "", "k2: "},
    {"query --table trades --fields sequence --as-of first --format csv", 0, "sequence\n1\n2\n",
     "snapshot=1"},
    {"snapshots --format json --limit 5", 0, "\"tags\":[\"first\"],\"tables\":{\"trades\":{", ""},
    {"snapshots --limit 1", 0, "append", ""},
    {"tag first --delete", 0, "first 1\n", ""},
    {"tag first --delete", 3, "", "k2: tag: no snapshot"},
    {"tag newest --format json", 0, "{\"tag\":\"newest\",\"snapshot\":2}\n", ""},
    {"stats --format json", 0, "{\"snapshot\":2,\"index_bytes\":", ""},
    {"stats", 0, "trades                        3", ""},
    {"dlq list", 0, "", ""},
    {"dlq list --format json", 0, "[]\n", ""},
    {"dlq show trades:1:2", 3, "", "there is no dead letter `trades:1:2`"},
    {"dlq show x", 2, "", "`x` is no id"},
    {"dlq show trades:1:2x", 2, "", "`trades:1:2x` is no id"},
    {"dlq show", 2, "", "show takes one id"},
    {"dlq drop", 2, "", "`drop` is not known"},
};

static void every_command_does_what_it_says(void **state)
{
    const struct test_store *store = *state;
    static struct test_result result;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char line[512];
        (void)snprintf(line, sizeof line, "%s --data %s", rows[i].line, store->folder);
        test_command_line(commands, line, NULL, -1, &result);
        if (result.code != rows[i].code || strstr(result.err, rows[i].err) == NULL ||
            (rows[i].out[0] == '\0' ? result.out[0] != '\0'
                                    : strstr(result.out, rows[i].out) == NULL)) {
            fail_msg("%s: %d, expected %d\n%s\n%s", rows[i].line, result.code, rows[i].code,
                     result.out, result.err);
        }
    }
}

static void a_store_that_is_not_there_is_not_found(void **state)
{
    (void)state;
    static const char *const lines[] = {"query --table trades", "snapshots", "tag x", "stats",
                                        "dlq list"};
    static struct test_result result;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        char line[128];
        (void)snprintf(line, sizeof line, "%s --data /nonexistent/store", lines[i]);
        test_command_line(commands, line, NULL, -1, &result);
        assert_int_equal(result.code, K2_EXIT_NOT_FOUND);
        assert_string_equal(result.out, "");
        assert_memory_equal(result.err, "k2: ", 4);
    }
}

static void short_memory_and_a_full_disk_are_failures(void **state)
{
    const struct test_store *store = *state;
    static struct test_result result;
    char line[512];
    (void)snprintf(line, sizeof line, "query --table trades --format csv --data %s", store->folder);
    test_command_line(commands, line, "/dev/full", -1, &result);
    assert_int_not_equal(result.code, 0);
    result.code = -1;
    for (long count = 0; result.code != 0; count++) {
        test_command_line(commands, line, NULL, count, &result);
        assert_true(result.code == 0 || result.code == K2_EXIT_FAILED);
        assert_true(count < 5000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_command_does_what_it_says),
        cmocka_unit_test(a_store_that_is_not_there_is_not_found),
        cmocka_unit_test(short_memory_and_a_full_disk_are_failures),
    };
    return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}
