// Which of two rising lists of times an as-of join pairs. Pure.
#pragma once

#include <stddef.h>
#include <stdint.h>

// For each left time, as far as the right times at hand decide: `first` plus the number of right
// times that are not later, into `rows`. Gives the number of left times decided: all, or those
// before the last right time, when the right times to come may also be in question. `*passed` is
// the number of right times that are in force at, or before, the next left time; all of them in
// the second case. Both lists have at least one time and at most 2^30.
size_t k2_asof_merge(const int64_t *left, size_t left_count, const int64_t *right,
                     size_t right_count, int32_t first, int32_t *rows, size_t *passed);
