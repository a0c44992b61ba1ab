// Requests to responses without a socket, against a store of a few trades.
#include "query/http_api.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/file_io.h"
#include "engine/instruments.h"
#include "engine/policy.h"
#include "engine/snapshot.h"
#include "format/base/alloc.h"
#include "tests/support/store_rows.h"

enum { SECOND = 1000000000, TRADES = 250 };

struct fixture {
    struct test_store store;
    struct k2_http_api *api;
    uint64_t first; // snapshot of TRADES trades
};

static void commit(struct fixture *fixture, const struct test_trade *trades, size_t count)
{
    struct k2_commit_outcome outcome;
    test_store_commit(&fixture->store, trades, count, K2_NUMBERING_SPARSE, &outcome);
}

static int open_fixture(void **state)
{
    static struct fixture fixture;
    static struct test_trade trades[TRADES];
    static const char *const symbols[] = {"BHP", "DVN", "BTC-USD", "bhp.x", "BHP.X"};
    struct k2_snapshot newest;
    struct k2_error error;
    fixture = (struct fixture){0};
    test_store_open(&fixture.store);
    for (int64_t i = 0; i < TRADES; i++) { // some at the same instant
        trades[i] = (struct test_trade){symbols[i % 5], i / 3 * SECOND, i + 1, 100000000 * i, 1};
    }
    commit(&fixture, trades, TRADES);
    assert_int_equal(k2_snapshot_newest(fixture.store.engine, &newest, &error), K2_OK);
    fixture.first = newest.id;
    assert_int_equal(k2_tag_set(fixture.store.engine, k2_slice_of("before"), newest.id, &error),
                     K2_OK);
    assert_int_equal(k2_http_api_create(&fixture.api, fixture.store.engine,
                                        &(struct k2_http_api_options){.version = "1.2.3"}, &error),
                     K2_OK);
    *state = &fixture;
    return 0;
}

static int close_fixture(void **state)
{
    struct fixture *fixture = *state;
    k2_http_api_destroy(fixture->api);
    test_store_close(&fixture->store);
    return 0;
}

// An answer with its whole body and a NUL behind it.
struct answer {
    struct k2_http_request request;
    struct k2_http_response response;
    const char *body;
    bool complete;
};

static void ask_as(const struct fixture *fixture, const char *method, const char *target,
                   const char *accept, struct answer *answer)
{
    struct k2_error error;
    struct k2_http_response *response = &answer->response;
    *answer = (struct answer){.body = ""};
    k2_http_response_init(response);
    const struct k2_http_request_texts texts = {.method = method,
                                                .target = k2_slice_of(target),
                                                .correlation_id = k2_slice_of("id-1"),
                                                .accept = k2_slice_of(accept)};
    if (k2_http_request_parse(&answer->request, &texts, &error) != K2_OK) {
        k2_http_response_failure(response, &answer->request, &error);
    } else {
        k2_http_api_handle(fixture->api, &answer->request, response);
    }
    bool done = response->stream.next == NULL;
    while (!done) {
        if (response->stream.next(response->stream.context, response,
                                  response->body.size_bytes + 1000, &response->body, &done,
                                  &error) != K2_OK) {
            return;
        }
    }
    answer->complete = true;
    k2_put_u8(&response->body, 0);
    answer->body = (const char *)response->body.data;
}

static void ask(const struct fixture *fixture, const char *target, struct answer *answer)
{
    ask_as(fixture, "GET", target, "", answer);
}

static void answer_free(struct answer *answer)
{
    k2_http_response_deinit(&answer->response);
    k2_http_request_deinit(&answer->request);
}

