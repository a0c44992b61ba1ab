#include "engine/plan.h"

#include <stdlib.h>
#include <string.h>

#include "engine/commit_log.h"
#include "engine/engine_state.h"
#include "engine/file_io.h"
#include "engine/index_records.h"
#include "engine/policy.h"
#include "format/base/alloc.h"

struct k2_segment_map {
    uint64_t segment_id;
    struct k2_slice bytes; // NULL until mapped
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

static bool grow(struct k2_plan *plan, size_t *room)
{
    if (plan->group_count < *room) {
        return true;
    }
    size_t grown_room = *room * 2 + 32;
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
    };
    return K2_OK;
}

// The least time_min that a group overlapping `time_min_ns` can have.
static enum k2_status first_time(struct k2_store_txn *txn, const struct k2_plan_request *request,
                                 int64_t *time_ns, struct k2_error *error)
{
    struct k2_index_key key = k2_index_key_id(request->table->id, 2);
    struct k2_slice value;
    bool found;
    *time_ns = INT64_MIN;
    enum k2_status status =
        k2_store_get(txn, K2_STORE_COUNTER, k2_index_key_slice(&key), &found, &value, error);
    if (status == K2_OK && found) {
        int64_t longest_ns = k2_counter_record_decode(value).longest_group_ns;
        // The longest one is saturated: a group may reach over more than half of all times.
        if (longest_ns == INT64_MAX ||
            __builtin_sub_overflow(request->time_min_ns, longest_ns, time_ns)) {
            *time_ns = INT64_MIN;
        }
    }
    return status;
}

static enum k2_status list_groups(struct k2_store_txn *txn, const struct k2_plan_request *request,
                                  struct k2_plan *plan, struct k2_error *error)
{
    struct k2_store_cursor cursor = {0};
    struct k2_group_place first = {.table = request->table->id};
    size_t room = 0;
    enum k2_status status = first_time(txn, request, &first.time_min_ns, error);
    struct k2_index_key key = k2_group_key(&first);
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
        if (record.time_max_ns >= request->time_min_ns && record.commit_min <= request->snapshot &&
            (!request->unsorted_only || record.level == 0) && wants_instrument(request, &record)) {
            status = add_group(plan, &room, &place, &record, error);
        }
        if (status == K2_OK) {
            status = k2_store_next(&cursor, error);
        }
    }
    k2_store_cursor_close(&cursor);
    return status;
}

static int compare_maps(const void *left, const void *right)
{
    const struct k2_segment_map *a = left, *b = right;
    return (a->segment_id > b->segment_id) - (a->segment_id < b->segment_id);
}

// One map for each distinct segment, sorted by id.
static enum k2_status list_segments(struct k2_plan *plan, struct k2_error *error)
{
    plan->maps = k2_alloc_zero(plan->group_count, sizeof *plan->maps);
    if (plan->maps == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "plan: out of memory");
    }
    for (size_t i = 0; i < plan->group_count; i++) {
        plan->maps[i].segment_id = plan->groups[i].segment_id;
    }
    qsort(plan->maps, plan->group_count, sizeof *plan->maps, compare_maps);
    for (size_t i = 0; i < plan->group_count; i++) {
        if (i == 0 || plan->maps[i].segment_id != plan->maps[i - 1].segment_id) {
            plan->maps[plan->map_count++] = plan->maps[i];
        }
    }
    return K2_OK;
}

static enum k2_status map_segment(struct k2_engine *engine, struct k2_store_txn *txn,
                                  struct k2_segment_map *map, struct k2_error *error)
{
    struct k2_index_key key = k2_index_key_id(map->segment_id, 8);
    struct k2_slice value;
    bool found;
    enum k2_status status =
        k2_store_get(txn, K2_STORE_SEGMENT, k2_index_key_slice(&key), &found, &value, error);
    if (status != K2_OK) {
        return status;
    }
    if (!found) {
        return k2_fail(error, K2_CORRUPT, "index: segment %016llx is not known; run `k2 repair`",
                       (unsigned long long)map->segment_id);
    }
    struct k2_segment_record record = k2_segment_record_decode(value);
    char path[K2_PATH_BYTES];
    k2_engine_segment_path(engine, map->segment_id, ".k2s", path);
    status = k2_file_map(path, record.length_bytes, &map->bytes, error);
    if (status == K2_OK) {
        status = k2_segment_header_check(map->bytes, engine->store_id, map->segment_id, error);
        if (status != K2_OK) {
            k2_error_annotate(error, "%s", path);
        }
    }
    return status;
}

