// What the files of parquet_column share: bounds, numbers, rows. Nothing else includes it.
#pragma once

#include "format/parquet/parquet_column.h"

static inline bool k2_parquet_is_text(const struct k2_parquet_column *column)
{
    return column->field->type == K2_PARQUET_BYTE_ARRAY ||
           column->field->type == K2_PARQUET_FIXED_BYTES;
}

// Before each text of a PLAIN page: its length.
static inline size_t k2_parquet_prefix_bytes(const struct k2_parquet_column *column)
{
    return column->field->type == K2_PARQUET_BYTE_ARRAY ? 4 : 0;
}

// Of a number in a PLAIN page; booleans are packed there, and bytes in bounds.
static inline size_t k2_parquet_width_bytes(const struct k2_parquet_column *column)
{
    switch (column->field->type) {
    case K2_PARQUET_BOOLEAN:
        return 1;
    case K2_PARQUET_INT32:
        return 4;
    default:
        return 8;
    }
}

// Little-endian, whatever the machine is.
static inline void k2_parquet_store(uint8_t *place, size_t width, int64_t value)
{
    for (size_t i = 0; i < width; i++) {
        place[i] = (uint8_t)((uint64_t)value >> 8 * i);
    }
}

// Levels of rows that are not null are set when the first null comes, or the page ends.
static inline void k2_parquet_fill_levels(struct k2_parquet_column *column)
{
    for (; column->level_count < column->page_rows; column->level_count++) {
        column->levels[column->level_count] = 1;
    }
}

// Rows that are all alike get their values and levels: others follow.
static inline void k2_parquet_settle(struct k2_parquet_column *column)
{
    for (size_t i = 0; i < column->lead; i++) {
        if (column->values != NULL) {
            column->values[i] = column->lead_value;
        } else {
            column->entries[i] = (uint32_t)column->lead_value;
        }
    }
    if (column->null_lead > 0) {
        memset(column->levels, 0, column->null_lead * sizeof *column->levels);
        column->level_count = column->null_lead;
    }
    column->lead = column->null_lead = 0;
}

// Closes the open page, if it has rows.
K2_MUST_CHECK enum k2_status k2_parquet_close_page(struct k2_parquet_column *column,
                                                   struct k2_error *error);

// Bounds of the open page, for `page` and for the chunk.
K2_MUST_CHECK enum k2_status k2_parquet_bound_page(struct k2_parquet_column *column,
                                                   struct k2_parquet_page *page,
                                                   struct k2_error *error);

// Appends the numbers of the open page, the way that suits the chunk, and says which encoding that
// is. Check `body`.
K2_MUST_CHECK enum k2_status k2_parquet_put_numbers(struct k2_parquet_column *column,
                                                    struct k2_buffer *body, int32_t *encoding,
                                                    struct k2_error *error);

// Bits of an entry of the dictionary as it is now.
unsigned k2_parquet_entry_bits(const struct k2_parquet_column *column);

// A dictionary whose values come as often on average is always good.
enum { K2_PARQUET_FEW = 16 };

// As Parquet numbers them.
enum {
    K2_PARQUET_ENCODING_PLAIN = 0,
    K2_PARQUET_ENCODING_RLE = 3,
    K2_PARQUET_ENCODING_DELTA = 5, // DELTA_BINARY_PACKED
    K2_PARQUET_ENCODING_DICTIONARY = 8,
};