static const struct {
    const char *method, *target;
    unsigned status;
    const char *part; // of the body
} rows[] = {
    {"GET", "/", 200, "\"version\":\"1.2.3\""},
    {"GET", "/health", 200, "{\"status\":\"healthy\""},
    {"GET", "/health?x=1", 200, "healthy"},
    {"GET", "/metrics", 200, "\nk2_table_rows{table=\"trades\"} 250\n"},
    {"HEAD", "/v1/trades", 200, ""},
    {"POST", "/v1/trades", 405, "\"METHOD_NOT_ALLOWED\""},
    {"GET", "/v1", 404, "\"NOT_FOUND\""},
    {"GET", "/v1/trades/x", 404, "\"success\":false"},
    {"GET", "/V1/trades", 404, "\"NOT_FOUND\""},
    {"GET", "/v1/trades", 200, "\"rows\":100,\"complete\":null,\"reason\":\"not_dense\","},
    {"GET", "/v1/trades?limit=1", 200, "\"has_more\":true"},
    {"GET", "/v1/trades?limit=10000", 200, "\"rows\":250,"},
    {"GET", "/v1/trades?limit=250", 200, "\"next_cursor\":null,\"has_more\":false"},
    {"GET", "/v1/trades?limit=249", 200, "\"has_more\":true"},
    {"GET", "/v1/trades?limit=10001", 400, "\"parameter\":\"limit\""},
    {"GET", "/v1/trades?limit=0", 400, "\"parameter\":\"limit\""},
    {"GET", "/v1/trades?limit=-1", 400, "\"parameter\":\"limit\""},
    {"GET", "/v1/trades?limit=", 400, "\"parameter\":\"limit\""},
    {"GET", "/v1/trades?limit=1e3", 400, "\"parameter\":\"limit\""},
    {"GET", "/v1/trades?limit=99999999999999999999", 400, "\"parameter\":\"limit\""},
    {"GET", "/v1/trades?nonsense=1", 400, "\"parameter\":\"nonsense\""},
    {"GET", "/v1/trades?table=quotes", 400, "\"parameter\":\"table\""},
    {"GET", "/v1/trades?start_time=soon", 400, "\"parameter\":\"start_time\""},
    {"GET", "/v1/trades?end_time=2014-13-01", 400, "\"parameter\":\"end_time\""},
    {"GET", "/v1/trades?start_time=2014-03-11T00:00:00", 400, "no_zone"},
    {"GET", "/v1/trades?fields=nonsense", 400, "\"parameter\":\"fields\""},
    {"GET", "/v1/trades?fields=", 400, "\"parameter\":\"fields\""},
    {"GET", "/v1/trades?fields=price,price", 400, "\"parameter\":\"fields\""},
    {"GET", "/v1/trades?order=up", 400, "\"parameter\":\"order\""},
    {"GET", "/v1/trades?time=s", 400, "\"parameter\":\"time\""},
    {"GET", "/v1/trades?numbers=double", 400, "\"parameter\":\"numbers\""},
    {"GET", "/v1/trades?format=xml", 400, "\"parameter\":\"format\""},
    {"GET", "/v1/trades?format=table", 400, "\"parameter\":\"format\""},
    {"GET", "/v1/trades?cursor=AAAA", 400, "\"parameter\":\"cursor\""},
    {"GET", "/v1/trades?as_of=no-such-tag", 404, "as_of"},
    {"GET", "/v1/trades?as_of=99999", 404, "as_of"},
    {"GET", "/v1/trades?as_of=before&limit=1", 200, "\"snapshot\":1,"},
    {"GET", "/v1/trades?as_of=1&limit=1", 200, "\"snapshot\":1,"},
    {"GET", "/v1/trades?symbol=BhP.x", 400, "ambiguous_symbol"},
    {"GET", "/v1/trades?symbol=,", 400, "\"parameter\":\"symbol\""},
    {"GET", "/v1/trades?symbol=dvn&format=csv&fields=symbol&limit=1", 200, "symbol\nDVN\n"},
    {"GET", "/v1/trades?symbol=nothing&format=csv&fields=symbol", 200, "symbol\n"},
    {"GET", "/v1/trades?canonical=BTC/USD&format=csv&fields=symbol&limit=1", 200, "BTC-USD\n"},
    {"GET", "/v1/trades?start_time=0&end_time=1970-01-01T00:00:01Z&format=csv&fields=sequence", 200,
     "sequence\n2\n3\n1\n"},
    {"GET",
     "/v1/trades?start_time=1970-01-01T10:00:00%2B10:00&limit=1&order=asc&format=csv&fields="
     "sequence",
     200, "sequence\n1\n"},
    {"GET",
     "/v1/trades?start_time=1970-01-01T10:00:00+10:00&limit=1&order=asc&format=csv&fields="
     "sequence",
     200, "sequence\n1\n"},
    {"GET", "/v1/trades?start_time=5&end_time=1&format=csv&fields=sequence", 200, "sequence\n"},
    {"GET", "/v1/trades?limit=1&fields=price,sequence&numbers=float", 200,
     "{\"price\":249,\"sequence\":250}"},
    {"GET", "/v1/trades?limit=1&fields=price,sequence", 200,
     "{\"price\":\"249\",\"sequence\":250}"},
    {"GET", "/v1/trades?limit=1&fields=timestamp", 200,
     "{\"timestamp\":\"1970-01-01T00:01:23.000000000Z\"}"},
    {"GET", "/v1/trades?limit=1&fields=timestamp&time=ns", 200, "{\"timestamp\":83000000000}"},
    {"GET", "/v1/quotes", 200, "{\"success\":true,\"data\":[],"},
    {"GET", "/v1/book?format=csv&fields=symbol", 200, "symbol\n"},
    {"GET", "/v1/tables", 200, "\"table\":\"trades\""},
    {"GET", "/v1/tables/trades/rows?limit=1&fields=sequence", 200, "{\"sequence\":1}"},
    {"GET", "/v1/tables/nothing/rows", 404, "there is no table"},
    {"GET", "/v1/tables/_deadletter/rows", 404, "\"NOT_FOUND\""},
    {"GET", "/v1/symbols", 200, "[\"BHP\",\"BHP.X\",\"BTC-USD\",\"DVN\",\"bhp.x\"]"},
    {"GET", "/v1/symbols?exchange=test&table=trades", 200, "\"rows\":5}"},
    {"GET", "/v1/symbols?table=quotes", 200, "\"data\":[]"},
    {"GET", "/v1/symbols?table=_log", 400, "\"parameter\":\"table\""},
    {"GET", "/v1/symbols?limit=1", 400, "\"parameter\":\"limit\""},
    {"GET", "/v1/instruments?canonical=BTC/USD", 200,
     "[\n{\"exchange\":\"TEST\",\"symbol\":\"BTC-USD\",\"canonical\":\"BTC/USD\",\"tables\":["
     "\"trades\"],\"first_snapshot\":1}\n]"},
    {"GET", "/v1/snapshots", 200, "\"tags\":[\"before\"],\"tables\":{\"trades\":{\"rows\":250,"},
    {"GET", "/v1/snapshots?table=quotes", 200, "\"data\":[]"},
    {"GET", "/v1/snapshots?table=nothing", 400, "\"parameter\":\"table\""},
    {"GET", "/v1/snapshots?limit=x", 400, "\"parameter\":\"limit\""},
    {"GET", "/v1/snapshots?cursor=x", 400, "\"parameter\":\"cursor\""},
    {"GET", "/v1/trades?symbol=none", 200, "\"complete\":null,\"reason\":\"empty\","},
    {"GET", "/v1/gaps", 200, "{\"success\":true,\"data\":[],\n\"pagination\":{\"limit\":100,"},
    {"GET", "/v1/gaps?table=quotes&symbol=X&as_of=before&open=true", 200, "\"data\":[]"},
    {"GET", "/v1/gaps?table=nothing", 404, "\"NOT_FOUND\""},
    {"GET", "/v1/gaps?table=_log", 404, "\"NOT_FOUND\""},
    {"GET", "/v1/gaps?limit=10001", 400, "\"parameter\":\"limit\""},
    {"GET", "/v1/gaps?start_time=x", 400, "\"parameter\":\"start_time\""},
    {"GET", "/v1/gaps?open=1", 400, "\"parameter\":\"open\""},
    {"GET", "/v1/gaps?format=csv", 400, "\"parameter\":\"format\""},
    {"GET", "/v1/gaps?cursor=x", 400, "\"parameter\":\"cursor\""},
    {"GET", "/v1/gaps?cursor=1-0-1234567890abcdef", 400, "\"parameter\":\"cursor\""},
    {"GET", "/v1/gaps?as_of=never", 404, "as_of"},
    {"GET", "/v1/stats", 200, "\"tables\":{\"trades\":{\"rows\":250,"},
    {"GET", "/v1/stats?x=1", 400, "\"parameter\":\"x\""},
};

