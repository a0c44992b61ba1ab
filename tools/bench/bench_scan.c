// How fast a store is read: simulated trades of skewed symbols, 8 columns, as committed and after a
// full compaction. Rates are of one core: rows by processor time. Arguments: rows in millions
// (default 4), symbols (default 1,000), seconds between the rows of a symbol on average (default
// 1), a word that the names of the measurements to run contain (default all).
//
// The store is made below TMPDIR (else /tmp) and removed at the end; with K2_BENCH_STORE it is that
// folder, which stays, and is read as it is when it is there already. K2_BENCH_ANSWERS names a file
// for sums over the answers, which another program can make from the same rows. A line is
// WHAT<TAB>FIGURE<TAB>TARGET, the targets being those of an idle machine.
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/aggregate.h"
#include "engine/candles.h"
#include "engine/commit.h"
#include "engine/compact.h"
#include "engine/instruments.h"
#include "engine/last_rows.h"
#include "engine/scan.h"
#include "format/base/alloc.h"
#include "format/segment/row_group_view.h"
#include "tools/bench/bench_kit.h"

static const char schema_json[] =
    "{\"type\":\"record\",\"name\":\"Tick\",\"fields\":["
    "{\"name\":\"exchange\",\"type\":\"string\",\"k2.role\":\"exchange\"},"
    "{\"name\":\"symbol\",\"type\":\"string\",\"k2.role\":\"symbol\"},"
    "{\"name\":\"timestamp\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-nanos\"},"
    "\"k2.role\":\"timestamp\"},"
    "{\"name\":\"sequence\",\"type\":\"long\",\"k2.role\":\"sequence\"},"
    "{\"name\":\"price\",\"type\":{\"type\":\"bytes\",\"logicalType\":\"decimal\","
    "\"precision\":18,\"scale\":8}},"
    "{\"name\":\"quantity\",\"type\":{\"type\":\"bytes\",\"logicalType\":\"decimal\","
    "\"precision\":18,\"scale\":8}},"
    "{\"name\":\"side\",\"type\":\"string\",\"k2.kind\":\"symbolic\"},"
    "{\"name\":\"trade_id\",\"type\":\"long\"},"
    "{\"name\":\"received\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-nanos\"}}]}";

enum { MOST_SYMBOLS = 10000, POINT_QUERIES = 2000, TURNS = 3 };
enum { PRICE = 5, QUANTITY = 6, SIDE = 7, TRADE_ID = 8, RECEIVED = 9 };
static const int64_t first_ns = 1700000000000000000, hour_ns = 3600000000000;
static const int64_t second_ns = 1000000000;
enum { TICK = 1000000, LOT = 100000000 }; // of prices and quantities

struct bench {
    char path[BENCH_FOLDER_BYTES];
    struct k2_engine *engine;
    const struct k2_table *table;
    uint64_t random;
    size_t row_count;
    uint64_t commit_count;
    size_t symbol_count;
    char symbols[MOST_SYMBOLS][24];
    uint32_t ids[MOST_SYMBOLS];
    int64_t prices[MOST_SYMBOLS], sequences[MOST_SYMBOLS];
    int64_t most_apart_ns; // of one row and the next
    const char *only;
    struct k2_row_key *sample; // keys of some rows
    size_t sample_count;
    FILE *answers; // or NULL
};

// A line of the answer.
__attribute__((format(printf, 3, 4))) static void say(const char *what, const char *target,
                                                      const char *format, ...)
{
    va_list arguments;
    printf("%s\t", what);
    va_start(arguments, format);
    (void)vprintf(format, arguments);
    va_end(arguments);
    printf("\t%s\n", target);
    (void)fflush(stdout);
}

// A sum over an answer, that whoever reads the same rows can compare.
static void tell(struct bench *bench, const char *name, k2_int128 value)
{
    char digits[40], *first = digits + sizeof digits - 1;
    *first = '\0';
    do {
        *--first = (char)('0' + (int)(value % 10));
        value /= 10;
    } while (value > 0);
    if (bench->answers != NULL) {
        (void)fprintf(bench->answers, "%s %s\n", name, first);
    }
}

