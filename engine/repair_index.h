// Makes an index out of what the segment files say (engine/salvage.h).
#pragma once

#include "engine/salvage.h"
#include "engine/store.h"

// Fills a new, empty index with the groups that count, and all that follows from them and from
// `_log`. A group whose table has no schema any more is marked lost instead.
K2_MUST_CHECK enum k2_status k2_repair_index_build(struct k2_salvage *salvage,
                                                   struct k2_store *store, struct k2_error *error);

// The segment's entry in the index follows the groups that count; without any it goes.
K2_MUST_CHECK enum k2_status k2_repair_index_segment(const struct k2_salvage *salvage,
                                                     uint64_t segment_id, struct k2_store_txn *txn,
                                                     struct k2_error *error);
