// `k2 load` as users type it: what it says of work done, done in part and given up.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/command_line.h"
#include "tests/support/folder.h"
#include "tools/commands.h"

static const struct k2_command *const commands[] = {&k2_command_load, NULL};

#define HEADER "exchange,symbol,timestamp,sequence,price,quantity\n"

static const struct {
    const char *name, *text;
} files[] = {
    {"good.csv", HEADER "X,A,1,1,5,1\nX,A,2,2,5,1\n"},
    {"conflict.csv", HEADER "X,A,1,1,6,1\nX,A,3,3,5,1\nX,A,3,3,5,1\nX,A,4,4,x,1\n"},
    {"no_price.csv", "exchange,symbol,timestamp,sequence,quantity\nX,A,9,9,1\n"},
    {"cut.csv.gz", "\x1f\x8b\x08"},
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

#define SUMMARY(read, stored, duplicate, rejected)                                                 \
    "{\"rows_read\":" #read ",\"rows_stored\":" #stored ",\"rows_duplicate\":" #duplicate          \
    ",\"rows_rejected\":" #rejected ","

// Each row begins with an empty store. `out` is how stdout begins; "": it is empty.
static void counters_add_up_however_a_load_ends(void **state)
{
    (void)state;
    static const struct {
        const char *name, *paths;
        int code;
        const char *out, *err;
    } rows[] = {
        {"all stored", "good.csv", 0, SUMMARY(2, 2, 0, 0), ""},
        {"in part", "good.csv conflict.csv", 1, SUMMARY(6, 3, 1, 2), ""},
        {"nothing", "no_price.csv", 2, "", "no_price.csv: no field is `price`"},
        {"wrong usage behind rows that were stored", "good.csv no_price.csv", 1,
         SUMMARY(2, 2, 0, 0), "no_price.csv: no field is `price`"},
        {"rejects before wrong usage", "good.csv conflict.csv no_price.csv", 1, SUMMARY(6, 3, 1, 2),
         "no_price.csv: no field is `price`"},
        {"damaged input behind rows that were stored", "good.csv cut.csv.gz", 1,
         SUMMARY(2, 2, 0, 0), "cut"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char folder[TEST_PATH_BYTES], line[256];
        static struct test_result result;
        test_folder_make(folder);
        write_files(folder);
        assert_int_equal(chdir(folder), 0);
        (void)snprintf(line, sizeof line, "load --data store --table trades --format json %s",
                       rows[i].paths);
        test_command_line(commands, line, NULL, -1, &result);
        bool good = strncmp(result.out, rows[i].out, strlen(rows[i].out)) == 0 &&
                    (rows[i].out[0] != '\0' || result.out[0] == '\0') &&
                    strstr(result.err, rows[i].err) != NULL;
        if (!good || result.code != rows[i].code) {
            fail_msg("%s: code %d, stdout: %s, stderr: %s", rows[i].name, result.code, result.out,
                     result.err);
        }
        assert_int_equal(chdir("/"), 0);
        test_folder_remove(folder);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters_add_up_however_a_load_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
