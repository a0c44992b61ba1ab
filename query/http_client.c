#include "query/http_client.h"

#include <stdlib.h>
#include <string.h>

#include "format/base/checksum.h"
#include "format/base/json_scanner.h"
#include "query/http_exchange.h"

enum {
    SILENT_SECONDS = 120, // without a byte
    URL_BYTES = 64 << 10,
    REFUSAL_BYTES = 64 << 10,
};

struct transfer {
    const struct k2_http_query *query;
    struct k2_hash_stream *hash; // of the body so far
};

static enum k2_status take_body(void *context, struct k2_slice bytes, struct k2_error *error)
{
    struct transfer *transfer = context;
    k2_hash_stream_update(transfer->hash, bytes);
    return transfer->query->take(transfer->query->take_context, bytes, error);
}

static enum k2_status put_url(const struct k2_http_query *query, struct k2_buffer *url,
                              struct k2_error *error)
{
    size_t server_bytes = strlen(query->server);
    while (server_bytes > 0 && query->server[server_bytes - 1] == '/') {
        server_bytes--;
    }
    k2_put_text(url, strstr(query->server, "://") == NULL ? "http://" : "");
    k2_put_bytes(url, query->server, server_bytes);
    k2_put_text(url, "/v1/tables/");
    k2_http_put_escaped(url, k2_slice_of(query->table), false);
    k2_put_text(url, "/rows");
    for (size_t i = 0; i < query->parameter_count; i++) {
        k2_put_format(url, "%c%s=", i == 0 ? '?' : '&', query->names[i]);
        k2_http_put_escaped(url, k2_slice_of(query->values[i]), false);
    }
    k2_put_u8(url, 0);
    return k2_buffer_check(url, "--server", error);
}

// The server's own words: the member `message` of the error envelope.
static enum k2_status tell_refusal(const struct k2_http_answer *answer, struct k2_error *error)
{
    static const char mark[] = "\"message\":";
    struct k2_buffer words;
    k2_buffer_init(&words, REFUSAL_BYTES);
    const uint8_t *place =
        answer->body.size_bytes == 0
            ? NULL
            : memmem(answer->body.data, answer->body.size_bytes, mark, sizeof mark - 1);
    struct k2_json_string message = {0};
    if (place != NULL) {
        const uint8_t *end = answer->body.data + answer->body.size_bytes;
        struct k2_json_scanner scanner = {place + sizeof mark - 1, end};
        if (k2_json_peek(&scanner) == K2_JSON_TYPE_STRING &&
            k2_json_scan_string(&scanner, &message)) {
            k2_json_put_unescaped(&words, message.raw);
        }
    }
    enum k2_status status = answer->status == 404                           ? K2_NOT_FOUND
                            : answer->status == 410                         ? K2_EXPIRED
                            : answer->status >= 400 && answer->status < 500 ? K2_BAD_REQUEST
                            : answer->status == 503                         ? K2_BUSY
                                                                            : K2_IO;
    (void)k2_fail(error, status, "--server: %u: %.*s", answer->status, (int)words.size_bytes,
                  words.data != NULL ? (const char *)words.data : "");
    k2_buffer_deinit(&words);
    return status;
}

// Copies the value of a header; false when there is none, or it is longer than any that K2 sends.
static bool read_header(struct k2_slice head, const char *name, char value[32])
{
    struct k2_slice text;
    if (!k2_http_header(head, name, &text) || text.size_bytes >= 32) {
        return false;
    }
    memcpy(value, text.data, text.size_bytes);
    value[text.size_bytes] = '\0';
    return true;
}

// The whole answer is there: is it what the server sent?
static enum k2_status judge(const struct transfer *transfer, const struct k2_http_answer *answer,
                            struct k2_http_result *result, struct k2_error *error)
{
    char value[32];
    if (answer->status != 200) {
        return tell_refusal(answer, error);
    }
    if (read_header(answer->head, "X-K2-Snapshot", value)) {
        result->snapshot = strtoull(value, NULL, 10);
    }
    if (read_header(answer->head, "X-K2-Complete", value) &&
        strlen(value) < sizeof result->complete) {
        memcpy(result->complete, value, strlen(value) + 1);
    }
    if (read_header(answer->head, "X-K2-Gaps", value)) {
        result->gap_count = strtoull(value, NULL, 10);
    }
    if (!read_header(answer->head, "X-K2-Rows", value)) {
        return k2_fail(error, K2_IO,
                       "--server: the answer was cut (no trailers); what came is no answer");
    }
    result->rows = strtoull(value, NULL, 10);
    if (!read_header(answer->head, "X-K2-Checksum", value)) {
        return k2_fail(error, K2_IO,
                       "--server: the answer was cut (no checksum); what came is no answer");
    }
    if (strtoull(value, NULL, 16) != k2_hash_stream_digest(transfer->hash)) {
        return k2_fail(error, K2_IO,
                       "--server: the checksum differs; what came is not what the server sent");
    }
    return K2_OK;
}

static enum k2_status run(struct k2_http_exchange *exchange, struct transfer *transfer,
                          const char *url, struct k2_http_result *result, struct k2_error *error)
{
    struct k2_http_answer answer;
    struct k2_http_call call = {
        .method = "GET",
        .url = url,
        .take = take_body,
        .take_context = transfer,
        .answer_ceiling_bytes = REFUSAL_BYTES,
        .silent_seconds = SILENT_SECONDS,
    };
    enum k2_status status = k2_http_exchange_run(exchange, &call, &answer, error);
    if (status == K2_OK) {
        return judge(transfer, &answer, result, error);
    }
    if (answer.fate == K2_HTTP_UNKNOWN && answer.status == 0) {
        status = K2_BUSY; // whoever is there, it is no server of ours
        if (error != NULL) {
            error->status = status;
        }
    } else if (answer.fate == K2_HTTP_UNKNOWN) {
        k2_error_annotate(error, "the answer was cut; what came is no answer");
    }
    k2_error_annotate(error, "--server");
    return status;
}

enum k2_status k2_http_query_run(const struct k2_http_query *query, struct k2_http_result *result,
                                 struct k2_error *error)
{
    *result = (struct k2_http_result){.complete = "null"};
    struct transfer transfer = {.query = query, .hash = k2_hash_stream_create()};
    struct k2_http_exchange *exchange = NULL;
    struct k2_buffer url;
    k2_buffer_init(&url, URL_BYTES);
    enum k2_status status = transfer.hash == NULL
                                ? k2_fail(error, K2_NO_MEMORY, "--server: out of memory")
                                : k2_http_exchange_open(&exchange, error);
    if (status == K2_OK) {
        status = put_url(query, &url, error);
    }
    if (status == K2_OK) {
        status = run(exchange, &transfer, (const char *)url.data, result, error);
    }
    k2_http_exchange_close(exchange);
    k2_hash_stream_destroy(transfer.hash);
    k2_buffer_deinit(&url);
    return status;
}
