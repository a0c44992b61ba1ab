// Rows of one table on their way into a segment, column by column, in order of arrival.
//
// A batch belongs to one thread. Filled by decoders and loaders, sorted and encoded at commit.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "format/base/buffer.h"
#include "format/schema/schema.h"

enum {
    K2_GROUP_ROWS = 65536,             // the most rows of a row group and of a commit's batch
    K2_BATCH_ROWS = 8 * K2_GROUP_ROWS, // the most rows of any batch: what a rewrite sorts at once
};

struct k2_text_ref {
    uint32_t offset; // into the batch's `text`
    uint32_t size_bytes;
};

// One data column (not a key column); arrays of `row_capacity`, NULL for the other kind.
struct k2_batch_column {
    int64_t *values;           // fixed kinds
    struct k2_text_ref *texts; // text kinds
    uint8_t *valid;            // 1 = not null
    size_t null_count;
};

struct k2_row_key {
    uint32_t instrument; // id given by engine/instruments
    int64_t time_ns;
    int64_t epoch;
    int64_t sequence;
};

enum k2_row_op { // what a row does to the older ones of its key; stored
    K2_OP_PUT = 0,
    K2_OP_DELETE = 1,
    K2_OP_REPLACE = 2, // a put, and there is an older row
};

struct k2_row_batch {
    const struct k2_schema *schema; // borrowed
    size_t row_count, row_capacity;
    struct k2_row_key *keys;
    uint64_t *positions;             // where the row came from: file line, Kafka offset; not stored
    struct k2_text_ref *payloads;    // the raw input of the row for a dead letter; not stored
    uint64_t *commits;               // NULL, or (rewrites) the snapshot id that brought each row
    uint8_t *ops;                    // enum k2_row_op of each row; NULL: all are puts
    uint64_t *untils;                // NULL, or the snapshot id that replaced each row, 0: none did
    struct k2_batch_column *columns; // indexed like schema->columns; key columns are unused
    struct k2_buffer text;           // all texts, ceiling 1 GiB
};

// `row_capacity` at most K2_BATCH_ROWS; `with_commits` for rewrites.
K2_MUST_CHECK enum k2_status k2_row_batch_create(struct k2_row_batch **batch,
                                                 const struct k2_schema *schema,
                                                 size_t row_capacity, bool with_commits,
                                                 struct k2_error *error);
void k2_row_batch_destroy(struct k2_row_batch *batch);
void k2_row_batch_clear(struct k2_row_batch *batch);

// Adds a row whose data columns hold their defaults (else null) and gives its index. The batch
// must have room (assert). K2_NO_MEMORY leaves the batch as it was.
K2_MUST_CHECK enum k2_status k2_row_batch_add(struct k2_row_batch *batch,
                                              const struct k2_row_key *key, uint64_t position,
                                              size_t *row, struct k2_error *error);

// Adds `count` rows whose data columns hold their defaults (else null), and whose keys the caller
// sets: batch->keys[*first] and on. Columns of `given` (by index, 1 = yes) are not filled: the
// caller sets all their values or takes the rows back. The batch must have room (assert).
// K2_NO_MEMORY leaves the batch as it was.
K2_MUST_CHECK enum k2_status k2_row_batch_add_many(struct k2_row_batch *batch, size_t count,
                                                   const uint8_t *given, size_t *first,
                                                   struct k2_error *error);

// What the row does; the first call makes room for all rows of the batch. K2_NO_MEMORY leaves the
// batch as it was.
K2_MUST_CHECK enum k2_status k2_row_batch_set_op(struct k2_row_batch *batch, size_t row,
                                                 enum k2_row_op op, struct k2_error *error);
K2_MUST_CHECK enum k2_status k2_row_batch_set_until(struct k2_row_batch *batch, size_t row,
                                                    uint64_t until, struct k2_error *error);

static inline enum k2_row_op k2_row_batch_op(const struct k2_row_batch *batch, size_t row)
{
    return batch->ops == NULL ? K2_OP_PUT : (enum k2_row_op)batch->ops[row];
}

// Takes the last row back, e.g. when a later column of it turns out to be bad.
void k2_row_batch_drop_last(struct k2_row_batch *batch);

// Takes the rows from `first` on back.
void k2_row_batch_drop_from(struct k2_row_batch *batch, size_t first);

// Sets a column of fixed kind of as many rows as there are from `first` on; `valid` has 0 for null,
// NULL: none is.
void k2_row_batch_set_values(struct k2_row_batch *batch, size_t first, size_t column,
                             const int64_t *values, const uint8_t *valid);

// `column` >= K2_KEY_COLUMN_COUNT, of a fixed / text kind (assert). Texts are copied.
void k2_row_batch_set_value(struct k2_row_batch *batch, size_t row, size_t column, int64_t value);
void k2_row_batch_set_null(struct k2_row_batch *batch, size_t row, size_t column);
K2_MUST_CHECK enum k2_status k2_row_batch_set_text(struct k2_row_batch *batch, size_t row,
                                                   size_t column, struct k2_slice text,
                                                   struct k2_error *error);
K2_MUST_CHECK enum k2_status k2_row_batch_set_payload(struct k2_row_batch *batch, size_t row,
                                                      struct k2_slice payload,
                                                      struct k2_error *error);

static inline struct k2_slice k2_row_batch_text(const struct k2_row_batch *batch,
                                                struct k2_text_ref ref)
{
    return (struct k2_slice){batch->text.data + ref.offset, ref.size_bytes};
}
