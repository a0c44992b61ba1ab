// Rows of one table in memory, put into the order of an exported file: by symbol, timestamp in
// microseconds, sequence; what is equal then, by nanoseconds, exchange and epoch. Texts by bytes.
//
//   put (as often as there is room), sort, next (until there are no more), clear
//
// Belongs to one thread. Memory: about 9 bytes a row and column, and the texts.
#pragma once

#include "format/segment/vector.h"

struct k2_row_sorter; // opaque

// For vectors of all columns of `schema`, in its order. Borrows the schema.
K2_MUST_CHECK enum k2_status k2_row_sorter_create(struct k2_row_sorter **sorter,
                                                  const struct k2_schema *schema,
                                                  size_t row_capacity, struct k2_error *error);
void k2_row_sorter_destroy(struct k2_row_sorter *sorter);
void k2_row_sorter_clear(struct k2_row_sorter *sorter);

// Takes all rows or, with K2_LIMIT, none: there is no room for as many.
K2_MUST_CHECK enum k2_status k2_row_sorter_put(struct k2_row_sorter *sorter,
                                               const struct k2_vector *vectors, size_t row_count,
                                               struct k2_error *error);
size_t k2_row_sorter_count(const struct k2_row_sorter *sorter);

K2_MUST_CHECK enum k2_status k2_row_sorter_sort(struct k2_row_sorter *sorter,
                                                struct k2_error *error);

// The next rows, borrowed until the next call; `*row_count` 0 is the end.
void k2_row_sorter_next(struct k2_row_sorter *sorter, const struct k2_vector **vectors,
                        size_t *row_count);
