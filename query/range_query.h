// Rows of one table by what its users write: texts to a scan, and the scan to bytes.
//
// Behind `k2 query` and the HTTP end points of rows. A query belongs to one thread at a time and is
// pulled: it reads no further than the bytes that were asked for. The engine outlives it.
#pragma once

#include "engine/asof.h"
#include "engine/completeness.h"
#include "engine/scan.h"
#include "query/encode/row_encoder.h"
#include "query/range_text.h"

struct k2_range_request {
    struct k2_range_text texts[K2_RANGE_PARAMETER_COUNT]; // borrowed during open only
    const struct k2_row_format *format;                   // unless format= is given
    enum k2_order order;                                  // unless order= is given
    uint64_t limit;                                       // unless limit= is given; 0: none
    uint64_t page_limit;     // of a paged answer: the limit of format json, and its ceiling
    uint64_t page_limit_max; // 0: answers are not paged
    size_t memory_bytes;     // ceiling of the scan's row data; 0: its default
    bool with_quotes;        // as-of join: each row with the quote in force at it
    bool large_groups;       // of Parquet: row groups for files, else for answers that stream
};

// What is known about the answer; rows and has_more are final at the end.
struct k2_range_summary {
    const struct k2_row_format *format;
    const struct k2_table *table;
    uint64_t snapshot;
    uint64_t limit; // 0: none
    uint64_t rows;
    bool paged;
    bool has_more;                       // paged answers: rows follow behind the limit
    struct k2_completeness completeness; // of the whole range, whatever the limit
};

struct k2_range_query; // opaque

// K2_BAD_REQUEST begins with the name of the parameter; K2_NOT_FOUND: no such table or snapshot.
K2_MUST_CHECK enum k2_status k2_range_query_open(struct k2_range_query **query,
                                                 struct k2_engine *engine,
                                                 const struct k2_range_request *request,
                                                 struct k2_error *error);
void k2_range_query_close(struct k2_range_query *query);

// Appends to `out` until it holds `enough_bytes` or a little more, or `*done`. The whole text of
// the answer has come when `*done` is true; after a failure what came before is no answer.
K2_MUST_CHECK enum k2_status k2_range_query_next(struct k2_range_query *query, size_t enough_bytes,
                                                 struct k2_buffer *out, bool *done,
                                                 struct k2_error *error);

struct k2_range_summary k2_range_query_summary(const struct k2_range_query *query);

// Appends members of the answer's `meta`: complete, reason, known_from, known_until, gaps (at most
// 100, `gap_count` says how many there are).
K2_MUST_CHECK enum k2_status k2_range_query_put_meta(const struct k2_range_query *query,
                                                     struct k2_buffer *out, struct k2_error *error);

// Appends the cursor of the rows behind this page; only with has_more.
K2_MUST_CHECK enum k2_status k2_range_query_cursor(const struct k2_range_query *query,
                                                   struct k2_buffer *out, struct k2_error *error);
