#include "query/export/catalog_rest.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "format/base/alloc.h"
#include "format/base/json_scanner.h"
#include "format/base/json_text.h"
#include "query/export/retry.h"
#include "query/http_exchange.h"

enum {
    WAIT_MS = 300,
    URL_BYTES = 8 << 10,
    HEADERS = 5,
    ANSWER_SECONDS = 120, // to a commit: catalogs write files before they answer
    LOOK_SECONDS = 30,    // to what only reads
    TOKEN_SECONDS = 3600, // a token lives so long unless the service says
    TOKEN_SPARE_SECONDS = 60,
};
static const size_t answer_ceiling_bytes = (size_t)1 << 28;

struct rest_catalog {
    char *base;                                       // owned; what comes before `/v1`
    char *prefix;                                     // owned; `` or `NAME/`
    char *location;                                   // owned
    char *warehouse, *credential, *scope, *oauth_uri; // owned; may be NULL
    char *authorization;                              // owned; the header; NULL: none
    int64_t token_ends_s;                             // of one that can be had anew; monotonic
    unsigned wait_ms;
    struct k2_http_exchange *exchange;
    struct k2_retry_budget budget;
    struct k2_buffer url, body; // scratch
};

void k2_rest_settings_from_environment(struct k2_rest_settings *settings)
{
    *settings = (struct k2_rest_settings){
        .warehouse = getenv("K2_CATALOG_WAREHOUSE"),
        .token = getenv("K2_CATALOG_TOKEN"),
        .credential = getenv("K2_CATALOG_CREDENTIAL"),
        .scope = getenv("K2_CATALOG_SCOPE"),
        .oauth_uri = getenv("K2_CATALOG_OAUTH_URI"),
    };
}

static int64_t now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

static enum k2_status fail_memory(struct k2_error *error)
{
    return k2_fail(error, K2_NO_MEMORY, "catalog: no memory");
}

// ---- JSON of answers --------------------------------------------------------------------------

// The member `name` of an object, as it stands.
static bool find_member(struct k2_slice object, const char *name, struct k2_slice *value)
{
    struct k2_json_scanner scanner = {object.data, object.data + object.size_bytes};
    bool found = false;
    if (k2_json_peek(&scanner) != K2_JSON_TYPE_OBJECT || !k2_json_take(&scanner, '{')) {
        return false;
    }
    while (k2_json_peek(&scanner) == K2_JSON_TYPE_STRING) {
        struct k2_json_string key;
        struct k2_slice text;
        if (!k2_json_scan_string(&scanner, &key) || !k2_json_take(&scanner, ':') ||
            k2_json_peek(&scanner) == K2_JSON_TYPE_NONE || !k2_json_scan_value(&scanner, &text)) {
            return false;
        }
        if (!key.escaped && k2_slice_equal(key.raw, k2_slice_of(name))) {
            *value = text;
            found = true;
        }
        if (!k2_json_take(&scanner, ',')) {
            break;
        }
    }
    return found;
}

// The text of a member that is a string, owned by the caller; NULL when there is none.
static char *member_text(struct k2_slice object, const char *name)
{
    struct k2_slice value;
    struct k2_json_string string;
    struct k2_buffer text;
    char *copy = NULL;
    if (!find_member(object, name, &value)) {
        return NULL;
    }
    struct k2_json_scanner scanner = {value.data, value.data + value.size_bytes};
    if (k2_json_peek(&scanner) != K2_JSON_TYPE_STRING || !k2_json_scan_string(&scanner, &string)) {
        return NULL;
    }
    k2_buffer_init(&text, answer_ceiling_bytes);
    k2_json_put_unescaped(&text, string.raw);
    if (!text.failed) {
        copy = k2_alloc_text((const char *)text.data, text.size_bytes);
    }
    k2_buffer_deinit(&text);
    return copy;
}

// ---- requests ---------------------------------------------------------------------------------

struct request {
    const char *method;
    const char *path; // behind `BASE/v1/`; NULL: `url` is whole
    const char *url;
    const char *content_type; // of the body; NULL: none
    struct k2_slice body;
    const char *idempotency_key; // may be NULL
};

