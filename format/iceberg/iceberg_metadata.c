#include "format/iceberg/iceberg_metadata_private.h"

#include <jansson.h>

#include "format/base/alloc.h"

enum { FORMAT_VERSION = 2 };

// ---- parsing --------------------------------------------------------------------------------

static enum k2_status bad_member(const char *name, const char *what, struct k2_error *error)
{
    return k2_fail(error, K2_CORRUPT, "table metadata: `%s` %s", name, what);
}

static bool is_id(const json_t *value)
{
    return json_is_integer(value) && json_integer_value(value) >= 0 &&
           json_integer_value(value) <= INT32_MAX;
}

static json_t *member_with_id(const json_t *root, const char *list, const char *id_name, int64_t id)
{
    size_t index;
    json_t *item;
    json_array_foreach(json_object_get(root, list), index, item)
    {
        if (json_integer_value(json_object_get(item, id_name)) == id) {
            return item;
        }
    }
    return NULL;
}

static enum k2_status check_schema(const json_t *schema, struct k2_error *error)
{
    size_t index;
    json_t *field;
    if (!is_id(json_object_get(schema, "schema-id")) ||
        !json_is_array(json_object_get(schema, "fields"))) {
        return bad_member("schemas", "has one without `schema-id` or `fields`", error);
    }
    json_array_foreach(json_object_get(schema, "fields"), index, field)
    {
        const json_t *type = json_object_get(field, "type");
        if (!is_id(json_object_get(field, "id")) ||
            !json_is_string(json_object_get(field, "name")) ||
            !json_is_boolean(json_object_get(field, "required")) ||
            (!json_is_string(type) && !json_is_object(type))) {
            return bad_member("schemas", "has a field without id, name, type or required", error);
        }
    }
    return K2_OK;
}

static enum k2_status check_schemas(const json_t *root, struct k2_error *error)
{
    size_t index;
    json_t *item;
    enum k2_status status = K2_OK;
    if (!json_is_array(json_object_get(root, "schemas"))) {
        return bad_member("schemas", "is not an array", error);
    }
    json_array_foreach(json_object_get(root, "schemas"), index, item)
    {
        status = check_schema(item, error);
        if (status != K2_OK) {
            return status;
        }
    }
    const json_t *current = json_object_get(root, "current-schema-id");
    if (!is_id(current) ||
        member_with_id(root, "schemas", "schema-id", json_integer_value(current)) == NULL) {
        return bad_member("current-schema-id", "names no schema", error);
    }
    return K2_OK;
}

static enum k2_status check_specs(const json_t *root, struct k2_error *error)
{
    size_t index;
    json_t *item;
    if (!json_is_array(json_object_get(root, "partition-specs"))) {
        return bad_member("partition-specs", "is not an array", error);
    }
    json_array_foreach(json_object_get(root, "partition-specs"), index, item)
    {
        if (!is_id(json_object_get(item, "spec-id")) ||
            !json_is_array(json_object_get(item, "fields"))) {
            return bad_member("partition-specs", "has one without `spec-id` or `fields`", error);
        }
    }
    const json_t *current = json_object_get(root, "default-spec-id");
    if (!is_id(current) ||
        member_with_id(root, "partition-specs", "spec-id", json_integer_value(current)) == NULL) {
        return bad_member("default-spec-id", "names no partition spec", error);
    }
    return K2_OK;
}

// The id of the newest snapshot of main, or -1.
static int64_t current_id(const json_t *root)
{
    const json_t *id = json_object_get(root, "current-snapshot-id");
    if (!json_is_integer(id)) {
        id = json_object_get(json_object_get(json_object_get(root, "refs"), "main"), "snapshot-id");
    }
    return json_is_integer(id) ? json_integer_value(id) : -1;
}

