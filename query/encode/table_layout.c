#include "query/encode/table_layout.h"

#include "format/base/alloc.h"

enum {
    CELL_BYTES = 1 << 30, // ceiling of one printed cell
    WIDEST_COLUMN = 60,   // a long text does not push the others out of sight
};

struct layout_column {
    k2_cell_put *put;
    size_t width;
    bool right; // numbers
};

struct k2_table_layout {
    const struct k2_column *const *names; // borrowed
    struct layout_column *columns;
    size_t column_count;
    bool measured;
    struct k2_buffer cell;
};

static bool is_number(enum k2_kind kind)
{
    return kind <= K2_KIND_DECIMAL64 || kind == K2_KIND_FLOAT64;
}

enum k2_status k2_table_layout_create(struct k2_table_layout **layout,
                                      const struct k2_column *const *columns, size_t column_count,
                                      const struct k2_row_style *style, struct k2_error *error)
{
    *layout = NULL;
    struct k2_table_layout *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "table: no memory");
    }
    k2_buffer_init(&self->cell, CELL_BYTES);
    self->names = columns;
    self->columns = k2_alloc_zero(column_count, sizeof *self->columns);
    if (self->columns == NULL) {
        k2_table_layout_destroy(self);
        return k2_fail(error, K2_NO_MEMORY, "table: no memory");
    }
    self->column_count = column_count;
    for (size_t i = 0; i < column_count; i++) {
        self->columns[i].put = k2_cell_printer(K2_CELL_PLAIN, columns[i]->kind, style);
        self->columns[i].right = is_number(columns[i]->kind);
        self->columns[i].width = strlen(columns[i]->name);
    }
    *layout = self;
    return K2_OK;
}

void k2_table_layout_destroy(struct k2_table_layout *layout)
{
    if (layout != NULL) {
        k2_buffer_deinit(&layout->cell);
        k2_free(layout->columns);
        k2_free(layout);
    }
}

// Characters, as far as one code point is one.
static size_t width_of(struct k2_slice text)
{
    size_t width = 0;
    for (size_t i = 0; i < text.size_bytes; i++) {
        width += (text.data[i] & 0xc0) != 0x80;
    }
    return width;
}

static struct k2_slice print_cell(struct k2_table_layout *self, size_t index,
                                  const struct k2_vector *vector, size_t row)
{
    k2_buffer_clear(&self->cell);
    if (!k2_cell_is_null(vector, row)) {
        self->columns[index].put(vector, row, &self->cell);
    }
    return k2_buffer_slice(&self->cell);
}

static void put_spaces(struct k2_buffer *out, size_t count)
{
    uint8_t *spaces = k2_buffer_extend(out, count);
    if (spaces != NULL) {
        memset(spaces, ' ', count);
    }
}

static void put_aligned(const struct k2_table_layout *self, size_t index, struct k2_slice text,
                        struct k2_buffer *out)
{
    const struct layout_column *column = &self->columns[index];
    size_t width = width_of(text);
    size_t padding = width < column->width ? column->width - width : 0;
    if (index > 0) {
        k2_put_text(out, "  ");
    }
    if (column->right) {
        put_spaces(out, padding);
    }
    k2_put_bytes(out, text.data, text.size_bytes);
    if (!column->right && index + 1 < self->column_count) {
        put_spaces(out, padding);
    }
    if (index + 1 == self->column_count) {
        k2_put_u8(out, '\n');
    }
}

static void put_head(const struct k2_table_layout *self, struct k2_buffer *out)
{
    for (size_t i = 0; i < self->column_count; i++) {
        put_aligned(self, i, k2_slice_of(self->names[i]->name), out);
    }
}

void k2_table_layout_begin(struct k2_table_layout *layout, const struct k2_vector *vectors,
                           size_t row_count, struct k2_buffer *out)
{
    if (layout->measured) {
        return;
    }
    for (size_t i = 0; i < layout->column_count; i++) {
        struct layout_column *column = &layout->columns[i];
        for (size_t row = 0; row < row_count; row++) {
            size_t width = width_of(print_cell(layout, i, &vectors[i], row));
            width = width < WIDEST_COLUMN ? width : WIDEST_COLUMN;
            column->width = width > column->width ? width : column->width;
        }
    }
    layout->measured = true;
    put_head(layout, out);
}

void k2_table_layout_row(struct k2_table_layout *layout, const struct k2_vector *vectors,
                         size_t row, struct k2_buffer *out)
{
    for (size_t i = 0; i < layout->column_count; i++) {
        put_aligned(layout, i, print_cell(layout, i, &vectors[i], row), out);
        out->failed = out->failed || layout->cell.failed;
    }
}

void k2_table_layout_end(struct k2_table_layout *layout, struct k2_buffer *out)
{
    if (!layout->measured) { // no row came: the head alone
        layout->measured = true;
        put_head(layout, out);
    }
}
