// One column of a row group on its way into a Parquet file: values to compressed pages.
//
// Numbers take the way that suits the values of the first page; texts begin with a dictionary.
// Where a dictionary does not pay, the column goes on without. Belongs to one thread.
#pragma once

#include "format/base/zstd.h"
#include "format/parquet/parquet_bounds.h"
#include "format/parquet/parquet_dictionary.h"
#include "format/parquet/parquet_field.h"
#include "format/segment/vector.h"

enum {
    K2_PARQUET_PAGE_ROWS = 20000,
    K2_PARQUET_PAGE_BYTES = 1 << 20,
    K2_PARQUET_CHUNK_BYTES = 1 << 30, // ceiling of a column's pages in a row group
};

struct k2_parquet_page {
    size_t offset, size_bytes; // among the chunk's data pages, header included
    size_t first_row, null_count;
    bool all_null;
    bool has_bounds; // false: no value, only NaN, or no text is large enough
    struct k2_parquet_bound min, max;
};

enum { K2_PARQUET_KNOWN = 2048 };

struct k2_parquet_known {
    int64_t value;
    uint32_t entry, round;
};

// What the columns of a writer share. Zeroed is closable.
struct k2_parquet_scratch {
    struct k2_zstd_compressor *compressor;
    struct k2_buffer body, packed, text;
    uint32_t *entries;              // of the dictionary, one for each value of a page of numbers
    struct k2_parquet_known *known; // numbers of this page that were looked up
    uint32_t round;                 // of the page
};
K2_MUST_CHECK enum k2_status k2_parquet_scratch_init(struct k2_parquet_scratch *scratch,
                                                     struct k2_error *error);
void k2_parquet_scratch_deinit(struct k2_parquet_scratch *scratch);

// A text of a dictionary, by the place where it stands.
enum { K2_PARQUET_MEMO = 4096 }; // texts of a symbolic column that are remembered

struct k2_parquet_memo {
    const uint8_t *data;
    size_t size_bytes;
    uint32_t entry, round;
};

// How the values of a chunk are written.
enum k2_parquet_way {
    K2_PARQUET_UNDECIDED = 0, // numbers, until the first page with a value is full
    K2_PARQUET_BY_DICTIONARY,
    K2_PARQUET_AS_PLAIN,
    K2_PARQUET_AS_DELTAS, // DELTA_BINARY_PACKED
};

struct k2_parquet_column {
    const struct k2_parquet_field *field; // borrowed
    struct k2_parquet_scratch *scratch;   // borrowed
    struct k2_parquet_dictionary dictionary;
    enum k2_parquet_way way; // of this page and those that follow
    bool uncompressed;       // what this chunk's pages hold does not shrink
    // The last text and its entry, so that runs are looked up once.
    bool has_last;
    struct k2_slice last_text; // borrowed during one put
    uint32_t last_entry;
    struct k2_parquet_memo *memo; // symbolic columns: texts found during this put
    uint32_t memo_round;
    // The page that is being filled. As long as its rows are all alike only their number is kept.
    size_t lead;            // values at its begin that are `lead_value`; then there are no others
    size_t null_lead;       // rows at its begin that are null; then there are no others
    int64_t lead_value;     // of texts: the entry
    uint32_t *levels;       // 1 = not null; optional fields only, and pages with a null
    size_t level_count;     // of them that are set; the rows behind are not null
    uint32_t *entries;      // texts: of the dictionary, one per value
    int64_t *values;        // numbers
    struct k2_buffer plain; // texts: the values, if without the dictionary
    size_t page_rows, page_values;
    size_t page_plain_bytes; // of texts if they were PLAIN
    // The chunk so far.
    struct k2_buffer pages, dictionary_page;
    struct k2_parquet_page *page_list;
    size_t page_count, page_room;
    size_t dictionary_page_count; // data pages that use the dictionary
    size_t delta_page_count;
    size_t row_count, null_count, uncompressed_bytes;
    bool has_range;
    int64_t min, max;                    // fixed types
    struct k2_buffer min_text, max_text; // texts
    uint8_t *seen;                       // per entry of the dictionary: it is on the page
    size_t seen_room;
};

// Zeroed is closable. `field` and `scratch` outlive the column.
K2_MUST_CHECK enum k2_status k2_parquet_column_init(struct k2_parquet_column *column,
                                                    const struct k2_parquet_field *field,
                                                    struct k2_parquet_scratch *scratch,
                                                    struct k2_error *error);
void k2_parquet_column_deinit(struct k2_parquet_column *column);

// Takes `row_count` rows (at most K2_VECTOR_ROWS) of a vector from `first_row` on.
K2_MUST_CHECK enum k2_status k2_parquet_column_put(struct k2_parquet_column *column,
                                                   const struct k2_vector *vector, size_t first_row,
                                                   size_t row_count, struct k2_error *error);

// Memory that the rows so far take, about.
size_t k2_parquet_column_bytes(const struct k2_parquet_column *column);

// Closes the last page and makes the dictionary page. What is in the struct then stays until clear.
K2_MUST_CHECK enum k2_status k2_parquet_column_end(struct k2_parquet_column *column,
                                                   struct k2_error *error);

// Forgets the chunk and begins another.
void k2_parquet_column_clear(struct k2_parquet_column *column);

// The bounds of the chunk between put and clear; false: not given.
void k2_parquet_column_bounds(const struct k2_parquet_column *column, bool *has_min,
                              struct k2_parquet_bound *min, bool *has_max,
                              struct k2_parquet_bound *max);
