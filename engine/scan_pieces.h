// One instrument's rows in order of time, straight from the row groups: where its pieces, a
// directory entry of each group, follow each other, nothing needs to be gathered or sorted.
//
// Groups are looked at a stretch of time at a time, as far as those reach that have its begin.
// Where rows lie as they came that is a group or two, so that a scan that ends soon opens few.
#pragma once

#include "engine/group_set.h"

// Zeroed is empty and may be deinited.
struct k2_scan_pieces {
    uint32_t *groups; // by index in the plan, in the order of their pieces
    size_t group_count, capacity;
    bool known;         // what follows holds for the plan at hand
    bool ordered;       // every row of a piece is behind all of the piece before
    int64_t last_ns;    // up to which the stretch reaches
    size_t first_group; // of the plan: those before end before the stretch begins
};

void k2_scan_pieces_deinit(struct k2_scan_pieces *pieces);

// The order of an instrument's pieces: by their first times, then sequences.
int k2_scan_piece_compare(const struct k2_directory_entry *left,
                          const struct k2_directory_entry *right);
// Is every row of the right one behind all of the left one? Else they are not read one behind the
// other.
bool k2_scan_piece_follows(const struct k2_directory_entry *left,
                           const struct k2_directory_entry *right);

// Looks at the pieces of the set's only instrument in the stretch that begins at `first_ns` and
// ends at `last_ns` or before. The plan's stretches are asked for one behind the other; of a new
// plan `known` is false.
K2_MUST_CHECK enum k2_status k2_scan_pieces_find(struct k2_scan_pieces *pieces,
                                                 struct k2_group_set *set, int64_t first_ns,
                                                 int64_t last_ns, struct k2_error *error);
