#include "format/segment/row_batch.h"

#include <assert.h>
#include <string.h>

#include "format/base/alloc.h"

enum { TEXT_CEILING_BYTES = 1 << 30 };

static bool create_column(struct k2_batch_column *column, enum k2_kind kind, size_t row_capacity)
{
    column->valid = k2_alloc(row_capacity);
    if (k2_kind_is_fixed(kind)) {
        column->values = k2_alloc(row_capacity * sizeof *column->values);
    } else {
        column->texts = k2_alloc(row_capacity * sizeof *column->texts);
    }
    return column->valid != NULL && (column->values != NULL || column->texts != NULL);
}

static bool create_arrays(struct k2_row_batch *batch, bool with_commits)
{
    size_t capacity = batch->row_capacity;
    batch->keys = k2_alloc(capacity * sizeof *batch->keys);
    batch->positions = k2_alloc(capacity * sizeof *batch->positions);
    batch->payloads = k2_alloc(capacity * sizeof *batch->payloads);
    batch->columns = k2_alloc_zero(batch->schema->column_count, sizeof *batch->columns);
    if (batch->keys == NULL || batch->positions == NULL || batch->payloads == NULL ||
        batch->columns == NULL) {
        return false;
    }
    if (with_commits) {
        batch->commits = k2_alloc(capacity * sizeof *batch->commits);
        if (batch->commits == NULL) {
            return false;
        }
    }
    for (size_t i = K2_KEY_COLUMN_COUNT; i < batch->schema->column_count; i++) {
        if (!create_column(&batch->columns[i], batch->schema->columns[i].kind, capacity)) {
            return false;
        }
    }
    return true;
}

enum k2_status k2_row_batch_create(struct k2_row_batch **batch, const struct k2_schema *schema,
                                   size_t row_capacity, bool with_commits, struct k2_error *error)
{
    assert(row_capacity > 0 && row_capacity <= K2_BATCH_ROWS);
    struct k2_row_batch *self = k2_alloc_zero(1, sizeof *self);
    if (self != NULL) {
        self->schema = schema;
        self->row_capacity = row_capacity;
        k2_buffer_init(&self->text, TEXT_CEILING_BYTES);
    }
    if (self == NULL || !create_arrays(self, with_commits)) {
        k2_row_batch_destroy(self);
        return k2_fail(error, K2_NO_MEMORY, "batch of %zu rows: out of memory", row_capacity);
    }
    *batch = self;
    return K2_OK;
}

void k2_row_batch_destroy(struct k2_row_batch *batch)
{
    if (batch == NULL) {
        return;
    }
    for (size_t i = 0; batch->columns != NULL && i < batch->schema->column_count; i++) {
        k2_free(batch->columns[i].values);
        k2_free(batch->columns[i].texts);
        k2_free(batch->columns[i].valid);
    }
    k2_free(batch->columns);
    k2_free(batch->keys);
    k2_free(batch->positions);
    k2_free(batch->payloads);
    k2_free(batch->commits);
    k2_free(batch->ops);
    k2_free(batch->untils);
    k2_buffer_deinit(&batch->text);
    k2_free(batch);
}

void k2_row_batch_clear(struct k2_row_batch *batch)
{
    batch->row_count = 0;
    k2_buffer_clear(&batch->text);
    k2_free(batch->ops); // few batches have them
    k2_free(batch->untils);
    batch->ops = NULL;
    batch->untils = NULL;
    for (size_t i = 0; i < batch->schema->column_count; i++) {
        batch->columns[i].null_count = 0;
    }
}

static enum k2_status copy_text(struct k2_row_batch *batch, struct k2_slice text,
                                struct k2_text_ref *ref, struct k2_error *error)
{
    size_t offset = batch->text.size_bytes;
    k2_put_bytes(&batch->text, text.data, text.size_bytes);
    if (batch->text.failed) {
        enum k2_status status = k2_buffer_check(&batch->text, "texts of a batch", error);
        batch->text.failed = false; // nothing was put: the batch is as it was
        return status;
    }
    *ref = (struct k2_text_ref){(uint32_t)offset, (uint32_t)text.size_bytes};
    return K2_OK;
}

