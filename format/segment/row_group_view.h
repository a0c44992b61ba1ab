// Reads a row group where it lies (usually a mapping), trusting nothing.
//
// A view borrows the bytes: they must outlive it. Opening checks the header and the directory by
// their checksums; a column is checked when it is opened for the first time. Every later read is
// bounded as well, so that bytes that change under a mapping can give a wrong value but never a
// stray access. A view is immutable after opening, but for the note of which columns have been
// checked, and may be shared between threads.
#pragma once

#include "format/segment/row_group.h"
#include "format/segment/vector.h"

// All rows of one instrument; entries are sorted by instrument and cover the group's rows.
struct k2_directory_entry {
    uint32_t instrument; // the id at the time of writing
    uint32_t first_row, row_count;
    struct k2_slice exchange, symbol; // borrowed from the bytes or from the view
    int64_t time_min_ns, time_max_ns;
    int64_t sequence_min, sequence_max;
    int64_t epoch_min, epoch_max;
};

__extension__ typedef __int128 k2_int128;

struct k2_column_stats {
    bool has_range;   // false: all null, float64, or a text kind
    int64_t min, max; // of the not-null rows
    k2_int128 sum;    // of the not-null rows; fixed kinds but float64
    uint32_t null_count;
};

struct k2_group_column {
    uint16_t id;
    enum k2_kind kind;
    uint8_t scale;
    bool all_null;
    uint32_t length_bytes; // in the file, directory and statistics included
    struct k2_column_stats stats;
};

struct k2_row_group_view; // opaque

// `bytes` begins at the group and may go on behind it; `segment_id`, `offset` say where it should
// be. K2_CORRUPT names the part that is wrong. `*view` is destroyed with k2_row_group_view_close.
K2_MUST_CHECK enum k2_status k2_row_group_view_open(struct k2_row_group_view **view,
                                                    struct k2_slice bytes, uint64_t segment_id,
                                                    uint64_t offset, struct k2_error *error);
void k2_row_group_view_close(struct k2_row_group_view *view);
size_t k2_row_group_view_heap_bytes(const struct k2_row_group_view *view); // what it allocated

// Borrowed from the view. `info` has pointers into the bytes (markers, inputs: arrays of the view).
const struct k2_row_group_info *k2_row_group_view_info(const struct k2_row_group_view *view);
size_t k2_row_group_view_length(const struct k2_row_group_view *view); // padded, in bytes
uint32_t k2_row_group_view_rows(const struct k2_row_group_view *view);
const struct k2_directory_entry *k2_row_group_view_directory(const struct k2_row_group_view *view,
                                                             size_t *entry_count);
const struct k2_group_column *k2_row_group_view_columns(const struct k2_row_group_view *view,
                                                        size_t *column_count);

// Reads one column. Belongs to one thread; borrows the view.
struct k2_column_reader;

// Checks the column's checksum. `*found` is false when the group has no such column (older schema):
// the caller fills nulls or the default.
K2_MUST_CHECK enum k2_status k2_column_reader_open(struct k2_column_reader **reader,
                                                   const struct k2_row_group_view *view,
                                                   uint16_t column_id, bool *found,
                                                   struct k2_error *error);
void k2_column_reader_close(struct k2_column_reader *reader);

// Decodes block `block` (rows block * 1024 .. ), giving its rows. `vector` points into `store` or
// into the view and holds until the store is used again. Texts may point into memory of the reader
// that holds until the next decode or close.
K2_MUST_CHECK enum k2_status k2_column_reader_decode(struct k2_column_reader *reader,
                                                     uint32_t block, struct k2_vector_store *store,
                                                     struct k2_vector *vector, uint32_t *row_count,
                                                     struct k2_error *error);

// A column may be kept as the differences to another one (receive times to event times): true, and
// which. Whoever has just decoded that one lends its vector before decoding the same block here,
// once for each block, so that it is not decoded again.
bool k2_column_reader_reference(const struct k2_column_reader *reader, uint16_t *column_id);
void k2_column_reader_lend(struct k2_column_reader *reader, const struct k2_vector *vector);

// Of the block that is decoded next only rows [first, end) of its rows are wanted, at least one:
// what the vector has of others may be anything, texts too. Once for each block.
void k2_column_reader_narrow(struct k2_column_reader *reader, uint32_t first, uint32_t end);

// Bounds of the block's values (never too tight), without decoding it. False: unknown.
bool k2_column_reader_bounds(const struct k2_column_reader *reader, uint32_t block, int64_t *min,
                             int64_t *max);

// What the not-null values of some rows add up to, and how many they are. Zeroed by the caller.
struct k2_range_sum {
    k2_int128 sum;
    uint64_t value_count;
};

// The least and the greatest of them; meaningless while `found` is false. Zeroed by the caller.
struct k2_range_bounds {
    bool found;
    int64_t min, max;
};

// Add rows [first_row, first_row + row_count) of the group, of which there are at least one, to
// what `*sum` or `*bounds` has. Whole groups and whole zones of 8 blocks are taken from the
// statistics, whole blocks from their packed bytes where the codec allows it; only the rest is
// decoded, into `store`. Exact: 64-bit arithmetic is used where the statistics exclude an overflow.
// K2_CORRUPT as for decoding, and for a column that the group has as texts or float64.
K2_MUST_CHECK enum k2_status k2_column_reader_sum(struct k2_column_reader *reader,
                                                  uint32_t first_row, uint32_t row_count,
                                                  struct k2_vector_store *store,
                                                  struct k2_range_sum *sum, struct k2_error *error);
K2_MUST_CHECK enum k2_status k2_column_reader_range(struct k2_column_reader *reader,
                                                    uint32_t first_row, uint32_t row_count,
                                                    struct k2_vector_store *store,
                                                    struct k2_range_bounds *bounds,
                                                    struct k2_error *error);

// For `k2 inspect`: the codec and size of a block. False beyond the last block.
struct k2_block_info {
    const char *codec;
    uint8_t width_bits;
    uint64_t divisor; // GCD
    uint32_t size_bytes;
};
bool k2_column_reader_block_info(const struct k2_column_reader *reader, uint32_t block,
                                 struct k2_block_info *info);
