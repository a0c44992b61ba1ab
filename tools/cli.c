#include "tools/cli.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/alloc.h"

struct given_option {
    const struct k2_option *option;
    const char *value; // NULL for a flag
};

struct k2_cli {
    const struct k2_command *command;
    struct given_option *given; // owned
    size_t given_count;
    const char **arguments; // owned array of borrowed texts
    size_t argument_count;
    int write_errno; // the first failed write to stdout
};

// ---- near misses

// Edits between two short words; enough for names of commands and options.
static size_t edit_distance(const char *left, const char *right)
{
    enum { ROOM = 32 };
    size_t left_length = strlen(left);
    size_t right_length = strlen(right);
    if (left_length >= ROOM || right_length >= ROOM) {
        return ROOM;
    }
    size_t row[ROOM];
    for (size_t j = 0; j <= right_length; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= left_length; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= right_length; j++) {
            size_t replaced = diagonal + (left[i - 1] != right[j - 1]);
            size_t shorter = row[j - 1] < row[j] ? row[j - 1] : row[j];
            diagonal = row[j];
            row[j] = replaced < shorter + 1 ? replaced : shorter + 1;
        }
    }
    return row[right_length];
}

// Keeps the better of two guesses at what `word` was meant to be.
static void consider(const char *word, const char *name, const char **best, size_t *best_distance)
{
    size_t distance = edit_distance(word, name);
    bool begins = strlen(word) >= 3 && strncmp(word, name, strlen(word)) == 0;
    if (begins) {
        distance = 1;
    }
    if (distance < *best_distance) {
        *best = name;
        *best_distance = distance;
    }
}

enum { FAR = 3 }; // as many edits are no typing error

// ---- usage

static void print_option(FILE *out, const struct k2_option *option)
{
    char head[128];
    (void)snprintf(head, sizeof head, "--%s%s%s", option->name, option->value == NULL ? "" : " ",
                   option->value == NULL ? "" : option->value);
    if (strlen(head) > 28) {
        (void)fprintf(out, "  %s\n%32s%s\n", head, "", option->help);
    } else {
        (void)fprintf(out, "  %-29s %s\n", head, option->help);
    }
}

static void print_command_usage(FILE *out, const struct k2_command *command)
{
    (void)fprintf(out, "usage: k2 %s%s%s%s\n\n%s\n", command->name,
                  command->arguments == NULL ? "" : " ",
                  command->arguments == NULL ? "" : command->arguments,
                  command->options[0].name == NULL ? "" : " [OPTION...]", command->summary);
    if (command->options[0].name != NULL) {
        (void)fprintf(out, "\noptions:\n");
    }
    for (const struct k2_option *option = command->options; option->name != NULL; option++) {
        print_option(out, option);
    }
}

static void print_usage(FILE *out, const struct k2_command *const *commands)
{
    (void)fprintf(out, "usage: k2 COMMAND [ARGUMENT...] [--OPTION VALUE...]\n\n"
                       "a store for market data: exact, durable, every past state of it\n\n"
                       "commands:\n");
    for (; *commands != NULL; commands++) {
        (void)fprintf(out, "  %-12s %s\n", (*commands)->name, (*commands)->summary);
    }
    (void)fprintf(out, "\n`k2 COMMAND --help` shows the options of a command.\n");
}

// ---- the command line

static const struct k2_command *find_command(const struct k2_command *const *commands,
                                             const char *name)
{
    const char *best = NULL;
    size_t best_distance = FAR;
    for (; *commands != NULL; commands++) {
        if (strcmp((*commands)->name, name) == 0) {
            return *commands;
        }
        consider(name, (*commands)->name, &best, &best_distance);
    }
    if (best != NULL) {
        (void)fprintf(stderr, "k2: %s: no such command; did you mean `%s`?\n", name, best);
    } else {
        (void)fprintf(stderr, "k2: %s: no such command; `k2 --help` lists them\n", name);
    }
    return NULL;
}

