#include "ingest/schema_registry.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/base/alloc.h"
#include "format/schema/schema.h"
#include "ingest/schema_folder.h"
#include "tests/support/folder.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define BASE "/apis/ccompat/v7"

// What the server in this program answers; it counts what it is asked.
static const struct {
    const char *method, *path;
    unsigned status;
    const char *body;
} answers[] = {
    {"GET", BASE "/schemas/ids/1", 200, "{\"schema\":\"\\\"string\\\"\"}"},
    {"GET", BASE "/schemas/ids/2", 200,
     "{\"schema\":\"\\\"B\\\"\",\"references\":[{\"name\":\"B\",\"subject\":\"b "
     "s\",\"version\":3}]}"},
    {"GET", BASE "/subjects/b s/versions/3", 200,
     "{\"schema\":\"\\\"C\\\"\",\"references\":[{\"name\":\"C\",\"subject\":\"c\",\"version\":1}]"
     "}"},
    {"GET", BASE "/subjects/c/versions/1", 200, "{\"schema\":\"\\\"long\\\"\"}"},
    {"GET", BASE "/schemas/ids/3", 200,
     "{\"schema\":\"message M {}\",\"schemaType\":\"PROTOBUF\"}"},
    {"GET", BASE "/schemas/ids/4", 200, "not json"},
    {"GET", BASE "/schemas/ids/5", 500, "{\"error_code\":50001,\"message\":\"sorry\"}"},
    {"GET", BASE "/schemas/ids/6", 401, "{}"},
    {"GET", BASE "/schemas/ids/7", 404, "<html>no such page</html>"},
    {"GET", BASE "/schemas/ids/8", 200,
     "{\"schema\":\"\\\"B\\\"\",\"references\":[{\"name\":\"l\",\"subject\":\"l\",\"version\":1}]"
     "}"},
    {"GET", BASE "/subjects/l/versions/1", 200,
     "{\"schema\":\"1\",\"references\":[{\"name\":\"l\",\"subject\":\"l\",\"version\":1}]}"},
    {"GET", BASE "/schemas/ids/9", 200, "{}"},
    {"POST", BASE "/subjects/good-value/versions", 200, "{\"id\":77}"},
    {"POST", BASE "/subjects/bad-value/versions", 409,
     "{\"error_code\":409,\"message\":\"not compatible\"}"},
    {"POST", BASE "/subjects/odd-value/versions", 200, "{\"id\":99999999999}"},
};

struct fixture {
    struct MHD_Daemon *daemon;
    unsigned asked;
    char url[64];
    struct k2_buffer kept_key, kept_value; // of the cache, one schema
};

static enum MHD_Result answer(void *context, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *body,
                              size_t *body_bytes, void **request)
{
    (void)version;
    (void)body;
    struct fixture *self = context;
    if (*request == NULL) {
        *request = self;
        return MHD_YES;
    }
    if (*body_bytes > 0) {
        *body_bytes = 0;
        return MHD_YES;
    }
    self->asked++;
    unsigned status = 404;
    const char *text = "{\"error_code\":40403,\"message\":\"Schema not found\"}";
    for (size_t i = 0; i < COUNT(answers); i++) {
        if (strcmp(answers[i].method, method) == 0 && strcmp(answers[i].path, url) == 0) {
            status = answers[i].status;
            text = answers[i].body;
        }
    }
    struct MHD_Response *response = MHD_create_response_from_buffer(
        strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_PERSISTENT);
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static int set_up(void **state)
{
    struct fixture *self = calloc(1, sizeof *self);
    assert_non_null(self);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    self->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, answer, self,
                                    MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_END);
    assert_non_null(self->daemon);
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(self->daemon, MHD_DAEMON_INFO_BIND_PORT);
    (void)snprintf(self->url, sizeof self->url, "http://127.0.0.1:%u" BASE "/",
                   (unsigned)info->port);
    k2_buffer_init(&self->kept_key, 1 << 20);
    k2_buffer_init(&self->kept_value, 1 << 20);
    *state = self;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *self = *state;
    if (self->daemon != NULL) {
        MHD_stop_daemon(self->daemon);
    }
    k2_buffer_deinit(&self->kept_key);
    k2_buffer_deinit(&self->kept_value);
    free(self);
    return 0;
}

