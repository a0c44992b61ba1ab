#include "ingest/input_window.h"

#include <assert.h>

#include "format/base/alloc.h"

enum { FIRST_ROOM_BYTES = 1 << 18 };

void k2_input_window_init(struct k2_input_window *window, k2_input_read *read, void *context,
                          size_t ceiling_bytes)
{
    *window = (struct k2_input_window){
        .read = read,
        .context = context,
        .ceiling_bytes = ceiling_bytes,
    };
}

void k2_input_window_deinit(struct k2_input_window *window)
{
    k2_free(window->data);
    *window = (struct k2_input_window){0};
}

void k2_input_window_restart(struct k2_input_window *window)
{
    window->begin = window->end = 0;
    window->ended = false;
}

static enum k2_status grow(struct k2_input_window *window, struct k2_error *error)
{
    size_t room = window->room_bytes == 0 ? FIRST_ROOM_BYTES : 2 * window->room_bytes;
    room = room < window->ceiling_bytes ? room : window->ceiling_bytes;
    uint8_t *data = k2_realloc(window->data, room, 1);
    if (data == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "input: out of memory at %zu bytes", room);
    }
    window->data = data;
    window->room_bytes = room;
    return K2_OK;
}

enum k2_status k2_input_window_more(struct k2_input_window *window, bool *full,
                                    struct k2_error *error)
{
    assert(!window->ended);
    *full = false;
    size_t rest = window->end - window->begin;
    if (window->begin > 0) {
        memmove(window->data, window->data + window->begin, rest);
        window->begin = 0;
        window->end = rest;
    }
    if (rest == window->room_bytes) {
        *full = window->room_bytes == window->ceiling_bytes;
        enum k2_status status = *full ? K2_OK : grow(window, error);
        if (*full || status != K2_OK) {
            return status;
        }
    }
    size_t size = 0;
    enum k2_status status = window->read(window->context, window->data + window->end,
                                         window->room_bytes - window->end, &size, error);
    window->end += size;
    window->ended = status == K2_OK && size == 0;
    return status;
}
