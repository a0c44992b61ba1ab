#include "format/base/arena.h"

#include <stdalign.h>

#include "format/base/alloc.h"

enum { CHUNK_BYTES = 1 << 16 };

struct k2_arena_chunk {
    struct k2_arena_chunk *next;
    size_t size_bytes;
    alignas(max_align_t) uint8_t bytes[];
};

void k2_arena_deinit(struct k2_arena *arena)
{
    while (arena->chunks != NULL) {
        struct k2_arena_chunk *next = arena->chunks->next;
        k2_free(arena->chunks);
        arena->chunks = next;
    }
    *arena = (struct k2_arena){0};
}

void *k2_arena_alloc(struct k2_arena *arena, size_t size_bytes)
{
    const size_t alignment = alignof(max_align_t);
    if (size_bytes > SIZE_MAX / 2) {
        return NULL;
    }
    size_bytes = (size_bytes + alignment - 1) / alignment * alignment;
    if (arena->chunks == NULL || arena->room_bytes < size_bytes) {
        size_t chunk_bytes = size_bytes > CHUNK_BYTES / 4 ? size_bytes : CHUNK_BYTES;
        struct k2_arena_chunk *chunk = k2_alloc_zero(1, sizeof *chunk + chunk_bytes);
        if (chunk == NULL) {
            return NULL;
        }
        chunk->size_bytes = chunk_bytes;
        chunk->next = arena->chunks;
        arena->chunks = chunk;
        arena->room_bytes = chunk_bytes;
    }
    uint8_t *memory = arena->chunks->bytes + (arena->chunks->size_bytes - arena->room_bytes);
    arena->room_bytes -= size_bytes;
    return memory;
}

char *k2_arena_text(struct k2_arena *arena, struct k2_slice text)
{
    char *copy = k2_arena_alloc(arena, text.size_bytes + 1);
    if (copy != NULL && text.size_bytes > 0) {
        memcpy(copy, text.data, text.size_bytes);
    }
    return copy;
}
