// Manifests, lists and metadata files: what is written is read; what is damaged, or is not there,
// is told.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "format/base/alloc.h"
#include "format/iceberg/avro_container.h"
#include "format/iceberg/iceberg_manifest.h"
#include "format/iceberg/iceberg_metadata.h"

static const size_t ceiling = (size_t)1 << 28;
static const uint8_t sync_mark[16] = "0123456789abcde";

static struct k2_slice text(const char *bytes)
{
    return k2_slice_of(bytes);
}

static struct k2_iceberg_manifest_head head_of(void)
{
    return (struct k2_iceberg_manifest_head){.schema_json = text("{\"type\":\"struct\"}"),
                                             .spec_json = text("[]"),
                                             .partition_name = "timestamp_day"};
}

static void put_two_entries(struct k2_buffer *out)
{
    struct k2_iceberg_column columns[] = {
        {.id = 1, .has_size = true, .size_bytes = 10, .has_values = true, .value_count = 7},
        {.id = 65539,
         .has_nulls = true,
         .null_count = 2,
         .has_nans = true,
         .has_lower = true,
         .lower = text("a"),
         .has_upper = true,
         .upper = text("")},
    };
    int64_t splits[] = {4, 1000};
    int32_t ids[] = {5, 6};
    const struct k2_iceberg_entry entries[] = {
        {.status = K2_ICEBERG_ADDED,
         .has_snapshot = true,
         .snapshot_id = 77,
         .file = {.path = text("file:///w/a.parquet"),
                  .format = text("PARQUET"),
                  .has_day = true,
                  .day = -1,
                  .record_count = 7,
                  .size_bytes = 2000,
                  .columns = columns,
                  .column_count = 2,
                  .split_offsets = splits,
                  .split_count = 2,
                  .has_sort_order = true,
                  .sort_order_id = 1}},
        {.status = K2_ICEBERG_EXISTING,
         .has_snapshot = true,
         .snapshot_id = 5,
         .has_sequence = true,
         .sequence_number = 3,
         .has_file_sequence = true,
         .file_sequence_number = 2,
         .file = {.content = K2_ICEBERG_EQUALITY_DELETES,
                  .path = text("file:///w/b.parquet"),
                  .format = text("PARQUET"),
                  .key_metadata = text("key"),
                  .equality_ids = ids,
                  .equality_count = 2}},
    };
    struct k2_iceberg_manifest_head head = head_of();
    k2_iceberg_manifest_put(out, &head, entries, 2);
    assert_false(out->failed);
}

static void manifests_come_back(void **state)
{
    (void)state;
    struct k2_buffer file;
    struct k2_iceberg_entries entries = {0};
    struct k2_iceberg_manifest list = {.snapshot_id = 77, .sequence_number = 9};
    k2_buffer_init(&file, ceiling);
    put_two_entries(&file);
    assert_int_equal(k2_iceberg_manifest_read(&entries, k2_buffer_slice(&file), &list, NULL),
                     K2_OK);
    assert_int_equal(entries.count, 2);
    const struct k2_iceberg_entry *added = &entries.items[0], *existing = &entries.items[1];
    assert_int_equal(added->sequence_number, 9); // inherited
    assert_int_equal(existing->sequence_number, 3);
    assert_int_equal(existing->file_sequence_number, 2);
    assert_int_equal(added->file.day, -1);
    assert_int_equal(added->file.column_count, 2);
    assert_int_equal(added->file.columns[0].size_bytes, 10);
    assert_int_equal(added->file.columns[1].id, 65539);
    assert_true(added->file.columns[1].has_upper && added->file.columns[1].upper.size_bytes == 0);
    assert_true(k2_slice_equal(added->file.columns[1].lower, text("a")));
    assert_int_equal(added->file.split_offsets[1], 1000);
    assert_false(existing->file.has_day);
    assert_int_equal(existing->file.equality_ids[1], 6);
    assert_true(k2_slice_equal(existing->file.key_metadata, text("key")));

    struct k2_arena arena = {0};
    struct k2_iceberg_manifest described;
    assert_true(
        k2_iceberg_manifest_describe(&described, entries.items, entries.count, 0, 77, 9, &arena));
    assert_int_equal(described.added_rows, 7);
    assert_int_equal(described.existing_files, 1);
    assert_int_equal(described.min_sequence_number, 3);
    assert_true(described.partitions->has_null);
    described.path = text("file:///w/m.avro");
    struct k2_buffer bytes;
    struct k2_iceberg_manifests lists = {0};
    k2_buffer_init(&bytes, ceiling);
    k2_iceberg_manifest_list_put(&bytes, &described, 1, 77, true, 5, 9, sync_mark);
    assert_int_equal(k2_iceberg_manifest_list_read(&lists, k2_buffer_slice(&bytes), NULL), K2_OK);
    assert_int_equal(lists.count, 1);
    assert_true(k2_slice_equal(lists.items[0].path, described.path));
    assert_int_equal(lists.items[0].partition_count, 1);
    assert_memory_equal(lists.items[0].partitions->lower.data, "\xff\xff\xff\xff", 4);
    k2_iceberg_manifests_deinit(&lists);
    k2_buffer_deinit(&bytes);
    k2_arena_deinit(&arena);
    k2_iceberg_entries_deinit(&entries);
    k2_buffer_deinit(&file);
}

