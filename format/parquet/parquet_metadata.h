// The footer of a Parquet file: schema, row groups, column and offset indexes.
//
// Row groups are noted as they are closed, their indexes at once in their final bytes, and written
// at the end. Belongs to one thread.
#pragma once

#include "format/parquet/parquet_column.h"

enum { K2_PARQUET_METADATA_BYTES = 1 << 30 }; // ceiling of what is noted, and of the footer

// One sorting column: rows of a group are in the order of these, the first one first.
struct k2_parquet_sorting {
    size_t field; // its index
    bool descending;
};

struct k2_parquet_metadata; // opaque

// Borrows `fields` and `sorting` until destroy.
K2_MUST_CHECK enum k2_status k2_parquet_metadata_create(struct k2_parquet_metadata **metadata,
                                                        const struct k2_parquet_field *fields,
                                                        size_t field_count,
                                                        const struct k2_parquet_sorting *sorting,
                                                        size_t sorting_count,
                                                        struct k2_error *error);
void k2_parquet_metadata_destroy(struct k2_parquet_metadata *metadata);

// Notes a row group whose columns are ended and whose first byte has `file_offset`: one after the
// other, each dictionary page before its data pages. Gives the size of all of it.
K2_MUST_CHECK enum k2_status k2_parquet_metadata_add_group(struct k2_parquet_metadata *metadata,
                                                           const struct k2_parquet_column *columns,
                                                           size_t row_count, uint64_t file_offset,
                                                           uint64_t *size_bytes,
                                                           struct k2_error *error);

// What a finished file holds of one of its fields, as a catalog of files wants to know it.
struct k2_parquet_total {
    const struct k2_parquet_field *field; // borrowed from the writer
    uint64_t size_bytes, value_count, null_count;
    bool has_min, has_max; // false: only nulls or NaN, or a text that can not be bounded
    struct k2_parquet_bound min, max;
};

// The sum of the row groups noted so far.
void k2_parquet_metadata_total(const struct k2_parquet_metadata *metadata, size_t field,
                               struct k2_parquet_total *total);
size_t k2_parquet_metadata_group_count(const struct k2_parquet_metadata *metadata);
uint64_t k2_parquet_metadata_group_offset(const struct k2_parquet_metadata *metadata, size_t group);

// Appends what follows the last row group, which ends at `file_offset`: indexes, footer, its
// length and the magic.
K2_MUST_CHECK enum k2_status k2_parquet_metadata_finish(const struct k2_parquet_metadata *metadata,
                                                        uint64_t file_offset, struct k2_buffer *out,
                                                        struct k2_error *error);
