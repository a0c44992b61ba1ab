#include "ingest/avro_plan.h"

#include <assert.h>
#include <stdio.h>

#include "engine/instruments.h"
#include "format/base/alloc.h"
#include "ingest/avro_reader.h"
#include "ingest/avro_schema.h"

enum target {
    TARGET_NONE, // skipped
    TARGET_COLUMN,
    TARGET_KEY,
};

// What becomes of one field of the writer, in the writer's order.
struct field {
    enum target target;
    uint32_t action; // TARGET_NONE: the writer's node
    uint16_t column;
    bool counts; // its value is the sequence of a row that has no other
};

struct k2_avro_plan {
    const struct k2_schema *table; // borrowed
    struct k2_avro_schema *writer; // owned
    struct k2_avro_action *actions;
    size_t action_count, action_room;
    struct field *fields;
    size_t field_count;
    struct k2_avro_reader reader;
    k2_intern_instrument *intern;
    void *intern_context;
    char *exchange; // owned, or NULL
};

struct compiler {
    struct k2_avro_plan *plan;
    struct k2_avro_schema *reader; // of the table; owned
    bool *written;                 // by column of the table
    struct k2_error *error;
};

// The values of the key columns while a message is read.
struct key_values {
    struct k2_avro_value keys[K2_KEY_COLUMN_COUNT];
    struct k2_avro_value fallback_sequence;
};

static enum k2_status fail_memory(struct compiler *self)
{
    return k2_fail(self->error, K2_NO_MEMORY, "Avro plan: out of memory");
}

static enum k2_status add_actions(struct compiler *self, size_t count, uint32_t *first)
{
    struct k2_avro_plan *plan = self->plan;
    if (plan->action_count + count > plan->action_room) {
        size_t room = (plan->action_count + count) * 2;
        struct k2_avro_action *grown = k2_realloc(plan->actions, room, sizeof *grown);
        if (grown == NULL) {
            return fail_memory(self);
        }
        plan->actions = grown;
        plan->action_room = room;
    }
    *first = (uint32_t)plan->action_count;
    plan->action_count += count;
    return K2_OK;
}

static int64_t power_of_ten(unsigned exponent)
{
    int64_t power = 1;
    for (unsigned i = 0; i < exponent; i++) {
        power *= 10;
    }
    return power;
}

static void limit_integer(struct k2_avro_action *action, int64_t min, int64_t max, int64_t factor)
{
    action->act = K2_AVRO_ACT_INTEGER;
    action->min = min;
    action->max = max;
    action->factor = factor;
}

// int or long into a column; MISFIT when it has no place there.
static void fit_integer(struct k2_avro_action *action, const struct k2_column *column,
                        enum k2_avro_logical logical)
{
    static const struct {
        int64_t min, max;
    } ranges[] = {
        [K2_KIND_INT8] = {INT8_MIN, INT8_MAX},
        [K2_KIND_INT16] = {INT16_MIN, INT16_MAX},
        [K2_KIND_INT32] = {INT32_MIN, INT32_MAX},
        [K2_KIND_INT64] = {INT64_MIN, INT64_MAX},
    };
    int64_t factor = logical == K2_AVRO_TIMESTAMP_MILLIS   ? 1000000
                     : logical == K2_AVRO_TIMESTAMP_MICROS ? 1000
                     : logical == K2_AVRO_TIMESTAMP_NANOS  ? 1
                                                           : 0;
    if (column->kind == K2_KIND_TIMESTAMP) {
        if (factor != 0) {
            limit_integer(action, INT64_MIN, INT64_MAX, factor);
        }
        return;
    }
    if (logical != K2_AVRO_PLAIN) { // its unit would be lost
        return;
    }
    if (column->kind <= K2_KIND_INT64) {
        limit_integer(action, ranges[column->kind].min, ranges[column->kind].max, 1);
    } else if (column->kind == K2_KIND_DECIMAL64) {
        int64_t most = power_of_ten(18U - column->scale) - 1;
        limit_integer(action, -most, most, power_of_ten(column->scale));
        action->scale = column->scale;
    } else if (column->kind == K2_KIND_FLOAT64) {
        action->act = K2_AVRO_ACT_INTEGER_TO_DOUBLE;
    }
}

static bool is_text(enum k2_kind kind)
{
    return kind == K2_KIND_TEXT || kind == K2_KIND_SYMBOLIC;
}

