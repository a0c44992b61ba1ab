// The only door to malloc, so that tests can let the Nth allocation fail.
//
// Thread-safe. Memory from here is freed with k2_free, also by other threads.
#pragma once

#include <stddef.h>

// NULL when memory is short. Zero bytes give a pointer that may be freed.
void *k2_alloc(size_t size_bytes);

// Zeroed; NULL also when count * item_bytes overflows.
void *k2_alloc_zero(size_t count, size_t item_bytes);

// `memory` stays valid when NULL is returned.
void *k2_realloc(void *memory, size_t count, size_t item_bytes);

// 64-byte aligned, size rounded up to 64; freed with k2_free like any other.
void *k2_alloc_aligned(size_t size_bytes);

// A NUL-terminated copy of `size_bytes` bytes.
char *k2_alloc_text(const char *bytes, size_t size_bytes);

void k2_free(void *memory);

// Test aid: the next `count` allocations succeed, all later ones fail; -1 turns it off.
void k2_alloc_fail_after(long count);
