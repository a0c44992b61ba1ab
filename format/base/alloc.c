#include "format/base/alloc.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static atomic_long allocations_left = -1; // test aid; -1: no limit
static void (*_Atomic watching)(void);    // test aid

static bool refused(void)
{
    long left = atomic_load_explicit(&allocations_left, memory_order_relaxed);
    if (left < 0) {
        return false;
    }
    void (*watch)(void) = atomic_load_explicit(&watching, memory_order_relaxed);
    if (watch != NULL) {
        watch();
    }
    if (left == 0) {
        return true;
    }
    atomic_store_explicit(&allocations_left, left - 1, memory_order_relaxed);
    return false;
}

void *k2_alloc(size_t size_bytes)
{
    return refused() ? NULL : malloc(size_bytes == 0 ? 1 : size_bytes);
}

void *k2_alloc_zero(size_t count, size_t item_bytes)
{
    return refused() ? NULL : calloc(count == 0 ? 1 : count, item_bytes == 0 ? 1 : item_bytes);
}

void *k2_realloc(void *memory, size_t count, size_t item_bytes)
{
    size_t size_bytes;
    if (__builtin_mul_overflow(count, item_bytes, &size_bytes) || refused()) {
        return NULL;
    }
    return realloc(memory, size_bytes == 0 ? 1 : size_bytes);
}

void *k2_alloc_aligned(size_t size_bytes)
{
    if (size_bytes > SIZE_MAX - 63 || refused()) {
        return NULL;
    }
    size_t rounded = (size_bytes + 63) & ~(size_t)63;
    return aligned_alloc(64, rounded == 0 ? 64 : rounded);
}

char *k2_alloc_text(const char *bytes, size_t size_bytes)
{
    char *copy = k2_alloc(size_bytes + 1);
    if (copy != NULL) {
        if (size_bytes > 0) {
            memcpy(copy, bytes, size_bytes);
        }
        copy[size_bytes] = '\0';
    }
    return copy;
}

void k2_free(void *memory)
{
    free(memory);
}

void k2_alloc_fail_after(long count)
{
    atomic_store(&allocations_left, count);
}

void k2_alloc_watch(void (*watch)(void))
{
    atomic_store(&watching, watch);
}
