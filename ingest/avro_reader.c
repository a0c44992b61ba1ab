#include "ingest/avro_reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "format/base/alloc.h"
#include "format/base/decimal.h"
#include "format/base/json_text.h"
#include "format/base/utf8.h"

enum {
    SCRATCH_CEILING_BYTES = 16 << 20,
    FIRST_PAIR_ROOM = 16,
    MAX_PAIRS = K2_TEXT_BYTES_MAX / 6 + 1, // a pair takes at least `"":"",`
};

__extension__ typedef __int128 int128;
__extension__ typedef unsigned __int128 uint128;

static const int64_t decimal_limit = INT64_C(1000000000000000000);

void k2_avro_reader_init(struct k2_avro_reader *reader, const struct k2_avro_schema *writer,
                         const struct k2_avro_action *actions)
{
    *reader = (struct k2_avro_reader){.writer = writer, .actions = actions};
    k2_buffer_init(&reader->scratch, SCRATCH_CEILING_BYTES);
}

void k2_avro_reader_deinit(struct k2_avro_reader *reader)
{
    k2_buffer_deinit(&reader->scratch);
    k2_free(reader->pairs);
    *reader = (struct k2_avro_reader){0};
}

void k2_avro_reader_begin(struct k2_avro_reader *reader, struct k2_slice message,
                          struct k2_error *error)
{
    reader->bytes = (struct k2_byte_reader){.rest = message};
    reader->error = error;
    reader->reason = NULL;
    k2_buffer_clear(&reader->scratch);
}

enum k2_status k2_avro_reject(struct k2_avro_reader *reader, const char *reason, const char *format,
                              ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    reader->reason = reason;
    return k2_fail(reader->error, K2_REJECTED, "%s", text);
}

static enum k2_status truncated(struct k2_avro_reader *reader)
{
    return k2_avro_reject(reader, "bad_avro", "the message ends within a value");
}

static enum k2_status read_long(struct k2_avro_reader *reader, int64_t *value)
{
    *value = k2_unzigzag(k2_read_varint(&reader->bytes));
    return reader->bytes.truncated ? truncated(reader) : K2_OK;
}

static enum k2_status read_int(struct k2_avro_reader *reader, int64_t *value)
{
    enum k2_status status = read_long(reader, value);
    if (status == K2_OK && (*value < INT32_MIN || *value > INT32_MAX)) {
        status = k2_avro_reject(reader, "bad_avro", "an int of more than 32 bits");
    }
    return status;
}

static enum k2_status read_integer(struct k2_avro_reader *reader, uint32_t node, int64_t *value)
{
    bool is_int = reader->writer->nodes[node].type == K2_AVRO_INT;
    return is_int ? read_int(reader, value) : read_long(reader, value);
}

static enum k2_status read_sized(struct k2_avro_reader *reader, struct k2_slice *bytes)
{
    int64_t size = 0;
    enum k2_status status = read_long(reader, &size);
    if (status != K2_OK) {
        return status;
    }
    if (size < 0 || (uint64_t)size > reader->bytes.rest.size_bytes) {
        return k2_avro_reject(reader, "bad_avro", "a length of %lld with %zu bytes left",
                              (long long)size, reader->bytes.rest.size_bytes);
    }
    *bytes = k2_read_bytes(&reader->bytes, (size_t)size);
    return K2_OK;
}

static enum k2_status read_member(struct k2_avro_reader *reader, uint32_t node, uint32_t *member)
{
    const struct k2_avro_node *type = &reader->writer->nodes[node];
    int64_t index = 0;
    enum k2_status status = read_int(reader, &index);
    if (status != K2_OK) {
        return status;
    }
    if (index < 0 || index >= (int64_t)type->member_count) {
        return k2_avro_reject(reader, "bad_avro", "%s index %lld of %u",
                              k2_avro_type_name(type->type), (long long)index,
                              (unsigned)type->member_count);
    }
    *member = (uint32_t)index;
    return K2_OK;
}

