#include "query/http_client.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/checksum.h"
#include "format/base/json_scanner.h"
#include "query/canonical.h"

enum {
    CONNECT_SECONDS = 10,
    SILENT_SECONDS = 120, // without a byte
    URL_BYTES = 64 << 10,
    REFUSAL_BYTES = 64 << 10,
};

// What is known of the answer while it comes.
struct transfer {
    const struct k2_http_query *query;
    struct k2_http_result *result;
    struct k2_hash_stream *hash;
    struct k2_buffer refusal; // the body of a status that is not 200
    struct k2_error *error;
    enum k2_status status; // of take
    long http_status;
    bool has_rows, has_checksum;
    uint64_t checksum;
};

static bool read_header(struct k2_slice line, const char *name, char *value, size_t room_bytes)
{
    size_t size = strlen(name);
    if (line.size_bytes <= size || line.data[size] != ':' ||
        !k2_equal_without_case((struct k2_slice){line.data, size}, k2_slice_of(name))) {
        return false;
    }
    struct k2_slice rest = {line.data + size + 1, line.size_bytes - size - 1};
    while (rest.size_bytes > 0 && *rest.data == ' ') {
        rest.data++;
        rest.size_bytes--;
    }
    size_t used = 0;
    while (used < rest.size_bytes && used + 1 < room_bytes && rest.data[used] > ' ') {
        value[used] = (char)rest.data[used];
        used++;
    }
    value[used] = '\0';
    return true;
}

// Called for every line of the head, and for the trailers.
static size_t take_header(char *bytes, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    struct k2_slice line = {(const uint8_t *)bytes, size * count};
    char value[64];
    if (read_header(line, "X-K2-Rows", value, sizeof value)) {
        transfer->result->rows = strtoull(value, NULL, 10);
        transfer->has_rows = true;
    } else if (read_header(line, "X-K2-Checksum", value, sizeof value)) {
        transfer->checksum = strtoull(value, NULL, 16);
        transfer->has_checksum = true;
    } else if (read_header(line, "X-K2-Snapshot", value, sizeof value)) {
        transfer->result->snapshot = strtoull(value, NULL, 10);
    } else if (read_header(line, "X-K2-Complete", value, sizeof value)) {
        (void)snprintf(transfer->result->complete, sizeof transfer->result->complete, "%.7s",
                       value);
    } else if (line.size_bytes > 9 && memcmp(bytes, "HTTP/", 5) == 0) {
        transfer->http_status = strtol(bytes + 9, NULL, 10);
    }
    return size * count;
}

static size_t take_body(char *bytes, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    struct k2_slice piece = {(const uint8_t *)bytes, size * count};
    if (transfer->http_status != 200) {
        k2_put_bytes(&transfer->refusal, piece.data, piece.size_bytes);
        return piece.size_bytes;
    }
    k2_hash_stream_update(transfer->hash, piece);
    transfer->status = transfer->query->take(transfer->query->take_context, piece, transfer->error);
    return transfer->status == K2_OK ? piece.size_bytes : CURL_WRITEFUNC_ERROR;
}

static enum k2_status put_escaped(CURL *curl, struct k2_buffer *url, const char *text,
                                  struct k2_error *error)
{
    char *escaped = curl_easy_escape(curl, text, 0);
    if (escaped == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "--server: out of memory");
    }
    k2_put_text(url, escaped);
    curl_free(escaped);
    return K2_OK;
}

static enum k2_status put_url(CURL *curl, const struct k2_http_query *query, struct k2_buffer *url,
                              struct k2_error *error)
{
    size_t server_bytes = strlen(query->server);
    while (server_bytes > 0 && query->server[server_bytes - 1] == '/') {
        server_bytes--;
    }
    k2_put_bytes(url, query->server, server_bytes);
    k2_put_text(url, "/v1/tables/");
    enum k2_status status = put_escaped(curl, url, query->table, error);
    k2_put_text(url, "/rows");
    for (size_t i = 0; status == K2_OK && i < query->parameter_count; i++) {
        k2_put_format(url, "%c%s=", i == 0 ? '?' : '&', query->names[i]);
        status = put_escaped(curl, url, query->values[i], error);
    }
    k2_put_u8(url, 0);
    return status == K2_OK ? k2_buffer_check(url, "--server", error) : status;
}

