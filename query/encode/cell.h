// One value of a column to text. The ways in which the formats differ per kind are tables.
//
// Part of the encoders: nothing outside query/encode uses it.
#pragma once

#include "format/base/buffer.h"
#include "format/segment/vector.h"
#include "query/encode/row_encoder.h"

enum { K2_CELL_KINDS = K2_KIND_JSON + 1 };

// Appends the value of a row that is not null.
typedef void k2_cell_put(const struct k2_vector *vector, size_t row, struct k2_buffer *out);

// The printers of each kind. `plain` is for people: control characters become `?`.
enum k2_cell_dialect {
    K2_CELL_CSV = 0, // RFC 4180; an empty text that is not null is `""`
    K2_CELL_JSON = 1,
    K2_CELL_PLAIN = 2,
};
k2_cell_put *k2_cell_printer(enum k2_cell_dialect dialect, enum k2_kind kind,
                             const struct k2_row_style *style);

static inline bool k2_cell_is_null(const struct k2_vector *vector, size_t row)
{
    return vector->valid != NULL && vector->valid[row] == 0;
}
