#include "engine/plan.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "engine/commit_log.h"
#include "engine/engine_state.h"
#include "engine/file_io.h"
#include "engine/group_list.h"
#include "engine/index_records.h"
#include "engine/policy.h"
#include "format/base/alloc.h"

enum {
    MOST_SWEPT = 512,
    FEW_GROUPS = 32, // are looked at one by one
    MOST_PLACES = 256,
};

// A segment that a plan needs, and up to where.
struct needed_segment {
    uint64_t segment_id, end;
    struct k2_cached_map *map;
};

static bool wants_instrument(const struct k2_plan_request *request,
                             const struct k2_group_record *record)
{
    if (request->instruments == NULL) {
        return true;
    }
    size_t low = 0, high = request->instrument_count;
    while (low < high) { // the first wanted id not below the group's least
        size_t middle = low + (high - low) / 2;
        if (request->instruments[middle] < record->instrument_min) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < request->instrument_count && request->instruments[low] <= record->instrument_max;
}

static bool wants_group(const struct k2_plan_request *request, const struct k2_group_record *record)
{
    bool shows =
        request->with_history || record->until_max == 0 || record->until_max > request->snapshot;
    bool is_new = request->commit_after == 0 || record->commit_max > request->commit_after;
    return shows && is_new && record->time_max_ns >= request->time_min_ns &&
           record->commit_min <= request->snapshot &&
           (!request->unsorted_only || !k2_level_is_sorted(record->level));
}

static bool grow(struct k2_plan *plan, size_t *room)
{
    if (plan->group_count < *room) {
        return true;
    }
    size_t grown_room = *room * 2 + 8;
    struct k2_plan_group *groups = k2_realloc(plan->groups, grown_room, sizeof *groups);
    if (groups == NULL) {
        return false;
    }
    plan->groups = groups;
    *room = grown_room;
    return true;
}

static enum k2_status add_group(struct k2_plan *plan, size_t *room,
                                const struct k2_group_place *place,
                                const struct k2_group_record *record, struct k2_error *error)
{
    if (!grow(plan, room)) {
        return k2_fail(error, K2_NO_MEMORY, "plan: out of memory");
    }
    plan->groups[plan->group_count++] = (struct k2_plan_group){
        .segment_id = place->segment_id,
        .offset = place->offset,
        .length_bytes = record->length_bytes,
        .row_count = record->row_count,
        .time_min_ns = place->time_min_ns,
        .time_max_ns = record->time_max_ns,
        .instrument_min = record->instrument_min,
        .instrument_max = record->instrument_max,
        .commit_min = record->commit_min,
        .commit_max = record->commit_max,
        .level = record->level,
        .versions = record->versions || record->until_max > 0,
    };
    return K2_OK;
}

// The least time_min that a group overlapping `time_min_ns` can have.
static int64_t first_time(int64_t time_min_ns, int64_t longest_ns)
{
    int64_t first_ns;
    // The longest one is saturated: a group may reach over more than half of all times.
    return longest_ns == INT64_MAX || __builtin_sub_overflow(time_min_ns, longest_ns, &first_ns)
               ? INT64_MIN
               : first_ns;
}

static enum k2_status take_group(const struct k2_plan_request *request, struct k2_plan *plan,
                                 size_t *room, const struct k2_group_place *place,
                                 const struct k2_group_record *record, struct k2_error *error)
{
    return wants_group(request, record) && wants_instrument(request, record)
               ? add_group(plan, room, place, record, error)
               : K2_OK;
}

// As the index has them.
static enum k2_status look_up_groups(struct k2_store_txn *txn,
                                     const struct k2_plan_request *request, int64_t first_ns,
                                     struct k2_plan *plan, struct k2_error *error)
{
    struct k2_store_cursor cursor = {0};
    struct k2_group_place first = {.table = request->table->id, .time_min_ns = first_ns};
    size_t room = 0;
    struct k2_index_key key = k2_group_key(&first);
    struct k2_group_place last = {
        .table = request->table->id,
        .time_min_ns = request->time_max_ns,
        .segment_id = UINT64_MAX,
        .offset = UINT64_MAX,
    };
    struct k2_index_key end = k2_group_key(&last);
    // A damaged page would hide groups.
    enum k2_status status = k2_store_verify(txn, K2_STORE_GROUP, k2_index_key_slice(&key),
                                            k2_index_key_slice(&end), error);
    if (status == K2_OK) {
        status = k2_store_cursor_open(txn, K2_STORE_GROUP, &cursor, error);
    }
    if (status == K2_OK) {
        status = k2_store_seek(&cursor, k2_index_key_slice(&key), error);
    }
    while (status == K2_OK && cursor.found) {
        struct k2_group_place place = k2_group_place_of(cursor.key);
        struct k2_group_record record = k2_group_record_decode(cursor.value);
        if (place.table != first.table || place.time_min_ns > request->time_max_ns) {
            break;
        }
        status = take_group(request, plan, &room, &place, &record, error);
        if (status == K2_OK) {
            status = k2_store_next(&cursor, error);
        }
    }
    k2_store_cursor_close(&cursor);
    return status;
}

// Those of the list that begin at `first_ns` or later, as the index would give them.
static enum k2_status take_listed(const struct k2_plan_request *request,
                                  const struct k2_group_list *list, int64_t first_ns,
                                  struct k2_plan *plan, struct k2_error *error)
{
    uint32_t places[MOST_PLACES];
    size_t room = 0, count = 0, first = k2_group_list_find(list, first_ns);
    size_t end = request->time_max_ns == INT64_MAX
                     ? list->count
                     : k2_group_list_find(list, request->time_max_ns + 1);
    enum k2_status status = K2_OK;
    // Where groups are sorted by instrument, few of those in the range have a given one.
    if (end - first > FEW_GROUPS && request->instruments != NULL &&
        request->instrument_count == 1 &&
        k2_group_list_of_instrument(list, request->instruments[0], places, MOST_PLACES, &count)) {
        for (size_t i = 0; status == K2_OK && i < count; i++) {
            if (places[i] >= first && places[i] < end) {
                const struct k2_listed_group *group = &list->groups[places[i]];
                status = take_group(request, plan, &room, &group->place, &group->record, error);
            }
        }
        return status;
    }
    for (size_t i = first; status == K2_OK && i < end; i++) {
        const struct k2_listed_group *group = &list->groups[i];
        status = take_group(request, plan, &room, &group->place, &group->record, error);
    }
    return status;
}

static enum k2_status check_history(struct k2_store_txn *txn, const struct k2_plan_request *request,
                                    uint64_t newest, struct k2_error *error)
{
    return request->snapshot < newest
               ? k2_policy_check_snapshot(txn, request->table, request->snapshot, INT64_MIN, error)
               : K2_OK;
}

// From the list that is kept of this state of the index, else from the index.
static enum k2_status list_groups(struct k2_engine *engine, struct k2_store_txn *txn,
                                  const struct k2_plan_request *request, struct k2_plan *plan,
                                  struct k2_error *error)
{
    struct k2_group_list *list = NULL;
    int64_t longest_ns = 0;
    enum k2_status status = K2_OK;
    if (!request->fresh) {
        status = k2_group_lists_acquire(engine->lists, txn, request->table->id, &list, error);
    }
    if (list != NULL) {
        plan->newest_snapshot = list->newest_snapshot;
        status = check_history(txn, request, list->newest_snapshot, error);
        if (status == K2_OK) {
            status =
                take_listed(request, list, first_time(request->time_min_ns, list->longest_group_ns),
                            plan, error);
        }
        k2_group_lists_release(engine->lists, list);
        return status;
    }
    if (status == K2_OK) {
        status = k2_commit_log_newest_id(txn, &plan->newest_snapshot, error);
    }
    if (status == K2_OK) {
        status = check_history(txn, request, plan->newest_snapshot, error);
    }
    if (status == K2_OK) {
        status = k2_group_longest_ns(txn, request->table->id, &longest_ns, error);
    }
    return status == K2_OK
               ? look_up_groups(txn, request, first_time(request->time_min_ns, longest_ns), plan,
                                error)
               : status;
}

static int compare_segments(const void *left, const void *right)
{
    const struct needed_segment *a = left, *b = right;
    return (a->segment_id > b->segment_id) - (a->segment_id < b->segment_id);
}

// The distinct segments, by id. `list` has room for as many as there are groups.
static size_t list_segments(const struct k2_plan *plan, struct needed_segment *list)
{
    bool sorted = true;
    for (size_t i = 0; i < plan->group_count; i++) {
        const struct k2_plan_group *group = &plan->groups[i];
        list[i] =
            (struct needed_segment){group->segment_id, group->offset + group->length_bytes, NULL};
        sorted = sorted && (i == 0 || list[i - 1].segment_id <= list[i].segment_id);
    }
    if (!sorted) {
        qsort(list, plan->group_count, sizeof *list, compare_segments);
    }
    size_t count = 0;
    for (size_t i = 0; i < plan->group_count; i++) {
        if (count == 0 || list[i].segment_id != list[count - 1].segment_id) {
            list[count++] = list[i];
        } else if (list[i].end > list[count - 1].end) {
            list[count - 1].end = list[i].end;
        }
    }
    return count;
}

// From the cache, or anew: the file up to its committed length.
static enum k2_status map_segment(struct k2_engine *engine, struct k2_store_txn *txn,
                                  struct k2_view_cache *cache, struct needed_segment *segment,
                                  struct k2_error *error)
{
    segment->map = k2_view_cache_find_map(cache, segment->segment_id, segment->end);
    if (segment->map != NULL) {
        return K2_OK;
    }
    struct k2_segment_record record;
    bool found;
    enum k2_status status = k2_store_get_segment(txn, segment->segment_id, &found, &record, error);
    if (status != K2_OK) {
        return status;
    }
    if (!found) {
        return k2_fail(error, K2_CORRUPT, "index: segment %016llx is not known; run `k2 repair`",
                       (unsigned long long)segment->segment_id);
    }
    if (record.length_bytes < segment->end) {
        return k2_fail(error, K2_CORRUPT,
                       "segment %016llx: a group ends at byte %llu, outside the committed %llu",
                       (unsigned long long)segment->segment_id, (unsigned long long)segment->end,
                       (unsigned long long)record.length_bytes);
    }
    char path[K2_PATH_BYTES];
    struct k2_slice bytes;
    k2_engine_segment_path(engine, segment->segment_id, ".k2s", path);
    status = k2_file_map(path, record.length_bytes, &bytes, error);
    if (status != K2_OK) {
        return status;
    }
    status = k2_segment_header_check(bytes, engine->store_id, segment->segment_id, error);
    if (status != K2_OK) {
        k2_file_unmap(bytes);
        k2_error_annotate(error, "%s", path);
        return status;
    }
    return k2_view_cache_add_map(cache, segment->segment_id, bytes, &segment->map, error);
}

static enum k2_status map_segments(struct k2_engine *engine, struct k2_store_txn *txn,
                                   struct k2_plan *plan, struct needed_segment *list,
                                   struct k2_error *error)
{
    size_t count = list_segments(plan, list);
    plan->maps = k2_alloc_zero(count, sizeof *plan->maps);
    if (plan->maps == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "plan: out of memory");
    }
    for (size_t i = 0; i < count; i++) {
        enum k2_status status = map_segment(engine, txn, plan->cache, &list[i], error);
        if (status != K2_OK) {
            return status;
        }
        plan->maps[plan->map_count++] = list[i].map;
    }
    for (size_t i = 0; i < plan->group_count; i++) {
        struct needed_segment wanted = {.segment_id = plan->groups[i].segment_id};
        const struct needed_segment *segment =
            bsearch(&wanted, list, count, sizeof wanted, compare_segments);
        assert(segment != NULL); // the list was made of these
        plan->groups[i].map = segment->map;
    }
    plan->is_mapped = true;
    return K2_OK;
}

