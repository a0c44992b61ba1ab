#include <jansson.h>
#include <stdlib.h>

#include "format/iceberg/iceberg_metadata_private.h"

enum { KEPT_METADATA_FILES = 100 };

static enum k2_status no_memory(struct k2_error *error)
{
    return k2_fail(error, K2_NO_MEMORY, "table metadata: no memory");
}

struct json_t *k2_iceberg_snapshot_json(const struct k2_iceberg_snapshot *snapshot,
                                        int32_t schema_id)
{
    json_t *summary = json_pack("{s:s}", "operation", snapshot->operation);
    bool good = summary != NULL;
    for (size_t i = 0; i < snapshot->summary_count && good; i++) {
        good = json_object_set_new(summary, snapshot->summary[i].name,
                                   json_string(snapshot->summary[i].value)) == 0;
    }
    if (!good) {
        json_decref(summary);
        return NULL;
    }
    json_t *item =
        json_pack("{s:I, s:I, s:I, s:o, s:s, s:i}", "snapshot-id", (json_int_t)snapshot->id,
                  "sequence-number", (json_int_t)snapshot->sequence_number, "timestamp-ms",
                  (json_int_t)snapshot->timestamp_ms, "summary", summary, "manifest-list",
                  snapshot->manifest_list, "schema-id",
                  (int)(snapshot->schema_id >= 0 ? snapshot->schema_id : schema_id));
    // Readers in Java refuse a parent that is null: it is left out.
    if (item != NULL && snapshot->has_parent &&
        json_object_set_new(item, "parent-snapshot-id", json_integer(snapshot->parent)) != 0) {
        json_decref(item);
        return NULL;
    }
    return item;
}

int32_t k2_iceberg_greatest_id(const struct k2_iceberg_metadata *metadata,
                               const struct k2_iceberg_field *fields, size_t field_count)
{
    int32_t greatest = 0;
    if (metadata != NULL) {
        greatest = (int32_t)json_integer_value(json_object_get(metadata->root, "last-column-id"));
    }
    for (size_t i = 0; i < field_count; i++) {
        greatest = fields[i].id > greatest ? fields[i].id : greatest;
    }
    return greatest;
}

static int32_t next_schema_id(const json_t *root)
{
    size_t index;
    json_t *schema;
    json_int_t next = 0;
    json_array_foreach(json_object_get(root, "schemas"), index, schema)
    {
        json_int_t id = json_integer_value(json_object_get(schema, "schema-id"));
        next = id >= next ? id + 1 : next;
    }
    return (int32_t)next;
}

// ---- applying -------------------------------------------------------------------------------

// The array or object of that name, which is made if it is not there; NULL: no memory.
static json_t *own_member(json_t *root, const char *name, bool array)
{
    json_t *member = json_object_get(root, name);
    if (array ? json_is_array(member) : json_is_object(member)) {
        return member;
    }
    if (json_object_set_new(root, name, array ? json_array() : json_object()) != 0) {
        return NULL;
    }
    return json_object_get(root, name);
}

static bool apply_schema(struct k2_iceberg_metadata *metadata,
                         const struct k2_iceberg_change *change)
{
    json_t *root = metadata->root;
    int32_t id = next_schema_id(root);
    int32_t last = k2_iceberg_greatest_id(metadata, change->fields, change->field_count);
    return json_array_append_new(json_object_get(root, "schemas"),
                                 k2_iceberg_schema_json(id, change->fields, change->field_count)) ==
               0 &&
           json_object_set_new(root, "current-schema-id", json_integer(id)) == 0 &&
           json_object_set_new(root, "last-column-id", json_integer(last)) == 0;
}

static bool apply_properties(json_t *root, const struct k2_iceberg_change *change)
{
    json_t *properties = own_member(root, "properties", false);
    bool good = properties != NULL;
    for (size_t i = 0; i < change->property_count && good; i++) {
        if (change->properties[i].value == NULL) {
            (void)json_object_del(properties, change->properties[i].name);
        } else {
            good = json_object_set_new(properties, change->properties[i].name,
                                       json_string(change->properties[i].value)) == 0;
        }
    }
    return good;
}

