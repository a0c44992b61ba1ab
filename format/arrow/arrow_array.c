#include "format/arrow/arrow_array.h"

#include <assert.h>

#include "format/base/alloc.h"
#include "format/base/utf8.h"

enum {
    TEXT_BYTES = INT32_MAX, // offsets are int32
    LEAST_ROOM = 1024,      // rows
    ROOM_GROWTH = 4,
};

enum k2_status k2_arrow_array_init(struct k2_arrow_array *array, const struct k2_arrow_field *field,
                                   struct k2_error *error)
{
    *array = (struct k2_arrow_array){.field = *field};
    k2_buffer_init(&array->text, TEXT_BYTES);
    if (field->type == K2_ARROW_DICTIONARY && !k2_arrow_dictionary_init(&array->dictionary)) {
        return k2_fail(error, K2_NO_MEMORY, "arrow: no memory");
    }
    return K2_OK;
}

void k2_arrow_array_deinit(struct k2_arrow_array *array)
{
    k2_free(array->valid);
    k2_free(array->values);
    k2_buffer_deinit(&array->text);
    k2_arrow_dictionary_deinit(&array->dictionary);
    *array = (struct k2_arrow_array){0};
}

void k2_arrow_array_clear(struct k2_arrow_array *array)
{
    array->row_count = array->null_count = array->valid_rows = 0;
    k2_buffer_clear(&array->text);
}

size_t k2_arrow_array_value_bytes(const struct k2_arrow_array *array)
{
    if (array->field.type == K2_ARROW_BOOL) {
        return (array->row_count + 7) / 8;
    }
    size_t count = array->row_count + (array->field.type == K2_ARROW_UTF8);
    return count * k2_arrow_width_bytes(array->field.type);
}

size_t k2_arrow_array_valid_bytes(const struct k2_arrow_array *array)
{
    return array->null_count == 0 ? 0 : (array->row_count + 7) / 8;
}

struct k2_arrow_buffers k2_arrow_array_take(struct k2_arrow_array *array)
{
    struct k2_arrow_buffers buffers = {array->valid, array->values, array->text.data};
    array->valid = array->values = NULL;
    k2_buffer_init(&array->text, TEXT_BYTES);
    array->row_hint = array->row_room; // the next batch will take as much
    array->row_room = 0;
    return buffers;
}

// ---- bits ---------------------------------------------------------------------------------------

// Bits behind `to` in the last byte are set, too.
static void set_bits(uint8_t *bits, size_t from, size_t to)
{
    for (; from < to && from % 8 != 0; from++) {
        bits[from / 8] |= (uint8_t)(1u << from % 8);
    }
    if (from < to) {
        memset(bits + from / 8, 0xff, (to - from + 7) / 8);
    }
}

static void put_bit(uint8_t *bits, size_t place, bool value)
{
    uint8_t mask = (uint8_t)(1u << place % 8);
    bits[place / 8] = (uint8_t)(value ? bits[place / 8] | mask : bits[place / 8] & ~mask);
}

// Rows before the first vector that can have nulls are set when it comes.
static void put_valid(struct k2_arrow_array *array, const uint8_t *valid, size_t row_count)
{
    set_bits(array->valid, array->valid_rows, array->row_count);
    size_t null_count = 0;
    for (size_t i = 0; i < row_count; i++) {
        put_bit(array->valid, array->row_count + i, valid[i] != 0);
        null_count += valid[i] == 0;
    }
    array->null_count += null_count;
    array->valid_rows = array->row_count + row_count;
}

static void clear_bits_behind(uint8_t *bits, size_t count)
{
    if (count % 8 != 0) {
        bits[count / 8] &= (uint8_t)((1u << count % 8) - 1);
    }
}

void k2_arrow_array_end(struct k2_arrow_array *array)
{
    if (array->null_count > 0) {
        set_bits(array->valid, array->valid_rows, array->row_count);
        array->valid_rows = array->row_count;
        clear_bits_behind(array->valid, array->row_count);
    }
    if (array->field.type == K2_ARROW_BOOL && array->values != NULL) {
        clear_bits_behind(array->values, array->row_count);
    }
}

