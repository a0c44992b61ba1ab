// How many rows of a table the newest snapshot does not show, counted anew: after a repair, when
// only the segments tell. For the modules of this folder only.
#pragma once

#include "engine/engine.h"
#include "engine/store.h"

// In the index: the figures are to be counted at the next start of a writer.
#define K2_HIDDEN_STALE "hidden_stale"

// `known`: up to this snapshot the commit log tells how many rows each of them shows.
K2_MUST_CHECK enum k2_status k2_version_count_forget(struct k2_store_txn *txn, uint64_t known,
                                                     struct k2_error *error);

// Counts if the index says so. For a write handle that is being opened.
K2_MUST_CHECK enum k2_status k2_version_count_refresh(struct k2_engine *engine,
                                                      struct k2_error *error);

// Rows of `table` that a snapshot (0: the newest) shows with start <= timestamp < end.
K2_MUST_CHECK enum k2_status k2_version_count_shown(struct k2_engine *engine,
                                                    const struct k2_table *table, uint64_t snapshot,
                                                    int64_t start_ns, int64_t end_ns,
                                                    uint64_t *rows, struct k2_error *error);
