#include "ingest/row_builder.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "engine/instruments.h"
#include "engine/name_set.h"
#include "format/base/alloc.h"
#include "format/base/json_text.h"
#include "format/base/timestamp.h"
#include "format/base/utf8.h"
#include "ingest/cell_value.h"
#include "ingest/map_time.h"
#include "ingest/ordinal_counter.h"

enum {
    SYMBOL_CEILING_BYTES = 255,
    TEXT_CEILING_BYTES = 65535,
    JSON_CEILING_BYTES = 1 << 21,
};

struct part {
    const struct k2_map_field *field;
    struct k2_slice text;
};

struct k2_row_builder {
    const struct k2_row_source_options *options;
    const struct k2_schema *schema;
    struct k2_cell cells[K2_MAX_COLUMNS];
    struct k2_cell constants[K2_MAX_COLUMNS]; // where a row says nothing
    uint8_t shifts[K2_MAX_COLUMNS];           // of the row's decimals
    struct k2_slice op_text;
    enum k2_row_op op;

    // What the fields of a map have said of this row.
    const struct k2_time_zone *zone;
    bool file_has_date, has_date, has_time, has_epoch_time;
    int64_t file_date_days, date_days, time_ns;
    struct part parts[K2_MAP_PART_CEILING];
    size_t part_count;
    const struct k2_map_field *bad_field; // could not be read
    struct k2_slice bad_text;

    bool has_numbering;
    enum k2_numbering numbering;
    struct k2_ordinal_counter *counter;
    struct k2_name_set names;
    uint32_t *ids; // by number in `names`; 0: not asked for yet
    size_t id_room;
    uint32_t last;         // number of the last row's instrument, or K2_NAME_NONE
    struct k2_buffer json; // scratch
};

enum k2_status k2_row_builder_create(struct k2_row_builder **builder,
                                     const struct k2_row_source_options *options,
                                     struct k2_error *error)
{
    struct k2_row_builder *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "rows: out of memory");
    }
    self->options = options;
    self->schema = options->schema;
    self->last = K2_NAME_NONE;
    self->zone = options->map == NULL ? NULL : k2_column_map_zone(options->map);
    k2_buffer_init(&self->json, JSON_CEILING_BYTES);
    enum k2_status status =
        k2_ordinal_counter_create(&self->counter, options->ordinal_ceiling, error);
    if (status != K2_OK) {
        k2_row_builder_destroy(self);
        return status;
    }
    *builder = self;
    return K2_OK;
}

void k2_row_builder_destroy(struct k2_row_builder *builder)
{
    if (builder == NULL) {
        return;
    }
    k2_ordinal_counter_destroy(builder->counter);
    k2_name_set_deinit(&builder->names);
    k2_free(builder->ids);
    k2_buffer_deinit(&builder->json);
    k2_free(builder);
}

static void set_constant(struct k2_row_builder *self, const char *column, const char *text)
{
    int index = k2_schema_find(self->schema, k2_slice_of(column));
    if (text != NULL && index >= 0) {
        self->constants[index] = (struct k2_cell){.text = k2_slice_of(text), .present = true};
    }
}

void k2_row_builder_start_file(struct k2_row_builder *builder,
                               const struct k2_map_constants *constants)
{
    const struct k2_row_source_options *options = builder->options;
    memset(builder->constants, 0, sizeof builder->constants);
    for (size_t i = 0; constants != NULL && i < builder->schema->column_count; i++) {
        set_constant(builder, builder->schema->columns[i].name, constants->texts[i]);
    }
    builder->file_has_date = constants != NULL && constants->has_date;
    builder->file_date_days = builder->file_has_date ? constants->date_days : 0;
    // What the user says counts more than the map.
    set_constant(builder, builder->schema->columns[K2_EXCHANGE].name, options->exchange);
    set_constant(builder, builder->schema->columns[K2_SYMBOL].name, options->symbol);
    set_constant(builder, "asset_class", options->asset_class);
    set_constant(builder, "currency", options->currency);
    k2_ordinal_counter_clear(builder->counter);
    builder->has_numbering = false;
}

