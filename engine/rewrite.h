// One rewrite: row groups of a table become others with the same rows, sorted together.
//
//   open (inputs)  -> run (windows)  -> swap -> close
//
// Open and run read, and write a file of their own; they disturb nobody and may take their time.
// Swap takes the inputs out of the index and puts the outputs in, in one transaction, and is all
// that commits have to wait for. Every row keeps the snapshot that brought it, so no answer
// changes, and a rewrite makes no snapshot. The headers of the outputs name what they replace, so
// that `k2 repair` knows it too (format/segment/SEGMENT.md).
//
// Any thread. The caller holds the engine's rewrite lock (k2_rewrite_lock) from choosing the inputs
// until the end: nobody else takes groups out of the index meanwhile.
#pragma once

#include "engine/engine.h"
#include "engine/journal.h"
#include "engine/rewrite_merge.h"
#include "engine/rewrite_versions.h"

struct k2_rewrite; // opaque

void k2_rewrite_lock(struct k2_engine *engine);
void k2_rewrite_unlock(struct k2_engine *engine);

// `groups` (copied) are groups of `table` in the index.
K2_MUST_CHECK enum k2_status k2_rewrite_open(struct k2_rewrite **rewrite, struct k2_engine *engine,
                                             const struct k2_table *table,
                                             const struct k2_plan_group *groups, size_t group_count,
                                             struct k2_error *error);

// The inputs, mapped; borrowed.
const struct k2_plan *k2_rewrite_inputs(const struct k2_rewrite *rewrite);

struct k2_rewrite_options {
    // Disjoint; together they take every row. In this order they are written.
    const struct k2_rewrite_window *windows;
    size_t window_count;
    const struct k2_rewrite_floors *floors; // NULL: none
    int64_t daily_before_ns; // an hourly group that ends before it counts as a daily one
    // What to drop; NULL: nothing. Windows may then leave out rows before its cut.
    const struct k2_retain_rule *retain;
    // Called behind each group written: may wait, and ends the rewrite with what is not K2_OK.
    enum k2_status (*pace)(void *context, uint64_t rows, uint64_t bytes, struct k2_error *error);
    void *context;
};

// Merges, writes and syncs. K2_CORRUPT: the inputs are not what the index says.
K2_MUST_CHECK enum k2_status k2_rewrite_run(struct k2_rewrite *rewrite,
                                            const struct k2_rewrite_options *options,
                                            struct k2_error *error);

struct k2_rewrite_report {
    uint64_t rows, dropped, groups_before, groups_after, bytes_before, bytes_after;
};

// K2_NO_SPACE: nothing changed. K2_IO: as k2_commit_finish.
K2_MUST_CHECK enum k2_status k2_rewrite_swap(struct k2_rewrite *rewrite,
                                             struct k2_rewrite_report *report,
                                             struct k2_error *error);

// Rows that run has dropped.
uint64_t k2_rewrite_dropped(const struct k2_rewrite *rewrite);

// The same as a step of history: together with a snapshot, entries of `_log` and a change.
K2_MUST_CHECK enum k2_status k2_rewrite_swap_logged(struct k2_rewrite *rewrite,
                                                    const struct k2_snapshot *snapshot,
                                                    const struct k2_journal_entry *entries,
                                                    size_t entry_count, k2_journal_change *change,
                                                    void *context, struct k2_rewrite_report *report,
                                                    struct k2_error *error);

// What the rewrite replaces, as bytes for `_log`: u64 segment, begin, end of each range.
void k2_rewrite_put_inputs(const struct k2_rewrite *rewrite, struct k2_buffer *out);

// Removes what was written and did not become part of the store. NULL is fine.
void k2_rewrite_close(struct k2_rewrite *rewrite);

// Retires segments in which no group counts and to which nothing is appended: what folds have left
// of a tail.
K2_MUST_CHECK enum k2_status k2_rewrite_retire_empty(struct k2_engine *engine,
                                                     struct k2_error *error);
