// One instrument's rows in order of time, straight from the row groups: where its pieces, a
// directory entry of each group, follow each other, nothing needs to be gathered or sorted.
#pragma once

#include "engine/group_set.h"

// Zeroed is empty and may be deinited.
struct k2_scan_pieces {
    uint32_t *groups; // by index in the plan, in the order of their pieces
    size_t group_count, capacity;
    bool known;   // `ordered` holds for the plan at hand
    bool ordered; // every row of a piece is behind all of the piece before
};

void k2_scan_pieces_deinit(struct k2_scan_pieces *pieces);

// Looks at the pieces of the set's only instrument that have rows of [first_ns, last_ns].
K2_MUST_CHECK enum k2_status k2_scan_pieces_find(struct k2_scan_pieces *pieces,
                                                 struct k2_group_set *set, int64_t first_ns,
                                                 int64_t last_ns, struct k2_error *error);