static void fit_bytes(struct k2_avro_action *action, const struct k2_column *column,
                      const struct k2_avro_node *node)
{
    bool fixed = node->type == K2_AVRO_FIXED;
    if (node->logical == K2_AVRO_DECIMAL) {
        if (column->kind == K2_KIND_DECIMAL64) {
            action->act = K2_AVRO_ACT_DECIMAL;
            action->writer_scale = node->scale;
            action->scale = column->scale;
        }
    } else if (column->kind == K2_KIND_UUID && fixed && node->size_bytes == 16) {
        action->act = K2_AVRO_ACT_FIXED;
    } else if (is_text(column->kind) && node->logical == K2_AVRO_PLAIN) {
        action->act = fixed ? K2_AVRO_ACT_FIXED : K2_AVRO_ACT_TEXT;
    }
}

static void fit_string(struct k2_avro_action *action, const struct k2_column *column)
{
    if (is_text(column->kind)) {
        action->act = K2_AVRO_ACT_TEXT;
    } else if (column->kind == K2_KIND_UUID) {
        action->act = K2_AVRO_ACT_UUID_TEXT;
    } else if (column->kind == K2_KIND_JSON) {
        action->act = K2_AVRO_ACT_JSON_TEXT;
        action->shape = column->shape;
    } else if (column->kind == K2_KIND_DECIMAL64) {
        action->act = K2_AVRO_ACT_DECIMAL_TEXT;
        action->scale = column->scale;
    }
}

static void fit_items(struct k2_avro_action *action, const struct k2_column *column,
                      const struct k2_avro_schema *writer, const struct k2_avro_node *node)
{
    bool strings = writer->nodes[writer->members[node->first_member].node].type == K2_AVRO_STRING;
    bool is_array = node->type == K2_AVRO_ARRAY;
    enum k2_json_shape shape = is_array ? K2_JSON_STRINGS : K2_JSON_STRING_MAP;
    if (column->kind == K2_KIND_JSON && strings &&
        (column->shape == K2_JSON_ANY || column->shape == shape)) {
        action->act = is_array ? K2_AVRO_ACT_JSON_STRINGS : K2_AVRO_ACT_JSON_MAP;
    }
}

static struct k2_avro_action fit(const struct k2_avro_schema *writer, uint32_t index,
                                 const struct k2_column *column, enum k2_avro_logical beside)
{
    struct k2_avro_action action = {.act = K2_AVRO_ACT_MISFIT, .node = index};
    const struct k2_avro_node *node = &writer->nodes[index];
    switch (node->type) {
    case K2_AVRO_NULL:
        action.act = K2_AVRO_ACT_NULL;
        break;
    case K2_AVRO_BOOLEAN:
        action.act = column->kind == K2_KIND_BOOL ? K2_AVRO_ACT_BOOLEAN : action.act;
        break;
    case K2_AVRO_INT:
    case K2_AVRO_LONG:
        fit_integer(&action, column, node->logical == K2_AVRO_PLAIN ? beside : node->logical);
        break;
    case K2_AVRO_FLOAT:
        action.act = column->kind == K2_KIND_FLOAT64 ? K2_AVRO_ACT_FLOAT : action.act;
        break;
    case K2_AVRO_DOUBLE:
        action.act = column->kind == K2_KIND_FLOAT64 ? K2_AVRO_ACT_DOUBLE : action.act;
        break;
    case K2_AVRO_BYTES:
    case K2_AVRO_FIXED:
        fit_bytes(&action, column, node);
        break;
    case K2_AVRO_STRING:
        fit_string(&action, column);
        break;
    case K2_AVRO_ENUM:
        action.act = is_text(column->kind) ? K2_AVRO_ACT_ENUM : action.act;
        break;
    case K2_AVRO_ARRAY:
    case K2_AVRO_MAP:
        fit_items(&action, column, writer, node);
        break;
    case K2_AVRO_UNION:
    case K2_AVRO_RECORD:
        break;
    }
    return action;
}

static enum k2_status misfit(struct compiler *self, const struct k2_column *column,
                             const char *field, enum k2_avro_type type)
{
    const char *hint = column->kind == K2_KIND_TIMESTAMP && type == K2_AVRO_LONG
                           ? "; it needs a logicalType timestamp-millis, -micros or -nanos"
                           : "";
    return k2_fail(
        self->error, K2_BAD_REQUEST, "table %s: field %s: a %s of the writer can not become %s%s",
        self->plan->table->table, field, k2_avro_type_name(type), k2_kind_name(column->kind), hint);
}