static void every_request_has_its_answer(void **state)
{
    const struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct answer answer;
        ask_as(fixture, rows[i].method, rows[i].target, "", &answer);
        if (answer.response.status != rows[i].status || strstr(answer.body, rows[i].part) == NULL) {
            fail_msg("%s %s: %u, expected %u with `%s`: %s", rows[i].method, rows[i].target,
                     answer.response.status, rows[i].status, rows[i].part, answer.body);
        }
        if (rows[i].status >= 400) {
            assert_memory_equal(answer.body, "{\"success\":false,\"error\":{\"code\":\"", 34);
            assert_non_null(strstr(answer.body, "\"meta\":{\"correlation_id\":\"id-1\",\"timest"));
        }
        answer_free(&answer);
    }
}

static void the_accept_header_chooses_a_format(void **state)
{
    const struct fixture *fixture = *state;
    static const struct {
        const char *accept, *content_type;
    } accepts[] = {{"", "application/json"},
                   {"*/*", "application/json"},
                   {"text/csv", "text/csv; charset=utf-8"},
                   {"text/html, text/csv;q=0.9", "text/csv; charset=utf-8"},
                   {"application/x-ndjson", "application/x-ndjson"},
                   {"text/plain", "application/json"},
                   {"application/vnd.apache.parquet", "application/vnd.apache.parquet"},
                   {"application/vnd.apache.arrow.stream", "application/vnd.apache.arrow.stream"},
                   {",,;,", "application/json"}};
    for (size_t i = 0; i < sizeof accepts / sizeof accepts[0]; i++) {
        struct answer answer;
        ask_as(fixture, "GET", "/v1/trades", accepts[i].accept, &answer);
        assert_string_equal(answer.response.content_type, accepts[i].content_type);
        answer_free(&answer);
        ask_as(fixture, "GET", "/v1/trades?format=ndjson", accepts[i].accept, &answer);
        assert_string_equal(answer.response.content_type, "application/x-ndjson");
        answer_free(&answer);
    }
}

