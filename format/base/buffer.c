#include "format/base/buffer.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "format/base/alloc.h"

void k2_buffer_init(struct k2_buffer *buffer, size_t ceiling_bytes)
{
    *buffer = (struct k2_buffer){.ceiling_bytes = ceiling_bytes};
}

void k2_buffer_deinit(struct k2_buffer *buffer)
{
    k2_free(buffer->data);
    *buffer = (struct k2_buffer){0};
}

void k2_buffer_clear(struct k2_buffer *buffer)
{
    buffer->size_bytes = 0;
    buffer->failed = buffer->limited = false;
}

static bool grow(struct k2_buffer *buffer, size_t needed_bytes)
{
    size_t room = buffer->room_bytes < 256 ? 256 : buffer->room_bytes;
    while (room < needed_bytes) {
        room += room / 2;
    }
    if (room > buffer->ceiling_bytes) {
        room = buffer->ceiling_bytes;
    }
    uint8_t *data = k2_realloc(buffer->data, room, 1);
    if (data == NULL) {
        return false;
    }
    buffer->data = data;
    buffer->room_bytes = room;
    return true;
}

uint8_t *k2_buffer_extend(struct k2_buffer *buffer, size_t size_bytes)
{
    if (buffer->failed || size_bytes > buffer->ceiling_bytes - buffer->size_bytes) {
        buffer->limited = !buffer->failed || buffer->limited;
        buffer->failed = true;
        return NULL;
    }
    size_t needed = buffer->size_bytes + size_bytes;
    if ((needed > buffer->room_bytes || buffer->data == NULL) && !grow(buffer, needed)) {
        buffer->failed = true;
        buffer->limited = false;
        return NULL;
    }
    uint8_t *place = buffer->data + buffer->size_bytes;
    buffer->size_bytes = needed;
    return place;
}

void k2_put_bytes(struct k2_buffer *buffer, const void *bytes, size_t size_bytes)
{
    uint8_t *place = k2_buffer_extend(buffer, size_bytes);
    if (place != NULL && size_bytes > 0) {
        memcpy(place, bytes, size_bytes);
    }
}

void k2_put_zeros(struct k2_buffer *buffer, size_t size_bytes)
{
    uint8_t *place = k2_buffer_extend(buffer, size_bytes);
    if (place != NULL) {
        memset(place, 0, size_bytes);
    }
}

void k2_put_text(struct k2_buffer *buffer, const char *text)
{
    k2_put_bytes(buffer, text, strlen(text));
}

void k2_put_format(struct k2_buffer *buffer, const char *format, ...)
{
    char text[K2_ERROR_TEXT_BYTES * 4];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (size < 0 || (size_t)size >= sizeof text) {
        buffer->failed = true;
        return;
    }
    k2_put_bytes(buffer, text, (size_t)size);
}

static void put_fixed(struct k2_buffer *buffer, uint64_t value, size_t size_bytes)
{
    uint8_t *place = k2_buffer_extend(buffer, size_bytes);
    for (size_t i = 0; place != NULL && i < size_bytes; i++) {
        place[i] = (uint8_t)(value >> 8 * i);
    }
}

void k2_put_u8(struct k2_buffer *buffer, uint8_t value)
{
    put_fixed(buffer, value, 1);
}

void k2_put_u16(struct k2_buffer *buffer, uint16_t value)
{
    put_fixed(buffer, value, 2);
}

void k2_put_u32(struct k2_buffer *buffer, uint32_t value)
{
    put_fixed(buffer, value, 4);
}

void k2_put_u64(struct k2_buffer *buffer, uint64_t value)
{
    put_fixed(buffer, value, 8);
}

void k2_put_i64(struct k2_buffer *buffer, int64_t value)
{
    put_fixed(buffer, (uint64_t)value, 8);
}

void k2_put_varint(struct k2_buffer *buffer, uint64_t value)
{
    uint8_t bytes[10];
    size_t count = 0;
    for (; value >= 0x80; value >>= 7) {
        bytes[count++] = (uint8_t)(value | 0x80);
    }
    bytes[count++] = (uint8_t)value;
    k2_put_bytes(buffer, bytes, count);
}

void k2_put_padding(struct k2_buffer *buffer, size_t alignment_bytes)
{
    k2_put_zeros(buffer,
                 (alignment_bytes - buffer->size_bytes % alignment_bytes) % alignment_bytes);
}

void k2_buffer_patch_u32(struct k2_buffer *buffer, size_t offset, uint32_t value)
{
    if (buffer->failed) {
        return;
    }
    assert(offset + 4 <= buffer->size_bytes);
    for (size_t i = 0; i < 4; i++) {
        buffer->data[offset + i] = (uint8_t)(value >> 8 * i);
    }
}

void k2_buffer_patch_u64(struct k2_buffer *buffer, size_t offset, uint64_t value)
{
    k2_buffer_patch_u32(buffer, offset, (uint32_t)value);
    k2_buffer_patch_u32(buffer, offset + 4, (uint32_t)(value >> 32));
}

enum k2_status k2_buffer_check(const struct k2_buffer *buffer, const char *what,
                               struct k2_error *error)
{
    if (!buffer->failed) {
        return K2_OK;
    }
    if (buffer->limited || buffer->ceiling_bytes - buffer->size_bytes < 4096) {
        return k2_fail(error, K2_LIMIT, "%s: more than %zu bytes", what, buffer->ceiling_bytes);
    }
    return k2_fail(error, K2_NO_MEMORY, "%s: out of memory at %zu bytes", what, buffer->size_bytes);
}
