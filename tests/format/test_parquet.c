// The parts of Parquet files by their bytes, and the writer's promises: the same file however rows
// and bytes are cut, bounded pieces, every failed allocation told. What foreign readers make of
// whole files is in tests/system/test_parquet.py.
#include "format/parquet/parquet_writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "format/base/alloc.h"
#include "format/parquet/parquet_runs.h"
#include "format/parquet/thrift_compact.h"

enum { CEILING = 64 << 20, ROWS = 70000, COLUMNS = 6 };

static struct k2_slice text_of(const char *text)
{
    return k2_slice_of(text);
}

// ---- thrift -------------------------------------------------------------------------------------

static void put_integers(struct k2_thrift_writer *writer)
{
    k2_thrift_field_i32(writer, 1, -1);
    k2_thrift_field_i64(writer, 2, INT64_MIN);
    k2_thrift_field_i8(writer, 3, -2);
    k2_thrift_field_i16(writer, 4, 300);
}

static void put_bools_and_steps(struct k2_thrift_writer *writer)
{
    k2_thrift_field_bool(writer, 1, true);
    k2_thrift_field_bool(writer, 16, false); // a step of 15
    k2_thrift_field_bool(writer, 32, true);  // of 16
}

static void put_nested(struct k2_thrift_writer *writer)
{
    k2_thrift_field_struct(writer, 5);
    k2_thrift_field_binary(writer, 4, text_of("ab"));
    k2_thrift_struct_end(writer);
    k2_thrift_field_empty(writer, 6);
}

static void put_lists(struct k2_thrift_writer *writer)
{
    k2_thrift_field_list(writer, 1, K2_THRIFT_I32, 2);
    k2_thrift_i32(writer, 1);
    k2_thrift_i32(writer, -1);
    k2_thrift_field_list(writer, 2, K2_THRIFT_BOOL, 15);
    for (int i = 0; i < 15; i++) {
        k2_thrift_bool(writer, i == 0);
    }
}

static void structs_have_these_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        void (*put)(struct k2_thrift_writer *writer);
        size_t size;
        uint8_t bytes[32];
    } rows[] = {
        {"integers",
         put_integers,
         19,
         {0x15, 0x01, 0x16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0x13, 0xfe,
          0x14, 0xd8, 0x04, 0x00}},
        {"bools and steps", put_bools_and_steps, 5, {0x11, 0xf2, 0x01, 0x40, 0x00}},
        {"nested", put_nested, 8, {0x5c, 0x48, 0x02, 'a', 'b', 0x00, 0x1c, 0x00}},
        {"lists", put_lists, 22, {0x19, 0x25, 0x02, 0x01, 0x19, 0xf1, 0x0f, 1, 2, 2, 2,
                                  2,    2,    2,    2,    2,    2,    2,    2, 2, 2, 2}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct k2_buffer out;
        k2_buffer_init(&out, CEILING);
        struct k2_thrift_writer writer = {.out = &out};
        k2_thrift_struct_begin(&writer);
        rows[i].put(&writer);
        k2_thrift_struct_end(&writer);
        assert_false(out.failed);
        assert_true(out.size_bytes >= rows[i].size);
        assert_memory_equal(out.data, rows[i].bytes, rows[i].size);
        assert_int_equal(out.data[out.size_bytes - 1], 0);
        k2_buffer_deinit(&out);
    }
}

// ---- runs ---------------------------------------------------------------------------------------

// Reads what k2_parquet_put_runs wrote, as the format's description says.
static void read_runs(struct k2_slice bytes, unsigned bit_width, uint32_t *values, size_t count)
{
    struct k2_byte_reader reader = {.rest = bytes};
    size_t at = 0;
    while (at < count) {
        uint64_t head = k2_read_varint(&reader);
        if ((head & 1) == 0) {
            uint32_t value = (uint32_t)k2_read_fixed(&reader, (bit_width + 7) / 8);
            assert_true(head >> 1 > 0 && head >> 1 <= count - at);
            for (uint64_t i = 0; i < head >> 1; i++) {
                values[at++] = value;
            }
            continue;
        }
        struct k2_slice packed = k2_read_bytes(&reader, (size_t)(head >> 1) * bit_width);
        for (size_t i = 0; i < (head >> 1) * 8; i++) {
            uint32_t value = 0;
            for (size_t bit = 0; bit < bit_width; bit++) {
                size_t place = i * bit_width + bit;
                value |= (uint32_t)(packed.data[place / 8] >> place % 8 & 1) << bit;
            }
            if (at < count) {
                values[at++] = value;
            } else {
                assert_int_equal(value, 0);
            }
        }
    }
    assert_false(reader.truncated);
    assert_int_equal(reader.rest.size_bytes, 0);
}

