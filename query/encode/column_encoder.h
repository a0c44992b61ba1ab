// The formats that are made of columns, Parquet and Arrow, behind one face: rows go in until bytes
// wait, those are taken, and so on. Part of the encoders; belongs to one thread.
#pragma once

#include "query/encode/row_encoder.h"

enum k2_column_format { K2_COLUMNS_NONE = 0, K2_COLUMNS_PARQUET, K2_COLUMNS_ARROW };

struct k2_column_encoder; // opaque

// Borrows the columns until destroy.
K2_MUST_CHECK enum k2_status
k2_column_encoder_create(struct k2_column_encoder **encoder, enum k2_column_format format,
                         const struct k2_column *const *columns, size_t column_count,
                         const struct k2_row_style *style, struct k2_error *error);
void k2_column_encoder_destroy(struct k2_column_encoder *encoder);

// As k2_row_encoder_put and k2_row_encoder_end say. A failure stays: see check.
size_t k2_column_encoder_put(struct k2_column_encoder *encoder, const struct k2_vector *vectors,
                             size_t first_row, size_t row_count, size_t enough_bytes,
                             struct k2_buffer *out);
bool k2_column_encoder_end(struct k2_column_encoder *encoder, size_t enough_bytes,
                           struct k2_buffer *out);
K2_MUST_CHECK enum k2_status k2_column_encoder_check(const struct k2_column_encoder *encoder,
                                                     struct k2_error *error);
