// What one counter has shown so far, and which of its numbers are missing: the rules of the gap
// ledger, without a store.
//
// A state says what was seen: all of [first, last] but the open gaps. Pure; a value belongs to its
// user. Gaps of one state are disjoint, do not touch, and lie between first and last.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/base/status.h"

enum { K2_MAX_OPEN_GAPS = 10000 }; // beyond, a counter is not dense after all

struct k2_sequence_state {
    bool any;               // something was seen; else all else is 0
    bool given_up;          // too many gaps: nothing is followed any more, one gap covers them all
    int64_t first, last;    // least and greatest number seen
    int64_t first_ns;       // time of the row with that number
    int64_t last_ns;        //
    int64_t min_ns, max_ns; // of all rows
    uint32_t open_gaps;
    uint64_t commit; // that changed the state last
};

// Numbers first to last, both missing. The rows before and behind it have these times; a late row
// of it has one in between, if the source's time and numbers rise together.
struct k2_sequence_gap {
    int64_t first, last;
    int64_t after_ns, before_ns;
    uint64_t opened; // the commit that showed it
};

// Consecutive numbers that came with one commit.
struct k2_sequence_run {
    int64_t first, last;
    int64_t first_ns, last_ns; // times of the rows with those numbers
    int64_t min_ns, max_ns;    // of all its rows
};

// Sorts runs (of one commit) and joins those that touch or overlap; gives how many are left. Of
// rows with one number the earliest time counts. The result does not depend on how the rows were
// cut into runs.
size_t k2_sequence_runs_join(struct k2_sequence_run *runs, size_t count);

// Gaps that a commit closes and opens; arrays are owned. Zeroed is empty.
struct k2_sequence_changes {
    struct k2_sequence_gap *closed, *opened;
    size_t closed_count, closed_room, opened_count, opened_room;
};
void k2_sequence_changes_deinit(struct k2_sequence_changes *changes);

// Takes joined runs of `commit` into the state. `gaps` are the open gaps, by number, at least those
// that meet [first of the first run, last of the last]. Each of them that a run meets is closed,
// and what is left of it opened. Neither begins a gap before the first number seen.
K2_MUST_CHECK enum k2_status k2_sequence_track(struct k2_sequence_state *state,
                                               const struct k2_sequence_gap *gaps, size_t gap_count,
                                               const struct k2_sequence_run *runs, size_t run_count,
                                               uint64_t commit, struct k2_sequence_changes *changes,
                                               struct k2_error *error);

// Ends the pursuit of a counter: `changes` closes all open gaps, of which `gaps` are those that
// were open before them, and opens one that covers them.
K2_MUST_CHECK enum k2_status k2_sequence_give_up(struct k2_sequence_state *state,
                                                 const struct k2_sequence_gap *gaps,
                                                 size_t gap_count, uint64_t commit,
                                                 struct k2_sequence_changes *changes,
                                                 struct k2_error *error);

// Was the number seen? `gaps` as above.
bool k2_sequence_seen(const struct k2_sequence_state *state, const struct k2_sequence_gap *gaps,
                      size_t gap_count, int64_t number);
