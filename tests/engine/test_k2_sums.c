// Sums and candles of libk2 through its public header alone: worked examples, wrong questions, many
// threads on one store.
#include "engine/k2.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/base/alloc.h"
#include "tests/support/folder.h"

static const int64_t minute_ns = 60000000000, unit = 100000000; // 10^8: prices have 8 places
static const char *const columns[] = {"price", "quantity"};

struct world {
    char path[TEST_PATH_BYTES];
    struct k2_db *db;
    struct k2_query rows;
};

static void need(enum k2_status status, const struct k2_error *error)
{
    if (status != K2_OK) {
        fail_msg("%s", error->text);
    }
}

static const struct {
    const char *symbol;
    int64_t time_ns, sequence, price, quantity; // in units; the time in seconds
} trades[] = {
    {"BHP", 0, 1, 10, 2}, {"BHP", 59, 2, 13, 1}, {"BHP", 30, 3, 9, 4},  {"BHP", 60, 4, 20, 3},
    {"RIO", 5, 1, 50, 6}, {"RIO", 5, 2, 51, 1},  {"RIO", 200, 3, 7, 0}, {"CBA", -1, 1, 3, 3},
};
enum { TRADES = sizeof trades / sizeof trades[0] };

static int open_world(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    struct k2_error error = {0};
    struct k2_appender *appender = NULL;
    struct k2_commit_result result;
    size_t price, quantity;
    assert_non_null(world);
    test_folder_make(world->path);
    need(k2_db_open(&world->db, world->path, K2_DB_CREATE, &error), &error);
    need(k2_appender_open(&appender, world->db, "trades", &error), &error);
    need(k2_appender_column(appender, "price", &price, &error), &error);
    need(k2_appender_column(appender, "quantity", &quantity, &error), &error);
    for (size_t i = 0; i < TRADES; i++) {
        need(k2_appender_row(appender, "XASX", trades[i].symbol, trades[i].time_ns * unit * 10, 0,
                             trades[i].sequence, &error),
             &error);
        need(k2_appender_value(appender, price, trades[i].price * unit, &error), &error);
        need(k2_appender_value(appender, quantity, trades[i].quantity * unit, &error), &error);
        if (i % 3 == 2) { // several groups
            need(k2_appender_commit(appender, &result, &error), &error);
        }
    }
    need(k2_appender_commit(appender, &result, &error), &error);
    k2_appender_close(appender);
    world->rows = (struct k2_query){
        .size_bytes = sizeof world->rows, .table = "trades", .columns = columns, .column_count = 2};
    *state = world;
    return 0;
}

static int close_world(void **state)
{
    struct world *world = *state;
    k2_db_close(world->db);
    test_folder_remove(world->path);
    free(world);
    return 0;
}

static void sums_by_symbol(void **state)
{
    struct world *world = *state;
    static const struct {
        const char *symbol;
        uint64_t rows;
        int64_t price_sum, price_min, price_max, quantity_sum, vwap;
    } expected[] = {
        {"BHP", 4, 52, 9, 20, 10, 1290000000}, // 129 / 10
        {"CBA", 1, 3, 3, 3, 3, 300000000},
        {"RIO", 3, 108, 7, 51, 7, 5014285714}, // 351 / 7 = 50.142857142857...
    };
    struct k2_error error = {0};
    struct k2_sums *sums = NULL;
    struct k2_sum_query query = {sizeof query, &world->rows, "price", "quantity"};
    need(k2_sums_open(&sums, world->db, &query, &error), &error);
    assert_int_equal(k2_sums_count(sums), 3);
    assert_true(k2_sums_snapshot(sums) > 0);
    for (size_t i = 0; i < 3; i++) {
        struct k2_sum_item item = {.size_bytes = sizeof item};
        struct k2_sum_total total = {.size_bytes = sizeof total};
        k2_sums_item(sums, i, &item);
        assert_memory_equal(item.exchange.data, "XASX", 4);
        assert_memory_equal(item.symbol.data, expected[i].symbol, 3);
        assert_int_equal(item.row_count, expected[i].rows);
        assert_true(item.has_vwap);
        assert_int_equal(item.vwap, expected[i].vwap);
        k2_sums_total(sums, i, 0, &total);
        assert_int_equal(total.value_count, expected[i].rows);
        assert_int_equal(total.sum.low, expected[i].price_sum * unit);
        assert_int_equal(total.sum.high, 0);
        assert_int_equal(total.min, expected[i].price_min * unit);
        assert_int_equal(total.max, expected[i].price_max * unit);
        k2_sums_total(sums, i, 1, &total);
        assert_int_equal(total.sum.low, expected[i].quantity_sum * unit);
    }
    struct k2_sum_item none = {.size_bytes = sizeof none, .row_count = 7};
    k2_sums_item(sums, 3, &none);
    assert_int_equal(none.row_count, 0);
    k2_sums_close(sums);
}

