// Care of an exported table: snapshots that nobody needs any more, small files, files that nothing
// names. Belongs to one thread.
#pragma once

#include "query/export/exporter.h"

struct k2_care_result {
    uint64_t snapshots_removed;
    uint64_t files_before, files_after; // data files of the table
    uint64_t files_removed, bytes_removed;
    uint64_t days_skipped; // compact: the store no longer has the rows of their files
};

struct k2_care_options {
    int64_t
        older_than_ms;  // age; -1: expire: what the table says (history.expire...), orphans: a day
    uint64_t keep;      // expire: at least as many snapshots; 0: what the table says
    size_t least_files; // compact: a day with fewer small files stays, and one file much larger
                        // than those after it does; 0: all that are small, from two on
    bool dry_run;       // orphans: count only
};

// Removes snapshots that are too old, and the files that only they need.
K2_MUST_CHECK enum k2_status k2_table_expire(struct k2_table_place *place,
                                             const struct k2_care_options *options,
                                             struct k2_care_result *result, struct k2_error *error);

// Removes files below the table's location that are older than older_than_ms and that none of its
// snapshots and metadata files names. Younger ones may belong to a commit that is under way.
K2_MUST_CHECK enum k2_status k2_table_orphans(struct k2_table_place *place,
                                              const struct k2_care_options *options,
                                              struct k2_care_result *result,
                                              struct k2_error *error);

// Writes the small files of each day anew as few large ones, from the rows of the store. Only files
// that this store exported and that nobody has rewritten; a day of which the store does not have
// just these rows any more (retention) stays as it is. Many small manifests become one.
K2_MUST_CHECK enum k2_status
k2_table_compact(struct k2_table_place *place, struct k2_engine *engine,
                 const struct k2_table *table, const struct k2_care_options *options,
                 struct k2_care_result *result, struct k2_error *error);
