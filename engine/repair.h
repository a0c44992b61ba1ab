// Makes a damaged store whole again, with every row that can still be read.
//
// With a readable index that index says what counts, and only what is damaged is taken out of it.
// Without one it is made anew from the segments alone (engine/salvage.h, engine/journal.h). Files
// with damage move to quarantine/ as they are; a copy with what is sound in them takes their place.
// A repair that was killed can be run again.
#pragma once

#include "engine/engine.h"

// What was lost. Texts are borrowed for the call; NULL: it can not be told.
struct k2_lost {
    const char *table, *exchange, *symbol;
    bool has_range;
    int64_t first_ns, last_ns;     // of the timestamps of the lost rows, inclusive both
    uint64_t rows;                 // 0: it can not be told
    uint64_t segment_id, snapshot; // 0: none
    const char *reason;
};

struct k2_repair_options {
    bool from_segments;                                      // as if there were no index
    void (*lost)(void *context, const struct k2_lost *lost); // may be NULL
    void *context;
};

struct k2_repair_report {
    uint64_t recovered_rows; // what the store has now
    uint64_t lost;           // calls of options->lost
    uint64_t quarantined;    // files
    bool changed;            // false: there was nothing to repair
};

// `path` is the store, which nobody has open: K2_BUSY names the pid of a writer; readers that stay
// see the old state. K2_NOT_FOUND: no store there. Losses are K2_OK: look at the report. On failure
// the store is as it was, or as repaired as it can be without the step that failed.
K2_MUST_CHECK enum k2_status k2_repair(const char *path, const struct k2_repair_options *options,
                                       struct k2_repair_report *report, struct k2_error *error);
