// One HTTP request and its answer, with what a caller needs to know of a failure: whether the
// server can have acted on the request (libcurl).
//
// A handle keeps its connection open between calls and belongs to one thread. Redirects are not
// followed: a signed request holds for one place only.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "format/base/buffer.h"

struct k2_http_exchange; // opaque

struct k2_http_call {
    const char *method;         // as it is sent
    const char *url;            // http or https, escaped
    const char *const *headers; // `Name: value`
    size_t header_count;
    bool has_body;
    struct k2_slice body;
    // Takes the bytes of an answer with a status from 200 to 299 as they come; NULL: they are kept.
    enum k2_status (*take)(void *take_context, struct k2_slice bytes, struct k2_error *error);
    void *take_context;
    size_t answer_ceiling_bytes; // of a body that is kept; 0: 1 MiB
    unsigned silent_seconds;     // the longest time without a byte; 0: 60
    unsigned total_seconds;      // 0: no limit
};

enum k2_http_fate {
    K2_HTTP_ANSWERED = 0, // whole
    K2_HTTP_NOT_SENT,     // no connection: the server knows nothing of the request
    K2_HTTP_UNKNOWN,      // cut, reset or timed out: the server may have done it
    K2_HTTP_STOPPED,      // `take` failed, memory is short, or the answer is larger than allowed
};

// Holds until the next call with the same handle.
struct k2_http_answer {
    enum k2_http_fate fate;
    unsigned status;      // 0: none came
    struct k2_slice head; // the lines of the last head and of the trailers
    struct k2_slice body; // what was kept
};

K2_MUST_CHECK enum k2_status k2_http_exchange_open(struct k2_http_exchange **exchange,
                                                   struct k2_error *error);
void k2_http_exchange_close(struct k2_http_exchange *exchange);

// K2_OK with any status, whole. Else answer->fate says what is known: K2_BUSY: not sent. K2_IO:
// unknown. K2_BAD_REQUEST: not an http URL. The failure of `take` is passed on.
K2_MUST_CHECK enum k2_status k2_http_exchange_run(struct k2_http_exchange *exchange,
                                                  const struct k2_http_call *call,
                                                  struct k2_http_answer *answer,
                                                  struct k2_error *error);

// The value of the last header with this name (any case), blanks around it cut.
bool k2_http_header(struct k2_slice head, const char *name, struct k2_slice *value);

// Appends `text` with everything but letters, digits, `-`, `.`, `_`, `~` (and `/` if it is kept) as
// %XX, the way that signatures and paths need it.
void k2_http_put_escaped(struct k2_buffer *out, struct k2_slice text, bool keep_slashes);
