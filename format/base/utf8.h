// UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "format/base/buffer.h"

bool k2_utf8_is_valid(struct k2_slice text);

// The length in bytes of the well-formed character at the start of `text` (not empty), or 0.
size_t k2_utf8_length(struct k2_slice text);

// Writes 1 to 4 bytes of a code point up to 0x10ffff and returns how many.
size_t k2_utf8_write(uint8_t bytes[4], uint32_t code_point);

// Appends `text` with U+FFFD in place of each byte that belongs to no character. Check `out`.
void k2_utf8_put_mended(struct k2_buffer *out, struct k2_slice text);
