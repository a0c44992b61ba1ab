// The open connections and until when each may go on; ends those that take too long.
//
// libmicrohttpd knows idle connections only: a client that sends or takes a byte now and then
// would stay for ever. Thread-safe.
#pragma once

#include <stdint.h>

#include "format/base/status.h"

struct k2_http_connections; // opaque: the list and its thread
struct k2_http_connection;  // opaque: one of them

K2_MUST_CHECK enum k2_status k2_http_connections_create(struct k2_http_connections **connections,
                                                        struct k2_error *error);
// All connections must have been removed.
void k2_http_connections_destroy(struct k2_http_connections *connections);

// NULL when memory is short. `socket` stays the caller's and open until remove; it is shut down
// when the deadline has passed.
struct k2_http_connection *k2_http_connections_add(struct k2_http_connections *connections,
                                                   int socket, int64_t seconds);
void k2_http_connections_remove(struct k2_http_connections *connections,
                                struct k2_http_connection *connection);

// `seconds` from now. `connection` may be NULL.
void k2_http_connections_extend(struct k2_http_connections *connections,
                                struct k2_http_connection *connection, int64_t seconds);
