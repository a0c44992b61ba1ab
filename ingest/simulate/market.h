// A made-up market: trades or quotes of many symbols, the same rows for the same options anywhere.
//
// Integer arithmetic only. Symbols have Zipf-skewed activity; prices walk in ticks; a quarter of
// the rows come in bursts, as one order takes several: of one side, most of them at the same
// nanosecond. The rest has gaps of about 30 bits within its symbol at 1,000 symbols; receive times
// have 18 bits of noise. Event times rise, except of rows that come late on request. Belongs to one
// thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "format/base/buffer.h"

// Zero is the default of every field.
struct k2_market_options {
    uint64_t seed;
    uint64_t row_count;
    uint32_t symbol_count;           // default 1,000; at most 100,000
    int64_t start_ns;                // default 2024-01-02T14:30:00Z
    bool quotes;                     // else trades
    uint32_t gaps_per_million;       // places where 1 to 10 sequences of a symbol are missing
    uint32_t late_per_million;       // rows that come 1,000 rows late
    uint32_t duplicates_per_million; // rows that come again, 1,000 rows later
};

struct k2_market_row {
    const char *symbol; // borrowed from the market
    int64_t time_ns, received_ns;
    int64_t sequence;                                         // of the symbol, from 1
    uint64_t id;                                              // of the whole market, from 1
    bool sell;                                                // trades
    int64_t price, quantity;                                  // 8 places; trades
    int64_t bid_price, bid_quantity, ask_price, ask_quantity; // 8 places; quotes
};

struct k2_market; // opaque

#define K2_MARKET_EXCHANGE "SIM"
#define K2_MARKET_CURRENCY "USD"

K2_MUST_CHECK enum k2_status k2_market_create(struct k2_market **market,
                                              const struct k2_market_options *options,
                                              struct k2_error *error);
void k2_market_destroy(struct k2_market *market);

// The next row; false after the last.
bool k2_market_next(struct k2_market *market, struct k2_market_row *row);

// Appends CSV as `k2 load` reads it; check `out` for failure.
void k2_market_put_csv_header(const struct k2_market *market, struct k2_buffer *out);
void k2_market_put_csv(const struct k2_market *market, const struct k2_market_row *row,
                       struct k2_buffer *out);
