// The rows of a batch of one column as an Arrow array: bitmap of what is not null, values or
// offsets, texts; numbers in the order of the machine.
//
// Filled from vectors, then read or taken, then filled anew. Belongs to one thread.
#pragma once

#include "format/arrow/arrow_dictionary.h"
#include "format/arrow/arrow_field.h"
#include "format/segment/vector.h"

enum { K2_ARROW_ROWS = 65536 }; // most rows of a batch

struct k2_arrow_array {
    struct k2_arrow_field field;
    size_t row_count, null_count;
    size_t row_room, row_hint; // rows that fit; that fitted before the buffers were taken
    // 64-byte aligned, room for row_room rows. NULL before the first row.
    uint8_t *valid;        // bits; holds when null_count > 0
    uint8_t *values;       // numbers, bits, uuids, indexes; of K2_ARROW_UTF8 row_count + 1 offsets
    struct k2_buffer text; // K2_ARROW_UTF8
    struct k2_arrow_dictionary dictionary; // K2_ARROW_DICTIONARY; grows from batch to batch
    size_t valid_rows;                     // bits of `valid` that are set or cleared
};

// Zeroed is closable. Borrows the field's column.
K2_MUST_CHECK enum k2_status k2_arrow_array_init(struct k2_arrow_array *array,
                                                 const struct k2_arrow_field *field,
                                                 struct k2_error *error);
void k2_arrow_array_deinit(struct k2_arrow_array *array);

// Forgets the rows, keeps the dictionary.
void k2_arrow_array_clear(struct k2_arrow_array *array);

// Appends `row_count` rows of the vector from `first_row` on; there is room (assert). A text that
// is no UTF-8 gets U+FFFD in place of the wrong bytes.
K2_MUST_CHECK enum k2_status k2_arrow_array_put(struct k2_arrow_array *array,
                                                const struct k2_vector *vector, size_t first_row,
                                                size_t row_count, struct k2_error *error);

// To be called behind the last row, before the buffers are read: makes their last bits.
void k2_arrow_array_end(struct k2_arrow_array *array);

// The buffers, which then belong to the caller (k2_free); between end and clear. The array begins
// anew with others. `text` may be NULL when it is empty, `valid` when nothing can be null.
struct k2_arrow_buffers {
    void *valid, *values, *text;
};
struct k2_arrow_buffers k2_arrow_array_take(struct k2_arrow_array *array);

// Used bytes of `values` and of `valid`.
size_t k2_arrow_array_value_bytes(const struct k2_arrow_array *array);
size_t k2_arrow_array_valid_bytes(const struct k2_arrow_array *array);
