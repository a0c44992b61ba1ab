// Rows of one table as of a snapshot, in vectors of at most 1,024 rows.
//
// A scan goes in windows of time, each planned anew, so that its memory, mappings and descriptors
// stay bounded however long it takes. Commits, compaction and garbage collection beside it do not
// change its answer. A scan belongs to one thread at a time; several may run on one engine.
#pragma once

#include "engine/engine.h"
#include "format/segment/vector.h"

enum k2_order {
    K2_ORDER_TIME = 0,            // (timestamp, exchange, symbol, epoch, sequence), texts by bytes
    K2_ORDER_TIME_DESCENDING = 1, // the exact reverse
    K2_ORDER_STORED = 2,          // as it lies in the segments: fastest, for sums and candles
};

struct k2_scan_instrument {
    struct k2_slice exchange, symbol; // exactly as stored
};

// A row's place in the total order.
struct k2_scan_key {
    int64_t time_ns;
    struct k2_slice exchange, symbol;
    int64_t epoch, sequence;
};

// Zero is the default of every field. All pointers are borrowed during k2_scan_open only.
struct k2_scan_request {
    const struct k2_table *table;
    uint64_t snapshot; // 0: the newest at opening
    bool has_start, has_end;
    int64_t start_ns, end_ns;                     // start <= t < end
    const struct k2_scan_instrument *instruments; // NULL: all; else only these (may be 0 of them)
    size_t instrument_count;
    const size_t *columns; // indexes of the table's schema, in the order wanted; NULL: all
    size_t column_count;
    enum k2_order order;
    uint64_t limit;                  // 0: none
    const struct k2_scan_key *after; // NULL, or continue behind this row (not with STORED)
    bool with_commit; // one more vector behind the columns: the snapshot that brought each row
    // Only rows that a later snapshot than this brought, 0: all; with K2_ORDER_STORED alone.
    uint64_t commit_after;
    bool every_version;  // also replaced rows and deletions; with_commit, and two more vectors
                         // behind it: `_op` (enum k2_row_op) and `_until`
    bool unsorted_only;  // only what no rewrite has sorted yet
    bool fresh;          // check everything anew: for whoever writes what was read
    size_t memory_bytes; // ceiling of the window's row data, default 8 to 32 MiB
};

struct k2_scan; // opaque

K2_MUST_CHECK enum k2_status k2_scan_open(struct k2_engine *engine,
                                          const struct k2_scan_request *request,
                                          struct k2_scan **scan, struct k2_error *error);
void k2_scan_close(struct k2_scan *scan);

// The snapshot that the scan reads.
uint64_t k2_scan_snapshot(const struct k2_scan *scan);

// The next rows: `*columns` is an array in the order of request->columns, borrowed until the next
// call. `*row_count` 0 is the end. K2_CORRUPT: what was given before is no answer.
K2_MUST_CHECK enum k2_status k2_scan_next(struct k2_scan *scan, const struct k2_vector **columns,
                                          size_t *row_count, struct k2_error *error);
