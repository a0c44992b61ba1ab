#include "engine/salvage.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/check.h"
#include "engine/engine_state.h"
#include "engine/file_io.h"
#include "engine/journal.h"
#include "format/base/alloc.h"
#include "format/segment/segment_layout.h"

static enum k2_status no_memory(struct k2_error *error)
{
    return k2_fail(error, K2_NO_MEMORY, "repair: out of memory");
}

static void path_of(const struct k2_salvage *salvage, uint64_t segment_id, char path[K2_PATH_BYTES])
{
    (void)snprintf(path, K2_PATH_BYTES, "%.4000s/segments/%016llx.k2s", salvage->folder,
                   (unsigned long long)segment_id);
}

static enum k2_status map_segment(struct k2_salvage *salvage, uint64_t segment_id,
                                  uint64_t size_bytes, struct k2_error *error)
{
    if (salvage->mapped.data != NULL && salvage->mapped_id == segment_id) {
        return K2_OK;
    }
    char path[K2_PATH_BYTES];
    path_of(salvage, segment_id, path);
    k2_file_unmap(salvage->mapped);
    salvage->mapped = (struct k2_slice){0};
    salvage->mapped_id = segment_id;
    return size_bytes == 0 ? K2_OK : k2_file_map(path, size_bytes, &salvage->mapped, error);
}

static int compare_segments(const void *left, const void *right)
{
    const struct k2_salvaged_segment *a = left, *b = right;
    return (a->id > b->id) - (a->id < b->id);
}

static bool add_segment(struct k2_salvage *salvage, uint64_t id, uint64_t size_bytes)
{
    if (salvage->segment_count == salvage->segment_room) {
        size_t room = salvage->segment_room * 2 + 64;
        struct k2_salvaged_segment *grown = k2_realloc(salvage->segments, room, sizeof *grown);
        if (grown == NULL) {
            return false;
        }
        salvage->segments = grown;
        salvage->segment_room = room;
    }
    salvage->segments[salvage->segment_count++] =
        (struct k2_salvaged_segment){.id = id, .size_bytes = size_bytes};
    return true;
}

static enum k2_status list_segments(struct k2_salvage *salvage, struct k2_error *error)
{
    char path[K2_PATH_BYTES];
    (void)snprintf(path, sizeof path, "%.4000s/segments", salvage->folder);
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return k2_fail_errno(error, errno, "%s: cannot read", path);
    }
    enum k2_status status = K2_OK;
    for (struct dirent *entry; status == K2_OK && (entry = readdir(folder)) != NULL;) {
        uint64_t id = 0;
        struct stat file;
        const char *suffix = k2_engine_segment_suffix(entry->d_name, &id);
        if (suffix == NULL || strcmp(suffix, ".k2s") != 0) {
            continue;
        }
        if (fstatat(dirfd(folder), entry->d_name, &file, 0) != 0) {
            status = k2_fail_errno(error, errno, "%s/%s: cannot stat", path, entry->d_name);
        } else if (!add_segment(salvage, id, (uint64_t)file.st_size)) {
            status = no_memory(error);
        }
    }
    (void)closedir(folder);
    if (salvage->segment_count > 1) {
        qsort(salvage->segments, salvage->segment_count, sizeof *salvage->segments,
              compare_segments);
    }
    return status;
}

// The store id that most segments with a sound header have.
static enum k2_status elect_store_id(struct k2_salvage *salvage, struct k2_error *error)
{
    enum { CANDIDATES = 16 };
    struct {
        uint8_t id[16];
        size_t votes;
    } candidates[CANDIDATES];
    size_t count = 0, best = 0;
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < salvage->segment_count && status == K2_OK; i++) {
        const struct k2_salvaged_segment *segment = &salvage->segments[i];
        status = map_segment(salvage, segment->id, segment->size_bytes, error);
        if (status != K2_OK || segment->size_bytes < K2_SEGMENT_ALIGNMENT) {
            continue;
        }
        assert(salvage->mapped.data != NULL);
        const uint8_t *id = salvage->mapped.data + K2_SEGMENT_AT_STORE_ID;
        size_t place = 0;
        while (place < count && memcmp(candidates[place].id, id, 16) != 0) {
            place++;
        }
        if (place == CANDIDATES ||
            k2_segment_header_check(salvage->mapped, id, segment->id, NULL) != K2_OK) {
            continue;
        }
        if (place == count) {
            memcpy(candidates[count].id, id, 16);
            candidates[count++].votes = 0;
        }
        candidates[place].votes++;
        best = candidates[place].votes > candidates[best].votes ? place : best;
    }
    if (status == K2_OK && count > 0) {
        memcpy(salvage->store_id, candidates[best].id, 16);
        salvage->known_store = true;
    }
    return status;
}