// The server's own words: the member `message` of the error envelope.
static enum k2_status tell_refusal(struct transfer *transfer, struct k2_error *error)
{
    static const char mark[] = "\"message\":";
    struct k2_buffer words;
    k2_put_u8(&transfer->refusal, 0);
    k2_buffer_init(&words, REFUSAL_BYTES);
    const char *place = transfer->refusal.data == NULL || transfer->refusal.failed
                            ? NULL
                            : strstr((const char *)transfer->refusal.data, mark);
    struct k2_json_string message = {0};
    if (place != NULL) {
        const uint8_t *end = transfer->refusal.data + transfer->refusal.size_bytes - 1;
        struct k2_json_scanner scanner = {(const uint8_t *)place + sizeof mark - 1, end};
        if (k2_json_peek(&scanner) == K2_JSON_TYPE_STRING &&
            k2_json_scan_string(&scanner, &message)) {
            k2_json_put_unescaped(&words, message.raw);
        }
    }
    enum k2_status status = transfer->http_status == 404   ? K2_NOT_FOUND
                            : transfer->http_status == 410 ? K2_EXPIRED
                            : transfer->http_status >= 400 && transfer->http_status < 500
                                ? K2_BAD_REQUEST
                            : transfer->http_status == 503 ? K2_BUSY
                                                           : K2_IO;
    (void)k2_fail(error, status, "--server: %ld: %.*s", transfer->http_status,
                  (int)words.size_bytes, words.data != NULL ? (const char *)words.data : "");
    k2_buffer_deinit(&words);
    return status;
}

static enum k2_status judge(struct transfer *transfer, CURLcode code, struct k2_error *error)
{
    if (transfer->status != K2_OK) {
        return transfer->status;
    }
    // libcurl calls an answer that is not HTTP an unsupported protocol, too.
    bool other_scheme = strstr(transfer->query->server, "://") != NULL &&
                        strncmp(transfer->query->server, "http", 4) != 0;
    if (other_scheme || code == CURLE_URL_MALFORMAT) {
        return k2_fail(error, K2_BAD_REQUEST, "--server: `%s` is not an http URL",
                       transfer->query->server);
    }
    if (code != CURLE_OK && transfer->http_status == 0) {
        return k2_fail(error, K2_BUSY, "--server: %s: %s", transfer->query->server,
                       curl_easy_strerror(code));
    }
    if (code == CURLE_OK && transfer->http_status != 200) {
        return tell_refusal(transfer, error);
    }
    if (code != CURLE_OK || !transfer->has_rows || !transfer->has_checksum) {
        return k2_fail(error, K2_IO, "--server: the answer was cut (%s); what came is no answer",
                       curl_easy_strerror(code));
    }
    if (transfer->checksum != k2_hash_stream_digest(transfer->hash)) {
        return k2_fail(error, K2_IO,
                       "--server: the checksum differs; what came is not what the server sent");
    }
    return K2_OK;
}

static CURLcode perform(CURL *curl, const char *url, struct transfer *transfer)
{
    // A failure of these shows when the request is made.
    (void)curl_easy_setopt(curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    (void)curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)SILENT_SECONDS);
    (void)curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    (void)curl_easy_setopt(curl, CURLOPT_HEADERDATA, transfer);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
    return curl_easy_perform(curl);
}

enum k2_status k2_http_query_run(const struct k2_http_query *query, struct k2_http_result *result,
                                 struct k2_error *error)
{
    *result = (struct k2_http_result){.complete = "null"};
    struct transfer transfer = {.query = query, .result = result, .error = error};
    struct k2_buffer url;
    k2_buffer_init(&url, URL_BYTES);
    k2_buffer_init(&transfer.refusal, REFUSAL_BYTES);
    transfer.hash = k2_hash_stream_create();
    CURL *curl = curl_easy_init();
    enum k2_status status = K2_OK;
    if (transfer.hash == NULL || curl == NULL) {
        status = k2_fail(error, K2_NO_MEMORY, "--server: out of memory");
    } else {
        status = put_url(curl, query, &url, error);
    }
    if (status == K2_OK) {
        status = judge(&transfer, perform(curl, (const char *)url.data, &transfer), error);
    }
    curl_easy_cleanup(curl);
    k2_hash_stream_destroy(transfer.hash);
    k2_buffer_deinit(&transfer.refusal);
    k2_buffer_deinit(&url);
    return status;
}
