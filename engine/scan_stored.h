// Reads the row groups of a plan one after the other, block by block, without order: what decoding
// costs is what it costs. Belongs to one thread.
#pragma once

#include "engine/group_set.h"

struct k2_row_range {
    uint32_t begin, end;
};

// Zeroed is at the first group, and may be deinited.
struct k2_scan_stored {
    size_t group;          // index in the plan, or in `order`
    const uint32_t *order; // of groups, by index in the plan; borrowed. NULL: as they are planned
    size_t order_count;
    bool entered;   // `whole` and `ranges` hold for the group
    bool whole;     // every row of the group is wanted
    uint32_t block; // the next one
    size_t entry;   // the one with the next block's first row
    // What the vectors of names hold from their first row on, since the group was entered.
    struct k2_filled_name {
        struct k2_slice name;
        uint32_t row_count;
    } filled[2];                 // symbol, exchange
    struct k2_row_range *ranges; // wanted rows by time, instrument and snapshot, ascending
    size_t range_count, range_capacity;
    size_t range; // the first that reaches into the next block
};

struct k2_stored_request {
    int64_t first_ns, last_ns; // inclusive both
};

void k2_scan_stored_deinit(struct k2_scan_stored *stored);

// The rows wanted of the next block that has any; `*row_count` 0 behind the last group. Vectors
// point into `stores` (by output) and the group, and hold until the next call.
K2_MUST_CHECK enum k2_status
k2_scan_stored_next(struct k2_scan_stored *stored, struct k2_group_set *set,
                    const struct k2_stored_request *request, struct k2_vector_store *stores,
                    struct k2_vector *vectors, size_t *row_count, struct k2_error *error);

// If output `index` is kept as differences to one that stands before it, which `vectors` has of the
// same block, or to the times by which the rows were found: lends that to its reader. Not `all`:
// vectors may have been narrowed.
void k2_scan_stored_lend(const struct k2_group_set *set, struct k2_column_reader *reader,
                         const struct k2_group_cursor *cursor, uint32_t block, size_t index,
                         const struct k2_vector *vectors, bool all);
