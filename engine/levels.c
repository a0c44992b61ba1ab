#include "engine/levels.h"

#include <stdlib.h>
#include <string.h>

#include "format/base/alloc.h"

static const int64_t hour_ns = (int64_t)3600 * 1000000000, day_ns = (int64_t)86400 * 1000000000;

enum { LATE_SHARE = 10 }; // late rows go in when they are a tenth of what they go into

void k2_level_job_deinit(struct k2_level_job *job)
{
    k2_free(job->inputs);
    *job = (struct k2_level_job){0};
}

static int64_t floor_to(int64_t time_ns, int64_t unit_ns)
{
    int64_t rest = time_ns % unit_ns;
    rest = rest < 0 ? rest + unit_ns : rest;
    return time_ns < INT64_MIN + rest ? INT64_MIN : time_ns - rest;
}

int64_t k2_levels_today(int64_t newest_ns)
{
    return floor_to(newest_ns, day_ns);
}

// How much lies at a level.
struct share {
    size_t groups;
    uint64_t rows, bytes;
    int64_t first_ns, last_ns;
};

static struct share share_of(const struct k2_level_state *state, uint16_t level)
{
    struct share share = {.first_ns = INT64_MAX, .last_ns = INT64_MIN};
    for (size_t i = 0; i < state->group_count; i++) {
        const struct k2_plan_group *group = &state->groups[i];
        if (group->level == level) {
            share.groups++;
            share.rows += group->row_count;
            share.bytes += group->length_bytes;
            share.first_ns =
                group->time_min_ns < share.first_ns ? group->time_min_ns : share.first_ns;
            share.last_ns = group->time_max_ns > share.last_ns ? group->time_max_ns : share.last_ns;
        }
    }
    return share;
}

