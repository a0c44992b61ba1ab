// Rows from scan vectors to bytes: CSV, NDJSON, a JSON array, Parquet, Arrow, or a table for a
// terminal.
//
// A format is a row of a table (row_formats in row_encoder.c). An encoder belongs to one thread;
// what it prints depends on nothing but its arguments.
#pragma once

#include "format/base/buffer.h"
#include "format/schema/schema.h"
#include "format/segment/vector.h"

struct k2_row_format {
    const char *name;         // as `format=` says it
    const char *content_type; // for HTTP
    bool compressed;          // in itself
};

// NULL if the name means nothing. Static storage.
const struct k2_row_format *k2_row_format_find(struct k2_slice name);
const struct k2_row_format *k2_row_format_of_content_type(struct k2_slice content_type);

// Zero is the default.
struct k2_row_style {
    bool time_ns;      // timestamps as integers, else as ISO 8601 texts
    bool float_number; // JSON: decimals as bare numbers (the same digits), else as strings
    // Of Arrow alone: what its schema names.
    const char *table; // NULL: not known
    uint64_t snapshot;
    // Of Parquet alone.
    const struct k2_schema *sorted_by; // whose key the rows are in the order of; NULL: not known
    bool descending;                   // that order reversed
    bool large_groups;                 // row groups for files, else for answers that stream
};

struct k2_row_encoder; // opaque

// The columns are borrowed until destroy, in the order of the vectors to come.
K2_MUST_CHECK enum k2_status
k2_row_encoder_create(struct k2_row_encoder **encoder, const struct k2_row_format *format,
                      const struct k2_column *const *columns, size_t column_count,
                      const struct k2_row_style *style, struct k2_error *error);
void k2_row_encoder_destroy(struct k2_row_encoder *encoder);

// What stands before the first row (the CSV header, `[`). Check `out`.
void k2_row_encoder_begin(struct k2_row_encoder *encoder, struct k2_buffer *out);

// What stands behind the last row. True when that is all; false when `out` holds `enough_bytes`
// first: call again.
bool k2_row_encoder_end(struct k2_row_encoder *encoder, size_t enough_bytes, struct k2_buffer *out);

// Why the rows could not be encoded; K2_OK if they could. Check `out` beside it.
K2_MUST_CHECK enum k2_status k2_row_encoder_check(const struct k2_row_encoder *encoder,
                                                  struct k2_error *error);

// Appends the rows from `first_row` on until `out` holds `enough_bytes` or more or `row_count` is
// reached, and returns the row to go on with; Parquet and Arrow take more rows before they give
// bytes. After a failure (k2_row_encoder_check) it takes rows and gives nothing. `vectors` is an
// array in the order of the columns.
size_t k2_row_encoder_put(struct k2_row_encoder *encoder, const struct k2_vector *vectors,
                          size_t first_row, size_t row_count, size_t enough_bytes,
                          struct k2_buffer *out);