// Appends the sequences of a page to `seen` and copies its cursor, empty at the end.
static void read_page(const char *body, struct k2_buffer *seen, char *cursor, size_t room_bytes)
{
    static const char mark[] = "\"sequence\":", next[] = "\"next_cursor\":\"";
    for (const char *at = strstr(body, mark); at != NULL; at = strstr(at + 1, mark)) {
        k2_put_format(seen, "%ld ", strtol(at + sizeof mark - 1, NULL, 10));
    }
    const char *text = strstr(body, next);
    cursor[0] = '\0';
    if (text != NULL) {
        text += sizeof next - 1;
        size_t size = strcspn(text, "\"");
        assert_true(size < room_bytes);
        memcpy(cursor, text, size);
        cursor[size] = '\0';
    }
}

static void cursors_give_every_row_once_whatever_is_committed(void **state)
{
    struct fixture *fixture = *state;
    static const char *const orders[] = {"asc", "desc"};
    for (size_t o = 0; o < 2; o++) {
        struct k2_buffer seen, wanted;
        char cursor[600] = "", target[800];
        k2_buffer_init(&seen, 1 << 20);
        k2_buffer_init(&wanted, 1 << 20);
        struct answer answer;
        (void)snprintf(target, sizeof target, "/v1/trades?fields=sequence&limit=10000&order=%s",
                       orders[o]);
        ask(fixture, target, &answer);
        read_page(answer.body, &wanted, cursor, sizeof cursor);
        assert_string_equal(cursor, "");
        answer_free(&answer);
        for (int pages = 0; pages == 0 || cursor[0] != '\0'; pages++) {
            (void)snprintf(target, sizeof target, "/v1/trades?order=%s&limit=%d&fields=%s%s%s",
                           orders[o], 17 + pages,
                           pages % 2 == 0 ? "sequence" : "price,sequence,symbol",
                           pages == 0 ? "" : "&cursor=", cursor);
            ask(fixture, target, &answer);
            assert_int_equal(answer.response.status, 200);
            read_page(answer.body, &seen, cursor, sizeof cursor);
            answer_free(&answer);
            // Rows in front of and behind the cursor.
            const struct test_trade late[] = {
                {"BHP", 0, 1000 + (int64_t)o * 100 + pages, 1, 1},
                {"DVN", 80 * (int64_t)SECOND, 1000 + (int64_t)o * 100 + pages, 1, 1}};
            commit(fixture, late, 2);
        }
        assert_true(k2_slice_equal(k2_buffer_slice(&seen), k2_buffer_slice(&wanted)));
        k2_buffer_deinit(&seen);
        k2_buffer_deinit(&wanted);
    }
}

