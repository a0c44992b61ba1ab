#include "ingest/schema_registry.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <time.h>

#include "format/base/alloc.h"
#include "format/base/checksum.h"
#include "format/schema/schema.h"
#include "ingest/schema_folder.h"

enum {
    MAX_ANSWER_BYTES = 8 << 20,
    CONNECT_TIMEOUT_MS = 2000,
    TIMEOUT_MS = 5000,
    UNKNOWN_SECONDS = 3, // for so long an unknown id is not asked for again
    MAX_REFERENCES = 64,
    MAX_REFERENCE_DEPTH = 8,
    MAX_URL_BYTES = 2048,
    MAX_SCHEMAS = 65536,
};

struct known {
    int32_t id;
    bool unknown; // asked for in vain at `asked_s`
    int64_t asked_s;
    struct k2_registered_schema schema; // owned
};

struct k2_schema_registry {
    char *location; // owned; NULL: built-in
    bool is_server;
    struct k2_schema_cache cache;
    struct known **known; // owned
    size_t known_count, known_room;
    CURL *curl; // of a server
    struct curl_slist *headers;
    struct k2_buffer answer;
};

static int64_t now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

static enum k2_status fail_memory(struct k2_error *error)
{
    return k2_fail(error, K2_NO_MEMORY, "schema registry: out of memory");
}

static size_t take_answer(char *bytes, size_t size, size_t count, void *context)
{
    struct k2_buffer *answer = context;
    k2_put_bytes(answer, bytes, size * count);
    return answer->failed ? 0 : size * count;
}

static enum k2_status open_server(struct k2_schema_registry *self, struct k2_error *error)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return fail_memory(error);
    }
    self->is_server = true;
    self->curl = curl_easy_init();
    self->headers = curl_slist_append(NULL, "Accept: application/vnd.schemaregistry.v1+json");
    if (self->curl == NULL || self->headers == NULL) {
        return fail_memory(error);
    }
    struct curl_slist *more =
        curl_slist_append(self->headers, "Content-Type: application/vnd.schemaregistry.v1+json");
    if (more == NULL || curl_slist_append(more, "Expect:") == NULL) {
        return fail_memory(error);
    }
    CURL *curl = self->curl;
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 3L);
    (void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)TIMEOUT_MS);
    (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, self->headers);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_answer);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, &self->answer);
    return K2_OK;
}

enum k2_status k2_schema_registry_open(struct k2_schema_registry **registry, const char *location,
                                       const struct k2_schema_cache *cache, struct k2_error *error)
{
    struct k2_schema_registry *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return fail_memory(error);
    }
    k2_buffer_init(&self->answer, MAX_ANSWER_BYTES);
    if (cache != NULL) {
        self->cache = *cache;
    }
    enum k2_status status = K2_OK;
    if (location != NULL) {
        size_t size = strlen(location);
        while (size > 1 && location[size - 1] == '/') {
            size--;
        }
        self->location = k2_alloc_text(location, size);
        status = self->location != NULL ? K2_OK : fail_memory(error);
    }
    if (status == K2_OK && location != NULL && strstr(location, "://") != NULL) {
        bool http = strncmp(location, "http://", 7) == 0 || strncmp(location, "https://", 8) == 0;
        status =
            http ? open_server(self, error)
                 : k2_fail(error, K2_BAD_REQUEST,
                           "schema registry %s: neither http://, https:// nor a folder", location);
    }
    if (status != K2_OK) {
        k2_schema_registry_close(self);
        return status;
    }
    *registry = self;
    return K2_OK;
}

static void free_schema(struct k2_registered_schema *schema)
{
    for (size_t i = 0; i < schema->reference_count; i++) {
        k2_free((char *)(uintptr_t)schema->references[i]);
    }
    k2_free((void *)(uintptr_t)schema->references);
    k2_free((char *)(uintptr_t)schema->text);
    *schema = (struct k2_registered_schema){0};
}