static struct k2_salvaged_group *add_group(struct k2_salvage *salvage)
{
    if (salvage->group_count == salvage->group_room) {
        size_t room = salvage->group_room * 2 + 64;
        struct k2_salvaged_group *grown = k2_realloc(salvage->groups, room, sizeof *grown);
        if (grown == NULL) {
            return NULL;
        }
        salvage->groups = grown;
        salvage->group_room = room;
    }
    return &salvage->groups[salvage->group_count++];
}

static bool add_inputs(struct k2_salvage *salvage, const struct k2_row_group_info *info)
{
    size_t needed = salvage->input_count + info->input_count;
    if (needed > salvage->input_room) {
        size_t room = needed * 2;
        struct k2_rewrite_input *grown = k2_realloc(salvage->inputs, room, sizeof *grown);
        if (grown == NULL) {
            return false;
        }
        salvage->inputs = grown;
        salvage->input_room = room;
    }
    for (size_t i = 0; i < info->input_count; i++) {
        salvage->inputs[salvage->input_count++] = info->inputs[i];
    }
    return true;
}

static enum k2_status name_of(struct k2_salvage *salvage, struct k2_slice name, uint16_t *place,
                              struct k2_error *error)
{
    size_t i = 0;
    while (i < salvage->name_count && !k2_slice_equal(name, k2_slice_of(salvage->names[i]))) {
        i++;
    }
    if (i == salvage->name_count) {
        char **grown = k2_realloc(salvage->names, i + 1, sizeof *grown);
        char *copy = k2_alloc_text((const char *)name.data, name.size_bytes);
        salvage->names = grown == NULL ? salvage->names : grown;
        if (grown == NULL || copy == NULL || i > UINT16_MAX) {
            k2_free(copy);
            return no_memory(error);
        }
        salvage->names[salvage->name_count++] = copy;
    }
    *place = (uint16_t)i;
    return K2_OK;
}

struct commit_range {
    uint64_t min, max;
};

static enum k2_status widen(void *context, const struct k2_directory_entry *entry,
                            uint64_t first_commit, struct k2_error *error)
{
    struct commit_range *range = context;
    (void)entry;
    (void)error;
    range->min = first_commit < range->min ? first_commit : range->min;
    return K2_OK;
}

// The snapshots of the rows: of each entry the least, of all the greatest.
static enum k2_status read_commits(const struct k2_row_group_view *view, uint64_t *max,
                                   k2_salvage_visit *visit, void *context, struct k2_error *error)
{
    struct k2_column_reader *reader = NULL;
    struct k2_vector_store *store = k2_alloc_aligned(sizeof *store);
    struct k2_vector vector = {0};
    bool found = false;
    size_t entry_count;
    const struct k2_directory_entry *entries = k2_row_group_view_directory(view, &entry_count);
    uint32_t block_rows = 0, block = UINT32_MAX;
    *max = k2_row_group_view_info(view)->commit;
    enum k2_status status =
        store == NULL ? no_memory(error)
                      : k2_column_reader_open(&reader, view, K2_COLUMN_ID_COMMIT, &found, error);
    if (found) {
        *max = 0;
    }
    for (size_t i = 0; i < entry_count && status == K2_OK; i++) {
        uint64_t least = found ? UINT64_MAX : *max;
        for (uint32_t j = 0; found && j < entries[i].row_count && status == K2_OK; j++) {
            uint32_t row = entries[i].first_row + j;
            if (row / K2_BLOCK_ROWS != block) {
                block = row / K2_BLOCK_ROWS;
                status = k2_column_reader_decode(reader, block, store, &vector, &block_rows, error);
            }
            if (status == K2_OK) {
                assert(vector.values != NULL);
                uint64_t commit = (uint64_t)vector.values[row % K2_BLOCK_ROWS];
                least = commit < least ? commit : least;
                *max = commit > *max ? commit : *max;
            }
        }
        if (status == K2_OK) {
            status = visit(context, &entries[i], least, error);
        }
    }
    if (found) {
        k2_column_reader_close(reader);
    }
    k2_free(store);
    return status;
}

