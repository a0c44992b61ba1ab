#include "ingest/avro_encode.h"

#include <assert.h>
#include <stdio.h>

#include "format/base/alloc.h"
#include "format/base/json_scanner.h"
#include "ingest/avro_schema.h"

enum write {
    WRITE_LONG, // int and long, divided by `factor`
    WRITE_BOOLEAN,
    WRITE_FLOAT,
    WRITE_DOUBLE,
    WRITE_DECIMAL_BYTES,
    WRITE_DECIMAL_FIXED,
    WRITE_TEXT,
    WRITE_FIXED,
    WRITE_ENUM,
    WRITE_UUID_TEXT,
    WRITE_STRINGS,
    WRITE_STRING_MAP,
};

struct field {
    enum write write;
    size_t column;
    uint32_t node; // of the value, not of its union
    bool is_union;
    uint8_t null_branch, value_branch;
    int64_t factor;
};

struct k2_avro_encoder {
    const struct k2_schema *schema; // borrowed
    struct k2_avro_schema *avro;    // owned
    struct field *fields;
    size_t field_count;
    struct k2_buffer unescaped; // scratch
};

static bool choose_integer(const struct k2_avro_node *node, enum k2_kind kind, struct field *field)
{
    field->write = WRITE_LONG;
    field->factor = node->logical == K2_AVRO_TIMESTAMP_MILLIS   ? 1000000
                    : node->logical == K2_AVRO_TIMESTAMP_MICROS ? 1000
                                                                : 1;
    return kind <= K2_KIND_INT64 || kind == K2_KIND_TIMESTAMP;
}

static bool choose_bytes(const struct k2_avro_node *node, enum k2_kind kind, struct field *field)
{
    bool fixed = node->type == K2_AVRO_FIXED;
    if (kind == K2_KIND_DECIMAL64) {
        field->write = fixed ? WRITE_DECIMAL_FIXED : WRITE_DECIMAL_BYTES;
        return node->logical == K2_AVRO_DECIMAL;
    }
    field->write = fixed ? WRITE_FIXED : WRITE_TEXT;
    return kind == K2_KIND_TEXT || kind == K2_KIND_SYMBOLIC ||
           (kind == K2_KIND_UUID && fixed && node->size_bytes == 16);
}

static bool choose_items(const struct k2_avro_schema *avro, const struct k2_avro_node *node,
                         enum k2_kind kind, struct field *field)
{
    field->write = node->type == K2_AVRO_ARRAY ? WRITE_STRINGS : WRITE_STRING_MAP;
    uint32_t item = avro->members[node->first_member].node;
    return kind == K2_KIND_JSON && avro->nodes[item].type == K2_AVRO_STRING;
}

// How a column's values become values of `node`; false where they can not.
static bool choose(const struct k2_avro_schema *avro, enum k2_kind kind, struct field *field)
{
    const struct k2_avro_node *node = &avro->nodes[field->node];
    bool text = kind == K2_KIND_TEXT || kind == K2_KIND_SYMBOLIC;
    switch (node->type) {
    case K2_AVRO_BOOLEAN:
        field->write = WRITE_BOOLEAN;
        return kind == K2_KIND_BOOL;
    case K2_AVRO_INT:
    case K2_AVRO_LONG:
        return choose_integer(node, kind, field);
    case K2_AVRO_FLOAT:
        field->write = WRITE_FLOAT;
        return kind == K2_KIND_FLOAT64;
    case K2_AVRO_DOUBLE:
        field->write = WRITE_DOUBLE;
        return kind == K2_KIND_FLOAT64;
    case K2_AVRO_BYTES:
    case K2_AVRO_FIXED:
        return choose_bytes(node, kind, field);
    case K2_AVRO_STRING:
        field->write = kind == K2_KIND_UUID ? WRITE_UUID_TEXT : WRITE_TEXT;
        return text || kind == K2_KIND_UUID || kind == K2_KIND_JSON;
    case K2_AVRO_ENUM:
        field->write = WRITE_ENUM;
        return text;
    case K2_AVRO_ARRAY:
    case K2_AVRO_MAP:
        return choose_items(avro, node, kind, field);
    case K2_AVRO_NULL:
    case K2_AVRO_UNION:
    case K2_AVRO_RECORD:
        break;
    }
    return false;
}

static bool choose_field(const struct k2_schema *schema, const struct k2_avro_schema *avro,
                         const struct k2_avro_member *member, struct field *field)
{
    const struct k2_avro_node *node = &avro->nodes[member->node];
    int column = k2_schema_find(schema, k2_slice_of(member->name));
    if (column < 0) {
        return false;
    }
    *field = (struct field){.column = (size_t)column, .node = member->node};
    if (node->type == K2_AVRO_UNION) { // of null and one type: k2_schema_parse sees to that
        field->is_union = true;
        for (uint32_t i = 0; i < node->member_count; i++) {
            uint32_t branch = avro->members[node->first_member + i].node;
            if (avro->nodes[branch].type == K2_AVRO_NULL) {
                field->null_branch = (uint8_t)i;
            } else {
                field->value_branch = (uint8_t)i;
                field->node = branch;
            }
        }
    }
    return choose(avro, schema->columns[column].kind, field);
}