static enum k2_status check_snapshots(const json_t *root, struct k2_error *error)
{
    size_t index;
    json_t *item;
    const char *key;
    const json_t *list = json_object_get(root, "snapshots");
    if (list != NULL && !json_is_array(list)) {
        return bad_member("snapshots", "is not an array", error);
    }
    json_array_foreach(list, index, item)
    {
        if (!json_is_integer(json_object_get(item, "snapshot-id")) ||
            !json_is_integer(json_object_get(item, "timestamp-ms")) ||
            !json_is_string(json_object_get(item, "manifest-list"))) {
            return bad_member("snapshots",
                              "has one without snapshot-id, timestamp-ms or manifest-list", error);
        }
    }
    int64_t current = current_id(root);
    if (current != -1 && member_with_id(root, "snapshots", "snapshot-id", current) == NULL) {
        return bad_member("current-snapshot-id", "names no snapshot", error);
    }
    const json_t *properties = json_object_get(root, "properties");
    if (properties != NULL && !json_is_object(properties)) {
        return bad_member("properties", "is not an object", error);
    }
    json_object_foreach((json_t *)properties, key, item)
    {
        if (!json_is_string(item)) {
            return bad_member("properties", "has a value that is no text", error);
        }
    }
    return K2_OK;
}

static enum k2_status check_tree(const json_t *root, struct k2_error *error)
{
    const json_t *version = json_object_get(root, "format-version");
    if (!json_is_integer(version)) {
        return bad_member("format-version", "is missing", error);
    }
    if (json_integer_value(version) != FORMAT_VERSION) {
        return k2_fail(error, K2_BAD_REQUEST,
                       "table metadata: the table has format version %lld; K2 writes version 2",
                       (long long)json_integer_value(version));
    }
    if (!json_is_string(json_object_get(root, "table-uuid"))) {
        return bad_member("table-uuid", "is missing", error);
    }
    if (!json_is_string(json_object_get(root, "location"))) {
        return bad_member("location", "is missing", error);
    }
    static const char *const numbers[] = {"last-sequence-number", "last-updated-ms",
                                          "last-column-id"};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        const json_t *value = json_object_get(root, numbers[i]);
        if (!json_is_integer(value) || json_integer_value(value) < 0) {
            return bad_member(numbers[i], "is not a number", error);
        }
    }
    if (!is_id(json_object_get(root, "last-column-id"))) {
        return bad_member("last-column-id", "is too great", error);
    }
    enum k2_status status = check_schemas(root, error);
    if (status == K2_OK) {
        status = check_specs(root, error);
    }
    return status == K2_OK ? check_snapshots(root, error) : status;
}

static enum k2_status wrap(struct k2_iceberg_metadata **metadata, json_t *root,
                           struct k2_error *error)
{
    *metadata = root == NULL ? NULL : k2_alloc_zero(1, sizeof **metadata);
    if (*metadata == NULL) {
        json_decref(root);
        return k2_fail(error, K2_NO_MEMORY, "table metadata: no memory");
    }
    (*metadata)->root = root;
    return K2_OK;
}

enum k2_status k2_iceberg_metadata_parse(struct k2_iceberg_metadata **metadata,
                                         struct k2_slice json, struct k2_error *error)
{
    json_error_t reason;
    *metadata = NULL;
    json_t *root =
        json_loadb((const char *)json.data, json.size_bytes, JSON_REJECT_DUPLICATES, &reason);
    if (root == NULL) {
        return k2_fail(error, K2_CORRUPT, "table metadata: no JSON, line %d: %s", reason.line,
                       reason.text);
    }
    enum k2_status status = json_is_object(root)
                                ? check_tree(root, error)
                                : k2_fail(error, K2_CORRUPT, "table metadata: not an object");
    if (status != K2_OK) {
        json_decref(root);
        return status;
    }
    return wrap(metadata, root, error);
}

enum k2_status k2_iceberg_metadata_copy(struct k2_iceberg_metadata **copy,
                                        const struct k2_iceberg_metadata *metadata,
                                        struct k2_error *error)
{
    return wrap(copy, json_deep_copy(metadata->root), error);
}