static enum k2_status authorize(struct rest_catalog *self, struct k2_error *error);

static enum k2_status send_once(struct rest_catalog *self, const struct request *request,
                                struct k2_http_answer *answer, struct k2_error *error)
{
    char type[128], key[128];
    const char *headers[HEADERS];
    size_t header_count = 0;
    const char *url = request->url;
    headers[header_count++] = "Accept: application/json";
    if (request->path != NULL) {
        k2_buffer_clear(&self->url);
        k2_put_format(&self->url, "%s/v1/%s", self->base, request->path);
        k2_put_u8(&self->url, 0);
        enum k2_status status = k2_buffer_check(&self->url, "catalog: the URL", error);
        if (status != K2_OK) {
            return status;
        }
        url = (const char *)self->url.data;
        if (self->authorization != NULL) {
            headers[header_count++] = self->authorization;
        }
    }
    if (request->content_type != NULL) {
        (void)snprintf(type, sizeof type, "Content-Type: %s", request->content_type);
        headers[header_count++] = type;
    }
    if (request->idempotency_key != NULL) {
        (void)snprintf(key, sizeof key, "Idempotency-Key: %s", request->idempotency_key);
        headers[header_count++] = key;
    }
    struct k2_http_call call = {
        .method = request->method,
        .url = url,
        .headers = headers,
        .header_count = header_count,
        .has_body = request->content_type != NULL,
        .body = request->body,
        .answer_ceiling_bytes = answer_ceiling_bytes,
        .silent_seconds = strcmp(request->method, "GET") == 0 ? LOOK_SECONDS : ANSWER_SECONDS,
    };
    return k2_http_exchange_run(self->exchange, &call, answer, error);
}

// With a token that is in force; one that the service no longer takes is had anew, once.
static enum k2_status send_authorized(struct rest_catalog *self, const struct request *request,
                                      struct k2_http_answer *answer, struct k2_error *error)
{
    *answer = (struct k2_http_answer){.fate = K2_HTTP_NOT_SENT};
    bool renewable = self->credential != NULL && request->path != NULL;
    enum k2_status status = K2_OK;
    if (renewable && (self->authorization == NULL || now_s() >= self->token_ends_s)) {
        status = authorize(self, error);
    }
    if (status == K2_OK) {
        status = send_once(self, request, answer, error);
    }
    if (status == K2_OK && renewable && (answer->status == 401 || answer->status == 419)) {
        status = authorize(self, error);
        if (status == K2_OK) {
            status = send_once(self, request, answer, error);
        } else {
            *answer = (struct k2_http_answer){.fate = K2_HTTP_NOT_SENT};
        }
    }
    return status;
}

static bool is_transient(unsigned status)
{
    return status >= 500 || status == 429 || status == 408;
}

// Tries again what may be: with `safe` also after answers that leave open whether it was done.
static enum k2_status send_request(struct rest_catalog *self, const struct request *request,
                                   bool safe, struct k2_http_answer *answer, struct k2_error *error)
{
    struct k2_retry retry;
    k2_retry_init(&retry, &self->budget, self->wait_ms);
    for (;;) {
        struct k2_slice retry_after = {0};
        enum k2_status status = send_authorized(self, request, answer, error);
        bool again = answer->fate == K2_HTTP_ANSWERED
                         ? (safe ? is_transient(answer->status) : answer->status == 429)
                         : answer->fate == K2_HTTP_NOT_SENT || safe;
        if (status == K2_OK && !again) {
            k2_retry_succeeded(&self->budget);
            return K2_OK;
        }
        (void)k2_http_header(answer->head, "Retry-After", &retry_after);
        bool hopeless = status != K2_OK && status != K2_BUSY && status != K2_IO;
        if (hopeless || !again || !k2_retry_wait(&retry, retry_after)) {
            return status;
        }
    }
}

