// The last row of each instrument, while an as-of join moves on: columns of a vector that is still
// at hand, or a copy of them. Part of engine/asof; belongs to one thread.
#pragma once

#include "format/segment/vector.h"

enum { K2_ASOF_NO_ROW = -1 };

struct k2_asof_text {
    uint8_t *data; // owned
    size_t size_bytes, room_bytes;
};

struct k2_asof_place {
    int32_t row;  // in the vectors at hand, or K2_ASOF_NO_ROW
    bool present; // there is a copy
    bool sought;  // what is before the range was looked for
};

// Zeroed is empty and closable.
struct k2_asof_last {
    size_t column_count;
    size_t place_count, place_room;
    struct k2_asof_place *places; // by instrument
    // Copies, by instrument and column.
    int64_t *values;
    uint8_t *valid;
    struct k2_asof_text *texts; // NULL: no column is of a text kind
    bool has_texts;
    uint32_t *touched; // instruments whose row is at hand
    size_t touched_count;
};

void k2_asof_last_init(struct k2_asof_last *last, size_t column_count, bool has_texts);
void k2_asof_last_deinit(struct k2_asof_last *last);

// There are places for the instruments 0 to `count` - 1; new ones have no row.
K2_MUST_CHECK bool k2_asof_last_reserve(struct k2_asof_last *last, size_t count);

// Forgets all rows, keeps the memory.
void k2_asof_last_clear(struct k2_asof_last *last);

static inline void k2_asof_last_set(struct k2_asof_last *last, uint32_t instrument, int32_t row)
{
    if (last->places[instrument].row == K2_ASOF_NO_ROW) {
        last->touched[last->touched_count++] = instrument;
    }
    last->places[instrument].row = row;
}

// Copies the rows at hand of all instruments; `columns[i]` is where column i stands in `vectors`.
K2_MUST_CHECK bool k2_asof_last_keep(struct k2_asof_last *last, const struct k2_vector *vectors,
                                     const size_t *columns);
