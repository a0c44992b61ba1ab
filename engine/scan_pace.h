// How far a scan goes at a time, from what the index says of the row groups.
//
// Works on an axis that only goes up: the time itself, or for a descending scan its complement
// (~time), so that the end of time is where the axis begins. Pure; belongs to one thread.
#pragma once

#include "engine/plan.h"

struct k2_paced_group {
    int64_t min, max; // on the axis, inclusive
    uint32_t row_count;
};

// Zeroed is empty and may be deinited.
struct k2_scan_pace {
    struct k2_paced_group *groups; // by min; owned
    size_t group_count;
    size_t head;        // the groups before it are passed
    uint32_t row_share; // a group is taken to have row_count / row_share wanted rows
    int boost;          // windows are 2^boost as long as the groups' density suggests
};

static inline int64_t k2_axis_of_time(int64_t time_ns, bool backwards)
{
    return backwards ? ~time_ns : time_ns;
}

// Takes over what matters of a plan's groups.
K2_MUST_CHECK enum k2_status k2_scan_pace_init(struct k2_scan_pace *pace,
                                               const struct k2_plan *plan, uint64_t snapshot,
                                               bool backwards, struct k2_error *error);
void k2_scan_pace_deinit(struct k2_scan_pace *pace);

// Moves *next over a stretch without groups. False: there are none from *next on.
bool k2_scan_pace_skip(struct k2_scan_pace *pace, int64_t *next);

// Exponent n of the longest window [next, next + 2^n - 1] that may have `row_count` rows, 0..64.
int k2_scan_pace_window(const struct k2_scan_pace *pace, int64_t next, size_t row_count);

// The last point of the window, at most `last`.
int64_t k2_scan_pace_window_last(int64_t next, int64_t last, int exponent);

// The last point, at most `last`, up to which no more than `group_count` groups are met; those that
// overlap `next` are counted, but never left out.
int64_t k2_scan_pace_horizon(const struct k2_scan_pace *pace, int64_t next, int64_t last,
                             size_t group_count);