static void runs_are_read_back(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        unsigned bit_width;
        size_t count, longest_run;
    } rows[] = {
        {"nothing", 1, 0, 1},         {"one value", 1, 1, 1},     {"one run", 3, 1000, 1000},
        {"no runs", 5, 1001, 1},      {"short runs", 2, 5000, 9}, {"mixed", 7, 20000, 40},
        {"wide values", 32, 300, 12}, {"levels", 1, 20000, 700},  {"17 bits", 17, 20000, 20},
    };
    uint64_t seed = 7;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint32_t values[20000], back[20000];
        for (size_t at = 0; at < rows[i].count;) {
            seed = seed * 6364136223846793005U + 1442695040888963407U;
            uint32_t value = (uint32_t)(seed >> 32) >> (32 - rows[i].bit_width);
            size_t length = 1 + (size_t)(seed >> 16 & 0xffff) % rows[i].longest_run;
            for (; length > 0 && at < rows[i].count; length--) {
                values[at++] = value;
            }
        }
        struct k2_buffer out;
        k2_buffer_init(&out, CEILING);
        k2_parquet_put_runs(&out, values, rows[i].count, rows[i].bit_width);
        read_runs(k2_buffer_slice(&out), rows[i].bit_width, back, rows[i].count);
        assert_memory_equal(values, back, rows[i].count * sizeof *values);
        k2_buffer_deinit(&out);
    }
    assert_int_equal(k2_parquet_bit_width(0), 0);
    assert_int_equal(k2_parquet_bit_width(1), 1);
    assert_int_equal(k2_parquet_bit_width(UINT32_MAX), 32);
}

// ---- dictionary ---------------------------------------------------------------------------------

static void a_dictionary_numbers_values_until_it_is_full(void **state)
{
    (void)state;
    struct k2_parquet_dictionary numbers, texts;
    uint32_t entry = 0;
    k2_parquet_dictionary_init(&numbers, 0);
    for (uint64_t i = 0; i < K2_PARQUET_DICTIONARY_BYTES / 8; i++) {
        assert_int_equal(k2_parquet_dictionary_find_u64(&numbers, i * i, &entry), K2_PARQUET_ADDED);
        assert_int_equal(entry, i);
    }
    assert_int_equal(k2_parquet_dictionary_find_u64(&numbers, 3, &entry), K2_PARQUET_FULL);
    assert_int_equal(k2_parquet_dictionary_find_u64(&numbers, 49, &entry), K2_PARQUET_FOUND);
    assert_int_equal(entry, 7);
    k2_parquet_dictionary_clear(&numbers);
    assert_int_equal(k2_parquet_dictionary_find_u64(&numbers, 49, &entry), K2_PARQUET_ADDED);
    k2_parquet_dictionary_deinit(&numbers);

    k2_parquet_dictionary_init(&texts, 4);
    static const char *const words[] = {"", "a", "", "ab", "a"};
    static const uint32_t entries[] = {0, 1, 0, 2, 1};
    for (size_t i = 0; i < 5; i++) {
        (void)k2_parquet_dictionary_find(&texts, text_of(words[i]), &entry);
        assert_int_equal(entry, entries[i]);
        assert_true(k2_slice_equal(k2_parquet_dictionary_entry(&texts, entry), text_of(words[i])));
    }
    assert_int_equal(texts.plain.size_bytes, 15);
    k2_parquet_dictionary_deinit(&texts);
}

// ---- bounds -------------------------------------------------------------------------------------

#define SIXTY "123456789012345678901234567890123456789012345678901234567890"

static void long_texts_are_bounded_by_short_ones(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *min, *max; // max NULL: there is none
    } rows[] = {
        {"empty", "", "", ""},
        {"short", "BHP", "BHP", "BHP"},
        {"64 bytes", SIXTY "abcd", SIXTY "abcd", SIXTY "abcd"},
        {"65 bytes", SIXTY "abcde", SIXTY "abcd", SIXTY "abce"},
        {"cut before a character", SIXTY "abc\xc3\xa9z", SIXTY "abc", SIXTY "abd"},
        {"next character is longer", SIXTY "abc\x7fz", SIXTY "abc\x7f", SIXTY "abd"},
        {"before the surrogates", SIXTY "a\xed\x9f\xbfz", SIXTY "a\xed\x9f\xbf",
         SIXTY "a\xee\x80\x80"},
        {"last character", SIXTY "\xf4\x8f\xbf\xbfz", SIXTY "\xf4\x8f\xbf\xbf",
         "12345678901234567890123456789012345678901234567890123456789"
         "1"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct k2_parquet_bound min, max;
        k2_parquet_bound_min(&min, text_of(rows[i].text));
        assert_true(k2_parquet_bound_max(&max, text_of(rows[i].text)));
        assert_true(
            k2_slice_equal((struct k2_slice){min.bytes, min.size_bytes}, text_of(rows[i].min)));
        assert_true(
            k2_slice_equal((struct k2_slice){max.bytes, max.size_bytes}, text_of(rows[i].max)));
        assert_int_equal(min.exact, strlen(rows[i].text) <= K2_PARQUET_BOUND_BYTES);
        assert_int_equal(max.exact, min.exact);
    }
    uint8_t highest[80];
    for (size_t i = 0; i < sizeof highest; i++) {
        highest[i] = (uint8_t) "\xf4\x8f\xbf\xbf"[i % 4];
    }
    struct k2_parquet_bound max;
    assert_false(k2_parquet_bound_max(&max, (struct k2_slice){highest, sizeof highest}));
}

