// Merges the row groups of a plan: rows of one table in the order of their keys, a window of time
// after the other, in batches as large as a row group.
//
// Holds the decoded blocks of the groups that overlap the window, and nothing of the rows before.
// Belongs to one thread.
#pragma once

#include "engine/plan.h"
#include "format/segment/row_batch.h"

// Rows of [first_ns, last_ns], as one piece sorted by instrument. `late` ones instead: those that
// are not behind the floor of their instrument, whenever they are.
struct k2_rewrite_window {
    int64_t first_ns, last_ns;
    uint16_t level; // enum k2_level: where its rows go
    bool late;
};

// By instrument id: the greatest time that is sorted already; INT64_MIN, or behind the end: none.
// Windows that are not late take only what is behind it.
struct k2_rewrite_floors {
    int64_t *times_ns;
    size_t count;
};

struct k2_rewrite_merge; // opaque

// Borrows all three until destroy; `floors` may be NULL.
K2_MUST_CHECK enum k2_status k2_rewrite_merge_create(struct k2_rewrite_merge **merge,
                                                     const struct k2_table *table,
                                                     const struct k2_plan *plan,
                                                     const struct k2_rewrite_floors *floors,
                                                     struct k2_error *error);
void k2_rewrite_merge_destroy(struct k2_rewrite_merge *merge);

// Goes on with the rows of `window` (copied).
K2_MUST_CHECK enum k2_status k2_rewrite_merge_begin(struct k2_rewrite_merge *merge,
                                                    const struct k2_rewrite_window *window,
                                                    struct k2_error *error);

// The names of the instruments in a batch; `context` of name_of.
struct k2_merged_names {
    struct k2_buffer bytes;
    struct merged_name {
        uint32_t instrument, exchange_bytes, symbol_bytes;
        size_t offset;
    } * names; // by instrument
    size_t count, room;
};
void k2_merged_names_deinit(struct k2_merged_names *names);
struct k2_instrument_name k2_merged_name_of(void *names, uint32_t instrument);

// Fills the batch (made with commits, for K2_MERGED_MOST_ROWS), which it empties before, with the
// next rows, sorted; none at the end of the window. It ends at K2_MERGED_ROWS, or behind all rows
// that have the last key, if those are not more than there is room.
enum { K2_MERGED_ROWS = K2_GROUP_ROWS, K2_MERGED_MOST_ROWS = K2_GROUP_ROWS + 1024 };
K2_MUST_CHECK enum k2_status k2_rewrite_merge_next(struct k2_rewrite_merge *merge,
                                                   struct k2_row_batch *batch,
                                                   struct k2_merged_names *names,
                                                   struct k2_error *error);
