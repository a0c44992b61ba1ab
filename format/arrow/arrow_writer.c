#include "format/arrow/arrow_writer.h"

#include <assert.h>

#include "format/arrow/arrow_array.h"
#include "format/base/alloc.h"

enum {
    FIRST_ROWS = 4096,           // of the first batch: an answer's first rows do not wait
    BATCH_TEXT_BYTES = 16 << 20, // of texts, about
    STEP_ROWS = 256,             // rows that go into every column between two looks at the texts
    DICTIONARY_BYTES = 4 << 20,  // a larger dictionary begins anew
    HEAD_BYTES = 64 << 20,
    PREFIX_BYTES = 8, // before the metadata of a message: a mark and its length
    BUFFERS = 3,      // most of an array
    ARRAY_PIECES = 6, // most of an array: its dictionary's head and buffers, its buffers
};

static const uint32_t continuation = 0xffffffff;

// Bytes that wait. Those of `heads` go by offset, because it moves as it grows.
struct piece {
    const uint8_t *data; // borrowed from an array; NULL: of heads
    size_t offset;
    size_t size_bytes, padding_bytes;
};

struct k2_arrow_writer {
    struct k2_arrow_array *arrays;
    struct k2_arrow_field *fields;
    size_t *sent_entries; // of each dictionary; SIZE_MAX: never
    size_t array_count;
    bool has_texts;
    size_t batch_rows; // of the open batch when it is full
    size_t rows;       // of the open batch
    struct k2_flat flat;
    int64_t *nodes, *buffers; // scratch of a layout
    size_t buffer_count, body_bytes;
    struct k2_buffer heads;
    struct piece *pieces;
    size_t piece_count, next_piece, taken; // `taken` of next_piece
    bool finished;
};

// ---- bytes that wait ----------------------------------------------------------------------------

static void add_piece(struct k2_arrow_writer *self, const uint8_t *data, size_t offset,
                      size_t size_bytes)
{
    size_t padding = (0 - size_bytes) & (K2_ARROW_ALIGNMENT - 1);
    self->pieces[self->piece_count++] = (struct piece){data, offset, size_bytes, padding};
}

// Gives room to a buffer of a body, in the layout.
static void lay_out(struct k2_arrow_writer *self, size_t size_bytes)
{
    int64_t *buffer = &self->buffers[2 * self->buffer_count++];
    buffer[0] = (int64_t)self->body_bytes;
    buffer[1] = (int64_t)size_bytes;
    self->body_bytes += (size_bytes + K2_ARROW_ALIGNMENT - 1) & ~(size_t)(K2_ARROW_ALIGNMENT - 1);
}

// The head of a message: mark, length, metadata; the body begins at a multiple of the alignment.
static enum k2_status add_head(struct k2_arrow_writer *self, struct k2_slice metadata,
                               struct k2_error *error)
{
    size_t offset = self->heads.size_bytes;
    size_t padding = (0 - (PREFIX_BYTES + metadata.size_bytes)) & (K2_ARROW_ALIGNMENT - 1);
    k2_put_u32(&self->heads, continuation);
    k2_put_u32(&self->heads, (uint32_t)(metadata.size_bytes + padding));
    k2_put_bytes(&self->heads, metadata.data, metadata.size_bytes);
    k2_put_zeros(&self->heads, padding);
    add_piece(self, NULL, offset, self->heads.size_bytes - offset);
    return k2_buffer_check(&self->heads, "arrow: metadata", error);
}

bool k2_arrow_writer_has_bytes(const struct k2_arrow_writer *writer)
{
    return writer->next_piece < writer->piece_count;
}

static void take_zeros(struct k2_buffer *out, size_t size_bytes)
{
    if (size_bytes > 0) {
        k2_put_zeros(out, size_bytes);
    }
}

// True when nothing of the piece is left.
static bool take_piece(struct k2_arrow_writer *writer, size_t enough_bytes, struct k2_buffer *out)
{
    const struct piece *piece = &writer->pieces[writer->next_piece];
    const uint8_t *data = piece->data != NULL ? piece->data : writer->heads.data + piece->offset;
    size_t room = enough_bytes > out->size_bytes ? enough_bytes - out->size_bytes : 0;
    size_t size = writer->taken < piece->size_bytes ? piece->size_bytes - writer->taken : 0;
    size = size < room ? size : room;
    if (size > 0) {
        k2_put_bytes(out, data + writer->taken, size);
    }
    writer->taken += size;
    if (writer->taken < piece->size_bytes) {
        return false;
    }
    take_zeros(out, piece->padding_bytes); // a little more than enough
    return true;
}

void k2_arrow_writer_take(struct k2_arrow_writer *writer, size_t enough_bytes,
                          struct k2_buffer *out)
{
    while (k2_arrow_writer_has_bytes(writer) && out->size_bytes < enough_bytes) {
        if (!take_piece(writer, enough_bytes, out)) {
            return;
        }
        writer->next_piece++;
        writer->taken = 0;
    }
    if (!k2_arrow_writer_has_bytes(writer)) {
        writer->piece_count = writer->next_piece = 0;
        k2_buffer_clear(&writer->heads);
    }
}

