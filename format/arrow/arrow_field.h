// What a column of a table becomes in Arrow: ARROW.md has the table.
//
// Pure; a field borrows its column.
#pragma once

#include "format/schema/schema.h"

enum k2_arrow_type {
    K2_ARROW_INT8,
    K2_ARROW_INT16,
    K2_ARROW_INT32,
    K2_ARROW_INT64,
    K2_ARROW_DECIMAL128,
    K2_ARROW_TIMESTAMP, // ns, UTC
    K2_ARROW_BOOL,
    K2_ARROW_FLOAT64,
    K2_ARROW_DICTIONARY, // int32 into texts
    K2_ARROW_UTF8,
    K2_ARROW_UUID, // 16 bytes
};

enum {
    K2_ARROW_UUID_BYTES = 16,
    K2_ARROW_DECIMAL_DIGITS = 18,
    K2_ARROW_FORMAT_BYTES = 24,
};

struct k2_arrow_choice {
    bool times_as_integers;    // int64 of nanoseconds, else timestamp(ns, UTC)
    bool decimals_as_integers; // int64; the scale is in the field's metadata
};

struct k2_arrow_field {
    const struct k2_column *column; // borrowed
    enum k2_arrow_type type;
};

struct k2_arrow_field k2_arrow_field_of(const struct k2_column *column,
                                        const struct k2_arrow_choice *choice);

// The bytes of one value in the array's main buffer: 4 for offsets and indexes, 0 for bits.
size_t k2_arrow_width_bytes(enum k2_arrow_type type);

// The format string of the C data interface: `l`, `d:18,8`; a dictionary's is that of its indexes.
void k2_arrow_format(const struct k2_arrow_field *field, char format[K2_ARROW_FORMAT_BYTES]);

// The field's metadata: `*name` is NULL when there is none. `text` holds the value if it has one.
void k2_arrow_metadata(const struct k2_arrow_field *field, const char **name,
                       char text[K2_ARROW_FORMAT_BYTES]);
