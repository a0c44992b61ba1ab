// Gaps of one table by what users write: behind `k2 gaps` and /v1/gaps.
//
// Belongs to one thread at a time and is pulled. The engine outlives it.
#pragma once

#include "engine/gap_list.h"
#include "query/encode/row_encoder.h"
#include "query/range_text.h"

struct k2_gap_query_request {
    // Table, exchange, symbol, canonical, start, end, as of, limit, cursor, format and time count;
    // borrowed during open only.
    struct k2_range_text texts[K2_RANGE_PARAMETER_COUNT];
    bool open_only;                     // leave out what was closed by then
    const struct k2_row_format *format; // unless format= is given
    uint64_t limit, limit_max;          // unless limit= is given; 0: none
};

struct k2_gap_query_summary {
    uint64_t snapshot, rows, limit;
    bool has_more;
};

struct k2_gap_query; // opaque

// K2_BAD_REQUEST begins with the name of the parameter; K2_NOT_FOUND: no such table or snapshot.
K2_MUST_CHECK enum k2_status k2_gap_query_open(struct k2_gap_query **query,
                                               struct k2_engine *engine,
                                               const struct k2_gap_query_request *request,
                                               struct k2_error *error);
void k2_gap_query_close(struct k2_gap_query *query);

// Appends to `out` until it holds `enough_bytes` or a little more, or `*done`.
K2_MUST_CHECK enum k2_status k2_gap_query_next(struct k2_gap_query *query, size_t enough_bytes,
                                               struct k2_buffer *out, bool *done,
                                               struct k2_error *error);

struct k2_gap_query_summary k2_gap_query_summary(const struct k2_gap_query *query);

// The cursor of the gaps behind the limit: a past state stays, so it counts. Once done and
// has_more.
enum { K2_GAP_CURSOR_BYTES = 64 };
void k2_gap_query_cursor(const struct k2_gap_query *query, char text[K2_GAP_CURSOR_BYTES]);

// Appends a JSON array of at most `most` open gaps as of the snapshot that touch the range of
// `request`.
K2_MUST_CHECK enum k2_status k2_gap_query_put_open(struct k2_engine *engine,
                                                   const struct k2_gap_list_request *request,
                                                   size_t most, bool time_ns, struct k2_buffer *out,
                                                   struct k2_error *error);
