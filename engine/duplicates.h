// Which rows of a batch are new, which are there already, and which contradict what is there.
#pragma once

#include "engine/key_versions.h"
#include "format/segment/row_batch.h"

// Probes by key. `order` sorts the batch (engine/row_order.h). `fates`, indexed by row, is filled;
// rows that are not K2_ROW_NEW before have a number that came before: they can be nothing but a
// newer version of a stored row. Only blocks whose time overlaps rows of the batch are read.
// `versions` is inited here, and holds what to store if the rule keeps versions or rows are deleted
// (else its arrays are NULL).
K2_MUST_CHECK enum k2_status
k2_duplicates_by_key(struct k2_engine *engine, const struct k2_table *table,
                     const struct k2_row_batch *batch, enum k2_duplicate_rule rule,
                     const uint32_t *order, uint8_t *fates, struct k2_key_versions *versions,
                     struct k2_error *error);
