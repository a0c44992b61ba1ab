// Small pieces of memory that live and die together. Belongs to one thread.
#pragma once

#include "format/base/bytes.h"

struct k2_arena_chunk;

// Zeroed is empty and may be deinited.
struct k2_arena {
    struct k2_arena_chunk *chunks; // newest first
    size_t room_bytes;             // left in the newest
};

void k2_arena_deinit(struct k2_arena *arena);

// Zeroed, aligned for any type; NULL when memory is short.
void *k2_arena_alloc(struct k2_arena *arena, size_t size_bytes);
// A copy with a NUL behind it.
char *k2_arena_text(struct k2_arena *arena, struct k2_slice text);
