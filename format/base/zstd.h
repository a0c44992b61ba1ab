// Zstandard, for texts: short pieces, whole in memory.
#pragma once

#include "format/base/buffer.h"

// Appends `bytes` compressed at level 3 if that saves an eighth or more; else gives false and
// appends nothing. Gives false also when memory is short.
bool k2_zstd_append(struct k2_buffer *out, struct k2_slice bytes);

// Exactly `size_bytes` of `compressed` to `bytes`; false if they are not that.
bool k2_zstd_decompress(struct k2_slice compressed, uint8_t *bytes, size_t size_bytes);
