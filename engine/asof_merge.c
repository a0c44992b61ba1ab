#include "engine/asof_merge.h"

#include <stdbool.h>

// A step of a merge waits for the comparison of the one before; four merges side by side do not
// wait for each other.
enum { CHAINS = 4, SHORT_STEPS = 64 };

// A part of the merge that ends with a left time. `left` and `right` are the next ones.
struct chain {
    size_t left, right, steps;
};

static size_t count_before(const int64_t *times, size_t count, int64_t time)
{
    size_t low = 0;
    while (count > 0) {
        size_t half = count / 2;
        bool up = times[low + half] < time;
        low += up ? half + 1 : 0;
        count = up ? count - half - 1 : half;
    }
    return low;
}

static size_t count_up_to(const int64_t *times, size_t count, int64_t time)
{
    return time == INT64_MAX ? count : count_before(times, count, time + 1);
}

// How many of the first `step_count` steps of the merge are left times.
static size_t left_steps(const int64_t *left, size_t left_count, const int64_t *right,
                         size_t right_count, size_t step_count)
{
    size_t low = step_count > right_count ? step_count - right_count : 0;
    size_t high = step_count < left_count ? step_count : left_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (left[middle] < right[step_count - 1 - middle]) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static inline void step(const int64_t *left, const int64_t *right, int32_t first, int32_t *rows,
                        struct chain *chain)
{
    bool take = right[chain->right] <= left[chain->left];
    rows[chain->left] = first + (int32_t)chain->right; // what counts is the last time
    chain->right += take;
    chain->left += !take;
}

static void run(const int64_t *left, const int64_t *right, int32_t first, int32_t *rows,
                const struct chain *chains)
{
    struct chain a = chains[0], b = chains[1], c = chains[2], d = chains[3];
    size_t common = a.steps < b.steps ? a.steps : b.steps;
    common = c.steps < common ? c.steps : common;
    common = d.steps < common ? d.steps : common;
    for (size_t i = 0; i < common; i++) {
        step(left, right, first, rows, &a);
        step(left, right, first, rows, &b);
        step(left, right, first, rows, &c);
        step(left, right, first, rows, &d);
    }
    struct chain rests[CHAINS] = {a, b, c, d};
    for (size_t k = 0; k < CHAINS; k++) {
        struct chain rest = rests[k];
        for (size_t i = common; i < rest.steps; i++) {
            step(left, right, first, rows, &rest);
        }
    }
}

// Merges all left times with right ones, of which the last is later than all of them.
static size_t merge(const int64_t *left, size_t left_count, const int64_t *right,
                    size_t right_count, int32_t first, int32_t *rows)
{
    size_t end = count_up_to(right, right_count, left[left_count - 1]);
    size_t steps = left_count + end;
    struct chain chains[CHAINS] = {{0}};
    size_t from_left = 0, from_right = 0;
    for (size_t k = 0; k < CHAINS; k++) {
        size_t to_left = left_count, to_right = end;
        if (steps < SHORT_STEPS) {
            to_left = k + 1 < CHAINS ? 0 : to_left;
            to_right = k + 1 < CHAINS ? 0 : to_right;
        } else if (k + 1 < CHAINS) {
            to_left = left_steps(left, left_count, right, end, steps / CHAINS * (k + 1));
            to_right = to_left == 0 ? 0 : count_up_to(right, end, left[to_left - 1]);
        }
        chains[k] =
            (struct chain){from_left, from_right, to_left - from_left + to_right - from_right};
        from_left = to_left;
        from_right = to_right;
    }
    run(left, right, first, rows, chains);
    return end;
}

size_t k2_asof_merge(const int64_t *left, size_t left_count, const int64_t *right,
                     size_t right_count, int32_t first, int32_t *rows, size_t *passed)
{
    if (right[right_count - 1] > left[left_count - 1]) {
        *passed = merge(left, left_count, right, right_count, first, rows);
        return left_count;
    }
    size_t decided = count_before(left, left_count, right[right_count - 1]);
    if (decided > 0) {
        (void)merge(left, decided, right, right_count, first, rows);
    }
    *passed = right_count;
    return decided;
}
