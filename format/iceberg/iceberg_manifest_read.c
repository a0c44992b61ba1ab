#include <stdio.h>

#include "format/base/alloc.h"
#include "format/iceberg/avro_container.h"
#include "format/iceberg/iceberg_manifest.h"

// Field ids of the specification.
enum {
    ID_STATUS = 0,
    ID_SNAPSHOT = 1,
    ID_FILE = 2,
    ID_SEQUENCE = 3,
    ID_FILE_SEQUENCE = 4,
    ID_PATH = 100,
    ID_FORMAT = 101,
    ID_PARTITION = 102,
    ID_RECORDS = 103,
    ID_SIZE = 104,
    ID_KEY_METADATA = 131,
    ID_SPLITS = 132,
    ID_CONTENT = 134,
    ID_EQUALITY = 135,
    ID_SORT_ORDER = 140,
    ID_FIRST_PARTITION = 1000,
    ID_LIST_PATH = 500,
    ID_LIST_LENGTH = 501,
    ID_LIST_SPEC = 502,
    ID_LIST_SNAPSHOT = 503,
    ID_LIST_ADDED_FILES = 504,
    ID_LIST_EXISTING_FILES = 505,
    ID_LIST_DELETED_FILES = 506,
    ID_LIST_PARTITIONS = 507,
    ID_LIST_ADDED_ROWS = 512,
    ID_LIST_EXISTING_ROWS = 513,
    ID_LIST_DELETED_ROWS = 514,
    ID_LIST_SEQUENCE = 515,
    ID_LIST_MIN_SEQUENCE = 516,
    ID_LIST_CONTENT = 517,
    ID_LIST_KEY_METADATA = 519,
    ID_HAS_NULL = 509,
    ID_LOWER = 510,
    ID_UPPER = 511,
    ID_HAS_NAN = 518,
    MOST_COLUMNS = 65536,
    MOST_ENTRIES = 1 << 24,
};

// Which map of the data file, and which part of its entries.
static const struct {
    int32_t map_id, key_id, value_id;
} metrics[] = {
    {108, 117, 118}, {109, 119, 120}, {110, 121, 122},
    {137, 138, 139}, {125, 126, 127}, {128, 129, 130},
};
enum { METRIC_COUNT = sizeof metrics / sizeof metrics[0] };

// What is collected of one record before it goes into the arena.
struct scratch {
    struct k2_arena *arena;              // of the result
    struct k2_iceberg_entry entry;       // a manifest's
    struct k2_iceberg_manifest manifest; // a list's
    struct k2_iceberg_column *columns;
    size_t column_count, column_room, at; // `at`: the column that the last key named
    bool has_key;
    int64_t *numbers; // split offsets, then equality ids
    size_t split_count, equality_count, number_room;
    struct k2_iceberg_range *ranges;
    size_t range_count, range_room;
    bool has_path, has_records, has_size, has_status;
};

static enum k2_status no_memory(struct k2_error *error)
{
    return k2_fail(error, K2_NO_MEMORY, "manifest: no memory");
}

static enum k2_status bad(struct k2_error *error, const char *what)
{
    return k2_fail(error, K2_CORRUPT, "manifest: %s", what);
}

static void *grown(void *list, size_t count, size_t *room, size_t item_bytes)
{
    if (count < *room) {
        return list;
    }
    void *larger = k2_realloc(list, *room * 2 + 16, item_bytes);
    if (larger != NULL) {
        *room = *room * 2 + 16;
    }
    return larger;
}

static void scratch_deinit(struct scratch *scratch)
{
    k2_free(scratch->columns);
    k2_free(scratch->numbers);
    k2_free(scratch->ranges);
}

static enum k2_status keep_bytes(struct scratch *scratch, const struct k2_avro_value *value,
                                 struct k2_slice *kept, struct k2_error *error)
{
    char *copy = k2_arena_text(scratch->arena, value->bytes);
    if (copy == NULL) {
        return no_memory(error);
    }
    *kept = (struct k2_slice){(const uint8_t *)copy, value->bytes.size_bytes};
    return K2_OK;
}

