// Instruments: names that can be ones, the same number for the same name, of thousands and after a
// restart.
#include "engine/instruments.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "format/base/alloc.h"
#include "tests/support/store_rows.h"

enum { MANY = 3000 };

static void names_that_can_not_be_are_refused(void **state)
{
    (void)state;
    static char longest[256 + 1];
    static const struct {
        const char *name, *exchange;
        size_t exchange_bytes;
        const char *symbol;
        size_t symbol_bytes;
        enum k2_status status;
    } rows[] = {
        {"one of each", "X", 1, "A", 1, K2_OK},
        {"the longest", longest, 32, longest, 255, K2_OK},
        {"a slash and a space", "X", 1, "BTC / USD", 9, K2_OK},
        {"no exchange", "", 0, "A", 1, K2_REJECTED},
        {"an exchange that is too long", longest, 33, "A", 1, K2_REJECTED},
        {"an exchange that is no text", "\xff", 1, "A", 1, K2_REJECTED},
        {"an exchange with a NUL", "a\0b", 3, "A", 1, K2_REJECTED},
        {"no symbol", "X", 1, "", 0, K2_REJECTED},
        {"a symbol that is too long", "X", 1, longest, 256, K2_REJECTED},
        {"a symbol that is no text", "X", 1, "\xc3", 1, K2_REJECTED},
        {"a symbol with a NUL", "X", 1, "a\0", 2, K2_REJECTED},
    };
    struct test_store store;
    test_store_open(&store);
    memset(longest, 'x', sizeof longest - 1);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct k2_error error = {0};
        const struct k2_instrument_name name = {
            {(const uint8_t *)rows[i].exchange, rows[i].exchange_bytes},
            {(const uint8_t *)rows[i].symbol, rows[i].symbol_bytes}};
        uint32_t id = 0, found = 99;
        enum k2_status status =
            k2_instrument_intern(store.engine, name.exchange, name.symbol, &id, &error);
        if (status != rows[i].status || (status != K2_OK && error.text[0] == '\0')) {
            fail_msg("%s: %s: %s", rows[i].name, k2_status_name(status), error.text);
        }
        // It is not in the index before a commit; a name that can not be is no failure there.
        assert_int_equal(k2_instruments_find(store.engine, &name, 1, &found, NULL), K2_OK);
        assert_int_equal(found, 0);
    }
    test_store_close(&store);
}

static void intern(struct test_store *store, size_t number, uint32_t *id)
{
    char symbol[24];
    struct k2_error error;
    (void)snprintf(symbol, sizeof symbol, "S%zu", number);
    if (k2_instrument_intern(store->engine, k2_slice_of("TEST"), k2_slice_of(symbol), id, &error) !=
        K2_OK) {
        fail_msg("%s", error.text);
    }
}

static void thousands_keep_their_numbers(void **state)
{
    (void)state;
    static uint32_t ids[MANY];
    struct test_store store;
    uint32_t again;
    test_store_open(&store);
    for (size_t i = 0; i < MANY; i++) {
        intern(&store, i, &ids[i]);
        assert_true(i == 0 || ids[i] != ids[i - 1]);
    }
    for (size_t i = 0; i < MANY; i++) {
        intern(&store, i, &again);
        assert_int_equal(again, ids[i]);
    }
    static struct test_trade trades[MANY];
    static char symbols[MANY][8];
    struct k2_commit_outcome outcome;
    for (size_t i = 0; i < MANY; i++) {
        (void)snprintf(symbols[i], sizeof symbols[i], "S%zu", i);
        trades[i] = (struct test_trade){symbols[i], 1000, 1, 5, 1};
    }
    (void)test_store_commit(&store, trades, MANY, K2_NUMBERING_SPARSE, &outcome);
    test_store_reopen(&store, K2_ENGINE_WRITE);
    for (size_t i = MANY; i-- > 0;) {
        intern(&store, i, &again);
        assert_int_equal(again, ids[i]);
    }
    struct k2_instrument *list = NULL;
    size_t count = 0;
    assert_int_equal(k2_instruments_list(store.engine, store.table, 1, &list, &count, NULL), K2_OK);
    assert_int_equal(count, MANY);
    k2_instruments_free(list, count);
    test_store_close(&store);
}

static void any_allocation_may_fail(void **state)
{
    (void)state;
    struct test_store store;
    uint32_t id, first = 0, calls = 0;
    test_store_open(&store);
    for (size_t i = 0; i < 1200; i++) {
        enum k2_status status = K2_NO_MEMORY;
        char symbol[24];
        (void)snprintf(symbol, sizeof symbol, "S%zu", i);
        for (long left = 0; status != K2_OK; left++, calls++) {
            k2_alloc_fail_after(left);
            status = k2_instrument_intern(store.engine, k2_slice_of("TEST"), k2_slice_of(symbol),
                                          &id, NULL);
            k2_alloc_fail_after(-1);
            assert_true(status == K2_OK || status == K2_NO_MEMORY);
        }
        first = i == 0 ? id : first;
        assert_int_equal(id, first + i); // what failed took no number
    }
    assert_true(calls > 1200);
    test_store_close(&store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_can_not_be_are_refused),
        cmocka_unit_test(thousands_keep_their_numbers),
        cmocka_unit_test(any_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
