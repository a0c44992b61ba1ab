#include "format/arrow/arrow_message.h"

#include "format/base/alloc.h"

// Numbers of Arrow's Message.fbs and Schema.fbs.
enum {
    VERSION_V5 = 4,
    HEADER_SCHEMA = 1,
    HEADER_DICTIONARY = 2,
    HEADER_BATCH = 3,
    TYPE_INT = 2,
    TYPE_FLOAT = 3,
    TYPE_UTF8 = 5,
    TYPE_BOOL = 6,
    TYPE_DECIMAL = 7,
    TYPE_TIMESTAMP = 10,
    TYPE_FIXED_BYTES = 15,
    PRECISION_DOUBLE = 2,
    UNIT_NANOSECOND = 3,
    DECIMAL_BITS = 128,
    INDEX_BITS = 32,
};

static k2_flat_ref put_pair(struct k2_flat *flat, const char *name, const char *value)
{
    k2_flat_ref name_ref = k2_flat_string(flat, k2_slice_of(name));
    k2_flat_ref value_ref = k2_flat_string(flat, k2_slice_of(value));
    k2_flat_table(flat);
    k2_flat_child(flat, 0, name_ref);
    k2_flat_child(flat, 1, value_ref);
    return k2_flat_table_end(flat);
}

static k2_flat_ref put_int(struct k2_flat *flat, int32_t bits)
{
    k2_flat_table(flat);
    k2_flat_i32(flat, 0, bits);
    k2_flat_u8(flat, 1, true); // signed
    return k2_flat_table_end(flat);
}

// Of a type whose table has one field of 16 or 32 bits, or none.
static k2_flat_ref put_plain_type(struct k2_flat *flat, enum k2_arrow_type type)
{
    k2_flat_table(flat);
    if (type == K2_ARROW_FLOAT64) {
        k2_flat_i16(flat, 0, PRECISION_DOUBLE);
    } else if (type == K2_ARROW_UUID) {
        k2_flat_i32(flat, 0, K2_ARROW_UUID_BYTES);
    }
    return k2_flat_table_end(flat);
}

static k2_flat_ref put_decimal(struct k2_flat *flat, const struct k2_column *column)
{
    k2_flat_table(flat);
    k2_flat_i32(flat, 0, K2_ARROW_DECIMAL_DIGITS);
    k2_flat_i32(flat, 1, column->scale);
    k2_flat_i32(flat, 2, DECIMAL_BITS);
    return k2_flat_table_end(flat);
}

static k2_flat_ref put_timestamp(struct k2_flat *flat)
{
    k2_flat_ref zone = k2_flat_string(flat, k2_slice_of("UTC"));
    k2_flat_table(flat);
    k2_flat_i16(flat, 0, UNIT_NANOSECOND);
    k2_flat_child(flat, 1, zone);
    return k2_flat_table_end(flat);
}

// The type of the values; of a dictionary: of its entries.
static k2_flat_ref put_type(struct k2_flat *flat, const struct k2_arrow_field *field,
                            uint8_t *type_id)
{
    switch (field->type) {
    case K2_ARROW_INT8:
    case K2_ARROW_INT16:
    case K2_ARROW_INT32:
    case K2_ARROW_INT64:
        *type_id = TYPE_INT;
        return put_int(flat, 8 * (int32_t)k2_arrow_width_bytes(field->type));
    case K2_ARROW_DECIMAL128:
        *type_id = TYPE_DECIMAL;
        return put_decimal(flat, field->column);
    case K2_ARROW_TIMESTAMP:
        *type_id = TYPE_TIMESTAMP;
        return put_timestamp(flat);
    case K2_ARROW_BOOL:
        *type_id = TYPE_BOOL;
        break;
    case K2_ARROW_FLOAT64:
        *type_id = TYPE_FLOAT;
        break;
    case K2_ARROW_UUID:
        *type_id = TYPE_FIXED_BYTES;
        break;
    default:
        *type_id = TYPE_UTF8;
    }
    return put_plain_type(flat, field->type);
}

static k2_flat_ref put_encoding(struct k2_flat *flat, int64_t id)
{
    k2_flat_ref index = put_int(flat, INDEX_BITS);
    k2_flat_table(flat);
    k2_flat_i64(flat, 0, id);
    k2_flat_child(flat, 1, index);
    return k2_flat_table_end(flat);
}

