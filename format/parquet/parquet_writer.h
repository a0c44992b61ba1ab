// Rows to a Parquet file, in bounded memory: rows go in until a row group is full, its bytes are
// taken out, and so on. PARQUET.md says what stands in the file.
//
// The file depends on the rows and the options alone, not on how they are cut into calls. Belongs
// to one thread. After a failure only destroy is allowed, and what came before is no file.
#pragma once

#include "format/parquet/parquet_metadata.h"

enum {
    K2_PARQUET_GROUP_ROWS_DEFAULT = 65536,
    K2_PARQUET_GROUP_ROWS_LARGE = 1 << 20, // for files
};

// Zero is the default of every field.
struct k2_parquet_options {
    size_t group_rows;      // most rows of a row group; K2_PARQUET_GROUP_ROWS_DEFAULT
    size_t group_bytes;     // about the most memory for a row group; 32 MiB
    bool times_as_integers; // nanoseconds alone, not beside microseconds
    bool plain_integers;    // int8 and int16 without annotation, as Iceberg's int wants them
    // The columns by which the rows are sorted, the first one first: indexes of the columns.
    const size_t *sorting; // borrowed during create only
    size_t sorting_count;
    bool sorted_by_microseconds; // a sorting timestamp is so to microseconds, not beyond
    bool descending;
};

struct k2_parquet_writer; // opaque

// Borrows the columns until destroy; vectors come in their order.
K2_MUST_CHECK enum k2_status k2_parquet_writer_create(struct k2_parquet_writer **writer,
                                                      const struct k2_column *const *columns,
                                                      size_t column_count,
                                                      const struct k2_parquet_options *options,
                                                      struct k2_error *error);
void k2_parquet_writer_destroy(struct k2_parquet_writer *writer);

// Takes rows [*row, row_count) of the vectors, at most K2_VECTOR_ROWS, until a row group is full,
// and moves `*row` behind the last one taken. Not while k2_parquet_writer_has_bytes (assert).
K2_MUST_CHECK enum k2_status k2_parquet_writer_put(struct k2_parquet_writer *writer,
                                                   const struct k2_vector *vectors, size_t *row,
                                                   size_t row_count, struct k2_error *error);

// Bytes of the file wait to be taken.
bool k2_parquet_writer_has_bytes(const struct k2_parquet_writer *writer);

// Moves the next bytes to `out` until that holds `enough_bytes` or none is left. Check `out`.
void k2_parquet_writer_take(struct k2_parquet_writer *writer, size_t enough_bytes,
                            struct k2_buffer *out);

// Valid once the file is finished. The field's index is below k2_parquet_writer_field_count.
size_t k2_parquet_writer_field_count(const struct k2_parquet_writer *writer);
void k2_parquet_writer_total(const struct k2_parquet_writer *writer, size_t field,
                             struct k2_parquet_total *total);

// Where the row groups begin in the file.
size_t k2_parquet_writer_group_count(const struct k2_parquet_writer *writer);
uint64_t k2_parquet_writer_group_offset(const struct k2_parquet_writer *writer, size_t group);

// Closes the last row group, and when its bytes are taken, the file. `*done` once nothing follows
// but what k2_parquet_writer_take gives: call until then. Not while has_bytes (assert).
K2_MUST_CHECK enum k2_status k2_parquet_writer_finish(struct k2_parquet_writer *writer, bool *done,
                                                      struct k2_error *error);
