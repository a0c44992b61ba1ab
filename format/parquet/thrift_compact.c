#include "format/parquet/thrift_compact.h"

#include <assert.h>

// Types of fields. A bool field has its value in the type.
enum {
    FIELD_TRUE = 1,
    FIELD_FALSE = 2,
    FIELD_I8 = 3,
    FIELD_I16 = 4,
    FIELD_LIST = 9,
    LONG_LIST = 15, // elements from which on the count follows by itself
    LONG_STEP = 15,
};

void k2_thrift_struct_begin(struct k2_thrift_writer *writer)
{
    assert(writer->depth < K2_THRIFT_DEPTH);
    writer->last_field[writer->depth++] = 0;
}

void k2_thrift_struct_end(struct k2_thrift_writer *writer)
{
    assert(writer->depth > 0);
    writer->depth--;
    k2_put_u8(writer->out, 0);
}

static void put_field(struct k2_thrift_writer *writer, int16_t field, uint8_t type)
{
    assert(writer->depth > 0);
    int16_t *last = &writer->last_field[writer->depth - 1];
    assert(field > *last);
    int step = field - *last;
    if (step <= LONG_STEP) {
        k2_put_u8(writer->out, (uint8_t)(step << 4 | type));
    } else {
        k2_put_u8(writer->out, type);
        k2_put_varint(writer->out, k2_zigzag(field));
    }
    *last = field;
}

void k2_thrift_field_bool(struct k2_thrift_writer *writer, int16_t field, bool value)
{
    put_field(writer, field, value ? FIELD_TRUE : FIELD_FALSE);
}

void k2_thrift_field_i8(struct k2_thrift_writer *writer, int16_t field, int8_t value)
{
    put_field(writer, field, FIELD_I8);
    k2_put_u8(writer->out, (uint8_t)value);
}

void k2_thrift_field_i16(struct k2_thrift_writer *writer, int16_t field, int16_t value)
{
    put_field(writer, field, FIELD_I16);
    k2_put_varint(writer->out, k2_zigzag(value));
}

void k2_thrift_field_i32(struct k2_thrift_writer *writer, int16_t field, int32_t value)
{
    put_field(writer, field, K2_THRIFT_I32);
    k2_thrift_i32(writer, value);
}

void k2_thrift_field_i64(struct k2_thrift_writer *writer, int16_t field, int64_t value)
{
    put_field(writer, field, K2_THRIFT_I64);
    k2_thrift_i64(writer, value);
}

void k2_thrift_field_binary(struct k2_thrift_writer *writer, int16_t field, struct k2_slice bytes)
{
    put_field(writer, field, K2_THRIFT_BINARY);
    k2_thrift_binary(writer, bytes);
}

void k2_thrift_field_struct(struct k2_thrift_writer *writer, int16_t field)
{
    put_field(writer, field, K2_THRIFT_STRUCT);
    k2_thrift_struct_begin(writer);
}

void k2_thrift_field_empty(struct k2_thrift_writer *writer, int16_t field)
{
    k2_thrift_field_struct(writer, field);
    k2_thrift_struct_end(writer);
}

void k2_thrift_field_list(struct k2_thrift_writer *writer, int16_t field, enum k2_thrift_type type,
                          size_t count)
{
    put_field(writer, field, FIELD_LIST);
    if (count < LONG_LIST) {
        k2_put_u8(writer->out, (uint8_t)(count << 4 | type));
    } else {
        k2_put_u8(writer->out, (uint8_t)(LONG_LIST << 4 | type));
        k2_put_varint(writer->out, count);
    }
}

void k2_thrift_bool(struct k2_thrift_writer *writer, bool value)
{
    k2_put_u8(writer->out, value ? FIELD_TRUE : FIELD_FALSE);
}

void k2_thrift_i32(struct k2_thrift_writer *writer, int32_t value)
{
    k2_put_varint(writer->out, k2_zigzag(value));
}

void k2_thrift_i64(struct k2_thrift_writer *writer, int64_t value)
{
    k2_put_varint(writer->out, k2_zigzag(value));
}

void k2_thrift_binary(struct k2_thrift_writer *writer, struct k2_slice bytes)
{
    k2_put_varint(writer->out, bytes.size_bytes);
    k2_put_bytes(writer->out, bytes.data, bytes.size_bytes);
}
