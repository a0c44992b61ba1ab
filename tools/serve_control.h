// The commands that change a store, as `k2 serve` takes them through control.sock: one table.
//
// A command of the program that finds the store busy asks there (k2_control_or_busy).
#pragma once

#include "engine/control.h"
#include "engine/engine.h"
#include "tools/cli.h"

extern const struct k2_control_command k2_serve_commands[]; // their context is the engine

// When `status` says that another process writes to the store: asks it, if it is a server. Else
// gives `status` back. `asked` says whether `result`, as JSON, and the new status are an answer.
K2_MUST_CHECK enum k2_status k2_control_or_busy(const struct k2_cli *cli, enum k2_status status,
                                                const char *name, const char *const *arguments,
                                                size_t argument_count,
                                                void (*progress)(void *, uint64_t, uint64_t),
                                                void *progress_context, bool *asked,
                                                struct k2_buffer *result, struct k2_error *error);

// A number of a flat JSON object such as a result; 0 when it is not there.
uint64_t k2_control_number(const struct k2_buffer *result, const char *member);
