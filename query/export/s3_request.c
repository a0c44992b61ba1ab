#include "query/export/s3_request.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "format/base/alloc.h"
#include "format/base/sha256.h"
#include "query/export/xml_walk.h"

enum {
    URL_BYTES = 16 << 10,
    WAIT_MS = 300,
    OWN_HEADERS = 4, // host, date, hash, token
    SENT_HEADERS = OWN_HEADERS + K2_S3_HEADERS + 1,
};

static const char scheme[] = "s3://";

void k2_s3_settings_from_environment(struct k2_s3_settings *settings)
{
    const char *region = getenv("AWS_REGION"), *endpoint = getenv("AWS_ENDPOINT_URL_S3");
    *settings = (struct k2_s3_settings){
        .endpoint = endpoint != NULL ? endpoint : getenv("AWS_ENDPOINT_URL"),
        .region = region != NULL ? region : getenv("AWS_DEFAULT_REGION"),
        .access_key = getenv("AWS_ACCESS_KEY_ID"),
        .secret_key = getenv("AWS_SECRET_ACCESS_KEY"),
        .session_token = getenv("AWS_SESSION_TOKEN"),
    };
}

static bool copy(char **to, const char *from, size_t size)
{
    *to = k2_alloc_text(from, size);
    return *to != NULL;
}

// Takes `scheme://host[:port][/path]` apart.
static enum k2_status set_endpoint(struct k2_s3_client *client, const char *endpoint,
                                   struct k2_error *error)
{
    bool secure = strncmp(endpoint, "https://", 8) == 0;
    if (!secure && strncmp(endpoint, "http://", 7) != 0) {
        return k2_fail(error, K2_BAD_REQUEST, "s3: endpoint `%s` is not an http URL", endpoint);
    }
    const char *host = endpoint + (secure ? 8 : 7), *path = host + strcspn(host, "/");
    size_t host_bytes = (size_t)(path - host), path_bytes = strlen(path);
    const char *usual = secure ? ":443" : ":80"; // is not part of the header `host`
    size_t usual_bytes = strlen(usual);
    if (host_bytes > usual_bytes && memcmp(path - usual_bytes, usual, usual_bytes) == 0) {
        host_bytes -= usual_bytes;
    }
    while (path_bytes > 0 && path[path_bytes - 1] == '/') {
        path_bytes--;
    }
    if (host_bytes == 0 || strpbrk(host, "?#@ ") != NULL) {
        return k2_fail(error, K2_BAD_REQUEST, "s3: endpoint `%s` has no plain host", endpoint);
    }
    return copy(&client->scheme, endpoint, (size_t)(host - endpoint)) &&
                   copy(&client->host, host, host_bytes) &&
                   copy(&client->base_path, path, path_bytes)
               ? K2_OK
               : k2_fail(error, K2_NO_MEMORY, "s3: no memory");
}

