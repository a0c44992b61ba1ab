#include "engine/asof_last.h"

#include <string.h>

#include "format/base/alloc.h"

enum { FIRST_ROOM = 16 };

void k2_asof_last_init(struct k2_asof_last *last, size_t column_count, bool has_texts)
{
    *last = (struct k2_asof_last){.column_count = column_count, .has_texts = has_texts};
}

void k2_asof_last_deinit(struct k2_asof_last *last)
{
    for (size_t i = 0; last->texts != NULL && i < last->place_room * last->column_count; i++) {
        k2_free(last->texts[i].data);
    }
    k2_free(last->places);
    k2_free(last->values);
    k2_free(last->valid);
    k2_free(last->texts);
    k2_free(last->touched);
    *last = (struct k2_asof_last){0};
}

static bool enlarge(void **memory, size_t count, size_t item_bytes)
{
    void *larger = k2_realloc(*memory, count, item_bytes);
    if (larger == NULL) {
        return false;
    }
    *memory = larger;
    return true;
}

static bool enlarge_texts(struct k2_asof_last *last, size_t room)
{
    size_t columns = last->column_count, old = last->place_room * columns;
    struct k2_asof_text *texts = k2_realloc(last->texts, room * columns, sizeof *texts);
    if (texts == NULL) {
        return false;
    }
    memset(texts + old, 0, (room * columns - old) * sizeof *texts);
    last->texts = texts;
    return true;
}

bool k2_asof_last_reserve(struct k2_asof_last *last, size_t count)
{
    if (count > last->place_room) {
        size_t room = last->place_room == 0 ? FIRST_ROOM : last->place_room;
        while (room < count) {
            room *= 2;
        }
        if (!enlarge((void **)&last->places, room, sizeof *last->places) ||
            !enlarge((void **)&last->values, room * last->column_count, sizeof *last->values) ||
            !enlarge((void **)&last->valid, room * last->column_count, 1) ||
            !enlarge((void **)&last->touched, room, sizeof *last->touched) ||
            (last->has_texts && !enlarge_texts(last, room))) {
            return false;
        }
        last->place_room = room;
    }
    for (; last->place_count < count; last->place_count++) {
        size_t at = last->place_count * last->column_count;
        last->places[last->place_count] = (struct k2_asof_place){.row = K2_ASOF_NO_ROW};
        memset(last->values + at, 0, last->column_count * sizeof *last->values);
        memset(last->valid + at, 0, last->column_count);
    }
    return true;
}

void k2_asof_last_clear(struct k2_asof_last *last)
{
    last->place_count = last->touched_count = 0;
}

static bool keep_text(struct k2_asof_text *kept, struct k2_slice text)
{
    if (text.size_bytes > kept->room_bytes) {
        uint8_t *data = k2_realloc(kept->data, text.size_bytes, 2);
        if (data == NULL) {
            return false;
        }
        kept->data = data;
        kept->room_bytes = 2 * text.size_bytes;
    }
    if (text.size_bytes > 0) {
        memcpy(kept->data, text.data, text.size_bytes);
    }
    kept->size_bytes = text.size_bytes;
    return true;
}

static bool keep_row(struct k2_asof_last *last, uint32_t instrument,
                     const struct k2_vector *vectors, const size_t *columns)
{
    struct k2_asof_place *place = &last->places[instrument];
    size_t row = (size_t)place->row;
    for (size_t i = 0; i < last->column_count; i++) {
        const struct k2_vector *vector = &vectors[columns[i]];
        size_t at = instrument * last->column_count + i;
        last->valid[at] = vector->valid == NULL || vector->valid[row] != 0;
        if (vector->values != NULL) {
            last->values[at] = vector->values[row];
        } else if (!keep_text(&last->texts[at], vector->texts[row])) {
            return false;
        }
    }
    place->present = true;
    place->row = K2_ASOF_NO_ROW;
    return true;
}

bool k2_asof_last_keep(struct k2_asof_last *last, const struct k2_vector *vectors,
                       const size_t *columns)
{
    for (size_t i = 0; i < last->touched_count; i++) {
        if (!keep_row(last, last->touched[i], vectors, columns)) {
            return false;
        }
    }
    last->touched_count = 0;
    return true;
}