static enum k2_status choose_fields(struct k2_avro_encoder *self, struct k2_error *error)
{
    const struct k2_avro_node *record = &self->avro->nodes[self->avro->root];
    self->fields = k2_alloc_zero(record->member_count, sizeof *self->fields);
    if (self->fields == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "Avro encoder: out of memory");
    }
    for (uint32_t i = 0; i < record->member_count; i++) {
        const struct k2_avro_member *member = &self->avro->members[record->first_member + i];
        if (!choose_field(self->schema, self->avro, member, &self->fields[i])) {
            return k2_fail(error, K2_BAD_REQUEST,
                           "table %s: field %s: values of this type can not be written",
                           self->schema->table, member->name);
        }
        self->field_count++;
    }
    return K2_OK;
}

enum k2_status k2_avro_encoder_create(struct k2_avro_encoder **encoder,
                                      const struct k2_schema *schema, struct k2_error *error)
{
    struct k2_avro_encoder *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "Avro encoder: out of memory");
    }
    self->schema = schema;
    k2_buffer_init(&self->unescaped, 1 << 20);
    enum k2_status status =
        k2_avro_schema_parse(&self->avro, k2_slice_of(schema->source), NULL, 0, error);
    if (status == K2_OK) {
        status = choose_fields(self, error);
    }
    if (status != K2_OK) {
        k2_avro_encoder_destroy(self);
        return status;
    }
    *encoder = self;
    return K2_OK;
}

void k2_avro_encoder_destroy(struct k2_avro_encoder *encoder)
{
    if (encoder == NULL) {
        return;
    }
    k2_avro_schema_destroy(encoder->avro);
    k2_free(encoder->fields);
    k2_buffer_deinit(&encoder->unescaped);
    k2_free(encoder);
}

static void put_long(struct k2_buffer *out, int64_t value)
{
    k2_put_varint(out, k2_zigzag(value));
}

static void put_sized(struct k2_buffer *out, struct k2_slice bytes)
{
    put_long(out, (int64_t)bytes.size_bytes);
    k2_put_bytes(out, bytes.data, bytes.size_bytes);
}

// Two's complement, the most significant byte first, in as few bytes as hold it.
static void put_decimal(struct k2_buffer *out, int64_t value)
{
    unsigned size = 1;
    while (size < 8 && value >> (8 * size - 1) != value >> 63) {
        size++;
    }
    put_long(out, size);
    for (unsigned i = size; i > 0; i--) {
        k2_put_u8(out, (uint8_t)((uint64_t)value >> 8 * (i - 1)));
    }
}

static bool put_decimal_fixed(struct k2_buffer *out, int64_t value, uint32_t size_bytes)
{
    if (size_bytes == 0 || (size_bytes < 8 && value >> (8 * size_bytes - 1) != value >> 63)) {
        return false;
    }
    for (uint32_t i = size_bytes; i > 0; i--) {
        unsigned shift = i > 8 ? 63 : 8 * (i - 1); // beyond 8 bytes: the sign
        k2_put_u8(out, (uint8_t)((uint64_t)(value >> shift) & 0xff));
    }
    return true;
}

static bool put_enum(const struct k2_avro_encoder *self, struct k2_buffer *out, uint32_t node,
                     struct k2_slice text)
{
    const struct k2_avro_node *type = &self->avro->nodes[node];
    for (uint32_t i = 0; i < type->member_count; i++) {
        const char *name = self->avro->members[type->first_member + i].name;
        if (k2_slice_equal(k2_slice_of(name), text)) {
            put_long(out, i);
            return true;
        }
    }
    return false;
}

static void put_uuid(struct k2_buffer *out, struct k2_slice uuid)
{
    static const char digits[] = "0123456789abcdef";
    put_long(out, 36);
    for (size_t i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            k2_put_u8(out, '-');
        }
        k2_put_u8(out, (uint8_t)digits[uuid.data[i] >> 4]);
        k2_put_u8(out, (uint8_t)digits[uuid.data[i] & 15]);
    }
}

static bool put_json_string(struct k2_avro_encoder *self, struct k2_json_scanner *scanner,
                            struct k2_buffer *out)
{
    struct k2_json_string string;
    if (k2_json_peek(scanner) != K2_JSON_TYPE_STRING || !k2_json_scan_string(scanner, &string)) {
        return false;
    }
    if (!string.escaped) {
        put_sized(out, string.raw);
        return true;
    }
    k2_buffer_clear(&self->unescaped);
    k2_json_put_unescaped(&self->unescaped, string.raw);
    put_sized(out, k2_buffer_slice(&self->unescaped));
    return !self->unescaped.failed;
}