// What the service says of a request that it did not carry out.
static enum k2_status fail_answer(const struct rest_catalog *self, const char *what,
                                  const struct k2_http_answer *answer, struct k2_error *error)
{
    struct k2_slice inner = {0};
    char *message = NULL;
    if (find_member(answer->body, "error", &inner)) {
        message = member_text(inner, "message");
    }
    unsigned code = answer->status;
    enum k2_status status = code == 404                                 ? K2_NOT_FOUND
                            : code == 401 || code == 403 || code == 419 ? K2_NOT_PERMITTED
                            : is_transient(code)                        ? K2_BUSY
                                                                        : K2_BAD_REQUEST;
    (void)k2_fail(error, status, "%s: %s: the catalog says %u%s%.300s", self->base, what, code,
                  message != NULL ? ": " : "", message != NULL ? message : "");
    k2_free(message);
    return status;
}

// ---- tokens -----------------------------------------------------------------------------------

static enum k2_status take_token(struct rest_catalog *self, struct k2_slice answer,
                                 struct k2_error *error)
{
    struct k2_slice seconds;
    int64_t lives_s = TOKEN_SECONDS;
    char *token = member_text(answer, "access_token");
    if (token == NULL) {
        return k2_fail(error, K2_NOT_PERMITTED, "%s: the answer holds no access token", self->base);
    }
    if (find_member(answer, "expires_in", &seconds)) {
        char digits[16];
        (void)snprintf(digits, sizeof digits, "%.*s", (int)seconds.size_bytes,
                       (const char *)seconds.data);
        long said = strtol(digits, NULL, 10);
        lives_s = said > 0 ? said : lives_s;
    }
    struct k2_buffer header;
    k2_buffer_init(&header, answer_ceiling_bytes);
    k2_put_format(&header, "Authorization: Bearer %s", token);
    k2_free(token);
    k2_free(self->authorization);
    self->authorization =
        header.failed ? NULL : k2_alloc_text((const char *)header.data, header.size_bytes);
    k2_buffer_deinit(&header);
    self->token_ends_s =
        now_s() +
        (lives_s > (int64_t)2 * TOKEN_SPARE_SECONDS ? lives_s - TOKEN_SPARE_SECONDS : lives_s / 2);
    return self->authorization != NULL ? K2_OK : fail_memory(error);
}

// OAuth2 client credentials: `id:secret` for a token.
static enum k2_status authorize(struct rest_catalog *self, struct k2_error *error)
{
    struct k2_buffer form, url;
    struct k2_http_answer answer;
    size_t id_bytes = strcspn(self->credential, ":");
    const char *secret = self->credential + id_bytes;
    k2_buffer_init(&form, URL_BYTES);
    k2_buffer_init(&url, URL_BYTES);
    k2_put_text(&form, "grant_type=client_credentials&client_id=");
    k2_http_put_escaped(&form, (struct k2_slice){(const uint8_t *)self->credential, id_bytes},
                        false);
    k2_put_text(&form, "&client_secret=");
    k2_http_put_escaped(&form, k2_slice_of(*secret == ':' ? secret + 1 : secret), false);
    k2_put_text(&form, "&scope=");
    k2_http_put_escaped(&form, k2_slice_of(self->scope != NULL ? self->scope : "catalog"), false);
    if (self->oauth_uri != NULL) {
        k2_put_text(&url, self->oauth_uri);
    } else {
        k2_put_format(&url, "%s/v1/oauth/tokens", self->base);
    }
    k2_put_u8(&url, 0);
    enum k2_status status = k2_buffer_check(&form, "catalog: the credential", error);
    if (status == K2_OK) {
        status = k2_buffer_check(&url, "catalog: the URL of tokens", error);
    }
    if (status == K2_OK) {
        struct request request = {
            .method = "POST",
            .url = (const char *)url.data,
            .content_type = "application/x-www-form-urlencoded",
            .body = k2_buffer_slice(&form),
        };
        status = send_request(self, &request, true, &answer, error);
    }
    if (status == K2_OK) {
        status = answer.status == 200 ? take_token(self, answer.body, error)
                                      : fail_answer(self, "a token", &answer, error);
    }
    if (status == K2_BAD_REQUEST) { // OAuth2 says 400 to a wrong credential
        status = K2_NOT_PERMITTED;
    }
    k2_buffer_deinit(&form);
    k2_buffer_deinit(&url);
    return status;
}

