#include "ingest/ndjson_reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void members_come_in_order_with_their_texts(void **state)
{
    (void)state;
    static const struct {
        const char *name, *line, *members; // `key=text;`, then `!` if the line is no object
    } rows[] = {
        {"an empty object", "{}", ""},
        {"blanks", " { \"a\" : 1 , \"b\" : \"x\" } ", "a=1;b=x;"},
        {"numbers keep their text", "{\"p\":1.50,\"q\":-0e+2}", "p=1.50;q=-0e+2;"},
        {"escapes", "{\"a\\u0062\":\"\\u00fc\\n\"}", "ab=\xc3\xbc\n;"},
        {"containers as they stand", "{\"a\":{ \"b\":[1] },\"c\":[]}", "a={ \"b\":[1] };c=[];"},
        {"words", "{\"a\":true,\"b\":null}", "a=true;b=null;"},
        {"the same key twice", "{\"a\":1,\"a\":2}", "a=1;a=2;"},
        {"no object", "[1]", "!"},
        {"not closed", "{\"a\":1", "a=1;!"},
        {"a comma too many", "{\"a\":1,}", "a=1;!"},
        {"a comma first", "{,\"a\":1}", "!"},
        {"no comma", "{\"a\":1 \"b\":2}", "a=1;!"},
        {"more behind", "{\"a\":1} x", "a=1;!"},
        {"two objects", "{}{}", "!"},
        {"no colon", "{\"a\" 1}", "!"},
        {"a number of another language", "{\"a\":0x10}", "a=0;!"},
        {"NaN", "{\"a\":NaN}", "!"},
        {"bytes that are no text", "{\"a\":\"\xff\"}", "!"},
        {"nothing", "", "!"},
    };
    struct k2_ndjson_reader reader;
    struct k2_buffer out;
    k2_ndjson_reader_init(&reader);
    k2_buffer_init(&out, 4096);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct k2_ndjson_member member;
        k2_buffer_clear(&out);
        assert_int_equal(k2_ndjson_reader_start(&reader, k2_slice_of(rows[i].line), NULL), K2_OK);
        while (k2_ndjson_reader_next(&reader, &member)) {
            k2_put_bytes(&out, member.key.data, member.key.size_bytes);
            k2_put_u8(&out, '=');
            k2_put_bytes(&out, member.text.data, member.text.size_bytes);
            k2_put_u8(&out, ';');
        }
        k2_put_text(&out, reader.failed ? "!" : "");
        k2_put_u8(&out, 0);
        if (strcmp((const char *)out.data, rows[i].members) != 0) {
            fail_msg("%s: %s", rows[i].name, (const char *)out.data);
        }
    }
    k2_buffer_deinit(&out);
    k2_ndjson_reader_deinit(&reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_come_in_order_with_their_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