static void answers_of_a_server_are_told_apart(void **state)
{
    static const struct {
        int32_t id;
        enum k2_status status;
        const char *text; // of the schema, or in the error
    } rows[] = {
        {1, K2_OK, "\"string\""},
        {3, K2_BAD_REQUEST, "PROTOBUF"},
        {4, K2_BUSY, "HTTP 200"},
        {5, K2_BUSY, "sorry"},
        {6, K2_NOT_PERMITTED, "HTTP 401"},
        {7, K2_BUSY, "HTTP 404"},
        {8, K2_BAD_REQUEST, "nested too deep"},
        {9, K2_BUSY, "without schema"},
        {50, K2_NOT_FOUND, "Schema not found"},
    };
    struct fixture *self = *state;
    struct k2_schema_registry *registry;
    assert_int_equal(k2_schema_registry_open(&registry, self->url, NULL, NULL), K2_OK);
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct k2_registered_schema *schema = NULL;
        struct k2_error error = {0};
        enum k2_status status = k2_schema_registry_get(registry, rows[i].id, &schema, &error);
        const char *text = status == K2_OK ? schema->text : error.text;
        if (status != rows[i].status || strstr(text, rows[i].text) == NULL) {
            fail_msg("schema %d: %s: %s", (int)rows[i].id, k2_status_name(status), text);
        }
    }
    k2_schema_registry_close(registry);
}

static void references_come_before_their_use(void **state)
{
    struct fixture *self = *state;
    struct k2_schema_registry *registry;
    const struct k2_registered_schema *schema;
    assert_int_equal(k2_schema_registry_open(&registry, self->url, NULL, NULL), K2_OK);
    assert_int_equal(k2_schema_registry_get(registry, 2, &schema, NULL), K2_OK);
    assert_string_equal(schema->text, "\"B\"");
    assert_int_equal(schema->reference_count, 2);
    assert_string_equal(schema->references[0], "\"long\"");
    assert_string_equal(schema->references[1], "\"C\"");
    k2_schema_registry_close(registry);
}

static void what_is_known_is_not_asked_again(void **state)
{
    struct fixture *self = *state;
    struct k2_schema_registry *registry;
    const struct k2_registered_schema *schema;
    assert_int_equal(k2_schema_registry_open(&registry, self->url, NULL, NULL), K2_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(k2_schema_registry_get(registry, 1, &schema, NULL), K2_OK);
        assert_int_equal(k2_schema_registry_get(registry, 50, &schema, NULL), K2_NOT_FOUND);
    }
    assert_int_equal(self->asked, 2);
    k2_schema_registry_close(registry);
}

static enum k2_status load(void *context, struct k2_slice key, bool *found, struct k2_buffer *value,
                           struct k2_error *error)
{
    (void)error;
    struct fixture *self = context;
    *found = k2_slice_equal(key, k2_buffer_slice(&self->kept_key));
    if (*found) {
        k2_put_bytes(value, self->kept_value.data, self->kept_value.size_bytes);
    }
    return K2_OK;
}

static enum k2_status save(void *context, struct k2_slice key, struct k2_slice value,
                           struct k2_error *error)
{
    (void)error;
    struct fixture *self = context;
    k2_buffer_clear(&self->kept_key);
    k2_buffer_clear(&self->kept_value);
    k2_put_bytes(&self->kept_key, key.data, key.size_bytes);
    k2_put_bytes(&self->kept_value, value.data, value.size_bytes);
    return K2_OK;
}

static void what_is_kept_serves_without_the_server(void **state)
{
    struct fixture *self = *state;
    const struct k2_schema_cache cache = {load, save, self};
    struct k2_schema_registry *registry;
    const struct k2_registered_schema *schema;
    assert_int_equal(k2_schema_registry_open(&registry, self->url, &cache, NULL), K2_OK);
    assert_int_equal(k2_schema_registry_get(registry, 2, &schema, NULL), K2_OK);
    k2_schema_registry_close(registry);
    MHD_stop_daemon(self->daemon);
    self->daemon = NULL;
    assert_int_equal(k2_schema_registry_open(&registry, self->url, &cache, NULL), K2_OK);
    assert_int_equal(k2_schema_registry_get(registry, 2, &schema, NULL), K2_OK);
    assert_string_equal(schema->text, "\"B\"");
    assert_int_equal(schema->reference_count, 2);
    assert_string_equal(schema->references[1], "\"C\"");
    assert_int_equal(k2_schema_registry_get(registry, 1, &schema, NULL), K2_BUSY);
    k2_schema_registry_close(registry);
}