void k2_iceberg_metadata_destroy(struct k2_iceberg_metadata *metadata)
{
    if (metadata != NULL) {
        json_decref(metadata->root);
        k2_free(metadata);
    }
}

// ---- making ---------------------------------------------------------------------------------

struct json_t *k2_iceberg_schema_json(int32_t schema_id, const struct k2_iceberg_field *fields,
                                      size_t field_count)
{
    json_t *list = json_array();
    bool good = list != NULL;
    for (size_t i = 0; i < field_count && good; i++) {
        good = json_array_append_new(list, json_pack("{s:i, s:s, s:b, s:s}", "id",
                                                     (int)fields[i].id, "name", fields[i].name,
                                                     "required", (int)fields[i].required, "type",
                                                     fields[i].type)) == 0;
    }
    if (!good) {
        json_decref(list);
        return NULL;
    }
    return json_pack("{s:s, s:i, s:o}", "type", "struct", "schema-id", (int)schema_id, "fields",
                     list);
}

static json_t *sort_orders_json(const struct k2_iceberg_definition *definition)
{
    json_t *list = json_pack("[{s:i, s:[]}]", "order-id", 0, "fields");
    json_t *fields = json_array();
    bool good = list != NULL && fields != NULL;
    for (size_t i = 0; i < definition->sort_field_count && good; i++) {
        good = json_array_append_new(fields, json_pack("{s:s, s:i, s:s, s:s}", "transform",
                                                       "identity", "source-id",
                                                       (int)definition->sort_fields[i], "direction",
                                                       "asc", "null-order", "nulls-first")) == 0;
    }
    if (good && definition->sort_field_count > 0) {
        json_t *order = json_pack("{s:i, s:o}", "order-id", 1, "fields", fields);
        fields = NULL;
        good = json_array_append_new(list, order) == 0;
    }
    json_decref(fields);
    if (!good) {
        json_decref(list);
        return NULL;
    }
    return list;
}

static json_t *properties_json(const struct k2_iceberg_property *properties, size_t count)
{
    json_t *object = json_object();
    for (size_t i = 0; i < count && object != NULL; i++) {
        if (json_object_set_new(object, properties[i].name, json_string(properties[i].value)) !=
            0) {
            json_decref(object);
            object = NULL;
        }
    }
    return object;
}

enum k2_status k2_iceberg_metadata_create(struct k2_iceberg_metadata **metadata,
                                          const struct k2_iceberg_definition *definition,
                                          struct k2_error *error)
{
    int32_t last_id = k2_iceberg_greatest_id(NULL, definition->fields, definition->field_count);
    bool sorted = definition->sort_field_count > 0;
    // json_pack takes the parts (`o`) in every case, and gives NULL if one is.
    json_t *root = json_pack(
        "{s:i, s:s, s:s, s:i, s:I, s:i, s:[o], s:i, s:[{s:i, s:[{s:s, s:s, s:i, s:i}]}], s:i, s:i,"
        " s:o, s:i, s:o, s:n, s:[], s:{}, s:[], s:[]}",
        "format-version", FORMAT_VERSION, "table-uuid", definition->uuid, "location",
        definition->location, "last-sequence-number", 0, "last-updated-ms",
        (json_int_t)definition->time_ms, "last-column-id", (int)last_id, "schemas",
        k2_iceberg_schema_json(0, definition->fields, definition->field_count), "current-schema-id",
        0, "partition-specs", "spec-id", 0, "fields", "name", definition->day_name, "transform",
        "day", "source-id", (int)definition->day_field, "field-id", (int)K2_ICEBERG_PARTITION_ID,
        "default-spec-id", 0, "last-partition-id", (int)K2_ICEBERG_PARTITION_ID, "sort-orders",
        sort_orders_json(definition), "default-sort-order-id", sorted ? 1 : 0, "properties",
        properties_json(definition->properties, definition->property_count), "current-snapshot-id",
        "snapshots", "refs", "snapshot-log", "metadata-log");
    return wrap(metadata, root, error);
}

