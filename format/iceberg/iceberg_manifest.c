#include "format/iceberg/iceberg_manifest.h"

#include <stdio.h>

#include "format/base/alloc.h"
#include "format/iceberg/avro_container.h"

enum { SCHEMA_BYTES = 1 << 16 };

// A map from column ids as Avro has it: an array of records.
#define MAP_FIELD(name, id, key_id, value_id, type)                                                \
    "{\"name\":\"" name                                                                            \
    "\",\"type\":[\"null\",{\"type\":\"array\",\"items\":{\"type\":\"record\","                    \
    "\"name\":\"k" key_id "_v" value_id "\",\"fields\":[{\"name\":\"key\",\"type\":\"int\","       \
    "\"field-id\":" key_id "},{\"name\":\"value\",\"type\":\"" type "\",\"field-id\":" value_id    \
    "}]},\"logicalType\":\"map\"}],\"default\":null,\"field-id\":" id "},"

static const char entry_schema_head[] =
    "{\"type\":\"record\",\"name\":\"manifest_entry\",\"fields\":["
    "{\"name\":\"status\",\"type\":\"int\",\"field-id\":0},"
    "{\"name\":\"snapshot_id\",\"type\":[\"null\",\"long\"],\"default\":null,\"field-id\":1},"
    "{\"name\":\"sequence_number\",\"type\":[\"null\",\"long\"],\"default\":null,\"field-id\":3},"
    "{\"name\":\"file_sequence_number\",\"type\":[\"null\",\"long\"],\"default\":null,"
    "\"field-id\":4},"
    "{\"name\":\"data_file\",\"type\":{\"type\":\"record\",\"name\":\"r2\",\"fields\":["
    "{\"name\":\"content\",\"type\":\"int\",\"field-id\":134},"
    "{\"name\":\"file_path\",\"type\":\"string\",\"field-id\":100},"
    "{\"name\":\"file_format\",\"type\":\"string\",\"field-id\":101},"
    "{\"name\":\"partition\",\"type\":{\"type\":\"record\",\"name\":\"r102\",\"fields\":["
    "{\"name\":\"";
static const char entry_schema_tail[] =
    "\",\"type\":[\"null\",{\"type\":\"int\",\"logicalType\":\"date\"}],"
    "\"default\":null,\"field-id\":1000}]},\"field-id\":102},"
    "{\"name\":\"record_count\",\"type\":\"long\",\"field-id\":103},"
    "{\"name\":\"file_size_in_bytes\",\"type\":\"long\",\"field-id\":104}," MAP_FIELD(
        "column_sizes", "108", "117", "118", "long")
        MAP_FIELD("value_counts", "109", "119", "120", "long") MAP_FIELD("null_value_counts", "110",
                                                                         "121", "122", "long")
            MAP_FIELD("nan_value_counts", "137", "138", "139", "long")
                MAP_FIELD("lower_bounds", "125", "126", "127", "bytes")
                    MAP_FIELD("upper_bounds", "128", "129", "130",
                              "bytes") "{\"name\":\"key_metadata\",\"type\":[\"null\",\"bytes\"],"
                                       "\"default\":null,\"field-id\":131},"
                                       "{\"name\":\"split_offsets\",\"type\":[\"null\",{\"type\":"
                                       "\"array\",\"items\":\"long\","
                                       "\"element-id\":133}],\"default\":null,\"field-id\":132},"
                                       "{\"name\":\"equality_ids\",\"type\":[\"null\",{\"type\":"
                                       "\"array\",\"items\":\"int\","
                                       "\"element-id\":136}],\"default\":null,\"field-id\":135},"
                                       "{\"name\":\"sort_order_id\",\"type\":[\"null\",\"int\"],"
                                       "\"default\":null,\"field-id\":140}"
                                       "]},\"field-id\":2}]}";

