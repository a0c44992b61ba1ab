// What the answers of a REST catalog mean; tests/system/test_catalog.py asks a real one.
#include "query/export/catalog_rest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "format/base/alloc.h"
#include "tests/support/scripted_server.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))
#define CONFIG SCRIPTED("200 OK", "", "{\"defaults\":{},\"overrides\":{}}")
#define PREFIX                                                                                     \
    SCRIPTED("200 OK", "", "{\"defaults\":{\"prefix\":\"d\"},\"overrides\":{\"prefix\":\"a b\"}}")
#define TOKEN                                                                                      \
    SCRIPTED("200 OK", "",                                                                         \
             "{\"access_token\":\"t-1\",\"token_type\":\"bearer\",\"expires_in\":3600}")
#define DENIED                                                                                     \
    SCRIPTED("401 Unauthorized", "", "{\"error\":{\"message\":\"who are you\",\"code\":401}}")
#define PAGE                                                                                       \
    SCRIPTED("500 Internal Server Error", "Content-Type: text/html\r\n", "<html>oops</html>")
#define BUSY SCRIPTED("503 Slow Down", "Retry-After: 0\r\n", "")
#define CONFLICT                                                                                   \
    SCRIPTED("409 Conflict", "",                                                                   \
             "{\"error\":{\"message\":\"changed\",\"type\":\"CommitFailedException\"}}")
#define ABSENT SCRIPTED("404 Not Found", "", "{\"error\":{\"message\":\"Table does not exist\"}}")
#define WRONG SCRIPTED("400 Bad Request", "", "{\"error\":{\"message\":\"that is \\\"wrong\\\"\"}}")
#define DONE_WITHOUT_TABLE SCRIPTED("200 OK", "", "{}")
#define TABLE "TABLE" // stands for a table

static struct k2_iceberg_metadata *a_table(void)
{
    static const struct k2_iceberg_field fields[] = {
        {1, "exchange", "string", true},
        {3, "timestamp", "timestamptz", true},
    };
    static const int32_t sorted[] = {1, 3};
    const struct k2_iceberg_definition definition = {
        .uuid = "11111111-2222-4333-8444-555555555555",
        .location = "file:///warehouse/k2/trades",
        .fields = fields,
        .field_count = 2,
        .day_field = 3,
        .day_name = "timestamp_day",
        .sort_fields = sorted,
        .sort_field_count = 2,
        .time_ms = 1700000000000,
    };
    struct k2_iceberg_metadata *metadata = NULL;
    struct k2_error error = {.text = ""};
    if (k2_iceberg_metadata_create(&metadata, &definition, &error) != K2_OK) {
        fail_msg("%s", error.text);
    }
    return metadata;
}

static char *table_answer(const struct k2_iceberg_metadata *metadata)
{
    struct k2_buffer out;
    k2_buffer_init(&out, 1 << 16);
    k2_put_text(&out, SCRIPTED("200 OK", "",
                               "{\"metadata-location\":\"file:/m/0\\u0030.json\",\"metadata\":"));
    k2_iceberg_metadata_put(metadata, &out);
    k2_put_text(&out, ",\"config\":{}}");
    char *text = k2_alloc_text((const char *)out.data, out.size_bytes);
    k2_buffer_deinit(&out);
    assert_non_null(text);
    return text;
}

enum operation { OPEN, LOAD, CREATE, COMMIT };
enum { NO_OUTCOME = -1 };

