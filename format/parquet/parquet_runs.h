// Parquet's hybrid of runs and bit-packed groups, for dictionary indexes and definition levels.
#pragma once

#include "format/base/buffer.h"

// The fewest bits that hold `value`; 0 for 0.
unsigned k2_parquet_bit_width(uint32_t value);

// Appends `length` times the same value.
void k2_parquet_put_run(struct k2_buffer *out, uint32_t value, size_t length, unsigned bit_width);

// Appends `count` values of at most `bit_width` bits (0 to 32), without any length before them.
void k2_parquet_put_runs(struct k2_buffer *out, const uint32_t *values, size_t count,
                         unsigned bit_width);