// The next block of an array or map: `*count` items follow, 0 at the end. `*size_bytes` is -1 where
// the writer does not say it.
static enum k2_status read_block(struct k2_avro_reader *reader, bool items_empty, int64_t *count,
                                 int64_t *size_bytes)
{
    *size_bytes = -1;
    enum k2_status status = read_long(reader, count);
    if (status == K2_OK && *count < 0) {
        if (*count == INT64_MIN) {
            return k2_avro_reject(reader, "bad_avro", "a block of too many items");
        }
        *count = -*count;
        status = read_long(reader, size_bytes);
        if (status == K2_OK &&
            (*size_bytes < 0 || (uint64_t)*size_bytes > reader->bytes.rest.size_bytes)) {
            return k2_avro_reject(reader, "bad_avro", "a block that leaves the message");
        }
    }
    if (status == K2_OK && !items_empty && (uint64_t)*count > reader->bytes.rest.size_bytes) {
        return k2_avro_reject(reader, "bad_avro", "%lld items with %zu bytes left",
                              (long long)*count, reader->bytes.rest.size_bytes);
    }
    return status;
}

static enum k2_status skip(struct k2_avro_reader *reader, uint32_t node, unsigned depth);

static enum k2_status skip_bytes(struct k2_avro_reader *reader, size_t size_bytes)
{
    (void)k2_read_bytes(&reader->bytes, size_bytes);
    return reader->bytes.truncated ? truncated(reader) : K2_OK;
}

static enum k2_status skip_items(struct k2_avro_reader *reader, const struct k2_avro_node *type,
                                 int64_t count, unsigned depth)
{
    uint32_t item = reader->writer->members[type->first_member].node;
    enum k2_status status = K2_OK;
    for (int64_t i = 0; i < count && status == K2_OK; i++) {
        struct k2_slice key = {0};
        if (type->type == K2_AVRO_MAP) {
            status = read_sized(reader, &key);
        }
        if (status == K2_OK) {
            status = skip(reader, item, depth);
        }
    }
    return status;
}

static enum k2_status skip_blocks(struct k2_avro_reader *reader, const struct k2_avro_node *type,
                                  unsigned depth)
{
    uint32_t item = reader->writer->members[type->first_member].node;
    bool empty = type->type == K2_AVRO_ARRAY && reader->writer->nodes[item].empty;
    for (;;) {
        int64_t count = 0, size_bytes = 0;
        enum k2_status status = read_block(reader, empty, &count, &size_bytes);
        if (status != K2_OK || count == 0) {
            return status;
        }
        if (size_bytes >= 0) {
            status = skip_bytes(reader, (size_t)size_bytes);
        } else if (!empty) {
            status = skip_items(reader, type, count, depth);
        }
        if (status != K2_OK) {
            return status;
        }
    }
}

static enum k2_status skip_compound(struct k2_avro_reader *reader, const struct k2_avro_node *type,
                                    uint32_t node, unsigned depth)
{
    uint32_t member = 0;
    if (depth >= K2_AVRO_DEPTH_MAX) {
        return k2_avro_reject(reader, "bad_avro", "nested deeper than %d", K2_AVRO_DEPTH_MAX);
    }
    if (type->type == K2_AVRO_ARRAY || type->type == K2_AVRO_MAP) {
        return skip_blocks(reader, type, depth + 1);
    }
    if (type->type == K2_AVRO_UNION) {
        enum k2_status status = read_member(reader, node, &member);
        return status != K2_OK
                   ? status
                   : skip(reader, reader->writer->members[type->first_member + member].node,
                          depth + 1);
    }
    enum k2_status status = K2_OK;
    for (uint32_t i = 0; i < type->member_count && status == K2_OK; i++) {
        status = skip(reader, reader->writer->members[type->first_member + i].node, depth + 1);
    }
    return status;
}

// Recursion ends at K2_AVRO_DEPTH_MAX; the work is bounded by the bytes of the message, because
// values that take none are not visited.
static enum k2_status skip(struct k2_avro_reader *reader, uint32_t node, unsigned depth)
{
    const struct k2_avro_node *type = &reader->writer->nodes[node];
    struct k2_slice bytes = {0};
    uint32_t member = 0;
    int64_t number = 0;
    if (type->empty) {
        return K2_OK;
    }
    switch (type->type) {
    case K2_AVRO_NULL:
        return K2_OK;
    case K2_AVRO_BOOLEAN:
        return skip_bytes(reader, 1);
    case K2_AVRO_INT:
    case K2_AVRO_LONG:
        return read_integer(reader, node, &number);
    case K2_AVRO_FLOAT:
        return skip_bytes(reader, 4);
    case K2_AVRO_DOUBLE:
        return skip_bytes(reader, 8);
    case K2_AVRO_FIXED:
        return skip_bytes(reader, type->size_bytes);
    case K2_AVRO_BYTES:
    case K2_AVRO_STRING:
        return read_sized(reader, &bytes);
    case K2_AVRO_ENUM:
        return read_member(reader, node, &member);
    case K2_AVRO_ARRAY:
    case K2_AVRO_MAP:
    case K2_AVRO_UNION:
    case K2_AVRO_RECORD:
        break;
    }
    return skip_compound(reader, type, node, depth);
}

