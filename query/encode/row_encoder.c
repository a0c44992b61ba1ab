#include "query/encode/row_encoder.h"

#include <assert.h>

#include "format/base/alloc.h"
#include "format/base/json_text.h"
#include "query/encode/cell.h"
#include "query/encode/column_encoder.h"
#include "query/encode/table_layout.h"

enum {
    PREFIX_BYTES = 1 << 20, // ceiling of one column's prefix
    REMEMBERED_BYTES = 64,
};

// The texts around rows and cells, as far as they are the same for every row.
struct row_syntax {
    struct k2_row_format format;
    enum k2_cell_dialect dialect;
    bool has_header;               // the names in the first line
    bool named_cells;              // each cell follows its name
    bool aligned;                  // needs the layout of a table
    enum k2_column_format columns; // no text, but columns
    const char *begin, *end;       // around all rows
    const char *first, *between;   // before the first row, between two rows
    const char *open, *close;      // around a row
    const char *null_text;
};

static const struct row_syntax row_formats[] = {
    {.format = {"csv", "text/csv; charset=utf-8", false},
     .dialect = K2_CELL_CSV,
     .has_header = true,
     .begin = "",
     .end = "",
     .first = "",
     .between = "",
     .open = "",
     .close = "\n",
     .null_text = ""},
    {.format = {"ndjson", "application/x-ndjson", false},
     .dialect = K2_CELL_JSON,
     .named_cells = true,
     .begin = "",
     .end = "",
     .first = "",
     .between = "",
     .open = "{",
     .close = "}\n",
     .null_text = "null"},
    {.format = {"json", "application/json", false},
     .dialect = K2_CELL_JSON,
     .named_cells = true,
     .begin = "[",
     .end = "]",
     .first = "\n",
     .between = ",\n",
     .open = "{",
     .close = "}",
     .null_text = "null"},
    {.format = {"table", "text/plain; charset=utf-8", false},
     .dialect = K2_CELL_PLAIN,
     .aligned = true,
     .begin = "",
     .end = "",
     .null_text = ""},
    {.format = {"arrow", "application/vnd.apache.arrow.stream", false},
     .dialect = K2_CELL_PLAIN,
     .columns = K2_COLUMNS_ARROW,
     .begin = "",
     .end = "",
     .null_text = ""},
    {.format = {"parquet", "application/vnd.apache.parquet", true},
     .dialect = K2_CELL_PLAIN,
     .columns = K2_COLUMNS_PARQUET,
     .begin = "",
     .end = "",
     .null_text = ""},
};

struct encoder_column {
    k2_cell_put *put;
    struct k2_buffer prefix; // what stands before the cell, its name included
    bool remembers;          // symbolic: runs of one text are printed once
    struct k2_slice last;    // borrowed during one call of put
    uint8_t last_text[REMEMBERED_BYTES];
    size_t last_size; // 0: nothing remembered
};

struct k2_row_encoder {
    const struct row_syntax *syntax;
    const struct k2_column *const *names; // borrowed
    struct encoder_column *columns;
    size_t column_count;
    bool has_rows;
    struct k2_table_layout *layout;          // aligned formats only
    struct k2_column_encoder *column_format; // formats made of columns only
};

const struct k2_row_format *k2_row_format_find(struct k2_slice name)
{
    for (size_t i = 0; i < sizeof row_formats / sizeof row_formats[0]; i++) {
        if (k2_slice_equal(k2_slice_of(row_formats[i].format.name), name)) {
            return &row_formats[i].format;
        }
    }
    return NULL;
}

const struct k2_row_format *k2_row_format_of_content_type(struct k2_slice content_type)
{
    for (size_t i = 0; i < sizeof row_formats / sizeof row_formats[0]; i++) {
        const char *type = row_formats[i].format.content_type;
        struct k2_slice bare = {(const uint8_t *)type, strcspn(type, ";")};
        if (k2_slice_equal(bare, content_type)) {
            return &row_formats[i].format;
        }
    }
    return NULL;
}

static void put_prefix(const struct row_syntax *syntax, const char *name, size_t index,
                       struct k2_buffer *prefix)
{
    k2_buffer_init(prefix, PREFIX_BYTES);
    if (index > 0) {
        k2_put_u8(prefix, ',');
    }
    if (syntax->named_cells) {
        k2_json_put_string(prefix, k2_slice_of(name));
        k2_put_u8(prefix, ':');
    }
}

static enum k2_status fill_columns(struct k2_row_encoder *self, const struct k2_row_style *style,
                                   struct k2_error *error)
{
    for (size_t i = 0; i < self->column_count; i++) {
        struct encoder_column *column = &self->columns[i];
        column->put = k2_cell_printer(self->syntax->dialect, self->names[i]->kind, style);
        column->remembers = self->names[i]->kind == K2_KIND_SYMBOLIC;
        put_prefix(self->syntax, self->names[i]->name, i, &column->prefix);
        enum k2_status status = k2_buffer_check(&column->prefix, "column name", error);
        if (status != K2_OK) {
            return status;
        }
    }
    return K2_OK;
}

