// The gap ledger in a commit: which rows of dense sources are there already, which gaps the commit
// opens and closes.
//
//   open, find (dense sources), note, store with the commit's transaction, destroy
//
// Belongs to the writer's thread.
#pragma once

#include "engine/domains.h"

struct k2_ledger_changes; // of one batch; opaque

// Finds the domains of the batch's rows and what was seen of them; new ones of a dense source
// become dense first (a change of its own). `order` sorts the batch by key. *changes is NULL when
// the table has no domain.
K2_MUST_CHECK enum k2_status k2_ledger_open(struct k2_engine *engine, const struct k2_table *table,
                                            const struct k2_source *source,
                                            const struct k2_row_batch *batch, const uint32_t *order,
                                            struct k2_ledger_changes **changes,
                                            struct k2_error *error);

// Marks rows whose numbers were seen in `fates` (by row; enum k2_row_fate) as duplicates; where a
// row `replaces` another one of its key, not those that follow such a row in the batch. `*by_key`
// is true when the batch is to be probed by key as well.
void k2_ledger_find(const struct k2_ledger_changes *changes, bool replaces, uint8_t *fates,
                    bool *by_key);

// Takes in the rows that `fates` calls new, with the next commit.
K2_MUST_CHECK enum k2_status k2_ledger_note(struct k2_ledger_changes *changes, const uint8_t *fates,
                                            struct k2_error *error);

// Domains that have too many gaps from this commit on.
size_t k2_ledger_given_up(const struct k2_ledger_changes *changes);

// NULL is fine for both.
K2_MUST_CHECK enum k2_status k2_ledger_store(const struct k2_ledger_changes *changes,
                                             struct k2_store_txn *txn, struct k2_error *error);
void k2_ledger_changes_destroy(struct k2_ledger_changes *changes);