static void a_cursor_belongs_to_its_query(void **state)
{
    const struct fixture *fixture = *state;
    static const struct {
        const char *parameters;
        unsigned status;
    } others[] = {
        {"symbol=BHP&as_of=before", 200},
        {"symbol=BHP&as_of=before&limit=5&fields=price&time=ns", 200},
        {"symbol=BHP&as_of=before&format=csv", 200},
        {"symbol=bhp&as_of=before", 400},
        {"symbol=BHP", 400},
        {"as_of=before", 400},
        {"symbol=BHP&as_of=before&order=asc", 400},
        {"symbol=BHP&as_of=before&end_time=5", 400},
        {"symbol=BHP&as_of=before&exchange=TEST", 400},
    };
    struct k2_buffer seen;
    struct answer answer;
    char cursor[600], target[800];
    k2_buffer_init(&seen, 1 << 20);
    ask(fixture, "/v1/trades?symbol=BHP&as_of=before&limit=2", &answer);
    read_page(answer.body, &seen, cursor, sizeof cursor);
    answer_free(&answer);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        (void)snprintf(target, sizeof target, "/v1/trades?%s&cursor=%s", others[i].parameters,
                       cursor);
        ask(fixture, target, &answer);
        assert_int_equal(answer.response.status, others[i].status);
        answer_free(&answer);
    }
    (void)snprintf(target, sizeof target, "/v1/quotes?symbol=BHP&as_of=before&cursor=%s", cursor);
    ask(fixture, target, &answer);
    assert_int_equal(answer.response.status, 400);
    answer_free(&answer);
    k2_buffer_deinit(&seen);
}

static void a_snapshot_that_the_history_does_not_reach_is_gone(void **state)
{
    struct fixture *fixture = *state;
    const struct test_trade more[] = {{"DVN", 900 * (int64_t)SECOND, 900, 5, 1},
                                      {"DVN", 901 * (int64_t)SECOND, 901, 5, 1}};
    static const struct {
        const char *target; // behind it: a snapshot
        uint64_t back;      // before the newest
        unsigned status;
        const char *part;
    } asked[] = {
        {"/v1/trades?limit=1&as_of=", 1, 410, "\"code\":\"SNAPSHOT_EXPIRED\""},
        {"/v1/trades?format=csv&as_of=", 1, 410, "the history of table trades goes back to"},
        {"/v1/trades?limit=1&as_of=before&symbol=", 0, 200, "\"snapshot\":1,"},
        {"/v1/trades?limit=1&as_of=", 0, 200, "\"success\":true"},
        {"/v1/quotes?limit=1&as_of=", 1, 200, "\"success\":true"},
    };
    struct k2_policy policy = {.history_ns = 1};
    struct k2_snapshot newest;
    struct k2_error error;
    commit(fixture, more, 1);
    commit(fixture, more + 1, 1);
    assert_int_equal(k2_snapshot_newest(fixture->store.engine, &newest, &error), K2_OK);
    assert_int_equal(k2_policy_set(fixture->store.engine, fixture->store.table, &policy, &error),
                     K2_OK);
    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
        struct answer answer;
        char target[128];
        (void)snprintf(target, sizeof target, "%s%llu", asked[i].target,
                       (unsigned long long)(newest.id - asked[i].back));
        ask(fixture, target, &answer);
        if (answer.response.status != asked[i].status ||
            strstr(answer.body, asked[i].part) == NULL) {
            fail_msg("%s: %u %s", target, answer.response.status, answer.body);
        }
        answer_free(&answer);
    }
}

static int fail_to_sync(void *context, enum k2_file_operation operation)
{
    (void)context;
    return operation == K2_FILE_SYNC ? EIO : 0;
}

