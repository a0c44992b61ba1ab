#include "query/http_response.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "format/base/json_text.h"
#include "format/base/timestamp.h"

static const struct {
    unsigned status;
    const char *code;
} codes[] = {
    {400, "VALIDATION_ERROR"},  {401, "UNAUTHORIZED"},        {403, "FORBIDDEN"},
    {404, "NOT_FOUND"},         {405, "METHOD_NOT_ALLOWED"},  {410, "SNAPSHOT_EXPIRED"},
    {413, "PAYLOAD_TOO_LARGE"}, {414, "URI_TOO_LONG"},        {429, "RATE_LIMIT_EXCEEDED"},
    {500, "INTERNAL_ERROR"},    {503, "SERVICE_UNAVAILABLE"},
};

static const unsigned http_status_of[] = {
    [K2_OK] = 200,      [K2_BAD_REQUEST] = 400, [K2_NOT_FOUND] = 404, [K2_NOT_PERMITTED] = 500,
    [K2_BUSY] = 503,    [K2_NO_SPACE] = 503,    [K2_LIMIT] = 500,     [K2_IO] = 500,
    [K2_CORRUPT] = 500, [K2_NO_MEMORY] = 503,   [K2_REJECTED] = 400,  [K2_EXPIRED] = 410,
};
_Static_assert(sizeof http_status_of / sizeof http_status_of[0] == K2_EXPIRED + 1,
               "one per k2_status");

void k2_http_response_init(struct k2_http_response *response)
{
    *response = (struct k2_http_response){.status = 200, .content_type = "application/json"};
    k2_buffer_init(&response->body, K2_HTTP_BODY_BYTES);
}

void k2_http_response_deinit(struct k2_http_response *response)
{
    if (response->stream.close != NULL) {
        response->stream.close(response->stream.context);
    }
    k2_buffer_deinit(&response->body);
    *response = (struct k2_http_response){0};
}

K2_PRINTF(4, 0)
static void set_header(struct k2_http_header *headers, size_t *count, const char *name,
                       const char *format, va_list arguments) K2_PRINTF(4, 0);
static void set_header(struct k2_http_header *headers, size_t *count, const char *name,
                       const char *format, va_list arguments)
{
    assert(*count < K2_HTTP_MAX_HEADERS);
    struct k2_http_header *header = &headers[(*count)++];
    header->name = name;
    vsnprintf(header->value, sizeof header->value, format, arguments);
}

void k2_http_response_header(struct k2_http_response *response, const char *name,
                             const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    set_header(response->headers, &response->header_count, name, format, arguments);
    va_end(arguments);
}

void k2_http_response_trailer(struct k2_http_response *response, const char *name,
                              const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    set_header(response->trailers, &response->trailer_count, name, format, arguments);
    va_end(arguments);
}

void k2_http_put_meta(const struct k2_http_request *request, struct k2_buffer *out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    char time[K2_TIMESTAMP_TEXT_BYTES];
    k2_timestamp_print(time, (int64_t)now.tv_sec * K2_NS_PER_SECOND + now.tv_nsec);
    k2_put_text(out, "\"meta\":{\"correlation_id\":");
    k2_json_put_string(out, k2_slice_of(request->correlation_id));
    k2_put_text(out, ",\"timestamp\":\"");
    k2_put_bytes(out, time, sizeof time);
    k2_put_u8(out, '"');
}

static const char *code_of(unsigned status)
{
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (codes[i].status == status) {
            return codes[i].code;
        }
    }
    return "INTERNAL_ERROR";
}

// The name of a parameter of this request, or of a known one that is missing, in front of `: `.
static size_t named_parameter(unsigned status, const char *message)
{
    size_t size = strspn(message, "abcdefghijklmnopqrstuvwxyz_");
    bool named = status == 400 && size > 0 && strncmp(message + size, ": ", 2) == 0;
    return named && strncmp(message, "request: ", 9) != 0 ? size : 0;
}

void k2_http_response_error(struct k2_http_response *response,
                            const struct k2_http_request *request, unsigned status,
                            const char *code, const char *message)
{
    const char *route = response->route;
    bool ends_connection = response->ends_connection;
    k2_http_response_deinit(response);
    k2_http_response_init(response);
    response->route = route;
    response->ends_connection = ends_connection;
    response->status = status;
    struct k2_buffer *out = &response->body;
    k2_put_text(out, "{\"success\":false,\"error\":{\"code\":");
    k2_json_put_string(out, k2_slice_of(code != NULL ? code : code_of(status)));
    k2_put_text(out, ",\"message\":");
    k2_json_put_string(out, k2_slice_of(message));
    k2_put_text(out, ",\"details\":{");
    size_t parameter_bytes = named_parameter(status, message);
    if (parameter_bytes > 0) {
        k2_put_text(out, "\"parameter\":");
        k2_json_put_string(out, (struct k2_slice){(const uint8_t *)message, parameter_bytes});
    }
    k2_put_text(out, "}},");
    k2_http_put_meta(request, out);
    k2_put_text(out, "}}\n");
    if (status == 503 || status == 429) {
        k2_http_response_header(response, "Retry-After", "1");
    }
    k2_http_response_header(response, "Cache-Control", "no-store");
}

void k2_http_response_failure(struct k2_http_response *response,
                              const struct k2_http_request *request, const struct k2_error *error)
{
    unsigned status = http_status_of[error->status];
    const char *message = error->text;
    if (status == 500) {
        message = error->status == K2_CORRUPT ? "the store is damaged where this answer lies"
                                              : "the server failed to answer";
    } else if (status == 503) {
        message = "the server can not answer now; try again";
    }
    k2_http_response_error(response, request, status, NULL, message);
    response->failure = *error;
}