// Neighbours often carry the same text (a currency, a side): then they share one copy.
static enum k2_status store_text(struct k2_row_batch *batch, size_t row, size_t column,
                                 struct k2_slice text, struct k2_error *error)
{
    struct k2_batch_column *target = &batch->columns[column];
    if (row > 0 && target->valid[row - 1] == 1 &&
        k2_slice_equal(k2_row_batch_text(batch, target->texts[row - 1]), text)) {
        target->texts[row] = target->texts[row - 1];
        return K2_OK;
    }
    return copy_text(batch, text, &target->texts[row], error);
}

static enum k2_status set_default(struct k2_row_batch *batch, size_t row, size_t column,
                                  struct k2_error *error)
{
    const struct k2_column *declared = &batch->schema->columns[column];
    struct k2_batch_column *target = &batch->columns[column];
    bool fixed = k2_kind_is_fixed(declared->kind);
    bool valid = declared->has_default && (fixed || declared->default_text != NULL);
    enum k2_status status = K2_OK;
    if (fixed) {
        target->values[row] = valid ? declared->default_value : 0;
    } else if (valid) {
        status = store_text(batch, row, column, k2_slice_of(declared->default_text), error);
    } else {
        target->texts[row] = (struct k2_text_ref){0};
    }
    target->valid[row] = valid;
    return status;
}

enum k2_status k2_row_batch_add(struct k2_row_batch *batch, const struct k2_row_key *key,
                                uint64_t position, size_t *row, struct k2_error *error)
{
    assert(batch->row_count < batch->row_capacity);
    size_t index = batch->row_count;
    for (size_t i = K2_KEY_COLUMN_COUNT; i < batch->schema->column_count; i++) {
        enum k2_status status = set_default(batch, index, i, error);
        if (status != K2_OK) {
            return status;
        }
    }
    for (size_t i = K2_KEY_COLUMN_COUNT; i < batch->schema->column_count; i++) {
        batch->columns[i].null_count += batch->columns[i].valid[index] == 0;
    }
    batch->keys[index] = *key;
    batch->positions[index] = position;
    batch->payloads[index] = (struct k2_text_ref){0};
    if (batch->commits != NULL) {
        batch->commits[index] = 0;
    }
    if (batch->ops != NULL) {
        batch->ops[index] = K2_OP_PUT;
    }
    if (batch->untils != NULL) {
        batch->untils[index] = 0;
    }
    batch->row_count++;
    *row = index;
    return K2_OK;
}

// The first of the rows has the column's default: so have all.
static void repeat_default(struct k2_batch_column *column, bool fill, size_t first, size_t count)
{
    for (size_t i = 1; i < count && fill && column->values != NULL; i++) {
        column->values[first + i] = column->values[first];
    }
    for (size_t i = 1; i < count && fill && column->texts != NULL; i++) {
        column->texts[first + i] = column->texts[first];
    }
    memset(column->valid + first, column->valid[first], count);
    column->null_count += column->valid[first] == 0 ? count - 1 : 0;
}

enum k2_status k2_row_batch_add_many(struct k2_row_batch *batch, size_t count, const uint8_t *given,
                                     size_t *first, struct k2_error *error)
{
    static const struct k2_row_key no_key;
    assert(count <= batch->row_capacity - batch->row_count);
    *first = batch->row_count;
    if (count == 0) {
        return K2_OK;
    }
    enum k2_status status = k2_row_batch_add(batch, &no_key, *first, first, error);
    if (status != K2_OK) {
        return status;
    }
    for (size_t i = K2_KEY_COLUMN_COUNT; i < batch->schema->column_count; i++) {
        repeat_default(&batch->columns[i], given[i] == 0, *first, count);
    }
    for (size_t i = *first; i < *first + count; i++) {
        batch->positions[i] = i;
    }
    memset(batch->payloads + *first, 0, count * sizeof *batch->payloads);
    if (batch->commits != NULL) {
        memset(batch->commits + *first, 0, count * sizeof *batch->commits);
    }
    if (batch->ops != NULL) {
        memset(batch->ops + *first, K2_OP_PUT, count);
    }
    if (batch->untils != NULL) {
        memset(batch->untils + *first, 0, count * sizeof *batch->untils);
    }
    batch->row_count = *first + count;
    return K2_OK;
}

