// Cursors: there and back, and whatever was changed on the way is refused.
#include "query/cursor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct k2_scan_key key_of(const char *exchange, const char *symbol)
{
    return (struct k2_scan_key){.time_ns = INT64_MIN,
                                .exchange = k2_slice_of(exchange),
                                .symbol = k2_slice_of(symbol),
                                .epoch = -1,
                                .sequence = INT64_MAX};
}

static size_t print(const char *exchange, const char *symbol, char text[K2_CURSOR_TEXT_BYTES])
{
    struct k2_cursor cursor;
    struct k2_scan_key key = key_of(exchange, symbol);
    assert_int_equal(k2_cursor_init(&cursor, 0x0123456789abcdef, UINT64_MAX, &key, NULL), K2_OK);
    return k2_cursor_print(&cursor, text);
}

static void a_cursor_comes_back_as_it_was(void **state)
{
    (void)state;
    char longest[K2_CURSOR_SYMBOL_BYTES + 1];
    memset(longest, 'x', sizeof longest);
    longest[K2_CURSOR_SYMBOL_BYTES] = '\0';
    const struct {
        const char *exchange, *symbol;
    } rows[] = {{"", ""},
                {"ASX", "BHP"},
                {"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345", longest},
                {"A", "\xc3\xa9/USD"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[K2_CURSOR_TEXT_BYTES];
        struct k2_cursor cursor;
        size_t size = print(rows[i].exchange, rows[i].symbol, text);
        assert_int_equal(
            k2_cursor_parse(&cursor, (struct k2_slice){(const uint8_t *)text, size}, NULL), K2_OK);
        struct k2_scan_key key = k2_cursor_key(&cursor);
        assert_true(cursor.query_hash == 0x0123456789abcdef && cursor.snapshot == UINT64_MAX);
        assert_true(key.time_ns == INT64_MIN && key.epoch == -1 && key.sequence == INT64_MAX);
        assert_true(k2_slice_equal(key.exchange, k2_slice_of(rows[i].exchange)));
        assert_true(k2_slice_equal(key.symbol, k2_slice_of(rows[i].symbol)));
        for (size_t c = 0; c < size; c++) {
            assert_null(strchr("+/= \n", text[c])); // goes into a URL as it is
        }
    }
}

static void every_change_of_a_character_is_refused(void **state)
{
    (void)state;
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=";
    char text[K2_CURSOR_TEXT_BYTES];
    struct k2_cursor cursor;
    size_t size = print("ASX", "BHP", text);
    for (size_t i = 0; i < size; i++) {
        char right = text[i];
        for (const char *wrong = digits; *wrong != '\0'; wrong++) {
            text[i] = *wrong;
            enum k2_status status =
                k2_cursor_parse(&cursor, (struct k2_slice){(const uint8_t *)text, size}, NULL);
            assert_int_equal(status, *wrong == right ? K2_OK : K2_BAD_REQUEST);
        }
        text[i] = right;
    }
}

static void every_other_length_is_refused(void **state)
{
    (void)state;
    char text[2 * K2_CURSOR_TEXT_BYTES];
    struct k2_cursor cursor;
    size_t size = print("ASX", "BHP", text);
    memset(text + size, 'A', sizeof text - size);
    for (size_t i = 0; i < sizeof text; i++) {
        if (i != size) {
            struct k2_slice slice = {(const uint8_t *)text, i};
            assert_int_equal(k2_cursor_parse(&cursor, slice, NULL), K2_BAD_REQUEST);
        }
    }
}

static void names_that_are_too_long_have_no_cursor(void **state)
{
    (void)state;
    struct k2_cursor cursor;
    struct k2_scan_key key = key_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456", "BHP");
    assert_int_equal(k2_cursor_init(&cursor, 0, 1, &key, NULL), K2_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cursor_comes_back_as_it_was),
        cmocka_unit_test(every_change_of_a_character_is_refused),
        cmocka_unit_test(every_other_length_is_refused),
        cmocka_unit_test(names_that_are_too_long_have_no_cursor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