static enum k2_status map_groups(struct k2_engine *engine, struct k2_store_txn *txn,
                                 struct k2_plan *plan, struct k2_error *error)
{
    struct needed_segment few[64], *list = few;
    if (plan->group_count > sizeof few / sizeof few[0]) {
        list = k2_alloc_zero(plan->group_count, sizeof *list);
        if (list == NULL) {
            return k2_fail(error, K2_NO_MEMORY, "plan: out of memory");
        }
    }
    enum k2_status status = map_segments(engine, txn, plan, list, error);
    if (list != few) {
        k2_free(list);
    }
    return status;
}

// Gives back the files that the writer of another process has unlinked. A failure is met by whoever
// reads next.
static void sweep_cache(struct k2_engine *engine, struct k2_store_txn *txn)
{
    uint64_t ids[MOST_SWEPT];
    size_t count = k2_view_cache_segments(engine->views, ids, MOST_SWEPT);
    for (size_t i = 0; i < count; i++) {
        struct k2_segment_record record;
        bool found;
        if (k2_store_get_segment(txn, ids[i], &found, &record, NULL) == K2_OK &&
            (!found || record.state == K2_SEGMENT_RETIRED)) {
            k2_view_cache_forget(engine->views, ids[i]);
        }
    }
}

// A fresh plan has a cache of its own, which keeps nothing.
static enum k2_status choose_cache(struct k2_engine *engine, bool fresh, struct k2_plan *plan,
                                   struct k2_error *error)
{
    static const struct k2_view_cache_limits nothing;
    enum k2_status status = fresh ? k2_view_cache_create(&plan->own_cache, &nothing, error) : K2_OK;
    plan->cache = fresh ? plan->own_cache : engine->views;
    return status;
}