static void a_failed_disk_is_told_and_queries_go_on(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *target, *part;
    } asked[] = {
        {"/health", "{\"status\":\"degraded\""},
        {"/health", "\"status\":\"read_only\""},
        {"/health", "\"reason\":\""},
        {"/metrics", "\nk2_store_writable 0\n"},
        {"/metrics", "\nk2_store_up 1\n"},
        {"/v1/trades?limit=1", "\"success\":true"},
    };
    struct answer answer;
    struct k2_error error;
    ask(fixture, "/metrics", &answer);
    assert_non_null(strstr(answer.body, "\nk2_store_writable 1\n"));
    answer_free(&answer);
    k2_file_set_hook(fail_to_sync, NULL);
    assert_int_equal(k2_tag_set(fixture->store.engine, k2_slice_of("never"), 1, &error), K2_IO);
    k2_file_set_hook(NULL, NULL);
    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
        ask(fixture, asked[i].target, &answer);
        if (answer.response.status != 200 || strstr(answer.body, asked[i].part) == NULL) {
            fail_msg("%s: %u %s", asked[i].target, answer.response.status, answer.body);
        }
        answer_free(&answer);
    }
    assert_int_equal(k2_tag_set(fixture->store.engine, k2_slice_of("never"), 1, &error), K2_IO);
    assert_non_null(strstr(error.text, "read-only since a failure"));
}

static void snapshots_come_in_pages(void **state)
{
    const struct fixture *fixture = *state;
    char cursor[64] = "", target[128];
    int listed = 0, pages = 0;
    struct k2_buffer seen;
    k2_buffer_init(&seen, 1 << 20);
    do {
        struct answer answer;
        (void)snprintf(target, sizeof target, "/v1/snapshots?limit=3%s%s",
                       pages > 0 ? "&cursor=" : "", cursor);
        ask(fixture, target, &answer);
        assert_int_equal(answer.response.status, 200);
        for (const char *at = answer.body; (at = strstr(at, "\"operation\"")) != NULL; at++) {
            listed++;
        }
        read_page(answer.body, &seen, cursor, sizeof cursor);
        answer_free(&answer);
        pages++;
    } while (cursor[0] != '\0');
    struct k2_snapshot newest;
    assert_int_equal(k2_snapshot_newest(fixture->store.engine, &newest, NULL), K2_OK);
    assert_int_equal(listed, (int)newest.id); // every commit of this store is a snapshot
    assert_int_equal(pages, (listed + 2) / 3);
    k2_buffer_deinit(&seen);
}

// Each sample belongs to a family that was announced, with HELP and TYPE, once.
static void metrics_are_well_formed(void **state)
{
    const struct fixture *fixture = *state;
    struct answer answer;
    char family[128] = "";
    ask(fixture, "/v1/trades", &answer);
    answer_free(&answer);
    ask(fixture, "/metrics", &answer);
    size_t families = 0, samples = 0;
    for (const char *line = answer.body; *line != '\0'; line = strchr(line, '\n') + 1) {
        if (strncmp(line, "# HELP ", 7) == 0) {
            size_t size = strcspn(line + 7, " ");
            assert_true(size < sizeof family);
            memcpy(family, line + 7, size);
            family[size] = '\0';
            const char *again = strstr(line + 7, "# HELP ");
            while (again != NULL) {
                assert_false(strncmp(again + 7, family, size) == 0 && again[7 + size] == ' ');
                again = strstr(again + 7, "# HELP ");
            }
            families++;
        } else if (line[0] == '#') {
            assert_memory_equal(line + 7, family, strlen(family));
        } else {
            assert_memory_equal(line, family, strlen(family));
            samples++;
        }
    }
    assert_true(families >= 20 && samples > families);
    answer_free(&answer);
}

// The text behind `"NAME":"` in a body, up to the next quote.
static bool find_member(const char *body, const char *name, char *value, size_t room)
{
    const char *place = strstr(body, name);
    size_t size = place == NULL ? 0 : strcspn(place + strlen(name), "\"");
    if (place == NULL || size >= room) {
        return false;
    }
    memcpy(value, place + strlen(name), size);
    value[size] = '\0';
    return true;
}

