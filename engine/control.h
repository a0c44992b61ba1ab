// control.sock in the data folder: commands for the process that has the store's lock.
//
// A request is one line of JSON, {"command":NAME,"arguments":[TEXT,...]}; answers are lines, too:
// any number of {"done":N,"total":N} and one of {"ok":true,"result":{...}} or
// {"ok":false,"status":NAME,"error":TEXT}. Only the user who runs the server gets through. Lines
// are bounded, and a peer that is silent is let go.
//
// Start and stop belong to one thread. Commands run in threads of their own, a few at a time.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "format/base/buffer.h"
#include "format/base/status.h"

enum { K2_CONTROL_LINE_BYTES = 64 << 10, K2_CONTROL_MOST_ARGUMENTS = 64 };

struct k2_control_request {
    struct k2_slice name;                                 // borrowed from `texts`
    struct k2_slice arguments[K2_CONTROL_MOST_ARGUMENTS]; // each followed by a NUL
    size_t argument_count;
    struct k2_buffer texts;
};

// K2_BAD_REQUEST says what is wrong with the line. `request` is inited by it, and deinited by the
// caller in every case.
K2_MUST_CHECK enum k2_status k2_control_request_parse(struct k2_control_request *request,
                                                      struct k2_slice line, struct k2_error *error);
void k2_control_request_deinit(struct k2_control_request *request);
void k2_control_request_put(struct k2_buffer *out, const char *name, const char *const *arguments,
                            size_t argument_count);

struct k2_control_call {
    void *context; // of the server
    const struct k2_control_request *request;
    struct k2_buffer *result;    // takes the members of the result: "a":1,"b":2
    const atomic_bool *stopping; // a long command gives up
    int socket;                  // for k2_control_progress
};
void k2_control_progress(const struct k2_control_call *call, uint64_t done, uint64_t total);

struct k2_control_command {
    const char *name;
    enum k2_status (*run)(const struct k2_control_call *call, struct k2_error *error);
};

struct k2_control; // opaque

// `commands` ends with a zeroed one and outlives the server. The caller has the store's lock: a
// socket that a killed process left is replaced.
K2_MUST_CHECK enum k2_status k2_control_start(struct k2_control **control, const char *data_path,
                                              const struct k2_control_command *commands,
                                              void *context, struct k2_error *error);
void k2_control_stop(struct k2_control *control); // NULL is fine

// Asks the server of a store. `*reached` is false when there is none. `result` takes the JSON of
// the result; a command that failed fails here as it did there. `progress` may be NULL.
K2_MUST_CHECK enum k2_status k2_control_ask(
    const char *data_path, const char *name, const char *const *arguments, size_t argument_count,
    void (*progress)(void *context, uint64_t done, uint64_t total), void *progress_context,
    bool *reached, struct k2_buffer *result, struct k2_error *error);