static const struct k2_option *find_option(const struct k2_command *command, const char *name,
                                           size_t name_bytes, struct k2_error *error)
{
    char word[64];
    (void)snprintf(word, sizeof word, "%.*s", (int)(name_bytes < 63 ? name_bytes : 63), name);
    const char *best = NULL;
    size_t best_distance = FAR;
    for (const struct k2_option *option = command->options; option->name != NULL; option++) {
        if (strlen(option->name) == name_bytes && memcmp(option->name, name, name_bytes) == 0) {
            return option;
        }
        consider(word, option->name, &best, &best_distance);
    }
    if (best != NULL) {
        (void)k2_fail(error, K2_BAD_REQUEST, "%s: no option --%s; did you mean `--%s`?",
                      command->name, word, best);
    } else {
        (void)k2_fail(error, K2_BAD_REQUEST, "%s: no option --%s; `k2 %s --help` lists them",
                      command->name, word, command->name);
    }
    return NULL;
}

// Takes `text` (`--name` or `--name=value`), and its value from `next` when that is where it is.
static enum k2_status take_option(struct k2_cli *cli, const char *text, const char *next,
                                  bool *took_next, struct k2_error *error)
{
    const char *name = text + 2;
    const char *equals = strchr(name, '=');
    size_t name_bytes = equals == NULL ? strlen(name) : (size_t)(equals - name);
    const struct k2_option *option = find_option(cli->command, name, name_bytes, error);
    if (option == NULL) {
        return K2_BAD_REQUEST;
    }
    const char *value = equals == NULL ? NULL : equals + 1;
    if (option->value == NULL && value != NULL) {
        return k2_fail(error, K2_BAD_REQUEST, "--%s: takes no value", option->name);
    }
    if (option->value != NULL && value == NULL) {
        if (next == NULL) {
            return k2_fail(error, K2_BAD_REQUEST, "--%s: its value is missing; it is --%s %s",
                           option->name, option->name, option->value);
        }
        value = next;
        *took_next = true;
    }
    if (!option->repeatable && k2_cli_has(cli, option->name)) {
        return k2_fail(error, K2_BAD_REQUEST, "--%s: given twice; give it once", option->name);
    }
    cli->given[cli->given_count++] = (struct given_option){option, value};
    return K2_OK;
}

static enum k2_status check_arguments(const struct k2_cli *cli, struct k2_error *error)
{
    const struct k2_command *command = cli->command;
    if (cli->argument_count < command->argument_min) {
        return k2_fail(error, K2_BAD_REQUEST, "%s: %s is missing; `k2 %s --help` shows the usage",
                       command->name, command->arguments, command->name);
    }
    if (cli->argument_count > command->argument_max) {
        return k2_fail(error, K2_BAD_REQUEST,
                       "%s: `%s` is one argument too many; options begin "
                       "with --",
                       command->name, cli->arguments[command->argument_max]);
    }
    return K2_OK;
}

static enum k2_status parse(struct k2_cli *cli, int count, char **texts, bool *help,
                            struct k2_error *error)
{
    bool options_end = false;
    for (int i = 0; i < count; i++) {
        const char *text = texts[i];
        bool is_option = !options_end && text[0] == '-' && text[1] != '\0';
        if (!is_option) {
            cli->arguments[cli->argument_count++] = text;
        } else if (strcmp(text, "--") == 0) {
            options_end = true;
        } else if (strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0) {
            *help = true;
            return K2_OK;
        } else if (text[1] != '-') {
            return k2_fail(error, K2_BAD_REQUEST,
                           "%s: options begin with two dashes; behind `--` comes what is no option",
                           text);
        } else {
            bool took_next = false;
            const char *next = i + 1 < count ? texts[i + 1] : NULL;
            enum k2_status status = take_option(cli, text, next, &took_next, error);
            if (status != K2_OK) {
                return status;
            }
            i += took_next;
        }
    }
    return check_arguments(cli, error);
}

