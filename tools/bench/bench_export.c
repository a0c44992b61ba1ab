// How fast rows leave a store as Parquet and as an Arrow stream: simulated trades of 1,000 skewed
// symbols, in order of time, after a full compaction; 8 columns (9 with the exchange), and all of
// TradeV2. Rates are of one core: rows by processor time. Arguments: rows in millions (default 2),
// and a word: only what has it in its name is measured.
// The store is made below TMPDIR (else /tmp) and removed at the end.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "engine/compact.h"
#include "engine/k2_db.h"
#include "engine/snapshot.h"
#include "format/base/alloc.h"
#include "query/export/exporter.h"
#include "query/range_query.h"
#include "tools/bench/bench_kit.h"

enum { SYMBOLS = 1000, BATCH = 65000, PIECE_BYTES = 256 << 10, CEILING_BYTES = 1 << 30 };

static void commit(struct k2_appender *appender)
{
    struct k2_error error;
    struct k2_commit_result result;
    bench_need(k2_appender_commit(appender, &result, &error), &error);
}

static void set_text(struct k2_appender *appender, size_t column, const char *text)
{
    struct k2_error error;
    bench_need(k2_appender_text(appender, column, text, strlen(text), &error), &error);
}

// Times of 30 bits a row, receive times of 18 bits of noise, prices that walk in ticks.
static void add_rows(struct k2_db *db, size_t row_count)
{
    static const char *const names[] = {
        "price", "quantity", "side", "trade_id", "ingestion_timestamp", "currency"};
    struct k2_error error;
    struct k2_appender *appender;
    size_t columns[6];
    uint64_t random = 7;
    int64_t time_ns = 1700000000000000000;
    static int64_t prices[SYMBOLS];
    bench_need(k2_appender_open(&appender, db, "trades", &error), &error);
    for (size_t i = 0; i < 6; i++) {
        bench_need(k2_appender_column(appender, names[i], &columns[i], &error), &error);
    }
    for (size_t row = 0; row < row_count; row++) {
        uint64_t bits = bench_random(&random);
        // The product of two uniform numbers: few symbols have most rows.
        size_t symbol = (size_t)((bits & 1023) * (bits >> 10 & 1023) * SYMBOLS >> 20);
        char text[24];
        time_ns += (int64_t)(bench_random(&random) & 0x3fffffff);
        prices[symbol] += (int64_t)(bits >> 20 & 3) - 1;
        (void)snprintf(text, sizeof text, "S%05zu", symbol);
        bench_need(k2_appender_row(appender, "SIM", text, time_ns, 0, (int64_t)row, &error),
                   &error);
        int64_t price = (int64_t)(symbol + 1) * 1000000000 + prices[symbol] * 1000000;
        bench_need(k2_appender_value(appender, columns[0], price, &error), &error);
        int64_t quantity = (int64_t)(1 + (bits >> 22 & 255) * (bits >> 30 & 15)) * 100000000;
        bench_need(k2_appender_value(appender, columns[1], quantity, &error), &error);
        set_text(appender, columns[2], bits >> 34 & 1 ? "BUY" : "SELL");
        (void)snprintf(text, sizeof text, "%zu", row);
        set_text(appender, columns[3], text);
        int64_t received_ns = time_ns + (int64_t)(bits >> 36 & 0x3ffff);
        bench_need(k2_appender_value(appender, columns[4], received_ns, &error), &error);
        set_text(appender, columns[5], "USD");
        if (row % BATCH == BATCH - 1) {
            commit(appender);
        }
    }
    commit(appender);
    k2_appender_close(appender);
}

static void show(const char *name, double rows, double bytes, double seconds)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    (void)printf("%-28s %7.2f M rows/s %8.2f bytes a row, at most %ld MiB so far\n", name,
                 rows / seconds / 1e6, bytes / rows, usage.ru_maxrss >> 10);
}

