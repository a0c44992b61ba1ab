// A client that sends whatever it is told to and reads what comes: for tests of the HTTP server.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct raw_answer {
    char *bytes; // all that came, with a NUL; freed with k2_free
    size_t size_bytes;
    bool ended;       // the server closed the connection
    unsigned status;  // of the first answer; 0: none
    const char *body; // of the first answer, within `bytes`; NULL: none
};

int raw_http_connect(uint16_t port);
void raw_http_send(int connection, const char *bytes, size_t size_bytes);

// Reads until the server closes or sends nothing for `patience_ms`.
void raw_http_read(int connection, int patience_ms, struct raw_answer *answer);

// Connects, sends, reads, closes.
void raw_http_ask(uint16_t port, const char *bytes, size_t size_bytes, struct raw_answer *answer);
void raw_answer_free(struct raw_answer *answer);

// Removes the chunks' frames of a chunked body; `*trailers` begins behind the last chunk and is
// NULL when there is no last chunk. Returns the body's size; it is moved to the front of `body`.
size_t raw_http_unchunk(char *body, size_t size_bytes, const char **trailers);
