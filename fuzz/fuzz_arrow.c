// Any columns and rows, written as an Arrow stream and read by a reader that trusts nothing, come
// back as they went in: every value, every null, in bounds; however calls and pieces are cut.
//
// Bytes of the input: how to cut, columns, then values as they are needed (zeros behind the end).
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/arrow/arrow_writer.h"
#include "format/base/utf8.h"
#include "tests/support/arrow_walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_COLUMNS = 12, MOST_ROWS = 6000, CEILING = 256 << 20 };

struct sheet {
    struct k2_column columns[MOST_COLUMNS];
    const struct k2_column *pointers[MOST_COLUMNS];
    char names[MOST_COLUMNS][24];
    size_t column_count, row_count;
    struct k2_slice input;
    bool times_as_integers;
};

static const struct k2_arrow_pair metadata[] = {{"k2.table", "t"}, {"k2.snapshot", "1"}};

static uint8_t byte_at(const struct sheet *sheet, size_t place)
{
    return sheet->input.size_bytes == 0 ? 0 : sheet->input.data[place % sheet->input.size_bytes];
}

static size_t place_of(size_t column, size_t row)
{
    return row * 7 + column * 131 + row / 5 * column;
}

static bool is_null(const struct sheet *sheet, size_t column, size_t row)
{
    return sheet->columns[column].nullable && byte_at(sheet, place_of(column, row)) % 4 == 0;
}

static int64_t number_of(const struct sheet *sheet, size_t column, size_t row)
{
    uint64_t value = 0;
    for (size_t i = 0; i < 8; i++) {
        value = value << 8 | byte_at(sheet, place_of(column, row) + i);
    }
    int64_t number = (int64_t)value;
    switch (sheet->columns[column].kind) {
    case K2_KIND_INT8:
        return (int8_t)number;
    case K2_KIND_INT16:
        return (int16_t)number;
    case K2_KIND_INT32:
        return (int32_t)number;
    case K2_KIND_BOOL:
        return number & 1;
    default:
        return number;
    }
}

// Texts lie in the input itself, so that some share their place and some do not.
static struct k2_slice text_of(const struct sheet *sheet, size_t column, size_t row)
{
    static const uint8_t zeros[16];
    size_t length = byte_at(sheet, place_of(column, row) + 1);
    if (sheet->columns[column].kind == K2_KIND_UUID) {
        length = 16;
    }
    if (length > sheet->input.size_bytes) {
        return (struct k2_slice){zeros, length == 16 ? 16 : 0};
    }
    size_t from = place_of(column, row) % (sheet->input.size_bytes - length + 1);
    return (struct k2_slice){sheet->input.data + from, length};
}

static void check_value(void *context, const struct arrow_walk_value *value)
{
    const struct sheet *sheet = context;
    const struct k2_column *column = &sheet->columns[value->column];
    assert(value->row < sheet->row_count);
    assert(value->null == is_null(sheet, value->column, value->row));
    if (value->null) {
        return;
    }
    if (k2_kind_is_fixed(column->kind)) {
        int64_t number = 0, expected = number_of(sheet, value->column, value->row);
        memcpy(&number, value->bytes.data,
               value->bytes.size_bytes < 8 ? value->bytes.size_bytes : 8);
        size_t unused = value->bytes.size_bytes < 8 ? 64 - 8 * value->bytes.size_bytes : 0;
        if (column->kind != K2_KIND_BOOL) {
            number = (int64_t)((uint64_t)number << unused) >> unused;
        }
        assert(number == expected);
        if (column->kind == K2_KIND_DECIMAL64) {
            int64_t high;
            assert(value->bytes.size_bytes == 16 && value->field->scale == column->scale);
            memcpy(&high, value->bytes.data + 8, 8);
            assert(high == (expected < 0 ? -1 : 0));
        }
        return;
    }
    struct k2_slice text = text_of(sheet, value->column, value->row);
    if (column->kind == K2_KIND_TEXT && !k2_utf8_is_valid(text)) {
        assert(k2_utf8_is_valid(value->bytes));
    } else {
        assert(k2_slice_equal(value->bytes, text));
    }
}