static void add_row(struct bench *bench, struct k2_row_batch *batch, int64_t time_ns)
{
    struct k2_error error;
    uint64_t bits = bench_random(&bench->random);
    // The product of two uniform numbers: few symbols have most rows.
    size_t symbol = (size_t)((bits & 1023) * (bits >> 10 & 1023) * bench->symbol_count >> 20);
    bench->prices[symbol] += (int64_t)(bits >> 20 & 3) * 1000000 - 1500000;
    struct k2_row_key key = {bench->ids[symbol], time_ns, 0, bench->sequences[symbol]++};
    size_t row;
    bench_need(k2_row_batch_add(batch, &key, 0, &row, &error), &error);
    int64_t price = bench->prices[symbol] / 1000000 * 1000000;
    k2_row_batch_set_value(batch, row, PRICE, price);
    k2_row_batch_set_value(batch, row, QUANTITY,
                           (int64_t)(1 + (bits >> 22 & 255) * (bits >> 30 & 15)) * 100000000);
    bench_need(k2_row_batch_set_text(batch, row, SIDE, k2_slice_of(bits >> 34 & 1 ? "BUY" : "SELL"),
                                     &error),
               &error);
    k2_row_batch_set_value(batch, row, TRADE_ID, (int64_t)bench->row_count++);
    k2_row_batch_set_value(batch, row, RECEIVED, time_ns + (int64_t)(bits >> 36 & 0x3ffff));
}

static void commit(struct bench *bench, struct k2_row_batch *batch)
{
    struct k2_error error;
    struct k2_commit *commit;
    struct k2_commit_outcome outcome;
    uint64_t snapshot;
    bench_need(k2_commit_begin(bench->engine, &commit, &error), &error);
    bench_need(k2_commit_add(commit, batch, K2_NUMBERING_SPARSE, &outcome, &error), &error);
    bench_need(k2_commit_finish(commit, &snapshot, &error), &error);
    k2_row_batch_clear(batch);
}

// As k2_db_open does.
static void open_engine(struct bench *bench, enum k2_engine_mode mode)
{
    struct k2_error error;
    bench_need(k2_engine_open(&bench->engine, bench->path, mode, &error), &error);
    k2_engine_set_read_cache(bench->engine, &k2_read_cache_large);
}

// Rows in time order.
static void load(struct bench *bench, size_t row_count)
{
    struct k2_error error;
    struct k2_row_batch *batch;
    struct k2_schema *schema;
    open_engine(bench, K2_ENGINE_CREATE);
    bench_need(k2_schema_parse(&schema, "ticks", k2_slice_of(schema_json), &error), &error);
    bench_need(k2_engine_add_table(bench->engine, &schema, &bench->table, &error), &error);
    for (size_t i = 0; i < bench->symbol_count; i++) {
        bench_need(k2_instrument_intern(bench->engine, k2_slice_of("SIM"),
                                        k2_slice_of(bench->symbols[i]), &bench->ids[i], &error),
                   &error);
        bench->prices[i] = (int64_t)(1000 + bench_random(&bench->random) % 100000) * 1000000;
    }
    assert(bench->table != NULL);
    bench_need(k2_row_batch_create(&batch, bench->table->schema, K2_GROUP_ROWS, false, &error),
               &error);
    double began = bench_seconds(CLOCK_MONOTONIC);
    int64_t time_ns = first_ns;
    for (size_t i = 0; i < row_count; i++) {
        time_ns += (int64_t)(bench_random(&bench->random) % (uint64_t)bench->most_apart_ns);
        add_row(bench, batch, time_ns);
        if (batch->row_count == batch->row_capacity || i + 1 == row_count) {
            commit(bench, batch);
        }
    }
    k2_row_batch_destroy(batch);
    say("simulated, appended and committed", "", "%.2f M rows/s",
        (double)row_count / (bench_seconds(CLOCK_MONOTONIC) - began) / 1e6);
}