enum k2_status k2_row_encoder_create(struct k2_row_encoder **encoder,
                                     const struct k2_row_format *format,
                                     const struct k2_column *const *columns, size_t column_count,
                                     const struct k2_row_style *style, struct k2_error *error)
{
    *encoder = NULL;
    struct k2_row_encoder *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "encoder: no memory");
    }
    self->syntax = (const struct row_syntax *)(const void *)format; // its first member
    self->names = columns;
    self->columns = k2_alloc_zero(column_count, sizeof *self->columns);
    enum k2_status status = K2_OK;
    if (self->columns == NULL) {
        status = k2_fail(error, K2_NO_MEMORY, "encoder: no memory");
    } else {
        self->column_count = column_count;
        status = fill_columns(self, style, error);
    }
    if (status == K2_OK && self->syntax->aligned) {
        status = k2_table_layout_create(&self->layout, columns, column_count, style, error);
    }
    if (status == K2_OK && self->syntax->columns != K2_COLUMNS_NONE) {
        status = k2_column_encoder_create(&self->column_format, self->syntax->columns, columns,
                                          column_count, style, error);
    }
    if (status != K2_OK) {
        k2_row_encoder_destroy(self);
        return status;
    }
    *encoder = self;
    return K2_OK;
}

void k2_row_encoder_destroy(struct k2_row_encoder *encoder)
{
    if (encoder == NULL) {
        return;
    }
    for (size_t i = 0; i < encoder->column_count; i++) {
        k2_buffer_deinit(&encoder->columns[i].prefix);
    }
    k2_table_layout_destroy(encoder->layout);
    k2_column_encoder_destroy(encoder->column_format);
    k2_free(encoder->columns);
    k2_free(encoder);
}

void k2_row_encoder_begin(struct k2_row_encoder *encoder, struct k2_buffer *out)
{
    k2_put_text(out, encoder->syntax->begin);
    if (!encoder->syntax->has_header) {
        return;
    }
    k2_cell_put *put =
        k2_cell_printer(encoder->syntax->dialect, K2_KIND_TEXT, &(struct k2_row_style){0});
    for (size_t i = 0; i < encoder->column_count; i++) {
        struct k2_slice name = k2_slice_of(encoder->names[i]->name);
        if (i > 0) {
            k2_put_u8(out, ',');
        }
        put(&(struct k2_vector){.kind = K2_KIND_TEXT, .texts = &name}, 0, out);
    }
    k2_put_u8(out, '\n');
}

enum k2_status k2_row_encoder_check(const struct k2_row_encoder *encoder, struct k2_error *error)
{
    return encoder->column_format == NULL ? K2_OK
                                          : k2_column_encoder_check(encoder->column_format, error);
}

bool k2_row_encoder_end(struct k2_row_encoder *encoder, size_t enough_bytes, struct k2_buffer *out)
{
    if (encoder->column_format != NULL) {
        return k2_column_encoder_end(encoder->column_format, enough_bytes, out);
    }
    if (encoder->layout != NULL) {
        k2_table_layout_end(encoder->layout, out);
    }
    if (encoder->has_rows && encoder->syntax->begin[0] != '\0') {
        k2_put_u8(out, '\n');
    }
    k2_put_text(out, encoder->syntax->end);
    return true;
}

static void put_cell(struct encoder_column *column, const struct k2_vector *vector, size_t row,
                     struct k2_buffer *out)
{
    if (!column->remembers) {
        column->put(vector, row, out);
        return;
    }
    struct k2_slice text = vector->texts[row];
    if (column->last_size > 0 && text.data == column->last.data &&
        text.size_bytes == column->last.size_bytes) {
        k2_put_bytes(out, column->last_text, column->last_size);
        return;
    }
    size_t before = out->size_bytes;
    column->put(vector, row, out);
    size_t size = out->size_bytes - before;
    column->last_size = size <= sizeof column->last_text && !out->failed ? size : 0;
    if (column->last_size > 0) {
        column->last = text;
        memcpy(column->last_text, out->data + before, size);
    }
}

static void put_row(struct k2_row_encoder *encoder, const struct k2_vector *vectors, size_t row,
                    struct k2_buffer *out)
{
    const struct row_syntax *syntax = encoder->syntax;
    k2_put_text(out, encoder->has_rows ? syntax->between : syntax->first);
    k2_put_text(out, syntax->open);
    for (size_t i = 0; i < encoder->column_count; i++) {
        struct encoder_column *column = &encoder->columns[i];
        k2_put_bytes(out, column->prefix.data, column->prefix.size_bytes);
        if (k2_cell_is_null(&vectors[i], row)) {
            k2_put_text(out, syntax->null_text);
        } else {
            put_cell(column, &vectors[i], row, out);
        }
    }
    k2_put_text(out, syntax->close);
    encoder->has_rows = true;
}

size_t k2_row_encoder_put(struct k2_row_encoder *encoder, const struct k2_vector *vectors,
                          size_t first_row, size_t row_count, size_t enough_bytes,
                          struct k2_buffer *out)
{
    assert(first_row <= row_count);
    if (encoder->column_format != NULL) {
        return k2_column_encoder_put(encoder->column_format, vectors, first_row, row_count,
                                     enough_bytes, out);
    }
    for (size_t i = 0; i < encoder->column_count; i++) {
        encoder->columns[i].last_size = 0; // its text may have moved since the last call
    }
    size_t row = first_row;
    if (encoder->layout != NULL) {
        k2_table_layout_begin(encoder->layout, vectors, row_count, out);
    }
    while (row < row_count && out->size_bytes < enough_bytes && !out->failed) {
        if (encoder->layout != NULL) {
            k2_table_layout_row(encoder->layout, vectors, row, out);
        } else {
            put_row(encoder, vectors, row, out);
        }
        row++;
    }
    return row;
}