void k2_row_builder_set_numbering(struct k2_row_builder *builder, enum k2_numbering numbering)
{
    builder->numbering = numbering;
    builder->has_numbering = true;
}

enum k2_numbering k2_row_builder_numbering(const struct k2_row_builder *builder)
{
    return builder->numbering;
}

bool k2_row_builder_has_constant(const struct k2_row_builder *builder, size_t column)
{
    return builder->constants[column].present;
}

void k2_row_builder_start(struct k2_row_builder *builder)
{
    memset(builder->cells, 0, builder->schema->column_count * sizeof builder->cells[0]);
    builder->op_text = (struct k2_slice){0};
    if (builder->options->map != NULL) {
        memset(builder->shifts, 0, builder->schema->column_count);
        builder->has_date = builder->file_has_date;
        builder->date_days = builder->file_date_days;
        builder->has_time = builder->has_epoch_time = false;
        builder->part_count = 0;
        builder->bad_field = NULL;
    }
}

void k2_row_builder_set(struct k2_row_builder *builder, size_t column, struct k2_cell cell)
{
    builder->cells[column] = cell;
}

void k2_row_builder_set_op(struct k2_row_builder *builder, struct k2_slice text)
{
    builder->op_text = text;
}

static void set_mapped_time(struct k2_row_builder *self, const struct k2_map_field *field,
                            struct k2_slice text)
{
    bool good;
    if (field->target == K2_MAP_DATE) {
        good = k2_map_parse_date(field->format, text, &self->date_days);
        self->has_date = good;
    } else if (field->target == K2_MAP_EPOCH_TIME) {
        good = k2_map_parse_units(text, field->unit_digits, &self->time_ns);
        self->has_epoch_time = good;
    } else if (field->unit_digits == K2_MAP_NO_UNIT) {
        good = k2_map_parse_time_of_day(text, &self->time_ns);
        self->has_time = good;
    } else {
        good = k2_map_parse_units(text, field->unit_digits, &self->time_ns) && self->time_ns >= 0 &&
               self->time_ns < K2_NS_PER_DAY;
        self->has_time = good;
    }
    if (!good) {
        self->bad_field = field;
        self->bad_text = text;
    }
}

void k2_row_builder_set_mapped(struct k2_row_builder *builder, const struct k2_map_field *field,
                               struct k2_slice text)
{
    bool null = text.size_bytes == 0 ||
                (field->null_text != NULL && k2_slice_equal(text, k2_slice_of(field->null_text)));
    switch (field->target) {
    case K2_MAP_COLUMN:
        builder->shifts[field->column] = (uint8_t)field->divisor_digits;
        builder->cells[field->column] = (struct k2_cell){.text = text, .present = !null};
        if (null) {
            builder->cells[field->column].text.size_bytes = 0;
        }
        break;
    case K2_MAP_ELEMENT:
    case K2_MAP_MEMBER:
        if (!null) {
            assert(builder->part_count < K2_MAP_PART_CEILING);
            builder->parts[builder->part_count++] = (struct part){field, text};
        }
        break;
    default:
        set_mapped_time(builder, field, text);
        break;
    }
}

// Refusals ---------------------------------------------------------------------------------------

// Says why; the text of a field is shown as far as it is plain ASCII.
static void refuse(struct k2_row_refusal *refusal, const char *reason, const char *column,
                   struct k2_slice text, const char *what)
{
    char shown[64];
    size_t size = 0;
    for (; size < text.size_bytes && size < sizeof shown - 1; size++) {
        uint8_t c = text.data[size];
        shown[size] = (char)(c >= 0x20 && c < 0x7f ? c : '?');
    }
    shown[size] = '\0';
    refusal->reason = reason;
    (void)snprintf(refusal->detail, sizeof refusal->detail, "%.100s: %s%s%s%s%s", column,
                   size > 0 ? "`" : "", shown, size < text.size_bytes ? "..." : "",
                   size > 0 ? "` " : "", what);
}

