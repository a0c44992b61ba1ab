// The command line as users type it: k2_cli_main runs in a child, its output is read from files.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/command_line.h"
#include "tools/cli.h"
#include "tools/progress.h"

static enum k2_exit run_echo(struct k2_cli *cli)
{
    uint64_t count = 1;
    size_t format = 0;
    struct k2_error error;
    static const char *const formats[] = {"table", "json", NULL};
    if (k2_cli_number(cli, "count", 1, 10, &count, &error) != K2_OK ||
        k2_cli_choice(cli, "format", formats, &format, &error) != K2_OK) {
        return k2_cli_fail(cli, &error);
    }
    (void)fprintf(k2_cli_out(cli), "count=%d format=%s loud=%d", (int)count, formats[format],
                  k2_cli_has(cli, "loud"));
    for (size_t i = 0; k2_cli_value_at(cli, "topic", i) != NULL; i++) {
        (void)fprintf(k2_cli_out(cli), " topic=%s", k2_cli_value_at(cli, "topic", i));
    }
    for (size_t i = 0; i < k2_cli_argument_count(cli); i++) {
        (void)fprintf(k2_cli_out(cli), " <%s>", k2_cli_argument(cli, i));
    }
    (void)fprintf(k2_cli_out(cli), " data=%s\n", k2_cli_data(cli));
    return K2_EXIT_DONE;
}

static enum k2_exit run_fail(struct k2_cli *cli)
{
    struct k2_error error;
    uint64_t status = 0;
    if (k2_cli_number(cli, "status", 0, 20, &status, &error) != K2_OK) {
        return k2_cli_fail(cli, &error);
    }
    (void)k2_fail(&error, (enum k2_status)status, "store s: it is so; do something");
    return k2_cli_fail(cli, &error);
}

static enum k2_exit run_progress(struct k2_cli *cli)
{
    struct k2_progress progress;
    struct k2_error error;
    if (k2_progress_begin(&progress, cli, "rows", 10, &error) != K2_OK) {
        return k2_cli_fail(cli, &error);
    }
    k2_progress_show(&progress, 5, 5);
    k2_progress_committed(&progress, 65536, 7);
    k2_progress_end(&progress);
    return K2_EXIT_DONE;
}

static const struct k2_command echo = {
    .name = "echo",
    .summary = "prints what it was given",
    .arguments = "FILE...",
    .argument_max = 3,
    .options = (const struct k2_option[]){K2_OPTION_DATA,
                                          K2_OPTION_FORMAT("table|json", "table"),
                                          {"count", "N", "a number", false},
                                          {"topic", "NAME", "any number of them", true},
                                          {"loud", NULL, "a flag", false},
                                          {0}},
    .run = run_echo,
};

static const struct k2_command fail_command = {
    .name = "fail",
    .summary = "fails",
    .options = (const struct k2_option[]){{"status", "N", "with it", false}, {0}},
    .run = run_fail,
};

static const struct k2_command need_command = {
    .name = "need",
    .summary = "needs a file",
    .arguments = "FILE",
    .argument_min = 1,
    .argument_max = 1,
    .options = (const struct k2_option[]){{0}},
    .run = run_echo,
};

static const struct k2_command progress_command = {
    .name = "work",
    .summary = "shows progress",
    .options = (const struct k2_option[]){K2_OPTION_PROGRESS, {0}},
    .run = run_progress,
};

static const struct k2_command *const commands[] = {&echo, &fail_command, &need_command,
                                                    &progress_command, NULL};

