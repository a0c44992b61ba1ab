// An answer that a handler gives: a status, headers and a body, whole or pulled piece by piece.
//
// No socket. Closable from k2_http_response_init on. Belongs to one thread at a time.
#pragma once

#include <stdbool.h>

#include "format/base/buffer.h"
#include "query/http_request.h"

enum {
    K2_HTTP_MAX_HEADERS = 12,
    K2_HTTP_HEADER_BYTES = 128,
    K2_HTTP_BODY_BYTES = 64 << 20, // ceiling of a whole body, and of one piece of a stream
};

struct k2_http_header {
    const char *name; // static
    char value[K2_HTTP_HEADER_BYTES];
};

struct k2_http_response;

// A body that is made while it is sent.
struct k2_http_stream {
    void *context; // owned: closed with close
    // Appends until `out` holds `enough_bytes` or a little more, or `*done`. At the end it may add
    // trailers to the response. After a failure the client must not take the body for complete.
    enum k2_status (*next)(void *context, struct k2_http_response *response, size_t enough_bytes,
                           struct k2_buffer *out, bool *done, struct k2_error *error);
    void (*close)(void *context);
};

struct k2_http_response {
    unsigned status;
    const char *content_type; // static
    struct k2_http_header headers[K2_HTTP_MAX_HEADERS], trailers[K2_HTTP_MAX_HEADERS];
    size_t header_count, trailer_count;
    struct k2_buffer body;        // whole, or the first piece of a stream
    struct k2_http_stream stream; // next is NULL: the body is whole
    bool compressed;              // in itself, so that no coding makes it smaller
    bool chunked;                 // sent in chunks even if the first piece is everything
    bool ends_connection;
    const char *route; // static: the template, for metrics
    uint64_t row_count;
    struct k2_error failure; // of a 500, for the log: what clients are not told
};

void k2_http_response_init(struct k2_http_response *response);
void k2_http_response_deinit(struct k2_http_response *response);

void k2_http_response_header(struct k2_http_response *response, const char *name,
                             const char *format, ...) K2_PRINTF(3, 4);
void k2_http_response_trailer(struct k2_http_response *response, const char *name,
                              const char *format, ...) K2_PRINTF(3, 4);

// `"meta":{` and its first members, open for more.
void k2_http_put_meta(const struct k2_http_request *request, struct k2_buffer *out);

// Replaces the answer by the error envelope. `code` NULL: the one of the status.
void k2_http_response_error(struct k2_http_response *response,
                            const struct k2_http_request *request, unsigned status,
                            const char *code, const char *message);

// The same for a failed call of K2; the parameter that the text begins with is named in the
// details. What lies inside (paths, bytes) is not told to clients.
void k2_http_response_failure(struct k2_http_response *response,
                              const struct k2_http_request *request, const struct k2_error *error);
