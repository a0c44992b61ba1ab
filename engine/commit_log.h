// The record of every commit: when, what kind, how many rows of which table.
//
// 256 commits share one value of the index: the state before its first commit, then a few bytes
// for each. Times are kept in microseconds and always rise. Works inside the caller's transaction.
#pragma once

#include "engine/snapshot.h"
#include "engine/store.h"

enum { K2_COMMIT_LOG_CHUNK = 256 };

// Appends `snapshot` (its id = newest + 1; of its tables only table_id and added count).
K2_MUST_CHECK enum k2_status k2_commit_log_append(struct k2_store_txn *txn,
                                                  const struct k2_snapshot *snapshot,
                                                  struct k2_error *error);

// The rows that snapshots from `first` to the newest show of a table.
struct k2_commit_log_rows {
    uint16_t table_id;
    const int64_t *rows; // borrowed
};

// Says anew how many rows of these tables the snapshots from `first` on show.
K2_MUST_CHECK enum k2_status k2_commit_log_recount(struct k2_store_txn *txn, uint64_t first,
                                                   const struct k2_commit_log_rows *tables,
                                                   size_t table_count, struct k2_error *error);

// K2_OK with id 0 for an empty log.
K2_MUST_CHECK enum k2_status k2_commit_log_newest(struct k2_store_txn *txn,
                                                  struct k2_snapshot *snapshot,
                                                  struct k2_error *error);
// Its id alone, which costs no more among many entries.
K2_MUST_CHECK enum k2_status k2_commit_log_newest_id(struct k2_store_txn *txn, uint64_t *id,
                                                     struct k2_error *error);
K2_MUST_CHECK enum k2_status k2_commit_log_get(struct k2_store_txn *txn, uint64_t id, bool *found,
                                               struct k2_snapshot *snapshot,
                                               struct k2_error *error);

// The last commit at or before `time_ns`.
K2_MUST_CHECK enum k2_status k2_commit_log_at(struct k2_store_txn *txn, int64_t time_ns,
                                              bool *found, struct k2_snapshot *snapshot,
                                              struct k2_error *error);
