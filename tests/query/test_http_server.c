// The server from outside, with raw sockets: what is refused, what is kept, how answers end.
#include "query/http_server.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>

#include "format/base/alloc.h"
#include "format/base/checksum.h"
#include "query/http_head.h"
#include "tests/support/raw_http.h"
#include "tests/support/store_rows.h"
#include "tests/support/tier.h"

enum { TRADES = 60000 };

struct fixture {
    struct test_store store;
    struct k2_http_api *api;
    struct k2_http_server *server;
    uint16_t port;
};

static void start(struct fixture *fixture, const struct k2_http_server_options *options)
{
    struct k2_listen_address address;
    int listen_socket = -1;
    struct k2_error error;
    assert_int_equal(k2_listen_address_parse(&address, "127.0.0.1:0", &error), K2_OK);
    assert_int_equal(k2_listen_address_open(&address, &listen_socket, &error), K2_OK);
    assert_int_equal(
        k2_http_server_start(&fixture->server, fixture->api, listen_socket, options, &error),
        K2_OK);
    fixture->port = address.port;
}

static int open_fixture(void **state)
{
    static struct fixture fixture;
    static struct test_trade trades[TRADES];
    struct k2_commit_outcome outcome;
    struct k2_error error;
    fixture = (struct fixture){0};
    test_store_open(&fixture.store);
    for (int64_t i = 0; i < TRADES; i++) {
        trades[i] = (struct test_trade){"BHP", 1000 * i, i + 1, 100000000 + i, 1};
    }
    test_store_commit(&fixture.store, trades, TRADES, K2_NUMBERING_SPARSE, &outcome);
    assert_int_equal(k2_http_api_create(&fixture.api, fixture.store.engine,
                                        &(struct k2_http_api_options){.version = "test"}, &error),
                     K2_OK);
    start(&fixture, &(struct k2_http_server_options){0});
    *state = &fixture;
    return 0;
}

static int close_fixture(void **state)
{
    struct fixture *fixture = *state;
    k2_http_server_stop(fixture->server);
    k2_http_api_destroy(fixture->api);
    test_store_close(&fixture->store);
    return 0;
}

// ---- what is refused ----------------------------------------------------------------------------

#define BYTES(text) text, sizeof(text) - 1
#define HOST "Host: k2\r\n"