// ---- tables -----------------------------------------------------------------------------------

static void rest_close(void *catalog)
{
    struct rest_catalog *self = catalog;
    k2_http_exchange_close(self->exchange);
    k2_free(self->base);
    k2_free(self->prefix);
    k2_free(self->location);
    k2_free(self->warehouse);
    k2_free(self->credential);
    k2_free(self->scope);
    k2_free(self->oauth_uri);
    k2_free(self->authorization);
    k2_buffer_deinit(&self->url);
    k2_buffer_deinit(&self->body);
    k2_free(self);
}

// The table of an answer to load, create or commit.
static enum k2_status take_table(struct k2_slice answer, struct k2_catalog_table *table,
                                 struct k2_error *error)
{
    struct k2_slice metadata;
    *table = (struct k2_catalog_table){0};
    if (!find_member(answer, "metadata", &metadata)) {
        return k2_fail(error, K2_CORRUPT, "catalog: the answer holds no table metadata");
    }
    enum k2_status status = k2_iceberg_metadata_parse(&table->metadata, metadata, error);
    if (status == K2_OK) {
        table->metadata_location = member_text(answer, "metadata-location");
    }
    return status;
}

// `PREFIXnamespaces/k2/tables/NAME`, NUL-terminated.
static enum k2_status put_table_path(const struct rest_catalog *self, const char *name,
                                     struct k2_buffer *path, struct k2_error *error)
{
    k2_put_format(path, "%snamespaces/" K2_ICEBERG_NAMESPACE "/tables/", self->prefix);
    k2_http_put_escaped(path, k2_slice_of(name), false);
    k2_put_u8(path, 0);
    return k2_buffer_check(path, "catalog: the URL", error);
}

static enum k2_status rest_load(void *catalog, const char *name, bool *found,
                                struct k2_catalog_table *table, struct k2_error *error)
{
    struct rest_catalog *self = catalog;
    struct k2_http_answer answer;
    struct k2_buffer path;
    *table = (struct k2_catalog_table){0};
    *found = false;
    k2_buffer_init(&path, URL_BYTES);
    enum k2_status status = put_table_path(self, name, &path, error);
    if (status == K2_OK) {
        struct request request = {.method = "GET", .path = (const char *)path.data};
        status = send_request(self, &request, true, &answer, error);
    }
    k2_buffer_deinit(&path);
    if (status != K2_OK || answer.status == 404) {
        return status;
    }
    if (answer.status != 200) {
        return fail_answer(self, name, &answer, error);
    }
    *found = true;
    status = take_table(answer.body, table, error);
    if (status != K2_OK) {
        k2_error_annotate(error, "%s: %s", self->base, name);
        k2_catalog_table_close(table);
    }
    return status;
}

static enum k2_status rest_location(void *catalog, const char *name, struct k2_buffer *location,
                                    struct k2_error *error)
{
    const struct rest_catalog *self = catalog;
    k2_put_format(location, "%s/" K2_ICEBERG_NAMESPACE "/%s", self->location, name);
    k2_put_u8(location, 0);
    return k2_buffer_check(location, "table location", error);
}

// Posts what is in self->body and tells what became of it.
static enum k2_status post_change(struct rest_catalog *self, const char *name,
                                  const char *commit_id, enum k2_catalog_outcome *outcome,
                                  struct k2_catalog_table *after, struct k2_error *error)
{
    struct k2_http_answer answer;
    struct k2_buffer path;
    k2_buffer_init(&path, URL_BYTES);
    enum k2_status status = put_table_path(self, name, &path, error);
    if (status == K2_OK) {
        status = k2_buffer_check(&self->body, "catalog: the commit", error);
    }
    if (status != K2_OK) {
        k2_buffer_deinit(&path);
        return status;
    }
    struct request request = {
        .method = "POST",
        .path = (const char *)path.data,
        .content_type = "application/json",
        .body = k2_buffer_slice(&self->body),
        .idempotency_key = commit_id,
    };
    status = send_request(self, &request, false, &answer, error);
    k2_buffer_deinit(&path);
    *outcome = K2_CATALOG_UNKNOWN;
    if (answer.fate == K2_HTTP_NOT_SENT) {
        return status;
    }
    if (answer.fate != K2_HTTP_ANSWERED || answer.status >= 500) {
        return K2_OK;
    }
    if (answer.status == 409) {
        *outcome = K2_CATALOG_CONFLICT;
        return K2_OK;
    }
    if (answer.status < 200 || answer.status >= 300) {
        return fail_answer(self, name, &answer, error);
    }
    struct k2_catalog_table table;
    if (take_table(answer.body, &table, NULL) == K2_OK) {
        *after = table;
        *outcome = K2_CATALOG_DONE;
    } // else: done, it says, but not what; the caller looks
    return K2_OK;
}