static struct k2_cell cell_of(const struct k2_row_builder *self, size_t column)
{
    struct k2_cell cell = self->cells[column];
    return cell.present || cell.text.size_bytes > 0 ? cell : self->constants[column];
}

static bool take_name(const struct k2_row_builder *self, size_t column, size_t ceiling_bytes,
                      struct k2_slice *name, struct k2_row_refusal *refusal)
{
    const char *column_name = self->schema->columns[column].name;
    *name = cell_of(self, column).text;
    if (name->size_bytes == 0) {
        refuse(refusal, "missing_value", column_name, *name, "is missing");
        return false;
    }
    if (name->size_bytes > ceiling_bytes) {
        refuse(refusal, "too_long", column_name, *name, "is too long");
        return false;
    }
    bool control = false;
    for (size_t i = 0; i < name->size_bytes; i++) {
        control |= name->data[i] < 0x20 || name->data[i] == 0x7f;
    }
    if (control || !k2_utf8_is_valid(*name)) {
        refuse(refusal, "bad_text", column_name, *name, "is no printable UTF-8 text");
        return false;
    }
    return true;
}

static enum k2_status intern(struct k2_row_builder *self, uint32_t number,
                             struct k2_row_refusal *refusal, struct k2_error *error)
{
    if (number >= self->id_room) {
        size_t room = 2 * (size_t)number + 64;
        uint32_t *ids = k2_realloc(self->ids, room, sizeof *ids);
        if (ids == NULL) {
            return k2_fail(error, K2_NO_MEMORY, "instruments: out of memory");
        }
        memset(ids + self->id_room, 0, (room - self->id_room) * sizeof *ids);
        self->ids = ids;
        self->id_room = room;
    }
    if (self->ids[number] != 0) {
        return K2_OK;
    }
    if (self->options->intern == NULL) {
        self->ids[number] = number + 1;
        return K2_OK;
    }
    struct k2_instrument_name name = self->names.names[number];
    struct k2_error why = {0};
    enum k2_status status = self->options->intern(self->options->intern_context, name.exchange,
                                                  name.symbol, &self->ids[number], &why);
    if (status == K2_REJECTED) {
        refusal->reason = "bad_instrument";
        (void)snprintf(refusal->detail, sizeof refusal->detail, "%.300s", why.text);
        return K2_OK;
    }
    return status == K2_OK ? K2_OK : k2_fail(error, status, "%s", why.text);
}

// The number of the row's instrument in `names`. Exchanges are upper case.
static enum k2_status take_instrument(struct k2_row_builder *self, uint32_t *number,
                                      struct k2_row_refusal *refusal, struct k2_error *error)
{
    struct k2_instrument_name name;
    uint8_t upper[K2_EXCHANGE_BYTES];
    if (!take_name(self, K2_EXCHANGE, K2_EXCHANGE_BYTES, &name.exchange, refusal) ||
        !take_name(self, K2_SYMBOL, SYMBOL_CEILING_BYTES, &name.symbol, refusal)) {
        return K2_OK;
    }
    name.exchange = k2_exchange_upper(name.exchange, upper);
    if (self->last == K2_NAME_NONE ||
        k2_instrument_name_compare(name, self->names.names[self->last]) != 0) {
        enum k2_status status = k2_name_set_add(&self->names, name, &self->last, error);
        if (status != K2_OK) {
            return status;
        }
    }
    *number = self->last;
    return intern(self, *number, refusal, error);
}