struct expected_candle {
    const char *symbol;
    int64_t start_ns; // in minutes
    uint64_t rows;
    int64_t open, high, low, close, volume;
    bool has_vwap;
    int64_t vwap;
};
static const struct expected_candle expected_candles[] = {
    {"CBA", -1, 1, 3, 3, 3, 3, 3, true, 300000000},
    {"BHP", 0, 3, 10, 13, 9, 13, 7, true, 985714286}, // 69 / 7 = 9.857142857...
    {"RIO", 0, 2, 50, 51, 50, 51, 7, true, 5014285714},
    {"BHP", 1, 1, 20, 20, 20, 20, 3, true, 2000000000},
    {"RIO", 3, 1, 7, 7, 7, 7, 0, false, 0},
};
enum { CANDLES = sizeof expected_candles / sizeof expected_candles[0] };

static struct k2_ohlcv_query minutes(const struct world *world, enum k2_ohlcv_order order)
{
    return (struct k2_ohlcv_query){
        .size_bytes = sizeof(struct k2_ohlcv_query),
        .rows = &world->rows,
        .interval_ns = minute_ns,
        .prices = columns,
        .price_count = 1,
        .quantity = "quantity",
        .order = order,
    };
}

static bool is_candle(const struct k2_ohlcv *candle, const struct expected_candle *expected)
{
    return candle->symbol.size_bytes == 3 &&
           memcmp(candle->symbol.data, expected->symbol, 3) == 0 &&
           candle->start_ns == expected->start_ns * minute_ns &&
           candle->end_ns == candle->start_ns + minute_ns && candle->row_count == expected->rows &&
           candle->prices[0].found && candle->prices[0].open == expected->open * unit &&
           candle->prices[0].high == expected->high * unit &&
           candle->prices[0].low == expected->low * unit &&
           candle->prices[0].close == expected->close * unit && !candle->prices[1].found &&
           candle->volume.low == (uint64_t)(expected->volume * unit) && candle->volume.high == 0 &&
           candle->has_vwap == expected->has_vwap && candle->vwap == expected->vwap;
}

static void candles_in_every_order(void **state)
{
    struct world *world = *state;
    for (int order = 0; order < 3; order++) {
        struct k2_error error = {0};
        struct k2_ohlcv_reader *reader = NULL;
        struct k2_ohlcv_query query = minutes(world, (enum k2_ohlcv_order)order);
        struct k2_ohlcv candle = {.size_bytes = sizeof candle};
        bool found = true, seen[CANDLES] = {false};
        size_t done = 0;
        need(k2_ohlcv_open(&reader, world->db, &query, &error), &error);
        assert_true(k2_ohlcv_snapshot(reader) > 0);
        for (;; done++) {
            need(k2_ohlcv_next(reader, &found, &candle, &error), &error);
            if (!found) {
                break;
            }
            size_t index = order == K2_OHLCV_TIME_DESCENDING ? CANDLES - 1 - done : done;
            for (size_t i = 0; order == K2_OHLCV_FOUND && i < CANDLES; i++) {
                index = is_candle(&candle, &expected_candles[i]) ? i : index;
            }
            assert_true(index < CANDLES && !seen[index]);
            assert_true(is_candle(&candle, &expected_candles[index]));
            seen[index] = true;
        }
        assert_int_equal(done, CANDLES);
        k2_ohlcv_close(reader);
    }
}

static void a_shorter_struct_is_filled_as_far_as_it_goes(void **state)
{
    struct world *world = *state;
    struct k2_error error = {0};
    struct k2_ohlcv_reader *reader = NULL;
    struct k2_ohlcv_query query = minutes(world, K2_OHLCV_TIME);
    struct k2_ohlcv candle;
    bool found;
    need(k2_ohlcv_open(&reader, world->db, &query, &error), &error);
    memset(&candle, 0x5a, sizeof candle);
    candle.size_bytes = offsetof(struct k2_ohlcv, end_ns);
    need(k2_ohlcv_next(reader, &found, &candle, &error), &error);
    assert_int_equal(candle.start_ns, -minute_ns);
    assert_int_equal(candle.end_ns, 0x5a5a5a5a5a5a5a5a);
    k2_ohlcv_close(reader);
}

