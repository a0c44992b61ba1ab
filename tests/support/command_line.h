// Commands of `k2` as users type them, in a child process whose output is read back.
#pragma once

#include "tools/cli.h"

struct test_result {
    int code;
    char out[65536], err[4096]; // the beginning of it, with a NUL
};

// `line`: words separated by single blanks, without `k2`. `stdout_path`: NULL, or where stdout goes
// instead. After `allocations` allocations memory is short; -1: never.
void test_command_line(const struct k2_command *const *commands, const char *line,
                       const char *stdout_path, long allocations, struct test_result *result);
