// Does one rewrite that the levels of a table ask for (engine/levels.h). Any thread; takes the
// rewrite lock.
#pragma once

#include "engine/engine.h"
#include "engine/levels.h"
#include "engine/rewrite.h"

struct k2_level_request {
    enum k2_level_effort effort;
    uint64_t newest_segment; // K2_EFFORT_FULL: of when the work began
    // See struct k2_rewrite_options; `merges` is false while commits are among the inputs, so that
    // others must not be folded meanwhile.
    enum k2_status (*pace)(void *context, bool merges, uint64_t rows, uint64_t bytes,
                           struct k2_error *error);
    void *context;
};

// `*done` is false when there is nothing to do; else `report` says what was.
K2_MUST_CHECK enum k2_status k2_level_step(struct k2_engine *engine, const struct k2_table *table,
                                           const struct k2_level_request *request, bool *done,
                                           struct k2_rewrite_report *report,
                                           struct k2_error *error);
