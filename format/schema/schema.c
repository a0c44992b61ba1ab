#include "format/schema/schema.h"

#include "format/base/alloc.h"

const char *k2_kind_name(enum k2_kind kind)
{
    static const char *const names[] = {
        [K2_KIND_INT8] = "int8",           [K2_KIND_INT16] = "int16",
        [K2_KIND_INT32] = "int32",         [K2_KIND_INT64] = "int64",
        [K2_KIND_DECIMAL64] = "decimal64", [K2_KIND_TIMESTAMP] = "timestamp",
        [K2_KIND_BOOL] = "bool",           [K2_KIND_FLOAT64] = "float64",
        [K2_KIND_SYMBOLIC] = "symbolic",   [K2_KIND_TEXT] = "text",
        [K2_KIND_UUID] = "uuid",           [K2_KIND_JSON] = "json",
    };
    size_t index = (size_t)kind;
    bool known = index < sizeof names / sizeof names[0] && names[index] != NULL;
    return known ? names[index] : "unknown";
}

void k2_schema_destroy(struct k2_schema *schema)
{
    if (schema == NULL) {
        return;
    }
    for (size_t i = 0; i < schema->column_count; i++) {
        k2_free((char *)(uintptr_t)schema->columns[i].name);
        k2_free((char *)(uintptr_t)schema->columns[i].default_text);
    }
    k2_free(schema->columns);
    k2_free(schema->source);
    k2_free(schema->table);
    k2_free(schema);
}

int k2_schema_find(const struct k2_schema *schema, struct k2_slice name)
{
    for (size_t i = 0; i < schema->column_count; i++) {
        if (k2_slice_equal(k2_slice_of(schema->columns[i].name), name)) {
            return (int)i;
        }
    }
    return -1;
}

// True when every value of `older` has the same meaning, and a place, in `newer`.
static bool kind_widens(const struct k2_column *older, const struct k2_column *newer)
{
    if (older->kind == newer->kind) {
        return older->scale == newer->scale &&
               (older->shape == newer->shape || newer->shape == K2_JSON_ANY);
    }
    return older->kind >= K2_KIND_INT8 && newer->kind <= K2_KIND_INT64 && older->kind < newer->kind;
}

static enum k2_status check_column(const struct k2_schema *newer, const struct k2_column *before,
                                   size_t index, struct k2_error *error)
{
    int place = k2_schema_find(newer, k2_slice_of(before->name));
    if (place < 0) {
        return k2_fail(error, K2_BAD_REQUEST,
                       "%s: field %s: gone; a column that was once there must stay", newer->table,
                       before->name);
    }
    const struct k2_column *now = &newer->columns[place];
    bool was_key = index < K2_KEY_COLUMN_COUNT;
    if (was_key != (place < K2_KEY_COLUMN_COUNT) || (was_key && (size_t)place != index)) {
        return k2_fail(error, K2_BAD_REQUEST, "%s: field %s: its k2.role changed", newer->table,
                       before->name);
    }
    if (now->id != before->id) {
        return k2_fail(error, K2_BAD_REQUEST,
                       "%s: field %s: its field-id was %u and is %u; give each field its field-id",
                       newer->table, before->name, (unsigned)before->id, (unsigned)now->id);
    }
    if (!kind_widens(before, now)) {
        return k2_fail(error, K2_BAD_REQUEST,
                       "%s: field %s: its type was %s and is %s, or its scale or shape changed",
                       newer->table, before->name, k2_kind_name(before->kind),
                       k2_kind_name(now->kind));
    }
    if (before->nullable && !now->nullable) {
        return k2_fail(error, K2_BAD_REQUEST, "%s: field %s: was nullable and is not any more",
                       newer->table, before->name);
    }
    if (before->version != now->version) {
        return k2_fail(error, K2_BAD_REQUEST, "%s: field %s: its k2.role changed", newer->table,
                       before->name);
    }
    if (before->identity != now->identity) {
        return k2_fail(error, K2_BAD_REQUEST, "%s: field %s: its k2.identity changed", newer->table,
                       before->name);
    }
    return K2_OK;
}

static bool has_id(const struct k2_schema *schema, uint16_t id)
{
    for (size_t i = 0; i < schema->column_count; i++) {
        if (schema->columns[i].id == id) {
            return true;
        }
    }
    return false;
}

enum k2_status k2_schema_check_evolution(const struct k2_schema *older,
                                         const struct k2_schema *newer, struct k2_error *error)
{
    for (size_t i = 0; i < older->column_count; i++) {
        enum k2_status status = check_column(newer, &older->columns[i], i, error);
        if (status != K2_OK) {
            return status;
        }
    }
    for (size_t i = 0; i < newer->column_count; i++) {
        const struct k2_column *column = &newer->columns[i];
        if (k2_schema_find(older, k2_slice_of(column->name)) >= 0) {
            continue;
        }
        if (has_id(older, column->id)) {
            return k2_fail(error, K2_BAD_REQUEST,
                           "%s: field %s: its field-id %u belongs to another field", newer->table,
                           column->name, (unsigned)column->id);
        }
        if (!column->nullable && !column->has_default) {
            return k2_fail(error, K2_BAD_REQUEST,
                           "%s: field %s: is new, so it must be nullable or have a default",
                           newer->table, column->name);
        }
    }
    return K2_OK;
}
