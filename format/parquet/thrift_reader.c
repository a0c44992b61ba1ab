#include "format/parquet/thrift_reader.h"

enum {
    TYPE_TRUE = 1,
    TYPE_FALSE = 2,
    TYPE_BYTE = 3,
    TYPE_I16 = 4,
    TYPE_I64 = 6,
    TYPE_DOUBLE = 7,
    TYPE_BINARY = 8,
    TYPE_LIST = 9,
    TYPE_SET = 10,
    TYPE_MAP = 11,
    TYPE_STRUCT = 12,
    LONG_LIST = 15,
};

static void fail(struct k2_thrift_reader *reader)
{
    reader->bytes.truncated = true;
    reader->bytes.rest.size_bytes = 0;
}

bool k2_thrift_next(struct k2_thrift_reader *reader, struct k2_thrift_field *field)
{
    uint8_t head = k2_read_u8(&reader->bytes);
    field->type = head & 0x0f;
    if (reader->bytes.truncated || field->type == 0) {
        return false;
    }
    int64_t id =
        head >> 4 != 0 ? field->id + (head >> 4) : k2_unzigzag(k2_read_varint(&reader->bytes));
    if (id < INT16_MIN || id > INT16_MAX || field->type > TYPE_STRUCT) {
        fail(reader);
        return false;
    }
    field->id = (int16_t)id;
    return !reader->bytes.truncated;
}

int64_t k2_thrift_read_int(struct k2_thrift_reader *reader, uint8_t type)
{
    if (type == TYPE_TRUE || type == TYPE_FALSE) {
        return type == TYPE_TRUE;
    }
    if (type < TYPE_I16 || type > TYPE_I64) {
        fail(reader);
        return 0;
    }
    return k2_unzigzag(k2_read_varint(&reader->bytes));
}

struct k2_slice k2_thrift_read_binary(struct k2_thrift_reader *reader, uint8_t type)
{
    uint64_t size = type == TYPE_BINARY ? k2_read_varint(&reader->bytes) : UINT64_MAX;
    if (size > reader->bytes.rest.size_bytes) {
        fail(reader);
        return (struct k2_slice){0};
    }
    return k2_read_bytes(&reader->bytes, (size_t)size);
}

size_t k2_thrift_read_list(struct k2_thrift_reader *reader, uint8_t type, uint8_t *element_type)
{
    uint8_t head = type == TYPE_LIST || type == TYPE_SET ? k2_read_u8(&reader->bytes) : 0;
    uint64_t count = head >> 4;
    *element_type = head & 0x0f;
    if (count == LONG_LIST) {
        count = k2_read_varint(&reader->bytes);
    }
    if (reader->bytes.truncated || count > reader->bytes.rest.size_bytes ||
        (type != TYPE_LIST && type != TYPE_SET)) {
        fail(reader);
        return 0;
    }
    return (size_t)count;
}

static void skip(struct k2_thrift_reader *reader, uint8_t type, size_t depth, bool is_element);

static void skip_list(struct k2_thrift_reader *reader, uint8_t type, size_t depth)
{
    uint8_t element_type;
    size_t count = k2_thrift_read_list(reader, type, &element_type);
    for (size_t i = 0; i < count && !reader->bytes.truncated; i++) {
        skip(reader, element_type, depth, true);
    }
}

static void skip_map(struct k2_thrift_reader *reader, size_t depth)
{
    uint64_t count = k2_read_varint(&reader->bytes);
    uint8_t types = count > 0 ? k2_read_u8(&reader->bytes) : 0;
    for (uint64_t i = 0; i < count && !reader->bytes.truncated; i++) {
        skip(reader, types >> 4, depth, true);
        skip(reader, types & 0x0f, depth, true);
    }
}

// Booleans have their value in the field's head, but a byte of their own in a list.
static void skip(struct k2_thrift_reader *reader, uint8_t type, size_t depth, bool is_element)
{
    struct k2_thrift_field field = {0};
    if (depth == K2_THRIFT_READ_DEPTH) {
        fail(reader);
        return;
    }
    switch (type) {
    case TYPE_TRUE:
    case TYPE_FALSE:
        if (is_element) {
            (void)k2_read_u8(&reader->bytes);
        }
        break;
    case TYPE_BYTE:
        (void)k2_read_u8(&reader->bytes);
        break;
    case TYPE_DOUBLE:
        (void)k2_read_u64(&reader->bytes);
        break;
    case TYPE_BINARY:
        (void)k2_thrift_read_binary(reader, type);
        break;
    case TYPE_LIST:
    case TYPE_SET:
        skip_list(reader, type, depth + 1);
        break;
    case TYPE_MAP:
        skip_map(reader, depth + 1);
        break;
    case TYPE_STRUCT:
        while (k2_thrift_next(reader, &field)) {
            skip(reader, field.type, depth + 1, false);
        }
        break;
    default:
        if (type >= TYPE_I16 && type <= TYPE_I64) {
            (void)k2_read_varint(&reader->bytes);
        } else {
            fail(reader);
        }
    }
}

void k2_thrift_skip(struct k2_thrift_reader *reader, uint8_t type)
{
    skip(reader, type, 0, false);
}