// ---- the writer ---------------------------------------------------------------------------------

static const struct k2_column columns[COLUMNS] = {
    {.name = "timestamp", .id = 1, .kind = K2_KIND_TIMESTAMP},
    {.name = "timestamp_ns", .id = 2, .kind = K2_KIND_INT64},
    {.name = "price", .id = 3, .kind = K2_KIND_DECIMAL64, .scale = 8, .nullable = true},
    {.name = "flag", .id = 4, .kind = K2_KIND_BOOL},
    {.name = "text", .id = 5, .kind = K2_KIND_TEXT, .nullable = true},
    {.name = "share", .id = 6, .kind = K2_KIND_FLOAT64},
};

static const struct k2_column *const column_list[COLUMNS] = {&columns[0], &columns[1], &columns[2],
                                                             &columns[3], &columns[4], &columns[5]};

// Rows [first, first + count) of a table that never changes.
struct rows {
    int64_t values[COLUMNS][K2_VECTOR_ROWS];
    char texts[K2_VECTOR_ROWS][12];
    struct k2_slice slices[K2_VECTOR_ROWS];
    uint8_t valid[K2_VECTOR_ROWS];
    struct k2_vector vectors[COLUMNS];
};

static void fill_rows(struct rows *rows, size_t first, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int64_t row = (int64_t)(first + i);
        int64_t values[COLUMNS] = {row * 1001 - 5000, row, row % 97 - 40,
                                   row % 3 == 0,      0,   row == 0 ? 0x7ff8000000000000 : row % 5};
        for (size_t column = 0; column < COLUMNS; column++) {
            rows->values[column][i] = values[column];
        }
        rows->valid[i] = row % 11 != 0;
        (void)snprintf(rows->texts[i], sizeof rows->texts[i], "t%d", (int)row);
        rows->slices[i] = rows->valid[i] ? text_of(rows->texts[i]) : (struct k2_slice){0};
    }
    for (size_t column = 0; column < COLUMNS; column++) {
        bool text = columns[column].kind == K2_KIND_TEXT;
        rows->vectors[column] =
            (struct k2_vector){.kind = columns[column].kind,
                               .scale = columns[column].scale,
                               .values = text ? NULL : rows->values[column],
                               .texts = text ? rows->slices : NULL,
                               .valid = columns[column].nullable ? rows->valid : NULL};
    }
}

// Takes what waits, piece by piece, none larger than `piece_bytes`.
static bool drain(struct k2_parquet_writer *writer, size_t piece_bytes, struct k2_buffer *out)
{
    while (k2_parquet_writer_has_bytes(writer) && !out->failed) {
        size_t before = out->size_bytes;
        k2_parquet_writer_take(writer, before + piece_bytes, out);
        assert_true(out->size_bytes - before <= piece_bytes);
    }
    return !out->failed;
}

static enum k2_status write_file(size_t row_count, size_t call_rows, size_t piece_bytes,
                                 const struct k2_parquet_options *options, struct k2_buffer *out)
{
    static struct rows rows;
    struct k2_parquet_writer *writer = NULL;
    k2_buffer_init(out, CEILING);
    enum k2_status status = k2_parquet_writer_create(&writer, column_list, COLUMNS, options, NULL);
    bool taken = status == K2_OK && drain(writer, piece_bytes, out);
    for (size_t first = 0; taken && status == K2_OK && first < row_count; first += call_rows) {
        size_t count = call_rows < row_count - first ? call_rows : row_count - first;
        fill_rows(&rows, first, count);
        for (size_t row = 0; taken && status == K2_OK && row < count;) {
            status = k2_parquet_writer_put(writer, rows.vectors, &row, count, NULL);
            taken = status != K2_OK || drain(writer, piece_bytes, out);
        }
    }
    for (bool done = false; taken && status == K2_OK && !done;) {
        status = k2_parquet_writer_finish(writer, &done, NULL);
        taken = status != K2_OK || drain(writer, piece_bytes, out);
    }
    k2_parquet_writer_destroy(writer);
    return status == K2_OK ? k2_buffer_check(out, "file", NULL) : status;
}

