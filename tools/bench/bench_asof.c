// How fast trades find the quote in force: simulated trades and quotes of 1,000 skewed symbols,
// after a full compaction, joined through libk2 one instrument after the other and in order of
// time. Rates are of one core: trades by processor time. Arguments: trades in millions (default 2),
// quotes for each trade (default 1), and instrument or time for one order alone. The store is made
// below TMPDIR (else /tmp) and removed at the end; with K2_BENCH_STORE it is that folder, which
// stays there and is read again.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/compact.h"
#include "engine/k2_db.h"
#include "tools/bench/bench_kit.h"

enum { SYMBOLS = 1000, BATCH = 65000, TURNS = 5 };

static void commit(struct k2_appender *appender)
{
    struct k2_error error;
    struct k2_commit_result result;
    bench_need(k2_appender_commit(appender, &result, &error), &error);
}

// Rows of one table: every symbol's prices walk, times rise.
static void add_rows(struct k2_db *db, const char *table, const char *const columns[4],
                     size_t row_count, int64_t step_ns, uint64_t random)
{
    struct k2_error error;
    struct k2_appender *appender;
    size_t places[4];
    bench_need(k2_appender_open(&appender, db, table, &error), &error);
    for (size_t i = 0; i < 4 && columns[i] != NULL; i++) {
        bench_need(k2_appender_column(appender, columns[i], &places[i], &error), &error);
    }
    for (size_t row = 0; row < row_count; row++) {
        uint64_t bits = bench_random(&random);
        // The product of two uniform numbers: few symbols have most rows.
        size_t symbol = (size_t)((bits & 1023) * (bits >> 10 & 1023) * SYMBOLS >> 20);
        char name[24];
        (void)snprintf(name, sizeof name, "S%05zu", symbol);
        int64_t time_ns =
            1700000000000000000 + (int64_t)row * step_ns + (int64_t)(bits >> 20 & 255);
        bench_need(k2_appender_row(appender, "SIM", name, time_ns, 0, (int64_t)row, &error),
                   &error);
        for (size_t i = 0; i < 4 && columns[i] != NULL; i++) {
            int64_t value = (int64_t)(100 + symbol + (bits >> (28 + 4 * i) & 15)) * 1000000;
            bench_need(k2_appender_value(appender, places[i], value, &error), &error);
        }
        if (row % BATCH == BATCH - 1) {
            commit(appender);
        }
    }
    commit(appender);
    k2_appender_close(appender);
}

static void measure(struct k2_db *db, const char *name, enum k2_cursor_order order)
{
    static const char *const left[] = {"symbol", "timestamp", "price", "quantity"};
    static const char *const right[] = {"timestamp", "bid_price", "ask_price"};
    const struct k2_asof_query query = {.size_bytes = sizeof query,
                                        .left = {.size_bytes = sizeof query.left,
                                                 .table = "trades",
                                                 .columns = left,
                                                 .column_count = 4,
                                                 .order = order},
                                        .right_table = "quotes",
                                        .right_columns = right,
                                        .right_column_count = 3};
    struct k2_error error;
    struct k2_cursor *cursor;
    size_t total = 0, count = 1;
    int64_t sum = 0;
    double begun = bench_seconds(CLOCK_PROCESS_CPUTIME_ID);
    bench_need(k2_cursor_open_asof(&cursor, db, &query, &error), &error);
    while (count > 0) {
        bench_need(k2_cursor_next(cursor, &count, &error), &error);
        const int64_t *prices = k2_cursor_values(cursor, 2), *bids = k2_cursor_values(cursor, 5);
        for (size_t i = 0; i < count; i++) {
            sum += prices[i] - bids[i];
        }
        total += count;
    }
    double seconds = bench_seconds(CLOCK_PROCESS_CPUTIME_ID) - begun;
    k2_cursor_close(cursor);
    (void)printf("%-32s %8.1f M trades/s  (%zu trades, %.3f s, sum %lld)\n", name,
                 (double)total / seconds / 1e6, total, seconds, (long long)sum);
}

static void fill(struct k2_db *db, size_t trades, size_t ratio)
{
    static const char *const trade_columns[4] = {"price", "quantity", NULL};
    static const char *const quote_columns[4] = {"bid_price", "bid_quantity", "ask_price",
                                                 "ask_quantity"};
    struct k2_error error;
    add_rows(db, "trades", trade_columns, trades, 1000 * (int64_t)ratio, 7);
    add_rows(db, "quotes", quote_columns, trades * ratio, 1000, 99);
    // The first one sorts what was committed, the second one merges what lies sorted then.
    for (int turn = 0; turn < 2; turn++) {
        struct k2_compact_report report;
        bench_need(
            k2_compact(db->engine, &(struct k2_compact_options){.full = true}, &report, &error),
            &error);
    }
}

int main(int argument_count, char **arguments)
{
    size_t trades = (size_t)(argument_count > 1 ? strtoul(arguments[1], NULL, 10) : 2) * 1000000;
    size_t ratio = argument_count > 2 ? strtoul(arguments[2], NULL, 10) : 1;
    const char *stays = getenv("K2_BENCH_STORE");
    struct k2_error error;
    struct k2_db *db;
    char path[BENCH_FOLDER_BYTES];
    if (stays == NULL) {
        bench_make_folder(path);
    }
    if (stays == NULL || k2_db_open(&db, stays, K2_DB_READ, &error) != K2_OK) {
        bench_need(k2_db_open(&db, stays == NULL ? path : stays, K2_DB_CREATE, &error), &error);
        fill(db, trades, ratio);
    }
    const char *only = argument_count > 3 ? arguments[3] : "";
    for (int turn = 0; turn < TURNS && strcmp(only, "time") != 0; turn++) {
        measure(db, "as-of join, by instrument", K2_CURSOR_STORED);
    }
    if (strcmp(only, "instrument") != 0) {
        measure(db, "as-of join, in order of time", K2_CURSOR_TIME);
    }
    k2_db_close(db);
    if (stays == NULL) {
        bench_remove_folder(path);
    }
    return 0;
}