// A union fits when some branch that is not null does; a message with another one is rejected.
static enum k2_status compile_value(struct compiler *self, const struct k2_avro_member *member,
                                    const struct k2_column *column, uint32_t *action)
{
    const struct k2_avro_schema *writer = self->plan->writer;
    const struct k2_avro_node *node = &writer->nodes[member->node];
    bool is_union = node->type == K2_AVRO_UNION;
    uint32_t branch_count = is_union ? node->member_count : 0;
    enum k2_status status = add_actions(self, 1 + branch_count, action);
    if (status != K2_OK) {
        return status;
    }
    struct k2_avro_action *made = &self->plan->actions[*action];
    if (!is_union) {
        *made = fit(writer, member->node, column, member->beside);
        return made->act != K2_AVRO_ACT_MISFIT ? K2_OK
                                               : misfit(self, column, member->name, node->type);
    }
    *made = (struct k2_avro_action){.act = K2_AVRO_ACT_UNION,
                                    .node = member->node,
                                    .first = *action + 1,
                                    .count = branch_count};
    size_t value_branches = 0, fitting = 0;
    enum k2_avro_type other = K2_AVRO_NULL;
    for (uint32_t i = 0; i < branch_count; i++) {
        uint32_t branch = writer->members[node->first_member + i].node;
        made[1 + i] = fit(writer, branch, column, member->beside);
        if (made[1 + i].act != K2_AVRO_ACT_NULL) {
            value_branches++;
            fitting += made[1 + i].act != K2_AVRO_ACT_MISFIT;
            other = writer->nodes[branch].type;
        }
    }
    return fitting > 0 || value_branches == 0 ? K2_OK : misfit(self, column, member->name, other);
}

// The column that a field of the writer feeds, by name or by an alias in the table's schema; or -1.
static int column_of(const struct compiler *self, const char *field)
{
    const struct k2_schema *table = self->plan->table;
    int column = k2_schema_find(table, k2_slice_of(field));
    if (column >= 0) {
        return column;
    }
    const struct k2_avro_node *record = &self->reader->nodes[self->reader->root];
    for (uint32_t i = 0; i < record->member_count; i++) {
        const struct k2_avro_member *member = &self->reader->members[record->first_member + i];
        for (uint32_t j = 0; j < member->alias_count; j++) {
            if (strcmp(self->reader->aliases[member->first_alias + j], field) == 0) {
                return k2_schema_find(table, k2_slice_of(member->name));
            }
        }
    }
    return -1;
}

static enum k2_status compile_field(struct compiler *self, const struct k2_avro_member *member,
                                    struct field *field)
{
    static const struct k2_column counter = {
        .name = "source_sequence", .kind = K2_KIND_INT64, .nullable = true};
    int column = column_of(self, member->name);
    bool counts = strcmp(member->name, counter.name) == 0;
    if (column < 0) {
        *field = (struct field){.target = TARGET_NONE, .action = member->node, .counts = counts};
        if (!counts) {
            return K2_OK;
        }
        struct k2_error *error = self->error;
        self->error = NULL; // a misfit is no failure here
        enum k2_status status = compile_value(self, member, &counter, &field->action);
        self->error = error;
        if (status == K2_BAD_REQUEST) { // of another type: then it does not count
            *field = (struct field){.target = TARGET_NONE, .action = member->node};
            return K2_OK;
        }
        return status;
    }
    if (self->written[column]) {
        return k2_fail(self->error, K2_BAD_REQUEST,
                       "table %s: field %s: another field of the writer has the same column %s",
                       self->plan->table->table, member->name,
                       self->plan->table->columns[column].name);
    }
    self->written[column] = true;
    const struct k2_column *target = &self->plan->table->columns[column];
    *field = (struct field){
        .target = column < K2_KEY_COLUMN_COUNT ? TARGET_KEY : TARGET_COLUMN,
        .column = (uint16_t)column,
        .counts = counts && column >= K2_KEY_COLUMN_COUNT && target->kind == K2_KIND_INT64,
    };
    return compile_value(self, member, target, &field->action);
}