static bool apply_snapshot(struct k2_iceberg_metadata *metadata,
                           const struct k2_iceberg_snapshot *snapshot)
{
    json_t *root = metadata->root;
    json_t *snapshots = own_member(root, "snapshots", true);
    json_t *refs = own_member(root, "refs", false);
    json_t *log = own_member(root, "snapshot-log", true);
    json_t *main_ref = refs == NULL ? NULL : own_member(refs, "main", false);
    return snapshots != NULL && log != NULL && main_ref != NULL &&
           json_array_append_new(snapshots, k2_iceberg_snapshot_json(
                                                snapshot, k2_iceberg_schema_id(metadata))) == 0 &&
           json_object_set_new(main_ref, "snapshot-id", json_integer(snapshot->id)) == 0 &&
           json_object_set_new(main_ref, "type", json_string("branch")) == 0 &&
           json_array_append_new(log, json_pack("{s:I, s:I}", "timestamp-ms",
                                                (json_int_t)snapshot->timestamp_ms, "snapshot-id",
                                                (json_int_t)snapshot->id)) == 0 &&
           json_object_set_new(root, "current-snapshot-id", json_integer(snapshot->id)) == 0 &&
           json_object_set_new(root, "last-sequence-number",
                               json_integer(snapshot->sequence_number)) == 0;
}

static bool is_removed(const struct k2_iceberg_change *change, const json_t *item)
{
    json_int_t id = json_integer_value(json_object_get(item, "snapshot-id"));
    for (size_t i = 0; i < change->removed_snapshot_count; i++) {
        if (change->removed_snapshots[i] == id) {
            return true;
        }
    }
    return false;
}

static void remove_from(json_t *list, const struct k2_iceberg_change *change)
{
    for (size_t i = json_array_size(list); i > 0; i--) {
        if (is_removed(change, json_array_get(list, i - 1))) {
            (void)json_array_remove(list, i - 1);
        }
    }
}

static void apply_removals(json_t *root, const struct k2_iceberg_change *change)
{
    remove_from(json_object_get(root, "snapshots"), change);
    remove_from(json_object_get(root, "statistics"), change);
    remove_from(json_object_get(root, "partition-statistics"), change);
    // The log tells what was current at each time: behind a gap it would tell wrong.
    json_t *log = json_object_get(root, "snapshot-log");
    for (size_t i = json_array_size(log); i > 0; i--) {
        if (is_removed(change, json_array_get(log, i - 1))) {
            for (; i > 0; i--) {
                (void)json_array_remove(log, 0);
            }
            break;
        }
    }
}

static size_t kept_metadata_files(const struct k2_iceberg_metadata *metadata)
{
    const char *text = k2_iceberg_property(metadata, "write.metadata.previous-versions-max");
    char *end = NULL;
    unsigned long value = text == NULL ? 0 : strtoul(text, &end, 10);
    return text == NULL || end == text || *end != '\0' || value == 0 ? KEPT_METADATA_FILES : value;
}

static bool apply_log(struct k2_iceberg_metadata *metadata, const char *previous_location,
                      k2_iceberg_cut_off *cut_off, void *context)
{
    json_t *log = own_member(metadata->root, "metadata-log", true);
    if (log == NULL ||
        json_array_append_new(log, json_pack("{s:I, s:s}", "timestamp-ms",
                                             (json_int_t)k2_iceberg_last_updated_ms(metadata),
                                             "metadata-file", previous_location)) != 0) {
        return false;
    }
    size_t most = kept_metadata_files(metadata);
    while (json_array_size(log) > most) {
        const char *location =
            json_string_value(json_object_get(json_array_get(log, 0), "metadata-file"));
        if (location != NULL && cut_off != NULL) {
            cut_off(context, location);
        }
        (void)json_array_remove(log, 0);
    }
    return true;
}

