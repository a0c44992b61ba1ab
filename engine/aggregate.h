// Counts, sums, extremes and weighted averages of columns by instrument, as of a snapshot.
//
// Exact: sums have 128 bits, sums of products 192. What the statistics of the segments know is not
// decoded. Memory grows with the instruments (about 100 bytes and 64 a column each), not with the
// rows.
#pragma once

#include "engine/scan.h"
#include "engine/text_arena.h"
#include "engine/wide_sum.h"

enum k2_aggregate_wants {
    K2_AGGREGATE_SUM = 1,   // value_count and sum
    K2_AGGREGATE_RANGE = 2, // min and max
};

struct k2_aggregate_request {
    // Table, snapshot, range and instruments as for a scan; `columns` are those to aggregate: fixed
    // kinds but float64. What concerns order, limit and place is not looked at.
    struct k2_scan_request rows;
    unsigned wants; // enum k2_aggregate_wants
    // Sum of products of two of the columns, by their places in rows.columns: price and quantity.
    bool has_product;
    size_t price, quantity;
};

struct k2_column_total {
    uint64_t value_count; // not null
    k2_int128 sum;
    int64_t min, max; // min > max: no value
};

struct k2_aggregate {
    struct k2_slice exchange, symbol;
    uint64_t row_count;
    struct k2_column_total *columns; // by place in rows.columns
    // Of the rows in which neither factor is null.
    struct k2_wide_sum amount; // sum(price * quantity)
    k2_int128 weight;          // sum(quantity)
};

struct k2_aggregates {
    uint64_t snapshot;          // what was read
    struct k2_aggregate *items; // instruments with at least one row, by (exchange, symbol) bytes
    size_t item_count, column_count;
    struct k2_column_total *columns; // of all items
    struct k2_text_arena *texts;
};

// K2_BAD_REQUEST: a column that can not be added. Free the result with k2_aggregates_deinit, also
// after a failure.
K2_MUST_CHECK enum k2_status k2_aggregates_run(struct k2_engine *engine,
                                               const struct k2_aggregate_request *request,
                                               struct k2_aggregates *result,
                                               struct k2_error *error);
void k2_aggregates_deinit(struct k2_aggregates *result); // also a zeroed one
