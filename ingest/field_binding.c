#include "ingest/field_binding.h"

#include <stdio.h>
#include <string.h>

#include "format/base/alloc.h"
#include "ingest/csv_reader.h"

enum { NO_COLUMN = -1, OP_COLUMN = -2 };

// One use of one field: straight into a column, or through a field of the map.
struct use {
    size_t place;                      // in the record
    int column;                        // or NO_COLUMN, OP_COLUMN
    const struct k2_map_field *mapped; // or NULL
};

struct k2_field_binding {
    const struct k2_row_source_options *options;
    struct use *uses;
    size_t use_count, use_room;
    size_t field_min, field_max;
    bool has[K2_MAX_COLUMNS];
    bool has_op; // rows may be deletions
};

enum k2_status k2_field_binding_create(struct k2_field_binding **binding,
                                       const struct k2_row_source_options *options,
                                       struct k2_error *error)
{
    struct k2_field_binding *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "fields: out of memory");
    }
    self->options = options;
    *binding = self;
    return K2_OK;
}

void k2_field_binding_destroy(struct k2_field_binding *binding)
{
    if (binding != NULL) {
        k2_free(binding->uses);
        k2_free(binding);
    }
}

static void restart(struct k2_field_binding *self)
{
    self->use_count = 0;
    self->has_op = false;
    memset(self->has, 0, sizeof self->has);
}

static enum k2_status add(struct k2_field_binding *self, const struct use *use,
                          struct k2_error *error)
{
    if (self->use_count == self->use_room) {
        size_t room = 2 * self->use_room + 32;
        struct use *uses = k2_realloc(self->uses, room, sizeof *uses);
        if (uses == NULL) {
            return k2_fail(error, K2_NO_MEMORY, "fields: out of memory");
        }
        self->uses = uses;
        self->use_room = room;
    }
    self->uses[self->use_count++] = *use;
    if (use->column == OP_COLUMN) {
        self->has_op = true;
    } else if (use->mapped == NULL) {
        self->has[use->column] = true;
    } else if (use->mapped->target == K2_MAP_TIME || use->mapped->target == K2_MAP_EPOCH_TIME) {
        self->has[K2_TIMESTAMP] = true;
    } else if (use->mapped->target != K2_MAP_DATE) {
        self->has[use->mapped->column] = true;
    }
    return K2_OK;
}

enum k2_status k2_field_binding_by_number(struct k2_field_binding *binding, struct k2_error *error)
{
    const struct k2_column_map *map = binding->options->map;
    restart(binding);
    if (map == NULL || k2_column_map_header(map) == K2_MAP_HEADER_NAMES) {
        return k2_fail(error, K2_BAD_REQUEST, "the fields have no names; give a map file");
    }
    size_t count;
    const struct k2_map_field *fields = k2_column_map_fields(map, &count);
    k2_column_map_field_range(map, &binding->field_min, &binding->field_max);
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < count && status == K2_OK; i++) {
        struct use use = {fields[i].number - 1, NO_COLUMN, &fields[i]};
        status = add(binding, &use, error);
    }
    return status;
}

static bool is_used(const struct k2_field_binding *self, const struct k2_map_field *field)
{
    for (size_t i = 0; i < self->use_count; i++) {
        if (self->uses[i].mapped == field) {
            return true;
        }
    }
    return false;
}

// Binds one name of the header through the map.
static enum k2_status bind_mapped(struct k2_field_binding *self, struct k2_slice name, size_t place,
                                  bool *found, struct k2_error *error)
{
    size_t count;
    const struct k2_map_field *fields = k2_column_map_fields(self->options->map, &count);
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < count && status == K2_OK; i++) {
        if (fields[i].name != NULL && k2_slice_equal(k2_slice_of(fields[i].name), name)) {
            struct use use = {place, NO_COLUMN, &fields[i]};
            status = is_used(self, &fields[i])
                         ? k2_fail(error, K2_BAD_REQUEST, "two fields are `%s`", fields[i].name)
                         : add(self, &use, error);
            *found = true;
        }
    }
    return status;
}

