#include "format/base/deflate.h"

#include <zlib.h>

enum {
    RAW_WINDOW = -15,
    GZIP_WINDOW = 15 + 16,
    MEMORY_LEVEL = 8,
    PIECE_BYTES = 1 << 16,
};

void k2_deflate(struct k2_buffer *out, struct k2_slice bytes)
{
    z_stream stream = {0};
    if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, RAW_WINDOW, MEMORY_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK) {
        out->failed = true;
        return;
    }
    size_t most = deflateBound(&stream, (uLong)bytes.size_bytes);
    uint8_t *room = bytes.size_bytes > UINT32_MAX / 2 ? NULL : k2_buffer_extend(out, most);
    if (room == NULL) {
        out->failed = true;
    } else {
        stream.next_in = (Bytef *)(uintptr_t)bytes.data;
        stream.avail_in = (uInt)bytes.size_bytes;
        stream.next_out = room;
        stream.avail_out = (uInt)most;
        out->failed = deflate(&stream, Z_FINISH) != Z_STREAM_END;
        out->size_bytes -= stream.avail_out;
    }
    (void)deflateEnd(&stream);
}

static bool inflate_all(struct k2_buffer *out, struct k2_slice bytes, int window)
{
    z_stream stream = {0};
    if (bytes.size_bytes > UINT32_MAX || inflateInit2(&stream, window) != Z_OK) {
        return false;
    }
    stream.next_in = (Bytef *)(uintptr_t)bytes.data;
    stream.avail_in = (uInt)bytes.size_bytes;
    int code = Z_OK;
    while (code == Z_OK) {
        uint8_t *room = k2_buffer_extend(out, PIECE_BYTES);
        if (room == NULL) {
            break;
        }
        stream.next_out = room;
        stream.avail_out = PIECE_BYTES;
        code = inflate(&stream, Z_NO_FLUSH);
        out->size_bytes -= stream.avail_out;
        if (code == Z_OK && stream.avail_in == 0 && stream.avail_out > 0) {
            break; // it ends too early
        }
    }
    // PyIceberg leaves three bytes of zlib's checksum behind a raw stream.
    bool whole = code == Z_STREAM_END && (stream.avail_in == 0 || window == RAW_WINDOW);
    (void)inflateEnd(&stream);
    return whole;
}

bool k2_inflate(struct k2_buffer *out, struct k2_slice bytes)
{
    return inflate_all(out, bytes, RAW_WINDOW);
}

bool k2_inflate_gzip(struct k2_buffer *out, struct k2_slice bytes)
{
    return inflate_all(out, bytes, GZIP_WINDOW);
}
