// Copies of short texts that live and die together; their addresses stay.
//
// Belongs to one thread.
#pragma once

#include <stdbool.h>

#include "format/base/bytes.h"

struct k2_text_chunk;

// Zeroed is empty and may be deinited.
struct k2_text_arena {
    struct k2_text_chunk *chunks; // owned; the first one is being filled
    size_t used_bytes;            // of all chunks
    size_t room_bytes;            // left in the first chunk
};

// A copy of `text` in `*copy`, valid until clear or deinit. False when memory is short.
bool k2_text_arena_copy(struct k2_text_arena *arena, struct k2_slice text, struct k2_slice *copy);

// Forgets all texts; keeps at most one chunk.
void k2_text_arena_clear(struct k2_text_arena *arena);
void k2_text_arena_deinit(struct k2_text_arena *arena);
