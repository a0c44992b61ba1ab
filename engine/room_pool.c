#include "engine/room_pool.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "format/base/alloc.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else // a room that was given back may be touched without being found out
#define ASAN_POISON_MEMORY_REGION(bytes, size) ((void)(bytes), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(bytes, size) ((void)(bytes), (void)(size))
#endif

enum { MOST_ROOMS = 32, MOST_WASTE = 2 };

// Before each room.
struct head {
    _Alignas(64) size_t size_bytes; // of the room
};

struct k2_room_pool {
    pthread_mutex_t lock; // guards all below
    size_t most_bytes, bytes;
    struct head *rooms[MOST_ROOMS]; // the last one was given last
    size_t count;
};

struct k2_room_pool *k2_room_pool_create(size_t most_bytes)
{
    struct k2_room_pool *pool = k2_alloc_zero(1, sizeof *pool);
    if (pool != NULL) {
        (void)pthread_mutex_init(&pool->lock, NULL);
        pool->most_bytes = most_bytes;
    }
    return pool;
}

static void free_room(struct head *head)
{
    ASAN_UNPOISON_MEMORY_REGION(head + 1, head->size_bytes);
    k2_free(head);
}

void k2_room_pool_destroy(struct k2_room_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    for (size_t i = 0; i < pool->count; i++) {
        free_room(pool->rooms[i]);
    }
    (void)pthread_mutex_destroy(&pool->lock);
    k2_free(pool);
}

// The room kept last that fits and is not far too large.
static struct head *take_kept(struct k2_room_pool *pool, size_t size_bytes)
{
    struct head *found = NULL;
    (void)pthread_mutex_lock(&pool->lock);
    for (size_t i = pool->count; i > 0 && found == NULL; i--) {
        struct head *head = pool->rooms[i - 1];
        if (head->size_bytes >= size_bytes && head->size_bytes / MOST_WASTE <= size_bytes) {
            found = head;
            pool->count--;
            for (; i <= pool->count; i++) {
                pool->rooms[i - 1] = pool->rooms[i];
            }
            pool->bytes -= head->size_bytes;
            break;
        }
    }
    (void)pthread_mutex_unlock(&pool->lock);
    return found;
}

void *k2_room_pool_take(struct k2_room_pool *pool, size_t size_bytes)
{
    struct head *head = pool == NULL ? NULL : take_kept(pool, size_bytes);
    if (head != NULL) {
        ASAN_UNPOISON_MEMORY_REGION(head + 1, head->size_bytes);
        return head + 1;
    }
    if (size_bytes > SIZE_MAX - sizeof *head) {
        return NULL;
    }
    head = k2_alloc_aligned(sizeof *head + size_bytes);
    if (head == NULL) {
        return NULL;
    }
    head->size_bytes = size_bytes;
    return head + 1;
}

// Of the rooms kept those go that were given first, until `size_bytes` more may be kept.
static void make_room(struct k2_room_pool *pool, size_t size_bytes)
{
    size_t gone = 0;
    for (; gone < pool->count &&
           (pool->count - gone == MOST_ROOMS || pool->bytes > pool->most_bytes - size_bytes);
         gone++) {
        pool->bytes -= pool->rooms[gone]->size_bytes;
        free_room(pool->rooms[gone]);
    }
    pool->count -= gone;
    for (size_t i = 0; i < pool->count; i++) {
        pool->rooms[i] = pool->rooms[i + gone];
    }
}

void k2_room_pool_give(struct k2_room_pool *pool, void *room)
{
    if (room == NULL) {
        return;
    }
    struct head *head = (struct head *)room - 1;
    if (pool == NULL || head->size_bytes > pool->most_bytes) {
        k2_free(head);
        return;
    }
    ASAN_POISON_MEMORY_REGION(room, head->size_bytes);
    (void)pthread_mutex_lock(&pool->lock);
    make_room(pool, head->size_bytes);
    pool->rooms[pool->count++] = head;
    pool->bytes += head->size_bytes;
    (void)pthread_mutex_unlock(&pool->lock);
}