// ---- manifests ------------------------------------------------------------------------------

static enum k2_status find_column(struct scratch *scratch, int64_t id, struct k2_error *error)
{
    for (size_t i = 0; i < scratch->column_count; i++) {
        // Each map names the columns in the same order: the next one is most likely the one.
        size_t place = (scratch->at + 1 + i) % scratch->column_count;
        if (scratch->columns[place].id == id) {
            scratch->at = place;
            return K2_OK;
        }
    }
    if (id < 0 || id > INT32_MAX || scratch->column_count == MOST_COLUMNS) {
        return bad(error, "a data file with a column that can not be");
    }
    void *list = grown(scratch->columns, scratch->column_count, &scratch->column_room,
                       sizeof *scratch->columns);
    if (list == NULL) {
        return no_memory(error);
    }
    scratch->columns = list;
    scratch->at = scratch->column_count++;
    scratch->columns[scratch->at] = (struct k2_iceberg_column){.id = (int32_t)id};
    return K2_OK;
}

static enum k2_status take_metric(struct scratch *scratch, size_t metric,
                                  const struct k2_avro_value *value, struct k2_error *error)
{
    struct k2_iceberg_column *column = &scratch->columns[scratch->at];
    switch (metric) {
    case 0:
        column->has_size = true;
        column->size_bytes = value->number;
        return K2_OK;
    case 1:
        column->has_values = true;
        column->value_count = value->number;
        return K2_OK;
    case 2:
        column->has_nulls = true;
        column->null_count = value->number;
        return K2_OK;
    case 3:
        column->has_nans = true;
        column->nan_count = value->number;
        return K2_OK;
    case 4:
        column->has_lower = true;
        return keep_bytes(scratch, value, &column->lower, error);
    default:
        column->has_upper = true;
        return keep_bytes(scratch, value, &column->upper, error);
    }
}

// Entries of the maps, and elements of the arrays.
static enum k2_status take_item(struct scratch *scratch, const struct k2_avro_value *value,
                                struct k2_error *error)
{
    for (size_t i = 0; i < METRIC_COUNT; i++) {
        if (value->path[1] != metrics[i].map_id) {
            continue;
        }
        if (value->path[2] == metrics[i].key_id) {
            scratch->has_key = true;
            return find_column(scratch, value->number, error);
        }
        if (value->path[2] == metrics[i].value_id) {
            if (!scratch->has_key || (i >= 4) != value->is_bytes) {
                return bad(error, "a metric without its column");
            }
            scratch->has_key = false;
            return take_metric(scratch, i, value, error);
        }
    }
    if (value->path[1] == ID_SPLITS || value->path[1] == ID_EQUALITY) {
        size_t *count =
            value->path[1] == ID_SPLITS ? &scratch->split_count : &scratch->equality_count;
        if (value->path[1] == ID_SPLITS && scratch->equality_count > 0) {
            return bad(error, "split offsets behind equality ids");
        }
        void *list = grown(scratch->numbers, scratch->split_count + scratch->equality_count,
                           &scratch->number_room, sizeof *scratch->numbers);
        if (list == NULL) {
            return no_memory(error);
        }
        scratch->numbers = list;
        scratch->numbers[scratch->split_count + scratch->equality_count] = value->number;
        (*count)++;
    }
    if (value->path[1] == ID_PARTITION && value->path[2] == ID_FIRST_PARTITION &&
        !value->is_bytes && value->number >= INT32_MIN && value->number <= INT32_MAX) {
        scratch->entry.file.has_day = true;
        scratch->entry.file.day = (int32_t)value->number;
    }
    return K2_OK;
}

