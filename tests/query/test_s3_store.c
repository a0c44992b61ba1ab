// Objects in a bucket: against answers that a server may give, and, where K2_TEST_S3_ENDPOINT names
// one (tests/system/test_object_store.py), against a real server.
#include "query/export/s3_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/base/alloc.h"
#include "query/export/retry.h"
#include "query/export/xml_walk.h"
#include "tests/support/scripted_server.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))

#define CLOSE "Connection: close\r\n"
#define NOTHING CLOSE "Content-Length: 0\r\n\r\n"
#define OK_EMPTY "HTTP/1.1 200 OK\r\nETag: \"e\"\r\n" NOTHING
#define PRECONDITION "HTTP/1.1 412 Precondition Failed\r\n" NOTHING
#define UNAVAILABLE "HTTP/1.1 503 Slow Down\r\nRetry-After: 0\r\n" NOTHING
#define ABSENT "HTTP/1.1 404 Not Found\r\n" NOTHING
#define RESET SCRIPTED_RESET
// The mark of the put that the server saw last.
#define MARKED "HTTP/1.1 200 OK\r\nx-amz-meta-k2-put: MARK\r\n" NOTHING
#define OTHER "HTTP/1.1 200 OK\r\nx-amz-meta-k2-put: 00000000000000000000000000000000\r\n" NOTHING
#define PAGE                                                                                       \
    "HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/html\r\n" CLOSE                      \
    "Content-Length: 20\r\n\r\n<html><p>oops</html>"
#define REFUSED                                                                                    \
    "HTTP/1.1 403 Forbidden\r\n" CLOSE "\r\n"                                                      \
    "<Error><Code>SignatureDoesNotMatch</Code><Message>the keys differ</Message></Error>"
#define CUT "HTTP/1.1 200 OK\r\n" CLOSE "Content-Length: 10\r\n\r\nabc"
#define WHOLE "HTTP/1.1 200 OK\r\n" CLOSE "Content-Length: 4\r\n\r\nabcd"

static struct k2_object_store open_store(const char *endpoint)
{
    struct k2_object_store store;
    struct k2_s3_settings settings = {
        .endpoint = endpoint,
        .access_key = "k2access",
        .secret_key = "k2secret12345",
        .wait_ms = 2,
        .part_bytes = 5 << 20,
    };
    struct k2_error error;
    if (k2_s3_store_open(&store, &settings, &error) != K2_OK) {
        fail_msg("%s", error.text);
    }
    return store;
}

// ---- what a store makes of answers ------------------------------------------------------------

enum operation { PUT_NEW, REPLACE, UPLOAD, GET, GET_RANGE, LIST, REMOVE };

static enum k2_status visit_nothing(void *context, const struct k2_object_info *object,
                                    struct k2_error *error)
{
    (void)object;
    (void)error;
    ++*(size_t *)context;
    return K2_OK;
}

static enum k2_status upload_large(struct k2_object_store *store, const char *location,
                                   size_t size_bytes, struct k2_error *error)
{
    struct k2_upload *upload;
    size_t piece_bytes = (1 << 20) + 17;
    uint8_t *piece = malloc(piece_bytes);
    enum k2_status status = store->class->upload_begin(store->self, location, &upload, error);
    bool begun = status == K2_OK;
    for (size_t at = 0; status == K2_OK && at < size_bytes;) {
        size_t size = size_bytes - at < piece_bytes ? size_bytes - at : piece_bytes;
        for (size_t i = 0; i < size; i++) {
            piece[i] = (uint8_t)((at + i) * 2654435761U >> 24);
        }
        status = store->class->upload_write(upload, (struct k2_slice){piece, size}, error);
        at += size;
    }
    free(piece);
    if (begun && status != K2_OK) {
        store->class->upload_abort(upload);
    } else if (begun) {
        status = store->class->upload_finish(upload, error);
    }
    return status;
}

static enum k2_status operate(enum operation operation, struct k2_object_store *store,
                              struct k2_buffer *out, struct k2_error *error)
{
    static const char location[] = "s3://bucket/a/b=c";
    struct k2_slice bytes = k2_slice_of("hello");
    size_t count = 0;
    void *self = store->self;
    switch (operation) {
    case PUT_NEW:
        return store->class->put(self, location, bytes, K2_PUT_IF_ABSENT, error);
    case REPLACE:
        return store->class->put(self, location, bytes, K2_PUT_REPLACE, error);
    case UPLOAD:
        return upload_large(store, location, (5 << 20) + 1, error);
    case GET:
        return store->class->get(self, location, 0, SIZE_MAX, out, error);
    case GET_RANGE:
        return store->class->get(self, location, 1, 2, out, error);
    case LIST:
        return store->class->list(self, "s3://bucket/a/", visit_nothing, &count, error);
    default:
        return store->class->remove(self, location, error);
    }
}

