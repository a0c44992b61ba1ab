#include "format/base/json_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "format/base/alloc.h"
#include "format/base/json_scanner.h"
#include "format/base/utf8.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void json_becomes_canonical_or_a_named_failure(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text;
        enum k2_json_shape shape;
        enum k2_json_result result;
        const char *canonical;
    } rows[] = {
        {"a map", "{ \"k\" : \"v\" }", K2_JSON_STRING_MAP, K2_JSON_OK, "{\"k\":\"v\"}"},
        {"keys out of order", "{\"b\":\"1\",\"a\":\"2\"}", K2_JSON_STRING_MAP, K2_JSON_OK,
         "{\"a\":\"2\",\"b\":\"1\"}"},
        {"a prefix comes first", "{\"ab\":\"1\",\"a\":\"2\"}", K2_JSON_STRING_MAP, K2_JSON_OK,
         "{\"a\":\"2\",\"ab\":\"1\"}"},
        {"keys by bytes, not by escapes", "{\"#\":1,\"\\\"\":2,\"\\u0001\":3}", K2_JSON_ANY,
         K2_JSON_OK, "{\"\\u0001\":3,\"\\\"\":2,\"#\":1}"},
        {"an empty map", " {} ", K2_JSON_STRING_MAP, K2_JSON_OK, "{}"},
        {"strings", "[\"@\",\n\"T\"]", K2_JSON_STRINGS, K2_JSON_OK, "[\"@\",\"T\"]"},
        {"no strings", "[]", K2_JSON_STRINGS, K2_JSON_OK, "[]"},
        {"numbers keep their text", "[1.50,-0,1E+2,123456789012345678901]", K2_JSON_ANY, K2_JSON_OK,
         "[1.50,-0,1E+2,123456789012345678901]"},
        {"words", "[true,false,null]", K2_JSON_ANY, K2_JSON_OK, "[true,false,null]"},
        {"nested", "{\"z\":{\"b\":[{}],\"a\":0},\"y\":[]}", K2_JSON_ANY, K2_JSON_OK,
         "{\"y\":[],\"z\":{\"a\":0,\"b\":[{}]}}"},
        {"needless escapes go", "\"\\u00fc\\/\\u0041\\ud83d\\ude00\"", K2_JSON_ANY, K2_JSON_OK,
         "\"\xc3\xbc/A\xf0\x9f\x98\x80\""},
        {"needed escapes stay", "\"\\u0000\\n\\\\\\\"\\u001f\"", K2_JSON_ANY, K2_JSON_OK,
         "\"\\u0000\\n\\\\\\\"\\u001f\""},
        {"a scalar", " 7 ", K2_JSON_ANY, K2_JSON_OK, "7"},
        {"nothing", "", K2_JSON_ANY, K2_JSON_NOT_JSON, NULL},
        {"blanks", "  ", K2_JSON_STRINGS, K2_JSON_NOT_JSON, NULL},
        {"two values", "[] []", K2_JSON_ANY, K2_JSON_NOT_JSON, NULL},
        {"a comma too many", "[1,]", K2_JSON_ANY, K2_JSON_NOT_JSON, NULL},
        {"a comma too few", "[1 2]", K2_JSON_ANY, K2_JSON_NOT_JSON, NULL},
        {"unclosed", "{\"a\":1", K2_JSON_ANY, K2_JSON_NOT_JSON, NULL},
        {"a key without value", "{\"a\"}", K2_JSON_ANY, K2_JSON_NOT_JSON, NULL},
        {"a key without quotes", "{a:1}", K2_JSON_ANY, K2_JSON_NOT_JSON, NULL},
        {"a leading zero", "01", K2_JSON_ANY, K2_JSON_NOT_JSON, NULL},
        {"a bare point", "1.", K2_JSON_ANY, K2_JSON_NOT_JSON, NULL},
        {"half an exponent", "1e", K2_JSON_ANY, K2_JSON_NOT_JSON, NULL},
        {"NaN", "NaN", K2_JSON_ANY, K2_JSON_NOT_JSON, NULL},
        {"half a word", "tru", K2_JSON_ANY, K2_JSON_NOT_JSON, NULL},
        {"a raw control character", "\"\n\"", K2_JSON_ANY, K2_JSON_NOT_JSON, NULL},
        {"an unknown escape", "\"\\x\"", K2_JSON_ANY, K2_JSON_NOT_JSON, NULL},
        {"half a surrogate pair", "\"\\ud800\"", K2_JSON_ANY, K2_JSON_NOT_JSON, NULL},
        {"the second half alone", "\"\\udc00\"", K2_JSON_ANY, K2_JSON_NOT_JSON, NULL},
        {"no UTF-8", "\"\xff\"", K2_JSON_ANY, K2_JSON_NOT_JSON, NULL},
        {"the same key twice", "{\"a\":1,\"b\":2,\"a\":1}", K2_JSON_ANY, K2_JSON_DUPLICATE_KEY,
         NULL},
        {"the same key by escape", "{\"a\":1,\"\\u0061\":1}", K2_JSON_ANY, K2_JSON_DUPLICATE_KEY,
         NULL},
        {"a number in a string map", "{\"a\":1}", K2_JSON_STRING_MAP, K2_JSON_WRONG_SHAPE, NULL},
        {"an array for a map", "[]", K2_JSON_STRING_MAP, K2_JSON_WRONG_SHAPE, NULL},
        {"a string for an array", "\"@\"", K2_JSON_STRINGS, K2_JSON_WRONG_SHAPE, NULL},
        {"null in an array of strings", "[null]", K2_JSON_STRINGS, K2_JSON_WRONG_SHAPE, NULL},
    };
    struct k2_buffer out;
    k2_buffer_init(&out, 1 << 20);
    for (size_t i = 0; i < COUNT(rows); i++) {
        k2_buffer_clear(&out);
        k2_put_text(&out, "before");
        enum k2_json_result result =
            k2_json_put_canonical(&out, k2_slice_of(rows[i].text), rows[i].shape);
        const char *want = rows[i].canonical != NULL ? rows[i].canonical : "";
        bool same =
            out.size_bytes == 6 + strlen(want) && memcmp(out.data + 6, want, strlen(want)) == 0;
        if (result != rows[i].result || !same) {
            fail_msg("%s: %s, `%.*s`", rows[i].name, k2_json_result_name(result),
                     (int)out.size_bytes, (const char *)out.data);
        }
    }
    k2_buffer_deinit(&out);
}

