// The HTTP API: from a request to a response, by a table of routes. No sockets.
//
// An api is immutable after creation and shared by threads; k2_http_api_handle may run in many of
// them at once. The engine, the options' texts and contexts outlive it.
#pragma once

#include "engine/engine.h"
#include "query/http_metrics.h"
#include "query/http_response.h"

// Zero is the default.
struct k2_http_api_options {
    const char *version;      // of the program
    size_t scan_memory_bytes; // ceiling of the row data of one answer; default 4 MiB
    // Called with one line (no newline) for what clients are not told. May be NULL.
    void (*log)(void *log_context, const char *text);
    void *log_context;
    // Appends metric families of other parts of the process to /metrics. May be NULL.
    void (*put_metrics)(void *source_context, struct k2_buffer *out);
    // Appends members `,"name":value` to /health, and false when a part is degraded. May be NULL.
    bool (*put_health)(void *source_context, struct k2_buffer *out);
    void *source_context;
};

struct k2_http_api; // opaque

K2_MUST_CHECK enum k2_status k2_http_api_create(struct k2_http_api **api, struct k2_engine *engine,
                                                const struct k2_http_api_options *options,
                                                struct k2_error *error);
void k2_http_api_destroy(struct k2_http_api *api);

// True for what answers at once and must not wait behind queries: /health, /metrics, errors.
bool k2_http_api_is_quick(const struct k2_http_api *api, const struct k2_http_request *request);

// `response` is inited by the caller and deinited by it in the end; every failure becomes an
// error envelope. A stream in it borrows api and request until it is closed.
void k2_http_api_handle(const struct k2_http_api *api, const struct k2_http_request *request,
                        struct k2_http_response *response);

// Logs why an answer failed after it had begun.
void k2_http_api_tell(const struct k2_http_api *api, const struct k2_http_request *request,
                      const struct k2_http_response *response, const struct k2_error *error);

struct k2_http_metrics *k2_http_api_metrics(const struct k2_http_api *api);

// What every handler gets. For the files of handlers (query/http_*.c).
struct k2_http_context {
    struct k2_engine *engine;
    const struct k2_http_api_options *options;
    const struct k2_http_request *request;
    const struct k2_http_metrics *metrics;
    struct k2_slice table; // of the route, or of its path; empty without one
};
// A failure becomes the error envelope of its status.
typedef enum k2_status k2_http_handler(const struct k2_http_context *context,
                                       struct k2_http_response *response, struct k2_error *error);
