// The first half of decoding BINS on machines with BMI2, shared by their kernels: the tree is
// walked for 64 rows at a time, as masks.
#pragma once

#include "format/codec/bins.h"

enum {
    K2_BINS_PLANES = 4, // bits of a bin's number
    K2_BINS_WORDS = K2_BITPACK_VALUES / 64,
};

// planes[i][k]: bit k of the numbers of the bins of rows 64 i to 64 i + 63; 0 behind the last row.
void k2_bins_walk(const struct k2_bins_tree *tree, const uint8_t *bitmaps, size_t count,
                  uint64_t planes[K2_BINS_WORDS][K2_BINS_PLANES]);