static void describe(const struct k2_row_group_view *view, struct k2_salvaged_group *group)
{
    const struct k2_row_group_info *info = k2_row_group_view_info(view);
    size_t entry_count;
    const struct k2_directory_entry *entries = k2_row_group_view_directory(view, &entry_count);
    group->schema_version = info->schema_version;
    group->part = info->part;
    group->part_count = info->part_count;
    group->run = info->run;
    group->run_base = info->run_base;
    group->commit = info->commit;
    group->commit_time_ns = info->commit_time_ns;
    group->length_bytes = k2_row_group_view_length(view);
    group->place.table = info->table_id;
    group->place.time_min_ns = entries[0].time_min_ns;
    group->record = (struct k2_group_record){
        .length_bytes = (uint32_t)group->length_bytes,
        .row_count = k2_row_group_view_rows(view),
        .time_max_ns = entries[0].time_max_ns,
        .instrument_min = entries[0].instrument,
        .instrument_max = entries[entry_count - 1].instrument,
        .commit_min = info->commit,
        .commit_max = info->commit,
        .level = info->level,
    };
    size_t column_count;
    const struct k2_group_column *columns = k2_row_group_view_columns(view, &column_count);
    for (size_t i = 0; i < column_count; i++) {
        const struct k2_column_stats *stats = &columns[i].stats;
        group->record.versions |= columns[i].id == K2_COLUMN_ID_OP;
        if (columns[i].id == K2_COLUMN_ID_UNTIL && stats->has_range && stats->min > 0) {
            group->record.until_max = (uint64_t)stats->max;
        }
    }
    for (size_t i = 1; i < entry_count; i++) {
        if (entries[i].time_min_ns < group->place.time_min_ns) {
            group->place.time_min_ns = entries[i].time_min_ns;
        }
        if (entries[i].time_max_ns > group->record.time_max_ns) {
            group->record.time_max_ns = entries[i].time_max_ns;
        }
    }
}

// K2_CORRUPT: no group can be read here.
static enum k2_status read_group(struct k2_salvage *salvage, uint64_t segment_id, uint64_t offset,
                                 struct k2_salvaged_group *group, struct k2_error *error)
{
    struct k2_slice bytes = {salvage->mapped.data + offset, salvage->mapped.size_bytes - offset};
    struct k2_row_group_view *view = NULL;
    enum k2_status status = k2_row_group_view_open(&view, bytes, segment_id, offset, error);
    if (status != K2_OK) {
        return status;
    }
    const struct k2_row_group_info *info = k2_row_group_view_info(view);
    *group = (struct k2_salvaged_group){
        .place = {.segment_id = segment_id, .offset = offset},
        .first_input = salvage->input_count,
        .input_count = info->input_count,
    };
    describe(view, group);
    if (!salvage->known_store) { // no header could be read: then by its first group
        memcpy(salvage->store_id, info->store_id, sizeof info->store_id);
        salvage->known_store = true;
    }
    if (memcmp(info->store_id, salvage->store_id, sizeof info->store_id) != 0) {
        status = k2_fail(error, K2_CORRUPT, "it belongs to another store");
    } else if (!add_inputs(salvage, info)) {
        status = no_memory(error);
    } else {
        status = name_of(salvage, info->table_name, &group->name, error);
    }
    if (status == K2_OK) {
        group->alone =
            group->record.level == 0 && strcmp(salvage->names[group->name], K2_JOURNAL_TABLE) == 0;
        struct commit_range range = {.min = UINT64_MAX};
        enum k2_status sound = k2_check_columns(view, error);
        if (sound == K2_OK) {
            sound = read_commits(view, &range.max, widen, &range, error);
        }
        if (sound == K2_OK) {
            group->record.commit_min = range.min;
            group->record.commit_max = range.max;
        }
        group->state = sound == K2_OK ? K2_SALVAGED_SOUND : K2_SALVAGED_DAMAGED;
        status = sound == K2_CORRUPT ? K2_OK : sound;
    }
    k2_row_group_view_close(view);
    return status;
}