static bool is_sparse(const struct k2_level_state *state, uint64_t segment_id)
{
    size_t low = 0, high = state->sparse_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (state->sparse[middle] < segment_id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < state->sparse_count && state->sparse[low] == segment_id;
}

typedef bool wants_fn(const struct k2_level_state *state, const struct k2_plan_group *group,
                      int64_t first_ns, int64_t last_ns);

static bool is_commit(const struct k2_level_state *state, const struct k2_plan_group *group,
                      int64_t first_ns, int64_t last_ns)
{
    (void)state;
    (void)first_ns;
    (void)last_ns;
    return group->level == K2_LEVEL_COMMIT;
}

static bool is_fold(const struct k2_level_state *state, const struct k2_plan_group *group,
                    int64_t first_ns, int64_t last_ns)
{
    (void)state;
    (void)first_ns;
    (void)last_ns;
    return group->level == K2_LEVEL_FOLD;
}

static bool is_late(const struct k2_level_state *state, const struct k2_plan_group *group,
                    int64_t first_ns, int64_t last_ns)
{
    (void)state;
    (void)first_ns;
    (void)last_ns;
    return group->level == K2_LEVEL_LATE;
}

static bool is_fresh(const struct k2_level_state *state, const struct k2_plan_group *group,
                     int64_t first_ns, int64_t last_ns)
{
    (void)state;
    (void)first_ns;
    (void)last_ns;
    return !k2_level_is_sorted(group->level) && group->level != K2_LEVEL_LATE;
}

static bool is_sorted_within(const struct k2_level_state *state, const struct k2_plan_group *group,
                             int64_t first_ns, int64_t last_ns)
{
    (void)state;
    return k2_level_is_sorted(group->level) && group->time_max_ns >= first_ns &&
           group->time_min_ns <= last_ns;
}

static bool is_merged(const struct k2_level_state *state, const struct k2_plan_group *group,
                      int64_t first_ns, int64_t last_ns)
{
    return is_late(state, group, first_ns, last_ns) ||
           is_sorted_within(state, group, first_ns, last_ns);
}

static bool is_sparse_commit(const struct k2_level_state *state, const struct k2_plan_group *group,
                             int64_t first_ns, int64_t last_ns)
{
    return is_commit(state, group, first_ns, last_ns) && is_sparse(state, group->segment_id);
}

static bool is_sparse_fold(const struct k2_level_state *state, const struct k2_plan_group *group,
                           int64_t first_ns, int64_t last_ns)
{
    (void)first_ns;
    (void)last_ns;
    return (group->level == K2_LEVEL_FOLD || group->level == K2_LEVEL_FOLDS) &&
           is_sparse(state, group->segment_id);
}

// Small, or in a file that is mostly empty.
static bool is_old_history(const struct k2_level_state *state, const struct k2_plan_group *group,
                           int64_t first_ns, int64_t last_ns)
{
    (void)first_ns;
    (void)last_ns;
    return group->level == K2_LEVEL_HISTORY &&
           (group->row_count < K2_GROUP_ROWS / 2 || is_sparse(state, group->segment_id));
}

static int compare_places(const void *left, const void *right)
{
    const struct k2_plan_group *a = left, *b = right;
    if (a->segment_id != b->segment_id) {
        return a->segment_id < b->segment_id ? -1 : 1;
    }
    return (a->offset > b->offset) - (a->offset < b->offset);
}

static int compare_times(const void *left, const void *right)
{
    const struct k2_plan_group *a = left, *b = right;
    if (a->time_min_ns != b->time_min_ns) {
        return a->time_min_ns < b->time_min_ns ? -1 : 1;
    }
    return compare_places(left, right);
}

// The groups that `wants` says, at most `most` of them in the order in which they were written, so
// that of the commits in a file the first ones go first.
static enum k2_status take(const struct k2_level_state *state, wants_fn *wants, int64_t first_ns,
                           int64_t last_ns, size_t most, struct k2_level_job *job,
                           struct k2_error *error)
{
    job->inputs = k2_alloc_zero(state->group_count, sizeof *job->inputs);
    if (job->inputs == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "levels: out of memory");
    }
    for (size_t i = 0; i < state->group_count; i++) {
        if (wants(state, &state->groups[i], first_ns, last_ns)) {
            job->inputs[job->input_count++] = state->groups[i];
        }
    }
    if (job->input_count > most) {
        qsort(job->inputs, job->input_count, sizeof *job->inputs, compare_places);
        job->input_count = most;
    }
    qsort(job->inputs, job->input_count, sizeof *job->inputs, compare_times);
    return K2_OK;
}

static enum k2_status fold(const struct k2_level_state *state, wants_fn *wants, uint16_t level,
                           struct k2_level_job *job, struct k2_error *error)
{
    job->task = K2_TASK_FOLD;
    job->level = level;
    return take(state, wants, 0, 0, K2_MOST_JOB_GROUPS, job, error);
}

static enum k2_status sort(const struct k2_level_state *state, bool all, struct k2_level_job *job,
                           struct k2_error *error)
{
    job->task = K2_TASK_SORT;
    job->all = all;
    return take(state, is_fresh, 0, 0, K2_MOST_JOB_GROUPS, job, error);
}

// Late rows and everything sorted that lies between them; that may reach further, so more does.
static enum k2_status merge(const struct k2_level_state *state, int64_t first_ns, int64_t last_ns,
                            wants_fn *wants, struct k2_level_job *job, struct k2_error *error)
{
    for (bool grown = true; grown;) {
        grown = false;
        for (size_t i = 0; i < state->group_count; i++) {
            const struct k2_plan_group *group = &state->groups[i];
            if (!is_sorted_within(state, group, first_ns, last_ns)) {
                continue;
            }
            grown |= group->time_min_ns < first_ns || group->time_max_ns > last_ns;
            first_ns = group->time_min_ns < first_ns ? group->time_min_ns : first_ns;
            last_ns = group->time_max_ns > last_ns ? group->time_max_ns : last_ns;
        }
    }
    job->task = K2_TASK_MERGE;
    return take(state, wants, first_ns, last_ns, SIZE_MAX, job, error);
}

