// The last row of each instrument, as of a snapshot: by (timestamp, epoch, sequence).
//
// Found by the symbol directories; only the blocks that hold last rows are decoded. Memory grows
// with the instruments.
#pragma once

#include "engine/scan.h"
#include "engine/text_arena.h"

struct k2_last_request {
    // Table, snapshot, range and instruments as for a scan; `columns`: of fixed kinds, at most 256.
    // What concerns order, limit and place is not looked at.
    struct k2_scan_request rows;
};

struct k2_last_row {
    struct k2_slice exchange, symbol;
    int64_t time_ns;
    const int64_t *values; // by place in rows.columns
    const bool *valid;     // false: null
};

struct k2_last_rows {
    uint64_t snapshot;        // what was read
    struct k2_last_row *rows; // by (exchange, symbol) bytes
    size_t row_count;
    int64_t *values; // of all rows
    bool *valid;
    struct k2_text_arena *texts;
};

// K2_BAD_REQUEST: a column of texts. Free the result with k2_last_rows_deinit, also after a
// failure.
K2_MUST_CHECK enum k2_status k2_last_rows_find(struct k2_engine *engine,
                                               const struct k2_last_request *request,
                                               struct k2_last_rows *result, struct k2_error *error);
void k2_last_rows_deinit(struct k2_last_rows *result); // also a zeroed one
