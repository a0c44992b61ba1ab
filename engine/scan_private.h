// What a scan is, for the modules that make one up: scan, scan_groups.
#pragma once

#include "engine/scan_groups.h"
#include "engine/scan_pace.h"
#include "engine/scan_pieces.h"
#include "engine/scan_stored.h"
#include "engine/scan_window.h"

// A scan moves up an axis: the time, or ~time when it descends (engine/scan_pace.h).
struct k2_scan {
    struct k2_engine *engine;     // borrowed
    const struct k2_table *table; // borrowed from the engine
    uint64_t snapshot;
    enum k2_order order;
    bool backwards;
    uint64_t commit_after; // 0: rows of every commit
    bool unsorted_only, fresh, every_version;
    uint32_t *ids;                       // of the wanted instruments, ascending; NULL: all
    struct k2_wanted_instrument *wanted; // the same with their numbers
    size_t id_count;
    bool grows; // the window may take more memory
    bool limited;
    uint64_t rows_left; // if limited
    bool done;
    enum k2_status failure; // of an earlier call

    int64_t next, last;                // on the axis: what no window has covered yet
    int64_t horizon;                   // on the axis: how far the plan of `groups` sees
    bool planned;                      // `groups` and `horizon` hold
    size_t horizon_groups;             // of the next plan
    int64_t window_first, window_last; // time, inclusive both

    bool has_after;
    struct k2_scan_key after; // texts in names.texts

    struct k2_scan_layout layout;
    struct k2_name_set names;
    struct k2_scan_pace pace;
    struct k2_group_set groups;
    struct k2_scan_window window;   // orders by time
    struct k2_scan_stored stored;   // order of storage, or of pieces
    struct k2_scan_pieces pieces;   // of one instrument, if they are in order of time
    struct k2_vector_store *stores; // by output
    struct k2_vector *vectors;      // by output
};

// Plans from scan->next on, unless the plan at hand still reaches there. The plan reaches to the
// end of an interval, see k2_scan_next_span.
K2_MUST_CHECK enum k2_status k2_scan_need_plan(struct k2_scan *scan, int64_t interval_ns,
                                               struct k2_error *error);

// The end, on the axis, of the interval that `point` lies in; at most the end of the scan. Without
// intervals the point itself.
int64_t k2_scan_interval_end(const struct k2_scan *scan, int64_t point, int64_t interval_ns);

// Everything up to `covered`, on the axis, is done.
void k2_scan_advance(struct k2_scan *scan, int64_t covered);
