#include "ingest/csv_reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "format/base/alloc.h"
#include "format/base/buffer.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

// Gives a text in pieces of `piece_bytes`.
struct text_input {
    const char *text;
    size_t size_bytes, at, piece_bytes;
};

static enum k2_status read_text(void *context, uint8_t *bytes, size_t room_bytes,
                                size_t *size_bytes, struct k2_error *error)
{
    (void)error;
    struct text_input *input = context;
    size_t size = input->size_bytes - input->at;
    size = size < input->piece_bytes ? size : input->piece_bytes;
    size = size < room_bytes ? size : room_bytes;
    memcpy(bytes, input->text + input->at, size);
    input->at += size;
    *size_bytes = size;
    return K2_OK;
}

// What a reader says, one line a record: `LINE|field|field` or `LINE!reason:raw`. Fields show \n
// as $.
static void describe(struct k2_buffer *out, const struct k2_csv_record *record)
{
    k2_put_format(out, "%llu", (unsigned long long)record->line);
    if (record->kind == K2_CSV_BAD) {
        k2_put_format(out, "!%s:", record->reason);
        k2_put_bytes(out, record->raw.data, record->raw.size_bytes);
    }
    for (size_t i = 0; i < record->field_count; i++) {
        k2_put_u8(out, '|');
        for (size_t c = 0; c < record->fields[i].size_bytes; c++) {
            uint8_t byte = record->fields[i].data[c];
            k2_put_u8(out, byte == '\n' ? '$' : byte);
        }
    }
    k2_put_u8(out, ' ');
}

static void read_all(const char *text, size_t size_bytes, size_t piece_bytes, struct k2_buffer *out)
{
    struct text_input input = {text, size_bytes, 0, piece_bytes};
    struct k2_csv_reader *reader = NULL;
    struct k2_csv_record record;
    assert_int_equal(k2_csv_reader_create(&reader, read_text, &input, ',', NULL), K2_OK);
    do {
        assert_int_equal(k2_csv_reader_next(reader, &record, NULL), K2_OK);
        if (record.kind != K2_CSV_END) {
            describe(out, &record);
        }
    } while (record.kind != K2_CSV_END);
    k2_csv_reader_destroy(reader);
    k2_put_u8(out, 0);
    assert_false(out->failed);
}

static void records_are_read_with_their_lines_in_pieces_of_any_size(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *records;
    } rows[] = {
        {"nothing", "", ""},
        {"only empty lines", "\n\r\n\n", ""},
        {"LF", "a,b\nc,d\n", "1|a|b 2|c|d "},
        {"CRLF", "a,b\r\nc,d\r\n", "1|a|b 2|c|d "},
        {"no line end at the end", "a,b\nc,d", "1|a|b 2|c|d "},
        {"CR at the end", "a,b\r", "1|a|b "},
        {"a byte order mark",
         "\xef\xbb\xbf"
         "a,b\n",
         "1|a|b "},
        {"empty fields", ",\n,,\n", "1|| 2||| "},
        {"an empty line between", "a\n\n\r\nb\n", "1|a 4|b "},
        {"one empty quoted field", "\"\"\n", "1| "},
        {"quotes", "\"a,b\",\"c\"\n", "1|a,b|c "},
        {"doubled quotes", "\"a\"\"b\",\"\"\"\"\n\"\"\"x\"\"\"\n", "1|a\"b|\" 2|\"x\" "},
        {"line breaks in quotes", "\"a\nb\r\nc\",d\ne,f\n", "1|a$b\r$c|d 4|e|f "},
        {"a quote inside a field", "a\"b,5\" tall\n", "1|a\"b|5\" tall "},
        {"a bare CR", "a\rb,c\n", "1|a\rb|c "},
        {"bytes behind a quote", "\"a\"b,c\nd,e\n", "1!bad_quoting:\"a\"b,c 2|d|e "},
        {"a quote that does not close", "a,\"b\nc,d\n", "1!bad_quoting:a,\"b 2|c|d "},
        {"a stray quote costs its line only", "\"a,b\nc,\"d\"\ne,f\n",
         "1!bad_quoting:\"a,b 2|c|d 3|e|f "},
        {"a quoted field, then CR alone", "\"a\"\rb\n", "1!bad_quoting:\"a\"\rb "},
        {"quoted, CRLF", "\"a\"\r\nb\r\n", "1|a 2|b "},
        {"quoted, end", "\"a\",\"b\"", "1|a|b "},
    };
    struct k2_buffer out;
    k2_buffer_init(&out, 1 << 16);
    for (size_t i = 0; i < COUNT(rows); i++) {
        for (size_t piece = 1; piece <= 64; piece *= 2) {
            k2_buffer_clear(&out);
            read_all(rows[i].text, strlen(rows[i].text), piece, &out);
            if (strcmp((const char *)out.data, rows[i].records) != 0) {
                fail_msg("%s, pieces of %zu: %s", rows[i].name, piece, (const char *)out.data);
            }
        }
    }
    k2_buffer_deinit(&out);
}

