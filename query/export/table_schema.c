#include "query/export/table_schema.h"

#include <stdio.h>

#include "format/base/decimal.h"
#include "format/parquet/parquet_field.h"

enum { TYPE_BYTES = 32 };

static const char *type_of(const struct k2_parquet_field *field, struct k2_arena *arena)
{
    char *text;
    switch (field->type) {
    case K2_PARQUET_BOOLEAN:
        return "boolean";
    case K2_PARQUET_INT32:
        return "int";
    case K2_PARQUET_DOUBLE:
        return "double";
    case K2_PARQUET_BYTE_ARRAY:
        return "string";
    case K2_PARQUET_FIXED_BYTES:
        return "uuid";
    default:
        break;
    }
    if (field->logical == K2_PARQUET_TIMESTAMP) {
        return "timestamptz";
    }
    if (field->logical != K2_PARQUET_DECIMAL) {
        return "long";
    }
    text = k2_arena_alloc(arena, TYPE_BYTES);
    if (text != NULL) {
        (void)snprintf(text, TYPE_BYTES, "decimal(%d, %d)", K2_DECIMAL_DIGITS,
                       field->column->scale);
    }
    return text;
}

static enum k2_status list_fields(const struct k2_schema *schema, struct k2_arena *arena,
                                  struct k2_iceberg_field **fields,
                                  const struct k2_column ***columns, size_t *count,
                                  struct k2_error *error)
{
    const struct k2_column *all[K2_MAX_COLUMNS];
    struct k2_parquet_field *list;
    for (size_t i = 0; i < schema->column_count; i++) {
        all[i] = &schema->columns[i];
    }
    enum k2_status status =
        k2_parquet_fields_create(&list, count, all, schema->column_count, false, error);
    if (status != K2_OK) {
        return status;
    }
    *fields = k2_arena_alloc(arena, *count * sizeof **fields);
    *columns = k2_arena_alloc(arena, *count * sizeof(struct k2_column *));
    bool good = *fields != NULL && *columns != NULL;
    for (size_t i = 0; i < *count && good; i++) {
        (*fields)[i] = (struct k2_iceberg_field){
            .id = (int32_t)list[i].id,
            .name = k2_arena_text(arena, k2_slice_of(list[i].name)),
            .type = type_of(&list[i], arena),
            .required = !list[i].optional,
        };
        (*columns)[i] = list[i].column;
        good = (*fields)[i].name != NULL && (*fields)[i].type != NULL;
    }
    k2_parquet_fields_free(list, *count);
    return good ? K2_OK : k2_fail(error, K2_NO_MEMORY, "export: no memory");
}

enum k2_status k2_table_schema_fields(const struct k2_schema *schema, struct k2_arena *arena,
                                      struct k2_iceberg_field **fields, size_t *count,
                                      struct k2_error *error)
{
    const struct k2_column **columns;
    return list_fields(schema, arena, fields, &columns, count, error);
}

// Takes over what K2 says of a field that the table has.
static enum k2_status meet(struct k2_iceberg_field *there, const struct k2_iceberg_field *wanted,
                           bool *changed, struct k2_error *error)
{
    if (strcmp(there->name, wanted->name) != 0) {
        return k2_fail(error, K2_BAD_REQUEST,
                       "field %d is called `%s` there and `%s` in K2; rename it back or drop the "
                       "table",
                       there->id, there->name, wanted->name);
    }
    const char *type = there->type == NULL ? "a nested type" : there->type;
    if (strcmp(type, wanted->type) != 0) {
        if (strcmp(type, "int") != 0 || strcmp(wanted->type, "long") != 0) {
            return k2_fail(error, K2_BAD_REQUEST, "field `%s` is of type %s there and %s in K2",
                           there->name, type, wanted->type);
        }
        there->type = wanted->type;
        *changed = true;
    }
    if (there->required && !wanted->required) {
        there->required = false;
        *changed = true;
    }
    return K2_OK;
}

enum k2_status k2_table_schema_evolve(const struct k2_schema *schema,
                                      const struct k2_iceberg_metadata *metadata,
                                      struct k2_arena *arena, struct k2_iceberg_field **fields,
                                      size_t *count, bool *needs_rewrite, struct k2_error *error)
{
    struct k2_iceberg_field *wanted;
    const struct k2_column **columns;
    size_t wanted_count, there = k2_iceberg_field_count(metadata), total = there;
    bool changed = false, nested = false;
    *needs_rewrite = false;
    *count = 0;
    enum k2_status status = list_fields(schema, arena, &wanted, &columns, &wanted_count, error);
    if (status != K2_OK) {
        return status;
    }
    struct k2_iceberg_field *all = k2_arena_alloc(arena, (there + wanted_count) * sizeof *all);
    if (all == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "export: no memory");
    }
    for (size_t i = 0; i < there; i++) {
        all[i] = k2_iceberg_field_at(metadata, i);
        nested = nested || all[i].type == NULL;
    }
    for (size_t i = 0; i < wanted_count && status == K2_OK; i++) {
        size_t place = 0;
        while (place < there && all[place].id != wanted[i].id) {
            place++;
        }
        if (place < there) {
            status = meet(&all[place], &wanted[i], &changed, error);
            continue;
        }
        // Rows that are there have null: a new field can not be required.
        all[total] = wanted[i];
        all[total++].required = false;
        changed = true;
        *needs_rewrite = *needs_rewrite || columns[i]->has_default;
    }
    if (status == K2_OK && changed && nested) {
        status = k2_fail(error, K2_BAD_REQUEST,
                         "the schema must change, and it has a column of a nested type that K2 did "
                         "not make");
    }
    if (status == K2_OK && changed) {
        *fields = all;
        *count = total;
    }
    return status;
}