enum k2_status k2_avro_skip(struct k2_avro_reader *reader, uint32_t node)
{
    return skip(reader, node, 0);
}

static enum k2_status give_number(struct k2_avro_value *value, int64_t number)
{
    value->kind = K2_AVRO_VALUE_NUMBER;
    value->number = number;
    return K2_OK;
}

static enum k2_status give_text(struct k2_avro_reader *reader, struct k2_avro_value *value,
                                struct k2_slice text)
{
    if (text.size_bytes > K2_TEXT_BYTES_MAX) {
        return k2_avro_reject(reader, "text_too_long", "%zu bytes, at most %d", text.size_bytes,
                              K2_TEXT_BYTES_MAX);
    }
    value->kind = K2_AVRO_VALUE_TEXT;
    value->text = text;
    return K2_OK;
}

static enum k2_status read_scaled(struct k2_avro_reader *reader,
                                  const struct k2_avro_action *action, struct k2_avro_value *value)
{
    int64_t number, scaled;
    enum k2_status status = read_integer(reader, action->node, &number);
    if (status != K2_OK) {
        return status;
    }
    if (number < action->min || number > action->max ||
        __builtin_mul_overflow(number, action->factor, &scaled)) {
        const char *reason = action->scale > 0 ? "decimal_overflow" : "out_of_range";
        return k2_avro_reject(reader, reason, "%lld is out of range", (long long)number);
    }
    return give_number(value, scaled);
}

static enum k2_status rescale(struct k2_avro_reader *reader, const struct k2_avro_action *action,
                              int128 number, struct k2_avro_value *value)
{
    for (uint32_t places = action->writer_scale; places > action->scale; places--) {
        if (number == 0) {
            break;
        }
        if (number % 10 != 0) {
            return k2_avro_reject(reader, "too_many_places", "a decimal with more than %u places",
                                  (unsigned)action->scale);
        }
        number /= 10;
    }
    for (uint32_t places = action->writer_scale; places < action->scale; places++) {
        number = number > decimal_limit || number < -decimal_limit ? decimal_limit : number * 10;
    }
    if (number >= decimal_limit || number <= -decimal_limit) {
        return k2_avro_reject(reader, "decimal_overflow",
                              "a decimal of more than %d digits before its last place",
                              K2_DECIMAL_DIGITS);
    }
    return give_number(value, (int64_t)number);
}

// Two's complement, the most significant byte first.
static enum k2_status read_decimal(struct k2_avro_reader *reader,
                                   const struct k2_avro_action *action, struct k2_avro_value *value)
{
    const struct k2_avro_node *type = &reader->writer->nodes[action->node];
    struct k2_slice bytes = {0};
    enum k2_status status = K2_OK;
    if (type->type == K2_AVRO_FIXED) {
        bytes = k2_read_bytes(&reader->bytes, type->size_bytes);
        status = reader->bytes.truncated ? truncated(reader) : K2_OK;
    } else {
        status = read_sized(reader, &bytes);
    }
    if (status != K2_OK) {
        return status;
    }
    if (bytes.size_bytes == 0) {
        return k2_avro_reject(reader, "bad_avro", "a decimal of 0 bytes");
    }
    bool negative = bytes.data[0] >= 0x80;
    uint128 bits = negative ? ~(uint128)0 : 0;
    for (size_t i = 0; i < bytes.size_bytes; i++) {
        uint8_t fill = negative ? 0xff : 0;
        if (i + 16 < bytes.size_bytes && bytes.data[i] != fill) {
            return k2_avro_reject(reader, "decimal_overflow", "a decimal of %zu bytes",
                                  bytes.size_bytes);
        }
        bits = bits << 8 | bytes.data[i];
    }
    if ((bits >> 127 != 0) != negative) {
        return k2_avro_reject(reader, "decimal_overflow", "a decimal of %zu bytes",
                              bytes.size_bytes);
    }
    return rescale(reader, action, (int128)bits, value);
}