enum k2_status k2_s3_client_init(struct k2_s3_client *client, const struct k2_s3_settings *settings,
                                 struct k2_error *error)
{
    const char *region = settings->region != NULL ? settings->region : "us-east-1";
    const char *token = settings->session_token;
    char aws[128];
    *client = (struct k2_s3_client){
        .virtual_hosts = settings->virtual_hosts || settings->endpoint == NULL,
        .wait_ms = settings->wait_ms != 0 ? settings->wait_ms : WAIT_MS,
    };
    k2_retry_budget_init(&client->budget);
    k2_buffer_init(&client->url, URL_BYTES);
    k2_buffer_init(&client->path, URL_BYTES);
    k2_buffer_init(&client->authorization, URL_BYTES);
    if (settings->access_key == NULL || settings->secret_key == NULL) {
        return k2_fail(error, K2_BAD_REQUEST,
                       "s3: no keys; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
    }
    (void)snprintf(aws, sizeof aws, "https://s3.%s.amazonaws.com", region);
    enum k2_status status =
        set_endpoint(client, settings->endpoint != NULL ? settings->endpoint : aws, error);
    if (status != K2_OK) {
        return status;
    }
    if (!copy(&client->region, region, strlen(region)) ||
        !copy(&client->access_key, settings->access_key, strlen(settings->access_key)) ||
        !copy(&client->secret_key, settings->secret_key, strlen(settings->secret_key)) ||
        (token != NULL && *token != '\0' && !copy(&client->session_token, token, strlen(token)))) {
        return k2_fail(error, K2_NO_MEMORY, "s3: no memory");
    }
    return k2_http_exchange_open(&client->exchange, error);
}

void k2_s3_client_deinit(struct k2_s3_client *client)
{
    k2_http_exchange_close(client->exchange);
    k2_free(client->scheme);
    k2_free(client->host);
    k2_free(client->base_path);
    k2_free(client->region);
    k2_free(client->access_key);
    k2_free(client->secret_key);
    k2_free(client->session_token);
    k2_buffer_deinit(&client->url);
    k2_buffer_deinit(&client->path);
    k2_buffer_deinit(&client->authorization);
    *client = (struct k2_s3_client){0};
}

enum k2_status k2_s3_parse(const char *location, struct k2_slice *bucket, struct k2_slice *key,
                           struct k2_error *error)
{
    size_t scheme_bytes = sizeof scheme - 1;
    const char *name = location + scheme_bytes;
    size_t size = strncmp(location, scheme, scheme_bytes) == 0 ? strcspn(name, "/") : 0;
    if (size == 0 || size > 63) {
        return k2_fail(error, K2_BAD_REQUEST, "%s: not a location of the form s3://BUCKET/KEY",
                       location);
    }
    *bucket = (struct k2_slice){(const uint8_t *)name, size};
    *key = k2_slice_of(name[size] == '/' ? name + size + 1 : name + size);
    return K2_OK;
}

// ---- one try ----------------------------------------------------------------------------------

// What is fixed for all tries of a request.
struct address {
    char host[512];                 // as the header has it
    char hash[K2_SHA256_HEX_BYTES]; // of the body
};

// Fills client->path and the part of client->url that does not change.
static enum k2_status address_request(struct k2_s3_client *client,
                                      const struct k2_s3_request *request, struct address *address,
                                      struct k2_error *error)
{
    struct k2_slice bucket, key;
    enum k2_status status = k2_s3_parse(request->location, &bucket, &key, error);
    if (status != K2_OK) {
        return status;
    }
    // The certificate of `*.host` does not hold for a bucket with a dot in its name.
    bool in_host = client->virtual_hosts && memchr(bucket.data, '.', bucket.size_bytes) == NULL;
    int host_bytes = snprintf(address->host, sizeof address->host, "%.*s%s%s",
                              in_host ? (int)bucket.size_bytes : 0, (const char *)bucket.data,
                              in_host ? "." : "", client->host);
    k2_buffer_clear(&client->path);
    k2_put_text(&client->path, client->base_path);
    if (!in_host) {
        k2_put_u8(&client->path, '/');
        k2_put_bytes(&client->path, bucket.data, bucket.size_bytes);
    }
    k2_put_u8(&client->path, '/');
    k2_http_put_escaped(&client->path, key, true);
    k2_buffer_clear(&client->url);
    k2_put_format(&client->url, "%s%s", client->scheme, address->host);
    k2_put_bytes(&client->url, client->path.data, client->path.size_bytes);
    if (request->query_count > 0) {
        k2_put_u8(&client->url, '?');
        k2_sigv4_put_query(&client->url, request->query, request->query_count);
    }
    k2_put_u8(&client->url, 0);
    status = k2_buffer_check(&client->path, request->location, error);
    if (status == K2_OK) {
        status = k2_buffer_check(&client->url, request->location, error);
    }
    if (status == K2_OK && (size_t)host_bytes >= sizeof address->host) {
        status =
            k2_fail(error, K2_BAD_REQUEST, "%s: the host's name is too long", request->location);
    }
    if (status == K2_OK && !k2_sha256_hex(request->body, address->hash)) {
        status = k2_fail(error, K2_NO_MEMORY, "%s: no memory", request->location);
    }
    return status;
}

struct attempt {
    struct k2_sigv4_pair headers[SENT_HEADERS];
    size_t header_count;
    char date[K2_SIGV4_DATE_BYTES];
    struct k2_buffer lines; // of the headers, each with a NUL
    const char *line_at[SENT_HEADERS];
};

static void add_header(struct attempt *attempt, const char *name, const char *value)
{
    attempt->headers[attempt->header_count++] = (struct k2_sigv4_pair){name, value};
}

// The signature holds for a few minutes only, so each try has its own.
static enum k2_status sign_attempt(struct k2_s3_client *client, const struct k2_s3_request *request,
                                   const struct address *address, struct attempt *attempt,
                                   struct k2_error *error)
{
    const struct k2_sigv4_key key = {client->access_key, client->secret_key, client->region, "s3"};
    k2_sigv4_date((int64_t)time(NULL), attempt->date);
    add_header(attempt, "host", address->host);
    add_header(attempt, "x-amz-date", attempt->date);
    add_header(attempt, "x-amz-content-sha256", address->hash);
    if (client->session_token != NULL) {
        add_header(attempt, "x-amz-security-token", client->session_token);
    }
    for (size_t i = 0; i < request->header_count && i < K2_S3_HEADERS; i++) {
        add_header(attempt, request->headers[i].name, request->headers[i].value);
    }
    struct k2_sigv4_request to_sign = {
        .method = request->method,
        .path = k2_buffer_slice(&client->path),
        .query = request->query,
        .query_count = request->query_count,
        .headers = attempt->headers,
        .header_count = attempt->header_count,
        .payload_hash = address->hash,
        .date = attempt->date,
    };
    k2_buffer_clear(&client->authorization);
    enum k2_status status = k2_sigv4_sign(&key, &to_sign, &client->authorization, error);
    k2_put_u8(&client->authorization, 0);
    if (status == K2_OK) {
        status = k2_buffer_check(&client->authorization, request->location, error);
    }
    if (status == K2_OK) {
        add_header(attempt, "authorization", (const char *)client->authorization.data);
    }
    return status;
}

static enum k2_status put_lines(struct attempt *attempt, struct k2_error *error)
{
    size_t begins[SENT_HEADERS];
    for (size_t i = 0; i < attempt->header_count; i++) {
        begins[i] = attempt->lines.size_bytes;
        k2_put_format(&attempt->lines, "%s: %s", attempt->headers[i].name,
                      attempt->headers[i].value);
        k2_put_u8(&attempt->lines, 0);
    }
    for (size_t i = 0; !attempt->lines.failed && i < attempt->header_count; i++) {
        attempt->line_at[i] = (const char *)attempt->lines.data + begins[i];
    }
    return k2_buffer_check(&attempt->lines, "s3: the headers", error);
}

static enum k2_status try_once(struct k2_s3_client *client, const struct k2_s3_request *request,
                               const struct address *address, struct k2_http_answer *http,
                               struct k2_error *error)
{
    struct attempt attempt = {.header_count = 0};
    k2_buffer_init(&attempt.lines, URL_BYTES);
    enum k2_status status = sign_attempt(client, request, address, &attempt, error);
    if (status == K2_OK) {
        status = put_lines(&attempt, error);
    }
    http->fate = K2_HTTP_STOPPED;
    if (status == K2_OK) {
        struct k2_http_call call = {
            .method = request->method,
            .url = (const char *)client->url.data,
            .headers = attempt.line_at,
            .header_count = attempt.header_count,
            .has_body = request->has_body,
            .body = request->body,
            .take = request->take,
            .take_context = request->take_context,
            .answer_ceiling_bytes = request->answer_ceiling_bytes,
        };
        status = k2_http_exchange_run(client->exchange, &call, http, error);
    }
    k2_buffer_deinit(&attempt.lines);
    return status;
}

// ---- all tries --------------------------------------------------------------------------------

static bool is_transient(unsigned status)
{
    return status >= 500 || status == 429 || status == 408;
}

enum k2_status k2_s3_run(struct k2_s3_client *client, const struct k2_s3_request *request,
                         struct k2_s3_answer *answer, struct k2_error *error)
{
    struct address address;
    struct k2_http_answer http = {0};
    struct k2_retry retry;
    *answer = (struct k2_s3_answer){0};
    enum k2_status status = address_request(client, request, &address, error);
    if (status != K2_OK) {
        return status;
    }
    k2_retry_init(&retry, &client->budget, client->wait_ms);
    for (;;) {
        struct k2_slice retry_after = {0};
        status = try_once(client, request, &address, &http, error);
        answer->status = http.status;
        answer->head = http.head;
        answer->body = http.body;
        if (http.fate == K2_HTTP_STOPPED) {
            return status;
        }
        if (http.fate == K2_HTTP_ANSWERED && !is_transient(http.status)) {
            k2_retry_succeeded(&client->budget);
            return http.status == 401 || http.status == 403 ? k2_s3_fail(request, answer, error)
                                                            : K2_OK;
        }
        // A server error tells as little as no answer: some of them come after the work was done.
        answer->maybe_done_before = answer->maybe_done_before || http.fate != K2_HTTP_NOT_SENT;
        (void)k2_http_header(http.head, "Retry-After", &retry_after);
        if (!k2_retry_wait(&retry, retry_after)) {
            return http.fate == K2_HTTP_ANSWERED ? k2_s3_fail(request, answer, error) : status;
        }
        if (request->restart != NULL) {
            request->restart(request->take_context);
        }
    }
}

struct words {
    char code[64], message[512];
};

static enum k2_status read_words(void *context, const char *path, struct k2_slice text,
                                 struct k2_error *error)
{
    struct words *words = context;
    const char *name = strrchr(path, '/') != NULL ? strrchr(path, '/') + 1 : path;
    (void)error;
    if (strcmp(name, "Code") == 0) {
        (void)snprintf(words->code, sizeof words->code, "%.*s", (int)text.size_bytes,
                       (const char *)text.data);
    } else if (strcmp(name, "Message") == 0) {
        (void)snprintf(words->message, sizeof words->message, "%.*s", (int)text.size_bytes,
                       (const char *)text.data);
    }
    return K2_OK;
}

enum k2_status k2_s3_fail(const struct k2_s3_request *request, const struct k2_s3_answer *answer,
                          struct k2_error *error)
{
    struct words words = {.code = ""};
    unsigned status = answer->status;
    if (k2_xml_walk(answer->body, read_words, &words, NULL) != K2_OK) {
        words = (struct words){.code = ""}; // a page for people
    }
    enum k2_status as = status == 404                    ? K2_NOT_FOUND
                        : status == 401 || status == 403 ? K2_NOT_PERMITTED
                        : is_transient(status)           ? K2_BUSY
                                                         : K2_IO;
    return k2_fail(error, as, "%s: %s: the server says %u%s%s%s%s", request->location,
                   request->method, status, words.code[0] != '\0' ? " " : "", words.code,
                   words.message[0] != '\0' ? ": " : "", words.message);
}