static void command_lines_do_what_they_say(void **state)
{
    (void)state;
    static const struct {
        const char *name, *line;
        int code;
        const char *out; // whole, or NULL: anything
        const char *err; // a part, or NULL: nothing at all
    } rows[] = {
        {"no option gives the defaults", "echo", 0, "count=1 format=table loud=0 data=./k2-data\n",
         NULL},
        {"a value follows its option", "echo --count 3 --format json", 0,
         "count=3 format=json loud=0 data=./k2-data\n", NULL},
        {"a value stands behind =", "echo --count=3 --data=/a=b", 0,
         "count=3 format=table loud=0 data=/a=b\n", NULL},
        {"options and arguments mix", "echo a --loud b --topic x --topic=y -", 0,
         "count=1 format=table loud=1 topic=x topic=y <a> <b> <-> data=./k2-data\n", NULL},
        {"-- ends the options", "echo -- --loud -x", 0,
         "count=1 format=table loud=0 <--loud> <-x> data=./k2-data\n", NULL},
        {"a value may begin with dashes", "echo --topic --loud", 0,
         "count=1 format=table loud=0 topic=--loud data=./k2-data\n", NULL},
        {"a near miss of an option is named", "echo --cuont 3", 2, "", "did you mean `--count`?"},
        {"a far miss is pointed to the help", "echo --zzzzzzz 3", 2, "", "`k2 echo --help`"},
        {"a near miss of a command is named", "ehco", 2, "", "did you mean `echo`?"},
        {"an unknown command", "zzzzzzz", 2, "", "k2: zzzzzzz: no such command; `k2 --help`"},
        {"no command at all", "", 2, "", "usage: k2 COMMAND"},
        {"an option twice", "echo --count 1 --count 2", 2, "", "--count: given twice"},
        {"a value that is missing", "echo --count", 2, "", "--count: its value is missing"},
        {"a flag with a value", "echo --loud=1", 2, "", "--loud: takes no value"},
        {"one dash is no option", "echo -count", 2, "", "two dashes"},
        {"too many arguments", "echo a b c d", 2, "", "`d` is one argument too many"},
        {"too few arguments", "need", 2, "", "FILE is missing"},
        {"a number below its range", "echo --count 0", 2, "", "whole number from 1 to 10"},
        {"a number above its range", "echo --count 11", 2, "", "`11` is not"},
        {"a number beyond 64 bits", "echo --count 18446744073709551617", 2, "", "is not a whole"},
        {"no number", "echo --count 3x", 2, "", "`3x` is not a whole number"},
        {"a choice that is none", "echo --format xml", 2, "", "`xml` is none of table, json"},
        {"bad request is 2", "fail --status 1", 2, "", "k2: store s: it is so; do something\n"},
        {"not found is 3", "fail --status 2", 3, "", "k2: store s: it is so"},
        {"not permitted is 4", "fail --status 3", 4, "", "k2: "},
        {"busy is 5", "fail --status 4", 5, "", "k2: "},
        {"no space is 5", "fail --status 5", 5, "", "k2: "},
        {"limit is 1", "fail --status 6", 1, "", "k2: "},
        {"io is 1", "fail --status 7", 1, "", "k2: "},
        {"corrupt is 6", "fail --status 8", 6, "", "k2: "},
        {"no memory is 1", "fail --status 9", 1, "", "k2: "},
        {"progress is silent without a terminal", "work", 0, "", NULL},
        {"progress for programs", "work --progress json", 0, "",
         "{\"committed_rows\":65536,\"snapshot\":7}\n"},
        {"help wins over a bad command line", "need --help", 0,
         "usage: k2 need FILE\n\nneeds a file\n", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct test_result result;
        test_command_line(commands, rows[i].line, NULL, -1, &result);
        bool good =
            result.code == rows[i].code &&
            (rows[i].out == NULL || strcmp(result.out, rows[i].out) == 0) &&
            (rows[i].err == NULL ? result.err[0] == '\0' : strstr(result.err, rows[i].err) != NULL);
        if (!good) {
            fail_msg("%s: `k2 %s` ended with %d, stdout `%s`, stderr `%s`", rows[i].name,
                     rows[i].line, result.code, result.out, result.err);
        }
    }
}

static void help_shows_every_option(void **state)
{
    (void)state;
    struct test_result result;
    test_command_line(commands, "echo --help", NULL, -1, &result);
    assert_int_equal(result.code, 0);
    assert_non_null(strstr(result.out, "usage: k2 echo FILE... [OPTION...]\n"));
    for (const struct k2_option *option = echo.options; option->name != NULL; option++) {
        assert_non_null(strstr(result.out, option->name));
        assert_non_null(strstr(result.out, option->help));
    }
    test_command_line(commands, "--help", NULL, -1, &result);
    assert_int_equal(result.code, 0);
    assert_non_null(strstr(result.out, "prints what it was given"));
}

static void a_full_disk_under_stdout_is_a_failure(void **state)
{
    (void)state;
    if (access("/dev/full", W_OK) != 0) {
        skip();
    }
    struct test_result result;
    test_command_line(commands, "echo", "/dev/full", -1, &result);
    assert_int_equal(result.code, 5);
    assert_non_null(strstr(result.err, "k2: stdout: "));
}

static void failed_allocations_are_told(void **state)
{
    (void)state;
    struct test_result result = {.code = -1};
    for (long calls = 0; result.code != 0; calls++) {
        assert_true(calls < 10);
        test_command_line(commands, "echo a", NULL, calls, &result);
        assert_true(result.code == 0 || strstr(result.err, "out of memory") != NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(command_lines_do_what_they_say),
        cmocka_unit_test(help_shows_every_option),
        cmocka_unit_test(a_full_disk_under_stdout_is_a_failure),
        cmocka_unit_test(failed_allocations_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