enum k2_status k2_iceberg_metadata_apply(struct k2_iceberg_metadata *metadata,
                                         const struct k2_iceberg_change *change,
                                         const char *previous_location, k2_iceberg_cut_off *cut_off,
                                         void *context, struct k2_error *error)
{
    for (size_t i = 0; i < change->removed_snapshot_count; i++) {
        if (k2_iceberg_is_referenced(metadata, change->removed_snapshots[i])) {
            return k2_fail(error, K2_BAD_REQUEST, "snapshot %lld has a name and can not be removed",
                           (long long)change->removed_snapshots[i]);
        }
    }
    bool good =
        previous_location == NULL || apply_log(metadata, previous_location, cut_off, context);
    good = good && (change->field_count == 0 || apply_schema(metadata, change));
    good = good && (change->property_count == 0 || apply_properties(metadata->root, change));
    good = good && (change->snapshot == NULL || apply_snapshot(metadata, change->snapshot));
    if (good && change->removed_snapshot_count > 0) {
        apply_removals(metadata->root, change);
    }
    int64_t time_ms = change->time_ms;
    if (change->snapshot != NULL && change->snapshot->timestamp_ms > time_ms) {
        time_ms = change->snapshot->timestamp_ms;
    }
    if (time_ms < k2_iceberg_last_updated_ms(metadata)) {
        time_ms = k2_iceberg_last_updated_ms(metadata);
    }
    good =
        good && json_object_set_new(metadata->root, "last-updated-ms", json_integer(time_ms)) == 0;
    return good ? K2_OK : no_memory(error);
}

// ---- bodies of a REST catalog ---------------------------------------------------------------

// Objects that are put together and printed; a failed step makes the whole fail.
struct body {
    json_t *requirements, *updates;
    bool failed;
};

static void add(struct body *body, json_t *list, json_t *item)
{
    if (item == NULL || json_array_append_new(list, item) != 0) {
        body->failed = true;
    }
}

static void begin_body(struct body *body)
{
    *body = (struct body){json_array(), json_array(), false};
    body->failed = body->requirements == NULL || body->updates == NULL;
}

static void end_body(struct body *body, struct k2_buffer *out)
{
    json_t *tree =
        json_pack("{s:o, s:o}", "requirements", body->requirements, "updates", body->updates);
    if (body->failed) {
        out->failed = true;
    } else {
        k2_iceberg_put_tree(tree, out);
    }
    json_decref(tree);
}

static void add_schema(struct body *body, const struct k2_iceberg_metadata *base,
                       const struct k2_iceberg_change *change)
{
    int32_t last = k2_iceberg_greatest_id(base, change->fields, change->field_count);
    add(body, body->requirements,
        json_pack("{s:s, s:i}", "type", "assert-current-schema-id", "current-schema-id",
                  (int)k2_iceberg_schema_id(base)));
    add(body, body->requirements,
        json_pack("{s:s, s:i}", "type", "assert-last-assigned-field-id", "last-assigned-field-id",
                  (int)k2_iceberg_greatest_id(base, NULL, 0)));
    add(body, body->updates,
        json_pack(
            "{s:s, s:o, s:i}", "action", "add-schema", "schema",
            k2_iceberg_schema_json(next_schema_id(base->root), change->fields, change->field_count),
            "last-column-id", (int)last));
    add(body, body->updates,
        json_pack("{s:s, s:i}", "action", "set-current-schema", "schema-id", -1));
}

static void add_properties(struct body *body, const struct k2_iceberg_change *change)
{
    json_t *set = json_object(), *removed = json_array();
    for (size_t i = 0; i < change->property_count; i++) {
        const struct k2_iceberg_property *property = &change->properties[i];
        int failed = property->value != NULL
                         ? json_object_set_new(set, property->name, json_string(property->value))
                         : json_array_append_new(removed, json_string(property->name));
        body->failed = body->failed || failed != 0;
    }
    if (json_object_size(set) > 0) {
        add(body, body->updates,
            json_pack("{s:s, s:O}", "action", "set-properties", "updates", set));
    }
    if (json_array_size(removed) > 0) {
        add(body, body->updates,
            json_pack("{s:s, s:O}", "action", "remove-properties", "removals", removed));
    }
    json_decref(set);
    json_decref(removed);
}

