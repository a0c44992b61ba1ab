// JSON that others write - metadata files, schemas of manifests, schemas of tables - in which any
// one member is missing or is something else, and every allocation on the way fails: it is told,
// what is taken can be used, and nothing is left behind.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "format/base/alloc.h"
#include "format/iceberg/avro_container.h"
#include "format/iceberg/iceberg_manifest.h"
#include "format/iceberg/iceberg_metadata.h"
#include "format/schema/schema.h"

static const size_t ceiling_bytes = (size_t)1 << 26;

// ---- nonsense

enum { KINDS = 10 };

static json_t *nonsense(int kind)
{
    switch (kind) {
    case 1:
        return json_null();
    case 2:
        return json_string("x");
    case 3:
        return json_string("");
    case 4:
        return json_integer(-1);
    case 5:
        return json_integer((json_int_t)1 << 40);
    case 6:
        return json_array();
    case 7:
        return json_object();
    case 8:
        return json_true();
    default:
        return json_real(1.5);
    }
}

// Puts nonsense in place of the `*left`-th member or item below `tree`; kind 0 takes it out.
static bool spoil(json_t *tree, long *left, int kind)
{
    const char *name;
    json_t *child;
    size_t index;
    void *next;
    json_object_foreach_safe(tree, next, name, child)
    {
        if ((*left)-- == 0) {
            return (kind == 0 ? json_object_del(tree, name)
                              : json_object_set_new(tree, name, nonsense(kind))) == 0;
        }
        if (spoil(child, left, kind)) {
            return true;
        }
    }
    json_array_foreach(tree, index, child)
    {
        if ((*left)-- == 0) {
            return (kind == 0 ? json_array_remove(tree, index)
                              : json_array_set_new(tree, index, nonsense(kind))) == 0;
        }
        if (spoil(child, left, kind)) {
            return true;
        }
    }
    return false;
}

typedef enum k2_status read_text(struct k2_slice json, const void *context, struct k2_error *error);

// How many of the spoiled texts are refused; each is read, and refused in words.
static size_t spoil_all(struct k2_slice json, read_text *read, const void *context)
{
    size_t refused = 0;
    bool more = true;
    for (long place = 0; more; place++) {
        for (int kind = 0; kind < KINDS && more; kind++) {
            json_t *tree = json_loadb((const char *)json.data, json.size_bytes, 0, NULL);
            long left = place;
            assert_non_null(tree);
            more = spoil(tree, &left, kind);
            char *text = json_dumps(tree, JSON_COMPACT);
            json_decref(tree);
            assert_non_null(text);
            struct k2_error error = {0};
            enum k2_status status = read(k2_slice_of(text), context, &error);
            bool is_known = status == K2_OK || status == K2_CORRUPT || status == K2_BAD_REQUEST;
            if (!is_known || (status != K2_OK && error.text[0] == '\0')) {
                fail_msg("place %ld, kind %d: %s: %s", place, kind, k2_status_name(status),
                         error.text);
            }
            refused += status != K2_OK;
            k2_free(text);
        }
    }
    return refused;
}

// ---- metadata

static const struct k2_iceberg_field fields[] = {{1, "symbol", "string", true},
                                                 {3, "timestamp", "timestamptz", true},
                                                 {65539, "timestamp_ns", "long", false}};
static const struct k2_iceberg_property properties[] = {
    {"write.metadata.previous-versions-max", "2"}, {"k2.exported.x", "7"}};

static enum k2_status make_metadata(struct k2_iceberg_metadata **metadata, struct k2_error *error)
{
    static const int32_t sorting[] = {1, 3};
    const struct k2_iceberg_definition definition = {
        .uuid = "11111111-2222-3333-4444-555555555555",
        .location = "file:///w/k2/t",
        .fields = fields,
        .field_count = 2,
        .day_field = 3,
        .day_name = "timestamp_day",
        .sort_fields = sorting,
        .sort_field_count = 2,
        .properties = properties,
        .property_count = 2,
        .time_ms = 1000,
    };
    return k2_iceberg_metadata_create(metadata, &definition, error);
}

static void ignore_cut(void *context, const char *location)
{
    (void)context;
    (void)location;
}

