// What a table does with a second row of a key, how far back it can be asked, and how long rows
// stay. Kept in the index and as rows of `_log`, in one transaction.
//
// Thread-safe; setting waits for the commit or retain that is under way.
#pragma once

#include "engine/engine.h"
#include "engine/index_records.h"
#include "engine/store.h"

enum k2_duplicate_rule {
    K2_KEEP_FIRST = 0,    // equal content is a duplicate, other content is rejected
    K2_KEEP_LAST = 1,     // other content is a new version of the row
    K2_REJECT_SECOND = 2, // rejected, also with equal content
};
const char *k2_duplicate_rule_name(enum k2_duplicate_rule rule); // "keep-first"

// Zero is what a table has that nobody said anything about.
struct k2_policy {
    enum k2_duplicate_rule duplicates;
    int64_t history_ns;   // states that were replaced longer ago than this can expire; 0: none can
    int64_t retention_ns; // rows whose event is older than this may be dropped; 0: none may

    // What `retain` has done by it: never undone.
    uint64_t history_floor; // versions that only older snapshots see may be gone, but for tags
    bool has_cut;
    int64_t retention_cut_ns; // rows with an earlier timestamp were dropped
};

struct k2_index_value k2_policy_encode(const struct k2_policy *policy);
// K2_CORRUPT: not what encode gives.
K2_MUST_CHECK enum k2_status k2_policy_decode(struct k2_slice value, struct k2_policy *policy,
                                              struct k2_error *error);

K2_MUST_CHECK enum k2_status k2_policy_load(struct k2_store_txn *txn, uint16_t table_id,
                                            struct k2_policy *policy, struct k2_error *error);
K2_MUST_CHECK enum k2_status k2_policy_store(struct k2_store_txn *txn, uint16_t table_id,
                                             const struct k2_policy *policy,
                                             struct k2_error *error);
K2_MUST_CHECK enum k2_status k2_policy_get(struct k2_engine *engine, const struct k2_table *table,
                                           struct k2_policy *policy, struct k2_error *error);

// Makes rule, history and retention of `policy` those of the table, durably; what was done by the
// old ones stays. K2_BAD_REQUEST: an internal table; or the table holds versions and the new rule
// has none.
K2_MUST_CHECK enum k2_status k2_policy_set(struct k2_engine *engine, const struct k2_table *table,
                                           const struct k2_policy *policy, struct k2_error *error);

// K2_EXPIRED: `snapshot` lies before what the table's history still holds, and has no tag.
//   now_ns  the time by which history is measured; INT64_MIN: only what was dropped counts
K2_MUST_CHECK enum k2_status k2_policy_check_snapshot(struct k2_store_txn *txn,
                                                      const struct k2_table *table,
                                                      uint64_t snapshot, int64_t now_ns,
                                                      struct k2_error *error);

// The same by the clock.
K2_MUST_CHECK enum k2_status k2_policy_check(struct k2_store_txn *txn, const struct k2_table *table,
                                             uint64_t snapshot, struct k2_error *error);

// The snapshot that was the newest one `history_ns` before `now_ns`; 0: there was none yet.
K2_MUST_CHECK enum k2_status k2_policy_horizon(struct k2_store_txn *txn, int64_t history_ns,
                                               int64_t now_ns, uint64_t *snapshot,
                                               struct k2_error *error);