#define XML(text) "HTTP/1.1 200 OK\r\n" CLOSE "\r\n" text // ends with the connection
#define BEGUN                                                                                      \
    XML("<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")
#define DONE XML("<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>")
#define NOT_DONE XML("<Error><Code>InternalError</Code></Error>")
#define GONE "HTTP/1.1 204 No Content\r\n" CLOSE "\r\n"

static const struct {
    const char *name;
    enum operation operation;
    const char *answers[MOST_SCRIPTED_ANSWERS + 1];
    enum k2_status status;
    size_t served;
    const char *words; // of the error
} answers[] = {
    {"put", PUT_NEW, {OK_EMPTY}, K2_OK, 1, NULL},
    {"put of what is there", PUT_NEW, {PRECONDITION}, K2_LIMIT, 1, "is there already"},
    {"put again after a reset", PUT_NEW, {RESET, OK_EMPTY}, K2_OK, 2, NULL},
    {"the reset came after the put", PUT_NEW, {RESET, PRECONDITION, MARKED}, K2_OK, 3, NULL},
    {"a 500 came after the put", PUT_NEW, {PAGE, PRECONDITION, MARKED}, K2_OK, 3, NULL},
    {"a reset, and another's put",
     PUT_NEW,
     {RESET, PRECONDITION, OTHER},
     K2_LIMIT,
     3,
     "is there already"},
    {"busy twice", PUT_NEW, {UNAVAILABLE, UNAVAILABLE, OK_EMPTY}, K2_OK, 3, NULL},
    {"busy for ever",
     PUT_NEW,
     {UNAVAILABLE, UNAVAILABLE, UNAVAILABLE, UNAVAILABLE, UNAVAILABLE, UNAVAILABLE},
     K2_BUSY,
     6,
     "the server says 503"},
    {"a page for people for ever",
     PUT_NEW,
     {PAGE, PAGE, PAGE, PAGE, PAGE, PAGE},
     K2_BUSY,
     6,
     "the server says 500"},
    {"resets for ever", PUT_NEW, {RESET, RESET, RESET, RESET, RESET, RESET}, K2_IO, 6, NULL},
    {"keys that are refused", PUT_NEW, {REFUSED}, K2_NOT_PERMITTED, 1, "403 SignatureDoesNotMatch"},
    {"replace", REPLACE, {OK_EMPTY}, K2_OK, 1, NULL},
    {"upload", UPLOAD, {BEGUN, OK_EMPTY, OK_EMPTY, DONE}, K2_OK, 4, NULL},
    {"upload whose completion is done twice",
     UPLOAD,
     {BEGUN, OK_EMPTY, OK_EMPTY, RESET, ABSENT, MARKED},
     K2_OK,
     6,
     NULL},
    {"upload that is not put together",
     UPLOAD,
     {BEGUN, OK_EMPTY, OK_EMPTY, NOT_DONE, ABSENT, GONE},
     K2_IO,
     6,
     "could not put the parts"},
    {"upload that 200 hides the end of",
     UPLOAD,
     {BEGUN, OK_EMPTY, OK_EMPTY, NOT_DONE, MARKED},
     K2_OK,
     5,
     NULL},
    {"upload that somebody else made",
     UPLOAD,
     {BEGUN, OK_EMPTY, OK_EMPTY, PRECONDITION, GONE},
     K2_LIMIT,
     5,
     "is there already"},
    {"upload without an id", UPLOAD, {DONE}, K2_IO, 1, "names no upload"},
    {"upload of parts without tags", UPLOAD, {BEGUN, WHOLE, GONE}, K2_IO, 3, "no ETag"},
    {"get", GET, {WHOLE}, K2_OK, 1, NULL},
    {"get again what was cut", GET, {CUT, WHOLE}, K2_OK, 2, NULL},
    {"get what is not there", GET, {ABSENT}, K2_NOT_FOUND, 1, "404"},
    {"a range from a server without them", GET_RANGE, {WHOLE}, K2_IO, 1, "no ranges"},
    {"a range behind the end", GET_RANGE, {"HTTP/1.1 416 No\r\n" NOTHING}, K2_OK, 1, NULL},
    {"a list that is no list", LIST, {XML("<a>")}, K2_CORRUPT, 1, "xml"},
    {"remove", REMOVE, {GONE}, K2_OK, 1, NULL},
    {"remove what is gone", REMOVE, {ABSENT}, K2_OK, 1, NULL},
};

