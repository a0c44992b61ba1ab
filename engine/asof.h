// As-of join: each row of one table with the last row of the same instrument in another table whose
// time is not later, by (timestamp, epoch, sequence).
//
// Both tables are read as of one snapshot, side by side, in order of time; what is kept is the last
// row of each instrument. Memory is that of two scans and of those rows. Belongs to one thread.
#pragma once

#include "engine/scan.h"

struct k2_asof_column {
    bool right;
    size_t column; // index in the schema of its table
};

// Zero is the default of every field. All pointers are borrowed during k2_asof_open only.
struct k2_asof_request {
    // Which rows. Its columns are not used; its order is TIME, or STORED: one instrument after the
    // other, each in order of time, which is faster. K2_BAD_REQUEST for DESCENDING.
    struct k2_scan_request left;
    const struct k2_table *right;
    const struct k2_asof_column *columns; // NULL: all of the left table, then all of the right one
    size_t column_count;
};

struct k2_asof; // opaque

K2_MUST_CHECK enum k2_status k2_asof_open(struct k2_engine *engine,
                                          const struct k2_asof_request *request,
                                          struct k2_asof **asof, struct k2_error *error);
void k2_asof_close(struct k2_asof *asof);

uint64_t k2_asof_snapshot(const struct k2_asof *asof);

// The next rows: 1 to K2_VECTOR_ROWS, 0 at the end. Columns of the right table are null where it
// has no such row. As k2_scan_next.
K2_MUST_CHECK enum k2_status k2_asof_next(struct k2_asof *asof, const struct k2_vector **columns,
                                          size_t *row_count, struct k2_error *error);