static bool is_zero(const uint8_t *bytes, size_t size_bytes)
{
    return size_bytes == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size_bytes - 1) == 0);
}

// Bytes between groups: one bare group for all that follow each other, none for zeros.
static bool add_bare(struct k2_salvage *salvage, uint64_t segment_id, uint64_t offset,
                     uint64_t length_bytes)
{
    struct k2_salvaged_group *last =
        salvage->group_count == 0 ? NULL : &salvage->groups[salvage->group_count - 1];
    if (is_zero(salvage->mapped.data + offset, (size_t)length_bytes)) {
        return true;
    }
    if (last != NULL && last->state == K2_SALVAGED_BARE && last->place.segment_id == segment_id &&
        last->place.offset + last->length_bytes == offset) {
        last->length_bytes += length_bytes;
        return true;
    }
    struct k2_salvaged_group *group = add_group(salvage);
    if (group != NULL) {
        *group = (struct k2_salvaged_group){
            .state = K2_SALVAGED_BARE,
            .length_bytes = length_bytes,
            .place = {.segment_id = segment_id, .offset = offset},
        };
    }
    return group != NULL;
}

static enum k2_status read_segment(struct k2_salvage *salvage, struct k2_salvaged_segment *segment,
                                   struct k2_error *error)
{
    enum k2_status status = map_segment(salvage, segment->id, segment->size_bytes, error);
    if (status != K2_OK) {
        return status;
    }
    status = k2_segment_header_check(salvage->mapped, salvage->store_id, segment->id, error);
    segment->sound_header = status == K2_OK;
    if (status == K2_BAD_REQUEST) { // of a newer format: not for this program to judge
        return status;
    }
    if (segment->size_bytes < K2_SEGMENT_ALIGNMENT) {
        return segment->size_bytes == 0 || add_bare(salvage, segment->id, 0, segment->size_bytes)
                   ? K2_OK
                   : no_memory(error);
    }
    for (uint64_t offset = K2_SEGMENT_ALIGNMENT; offset < segment->size_bytes;) {
        struct k2_salvaged_group group;
        uint64_t rest = segment->size_bytes - offset;
        uint64_t step = rest < K2_SEGMENT_ALIGNMENT ? rest : K2_SEGMENT_ALIGNMENT;
        status = read_group(salvage, segment->id, offset, &group, error);
        if (status == K2_OK) {
            struct k2_salvaged_group *place = add_group(salvage);
            if (place == NULL) {
                return no_memory(error);
            }
            *place = group;
            step = group.length_bytes;
        } else if (status != K2_CORRUPT) {
            return status;
        } else if (!add_bare(salvage, segment->id, offset, step)) {
            return no_memory(error);
        }
        offset += step;
    }
    return K2_OK;
}

enum k2_status k2_salvage_open(struct k2_salvage *salvage, const char *folder,
                               const uint8_t *store_id, struct k2_error *error)
{
    *salvage = (struct k2_salvage){.folder = folder};
    enum k2_status status = list_segments(salvage, error);
    if (status == K2_OK && store_id == NULL) {
        status = elect_store_id(salvage, error);
    } else if (status == K2_OK) {
        memcpy(salvage->store_id, store_id, sizeof salvage->store_id);
        salvage->known_store = true;
    }
    for (size_t i = 0; i < salvage->segment_count && status == K2_OK; i++) {
        status = read_segment(salvage, &salvage->segments[i], error);
        if (status != K2_OK) {
            k2_error_annotate(error, "segment %016llx",
                              (unsigned long long)salvage->segments[i].id);
        }
    }
    if (status != K2_OK) {
        k2_salvage_close(salvage);
    }
    return status;
}

void k2_salvage_close(struct k2_salvage *salvage)
{
    k2_file_unmap(salvage->mapped);
    k2_free(salvage->segments);
    k2_free(salvage->groups);
    k2_free(salvage->inputs);
    for (size_t i = 0; i < salvage->name_count; i++) {
        k2_free(salvage->names[i]);
    }
    k2_free(salvage->names);
    *salvage = (struct k2_salvage){0};
}