static void depth_is_bounded(void **state)
{
    (void)state;
    struct k2_buffer out;
    k2_buffer_init(&out, 4096);
    for (size_t depth = K2_JSON_DEPTH - 1; depth <= K2_JSON_DEPTH + 1; depth++) {
        char text[2 * K2_JSON_DEPTH + 4];
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        struct k2_slice slice = {(const uint8_t *)text, 2 * depth}, value;
        bool good = depth <= K2_JSON_DEPTH;
        assert_int_equal(k2_json_put_canonical(&out, slice, K2_JSON_ANY),
                         good ? K2_JSON_OK : K2_JSON_TOO_DEEP);
        struct k2_json_scanner scanner = {slice.data, slice.data + slice.size_bytes};
        assert_int_equal(k2_json_scan_value(&scanner, &value), good);
    }
    k2_buffer_deinit(&out);
}

static void large_objects_are_sorted_and_survive_failed_allocations(void **state)
{
    (void)state;
    struct k2_buffer text, out;
    k2_buffer_init(&text, 1 << 20);
    k2_put_text(&text, "{");
    for (int i = 999; i >= 0; i--) {
        k2_put_format(&text, "\"%03d\\u0001\":\"%d\"%s", i, i, i > 0 ? "," : "}");
    }
    enum k2_json_result result = K2_JSON_NO_MEMORY;
    k2_buffer_init(&out, 1 << 20);
    for (long count = 0; result != K2_JSON_OK; count++) {
        k2_alloc_fail_after(count);
        result = k2_json_put_canonical(&out, k2_buffer_slice(&text), K2_JSON_STRING_MAP);
        assert_true(result == K2_JSON_OK || (result == K2_JSON_NO_MEMORY && out.size_bytes == 0));
    }
    k2_alloc_fail_after(-1);
    assert_memory_equal(out.data, "{\"000\\u0001\":\"0\",\"001\\u0001\":\"1\",", 32);
    k2_buffer_deinit(&out);
    k2_buffer_init(&out, 100); // a ceiling is a failure, and leaves nothing behind
    assert_int_equal(k2_json_put_canonical(&out, k2_buffer_slice(&text), K2_JSON_STRING_MAP),
                     K2_JSON_NO_MEMORY);
    assert_int_equal(out.size_bytes, 0);
    k2_buffer_deinit(&out);
    k2_buffer_deinit(&text);
}

static void bytes_that_are_no_text_print_as_replacement_characters(void **state)
{
    (void)state;
    struct k2_buffer out;
    k2_buffer_init(&out, 4096);
    k2_json_put_string(&out, k2_slice_of("a\"\\\n\x01\xff\xc3\xbcz"));
    k2_put_u8(&out, 0);
    assert_string_equal((const char *)out.data, "\"a\\\"\\\\\\n\\u0001\xef\xbf\xbd\xc3\xbcz\"");
    k2_buffer_deinit(&out);
}

static void only_well_formed_utf8_is_valid(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text;
        bool valid;
    } rows[] = {
        {"nothing", "", true},
        {"ASCII, long", "abcdefghijklmnopqrstuvwxyz", true},
        {"two, three and four bytes", "\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80", true},
        {"behind eight ASCII bytes", "12345678\xff", false},
        {"overlong", "\xc0\xaf", false},
        {"overlong in three", "\xe0\x9f\xbf", false},
        {"overlong in four", "\xf0\x8f\xbf\xbf", false},
        {"a surrogate", "\xed\xa0\x80", false},
        {"above U+10FFFF", "\xf4\x90\x80\x80", false},
        {"a continuation alone", "\x80", false},
        {"cut", "\xe2\x82", false},
        {"an impossible byte", "\xfe", false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (k2_utf8_is_valid(k2_slice_of(rows[i].text)) != rows[i].valid) {
            fail_msg("%s", rows[i].name);
        }
    }
    for (uint32_t code = 0; code <= 0x10ffff; code++) {
        uint8_t bytes[4];
        size_t size = k2_utf8_write(bytes, code);
        bool surrogate = code >= 0xd800 && code <= 0xdfff;
        assert_int_equal(k2_utf8_is_valid((struct k2_slice){bytes, size}), !surrogate);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_becomes_canonical_or_a_named_failure),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(large_objects_are_sorted_and_survive_failed_allocations),
        cmocka_unit_test(bytes_that_are_no_text_print_as_replacement_characters),
        cmocka_unit_test(only_well_formed_utf8_is_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