// What is still in the buffer of stdout may not fit on a full disk.
static enum k2_exit finish_output(struct k2_cli *cli, enum k2_exit code)
{
    struct k2_error error;
    bool told = cli->write_errno != 0;
    if (k2_cli_flush(cli, &error) != K2_OK && !told && code == K2_EXIT_DONE) {
        return k2_cli_fail(cli, &error);
    }
    return cli->write_errno != 0 && code == K2_EXIT_DONE ? K2_EXIT_FAILED : code;
}

static enum k2_exit run_command(const struct k2_command *command, int count, char **texts)
{
    struct k2_cli cli = {.command = command};
    struct k2_error error;
    size_t room = (size_t)count + 1;
    cli.given = k2_alloc_zero(room, sizeof *cli.given);
    cli.arguments = k2_alloc_zero(room, sizeof *cli.arguments);
    enum k2_status status = K2_OK;
    bool help = false;
    if (cli.given == NULL || cli.arguments == NULL) {
        status = k2_fail(&error, K2_NO_MEMORY, "command line: out of memory");
    } else {
        status = parse(&cli, count, texts, &help, &error);
    }
    enum k2_exit code;
    if (status != K2_OK) {
        code = k2_cli_fail(&cli, &error);
    } else if (help) {
        print_command_usage(stdout, command);
        code = finish_output(&cli, K2_EXIT_DONE);
    } else {
        code = finish_output(&cli, command->run(&cli));
    }
    k2_free(cli.given);
    k2_free(cli.arguments);
    return code;
}

int k2_cli_main(const struct k2_command *const *commands, int argument_count, char **arguments)
{
    // A reader that leaves shows as a failed write; a pipe must never end a process that commits.
    (void)signal(SIGPIPE, SIG_IGN);
    if (argument_count < 2) {
        print_usage(stderr, commands);
        return K2_EXIT_USAGE;
    }
    const char *name = arguments[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_usage(stdout, commands);
        struct k2_cli cli = {0};
        return (int)finish_output(&cli, K2_EXIT_DONE);
    }
    if (strcmp(name, "--version") == 0) {
        name = "version";
    }
    const struct k2_command *command = find_command(commands, name);
    if (command == NULL) {
        return K2_EXIT_USAGE;
    }
    return (int)run_command(command, argument_count - 2, arguments + 2);
}

// ---- what was given

size_t k2_cli_argument_count(const struct k2_cli *cli)
{
    return cli->argument_count;
}

const char *k2_cli_argument(const struct k2_cli *cli, size_t index)
{
    return index < cli->argument_count ? cli->arguments[index] : NULL;
}

static const struct given_option *find_given(const struct k2_cli *cli, const char *option,
                                             size_t index)
{
    for (size_t i = 0; i < cli->given_count; i++) {
        if (strcmp(cli->given[i].option->name, option) == 0 && index-- == 0) {
            return &cli->given[i];
        }
    }
    return NULL;
}

bool k2_cli_has(const struct k2_cli *cli, const char *option)
{
    return find_given(cli, option, 0) != NULL;
}

const char *k2_cli_value_at(const struct k2_cli *cli, const char *option, size_t index)
{
    const struct given_option *given = find_given(cli, option, index);
    return given == NULL ? NULL : given->value;
}

const char *k2_cli_value(const struct k2_cli *cli, const char *option)
{
    return k2_cli_value_at(cli, option, 0);
}

const char *k2_cli_data(const struct k2_cli *cli)
{
    const char *given = k2_cli_value(cli, "data");
    if (given != NULL) {
        return given;
    }
    const char *set = getenv("K2_DATA");
    return set != NULL && set[0] != '\0' ? set : "./k2-data";
}