static enum k2_status change_metadata(struct k2_iceberg_metadata *metadata, int64_t id, bool prune,
                                      struct k2_buffer *body, struct k2_error *error)
{
    const struct k2_iceberg_property total = {"total-records", "5"};
    const struct k2_iceberg_property changed[] = {{"k2.exported.x", "8"}, {"gone", NULL}};
    const int64_t old[] = {1};
    struct k2_iceberg_snapshot parent = {0};
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
    const struct k2_iceberg_change change = {.commit_id = "c",
                                             .time_ms = 5000,
                                             .fields = prune ? fields : NULL,
                                             .field_count = prune ? 3 : 0,
                                             .properties = changed,
                                             .property_count = 2,
                                             .snapshot = &snapshot,
                                             .removed_snapshots = old,
                                             .removed_snapshot_count = prune ? 1 : 0};
    k2_iceberg_change_put_json(metadata, &change, body);
    return k2_iceberg_metadata_apply(metadata, &change, "file:///w/before.json", ignore_cut, NULL,
                                     error);
}

// All that is asked of metadata.
static void use_metadata(const struct k2_iceberg_metadata *metadata)
{
    struct k2_iceberg_snapshot snapshot;
    struct k2_iceberg_property property;
    struct k2_buffer out;
    k2_buffer_init(&out, ceiling_bytes);
    for (size_t i = 0; i < k2_iceberg_field_count(metadata); i++) {
        assert_non_null(k2_iceberg_field_at(metadata, i).name);
    }
    for (size_t i = 0; i < k2_iceberg_snapshot_count(metadata); i++) {
        snapshot = k2_iceberg_snapshot_at(metadata, i);
        assert_non_null(snapshot.manifest_list);
        (void)k2_iceberg_snapshot_summary(metadata, snapshot.id, "total-records");
        (void)k2_iceberg_is_referenced(metadata, snapshot.id);
        assert_true(k2_iceberg_find_snapshot(metadata, snapshot.id, &snapshot));
    }
    for (size_t i = 0; k2_iceberg_property_at(metadata, i, &property); i++) {
        assert_string_equal(k2_iceberg_property(metadata, property.name), property.value);
    }
    (void)k2_iceberg_current_snapshot(metadata, &snapshot);
    (void)k2_iceberg_spec_is_day_of(metadata, 3);
    (void)k2_iceberg_metadata_log_at(metadata, 0);
    assert_true(k2_iceberg_sort_order_id(metadata) >= -1 && k2_iceberg_spec_id(metadata) >= 0);
    assert_true(k2_iceberg_last_sequence_number(metadata) >= 0);
    assert_true(strlen(k2_iceberg_uuid(metadata)) + strlen(k2_iceberg_location(metadata)) < 1000);
    k2_iceberg_schema_put_json(metadata, &out);
    k2_iceberg_spec_put_json(metadata, &out);
    k2_iceberg_create_put_json(metadata, &out);
    k2_buffer_deinit(&out);
}

static enum k2_status read_metadata(struct k2_slice json, const void *context,
                                    struct k2_error *error)
{
    struct k2_iceberg_metadata *metadata = NULL;
    struct k2_buffer body;
    (void)context;
    enum k2_status status = k2_iceberg_metadata_parse(&metadata, json, error);
    if (status != K2_OK) {
        return status;
    }
    use_metadata(metadata);
    k2_buffer_init(&body, ceiling_bytes);
    status = change_metadata(metadata, 9, true, &body, error);
    if (status == K2_OK) {
        use_metadata(metadata);
    }
    k2_buffer_deinit(&body);
    k2_iceberg_metadata_destroy(metadata);
    return status;
}

static void metadata_of_others_is_refused_or_used(void **state)
{
    (void)state;
    struct k2_iceberg_metadata *metadata;
    struct k2_buffer body, json;
    k2_buffer_init(&body, ceiling_bytes);
    k2_buffer_init(&json, ceiling_bytes);
    assert_int_equal(make_metadata(&metadata, NULL), K2_OK);
    for (int64_t id = 1; id <= 3; id++) {
        assert_int_equal(change_metadata(metadata, id, id == 3, &body, NULL), K2_OK);
    }
    k2_iceberg_metadata_put(metadata, &json);
    k2_iceberg_metadata_destroy(metadata);
    assert_true(spoil_all(k2_buffer_slice(&json), read_metadata, NULL) > 100);
    k2_buffer_deinit(&json);
    k2_buffer_deinit(&body);
}

