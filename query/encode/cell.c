#include "query/encode/cell.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "format/base/decimal.h"
#include "format/base/json_text.h"
#include "format/base/timestamp.h"

enum {
    FLOAT_TEXT_BYTES = 32,
};

// Takes back what extend gave too much.
static void shrink_to(struct k2_buffer *out, const uint8_t *end)
{
    out->size_bytes = (size_t)(end - out->data);
}

static void put_integer(const struct k2_vector *vector, size_t row, struct k2_buffer *out)
{
    char text[K2_DECIMAL_TEXT_BYTES];
    k2_put_bytes(out, text, k2_decimal_print(text, vector->values[row], 0));
}

static void put_decimal(const struct k2_vector *vector, size_t row, struct k2_buffer *out)
{
    uint8_t *text = k2_buffer_extend(out, K2_DECIMAL_TEXT_BYTES);
    if (text != NULL) {
        shrink_to(out, text + k2_decimal_print((char *)text, vector->values[row], vector->scale));
    }
}

static void put_decimal_string(const struct k2_vector *vector, size_t row, struct k2_buffer *out)
{
    uint8_t *text = k2_buffer_extend(out, K2_DECIMAL_TEXT_BYTES + 2);
    if (text != NULL) {
        text[0] = '"';
        size_t size = k2_decimal_print((char *)text + 1, vector->values[row], vector->scale);
        text[size + 1] = '"';
        shrink_to(out, text + size + 2);
    }
}

static void put_time(const struct k2_vector *vector, size_t row, struct k2_buffer *out)
{
    uint8_t *text = k2_buffer_extend(out, K2_TIMESTAMP_TEXT_BYTES);
    if (text != NULL) {
        k2_timestamp_print((char *)text, vector->values[row]);
    }
}

static void put_time_string(const struct k2_vector *vector, size_t row, struct k2_buffer *out)
{
    uint8_t *text = k2_buffer_extend(out, K2_TIMESTAMP_TEXT_BYTES + 2);
    if (text != NULL) {
        text[0] = '"';
        k2_timestamp_print((char *)text + 1, vector->values[row]);
        text[K2_TIMESTAMP_TEXT_BYTES + 1] = '"';
    }
}

static void put_bool(const struct k2_vector *vector, size_t row, struct k2_buffer *out)
{
    k2_put_text(out, vector->values[row] != 0 ? "true" : "false");
}

static double float_of(const struct k2_vector *vector, size_t row)
{
    double value = 0;
    memcpy(&value, &vector->values[row], sizeof value);
    return value;
}

// The fewest digits that read back as the same double.
static void put_float(const struct k2_vector *vector, size_t row, struct k2_buffer *out)
{
    double value = float_of(vector, row);
    char text[FLOAT_TEXT_BYTES];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    k2_put_text(out, text);
}

// JSON has neither NaN nor infinity.
static void put_float_json(const struct k2_vector *vector, size_t row, struct k2_buffer *out)
{
    if (isfinite(float_of(vector, row))) {
        put_float(vector, row, out);
    } else {
        k2_put_text(out, "null");
    }
}

static bool needs_quotes(struct k2_slice text)
{
    for (size_t i = 0; i < text.size_bytes; i++) {
        uint8_t byte = text.data[i];
        if (byte == '"' || byte == ',' || byte == '\n' || byte == '\r') {
            return true;
        }
    }
    return text.size_bytes == 0; // null is the empty field without quotes
}

static void put_quoted(struct k2_slice text, struct k2_buffer *out)
{
    k2_put_u8(out, '"');
    while (text.size_bytes > 0) {
        const uint8_t *quote = memchr(text.data, '"', text.size_bytes);
        size_t piece = quote == NULL ? text.size_bytes : (size_t)(quote - text.data) + 1;
        k2_put_bytes(out, text.data, piece);
        if (quote != NULL) {
            k2_put_u8(out, '"');
        }
        text.data += piece;
        text.size_bytes -= piece;
    }
    k2_put_u8(out, '"');
}

static void put_text_csv(const struct k2_vector *vector, size_t row, struct k2_buffer *out)
{
    struct k2_slice text = vector->texts[row];
    if (needs_quotes(text)) {
        put_quoted(text, out);
    } else {
        k2_put_bytes(out, text.data, text.size_bytes);
    }
}

