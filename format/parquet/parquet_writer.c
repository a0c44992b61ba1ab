#include "format/parquet/parquet_writer.h"

#include <assert.h>

#include "format/base/alloc.h"

enum {
    GROUP_BYTES = 32 << 20,
    STEP_ROWS = 1024, // rows that go into every column between two looks at the memory
};

struct k2_parquet_writer {
    struct k2_parquet_field *fields;
    size_t field_count;
    struct k2_parquet_sorting *sorting;
    size_t sorting_count;
    struct k2_parquet_scratch scratch;
    struct k2_parquet_column *columns;
    struct k2_parquet_metadata *metadata;
    size_t group_rows, group_bytes;
    size_t rows;          // of the open group
    uint64_t file_offset; // of the byte behind all closed groups
    // Bytes that wait: first `ends`, then the pages of the columns from `next_column` on.
    struct k2_buffer ends; // the magic, the footer
    size_t next_column;    // field_count: no pages wait
    size_t taken;          // of `ends`, or of the two buffers of `next_column`
    bool finished;
};

// A timestamp column stands for one or two fields, all of them sorted.
static enum k2_status set_sorting(struct k2_parquet_writer *self,
                                  const struct k2_parquet_options *options, struct k2_error *error)
{
    self->sorting = k2_alloc_zero(self->field_count, sizeof *self->sorting);
    if (self->sorting == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "parquet: no memory");
    }
    for (size_t i = 0; i < options->sorting_count; i++) {
        for (size_t field = 0; field < self->field_count; field++) {
            const struct k2_parquet_field *candidate = &self->fields[field];
            bool too_exact = options->sorted_by_microseconds && !candidate->microseconds &&
                             candidate->column->kind == K2_KIND_TIMESTAMP;
            if (candidate->place == options->sorting[i] && !too_exact) {
                self->sorting[self->sorting_count++] =
                    (struct k2_parquet_sorting){field, options->descending};
            }
        }
    }
    return K2_OK;
}

static enum k2_status build(struct k2_parquet_writer *self, const struct k2_column *const *columns,
                            size_t column_count, const struct k2_parquet_options *options,
                            struct k2_error *error)
{
    enum k2_status status =
        k2_parquet_fields_create(&self->fields, &self->field_count, columns, column_count,
                                 options->times_as_integers, error);
    for (size_t i = 0; i < self->field_count && options->plain_integers; i++) {
        if (self->fields[i].logical == K2_PARQUET_INTEGER) {
            self->fields[i].logical = K2_PARQUET_NO_LOGICAL;
        }
    }
    if (status == K2_OK) {
        status = set_sorting(self, options, error);
    }
    if (status == K2_OK) {
        status = k2_parquet_scratch_init(&self->scratch, error);
    }
    if (status == K2_OK) {
        status = k2_parquet_metadata_create(&self->metadata, self->fields, self->field_count,
                                            self->sorting, self->sorting_count, error);
    }
    if (status != K2_OK) {
        return status;
    }
    self->columns = k2_alloc_zero(self->field_count, sizeof *self->columns);
    if (self->columns == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "parquet: no memory");
    }
    for (size_t i = 0; i < self->field_count && status == K2_OK; i++) {
        status = k2_parquet_column_init(&self->columns[i], &self->fields[i], &self->scratch, error);
    }
    self->next_column = self->field_count;
    k2_put_text(&self->ends, "PAR1");
    self->file_offset = self->ends.size_bytes;
    return status == K2_OK ? k2_buffer_check(&self->ends, "parquet: magic", error) : status;
}

enum k2_status k2_parquet_writer_create(struct k2_parquet_writer **writer,
                                        const struct k2_column *const *columns, size_t column_count,
                                        const struct k2_parquet_options *options,
                                        struct k2_error *error)
{
    *writer = NULL;
    struct k2_parquet_writer *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "parquet: no memory");
    }
    k2_buffer_init(&self->ends, 3UL * K2_PARQUET_METADATA_BYTES);
    self->group_rows =
        options->group_rows > 0 ? options->group_rows : K2_PARQUET_GROUP_ROWS_DEFAULT;
    self->group_bytes = options->group_bytes > 0 ? options->group_bytes : GROUP_BYTES;
    enum k2_status status = build(self, columns, column_count, options, error);
    if (status != K2_OK) {
        k2_parquet_writer_destroy(self);
        return status;
    }
    *writer = self;
    return K2_OK;
}

void k2_parquet_writer_destroy(struct k2_parquet_writer *writer)
{
    if (writer == NULL) {
        return;
    }
    for (size_t i = 0; writer->columns != NULL && i < writer->field_count; i++) {
        k2_parquet_column_deinit(&writer->columns[i]);
    }
    k2_free(writer->columns);
    k2_parquet_metadata_destroy(writer->metadata);
    k2_parquet_scratch_deinit(&writer->scratch);
    k2_parquet_fields_free(writer->fields, writer->field_count);
    k2_free(writer->sorting);
    k2_buffer_deinit(&writer->ends);
    k2_free(writer);
}

// ---- bytes out ----------------------------------------------------------------------------------

