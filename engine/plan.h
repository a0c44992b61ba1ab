// The row groups that a read of one table, time range and snapshot needs, mapped.
//
// Made in one short LMDB transaction; the mappings pin the files (they may be unlinked meanwhile),
// so a plan needs no lease. Belongs to one thread.
#pragma once

#include "engine/engine.h"
#include "format/segment/row_group_view.h"

struct k2_plan_group {
    uint64_t segment_id, offset;
    uint32_t length_bytes, row_count;
    int64_t time_min_ns, time_max_ns;
    uint32_t instrument_min, instrument_max;
    uint64_t commit_min, commit_max; // snapshot ids of its rows; prune and skip the row test
    uint16_t level;
    struct k2_slice bytes; // of the group in the mapping
};

struct k2_plan {
    struct k2_plan_group *groups; // by (time_min, segment, offset)
    size_t group_count;
    uint64_t newest_snapshot;    // of the state that was planned against
    struct k2_segment_map *maps; // owned
    size_t map_count;
};

struct k2_plan_request {
    const struct k2_table *table;
    int64_t time_min_ns, time_max_ns; // inclusive both
    uint64_t snapshot;                // groups whose commit_min is newer are left out
    const uint32_t *instruments;      // sorted ids, NULL = all
    size_t instrument_count;
    bool unsorted_only; // leave out what a rewrite has sorted already (level > 0)
    bool headers_only;  // list the groups, map nothing
};

K2_MUST_CHECK enum k2_status k2_plan_open(struct k2_engine *engine,
                                          const struct k2_plan_request *request,
                                          struct k2_plan *plan, struct k2_error *error);
void k2_plan_close(struct k2_plan *plan);

// Checks and opens the view of a group; the caller closes it before the plan.
K2_MUST_CHECK enum k2_status k2_plan_view(const struct k2_plan *plan, size_t group_index,
                                          struct k2_row_group_view **view, struct k2_error *error);