// ---- values -------------------------------------------------------------------------------------

static void put_int8(uint8_t *place, const int64_t *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        place[i] = (uint8_t)values[i];
    }
}

static void put_int16(uint8_t *place, const int64_t *values, size_t count)
{
    int16_t *out = (int16_t *)(void *)place;
    for (size_t i = 0; i < count; i++) {
        out[i] = (int16_t)values[i];
    }
}

static void put_int32(uint8_t *place, const int64_t *values, size_t count)
{
    int32_t *out = (int32_t *)(void *)place;
    for (size_t i = 0; i < count; i++) {
        out[i] = (int32_t)values[i];
    }
}

static void put_int64(uint8_t *place, const int64_t *values, size_t count)
{
    memcpy(place, values, count * sizeof *values);
}

static void put_decimal(uint8_t *place, const int64_t *values, size_t count)
{
    int64_t *out = (int64_t *)(void *)place;
    const bool little = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;
    for (size_t i = 0; i < count; i++) {
        int64_t sign = values[i] >> 63;
        out[2 * i] = little ? values[i] : sign;
        out[2 * i + 1] = little ? sign : values[i];
    }
}

static void (*const putters[])(uint8_t *place, const int64_t *values, size_t count) = {
    [K2_ARROW_INT8] = put_int8,          [K2_ARROW_INT16] = put_int16,
    [K2_ARROW_INT32] = put_int32,        [K2_ARROW_INT64] = put_int64,
    [K2_ARROW_DECIMAL128] = put_decimal, [K2_ARROW_TIMESTAMP] = put_int64,
    [K2_ARROW_FLOAT64] = put_int64,
};

// Null rows hold any value; what leaves K2 depends on the rows alone.
static void put_numbers(struct k2_arrow_array *array, const struct k2_vector *vector,
                        size_t first_row, size_t row_count)
{
    size_t width = k2_arrow_width_bytes(array->field.type);
    uint8_t *place = array->values + array->row_count * width;
    putters[array->field.type](place, vector->values + first_row, row_count);
    for (size_t i = 0; vector->valid != NULL && i < row_count; i++) {
        if (vector->valid[first_row + i] == 0) {
            memset(place + i * width, 0, width);
        }
    }
}

static bool is_valid(const struct k2_vector *vector, size_t row)
{
    return vector->valid == NULL || vector->valid[row] != 0;
}

static void put_bools(struct k2_arrow_array *array, const struct k2_vector *vector,
                      size_t first_row, size_t row_count)
{
    for (size_t i = 0; i < row_count; i++) {
        bool value = is_valid(vector, first_row + i) && vector->values[first_row + i] != 0;
        put_bit(array->values, array->row_count + i, value);
    }
}

static enum k2_status no_memory(struct k2_error *error)
{
    return k2_fail(error, K2_NO_MEMORY, "arrow: no memory");
}

static enum k2_status put_entries(struct k2_arrow_array *array, const struct k2_vector *vector,
                                  size_t first_row, size_t row_count, struct k2_error *error)
{
    int32_t *entries = (int32_t *)(void *)array->values + array->row_count;
    k2_arrow_dictionary_forget(&array->dictionary); // its texts may have moved since the last call
    for (size_t i = 0; i < row_count; i++) {
        entries[i] = 0;
        if (is_valid(vector, first_row + i) &&
            !k2_arrow_dictionary_find(&array->dictionary, vector->texts[first_row + i],
                                      &entries[i])) {
            return no_memory(error);
        }
    }
    return K2_OK;
}

static enum k2_status put_texts(struct k2_arrow_array *array, const struct k2_vector *vector,
                                size_t first_row, size_t row_count, struct k2_error *error)
{
    int32_t *offsets = (int32_t *)(void *)array->values + array->row_count;
    // Columns of no other kind have bytes that are no UTF-8.
    bool checked = array->field.column->kind == K2_KIND_TEXT;
    for (size_t i = 0; i < row_count; i++) {
        struct k2_slice text = vector->texts[first_row + i];
        offsets[i] = (int32_t)array->text.size_bytes;
        if (!is_valid(vector, first_row + i)) {
            continue;
        }
        if (checked && !k2_utf8_is_valid(text)) {
            k2_utf8_put_mended(&array->text, text);
        } else {
            k2_put_bytes(&array->text, text.data, text.size_bytes);
        }
    }
    offsets[row_count] = (int32_t)array->text.size_bytes;
    return k2_buffer_check(&array->text, "arrow: texts", error);
}