static bool take_time(const struct k2_row_builder *self, int64_t *time_ns,
                      struct k2_row_refusal *refusal)
{
    const struct k2_column *column = &self->schema->columns[K2_TIMESTAMP];
    struct k2_slice text = cell_of(self, K2_TIMESTAMP).text;
    const char *what = "";
    if (self->options->map != NULL && self->bad_field != NULL) {
        refuse(refusal, "bad_timestamp", column->name, self->bad_text, "is no date or time");
        return false;
    }
    if (self->has_epoch_time) {
        *time_ns = self->time_ns;
        return true;
    }
    if (self->has_date && self->has_time) {
        int64_t local_s = self->date_days * 86400 + self->time_ns / K2_NS_PER_SECOND, utc_s;
        if (!k2_time_zone_to_utc(self->zone, local_s, &utc_s) ||
            !k2_timestamp_of(0, self->time_ns % K2_NS_PER_SECOND, time_ns) ||
            __builtin_mul_overflow(utc_s, K2_NS_PER_SECOND, &utc_s) ||
            __builtin_add_overflow(*time_ns, utc_s, time_ns)) {
            refuse(refusal, "bad_timestamp", column->name, text,
                   "there is no such time in the zone of the map");
            return false;
        }
        return true;
    }
    if (text.size_bytes == 0) {
        refuse(refusal, "missing_value", column->name, text, "is missing");
        return false;
    }
    const char *reason = k2_cell_value(column, text, 0, time_ns, &what);
    if (reason != NULL) {
        refuse(refusal, reason, column->name, text, what);
    }
    return reason == NULL;
}

static bool take_integer(const struct k2_row_builder *self, size_t index, int64_t *value,
                         struct k2_row_refusal *refusal)
{
    struct k2_slice text = cell_of(self, index).text;
    const char *what = "";
    const char *reason = k2_cell_value(&self->schema->columns[index], text, 0, value, &what);
    if (reason != NULL) {
        refuse(refusal, reason, self->schema->columns[index].name, text, what);
    }
    return reason == NULL;
}

// The sequence as given, or the row's number: also rows that are refused later have one, so that
// a corrected file gives the others the same keys.
static enum k2_status take_sequence(struct k2_row_builder *self, uint32_t number,
                                    struct k2_row_key *key, struct k2_row_refusal *refusal,
                                    struct k2_error *error)
{
    const char *name = self->schema->columns[K2_SEQUENCE].name;
    struct k2_slice text = cell_of(self, K2_SEQUENCE).text;
    if (!self->has_numbering) {
        k2_row_builder_set_numbering(self, text.size_bytes > 0 ? K2_NUMBERING_SPARSE
                                                               : K2_NUMBERING_ORDINAL);
    }
    if (self->numbering != K2_NUMBERING_ORDINAL) {
        if (text.size_bytes == 0) {
            refuse(refusal, "missing_value", name, text, "is missing; other rows have one");
        } else {
            (void)take_integer(self, K2_SEQUENCE, &key->sequence, refusal);
        }
        return K2_OK;
    }
    if (text.size_bytes > 0) {
        refuse(refusal, "mixed_sequence", name, text, "is given, but the first row had none");
        return K2_OK;
    }
    bool known;
    enum k2_status status =
        k2_ordinal_counter_next(self->counter, number, key->time_ns, &known, &key->sequence, error);
    if (status == K2_OK && !known) {
        refuse(refusal, "out_of_order", self->schema->columns[K2_TIMESTAMP].name, text,
               "is too far back to number the row; sort the file by time or give a sequence");
    }
    return status;
}

static enum k2_status take_key(struct k2_row_builder *self, struct k2_row_key *key,
                               struct k2_row_refusal *refusal, struct k2_error *error)
{
    *key = (struct k2_row_key){.epoch = self->schema->columns[K2_EPOCH].default_value};
    uint32_t number = 0;
    enum k2_status status = take_instrument(self, &number, refusal, error);
    if (status != K2_OK || refusal->reason != NULL) {
        return status;
    }
    key->instrument = self->ids[number];
    if (!take_time(self, &key->time_ns, refusal) ||
        (cell_of(self, K2_EPOCH).text.size_bytes > 0 &&
         !take_integer(self, K2_EPOCH, &key->epoch, refusal))) {
        return K2_OK;
    }
    return take_sequence(self, number, key, refusal, error);
}

