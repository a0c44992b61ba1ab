// Zstandard: pieces that are whole in memory.
#pragma once

#include "format/base/buffer.h"

// Appends `bytes` compressed if that saves an eighth or more; else gives false and appends nothing.
// Gives false also when memory is short. At level 3, or `fast` at level 1, in half the time.
bool k2_zstd_append(struct k2_buffer *out, struct k2_slice bytes, bool fast);

// Exactly `size_bytes` of `compressed` to `bytes`; false if they are not that.
bool k2_zstd_decompress(struct k2_slice compressed, uint8_t *bytes, size_t size_bytes);

// Compresses many pieces with one working memory; belongs to one thread.
struct k2_zstd_compressor;
struct k2_zstd_compressor *k2_zstd_compressor_create(void); // NULL when memory is short
void k2_zstd_compressor_destroy(struct k2_zstd_compressor *compressor);

enum k2_zstd_content {
    K2_ZSTD_NUMBERS = 0,
    K2_ZSTD_TEXTS, // short ones with their lengths: matches are looked for at fewer places
};

// Appends `bytes` as one frame, also where that is longer. Check `out`.
void k2_zstd_compress(struct k2_zstd_compressor *compressor, struct k2_slice bytes,
                      enum k2_zstd_content content, struct k2_buffer *out);