void k2_schema_registry_close(struct k2_schema_registry *registry)
{
    if (registry == NULL) {
        return;
    }
    for (size_t i = 0; i < registry->known_count; i++) {
        free_schema(&registry->known[i]->schema);
        k2_free(registry->known[i]);
    }
    k2_free(registry->known);
    k2_free(registry->location);
    k2_buffer_deinit(&registry->answer);
    if (registry->is_server) {
        curl_easy_cleanup(registry->curl);
        curl_slist_free_all(registry->headers);
        curl_global_cleanup();
    }
    k2_free(registry);
}

// What the server says about a failure, as one line.
static void put_reason(const struct k2_schema_registry *self, char text[256])
{
    json_t *answer = json_loadb((const char *)self->answer.data, self->answer.size_bytes, 0, NULL);
    const char *message = json_string_value(json_object_get(answer, "message"));
    (void)snprintf(text, 256, "%s", message != NULL ? message : "no reason given");
    json_decref(answer);
}

static enum k2_status status_of_http(long code, json_int_t error_code)
{
    switch (code) {
    case 404: // 40401 subject, 40402 version, 40403 schema; else the path is wrong
        return error_code >= 40401 && error_code <= 40403 ? K2_NOT_FOUND : K2_BUSY;
    case 401:
    case 403:
        return K2_NOT_PERMITTED;
    case 409:
    case 422:
        return K2_BAD_REQUEST;
    default:
        return K2_BUSY;
    }
}

// GET, or POST of `body`; the answer is a JSON object that the caller owns.
static enum k2_status ask(struct k2_schema_registry *self, const char *path, const char *body,
                          json_t **answer, struct k2_error *error)
{
    char url[MAX_URL_BYTES], reason[256];
    int size = snprintf(url, sizeof url, "%s%s", self->location, path);
    if (size < 0 || (size_t)size >= sizeof url) {
        return k2_fail(error, K2_BAD_REQUEST, "schema registry: the URL is too long");
    }
    k2_buffer_clear(&self->answer);
    (void)curl_easy_setopt(self->curl, CURLOPT_URL, url);
    if (body != NULL) {
        (void)curl_easy_setopt(self->curl, CURLOPT_POST, 1L);
        (void)curl_easy_setopt(self->curl, CURLOPT_POSTFIELDS, body);
    } else {
        (void)curl_easy_setopt(self->curl, CURLOPT_HTTPGET, 1L);
    }
    CURLcode result = curl_easy_perform(self->curl);
    if (result != CURLE_OK) {
        return k2_fail(error, K2_BUSY, "schema registry %s: %s", self->location,
                       curl_easy_strerror(result));
    }
    long code = 0;
    (void)curl_easy_getinfo(self->curl, CURLINFO_RESPONSE_CODE, &code);
    json_t *root = json_loadb((const char *)self->answer.data, self->answer.size_bytes, 0, NULL);
    if (code >= 200 && code < 300 && json_is_object(root)) {
        *answer = root;
        return K2_OK;
    }
    json_int_t error_code = json_integer_value(json_object_get(root, "error_code"));
    json_decref(root);
    put_reason(self, reason);
    enum k2_status status = code >= 300 ? status_of_http(code, error_code) : K2_BUSY;
    return k2_fail(error, status, "schema registry %s: HTTP %ld: %s", self->location, code, reason);
}

static enum k2_status copy_text(const char *text, const char **copy, struct k2_error *error)
{
    *copy = k2_alloc_text(text, strlen(text));
    return *copy != NULL ? K2_OK : fail_memory(error);
}

static enum k2_status add_reference(struct k2_registered_schema *schema, const char *text,
                                    struct k2_error *error)
{
    for (size_t i = 0; i < schema->reference_count; i++) {
        if (strcmp(schema->references[i], text) == 0) {
            return K2_OK;
        }
    }
    if (schema->references == NULL) {
        schema->references = k2_alloc_zero(MAX_REFERENCES, sizeof *schema->references);
        if (schema->references == NULL) {
            return fail_memory(error);
        }
    }
    if (schema->reference_count == MAX_REFERENCES) {
        return k2_fail(error, K2_BAD_REQUEST, "schema registry: more than %d references",
                       MAX_REFERENCES);
    }
    const char **references = (const char **)(uintptr_t)schema->references;
    enum k2_status status = copy_text(text, &references[schema->reference_count], error);
    schema->reference_count += status == K2_OK;
    return status;
}