static void answers_mean_what_they_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(answers); i++) {
        struct scripted_server server;
        struct k2_error error = {.text = ""};
        struct k2_buffer out;
        k2_buffer_init(&out, 1 << 20);
        scripted_server_start(&server, answers[i].answers);
        struct k2_object_store store = open_store(server.url);
        enum k2_status status = operate(answers[i].operation, &store, &out, &error);
        k2_object_store_close(&store);
        scripted_server_stop(&server);
        if (status != answers[i].status || server.served != answers[i].served ||
            (answers[i].words != NULL && strstr(error.text, answers[i].words) == NULL)) {
            fail_msg("%s: %s after %zu answers: %s", answers[i].name, k2_status_name(status),
                     server.served, error.text);
        }
        if (answers[i].operation == GET && status == K2_OK) {
            assert_true(k2_slice_equal(k2_buffer_slice(&out), k2_slice_of("abcd")));
        }
        k2_buffer_deinit(&out);
    }
}

static void an_absent_server_is_busy(void **state)
{
    struct k2_error error;
    struct k2_buffer out;
    (void)state;
    k2_buffer_init(&out, 1 << 20);
    struct k2_object_store store = open_store("http://127.0.0.1:1");
    assert_int_equal(operate(GET, &store, &out, &error), K2_BUSY);
    k2_object_store_close(&store);
    k2_buffer_deinit(&out);
}

static void settings_and_locations_are_checked(void **state)
{
    static const struct {
        const char *name, *endpoint, *key;
    } rows[] = {
        {"no keys", NULL, NULL},
        {"no scheme", "127.0.0.1:9000", "k"},
        {"no host", "http:///x", "k"},
        {"a user in the URL", "http://u@h", "k"},
    };
    struct k2_object_store store;
    struct k2_error error;
    (void)state;
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct k2_s3_settings settings = {
            .endpoint = rows[i].endpoint, .access_key = rows[i].key, .secret_key = "s"};
        if (k2_s3_store_open(&store, &settings, &error) != K2_BAD_REQUEST) {
            fail_msg("%s is taken", rows[i].name);
        }
        assert_null(store.class);
    }
    static const char *const locations[] = {"file:///a", "s3:/a", "s3:///a", ""};
    store = open_store("http://127.0.0.1:1");
    for (size_t i = 0; i < LENGTH(locations); i++) {
        assert_int_equal(store.class->remove(store.self, locations[i], &error), K2_BAD_REQUEST);
    }
    k2_object_store_close(&store);
}

static void retries_have_a_budget(void **state)
{
    struct k2_retry_budget budget;
    size_t waits = 0;
    (void)state;
    k2_retry_budget_init(&budget);
    for (size_t call = 0; call < 100; call++) {
        struct k2_retry retry;
        k2_retry_init(&retry, &budget, 0);
        while (k2_retry_wait(&retry, (struct k2_slice){0})) {
            waits++;
        }
    }
    assert_int_equal(waits, 30);
    for (size_t i = 0; i < 20; i++) {
        k2_retry_succeeded(&budget);
    }
    struct k2_retry retry;
    k2_retry_init(&retry, &budget, 0);
    assert_true(k2_retry_wait(&retry, k2_slice_of("0")));
    assert_true(k2_retry_wait(&retry, k2_slice_of("Fri, 24 May 2013 00:00:00 GMT")));
}

static enum k2_status join_texts(void *context, const char *path, struct k2_slice text,
                                 struct k2_error *error)
{
    (void)error;
    k2_put_format(context, "%s=%.*s;", path, (int)text.size_bytes, (const char *)text.data);
    return K2_OK;
}

static void xml_is_walked_and_bounded(void **state)
{
    static const struct {
        const char *name, *document;
        enum k2_status status;
        const char *texts;
    } rows[] = {
        {"texts", "<a><b>1</b><b>&lt;2</b>x</a>", K2_OK, "a/b=1;a/b=<2;a=x;"},
        {"empty", "<a/>", K2_OK, "a=;"},
        {"cut", "<a><b>1</b>", K2_CORRUPT, NULL},
        {"entities that grow", "<!DOCTYPE a [<!ENTITY b \"bb\">]><a>&b;</a>", K2_CORRUPT, NULL},
        {"deep",
         "<a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a>"
         "<a><a><a><a><a>",
         K2_CORRUPT, NULL},
        {"none", "", K2_CORRUPT, NULL},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct k2_buffer out;
        k2_buffer_init(&out, 1 << 16);
        enum k2_status status = k2_xml_walk(k2_slice_of(rows[i].document), join_texts, &out, NULL);
        k2_put_u8(&out, 0);
        if (status != rows[i].status ||
            (rows[i].texts != NULL && strcmp((const char *)out.data, rows[i].texts) != 0)) {
            fail_msg("%s: %s %s", rows[i].name, k2_status_name(status), (const char *)out.data);
        }
        k2_buffer_deinit(&out);
    }
}