static void a_record_too_long_is_bad_and_the_next_one_good(void **state)
{
    (void)state;
    enum { LONG = 3 << 20 };
    char *text = k2_alloc(LONG + 64);
    assert_non_null(text);
    for (int quoted = 0; quoted < 2; quoted++) {
        memset(text, 'x', LONG);
        memcpy(text, "a,b\n", 4);
        text[4] = quoted ? '"' : 'x';
        memcpy(text + LONG, "\nc,d\n", 5);
        struct text_input input = {text, LONG + 5, 0, 100000};
        struct k2_csv_reader *reader = NULL;
        struct k2_csv_record record;
        assert_int_equal(k2_csv_reader_create(&reader, read_text, &input, ',', NULL), K2_OK);
        assert_int_equal(k2_csv_reader_next(reader, &record, NULL), K2_OK);
        assert_int_equal(record.field_count, 2);
        assert_int_equal(k2_csv_reader_next(reader, &record, NULL), K2_OK);
        assert_int_equal(record.kind, K2_CSV_BAD);
        assert_int_equal(record.line, 2);
        assert_string_equal(record.reason, "too_long");
        assert_true(record.raw.size_bytes <= K2_RECORD_CEILING_BYTES);
        assert_int_equal(k2_csv_reader_next(reader, &record, NULL), K2_OK);
        assert_int_equal(record.line, 3);
        assert_int_equal(record.field_count, 2);
        assert_int_equal(k2_csv_reader_next(reader, &record, NULL), K2_OK);
        assert_int_equal(record.kind, K2_CSV_END);
        k2_csv_reader_destroy(reader);
    }
    k2_free(text);
}

static void a_record_of_several_lines_can_be_taken_back_to_its_first(void **state)
{
    (void)state;
    static const char text[] = "a,\"b\nc,d\ne\",f\ng,h\n";
    struct text_input input = {text, sizeof text - 1, 0, 5};
    struct k2_csv_reader *reader = NULL;
    struct k2_csv_record record;
    assert_int_equal(k2_csv_reader_create(&reader, read_text, &input, ',', NULL), K2_OK);
    assert_int_equal(k2_csv_reader_next(reader, &record, NULL), K2_OK);
    assert_int_equal(record.field_count, 3);
    assert_true(record.several_lines);
    k2_csv_reader_retreat(reader, &record);
    assert_int_equal(record.line, 1);
    assert_int_equal(record.raw.size_bytes, 4);
    assert_int_equal(k2_csv_reader_next(reader, &record, NULL), K2_OK);
    assert_int_equal(record.line, 2);
    assert_int_equal(record.field_count, 2);
    k2_csv_reader_destroy(reader);
}

static void lines_are_read_whole(void **state)
{
    (void)state;
    static const char text[] = "{\"a\":\"\"\"}\r\n\n{}\nlast";
    for (size_t piece = 1; piece < 30; piece++) {
        struct text_input input = {text, sizeof text - 1, 0, piece};
        struct k2_csv_reader *reader = NULL;
        struct k2_csv_record record;
        uint8_t first;
        assert_int_equal(k2_csv_reader_create(&reader, read_text, &input, ',', NULL), K2_OK);
        assert_int_equal(k2_csv_reader_peek(reader, &first, NULL), K2_OK);
        assert_int_equal(first, '{');
        static const struct {
            uint64_t line;
            size_t size_bytes;
        } lines[] = {{1, 9}, {3, 2}, {4, 4}};
        for (size_t i = 0; i < COUNT(lines); i++) {
            assert_int_equal(k2_csv_reader_next_line(reader, &record, NULL), K2_OK);
            assert_int_equal(record.line, lines[i].line);
            assert_int_equal(record.raw.size_bytes, lines[i].size_bytes);
        }
        assert_int_equal(k2_csv_reader_next_line(reader, &record, NULL), K2_OK);
        assert_int_equal(record.kind, K2_CSV_END);
        k2_csv_reader_destroy(reader);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_read_with_their_lines_in_pieces_of_any_size),
        cmocka_unit_test(a_record_too_long_is_bad_and_the_next_one_good),
        cmocka_unit_test(a_record_of_several_lines_can_be_taken_back_to_its_first),
        cmocka_unit_test(lines_are_read_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