// Adds what `answer` refers to, the deepest first.
static enum k2_status follow(struct k2_schema_registry *self, const json_t *answer, unsigned depth,
                             struct k2_registered_schema *schema, struct k2_error *error)
{
    const json_t *references = json_object_get(answer, "references");
    enum k2_status status = K2_OK;
    if (depth > MAX_REFERENCE_DEPTH) {
        return k2_fail(error, K2_BAD_REQUEST, "schema registry: references nested too deep");
    }
    for (size_t i = 0; i < json_array_size(references) && status == K2_OK; i++) {
        const json_t *reference = json_array_get(references, i);
        const char *subject = json_string_value(json_object_get(reference, "subject"));
        json_int_t version = json_integer_value(json_object_get(reference, "version"));
        char *escaped = subject == NULL ? NULL : curl_easy_escape(self->curl, subject, 0);
        if (escaped == NULL) {
            return k2_fail(error, K2_BAD_REQUEST, "schema registry: a reference without subject");
        }
        char path[1024];
        (void)snprintf(path, sizeof path, "/subjects/%.900s/versions/%lld", escaped,
                       (long long)version);
        curl_free(escaped);
        json_t *referred = NULL;
        status = ask(self, path, NULL, &referred, error);
        if (status == K2_OK) {
            status = follow(self, referred, depth + 1, schema, error);
        }
        const char *text = json_string_value(json_object_get(referred, "schema"));
        if (status == K2_OK) {
            status = text != NULL
                         ? add_reference(schema, text, error)
                         : k2_fail(error, K2_BUSY, "schema registry: an answer without schema");
        }
        json_decref(referred);
    }
    return status;
}

static int put_json(const char *bytes, size_t size, void *context)
{
    k2_put_bytes(context, bytes, size);
    return 0;
}

// Takes `root` (NULL: memory was short) and writes it, with a NUL, to `text`.
static enum k2_status print_json(json_t *root, struct k2_buffer *text, struct k2_error *error)
{
    int failed = root == NULL ? -1 : json_dump_callback(root, put_json, text, JSON_COMPACT);
    json_decref(root);
    k2_put_u8(text, 0);
    return failed != 0 ? fail_memory(error) : k2_buffer_check(text, "schema", error);
}

static void cache_key(const struct k2_schema_registry *self, int32_t id, char key[64])
{
    (void)snprintf(key, 64, "schema/%016" PRIx64 "/%d", k2_hash(k2_slice_of(self->location)),
                   (int)id);
}

static enum k2_status read_kept(struct k2_slice value, struct k2_registered_schema *schema,
                                struct k2_error *error)
{
    json_t *root = json_loadb((const char *)value.data, value.size_bytes, 0, NULL);
    const char *text = json_string_value(json_object_get(root, "schema"));
    const json_t *references = json_object_get(root, "references");
    enum k2_status status = text == NULL ? k2_fail(error, K2_CORRUPT, "a kept schema is not one")
                                         : copy_text(text, &schema->text, error);
    for (size_t i = 0; i < json_array_size(references) && status == K2_OK; i++) {
        const char *reference = json_string_value(json_array_get(references, i));
        status = add_reference(schema, reference != NULL ? reference : "", error);
    }
    json_decref(root);
    return status;
}

static enum k2_status load_kept(struct k2_schema_registry *self, int32_t id, bool *found,
                                struct k2_registered_schema *schema, struct k2_error *error)
{
    *found = false;
    if (self->cache.load == NULL) {
        return K2_OK;
    }
    char key[64];
    struct k2_buffer value;
    cache_key(self, id, key);
    k2_buffer_init(&value, MAX_ANSWER_BYTES);
    enum k2_status status =
        self->cache.load(self->cache.context, k2_slice_of(key), found, &value, error);
    if (status == K2_OK && *found) {
        status = read_kept(k2_buffer_slice(&value), schema, error);
    }
    k2_buffer_deinit(&value);
    return status;
}

