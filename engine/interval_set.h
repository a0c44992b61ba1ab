// A set of int64 as disjoint closed intervals: the sequences seen of a dense source.
//
// A value owned by its user; not shared. Everything between two intervals is an open gap.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "format/base/buffer.h"

enum { K2_MAX_INTERVALS = 10000 }; // beyond, the source is not dense

struct k2_interval {
    int64_t first, last;
};

struct k2_interval_set {
    struct k2_interval *items; // owned, ascending, neither touching nor overlapping
    size_t count, room;
};

void k2_interval_set_deinit(struct k2_interval_set *set);

bool k2_interval_set_has(const struct k2_interval_set *set, int64_t value);

// `*added` is false when the value was there. K2_LIMIT: one interval too many, nothing changed.
K2_MUST_CHECK enum k2_status k2_interval_set_add(struct k2_interval_set *set, int64_t value,
                                                 bool *added, struct k2_error *error);

void k2_interval_set_put(const struct k2_interval_set *set, struct k2_buffer *out);
K2_MUST_CHECK enum k2_status k2_interval_set_read(struct k2_interval_set *set,
                                                  struct k2_slice bytes, struct k2_error *error);