static void a_file_is_the_same_however_it_is_cut(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t call_rows, piece_bytes;
    } rows[] = {{"small calls", 7, SIZE_MAX / 2},
                {"small pieces", K2_VECTOR_ROWS, 1000},
                {"both", 333, 4096}};
    const size_t sorting[] = {0};
    const struct k2_parquet_options options = {
        .group_rows = 30000, .sorting = sorting, .sorting_count = 1};
    struct k2_buffer whole;
    assert_int_equal(write_file(ROWS, K2_VECTOR_ROWS, SIZE_MAX / 2, &options, &whole), K2_OK);
    assert_memory_equal(whole.data, "PAR1", 4);
    assert_memory_equal(whole.data + whole.size_bytes - 4, "PAR1", 4);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct k2_buffer out;
        assert_int_equal(write_file(ROWS, rows[i].call_rows, rows[i].piece_bytes, &options, &out),
                         K2_OK);
        assert_int_equal(out.size_bytes, whole.size_bytes);
        assert_memory_equal(out.data, whole.data, whole.size_bytes);
        k2_buffer_deinit(&out);
    }
    k2_buffer_deinit(&whole);
}

static size_t count_text(struct k2_slice bytes, const char *text)
{
    size_t count = 0, size = strlen(text);
    for (size_t i = 0; i + size <= bytes.size_bytes; i++) {
        count += memcmp(bytes.data + i, text, size) == 0;
    }
    return count;
}

static void memory_bounds_a_row_group(void **state)
{
    (void)state;
    struct k2_buffer one, many;
    const struct k2_parquet_options large = {.group_rows = ROWS};
    const struct k2_parquet_options small = {.group_rows = ROWS, .group_bytes = 200000};
    assert_int_equal(write_file(ROWS, 1000, 100000, &large, &one), K2_OK);
    assert_int_equal(write_file(ROWS, 1000, 100000, &small, &many), K2_OK);
    // Each group names its columns; the schema does so once more.
    assert_int_equal(count_text(k2_buffer_slice(&one), "share"), 2);
    assert_in_range(count_text(k2_buffer_slice(&many), "share"), 4, 40);
    k2_buffer_deinit(&one);
    k2_buffer_deinit(&many);
}

static void exact_nanoseconds_have_a_name_of_their_own(void **state)
{
    (void)state;
    struct k2_parquet_field *fields = NULL;
    size_t count = 0;
    assert_int_equal(k2_parquet_fields_create(&fields, &count, column_list, COLUMNS, false, NULL),
                     K2_OK);
    assert_int_equal(count, COLUMNS + 1);
    assert_string_equal(fields[0].name, "timestamp");
    assert_string_equal(fields[1].name, "timestamp_ns_ns"); // a column has the shorter name
    assert_int_equal(fields[1].id, K2_PARQUET_NANOSECONDS_ID + 1);
    assert_string_equal(fields[2].name, "timestamp_ns");
    k2_parquet_fields_free(fields, count);
    assert_int_equal(k2_parquet_fields_create(&fields, &count, column_list, COLUMNS, true, NULL),
                     K2_OK);
    assert_int_equal(count, COLUMNS);
    assert_int_equal(fields[0].logical, K2_PARQUET_NO_LOGICAL);
    k2_parquet_fields_free(fields, count);
}

static void every_failed_allocation_is_told(void **state)
{
    (void)state;
    const struct k2_parquet_options options = {.group_rows = 900};
    enum k2_status status = K2_NO_MEMORY;
    long count = 0;
    for (; status != K2_OK; count++) {
        struct k2_buffer out;
        k2_alloc_fail_after(count);
        status = write_file(2000, K2_VECTOR_ROWS, 1 << 20, &options, &out);
        k2_alloc_fail_after(-1);
        assert_true(status == K2_OK || status == K2_NO_MEMORY);
        k2_buffer_deinit(&out);
    }
    assert_true(count > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(structs_have_these_bytes),
        cmocka_unit_test(runs_are_read_back),
        cmocka_unit_test(a_dictionary_numbers_values_until_it_is_full),
        cmocka_unit_test(long_texts_are_bounded_by_short_ones),
        cmocka_unit_test(a_file_is_the_same_however_it_is_cut),
        cmocka_unit_test(memory_bounds_a_row_group),
        cmocka_unit_test(exact_nanoseconds_have_a_name_of_their_own),
        cmocka_unit_test(every_failed_allocation_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
