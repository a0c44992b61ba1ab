#include "tests/support/raw_http.h"

#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "format/base/alloc.h"

int raw_http_connect(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(connection >= 0);
    assert_int_equal(connect(connection, (struct sockaddr *)&address, sizeof address), 0);
    return connection;
}

void raw_http_send(int connection, const char *bytes, size_t size_bytes)
{
    while (size_bytes > 0) {
        ssize_t sent = send(connection, bytes, size_bytes, MSG_NOSIGNAL);
        if (sent <= 0) {
            return; // the server has closed: its answer tells why
        }
        bytes += sent;
        size_bytes -= (size_t)sent;
    }
}

void raw_http_read(int connection, int patience_ms, struct raw_answer *answer)
{
    size_t room = 1 << 16;
    *answer = (struct raw_answer){.bytes = k2_alloc(room)};
    assert_non_null(answer->bytes);
    struct pollfd waiting = {.fd = connection, .events = POLLIN};
    while (poll(&waiting, 1, patience_ms) == 1) {
        ssize_t got =
            recv(connection, answer->bytes + answer->size_bytes, room - answer->size_bytes - 1, 0);
        if (got <= 0) {
            answer->ended = true;
            break;
        }
        answer->size_bytes += (size_t)got;
        if (answer->size_bytes + 1 == room) {
            room *= 2;
            answer->bytes = k2_realloc(answer->bytes, room, 1);
            assert_non_null(answer->bytes);
        }
    }
    answer->bytes[answer->size_bytes] = '\0';
    (void)sscanf(answer->bytes, "HTTP/1.%*c %u", &answer->status);
    const char *end = strstr(answer->bytes, "\r\n\r\n");
    answer->body = end == NULL ? NULL : end + 4;
}

void raw_http_ask(uint16_t port, const char *bytes, size_t size_bytes, struct raw_answer *answer)
{
    int connection = raw_http_connect(port);
    raw_http_send(connection, bytes, size_bytes);
    raw_http_read(connection, 5000, answer);
    close(connection);
}

void raw_answer_free(struct raw_answer *answer)
{
    k2_free(answer->bytes);
    *answer = (struct raw_answer){0};
}

size_t raw_http_unchunk(char *body, size_t size_bytes, const char **trailers)
{
    size_t read = 0, written = 0;
    *trailers = NULL;
    while (read < size_bytes) {
        char *end = NULL;
        unsigned long size = strtoul(body + read, &end, 16);
        size_t head = (size_t)(end - (body + read));
        if (head == 0 || strncmp(end, "\r\n", 2) != 0) {
            break;
        }
        read += head + 2;
        if (size == 0) {
            *trailers = body + read;
            break;
        }
        if (size > size_bytes - read) {
            break;
        }
        memmove(body + written, body + read, size);
        written += size;
        read += size + 2;
    }
    return written;
}