static uint64_t sorted_rows(const struct k2_level_state *state, int64_t first_ns, int64_t last_ns)
{
    uint64_t rows = 0;
    for (size_t i = 0; i < state->group_count; i++) {
        const struct k2_plan_group *group = &state->groups[i];
        rows += is_sorted_within(state, group, first_ns, last_ns) ? group->row_count : 0;
    }
    return rows;
}

static enum k2_status choose_late(const struct k2_level_state *state, struct k2_level_job *job,
                                  struct k2_error *error)
{
    struct share late = share_of(state, K2_LEVEL_LATE);
    if (late.groups == 0) {
        return K2_OK;
    }
    uint64_t rows = sorted_rows(state, late.first_ns, late.last_ns);
    bool many = late.rows >= rows / LATE_SHARE && late.groups >= 2;
    if (state->effort != K2_EFFORT_BOUND || state->late_is_due || many ||
        late.rows >= K2_WINDOW_ROWS) {
        return merge(state, late.first_ns, late.last_ns, is_merged, job, error);
    }
    return late.groups >= K2_MOST_LATE && late.rows < (uint64_t)late.groups * K2_GROUP_ROWS / 2
               ? fold(state, is_late, K2_LEVEL_LATE, job, error)
           : late.groups >= K2_MOST_LATE
               ? merge(state, late.first_ns, late.last_ns, is_merged, job, error)
               : K2_OK;
}

// Hourly groups of days that are over become daily ones, a day or more at a time.
static enum k2_status choose_daily(const struct k2_level_state *state, struct k2_level_job *job,
                                   struct k2_error *error)
{
    int64_t today_ns = k2_levels_today(state->newest_ns);
    for (size_t i = 0; i < state->group_count; i++) {
        const struct k2_plan_group *group = &state->groups[i];
        if (group->level == K2_LEVEL_HOURLY && group->time_max_ns < today_ns) {
            int64_t first_ns = floor_to(group->time_min_ns, day_ns);
            int64_t last_ns = first_ns > INT64_MAX - day_ns ? INT64_MAX : first_ns + day_ns - 1;
            enum k2_status status = merge(state, first_ns, last_ns, is_sorted_within, job, error);
            uint64_t rows = 0;
            for (size_t j = 0; j < job->input_count; j++) {
                rows += job->inputs[j].row_count;
            }
            if (job->input_count == 1 ||
                rows >= (uint64_t)job->input_count * K2_GROUP_ROWS / 4 * 3) {
                job->task = K2_TASK_SETTLE;
            }
            return status;
        }
    }
    return K2_OK;
}

// Everything sorted that is not the work's own, until it is enough and a group ends before the next
// begins.
static enum k2_status choose_full(const struct k2_level_state *state, struct k2_level_job *job,
                                  struct k2_error *error)
{
    int64_t first_ns = INT64_MAX, last_ns = INT64_MIN;
    uint64_t rows = 0;
    for (size_t i = 0; i < state->group_count; i++) {
        const struct k2_plan_group *group = &state->groups[i];
        if (!k2_level_is_sorted(group->level) || group->segment_id > state->newest_segment) {
            continue;
        }
        if (rows >= K2_FULL_WINDOW_ROWS && group->time_min_ns > last_ns) {
            break;
        }
        rows += group->row_count;
        first_ns = group->time_min_ns < first_ns ? group->time_min_ns : first_ns;
        last_ns = group->time_max_ns > last_ns ? group->time_max_ns : last_ns;
    }
    job->full = rows > 0;
    return rows == 0 ? K2_OK : merge(state, first_ns, last_ns, is_sorted_within, job, error);
}

