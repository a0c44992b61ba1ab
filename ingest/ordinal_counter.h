// Numbers rows without a sequence: the n-th row of its instrument at its timestamp in one input.
//
// Exact with bounded memory: counts of the (instrument, time) pairs used last are remembered. A row
// whose count may have been forgotten is told so, never given a wrong number; an input in time
// order per instrument never meets that. Belongs to one thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "format/base/status.h"

struct k2_ordinal_counter; // opaque

// `pair_ceiling`: pairs of each of two generations; 0: the default, 786,432 (32 MiB in all).
K2_MUST_CHECK enum k2_status k2_ordinal_counter_create(struct k2_ordinal_counter **counter,
                                                       size_t pair_ceiling, struct k2_error *error);
void k2_ordinal_counter_destroy(struct k2_ordinal_counter *counter);

// Begins another input.
void k2_ordinal_counter_clear(struct k2_ordinal_counter *counter);

// The number of the next row of `instrument` (small numbers from 0) at `time_ns`, from 1.
// `*known` is false when it can not be known any more: the row is out of order by too much.
K2_MUST_CHECK enum k2_status k2_ordinal_counter_next(struct k2_ordinal_counter *counter,
                                                     uint32_t instrument, int64_t time_ns,
                                                     bool *known, int64_t *ordinal,
                                                     struct k2_error *error);
