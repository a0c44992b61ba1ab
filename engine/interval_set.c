#include "engine/interval_set.h"

#include <string.h>

#include "format/base/alloc.h"

void k2_interval_set_deinit(struct k2_interval_set *set)
{
    k2_free(set->items);
    *set = (struct k2_interval_set){0};
}

// The number of intervals that begin at or before `value`.
static size_t rank_of(const struct k2_interval_set *set, int64_t value)
{
    size_t low = 0, high = set->count;
    if (high > 0 && set->items[high - 1].first <= value) {
        return high; // the usual case: at the end
    }
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (set->items[middle].first <= value) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

bool k2_interval_set_has(const struct k2_interval_set *set, int64_t value)
{
    size_t rank = rank_of(set, value);
    return rank > 0 && value <= set->items[rank - 1].last;
}

static enum k2_status insert_at(struct k2_interval_set *set, size_t place,
                                struct k2_interval interval, struct k2_error *error)
{
    if (set->count == K2_MAX_INTERVALS) {
        return k2_fail(error, K2_LIMIT, "sequences: more than %d gaps", K2_MAX_INTERVALS - 1);
    }
    if (set->count == set->room) {
        struct k2_interval *items = k2_realloc(set->items, set->room * 2 + 4, sizeof *items);
        if (items == NULL) {
            return k2_fail(error, K2_NO_MEMORY, "sequences: out of memory");
        }
        set->items = items;
        set->room = set->room * 2 + 4;
    }
    memmove(set->items + place + 1, set->items + place, (set->count - place) * sizeof *set->items);
    set->items[place] = interval;
    set->count++;
    return K2_OK;
}

enum k2_status k2_interval_set_add(struct k2_interval_set *set, int64_t value, bool *added,
                                   struct k2_error *error)
{
    size_t rank = rank_of(set, value);
    struct k2_interval *before = rank > 0 ? &set->items[rank - 1] : NULL;
    struct k2_interval *after = rank < set->count ? &set->items[rank] : NULL;
    *added = before == NULL || value > before->last;
    if (!*added) {
        return K2_OK;
    }
    bool joins_before = before != NULL && before->last == value - 1;
    bool joins_after = after != NULL && after->first - 1 == value;
    if (joins_before && joins_after) {
        before->last = after->last;
        memmove(after, after + 1, (set->count - rank - 1) * sizeof *after);
        set->count--;
    } else if (joins_before) {
        before->last = value;
    } else if (joins_after) {
        after->first = value;
    } else {
        return insert_at(set, rank, (struct k2_interval){value, value}, error);
    }
    return K2_OK;
}

void k2_interval_set_put(const struct k2_interval_set *set, struct k2_buffer *out)
{
    uint64_t before = 0;
    k2_put_varint(out, set->count);
    for (size_t i = 0; i < set->count; i++) {
        uint64_t first = (uint64_t)set->items[i].first, last = (uint64_t)set->items[i].last;
        k2_put_varint(out, i == 0 ? k2_zigzag(set->items[i].first) : first - before);
        k2_put_varint(out, last - first);
        before = last;
    }
}

enum k2_status k2_interval_set_read(struct k2_interval_set *set, struct k2_slice bytes,
                                    struct k2_error *error)
{
    struct k2_byte_reader reader = {.rest = bytes};
    uint64_t count = k2_read_varint(&reader), before = 0;
    enum k2_status status = K2_OK;
    set->count = 0;
    if (count > K2_MAX_INTERVALS) {
        reader.truncated = true;
    }
    for (uint64_t i = 0; i < count && !reader.truncated && status == K2_OK; i++) {
        uint64_t step = k2_read_varint(&reader);
        uint64_t first = i == 0 ? (uint64_t)k2_unzigzag(step) : before + step;
        before = first + k2_read_varint(&reader);
        struct k2_interval interval = {(int64_t)first, (int64_t)before};
        bool ascends =
            interval.first <= interval.last && (i == 0 || set->items[i - 1].last < interval.first);
        reader.truncated |= !ascends;
        status = insert_at(set, set->count, interval, error);
    }
    if (status == K2_OK && reader.truncated) {
        status = k2_fail(error, K2_CORRUPT, "index: sequences: not an interval set");
    }
    return status;
}