static void every_shorter_manifest_is_refused(void **state)
{
    (void)state;
    struct k2_buffer file;
    k2_buffer_init(&file, ceiling);
    put_two_entries(&file);
    size_t header = 0; // a file that ends with its header has no entries
    for (size_t size = 0; size < file.size_bytes; size++) {
        struct k2_iceberg_entries entries = {0};
        struct k2_error error = {0};
        enum k2_status status =
            k2_iceberg_manifest_read(&entries, (struct k2_slice){file.data, size}, NULL, &error);
        header += status == K2_OK ? 1 : 0;
        assert_true(status == K2_CORRUPT || (status == K2_OK && entries.count == 0));
        k2_iceberg_entries_deinit(&entries);
    }
    assert_int_equal(header, 1);
    k2_buffer_deinit(&file);
}

static void an_allocation_fails_in_a_manifest(void **state)
{
    (void)state;
    struct k2_buffer file;
    k2_buffer_init(&file, ceiling);
    put_two_entries(&file);
    enum k2_status status = K2_NO_MEMORY;
    for (long calls = 0; status != K2_OK; calls++) {
        struct k2_iceberg_entries entries = {0};
        k2_alloc_fail_after(calls);
        status = k2_iceberg_manifest_read(&entries, k2_buffer_slice(&file), NULL, NULL);
        k2_alloc_fail_after(-1);
        assert_true(status == K2_OK || status == K2_NO_MEMORY);
        k2_iceberg_entries_deinit(&entries);
    }
    k2_buffer_deinit(&file);
}