static void measure(struct k2_engine *engine, const char *name, const char *format,
                    const char *fields)
{
    struct k2_range_request request = {.format = k2_row_format_find(k2_slice_of(format)),
                                       .large_groups = true};
    request.texts[K2_RANGE_TABLE] = (struct k2_range_text){"table", true, k2_slice_of("trades")};
    request.texts[K2_RANGE_FIELDS] =
        (struct k2_range_text){"fields", fields[0] != '\0', k2_slice_of(fields)};
    struct k2_error error;
    struct k2_range_query *query;
    struct k2_buffer piece;
    size_t bytes = 0;
    k2_buffer_init(&piece, CEILING_BYTES);
    double begun = bench_seconds(CLOCK_PROCESS_CPUTIME_ID);
    bench_need(k2_range_query_open(&query, engine, &request, &error), &error);
    for (bool done = false; !done;) {
        k2_buffer_clear(&piece);
        bench_need(k2_range_query_next(query, PIECE_BYTES, &piece, &done, &error), &error);
        bytes += piece.size_bytes;
    }
    double seconds = bench_seconds(CLOCK_PROCESS_CPUTIME_ID) - begun;
    show(name, (double)k2_range_query_summary(query).rows, (double)bytes, seconds);
    k2_range_query_close(query);
    k2_buffer_deinit(&piece);
}

// All columns into a new Iceberg table in a folder, sorted by symbol, a file a day: everything that
// `k2 export --warehouse` does.
static void measure_table(struct k2_engine *engine, const char *parent)
{
    struct k2_error error;
    struct k2_warehouse warehouse;
    char folder[300];
    (void)snprintf(folder, sizeof folder, "%s/warehouse", parent);
    const struct k2_warehouse_options options = {.warehouse = folder, .create = true};
    struct k2_snapshot newest;
    struct k2_export_result result;
    double begun = bench_seconds(CLOCK_PROCESS_CPUTIME_ID);
    bench_need(k2_snapshot_newest(engine, &newest, &error), &error);
    bench_need(k2_warehouse_open(&warehouse, &options, &error), &error);
    struct k2_export_request request = {.engine = engine,
                                        .warehouse = &warehouse,
                                        .table = k2_engine_table(engine, k2_slice_of("trades")),
                                        .snapshot = newest.id,
                                        .newest = newest.id};
    bench_need(k2_export_table(&request, &result, &error), &error);
    show("Iceberg table, TradeV2", (double)result.rows_added, (double)result.bytes_added,
         bench_seconds(CLOCK_PROCESS_CPUTIME_ID) - begun);
    k2_free(result.metadata);
    k2_warehouse_close(&warehouse);
}

int main(int argument_count, char **arguments)
{
    static const char eight[] =
        "exchange,symbol,timestamp,sequence,price,quantity,side,trade_id,ingestion_timestamp";
    size_t rows = (size_t)(argument_count > 1 ? strtoul(arguments[1], NULL, 10) : 2) * 1000000;
    struct k2_error error;
    struct k2_db *db;
    char path[BENCH_FOLDER_BYTES];
    bench_make_folder(path);
    bench_need(k2_db_open(&db, path, K2_DB_CREATE, &error), &error);
    add_rows(db, rows);
    struct k2_compact_report report;
    bench_need(k2_compact(db->engine, &(struct k2_compact_options){.full = true}, &report, &error),
               &error);
    const char *word = argument_count > 2 ? arguments[2] : "";
    if (strstr("Iceberg table, TradeV2", word) != NULL) {
        measure_table(db->engine, path);
    }
    static const struct {
        const char *name, *format, *fields;
    } runs[] = {
        {"Parquet, 8 columns", "parquet", eight},
        {"Parquet, TradeV2", "parquet", ""},
        {"Arrow stream, 8 columns", "arrow", eight},
        {"Arrow stream, TradeV2", "arrow", ""},
        {"CSV, 8 columns", "csv", eight},
    };
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        if (strstr(runs[i].name, word) != NULL) {
            measure(db->engine, runs[i].name, runs[i].format, runs[i].fields);
        }
    }
    k2_db_close(db);
    bench_remove_folder(path);
    return 0;
}