static enum k2_status put_json(struct k2_row_builder *self, struct k2_row_batch *batch, size_t row,
                               size_t index, struct k2_cell cell, struct k2_row_refusal *refusal,
                               struct k2_error *error)
{
    const struct k2_column *column = &self->schema->columns[index];
    if (cell.text.size_bytes > (size_t)8 * TEXT_CEILING_BYTES) { // well below what `json` can take
        refuse(refusal, "too_long", column->name, cell.text, "is too long");
        return K2_OK;
    }
    k2_buffer_clear(&self->json);
    enum k2_json_result result = k2_json_put_canonical(&self->json, cell.text, column->shape);
    if (result == K2_JSON_NO_MEMORY) {
        return k2_fail(error, K2_NO_MEMORY, "rows: out of memory");
    }
    if (result != K2_JSON_OK) {
        refuse(refusal, "bad_json", column->name, cell.text, k2_json_result_name(result));
        return K2_OK;
    }
    if (self->json.size_bytes > TEXT_CEILING_BYTES) {
        refuse(refusal, "too_long", column->name, cell.text, "is too long");
        return K2_OK;
    }
    return k2_row_batch_set_text(batch, row, index, k2_buffer_slice(&self->json), error);
}

static enum k2_status put_text(struct k2_row_builder *self, struct k2_row_batch *batch, size_t row,
                               size_t index, struct k2_cell cell, struct k2_row_refusal *refusal,
                               struct k2_error *error)
{
    const struct k2_column *column = &self->schema->columns[index];
    uint8_t uuid[16];
    if (column->kind == K2_KIND_JSON) {
        return put_json(self, batch, row, index, cell, refusal, error);
    }
    if (column->kind == K2_KIND_UUID) {
        if (!k2_cell_uuid(cell.text, uuid)) {
            refuse(refusal, "bad_uuid", column->name, cell.text, "is no UUID");
            return K2_OK;
        }
        return k2_row_batch_set_text(batch, row, index, (struct k2_slice){uuid, 16}, error);
    }
    if (cell.text.size_bytes > TEXT_CEILING_BYTES) {
        refuse(refusal, "too_long", column->name, cell.text, "is too long");
        return K2_OK;
    }
    if (!k2_utf8_is_valid(cell.text)) {
        refuse(refusal, "bad_text", column->name, cell.text, "is not UTF-8");
        return K2_OK;
    }
    return k2_row_batch_set_text(batch, row, index, cell.text, error);
}

static enum k2_status put_cell(struct k2_row_builder *self, struct k2_row_batch *batch, size_t row,
                               size_t index, struct k2_row_refusal *refusal, struct k2_error *error)
{
    const struct k2_column *column = &self->schema->columns[index];
    struct k2_cell cell = cell_of(self, index);
    bool fixed = k2_kind_is_fixed(column->kind);
    if (cell.text.size_bytes == 0 && (fixed || !cell.present)) {
        if (!column->nullable && !column->has_default && self->op != K2_OP_DELETE) {
            refuse(refusal, "missing_value", column->name, cell.text, "is missing");
        }
        return K2_OK; // the default stands
    }
    if (cell.json && column->kind != K2_KIND_JSON) {
        refuse(refusal, "bad_json", column->name, cell.text, "is no value for this column");
        return K2_OK;
    }
    if (!fixed) {
        return put_text(self, batch, row, index, cell, refusal, error);
    }
    int64_t value;
    const char *what = "";
    const char *reason = k2_cell_value(column, cell.text, self->shifts[index], &value, &what);
    if (reason != NULL) {
        refuse(refusal, reason, column->name, cell.text, what);
        return K2_OK;
    }
    k2_row_batch_set_value(batch, row, index, value);
    return K2_OK;
}

