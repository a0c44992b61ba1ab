// What a store holds, as JSON: for `k2 stats`, `k2 snapshots`, /v1/stats and /v1/snapshots alike.
//
// Thread-safe as far as the engine's reading calls are.
#pragma once

#include "engine/snapshot.h"

// {"snapshot","index_bytes","tables":{NAME:{"rows","segments","bytes","instruments","first_time",
// "last_time","columns":{NAME:{"bytes"}}}}}; tables in the order of the engine.
K2_MUST_CHECK enum k2_status k2_store_report_stats(struct k2_engine *engine, struct k2_buffer *out,
                                                   struct k2_error *error);

struct k2_snapshot_list_request {
    const struct k2_table *table; // NULL, or only the snapshots that changed it
    uint64_t before;              // 0, or only older ones than this
    uint64_t limit;               // 0: none
    bool lines;                   // one document a line, else one array
};

// [{"snapshot","parent","time","operation","tags":[],"tables":{NAME:{"rows","added"}}}], newest
// first. `*next` is the `before` of the next page, 0 when there is none.
K2_MUST_CHECK enum k2_status
k2_store_report_snapshots(struct k2_engine *engine, const struct k2_snapshot_list_request *request,
                          struct k2_buffer *out, uint64_t *count, uint64_t *next,
                          struct k2_error *error);