static enum k2_status bind_name(struct k2_field_binding *self, struct k2_slice name, size_t place,
                                struct k2_error *error)
{
    const struct k2_row_source_options *options = self->options;
    bool found = false;
    if (options->map != NULL) {
        enum k2_status status = bind_mapped(self, name, place, &found, error);
        if (status != K2_OK || found) {
            return status;
        }
    }
    int column = k2_schema_find(options->schema, name);
    if (column >= 0 && !self->has[column]) {
        struct use use = {place, column, NULL};
        return add(self, &use, error);
    }
    bool is_op = column < 0 && k2_slice_equal(name, k2_slice_of("_op"));
    if (is_op && !self->has_op) {
        struct use use = {place, OP_COLUMN, NULL};
        return add(self, &use, error);
    }
    if (column >= 0 || is_op) {
        return k2_fail(error, K2_BAD_REQUEST, "two fields are `%.*s`", (int)name.size_bytes,
                       (const char *)name.data);
    }
    if (options->ignore_unknown ||
        (options->map != NULL && k2_column_map_ignores_others(options->map))) {
        return K2_OK;
    }
    return k2_fail(error, K2_BAD_REQUEST,
                   "`%.*s` is no column of %s; skip such fields with --ignore-unknown, or name "
                   "them in a map file",
                   name.size_bytes > 100 ? 100 : (int)name.size_bytes, (const char *)name.data,
                   options->schema->table);
}

enum k2_status k2_field_binding_by_header(struct k2_field_binding *binding,
                                          const struct k2_slice *names, size_t count,
                                          struct k2_error *error)
{
    restart(binding);
    if (count > K2_CSV_FIELD_CEILING) {
        return k2_fail(error, K2_BAD_REQUEST, "%zu fields; %d are possible", count,
                       K2_CSV_FIELD_CEILING);
    }
    binding->field_min = binding->field_max = count;
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < count && status == K2_OK; i++) {
        status = bind_name(binding, names[i], i, error);
    }
    return status;
}

enum k2_status k2_field_binding_check(const struct k2_field_binding *binding,
                                      const struct k2_row_builder *builder, struct k2_error *error)
{
    const struct k2_schema *schema = binding->options->schema;
    for (size_t i = 0; i < schema->column_count; i++) {
        const struct k2_column *column = &schema->columns[i];
        bool deletes = binding->options->deletes || binding->has_op; // keys are enough
        bool required = i <= K2_TIMESTAMP || (i >= K2_KEY_COLUMN_COUNT && !column->nullable &&
                                              !column->has_default && !deletes);
        if (required && !binding->has[i] && !k2_row_builder_has_constant(builder, i)) {
            return k2_fail(error, K2_BAD_REQUEST, "no field is `%s`, which %s needs; %s",
                           column->name, schema->table,
                           i == K2_EXCHANGE ? "give --exchange, or a map file"
                           : i == K2_SYMBOL ? "give --symbol, or a map file"
                                            : "a file without a header needs a map file");
        }
    }
    return K2_OK;
}

bool k2_field_binding_has(const struct k2_field_binding *binding, size_t column)
{
    return binding->has[column];
}

void k2_field_binding_range(const struct k2_field_binding *binding, size_t *min, size_t *max)
{
    *min = binding->field_min;
    *max = binding->field_max;
}

void k2_field_binding_put(const struct k2_field_binding *binding, const struct k2_slice *fields,
                          size_t count, struct k2_row_builder *builder)
{
    for (size_t i = 0; i < binding->use_count; i++) {
        const struct use *use = &binding->uses[i];
        struct k2_slice text = use->place < count ? fields[use->place] : (struct k2_slice){0};
        if (use->mapped != NULL) {
            k2_row_builder_set_mapped(builder, use->mapped, text);
        } else if (use->column == OP_COLUMN) {
            k2_row_builder_set_op(builder, text);
        } else {
            k2_row_builder_set(builder, (size_t)use->column, (struct k2_cell){.text = text});
        }
    }
}
