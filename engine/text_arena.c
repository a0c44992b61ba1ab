#include "engine/text_arena.h"

#include <string.h>

#include "format/base/alloc.h"

enum { FIRST_CHUNK_BYTES = 512, CHUNK_BYTES = 64 * 1024 };

struct k2_text_chunk {
    struct k2_text_chunk *next;
    size_t size_bytes;
    uint8_t data[];
};

static bool add_chunk(struct k2_text_arena *arena, size_t needed_bytes)
{
    size_t usual = arena->chunks == NULL ? FIRST_CHUNK_BYTES : CHUNK_BYTES;
    size_t size = needed_bytes > usual ? needed_bytes : usual;
    struct k2_text_chunk *chunk = k2_alloc(sizeof *chunk + size);
    if (chunk == NULL) {
        return false;
    }
    chunk->next = arena->chunks;
    chunk->size_bytes = size;
    arena->chunks = chunk;
    arena->room_bytes = size;
    return true;
}

bool k2_text_arena_copy(struct k2_text_arena *arena, struct k2_slice text, struct k2_slice *copy)
{
    if (text.size_bytes == 0) {
        *copy = (struct k2_slice){0};
        return true;
    }
    if (text.size_bytes > arena->room_bytes && !add_chunk(arena, text.size_bytes)) {
        return false;
    }
    struct k2_text_chunk *chunk = arena->chunks;
    uint8_t *place = chunk->data + (chunk->size_bytes - arena->room_bytes);
    memcpy(place, text.data, text.size_bytes);
    arena->room_bytes -= text.size_bytes;
    arena->used_bytes += text.size_bytes;
    *copy = (struct k2_slice){place, text.size_bytes};
    return true;
}

static void free_chunks(struct k2_text_chunk *chunk)
{
    while (chunk != NULL) {
        struct k2_text_chunk *next = chunk->next;
        k2_free(chunk);
        chunk = next;
    }
}

void k2_text_arena_clear(struct k2_text_arena *arena)
{
    arena->used_bytes = 0;
    if (arena->chunks != NULL) {
        free_chunks(arena->chunks->next);
        arena->chunks->next = NULL;
        arena->room_bytes = arena->chunks->size_bytes;
    }
}

void k2_text_arena_deinit(struct k2_text_arena *arena)
{
    free_chunks(arena->chunks);
    *arena = (struct k2_text_arena){0};
}