static const struct {
    const char *name;
    enum operation operation;
    const char *credential;
    const char *answers[MOST_SCRIPTED_ANSWERS];
    enum k2_status status;
    int outcome; // of create and commit; of load whether it was found
    size_t served;
    const char *words, *last_request; // in the error; in the request of the last answer
} rows[] = {
    {"open",
     OPEN,
     NULL,
     {CONFIG},
     K2_OK,
     NO_OUTCOME,
     1,
     NULL,
     "GET /path/v1/config?warehouse=w%2F1 "},
    {"open something else",
     OPEN,
     NULL,
     {SCRIPTED("200 OK", "", "hello")},
     K2_BAD_REQUEST,
     NO_OUTCOME,
     1,
     "no Iceberg REST catalog",
     NULL},
    {"open without permission",
     OPEN,
     NULL,
     {DENIED},
     K2_NOT_PERMITTED,
     NO_OUTCOME,
     1,
     "401: who are you",
     NULL},
    {"open what is busy",
     OPEN,
     NULL,
     {BUSY, SCRIPTED_RESET, CONFIG},
     K2_OK,
     NO_OUTCOME,
     3,
     NULL,
     NULL},
    {"open what is busy for ever",
     OPEN,
     NULL,
     {BUSY, BUSY, BUSY, BUSY, BUSY, BUSY},
     K2_BUSY,
     NO_OUTCOME,
     6,
     "says 503",
     NULL},
    {"a token first",
     OPEN,
     "id:se/cret",
     {TOKEN, CONFIG},
     K2_OK,
     NO_OUTCOME,
     2,
     NULL,
     "Authorization: Bearer t-1"},
    {"a token that is refused",
     OPEN,
     "id",
     {WRONG},
     K2_NOT_PERMITTED,
     NO_OUTCOME,
     1,
     "that is \"wrong\"",
     "grant_type=client_credentials&client_id=id&client_secret=&scope=catalog"},
    {"an answer without a token",
     OPEN,
     "id:s",
     {SCRIPTED("200 OK", "", "{}")},
     K2_NOT_PERMITTED,
     NO_OUTCOME,
     1,
     "no access token",
     NULL},
    {"a token that ran out",
     LOAD,
     "id:s",
     {TOKEN, CONFIG, DENIED, TOKEN, TABLE},
     K2_OK,
     1,
     5,
     NULL,
     "GET /path/v1/namespaces/k2/tables/trades "},
    {"a token that is no longer given",
     LOAD,
     "id:s",
     {TOKEN, CONFIG, DENIED, DENIED},
     K2_NOT_PERMITTED,
     0,
     4,
     "a token",
     NULL},
    {"load",
     LOAD,
     NULL,
     {PREFIX, TABLE},
     K2_OK,
     1,
     2,
     NULL,
     "GET /path/v1/a%20b/namespaces/k2/tables/trades "},
    {"load what is not there", LOAD, NULL, {CONFIG, ABSENT}, K2_OK, 0, 2, NULL, NULL},
    {"load again after an error",
     LOAD,
     NULL,
     {CONFIG, PAGE, SCRIPTED_RESET, TABLE},
     K2_OK,
     1,
     4,
     NULL,
     NULL},
    {"load no table",
     LOAD,
     NULL,
     {CONFIG, DONE_WITHOUT_TABLE},
     K2_CORRUPT,
     1,
     2,
     "no table metadata",
     NULL},
    {"load and be refused",
     LOAD,
     NULL,
     {CONFIG, WRONG},
     K2_BAD_REQUEST,
     0,
     2,
     "400: that is \"wrong\"",
     NULL},
    {"create",
     CREATE,
     NULL,
     {CONFIG, SCRIPTED("200 OK", "", "{}"), TABLE},
     K2_OK,
     K2_CATALOG_DONE,
     3,
     NULL,
     "Idempotency-Key: c-1"},
    {"create in a namespace that is there",
     CREATE,
     NULL,
     {CONFIG, CONFLICT, TABLE},
     K2_OK,
     K2_CATALOG_DONE,
     3,
     NULL,
     NULL},
    {"create in a namespace that is refused",
     CREATE,
     NULL,
     {CONFIG, WRONG},
     K2_BAD_REQUEST,
     NO_OUTCOME,
     2,
     "namespace k2",
     NULL},
    {"create what is there",
     CREATE,
     NULL,
     {CONFIG, CONFLICT, CONFLICT},
     K2_OK,
     K2_CATALOG_CONFLICT,
     3,
     NULL,
     NULL},
    {"commit",
     COMMIT,
     NULL,
     {CONFIG, TABLE},
     K2_OK,
     K2_CATALOG_DONE,
     2,
     NULL,
     "POST /path/v1/namespaces/k2/tables/trades "},
    {"commit to what has changed",
     COMMIT,
     NULL,
     {CONFIG, CONFLICT},
     K2_OK,
     K2_CATALOG_CONFLICT,
     2,
     NULL,
     NULL},
    {"commit and hear nothing",
     COMMIT,
     NULL,
     {CONFIG, SCRIPTED_RESET},
     K2_OK,
     K2_CATALOG_UNKNOWN,
     2,
     NULL,
     NULL},
    {"commit and hear of an error",
     COMMIT,
     NULL,
     {CONFIG, PAGE},
     K2_OK,
     K2_CATALOG_UNKNOWN,
     2,
     NULL,
     NULL},
    {"commit to what is busy",
     COMMIT,
     NULL,
     {CONFIG, BUSY},
     K2_OK,
     K2_CATALOG_UNKNOWN,
     2,
     NULL,
     NULL},
    {"commit too often",
     COMMIT,
     NULL,
     {CONFIG, SCRIPTED("429 Too Many Requests", "Retry-After: 0\r\n", ""), TABLE},
     K2_OK,
     K2_CATALOG_DONE,
     3,
     NULL,
     NULL},
    {"commit and hear no table",
     COMMIT,
     NULL,
     {CONFIG, DONE_WITHOUT_TABLE},
     K2_OK,
     K2_CATALOG_UNKNOWN,
     2,
     NULL,
     NULL},
    {"commit what is wrong",
     COMMIT,
     NULL,
     {CONFIG, WRONG},
     K2_BAD_REQUEST,
     NO_OUTCOME,
     2,
     "trades: the catalog says 400",
     NULL},
    {"commit to a table that is gone",
     COMMIT,
     NULL,
     {CONFIG, ABSENT},
     K2_NOT_FOUND,
     NO_OUTCOME,
     2,
     NULL,
     NULL},
};

