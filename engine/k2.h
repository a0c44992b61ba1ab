// libk2: reads and writes K2 stores from C programs. See tools/examples/vwap.c for a whole program.
//
// C99 and C++. Link with `pkg-config --cflags --libs k2`.
//
// Failure: calls that can fail return enum k2_status (format/base/status.h), K2_OK = 0; the last
//   parameter takes the text and may be NULL. A failed open leaves its handle NULL.
// Ownership: what has an open is yours to close; close accepts NULL. Texts and arrays that a call
//   gives are borrowed from the handle it was asked from, and valid as long as the comment says.
// Threads: one k2_db may be read from by many threads at once. A cursor or an appender belongs to
//   one thread at a time, and a k2_db has at most one appender. A k2_db does not survive fork().
// Processes: any number may read a store while one writes it. A process opens a store once.
// Units: times are nanoseconds since 1970-01-01 UTC, ranges are half-open. Prices and quantities
//   are integers: value * 10^-scale, exactly as they came; no double is involved.
// Stability: functions are only added within libk2.so.0; structs begin with their size and grow at
//   the end. Zero is the default of every other field.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/base/status.h"

#if defined(__GNUC__)
#define K2_API __attribute__((visibility("default")))
#else
#define K2_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

struct k2_db;       // an open store
struct k2_cursor;   // the rows of a query, on their way
struct k2_appender; // rows that a writing program collects for its next commit

K2_API const char *k2_version(void); // "0.1.0"

// Also exported: k2_status_name, see format/base/status.h.

// -- stores and tables ------------------------------------------------------------------------

enum k2_db_mode {
    K2_DB_READ = 0,   // beside a writing process, too
    K2_DB_WRITE = 1,  // K2_BUSY names the process that writes already
    K2_DB_CREATE = 2, // like WRITE; makes the store if it is not there
};

// K2_NOT_FOUND: there is no store. K2_CORRUPT: it is damaged, see `k2 repair`.
K2_API K2_MUST_CHECK enum k2_status k2_db_open(struct k2_db **db, const char *path,
                                               enum k2_db_mode mode, struct k2_error *error);
// Cursors and appenders of it are closed before.
K2_API void k2_db_close(struct k2_db *db);

// What the handle keeps of what was read, for the next reads; what is in use comes on top. At
// opening it is 1 GiB and 48 MiB. `mapped_bytes` are row groups that stay mapped: pages of the
// store's files, which count as resident memory of the process, but which the kernel takes back
// when it needs memory. `heap_bytes` are headers and directories of row groups. Lookups in a store
// whose groups fit open none of them twice. Any thread may call it.
K2_API void k2_db_set_cache(struct k2_db *db, size_t mapped_bytes, size_t heap_bytes);

// The name of the table with that index, NULL behind the last one. Valid until k2_db_close.
K2_API const char *k2_db_table(const struct k2_db *db, size_t index);

// Learns of tables and columns that other processes have added. Not while another thread uses `db`.
K2_API K2_MUST_CHECK enum k2_status k2_db_refresh(struct k2_db *db, struct k2_error *error);

enum k2_type { // how values are held, and what they mean
    K2_TYPE_INT8 = 1,
    K2_TYPE_INT16 = 2,
    K2_TYPE_INT32 = 3,
    K2_TYPE_INT64 = 4,
    K2_TYPE_DECIMAL = 5,   // value * 10^-scale
    K2_TYPE_TIMESTAMP = 6, // ns
    K2_TYPE_BOOL = 7,      // 0 or 1
    K2_TYPE_FLOAT64 = 8,   // the bits of the double
    K2_TYPE_SYMBOLIC = 9,  // a text, one of few; this one and those below are texts
    K2_TYPE_TEXT = 10,
    K2_TYPE_UUID = 11, // 16 raw bytes
    K2_TYPE_JSON = 12, // compact JSON text
};

struct k2_column_info {
    const char *name; // valid until k2_db_close
    enum k2_type type;
    unsigned scale; // decimals only
    bool nullable;
};

// `*found` is false behind the last column. Columns 0 to 4 of any table are exchange, symbol,
// timestamp, epoch and sequence: together they are the key of a row.
K2_API K2_MUST_CHECK enum k2_status k2_db_column(const struct k2_db *db, const char *table,
                                                 size_t index, bool *found,
                                                 struct k2_column_info *info,
                                                 struct k2_error *error);

