// Candles: what each instrument did in each interval of time, as of a snapshot.
//
// Of one or two price columns (trades: price; quotes: bid, ask), and of a quantity if there is one.
// First and last are by (timestamp, epoch, sequence). Intervals are aligned to 1970-01-01 UTC;
// those without a row are left out. Memory is bounded by what is asked for, unless more instruments
// than fit have a candle in one interval. Exact.
#pragma once

#include "engine/scan.h"
#include "engine/wide_sum.h"

enum { K2_CANDLE_PRICES = 2, K2_CANDLE_VWAP_SCALE = 8 };

enum k2_candle_order {
    K2_CANDLES_BY_TIME = 0,            // (interval, exchange, symbol), texts by their bytes
    K2_CANDLES_BY_TIME_DESCENDING = 1, // the exact reverse
    // (exchange, symbol, interval) within spans of time of K2's choice: fastest. Spans go up, and
    // no interval is in two of them.
    K2_CANDLES_AS_FOUND = 2,
};

struct k2_candle_price {
    bool found; // false: no row of the interval had one
    int64_t open, high, low, close;
};

struct k2_candle {
    struct k2_slice exchange, symbol; // borrowed from the candles until they are closed
    int64_t start_ns, end_ns;         // start <= t < end; INT64_MAX: behind all times
    uint64_t row_count;
    struct k2_candle_price prices[K2_CANDLE_PRICES];
    k2_int128 volume; // of the quantities that are not null; scale of the column
    bool has_vwap;    // false: no volume, or beyond what a decimal holds
    int64_t vwap;     // of prices[0], with K2_CANDLE_VWAP_SCALE places, half to even
};

struct k2_candle_request {
    // Table, snapshot, range, instruments and memory_bytes (default 48 MiB) as for a scan. Columns,
    // order, limit and place are not looked at.
    struct k2_scan_request rows;
    int64_t interval_ns; // at least a second; divides a day, or is a number of days
    enum k2_candle_order order;
    size_t price_count;              // 1 or 2
    size_t prices[K2_CANDLE_PRICES]; // columns, as indexes of the table's schema
    bool has_quantity;
    size_t quantity;
};

struct k2_candles; // opaque; belongs to one thread at a time

// K2_BAD_REQUEST: an interval that does not fit days, or columns that are no integers or decimals.
K2_MUST_CHECK enum k2_status k2_candles_start(struct k2_candles **candles, struct k2_engine *engine,
                                              const struct k2_candle_request *request,
                                              struct k2_error *error);
void k2_candles_finish(struct k2_candles *candles);

uint64_t k2_candles_snapshot_of(const struct k2_candles *candles); // what they are of

// The next candles: an array, borrowed until the next call; `*count` 0 is the end. K2_CORRUPT: what
// was given before is no answer.
K2_MUST_CHECK enum k2_status k2_candles_more(struct k2_candles *candles,
                                             const struct k2_candle **items, size_t *count,
                                             struct k2_error *error);
