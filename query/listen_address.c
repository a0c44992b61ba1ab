#include "query/listen_address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 511 };

union socket_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static enum k2_status bad_address(struct k2_error *error, const char *text)
{
    return k2_fail(error, K2_BAD_REQUEST,
                   "--listen: `%s` is not HOST:PORT with a numeric HOST; such as 127.0.0.1:8000",
                   text);
}

static bool parse_port(const char *text, uint16_t *port)
{
    unsigned value = 0;
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 5 || text[digits] != '\0') {
        return false;
    }
    for (size_t i = 0; i < digits; i++) {
        value = value * 10 + (unsigned)(text[i] - '0');
    }
    *port = (uint16_t)value;
    return value <= UINT16_MAX;
}

static socklen_t fill(const struct k2_listen_address *address, union socket_address *out)
{
    memset(out, 0, sizeof *out);
    if (address->ipv6) {
        out->v6.sin6_family = AF_INET6;
        out->v6.sin6_port = htons(address->port);
        return inet_pton(AF_INET6, address->host, &out->v6.sin6_addr) == 1 ? sizeof out->v6 : 0;
    }
    out->v4.sin_family = AF_INET;
    out->v4.sin_port = htons(address->port);
    return inet_pton(AF_INET, address->host, &out->v4.sin_addr) == 1 ? sizeof out->v4 : 0;
}

static bool is_loopback(const struct k2_listen_address *address, const union socket_address *socket)
{
    if (address->ipv6) {
        return IN6_IS_ADDR_LOOPBACK(&socket->v6.sin6_addr);
    }
    return ntohl(socket->v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

enum k2_status k2_listen_address_parse(struct k2_listen_address *address, const char *text,
                                       struct k2_error *error)
{
    *address = (struct k2_listen_address){0};
    const char *colon = strrchr(text, ':');
    const char *port = colon == NULL ? text : colon + 1;
    const char *host = text;
    size_t host_bytes = colon == NULL ? 0 : (size_t)(colon - text);
    if (host_bytes >= 2 && host[0] == '[' && host[host_bytes - 1] == ']') {
        address->ipv6 = true;
        host++;
        host_bytes -= 2;
    }
    if (colon == NULL || (host_bytes == 9 && strncmp(host, "localhost", 9) == 0)) {
        host = "127.0.0.1";
        host_bytes = strlen(host);
    }
    if (host_bytes >= sizeof address->host || !parse_port(port, &address->port)) {
        return bad_address(error, text);
    }
    memcpy(address->host, host, host_bytes);
    union socket_address socket;
    if (fill(address, &socket) == 0) {
        return bad_address(error, text);
    }
    if (!is_loopback(address, &socket)) {
        return k2_fail(error, K2_BAD_REQUEST,
                       "--listen: %s is not a loopback address, and this version has no keys; "
                       "listen on 127.0.0.1 and put a proxy in front",
                       address->host);
    }
    return K2_OK;
}

static enum k2_status bind_socket(struct k2_listen_address *address, int descriptor,
                                  struct k2_error *error)
{
    union socket_address socket;
    socklen_t size = fill(address, &socket);
    int yes = 1;
    (void)setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(descriptor, &socket.any, size) != 0 || listen(descriptor, BACKLOG) != 0) {
        int reason = errno;
        if (reason == EADDRINUSE) {
            return k2_fail(error, K2_BUSY, "--listen: %s:%u is taken; choose another port, or 0",
                           address->host, address->port);
        }
        return k2_fail_errno(error, reason, "--listen: %s:%u", address->host, address->port);
    }
    size = sizeof socket;
    if (getsockname(descriptor, &socket.any, &size) != 0) {
        return k2_fail_errno(error, errno, "--listen: %s:%u", address->host, address->port);
    }
    address->port = ntohs(address->ipv6 ? socket.v6.sin6_port : socket.v4.sin_port);
    return K2_OK;
}

enum k2_status k2_listen_address_open(struct k2_listen_address *address, int *socket_out,
                                      struct k2_error *error)
{
    *socket_out = -1;
    int descriptor =
        socket(address->ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0) {
        return k2_fail_errno(error, errno, "--listen: no socket");
    }
    enum k2_status status = bind_socket(address, descriptor, error);
    if (status != K2_OK) {
        (void)close(descriptor);
        return status;
    }
    *socket_out = descriptor;
    return K2_OK;
}

void k2_listen_address_url(const struct k2_listen_address *address, char url[K2_URL_BYTES])
{
    (void)snprintf(url, K2_URL_BYTES, address->ipv6 ? "http://[%s]:%u" : "http://%s:%u",
                   address->host, address->port);
}
