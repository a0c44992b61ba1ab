// The ledger made again from rows, in as many passes as little memory asks for: the same as the one
// that followed every commit.
#include "engine/ledger_history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/engine_state.h"
#include "engine/ledger_store.h"
#include "format/base/alloc.h"
#include "tests/support/store_rows.h"
#include "tests/support/tier.h"

enum { SYMBOLS = 7, CHANNELS = 3, COMMITS = 40, BATCH = 24, EPOCHS = 2, TEXT_BYTES = 4 << 20 };

static const char *const symbols[SYMBOLS] = {"A", "B", "C", "D", "E", "F", "G"};

struct world {
    struct test_store store;
    uint64_t chance;
    int64_t next[SYMBOLS + CHANNELS][EPOCHS];
};

static uint64_t below(struct world *world, uint64_t bound)
{
    return test_random_below(&world->chance, bound);
}

// Numbers of instruments, or of channels (which the price names), in runs with holes, some late.
static void commit_some(struct world *world, bool by_channel)
{
    struct test_trade trades[BATCH];
    int64_t epochs[BATCH];
    struct k2_source source = {.numbering = K2_NUMBERING_DENSE};
    struct k2_commit *commit = NULL;
    struct k2_commit_outcome outcome;
    struct k2_error error;
    uint64_t snapshot;
    for (size_t i = 0; i < BATCH; i++) {
        size_t symbol = below(world, SYMBOLS), channel = symbol % CHANNELS;
        epochs[i] = below(world, 6) == 0;
        int64_t *next = &world->next[by_channel ? SYMBOLS + channel : symbol][epochs[i]];
        int64_t number = below(world, 4) == 0 ? (int64_t)below(world, (uint64_t)*next + 1)
                                              : *next + (int64_t)below(world, 3);
        *next = number >= *next ? number + 1 : *next;
        trades[i] = (struct test_trade){symbols[symbol], 10 * number + (int64_t)below(world, 9),
                                        number, (int64_t)channel, 1};
    }
    if (by_channel) {
        source.domain.columns[source.domain.column_count++] =
            (size_t)k2_schema_find(world->store.table->schema, k2_slice_of("price"));
    }
    world->store.epochs = epochs;
    test_store_fill(&world->store, trades, BATCH);
    if (k2_commit_begin(world->store.engine, &commit, &error) != K2_OK ||
        k2_commit_add_from(commit, world->store.batch, &source, &outcome, &error) != K2_OK ||
        k2_commit_finish(commit, &snapshot, &error) != K2_OK) {
        fail_msg("%s", error.text);
    }
}

// All that the index has of the ledger, as text.
static char *ledger_of(struct k2_store_txn *txn)
{
    static const enum k2_store_table tables[] = {K2_STORE_SEQUENCE, K2_STORE_GAP,
                                                 K2_STORE_GAP_CLOSED, K2_STORE_DOMAIN,
                                                 K2_STORE_DOMAIN_USER};
    struct k2_buffer text;
    k2_buffer_init(&text, TEXT_BYTES);
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        struct k2_store_cursor cursor;
        k2_put_format(&text, "table %zu\n", i);
        assert_int_equal(k2_store_cursor_open(txn, tables[i], &cursor, NULL), K2_OK);
        assert_int_equal(k2_store_seek(&cursor, (struct k2_slice){0}, NULL), K2_OK);
        while (cursor.found) {
            for (size_t j = 0; j < cursor.key.size_bytes; j++) {
                k2_put_format(&text, "%02x", cursor.key.data[j]);
            }
            k2_put_text(&text, " ");
            for (size_t j = 0; j < cursor.value.size_bytes; j++) {
                k2_put_format(&text, "%02x", cursor.value.data[j]);
            }
            k2_put_text(&text, "\n");
            assert_int_equal(k2_store_next(&cursor, NULL), K2_OK);
        }
        k2_store_cursor_close(&cursor);
    }
    k2_put_u8(&text, 0);
    assert_false(text.failed);
    return (char *)text.data;
}

static enum k2_status make_again(struct world *world, size_t ceiling, struct k2_store_txn *txn,
                                 struct k2_error *error)
{
    struct k2_ledger_figures none = {0};
    struct k2_domains *domains;
    enum k2_status status = k2_ledger_forget(txn, error);
    if (status == K2_OK) {
        status = k2_domains_load(world->store.engine, world->store.table, &domains, error);
    }
    if (status == K2_OK) {
        status = k2_ledger_figures_store(txn, world->store.table->id, &none, error);
    }
    if (status != K2_OK) {
        return status;
    }
    const struct k2_ledger_history_request request = {
        .engine = world->store.engine,
        .table = world->store.table,
        .domains = domains,
        .run_ceiling = ceiling,
    };
    return k2_ledger_history_write(&request, txn, error);
}

static int set_up(void **state)
{
    static struct world world;
    memset(&world, 0, sizeof world);
    world.chance = test_seed();
    test_store_open(&world.store);
    for (size_t i = 0; i < COMMITS; i++) {
        commit_some(&world, i % 5 == 2);
    }
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    k2_alloc_fail_after(-1);
    test_store_close(&world->store);
    return 0;
}

static void few_runs_at_once_give_the_same_ledger(void **state)
{
    struct world *world = *state;
    struct k2_store *index = world->store.engine->store;
    struct k2_store_txn *txn;
    struct k2_error error;
    assert_int_equal(k2_store_begin(index, false, &txn, NULL), K2_OK);
    char *followed = ledger_of(txn);
    k2_store_abort(txn);
    assert_true(strlen(followed) > 20000);
    for (size_t ceiling = 0; ceiling < 3000; ceiling += 1 + ceiling / 3) {
        assert_int_equal(k2_store_begin(index, true, &txn, NULL), K2_OK);
        if (make_again(world, ceiling, txn, &error) != K2_OK) {
            fail_msg("%zu runs: %s", ceiling, error.text);
        }
        char *again = ledger_of(txn);
        k2_store_abort(txn);
        if (strcmp(again, followed) != 0) {
            fail_msg("%zu runs at once: another ledger", ceiling);
        }
        k2_free(again);
    }
    k2_free(followed);
}

static void any_allocation_may_fail(void **state)
{
    struct world *world = *state;
    struct k2_store_txn *txn;
    struct k2_error error = {0};
    enum k2_status status = K2_NO_MEMORY;
    long calls = 0;
    for (; status != K2_OK; calls++) {
        assert_int_equal(k2_store_begin(world->store.engine->store, true, &txn, NULL), K2_OK);
        k2_alloc_fail_after(calls);
        status = make_again(world, 40, txn, &error);
        k2_alloc_fail_after(-1);
        k2_store_abort(txn);
        if (status != K2_OK && (status != K2_NO_MEMORY || error.text[0] == '\0')) {
            fail_msg("%ld: %s: %s", calls, k2_status_name(status), error.text);
        }
        calls += calls / 16;
    }
    assert_true(calls > 20);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(few_runs_at_once_give_the_same_ledger),
        CASE(any_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
