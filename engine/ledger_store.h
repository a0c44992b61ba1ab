// Changes of counters on their way into the index, and figures of the ledger.
#pragma once

#include "engine/ledger_records.h"
#include "engine/store.h"

// Cumulative but `open` and `given_up`; one entry a table, where domain 0 would be.
struct k2_ledger_figures {
    uint64_t opened, closed, open, given_up;
};
K2_MUST_CHECK enum k2_status k2_ledger_figures_read(struct k2_store_txn *txn, uint16_t table,
                                                    struct k2_ledger_figures *figures,
                                                    struct k2_error *error);
K2_MUST_CHECK enum k2_status k2_ledger_figures_store(struct k2_store_txn *txn, uint16_t table,
                                                     const struct k2_ledger_figures *figures,
                                                     struct k2_error *error);

// Closes and opens the gaps of one counter by `commit`, and counts that.
K2_MUST_CHECK enum k2_status k2_ledger_store_gaps(struct k2_store_txn *txn,
                                                  const struct k2_gap_place *place, uint64_t commit,
                                                  const struct k2_sequence_changes *changes,
                                                  struct k2_ledger_figures *figures,
                                                  struct k2_error *error);

// A counter's new state.
struct k2_ledger_entry {
    uint32_t domain;
    int64_t epoch;
    struct k2_sequence_state state;
};
// Sorts the entries by page and stores them.
K2_MUST_CHECK enum k2_status k2_ledger_store_states(struct k2_store_txn *txn, uint16_t table,
                                                    struct k2_ledger_entry *entries, size_t count,
                                                    struct k2_error *error);
// Fills the states of entries that have domain and epoch; sorts them by page.
K2_MUST_CHECK enum k2_status k2_ledger_load_states(struct k2_store_txn *txn, uint16_t table,
                                                   struct k2_ledger_entry *entries, size_t count,
                                                   struct k2_error *error);

// Appends open gaps of a counter that meet [first, last], by number, to an owned array.
K2_MUST_CHECK enum k2_status k2_ledger_load_gaps(struct k2_store_txn *txn,
                                                 const struct k2_gap_place *place, int64_t first,
                                                 int64_t last, struct k2_sequence_gap **gaps,
                                                 size_t *count, struct k2_error *error);