static const struct {
    const char *name, *bytes;
    size_t size_bytes;
    unsigned status;
} refused[] = {
    {"no Host", BYTES("GET /health HTTP/1.1\r\n\r\n"), 400},
    {"two Hosts", BYTES("GET /health HTTP/1.1\r\n" HOST HOST "\r\n"), 400},
    {"a Host with a path", BYTES("GET /health HTTP/1.1\r\nHost: a/b\r\n\r\n"), 400},
    {"two Content-Lengths",
     BYTES("GET /health HTTP/1.1\r\n" HOST "Content-Length: 0\r\nContent-Length: 0\r\n\r\n"), 400},
    {"Content-Length and Transfer-Encoding",
     BYTES("GET /health HTTP/1.1\r\n" HOST
           "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
     400},
    {"Transfer-Encoding twice",
     BYTES("GET /health HTTP/1.1\r\n" HOST
           "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
     400},
    {"Transfer-Encoding: gzip",
     BYTES("GET /health HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip\r\n\r\n"), 400},
    {"Transfer-Encoding: chunked, identity",
     BYTES("GET /health HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, identity\r\n\r\n"), 400},
    {"negative Content-Length", BYTES("GET /health HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\n"),
     400},
    {"Content-Length with a sign",
     BYTES("GET /health HTTP/1.1\r\n" HOST "Content-Length: +1\r\n\r\na"), 400},
    {"Content-Length in hexadecimal",
     BYTES("GET /health HTTP/1.1\r\n" HOST "Content-Length: 0x1\r\n\r\na"), 400},
    {"Content-Length list", BYTES("GET /health HTTP/1.1\r\n" HOST "Content-Length: 1, 1\r\n\r\na"),
     400},
    {"NUL in the path", BYTES("GET /health\0x HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"NUL behind a ?", BYTES("GET /v1/trades?a\0b HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"NUL in a value", BYTES("GET /health HTTP/1.1\r\nHost: k\0002\r\n\r\n"), 400},
    {"NUL at the end of a value", BYTES("GET /health HTTP/1.1\r\nHost: k2\0\r\n\r\n"), 400},
    {"NUL in a name", BYTES("GET /health HTTP/1.1\r\n" HOST "X\0Y: z\r\n\r\n"), 400},
    {"escaped NUL", BYTES("GET /health%00 HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"escaped NUL in a parameter", BYTES("GET /v1/trades?symbol=B%00P HTTP/1.1\r\n" HOST "\r\n"),
     400},
    {"escaped line end", BYTES("GET /v1/trades?symbol=B%0d%0aP HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"folded header", BYTES("GET /health HTTP/1.1\r\n" HOST "X: y\r\n z\r\n\r\n"), 400},
    {"folded header with a tab", BYTES("GET /health HTTP/1.1\r\n" HOST "X: y\r\n\tz\r\n\r\n"), 400},
    {"folded Host", BYTES("GET /health HTTP/1.1\r\nHost:\r\n k2\r\n\r\n"), 400},
    {"first header indented", BYTES("GET /health HTTP/1.1\r\n " HOST "\r\n"), 400},
    {"header without a colon", BYTES("GET /health HTTP/1.1\r\n" HOST "X\r\n\r\n"), 400},
    {"header without a name", BYTES("GET /health HTTP/1.1\r\n" HOST ": x\r\n\r\n"), 400},
    {"blank before the colon", BYTES("GET /health HTTP/1.1\r\n" HOST "Content-Length : 5\r\n\r\n"),
     400},
    {"bare line feeds", BYTES("GET /health HTTP/1.1\nHost: k2\n\n"), 400},
    {"one bare line feed", BYTES("GET /health HTTP/1.1\r\nHost: k2\nX: y\r\n\r\n"), 400},
    {"bare carriage return", BYTES("GET /health HTTP/1.1\r\nHost: k2\rX: y\r\n\r\n"), 400},
    {"two carriage returns", BYTES("GET /health HTTP/1.1\r\nHost: k2\r\r\n\r\n"), 400},
    {"control character in a value", BYTES("GET /health HTTP/1.1\r\n" HOST "X: \001\r\n\r\n"), 400},
    {"control character in the path", BYTES("GET /health\001 HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"a method that is none", BYTES("G@T /health HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"climbing", BYTES("GET /v1/../../etc/passwd HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"climbing with escapes", BYTES("GET /v1/%2e%2e/etc HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"a dot", BYTES("GET /./health HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"an empty part", BYTES("GET //health HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"a target with a scheme", BYTES("GET http://k2/health HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"bad escape", BYTES("GET /v1/trades?symbol=%zz HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"cut escape", BYTES("GET /v1/trades?symbol=% HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"no UTF-8", BYTES("GET /v1/trades?symbol=%ff HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"parameter twice", BYTES("GET /v1/trades?limit=1&limit=1 HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"parameter twice by an escape",
     BYTES("GET /v1/trades?limit=1&l%69mit=1 HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"GET with a body", BYTES("GET /health HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\na"), 400},
    {"body over 10 MB",
     BYTES("POST /v1/trades HTTP/1.1\r\n" HOST "Content-Length: 10485761\r\n\r\n"), 413},
    {"body over 10 MB to nowhere",
     BYTES("PUT /nothing HTTP/1.1\r\n" HOST "Content-Length: 99999999999\r\n\r\n"), 413},
    {"POST with a body", BYTES("POST /v1/trades HTTP/1.1\r\n" HOST "Content-Length: 100\r\n\r\n{"),
     405},
    {"HTTP/2.0", BYTES("GET /health HTTP/2.0\r\n" HOST "\r\n"), 505},
    {"two blanks in the request line", BYTES("GET  /health HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"no version", BYTES("GET /health\r\n\r\n"), 400},
};

static void what_is_ambiguous_is_refused_and_ends_the_connection(void **state)
{
    const struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct raw_answer answer;
        raw_http_ask(fixture->port, refused[i].bytes, refused[i].size_bytes, &answer);
        if (answer.status != refused[i].status || !answer.ended) {
            fail_msg("%s: status %u, expected %u, %s; %s", refused[i].name, answer.status,
                     refused[i].status, answer.ended ? "ended" : "still open", answer.bytes);
        }
        if (answer.size_bytes > 0 && strstr(answer.bytes, "\"snapshot\"") != NULL) {
            fail_msg("%s: it was answered all the same", refused[i].name);
        }
        raw_answer_free(&answer);
    }
}

static void long_targets_and_heads_are_refused(void **state)
{
    const struct fixture *fixture = *state;
    static const struct {
        const char *before, *after;
        size_t filling;
        unsigned status;
    } rows[] = {
        {"GET /v1/trades?symbol=", " HTTP/1.1\r\n" HOST "\r\n", 9000, 414},
        {"GET /v1/trades?symbol=", " HTTP/1.1\r\n" HOST "\r\n", 200000, 414},
        {"GET /health HTTP/1.1\r\n" HOST "X: ", "\r\n\r\n", 200000, 431},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct k2_buffer request;
        struct raw_answer answer;
        k2_buffer_init(&request, 1 << 20);
        k2_put_text(&request, rows[i].before);
        memset(k2_buffer_extend(&request, rows[i].filling), 'a', rows[i].filling);
        k2_put_text(&request, rows[i].after);
        raw_http_ask(fixture->port, (const char *)request.data, request.size_bytes, &answer);
        assert_int_equal(answer.status, rows[i].status);
        assert_true(answer.ended);
        raw_answer_free(&answer);
        k2_buffer_deinit(&request);
    }
}

static void too_many_headers_are_refused(void **state)
{
    const struct fixture *fixture = *state;
    struct k2_buffer request;
    struct raw_answer answer;
    k2_buffer_init(&request, 1 << 20);
    k2_put_text(&request, "GET /health HTTP/1.1\r\n" HOST);
    for (int i = 0; i < K2_HTTP_MAX_FIELDS; i++) {
        k2_put_format(&request, "X-%d: y\r\n", i);
    }
    k2_put_text(&request, "\r\n");
    raw_http_ask(fixture->port, (const char *)request.data, request.size_bytes, &answer);
    assert_int_equal(answer.status, 400);
    assert_true(answer.ended);
    raw_answer_free(&answer);
    k2_buffer_deinit(&request);
}

// ---- what is kept -------------------------------------------------------------------------------

static void a_connection_takes_requests_one_after_another(void **state)
{
    const struct fixture *fixture = *state;
    static const char requests[] = "GET /health HTTP/1.1\r\n" HOST "\r\n"
                                   "GET /v1/trades?limit=1 HTTP/1.1\r\n" HOST "\r\n"
                                   "HEAD /v1/trades HTTP/1.1\r\n" HOST "\r\n"
                                   "GET /v1/nothing HTTP/1.1\r\n" HOST "\r\n"
                                   "DELETE /v1/trades HTTP/1.1\r\n" HOST "\r\n"
                                   "GET /v1/trades?limit=ten HTTP/1.1\r\n" HOST "\r\n"
                                   "GET /v1/trades?format=csv&limit=2 HTTP/1.1\r\n" HOST "\r\n"
                                   "GET /health HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n";
    static const char *const statuses[] = {"200", "200", "200", "404", "405", "400", "200", "200"};
    struct raw_answer answer;
    raw_http_ask(fixture->port, requests, sizeof requests - 1, &answer);
    assert_true(answer.ended);
    const char *at = answer.bytes;
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        at = strstr(at, "HTTP/1.1 ");
        assert_non_null(at);
        at += strlen("HTTP/1.1 ");
        assert_memory_equal(at, statuses[i], 3);
    }
    assert_null(strstr(at, "HTTP/1.1 "));
    raw_answer_free(&answer);
}

static void correlation_ids_are_echoed_if_they_are_harmless(void **state)
{
    const struct fixture *fixture = *state;
    static const struct {
        const char *sent;
        bool echoed;
    } rows[] = {{"abc-123", true},
                {"with blank", false},
                {"\"quoted\"", false},
                {"0123456789012345678901234567890123456789012345678901234567890123x", false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char request[256], expected[128];
        struct raw_answer answer;
        int size = snprintf(request, sizeof request,
                            "GET /v1/trades?limit=1 HTTP/1.1\r\n" HOST
                            "X-Correlation-ID: %s\r\nConnection: close\r\n\r\n",
                            rows[i].sent);
        raw_http_ask(fixture->port, request, (size_t)size, &answer);
        (void)snprintf(expected, sizeof expected, "X-Correlation-ID: %s\r\n", rows[i].sent);
        assert_int_equal(answer.status, 200);
        assert_int_equal(strstr(answer.bytes, expected) != NULL, rows[i].echoed);
        assert_non_null(strstr(answer.bytes, "X-Correlation-ID: "));
        raw_answer_free(&answer);
    }
}

// ---- how answers end ----------------------------------------------------------------------------

// The trailers of an answer with all trades, whose body is, or decodes to, `rows`.
static void check_trailers(const char *trailers, struct k2_slice rows)
{
    char expected[64];
    assert_non_null(trailers);
    (void)snprintf(expected, sizeof expected, "X-K2-Checksum: %016llx\r\n",
                   (unsigned long long)k2_hash(rows));
    assert_non_null(strstr(trailers, "X-K2-Rows: 60000\r\n"));
    assert_non_null(strstr(trailers, expected));
}

// The size of the body, which stays where it is, without the frames of its chunks.
static size_t unchunk(struct raw_answer *answer, const char **trailers)
{
    size_t place = (size_t)(answer->body - answer->bytes);
    return raw_http_unchunk(answer->bytes + place, answer->size_bytes - place, trailers);
}

static void a_complete_stream_has_rows_and_checksum_behind_it(void **state)
{
    const struct fixture *fixture = *state;
    static const char request[] =
        "GET /v1/trades?format=csv&order=asc&fields=symbol,sequence,price HTTP/1.1\r\n" HOST
        "Connection: close\r\n\r\n";
    struct raw_answer answer;
    const char *trailers = NULL;
    raw_http_ask(fixture->port, request, sizeof request - 1, &answer);
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.bytes, "Transfer-Encoding: chunked\r\n"));
    char *body = answer.bytes + (answer.body - answer.bytes);
    size_t size = unchunk(&answer, &trailers);
    check_trailers(trailers, (struct k2_slice){(const uint8_t *)body, size});
    size_t lines = 0;
    for (size_t i = 0; i < size; i++) {
        lines += body[i] == '\n';
    }
    assert_int_equal(lines, TRADES + 1);
    assert_memory_equal(body, "symbol,sequence,price\nBHP,1,1\nBHP,2,1.00000001\n", 46);
    raw_answer_free(&answer);
}

// The checksum is of what the client decodes.
static void a_compressed_stream_has_the_checksum_of_its_rows(void **state)
{
    const struct fixture *fixture = *state;
    static const char request[] =
        "GET /v1/trades?format=csv&order=asc&fields=symbol,sequence,price HTTP/1.1\r\n" HOST
        "accept-encoding: zstd;q=0.5,gzip\r\nConnection: close\r\n\r\n";
    static uint8_t plain[4 << 20];
    struct raw_answer answer;
    const char *trailers = NULL;
    raw_http_ask(fixture->port, request, sizeof request - 1, &answer);
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.bytes, "Content-Encoding: gzip\r\n"));
    assert_non_null(strstr(answer.bytes, "Vary: Accept-Encoding\r\n"));
    char *body = answer.bytes + (answer.body - answer.bytes);
    size_t size = unchunk(&answer, &trailers);
    z_stream gzip = {.next_in = (Bytef *)body,
                     .avail_in = (uInt)size,
                     .next_out = plain,
                     .avail_out = sizeof plain};
    assert_int_equal(inflateInit2(&gzip, 15 + 16), Z_OK);
    assert_int_equal(inflate(&gzip, Z_FINISH), Z_STREAM_END);
    assert_int_equal(gzip.avail_in, 0);
    struct k2_slice rows = {plain, sizeof plain - gzip.avail_out};
    (void)inflateEnd(&gzip);
    check_trailers(trailers, rows);
    assert_true(size * 2 < rows.size_bytes);
    raw_answer_free(&answer);
}

static void clients_of_http_1_0_get_a_body_that_ends_with_the_connection(void **state)
{
    const struct fixture *fixture = *state;
    static const char request[] =
        "GET /v1/trades?format=csv&limit=2&order=asc&fields=sequence HTTP/1.0\r\n\r\n";
    struct raw_answer answer;
    raw_http_ask(fixture->port, request, sizeof request - 1, &answer);
    assert_int_equal(answer.status, 200);
    assert_true(answer.ended);
    assert_null(strstr(answer.bytes, "chunked"));
    assert_string_equal(answer.body, "sequence\n1\n2\n");
    raw_answer_free(&answer);
}

static void head_tells_the_same_without_a_body(void **state)
{
    const struct fixture *fixture = *state;
    static const char request[] =
        "HEAD /v1/trades?format=csv HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n";
    struct raw_answer answer;
    raw_http_ask(fixture->port, request, sizeof request - 1, &answer);
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.bytes, "X-K2-Snapshot: 1\r\n"));
    assert_string_equal(answer.body, "");
    raw_answer_free(&answer);
}

static const char everything[] = "GET /v1/trades?format=ndjson HTTP/1.1\r\n" HOST "\r\n";

static void slow_clients_hold_up_nobody_and_not_the_end(void **state)
{
    struct fixture *fixture = *state;
    int slow[32];
    struct raw_answer answer;
    for (size_t i = 0; i < sizeof slow / sizeof slow[0]; i++) {
        slow[i] = raw_http_connect(fixture->port);
        raw_http_send(slow[i], everything, sizeof everything - 1);
    }
    usleep(200000);
    static const char *const others[] = {"/health", "/metrics", "/v1/trades?limit=10"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        char request[128];
        int size = snprintf(request, sizeof request,
                            "GET %s HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", others[i]);
        raw_http_ask(fixture->port, request, (size_t)size, &answer);
        assert_int_equal(answer.status, 200);
        raw_answer_free(&answer);
    }
    int64_t begun_ns = test_now_ns();
    k2_http_server_stop(fixture->server);
    fixture->server = NULL;
    assert_true(test_now_ns() - begun_ns < INT64_C(10000000000));

    for (size_t i = 0; i < sizeof slow / sizeof slow[0]; i++) {
        const char *trailers = NULL;
        raw_http_read(slow[i], 5000, &answer);
        assert_true(answer.ended);
        if (answer.body != NULL) { // what came is seen to be cut
            char *body = answer.bytes + (answer.body - answer.bytes);
            (void)raw_http_unchunk(body, answer.size_bytes - (size_t)(body - answer.bytes),
                                   &trailers);
        }
        assert_null(trailers);
        raw_answer_free(&answer);
        close(slow[i]);
    }
    start(fixture, &(struct k2_http_server_options){0});
}

static void long_answers_that_nobody_reads_have_a_ceiling(void **state)
{
    struct fixture *fixture = *state;
    k2_http_server_stop(fixture->server);
    start(fixture, &(struct k2_http_server_options){.stream_limit = 2});
    static const char few[] =
        "GET /v1/trades?limit=1 HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n";
    int slow[2];
    struct raw_answer answer;
    for (size_t i = 0; i < sizeof slow / sizeof slow[0]; i++) {
        char begin[12];
        slow[i] = raw_http_connect(fixture->port);
        raw_http_send(slow[i], everything, sizeof everything - 1);
        assert_int_equal(recv(slow[i], begin, sizeof begin, MSG_WAITALL), sizeof begin);
        assert_memory_equal(begin, "HTTP/1.1 200", sizeof begin);
    }
    raw_http_ask(fixture->port, everything, sizeof everything - 1, &answer);
    assert_int_equal(answer.status, 503);
    assert_non_null(strstr(answer.bytes, "Retry-After"));
    raw_answer_free(&answer);
    raw_http_ask(fixture->port, few, sizeof few - 1, &answer);
    assert_int_equal(answer.status, 200);
    raw_answer_free(&answer);
    close(slow[0]);
    for (int tries = 0; tries < 100; tries++) { // until the close is seen
        int again = raw_http_connect(fixture->port);
        raw_http_send(again, everything, sizeof everything - 1);
        char begin[12];
        assert_int_equal(recv(again, begin, sizeof begin, MSG_WAITALL), sizeof begin);
        close(again);
        if (memcmp(begin, "HTTP/1.1 200", sizeof begin) == 0) {
            break;
        }
        assert_true(tries < 99);
        usleep(20000);
    }
    close(slow[1]);
    k2_http_server_stop(fixture->server);
    start(fixture, &(struct k2_http_server_options){0});
}

static void a_client_that_leaves_stops_its_scan(void **state)
{
    const struct fixture *fixture = *state;
    for (int i = 0; i < 50; i++) {
        int connection = raw_http_connect(fixture->port);
        raw_http_send(connection, everything, sizeof everything - 1);
        if (i % 2 == 0) {
            char some[512];
            (void)!recv(connection, some, sizeof some, 0);
        }
        close(connection);
    }
    struct raw_answer answer;
    int in_progress = -1;
    for (int i = 0; i < 100 && in_progress != 1; i++) { // the request for metrics itself
        static const char request[] = "GET /metrics HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n";
        raw_http_ask(fixture->port, request, sizeof request - 1, &answer);
        const char *line = strstr(answer.bytes, "\nk2_http_requests_in_progress ");
        assert_non_null(line);
        assert_int_equal(sscanf(line, " k2_http_requests_in_progress %d", &in_progress), 1);
        raw_answer_free(&answer);
        usleep(20000);
    }
    assert_int_equal(in_progress, 1);
}

static void answers_and_heads_have_a_deadline(void **state)
{
    struct fixture *fixture = *state;
    k2_http_server_stop(fixture->server);
    start(fixture, &(struct k2_http_server_options){.head_seconds = 1, .answer_seconds = 1});
    struct raw_answer answer;
    int dripping = raw_http_connect(fixture->port);
    int slow = raw_http_connect(fixture->port);
    raw_http_send(slow, everything, sizeof everything - 1);
    raw_http_send(dripping, "GET /health HTTP/1.1\r\n", 22);
    for (int i = 0; i < 8; i++) {
        usleep(500000);
        raw_http_send(dripping, "X", 1);
    }
    raw_http_read(dripping, 5000, &answer);
    assert_true(answer.ended);
    assert_int_equal(answer.status, 0);
    raw_answer_free(&answer);
    raw_http_read(slow, 10000, &answer);
    const char *trailers = NULL;
    assert_true(answer.ended);
    char *body = answer.bytes + (answer.body - answer.bytes);
    (void)raw_http_unchunk(body, answer.size_bytes - (size_t)(body - answer.bytes), &trailers);
    assert_null(trailers);
    raw_answer_free(&answer);
    close(dripping);
    close(slow);
    k2_http_server_stop(fixture->server);
    start(fixture, &(struct k2_http_server_options){0});
}

// Asks for everything that reads the engine until told to stop.
struct asker {
    const struct fixture *fixture;
    atomic_bool stop;
    unsigned answers, failures;
};

static void *ask_on_and_on(void *context)
{
    struct asker *asker = context;
    static const char *const targets[] = {
        "/v1/trades?symbol=bhp&limit=3", "/v1/symbols", "/v1/instruments", "/v1/stats",
        "/v1/snapshots?limit=2",         "/metrics",    "/health",         "/v1/tables",
        "/v1/trades?as_of=1&limit=2",    "/v1/quotes",
    };
    while (!atomic_load(&asker->stop)) {
        char request[160];
        struct raw_answer answer;
        int size = snprintf(request, sizeof request,
                            "GET %s HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n",
                            targets[asker->answers % (sizeof targets / sizeof targets[0])]);
        raw_http_ask(asker->fixture->port, request, (size_t)size, &answer);
        asker->failures += answer.status != 200;
        asker->answers++;
        raw_answer_free(&answer);
    }
    return NULL;
}

static void answers_see_what_the_same_process_commits(void **state)
{
    struct fixture *fixture = *state;
    struct asker askers[3] = {{.fixture = fixture}, {.fixture = fixture}, {.fixture = fixture}};
    pthread_t threads[3];
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, ask_on_and_on, &askers[i]), 0);
    }
    for (int64_t i = 0; i < 100; i++) {
        char symbol[16], request[160];
        struct k2_commit_outcome outcome;
        struct raw_answer answer;
        (void)snprintf(symbol, sizeof symbol, "NEW%d", (int)i);
        const struct test_trade trade = {symbol, i, 1000000 + i, 1, 1};
        test_store_commit(&fixture->store, &trade, 1, K2_NUMBERING_SPARSE, &outcome);
        int size = snprintf(request, sizeof request,
                            "GET /v1/trades?symbol=new%d&format=csv&fields=symbol HTTP/1.0\r\n\r\n",
                            (int)i);
        raw_http_ask(fixture->port, request, (size_t)size, &answer);
        assert_non_null(answer.body);
        assert_memory_equal(answer.body, "symbol\nNEW", 10);
        raw_answer_free(&answer);
    }
    for (size_t i = 0; i < 3; i++) {
        atomic_store(&askers[i].stop, true);
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_true(askers[i].answers > 10);
        assert_int_equal(askers[i].failures, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_ambiguous_is_refused_and_ends_the_connection),
        cmocka_unit_test(long_targets_and_heads_are_refused),
        cmocka_unit_test(too_many_headers_are_refused),
        cmocka_unit_test(a_connection_takes_requests_one_after_another),
        cmocka_unit_test(correlation_ids_are_echoed_if_they_are_harmless),
        cmocka_unit_test(a_complete_stream_has_rows_and_checksum_behind_it),
        cmocka_unit_test(a_compressed_stream_has_the_checksum_of_its_rows),
        cmocka_unit_test(clients_of_http_1_0_get_a_body_that_ends_with_the_connection),
        cmocka_unit_test(head_tells_the_same_without_a_body),
        cmocka_unit_test(slow_clients_hold_up_nobody_and_not_the_end),
        cmocka_unit_test(long_answers_that_nobody_reads_have_a_ceiling),
        cmocka_unit_test(a_client_that_leaves_stops_its_scan),
        cmocka_unit_test(answers_and_heads_have_a_deadline),
        cmocka_unit_test(answers_see_what_the_same_process_commits),
    };
    return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}