static enum k2_status keep(struct k2_schema_registry *self, int32_t id,
                           const struct k2_registered_schema *schema, struct k2_error *error)
{
    if (self->cache.save == NULL) {
        return K2_OK;
    }
    char key[64];
    cache_key(self, id, key);
    json_t *references = json_array();
    for (size_t i = 0; i < schema->reference_count; i++) {
        (void)json_array_append_new(references, json_string(schema->references[i]));
    }
    struct k2_buffer text;
    k2_buffer_init(&text, MAX_ANSWER_BYTES);
    enum k2_status status = print_json(
        json_pack("{s:s, s:o}", "schema", schema->text, "references", references), &text, error);
    if (status == K2_OK) {
        struct k2_slice value = {text.data, text.size_bytes - 1};
        status = self->cache.save(self->cache.context, k2_slice_of(key), value, error);
    }
    k2_buffer_deinit(&text);
    return status;
}

static enum k2_status fetch(struct k2_schema_registry *self, int32_t id,
                            struct k2_registered_schema *schema, struct k2_error *error)
{
    char path[64];
    json_t *answer = NULL;
    (void)snprintf(path, sizeof path, "/schemas/ids/%d", (int)id);
    enum k2_status status = ask(self, path, NULL, &answer, error);
    const char *text = json_string_value(json_object_get(answer, "schema"));
    const char *type = json_string_value(json_object_get(answer, "schemaType"));
    if (status == K2_OK && text == NULL) {
        status = k2_fail(error, K2_BUSY, "schema registry: an answer without schema");
    }
    if (status == K2_OK && type != NULL && strcmp(type, "AVRO") != 0) {
        status =
            k2_fail(error, K2_BAD_REQUEST, "schema %d: of type %.40s, not AVRO", (int)id, type);
    }
    if (status == K2_OK) {
        status = follow(self, answer, 0, schema, error);
    }
    if (status == K2_OK) {
        status = copy_text(text, &schema->text, error);
    }
    json_decref(answer);
    return status == K2_OK ? keep(self, id, schema, error) : status;
}

static enum k2_status read_folder(struct k2_schema_registry *self, int32_t id,
                                  struct k2_registered_schema *schema, struct k2_error *error)
{
    struct k2_buffer text;
    k2_buffer_init(&text, MAX_ANSWER_BYTES);
    enum k2_status status = k2_schema_folder_get(self->location, id, &text, error);
    if (status == K2_OK) {
        schema->text = k2_alloc_text((const char *)text.data, text.size_bytes);
        status = schema->text != NULL ? K2_OK : fail_memory(error);
    }
    k2_buffer_deinit(&text);
    return status;
}

static enum k2_status read_builtin(int32_t id, struct k2_registered_schema *schema,
                                   struct k2_error *error)
{
    const char *name = id < 1 ? NULL : k2_schema_builtin_name((size_t)id - 1);
    struct k2_schema *builtin = NULL;
    if (name == NULL) {
        return k2_fail(error, K2_NOT_FOUND,
                       "schema %d: not built in; name a registry with --schema-registry", (int)id);
    }
    enum k2_status status = k2_schema_builtin(&builtin, name, error);
    if (status == K2_OK) {
        status = copy_text(builtin->source, &schema->text, error);
    }
    k2_schema_destroy(builtin);
    return status;
}

static enum k2_status obtain(struct k2_schema_registry *self, int32_t id,
                             struct k2_registered_schema *schema, struct k2_error *error)
{
    if (self->location == NULL) {
        return read_builtin(id, schema, error);
    }
    if (!self->is_server) {
        return read_folder(self, id, schema, error);
    }
    bool found;
    enum k2_status status = load_kept(self, id, &found, schema, error);
    return status == K2_OK && !found ? fetch(self, id, schema, error) : status;
}

static struct known *find(const struct k2_schema_registry *self, int32_t id)
{
    for (size_t i = 0; i < self->known_count; i++) {
        if (self->known[i]->id == id) {
            return self->known[i];
        }
    }
    return NULL;
}

