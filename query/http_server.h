// Sockets and threads around the HTTP API (libmicrohttpd); no logic of answers.
//
// A few threads do all reading and writing and never wait for a query: answers are made by a pool
// of workers, piece by piece as the client takes them. A client that stops reading costs one piece
// and an idle scan. Everything that a client can make grow has a ceiling.
#pragma once

#include "query/http_api.h"
#include "query/listen_address.h"

// Zero is the default.
struct k2_http_server_options {
    unsigned connection_limit; // default 1000; more wait in the backlog
    unsigned idle_seconds;     // without a byte either way: the connection ends; default 60
    unsigned head_seconds;     // for a request's head, also between requests; default 30
    unsigned answer_seconds;   // from the head to the end of the answer; default 3600
    unsigned worker_count;     // default 4
    unsigned stream_limit;     // long answers open at once, more are a 503; default 128
};

struct k2_http_server; // opaque

// Takes `listen_socket` when it succeeds. The api outlives the server.
K2_MUST_CHECK enum k2_status k2_http_server_start(struct k2_http_server **server,
                                                  const struct k2_http_api *api, int listen_socket,
                                                  const struct k2_http_server_options *options,
                                                  struct k2_error *error);

// Ends every connection; answers that are not complete are cut. Returns when all threads are gone.
void k2_http_server_stop(struct k2_http_server *server);