static size_t lower_bound(const struct k2_salvage *salvage, uint64_t segment_id, uint64_t offset)
{
    size_t low = 0, high = salvage->group_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct k2_group_place *place = &salvage->groups[middle].place;
        bool before = place->segment_id < segment_id ||
                      (place->segment_id == segment_id && place->offset < offset);
        low = before ? middle + 1 : low;
        high = before ? high : middle;
    }
    return low;
}

size_t k2_salvage_first(const struct k2_salvage *salvage, uint64_t segment_id)
{
    return lower_bound(salvage, segment_id, 0);
}

struct k2_salvaged_group *k2_salvage_find(const struct k2_salvage *salvage, uint64_t segment_id,
                                          uint64_t offset)
{
    size_t place = lower_bound(salvage, segment_id, offset);
    struct k2_salvaged_group *group = &salvage->groups[place];
    return place < salvage->group_count && group->place.segment_id == segment_id &&
                   group->place.offset == offset
               ? group
               : NULL;
}

struct k2_salvaged_segment *k2_salvage_segment(const struct k2_salvage *salvage,
                                               uint64_t segment_id)
{
    struct k2_salvaged_segment wanted = {.id = segment_id};
    return salvage->segment_count == 0 ? NULL
                                       : bsearch(&wanted, salvage->segments, salvage->segment_count,
                                                 sizeof wanted, compare_segments);
}

enum k2_status k2_salvage_bytes(struct k2_salvage *salvage, const struct k2_salvaged_group *group,
                                struct k2_slice *bytes, struct k2_error *error)
{
    const struct k2_salvaged_segment *segment =
        k2_salvage_segment(salvage, group->place.segment_id);
    assert(segment != NULL); // in which the group was found
    enum k2_status status = map_segment(salvage, segment->id, segment->size_bytes, error);
    if (status == K2_OK) {
        *bytes = (struct k2_slice){salvage->mapped.data + group->place.offset,
                                   (size_t)group->length_bytes};
    }
    return status;
}

enum k2_status k2_salvage_view(struct k2_salvage *salvage, const struct k2_salvaged_group *group,
                               struct k2_row_group_view **view, struct k2_error *error)
{
    struct k2_slice bytes;
    enum k2_status status = k2_salvage_bytes(salvage, group, &bytes, error);
    return status == K2_OK ? k2_row_group_view_open(view, bytes, group->place.segment_id,
                                                    group->place.offset, error)
                           : status;
}

enum k2_status k2_salvage_members(struct k2_salvage *salvage, const struct k2_salvaged_group *group,
                                  k2_salvage_visit *visit, void *context, struct k2_error *error)
{
    struct k2_row_group_view *view = NULL;
    uint64_t unused;
    enum k2_status status = k2_salvage_view(salvage, group, &view, error);
    if (status == K2_OK) {
        status = read_commits(view, &unused, visit, context, error);
        k2_row_group_view_close(view);
    }
    return status;
}

enum k2_status k2_salvage_has_commit(struct k2_salvage *salvage,
                                     const struct k2_salvaged_group *group, uint64_t commit,
                                     bool *found, struct k2_error *error)
{
    struct k2_row_group_view *view = NULL;
    struct k2_column_reader *reader = NULL;
    bool mixed = false;
    *found = false;
    struct k2_vector_store *store = k2_alloc_aligned(sizeof *store);
    enum k2_status status =
        store == NULL ? no_memory(error) : k2_salvage_view(salvage, group, &view, error);
    if (status == K2_OK) {
        status = k2_column_reader_open(&reader, view, K2_COLUMN_ID_COMMIT, &mixed, error);
        *found = status == K2_OK && !mixed && group->commit == commit;
    }
    for (uint32_t row = 0; status == K2_OK && mixed && !*found && row < group->record.row_count;
         row += K2_BLOCK_ROWS) {
        struct k2_vector vector;
        uint32_t rows = 0;
        status = k2_column_reader_decode(reader, row / K2_BLOCK_ROWS, store, &vector, &rows, error);
        for (uint32_t i = 0; i < rows && status == K2_OK; i++) {
            *found |= (uint64_t)vector.values[i] == commit;
        }
    }
    if (mixed) {
        k2_column_reader_close(reader);
    }
    k2_row_group_view_close(view);
    k2_free(store);
    return status;
}
