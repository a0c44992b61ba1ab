#include "format/base/alloc.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/fault.h"

static bool refused(void)
{
    return k2_fault_due(K2_FAULT_MEMORY);
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
    k2_fault_after(K2_FAULT_MEMORY, count);
}
