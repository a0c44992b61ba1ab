// Rows in aligned columns for a terminal. The widths come from the first rows; longer cells of
// later rows push their line to the right.
//
// Part of the encoders; belongs to one thread.
#pragma once

#include "query/encode/cell.h"

struct k2_table_layout; // opaque

// Borrows the columns.
K2_MUST_CHECK enum k2_status k2_table_layout_create(struct k2_table_layout **layout,
                                                    const struct k2_column *const *columns,
                                                    size_t column_count,
                                                    const struct k2_row_style *style,
                                                    struct k2_error *error);
void k2_table_layout_destroy(struct k2_table_layout *layout);

// The first call measures and prints the head, later ones do nothing.
void k2_table_layout_begin(struct k2_table_layout *layout, const struct k2_vector *vectors,
                           size_t row_count, struct k2_buffer *out);
void k2_table_layout_row(struct k2_table_layout *layout, const struct k2_vector *vectors,
                         size_t row, struct k2_buffer *out);
void k2_table_layout_end(struct k2_table_layout *layout, struct k2_buffer *out);