static enum k2_status take_file_field(struct scratch *scratch, const struct k2_avro_value *value,
                                      struct k2_error *error)
{
    struct k2_iceberg_file *file = &scratch->entry.file;
    switch (value->path[1]) {
    case ID_CONTENT:
        if (value->number < K2_ICEBERG_DATA || value->number > K2_ICEBERG_EQUALITY_DELETES) {
            return bad(error, "a file of unknown content");
        }
        file->content = (enum k2_iceberg_content)value->number;
        return K2_OK;
    case ID_PATH:
        scratch->has_path = value->is_bytes;
        return keep_bytes(scratch, value, &file->path, error);
    case ID_FORMAT:
        return keep_bytes(scratch, value, &file->format, error);
    case ID_RECORDS:
        scratch->has_records = value->number >= 0;
        file->record_count = value->number;
        return K2_OK;
    case ID_SIZE:
        scratch->has_size = value->number >= 0;
        file->size_bytes = value->number;
        return K2_OK;
    case ID_KEY_METADATA:
        return keep_bytes(scratch, value, &file->key_metadata, error);
    case ID_SORT_ORDER:
        file->has_sort_order = true;
        file->sort_order_id = (int32_t)value->number;
        return K2_OK;
    default:
        return K2_OK;
    }
}

static enum k2_status take_entry_value(void *context, const struct k2_avro_value *value,
                                       struct k2_error *error)
{
    struct scratch *scratch = context;
    struct k2_iceberg_entry *entry = &scratch->entry;
    if (value->is_null) {
        return K2_OK;
    }
    if (value->path_count == 3 && value->path[0] == ID_FILE) {
        return take_item(scratch, value, error);
    }
    if (value->path_count == 2 && value->path[0] == ID_FILE) {
        return take_file_field(scratch, value, error);
    }
    if (value->path_count != 1) {
        return K2_OK;
    }
    switch (value->path[0]) {
    case ID_STATUS:
        scratch->has_status = !value->is_bytes && value->number >= 0 && value->number <= 2;
        entry->status = scratch->has_status ? (enum k2_iceberg_status)value->number : 0;
        break;
    case ID_SNAPSHOT:
        entry->has_snapshot = true;
        entry->snapshot_id = value->number;
        break;
    case ID_SEQUENCE:
        entry->has_sequence = true;
        entry->sequence_number = value->number;
        break;
    case ID_FILE_SEQUENCE:
        entry->has_file_sequence = true;
        entry->file_sequence_number = value->number;
        break;
    default:
        break;
    }
    return K2_OK;
}

static void *keep_list(struct scratch *scratch, const void *list, size_t count, size_t item_bytes)
{
    void *kept = k2_arena_alloc(scratch->arena, count * item_bytes);
    if (kept != NULL && count > 0) {
        memcpy(kept, list, count * item_bytes);
    }
    return kept;
}

static void inherit_from(struct k2_iceberg_entry *entry, const struct k2_iceberg_manifest *manifest)
{
    if (manifest == NULL) {
        return;
    }
    if (!entry->has_snapshot) {
        entry->has_snapshot = true;
        entry->snapshot_id = manifest->snapshot_id;
    }
    // Only what was added with the manifest may leave them out.
    if (!entry->has_sequence && entry->status == K2_ICEBERG_ADDED) {
        entry->has_sequence = true;
        entry->sequence_number = manifest->sequence_number;
    }
    if (!entry->has_file_sequence && entry->status == K2_ICEBERG_ADDED) {
        entry->has_file_sequence = true;
        entry->file_sequence_number = manifest->sequence_number;
    }
}

static enum k2_status add_entry(struct k2_iceberg_entries *entries, struct scratch *scratch,
                                const struct k2_iceberg_manifest *manifest, struct k2_error *error)
{
    struct k2_iceberg_file *file = &scratch->entry.file;
    if (!scratch->has_status || !scratch->has_path || !scratch->has_records || !scratch->has_size) {
        return bad(error, "an entry without status, path, size or record count");
    }
    if (entries->count == MOST_ENTRIES) {
        return k2_fail(error, K2_LIMIT, "manifest: more than %d entries", MOST_ENTRIES);
    }
    void *list = grown(entries->items, entries->count, &entries->room, sizeof *entries->items);
    if (list == NULL) {
        return no_memory(error);
    }
    entries->items = list;
    file->columns =
        keep_list(scratch, scratch->columns, scratch->column_count, sizeof *file->columns);
    file->split_offsets =
        keep_list(scratch, scratch->numbers, scratch->split_count, sizeof *file->split_offsets);
    file->equality_ids =
        k2_arena_alloc(scratch->arena, scratch->equality_count * sizeof *file->equality_ids);
    if (file->columns == NULL || file->split_offsets == NULL || file->equality_ids == NULL) {
        return no_memory(error);
    }
    for (size_t i = 0; i < scratch->equality_count; i++) {
        file->equality_ids[i] = (int32_t)scratch->numbers[scratch->split_count + i];
    }
    file->column_count = scratch->column_count;
    file->split_count = scratch->split_count;
    file->equality_count = scratch->equality_count;
    inherit_from(&scratch->entry, manifest);
    entries->items[entries->count++] = scratch->entry;
    return K2_OK;
}

