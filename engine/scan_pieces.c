#include "engine/scan_pieces.h"

#include <stdlib.h>

#include "format/base/alloc.h"

struct piece {
    uint32_t group;
    struct k2_directory_entry entry;
};

void k2_scan_pieces_deinit(struct k2_scan_pieces *pieces)
{
    k2_free(pieces->groups);
    *pieces = (struct k2_scan_pieces){0};
}

int k2_scan_piece_compare(const struct k2_directory_entry *left,
                          const struct k2_directory_entry *right)
{
    if (left->time_min_ns != right->time_min_ns) {
        return left->time_min_ns < right->time_min_ns ? -1 : 1;
    }
    return (left->sequence_min > right->sequence_min) - (left->sequence_min < right->sequence_min);
}

bool k2_scan_piece_follows(const struct k2_directory_entry *left,
                           const struct k2_directory_entry *right)
{
    if (left->time_max_ns != right->time_min_ns) {
        return left->time_max_ns < right->time_min_ns;
    }
    return left->epoch_min == left->epoch_max && right->epoch_min == right->epoch_max &&
           left->epoch_min == right->epoch_min && left->sequence_max < right->sequence_min;
}

static int compare_pieces(const void *left, const void *right)
{
    const struct piece *a = left, *b = right;
    return k2_scan_piece_compare(&a->entry, &b->entry);
}

// The end of the stretch that begins at `first_ns`. Gives the place behind the groups of the plan,
// which go up by the time of their begin, that can have rows of it.
static size_t find_stretch(struct k2_scan_pieces *pieces, const struct k2_plan *plan,
                           int64_t first_ns, int64_t last_ns)
{
    const struct k2_plan_group *groups = plan->groups;
    size_t first = pieces->first_group, count = plan->group_count;
    while (first < count && groups[first].time_max_ns < first_ns) {
        first++;
    }
    pieces->first_group = first;
    int64_t end_ns = first < count ? groups[first].time_max_ns : last_ns;
    size_t end = first;
    for (; end < count && groups[end].time_min_ns <= first_ns; end++) {
        end_ns = groups[end].time_max_ns > end_ns ? groups[end].time_max_ns : end_ns;
    }
    while (end < count && groups[end].time_min_ns <= end_ns) {
        end++;
    }
    pieces->last_ns = end_ns < last_ns && end < count ? end_ns : last_ns;
    return end;
}

// An instrument has more than one entry in a group only if ids were given twice: then `*single` is
// false.
static enum k2_status list_pieces(struct k2_group_set *set, size_t first, size_t end,
                                  int64_t first_ns, int64_t last_ns, struct piece *list,
                                  size_t *count, bool *single, struct k2_error *error)
{
    enum k2_status status = K2_OK;
    for (size_t i = first; status == K2_OK && i < end; i++) {
        const struct k2_plan_group *group = &set->plan.groups[i];
        if (!k2_group_set_has_some(set, group) || group->time_min_ns > last_ns ||
            group->time_max_ns < first_ns) {
            continue;
        }
        struct k2_group_cursor *cursor;
        status = k2_group_set_cursor(set, i, &cursor, error);
        if (status == K2_OK) {
            status = k2_group_set_wanted(set, cursor, error);
        }
        if (status == K2_OK && cursor->wanted_count == 0) {
            k2_group_set_close_cursor(set, i);
            continue;
        }
        if (status != K2_OK) {
            break;
        }
        const struct k2_directory_entry *entry = &cursor->entries[cursor->wanted[0].entry];
        *single = *single && cursor->wanted_count == 1;
        if (entry->time_min_ns <= last_ns && entry->time_max_ns >= first_ns) {
            list[(*count)++] = (struct piece){(uint32_t)i, *entry};
        }
    }
    return status;
}

enum k2_status k2_scan_pieces_find(struct k2_scan_pieces *pieces, struct k2_group_set *set,
                                   int64_t first_ns, int64_t last_ns, struct k2_error *error)
{
    size_t count = 0;
    bool single = true;
    *pieces = (struct k2_scan_pieces){.groups = pieces->groups,
                                      .capacity = pieces->capacity,
                                      .first_group = pieces->known ? pieces->first_group : 0};
    size_t end = find_stretch(pieces, &set->plan, first_ns, last_ns);
    size_t group_count = end - pieces->first_group;
    if (group_count > pieces->capacity) {
        uint32_t *groups = k2_realloc(pieces->groups, group_count, sizeof *groups);
        if (groups == NULL) {
            return k2_fail(error, K2_NO_MEMORY, "scan: no memory for %zu row groups", group_count);
        }
        pieces->groups = groups;
        pieces->capacity = group_count;
    }
    struct piece *list = k2_alloc(group_count * sizeof *list);
    if (list == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "scan: no memory for %zu row groups", group_count);
    }
    enum k2_status status = list_pieces(set, pieces->first_group, end, first_ns, pieces->last_ns,
                                        list, &count, &single, error);
    if (status == K2_OK && count > 1) {
        qsort(list, count, sizeof *list, compare_pieces);
    }
    pieces->ordered = single;
    for (size_t i = 0; status == K2_OK && i < count; i++) {
        pieces->groups[pieces->group_count++] = list[i].group;
        pieces->ordered = pieces->ordered &&
                          (i == 0 || k2_scan_piece_follows(&list[i - 1].entry, &list[i].entry));
    }
    pieces->known = status == K2_OK;
    k2_free(list);
    return status;
}
