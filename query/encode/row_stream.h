// Rows that come in vectors, printed a part at a time: how every query answers with rows.
#pragma once

#include "query/encode/row_encoder.h"

// Gives the next rows, which stay until the next call; none: that was all.
typedef enum k2_status k2_row_pull(void *context, const struct k2_vector **vectors,
                                   size_t *row_count, struct k2_error *error);

// Create `encoder`, set `pull` and `context`, leave the rest zero. Belongs to one thread.
struct k2_row_stream {
    struct k2_row_encoder *encoder; // owned; NULL until created
    k2_row_pull *pull;
    void *context;
    const struct k2_vector *vectors; // rows [next_row, row_count) are not printed yet
    size_t row_count, next_row;
    bool begun, ended, done;
};
void k2_row_stream_deinit(struct k2_row_stream *stream);

// Appends to `out` until it holds `enough_bytes` or more, or all is printed: then `*done`, and it
// must not be called again.
K2_MUST_CHECK enum k2_status k2_row_stream_next(struct k2_row_stream *stream, size_t enough_bytes,
                                                struct k2_buffer *out, bool *done,
                                                struct k2_error *error);
