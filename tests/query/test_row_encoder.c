// Rows to text: every kind in every format, nulls, quoting, limits of a piece, short memory.
#include "query/encode/row_encoder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "format/base/alloc.h"

enum { TEXT_BYTES = 1 << 20 };

static struct k2_slice text_of(const char *text)
{
    return k2_slice_of(text);
}

// Prints one column of rows and ends; gives the text with a NUL.
static const char *print(struct k2_buffer *out, const char *format, const struct k2_column *column,
                         const struct k2_vector *vector, size_t row_count,
                         const struct k2_row_style *style)
{
    struct k2_row_encoder *encoder = NULL;
    struct k2_error error;
    k2_buffer_init(out, TEXT_BYTES);
    assert_int_equal(k2_row_encoder_create(&encoder, k2_row_format_find(text_of(format)), &column,
                                           1, style, &error),
                     K2_OK);
    k2_row_encoder_begin(encoder, out);
    assert_int_equal(k2_row_encoder_put(encoder, vector, 0, row_count, SIZE_MAX, out), row_count);
    assert_true(k2_row_encoder_end(encoder, SIZE_MAX, out));
    k2_put_u8(out, 0);
    assert_int_equal(k2_buffer_check(out, "text", &error), K2_OK);
    k2_row_encoder_destroy(encoder);
    return (const char *)out->data;
}

static const struct fixed_row {
    const char *name;
    enum k2_kind kind;
    uint8_t scale;
    bool time_ns, float_number;
    int64_t value;
    const char *csv, *json;
} fixed_rows[] = {
    {"int8", K2_KIND_INT8, 0, false, false, -128, "-128", "-128"},
    {"smallest int64", K2_KIND_INT64, 0, false, false, INT64_MIN, "-9223372036854775808",
     "-9223372036854775808"},
    {"largest int64", K2_KIND_INT64, 0, false, false, INT64_MAX, "9223372036854775807",
     "9223372036854775807"},
    {"decimal", K2_KIND_DECIMAL64, 8, false, false, 4210000000, "42.1", "\"42.1\""},
    {"decimal as number", K2_KIND_DECIMAL64, 8, false, true, -1, "-0.00000001", "-0.00000001"},
    {"zero", K2_KIND_DECIMAL64, 8, false, false, 0, "0", "\"0\""},
    {"18 digits", K2_KIND_DECIMAL64, 8, false, false, 999999999999999999, "9999999999.99999999",
     "\"9999999999.99999999\""},
    {"time", K2_KIND_TIMESTAMP, 0, false, false, 1, "1970-01-01T00:00:00.000000001Z",
     "\"1970-01-01T00:00:00.000000001Z\""},
    {"time before 1970", K2_KIND_TIMESTAMP, 0, false, false, -1, "1969-12-31T23:59:59.999999999Z",
     "\"1969-12-31T23:59:59.999999999Z\""},
    {"time in ns", K2_KIND_TIMESTAMP, 0, true, false, -1, "-1", "-1"},
    {"true", K2_KIND_BOOL, 0, false, false, 1, "true", "true"},
    {"false", K2_KIND_BOOL, 0, false, false, 0, "false", "false"},
    {"double 0.1", K2_KIND_FLOAT64, 0, false, false, 0x3fb999999999999a, "0.1", "0.1"},
    {"double 1/3", K2_KIND_FLOAT64, 0, false, false, 0x3fd5555555555555, "0.3333333333333333",
     "0.3333333333333333"},
    {"NaN", K2_KIND_FLOAT64, 0, false, false, 0x7ff8000000000000, "nan", "null"},
    {"infinity", K2_KIND_FLOAT64, 0, false, false, 0x7ff0000000000000, "inf", "null"},
};