static void add_main(struct body *body, int64_t snapshot_id)
{
    add(body, body->updates,
        json_pack("{s:s, s:s, s:s, s:I}", "action", "set-snapshot-ref", "ref-name", "main", "type",
                  "branch", "snapshot-id", (json_int_t)snapshot_id));
}

void k2_iceberg_change_put_json(const struct k2_iceberg_metadata *base,
                                const struct k2_iceberg_change *change, struct k2_buffer *out)
{
    struct body body;
    struct k2_iceberg_snapshot current;
    begin_body(&body);
    add(&body, body.requirements,
        json_pack("{s:s, s:s}", "type", "assert-table-uuid", "uuid", k2_iceberg_uuid(base)));
    // Also where nothing is added: what a change says rests on the snapshot that was read.
    json_t *main_id =
        k2_iceberg_current_snapshot(base, &current) ? json_integer(current.id) : json_null();
    add(&body, body.requirements,
        json_pack("{s:s, s:s, s:o}", "type", "assert-ref-snapshot-id", "ref", "main", "snapshot-id",
                  main_id));
    if (change->field_count > 0) {
        add_schema(&body, base, change);
    }
    if (change->property_count > 0) {
        add_properties(&body, change);
    }
    if (change->snapshot != NULL) {
        int32_t schema_id =
            change->field_count > 0 ? next_schema_id(base->root) : k2_iceberg_schema_id(base);
        add(&body, body.updates,
            json_pack("{s:s, s:o}", "action", "add-snapshot", "snapshot",
                      k2_iceberg_snapshot_json(change->snapshot, schema_id)));
        add_main(&body, change->snapshot->id);
    }
    if (change->removed_snapshot_count > 0) {
        json_t *ids = json_array();
        for (size_t i = 0; i < change->removed_snapshot_count; i++) {
            if (json_array_append_new(ids, json_integer(change->removed_snapshots[i])) != 0) {
                body.failed = true;
            }
        }
        add(&body, body.updates,
            json_pack("{s:s, s:o}", "action", "remove-snapshots", "snapshot-ids", ids));
    }
    end_body(&body, out);
}

void k2_iceberg_create_put_json(const struct k2_iceberg_metadata *metadata, struct k2_buffer *out)
{
    struct body body;
    json_t *root = metadata->root;
    size_t index;
    json_t *item;
    begin_body(&body);
    add(&body, body.requirements, json_pack("{s:s}", "type", "assert-create"));
    add(&body, body.updates,
        json_pack("{s:s, s:s}", "action", "assign-uuid", "uuid", k2_iceberg_uuid(metadata)));
    add(&body, body.updates,
        json_pack("{s:s, s:i}", "action", "upgrade-format-version", "format-version", 2));
    add(&body, body.updates,
        json_pack("{s:s, s:s}", "action", "set-location", "location",
                  k2_iceberg_location(metadata)));
    add(&body, body.updates,
        json_pack("{s:s, s:O, s:O}", "action", "add-schema", "schema",
                  json_array_get(json_object_get(root, "schemas"), 0), "last-column-id",
                  json_object_get(root, "last-column-id")));
    add(&body, body.updates,
        json_pack("{s:s, s:i}", "action", "set-current-schema", "schema-id", -1));
    add(&body, body.updates,
        json_pack("{s:s, s:O}", "action", "add-spec", "spec",
                  json_array_get(json_object_get(root, "partition-specs"), 0)));
    add(&body, body.updates, json_pack("{s:s, s:i}", "action", "set-default-spec", "spec-id", -1));
    json_array_foreach(json_object_get(root, "sort-orders"), index, item)
    {
        if (index > 0 || json_array_size(json_object_get(root, "sort-orders")) == 1) {
            add(&body, body.updates,
                json_pack("{s:s, s:O}", "action", "add-sort-order", "sort-order", item));
        }
    }
    add(&body, body.updates,
        json_pack("{s:s, s:i}", "action", "set-default-sort-order", "sort-order-id", -1));
    add(&body, body.updates,
        json_pack("{s:s, s:O}", "action", "set-properties", "updates",
                  json_object_get(root, "properties")));
    end_body(&body, out);
}
