// Smallest and largest value of pages and chunks, as statistics want them.
#pragma once

#include "format/base/buffer.h"

enum { K2_PARQUET_BOUND_BYTES = 64 }; // longer texts are cut in statistics

// One bound as it is written: the bytes of a PLAIN value without a length.
struct k2_parquet_bound {
    uint8_t bytes[K2_PARQUET_BOUND_BYTES];
    uint8_t size_bytes;
    bool exact; // false: cut, so that no value is smaller (or larger)
};

// Cuts UTF-8 texts after whole characters. A maximum that was cut is raised; false if there is no
// such text (all U+10FFFF, no UTF-8), and `bound` then means nothing.
void k2_parquet_bound_min(struct k2_parquet_bound *bound, struct k2_slice value);
K2_MUST_CHECK bool k2_parquet_bound_max(struct k2_parquet_bound *bound, struct k2_slice value);