// A consumer of vectors, as cheap as its result allows.
typedef void consume_fn(const struct k2_vector *columns, size_t row_count, int64_t *result);

static void touch(const struct k2_vector *columns, size_t row_count, int64_t *result)
{
    (void)columns;
    *result += (int64_t)row_count;
}

static void sum_first(const struct k2_vector *columns, size_t row_count, int64_t *result)
{
    int64_t sum = 0;
    for (size_t i = 0; i < row_count; i++) {
        sum += columns[0].values[i];
    }
    *result += sum;
}

// The inner loop of a VWAP by symbol: runs of one symbol share their name's address.
static void add_vwap(const struct k2_vector *columns, size_t row_count, int64_t *result)
{
    const int64_t *prices = columns[0].values, *quantities = columns[1].values;
    k2_int128 amount = 0;
    int64_t quantity = 0;
    for (size_t i = 0, end; i < row_count; i = end) {
        const uint8_t *name = columns[2].texts[i].data;
        for (end = i; end < row_count && columns[2].texts[end].data == name; end++) {
            amount += (k2_int128)prices[end] * quantities[end];
            quantity += quantities[end];
        }
    }
    *result += (int64_t)(uint64_t)amount + quantity;
}

static size_t run(struct bench *bench, struct k2_scan_request *request, consume_fn *consume,
                  int64_t *result)
{
    struct k2_error error;
    struct k2_scan *scan;
    const struct k2_vector *columns;
    size_t done = 0, rows;
    request->table = bench->table;
    bench_need(k2_scan_open(bench->engine, request, &scan, &error), &error);
    do {
        bench_need(k2_scan_next(scan, &columns, &rows, &error), &error);
        consume(columns, rows, result);
        done += rows;
    } while (rows > 0);
    k2_scan_close(scan);
    return done;
}

static size_t symbol_of(struct k2_slice name)
{
    size_t number = 0;
    for (size_t i = 1; i < name.size_bytes; i++) {
        number = number * 10 + (size_t)(name.data[i] - '0');
    }
    return number;
}

// What is in the store, and the keys of some rows of it.
static void take_sample(struct bench *bench)
{
    static const size_t columns[] = {K2_SYMBOL, K2_TIMESTAMP, K2_SEQUENCE};
    enum { EVERY = 4999 };
    struct k2_error error;
    struct k2_scan *scan;
    struct k2_scan_request request = {
        .table = bench->table, .columns = columns, .column_count = 3, .order = K2_ORDER_STORED};
    const struct k2_vector *vectors;
    size_t rows, capacity = 0;
    bench_need(k2_scan_open(bench->engine, &request, &scan, &error), &error);
    bench->row_count = bench->sample_count = 0;
    do {
        bench_need(k2_scan_next(scan, &vectors, &rows, &error), &error);
        for (size_t i = (EVERY - bench->row_count % EVERY) % EVERY; i < rows; i += EVERY) {
            if (bench->sample_count == capacity) {
                capacity = capacity * 2 + 1024;
                bench->sample = k2_realloc(bench->sample, capacity, sizeof *bench->sample);
                assert(bench->sample != NULL);
            }
            bench->sample[bench->sample_count++] =
                (struct k2_row_key){.instrument = (uint32_t)symbol_of(vectors[0].texts[i]),
                                    .time_ns = vectors[1].values[i],
                                    .sequence = vectors[2].values[i]};
        }
        bench->row_count += rows;
    } while (rows > 0);
    bench->commit_count = k2_scan_snapshot(scan);
    k2_scan_close(scan);
}