static void wrong_questions_are_refused(void **state)
{
    struct world *world = *state;
    struct k2_sums *sums = NULL;
    struct k2_ohlcv_reader *reader = NULL;
    static const char *const other[] = {"bid"}, *const text[] = {"side"};
    const struct k2_sum_query right = {sizeof right, &world->rows, "price", "quantity"};
    struct k2_query rows = world->rows;
    struct k2_sum_query query = right;
    query.size_bytes = 4;
    assert_int_equal(k2_sums_open(&sums, world->db, &query, NULL), K2_BAD_REQUEST);
    query = right;
    query.quantity = NULL;
    assert_int_equal(k2_sums_open(&sums, world->db, &query, NULL), K2_BAD_REQUEST);
    query.quantity = "trade_id";
    assert_int_equal(k2_sums_open(&sums, world->db, &query, NULL), K2_BAD_REQUEST);
    query = right;
    query.rows = &rows;
    rows.columns = text;
    rows.column_count = 1;
    assert_int_equal(k2_sums_open(&sums, world->db, &query, NULL), K2_BAD_REQUEST);
    rows.columns = other;
    assert_int_equal(k2_sums_open(&sums, world->db, &query, NULL), K2_NOT_FOUND);
    rows.columns = NULL;
    assert_int_equal(k2_sums_open(&sums, world->db, &query, NULL), K2_BAD_REQUEST);
    rows = world->rows;
    rows.table = "nothing";
    assert_int_equal(k2_sums_open(&sums, world->db, &query, NULL), K2_NOT_FOUND);
    assert_null(sums);

    const struct k2_ohlcv_query good = minutes(world, K2_OHLCV_TIME);
    struct k2_ohlcv_query bad[6] = {good, good, good, good, good, good};
    bad[0].size_bytes = 1;
    bad[1].price_count = 3;
    bad[2].order = (enum k2_ohlcv_order)3;
    bad[3].interval_ns = 7;
    bad[4].prices = text;
    bad[5].price_count = 0;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(k2_ohlcv_open(&reader, world->db, &bad[i], NULL), K2_BAD_REQUEST);
    }
    bad[0] = good;
    bad[0].quantity = "volume";
    assert_int_equal(k2_ohlcv_open(&reader, world->db, &bad[0], NULL), K2_NOT_FOUND);
    assert_null(reader);
}

static enum k2_status ask_both(struct world *world)
{
    struct k2_sums *sums = NULL;
    struct k2_ohlcv_reader *reader = NULL;
    struct k2_sum_query query = {sizeof query, &world->rows, "price", "quantity"};
    enum k2_status status = k2_sums_open(&sums, world->db, &query, NULL);
    k2_sums_close(sums);
    struct k2_ohlcv_query asked = minutes(world, K2_OHLCV_TIME_DESCENDING);
    if (status == K2_OK) {
        status = k2_ohlcv_open(&reader, world->db, &asked, NULL);
    }
    bool found = true;
    while (status == K2_OK && found) {
        struct k2_ohlcv candle = {.size_bytes = sizeof candle};
        status = k2_ohlcv_next(reader, &found, &candle, NULL);
    }
    k2_ohlcv_close(reader);
    return status;
}

static void every_failed_allocation_is_told(void **state)
{
    enum k2_status status = K2_NO_MEMORY;
    for (long calls = 0; status != K2_OK; calls++) {
        k2_alloc_fail_after(calls);
        status = ask_both(*state);
        k2_alloc_fail_after(-1);
        assert_true(status == K2_OK || status == K2_NO_MEMORY);
    }
}

static void *ask_on(void *context)
{
    struct world *world = context;
    for (int turn = 0; turn < 50; turn++) {
        if (ask_both(world) != K2_OK) {
            return context;
        }
        struct k2_cursor *cursor = NULL;
        size_t rows = 0, all = 0;
        if (k2_cursor_open(&cursor, world->db, &world->rows, NULL) != K2_OK) {
            return context;
        }
        do {
            if (k2_cursor_next(cursor, &rows, NULL) != K2_OK) {
                rows = 0;
            }
            all += rows;
        } while (rows > 0);
        k2_cursor_close(cursor);
        if (all != TRADES) {
            return context;
        }
    }
    return NULL;
}

static void threads_share_a_store(void **state)
{
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, ask_on, *state), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        void *failed;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sums_by_symbol, open_world, close_world),
        cmocka_unit_test_setup_teardown(candles_in_every_order, open_world, close_world),
        cmocka_unit_test_setup_teardown(a_shorter_struct_is_filled_as_far_as_it_goes, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(wrong_questions_are_refused, open_world, close_world),
        cmocka_unit_test_setup_teardown(every_failed_allocation_is_told, open_world, close_world),
        cmocka_unit_test_setup_teardown(threads_share_a_store, open_world, close_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