static void registering_gives_an_id_or_a_reason(void **state)
{
    struct fixture *self = *state;
    struct k2_schema_registry *registry;
    struct k2_error error = {0};
    int32_t id = 0;
    assert_int_equal(k2_schema_registry_open(&registry, self->url, NULL, NULL), K2_OK);
    assert_int_equal(k2_schema_registry_register(registry, "good-value", "{}", &id, NULL), K2_OK);
    assert_int_equal(id, 77);
    assert_int_equal(k2_schema_registry_register(registry, "bad-value", "{}", &id, &error),
                     K2_BAD_REQUEST);
    assert_non_null(strstr(error.text, "not compatible"));
    assert_int_equal(k2_schema_registry_register(registry, "odd-value", "{}", &id, &error),
                     K2_BUSY);
    k2_schema_registry_close(registry);
    assert_int_equal(k2_schema_registry_open(&registry, "ftp://127.0.0.1", NULL, &error),
                     K2_BAD_REQUEST);
}

static void a_folder_gives_ids_in_order(void **state)
{
    (void)state;
    char path[TEST_PATH_BYTES], folder[TEST_PATH_BYTES + 16];
    struct k2_schema_registry *registry;
    const struct k2_registered_schema *schema;
    int32_t id;
    test_folder_make(path);
    (void)snprintf(folder, sizeof folder, "%s/schemas", path);
    assert_int_equal(k2_schema_registry_open(&registry, folder, NULL, NULL), K2_OK);
    assert_int_equal(k2_schema_registry_get(registry, 1, &schema, NULL), K2_NOT_FOUND);
    assert_int_equal(k2_schema_registry_register(registry, "a", "\"long\"", &id, NULL), K2_OK);
    assert_int_equal(id, 1);
    assert_int_equal(k2_schema_registry_register(registry, "b", "\"int\"", &id, NULL), K2_OK);
    assert_int_equal(id, 2);
    assert_int_equal(k2_schema_registry_register(registry, "c", "\"long\"", &id, NULL), K2_OK);
    assert_int_equal(id, 1);
    assert_int_equal(k2_schema_registry_get(registry, 1, &schema, NULL), K2_OK);
    assert_string_equal(schema->text, "\"long\"");
    assert_int_equal(test_folder_count(path, "schemas"), 2);
    k2_schema_registry_close(registry);
    test_folder_remove(path);
}

static void built_in_schemas_have_their_places(void **state)
{
    (void)state;
    struct k2_schema_registry *registry;
    const struct k2_registered_schema *schema;
    struct k2_schema *quotes;
    int32_t id;
    assert_int_equal(k2_schema_registry_open(&registry, NULL, NULL, NULL), K2_OK);
    assert_int_equal(k2_schema_builtin(&quotes, "quotes", NULL), K2_OK);
    assert_int_equal(k2_schema_registry_register(registry, "q", quotes->source, &id, NULL), K2_OK);
    assert_int_equal(id, 2);
    assert_int_equal(k2_schema_registry_get(registry, 2, &schema, NULL), K2_OK);
    assert_string_equal(schema->text, quotes->source);
    assert_int_equal(k2_schema_registry_get(registry, 99, &schema, NULL), K2_NOT_FOUND);
    assert_int_equal(k2_schema_registry_get(registry, -1, &schema, NULL), K2_NOT_FOUND);
    assert_int_equal(k2_schema_registry_register(registry, "q", "{}", &id, NULL), K2_NOT_FOUND);
    k2_schema_destroy(quotes);
    k2_schema_registry_close(registry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(answers_of_a_server_are_told_apart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(references_come_before_their_use, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_known_is_not_asked_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_kept_serves_without_the_server, set_up, tear_down),
        cmocka_unit_test_setup_teardown(registering_gives_an_id_or_a_reason, set_up, tear_down),
        cmocka_unit_test(a_folder_gives_ids_in_order),
        cmocka_unit_test(built_in_schemas_have_their_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