// -- past states ------------------------------------------------------------------------------

// A snapshot is the state after one commit, and its number names it for ever: a query as of it
// gives the same rows whatever is committed or compacted since. `text` is a number, a time (the
// last commit at or before it), a tag, or NULL for the newest state.
// K2_NOT_FOUND: there is none; an empty store has none.
K2_API K2_MUST_CHECK enum k2_status k2_db_snapshot(struct k2_db *db, const char *text,
                                                   uint64_t *snapshot, struct k2_error *error);

// -- reading ----------------------------------------------------------------------------------

struct k2_symbol {
    const char *exchange; // NULL: on every exchange
    const char *symbol;   // NULL: all of the exchange; both exactly as stored
};

enum k2_cursor_order {
    K2_CURSOR_TIME = 0, // (timestamp, exchange, symbol, epoch, sequence), texts by their bytes
    K2_CURSOR_TIME_DESCENDING = 1,
    K2_CURSOR_STORED = 2, // as it lies in the files: fastest, where order does not matter
};

struct k2_query {
    size_t size_bytes; // sizeof(struct k2_query)
    const char *table;
    uint64_t snapshot;          // 0: the newest state when the cursor opens
    const char *const *columns; // names, in the order wanted; NULL: all
    size_t column_count;
    const struct k2_symbol *symbols; // NULL: all instruments; else these, possibly none
    size_t symbol_count;
    bool has_start, has_end;
    int64_t start_ns, end_ns; // start <= timestamp < end
    enum k2_cursor_order order;
    uint64_t limit;      // 0: none
    size_t memory_bytes; // ceiling of the rows held at once; 0: 8 to 32 MiB
};

// The query and all it points to may go after the call.
K2_API K2_MUST_CHECK enum k2_status k2_cursor_open(struct k2_cursor **cursor, struct k2_db *db,
                                                   const struct k2_query *query,
                                                   struct k2_error *error);
K2_API void k2_cursor_close(struct k2_cursor *cursor);

K2_API uint64_t k2_cursor_snapshot(const struct k2_cursor *cursor); // what it reads

// The next 1 to 1,024 rows, 0 behind the last. After a failure the rows given so far are no answer.
K2_API K2_MUST_CHECK enum k2_status k2_cursor_next(struct k2_cursor *cursor, size_t *row_count,
                                                   struct k2_error *error);

struct k2_text {
    const char *data; // not terminated
    size_t size_bytes;
};

// The rows at hand, by index of query.columns; valid until the next k2_cursor_next or close.
// Values are 64-byte aligned. NULL when the column is of the other kind (see enum k2_type).
K2_API const int64_t *k2_cursor_values(const struct k2_cursor *cursor, size_t column);
K2_API const struct k2_text *k2_cursor_texts(const struct k2_cursor *cursor, size_t column);
// One byte a row, 0 = null; NULL when none of these rows is null.
K2_API const uint8_t *k2_cursor_valid(const struct k2_cursor *cursor, size_t column);
// `column` must be less than the number of columns asked for.
K2_API struct k2_column_info k2_cursor_column(const struct k2_cursor *cursor, size_t column);
K2_API size_t k2_cursor_column_count(const struct k2_cursor *cursor);

struct k2_asof_query {
    size_t size_bytes;    // sizeof(struct k2_asof_query)
    struct k2_query left; // its order is TIME, or STORED: one instrument after the other, which is
                          // faster. Its range and limit are those of the left rows.
    const char *right_table;
    const char *const *right_columns; // names; NULL: all
    size_t right_column_count;
};

// As-of join: each row of the left table with the last row of the same instrument in the right one
// whose time is not later, by (timestamp, epoch, sequence), however long before; both as of one
// snapshot. The cursor's columns are the left ones, then the right ones, which are null where there
// is no such row; a right column whose name the left ones have is named TABLE_column.
K2_API K2_MUST_CHECK enum k2_status k2_cursor_open_asof(struct k2_cursor **cursor, struct k2_db *db,
                                                        const struct k2_asof_query *query,
                                                        struct k2_error *error);

