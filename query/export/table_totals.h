// Figures of rows that are the same in whatever order and pieces they come: to compare a table with
// its store. Belongs to one thread.
#pragma once

#include "format/parquet/parquet_field.h"
#include "format/parquet/parquet_reader.h"
#include "format/segment/vector.h"

__extension__ typedef __int128 k2_total_sum;

struct k2_field_totals {
    uint64_t nulls, text_bytes;
    bool has_range;
    int64_t min, max;
    k2_total_sum sum;
};

// Zeroed is closable.
struct k2_table_totals {
    const struct k2_parquet_field *fields; // borrowed
    size_t field_count;
    struct k2_field_totals *totals; // by field
    uint64_t rows;
    uint64_t checksum[2];
    uint64_t *hashes; // of the rows under way
    size_t hash_room;
};

K2_MUST_CHECK enum k2_status k2_table_totals_init(struct k2_table_totals *totals,
                                                  const struct k2_parquet_field *fields,
                                                  size_t field_count, struct k2_error *error);
void k2_table_totals_deinit(struct k2_table_totals *totals);

// Begins `row_count` rows; then each field once; then end.
K2_MUST_CHECK enum k2_status k2_table_totals_begin(struct k2_table_totals *totals, size_t row_count,
                                                   struct k2_error *error);
// `values` NULL: all null. `numbers` for fixed kinds, else `texts`; `valid` NULL: no nulls.
void k2_table_totals_field(struct k2_table_totals *totals, size_t field, size_t row_count,
                           const int64_t *numbers, const struct k2_slice *texts,
                           const uint8_t *valid);
void k2_table_totals_null(struct k2_table_totals *totals, size_t field, size_t row_count);
void k2_table_totals_end(struct k2_table_totals *totals, size_t row_count);

// False: they differ; the first difference as text, `left` and `right` named so.
bool k2_table_totals_same(const struct k2_table_totals *left, const struct k2_table_totals *right,
                          const char *left_name, const char *right_name, char *difference,
                          size_t difference_bytes);