// ---- life ---------------------------------------------------------------------------------------

static enum k2_status build(struct k2_arrow_writer *self, const struct k2_column *const *columns,
                            size_t column_count, const struct k2_arrow_options *options,
                            struct k2_error *error)
{
    self->arrays = k2_alloc_zero(column_count, sizeof *self->arrays);
    self->fields = k2_alloc_zero(column_count, sizeof *self->fields);
    self->sent_entries = k2_alloc_zero(column_count, sizeof *self->sent_entries);
    self->nodes = k2_alloc_zero(column_count, 2 * sizeof *self->nodes);
    self->buffers = k2_alloc_zero(column_count, (size_t)2 * BUFFERS * sizeof *self->buffers);
    self->pieces = k2_alloc_zero(1 + ARRAY_PIECES * column_count, sizeof *self->pieces);
    if (self->arrays == NULL || self->fields == NULL || self->sent_entries == NULL ||
        self->nodes == NULL || self->buffers == NULL || self->pieces == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "arrow: no memory");
    }
    self->array_count = column_count;
    for (size_t i = 0; i < column_count; i++) {
        self->fields[i] = k2_arrow_field_of(columns[i], &options->choice);
        self->sent_entries[i] = SIZE_MAX;
        self->has_texts = self->has_texts || self->fields[i].type == K2_ARROW_UTF8;
        enum k2_status status = k2_arrow_array_init(&self->arrays[i], &self->fields[i], error);
        if (status != K2_OK) {
            return status;
        }
    }
    struct k2_slice metadata;
    enum k2_status status =
        k2_arrow_schema_message(&self->flat, self->fields, column_count, options->metadata,
                                options->metadata_count, &metadata, error);
    return status == K2_OK ? add_head(self, metadata, error) : status;
}

enum k2_status k2_arrow_writer_create(struct k2_arrow_writer **writer,
                                      const struct k2_column *const *columns, size_t column_count,
                                      const struct k2_arrow_options *options,
                                      struct k2_error *error)
{
    *writer = NULL;
    struct k2_arrow_writer *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "arrow: no memory");
    }
    k2_buffer_init(&self->heads, HEAD_BYTES);
    self->batch_rows = FIRST_ROWS;
    enum k2_status status = build(self, columns, column_count, options, error);
    if (status != K2_OK) {
        k2_arrow_writer_destroy(self);
        return status;
    }
    *writer = self;
    return K2_OK;
}

void k2_arrow_writer_destroy(struct k2_arrow_writer *writer)
{
    if (writer == NULL) {
        return;
    }
    for (size_t i = 0; i < writer->array_count; i++) {
        k2_arrow_array_deinit(&writer->arrays[i]);
    }
    k2_free(writer->arrays);
    k2_free(writer->fields);
    k2_free(writer->sent_entries);
    k2_free(writer->nodes);
    k2_free(writer->buffers);
    k2_free(writer->pieces);
    k2_flat_deinit(&writer->flat);
    k2_buffer_deinit(&writer->heads);
    k2_free(writer);
}

// ---- batches ------------------------------------------------------------------------------------

static struct k2_arrow_layout begin_layout(struct k2_arrow_writer *self, size_t row_count)
{
    self->buffer_count = 0;
    self->body_bytes = 0;
    return (struct k2_arrow_layout){
        .row_count = (int64_t)row_count, .nodes = self->nodes, .buffers = self->buffers};
}

static void end_layout(const struct k2_arrow_writer *self, size_t node_count,
                       struct k2_arrow_layout *layout)
{
    layout->node_count = node_count;
    layout->buffer_count = self->buffer_count;
    layout->body_bytes = (int64_t)self->body_bytes;
}

// The whole dictionary of a column: readers that do not take additions are more than a few bytes
// are worth.
static enum k2_status close_dictionary(struct k2_arrow_writer *self, size_t index,
                                       struct k2_error *error)
{
    const struct k2_arrow_dictionary *dictionary = &self->arrays[index].dictionary;
    if (self->sent_entries[index] == dictionary->entry_count) {
        return K2_OK;
    }
    self->sent_entries[index] = dictionary->entry_count;
    size_t entries = dictionary->entry_count;
    size_t offset_bytes = entries == 0 ? 0 : (entries + 1) * sizeof *dictionary->offsets;
    struct k2_arrow_layout layout = begin_layout(self, entries);
    self->nodes[0] = (int64_t)entries;
    self->nodes[1] = 0;
    lay_out(self, 0);
    lay_out(self, offset_bytes);
    lay_out(self, dictionary->text.size_bytes);
    end_layout(self, 1, &layout);
    struct k2_slice metadata;
    enum k2_status status =
        k2_arrow_dictionary_message(&self->flat, (int64_t)index, &layout, &metadata, error);
    if (status == K2_OK) {
        status = add_head(self, metadata, error);
    }
    if (status == K2_OK && entries > 0) {
        add_piece(self, (const uint8_t *)dictionary->offsets, 0, offset_bytes);
        add_piece(self, dictionary->text.data, 0, dictionary->text.size_bytes);
    }
    return status;
}

