// Pages whose rows are all alike, for as long as they are: what is read back is what was written.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/parquet/parquet_reader.h"
#include "format/parquet/parquet_writer.h"

enum { COLUMNS = 6, ROWS = 45000, CEILING = 64 << 20 };

static const struct k2_column columns[COLUMNS] = {
    {.name = "number", .id = 1, .kind = K2_KIND_INT64, .nullable = true},
    {.name = "small", .id = 2, .kind = K2_KIND_INT16, .nullable = true},
    {.name = "side", .id = 3, .kind = K2_KIND_SYMBOLIC, .nullable = true},
    {.name = "note", .id = 4, .kind = K2_KIND_TEXT, .nullable = true},
    {.name = "flag", .id = 5, .kind = K2_KIND_BOOL, .nullable = true},
    {.name = "share", .id = 6, .kind = K2_KIND_FLOAT64, .nullable = true},
};

// What stands in a row: a null, or one of a few values.
enum content { NOTHING, SAME, OTHER, MANY };

struct shape {
    const char *name;
    enum content first, then;
    size_t change; // from this row on `then`
    size_t single; // this row alone is as `then`; beyond the last: none
};

static enum content content_of(const struct shape *shape, size_t row)
{
    return row >= shape->change || row == shape->single ? shape->then : shape->first;
}

static int64_t number_of(enum content content, size_t row, size_t column)
{
    int64_t value = content == MANY ? (int64_t)(row * 7 % 1000) : content == OTHER ? 1 : 0;
    return columns[column].kind == K2_KIND_BOOL ? value & 1 : value;
}

static void text_of(enum content content, size_t row, char text[16])
{
    (void)snprintf(text, 16, "t%d", content == MANY ? (int)(row * 7 % 1000) : content == OTHER);
}

struct rows {
    int64_t values[COLUMNS][K2_VECTOR_ROWS];
    char texts[K2_VECTOR_ROWS][16];
    struct k2_slice slices[K2_VECTOR_ROWS];
    uint8_t valid[K2_VECTOR_ROWS];
    struct k2_vector vectors[COLUMNS];
};

// Texts that are the same share their bytes, as those of a scan do. `told`: the vector says so.
static void fill_rows(struct rows *rows, const struct shape *shape, size_t first, size_t count,
                      bool told)
{
    bool alike = true;
    for (size_t i = 0; i < count; i++) {
        enum content content = content_of(shape, first + i);
        alike = alike && content == content_of(shape, first) && content != MANY;
        rows->valid[i] = content != NOTHING;
        for (size_t column = 0; column < COLUMNS; column++) {
            rows->values[column][i] = number_of(content, first + i, column);
        }
        text_of(content, first + i, rows->texts[i]);
        bool same = i > 0 && rows->valid[i - 1] && strcmp(rows->texts[i], rows->texts[i - 1]) == 0;
        rows->slices[i] = content == NOTHING ? (struct k2_slice){0}
                          : same             ? rows->slices[i - 1]
                                             : k2_slice_of(rows->texts[i]);
    }
    for (size_t column = 0; column < COLUMNS; column++) {
        bool fixed = k2_kind_is_fixed(columns[column].kind);
        rows->vectors[column] = (struct k2_vector){.kind = columns[column].kind,
                                                   .values = fixed ? rows->values[column] : NULL,
                                                   .texts = fixed ? NULL : rows->slices,
                                                   .valid = rows->valid,
                                                   .alike = told && alike};
    }
}

static void write_file(const struct shape *shape, size_t call_rows, bool told,
                       struct k2_buffer *out)
{
    static const struct k2_column *const list[COLUMNS] = {&columns[0], &columns[1], &columns[2],
                                                          &columns[3], &columns[4], &columns[5]};
    static struct rows rows;
    const struct k2_parquet_options options = {.group_rows = ROWS};
    struct k2_parquet_writer *writer;
    k2_buffer_init(out, CEILING);
    assert_int_equal(k2_parquet_writer_create(&writer, list, COLUMNS, &options, NULL), K2_OK);
    bool done = false;
    for (size_t first = 0; first < ROWS; first += call_rows) {
        size_t count = call_rows < ROWS - first ? call_rows : ROWS - first;
        fill_rows(&rows, shape, first, count, told);
        for (size_t row = 0; row < count;) {
            k2_parquet_writer_take(writer, CEILING, out);
            assert_int_equal(k2_parquet_writer_put(writer, rows.vectors, &row, count, NULL), K2_OK);
        }
    }
    while (!done) {
        k2_parquet_writer_take(writer, CEILING, out);
        assert_int_equal(k2_parquet_writer_finish(writer, &done, NULL), K2_OK);
    }
    k2_parquet_writer_take(writer, CEILING, out);
    k2_parquet_writer_destroy(writer);
    assert_false(out->failed);
}

