// Rooms for decoded rows that scans leave behind for the next one: a lookup takes a few hundred
// KiB of them, and what goes back to the system has to be faulted in again.
//
// One for each engine handle. What was given last is kept. Thread-safe.
#pragma once

#include <stddef.h>

struct k2_room_pool; // opaque; NULL stands for one that keeps nothing

struct k2_room_pool *k2_room_pool_create(size_t most_bytes); // of rooms it keeps; NULL: no memory
void k2_room_pool_destroy(struct k2_room_pool *pool);        // every room was given back

// At least `size_bytes`, 64-byte aligned, with any content; NULL: no memory.
void *k2_room_pool_take(struct k2_room_pool *pool, size_t size_bytes);
void k2_room_pool_give(struct k2_room_pool *pool, void *room); // NULL is fine
