// Sorts the rows of a window by time; pure.
#pragma once

#include <stddef.h>
#include <stdint.h>

// Sorts numbers by their bits from `low_bit` on; those that are equal there keep their order.
// `spare` has room for `count` too. The result is `numbers` or `spare`, whichever is returned.
uint64_t *k2_sort_by_high_bits(uint64_t *numbers, uint64_t *spare, size_t count, unsigned low_bit);
