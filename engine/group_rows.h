// Rows of one row group, column by column, decoded block-wise when first touched.
//
// Keeps the last block of each column, so rising row numbers decode each block once. Belongs to one
// thread; borrows the view.
#pragma once

#include "format/segment/row_group_view.h"

struct k2_group_rows; // opaque

// Columns are named by their index in `schema`.
K2_MUST_CHECK enum k2_status k2_group_rows_open(struct k2_group_rows **rows,
                                                const struct k2_row_group_view *view,
                                                const struct k2_schema *schema,
                                                struct k2_error *error);
void k2_group_rows_close(struct k2_group_rows *rows);

// The vector with row `row` and the row's place in it; `*vector` is NULL when the group has not
// this column. Holds until another block of the same column is asked for.
K2_MUST_CHECK enum k2_status k2_group_rows_vector(struct k2_group_rows *rows, size_t column,
                                                  uint32_t row, const struct k2_vector **vector,
                                                  uint32_t *place, struct k2_error *error);

// A hidden column (K2_COLUMN_ID_COMMIT, ..._UNTIL, ..._OP) of a row; 0 where the group has none.
K2_MUST_CHECK enum k2_status k2_group_rows_hidden(struct k2_group_rows *rows, uint16_t id,
                                                  uint32_t row, int64_t *value,
                                                  struct k2_error *error);

// The same as a vector, like k2_group_rows_vector.
K2_MUST_CHECK enum k2_status k2_group_rows_hidden_vector(struct k2_group_rows *rows, uint16_t id,
                                                         uint32_t row,
                                                         const struct k2_vector **vector,
                                                         uint32_t *place, struct k2_error *error);

// The key of a row of the directory entry's instrument.
K2_MUST_CHECK enum k2_status k2_group_rows_key(struct k2_group_rows *rows, uint32_t row,
                                               int64_t *time_ns, int64_t *epoch, int64_t *sequence,
                                               struct k2_error *error);
