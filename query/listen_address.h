// HOST:PORT of a server, and the socket that listens there.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "format/base/status.h"

enum { K2_URL_BYTES = 80 };

struct k2_listen_address {
    char host[64]; // numeric, without brackets
    bool ipv6;
    uint16_t port; // 0: any free one
};

// `127.0.0.1:8000`, `[::1]:8000`, `localhost:0`, or a port alone (on 127.0.0.1). K2_BAD_REQUEST for
// anything else, and for addresses beyond loopback: without keys the store is not for others.
K2_MUST_CHECK enum k2_status k2_listen_address_parse(struct k2_listen_address *address,
                                                     const char *text, struct k2_error *error);

// A listening socket, to be closed by the caller; sets the port if it was 0. K2_BUSY: taken.
K2_MUST_CHECK enum k2_status k2_listen_address_open(struct k2_listen_address *address, int *socket,
                                                    struct k2_error *error);

void k2_listen_address_url(const struct k2_listen_address *address, char url[K2_URL_BYTES]);