static bool is_plain_json(struct k2_slice text)
{
    for (size_t i = 0; i < text.size_bytes; i++) {
        uint8_t byte = text.data[i];
        if (byte < 0x20 || byte > 0x7e || byte == '"' || byte == '\\') {
            return false;
        }
    }
    return true;
}

static void put_text_json(const struct k2_vector *vector, size_t row, struct k2_buffer *out)
{
    struct k2_slice text = vector->texts[row];
    if (!is_plain_json(text)) {
        k2_json_put_string(out, text);
        return;
    }
    uint8_t *bytes = k2_buffer_extend(out, text.size_bytes + 2);
    if (bytes != NULL) {
        bytes[0] = '"';
        if (text.size_bytes > 0) {
            memcpy(bytes + 1, text.data, text.size_bytes);
        }
        bytes[text.size_bytes + 1] = '"';
    }
}

// For eyes only: a terminal must not be steered by what a venue sent.
static void put_text_plain(const struct k2_vector *vector, size_t row, struct k2_buffer *out)
{
    struct k2_slice text = vector->texts[row];
    uint8_t *bytes = k2_buffer_extend(out, text.size_bytes);
    for (size_t i = 0; bytes != NULL && i < text.size_bytes; i++) {
        bytes[i] = text.data[i] < 0x20 || text.data[i] == 0x7f ? '?' : text.data[i];
    }
}

static void put_json_raw(const struct k2_vector *vector, size_t row, struct k2_buffer *out)
{
    k2_put_bytes(out, vector->texts[row].data, vector->texts[row].size_bytes);
}

// 8-4-4-4-12 hexadecimal digits; other lengths than 16 bytes (a damaged file) as plain digits.
static void put_uuid(const struct k2_vector *vector, size_t row, struct k2_buffer *out)
{
    static const char digits[] = "0123456789abcdef";
    struct k2_slice bytes = vector->texts[row];
    for (size_t i = 0; i < bytes.size_bytes; i++) {
        if (bytes.size_bytes == 16 && (i == 4 || i == 6 || i == 8 || i == 10)) {
            k2_put_u8(out, '-');
        }
        k2_put_u8(out, (uint8_t)digits[bytes.data[i] >> 4]);
        k2_put_u8(out, (uint8_t)digits[bytes.data[i] & 15]);
    }
}

static void put_uuid_json(const struct k2_vector *vector, size_t row, struct k2_buffer *out)
{
    k2_put_u8(out, '"');
    put_uuid(vector, row, out);
    k2_put_u8(out, '"');
}

// CSV, JSON, for people.
static k2_cell_put *const printers[K2_CELL_KINDS][3] = {
    [K2_KIND_INT8] = {put_integer, put_integer, put_integer},
    [K2_KIND_INT16] = {put_integer, put_integer, put_integer},
    [K2_KIND_INT32] = {put_integer, put_integer, put_integer},
    [K2_KIND_INT64] = {put_integer, put_integer, put_integer},
    [K2_KIND_DECIMAL64] = {put_decimal, put_decimal_string, put_decimal},
    [K2_KIND_TIMESTAMP] = {put_time, put_time_string, put_time},
    [K2_KIND_BOOL] = {put_bool, put_bool, put_bool},
    [K2_KIND_FLOAT64] = {put_float, put_float_json, put_float},
    [K2_KIND_SYMBOLIC] = {put_text_csv, put_text_json, put_text_plain},
    [K2_KIND_TEXT] = {put_text_csv, put_text_json, put_text_plain},
    [K2_KIND_UUID] = {put_uuid, put_uuid_json, put_uuid},
    [K2_KIND_JSON] = {put_text_csv, put_json_raw, put_text_plain},
};

k2_cell_put *k2_cell_printer(enum k2_cell_dialect dialect, enum k2_kind kind,
                             const struct k2_row_style *style)
{
    if (kind == K2_KIND_TIMESTAMP && style->time_ns) {
        return put_integer;
    }
    if (kind == K2_KIND_DECIMAL64 && dialect == K2_CELL_JSON && style->float_number) {
        return put_decimal;
    }
    return printers[kind][dialect];
}