static enum k2_status read_decimal_text(struct k2_avro_reader *reader,
                                        const struct k2_avro_action *action,
                                        struct k2_avro_value *value)
{
    static const char *const reasons[] = {
        [K2_DECIMAL_NOT_A_NUMBER] = "bad_decimal",
        [K2_DECIMAL_TOO_MANY_PLACES] = "too_many_places",
        [K2_DECIMAL_OVERFLOW] = "decimal_overflow",
    };
    struct k2_slice text = {0};
    int64_t unscaled = 0;
    enum k2_status status = read_sized(reader, &text);
    if (status != K2_OK) {
        return status;
    }
    enum k2_decimal_result result = k2_decimal_parse(text, action->scale, &unscaled);
    if (result != K2_DECIMAL_OK) {
        return k2_avro_reject(reader, reasons[result], "`%.*s`: %s",
                              (int)(text.size_bytes < 64 ? text.size_bytes : 64),
                              (const char *)text.data, k2_decimal_result_name(result));
    }
    return give_number(value, unscaled);
}

static enum k2_status read_boolean(struct k2_avro_reader *reader, struct k2_avro_value *value)
{
    uint8_t byte = k2_read_u8(&reader->bytes);
    if (reader->bytes.truncated) {
        return truncated(reader);
    }
    if (byte > 1) {
        return k2_avro_reject(reader, "bad_avro", "a boolean of %u", (unsigned)byte);
    }
    return give_number(value, byte);
}

static enum k2_status give_double(struct k2_avro_value *value, double number)
{
    int64_t bits;
    memcpy(&bits, &number, sizeof bits);
    return give_number(value, bits);
}

static enum k2_status read_floating(struct k2_avro_reader *reader,
                                    const struct k2_avro_action *action,
                                    struct k2_avro_value *value)
{
    if (action->act == K2_AVRO_ACT_DOUBLE) {
        int64_t bits = k2_read_i64(&reader->bytes);
        return reader->bytes.truncated ? truncated(reader) : give_number(value, bits);
    }
    if (action->act == K2_AVRO_ACT_FLOAT) {
        uint32_t bits = k2_read_u32(&reader->bytes);
        float number;
        memcpy(&number, &bits, sizeof number);
        return reader->bytes.truncated ? truncated(reader) : give_double(value, (double)number);
    }
    int64_t number = 0;
    enum k2_status status = read_integer(reader, action->node, &number);
    return status == K2_OK ? give_double(value, (double)number) : status;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum k2_status read_uuid_text(struct k2_avro_reader *reader, struct k2_avro_value *value)
{
    struct k2_slice text = {0};
    enum k2_status status = read_sized(reader, &text);
    if (status != K2_OK) {
        return status;
    }
    size_t digits = 0;
    bool good = text.size_bytes == 36;
    for (size_t i = 0; good && i < 36; i++) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            good = text.data[i] == '-';
            continue;
        }
        int digit = hex_digit(text.data[i]);
        good = digit >= 0;
        reader->uuid[digits / 2] = (uint8_t)(reader->uuid[digits / 2] << 4 | (digit & 15));
        digits++;
    }
    if (!good) {
        return k2_avro_reject(reader, "bad_uuid", "a text of %zu bytes that is no uuid",
                              text.size_bytes);
    }
    return give_text(reader, value, (struct k2_slice){reader->uuid, sizeof reader->uuid});
}

static enum k2_status put_string(struct k2_avro_reader *reader, struct k2_slice text)
{
    if (reader->scratch.size_bytes + text.size_bytes > 8 * (size_t)K2_TEXT_BYTES_MAX) {
        return k2_avro_reject(reader, "text_too_long", "more than %d bytes of JSON",
                              K2_TEXT_BYTES_MAX);
    }
    if (!k2_utf8_is_valid(text)) { // it would be stored as other bytes
        return k2_avro_reject(reader, "bad_json", "a string that is not UTF-8");
    }
    k2_json_put_string(&reader->scratch, text);
    return K2_OK;
}