static void check_file(const struct shape *shape, struct k2_slice bytes)
{
    size_t footer, size;
    uint64_t offset;
    struct k2_parquet_file *file;
    struct k2_parquet_values values = {0};
    struct k2_slice tail = {bytes.data + bytes.size_bytes - K2_PARQUET_TAIL_BYTES,
                            K2_PARQUET_TAIL_BYTES};
    assert_int_equal(k2_parquet_footer_size(tail, &footer, NULL), K2_OK);
    struct k2_slice end = {bytes.data + bytes.size_bytes - footer, footer};
    assert_int_equal(k2_parquet_file_open(&file, end, NULL), K2_OK);
    assert_int_equal(k2_parquet_file_groups(file), 1);
    for (size_t column = 0; column < COLUMNS; column++) {
        k2_parquet_file_chunk(file, 0, column, &offset, &size);
        struct k2_slice chunk = {bytes.data + offset, size};
        assert_int_equal(k2_parquet_file_read(file, 0, column, chunk, &values, NULL), K2_OK);
        assert_int_equal(values.row_count, ROWS);
        for (size_t row = 0; row < ROWS; row++) {
            enum content content = content_of(shape, row);
            char text[16];
            text_of(content, row, text);
            bool same = values.valid[row] == (content != NOTHING);
            if (same && content != NOTHING) {
                same = k2_kind_is_fixed(columns[column].kind)
                           ? values.numbers[row] == number_of(content, row, column)
                           : k2_slice_equal(values.texts[row], k2_slice_of(text));
            }
            if (!same) {
                fail_msg("%s: column %s, row %zu", shape->name, columns[column].name, row);
            }
        }
    }
    k2_parquet_values_deinit(&values);
    k2_parquet_file_close(file);
}

static void rows_are_read_back_wherever_they_change(void **state)
{
    (void)state;
    static const struct shape shapes[] = {
        {"one value", SAME, SAME, ROWS, ROWS},
        {"nulls alone", NOTHING, NOTHING, ROWS, ROWS},
        {"another value in the first page", SAME, OTHER, 500, ROWS},
        {"another value where a page begins", SAME, OTHER, 20000, ROWS},
        {"another value in the last page", SAME, OTHER, 44999, ROWS},
        {"one other row", SAME, OTHER, ROWS, 25001},
        {"one null", SAME, NOTHING, ROWS, 25001},
        {"nulls, then a value", NOTHING, SAME, 700, ROWS},
        {"nulls of a page, then a value", NOTHING, SAME, 20000, ROWS},
        {"one value between nulls", NOTHING, SAME, ROWS, 20500},
        {"a value, then nulls", SAME, NOTHING, 700, ROWS},
        {"a value, then many", SAME, MANY, 19990, ROWS},
        {"many, then a value", MANY, SAME, 19990, ROWS},
        {"nulls, then many", NOTHING, MANY, 30000, ROWS},
        {"a few rows of one value", SAME, MANY, 3, ROWS},
    };
    static const size_t calls[] = {K2_VECTOR_ROWS, 1000, 7};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        struct k2_buffer whole, out;
        write_file(&shapes[i], K2_VECTOR_ROWS, false, &whole);
        check_file(&shapes[i], k2_buffer_slice(&whole));
        for (size_t j = 0; j < 2 * sizeof calls / sizeof calls[0]; j++) {
            write_file(&shapes[i], calls[j / 2], j % 2 == 1, &out);
            if (out.size_bytes != whole.size_bytes ||
                memcmp(out.data, whole.data, whole.size_bytes) != 0) {
                fail_msg("%s: calls of %zu rows make another file", shapes[i].name, calls[j / 2]);
            }
            k2_buffer_deinit(&out);
        }
        k2_buffer_deinit(&whole);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_read_back_wherever_they_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