static void fill(const struct sheet *sheet, size_t column, size_t first_row, size_t row_count,
                 struct k2_vector_store *store, struct k2_vector *vector)
{
    const struct k2_column *of = &sheet->columns[column];
    *vector = (struct k2_vector){.kind = of->kind, .scale = of->scale};
    bool nulls = false;
    for (size_t i = 0; i < row_count; i++) {
        bool null = is_null(sheet, column, first_row + i);
        store->valid[i] = !null;
        nulls = nulls || null;
        store->values[i] = number_of(sheet, column, first_row + i);
        store->texts[i] = null ? (struct k2_slice){0} : text_of(sheet, column, first_row + i);
    }
    vector->valid = nulls ? store->valid : NULL;
    vector->values = k2_kind_is_fixed(of->kind) ? store->values : NULL;
    vector->texts = k2_kind_is_fixed(of->kind) ? NULL : store->texts;
}

static void must(enum k2_status status)
{
    assert(status == K2_OK);
    (void)status;
}

static void write_stream(const struct sheet *sheet, size_t cut, struct k2_buffer *out)
{
    const struct k2_arrow_options options = {
        .choice = {.times_as_integers = sheet->times_as_integers},
        .metadata = metadata,
        .metadata_count = 2};
    struct k2_arrow_writer *writer;
    struct k2_vector vectors[MOST_COLUMNS];
    struct k2_vector_store *stores =
        aligned_alloc(64, (MOST_COLUMNS * sizeof *stores + 63) / 64 * 64);
    assert(stores != NULL);
    must(k2_arrow_writer_create(&writer, sheet->pointers, sheet->column_count, &options, NULL));
    for (size_t first = 0; first < sheet->row_count;) {
        size_t count = cut < sheet->row_count - first ? cut : sheet->row_count - first, row = 0;
        for (size_t i = 0; i < sheet->column_count; i++) {
            fill(sheet, i, first, count, &stores[i], &vectors[i]);
        }
        while (row < count || k2_arrow_writer_has_bytes(writer)) {
            k2_arrow_writer_take(writer, out->size_bytes + 10 * cut, out);
            if (!k2_arrow_writer_has_bytes(writer)) {
                must(k2_arrow_writer_put(writer, vectors, &row, count, NULL));
            }
        }
        first += count;
    }
    for (bool done = false; !done || k2_arrow_writer_has_bytes(writer);) {
        k2_arrow_writer_take(writer, SIZE_MAX, out);
        if (!done) {
            must(k2_arrow_writer_finish(writer, &done, NULL));
        }
    }
    assert(!out->failed);
    k2_arrow_writer_destroy(writer);
    free(stores);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sheet sheet = {.input = {data, size}};
    sheet.column_count = 1 + byte_at(&sheet, 1) % MOST_COLUMNS;
    // Several vectors of rows seldom: they take a tenth of a second.
    size_t rows = byte_at(&sheet, 3);
    sheet.row_count = byte_at(&sheet, 2) % 8 == 0 ? rows * MOST_ROWS / 255 : rows;
    sheet.times_as_integers = byte_at(&sheet, 0) >> 7 != 0;
    for (size_t i = 0; i < sheet.column_count; i++) {
        uint8_t byte = byte_at(&sheet, 4 + i);
        (void)snprintf(sheet.names[i], sizeof sheet.names[i], "c%zu", i);
        sheet.columns[i] = (struct k2_column){.name = sheet.names[i],
                                              .kind = (enum k2_kind)(1 + byte % K2_KIND_JSON),
                                              .scale = byte % 19,
                                              .nullable = byte >> 7 != 0};
        sheet.pointers[i] = &sheet.columns[i];
    }
    size_t cut = 1 + (size_t)byte_at(&sheet, 0) % 128 * 8; // at most 1,017
    struct k2_buffer out;
    k2_buffer_init(&out, CEILING);
    write_stream(&sheet, cut, &out);
    struct arrow_walk walk = {.take = check_value, .context = &sheet};
    bool good = arrow_walk(&walk, k2_buffer_slice(&out));
    assert(good && walk.ended && walk.row_count == sheet.row_count && walk.metadata_count == 2);
    (void)good;
    // A cut stream is wrong, or at least has no end.
    if (out.size_bytes > 8) {
        size_t most = out.size_bytes - 1, at = (size_t)byte_at(&sheet, 5) * most / 256;
        walk = (struct arrow_walk){0};
        assert(!arrow_walk(&walk, (struct k2_slice){out.data, at}) || !walk.ended);
    }
    k2_buffer_deinit(&out);
    return 0;
}
