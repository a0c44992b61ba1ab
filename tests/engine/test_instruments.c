// Instruments: names that can be ones, the same number for the same name, of thousands and after a
// restart.
#include "engine/instrument_lists.h"
#include "engine/instruments.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/instrument_lists.h"
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
    const struct k2_instruments *list = NULL;
    assert_int_equal(k2_instruments_borrow(store.engine, store.table, 1, &list, NULL), K2_OK);
    assert_int_equal(list->count, MANY);
    k2_instruments_release(list);
    test_store_close(&store);
}

static struct k2_commit_outcome commit_one(struct test_store *store, const char *symbol,
                                           int64_t sequence)
{
    struct k2_commit_outcome outcome;
    const struct test_trade trade = {symbol, 1000 * sequence, sequence, 5, 1};
    (void)test_store_commit(store, &trade, 1, K2_NUMBERING_SPARSE, &outcome);
    return outcome;
}

static const struct k2_instruments *borrow(struct test_store *store, uint64_t snapshot)
{
    const struct k2_instruments *list = NULL;
    assert_int_equal(k2_instruments_borrow(store->engine, store->table, snapshot, &list, NULL),
                     K2_OK);
    return list;
}

// A list is made once, again when there are new instruments, and holds for who has it.
static void lists_are_lent(void **state)
{
    (void)state;
    struct test_store store;
    test_store_open(&store);
    const struct k2_instruments *empty = borrow(&store, UINT64_MAX);
    assert_int_equal(empty->count, 0);
    (void)commit_one(&store, "DVN", 1);
    (void)commit_one(&store, "BHP", 2);
    const struct k2_instruments *two = borrow(&store, UINT64_MAX);
    (void)commit_one(&store, "BHP", 3); // nothing new
    const struct k2_instruments *again = borrow(&store, UINT64_MAX);
    assert_ptr_equal(two, again);
    (void)commit_one(&store, "CBA", 4);
    const struct k2_instruments *three = borrow(&store, UINT64_MAX);
    const struct k2_instruments *first = borrow(&store, 1);
    assert_int_equal(empty->count, 0);
    assert_int_equal(two->count, 2);
    assert_string_equal(two->items[0].symbol, "BHP");
    assert_string_equal(two->items[1].symbol, "DVN");
    assert_int_equal(three->count, 3);
    assert_string_equal(three->items[1].symbol, "CBA");
    assert_int_equal(three->items[1].first_snapshot, 4);
    assert_int_equal(first->count, 1);
    k2_instruments_release(three);
    assert_string_equal(first->items[0].symbol, "DVN");
    assert_int_equal(first->items[0].first_snapshot, 1);
    k2_instruments_release(first);
    k2_instruments_release(again);
    k2_instruments_release(two);
    k2_instruments_release(empty);
    k2_instruments_release(NULL);
    for (long after = 0;; after++) { // any allocation of making one may fail
        (void)commit_one(&store, after % 2 == 0 ? "X" : "Y", 5 + after);
        test_store_reopen(&store, K2_ENGINE_WRITE);
        const struct k2_instruments *list = NULL;
        k2_alloc_fail_after(after);
        enum k2_status status = k2_instruments_borrow(store.engine, store.table, 2, &list, NULL);
        k2_alloc_fail_after(-1);
        if (status == K2_OK) {
            assert_int_equal(list->count, 2);
            k2_instruments_release(list);
            break;
        }
        assert_int_equal(status, K2_NO_MEMORY);
        assert_null(list);
    }
    test_store_close(&store);
}

static void names_are_found(void **state)
{
    (void)state;
    static const struct k2_instrument items[] = {
        {1, "ASX", "BHP", 1}, {2, "ASX", "DVN", 1}, {3, "BINANCE", "BHP", 1},
        {4, "NYSE", "A", 1},  {5, "NYSE", "B", 1},  {6, "NYSE", "C", 1},
    };
    const struct k2_instruments list = {items, sizeof items / sizeof items[0]};
    const struct {
        size_t first, end;
        const char *symbol;
        size_t place;
    } rows[] = {
        {0, 2, "BHP", 0}, {0, 2, "DVN", 1}, {0, 2, "A", 2}, {0, 2, "Z", 2}, {2, 3, "BHP", 2},
        {2, 3, "BH", 3},  {3, 6, "A", 3},   {3, 6, "B", 4}, {3, 6, "C", 5}, {3, 6, "BHP", 6},
    };
    assert_int_equal(k2_instruments_exchange_end(&list, 0), 2);
    assert_int_equal(k2_instruments_exchange_end(&list, 2), 3);
    assert_int_equal(k2_instruments_exchange_end(&list, 3), 6);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(
            k2_instruments_find_symbol(&list, rows[i].first, rows[i].end, rows[i].symbol),
            rows[i].place);
    }
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
        cmocka_unit_test(lists_are_lent),
        cmocka_unit_test(names_are_found),
        cmocka_unit_test(names_that_can_not_be_are_refused),
        cmocka_unit_test(thousands_keep_their_numbers),
        cmocka_unit_test(any_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
