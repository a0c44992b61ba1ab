// Which rows of a group belong to which instrument, and between which times and sequences.
#pragma once

#include "format/segment/row_group_view.h"

// Appends the plain bytes of the directory of rows with these keys, which are sorted.
// K2_BAD_REQUEST for names that are too long.
K2_MUST_CHECK enum k2_status
k2_symbol_directory_encode(const struct k2_row_key *keys, size_t row_count,
                           k2_name_of_instrument *name_of, void *name_context,
                           struct k2_buffer *out, uint32_t *entry_count, struct k2_error *error);

// Reads exactly `entry_count` entries that cover exactly `row_count` rows. Names are borrowed from
// `bytes`.
K2_MUST_CHECK enum k2_status k2_symbol_directory_read(struct k2_slice bytes,
                                                      struct k2_directory_entry *entries,
                                                      uint32_t entry_count, uint32_t row_count,
                                                      struct k2_error *error);