static enum k2_status make_and_change(struct k2_buffer *json, struct k2_buffer *body)
{
    struct k2_iceberg_metadata *metadata = NULL, *copy = NULL;
    enum k2_status status = make_metadata(&metadata, NULL);
    for (int64_t id = 1; id <= 3 && status == K2_OK; id++) {
        status = change_metadata(metadata, id, id == 3, body, NULL);
    }
    if (status == K2_OK) {
        k2_iceberg_create_put_json(metadata, body);
        status = k2_iceberg_metadata_copy(&copy, metadata, NULL);
    }
    if (status == K2_OK) {
        k2_iceberg_metadata_put(copy, json);
        k2_iceberg_metadata_destroy(copy);
        status = k2_iceberg_metadata_parse(&copy, k2_buffer_slice(json), NULL);
    }
    if (status == K2_OK) {
        k2_iceberg_metadata_destroy(copy);
    }
    k2_iceberg_metadata_destroy(metadata);
    return body->failed || json->failed ? K2_NO_MEMORY : status;
}

// jansson's memory is K2's here, see main.
static void any_allocation_for_metadata_may_fail(void **state)
{
    (void)state;
    long failures = 0;
    bool failed = true;
    for (long turn = 0; failed; turn++) {
        struct k2_buffer json, body;
        k2_buffer_init(&json, ceiling_bytes);
        k2_buffer_init(&body, ceiling_bytes);
        k2_alloc_fail_after(turn);
        enum k2_status status = make_and_change(&json, &body);
        k2_alloc_fail_after(-1);
        failed = status != K2_OK;
        failures += failed;
        if (status != K2_OK && status != K2_NO_MEMORY) {
            // A text that can not be read because memory was short is said to be none.
            assert_int_equal(status, K2_CORRUPT);
        }
        k2_buffer_deinit(&json);
        k2_buffer_deinit(&body);
    }
    assert_true(failures > 100);
}

// ---- manifests

struct container {
    struct k2_slice rest; // behind its header
    const uint8_t *sync;
    struct k2_slice codec;
};

static enum k2_status read_manifest(struct k2_slice schema, const void *context,
                                    struct k2_error *error)
{
    const struct container *container = context;
    struct k2_iceberg_entries entries = {0};
    struct k2_buffer file;
    k2_buffer_init(&file, ceiling_bytes);
    k2_put_bytes(&file, "Obj\1", 4);
    k2_avro_put_long(&file, 2);
    k2_avro_put_bytes(&file, k2_slice_of("avro.schema"));
    k2_avro_put_bytes(&file, schema);
    k2_avro_put_bytes(&file, k2_slice_of("avro.codec"));
    k2_avro_put_bytes(&file, container->codec);
    k2_avro_put_long(&file, 0);
    k2_put_bytes(&file, container->sync, 16);
    k2_put_bytes(&file, container->rest.data, container->rest.size_bytes);
    enum k2_status status = k2_iceberg_manifest_read(&entries, k2_buffer_slice(&file), NULL, error);
    k2_iceberg_entries_deinit(&entries);
    k2_buffer_deinit(&file);
    return status;
}

static void put_manifest(struct k2_buffer *out)
{
    struct k2_iceberg_column columns[] = {{.id = 1,
                                           .has_size = true,
                                           .size_bytes = 10,
                                           .has_values = true,
                                           .value_count = 7,
                                           .has_lower = true,
                                           .lower = k2_slice_of("a")}};
    int64_t splits[] = {4, 1000};
    const struct k2_iceberg_entry entry = {.status = K2_ICEBERG_ADDED,
                                           .has_snapshot = true,
                                           .snapshot_id = 77,
                                           .has_sequence = true,
                                           .sequence_number = 3,
                                           .file = {.path = k2_slice_of("file:///w/a.parquet"),
                                                    .format = k2_slice_of("PARQUET"),
                                                    .has_day = true,
                                                    .day = 5,
                                                    .record_count = 7,
                                                    .size_bytes = 2000,
                                                    .columns = columns,
                                                    .column_count = 1,
                                                    .split_offsets = splits,
                                                    .split_count = 2}};
    const struct k2_iceberg_manifest_head head = {.schema_json = k2_slice_of("{}"),
                                                  .spec_json = k2_slice_of("[]"),
                                                  .partition_name = "timestamp_day",
                                                  .sync = "0123456789abcde"};
    k2_iceberg_manifest_put(out, &head, &entry, 1);
    assert_false(out->failed);
}