static void fixed_kinds_are_printed_exactly(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof fixed_rows / sizeof fixed_rows[0]; i++) {
        const struct fixed_row *row = &fixed_rows[i];
        struct k2_column column = {.name = "x", .kind = row->kind, .scale = row->scale};
        struct k2_row_style style = {.time_ns = row->time_ns, .float_number = row->float_number};
        struct k2_vector vector = {.kind = row->kind, .scale = row->scale, .values = &row->value};
        struct k2_buffer out, expected;
        k2_buffer_init(&expected, TEXT_BYTES);
        k2_put_format(&expected, "x\n%s\n%c", row->csv, 0);
        k2_put_format(&expected, "{\"x\":%s}\n%c", row->json, 0);
        const char *wanted = (const char *)expected.data;
        assert_string_equal(print(&out, "csv", &column, &vector, 1, &style), wanted);
        k2_buffer_deinit(&out);
        wanted += strlen(wanted) + 1;
        assert_string_equal(print(&out, "ndjson", &column, &vector, 1, &style), wanted);
        k2_buffer_deinit(&out);
        k2_buffer_deinit(&expected);
    }
}

static const struct text_row {
    const char *name;
    enum k2_kind kind;
    struct k2_slice text;
    const char *csv, *json, *table;
} text_rows[] = {
    {"plain", K2_KIND_TEXT, {(const uint8_t *)"BHP", 3}, "BHP", "\"BHP\"", "BHP"},
    {"empty, not null", K2_KIND_TEXT, {(const uint8_t *)"", 0}, "\"\"", "\"\"", ""},
    {"comma", K2_KIND_SYMBOLIC, {(const uint8_t *)"a,b", 3}, "\"a,b\"", "\"a,b\"", "a,b"},
    {"quote", K2_KIND_TEXT, {(const uint8_t *)"a\"b", 3}, "\"a\"\"b\"", "\"a\\\"b\"", "a\"b"},
    {"line end",
     K2_KIND_TEXT,
     {(const uint8_t *)"a\r\nb", 4},
     "\"a\r\nb\"",
     "\"a\\r\\nb\"",
     "a??b"},
    {"escape", K2_KIND_TEXT, {(const uint8_t *)"\033[2J", 4}, "\033[2J", "\"\\u001b[2J\"", "?[2J"},
    {"backslash", K2_KIND_TEXT, {(const uint8_t *)"a\\b", 3}, "a\\b", "\"a\\\\b\"", "a\\b"},
    {"UTF-8",
     K2_KIND_TEXT,
     {(const uint8_t *)"\xc3\xa9", 2},
     "\xc3\xa9",
     "\"\xc3\xa9\"",
     "\xc3\xa9"},
    {"no UTF-8",
     K2_KIND_TEXT,
     {(const uint8_t *)"a\xff", 2},
     "a\xff",
     "\"a\xef\xbf\xbd\"",
     "a\xff"},
    {"JSON",
     K2_KIND_JSON,
     {(const uint8_t *)"{\"a\":[1,\"x\"]}", 13},
     "\"{\"\"a\"\":[1,\"\"x\"\"]}\"",
     "{\"a\":[1,\"x\"]}",
     "{\"a\":[1,\"x\"]}"},
    {"uuid",
     K2_KIND_UUID,
     {(const uint8_t *)"\x12\x34\x56\x78\x9a\xbc\xde\xf0\x01\x02\x03\x04\x05\x06\x07\x08", 16},
     "12345678-9abc-def0-0102-030405060708",
     "\"12345678-9abc-def0-0102-030405060708\"",
     "12345678-9abc-def0-0102-030405060708"},
};