enum k2_status k2_row_batch_set_op(struct k2_row_batch *batch, size_t row, enum k2_row_op op,
                                   struct k2_error *error)
{
    assert(row < batch->row_count);
    if (batch->ops == NULL && op == K2_OP_PUT) {
        return K2_OK;
    }
    if (batch->ops == NULL) {
        batch->ops = k2_alloc_zero(batch->row_capacity, sizeof *batch->ops);
    }
    if (batch->ops == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "batch: out of memory");
    }
    batch->ops[row] = (uint8_t)op;
    return K2_OK;
}

enum k2_status k2_row_batch_set_until(struct k2_row_batch *batch, size_t row, uint64_t until,
                                      struct k2_error *error)
{
    assert(row < batch->row_count);
    if (batch->untils == NULL && until == 0) {
        return K2_OK;
    }
    if (batch->untils == NULL) {
        batch->untils = k2_alloc_zero(batch->row_capacity, sizeof *batch->untils);
    }
    if (batch->untils == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "batch: out of memory");
    }
    batch->untils[row] = until;
    return K2_OK;
}

void k2_row_batch_drop_last(struct k2_row_batch *batch)
{
    assert(batch->row_count > 0);
    batch->row_count--;
    for (size_t i = K2_KEY_COLUMN_COUNT; i < batch->schema->column_count; i++) {
        batch->columns[i].null_count -= batch->columns[i].valid[batch->row_count] == 0;
    }
}

void k2_row_batch_drop_from(struct k2_row_batch *batch, size_t first)
{
    assert(first <= batch->row_count);
    for (size_t i = K2_KEY_COLUMN_COUNT; i < batch->schema->column_count; i++) {
        for (size_t row = first; row < batch->row_count; row++) {
            batch->columns[i].null_count -= batch->columns[i].valid[row] == 0;
        }
    }
    batch->row_count = first;
}

static struct k2_batch_column *cell_column(struct k2_row_batch *batch, size_t row, size_t column,
                                           bool fixed)
{
    assert(row < batch->row_count);
    assert(column >= K2_KEY_COLUMN_COUNT && column < batch->schema->column_count);
    assert(k2_kind_is_fixed(batch->schema->columns[column].kind) == fixed);
    return &batch->columns[column];
}

static void mark_valid(struct k2_batch_column *target, size_t row)
{
    target->null_count -= target->valid[row] == 0;
    target->valid[row] = 1;
}

void k2_row_batch_set_value(struct k2_row_batch *batch, size_t row, size_t column, int64_t value)
{
    struct k2_batch_column *target = cell_column(batch, row, column, true);
    target->values[row] = value;
    mark_valid(target, row);
}

void k2_row_batch_set_values(struct k2_row_batch *batch, size_t first, size_t column,
                             const int64_t *values, const uint8_t *valid)
{
    if (first == batch->row_count) {
        return;
    }
    struct k2_batch_column *target = cell_column(batch, first, column, true);
    size_t count = batch->row_count - first, before = 0, after = 0;
    for (size_t i = 0; i < count; i++) {
        before += target->valid[first + i] == 0;
    }
    memcpy(target->values + first, values, count * sizeof *values);
    memset(target->valid + first, 1, count);
    for (size_t i = 0; i < count && valid != NULL; i++) {
        bool is_valid = valid[i] != 0;
        target->valid[first + i] = is_valid;
        target->values[first + i] = is_valid ? values[i] : 0;
        after += !is_valid;
    }
    target->null_count = target->null_count - before + after;
}

void k2_row_batch_set_null(struct k2_row_batch *batch, size_t row, size_t column)
{
    bool fixed = k2_kind_is_fixed(batch->schema->columns[column].kind);
    struct k2_batch_column *target = cell_column(batch, row, column, fixed);
    target->null_count += target->valid[row] == 1;
    target->valid[row] = 0;
    if (fixed) {
        target->values[row] = 0;
    } else {
        target->texts[row] = (struct k2_text_ref){0};
    }
}

enum k2_status k2_row_batch_set_text(struct k2_row_batch *batch, size_t row, size_t column,
                                     struct k2_slice text, struct k2_error *error)
{
    struct k2_batch_column *target = cell_column(batch, row, column, false);
    enum k2_status status = store_text(batch, row, column, text, error);
    if (status == K2_OK) {
        mark_valid(target, row);
    }
    return status;
}

enum k2_status k2_row_batch_set_payload(struct k2_row_batch *batch, size_t row,
                                        struct k2_slice payload, struct k2_error *error)
{
    assert(row < batch->row_count);
    return copy_text(batch, payload, &batch->payloads[row], error);
}