static void codecs_and_schemas_that_are_not_read(void **state)
{
    (void)state;
    static const struct {
        const char *name, *schema, *codec, *said;
        enum k2_status status;
    } rows[] = {
        {"snappy", "{\"type\":\"record\",\"name\":\"r\",\"fields\":[]}", "snappy", "codec",
         K2_BAD_REQUEST},
        {"no JSON", "{", "null", "no JSON", K2_CORRUPT},
        {"no record", "\"int\"", "null", "no record", K2_CORRUPT},
        {"unknown type", "{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"type\":\"what\"}]}",
         "null", "unknown type", K2_CORRUPT},
        {"no fields", "{\"type\":\"record\",\"name\":\"r\"}", "null", "without fields", K2_CORRUPT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct k2_buffer file;
        struct k2_avro_reader *reader;
        struct k2_error error = {0};
        k2_buffer_init(&file, ceiling);
        k2_put_bytes(&file, "Obj\1", 4);
        k2_avro_put_long(&file, 2);
        k2_avro_put_bytes(&file, text("avro.schema"));
        k2_avro_put_bytes(&file, text(rows[i].schema));
        k2_avro_put_bytes(&file, text("avro.codec"));
        k2_avro_put_bytes(&file, text(rows[i].codec));
        k2_avro_put_long(&file, 0);
        k2_put_bytes(&file, sync_mark, sizeof sync_mark);
        if (k2_avro_reader_open(&reader, k2_buffer_slice(&file), &error) != rows[i].status ||
            strstr(error.text, rows[i].said) == NULL) {
            fail_msg("%s: %s", rows[i].name, error.text);
        }
        k2_buffer_deinit(&file);
    }
}

// ---- metadata -------------------------------------------------------------------------------

static struct k2_iceberg_metadata *make_metadata(void)
{
    static const struct k2_iceberg_field fields[] = {{1, "symbol", "string", true},
                                                     {3, "timestamp", "timestamptz", true},
                                                     {65539, "timestamp_ns", "long", true}};
    static const struct k2_iceberg_property properties[] = {
        {"write.metadata.previous-versions-max", "2"}};
    static const int32_t sorting[] = {1, 3};
    const struct k2_iceberg_definition definition = {
        .uuid = "11111111-2222-3333-4444-555555555555",
        .location = "file:///w/k2/t",
        .fields = fields,
        .field_count = 3,
        .day_field = 3,
        .day_name = "timestamp_day",
        .sort_fields = sorting,
        .sort_field_count = 2,
        .properties = properties,
        .property_count = 1,
        .time_ms = 1000,
    };
    struct k2_iceberg_metadata *metadata;
    struct k2_error error = {0};
    assert_int_equal(k2_iceberg_metadata_create(&metadata, &definition, &error), K2_OK);
    return metadata;
}

static void count_cut(void *context, const char *location)
{
    (void)location;
    ++*(size_t *)context;
}

static void add_snapshot(struct k2_iceberg_metadata *metadata, int64_t id, size_t *cut)
{
    struct k2_iceberg_snapshot parent;
    const struct k2_iceberg_property total = {"total-records", "5"};
    struct k2_iceberg_snapshot snapshot = {.id = id,
                                           .sequence_number = id,
                                           .timestamp_ms = 1000 + id,
                                           .manifest_list = "file:///w/list.avro",
                                           .schema_id = -1,
                                           .operation = "append",
                                           .summary = &total,
                                           .summary_count = 1};
    snapshot.has_parent = k2_iceberg_current_snapshot(metadata, &parent);
    snapshot.parent = parent.id;
    const struct k2_iceberg_change change = {.commit_id = "c", .snapshot = &snapshot};
    assert_int_equal(
        k2_iceberg_metadata_apply(metadata, &change, "file:///w/before.json", count_cut, cut, NULL),
        K2_OK);
}

static void metadata_grows_and_shrinks(void **state)
{
    (void)state;
    struct k2_iceberg_metadata *metadata = make_metadata();
    struct k2_iceberg_snapshot snapshot;
    struct k2_error error = {0};
    size_t cut = 0;
    assert_false(k2_iceberg_current_snapshot(metadata, &snapshot));
    assert_true(k2_iceberg_spec_is_day_of(metadata, 3));
    assert_false(k2_iceberg_spec_is_day_of(metadata, 1));
    assert_int_equal(k2_iceberg_sort_order_id(metadata), 1);
    for (int64_t id = 1; id <= 4; id++) {
        add_snapshot(metadata, id, &cut);
    }
    assert_int_equal(cut, 2);
    assert_non_null(k2_iceberg_metadata_log_at(metadata, 1));
    assert_null(k2_iceberg_metadata_log_at(metadata, 2));
    assert_int_equal(k2_iceberg_last_sequence_number(metadata), 4);
    assert_true(k2_iceberg_find_snapshot(metadata, 1, &snapshot) && !snapshot.has_parent);
    assert_true(k2_iceberg_find_snapshot(metadata, 2, &snapshot) && snapshot.parent == 1);
    assert_string_equal(k2_iceberg_snapshot_summary(metadata, 2, "total-records"), "5");

    static const struct k2_iceberg_field wider[] = {{1, "symbol", "string", true},
                                                    {9, "extra", "long", false}};
    static const struct k2_iceberg_property properties[] = {
        {"k2.exported.x", "7"}, {"write.metadata.previous-versions-max", NULL}};
    const int64_t old[] = {1, 2}, current[] = {4};
    struct k2_iceberg_change change = {.commit_id = "c",
                                       .fields = wider,
                                       .field_count = 2,
                                       .properties = properties,
                                       .property_count = 2,
                                       .removed_snapshots = old,
                                       .removed_snapshot_count = 2};
    assert_int_equal(k2_iceberg_metadata_apply(metadata, &change, NULL, NULL, NULL, &error), K2_OK);
    assert_int_equal(k2_iceberg_snapshot_count(metadata), 2);
    assert_int_equal(k2_iceberg_schema_id(metadata), 1);
    assert_int_equal(k2_iceberg_field_count(metadata), 2);
    assert_string_equal(k2_iceberg_field_at(metadata, 1).name, "extra");
    assert_string_equal(k2_iceberg_property(metadata, "k2.exported.x"), "7");
    assert_null(k2_iceberg_property(metadata, "write.metadata.previous-versions-max"));
    change = (struct k2_iceberg_change){
        .commit_id = "c", .removed_snapshots = current, .removed_snapshot_count = 1};
    assert_int_equal(k2_iceberg_metadata_apply(metadata, &change, NULL, NULL, NULL, &error),
                     K2_BAD_REQUEST);
    k2_iceberg_metadata_destroy(metadata);
}

// Cuts `name` and its value, up to the next comma at this level, out of the file's text.
static void without_member(const char *json, const char *name, struct k2_buffer *out)
{
    char key[64];
    (void)snprintf(key, sizeof key, "\"%s\":", name);
    const char *begin = strstr(json, key), *end = begin + strlen(key);
    assert_non_null(begin);
    int depth = 0;
    for (bool quoted = false; depth > 0 || quoted || (*end != ',' && *end != '}'); end++) {
        quoted = *end == '"' ? !quoted : quoted;
        depth += !quoted && (*end == '{' || *end == '[') ? 1 : 0;
        depth -= !quoted && (*end == '}' || *end == ']') ? 1 : 0;
    }
    k2_buffer_clear(out);
    k2_put_bytes(out, json, (size_t)(begin - json));
    k2_put_text(out, *end == ',' ? end + 1 : end);
}

static void missing_members_are_named(void **state)
{
    (void)state;
    static const char *const needed[] = {
        "format-version",  "table-uuid",     "location", "last-sequence-number",
        "last-updated-ms", "last-column-id", "schemas",  "current-schema-id",
        "partition-specs", "default-spec-id"};
    struct k2_iceberg_metadata *metadata = make_metadata(), *parsed;
    struct k2_buffer json, cut;
    k2_buffer_init(&json, ceiling);
    k2_buffer_init(&cut, ceiling);
    k2_iceberg_metadata_put(metadata, &json);
    k2_put_u8(&json, 0);
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        struct k2_error error = {0};
        without_member((const char *)json.data, needed[i], &cut);
        if (k2_iceberg_metadata_parse(&parsed, k2_buffer_slice(&cut), &error) != K2_CORRUPT ||
            strstr(error.text, needed[i]) == NULL) {
            fail_msg("%s: %s", needed[i], error.text);
        }
    }
    k2_buffer_deinit(&json);
    k2_buffer_deinit(&cut);
    k2_iceberg_metadata_destroy(metadata);
}