// History is read by who asks for the past only; it must not become many files.
static enum k2_status choose_history(const struct k2_level_state *state, struct k2_level_job *job,
                                     struct k2_error *error)
{
    size_t count = 0;
    bool sparse = false;
    for (size_t i = 0; i < state->group_count; i++) {
        const struct k2_plan_group *group = &state->groups[i];
        bool old = is_old_history(state, group, 0, 0);
        count += old;
        sparse |= old && is_sparse(state, group->segment_id);
    }
    return sparse || count >= K2_MOST_HISTORY
               ? fold(state, is_old_history, K2_LEVEL_HISTORY, job, error)
               : K2_OK;
}

// What still counts in mostly empty files is written again as it is, and the files can go.
static enum k2_status choose_sparse(const struct k2_level_state *state, struct k2_level_job *job,
                                    struct k2_error *error)
{
    for (size_t i = 0; i < state->group_count; i++) {
        const struct k2_plan_group *group = &state->groups[i];
        if (!is_sparse(state, group->segment_id)) {
            continue;
        }
        switch (group->level) {
        case K2_LEVEL_COMMIT:
            return fold(state, is_sparse_commit, K2_LEVEL_FOLD, job, error);
        case K2_LEVEL_FOLD:
        case K2_LEVEL_FOLDS:
            return fold(state, is_sparse_fold, K2_LEVEL_FOLDS, job, error);
        case K2_LEVEL_LATE:
            return fold(state, is_late, K2_LEVEL_LATE, job, error);
        case K2_LEVEL_HISTORY:
            break; // choose_history
        default:
            return merge(state, group->time_min_ns, group->time_max_ns, is_sorted_within, job,
                         error);
        }
    }
    return K2_OK;
}

enum k2_status k2_levels_choose(const struct k2_level_state *state, struct k2_level_job *job,
                                struct k2_error *error)
{
    *job = (struct k2_level_job){0};
    struct share commits = share_of(state, K2_LEVEL_COMMIT);
    struct share folds = share_of(state, K2_LEVEL_FOLD);
    struct share more = share_of(state, K2_LEVEL_FOLDS);
    bool everything = state->effort != K2_EFFORT_BOUND;
    bool full =
        commits.groups >= K2_FOLD_GROUPS || (commits.groups >= 2 && commits.bytes >= K2_FOLD_BYTES);
    int64_t hour = floor_to(state->newest_ns, hour_ns);
    bool hour_is_over = folds.groups + more.groups > 0 &&
                        (folds.groups == 0 || folds.last_ns < hour) &&
                        (more.groups == 0 || more.last_ns < hour);
    if (state->effort == K2_EFFORT_FOLDS) {
        return commits.groups >= K2_FOLD_GROUPS ? fold(state, is_commit, K2_LEVEL_FOLD, job, error)
                                                : K2_OK;
    }
    if (everything && commits.groups + folds.groups + more.groups > 0) {
        return sort(state, true, job, error);
    }
    if (full) {
        return commits.rows >= K2_WINDOW_ROWS / 2
                   ? sort(state, false, job, error)
                   : fold(state, is_commit, K2_LEVEL_FOLD, job, error);
    }
    if (folds.groups >= K2_FOLD_GROUPS || folds.rows >= K2_WINDOW_ROWS / 2) {
        return folds.rows >= K2_WINDOW_ROWS / 2 ? sort(state, false, job, error)
                                                : fold(state, is_fold, K2_LEVEL_FOLDS, job, error);
    }
    if (more.groups >= K2_MOST_FOLDS || hour_is_over) {
        return sort(state, hour_is_over || more.rows < K2_WINDOW_ROWS / 2, job, error);
    }
    enum k2_status status = choose_late(state, job, error);
    if (status == K2_OK && job->task == K2_TASK_NONE) {
        status = choose_daily(state, job, error);
    }
    if (status == K2_OK && job->task == K2_TASK_NONE && state->effort == K2_EFFORT_FULL) {
        status = choose_full(state, job, error);
    }
    if (status == K2_OK && job->task == K2_TASK_NONE) {
        status = choose_history(state, job, error);
    }
    if (status == K2_OK && job->task == K2_TASK_NONE) {
        status = choose_sparse(state, job, error);
    }
    return status;
}

