// Parquet's DELTA_BINARY_PACKED: 64-bit integers as differences, bit-packed 32 at a time.
#pragma once

#include "format/base/buffer.h"

// Appends the values as one such stream. `value_count` may be 0. Check `out`.
void k2_parquet_delta_put(struct k2_buffer *out, const int64_t *values, size_t value_count);

// Reads the stream of exactly `value_count` values, whoever wrote it; false: it is not that.
K2_MUST_CHECK bool k2_parquet_delta_read(struct k2_byte_reader *bytes, int64_t *values,
                                         size_t value_count);