static enum k2_status put_uuids(struct k2_arrow_array *array, const struct k2_vector *vector,
                                size_t first_row, size_t row_count, struct k2_error *error)
{
    uint8_t *place = array->values + array->row_count * K2_ARROW_UUID_BYTES;
    for (size_t i = 0; i < row_count; i++, place += K2_ARROW_UUID_BYTES) {
        struct k2_slice text = vector->texts[first_row + i];
        if (!is_valid(vector, first_row + i)) {
            memset(place, 0, K2_ARROW_UUID_BYTES);
        } else if (text.size_bytes != K2_ARROW_UUID_BYTES) {
            return k2_fail(error, K2_CORRUPT, "column %s: a uuid of %zu bytes",
                           array->field.column->name, text.size_bytes);
        } else {
            memcpy(place, text.data, K2_ARROW_UUID_BYTES);
        }
    }
    return K2_OK;
}

static size_t room_bytes(const struct k2_arrow_array *array, size_t row_room)
{
    size_t width = k2_arrow_width_bytes(array->field.type);
    return width == 0 ? row_room / 8 : (row_room + 1) * width; // one more for offsets
}

// Bits are put one by one into bytes that must have been written, and an array of no texts has an
// offset: what is new is zero.
static bool enlarge(uint8_t **buffer, size_t used_bytes, size_t size_bytes)
{
    uint8_t *larger = k2_alloc_aligned(size_bytes);
    if (larger == NULL) {
        return false;
    }
    if (used_bytes > 0) {
        memcpy(larger, *buffer, used_bytes);
    }
    memset(larger + used_bytes, 0, size_bytes - used_bytes);
    k2_free(*buffer);
    *buffer = larger;
    return true;
}

static enum k2_status make_room(struct k2_arrow_array *array, size_t row_count,
                                struct k2_error *error)
{
    size_t room = array->row_room > array->row_hint ? array->row_room : array->row_hint;
    room = room < LEAST_ROOM ? LEAST_ROOM : room;
    while (room < array->row_count + row_count) {
        room *= ROOM_GROWTH;
    }
    if (room <= array->row_room) {
        return K2_OK;
    }
    if (!enlarge(&array->values, array->values == NULL ? 0 : k2_arrow_array_value_bytes(array),
                 room_bytes(array, room)) ||
        (array->field.column->nullable &&
         !enlarge(&array->valid, array->valid == NULL ? 0 : (array->row_count + 7) / 8,
                  room / 8))) {
        return no_memory(error);
    }
    array->row_room = room;
    return K2_OK;
}

enum k2_status k2_arrow_array_put(struct k2_arrow_array *array, const struct k2_vector *vector,
                                  size_t first_row, size_t row_count, struct k2_error *error)
{
    assert(row_count <= K2_ARROW_ROWS - array->row_count);
    enum k2_status status = make_room(array, row_count, error);
    if (status != K2_OK) {
        return status;
    }
    switch (array->field.type) {
    case K2_ARROW_BOOL:
        put_bools(array, vector, first_row, row_count);
        break;
    case K2_ARROW_DICTIONARY:
        status = put_entries(array, vector, first_row, row_count, error);
        break;
    case K2_ARROW_UTF8:
        status = put_texts(array, vector, first_row, row_count, error);
        break;
    case K2_ARROW_UUID:
        status = put_uuids(array, vector, first_row, row_count, error);
        break;
    default:
        put_numbers(array, vector, first_row, row_count);
    }
    if (status == K2_OK && vector->valid != NULL && array->valid != NULL) {
        put_valid(array, vector->valid + first_row, row_count);
    }
    array->row_count += status == K2_OK ? row_count : 0;
    return status;
}