bool k2_parquet_writer_has_bytes(const struct k2_parquet_writer *writer)
{
    return writer->ends.size_bytes > 0 || writer->next_column < writer->field_count;
}

// Moves bytes of `from` behind the first `*taken`; true when none is left.
static bool take_from(const struct k2_buffer *from, size_t *taken, size_t enough_bytes,
                      struct k2_buffer *out)
{
    size_t room = enough_bytes > out->size_bytes ? enough_bytes - out->size_bytes : 0;
    size_t size = from->size_bytes - *taken;
    size = size < room ? size : room;
    if (size > 0) {
        k2_put_bytes(out, from->data + *taken, size);
    }
    *taken += size;
    return *taken == from->size_bytes;
}

// The dictionary page, which is then given up, and the pages behind it.
static bool take_column(struct k2_parquet_writer *writer, size_t enough_bytes,
                        struct k2_buffer *out)
{
    struct k2_parquet_column *column = &writer->columns[writer->next_column];
    if (column->dictionary_page.size_bytes > 0) {
        if (!take_from(&column->dictionary_page, &writer->taken, enough_bytes, out)) {
            return false;
        }
        k2_buffer_clear(&column->dictionary_page);
        writer->taken = 0;
    }
    return take_from(&column->pages, &writer->taken, enough_bytes, out);
}

void k2_parquet_writer_take(struct k2_parquet_writer *writer, size_t enough_bytes,
                            struct k2_buffer *out)
{
    if (writer->ends.size_bytes > 0) {
        if (!take_from(&writer->ends, &writer->taken, enough_bytes, out)) {
            return;
        }
        k2_buffer_clear(&writer->ends);
        writer->taken = 0;
    }
    while (writer->next_column < writer->field_count && take_column(writer, enough_bytes, out)) {
        k2_parquet_column_clear(&writer->columns[writer->next_column++]);
        writer->taken = 0;
    }
}

// ---- rows in ------------------------------------------------------------------------------------

static enum k2_status close_group(struct k2_parquet_writer *self, struct k2_error *error)
{
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < self->field_count && status == K2_OK; i++) {
        status = k2_parquet_column_end(&self->columns[i], error);
    }
    uint64_t size_bytes = 0;
    if (status == K2_OK) {
        status = k2_parquet_metadata_add_group(self->metadata, self->columns, self->rows,
                                               self->file_offset, &size_bytes, error);
    }
    self->file_offset += size_bytes;
    self->rows = 0;
    self->next_column = 0;
    return status;
}

size_t k2_parquet_writer_field_count(const struct k2_parquet_writer *writer)
{
    return writer->field_count;
}

void k2_parquet_writer_total(const struct k2_parquet_writer *writer, size_t field,
                             struct k2_parquet_total *total)
{
    k2_parquet_metadata_total(writer->metadata, field, total);
}

size_t k2_parquet_writer_group_count(const struct k2_parquet_writer *writer)
{
    return k2_parquet_metadata_group_count(writer->metadata);
}

uint64_t k2_parquet_writer_group_offset(const struct k2_parquet_writer *writer, size_t group)
{
    return k2_parquet_metadata_group_offset(writer->metadata, group);
}

static size_t group_bytes(const struct k2_parquet_writer *self)
{
    size_t bytes = 0;
    for (size_t i = 0; i < self->field_count; i++) {
        bytes += k2_parquet_column_bytes(&self->columns[i]);
    }
    return bytes;
}

enum k2_status k2_parquet_writer_put(struct k2_parquet_writer *writer,
                                     const struct k2_vector *vectors, size_t *row, size_t row_count,
                                     struct k2_error *error)
{
    assert(!k2_parquet_writer_has_bytes(writer) && *row <= row_count);
    enum k2_status status = K2_OK;
    while (status == K2_OK && *row < row_count && !k2_parquet_writer_has_bytes(writer)) {
        // Steps end at multiples of STEP_ROWS of the group, however the rows are cut into calls.
        size_t step = STEP_ROWS - writer->rows % STEP_ROWS;
        step = step < row_count - *row ? step : row_count - *row;
        step = step < writer->group_rows - writer->rows ? step : writer->group_rows - writer->rows;
        for (size_t i = 0; i < writer->field_count && status == K2_OK; i++) {
            status = k2_parquet_column_put(&writer->columns[i], &vectors[writer->fields[i].place],
                                           *row, step, error);
        }
        *row += step;
        writer->rows += step;
        bool full = writer->rows == writer->group_rows ||
                    (writer->rows % STEP_ROWS == 0 && group_bytes(writer) >= writer->group_bytes);
        if (status == K2_OK && full) {
            status = close_group(writer, error);
        }
    }
    return status;
}

enum k2_status k2_parquet_writer_finish(struct k2_parquet_writer *writer, bool *done,
                                        struct k2_error *error)
{
    assert(!k2_parquet_writer_has_bytes(writer));
    *done = writer->finished;
    if (writer->finished) {
        return K2_OK;
    }
    if (writer->rows > 0) {
        return close_group(writer, error);
    }
    writer->finished = true;
    *done = true;
    return k2_parquet_metadata_finish(writer->metadata, writer->file_offset, &writer->ends, error);
}
