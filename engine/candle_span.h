// The candles of one span of time while they are made: partial ones, as the row groups give them,
// and their order. For candles.c only.
#pragma once

#include "engine/block_reader.h"
#include "engine/candles.h"
#include "engine/scan_groups.h"

// The prices of a partial candle, by one column.
struct k2_partial_price {
    int64_t open, high, low, close;
    int64_t first_ns, last_ns;    // of the rows with a price
    uint32_t first_row, last_row; // in the group of the candle; K2_NO_ROW: there was no price
    uint32_t first_group, last_group;
};

#define K2_NO_ROW UINT32_MAX

// The rows of one interval that follow each other in one row group.
struct k2_partial_candle {
    int64_t start_ns;
    uint64_t row_count;
    k2_int128 volume, weight; // weight: of the rows that have the first price, too
    struct k2_wide_sum amount;
};

// Partial candles of one instrument in one row group, ascending.
struct k2_candle_run {
    uint32_t number; // in the name set
    uint32_t first, count;
};

struct k2_candle_span {
    struct k2_group_set *set;
    const struct k2_bitpack_kernels *kernels;
    struct k2_block_reader blocks; // time, prices, quantity
    size_t price_count;
    bool has_quantity;
    int64_t interval_ns;
    size_t most; // candles that may be held

    struct k2_partial_candle *partials;
    struct k2_partial_price *prices; // price_count for each of them
    size_t partial_count, partial_capacity;
    struct k2_candle_run *runs;
    size_t run_count, run_capacity;
    int64_t run_end_ns;      // no row of the newest run is later
    enum k2_factors factors; // price and quantity of the group at hand
    uint32_t group;          // its index
    bool entered;            // by k2_candle_span_add_entry: it is open
    uint32_t *run_order;     // runs by name
    uint32_t *run_of;        // by partial
    uint64_t *refs, *spare;  // partials in order: (interval, place); one of both is `order`
    const uint64_t *order;   // NULL: they are in order, run after run of run_order
    unsigned place_bits;
    size_t ref_capacity;
};

void k2_candle_span_deinit(struct k2_candle_span *span); // also a zeroed one

void k2_candle_span_clear(struct k2_candle_span *span);

// Adds the rows of a group. `*fits` false: they are more than may be held, and `may_grow` is false.
K2_MUST_CHECK enum k2_status k2_candle_span_add(struct k2_candle_span *span, size_t group_index,
                                                const struct k2_scan_span *range, bool may_grow,
                                                bool *fits, struct k2_error *error);

// Adds the rows of one entry, which the group set's cursor need not have been opened for. The group
// stays open until one of another group is added or k2_candle_span_leave.
K2_MUST_CHECK enum k2_status k2_candle_span_add_entry(struct k2_candle_span *span,
                                                      size_t group_index,
                                                      const struct k2_wanted_entry *wanted,
                                                      const struct k2_scan_span *range,
                                                      struct k2_error *error);
void k2_candle_span_leave(struct k2_candle_span *span);

// Puts the partial candles in order: by interval and name, or by name and interval.
K2_MUST_CHECK enum k2_status k2_candle_span_sort(struct k2_candle_span *span,
                                                 struct k2_name_set *names, bool by_time,
                                                 struct k2_error *error);

// The partial candle at `index` in order, by its place, and its instrument's number. Only with
// span->order.
static inline size_t k2_candle_span_at(const struct k2_candle_span *span, size_t index,
                                       uint32_t *number)
{
    size_t place = span->order[index] & (((uint64_t)1 << span->place_bits) - 1);
    *number = span->runs[span->run_of[place]].number;
    return place;
}

// Joins the partial candle at `other`, of the same instrument and interval, to the one at `place`.
K2_MUST_CHECK enum k2_status k2_candle_span_join(struct k2_candle_span *span, size_t place,
                                                 size_t other, struct k2_error *error);