static enum k2_status check_written(struct compiler *self)
{
    const struct k2_schema *table = self->plan->table;
    for (size_t i = 0; i < table->column_count; i++) {
        const struct k2_column *column = &table->columns[i];
        bool known = self->written[i] || column->nullable || column->has_default || i == K2_EPOCH ||
                     i == K2_SEQUENCE || (i == K2_EXCHANGE && self->plan->exchange != NULL);
        if (!known) {
            return k2_fail(self->error, K2_BAD_REQUEST,
                           "table %s: field %s: the writer does not have it, and it has no default",
                           table->table, column->name);
        }
    }
    return K2_OK;
}

static enum k2_status compile(struct compiler *self)
{
    struct k2_avro_plan *plan = self->plan;
    const struct k2_avro_node *record = &plan->writer->nodes[plan->writer->root];
    if (record->type != K2_AVRO_RECORD) {
        return k2_fail(self->error, K2_BAD_REQUEST,
                       "table %s: the writer's schema is a %s, not a "
                       "record",
                       plan->table->table, k2_avro_type_name(record->type));
    }
    plan->field_count = record->member_count;
    plan->fields = k2_alloc_zero(plan->field_count, sizeof *plan->fields);
    self->written = k2_alloc_zero(plan->table->column_count, sizeof *self->written);
    if (plan->fields == NULL || self->written == NULL) {
        return fail_memory(self);
    }
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < plan->field_count && status == K2_OK; i++) {
        status =
            compile_field(self, &plan->writer->members[record->first_member + i], &plan->fields[i]);
    }
    return status == K2_OK ? check_written(self) : status;
}

static enum k2_status copy_exchange(struct compiler *self, const char *exchange)
{
    const struct k2_column *column = &self->plan->table->columns[K2_EXCHANGE];
    const char *text = exchange != NULL      ? exchange
                       : column->has_default ? column->default_text
                                             : NULL;
    if (text == NULL) {
        return K2_OK;
    }
    self->plan->exchange = k2_alloc_text(text, strlen(text));
    return self->plan->exchange != NULL ? K2_OK : fail_memory(self);
}

enum k2_status k2_avro_plan_create(struct k2_avro_plan **plan, const struct k2_schema *table,
                                   struct k2_slice writer,
                                   const struct k2_avro_plan_options *options,
                                   struct k2_error *error)
{
    struct compiler self = {.plan = k2_alloc_zero(1, sizeof **plan), .error = error};
    if (self.plan == NULL) {
        return fail_memory(&self);
    }
    self.plan->table = table;
    self.plan->intern = options->intern;
    self.plan->intern_context = options->intern_context;
    enum k2_status status = k2_avro_schema_parse(&self.plan->writer, writer, options->named,
                                                 options->named_count, error);
    if (status == K2_OK) {
        status = k2_avro_schema_parse(&self.reader, k2_slice_of(table->source), NULL, 0, error);
    }
    if (status == K2_OK) {
        status = copy_exchange(&self, options->exchange);
    }
    if (status == K2_OK) {
        status = compile(&self);
    }
    k2_avro_schema_destroy(self.reader);
    k2_free(self.written);
    if (status != K2_OK) {
        k2_avro_plan_destroy(self.plan);
        return status;
    }
    k2_avro_reader_init(&self.plan->reader, self.plan->writer, self.plan->actions);
    *plan = self.plan;
    return K2_OK;
}

void k2_avro_plan_destroy(struct k2_avro_plan *plan)
{
    if (plan == NULL) {
        return;
    }
    k2_avro_reader_deinit(&plan->reader);
    k2_avro_schema_destroy(plan->writer);
    k2_free(plan->actions);
    k2_free(plan->fields);
    k2_free(plan->exchange);
    k2_free(plan);
}

static enum k2_status reject_missing(struct k2_avro_plan *plan, size_t column)
{
    return k2_avro_reject(&plan->reader, "missing_value", "%s is null",
                          plan->table->columns[column].name);
}

static enum k2_status store(struct k2_avro_plan *plan, struct k2_row_batch *batch, size_t row,
                            size_t column, const struct k2_avro_value *value)
{
    const struct k2_column *declared = &plan->table->columns[column];
    if (value->kind == K2_AVRO_VALUE_NUMBER) {
        k2_row_batch_set_value(batch, row, column, value->number);
        return K2_OK;
    }
    if (value->kind == K2_AVRO_VALUE_TEXT) {
        return k2_row_batch_set_text(batch, row, column, value->text, plan->reader.error);
    }
    if (declared->nullable) {
        k2_row_batch_set_null(batch, row, column);
        return K2_OK;
    }
    return declared->has_default ? K2_OK : reject_missing(plan, column); // the row has the default
}