static enum k2_status create_namespace(struct rest_catalog *self, struct k2_error *error)
{
    static const char body[] = "{\"namespace\":[\"" K2_ICEBERG_NAMESPACE "\"],\"properties\":{}}";
    struct k2_http_answer answer;
    char path[512];
    (void)snprintf(path, sizeof path, "%snamespaces", self->prefix);
    struct request request = {
        .method = "POST",
        .path = path,
        .content_type = "application/json",
        .body = k2_slice_of(body),
    };
    enum k2_status status = send_request(self, &request, true, &answer, error);
    if (status == K2_OK && answer.status != 409 && (answer.status < 200 || answer.status >= 300)) {
        status = fail_answer(self, "namespace " K2_ICEBERG_NAMESPACE, &answer, error);
    }
    return status;
}

static enum k2_status rest_create(void *catalog, const char *name,
                                  const struct k2_iceberg_metadata *metadata, const char *commit_id,
                                  enum k2_catalog_outcome *outcome, struct k2_catalog_table *table,
                                  struct k2_error *error)
{
    struct rest_catalog *self = catalog;
    *table = (struct k2_catalog_table){0};
    enum k2_status status = create_namespace(self, error);
    if (status != K2_OK) {
        return status;
    }
    k2_buffer_clear(&self->body);
    k2_iceberg_create_put_json(metadata, &self->body);
    return post_change(self, name, commit_id, outcome, table, error);
}

static enum k2_status rest_commit(void *catalog, const char *name,
                                  const struct k2_catalog_table *base,
                                  const struct k2_iceberg_change *change,
                                  enum k2_catalog_outcome *outcome, struct k2_catalog_table *after,
                                  struct k2_error *error)
{
    struct rest_catalog *self = catalog;
    k2_buffer_clear(&self->body);
    k2_iceberg_change_put_json(base->metadata, change, &self->body);
    return post_change(self, name, change->commit_id, outcome, after, error);
}

// ---- opening ----------------------------------------------------------------------------------

static bool copy_text(char **to, const char *from)
{
    *to = from == NULL ? NULL : k2_alloc_text(from, strlen(from));
    return from == NULL || *to != NULL;
}

// Without what may stand behind: `/`, `/v1`.
static enum k2_status set_base(struct rest_catalog *self, const char *uri, struct k2_error *error)
{
    size_t size = strlen(uri);
    while (size > 0 && uri[size - 1] == '/') {
        size--;
    }
    if (size > 3 && memcmp(uri + size - 3, "/v1", 3) == 0) {
        size -= 3;
    }
    char *base = k2_alloc_text(uri, size);
    if (base == NULL) {
        return fail_memory(error);
    }
    k2_free(self->base);
    self->base = base;
    return K2_OK;
}

// A setting of the service: an override, else a default; owned, NULL when there is none.
static char *setting(struct k2_slice config, const char *name)
{
    struct k2_slice part;
    char *text = NULL;
    if (find_member(config, "overrides", &part)) {
        text = member_text(part, name);
    }
    if (text == NULL && find_member(config, "defaults", &part)) {
        text = member_text(part, name);
    }
    return text;
}

