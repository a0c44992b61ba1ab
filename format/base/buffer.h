// A growing byte buffer with a ceiling.
//
// A put that finds no memory, or would pass the ceiling, turns `failed` on and changes nothing;
// put everything, then check once with k2_buffer_check. Not thread-safe.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/base/bytes.h"
#include "format/base/status.h"

struct k2_buffer {
    uint8_t *data;     // owned
    size_t size_bytes; // used
    size_t room_bytes; // allocated
    size_t ceiling_bytes;
    bool failed;
    bool limited; // it failed for want of room below the ceiling
};

// Allocates nothing yet. A zeroed struct is a buffer whose ceiling is 0, and may be deinited.
void k2_buffer_init(struct k2_buffer *buffer, size_t ceiling_bytes);
void k2_buffer_deinit(struct k2_buffer *buffer);

// Forgets the content, keeps the memory, turns `failed` off.
void k2_buffer_clear(struct k2_buffer *buffer);

// Room for `size_bytes` more at the end, counted as used and not initialised; NULL on failure.
// The pointer holds until the next put.
uint8_t *k2_buffer_extend(struct k2_buffer *buffer, size_t size_bytes);

void k2_put_bytes(struct k2_buffer *buffer, const void *bytes, size_t size_bytes);
void k2_put_zeros(struct k2_buffer *buffer, size_t size_bytes);
void k2_put_text(struct k2_buffer *buffer, const char *text); // without the NUL
void k2_put_format(struct k2_buffer *buffer, const char *format, ...) K2_PRINTF(2, 3);
void k2_put_u8(struct k2_buffer *buffer, uint8_t value);
void k2_put_u16(struct k2_buffer *buffer, uint16_t value);
void k2_put_u32(struct k2_buffer *buffer, uint32_t value);
void k2_put_u64(struct k2_buffer *buffer, uint64_t value);
void k2_put_i64(struct k2_buffer *buffer, int64_t value);
void k2_put_varint(struct k2_buffer *buffer, uint64_t value);

// Zeros up to a multiple of `alignment_bytes` (a power of two).
void k2_put_padding(struct k2_buffer *buffer, size_t alignment_bytes);

// Overwrites bytes that were put before; `offset` + 4 or 8 lies within the used bytes.
void k2_buffer_patch_u32(struct k2_buffer *buffer, size_t offset, uint32_t value);
void k2_buffer_patch_u64(struct k2_buffer *buffer, size_t offset, uint64_t value);

static inline struct k2_slice k2_buffer_slice(const struct k2_buffer *buffer)
{
    return (struct k2_slice){buffer->data, buffer->size_bytes};
}

// K2_OK, or K2_NO_MEMORY / K2_LIMIT with `what` in the text.
K2_MUST_CHECK enum k2_status k2_buffer_check(const struct k2_buffer *buffer, const char *what,
                                             struct k2_error *error);
