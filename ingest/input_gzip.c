// gzip, also several streams one behind the other; checks length and CRC of each.
#include "ingest/input_decoder.h"

#include <zlib.h>

#include "format/base/alloc.h"

struct gzip {
    struct k2_input_raw raw;
    z_stream stream;
    bool ready, begun, between; // between: a stream has ended, and nothing of another was seen
};

static void gzip_close(void *context)
{
    struct gzip *self = context;
    if (self != NULL && self->ready) {
        (void)inflateEnd(&self->stream);
    }
    k2_free(self);
}

static enum k2_status gzip_open(void **opened, const struct k2_input_raw *raw,
                                struct k2_error *error)
{
    struct gzip *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "out of memory");
    }
    self->raw = *raw;
    if (inflateInit2(&self->stream, 15 + 16) != Z_OK) { // 16: gzip, not zlib
        gzip_close(self);
        return k2_fail(error, K2_NO_MEMORY, "out of memory");
    }
    self->ready = true;
    *opened = self;
    return K2_OK;
}

static enum k2_status gzip_next(void *context, bool *found, const char **member,
                                struct k2_error *error)
{
    (void)error;
    struct gzip *self = context;
    *found = !self->begun;
    *member = NULL;
    self->begun = true;
    return K2_OK;
}

static enum k2_status refill(struct gzip *self, bool *end, struct k2_error *error)
{
    struct k2_slice bytes;
    enum k2_status status = self->raw.pull(self->raw.context, &bytes, error);
    if (status != K2_OK) {
        return status;
    }
    *end = bytes.size_bytes == 0;
    if (*end && !self->between) {
        return k2_fail(error, K2_IO, "the gzip data is cut off");
    }
    self->stream.next_in = (Bytef *)(uintptr_t)bytes.data;
    self->stream.avail_in = (uInt)bytes.size_bytes;
    return K2_OK;
}

static enum k2_status gzip_read(void *context, uint8_t *bytes, size_t room_bytes,
                                size_t *size_bytes, struct k2_error *error)
{
    struct gzip *self = context;
    *size_bytes = 0;
    self->stream.next_out = bytes;
    self->stream.avail_out = room_bytes < 1 << 30 ? (uInt)room_bytes : 1 << 30;
    uInt room = self->stream.avail_out;
    while (self->stream.avail_out == room) {
        bool end = false;
        enum k2_status status = self->stream.avail_in == 0 ? refill(self, &end, error) : K2_OK;
        if (status != K2_OK || end) {
            return status;
        }
        if (self->between) {
            (void)inflateReset(&self->stream);
            self->between = false;
        }
        int result = inflate(&self->stream, Z_NO_FLUSH);
        self->between = result == Z_STREAM_END;
        if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) {
            return k2_fail(error, K2_IO, "the gzip data is damaged: %s",
                           self->stream.msg != NULL ? self->stream.msg : "no reason given");
        }
    }
    *size_bytes = room - self->stream.avail_out;
    return K2_OK;
}

const struct k2_input_decoder k2_input_gzip = {
    .name = "gzip",
    .suffix = ".gz",
    .magic = (const uint8_t *)"\x1f\x8b",
    .magic_bytes = 2,
    .open = gzip_open,
    .next = gzip_next,
    .read = gzip_read,
    .close = gzip_close,
};
