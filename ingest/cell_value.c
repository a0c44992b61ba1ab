#include "ingest/cell_value.h"

#include <math.h>
#include <stdlib.h>

#include "format/base/decimal.h"
#include "format/base/timestamp.h"

enum { NUMBER_CEILING_BYTES = 64 };

static const char *decimal(const struct k2_column *column, struct k2_slice text, unsigned shift,
                           int64_t *value, const char **what)
{
    switch (k2_decimal_parse(text, column->scale - shift, value)) {
    case K2_DECIMAL_OK:
        return NULL;
    case K2_DECIMAL_TOO_MANY_PLACES:
        *what = "has more decimal places than the column";
        return "bad_decimal";
    case K2_DECIMAL_OVERFLOW:
        *what = "has more digits than the column";
        return "decimal_overflow";
    default:
        *what = "is no decimal number";
        return "bad_decimal";
    }
}

static const char *timestamp(struct k2_slice text, int64_t *value, const char **what)
{
    switch (k2_timestamp_parse(text, value)) {
    case K2_TIMESTAMP_OK:
        return NULL;
    case K2_TIMESTAMP_NO_ZONE:
        *what = "has neither Z nor an offset";
        break;
    case K2_TIMESTAMP_TOO_MANY_PLACES:
        *what = "is finer than a nanosecond";
        break;
    case K2_TIMESTAMP_OUT_OF_RANGE:
        *what = "is beyond 1677 to 2262";
        break;
    default:
        *what = "is no time";
        break;
    }
    return "bad_timestamp";
}

static const char *integer(enum k2_kind kind, struct k2_slice text, int64_t *value,
                           const char **what)
{
    const uint8_t *c = text.data, *end = text.data + text.size_bytes;
    bool negative = c < end && *c == '-', good;
    c += c < end && (negative || *c == '+');
    good = c < end;
    int64_t number = 0;
    for (; c < end && good; c++) {
        good = *c >= '0' && *c <= '9' && !__builtin_mul_overflow(number, 10, &number) &&
               !__builtin_add_overflow(number, negative ? '0' - *c : *c - '0', &number);
    }
    unsigned bits = kind == K2_KIND_INT8 ? 8 : kind == K2_KIND_INT16 ? 16 : 32;
    int64_t bound = kind == K2_KIND_INT64 ? INT64_MAX : ((int64_t)1 << (bits - 1)) - 1;
    if (!good || number > bound || number < -bound - 1) {
        *what = "is no integer of the column's size";
        return "bad_integer";
    }
    *value = number;
    return NULL;
}

static bool is_word(struct k2_slice text, const char *lower)
{
    size_t size = strlen(lower);
    if (text.size_bytes != size) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        uint8_t c = text.data[i];
        if ((c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c) != lower[i]) {
            return false;
        }
    }
    return true;
}

static const char *boolean(struct k2_slice text, int64_t *value, const char **what)
{
    *value = is_word(text, "true") || is_word(text, "1");
    if (*value == 0 && !is_word(text, "false") && !is_word(text, "0")) {
        *what = "is neither true nor false";
        return "bad_boolean";
    }
    return NULL;
}

static const char *number(struct k2_slice text, int64_t *value, const char **what)
{
    char copy[NUMBER_CEILING_BYTES + 1], *end = copy;
    double parsed = 0;
    bool good = text.size_bytes > 0 && text.size_bytes <= NUMBER_CEILING_BYTES;
    for (size_t i = 0; i < text.size_bytes && good; i++) {
        good = text.data[i] != '\0' && strchr("0123456789+-.eE", text.data[i]) != NULL;
    }
    if (good) {
        memcpy(copy, text.data, text.size_bytes);
        copy[text.size_bytes] = '\0';
        parsed = strtod(copy, &end);
        good = end == copy + text.size_bytes && isfinite(parsed);
    }
    if (!good) {
        *what = "is no finite number";
        return "bad_number";
    }
    memcpy(value, &parsed, sizeof parsed);
    return NULL;
}

const char *k2_cell_value(const struct k2_column *column, struct k2_slice text, unsigned shift,
                          int64_t *value, const char **what)
{
    switch (column->kind) {
    case K2_KIND_DECIMAL64:
        return decimal(column, text, shift, value, what);
    case K2_KIND_TIMESTAMP:
        return timestamp(text, value, what);
    case K2_KIND_BOOL:
        return boolean(text, value, what);
    case K2_KIND_FLOAT64:
        return number(text, value, what);
    default:
        return integer(column->kind, text, value, what);
    }
}

bool k2_cell_uuid(struct k2_slice text, uint8_t bytes[16])
{
    size_t digits = 0;
    bool dashes = text.size_bytes == 36;
    if (!dashes && text.size_bytes != 32) {
        return false;
    }
    for (size_t i = 0; i < text.size_bytes; i++) {
        uint8_t c = text.data[i], lower = c | 0x20;
        if (dashes && (i == 8 || i == 13 || i == 18 || i == 23)) {
            if (c != '-') {
                return false;
            }
            continue;
        }
        bool decimal_digit = c >= '0' && c <= '9';
        if (!decimal_digit && (lower < 'a' || lower > 'f')) {
            return false;
        }
        int nibble = decimal_digit ? c - '0' : lower - 'a' + 10;
        uint8_t before = digits % 2 == 0 ? 0 : bytes[digits / 2];
        bytes[digits / 2] = (uint8_t)(before << 4 | nibble);
        digits++;
    }
    return true;
}
