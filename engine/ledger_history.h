// The gap ledger of domains, as the stored rows tell it: commit by commit, from their `_commit`.
//
// For domains that become dense with rows in the table, and when the index is made again. Gives
// what following every commit would have given. Write handles only.
#pragma once

#include "engine/domains.h"

struct k2_ledger_history_request {
    struct k2_engine *engine;
    const struct k2_table *table;
    const struct k2_domains *domains; // whose history; their records are in the index already
    uint32_t first_number;            // of the named ones
    size_t run_ceiling; // runs of numbers held at once, else another pass; 0: a million (72 MB)
};

// Puts states, gaps and users of the domains into the index, which has none of them.
K2_MUST_CHECK enum k2_status
k2_ledger_history_write(const struct k2_ledger_history_request *request, struct k2_store_txn *txn,
                        struct k2_error *error);

// In the index: the ledger is to be made again by the next writer.
#define K2_LEDGER_STALE "ledger_stale"

// Empties the ledger, and leaves that mark.
K2_MUST_CHECK enum k2_status k2_ledger_forget(struct k2_store_txn *txn, struct k2_error *error);

// Makes the ledger of all tables again if the mark is there. At a writer's start.
K2_MUST_CHECK enum k2_status k2_ledger_recall(struct k2_engine *engine, struct k2_error *error);