static void texts_are_quoted_and_escaped(void **state)
{
    (void)state;
    static const char *const formats[] = {"csv", "ndjson", "table"};
    const struct k2_row_style style = {0};
    for (size_t i = 0; i < sizeof text_rows / sizeof text_rows[0]; i++) {
        const struct text_row *row = &text_rows[i];
        const char *const wanted[] = {row->csv, row->json, row->table};
        struct k2_column column = {.name = "x", .kind = row->kind};
        struct k2_vector vector = {.kind = row->kind, .texts = &row->text};
        for (size_t f = 0; f < 3; f++) {
            struct k2_buffer out, expected;
            k2_buffer_init(&expected, TEXT_BYTES);
            k2_put_text(&expected, f == 1 ? "{\"x\":" : "x\n");
            k2_put_text(&expected, wanted[f]);
            k2_put_text(&expected, f == 1 ? "}\n" : "\n");
            k2_put_u8(&expected, 0);
            if (strcmp(print(&out, formats[f], &column, &vector, 1, &style),
                       (const char *)expected.data) != 0) {
                fail_msg("%s as %s: %s", row->name, formats[f], (const char *)out.data);
            }
            k2_buffer_deinit(&out);
            k2_buffer_deinit(&expected);
        }
    }
}

// Three columns of three rows with nulls, used by the tests below.
static const struct k2_column columns[] = {
    {.name = "symbol", .kind = K2_KIND_SYMBOLIC},
    {.name = "price", .kind = K2_KIND_DECIMAL64, .scale = 2, .nullable = true},
    {.name = "note", .kind = K2_KIND_TEXT, .nullable = true},
};
static const struct k2_column *const all_columns[] = {&columns[0], &columns[1], &columns[2]};
static const struct k2_slice symbols[] = {
    {(const uint8_t *)"B", 1}, {(const uint8_t *)"B", 1}, {(const uint8_t *)"Long", 4}};
static const int64_t prices[] = {150, 0, -5};
static const uint8_t price_valid[] = {1, 0, 1};
static const struct k2_slice notes[] = {{0}, {(const uint8_t *)"", 0}, {(const uint8_t *)"n", 1}};
static const uint8_t note_valid[] = {0, 1, 1};
static const struct k2_vector vectors[] = {
    {.kind = K2_KIND_SYMBOLIC, .texts = symbols},
    {.kind = K2_KIND_DECIMAL64, .scale = 2, .values = prices, .valid = price_valid},
    {.kind = K2_KIND_TEXT, .texts = notes, .valid = note_valid},
};

// Puts the rows in pieces that end as soon as `enough_bytes` are there.
static void put_in_pieces(const char *format, size_t enough_bytes, struct k2_buffer *out,
                          size_t *pieces)
{
    struct k2_row_encoder *encoder = NULL;
    const struct k2_row_style style = {0};
    *pieces = 0;
    assert_int_equal(k2_row_encoder_create(&encoder, k2_row_format_find(text_of(format)),
                                           all_columns, 3, &style, NULL),
                     K2_OK);
    k2_row_encoder_begin(encoder, out);
    for (size_t row = 0; row < 3; (*pieces)++) {
        size_t next =
            k2_row_encoder_put(encoder, vectors, row, 3, out->size_bytes + enough_bytes, out);
        assert_true(next >= row && *pieces < 10); // a head alone can be a piece
        row = next;
    }
    assert_true(k2_row_encoder_end(encoder, SIZE_MAX, out));
    k2_put_u8(out, 0);
    k2_row_encoder_destroy(encoder);
}

