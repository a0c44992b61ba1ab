#include "tests/support/scripted_server.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { REQUEST_BYTES = 1 << 16 };

// The head into `request`, with the body of a form, which may come later; past other bodies.
static void read_request(int connection, char *request)
{
    size_t used = 0, rest = 0;
    char *body = NULL;
    while (body == NULL && used < REQUEST_BYTES - 1) {
        ssize_t got = recv(connection, request + used, REQUEST_BYTES - 1 - used, 0);
        if (got <= 0) {
            break;
        }
        used += (size_t)got;
        request[used] = '\0';
        body = strstr(request, "\r\n\r\n");
    }
    if (body != NULL) {
        const char *length = strstr(request, "Content-Length: ");
        size_t had = used - (size_t)(body + 4 - request);
        rest = (length != NULL && length < body ? strtoul(length + 16, NULL, 10) : 0) - had;
        if (strstr(request, "x-www-form-urlencoded") == NULL) {
            body[2] = '\0';
            used = REQUEST_BYTES - 1;
        }
    }
    while (rest > 0 && used < REQUEST_BYTES - 1) {
        size_t room = REQUEST_BYTES - 1 - used;
        ssize_t got = recv(connection, request + used, rest < room ? rest : room, 0);
        if (got <= 0) {
            return;
        }
        used += (size_t)got;
        rest -= (size_t)got;
        request[used] = '\0';
    }
    char *scratch = malloc(REQUEST_BYTES);
    while (rest > 0) {
        ssize_t got = recv(connection, scratch, REQUEST_BYTES, 0);
        if (got <= 0) {
            break;
        }
        rest -= (size_t)got;
    }
    free(scratch);
}

static void give(const struct scripted_server *server, int connection, const char *answer)
{
    char text[16384];
    (void)snprintf(text, sizeof text, "%s", answer);
    char *place = strstr(text, "MARK");
    if (place != NULL) {
        char rest[1024];
        (void)snprintf(rest, sizeof rest, "%s", place + 4);
        (void)snprintf(place, sizeof text - (size_t)(place - text), "%s%s", server->mark, rest);
    }
    (void)send(connection, text, strlen(text), MSG_NOSIGNAL);
}

static void *serve(void *context)
{
    struct scripted_server *server = context;
    char *request = malloc(REQUEST_BYTES);
    for (size_t i = 0; i < server->answer_count; i++) {
        int connection = accept(server->listener, NULL, NULL);
        if (connection < 0) {
            break;
        }
        read_request(connection, request);
        (void)snprintf(server->requests[i], sizeof server->requests[i], "%s", request);
        const char *mark = strstr(request, "x-amz-meta-k2-put: ");
        if (mark != NULL) {
            memcpy(server->mark, mark + 19, 32);
        }
        server->served++;
        give(server, connection, server->answers[i]);
        close(connection);
    }
    free(request);
    return NULL;
}

void scripted_server_start(struct scripted_server *server, const char *const *answers)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    *server = (struct scripted_server){.listener = socket(AF_INET, SOCK_STREAM, 0)};
    while (server->answer_count < MOST_SCRIPTED_ANSWERS && answers[server->answer_count] != NULL) {
        server->answers[server->answer_count] = answers[server->answer_count];
        server->answer_count++;
    }
    assert_int_equal(bind(server->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(server->listener, 8), 0);
    assert_int_equal(getsockname(server->listener, (struct sockaddr *)&address, &size), 0);
    (void)snprintf(server->url, sizeof server->url, "http://127.0.0.1:%u", ntohs(address.sin_port));
    assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

void scripted_server_stop(struct scripted_server *server)
{
    (void)shutdown(server->listener, SHUT_RDWR); // wakes a server that nobody asks any more
    assert_int_equal(pthread_join(server->thread, NULL), 0);
    close(server->listener);
}
