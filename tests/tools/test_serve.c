// What `k2 serve` refuses before it opens or creates a store.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/command_line.h"
#include "tests/support/folder.h"
#include "tools/commands.h"

static const struct k2_command *const commands[] = {&k2_command_serve, NULL};

#define KAFKA "--kafka 127.0.0.1:1"

static void wrong_usage_is_told_and_creates_no_store(void **state)
{
    (void)state;
    static const struct {
        const char *name, *options, *part;
    } rows[] = {
        {"not on loopback", "--listen 0.0.0.0:0", "is not a loopback address"},
        {"no port", "--listen 127.0.0.1", "is not HOST:PORT"},
        {"a topic without brokers", "--topic a=trades", "--kafka: missing"},
        {"brokers without a topic", KAFKA, "--topic: missing"},
        {"a topic without table", KAFKA " --topic a", "is not NAME=TABLE"},
        {"a partition that is no number", KAFKA " --topic a:x=trades", "is not NAME=TABLE"},
        {"a topic for two tables", KAFKA " --topic a=trades --topic a=quotes", "given twice"},
        {"a topic and a part of it", KAFKA " --topic a:1=trades --topic a=quotes", "given twice"},
        {"parts that overlap", KAFKA " --topic a:0,1=trades --topic b=book --topic a:2,1=quotes",
         "--topic: a: a partition is given twice"},
    };
    char folder[TEST_PATH_BYTES], line[2 * TEST_PATH_BYTES], data[TEST_PATH_BYTES + 16];
    static struct test_result result;
    test_folder_make(folder);
    (void)snprintf(data, sizeof data, "%s/store", folder);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        (void)snprintf(line, sizeof line, "serve --data %s %s", data, rows[i].options);
        test_command_line(commands, line, NULL, -1, &result);
        if (result.code != 2 || result.out[0] != '\0' || strstr(result.err, rows[i].part) == NULL ||
            access(data, F_OK) == 0) {
            fail_msg("%s: code %d, stderr: %s", rows[i].name, result.code, result.err);
        }
    }
    test_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_usage_is_told_and_creates_no_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
