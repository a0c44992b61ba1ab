// The row groups that a read of one table, time range and snapshot needs, mapped.
//
// Made in one short LMDB transaction; the mappings pin the files (they may be unlinked meanwhile),
// so a plan needs no lease. Mappings and opened groups come from the engine's cache and go back
// there. Belongs to one thread.
#pragma once

#include "engine/engine.h"
#include "engine/store.h"
#include "engine/view_cache.h"

struct k2_plan_group {
    uint64_t segment_id, offset;
    uint32_t length_bytes, row_count;
    int64_t time_min_ns, time_max_ns;
    uint32_t instrument_min, instrument_max;
    uint64_t commit_min, commit_max; // snapshot ids of its rows; prune and skip the row test
    uint16_t level;
    bool versions;               // rows of it replace or delete older ones, or were replaced
    struct k2_cached_map *map;   // borrowed from plan->maps; NULL unless plan->is_mapped
    struct k2_cached_view *view; // of k2_plan_acquire
};

struct k2_plan {
    struct k2_plan_group *groups; // by (time_min, segment, offset)
    size_t group_count;
    uint64_t newest_snapshot; // of the state that was planned against
    bool is_mapped;           // the groups can be opened
    struct k2_cached_map **maps;
    size_t map_count;
    struct k2_view_cache *cache;     // of the engine, or `own_cache`
    struct k2_view_cache *own_cache; // of a fresh plan
};

struct k2_plan_request {
    const struct k2_table *table;
    int64_t time_min_ns, time_max_ns; // inclusive both
    uint64_t snapshot;                // groups whose commit_min is newer are left out
    uint64_t commit_after;            // and those whose commit_max is not newer than this; 0: none
    const uint32_t *instruments;      // sorted ids, NULL = all
    size_t instrument_count;
    bool with_history;  // also groups in which every row was replaced before `snapshot`
    bool unsorted_only; // leave out what is sorted (k2_level_is_sorted)
    bool headers_only;  // list the groups, map nothing
    bool fresh;         // map and check anew, past the cache: for whoever writes what was read
    size_t most_mapped; // map nothing if there are more groups; 0: no limit
};

// All groups of a table as it is now: listed, not mapped.
static inline struct k2_plan_request k2_plan_listing(const struct k2_table *table)
{
    return (struct k2_plan_request){.table = table,
                                    .time_min_ns = INT64_MIN,
                                    .time_max_ns = INT64_MAX,
                                    .snapshot = UINT64_MAX,
                                    .with_history = true,
                                    .headers_only = true};
}

K2_MUST_CHECK enum k2_status k2_plan_open(struct k2_engine *engine,
                                          const struct k2_plan_request *request,
                                          struct k2_plan *plan, struct k2_error *error);

// The same within a transaction that reads.
K2_MUST_CHECK enum k2_status k2_plan_open_within(struct k2_engine *engine, struct k2_store_txn *txn,
                                                 const struct k2_plan_request *request,
                                                 struct k2_plan *plan, struct k2_error *error);

// Maps exactly these groups, which the caller knows to be in the index, past the cache.
K2_MUST_CHECK enum k2_status k2_plan_open_groups(struct k2_engine *engine, struct k2_store_txn *txn,
                                                 const struct k2_plan_group *groups,
                                                 size_t group_count, struct k2_plan *plan,
                                                 struct k2_error *error);
void k2_plan_close(struct k2_plan *plan);

// The view of a group, opened or from the cache; borrowed from the plan until it is released or the
// plan is closed. Once acquired it costs nothing to do it again.
K2_MUST_CHECK enum k2_status k2_plan_acquire(struct k2_plan *plan, size_t group_index,
                                             const struct k2_row_group_view **view,
                                             struct k2_error *error);
void k2_plan_release(struct k2_plan *plan, size_t group_index);

// A view of one's own, checked anew; the caller closes it before the plan.
K2_MUST_CHECK enum k2_status k2_plan_view(const struct k2_plan *plan, size_t group_index,
                                          struct k2_row_group_view **view, struct k2_error *error);