static enum k2_status apply_config(struct rest_catalog *self, struct k2_slice config,
                                   struct k2_error *error)
{
    struct k2_buffer text;
    enum k2_status status = K2_OK;
    char *prefix = setting(config, "prefix"), *uri = setting(config, "uri");
    k2_buffer_init(&text, URL_BYTES);
    if (prefix != NULL && *prefix != '\0') {
        k2_http_put_escaped(&text, k2_slice_of(prefix), false);
        k2_put_u8(&text, '/');
    }
    k2_put_u8(&text, 0);
    if (text.failed || !copy_text(&self->prefix, (const char *)text.data)) {
        status = fail_memory(error);
    }
    if (status == K2_OK && uri != NULL) {
        status = set_base(self, uri, error);
    }
    k2_buffer_deinit(&text);
    k2_free(prefix);
    k2_free(uri);
    return status;
}

static enum k2_status configure(struct rest_catalog *self, struct k2_error *error)
{
    struct k2_buffer path;
    struct k2_http_answer answer;
    k2_buffer_init(&path, URL_BYTES);
    k2_put_text(&path, "config");
    if (self->warehouse != NULL) {
        k2_put_text(&path, "?warehouse=");
        k2_http_put_escaped(&path, k2_slice_of(self->warehouse), false);
    }
    k2_put_u8(&path, 0);
    enum k2_status status = k2_buffer_check(&path, "catalog: the URL", error);
    if (status == K2_OK) {
        struct request request = {.method = "GET", .path = (const char *)path.data};
        status = send_request(self, &request, true, &answer, error);
    }
    k2_buffer_deinit(&path);
    if (status != K2_OK) {
        return status;
    }
    struct k2_slice member;
    if (answer.status != 200) {
        return fail_answer(self, "its configuration", &answer, error);
    }
    if (!find_member(answer.body, "defaults", &member) &&
        !find_member(answer.body, "overrides", &member)) {
        return k2_fail(error, K2_BAD_REQUEST, "%s: answers, but is no Iceberg REST catalog",
                       self->base);
    }
    return apply_config(self, answer.body, error);
}

static enum k2_status take_settings(struct rest_catalog *self,
                                    const struct k2_rest_settings *settings, struct k2_error *error)
{
    size_t size = strlen(settings->location);
    while (size > 0 && settings->location[size - 1] == '/') {
        size--;
    }
    enum k2_status status = set_base(self, settings->uri, error);
    if (status != K2_OK) {
        return status;
    }
    self->location = k2_alloc_text(settings->location, size);
    if (self->location == NULL || !copy_text(&self->warehouse, settings->warehouse) ||
        !copy_text(&self->credential, settings->credential) ||
        !copy_text(&self->scope, settings->scope) ||
        !copy_text(&self->oauth_uri, settings->oauth_uri)) {
        return fail_memory(error);
    }
    if (settings->credential == NULL && settings->token != NULL) {
        k2_buffer_clear(&self->body);
        k2_put_format(&self->body, "Authorization: Bearer %s", settings->token);
        k2_put_u8(&self->body, 0);
        if (self->body.failed || !copy_text(&self->authorization, (const char *)self->body.data)) {
            return fail_memory(error);
        }
    }
    return k2_http_exchange_open(&self->exchange, error);
}

enum k2_status k2_rest_catalog_open(struct k2_catalog *catalog,
                                    const struct k2_rest_settings *settings, struct k2_error *error)
{
    static const struct k2_catalog_class class = {
        .close = rest_close,
        .load = rest_load,
        .location = rest_location,
        .create = rest_create,
        .commit = rest_commit,
    };
    *catalog = (struct k2_catalog){0};
    struct rest_catalog *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return fail_memory(error);
    }
    self->wait_ms = settings->wait_ms != 0 ? settings->wait_ms : WAIT_MS;
    k2_retry_budget_init(&self->budget);
    k2_buffer_init(&self->url, URL_BYTES);
    k2_buffer_init(&self->body, answer_ceiling_bytes);
    enum k2_status status = take_settings(self, settings, error);
    if (status == K2_OK) {
        status = configure(self, error);
    }
    if (status != K2_OK) {
        rest_close(self);
        return status;
    }
    *catalog = (struct k2_catalog){&class, self};
    return K2_OK;
}