// ---- windows

struct windows {
    struct k2_rewrite_window *list;
    size_t count;
    int64_t today_ns, hour_ns;
};

static void end_window(struct windows *self, int64_t first_ns, int64_t last_ns)
{
    self->list[self->count++] = (struct k2_rewrite_window){
        first_ns, last_ns, last_ns < self->today_ns ? K2_LEVEL_DAILY : K2_LEVEL_HOURLY, false};
}

// The last one reaches to the end of time, but is as old as its newest row.
static void end_last(struct windows *self, int64_t first_ns, const struct k2_level_job *job,
                     uint64_t rows)
{
    int64_t newest_ns = INT64_MIN;
    for (size_t i = 0; i < job->input_count; i++) {
        newest_ns = job->inputs[i].time_max_ns > newest_ns ? job->inputs[i].time_max_ns : newest_ns;
    }
    end_window(self, first_ns, newest_ns);
    struct k2_rewrite_window *last = &self->list[self->count - 1];
    last->last_ns = INT64_MAX;
    if (job->task == K2_TASK_SORT && !job->all && rows < K2_WINDOW_ROWS / 2) {
        last->level = K2_LEVEL_FOLDS; // the rest waits for more
    }
}

// Windows begin where a group does, or an hour or a day that is over ends. Those of a full
// compaction are as long as a day, unless that has fewer rows than others have.
static void cut(struct windows *self, const struct k2_level_job *job)
{
    int64_t first_ns = INT64_MIN;
    uint64_t rows = 0;
    for (size_t i = 0; i < job->input_count; i++) {
        const struct k2_plan_group *group = &job->inputs[i];
        int64_t begin_ns = group->time_min_ns;
        const int64_t borders[] = {self->today_ns, self->hour_ns};
        for (size_t j = 0; j < 2; j++) {
            if (first_ns < borders[j] && begin_ns >= borders[j] && rows >= K2_GROUP_ROWS) {
                end_window(self, first_ns, borders[j] - 1);
                first_ns = borders[j];
                rows = 0;
            }
        }
        int64_t day_start_ns = floor_to(begin_ns, day_ns);
        if (job->full && rows >= K2_WINDOW_ROWS && day_start_ns > first_ns) {
            end_window(self, first_ns, day_start_ns - 1);
            first_ns = day_start_ns;
            rows = 0;
        }
        if (rows >= (job->full ? K2_FULL_WINDOW_ROWS : K2_WINDOW_ROWS) && begin_ns > first_ns) {
            end_window(self, first_ns, begin_ns - 1);
            first_ns = begin_ns;
            rows = 0;
        }
        rows += group->row_count;
    }
    end_last(self, first_ns, job, rows);
}

enum k2_status k2_levels_windows(const struct k2_level_job *job, int64_t newest_ns,
                                 struct k2_rewrite_window **windows, size_t *count,
                                 struct k2_error *error)
{
    struct windows self = {
        .list = k2_alloc_zero(job->input_count + 8, sizeof *self.list),
        .today_ns = k2_levels_today(newest_ns),
        .hour_ns = floor_to(newest_ns, hour_ns),
    };
    if (self.list == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "levels: out of memory");
    }
    if (job->task == K2_TASK_FOLD) {
        self.list[self.count++] =
            (struct k2_rewrite_window){INT64_MIN, INT64_MAX, job->level, false};
    } else {
        if (job->task == K2_TASK_SORT) {
            self.list[self.count++] =
                (struct k2_rewrite_window){INT64_MIN, INT64_MAX, K2_LEVEL_LATE, true};
        }
        cut(&self, job);
    }
    *windows = self.list;
    *count = self.count;
    return K2_OK;
}