struct ArrowArrayStream; // see k2_arrow.h, which has the structs of Arrow's C interfaces

struct k2_export_options {  // NULL stands for zeros
    size_t size_bytes;      // sizeof(struct k2_export_options)
    bool decimals_as_int64; // unscaled, with the scale in the field's metadata `k2.scale`; else
                            // decimal128(18, scale)
    bool times_as_int64;    // else timestamp(ns, UTC)
    size_t batch_rows;      // at most, of a batch; 0: 65,536, which is the most
};

// Makes a stream of Arrow batches of the rows that follow. On K2_OK the stream owns the cursor,
// `*cursor` is NULL, and `out->release` closes it, before the store is closed. Symbolic columns are
// dictionaries of int32, texts and JSON utf8, uuids fixed_size_binary(16).
//
// The stream belongs to one thread at a time. A batch owns its memory: any thread may read and
// release it, also after the stream and the store are gone. get_next and get_schema give ENOMEM,
// EINVAL or EIO, and get_last_error the text; after EIO the batches given so far are no answer.
K2_API K2_MUST_CHECK enum k2_status k2_cursor_export_stream(struct k2_cursor **cursor,
                                                            const struct k2_export_options *options,
                                                            struct ArrowArrayStream *out,
                                                            struct k2_error *error);

// -- is it all? -------------------------------------------------------------------------------

enum k2_coverage_state {
    K2_COVERAGE_UNKNOWN = 0,  // a source does not count every event, so nobody can tell
    K2_COVERAGE_GAPS = 1,     // rows of the range are missing
    K2_COVERAGE_COMPLETE = 2, // none is, as far as the sources were heard
};

struct k2_coverage {
    size_t size_bytes; // sizeof(struct k2_coverage)
    enum k2_coverage_state state;
    const char *reason; // `gap`, `retention`, `not_dense`, ...; NULL when complete; static
    uint64_t snapshot;  // as of which this holds
    uint64_t gap_count; // ranges of missing numbers that may have rows in the query's range
    bool has_known;     // are the next two known?
    int64_t known_from_ns, known_until_ns; // between them all sources of the query were heard
};

// What is known of the instruments and the range of `query`, at query->snapshot (0: the newest
// state; for a cursor's rows give k2_cursor_snapshot). Columns, order and limit do not matter.
K2_API K2_MUST_CHECK enum k2_status k2_query_coverage(struct k2_db *db,
                                                      const struct k2_query *query,
                                                      struct k2_coverage *coverage,
                                                      struct k2_error *error);

// -- sums and candles -------------------------------------------------------------------------

// A whole number of 128 bits: high * 2^64 + low.
struct k2_wide {
    uint64_t low;
    int64_t high;
};

struct k2_sums; // what the rows of a query add up to, by instrument

struct k2_sum_query {
    size_t size_bytes; // sizeof(struct k2_sum_query)
    // Its columns are those to add up: integers, decimals, times. Order and limit do not matter.
    const struct k2_query *rows;
    // NULL, or names among those columns: sum(price * quantity) / sum(quantity) is wanted, too.
    const char *price, *quantity;
};

// Reads all rows that the query means; columns of which only sums are wanted are mostly answered
// from statistics. K2_BAD_REQUEST: a column that can not be added up.
K2_API K2_MUST_CHECK enum k2_status k2_sums_open(struct k2_sums **sums, struct k2_db *db,
                                                 const struct k2_sum_query *query,
                                                 struct k2_error *error);
K2_API void k2_sums_close(struct k2_sums *sums);
K2_API uint64_t k2_sums_snapshot(const struct k2_sums *sums); // what was read
// Instruments with at least one row.
K2_API size_t k2_sums_count(const struct k2_sums *sums);

struct k2_sum_item {
    size_t size_bytes;               // sizeof(struct k2_sum_item), set by the caller
    struct k2_text exchange, symbol; // valid until k2_sums_close
    uint64_t row_count;
    bool has_vwap; // false: not asked for, no quantity, or beyond what a decimal holds
    int64_t vwap;  // * 10^-8, rounded half to even
};
// The instrument with that index, less than k2_sums_count; by (exchange, symbol).
K2_API void k2_sums_item(const struct k2_sums *sums, size_t index, struct k2_sum_item *item);

