// Files of rows (CSV, NDJSON, or what a map file describes) as batches of one table.
//
// open, next until `end`, close. A row that can not be represented is told to `reject` and the rest
// goes on. Bounded memory. Belongs to one thread.
#pragma once

#include "engine/commit.h"
#include "format/segment/row_group.h"
#include "ingest/column_map.h"

enum k2_row_format {
    K2_ROW_FORMAT_AUTO = 0, // NDJSON if the first byte of the member is `{`, else CSV
    K2_ROW_FORMAT_CSV,
    K2_ROW_FORMAT_NDJSON,
};

// A row that is not in any batch. Everything is borrowed until the call returns.
struct k2_row_reject {
    const char *file;
    uint64_t line;       // on which the row begins, from 1
    const char *reason;  // a short code: bad_decimal, bad_timestamp, missing_value, ...
    const char *detail;  // the same in words, with the column
    struct k2_slice raw; // at most 1 MiB
};

struct k2_row_source_options {
    const struct k2_schema *schema; // borrowed until close, like all below
    const char *const *paths;       // `-` is stdin
    size_t path_count;
    const char *exchange, *symbol; // for rows that do not name them, or NULL
    const char *asset_class, *currency;
    const struct k2_column_map *map; // or NULL: a header, or keys, of column names
    enum k2_row_format format;
    bool ignore_unknown;    // fields that are no column are skipped, not an error
    bool deletes;           // rows name what to delete, unless their field `_op` says `put`
    size_t ordinal_ceiling; // remembered (instrument, time) pairs; 0: the default

    // Gives the id of an instrument (k2_instrument_intern). NULL: the source numbers them from 1,
    // see k2_row_source_name.
    enum k2_status (*intern)(void *context, struct k2_slice exchange, struct k2_slice symbol,
                             uint32_t *instrument, struct k2_error *error);
    void *intern_context;

    // A failure ends k2_row_source_next with it. NULL: rejects are only counted.
    enum k2_status (*reject)(void *context, const struct k2_row_reject *row,
                             struct k2_error *error);
    void *reject_context;
};

struct k2_row_source; // opaque

// Looks whether all files are there and reads the first header. K2_NOT_FOUND names the file;
// K2_BAD_REQUEST names a column that is unknown or missing.
K2_MUST_CHECK enum k2_status k2_row_source_open(struct k2_row_source **source,
                                                const struct k2_row_source_options *options,
                                                struct k2_error *error);
void k2_row_source_close(struct k2_row_source *source);

// Adds rows to the empty `batch` until it is full, its texts exceed 64 MiB, or the file ends: the
// rows of a batch come from one file and have one numbering. Each row has its line as position and
// its raw bytes as payload. `*end` is true when nothing is left; the batch may have rows then.
K2_MUST_CHECK enum k2_status k2_row_source_next(struct k2_row_source *source,
                                                struct k2_row_batch *batch, bool *end,
                                                struct k2_error *error);

// Of the last batch. The name holds until the next k2_row_source_next.
const char *k2_row_source_file(const struct k2_row_source *source);
enum k2_numbering k2_row_source_numbering(const struct k2_row_source *source);

// Since open. rows_read = rows of batches + rejected.
uint64_t k2_row_source_rows_read(const struct k2_row_source *source);
uint64_t k2_row_source_rejected(const struct k2_row_source *source);
uint64_t k2_row_source_total_bytes(const struct k2_row_source *source); // 0: not known
uint64_t k2_row_source_done_bytes(const struct k2_row_source *source);

// The names of an instrument that a batch had, where options.intern was NULL; borrowed from the
// source.
struct k2_instrument_name k2_row_source_name(const struct k2_row_source *source,
                                             uint32_t instrument);