static enum k2_status place_groups(struct k2_plan *plan, struct k2_error *error)
{
    for (size_t i = 0; i < plan->group_count; i++) {
        struct k2_plan_group *group = &plan->groups[i];
        struct k2_segment_map wanted = {.segment_id = group->segment_id};
        const struct k2_segment_map *map =
            bsearch(&wanted, plan->maps, plan->map_count, sizeof wanted, compare_maps);
        if (map == NULL || group->offset > map->bytes.size_bytes ||
            group->length_bytes > map->bytes.size_bytes - group->offset) {
            return k2_fail(error, K2_CORRUPT,
                           "segment %016llx: a group at byte %llu lies outside the committed %zu",
                           (unsigned long long)group->segment_id, (unsigned long long)group->offset,
                           map == NULL ? 0 : map->bytes.size_bytes);
        }
        group->bytes = (struct k2_slice){map->bytes.data + group->offset, group->length_bytes};
    }
    return K2_OK;
}

static enum k2_status build(struct k2_engine *engine, const struct k2_plan_request *request,
                            struct k2_store_txn *txn, struct k2_plan *plan, struct k2_error *error)
{
    struct k2_snapshot newest;
    enum k2_status status = k2_commit_log_newest(txn, &newest, error);
    plan->newest_snapshot = newest.id;
    if (status == K2_OK && request->snapshot < newest.id) {
        status = k2_policy_check_snapshot(txn, request->table, request->snapshot, INT64_MIN, error);
    }
    if (status == K2_OK) {
        status = list_groups(txn, request, plan, error);
    }
    if (status != K2_OK || request->headers_only || plan->group_count == 0) {
        return status;
    }
    status = list_segments(plan, error);
    for (size_t i = 0; i < plan->map_count && status == K2_OK; i++) {
        status = map_segment(engine, txn, &plan->maps[i], error);
    }
    return status == K2_OK ? place_groups(plan, error) : status;
}

enum k2_status k2_plan_open(struct k2_engine *engine, const struct k2_plan_request *request,
                            struct k2_plan *plan, struct k2_error *error)
{
    struct k2_store_txn *txn;
    *plan = (struct k2_plan){0};
    enum k2_status status = k2_store_begin(engine->store, false, &txn, error);
    if (status != K2_OK) {
        return status;
    }
    // Files are mapped inside the transaction: until it ends the writer unlinks none of them.
    status = build(engine, request, txn, plan, error);
    k2_store_abort(txn);
    if (status != K2_OK) {
        k2_plan_close(plan);
    }
    return status;
}

void k2_plan_close(struct k2_plan *plan)
{
    for (size_t i = 0; i < plan->map_count; i++) {
        k2_file_unmap(plan->maps[i].bytes);
    }
    k2_free(plan->maps);
    k2_free(plan->groups);
    *plan = (struct k2_plan){0};
}

enum k2_status k2_plan_view(const struct k2_plan *plan, size_t group_index,
                            struct k2_row_group_view **view, struct k2_error *error)
{
    const struct k2_plan_group *group = &plan->groups[group_index];
    enum k2_status status =
        k2_row_group_view_open(view, group->bytes, group->segment_id, group->offset, error);
    if (status == K2_OK && k2_row_group_view_rows(*view) != group->row_count) {
        uint32_t rows = k2_row_group_view_rows(*view);
        k2_row_group_view_close(*view);
        status = k2_fail(error, K2_CORRUPT, "%u rows, the index says %u", rows, group->row_count);
    }
    if (status != K2_OK) {
        k2_error_annotate(error, "segment %016llx: group at byte %llu",
                          (unsigned long long)group->segment_id, (unsigned long long)group->offset);
    }
    return status;
}