static void nulls_and_pieces(void **state)
{
    (void)state;
    static const struct {
        const char *format, *text;
    } rows[] = {
        {"csv", "symbol,price,note\nB,1.5,\nB,,\"\"\nLong,-0.05,n\n"},
        {"ndjson", "{\"symbol\":\"B\",\"price\":\"1.5\",\"note\":null}\n"
                   "{\"symbol\":\"B\",\"price\":null,\"note\":\"\"}\n"
                   "{\"symbol\":\"Long\",\"price\":\"-0.05\",\"note\":\"n\"}\n"},
        {"json", "[\n{\"symbol\":\"B\",\"price\":\"1.5\",\"note\":null},\n"
                 "{\"symbol\":\"B\",\"price\":null,\"note\":\"\"},\n"
                 "{\"symbol\":\"Long\",\"price\":\"-0.05\",\"note\":\"n\"}\n]"},
        {"table", "symbol  price  note\nB         1.5  \nB              \nLong    -0.05  n\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        static const size_t enough[] = {1, 30, SIZE_MAX / 2};
        for (size_t e = 0; e < 3; e++) {
            struct k2_buffer out;
            size_t pieces = 0;
            k2_buffer_init(&out, TEXT_BYTES);
            put_in_pieces(rows[i].format, enough[e], &out, &pieces);
            assert_string_equal((const char *)out.data, rows[i].text);
            assert_true(e != 2 || pieces == 1);
            k2_buffer_deinit(&out);
        }
    }
}

static void no_rows_are_an_answer_too(void **state)
{
    (void)state;
    static const struct {
        const char *format, *text;
    } rows[] = {{"csv", "x\n"}, {"ndjson", ""}, {"json", "[]"}, {"table", "x\n"}};
    const struct k2_column column = {.name = "x", .kind = K2_KIND_INT64};
    const struct k2_row_style style = {0};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct k2_row_encoder *encoder = NULL;
        const struct k2_column *names[] = {&column};
        struct k2_buffer out;
        k2_buffer_init(&out, TEXT_BYTES);
        assert_int_equal(k2_row_encoder_create(&encoder,
                                               k2_row_format_find(text_of(rows[i].format)), names,
                                               1, &style, NULL),
                         K2_OK);
        k2_row_encoder_begin(encoder, &out);
        assert_true(k2_row_encoder_end(encoder, SIZE_MAX, &out));
        k2_put_u8(&out, 0);
        assert_string_equal((const char *)out.data, rows[i].text);
        k2_row_encoder_destroy(encoder);
        k2_buffer_deinit(&out);
    }
}

static void formats_are_found_by_name_and_type(void **state)
{
    (void)state;
    assert_null(k2_row_format_find(text_of("xml")));
    assert_null(k2_row_format_find(text_of("")));
    assert_ptr_equal(k2_row_format_of_content_type(text_of("text/csv")),
                     k2_row_format_find(text_of("csv")));
    assert_null(k2_row_format_of_content_type(text_of("text/csvx")));
    assert_ptr_equal(k2_row_format_of_content_type(text_of("application/vnd.apache.arrow.stream")),
                     k2_row_format_find(text_of("arrow")));
}

static void every_failed_allocation_is_told(void **state)
{
    (void)state;
    static const char *const formats[] = {"csv", "json", "table", "parquet", "arrow"};
    for (size_t f = 0; f < 5; f++) {
        enum k2_status status = K2_NO_MEMORY;
        for (long count = 0; status != K2_OK; count++) {
            struct k2_row_encoder *encoder = NULL;
            struct k2_buffer out;
            k2_buffer_init(&out, TEXT_BYTES);
            k2_alloc_fail_after(count);
            status = k2_row_encoder_create(&encoder, k2_row_format_find(text_of(formats[f])),
                                           all_columns, 3, &(struct k2_row_style){0}, NULL);
            if (status == K2_OK) {
                k2_row_encoder_begin(encoder, &out);
                (void)k2_row_encoder_put(encoder, vectors, 0, 3, SIZE_MAX, &out);
                assert_true(k2_row_encoder_end(encoder, SIZE_MAX, &out));
                status = k2_row_encoder_check(encoder, NULL);
                status = status == K2_OK ? k2_buffer_check(&out, "text", NULL) : status;
            }
            k2_alloc_fail_after(-1);
            assert_true(status == K2_OK || status == K2_NO_MEMORY);
            k2_row_encoder_destroy(encoder);
            k2_buffer_deinit(&out);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fixed_kinds_are_printed_exactly),
        cmocka_unit_test(texts_are_quoted_and_escaped),
        cmocka_unit_test(nulls_and_pieces),
        cmocka_unit_test(no_rows_are_an_answer_too),
        cmocka_unit_test(formats_are_found_by_name_and_type),
        cmocka_unit_test(every_failed_allocation_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