static enum k2_status read_field(struct k2_avro_plan *plan, const struct field *field,
                                 struct k2_row_batch *batch, size_t row, struct key_values *keys)
{
    if (field->target == TARGET_NONE && !field->counts) {
        return k2_avro_skip(&plan->reader, field->action);
    }
    struct k2_avro_value value;
    enum k2_status status = k2_avro_read_value(&plan->reader, field->action, &value);
    if (status == K2_OK && field->counts) {
        keys->fallback_sequence = value;
    }
    if (status == K2_OK && field->target == TARGET_KEY) {
        keys->keys[field->column] = value;
    } else if (status == K2_OK && field->target == TARGET_COLUMN) {
        status = store(plan, batch, row, field->column, &value);
    }
    return status;
}

static enum k2_status make_key(struct k2_avro_plan *plan, const struct key_values *values,
                               uint64_t offset, struct k2_row_key *key)
{
    const struct k2_avro_value *keys = values->keys;
    const struct k2_avro_value *sequence = &keys[K2_SEQUENCE];
    if (keys[K2_SYMBOL].kind == K2_AVRO_VALUE_NULL) {
        return reject_missing(plan, K2_SYMBOL);
    }
    if (keys[K2_TIMESTAMP].kind == K2_AVRO_VALUE_NULL) {
        return reject_missing(plan, K2_TIMESTAMP);
    }
    struct k2_slice exchange = keys[K2_EXCHANGE].text;
    if (keys[K2_EXCHANGE].kind == K2_AVRO_VALUE_NULL) {
        if (plan->exchange == NULL) {
            return reject_missing(plan, K2_EXCHANGE);
        }
        exchange = k2_slice_of(plan->exchange);
    }
    uint8_t upper[K2_EXCHANGE_BYTES];
    exchange = k2_exchange_upper(exchange, upper);
    if (sequence->kind == K2_AVRO_VALUE_NULL) {
        sequence = &values->fallback_sequence;
    }
    key->time_ns = keys[K2_TIMESTAMP].number;
    key->epoch = keys[K2_EPOCH].kind == K2_AVRO_VALUE_NULL
                     ? plan->table->columns[K2_EPOCH].default_value
                     : keys[K2_EPOCH].number;
    key->sequence = sequence->kind == K2_AVRO_VALUE_NULL ? (int64_t)offset : sequence->number;
    enum k2_status status = plan->intern(plan->intern_context, exchange, keys[K2_SYMBOL].text,
                                         &key->instrument, plan->reader.error);
    if (status == K2_REJECTED) {
        plan->reader.reason = "bad_instrument";
    }
    return status;
}

static enum k2_status read_message(struct k2_avro_plan *plan, uint64_t offset,
                                   struct k2_row_batch *batch, size_t row)
{
    struct key_values keys = {0}; // all null
    for (size_t i = 0; i < plan->field_count; i++) {
        enum k2_status status = read_field(plan, &plan->fields[i], batch, row, &keys);
        if (status != K2_OK) {
            if (status == K2_REJECTED && plan->fields[i].target != TARGET_NONE) {
                k2_error_annotate(plan->reader.error, "%s",
                                  plan->table->columns[plan->fields[i].column].name);
            }
            return status;
        }
    }
    if (plan->reader.bytes.rest.size_bytes > 0) {
        return k2_avro_reject(&plan->reader, "bad_avro", "%zu bytes behind the last field",
                              plan->reader.bytes.rest.size_bytes);
    }
    return make_key(plan, &keys, offset, &batch->keys[row]);
}

enum k2_status k2_avro_plan_decode(struct k2_avro_plan *plan, struct k2_slice message,
                                   uint64_t offset, struct k2_row_batch *batch, const char **reason,
                                   struct k2_error *error)
{
    assert(batch->schema == plan->table);
    static const struct k2_row_key no_key = {0};
    size_t text_bytes = batch->text.size_bytes, row;
    enum k2_status status = k2_row_batch_add(batch, &no_key, offset, &row, error);
    if (status != K2_OK) {
        return status;
    }
    k2_avro_reader_begin(&plan->reader, message, error);
    status = read_message(plan, offset, batch, row);
    if (status != K2_OK) {
        k2_row_batch_drop_last(batch);
        batch->text.size_bytes = text_bytes;
        *reason = plan->reader.reason;
    }
    return status;
}