static k2_flat_ref put_field(struct k2_flat *flat, const struct k2_arrow_field *field, int64_t id)
{
    const char *metadata_name;
    char metadata[K2_ARROW_FORMAT_BYTES];
    k2_arrow_metadata(field, &metadata_name, metadata);
    k2_flat_ref pairs = 0;
    if (metadata_name != NULL) {
        k2_flat_ref pair = put_pair(flat, metadata_name, metadata);
        pairs = k2_flat_vector(flat, &pair, 1);
    }
    k2_flat_ref children = k2_flat_vector(flat, NULL, 0); // not all readers do without
    k2_flat_ref encoding = field->type == K2_ARROW_DICTIONARY ? put_encoding(flat, id) : 0;
    uint8_t type_id;
    k2_flat_ref type = put_type(flat, field, &type_id);
    k2_flat_ref name = k2_flat_string(flat, k2_slice_of(field->column->name));
    k2_flat_table(flat);
    k2_flat_child(flat, 0, name);
    k2_flat_u8(flat, 1, field->column->nullable);
    k2_flat_u8(flat, 2, type_id);
    k2_flat_child(flat, 3, type);
    k2_flat_child(flat, 4, encoding);
    k2_flat_child(flat, 5, children);
    k2_flat_child(flat, 6, pairs);
    return k2_flat_table_end(flat);
}

static enum k2_status finish(struct k2_flat *flat, uint8_t header_id, k2_flat_ref header,
                             int64_t body_bytes, struct k2_slice *bytes, struct k2_error *error)
{
    k2_flat_table(flat);
    k2_flat_i64(flat, 3, body_bytes);
    k2_flat_child(flat, 2, header);
    k2_flat_i16(flat, 0, VERSION_V5);
    k2_flat_u8(flat, 1, header_id);
    return k2_flat_finish(flat, k2_flat_table_end(flat), bytes, error);
}

enum k2_status k2_arrow_schema_message(struct k2_flat *flat, const struct k2_arrow_field *fields,
                                       size_t field_count, const struct k2_arrow_pair *metadata,
                                       size_t metadata_count, struct k2_slice *bytes,
                                       struct k2_error *error)
{
    size_t most = field_count > metadata_count ? field_count : metadata_count;
    k2_flat_ref *refs = k2_alloc(most * sizeof *refs);
    if (refs == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "arrow: no memory for a schema");
    }
    k2_flat_clear(flat);
    for (size_t i = 0; i < metadata_count; i++) {
        refs[i] = put_pair(flat, metadata[i].name, metadata[i].value);
    }
    k2_flat_ref pairs = metadata_count > 0 ? k2_flat_vector(flat, refs, metadata_count) : 0;
    for (size_t i = 0; i < field_count; i++) {
        refs[i] = put_field(flat, &fields[i], (int64_t)i);
    }
    k2_flat_ref list = k2_flat_vector(flat, refs, field_count);
    k2_free(refs);
    k2_flat_table(flat);
    k2_flat_i16(flat, 0, __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
    k2_flat_child(flat, 1, list);
    k2_flat_child(flat, 2, pairs);
    return finish(flat, HEADER_SCHEMA, k2_flat_table_end(flat), 0, bytes, error);
}

static k2_flat_ref put_batch(struct k2_flat *flat, const struct k2_arrow_layout *layout)
{
    k2_flat_ref nodes = k2_flat_structs(flat, layout->nodes, layout->node_count, 2);
    k2_flat_ref buffers = k2_flat_structs(flat, layout->buffers, layout->buffer_count, 2);
    k2_flat_table(flat);
    k2_flat_i64(flat, 0, layout->row_count);
    k2_flat_child(flat, 1, nodes);
    k2_flat_child(flat, 2, buffers);
    return k2_flat_table_end(flat);
}

enum k2_status k2_arrow_batch_message(struct k2_flat *flat, const struct k2_arrow_layout *layout,
                                      struct k2_slice *bytes, struct k2_error *error)
{
    k2_flat_clear(flat);
    k2_flat_ref batch = put_batch(flat, layout);
    return finish(flat, HEADER_BATCH, batch, layout->body_bytes, bytes, error);
}

enum k2_status k2_arrow_dictionary_message(struct k2_flat *flat, int64_t id,
                                           const struct k2_arrow_layout *layout,
                                           struct k2_slice *bytes, struct k2_error *error)
{
    k2_flat_clear(flat);
    k2_flat_ref batch = put_batch(flat, layout);
    k2_flat_table(flat);
    k2_flat_i64(flat, 0, id);
    k2_flat_child(flat, 1, batch);
    return finish(flat, HEADER_DICTIONARY, k2_flat_table_end(flat), layout->body_bytes, bytes,
                  error);
}
