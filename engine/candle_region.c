#include "engine/candle_region.h"

#include <stdlib.h>

#include "format/base/alloc.h"

enum {
    MOST_PIECES = 1 << 18,
    EXTRA_SHARE = 4, // of the blocks: as many more may be decoded
};

void k2_candle_region_deinit(struct k2_candle_region *region)
{
    k2_free(region->pieces);
    *region = (struct k2_candle_region){0};
}

// At most so many entries has a group.
static uint64_t most_entries(const struct k2_plan_group *group)
{
    uint64_t ids = (uint64_t)group->instrument_max - group->instrument_min + 1;
    return ids < group->row_count ? ids : group->row_count;
}

// Entries of a rich group cost hardly more than its blocks, for those that two of them share.
static bool is_rich(const struct k2_plan_group *group)
{
    return most_entries(group) * EXTRA_SHARE * K2_BLOCK_ROWS <= group->row_count;
}

// Until when it pays to go by instrument: to the end of the span, or until poor groups begin, which
// can only be borne if they are few.
static int64_t last_of(struct k2_scan *scan, const struct k2_scan_span *range)
{
    const struct k2_plan *plan = &k2_scan_group_set(scan)->plan;
    uint64_t blocks = 0, extra = 0;
    int64_t first_poor_ns = INT64_MAX;
    for (size_t i = 0; i < plan->group_count; i++) {
        const struct k2_plan_group *group = &plan->groups[i];
        if (!k2_scan_span_meets(scan, range, group)) {
            continue;
        }
        blocks += group->row_count / K2_BLOCK_ROWS + 1;
        if (!is_rich(group)) {
            extra += most_entries(group);
            first_poor_ns = group->time_min_ns < first_poor_ns ? group->time_min_ns : first_poor_ns;
        }
    }
    if (extra <= blocks / EXTRA_SHARE) {
        return range->last_ns;
    }
    return first_poor_ns > range->first_ns ? first_poor_ns - 1 : INT64_MIN;
}

static enum k2_status add_piece(struct k2_candle_region *region, struct k2_candle_piece piece,
                                struct k2_error *error)
{
    if (region->piece_count == region->capacity) {
        size_t capacity = region->capacity == 0 ? 256 : region->capacity * 2;
        struct k2_candle_piece *pieces = k2_realloc(region->pieces, capacity, sizeof *pieces);
        if (pieces == NULL) {
            return k2_fail(error, K2_NO_MEMORY, "candles: out of memory");
        }
        region->pieces = pieces;
        region->capacity = capacity;
    }
    region->pieces[region->piece_count++] = piece;
    return K2_OK;
}

static enum k2_status add_group(struct k2_candle_region *region, struct k2_group_set *set,
                                size_t group_index, struct k2_error *error)
{
    struct k2_group_cursor *cursor;
    enum k2_status status = k2_group_set_cursor(set, group_index, &cursor, error);
    if (status == K2_OK) {
        status = k2_group_set_wanted(set, cursor, error);
    }
    for (size_t i = 0; status == K2_OK && i < cursor->wanted_count; i++) {
        const struct k2_directory_entry *entry = &cursor->entries[cursor->wanted[i].entry];
        if (entry->time_min_ns <= region->range.last_ns &&
            entry->time_max_ns >= region->range.first_ns) {
            struct k2_candle_piece piece = {.group = (uint32_t)group_index,
                                            .wanted = cursor->wanted[i],
                                            .time_min_ns = entry->time_min_ns};
            status = add_piece(region, piece, error);
        }
    }
    k2_group_set_close_cursor(set, group_index);
    return status;
}

static int compare_pieces(const void *left, const void *right)
{
    const struct k2_candle_piece *a = left, *b = right;
    if (a->rank != b->rank) {
        return a->rank < b->rank ? -1 : 1;
    }
    if (a->time_min_ns != b->time_min_ns) {
        return a->time_min_ns < b->time_min_ns ? -1 : 1;
    }
    return (a->group > b->group) - (a->group < b->group);
}

static enum k2_status list_pieces(struct k2_candle_region *region, struct k2_scan *scan,
                                  struct k2_error *error)
{
    struct k2_group_set *set = k2_scan_group_set(scan);
    struct k2_name_set *names = k2_scan_names(scan);
    enum k2_status status = K2_OK;
    region->piece_count = region->next = 0;
    for (size_t i = 0; status == K2_OK && i < set->plan.group_count; i++) {
        if (k2_scan_span_meets(scan, &region->range, &set->plan.groups[i])) {
            status = add_group(region, set, i, error);
        }
    }
    if (status == K2_OK) {
        status = k2_name_set_rank(names, error);
    }
    if (status != K2_OK) {
        region->piece_count = 0;
        return status;
    }
    for (size_t i = 0; i < region->piece_count; i++) {
        region->pieces[i].rank = names->ranks[region->pieces[i].wanted.number];
    }
    if (region->piece_count > 0) {
        qsort(region->pieces, region->piece_count, sizeof *region->pieces, compare_pieces);
    }
    return K2_OK;
}

static bool too_many(struct k2_scan *scan, const struct k2_scan_span *range)
{
    const struct k2_plan *plan = &k2_scan_group_set(scan)->plan;
    uint64_t entries = 0;
    for (size_t i = 0; i < plan->group_count; i++) {
        if (k2_scan_span_meets(scan, range, &plan->groups[i])) {
            entries += most_entries(&plan->groups[i]);
        }
    }
    return entries > MOST_PIECES;
}

enum k2_status k2_candle_region_begin(struct k2_candle_region *region, struct k2_scan *scan,
                                      const struct k2_candle_span *span, bool *begun,
                                      struct k2_error *error)
{
    bool found;
    int64_t interval_ns = span->interval_ns;
    *begun = false;
    enum k2_status status =
        k2_scan_next_span(scan, interval_ns, SIZE_MAX, &region->range, &found, error);
    if (status != K2_OK || !found) {
        return status;
    }
    // No instrument has more candles than may be held, unless its pieces overlap.
    int64_t most_ns, held_ns;
    if (__builtin_mul_overflow(interval_ns, (int64_t)span->most, &most_ns) ||
        __builtin_add_overflow(region->range.first_ns, most_ns, &held_ns)) {
        held_ns = INT64_MAX;
    }
    int64_t last_ns = last_of(scan, &region->range);
    last_ns = held_ns < last_ns ? held_ns : last_ns;
    if (!k2_scan_cut_span(scan, interval_ns, last_ns, &region->range) ||
        too_many(scan, &region->range)) {
        return K2_OK;
    }
    *begun = true;
    return list_pieces(region, scan, error);
}

enum k2_status k2_candle_region_next(struct k2_candle_region *region, struct k2_scan *scan,
                                     struct k2_candle_span *span, bool *more,
                                     struct k2_error *error)
{
    k2_candle_span_clear(span);
    *more = region->next < region->piece_count;
    if (!*more) {
        k2_candle_span_leave(span);
        k2_scan_pass_span(scan, &region->range, false);
        return K2_OK;
    }
    uint32_t rank = region->pieces[region->next].rank;
    enum k2_status status = K2_OK;
    while (status == K2_OK && region->next < region->piece_count &&
           region->pieces[region->next].rank == rank) {
        const struct k2_candle_piece *piece = &region->pieces[region->next++];
        status =
            k2_candle_span_add_entry(span, piece->group, &piece->wanted, &region->range, error);
    }
    return status;
}
