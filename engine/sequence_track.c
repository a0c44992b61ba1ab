#include "engine/sequence_track.h"

#include <stdlib.h>

#include "format/base/alloc.h"

static int64_t least(int64_t left, int64_t right)
{
    return left < right ? left : right;
}

static int64_t greatest(int64_t left, int64_t right)
{
    return left > right ? left : right;
}

static int compare_runs(const void *left, const void *right)
{
    const struct k2_sequence_run *a = left, *b = right;
    return (a->first > b->first) - (a->first < b->first);
}

// `next` begins within `run` or right behind it.
static void join(struct k2_sequence_run *run, const struct k2_sequence_run *next)
{
    if (next->first == run->first) {
        run->first_ns = least(run->first_ns, next->first_ns);
    }
    if (next->last > run->last) {
        run->last = next->last;
        run->last_ns = next->last_ns;
    } else if (next->last == run->last) {
        run->last_ns = least(run->last_ns, next->last_ns);
    }
    run->min_ns = least(run->min_ns, next->min_ns);
    run->max_ns = greatest(run->max_ns, next->max_ns);
}

size_t k2_sequence_runs_join(struct k2_sequence_run *runs, size_t count)
{
    size_t kept = 0;
    bool sorted = true;
    for (size_t i = 1; i < count; i++) {
        sorted &= runs[i - 1].first <= runs[i].first;
    }
    if (!sorted) {
        qsort(runs, count, sizeof *runs, compare_runs);
    }
    for (size_t i = 0; i < count; i++) {
        bool joins = kept > 0 && (runs[i].first <= runs[kept - 1].last ||
                                  runs[i].first - 1 == runs[kept - 1].last);
        if (joins) {
            join(&runs[kept - 1], &runs[i]);
        } else {
            runs[kept++] = runs[i];
        }
    }
    return kept;
}

void k2_sequence_changes_deinit(struct k2_sequence_changes *changes)
{
    k2_free(changes->closed);
    k2_free(changes->opened);
    *changes = (struct k2_sequence_changes){0};
}

static enum k2_status append(struct k2_sequence_gap **gaps, size_t *count, size_t *room,
                             const struct k2_sequence_gap *gap, struct k2_error *error)
{
    if (*count == *room) {
        size_t grown_room = *room * 2 + 4;
        struct k2_sequence_gap *grown = k2_realloc(*gaps, grown_room, sizeof *grown);
        if (grown == NULL) {
            return k2_fail(error, K2_NO_MEMORY, "gaps: out of memory");
        }
        *gaps = grown;
        *room = grown_room;
    }
    (*gaps)[(*count)++] = *gap;
    return K2_OK;
}

static enum k2_status open_gap(struct k2_sequence_changes *changes,
                               const struct k2_sequence_gap *gap, struct k2_error *error)
{
    return append(&changes->opened, &changes->opened_count, &changes->opened_room, gap, error);
}

static enum k2_status close_gap(struct k2_sequence_changes *changes,
                                const struct k2_sequence_gap *gap, struct k2_error *error)
{
    return append(&changes->closed, &changes->closed_count, &changes->closed_room, gap, error);
}

// The walk over runs and gaps, both ascending.
struct walk {
    struct k2_sequence_state *state;
    const struct k2_sequence_gap *gaps;
    size_t gap_count, next_gap;
    struct k2_sequence_gap rest; // what runs have left of the gap before next_gap
    bool has_rest;
    uint64_t commit;
    struct k2_sequence_changes *changes;
};

static enum k2_status end_rest(struct walk *walk, struct k2_error *error)
{
    bool had = walk->has_rest;
    walk->has_rest = false;
    return had ? open_gap(walk->changes, &walk->rest, error) : K2_OK;
}

// The run takes its part of a gap: what is before it stays missing, what is behind it is the rest.
static enum k2_status cut(struct walk *walk, struct k2_sequence_gap gap,
                          const struct k2_sequence_run *run, struct k2_error *error)
{
    enum k2_status status = K2_OK;
    gap.opened = walk->commit;
    if (gap.first < run->first) {
        struct k2_sequence_gap before = gap;
        before.last = run->first - 1;
        before.before_ns = run->first_ns;
        status = open_gap(walk->changes, &before, error);
    }
    walk->has_rest = gap.last > run->last;
    if (walk->has_rest) {
        walk->rest = gap;
        walk->rest.first = run->last + 1;
        walk->rest.after_ns = run->last_ns;
    }
    return status;
}

static enum k2_status fill(struct walk *walk, const struct k2_sequence_run *run,
                           struct k2_error *error)
{
    enum k2_status status = K2_OK;
    if (walk->has_rest && walk->rest.last < run->first) {
        status = end_rest(walk, error);
    } else if (walk->has_rest && walk->rest.first <= run->last) {
        status = cut(walk, walk->rest, run, error);
    }
    while (status == K2_OK && walk->next_gap < walk->gap_count &&
           walk->gaps[walk->next_gap].first <= run->last) {
        const struct k2_sequence_gap *gap = &walk->gaps[walk->next_gap];
        if (gap->last >= run->first) {
            status = close_gap(walk->changes, gap, error);
            if (status == K2_OK) {
                status = cut(walk, *gap, run, error);
            }
        }
        walk->next_gap++;
    }
    return status;
}