static enum k2_status build(struct k2_engine *engine, const struct k2_plan_request *request,
                            struct k2_store_txn *txn, struct k2_plan *plan, struct k2_error *error)
{
    enum k2_status status = list_groups(engine, txn, request, plan, error);
    if (k2_view_cache_sweep_is_due(engine->views)) {
        sweep_cache(engine, txn);
    }
    if (status != K2_OK || request->headers_only || plan->group_count == 0 ||
        (request->most_mapped > 0 && plan->group_count > request->most_mapped)) {
        return status;
    }
    status = choose_cache(engine, request->fresh, plan, error);
    return status == K2_OK ? map_groups(engine, txn, plan, error) : status;
}

enum k2_status k2_plan_open_groups(struct k2_engine *engine, struct k2_store_txn *txn,
                                   const struct k2_plan_group *groups, size_t group_count,
                                   struct k2_plan *plan, struct k2_error *error)
{
    *plan = (struct k2_plan){.groups = k2_alloc_zero(group_count, sizeof *groups)};
    if (plan->groups == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "plan: out of memory");
    }
    memcpy(plan->groups, groups, group_count * sizeof *groups);
    plan->group_count = group_count;
    enum k2_status status = choose_cache(engine, true, plan, error);
    if (status == K2_OK) {
        status = map_groups(engine, txn, plan, error);
    }
    if (status != K2_OK) {
        k2_plan_close(plan);
    }
    return status;
}