static int put_piece(const char *bytes, size_t size_bytes, void *out)
{
    k2_put_bytes(out, bytes, size_bytes);
    return 0;
}

void k2_iceberg_put_tree(const struct json_t *tree, struct k2_buffer *out)
{
    if (tree == NULL || json_dump_callback(tree, put_piece, out, JSON_COMPACT) != 0) {
        out->failed = true;
    }
}

void k2_iceberg_metadata_put(const struct k2_iceberg_metadata *metadata, struct k2_buffer *out)
{
    k2_iceberg_put_tree(metadata->root, out);
}

// ---- what it says ---------------------------------------------------------------------------

static const char *text_member(const struct k2_iceberg_metadata *metadata, const char *name)
{
    return json_string_value(json_object_get(metadata->root, name));
}

const char *k2_iceberg_uuid(const struct k2_iceberg_metadata *metadata)
{
    return text_member(metadata, "table-uuid");
}

const char *k2_iceberg_location(const struct k2_iceberg_metadata *metadata)
{
    return text_member(metadata, "location");
}

static int64_t number_member(const struct k2_iceberg_metadata *metadata, const char *name)
{
    return json_integer_value(json_object_get(metadata->root, name));
}

int64_t k2_iceberg_last_sequence_number(const struct k2_iceberg_metadata *metadata)
{
    return number_member(metadata, "last-sequence-number");
}

int64_t k2_iceberg_last_updated_ms(const struct k2_iceberg_metadata *metadata)
{
    return number_member(metadata, "last-updated-ms");
}

const char *k2_iceberg_property(const struct k2_iceberg_metadata *metadata, const char *name)
{
    return json_string_value(json_object_get(json_object_get(metadata->root, "properties"), name));
}

bool k2_iceberg_property_at(const struct k2_iceberg_metadata *metadata, size_t index,
                            struct k2_iceberg_property *property)
{
    json_t *properties = json_object_get(metadata->root, "properties");
    void *at = json_object_iter(properties);
    for (size_t i = 0; i < index && at != NULL; i++) {
        at = json_object_iter_next(properties, at);
    }
    if (at == NULL) {
        return false;
    }
    *property = (struct k2_iceberg_property){json_object_iter_key(at),
                                             json_string_value(json_object_iter_value(at))};
    return true;
}

int32_t k2_iceberg_schema_id(const struct k2_iceberg_metadata *metadata)
{
    return (int32_t)number_member(metadata, "current-schema-id");
}

static json_t *current_schema(const struct k2_iceberg_metadata *metadata)
{
    return member_with_id(metadata->root, "schemas", "schema-id", k2_iceberg_schema_id(metadata));
}

size_t k2_iceberg_field_count(const struct k2_iceberg_metadata *metadata)
{
    return json_array_size(json_object_get(current_schema(metadata), "fields"));
}

struct k2_iceberg_field k2_iceberg_field_at(const struct k2_iceberg_metadata *metadata,
                                            size_t index)
{
    const json_t *field =
        json_array_get(json_object_get(current_schema(metadata), "fields"), index);
    return (struct k2_iceberg_field){
        .id = (int32_t)json_integer_value(json_object_get(field, "id")),
        .name = json_string_value(json_object_get(field, "name")),
        .type = json_string_value(json_object_get(field, "type")),
        .required = json_is_true(json_object_get(field, "required")),
    };
}

void k2_iceberg_schema_put_json(const struct k2_iceberg_metadata *metadata, struct k2_buffer *out)
{
    k2_iceberg_put_tree(current_schema(metadata), out);
}

static const json_t *default_spec_fields(const struct k2_iceberg_metadata *metadata)
{
    const json_t *spec =
        member_with_id(metadata->root, "partition-specs", "spec-id", k2_iceberg_spec_id(metadata));
    return json_object_get(spec, "fields");
}

void k2_iceberg_spec_put_json(const struct k2_iceberg_metadata *metadata, struct k2_buffer *out)
{
    k2_iceberg_put_tree(default_spec_fields(metadata), out);
}