static void lay_out_array(struct k2_arrow_writer *self, size_t index)
{
    struct k2_arrow_array *array = &self->arrays[index];
    k2_arrow_array_end(array);
    self->nodes[2 * index] = (int64_t)array->row_count;
    self->nodes[2 * index + 1] = (int64_t)array->null_count;
    lay_out(self, k2_arrow_array_valid_bytes(array));
    lay_out(self, k2_arrow_array_value_bytes(array));
    if (array->field.type == K2_ARROW_UTF8) {
        lay_out(self, array->text.size_bytes);
    }
}

static void add_array(struct k2_arrow_writer *self, const struct k2_arrow_array *array)
{
    if (array->null_count > 0) {
        add_piece(self, array->valid, 0, k2_arrow_array_valid_bytes(array));
    }
    add_piece(self, array->values, 0, k2_arrow_array_value_bytes(array));
    if (array->field.type == K2_ARROW_UTF8 && array->text.size_bytes > 0) {
        add_piece(self, array->text.data, 0, array->text.size_bytes);
    }
}

static enum k2_status close_batch(struct k2_arrow_writer *self, struct k2_error *error)
{
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < self->array_count && status == K2_OK; i++) {
        if (self->fields[i].type == K2_ARROW_DICTIONARY) {
            status = close_dictionary(self, i, error);
        }
    }
    if (status != K2_OK) {
        return status;
    }
    struct k2_arrow_layout layout = begin_layout(self, self->rows);
    for (size_t i = 0; i < self->array_count; i++) {
        lay_out_array(self, i);
    }
    end_layout(self, self->array_count, &layout);
    struct k2_slice metadata;
    status = k2_arrow_batch_message(&self->flat, &layout, &metadata, error);
    if (status == K2_OK) {
        status = add_head(self, metadata, error);
    }
    for (size_t i = 0; i < self->array_count && status == K2_OK; i++) {
        add_array(self, &self->arrays[i]);
    }
    self->rows = 0;
    self->batch_rows = K2_ARROW_ROWS;
    return status;
}

// The bytes of the batch before are taken: its memory is free.
static void open_batch(struct k2_arrow_writer *self)
{
    for (size_t i = 0; i < self->array_count; i++) {
        struct k2_arrow_array *array = &self->arrays[i];
        k2_arrow_array_clear(array);
        if (self->fields[i].type == K2_ARROW_DICTIONARY &&
            array->dictionary.text.size_bytes > DICTIONARY_BYTES) {
            k2_arrow_dictionary_clear(&array->dictionary);
            self->sent_entries[i] = SIZE_MAX;
        }
    }
}

static size_t text_bytes(const struct k2_arrow_writer *self)
{
    size_t bytes = 0;
    for (size_t i = 0; i < self->array_count; i++) {
        bytes += self->arrays[i].text.size_bytes;
    }
    return bytes;
}

enum k2_status k2_arrow_writer_put(struct k2_arrow_writer *writer, const struct k2_vector *vectors,
                                   size_t *row, size_t row_count, struct k2_error *error)
{
    assert(!k2_arrow_writer_has_bytes(writer) && *row <= row_count);
    enum k2_status status = K2_OK;
    while (status == K2_OK && *row < row_count && !k2_arrow_writer_has_bytes(writer)) {
        if (writer->rows == 0) {
            open_batch(writer);
        }
        // With texts, steps end at multiples of STEP_ROWS, however the rows are cut into calls.
        size_t step = writer->batch_rows - writer->rows;
        if (writer->has_texts) {
            step = STEP_ROWS - writer->rows % STEP_ROWS;
        }
        step = step < row_count - *row ? step : row_count - *row;
        for (size_t i = 0; i < writer->array_count && status == K2_OK; i++) {
            status = k2_arrow_array_put(&writer->arrays[i], &vectors[i], *row, step, error);
        }
        *row += step;
        writer->rows += step;
        bool full = writer->rows == writer->batch_rows ||
                    (writer->rows % STEP_ROWS == 0 && text_bytes(writer) >= BATCH_TEXT_BYTES);
        if (status == K2_OK && full) {
            status = close_batch(writer, error);
        }
    }
    return status;
}

enum k2_status k2_arrow_writer_finish(struct k2_arrow_writer *writer, bool *done,
                                      struct k2_error *error)
{
    assert(!k2_arrow_writer_has_bytes(writer));
    *done = writer->finished;
    if (writer->finished) {
        return K2_OK;
    }
    if (writer->rows > 0) {
        return close_batch(writer, error);
    }
    writer->finished = *done = true;
    k2_put_u32(&writer->heads, continuation);
    k2_put_u32(&writer->heads, 0);
    writer->pieces[writer->piece_count++] = (struct piece){.size_bytes = writer->heads.size_bytes};
    return k2_buffer_check(&writer->heads, "arrow: end of stream", error);
}
