// Rewrites segments sorted by instrument. No answer changes: every row keeps the snapshot that
// brought it.
#pragma once

#include <stdatomic.h>

#include "engine/engine.h"

struct k2_compact_options {
    bool full; // rewrite what is sorted already as well
    // Called now and then with the rows done and to do; may be NULL.
    void (*progress)(void *context, uint64_t rows_done, uint64_t rows_total);
    void *context;
    const atomic_bool *cancel; // may be NULL: ends with K2_BUSY when it is set; what is done stays
};

struct k2_compact_report {
    uint64_t segments_before, segments_after; // live ones
    uint64_t bytes_before, bytes_after;
    uint64_t snapshot;
};

// In bounded memory. The old files go when no reader needs them (engine/garbage.h). Nothing to do
// is K2_OK without a new snapshot. K2_NO_SPACE leaves it as far as it has come.
K2_MUST_CHECK enum k2_status k2_compact(struct k2_engine *engine,
                                        const struct k2_compact_options *options,
                                        struct k2_compact_report *report, struct k2_error *error);
