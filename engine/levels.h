// Which groups of a table are rewritten next, and into what (engine/README.md, Levels).
//
// Pure: works on the list of the table's groups. The numbers are the policy.
#pragma once

#include "engine/plan.h"
#include "engine/rewrite_merge.h"

enum {
    K2_FOLD_GROUPS = 32,            // commits, or folds, that become one
    K2_FOLD_BYTES = 8 << 20,        // or fewer, when they are as large
    K2_WINDOW_ROWS = K2_BATCH_ROWS, // what lies sorted together
    // The same after a full compaction of what lies sorted in windows already: it merges them, with
    // a block of each column in memory for each of them.
    K2_FULL_WINDOW_ROWS = 16 * K2_WINDOW_ROWS,
    K2_MOST_JOB_GROUPS = 128,     // unsorted inputs of a rewrite: bounds its memory
    K2_MOST_UNSORTED_GROUPS = 96, // of a table, while it is cared for
    K2_MOST_FOLDS = 16,
    K2_MOST_LATE = 8,
    K2_MOST_HISTORY = 32, // small groups of history
};

enum k2_level_task {
    K2_TASK_NONE = 0,
    K2_TASK_FOLD,   // into one run, as unsorted as before; or history
    K2_TASK_SORT,   // behind what is sorted; late rows stay below
    K2_TASK_MERGE,  // with what is sorted there
    K2_TASK_SETTLE, // hourly groups are large enough to be daily ones as they are
};

struct k2_level_job {
    enum k2_level_task task;
    uint16_t level;               // of a fold
    bool full;                    // into windows of K2_FULL_WINDOW_ROWS
    bool all;                     // a sort that leaves nothing but late rows below
    struct k2_plan_group *inputs; // owned
    size_t input_count;
};
void k2_level_job_deinit(struct k2_level_job *job); // a zeroed one is fine

enum k2_level_effort {
    K2_EFFORT_FOLDS = 3,  // folds of commits alone: while another rewrite is under way
    K2_EFFORT_BOUND = 0,  // what keeps the number of unsorted groups bounded, and what is due
    K2_EFFORT_SORTED = 1, // until everything is sorted
    K2_EFFORT_FULL = 2,   // also what is sorted, once: what lies in newer files is done
};

struct k2_level_state {
    const struct k2_plan_group *groups; // all of the table, by time
    size_t group_count;
    int64_t newest_ns; // event time of the newest row
    bool late_is_due;  // late rows have waited for 7 days
    enum k2_level_effort effort;
    uint64_t newest_segment; // K2_EFFORT_FULL: files after this one are the work's own
    const uint64_t *sparse;  // files of which more is to be given back than is needed, ascending
    size_t sparse_count;
};

K2_MUST_CHECK enum k2_status k2_levels_choose(const struct k2_level_state *state,
                                              struct k2_level_job *job, struct k2_error *error);

// When the day of the newest row began.
int64_t k2_levels_today(int64_t newest_ns);

// The windows of a job in which its rows are sorted together; `*windows` is freed with k2_free.
K2_MUST_CHECK enum k2_status k2_levels_windows(const struct k2_level_job *job, int64_t newest_ns,
                                               struct k2_rewrite_window **windows, size_t *count,
                                               struct k2_error *error);
