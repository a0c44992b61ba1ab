// Up to 1,024 values of one column: the unit in which rows are decoded, filtered and printed.
#pragma once

#include <stdint.h>

#include "format/base/bytes.h"
#include "format/schema/schema.h"

enum { K2_VECTOR_ROWS = 1024 };

// Points into storage that its producer names (a scan, a column reader): valid until the
// producer's next call.
struct k2_vector {
    enum k2_kind kind;
    uint8_t scale;
    const int64_t *values;        // fixed kinds, 64-byte aligned; null rows hold any value
    const struct k2_slice *texts; // text kinds; null rows hold an empty slice
    const uint8_t *valid;         // one byte a row, 1 = not null; NULL: no nulls
    bool alike;                   // all rows are as the first one; false: nobody has looked
};

// Storage for one decoded vector, owned by whoever decodes.
struct k2_vector_store {
    _Alignas(64) int64_t values[K2_VECTOR_ROWS + 64]; // SIMD kernels may write past the end
    struct k2_slice texts[K2_VECTOR_ROWS];
    uint8_t valid[K2_VECTOR_ROWS];
};