enum k2_status k2_plan_open(struct k2_engine *engine, const struct k2_plan_request *request,
                            struct k2_plan *plan, struct k2_error *error)
{
    struct k2_store_txn *txn;
    *plan = (struct k2_plan){0};
    enum k2_status status = k2_store_begin(engine->store, false, &txn, error);
    if (status == K2_OK) {
        status = k2_plan_open_within(engine, txn, request, plan, error);
        k2_store_abort(txn);
    }
    return status;
}

enum k2_status k2_plan_open_within(struct k2_engine *engine, struct k2_store_txn *txn,
                                   const struct k2_plan_request *request, struct k2_plan *plan,
                                   struct k2_error *error)
{
    *plan = (struct k2_plan){0};
    // Files are mapped inside the transaction: until it ends the writer unlinks none of them.
    enum k2_status status = build(engine, request, txn, plan, error);
    if (status != K2_OK) {
        k2_plan_close(plan);
    }
    return status;
}

void k2_plan_close(struct k2_plan *plan)
{
    for (size_t i = 0; i < plan->group_count; i++) {
        k2_plan_release(plan, i);
    }
    for (size_t i = 0; i < plan->map_count; i++) {
        k2_view_cache_release_map(plan->cache, plan->maps[i]);
    }
    k2_view_cache_destroy(plan->own_cache);
    k2_free(plan->maps);
    k2_free(plan->groups);
    *plan = (struct k2_plan){0};
}

static enum k2_status check_rows(const struct k2_plan_group *group,
                                 const struct k2_row_group_view *view, struct k2_error *error)
{
    uint32_t rows = k2_row_group_view_rows(view);
    return rows == group->row_count
               ? K2_OK
               : k2_fail(error, K2_CORRUPT, "%u rows, the index says %u", rows, group->row_count);
}

static enum k2_status damaged(const struct k2_plan_group *group, enum k2_status status,
                              struct k2_error *error)
{
    k2_error_annotate(error, "segment %016llx: group at byte %llu",
                      (unsigned long long)group->segment_id, (unsigned long long)group->offset);
    return status;
}

enum k2_status k2_plan_acquire(struct k2_plan *plan, size_t group_index,
                               const struct k2_row_group_view **view, struct k2_error *error)
{
    struct k2_plan_group *group = &plan->groups[group_index];
    enum k2_status status = K2_OK;
    if (group->view == NULL) {
        status = k2_view_cache_acquire(plan->cache, group->map, group->offset, group->length_bytes,
                                       &group->view, error);
        if (status == K2_OK) {
            status = check_rows(group, group->view->view, error);
            if (status != K2_OK) {
                k2_plan_release(plan, group_index);
            }
        }
    }
    if (status != K2_OK) {
        return damaged(group, status, error);
    }
    *view = group->view->view;
    return K2_OK;
}

void k2_plan_release(struct k2_plan *plan, size_t group_index)
{
    struct k2_plan_group *group = &plan->groups[group_index];
    if (group->view != NULL) {
        k2_view_cache_release(plan->cache, group->view);
        group->view = NULL;
    }
}

enum k2_status k2_plan_view(const struct k2_plan *plan, size_t group_index,
                            struct k2_row_group_view **view, struct k2_error *error)
{
    const struct k2_plan_group *group = &plan->groups[group_index];
    struct k2_slice bytes = {k2_cached_map_bytes(group->map).data + group->offset,
                             group->length_bytes};
    enum k2_status status =
        k2_row_group_view_open(view, bytes, group->segment_id, group->offset, error);
    if (status == K2_OK) {
        status = check_rows(group, *view, error);
        if (status != K2_OK) {
            k2_row_group_view_close(*view);
        }
    }
    return status == K2_OK ? K2_OK : damaged(group, status, error);
}