// Blocks of one item: their number need not be known before.
static bool put_json(struct k2_avro_encoder *self, struct k2_buffer *out, struct k2_slice text,
                     bool is_map)
{
    struct k2_json_scanner scanner = {text.data, text.data + text.size_bytes};
    char close = is_map ? '}' : ']';
    if (!k2_json_take(&scanner, is_map ? '{' : '[')) {
        return false;
    }
    bool first = true;
    while (!k2_json_take(&scanner, close)) {
        if (!first && !k2_json_take(&scanner, ',')) {
            return false;
        }
        first = false;
        put_long(out, 1);
        if (is_map && (!put_json_string(self, &scanner, out) || !k2_json_take(&scanner, ':'))) {
            return false;
        }
        if (!put_json_string(self, &scanner, out)) {
            return false;
        }
    }
    put_long(out, 0);
    return true;
}

static bool put_number(const struct k2_avro_encoder *self, const struct field *field, int64_t value,
                       struct k2_buffer *out)
{
    double number;
    float narrow;
    uint32_t bits;
    switch (field->write) {
    case WRITE_LONG:
        put_long(out, value / field->factor);
        return value % field->factor == 0;
    case WRITE_BOOLEAN:
        k2_put_u8(out, (uint8_t)value);
        return true;
    case WRITE_DOUBLE:
        k2_put_i64(out, value);
        return true;
    case WRITE_FLOAT:
        memcpy(&number, &value, sizeof number);
        narrow = (float)number;
        memcpy(&bits, &narrow, sizeof bits);
        k2_put_u32(out, bits);
        return (double)narrow >= number && (double)narrow <= number;
    case WRITE_DECIMAL_BYTES:
        put_decimal(out, value);
        return true;
    default:
        assert(field->write == WRITE_DECIMAL_FIXED);
        return put_decimal_fixed(out, value, self->avro->nodes[field->node].size_bytes);
    }
}

static bool put_text(struct k2_avro_encoder *self, const struct field *field, struct k2_slice text,
                     struct k2_buffer *out)
{
    switch (field->write) {
    case WRITE_TEXT:
        put_sized(out, text);
        return true;
    case WRITE_FIXED:
        k2_put_bytes(out, text.data, text.size_bytes);
        return text.size_bytes == self->avro->nodes[field->node].size_bytes;
    case WRITE_ENUM:
        return put_enum(self, out, field->node, text);
    case WRITE_UUID_TEXT:
        put_uuid(out, text);
        return text.size_bytes == 16;
    default:
        assert(field->write == WRITE_STRINGS || field->write == WRITE_STRING_MAP);
        return put_json(self, out, text, field->write == WRITE_STRING_MAP);
    }
}

static bool put_key(struct k2_avro_encoder *self, const struct field *field,
                    const struct k2_row_key *key, struct k2_instrument_name name,
                    struct k2_buffer *out)
{
    switch ((enum k2_key_column)field->column) {
    case K2_EXCHANGE:
        return put_text(self, field, name.exchange, out);
    case K2_SYMBOL:
        return put_text(self, field, name.symbol, out);
    case K2_TIMESTAMP:
        return put_number(self, field, key->time_ns, out);
    case K2_EPOCH:
        return put_number(self, field, key->epoch, out);
    default:
        return put_number(self, field, key->sequence, out);
    }
}

static bool put_field(struct k2_avro_encoder *self, const struct field *field,
                      const struct k2_row_batch *batch, size_t row, struct k2_instrument_name name,
                      struct k2_buffer *out)
{
    bool is_key = field->column < K2_KEY_COLUMN_COUNT;
    const struct k2_batch_column *column = &batch->columns[field->column];
    bool is_null = !is_key && column->valid[row] == 0;
    if (is_null || field->is_union) {
        put_long(out, is_null ? field->null_branch : field->value_branch);
    }
    if (is_null) {
        return field->is_union;
    }
    if (is_key) {
        return put_key(self, field, &batch->keys[row], name, out);
    }
    if (column->values != NULL) {
        return put_number(self, field, column->values[row], out);
    }
    return put_text(self, field, k2_row_batch_text(batch, column->texts[row]), out);
}

enum k2_status k2_avro_encode(struct k2_avro_encoder *encoder, const struct k2_row_batch *batch,
                              size_t row, struct k2_instrument_name name, struct k2_buffer *out,
                              struct k2_error *error)
{
    assert(batch->schema == encoder->schema && row < batch->row_count);
    size_t begin = out->size_bytes;
    for (size_t i = 0; i < encoder->field_count; i++) {
        const struct field *field = &encoder->fields[i];
        if (!put_field(encoder, field, batch, row, name, out)) {
            out->size_bytes = begin;
            return k2_fail(error, K2_REJECTED, "field %s: its Avro type can not hold the value",
                           encoder->schema->columns[field->column].name);
        }
    }
    return k2_buffer_check(out, "Avro message", error);
}
