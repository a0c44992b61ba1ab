#include "engine/scan_pace.h"

#include <stdlib.h>

#include "format/base/alloc.h"

__extension__ typedef unsigned __int128 wide_count;

static int compare_groups(const void *left, const void *right)
{
    const struct k2_paced_group *a = left, *b = right;
    return (a->min > b->min) - (a->min < b->min);
}

enum k2_status k2_scan_pace_init(struct k2_scan_pace *pace, const struct k2_plan *plan,
                                 uint64_t snapshot, bool backwards, struct k2_error *error)
{
    *pace = (struct k2_scan_pace){.row_share = 1};
    pace->groups = k2_alloc(plan->group_count * sizeof *pace->groups);
    if (pace->groups == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "scan: no memory for %zu row groups",
                       plan->group_count);
    }
    bool sorted = true;
    for (size_t i = 0; i < plan->group_count; i++) {
        const struct k2_plan_group *group = &plan->groups[i];
        if (group->commit_min > snapshot) {
            continue;
        }
        struct k2_paced_group *paced = &pace->groups[pace->group_count++];
        *paced = (struct k2_paced_group){backwards ? ~group->time_max_ns : group->time_min_ns,
                                         backwards ? ~group->time_min_ns : group->time_max_ns,
                                         group->row_count};
        sorted = sorted && (pace->group_count < 2 || paced[-1].min <= paced->min);
    }
    if (!sorted) {
        qsort(pace->groups, pace->group_count, sizeof *pace->groups, compare_groups);
    }
    return K2_OK;
}

void k2_scan_pace_deinit(struct k2_scan_pace *pace)
{
    k2_free(pace->groups);
    *pace = (struct k2_scan_pace){0};
}

bool k2_scan_pace_skip(struct k2_scan_pace *pace, int64_t *next)
{
    while (pace->head < pace->group_count && pace->groups[pace->head].max < *next) {
        pace->head++;
    }
    if (pace->head == pace->group_count) {
        return false;
    }
    if (pace->groups[pace->head].min > *next) {
        *next = pace->groups[pace->head].min;
    }
    return true;
}

// Rows expected in [next, last], each group's spread evenly over its time.
static uint64_t expected_rows(const struct k2_scan_pace *pace, int64_t next, int64_t last)
{
    uint64_t rows = 0;
    for (size_t i = pace->head; i < pace->group_count && pace->groups[i].min <= last; i++) {
        const struct k2_paced_group *group = &pace->groups[i];
        if (group->max < next) {
            continue;
        }
        int64_t from = group->min > next ? group->min : next;
        int64_t to = group->max < last ? group->max : last;
        wide_count overlap = (wide_count)((uint64_t)to - (uint64_t)from) + 1;
        wide_count length = (wide_count)((uint64_t)group->max - (uint64_t)group->min) + 1;
        rows += (uint64_t)(group->row_count * overlap / length);
    }
    return rows / pace->row_share;
}

int64_t k2_scan_pace_window_last(int64_t next, int64_t last, int exponent)
{
    if (exponent >= 64) {
        return last;
    }
    uint64_t more = ((uint64_t)1 << exponent) - 1;
    return more < (uint64_t)last - (uint64_t)next ? (int64_t)((uint64_t)next + more) : last;
}

int k2_scan_pace_window(const struct k2_scan_pace *pace, int64_t next, size_t row_count)
{
    int low = 0, high = 64; // `low` is taken to fit
    while (low < high) {
        int middle = (low + high + 1) / 2;
        int64_t last = k2_scan_pace_window_last(next, INT64_MAX, middle);
        if (expected_rows(pace, next, last) <= row_count) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    return low;
}

int64_t k2_scan_pace_horizon(const struct k2_scan_pace *pace, int64_t next, int64_t last,
                             size_t group_count)
{
    size_t met = 0;
    for (size_t i = pace->head; i < pace->group_count && pace->groups[i].min <= last; i++) {
        if (pace->groups[i].max < next) {
            continue;
        }
        met++;
        if (met > group_count && pace->groups[i].min > next) {
            return pace->groups[i].min - 1;
        }
    }
    return last;
}
