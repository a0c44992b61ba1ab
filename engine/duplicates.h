// Which rows of a batch are new, which are there already, and which contradict what is there.
#pragma once

#include "engine/commit.h"
#include "format/segment/row_batch.h"

enum k2_row_fate {
    K2_ROW_NEW = 0,
    K2_ROW_DUPLICATE = 1, // same key, same content
    K2_ROW_CONFLICT = 2,  // same key, other content
};

// Probes by key (sparse and ordinal numbering). `order` sorts the batch (engine/row_order.h);
// `fates`, indexed by row, is filled. Only blocks whose time overlaps rows of the batch are read.
K2_MUST_CHECK enum k2_status k2_duplicates_by_key(struct k2_engine *engine,
                                                  const struct k2_table *table,
                                                  const struct k2_row_batch *batch,
                                                  const uint32_t *order, uint8_t *fates,
                                                  struct k2_error *error);
