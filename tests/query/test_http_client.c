// What a client makes of answers: complete ones, and all the others.
#include "query/http_client.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "format/base/checksum.h"

// A server that takes one connection and says one thing.
struct parrot {
    int listener;
    uint16_t port;
    const char *answer;
    pthread_t thread;
};

static void *say(void *context)
{
    const struct parrot *parrot = context;
    char request[4096];
    int connection = accept(parrot->listener, NULL, NULL);
    assert_true(connection >= 0);
    assert_true(recv(connection, request, sizeof request, 0) > 0);
    size_t size = strlen(parrot->answer);
    assert_true(send(connection, parrot->answer, size, MSG_NOSIGNAL) == (ssize_t)size);
    close(connection);
    return NULL;
}

static void start(struct parrot *parrot, const char *answer)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    parrot->answer = answer;
    parrot->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(parrot->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(parrot->listener, 1), 0);
    assert_int_equal(getsockname(parrot->listener, (struct sockaddr *)&address, &size), 0);
    parrot->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&parrot->thread, NULL, say, parrot), 0);
}

static enum k2_status take(void *context, struct k2_slice bytes, struct k2_error *error)
{
    (void)error;
    k2_put_bytes(context, bytes.data, bytes.size_bytes);
    return K2_OK;
}

#define HEAD "HTTP/1.1 200 OK\r\nX-K2-Snapshot: 5\r\n"
#define CHUNKS HEAD "Transfer-Encoding: chunked\r\n\r\n"
#define BODY "a\r\nprice\n1\n2\n\r\n"
#define SUM "X-K2-Checksum: %s\r\n"

static void only_complete_answers_are_answers(void **state)
{
    (void)state;
    static const struct {
        const char *name, *answer;
        enum k2_status status;
    } rows[] = {
        {"complete", CHUNKS BODY "0\r\nX-K2-Rows: 2\r\n", K2_OK},
        {"cut within a chunk", CHUNKS "a\r\npri", K2_IO},
        {"cut between chunks", CHUNKS BODY, K2_IO},
        {"no trailers", CHUNKS BODY "0\r\n\r\n", K2_IO},
        {"another checksum", CHUNKS BODY "0\r\nX-K2-Rows: 2\r\nX-K2-Checksum: 0\r\n\r\n", K2_IO},
        {"a length, no trailers", HEAD "Content-Length: 10\r\n\r\nprice\n1\n2\n", K2_IO},
        {"shorter than its length", HEAD "Content-Length: 99\r\n\r\nprice\n", K2_IO},
        {"ended by its connection", HEAD "\r\nprice\n1\n2\n", K2_IO},
        {"refused", "HTTP/1.1 400 X\r\nContent-Length: 3\r\n\r\nbad", K2_BAD_REQUEST},
        {"not there", "HTTP/1.1 404 X\r\nContent-Length: 2\r\n\r\nno", K2_NOT_FOUND},
        {"later", "HTTP/1.1 503 X\r\nContent-Length: 5\r\n\r\nlater", K2_BUSY},
        {"elsewhere", "HTTP/1.1 302 X\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", K2_IO},
        {"nothing", "", K2_BUSY},
        {"no HTTP", "SSH-2.0-x\r\n", K2_BUSY},
    };
    char sum[32];
    (void)snprintf(sum, sizeof sum, "%016llx",
                   (unsigned long long)k2_hash(k2_slice_of("price\n1\n2\n")));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct parrot parrot;
        struct k2_buffer body;
        struct k2_http_result result;
        struct k2_error error = {0};
        char server[64], answer[512];
        (void)snprintf(answer, sizeof answer, "%s", rows[i].answer);
        if (rows[i].status == K2_OK) {
            (void)snprintf(answer, sizeof answer, "%s" SUM "\r\n", rows[i].answer, sum);
        }
        start(&parrot, answer);
        (void)snprintf(server, sizeof server, "http://127.0.0.1:%d", parrot.port);
        k2_buffer_init(&body, 1024);
        const struct k2_http_query query = {
            .server = server, .table = "trades", .take = take, .take_context = &body};
        enum k2_status status = k2_http_query_run(&query, &result, &error);
        assert_int_equal(pthread_join(parrot.thread, NULL), 0);
        if (status != rows[i].status) {
            fail_msg("%s: %s: %s", rows[i].name, k2_status_name(status), error.text);
        }
        if (status == K2_OK) {
            assert_int_equal(result.rows, 2);
            assert_int_equal(result.snapshot, 5);
            assert_true(k2_slice_equal(k2_buffer_slice(&body), k2_slice_of("price\n1\n2\n")));
        }
        k2_buffer_deinit(&body);
        close(parrot.listener);
    }
}

static void what_is_no_http_url_is_wrong_usage(void **state)
{
    (void)state;
    static const char *const servers[] = {"file:///etc/hostname", "ftp://127.0.0.1", "http://a b"};
    for (size_t i = 0; i < sizeof servers / sizeof servers[0]; i++) {
        struct k2_http_result result;
        const struct k2_http_query query = {.server = servers[i], .table = "trades", .take = take};
        assert_int_equal(k2_http_query_run(&query, &result, NULL), K2_BAD_REQUEST);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_complete_answers_are_answers),
        cmocka_unit_test(what_is_no_http_url_is_wrong_usage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
