// Dense sources: the venue counts every event, so (instrument, epoch, sequence) alone tells a
// duplicate. What was seen is kept as intervals in the index, beside the rows.
#pragma once

#include "engine/engine.h"
#include "engine/store.h"
#include "format/segment/row_batch.h"

struct k2_dense_changes; // the sets that a commit changes; owned by the commit

// Marks the rows of a batch from a dense source in `fates` (indexed by row) and collects the sets
// that change. An instrument with too many gaps, or seen first through another kind of source, is
// told by `*by_key`: the caller probes the batch by key as well.
K2_MUST_CHECK enum k2_status k2_dense_find(struct k2_engine *engine, const struct k2_table *table,
                                           const struct k2_row_batch *batch, uint8_t *fates,
                                           bool *by_key, struct k2_dense_changes **changes,
                                           struct k2_error *error);

// Notes the new rows of a batch from another kind of source, for instruments that a dense source
// counts too.
K2_MUST_CHECK enum k2_status k2_dense_note(struct k2_engine *engine, const struct k2_table *table,
                                           const struct k2_row_batch *batch, const uint8_t *fates,
                                           struct k2_dense_changes **changes,
                                           struct k2_error *error);

K2_MUST_CHECK enum k2_status k2_dense_store(const struct k2_dense_changes *changes,
                                            struct k2_store_txn *txn, struct k2_error *error);
void k2_dense_changes_destroy(struct k2_dense_changes *changes); // NULL is fine