static void measure(struct bench *bench, const char *name, const char *target,
                    const size_t *columns, size_t count, enum k2_order order, consume_fn *consume)
{
    assert(bench->only != NULL);
    if (strstr(name, bench->only) == NULL) {
        return;
    }
    double best = 1e9;
    int64_t result = 0;
    size_t rows = 0;
    for (int turn = 0; turn < TURNS; turn++) {
        struct k2_scan_request request = {
            .columns = columns, .column_count = count, .order = order};
        double began = bench_seconds(CLOCK_PROCESS_CPUTIME_ID);
        rows = run(bench, &request, consume, &result);
        double seconds = bench_seconds(CLOCK_PROCESS_CPUTIME_ID) - began;
        best = seconds < best ? seconds : best;
    }
    if (rows != bench->row_count) {
        (void)fprintf(stderr, "bench_scan: %zu rows of %zu\n", rows, bench->row_count);
        exit(1);
    }
    say(name, target, "%.1f M rows/s", (double)rows / best / 1e6);
}

// Sums by symbol: of a column, and of products.
static void measure_sums(struct bench *bench, const char *name, const char *target, bool product)
{
    static const size_t columns[] = {PRICE, QUANTITY};
    double best = 1e9;
    uint64_t rows = 0;
    k2_int128 sum = 0;
    for (int turn = 0; strstr(name, bench->only) != NULL && turn < TURNS; turn++) {
        struct k2_error error;
        struct k2_aggregates result;
        struct k2_aggregate_request request = {
            .rows = {.table = bench->table, .columns = columns, .column_count = product ? 2 : 1},
            .wants = product ? 0 : K2_AGGREGATE_SUM,
            .has_product = product,
            .quantity = 1,
        };
        double began = bench_seconds(CLOCK_PROCESS_CPUTIME_ID);
        bench_need(k2_aggregates_run(bench->engine, &request, &result, &error), &error);
        double seconds = bench_seconds(CLOCK_PROCESS_CPUTIME_ID) - began;
        best = seconds < best ? seconds : best;
        rows = 0;
        sum = 0;
        for (size_t i = 0; i < result.item_count; i++) {
            const struct k2_aggregate *item = &result.items[i];
            k2_int128 symbol = (k2_int128)symbol_of(item->symbol) + 1;
            rows += item->row_count;
            sum += symbol * (product ? (k2_int128)item->amount.low / TICK / LOT
                                     : item->columns[0].sum / TICK);
        }
        k2_aggregates_deinit(&result);
    }
    if (rows > 0) {
        say(name, target, "%.1f M rows/s", (double)rows / best / 1e6);
        tell(bench, product ? "vwap" : "sum", sum);
    }
}

static void measure_candles(struct bench *bench, const char *name, const char *target,
                            enum k2_candle_order order, int64_t interval_ns)
{
    double best = 1e9;
    uint64_t rows = 0, candles = 0;
    k2_int128 sum = 0;
    for (int turn = 0; strstr(name, bench->only) != NULL && turn < TURNS; turn++) {
        struct k2_error error;
        struct k2_candles *made;
        struct k2_candle_request request = {.rows = {.table = bench->table},
                                            .interval_ns = interval_ns,
                                            .order = order,
                                            .price_count = 1,
                                            .prices = {PRICE},
                                            .has_quantity = true,
                                            .quantity = QUANTITY};
        const struct k2_candle *items;
        size_t count;
        rows = candles = 0;
        sum = 0;
        double began = bench_seconds(CLOCK_PROCESS_CPUTIME_ID);
        bench_need(k2_candles_start(&made, bench->engine, &request, &error), &error);
        do {
            bench_need(k2_candles_more(made, &items, &count, &error), &error);
            for (size_t i = 0; i < count; i++) {
                const struct k2_candle_price *price = &items[i].prices[0];
                rows += items[i].row_count;
                sum +=
                    (k2_int128)(price->open + 2 * price->high + 3 * price->low + 4 * price->close) /
                    TICK * (items[i].start_ns / interval_ns % 1009 + 1);
                sum += items[i].volume / LOT;
            }
            candles += count;
        } while (count > 0);
        k2_candles_finish(made);
        double seconds = bench_seconds(CLOCK_PROCESS_CPUTIME_ID) - began;
        best = seconds < best ? seconds : best;
    }
    if (rows > 0) {
        say(name, target, "%.1f M rows/s, %.1f rows a candle", (double)rows / best / 1e6,
            (double)rows / (double)candles);
        tell(bench, interval_ns == hour_ns ? "candles_1h" : "candles_1m", sum);
    }
}