static const char list_schema[] =
    "{\"type\":\"record\",\"name\":\"manifest_file\",\"fields\":["
    "{\"name\":\"manifest_path\",\"type\":\"string\",\"field-id\":500},"
    "{\"name\":\"manifest_length\",\"type\":\"long\",\"field-id\":501},"
    "{\"name\":\"partition_spec_id\",\"type\":\"int\",\"field-id\":502},"
    "{\"name\":\"content\",\"type\":\"int\",\"field-id\":517},"
    "{\"name\":\"sequence_number\",\"type\":\"long\",\"field-id\":515},"
    "{\"name\":\"min_sequence_number\",\"type\":\"long\",\"field-id\":516},"
    "{\"name\":\"added_snapshot_id\",\"type\":\"long\",\"field-id\":503},"
    "{\"name\":\"added_files_count\",\"type\":\"int\",\"field-id\":504},"
    "{\"name\":\"existing_files_count\",\"type\":\"int\",\"field-id\":505},"
    "{\"name\":\"deleted_files_count\",\"type\":\"int\",\"field-id\":506},"
    "{\"name\":\"added_rows_count\",\"type\":\"long\",\"field-id\":512},"
    "{\"name\":\"existing_rows_count\",\"type\":\"long\",\"field-id\":513},"
    "{\"name\":\"deleted_rows_count\",\"type\":\"long\",\"field-id\":514},"
    "{\"name\":\"partitions\",\"type\":[\"null\",{\"type\":\"array\",\"items\":{\"type\":"
    "\"record\","
    "\"name\":\"r508\",\"fields\":["
    "{\"name\":\"contains_null\",\"type\":\"boolean\",\"field-id\":509},"
    "{\"name\":\"contains_nan\",\"type\":[\"null\",\"boolean\"],\"default\":null,\"field-id\":518},"
    "{\"name\":\"lower_bound\",\"type\":[\"null\",\"bytes\"],\"default\":null,\"field-id\":510},"
    "{\"name\":\"upper_bound\",\"type\":[\"null\",\"bytes\"],\"default\":null,\"field-id\":511}"
    "]},\"element-id\":508}],\"default\":null,\"field-id\":507},"
    "{\"name\":\"key_metadata\",\"type\":[\"null\",\"bytes\"],\"default\":null,\"field-id\":519}]}";

// ---- writing --------------------------------------------------------------------------------

static void put_optional_long(struct k2_buffer *out, bool given, int64_t value)
{
    k2_avro_put_long(out, given ? 1 : 0);
    if (given) {
        k2_avro_put_long(out, value);
    }
}

static void put_optional_bytes(struct k2_buffer *out, struct k2_slice bytes)
{
    k2_avro_put_long(out, bytes.data != NULL ? 1 : 0);
    if (bytes.data != NULL) {
        k2_avro_put_bytes(out, bytes);
    }
}

// The maps of a data file, in the order of the schema.
enum metric { SIZES, VALUES, NULLS, NANS, LOWER, UPPER, METRIC_COUNT };

// The metric of a column; false: not known. Numbers and bounds, each in its own place.
static bool metric_of(const struct k2_iceberg_column *column, enum metric metric, int64_t *number,
                      struct k2_slice *bound)
{
    switch (metric) {
    case SIZES:
        *number = column->size_bytes;
        return column->has_size;
    case VALUES:
        *number = column->value_count;
        return column->has_values;
    case NULLS:
        *number = column->null_count;
        return column->has_nulls;
    case NANS:
        *number = column->nan_count;
        return column->has_nans;
    case LOWER:
        *bound = column->lower;
        return column->has_lower;
    default:
        *bound = column->upper;
        return column->has_upper;
    }
}

static void put_metric(struct k2_buffer *out, const struct k2_iceberg_file *file,
                       enum metric metric)
{
    int64_t number = 0, count = 0;
    struct k2_slice bound = {0};
    for (size_t i = 0; i < file->column_count; i++) {
        count += metric_of(&file->columns[i], metric, &number, &bound) ? 1 : 0;
    }
    k2_avro_put_long(out, count > 0 ? 1 : 0);
    if (count == 0) {
        return;
    }
    k2_avro_put_long(out, count);
    for (size_t i = 0; i < file->column_count; i++) {
        if (metric_of(&file->columns[i], metric, &number, &bound)) {
            k2_avro_put_long(out, file->columns[i].id);
            if (metric >= LOWER) {
                k2_avro_put_bytes(out, bound);
            } else {
                k2_avro_put_long(out, number);
            }
        }
    }
    k2_avro_put_long(out, 0);
}