struct k2_sum_total {
    size_t size_bytes;    // sizeof(struct k2_sum_total), set by the caller
    uint64_t value_count; // values that are not null
    struct k2_wide sum;   // of them; scale of the column
    int64_t min, max;     // if there is one
};
// Of one column, by its place in the query.
K2_API void k2_sums_total(const struct k2_sums *sums, size_t index, size_t column,
                          struct k2_sum_total *total);

struct k2_ohlcv_reader; // candles on their way; belongs to one thread at a time

enum k2_ohlcv_order {
    K2_OHLCV_TIME = 0, // (interval, exchange, symbol), texts by their bytes
    K2_OHLCV_TIME_DESCENDING = 1,
    K2_OHLCV_FOUND = 2, // as it is fastest; every candle once
};

struct k2_ohlcv_query {
    size_t size_bytes;           // sizeof(struct k2_ohlcv_query)
    const struct k2_query *rows; // its columns, order and limit do not matter
    int64_t interval_ns;         // at least a second; divides a day, or is a number of days
    const char *const *prices;   // one or two columns: price, or bid and ask
    size_t price_count;
    const char *quantity; // NULL: no volume
    enum k2_ohlcv_order order;
};

// Intervals begin at multiples of the interval since 1970-01-01 UTC; those without a row are left
// out. First and last are by (timestamp, epoch, sequence). The query may go after the call.
K2_API K2_MUST_CHECK enum k2_status k2_ohlcv_open(struct k2_ohlcv_reader **reader, struct k2_db *db,
                                                  const struct k2_ohlcv_query *query,
                                                  struct k2_error *error);
K2_API void k2_ohlcv_close(struct k2_ohlcv_reader *reader);
K2_API uint64_t k2_ohlcv_snapshot(const struct k2_ohlcv_reader *reader); // what it reads

struct k2_ohlcv_price {
    bool found; // false: no row of the interval has this price
    int64_t open, high, low, close;
};

struct k2_ohlcv {
    size_t size_bytes;               // sizeof(struct k2_ohlcv), set by the caller
    struct k2_text exchange, symbol; // valid until k2_ohlcv_close
    int64_t start_ns, end_ns;
    uint64_t row_count;
    struct k2_ohlcv_price prices[2];
    struct k2_wide volume; // scale of the quantity
    bool has_vwap;         // false: no volume
    int64_t vwap;          // of the first price, * 10^-8, rounded half to even
};
// `*found` is false behind the last one. After a failure the candles given so far are no answer.
K2_API K2_MUST_CHECK enum k2_status k2_ohlcv_next(struct k2_ohlcv_reader *reader, bool *found,
                                                  struct k2_ohlcv *candle, struct k2_error *error);

// -- writing ----------------------------------------------------------------------------------

// Collects rows of one table. Nothing is stored before k2_appender_commit.
K2_API K2_MUST_CHECK enum k2_status k2_appender_open(struct k2_appender **appender,
                                                     struct k2_db *db, const char *table,
                                                     struct k2_error *error);
K2_API void k2_appender_close(struct k2_appender *appender); // forgets what is not committed

// Begins a row; its other columns hold their defaults, else null. (exchange, symbol, time_ns,
// epoch, sequence) is its key; the exchange is stored in upper case. K2_LIMIT: 65,536 rows are
// waiting, commit first. K2_REJECTED: a name that can not be stored (exchange 1 to 32 bytes, symbol
// 1 to 255 bytes of UTF-8).
K2_API K2_MUST_CHECK enum k2_status k2_appender_row(struct k2_appender *appender,
                                                    const char *exchange, const char *symbol,
                                                    int64_t time_ns, int64_t epoch,
                                                    int64_t sequence, struct k2_error *error);
// The row with this key is deleted: newer states do not show it any more, older ones do. Columns
// may be set as for a row, and need not. The commit counts a key that is not there as a conflict.
K2_API K2_MUST_CHECK enum k2_status k2_appender_delete(struct k2_appender *appender,
                                                       const char *exchange, const char *symbol,
                                                       int64_t time_ns, int64_t epoch,
                                                       int64_t sequence, struct k2_error *error);
