// The frame of the `k2` program: options, exit codes, error lines, what goes to stdout.
//
// A subcommand is one file tools/<name>.c with one `const struct k2_command k2_command_<name>`,
// listed in tools/commands.h. Belongs to the main thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "format/base/buffer.h"
#include "format/base/status.h"

enum k2_exit {
    K2_EXIT_DONE = 0,
    K2_EXIT_FAILED = 1, // done in part, or failed
    K2_EXIT_USAGE = 2,
    K2_EXIT_NOT_FOUND = 3,
    K2_EXIT_NOT_PERMITTED = 4,
    K2_EXIT_BUSY = 5, // busy, unavailable, timed out, out of space
    K2_EXIT_CORRUPT = 6,
};

struct k2_option {
    const char *name;  // without the dashes
    const char *value; // what the usage calls its value, such as `DIR`; NULL: a flag without value
    const char *help;
    bool repeatable; // else a second one is a usage error
};

// The options that many commands share, for their tables.
#define K2_OPTION_DATA                                                                             \
    {                                                                                              \
        "data", "DIR", "the store (else K2_DATA, else ./k2-data)", false                           \
    }
#define K2_OPTION_FORMAT(choices, default_name)                                                    \
    {                                                                                              \
        "format", choices, "what stdout carries; " default_name " unless given", false             \
    }

struct k2_cli; // opaque

struct k2_command {
    const char *name;
    const char *summary;               // one line
    const char *arguments;             // as the usage shows them, such as `FILE...`; NULL: none
    size_t argument_min, argument_max; // checked before run
    const struct k2_option *options;   // ends with a zeroed one; `help` is understood by itself
    enum k2_exit (*run)(struct k2_cli *cli);
};

// Runs `k2` with these arguments: finds the command, parses its options, runs it and sees that
// stdout took everything. `commands` ends with NULL.
int k2_cli_main(const struct k2_command *const *commands, int argument_count, char **arguments);

// What was given. Texts are borrowed from the command line, for as long as the program runs.
size_t k2_cli_argument_count(const struct k2_cli *cli);
const char *k2_cli_argument(const struct k2_cli *cli, size_t index);
bool k2_cli_has(const struct k2_cli *cli, const char *option);
const char *k2_cli_value(const struct k2_cli *cli, const char *option); // NULL: not given
const char *k2_cli_value_at(const struct k2_cli *cli, const char *option,
                            size_t index);         // of a repeatable option; NULL behind the last
const char *k2_cli_data(const struct k2_cli *cli); // --data, else K2_DATA, else ./k2-data

// Leaves `*number` alone when the option is not given. K2_BAD_REQUEST names the option.
K2_MUST_CHECK enum k2_status k2_cli_number(const struct k2_cli *cli, const char *option,
                                           uint64_t min, uint64_t max, uint64_t *number,
                                           struct k2_error *error);

// The place of `--option` in `choices` (ends with NULL); leaves `*choice` alone when it is not
// given. K2_BAD_REQUEST lists the choices.
K2_MUST_CHECK enum k2_status k2_cli_choice(const struct k2_cli *cli, const char *option,
                                           const char *const *choices, size_t *choice,
                                           struct k2_error *error);

// Prints `k2: WHERE: WHAT; HINT` on stderr, where `error->text` is all of it behind `k2: `, and
// gives the exit code of `error->status`. Says nothing when the reader of stdout has left.
enum k2_exit k2_cli_fail(const struct k2_cli *cli, const struct k2_error *error);
enum k2_exit k2_exit_of(enum k2_status status);

// A line on stderr that is not the end: `k2: warning: ...`.
void k2_cli_warn(const struct k2_cli *cli, const char *format, ...) K2_PRINTF(2, 3);

// stdout. A failed write (disk full, reader gone) is reported once by k2_cli_main at the latest;
// long answers check every piece, to stop early.
FILE *k2_cli_out(const struct k2_cli *cli);
K2_MUST_CHECK enum k2_status k2_cli_write(struct k2_cli *cli, struct k2_slice bytes,
                                          struct k2_error *error);
K2_MUST_CHECK enum k2_status k2_cli_flush(struct k2_cli *cli, struct k2_error *error);