struct trial {
    struct k2_catalog catalog;
    struct k2_catalog_table table; // what came
    bool found;
    enum k2_catalog_outcome outcome;
};

static enum k2_status operate(size_t row, const char *url, struct k2_iceberg_metadata *metadata,
                              struct trial *trial, struct k2_error *error)
{
    char uri[128];
    (void)snprintf(uri, sizeof uri, "%s/path/v1/", url);
    const struct k2_rest_settings settings = {
        .uri = uri,
        .location = "file:///warehouse/",
        .warehouse = "w/1",
        .credential = rows[row].credential,
        .wait_ms = 1,
    };
    const struct k2_catalog_table base = {.metadata = metadata};
    const struct k2_iceberg_change change = {.commit_id = "c-1", .time_ms = 1700000000001};
    enum k2_status status = k2_rest_catalog_open(&trial->catalog, &settings, error);
    if (status != K2_OK || rows[row].operation == OPEN) {
        return status;
    }
    const struct k2_catalog_class *class = trial->catalog.class;
    void *self = trial->catalog.self;
    switch (rows[row].operation) {
    case LOAD:
        return class->load(self, "trades", &trial->found, &trial->table, error);
    case CREATE:
        return class->create(self, "trades", metadata, "c-1", &trial->outcome, &trial->table,
                             error);
    default:
        return class->commit(self, "trades", &base, &change, &trial->outcome, &trial->table, error);
    }
}

static void answers_mean_what_they_say(void **state)
{
    struct k2_iceberg_metadata *metadata = a_table();
    char *table = table_answer(metadata);
    (void)state;
    for (size_t i = 0; i < LENGTH(rows); i++) {
        const char *answers[MOST_SCRIPTED_ANSWERS] = {0};
        struct scripted_server server;
        struct trial trial = {0};
        struct k2_error error = {.text = ""};
        for (size_t k = 0; k < LENGTH(answers) && rows[i].answers[k] != NULL; k++) {
            bool is_table = strcmp(rows[i].answers[k], TABLE) == 0;
            answers[k] = is_table ? table : rows[i].answers[k];
        }
        scripted_server_start(&server, answers);
        enum k2_status status = operate(i, server.url, metadata, &trial, &error);
        int outcome = rows[i].operation == LOAD ? trial.found : (int)trial.outcome;
        bool has_table = trial.table.metadata != NULL;
        if (has_table) {
            assert_string_equal(trial.table.metadata_location, "file:/m/00.json");
        }
        k2_catalog_table_close(&trial.table);
        k2_catalog_close(&trial.catalog);
        scripted_server_stop(&server);
        const char *last = server.served > 0 ? server.requests[server.served - 1] : "";
        if (status != rows[i].status || server.served != rows[i].served ||
            (rows[i].outcome != NO_OUTCOME && outcome != rows[i].outcome) ||
            (rows[i].words != NULL && strstr(error.text, rows[i].words) == NULL) ||
            (rows[i].last_request != NULL && strstr(last, rows[i].last_request) == NULL)) {
            fail_msg("%s: %s, %d after %zu answers: %s\n%s", rows[i].name, k2_status_name(status),
                     outcome, server.served, error.text, last);
        }
    }
    k2_free(table);
    k2_iceberg_metadata_destroy(metadata);
}

static void an_absent_service_is_busy(void **state)
{
    struct k2_catalog catalog;
    struct k2_error error;
    const struct k2_rest_settings settings = {
        .uri = "http://127.0.0.1:1", .location = "file:///w", .token = "t", .wait_ms = 1};
    (void)state;
    assert_int_equal(k2_rest_catalog_open(&catalog, &settings, &error), K2_BUSY);
    const struct k2_rest_settings wrong = {.uri = "catalog", .location = "file:///w"};
    assert_int_equal(k2_rest_catalog_open(&catalog, &wrong, &error), K2_BAD_REQUEST);
}

static void tables_lie_below_the_warehouse(void **state)
{
    const char *const answers[] = {CONFIG, NULL};
    struct scripted_server server;
    struct k2_catalog catalog;
    struct k2_buffer location;
    (void)state;
    scripted_server_start(&server, answers);
    const struct k2_rest_settings settings = {
        .uri = server.url, .location = "s3://bucket/folder//", .token = "t"};
    assert_int_equal(k2_rest_catalog_open(&catalog, &settings, NULL), K2_OK);
    k2_buffer_init(&location, 1024);
    assert_int_equal(catalog.class->location(catalog.self, "trades", &location, NULL), K2_OK);
    assert_string_equal((const char *)location.data, "s3://bucket/folder/k2/trades");
    k2_buffer_deinit(&location);
    k2_catalog_close(&catalog);
    scripted_server_stop(&server);
    assert_non_null(strstr(server.requests[0], "Authorization: Bearer t\r\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_mean_what_they_say),
        cmocka_unit_test(an_absent_service_is_busy),
        cmocka_unit_test(tables_lie_below_the_warehouse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
