#include "query/encode/row_stream.h"

#include <assert.h>

void k2_row_stream_deinit(struct k2_row_stream *stream)
{
    k2_row_encoder_destroy(stream->encoder);
    *stream = (struct k2_row_stream){0};
}

static enum k2_status pull(struct k2_row_stream *stream, struct k2_error *error)
{
    stream->row_count = stream->next_row = 0;
    enum k2_status status =
        stream->pull(stream->context, &stream->vectors, &stream->row_count, error);
    stream->ended = status == K2_OK && stream->row_count == 0;
    return status;
}

enum k2_status k2_row_stream_next(struct k2_row_stream *stream, size_t enough_bytes,
                                  struct k2_buffer *out, bool *done, struct k2_error *error)
{
    assert(!stream->done);
    if (!stream->begun) {
        k2_row_encoder_begin(stream->encoder, out);
        stream->begun = true;
    }
    enum k2_status status = K2_OK;
    while (status == K2_OK && !stream->done && !out->failed && out->size_bytes < enough_bytes) {
        if (stream->ended) {
            stream->done = k2_row_encoder_end(stream->encoder, enough_bytes, out);
        } else if (stream->next_row < stream->row_count) {
            stream->next_row =
                k2_row_encoder_put(stream->encoder, stream->vectors, stream->next_row,
                                   stream->row_count, enough_bytes, out);
        } else {
            status = pull(stream, error);
        }
        if (status == K2_OK) {
            status = k2_row_encoder_check(stream->encoder, error);
        }
    }
    if (status == K2_OK) {
        status = k2_buffer_check(out, "answer", error);
    }
    *done = stream->done && status == K2_OK;
    return status;
}