static void manifests_of_others_are_refused_or_read(void **state)
{
    (void)state;
    struct k2_buffer file;
    struct k2_avro_reader *reader;
    struct k2_error error = {0};
    k2_buffer_init(&file, ceiling_bytes);
    put_manifest(&file);
    struct container container = {.sync = file.data + file.size_bytes - 16};
    const uint8_t *end = memmem(file.data, file.size_bytes, container.sync, 16);
    end += 16;
    container.rest = (struct k2_slice){end, (size_t)(file.data + file.size_bytes - end)};
    assert_int_equal(k2_avro_reader_open(&reader, k2_buffer_slice(&file), NULL), K2_OK);
    container.codec = k2_avro_reader_key(reader, "avro.codec");
    struct k2_slice schema = k2_avro_reader_key(reader, "avro.schema");
    if (read_manifest(schema, &container, &error) != K2_OK) {
        fail_msg("%s", error.text);
    }
    assert_true(spoil_all(schema, read_manifest, &container) > 100);
    k2_avro_reader_close(reader);
    k2_buffer_deinit(&file);
}

// ---- schemas of tables

static enum k2_status read_schema(struct k2_slice json, const void *context, struct k2_error *error)
{
    struct k2_schema *schema = NULL;
    (void)context;
    enum k2_status status = k2_schema_parse(&schema, NULL, json, error);
    if (status == K2_OK) {
        assert_true(schema->column_count >= K2_KEY_COLUMN_COUNT);
    }
    k2_schema_destroy(schema);
    return status;
}

static const char order_schema[] =
    "{\"type\":\"record\",\"name\":\"Order\",\"k2.table\":\"orders\",\"fields\":["
    "{\"name\":\"exchange\",\"type\":\"string\",\"k2.role\":\"exchange\",\"field-id\":1},"
    "{\"name\":\"symbol\",\"type\":\"string\",\"k2.role\":\"symbol\",\"field-id\":2},"
    "{\"name\":\"at\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-micros\"},"
    "\"k2.role\":\"timestamp\",\"field-id\":3},"
    "{\"name\":\"number\",\"type\":\"long\",\"k2.role\":\"sequence\",\"field-id\":5},"
    "{\"name\":\"version\",\"type\":\"long\",\"k2.role\":\"version\",\"field-id\":6},"
    "{\"name\":\"price\",\"type\":[\"null\",{\"type\":\"bytes\",\"logicalType\":\"decimal\","
    "\"precision\":18,\"scale\":8}],\"default\":null,\"field-id\":7},"
    "{\"name\":\"side\",\"type\":{\"type\":\"enum\",\"name\":\"Side\",\"symbols\":[\"B\",\"S\"]},"
    "\"k2.kind\":\"symbolic\",\"field-id\":8},"
    "{\"name\":\"id\",\"type\":{\"type\":\"string\",\"logicalType\":\"uuid\"},\"field-id\":9},"
    "{\"name\":\"tags\",\"type\":{\"type\":\"map\",\"values\":\"string\"},\"field-id\":10},"
    "{\"name\":\"codes\",\"type\":{\"type\":\"array\",\"items\":\"int\"},\"k2.identity\":false,"
    "\"field-id\":11}]}";

static void schemas_of_tables_are_refused_or_taken(void **state)
{
    (void)state;
    struct k2_error error = {0};
    if (read_schema(k2_slice_of(order_schema), NULL, &error) != K2_OK) {
        fail_msg("%s", error.text);
    }
    assert_true(spoil_all(k2_slice_of(order_schema), read_schema, NULL) > 100);
}

static void any_allocation_for_a_schema_may_fail(void **state)
{
    (void)state;
    enum k2_status status = K2_NO_MEMORY;
    long turn = 0;
    for (; status != K2_OK; turn++) {
        k2_alloc_fail_after(turn);
        status = read_schema(k2_slice_of(order_schema), NULL, NULL);
        k2_alloc_fail_after(-1);
        assert_true(status == K2_OK || status == K2_NO_MEMORY || status == K2_BAD_REQUEST);
    }
    assert_true(turn > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metadata_of_others_is_refused_or_used),
        cmocka_unit_test(any_allocation_for_metadata_may_fail),
        cmocka_unit_test(manifests_of_others_are_refused_or_read),
        cmocka_unit_test(schemas_of_tables_are_refused_or_taken),
        cmocka_unit_test(any_allocation_for_a_schema_may_fail),
    };
    json_set_alloc_funcs(k2_alloc, k2_free); // so that these can fail, too
    return cmocka_run_group_tests(tests, NULL, NULL);
}
