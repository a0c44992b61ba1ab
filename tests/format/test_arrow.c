// Arrow streams by their parts: bounded pieces, batches that end in time, dictionaries sent again
// when they grow, cut streams, every failed allocation told. What values become is checked by
// fuzz/fuzz_arrow.c, what foreign readers make of them by tests/system/test_arrow.py.
#include "format/arrow/arrow_writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/arrow/arrow_array.h"
#include "format/base/alloc.h"
#include "tests/support/arrow_walk.h"

enum { CEILING = 256 << 20, COLUMNS = 4 };

static const struct k2_column columns[COLUMNS] = {
    {.name = "symbol", .kind = K2_KIND_SYMBOLIC},
    {.name = "price", .kind = K2_KIND_DECIMAL64, .scale = 8, .nullable = true},
    {.name = "flag", .kind = K2_KIND_BOOL, .nullable = true},
    {.name = "note", .kind = K2_KIND_TEXT, .nullable = true},
};
static const struct k2_column *const pointers[COLUMNS] = {&columns[0], &columns[1], &columns[2],
                                                          &columns[3]};

struct rows {
    struct k2_vector_store stores[COLUMNS];
    char symbols[K2_VECTOR_ROWS][24];
    struct k2_vector vectors[COLUMNS];
    size_t symbol_count, note_bytes; // how the rows are made
    bool nulls;
};

static char long_note[70000];

// Rows [first, first + count) of a stream that never ends.
static void make_rows(struct rows *rows, size_t first, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t row = first + i;
        (void)snprintf(rows->symbols[i], sizeof rows->symbols[i], "S%zu", row % rows->symbol_count);
        bool valid = !rows->nulls || row % 3 != 0;
        rows->stores[0].texts[i] = k2_slice_of(rows->symbols[i]);
        rows->stores[1].values[i] = (int64_t)row * 1000 - 5;
        rows->stores[2].values[i] = row % 2 == 0;
        rows->stores[3].texts[i] =
            (struct k2_slice){(const uint8_t *)long_note, valid ? rows->note_bytes : 0};
        for (size_t column = 1; column < COLUMNS; column++) {
            rows->stores[column].valid[i] = valid;
        }
    }
    for (size_t column = 0; column < COLUMNS; column++) {
        struct k2_vector *vector = &rows->vectors[column];
        bool fixed = k2_kind_is_fixed(columns[column].kind);
        *vector = (struct k2_vector){.kind = columns[column].kind, .scale = columns[column].scale};
        vector->values = fixed ? rows->stores[column].values : NULL;
        vector->texts = fixed ? NULL : rows->stores[column].texts;
        vector->valid = rows->nulls && column > 0 ? rows->stores[column].valid : NULL;
    }
}

static struct rows *rows_create(size_t symbol_count, size_t note_bytes, bool nulls)
{
    struct rows *rows = k2_alloc_aligned(sizeof *rows);
    assert_non_null(rows);
    rows->symbol_count = symbol_count;
    rows->note_bytes = note_bytes;
    rows->nulls = nulls;
    return rows;
}

// Writes `row_count` rows in vectors of `cut`, taking pieces of `piece` bytes.
static enum k2_status write_stream(struct rows *rows, size_t row_count, size_t cut, size_t piece,
                                   struct k2_buffer *out)
{
    struct k2_arrow_writer *writer;
    enum k2_status status =
        k2_arrow_writer_create(&writer, pointers, COLUMNS, &(struct k2_arrow_options){0}, NULL);
    bool done = false;
    for (size_t first = 0; status == K2_OK && first < row_count;) {
        size_t count = cut < row_count - first ? cut : row_count - first, row = 0;
        make_rows(rows, first, count);
        while (status == K2_OK && !out->failed &&
               (row < count || k2_arrow_writer_has_bytes(writer))) {
            size_t before = out->size_bytes;
            k2_arrow_writer_take(writer, before + piece, out);
            assert_true(out->size_bytes <= before + piece + K2_ARROW_ALIGNMENT || out->failed);
            if (!k2_arrow_writer_has_bytes(writer)) {
                status = k2_arrow_writer_put(writer, rows->vectors, &row, count, NULL);
            }
        }
        first += count;
    }
    while (status == K2_OK && !out->failed && (!done || k2_arrow_writer_has_bytes(writer))) {
        k2_arrow_writer_take(writer, SIZE_MAX, out);
        if (!done) {
            status = k2_arrow_writer_finish(writer, &done, NULL);
        }
    }
    if (status == K2_OK) {
        status = k2_buffer_check(out, "stream", NULL);
    }
    k2_arrow_writer_destroy(writer);
    return status;
}

static void the_stream_depends_on_the_rows_alone(void **state)
{
    (void)state;
    static const size_t cuts[][2] = {
        {K2_VECTOR_ROWS, SIZE_MAX / 2}, {1, 1 << 20}, {777, 1000}, {K2_VECTOR_ROWS, 64}};
    struct rows *rows = rows_create(300, 20, true);
    struct k2_buffer first, other;
    k2_buffer_init(&first, CEILING);
    k2_buffer_init(&other, CEILING);
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        struct k2_buffer *out = i == 0 ? &first : &other;
        k2_buffer_clear(out);
        assert_int_equal(write_stream(rows, 75000, cuts[i][0], cuts[i][1], out), K2_OK);
        assert_true(k2_slice_equal(k2_buffer_slice(&first), k2_buffer_slice(out)));
    }
    struct arrow_walk walk = {0};
    assert_true(arrow_walk(&walk, k2_buffer_slice(&first)));
    assert_true(walk.ended);
    assert_int_equal(walk.row_count, 75000);
    assert_int_equal(walk.batch_count, 3); // a small one first, then 65,536 rows
    assert_int_equal(walk.largest_batch, K2_ARROW_ROWS);
    assert_int_equal(walk.dictionary_count, 1); // it does not grow any more
    k2_buffer_deinit(&first);
    k2_buffer_deinit(&other);
    k2_free(rows);
}