// The index of a column by name, for the calls below. K2_NOT_FOUND.
K2_API K2_MUST_CHECK enum k2_status k2_appender_column(const struct k2_appender *appender,
                                                       const char *name, size_t *column,
                                                       struct k2_error *error);
// Sets a column of the row begun last. K2_BAD_REQUEST: a key column, a column of the other kind, or
// no row. K2_REJECTED: a value that its type can not hold; the column keeps what it had.
K2_API K2_MUST_CHECK enum k2_status k2_appender_value(struct k2_appender *appender, size_t column,
                                                      int64_t value, struct k2_error *error);
K2_API K2_MUST_CHECK enum k2_status k2_appender_text(struct k2_appender *appender, size_t column,
                                                     const char *text, size_t size_bytes,
                                                     struct k2_error *error);

// The number of an instrument for k2_appender_rows, valid until the appender is closed. K2_REJECTED
// as for k2_appender_row.
K2_API K2_MUST_CHECK enum k2_status k2_appender_instrument(struct k2_appender *appender,
                                                           const char *exchange, const char *symbol,
                                                           uint32_t *instrument,
                                                           struct k2_error *error);

// Arrays of k2_rows.row_count items: what a program has in columns needs no call for each row.
struct k2_column_values {
    size_t column;               // of k2_appender_column
    const int64_t *values;       // of a column that takes values, else NULL
    const struct k2_text *texts; // of a column that takes texts, else NULL
    const uint8_t *valid;        // 0: null; NULL: no row is null
};
struct k2_rows {
    size_t size_bytes; // sizeof(struct k2_rows)
    size_t row_count;
    const uint32_t *instruments; // of k2_appender_instrument
    const int64_t *times_ns;
    const int64_t *epochs; // NULL: all 0
    const int64_t *sequences;
    const struct k2_column_values *columns; // the others hold their defaults, else null
    size_t column_count;
};
// Adds rows, in any order: all, or none if it fails. As k2_appender_row and k2_appender_value for
// each; K2_LIMIT: with those that wait already they are more than 65,536. Everything is copied.
K2_API K2_MUST_CHECK enum k2_status
k2_appender_rows(struct k2_appender *appender, const struct k2_rows *rows, struct k2_error *error);

struct k2_commit_result {
    uint64_t snapshot; // the new state, or the newest one when nothing was stored
    size_t stored;
    size_t
        duplicates;   // they change nothing: the same key and content, or a newer version, is there
    size_t conflicts; // rejected: what the table does with a second row of a key (k2 policy), or a
                      // deletion of what is not there
    // Which rows those are, counted from 0 in the order they were added; valid until the next
    // call with the appender.
    const uint32_t *conflict_rows;
};

// Stores the rows collected. On K2_OK they are visible and survive a power cut, and the appender is
// empty. K2_NO_SPACE: nothing was stored, the rows are kept, commit again later. K2_BAD_REQUEST: a
// required column of a row is null. K2_IO: close the appender and the store; what was committed is
// known when it is opened again.
K2_API K2_MUST_CHECK enum k2_status k2_appender_commit(struct k2_appender *appender,
                                                       struct k2_commit_result *result,
                                                       struct k2_error *error);

// -- texts ------------------------------------------------------------------------------------

enum { K2_TIME_TEXT_BYTES = 31, K2_DECIMAL_BYTES = 25 }; // with the NUL

// `2014-03-11T00:00:00.123456789Z`
K2_API void k2_time_to_text(int64_t time_ns, char text[K2_TIME_TEXT_BYTES]);
// ISO 8601 with Z or an offset, a date, or an integer of nanoseconds. K2_BAD_REQUEST.
K2_API K2_MUST_CHECK enum k2_status k2_time_from_text(const char *text, int64_t *time_ns,
                                                      struct k2_error *error);
// Plain exact digits; `scale` at most 18.
K2_API void k2_decimal_to_text(int64_t value, unsigned scale, char text[K2_DECIMAL_BYTES]);
// K2_BAD_REQUEST: not a number, too large, or more places than `scale` that are not zero.
K2_API K2_MUST_CHECK enum k2_status k2_decimal_from_text(const char *text, unsigned scale,
                                                         int64_t *value, struct k2_error *error);

#ifdef __cplusplus
}
#endif