// ---- a real server ----------------------------------------------------------------------------

struct names {
    size_t count;
    uint64_t bytes;
    int64_t newest_ms;
    bool odd; // the name with blanks was among them
};

static enum k2_status note_name(void *context, const struct k2_object_info *object,
                                struct k2_error *error)
{
    struct names *names = context;
    (void)error;
    names->count++;
    names->bytes += object->size_bytes;
    names->newest_ms = object->modified_ms;
    names->odd = names->odd || strstr(object->location, "/a b+c=d&e\xc3\xa9%41~") != NULL;
    return K2_OK;
}

static void put_text(struct k2_object_store *store, const char *location, const char *text,
                     enum k2_put_mode mode, enum k2_status expected)
{
    struct k2_error error = {.text = ""};
    enum k2_status status =
        store->class->put(store->self, location, k2_slice_of(text), mode, &error);
    if (status != expected) {
        fail_msg("%s: %s", location, error.text);
    }
}

static void a_real_server_keeps_objects(void **state)
{
    const char *endpoint = getenv("K2_TEST_S3_ENDPOINT");
    if (endpoint == NULL) {
        print_message("skipped: K2_TEST_S3_ENDPOINT names no server here\n");
        skip();
    }
    static const char odd[] = "s3://k2-test/t/a b+c=d&e\xc3\xa9%41~";
    struct k2_object_store store = open_store(endpoint);
    struct k2_error error = {.text = ""};
    struct k2_buffer out;
    struct names names = {0};
    (void)state;
    k2_buffer_init(&out, 64 << 20);
    put_text(&store, "s3://k2-test/t/x", "first", K2_PUT_IF_ABSENT, K2_OK);
    put_text(&store, "s3://k2-test/t/x", "second", K2_PUT_IF_ABSENT, K2_LIMIT);
    put_text(&store, "s3://k2-test/t/x", "third", K2_PUT_REPLACE, K2_OK);
    put_text(&store, odd, "", K2_PUT_IF_ABSENT, K2_OK);
    assert_int_equal(store.class->get(store.self, "s3://k2-test/t/x", 0, SIZE_MAX, &out, &error),
                     K2_OK);
    assert_int_equal(store.class->get(store.self, "s3://k2-test/t/x", 1, 3, &out, &error), K2_OK);
    assert_int_equal(store.class->get(store.self, "s3://k2-test/t/x", 3, SIZE_MAX, &out, &error),
                     K2_OK);
    assert_int_equal(store.class->get(store.self, "s3://k2-test/t/x", 99, 1, &out, &error), K2_OK);
    assert_true(k2_slice_equal(k2_buffer_slice(&out), k2_slice_of("thirdhirrd")));
    assert_int_equal(store.class->get(store.self, "s3://k2-test/no", 0, 1, &out, &error),
                     K2_NOT_FOUND);

    size_t large = (11 << 20) + 5;
    if (upload_large(&store, "s3://k2-test/t/large", large, &error) != K2_OK) {
        fail_msg("%s", error.text);
    }
    assert_int_equal(upload_large(&store, "s3://k2-test/t/large", large, &error), K2_LIMIT);
    k2_buffer_clear(&out);
    assert_int_equal(
        store.class->get(store.self, "s3://k2-test/t/large", 0, SIZE_MAX, &out, &error), K2_OK);
    assert_int_equal(out.size_bytes, large);
    for (size_t i = 0; i < large; i++) {
        assert_int_equal(out.data[i], (uint8_t)(i * 2654435761U >> 24));
    }
    if (store.class->list(store.self, "s3://k2-test/t/", note_name, &names, &error) != K2_OK) {
        fail_msg("%s", error.text);
    }
    assert_int_equal(names.count, 3);
    assert_int_equal(names.bytes, large + 5);
    assert_true(names.odd && names.newest_ms > INT64_C(1700000000000));
    static const char *const all[] = {"s3://k2-test/t/x", odd, "s3://k2-test/t/large",
                                      "s3://k2-test/t/never"};
    for (size_t i = 0; i < LENGTH(all); i++) {
        assert_int_equal(store.class->remove(store.self, all[i], &error), K2_OK);
    }
    names = (struct names){0};
    assert_int_equal(store.class->list(store.self, "s3://k2-test/t/", note_name, &names, &error),
                     K2_OK);
    assert_int_equal(names.count, 0);
    k2_buffer_deinit(&out);
    k2_object_store_close(&store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_mean_what_they_say),
        cmocka_unit_test(an_absent_server_is_busy),
        cmocka_unit_test(settings_and_locations_are_checked),
        cmocka_unit_test(retries_have_a_budget),
        cmocka_unit_test(xml_is_walked_and_bounded),
        cmocka_unit_test(a_real_server_keeps_objects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
