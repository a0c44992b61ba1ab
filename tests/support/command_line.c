#include "tests/support/command_line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "format/base/alloc.h"

static void read_back(FILE *file, char *text, size_t room)
{
    rewind(file);
    size_t length = fread(text, 1, room - 1, file);
    text[length] = '\0';
    assert_int_equal(fclose(file), 0);
}

void test_command_line(const struct k2_command *const *commands, const char *line,
                       const char *stdout_path, long allocations, struct test_result *result)
{
    char words[512];
    (void)snprintf(words, sizeof words, "%s", line);
    char name[] = "k2";
    char *arguments[32] = {name};
    int count = 1;
    for (char *word = words; *word != '\0'; count++) {
        arguments[count] = word;
        word += strcspn(word, " ");
        if (*word == ' ') {
            *word++ = '\0';
        }
    }
    FILE *out = stdout_path == NULL ? tmpfile() : fopen(stdout_path, "w+");
    FILE *err = tmpfile();
    assert_non_null(out);
    assert_non_null(err);
    (void)fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)dup2(fileno(out), STDOUT_FILENO);
        (void)dup2(fileno(err), STDERR_FILENO);
        (void)unsetenv("K2_DATA");
        k2_alloc_fail_after(allocations);
        int code = k2_cli_main(commands, count, arguments);
        (void)fflush(NULL);
        _exit(code);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    result->code = WEXITSTATUS(status);
    read_back(out, result->out, sizeof result->out);
    read_back(err, result->err, sizeof result->err);
}