static void dictionaries_are_sent_again_when_they_grow(void **state)
{
    (void)state;
    struct rows *rows = rows_create(100000, 0, false);
    struct k2_buffer out;
    k2_buffer_init(&out, CEILING);
    assert_int_equal(write_stream(rows, 140000, K2_VECTOR_ROWS, SIZE_MAX / 2, &out), K2_OK);
    struct arrow_walk walk = {0};
    assert_true(arrow_walk(&walk, k2_buffer_slice(&out)));
    assert_int_equal(walk.dictionary_count, 3);
    assert_int_equal(walk.batch_count, 4);
    k2_buffer_deinit(&out);
    k2_free(rows);
}

static void long_texts_end_a_batch(void **state)
{
    (void)state;
    memset(long_note, 'x', sizeof long_note);
    struct rows *rows = rows_create(2, 65535, false);
    struct k2_buffer out;
    k2_buffer_init(&out, CEILING);
    assert_int_equal(write_stream(rows, 1500, K2_VECTOR_ROWS, 1 << 20, &out), K2_OK);
    struct arrow_walk walk = {0};
    assert_true(arrow_walk(&walk, k2_buffer_slice(&out)));
    assert_int_equal(walk.row_count, 1500);
    assert_true(walk.largest_batch <= 512); // 16 MiB and a step
    k2_buffer_deinit(&out);
    k2_free(rows);
}

static void a_cut_stream_has_no_end(void **state)
{
    (void)state;
    struct rows *rows = rows_create(5, 3, true);
    struct k2_buffer out;
    k2_buffer_init(&out, CEILING);
    assert_int_equal(write_stream(rows, 40, 40, SIZE_MAX / 2, &out), K2_OK);
    size_t between_messages = 0;
    for (size_t size = 0; size < out.size_bytes; size++) {
        uint8_t *copy = malloc(size + 1); // so that a sanitizer sees a read past its end
        assert_non_null(copy);
        memcpy(copy, out.data, size);
        struct arrow_walk walk = {0};
        bool good = arrow_walk(&walk, (struct k2_slice){copy, size});
        assert_false(good && walk.ended);
        between_messages += good;
        free(copy);
    }
    assert_int_equal(between_messages, 4); // nothing, schema, dictionary, batch
    k2_buffer_deinit(&out);
    k2_free(rows);
}

static void no_rows_are_a_schema_and_an_end(void **state)
{
    (void)state;
    struct k2_buffer out;
    k2_buffer_init(&out, CEILING);
    struct rows *rows = rows_create(1, 0, false);
    assert_int_equal(write_stream(rows, 0, 1, SIZE_MAX / 2, &out), K2_OK);
    struct arrow_walk walk = {0};
    assert_true(arrow_walk(&walk, k2_buffer_slice(&out)));
    assert_true(walk.ended);
    assert_int_equal(walk.field_count, COLUMNS);
    assert_int_equal(walk.dictionary_count + walk.batch_count, 0);
    assert_true(walk.fields[0].dictionary && !walk.fields[0].nullable);
    assert_int_equal(walk.fields[1].scale, 8);
    assert_memory_equal(walk.fields[3].name.data, "note", 5);
    k2_buffer_deinit(&out);
    k2_free(rows);
}

static void a_uuid_has_16_bytes(void **state)
{
    (void)state;
    static const struct k2_column column = {.name = "id", .kind = K2_KIND_UUID};
    const struct k2_column *pointer = &column;
    struct k2_slice text = k2_slice_of("short");
    struct k2_vector vector = {.kind = K2_KIND_UUID, .texts = &text};
    struct k2_arrow_writer *writer;
    struct k2_buffer out;
    struct k2_error error;
    size_t row = 0;
    k2_buffer_init(&out, CEILING);
    assert_int_equal(
        k2_arrow_writer_create(&writer, &pointer, 1, &(struct k2_arrow_options){0}, NULL), K2_OK);
    k2_arrow_writer_take(writer, SIZE_MAX, &out);
    assert_int_equal(k2_arrow_writer_put(writer, &vector, &row, 1, &error), K2_CORRUPT);
    assert_string_equal(error.text, "column id: a uuid of 5 bytes");
    k2_arrow_writer_destroy(writer);
    k2_buffer_deinit(&out);
}

static void every_failed_allocation_is_told(void **state)
{
    (void)state;
    struct rows *rows = rows_create(600, 10, true);
    enum k2_status status = K2_NO_MEMORY;
    long count = 0;
    for (; status != K2_OK; count++) {
        struct k2_buffer out;
        k2_buffer_init(&out, CEILING);
        k2_alloc_fail_after(count);
        status = write_stream(rows, 5000, K2_VECTOR_ROWS, 1 << 20, &out);
        k2_alloc_fail_after(-1);
        assert_true(status == K2_OK || status == K2_NO_MEMORY);
        k2_buffer_deinit(&out);
    }
    assert_true(count > 20);
    k2_free(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_stream_depends_on_the_rows_alone),
        cmocka_unit_test(dictionaries_are_sent_again_when_they_grow),
        cmocka_unit_test(long_texts_end_a_batch),
        cmocka_unit_test(a_cut_stream_has_no_end),
        cmocka_unit_test(no_rows_are_a_schema_and_an_end),
        cmocka_unit_test(a_uuid_has_16_bytes),
        cmocka_unit_test(every_failed_allocation_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