static enum k2_status give_json(struct k2_avro_reader *reader, size_t begin,
                                struct k2_avro_value *value)
{
    enum k2_status status = k2_buffer_check(&reader->scratch, "JSON text", reader->error);
    if (status != K2_OK) {
        return status == K2_LIMIT ? k2_avro_reject(reader, "text_too_long", "JSON") : status;
    }
    // As an offset until here: the scratch may have moved.
    return give_text(
        reader, value,
        (struct k2_slice){reader->scratch.data + begin, reader->scratch.size_bytes - begin});
}

static enum k2_status read_json_strings(struct k2_avro_reader *reader, struct k2_avro_value *value)
{
    size_t begin = reader->scratch.size_bytes;
    int64_t count = 0, size_bytes = 0;
    enum k2_status status;
    k2_put_u8(&reader->scratch, '[');
    while ((status = read_block(reader, false, &count, &size_bytes)) == K2_OK && count > 0) {
        for (int64_t i = 0; i < count && status == K2_OK; i++) {
            struct k2_slice text = {0};
            if (reader->scratch.size_bytes > begin + 1) {
                k2_put_u8(&reader->scratch, ',');
            }
            status = read_sized(reader, &text);
            if (status == K2_OK) {
                status = put_string(reader, text);
            }
        }
        if (status != K2_OK) {
            break;
        }
    }
    k2_put_u8(&reader->scratch, ']');
    return status == K2_OK ? give_json(reader, begin, value) : status;
}

static int compare_pairs(const void *left, const void *right)
{
    return k2_slice_compare(((const struct k2_avro_pair *)left)->key,
                            ((const struct k2_avro_pair *)right)->key);
}

static enum k2_status add_pair(struct k2_avro_reader *reader, size_t count)
{
    if (count >= MAX_PAIRS) {
        return k2_avro_reject(reader, "text_too_long", "a map of more than %d entries", MAX_PAIRS);
    }
    if (count == reader->pair_room) {
        size_t room = count == 0 ? FIRST_PAIR_ROOM : 2 * count;
        struct k2_avro_pair *grown = k2_realloc(reader->pairs, room, sizeof *grown);
        if (grown == NULL) {
            return k2_fail(reader->error, K2_NO_MEMORY, "map of an Avro message: out of memory");
        }
        reader->pairs = grown;
        reader->pair_room = room;
    }
    enum k2_status status = read_sized(reader, &reader->pairs[count].key);
    return status == K2_OK ? read_sized(reader, &reader->pairs[count].value) : status;
}

static enum k2_status put_pairs(struct k2_avro_reader *reader, size_t pair_count)
{
    enum k2_status status = K2_OK;
    if (pair_count > 1) {
        qsort(reader->pairs, pair_count, sizeof *reader->pairs, compare_pairs);
    }
    for (size_t i = 0; i < pair_count && status == K2_OK; i++) {
        if (i > 0 && compare_pairs(&reader->pairs[i - 1], &reader->pairs[i]) == 0) {
            return k2_avro_reject(reader, "bad_json", "a map that has a key twice");
        }
        if (i > 0) {
            k2_put_u8(&reader->scratch, ',');
        }
        status = put_string(reader, reader->pairs[i].key);
        k2_put_u8(&reader->scratch, ':');
        if (status == K2_OK) {
            status = put_string(reader, reader->pairs[i].value);
        }
    }
    return status;
}

static enum k2_status read_json_map(struct k2_avro_reader *reader, struct k2_avro_value *value)
{
    size_t begin = reader->scratch.size_bytes, pair_count = 0;
    int64_t count = 0, size_bytes = 0;
    enum k2_status status;
    while ((status = read_block(reader, false, &count, &size_bytes)) == K2_OK && count > 0) {
        for (int64_t i = 0; i < count && status == K2_OK; i++) {
            status = add_pair(reader, pair_count);
            pair_count += status == K2_OK;
        }
        if (status != K2_OK) {
            break;
        }
    }
    if (status != K2_OK) {
        return status;
    }
    k2_put_u8(&reader->scratch, '{');
    status = put_pairs(reader, pair_count);
    k2_put_u8(&reader->scratch, '}');
    return status == K2_OK ? give_json(reader, begin, value) : status;
}

