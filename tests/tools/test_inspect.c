#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/command_line.h"
#include "tests/support/folder.h"
#include "tests/support/workload.h"
#include "tools/commands.h"

static const struct k2_command *const commands[] = {&k2_command_inspect, NULL};

// A store of some commits; `segment` is its only file.
static void make_store(char path[TEST_PATH_BYTES], char segment[TEST_PATH_BYTES])
{
    struct workload_journal *journal = workload_journal_create();
    struct k2_engine *engine = NULL;
    test_folder_make(path);
    assert_int_equal(workload_open(&engine, path, NULL), K2_OK);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(workload_step(&engine, path, journal, NULL), K2_OK);
    }
    k2_engine_close(engine);
    workload_journal_destroy(journal);
    test_folder_first(path, "segments", segment);
}

static json_t *inspect_json(const char *segment)
{
    char line[TEST_PATH_BYTES + 64];
    (void)snprintf(line, sizeof line, "inspect %s --format json", segment);
    struct test_result result;
    test_command_line(commands, line, NULL, -1, &result);
    if (result.code != 0) {
        fail_msg("%s", result.err);
    }
    json_t *document = json_loads(result.out, 0, NULL);
    assert_non_null(document);
    return document;
}

static void groups_and_columns_add_up(void **state)
{
    (void)state;
    char path[TEST_PATH_BYTES];
    char segment[TEST_PATH_BYTES];
    make_store(path, segment);
    json_t *document = inspect_json(segment);
    json_t *groups = json_object_get(document, "groups");
    assert_true(json_array_size(groups) >= 3);
    json_int_t end = 4096;
    json_int_t rows = 0;
    size_t index;
    json_t *group;
    json_array_foreach(groups, index, group)
    {
        assert_int_equal(json_integer_value(json_object_get(group, "offset")), end);
        json_int_t length = json_integer_value(json_object_get(group, "length"));
        json_int_t bytes = 0;
        json_t *columns = json_object_get(group, "columns");
        size_t place;
        json_t *column;
        json_array_foreach(columns, place, column)
        {
            bytes += json_integer_value(json_object_get(column, "bytes"));
        }
        assert_true(bytes > 0 && bytes < length);
        end += length;
        if (strcmp(json_string_value(json_object_get(group, "table")), "trades") == 0) {
            rows += json_integer_value(json_object_get(group, "rows"));
        }
    }
    assert_int_equal(end, json_integer_value(json_object_get(document, "bytes")));
    assert_true(rows > 0);
    json_decref(document);

    char line[TEST_PATH_BYTES + 64];
    (void)snprintf(line, sizeof line, "inspect %s", segment);
    struct test_result result;
    test_command_line(commands, line, NULL, -1, &result);
    assert_int_equal(result.code, 0);
    assert_non_null(strstr(result.out, "rows of trades"));
    assert_non_null(strstr(result.out, "  price "));
    test_folder_remove(path);
}

static void damage_is_told(void **state)
{
    (void)state;
    char path[TEST_PATH_BYTES];
    char segment[TEST_PATH_BYTES];
    make_store(path, segment);
    FILE *file = fopen(segment, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, 4096 + 40, SEEK_SET), 0);
    assert_int_equal(fputc(0x5a, file), 0x5a);
    assert_int_equal(fclose(file), 0);
    char line[TEST_PATH_BYTES + 64];
    (void)snprintf(line, sizeof line, "inspect %s", segment);
    struct test_result result;
    test_command_line(commands, line, NULL, -1, &result);
    assert_int_equal(result.code, 6);
    assert_non_null(strstr(result.err, "k2: "));
    assert_non_null(strstr(result.err, "byte 4096"));
    test_command_line(commands, "inspect /nowhere/at/all", NULL, -1, &result);
    assert_int_equal(result.code, 3);
    test_command_line(commands, "inspect /dev/null", NULL, -1, &result);
    assert_int_equal(result.code, 6);
    test_folder_remove(path);
}

static void failed_allocations_are_told(void **state)
{
    (void)state;
    char path[TEST_PATH_BYTES];
    char segment[TEST_PATH_BYTES];
    make_store(path, segment);
    char line[TEST_PATH_BYTES + 64];
    (void)snprintf(line, sizeof line, "inspect %s", segment);
    struct test_result result = {.code = -1};
    for (long calls = 0; result.code != 0; calls += 7) {
        assert_true(calls < 100000);
        test_command_line(commands, line, NULL, calls, &result);
        assert_true(result.code == 0 || result.code == 1);
    }
    test_folder_remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_and_columns_add_up),
        cmocka_unit_test(damage_is_told),
        cmocka_unit_test(failed_allocations_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