static void begin_record(struct scratch *scratch)
{
    scratch->entry = (struct k2_iceberg_entry){0};
    scratch->manifest = (struct k2_iceberg_manifest){0};
    scratch->column_count = scratch->at = scratch->split_count = scratch->equality_count = 0;
    scratch->range_count = 0;
    scratch->has_key = scratch->has_path = scratch->has_records = false;
    scratch->has_size = scratch->has_status = false;
}

enum k2_status k2_iceberg_manifest_read(struct k2_iceberg_entries *entries, struct k2_slice file,
                                        const struct k2_iceberg_manifest *inherit,
                                        struct k2_error *error)
{
    struct scratch scratch = {.arena = &entries->arena};
    struct k2_avro_reader *reader;
    struct k2_avro_visitor visitor = {.context = &scratch, .value = take_entry_value};
    enum k2_status status = k2_avro_reader_open(&reader, file, error);
    if (status != K2_OK) {
        return status;
    }
    for (bool done = false; status == K2_OK;) {
        begin_record(&scratch);
        status = k2_avro_reader_next(reader, &done, &visitor, error);
        if (status != K2_OK || done) {
            break;
        }
        status = add_entry(entries, &scratch, inherit, error);
    }
    scratch_deinit(&scratch);
    k2_avro_reader_close(reader);
    return status;
}

void k2_iceberg_entries_deinit(struct k2_iceberg_entries *entries)
{
    k2_free(entries->items);
    k2_arena_deinit(&entries->arena);
    *entries = (struct k2_iceberg_entries){0};
}

// ---- manifest lists -------------------------------------------------------------------------

static enum k2_status begin_range(void *context, const int32_t *path, size_t path_count,
                                  struct k2_error *error)
{
    struct scratch *scratch = context;
    if (path_count != 1 || path[0] != ID_LIST_PARTITIONS) {
        return K2_OK;
    }
    void *list =
        grown(scratch->ranges, scratch->range_count, &scratch->range_room, sizeof *scratch->ranges);
    if (list == NULL) {
        return no_memory(error);
    }
    scratch->ranges = list;
    scratch->ranges[scratch->range_count++] = (struct k2_iceberg_range){0};
    return K2_OK;
}

static enum k2_status begin_ranges(void *context, const int32_t *path, size_t path_count,
                                   struct k2_error *error)
{
    struct scratch *scratch = context;
    (void)error;
    scratch->manifest.has_partitions =
        scratch->manifest.has_partitions || (path_count == 1 && path[0] == ID_LIST_PARTITIONS);
    return K2_OK;
}

static enum k2_status take_range(struct scratch *scratch, const struct k2_avro_value *value,
                                 struct k2_error *error)
{
    if (scratch->range_count == 0 || value->path[0] != ID_LIST_PARTITIONS) {
        return K2_OK;
    }
    struct k2_iceberg_range *range = &scratch->ranges[scratch->range_count - 1];
    switch (value->path[1]) {
    case ID_HAS_NULL:
        range->has_null = value->number != 0;
        return K2_OK;
    case ID_HAS_NAN:
        range->has_nan_known = true;
        range->has_nan = value->number != 0;
        return K2_OK;
    case ID_LOWER:
        return keep_bytes(scratch, value, &range->lower, error);
    case ID_UPPER:
        return keep_bytes(scratch, value, &range->upper, error);
    default:
        return K2_OK;
    }
}

