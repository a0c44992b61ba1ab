// k2_cursor_export_stream: a cursor behind Arrow's C stream interface.
#include "engine/k2.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "engine/arrow_export.h"
#include "engine/k2_db.h"
#include "format/base/alloc.h"

enum {
    BATCH_TEXT_BYTES = 16 << 20, // of texts, about
    DICTIONARY_BYTES = 4 << 20,  // a larger dictionary begins anew
};

struct stream {
    struct k2_cursor *cursor; // owned
    struct k2_arrow_field *fields;
    struct k2_arrow_array *arrays;
    struct k2_arrow_shared **shared;
    size_t array_count, batch_rows;
    size_t next_row, row_count;
    bool ended;
    struct k2_error error; // of the last call; its text is empty when that succeeded
};

static int number_of(enum k2_status status)
{
    switch (status) {
    case K2_OK:
        return 0;
    case K2_NO_MEMORY:
        return ENOMEM;
    case K2_BAD_REQUEST:
    case K2_NOT_FOUND:
        return EINVAL;
    default:
        return EIO;
    }
}

static void destroy(struct stream *self)
{
    for (size_t i = 0; i < self->array_count; i++) {
        k2_arrow_array_deinit(&self->arrays[i]);
        k2_arrow_shared_drop(self->shared[i]);
    }
    k2_free(self->fields);
    k2_free(self->arrays);
    k2_free(self->shared);
    k2_free(self);
}

static void release(struct ArrowArrayStream *stream)
{
    struct stream *self = stream->private_data;
    k2_cursor_close(self->cursor);
    destroy(self);
    stream->release = NULL;
}

static const char *get_last_error(struct ArrowArrayStream *stream)
{
    const struct stream *self = stream->private_data;
    return self->error.text[0] == '\0' ? NULL : self->error.text;
}

static int get_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out)
{
    struct stream *self = stream->private_data;
    self->error.text[0] = '\0';
    return number_of(k2_arrow_export_schema(self->fields, self->array_count, out, &self->error));
}

// Dictionaries grow from batch to batch, so that most batches share one; but not for ever.
static void begin_batch(struct stream *self)
{
    for (size_t i = 0; i < self->array_count; i++) {
        struct k2_arrow_array *array = &self->arrays[i];
        k2_arrow_array_clear(array);
        if (array->field.type == K2_ARROW_DICTIONARY &&
            array->dictionary.text.size_bytes > DICTIONARY_BYTES) {
            k2_arrow_dictionary_clear(&array->dictionary);
            k2_arrow_shared_drop(self->shared[i]);
            self->shared[i] = NULL;
        }
    }
}

static size_t text_bytes(const struct stream *self)
{
    size_t bytes = 0;
    for (size_t i = 0; i < self->array_count; i++) {
        bytes += self->arrays[i].text.size_bytes;
    }
    return bytes;
}

static enum k2_status fill_batch(struct stream *self)
{
    begin_batch(self);
    enum k2_status status = K2_OK;
    for (size_t rows = 0; status == K2_OK && rows < self->batch_rows && !self->ended;) {
        if (self->next_row == self->row_count) {
            self->next_row = 0;
            status = k2_cursor_next(self->cursor, &self->row_count, &self->error);
            self->ended = status == K2_OK && self->row_count == 0;
            continue;
        }
        size_t step = self->row_count - self->next_row;
        step = step < self->batch_rows - rows ? step : self->batch_rows - rows;
        for (size_t i = 0; i < self->array_count && status == K2_OK; i++) {
            status = k2_arrow_array_put(&self->arrays[i], &self->cursor->vectors[i], self->next_row,
                                        step, &self->error);
        }
        self->next_row += step;
        rows += step;
        if (text_bytes(self) >= BATCH_TEXT_BYTES) {
            break;
        }
    }
    return status;
}

static int get_next(struct ArrowArrayStream *stream, struct ArrowArray *out)
{
    struct stream *self = stream->private_data;
    self->error.text[0] = '\0';
    *out = (struct ArrowArray){0};
    if (self->ended) {
        return 0;
    }
    enum k2_status status = fill_batch(self);
    if (status == K2_OK && (self->array_count == 0 || self->arrays[0].row_count == 0)) {
        return 0; // the end: `out` is released
    }
    if (status == K2_OK) {
        status =
            k2_arrow_export_batch(self->arrays, self->array_count, self->shared, out, &self->error);
    }
    return number_of(status);
}

static enum k2_status create(struct stream *self, const struct k2_cursor *cursor,
                             const struct k2_arrow_choice *choice, struct k2_error *error)
{
    size_t count = cursor->column_count;
    self->fields = k2_alloc_zero(count, sizeof *self->fields);
    self->arrays = k2_alloc_zero(count, sizeof *self->arrays);
    self->shared = k2_alloc_zero(count, sizeof *self->shared);
    if (self->fields == NULL || self->arrays == NULL || self->shared == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "arrow: no memory for a stream");
    }
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < count && status == K2_OK; i++) {
        self->fields[i] = k2_arrow_field_of(cursor->columns[i], choice);
        self->array_count++;
        status = k2_arrow_array_init(&self->arrays[i], &self->fields[i], error);
    }
    return status;
}

enum k2_status k2_cursor_export_stream(struct k2_cursor **cursor,
                                       const struct k2_export_options *options,
                                       struct ArrowArrayStream *out, struct k2_error *error)
{
    static const struct k2_export_options defaults = {.size_bytes = sizeof defaults};
    options = options == NULL ? &defaults : options;
    if (options->size_bytes != sizeof *options) {
        return k2_fail(error, K2_BAD_REQUEST, "arrow: size_bytes is %zu, expected %zu",
                       options->size_bytes, sizeof *options);
    }
    if (options->batch_rows > K2_ARROW_ROWS) {
        return k2_fail(error, K2_BAD_REQUEST, "arrow: batch_rows is %zu, at most %d",
                       options->batch_rows, K2_ARROW_ROWS);
    }
    struct stream *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "arrow: no memory for a stream");
    }
    self->batch_rows = options->batch_rows == 0 ? K2_ARROW_ROWS : options->batch_rows;
    const struct k2_arrow_choice choice = {.times_as_integers = options->times_as_int64,
                                           .decimals_as_integers = options->decimals_as_int64};
    enum k2_status status = create(self, *cursor, &choice, error);
    if (status != K2_OK) {
        destroy(self);
        return status;
    }
    self->cursor = *cursor;
    *cursor = NULL;
    *out = (struct ArrowArrayStream){.get_schema = get_schema,
                                     .get_next = get_next,
                                     .get_last_error = get_last_error,
                                     .release = release,
                                     .private_data = self};
    return K2_OK;
}
