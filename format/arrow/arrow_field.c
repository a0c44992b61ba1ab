#include "format/arrow/arrow_field.h"

#include <stdio.h>

static const enum k2_arrow_type types[] = {
    [K2_KIND_INT8] = K2_ARROW_INT8,
    [K2_KIND_INT16] = K2_ARROW_INT16,
    [K2_KIND_INT32] = K2_ARROW_INT32,
    [K2_KIND_INT64] = K2_ARROW_INT64,
    [K2_KIND_DECIMAL64] = K2_ARROW_DECIMAL128,
    [K2_KIND_TIMESTAMP] = K2_ARROW_TIMESTAMP,
    [K2_KIND_BOOL] = K2_ARROW_BOOL,
    [K2_KIND_FLOAT64] = K2_ARROW_FLOAT64,
    [K2_KIND_SYMBOLIC] = K2_ARROW_DICTIONARY,
    [K2_KIND_TEXT] = K2_ARROW_UTF8,
    [K2_KIND_UUID] = K2_ARROW_UUID,
    [K2_KIND_JSON] = K2_ARROW_UTF8,
};

static const struct {
    size_t width_bytes;
    const char *format;
} facts[] = {
    [K2_ARROW_INT8] = {1, "c"},
    [K2_ARROW_INT16] = {2, "s"},
    [K2_ARROW_INT32] = {4, "i"},
    [K2_ARROW_INT64] = {8, "l"},
    [K2_ARROW_DECIMAL128] = {16, "d:18,"},
    [K2_ARROW_TIMESTAMP] = {8, "tsn:UTC"},
    [K2_ARROW_BOOL] = {0, "b"},
    [K2_ARROW_FLOAT64] = {8, "g"},
    [K2_ARROW_DICTIONARY] = {4, "i"},
    [K2_ARROW_UTF8] = {4, "u"},
    [K2_ARROW_UUID] = {16, "w:16"},
};

struct k2_arrow_field k2_arrow_field_of(const struct k2_column *column,
                                        const struct k2_arrow_choice *choice)
{
    struct k2_arrow_field field = {column, types[column->kind]};
    if ((column->kind == K2_KIND_TIMESTAMP && choice->times_as_integers) ||
        (column->kind == K2_KIND_DECIMAL64 && choice->decimals_as_integers)) {
        field.type = K2_ARROW_INT64;
    }
    return field;
}

size_t k2_arrow_width_bytes(enum k2_arrow_type type)
{
    return facts[type].width_bytes;
}

void k2_arrow_format(const struct k2_arrow_field *field, char format[K2_ARROW_FORMAT_BYTES])
{
    const char *text = facts[field->type].format;
    if (field->type == K2_ARROW_DECIMAL128) {
        (void)snprintf(format, K2_ARROW_FORMAT_BYTES, "%s%u", text, field->column->scale);
    } else {
        (void)snprintf(format, K2_ARROW_FORMAT_BYTES, "%s", text);
    }
}

void k2_arrow_metadata(const struct k2_arrow_field *field, const char **name,
                       char text[K2_ARROW_FORMAT_BYTES])
{
    *name = NULL;
    if (field->type == K2_ARROW_UUID) {
        *name = "ARROW:extension:name";
        (void)snprintf(text, K2_ARROW_FORMAT_BYTES, "arrow.uuid");
    } else if (field->column->kind == K2_KIND_DECIMAL64 && field->type == K2_ARROW_INT64) {
        *name = "k2.scale";
        (void)snprintf(text, K2_ARROW_FORMAT_BYTES, "%u", field->column->scale);
    }
}