enum k2_status k2_cli_number(const struct k2_cli *cli, const char *option, uint64_t min,
                             uint64_t max, uint64_t *number, struct k2_error *error)
{
    const char *text = k2_cli_value(cli, option);
    if (text == NULL) {
        return K2_OK;
    }
    uint64_t value = 0;
    bool good = text[0] != '\0';
    for (const char *digit = text; good && *digit != '\0'; digit++) {
        good = *digit >= '0' && *digit <= '9' && !__builtin_mul_overflow(value, 10, &value) &&
               !__builtin_add_overflow(value, (uint64_t)(*digit - '0'), &value);
    }
    if (!good || value < min || value > max) {
        return k2_fail(error, K2_BAD_REQUEST,
                       "--%s: `%.100s` is not a whole number from %llu to %llu", option, text,
                       (unsigned long long)min, (unsigned long long)max);
    }
    *number = value;
    return K2_OK;
}

enum k2_status k2_cli_choice(const struct k2_cli *cli, const char *option,
                             const char *const *choices, size_t *choice, struct k2_error *error)
{
    const char *text = k2_cli_value(cli, option);
    if (text == NULL) {
        return K2_OK;
    }
    char list[256] = "";
    size_t used = 0;
    for (size_t i = 0; choices[i] != NULL; i++) {
        if (strcmp(choices[i], text) == 0) {
            *choice = i;
            return K2_OK;
        }
        int put = snprintf(list + used, sizeof list - used, "%s%s", i == 0 ? "" : ", ", choices[i]);
        used += put > 0 && (size_t)put < sizeof list - used ? (size_t)put : 0;
    }
    return k2_fail(error, K2_BAD_REQUEST, "--%s: `%.100s` is none of %s", option, text, list);
}

// ---- stderr

enum k2_exit k2_exit_of(enum k2_status status)
{
    switch (status) {
    case K2_OK:
        return K2_EXIT_DONE;
    case K2_BAD_REQUEST:
        return K2_EXIT_USAGE;
    case K2_NOT_FOUND:
    case K2_EXPIRED:
        return K2_EXIT_NOT_FOUND;
    case K2_NOT_PERMITTED:
        return K2_EXIT_NOT_PERMITTED;
    case K2_BUSY:
    case K2_NO_SPACE:
        return K2_EXIT_BUSY;
    case K2_CORRUPT:
        return K2_EXIT_CORRUPT;
    default:
        return K2_EXIT_FAILED;
    }
}

enum k2_exit k2_cli_fail(const struct k2_cli *cli, const struct k2_error *error)
{
    if (cli->write_errno == EPIPE) {
        return K2_EXIT_FAILED;
    }
    (void)fprintf(stderr, "k2: %s\n", error->text);
    return k2_exit_of(error->status);
}

void k2_cli_warn(const struct k2_cli *cli, const char *format, ...)
{
    (void)cli;
    char text[K2_ERROR_TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    (void)fprintf(stderr, "k2: warning: %s\n", text);
}

// ---- stdout

FILE *k2_cli_out(const struct k2_cli *cli)
{
    (void)cli;
    return stdout;
}

static enum k2_status write_failed(struct k2_cli *cli, struct k2_error *error)
{
    if (cli->write_errno == 0) {
        cli->write_errno = errno == 0 ? EIO : errno;
    }
    return k2_fail_errno(error, cli->write_errno, "stdout: can not write");
}

enum k2_status k2_cli_write(struct k2_cli *cli, struct k2_slice bytes, struct k2_error *error)
{
    errno = 0;
    if (bytes.size_bytes > 0 &&
        fwrite(bytes.data, 1, bytes.size_bytes, stdout) != bytes.size_bytes) {
        return write_failed(cli, error);
    }
    return K2_OK;
}

enum k2_status k2_cli_flush(struct k2_cli *cli, struct k2_error *error)
{
    errno = 0;
    if (fflush(stdout) != 0 || ferror(stdout) != 0) {
        return write_failed(cli, error);
    }
    return K2_OK;
}