static void bodies_of_a_service(void **state)
{
    (void)state;
    struct k2_iceberg_metadata *metadata = make_metadata();
    struct k2_buffer body;
    k2_buffer_init(&body, ceiling);
    k2_iceberg_create_put_json(metadata, &body);
    k2_put_u8(&body, 0);
    assert_non_null(strstr((const char *)body.data, "{\"type\":\"assert-create\"}"));
    assert_non_null(strstr((const char *)body.data, "\"id\":65539"));
    k2_buffer_clear(&body);
    const struct k2_iceberg_snapshot snapshot = {.id = 1,
                                                 .sequence_number = 1,
                                                 .manifest_list = "l",
                                                 .schema_id = -1,
                                                 .operation = "append"};
    const struct k2_iceberg_change change = {.commit_id = "c", .snapshot = &snapshot};
    k2_iceberg_change_put_json(metadata, &change, &body);
    k2_put_u8(&body, 0);
    assert_non_null(strstr((const char *)body.data,
                           "{\"type\":\"assert-ref-snapshot-id\",\"ref\":\"main\",\"snapshot-id\":"
                           "null}"));
    assert_null(strstr((const char *)body.data, "parent-snapshot-id"));
    k2_buffer_deinit(&body);
    k2_iceberg_metadata_destroy(metadata);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(manifests_come_back),
        cmocka_unit_test(every_shorter_manifest_is_refused),
        cmocka_unit_test(an_allocation_fails_in_a_manifest),
        cmocka_unit_test(codecs_and_schemas_that_are_not_read),
        cmocka_unit_test(metadata_grows_and_shrinks),
        cmocka_unit_test(missing_members_are_named),
        cmocka_unit_test(bodies_of_a_service),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