static enum k2_status take_list_value(void *context, const struct k2_avro_value *value,
                                      struct k2_error *error)
{
    struct scratch *scratch = context;
    struct k2_iceberg_manifest *manifest = &scratch->manifest;
    if (value->is_null) {
        return K2_OK;
    }
    if (value->path_count == 2) {
        return take_range(scratch, value, error);
    }
    if (value->path_count != 1) {
        return K2_OK;
    }
    int64_t *number = NULL;
    switch (value->path[0]) {
    case ID_LIST_PATH:
        scratch->has_path = value->is_bytes;
        return keep_bytes(scratch, value, &manifest->path, error);
    case ID_LIST_KEY_METADATA:
        return keep_bytes(scratch, value, &manifest->key_metadata, error);
    case ID_LIST_SPEC:
        manifest->spec_id = (int32_t)value->number;
        return K2_OK;
    case ID_LIST_CONTENT:
        manifest->content = (int32_t)value->number;
        return K2_OK;
    case ID_LIST_LENGTH:
        number = &manifest->length_bytes;
        break;
    case ID_LIST_SNAPSHOT:
        number = &manifest->snapshot_id;
        break;
    case ID_LIST_SEQUENCE:
        number = &manifest->sequence_number;
        break;
    case ID_LIST_MIN_SEQUENCE:
        number = &manifest->min_sequence_number;
        break;
    case ID_LIST_ADDED_FILES:
        number = &manifest->added_files;
        break;
    case ID_LIST_EXISTING_FILES:
        number = &manifest->existing_files;
        break;
    case ID_LIST_DELETED_FILES:
        number = &manifest->deleted_files;
        break;
    case ID_LIST_ADDED_ROWS:
        number = &manifest->added_rows;
        break;
    case ID_LIST_EXISTING_ROWS:
        number = &manifest->existing_rows;
        break;
    case ID_LIST_DELETED_ROWS:
        number = &manifest->deleted_rows;
        break;
    default:
        return K2_OK;
    }
    *number = value->number;
    return K2_OK;
}

static enum k2_status add_manifest(struct k2_iceberg_manifests *manifests, struct scratch *scratch,
                                   struct k2_error *error)
{
    struct k2_iceberg_manifest *manifest = &scratch->manifest;
    if (!scratch->has_path) {
        return bad(error, "a list with a manifest without path");
    }
    void *list =
        grown(manifests->items, manifests->count, &manifests->room, sizeof *manifests->items);
    if (list == NULL) {
        return no_memory(error);
    }
    manifests->items = list;
    manifest->partitions =
        keep_list(scratch, scratch->ranges, scratch->range_count, sizeof *scratch->ranges);
    manifest->partition_count = scratch->range_count;
    if (manifest->partitions == NULL) {
        return no_memory(error);
    }
    manifests->items[manifests->count++] = *manifest;
    return K2_OK;
}

enum k2_status k2_iceberg_manifest_list_read(struct k2_iceberg_manifests *manifests,
                                             struct k2_slice file, struct k2_error *error)
{
    struct scratch scratch = {.arena = &manifests->arena};
    struct k2_avro_reader *reader;
    struct k2_avro_visitor visitor = {.context = &scratch,
                                      .value = take_list_value,
                                      .array = begin_ranges,
                                      .element = begin_range};
    enum k2_status status = k2_avro_reader_open(&reader, file, error);
    if (status != K2_OK) {
        return status;
    }
    for (bool done = false; status == K2_OK;) {
        begin_record(&scratch);
        status = k2_avro_reader_next(reader, &done, &visitor, error);
        if (status != K2_OK || done) {
            break;
        }
        status = add_manifest(manifests, &scratch, error);
    }
    scratch_deinit(&scratch);
    k2_avro_reader_close(reader);
    return status;
}

void k2_iceberg_manifests_deinit(struct k2_iceberg_manifests *manifests)
{
    k2_free(manifests->items);
    k2_arena_deinit(&manifests->arena);
    *manifests = (struct k2_iceberg_manifests){0};
}
