// What a column of a table becomes in a Parquet file: PARQUET.md has the table.
//
// A timestamp becomes two fields unless its times are to be integers: microseconds, which every
// reader understands, and the exact nanoseconds as an integer.
#pragma once

#include "format/schema/schema.h"

// Values as Parquet numbers them.
enum k2_parquet_type {
    K2_PARQUET_BOOLEAN = 0,
    K2_PARQUET_INT32 = 1,
    K2_PARQUET_INT64 = 2,
    K2_PARQUET_DOUBLE = 5,
    K2_PARQUET_BYTE_ARRAY = 6,
    K2_PARQUET_FIXED_BYTES = 7, // of K2_PARQUET_UUID_BYTES
};

enum { K2_PARQUET_UUID_BYTES = 16 };

// Fields of the union LogicalType.
enum k2_parquet_logical {
    K2_PARQUET_NO_LOGICAL = 0,
    K2_PARQUET_STRING = 1,
    K2_PARQUET_DECIMAL = 5,
    K2_PARQUET_TIMESTAMP = 8, // microseconds, UTC
    K2_PARQUET_INTEGER = 10,
    K2_PARQUET_UUID = 14,
};

struct k2_parquet_field {
    char *name; // owned
    uint32_t id;
    const struct k2_column *column; // borrowed
    size_t place;                   // of the column among the columns given
    enum k2_parquet_type type;
    enum k2_parquet_logical logical;
    bool microseconds; // from a timestamp's nanoseconds, rounded down
    bool optional;
};

// Field ids of the exact nanoseconds are the column's id plus this, beyond every column's id.
enum { K2_PARQUET_NANOSECONDS_ID = 65536 };

// The fields of `columns`, in their order. `times_as_integers`: a timestamp becomes one field, the
// integer of nanoseconds. Borrows the columns; freed with k2_parquet_fields_free.
K2_MUST_CHECK enum k2_status k2_parquet_fields_create(struct k2_parquet_field **fields,
                                                      size_t *field_count,
                                                      const struct k2_column *const *columns,
                                                      size_t column_count, bool times_as_integers,
                                                      struct k2_error *error);
void k2_parquet_fields_free(struct k2_parquet_field *fields, size_t field_count);
