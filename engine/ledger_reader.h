// The ledger in a read transaction: for the modules of this folder that answer from it.
#pragma once

#include "engine/ledger_records.h"
#include "engine/store.h"

struct k2_ledger_view {
    struct k2_store_txn *txn; // borrowed
    uint16_t table;
    uint64_t snapshot;
    bool has_start, has_end;
    int64_t start_ns, end_ns;
    bool open_only;
};

// Gives one gap as of the snapshot; place->closed is 0 if it was open then.
typedef enum k2_status k2_ledger_visit(void *context, const struct k2_gap_place *place,
                                       const struct k2_sequence_gap *gap, struct k2_error *error);

// The gaps of one domain that touch the range.
K2_MUST_CHECK enum k2_status k2_ledger_visit_domain(const struct k2_ledger_view *view,
                                                    uint32_t domain, k2_ledger_visit *visit,
                                                    void *context, struct k2_error *error);

// The named domains that an instrument used by then, appended to an owned array.
K2_MUST_CHECK enum k2_status k2_ledger_users_of(const struct k2_ledger_view *view,
                                                uint32_t instrument, uint32_t **domains,
                                                size_t *count, struct k2_error *error);