static enum k2_status add_known(struct k2_schema_registry *self, int32_t id, struct known **known,
                                struct k2_error *error)
{
    if (self->known_count == self->known_room) {
        size_t room = self->known_room == 0 ? 16 : 2 * self->known_room;
        struct known **grown =
            room > MAX_SCHEMAS ? NULL : k2_realloc(self->known, room, sizeof *grown);
        if (grown == NULL) {
            return fail_memory(error);
        }
        self->known = grown;
        self->known_room = room;
    }
    *known = k2_alloc_zero(1, sizeof **known);
    if (*known == NULL) {
        return fail_memory(error);
    }
    (*known)->id = id;
    (*known)->unknown = true;
    (*known)->asked_s = INT64_MIN;
    self->known[self->known_count++] = *known;
    return K2_OK;
}

enum k2_status k2_schema_registry_get(struct k2_schema_registry *registry, int32_t id,
                                      const struct k2_registered_schema **schema,
                                      struct k2_error *error)
{
    struct known *known = find(registry, id);
    if (known == NULL) {
        enum k2_status status = add_known(registry, id, &known, error);
        if (status != K2_OK) {
            return status;
        }
    }
    if (known->unknown) {
        int64_t now = now_s();
        if (registry->is_server && known->asked_s > now - UNKNOWN_SECONDS) {
            return k2_fail(error, K2_NOT_FOUND, "schema %d: unknown to %s", (int)id,
                           registry->location);
        }
        enum k2_status status = obtain(registry, id, &known->schema, error);
        if (status != K2_OK) {
            free_schema(&known->schema);
            known->asked_s = status == K2_NOT_FOUND ? now : known->asked_s;
            k2_error_annotate(error, "schema %d", (int)id);
            return status;
        }
        known->unknown = false;
    }
    *schema = &known->schema;
    return K2_OK;
}

static enum k2_status post(struct k2_schema_registry *self, const char *subject, const char *text,
                           int32_t *id, struct k2_error *error)
{
    struct k2_buffer body;
    k2_buffer_init(&body, MAX_ANSWER_BYTES);
    char *escaped = curl_easy_escape(self->curl, subject, 0);
    json_t *answer = NULL;
    char path[1024];
    enum k2_status status = print_json(json_pack("{s:s}", "schema", text), &body, error);
    if (status == K2_OK && escaped == NULL) {
        status = fail_memory(error);
    }
    if (status == K2_OK) {
        (void)snprintf(path, sizeof path, "/subjects/%.900s/versions", escaped);
        status = ask(self, path, (const char *)body.data, &answer, error);
    }
    json_int_t given = json_integer_value(json_object_get(answer, "id"));
    if (status == K2_OK &&
        (given < 0 || given > INT32_MAX || !json_is_integer(json_object_get(answer, "id")))) {
        status =
            k2_fail(error, K2_BUSY, "schema registry %s: an answer without id", self->location);
    }
    if (status == K2_OK) {
        *id = (int32_t)given;
    }
    curl_free(escaped);
    k2_buffer_deinit(&body);
    json_decref(answer);
    return status;
}

static enum k2_status find_builtin(const char *text, int32_t *id, struct k2_error *error)
{
    for (int32_t i = 1; k2_schema_builtin_name((size_t)i - 1) != NULL; i++) {
        struct k2_registered_schema schema = {0};
        enum k2_status status = read_builtin(i, &schema, error);
        bool same = status == K2_OK && strcmp(schema.text, text) == 0;
        free_schema(&schema);
        if (status != K2_OK || same) {
            *id = i;
            return status;
        }
    }
    return k2_fail(error, K2_NOT_FOUND,
                   "schema registry: this schema is not built in; name a registry with "
                   "--schema-registry");
}

enum k2_status k2_schema_registry_register(struct k2_schema_registry *registry, const char *subject,
                                           const char *text, int32_t *id, struct k2_error *error)
{
    if (registry->location == NULL) {
        return find_builtin(text, id, error);
    }
    if (!registry->is_server) {
        return k2_schema_folder_add(registry->location, k2_slice_of(text), id, error);
    }
    return post(registry, subject, text, id, error);
}