// Writes the array or object of a column from its parts.
static enum k2_status put_parts(struct k2_row_builder *self, struct k2_row_batch *batch, size_t row,
                                size_t column, struct k2_row_refusal *refusal,
                                struct k2_error *error)
{
    struct k2_buffer text;
    k2_buffer_init(&text, JSON_CEILING_BYTES);
    bool object = false, any = false;
    for (size_t i = 0; i < self->part_count; i++) {
        const struct part *part = &self->parts[i];
        if (part->field->column != column) {
            continue;
        }
        object = part->field->target == K2_MAP_MEMBER;
        k2_put_u8(&text, any ? ',' : object ? '{' : '[');
        any = true;
        if (object) {
            k2_json_put_string(&text, k2_slice_of(part->field->member));
            k2_put_u8(&text, ':');
        }
        k2_json_put_string(&text, part->text);
    }
    k2_put_u8(&text, object ? '}' : ']');
    enum k2_status status = k2_buffer_check(&text, "fields of a map", error);
    if (status == K2_OK) {
        struct k2_cell cell = {.text = k2_buffer_slice(&text), .present = true, .json = true};
        status = put_json(self, batch, row, column, cell, refusal, error);
    }
    k2_buffer_deinit(&text);
    return status;
}

static bool is_first_part(const struct k2_row_builder *self, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (self->parts[i].field->column == self->parts[index].field->column) {
            return false;
        }
    }
    return true;
}

static enum k2_status put_columns(struct k2_row_builder *self, struct k2_row_batch *batch,
                                  size_t row, struct k2_slice raw, struct k2_row_refusal *refusal,
                                  struct k2_error *error)
{
    enum k2_status status = K2_OK;
    for (size_t i = K2_KEY_COLUMN_COUNT;
         i < self->schema->column_count && status == K2_OK && refusal->reason == NULL; i++) {
        status = put_cell(self, batch, row, i, refusal, error);
    }
    for (size_t i = 0; i < self->part_count && status == K2_OK && refusal->reason == NULL; i++) {
        if (is_first_part(self, i)) {
            status = put_parts(self, batch, row, self->parts[i].field->column, refusal, error);
        }
    }
    if (status == K2_OK && refusal->reason == NULL) {
        status = k2_row_batch_set_payload(batch, row, raw, error);
    }
    return status;
}

static void take_op(struct k2_row_builder *self, struct k2_row_refusal *refusal)
{
    self->op = self->options->deletes ? K2_OP_DELETE : K2_OP_PUT;
    if (k2_slice_equal(self->op_text, k2_slice_of("delete"))) {
        self->op = K2_OP_DELETE;
    } else if (k2_slice_equal(self->op_text, k2_slice_of("put"))) {
        self->op = K2_OP_PUT;
    } else if (self->op_text.size_bytes > 0) {
        refuse(refusal, "bad_op", "_op", self->op_text, "is neither put nor delete");
    }
}

enum k2_status k2_row_builder_finish(struct k2_row_builder *builder, struct k2_row_batch *batch,
                                     uint64_t line, struct k2_slice raw,
                                     struct k2_row_refusal *refusal, struct k2_error *error)
{
    struct k2_row_key key;
    refusal->reason = NULL;
    enum k2_status status = take_key(builder, &key, refusal, error);
    if (status == K2_OK && refusal->reason == NULL) {
        take_op(builder, refusal);
    }
    if (status != K2_OK || refusal->reason != NULL) {
        return status;
    }
    size_t text_bytes = batch->text.size_bytes, row;
    status = k2_row_batch_add(batch, &key, line, &row, error);
    if (status != K2_OK) {
        return status;
    }
    status = k2_row_batch_set_op(batch, row, builder->op, error);
    if (status == K2_OK) {
        status = put_columns(builder, batch, row, raw, refusal, error);
    }
    if (status != K2_OK || refusal->reason != NULL) {
        k2_row_batch_drop_last(batch);
        batch->text.size_bytes = text_bytes; // only the dropped row had those texts
    }
    return status;
}

struct k2_instrument_name k2_row_builder_name(const struct k2_row_builder *builder,
                                              uint32_t instrument)
{
    return builder->names.names[instrument - 1];
}