static int compare_doubles(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static void say_times(const char *name, const char *target, double *times, double rows)
{
    qsort(times, POINT_QUERIES, sizeof times[0], compare_doubles);
    say(name, target, "p50 %.1f us, p99 %.1f us, %.0f rows", times[POINT_QUERIES / 2],
        times[POINT_QUERIES * 99 / 100], rows / POINT_QUERIES);
}

// Small queries, at times and symbols of rows that are there: of one symbol, or (past) of all as of
// any snapshot.
static void measure_points(struct bench *bench, const char *name, const char *target,
                           int64_t span_ns, uint64_t limit, bool past)
{
    static const size_t columns[] = {K2_TIMESTAMP, K2_SEQUENCE, PRICE, QUANTITY, SIDE};
    static double times[POINT_QUERIES];
    if (strstr(name, bench->only) == NULL) {
        return;
    }
    size_t rows = 0;
    int64_t result = 0;
    for (size_t i = 0; i < POINT_QUERIES; i++) {
        const struct k2_row_key *key =
            &bench->sample[bench_random(&bench->random) % bench->sample_count];
        struct k2_scan_instrument instrument = {k2_slice_of("SIM"),
                                                k2_slice_of(bench->symbols[key->instrument])};
        struct k2_scan_request request = {.columns = columns,
                                          .column_count = 5,
                                          .instruments = &instrument,
                                          .instrument_count = 1,
                                          .has_start = true,
                                          .has_end = span_ns > 0,
                                          .start_ns = key->time_ns,
                                          .end_ns = key->time_ns + span_ns,
                                          .limit = limit};
        if (past) {
            request.snapshot = 1 + bench_random(&bench->random) % bench->commit_count;
        }
        double began = bench_seconds(CLOCK_MONOTONIC);
        rows += run(bench, &request, touch, &result);
        times[i] = (bench_seconds(CLOCK_MONOTONIC) - began) * 1e6;
    }
    say_times(name, target, times, (double)rows);
}

// The last row of each symbol, by scanning backwards from the end.
static void measure_last(struct bench *bench, const char *name, const char *target)
{
    static const size_t columns[] = {K2_TIMESTAMP, PRICE, QUANTITY};
    double best = 1e9;
    size_t found = 0;
    k2_int128 sum = 0;
    for (int turn = 0; strstr(name, bench->only) != NULL && turn < TURNS; turn++) {
        struct k2_error error;
        struct k2_last_rows last;
        struct k2_last_request request = {
            .rows = {.table = bench->table, .columns = columns, .column_count = 3}};
        double began = bench_seconds(CLOCK_PROCESS_CPUTIME_ID);
        bench_need(k2_last_rows_find(bench->engine, &request, &last, &error), &error);
        double seconds = bench_seconds(CLOCK_PROCESS_CPUTIME_ID) - began;
        best = seconds < best ? seconds : best;
        found = last.row_count;
        sum = 0;
        for (size_t i = 0; i < found; i++) {
            sum += ((k2_int128)symbol_of(last.rows[i].symbol) + 1) *
                   (last.rows[i].values[1] / TICK + last.rows[i].values[2] / LOT);
        }
        k2_last_rows_deinit(&last);
    }
    if (found > 0) {
        say(name, target, "%.2f ms, %zu symbols", best * 1e3, found);
        tell(bench, "last", sum);
    }
}

static double memory_mib(const char *what)
{
    char line[256];
    double kib = 0;
    FILE *status = fopen("/proc/self/status", "re");
    while (status != NULL && fgets(line, sizeof line, status) != NULL) {
        if (strncmp(line, what, strlen(what)) == 0) {
            kib = strtod(line + strlen(what) + 1, NULL);
        }
    }
    if (status != NULL) {
        (void)fclose(status);
    }
    return kib / 1024;
}

// A new handle: what a new process does, but for its start.
static void measure_open(struct bench *bench)
{
    static const size_t columns[] = {K2_TIMESTAMP, PRICE};
    static double times[POINT_QUERIES];
    const char *name = "open the store and answer a first query";
    if (strstr(name, bench->only) == NULL) {
        return;
    }
    struct k2_engine *writer = bench->engine;
    const struct k2_table *table = bench->table;
    k2_engine_close(writer);
    for (size_t i = 0; i < POINT_QUERIES; i++) {
        const struct k2_row_key *key =
            &bench->sample[bench_random(&bench->random) % bench->sample_count];
        struct k2_scan_instrument instrument = {k2_slice_of("SIM"),
                                                k2_slice_of(bench->symbols[key->instrument])};
        struct k2_scan_request request = {.columns = columns,
                                          .column_count = 2,
                                          .instruments = &instrument,
                                          .instrument_count = 1,
                                          .has_start = true,
                                          .start_ns = key->time_ns,
                                          .limit = 10};
        int64_t result = 0;
        double began = bench_seconds(CLOCK_MONOTONIC);
        open_engine(bench, K2_ENGINE_READ);
        bench->table = k2_engine_table(bench->engine, k2_slice_of("ticks"));
        (void)run(bench, &request, touch, &result);
        times[i] = (bench_seconds(CLOCK_MONOTONIC) - began) * 1e6;
        k2_engine_close(bench->engine);
    }
    say_times(name, "<= 2 ms", times, 10.0 * POINT_QUERIES);
    (void)table;
    open_engine(bench, K2_ENGINE_WRITE);
    bench->table = k2_engine_table(bench->engine, k2_slice_of("ticks"));
}

static void measure_all(struct bench *bench)
{
    static const size_t all[] = {K2_SYMBOL, K2_TIMESTAMP, K2_SEQUENCE, PRICE,
                                 QUANTITY,  SIDE,         TRADE_ID,    RECEIVED};
    static const size_t no_texts[] = {K2_TIMESTAMP, K2_SEQUENCE, PRICE,
                                      QUANTITY,     TRADE_ID,    RECEIVED};
    static const size_t vwap[] = {PRICE, QUANTITY, K2_SYMBOL};
    int64_t minute_ns = hour_ns / 60;
    measure(bench, "8 columns, order of storage", ">= 250 M", all, 8, K2_ORDER_STORED, touch);
    static const char *const names[] = {"symbol",   "timestamp", "sequence", "price",
                                        "quantity", "side",      "trade id", "receive time"};
    for (size_t i = 0; i < 8; i++) {
        char name[40];
        (void)snprintf(name, sizeof name, "1 column: %s", names[i]);
        measure(bench, name, "", &all[i], 1, K2_ORDER_STORED, touch);
    }
    measure(bench, "6 columns, no texts", "", no_texts, 6, K2_ORDER_STORED, touch);
    measure(bench, "VWAP over vectors", "", vwap, 3, K2_ORDER_STORED, add_vwap);
    measure(bench, "sum(price) over vectors", "", vwap, 1, K2_ORDER_STORED, sum_first);
    measure_sums(bench, "sum(price) by symbol", ">= 1,400 M", false);
    measure_sums(bench, "VWAP by symbol", ">= 450 M", true);
    measure_candles(bench, "1-minute candles as found", ">= 220 M", K2_CANDLES_AS_FOUND, minute_ns);
    measure_candles(bench, "1-minute candles by time", "", K2_CANDLES_BY_TIME, minute_ns);
    measure_candles(bench, "1-hour candles as found", "", K2_CANDLES_AS_FOUND, hour_ns);
    measure(bench, "8 columns, time order", "", all, 8, K2_ORDER_TIME, touch);
    measure(bench, "8 columns, time order, descending", "", all, 8, K2_ORDER_TIME_DESCENDING,
            touch);
    measure_points(bench, "one symbol one hour, 5 columns", "p50 <= 60 us, p99 <= 600 us", hour_ns,
                   0, false);
    measure_points(bench, "one row by key", "<= 8 us", 1, 1, false);
    measure_points(bench, "a past snapshot, 1,000 rows", "<= 150 us", 0, 1000, true);
    measure_last(bench, "last row of each symbol", "<= 1 ms");
    measure_open(bench);
    say("memory without files", "<= 64 MiB idle, <= 64 more", "%.1f MiB, at most %.1f",
        memory_mib("RssAnon:"), memory_mib("VmHWM:"));
}

// Makes the store, unless it is there.
static void open_store(struct bench *bench, size_t row_count)
{
    struct k2_error error;
    const char *stays = getenv("K2_BENCH_STORE");
    if (stays == NULL) {
        bench_make_folder(bench->path);
    } else {
        (void)snprintf(bench->path, sizeof bench->path, "%s", stays);
    }
    for (size_t i = 0; i < bench->symbol_count; i++) {
        (void)snprintf(bench->symbols[i], sizeof bench->symbols[i], "S%zu", i);
    }
    if (stays != NULL && access(stays, F_OK) == 0) {
        open_engine(bench, K2_ENGINE_WRITE);
        bench->table = k2_engine_table(bench->engine, k2_slice_of("ticks"));
        take_sample(bench);
        return;
    }
    load(bench, row_count);
    take_sample(bench);
    printf("-- as committed: groups of 65,536 rows in order of arrival\n");
    measure_all(bench);
    // The first one sorts what was committed, the second one merges what lies sorted then.
    for (int turn = 0; turn < 2; turn++) {
        struct k2_compact_report report;
        double began = bench_seconds(CLOCK_PROCESS_CPUTIME_ID);
        bench_need(
            k2_compact(bench->engine, &(struct k2_compact_options){.full = true}, &report, &error),
            &error);
        say(turn == 0 ? "compaction: sorted" : "compaction: merged", "", "%.2f M rows/s",
            (double)bench->row_count / (bench_seconds(CLOCK_PROCESS_CPUTIME_ID) - began) / 1e6);
    }
    printf("-- after compaction\n");
}

int main(int argc, char **argv)
{
    static struct bench bench = {.random = 42};
    size_t millions = argc > 1 ? strtoul(argv[1], NULL, 10) : 4;
    size_t symbols = argc > 2 ? strtoul(argv[2], NULL, 10) : 1000;
    double seconds = argc > 3 ? strtod(argv[3], NULL) : 1;
    bench.symbol_count = symbols < 1 || symbols > MOST_SYMBOLS ? 1000 : symbols;
    bench.most_apart_ns = (int64_t)(2 * seconds * (double)second_ns / (double)bench.symbol_count);
    bench.most_apart_ns = bench.most_apart_ns < 1 ? 1 : bench.most_apart_ns;
    bench.only = argc > 4 ? argv[4] : "";
    open_store(&bench, (millions == 0 ? 1 : millions) * 1000000);
    const char *answers = getenv("K2_BENCH_ANSWERS");
    bench.answers = answers == NULL ? NULL : fopen(answers, "we");
    measure_all(&bench);
    k2_engine_close(bench.engine);
    if (bench.answers != NULL) {
        (void)fclose(bench.answers);
    }
    if (getenv("K2_BENCH_STORE") == NULL) {
        bench_remove_folder(bench.path);
    }
    k2_free(bench.sample);
    return 0;
}
