// Candles by what their users write: texts to a request, and candles to bytes.
//
// Behind `k2 candles`. A query belongs to one thread at a time and is pulled, as a range query.
#pragma once

#include "engine/candles.h"
#include "query/encode/row_encoder.h"
#include "query/range_text.h"

struct k2_candle_query_request {
    // As for rows; fields, cursor are not looked at. Borrowed during open only.
    struct k2_range_text texts[K2_RANGE_PARAMETER_COUNT];
    struct k2_range_text interval;      // `1s`, `5m`, `1h`, `1d`, ...; needed
    const struct k2_row_format *format; // unless format= is given
};

struct k2_candle_query; // opaque

// K2_BAD_REQUEST begins with the name of the parameter; K2_NOT_FOUND: no such table or snapshot.
K2_MUST_CHECK enum k2_status k2_candle_query_open(struct k2_candle_query **query,
                                                  struct k2_engine *engine,
                                                  const struct k2_candle_query_request *request,
                                                  struct k2_error *error);
void k2_candle_query_close(struct k2_candle_query *query);

// As k2_range_query_next. K2_LIMIT: a volume that takes more than the 18 digits of a decimal.
K2_MUST_CHECK enum k2_status k2_candle_query_next(struct k2_candle_query *query,
                                                  size_t enough_bytes, struct k2_buffer *out,
                                                  bool *done, struct k2_error *error);

uint64_t k2_candle_query_rows(const struct k2_candle_query *query); // given so far
uint64_t k2_candle_query_snapshot(const struct k2_candle_query *query);
const struct k2_row_format *k2_candle_query_format(const struct k2_candle_query *query);

// `15m` to nanoseconds: a number and s, m, h or d. False for anything else.
bool k2_candle_interval_parse(struct k2_slice text, int64_t *interval_ns);
