// Rows of a running server, as a stream that is checked to be complete (libcurl).
//
// Belongs to one thread. The trailers of the answer are compared with what came: a cut, failed or
// changed answer fails, though its beginning was handed on.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "format/base/buffer.h"

struct k2_http_query {
    const char *server; // `http://127.0.0.1:8000`; a path may follow
    const char *table;
    const char *const *names, *const *values; // parameters as texts, not escaped
    size_t parameter_count;
    // Takes the bytes of the body as they come.
    enum k2_status (*take)(void *take_context, struct k2_slice bytes, struct k2_error *error);
    void *take_context;
};

struct k2_http_result {
    uint64_t rows, snapshot;
    char complete[8];   // true, false, null
    uint64_t gap_count; // open gaps that may have rows in the range
};

// K2_BAD_REQUEST, K2_NOT_FOUND: what the server says of the query, with its words; nothing was
// taken. K2_BUSY: no server answers. K2_IO: the answer is not complete.
K2_MUST_CHECK enum k2_status k2_http_query_run(const struct k2_http_query *query,
                                               struct k2_http_result *result,
                                               struct k2_error *error);