int32_t k2_iceberg_spec_id(const struct k2_iceberg_metadata *metadata)
{
    return (int32_t)number_member(metadata, "default-spec-id");
}

int32_t k2_iceberg_sort_order_id(const struct k2_iceberg_metadata *metadata)
{
    return (int32_t)number_member(metadata, "default-sort-order-id");
}

bool k2_iceberg_spec_is_day_of(const struct k2_iceberg_metadata *metadata, int32_t field_id)
{
    const json_t *fields = default_spec_fields(metadata);
    const json_t *field = json_array_get(fields, 0);
    const char *transform = json_string_value(json_object_get(field, "transform"));
    return json_array_size(fields) == 1 && transform != NULL && strcmp(transform, "day") == 0 &&
           json_integer_value(json_object_get(field, "source-id")) == field_id;
}

// ---- snapshots ------------------------------------------------------------------------------

static struct k2_iceberg_snapshot snapshot_of(const json_t *item)
{
    const json_t *parent = json_object_get(item, "parent-snapshot-id");
    const json_t *schema = json_object_get(item, "schema-id");
    return (struct k2_iceberg_snapshot){
        .id = json_integer_value(json_object_get(item, "snapshot-id")),
        .has_parent = json_is_integer(parent),
        .parent = json_integer_value(parent),
        .sequence_number = json_integer_value(json_object_get(item, "sequence-number")),
        .timestamp_ms = json_integer_value(json_object_get(item, "timestamp-ms")),
        .manifest_list = json_string_value(json_object_get(item, "manifest-list")),
        .schema_id = is_id(schema) ? (int32_t)json_integer_value(schema) : -1,
        .operation =
            json_string_value(json_object_get(json_object_get(item, "summary"), "operation")),
    };
}

size_t k2_iceberg_snapshot_count(const struct k2_iceberg_metadata *metadata)
{
    return json_array_size(json_object_get(metadata->root, "snapshots"));
}

struct k2_iceberg_snapshot k2_iceberg_snapshot_at(const struct k2_iceberg_metadata *metadata,
                                                  size_t index)
{
    return snapshot_of(json_array_get(json_object_get(metadata->root, "snapshots"), index));
}

bool k2_iceberg_find_snapshot(const struct k2_iceberg_metadata *metadata, int64_t id,
                              struct k2_iceberg_snapshot *snapshot)
{
    const json_t *item = member_with_id(metadata->root, "snapshots", "snapshot-id", id);
    if (item == NULL) {
        return false;
    }
    *snapshot = snapshot_of(item);
    return true;
}

bool k2_iceberg_current_snapshot(const struct k2_iceberg_metadata *metadata,
                                 struct k2_iceberg_snapshot *snapshot)
{
    int64_t id = current_id(metadata->root);
    return id != -1 && k2_iceberg_find_snapshot(metadata, id, snapshot);
}

const char *k2_iceberg_snapshot_summary(const struct k2_iceberg_metadata *metadata, int64_t id,
                                        const char *name)
{
    const json_t *item = member_with_id(metadata->root, "snapshots", "snapshot-id", id);
    return json_string_value(json_object_get(json_object_get(item, "summary"), name));
}

bool k2_iceberg_is_referenced(const struct k2_iceberg_metadata *metadata, int64_t snapshot_id)
{
    const char *name;
    json_t *ref;
    json_object_foreach(json_object_get(metadata->root, "refs"), name, ref)
    {
        if (json_integer_value(json_object_get(ref, "snapshot-id")) == snapshot_id) {
            return true;
        }
    }
    return current_id(metadata->root) == snapshot_id;
}

const char *k2_iceberg_metadata_log_at(const struct k2_iceberg_metadata *metadata, size_t index)
{
    const json_t *entry = json_array_get(json_object_get(metadata->root, "metadata-log"), index);
    return json_string_value(json_object_get(entry, "metadata-file"));
}
