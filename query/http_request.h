// A request as handlers see it: a method, the parts of a path, parameters. No socket.
//
// Immutable after k2_http_request_parse; its texts live as long as it does.
#pragma once

#include <stdbool.h>

#include "format/base/bytes.h"
#include "format/base/status.h"
#include "query/http_coding.h"

enum {
    K2_HTTP_MAX_PARTS = 8,
    K2_HTTP_MAX_PARAMETERS = 32,
    K2_HTTP_TARGET_BYTES = 8192,    // longer is 414
    K2_HTTP_CORRELATION_BYTES = 64, // of an id that is taken over
};

struct k2_http_parameter {
    const char *name; // decoded UTF-8 without control characters
    struct k2_slice value;
};

struct k2_http_request {
    const char *method;
    struct k2_slice parts[K2_HTTP_MAX_PARTS]; // of the path, decoded, without the slashes
    size_t part_count;                        // 0: `/`
    struct k2_http_parameter parameters[K2_HTTP_MAX_PARAMETERS];
    size_t parameter_count;
    char correlation_id[K2_HTTP_CORRELATION_BYTES + 1];
    struct k2_slice accept; // the header; empty without one
    enum k2_http_coding coding;
    char *texts; // owned: what the slices point to
};

// As received; headers that are not there are empty.
struct k2_http_request_texts {
    const char *method;
    struct k2_slice target; // `/v1/trades?symbol=BHP`
    struct k2_slice correlation_id, accept, accept_encoding;
};

// Copies what it needs. K2_BAD_REQUEST for a path that climbs, a bad escape, a NUL or control
// character, text that is not UTF-8, a parameter given twice (named). `*request` may be deinited
// and has a correlation id in every case.
K2_MUST_CHECK enum k2_status k2_http_request_parse(struct k2_http_request *request,
                                                   const struct k2_http_request_texts *texts,
                                                   struct k2_error *error);
void k2_http_request_deinit(struct k2_http_request *request);

// NULL if it was not given.
const struct k2_http_parameter *k2_http_request_find(const struct k2_http_request *request,
                                                     const char *name);