static enum k2_status read_json_text(struct k2_avro_reader *reader,
                                     const struct k2_avro_action *action,
                                     struct k2_avro_value *value)
{
    size_t begin = reader->scratch.size_bytes;
    struct k2_slice text = {0};
    enum k2_status status = read_sized(reader, &text);
    if (status == K2_OK && text.size_bytes > 4 * (size_t)K2_TEXT_BYTES_MAX) {
        return k2_avro_reject(reader, "text_too_long", "%zu bytes of JSON", text.size_bytes);
    }
    if (status != K2_OK) {
        return status;
    }
    enum k2_json_result result = k2_json_put_canonical(&reader->scratch, text, action->shape);
    if (result == K2_JSON_NO_MEMORY) {
        return k2_fail(reader->error, K2_NO_MEMORY, "JSON text: out of memory");
    }
    if (result != K2_JSON_OK) {
        return k2_avro_reject(reader, "bad_json", "a text of %zu bytes: %s", text.size_bytes,
                              k2_json_result_name(result));
    }
    return give_json(reader, begin, value);
}

static enum k2_status read_text(struct k2_avro_reader *reader, struct k2_avro_value *value)
{
    struct k2_slice text = {0};
    enum k2_status status = read_sized(reader, &text);
    return status == K2_OK ? give_text(reader, value, text) : status;
}

static enum k2_status read_enum(struct k2_avro_reader *reader, const struct k2_avro_action *action,
                                struct k2_avro_value *value)
{
    uint32_t member = 0;
    enum k2_status status = read_member(reader, action->node, &member);
    if (status != K2_OK) {
        return status;
    }
    const struct k2_avro_node *type = &reader->writer->nodes[action->node];
    const char *name = reader->writer->members[type->first_member + member].name;
    return give_text(reader, value, k2_slice_of(name));
}

static enum k2_status read_fixed(struct k2_avro_reader *reader, const struct k2_avro_action *action,
                                 struct k2_avro_value *value)
{
    uint32_t size_bytes = reader->writer->nodes[action->node].size_bytes;
    struct k2_slice bytes = k2_read_bytes(&reader->bytes, size_bytes);
    return reader->bytes.truncated ? truncated(reader) : give_text(reader, value, bytes);
}

enum k2_status k2_avro_read_value(struct k2_avro_reader *reader, uint32_t index,
                                  struct k2_avro_value *value)
{
    const struct k2_avro_action *action = &reader->actions[index];
    if (action->act == K2_AVRO_ACT_UNION) {
        uint32_t member = 0;
        enum k2_status status = read_member(reader, action->node, &member);
        if (status != K2_OK) {
            return status;
        }
        action = &reader->actions[action->first + member];
    }
    switch (action->act) {
    case K2_AVRO_ACT_NULL:
        value->kind = K2_AVRO_VALUE_NULL;
        return K2_OK;
    case K2_AVRO_ACT_INTEGER:
        return read_scaled(reader, action, value);
    case K2_AVRO_ACT_DECIMAL:
        return read_decimal(reader, action, value);
    case K2_AVRO_ACT_DECIMAL_TEXT:
        return read_decimal_text(reader, action, value);
    case K2_AVRO_ACT_BOOLEAN:
        return read_boolean(reader, value);
    case K2_AVRO_ACT_FLOAT:
    case K2_AVRO_ACT_DOUBLE:
    case K2_AVRO_ACT_INTEGER_TO_DOUBLE:
        return read_floating(reader, action, value);
    case K2_AVRO_ACT_TEXT:
        return read_text(reader, value);
    case K2_AVRO_ACT_ENUM:
        return read_enum(reader, action, value);
    case K2_AVRO_ACT_UUID_TEXT:
        return read_uuid_text(reader, value);
    case K2_AVRO_ACT_FIXED:
        return read_fixed(reader, action, value);
    case K2_AVRO_ACT_JSON_STRINGS:
        return read_json_strings(reader, value);
    case K2_AVRO_ACT_JSON_MAP:
        return read_json_map(reader, value);
    case K2_AVRO_ACT_JSON_TEXT:
        return read_json_text(reader, action, value);
    case K2_AVRO_ACT_MISFIT:
    case K2_AVRO_ACT_UNION:
        break;
    }
    enum k2_avro_type type = reader->writer->nodes[action->node].type;
    return k2_avro_reject(reader, "wrong_type", "a %s has no place here", k2_avro_type_name(type));
}