static void gaps_come_in_pages_of_one_state(void **state)
{
    struct fixture *fixture = *state;
    static const struct test_trade counted[] = {
        {"GAP", 1, 10, 1, 1}, {"GAP", 2, 12, 1, 1}, {"GAP", 3, 14, 1, 1}, {"GAP", 4, 16, 1, 1}};
    static const struct test_trade late[] = {{"GAP", 2, 13, 1, 1}};
    struct k2_commit_outcome outcome;
    struct answer answer;
    char target[256] = "/v1/gaps?symbol=gap&limit=2&time=ns", cursor[128];
    (void)test_store_commit(&fixture->store, counted, 4, K2_NUMBERING_DENSE, &outcome);
    ask(fixture, target, &answer);
    assert_non_null(strstr(answer.body,
                           "\"data\":[\n{\"exchange\":\"TEST\",\"symbol\":\"GAP\",\"epoch\":0,"
                           "\"first_missing\":11,\"last_missing\":11,\"after_time\":1,"
                           "\"before_time\":2,\"snapshot\":"));
    assert_non_null(strstr(answer.body, "\"has_more\":true"));
    assert_true(find_member(answer.body, "\"next_cursor\":\"", cursor, sizeof cursor));
    answer_free(&answer);
    // One closes meanwhile; the second page is still of the state of the first.
    (void)test_store_commit(&fixture->store, late, 1, K2_NUMBERING_SPARSE, &outcome);
    (void)snprintf(target, sizeof target, "/v1/gaps?symbol=gap&limit=2&cursor=%s", cursor);
    ask(fixture, target, &answer);
    assert_non_null(strstr(answer.body, "\"first_missing\":15,\"last_missing\":15,"));
    assert_non_null(strstr(answer.body, "\"next_cursor\":null,\"has_more\":false"));
    answer_free(&answer);
    ask(fixture, "/v1/gaps?symbol=gap&open=true", &answer);
    assert_null(strstr(answer.body, "\"first_missing\":13"));
    assert_non_null(strstr(answer.body, "\"rows\":2}"));
    answer_free(&answer);
    ask(fixture, "/v1/trades?symbol=GAP&limit=1&time=ns", &answer);
    assert_non_null(strstr(answer.body,
                           "\"complete\":false,\"reason\":\"gap\",\"known_from\":1,"
                           "\"known_until\":4,\"gap_count\":2,\"gaps\":[\n{\"exchange\""));
    answer_free(&answer);
    ask(fixture, "/v1/trades?symbol=GAP&limit=1&as_of=before", &answer);
    assert_non_null(strstr(answer.body, "\"complete\":null"));
    answer_free(&answer);
    ask(fixture, "/metrics", &answer);
    assert_non_null(strstr(answer.body, "\nk2_sequence_gaps_open{table=\"trades\"} 2\n"));
    answer_free(&answer);
}

static void short_memory_is_an_answer_too(void **state)
{
    const struct fixture *fixture = *state;
    static const char *const targets[] = {"/v1/trades?symbol=BHP",
                                          "/v1/trades?format=csv",
                                          "/v1/symbols",
                                          "/v1/instruments?exchange=test",
                                          "/v1/snapshots",
                                          "/v1/stats",
                                          "/v1/gaps",
                                          "/metrics",
                                          "/health"};
    for (size_t t = 0; t < sizeof targets / sizeof targets[0]; t++) {
        bool whole = false;
        for (long count = 0; !whole; count++) {
            struct answer answer;
            k2_alloc_fail_after(count);
            ask(fixture, targets[t], &answer);
            k2_alloc_fail_after(-1);
            whole = answer.complete && answer.response.status == 200 && answer.body != NULL &&
                    !answer.response.body.failed;
            assert_true(whole || answer.response.status == 200 || answer.response.status >= 500);
            answer_free(&answer);
            assert_true(count < 5000);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_request_has_its_answer),
        cmocka_unit_test(the_accept_header_chooses_a_format),
        cmocka_unit_test(a_cursor_belongs_to_its_query),
        cmocka_unit_test(cursors_give_every_row_once_whatever_is_committed),
        cmocka_unit_test(snapshots_come_in_pages),
        cmocka_unit_test(metrics_are_well_formed),
        cmocka_unit_test(gaps_come_in_pages_of_one_state),
        cmocka_unit_test(short_memory_is_an_answer_too),
        cmocka_unit_test(a_snapshot_that_the_history_does_not_reach_is_gone),
        cmocka_unit_test(a_failed_disk_is_told_and_queries_go_on), // the last one
    };
    return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}