static void put_file(struct k2_buffer *out, const struct k2_iceberg_file *file)
{
    k2_avro_put_long(out, file->content);
    k2_avro_put_bytes(out, file->path);
    k2_avro_put_bytes(out, file->format);
    put_optional_long(out, file->has_day, file->day);
    k2_avro_put_long(out, file->record_count);
    k2_avro_put_long(out, file->size_bytes);
    for (int metric = 0; metric < METRIC_COUNT; metric++) {
        put_metric(out, file, (enum metric)metric);
    }
    put_optional_bytes(out, file->key_metadata);
    put_optional_long(out, file->split_count > 0, (int64_t)file->split_count);
    for (size_t i = 0; i < file->split_count; i++) {
        k2_avro_put_long(out, file->split_offsets[i]);
    }
    if (file->split_count > 0) {
        k2_avro_put_long(out, 0);
    }
    put_optional_long(out, file->equality_count > 0, (int64_t)file->equality_count);
    for (size_t i = 0; i < file->equality_count; i++) {
        k2_avro_put_long(out, file->equality_ids[i]);
    }
    if (file->equality_count > 0) {
        k2_avro_put_long(out, 0);
    }
    put_optional_long(out, file->has_sort_order, file->sort_order_id);
}

static struct k2_slice number_text(char text[24], int64_t number)
{
    int size = snprintf(text, 24, "%lld", (long long)number);
    return (struct k2_slice){(const uint8_t *)text, (size_t)size};
}

void k2_iceberg_manifest_put(struct k2_buffer *out, const struct k2_iceberg_manifest_head *head,
                             const struct k2_iceberg_entry *entries, size_t entry_count)
{
    struct k2_buffer schema, records;
    char schema_id[24], spec_id[24];
    k2_buffer_init(&schema, SCHEMA_BYTES);
    k2_buffer_init(&records, out->ceiling_bytes);
    k2_put_format(&schema, "%s%s%s", entry_schema_head, head->partition_name, entry_schema_tail);
    k2_put_u8(&schema, 0);
    for (size_t i = 0; i < entry_count; i++) {
        const struct k2_iceberg_entry *entry = &entries[i];
        k2_avro_put_long(&records, entry->status);
        put_optional_long(&records, entry->has_snapshot, entry->snapshot_id);
        put_optional_long(&records, entry->has_sequence, entry->sequence_number);
        put_optional_long(&records, entry->has_file_sequence, entry->file_sequence_number);
        put_file(&records, &entry->file);
    }
    const struct k2_avro_key keys[] = {
        {"schema", head->schema_json},
        {"schema-id", number_text(schema_id, head->schema_id)},
        {"partition-spec", head->spec_json},
        {"partition-spec-id", number_text(spec_id, head->spec_id)},
        {"format-version", k2_slice_of("2")},
        {"content", k2_slice_of("data")},
    };
    out->failed = out->failed || schema.failed || records.failed;
    if (!out->failed) {
        k2_avro_container_put(out, (const char *)schema.data, keys, sizeof keys / sizeof keys[0],
                              head->sync, k2_buffer_slice(&records), entry_count);
    }
    k2_buffer_deinit(&schema);
    k2_buffer_deinit(&records);
}

static struct k2_slice day_bytes(struct k2_arena *arena, int32_t day)
{
    uint8_t *bytes = k2_arena_alloc(arena, sizeof day);
    for (size_t i = 0; bytes != NULL && i < sizeof day; i++) {
        bytes[i] = (uint8_t)((uint32_t)day >> 8 * i);
    }
    return (struct k2_slice){bytes, sizeof day};
}

