// A server that takes connections one after the other and gives each the next answer of a list, for
// tests of what clients make of answers. On the loopback interface, on a port of its own.
#pragma once

#include <pthread.h>
#include <stddef.h>

enum { MOST_SCRIPTED_ANSWERS = 12 };

// Bodies of such answers end with the connection.
#define SCRIPTED(status, headers, body)                                                            \
    "HTTP/1.1 " status "\r\nConnection: close\r\n" headers "\r\n" body
#define SCRIPTED_RESET "" // the connection ends without an answer

struct scripted_server {
    int listener;
    char url[64];
    const char *answers[MOST_SCRIPTED_ANSWERS]; // at most 16 KiB; `MARK` in one: the mark
                                                // of the put before
    size_t answer_count;
    // Hold from stop on.
    size_t served;
    char requests[MOST_SCRIPTED_ANSWERS][2048]; // the heads; of a form that is posted the body, too
    char mark[33];
    pthread_t thread;
};

// `answers` ends with NULL.
void scripted_server_start(struct scripted_server *server, const char *const *answers);
void scripted_server_stop(struct scripted_server *server);