// A run that begins before everything seen so far.
static enum k2_status extend_down(struct walk *walk, const struct k2_sequence_run *run,
                                  struct k2_error *error)
{
    struct k2_sequence_state *state = walk->state;
    enum k2_status status = K2_OK;
    if (run->last < state->first && run->last + 1 < state->first) {
        struct k2_sequence_gap gap = {run->last + 1, state->first - 1, run->last_ns,
                                      state->first_ns, walk->commit};
        status = open_gap(walk->changes, &gap, error);
    }
    state->first = run->first;
    state->first_ns = run->first_ns;
    return status;
}

static enum k2_status extend_up(struct walk *walk, const struct k2_sequence_run *run,
                                struct k2_error *error)
{
    struct k2_sequence_state *state = walk->state;
    enum k2_status status = K2_OK;
    if (run->first > state->last && run->first - 1 > state->last) {
        struct k2_sequence_gap gap = {state->last + 1, run->first - 1, state->last_ns,
                                      run->first_ns, walk->commit};
        status = open_gap(walk->changes, &gap, error);
    }
    if (run->last > state->last) {
        state->last = run->last;
        state->last_ns = run->last_ns;
    }
    return status;
}

enum k2_status k2_sequence_track(struct k2_sequence_state *state,
                                 const struct k2_sequence_gap *gaps, size_t gap_count,
                                 const struct k2_sequence_run *runs, size_t run_count,
                                 uint64_t commit, struct k2_sequence_changes *changes,
                                 struct k2_error *error)
{
    struct walk walk = {
        .state = state,
        .gaps = gaps,
        .gap_count = gap_count,
        .commit = commit,
        .changes = changes,
    };
    enum k2_status status = K2_OK;
    size_t below = 0, closed_before = changes->closed_count, opened_before = changes->opened_count;
    if (run_count == 0 || state->given_up) {
        return K2_OK;
    }
    if (!state->any) {
        *state = (struct k2_sequence_state){.any = true,
                                            .first = runs[0].first,
                                            .last = runs[0].last,
                                            .first_ns = runs[0].first_ns,
                                            .last_ns = runs[0].last_ns,
                                            .min_ns = runs[0].min_ns,
                                            .max_ns = runs[0].max_ns};
    }
    while (below < run_count && runs[below].first < state->first) {
        below++;
    }
    for (size_t i = below; i > 0 && status == K2_OK; i--) {
        status = extend_down(&walk, &runs[i - 1], error);
    }
    // The last of those may reach into what was seen, and beyond.
    for (size_t i = below > 0 ? below - 1 : 0; i < run_count && status == K2_OK; i++) {
        status = fill(&walk, &runs[i], error);
        if (status == K2_OK) {
            status = extend_up(&walk, &runs[i], error);
        }
    }
    if (status == K2_OK) {
        status = end_rest(&walk, error);
    }
    for (size_t i = 0; i < run_count; i++) {
        state->min_ns = least(state->min_ns, runs[i].min_ns);
        state->max_ns = greatest(state->max_ns, runs[i].max_ns);
    }
    state->open_gaps += (uint32_t)(changes->opened_count - opened_before);
    state->open_gaps -= (uint32_t)(changes->closed_count - closed_before);
    state->commit = commit;
    return status;
}

static void cover(struct k2_sequence_gap *whole, const struct k2_sequence_gap *gap)
{
    whole->first = least(whole->first, gap->first);
    whole->last = greatest(whole->last, gap->last);
    whole->after_ns = least(whole->after_ns, least(gap->after_ns, gap->before_ns));
    whole->before_ns = greatest(whole->before_ns, greatest(gap->after_ns, gap->before_ns));
}

enum k2_status k2_sequence_give_up(struct k2_sequence_state *state,
                                   const struct k2_sequence_gap *gaps, size_t gap_count,
                                   uint64_t commit, struct k2_sequence_changes *changes,
                                   struct k2_error *error)
{
    struct k2_sequence_gap whole = {INT64_MAX, INT64_MIN, INT64_MAX, INT64_MIN, commit};
    size_t closed = 0, closed_count = changes->closed_count; // by this commit so far, ascending
    for (size_t i = 0; i < changes->opened_count; i++) {
        cover(&whole, &changes->opened[i]);
    }
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < gap_count && status == K2_OK; i++) {
        while (closed < closed_count && changes->closed[closed].last < gaps[i].last) {
            closed++;
        }
        if (closed == closed_count || changes->closed[closed].last != gaps[i].last) {
            cover(&whole, &gaps[i]);
            status = close_gap(changes, &gaps[i], error);
        }
    }
    changes->opened_count = 0;
    if (status == K2_OK && whole.first <= whole.last) {
        status = open_gap(changes, &whole, error);
    }
    state->given_up = true;
    state->open_gaps = (uint32_t)changes->opened_count;
    state->commit = commit;
    return status;
}

bool k2_sequence_seen(const struct k2_sequence_state *state, const struct k2_sequence_gap *gaps,
                      size_t gap_count, int64_t number)
{
    size_t low = 0, high = gap_count;
    if (!state->any || number < state->first || number > state->last) {
        return false;
    }
    while (low < high) { // the first gap that ends at or behind the number
        size_t middle = low + (high - low) / 2;
        if (gaps[middle].last < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low == gap_count || gaps[low].first > number;
}