bool k2_iceberg_manifest_describe(struct k2_iceberg_manifest *manifest,
                                  const struct k2_iceberg_entry *entries, size_t entry_count,
                                  int32_t spec_id, int64_t snapshot_id, int64_t sequence_number,
                                  struct k2_arena *arena)
{
    int32_t least = INT32_MAX, greatest = INT32_MIN;
    *manifest = (struct k2_iceberg_manifest){.spec_id = spec_id,
                                             .sequence_number = sequence_number,
                                             .min_sequence_number = sequence_number,
                                             .snapshot_id = snapshot_id,
                                             .has_partitions = true,
                                             .partition_count = 1};
    manifest->partitions = k2_arena_alloc(arena, sizeof *manifest->partitions);
    if (manifest->partitions == NULL) {
        return false;
    }
    for (size_t i = 0; i < entry_count; i++) {
        const struct k2_iceberg_entry *entry = &entries[i];
        int64_t rows = entry->file.record_count;
        int64_t *const files[] = {&manifest->existing_files, &manifest->added_files,
                                  &manifest->deleted_files};
        int64_t *const row_counts[] = {&manifest->existing_rows, &manifest->added_rows,
                                       &manifest->deleted_rows};
        *files[entry->status] += 1;
        *row_counts[entry->status] += rows;
        // Deleted entries say nothing of what is there, so the least is of the others.
        if (entry->status != K2_ICEBERG_DELETED && entry->has_sequence &&
            entry->sequence_number < manifest->min_sequence_number) {
            manifest->min_sequence_number = entry->sequence_number;
        }
        manifest->partitions->has_null = manifest->partitions->has_null || !entry->file.has_day;
        if (entry->file.has_day) {
            least = entry->file.day < least ? entry->file.day : least;
            greatest = entry->file.day > greatest ? entry->file.day : greatest;
        }
    }
    if (least <= greatest) {
        manifest->partitions->lower = day_bytes(arena, least);
        manifest->partitions->upper = day_bytes(arena, greatest);
        return manifest->partitions->lower.data != NULL && manifest->partitions->upper.data != NULL;
    }
    return true;
}

static void put_ranges(struct k2_buffer *out, const struct k2_iceberg_manifest *manifest)
{
    k2_avro_put_long(out, manifest->has_partitions ? 1 : 0);
    if (!manifest->has_partitions) {
        return;
    }
    if (manifest->partition_count > 0) {
        k2_avro_put_long(out, (int64_t)manifest->partition_count);
    }
    for (size_t i = 0; i < manifest->partition_count; i++) {
        const struct k2_iceberg_range *range = &manifest->partitions[i];
        k2_put_u8(out, range->has_null ? 1 : 0);
        k2_avro_put_long(out, range->has_nan_known ? 1 : 0);
        if (range->has_nan_known) {
            k2_put_u8(out, range->has_nan ? 1 : 0);
        }
        put_optional_bytes(out, range->lower);
        put_optional_bytes(out, range->upper);
    }
    k2_avro_put_long(out, 0);
}

void k2_iceberg_manifest_list_put(struct k2_buffer *out,
                                  const struct k2_iceberg_manifest *manifests,
                                  size_t manifest_count, int64_t snapshot_id, bool has_parent,
                                  int64_t parent_id, int64_t sequence_number,
                                  const uint8_t sync[16])
{
    struct k2_buffer records;
    char snapshot[24], parent[24], sequence[24];
    k2_buffer_init(&records, out->ceiling_bytes);
    for (size_t i = 0; i < manifest_count; i++) {
        const struct k2_iceberg_manifest *manifest = &manifests[i];
        k2_avro_put_bytes(&records, manifest->path);
        k2_avro_put_long(&records, manifest->length_bytes);
        k2_avro_put_long(&records, manifest->spec_id);
        k2_avro_put_long(&records, manifest->content);
        k2_avro_put_long(&records, manifest->sequence_number);
        k2_avro_put_long(&records, manifest->min_sequence_number);
        k2_avro_put_long(&records, manifest->snapshot_id);
        k2_avro_put_long(&records, manifest->added_files);
        k2_avro_put_long(&records, manifest->existing_files);
        k2_avro_put_long(&records, manifest->deleted_files);
        k2_avro_put_long(&records, manifest->added_rows);
        k2_avro_put_long(&records, manifest->existing_rows);
        k2_avro_put_long(&records, manifest->deleted_rows);
        put_ranges(&records, manifest);
        put_optional_bytes(&records, manifest->key_metadata);
    }
    const struct k2_avro_key keys[] = {
        {"snapshot-id", number_text(snapshot, snapshot_id)},
        {"parent-snapshot-id", has_parent ? number_text(parent, parent_id) : k2_slice_of("null")},
        {"sequence-number", number_text(sequence, sequence_number)},
        {"format-version", k2_slice_of("2")},
    };
    out->failed = out->failed || records.failed;
    if (!out->failed) {
        k2_avro_container_put(out, list_schema, keys, sizeof keys / sizeof keys[0], sync,
                              k2_buffer_slice(&records), manifest_count);
    }
    k2_buffer_deinit(&records);
}
