// Durable commits: small ones (latency) and full batches (rate), into a new store below FOLDER.
//
// usage: bench_commit FOLDER [small|large]
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/commit.h"
#include "engine/instruments.h"
#include "engine/k2_db.h"
#include "engine/snapshot.h"
#include "format/base/alloc.h"
#include "tools/bench/bench_kit.h"

enum { SMALL_ROWS = 1000, SMALL_COMMITS = 2000, LARGE_COMMITS = 60, SYMBOLS = 1000 };

struct bench {
    struct k2_db *db;
    struct k2_engine *engine; // of it
    struct k2_row_batch *batch;
    uint32_t instruments[SYMBOLS];
    size_t price, quantity, received;
    uint64_t random;
    int64_t time_ns, sequence;
};

static double time_us(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void stop_at(enum k2_status status, const struct k2_error *error)
{
    if (status != K2_OK) {
        (void)fprintf(stderr, "bench_commit: %s\n", error->text);
        exit(1);
    }
}

static void fill(struct bench *bench, size_t rows)
{
    struct k2_error error;
    k2_row_batch_clear(bench->batch);
    for (size_t i = 0; i < rows; i++) {
        uint64_t random = bench_random(&bench->random);
        size_t row;
        bench->time_ns += (int64_t)(random >> 44);
        struct k2_row_key key = {
            .instrument = bench->instruments[random % SYMBOLS * (random >> 20 & 1023) >> 10],
            .time_ns = bench->time_ns,
            .sequence = ++bench->sequence,
        };
        stop_at(k2_row_batch_add(bench->batch, &key, 0, &row, &error), &error);
        k2_row_batch_set_value(bench->batch, row, bench->price,
                               (int64_t)(10000 + (random >> 8) % 64) * 1000000);
        k2_row_batch_set_value(bench->batch, row, bench->quantity,
                               (int64_t)(1 + (random >> 16) % 100) * 100000000);
        k2_row_batch_set_value(bench->batch, row, bench->received,
                               bench->time_ns + 200000 + (int64_t)(random >> 46));
    }
}

static double commit(struct bench *bench)
{
    struct k2_error error;
    struct k2_commit *commit = NULL;
    struct k2_commit_outcome outcome;
    uint64_t snapshot;
    double begun = time_us(CLOCK_MONOTONIC);
    stop_at(k2_commit_begin(bench->engine, &commit, &error), &error);
    stop_at(k2_commit_add(commit, bench->batch, K2_NUMBERING_SPARSE, &outcome, &error), &error);
    stop_at(k2_commit_finish(commit, &snapshot, &error), &error);
    return time_us(CLOCK_MONOTONIC) - begun;
}

static int compare(const void *left, const void *right)
{
    const double *a = left, *b = right;
    return (*a > *b) - (*a < *b);
}

static void open_bench(struct bench *bench, const char *folder)
{
    struct k2_error error;
    stop_at(k2_db_open(&bench->db, folder, K2_DB_CREATE, &error), &error);
    bench->engine = bench->db->engine;
    const struct k2_table *table = k2_engine_table(bench->engine, k2_slice_of("trades"));
    stop_at(k2_row_batch_create(&bench->batch, table->schema, K2_GROUP_ROWS, false, &error),
            &error);
    bench->price = (size_t)k2_schema_find(table->schema, k2_slice_of("price"));
    bench->quantity = (size_t)k2_schema_find(table->schema, k2_slice_of("quantity"));
    bench->received = (size_t)k2_schema_find(table->schema, k2_slice_of("ingestion_timestamp"));
    for (size_t i = 0; i < SYMBOLS; i++) {
        char symbol[16];
        (void)snprintf(symbol, sizeof symbol, "S%04zu", i);
        stop_at(k2_instrument_intern(bench->engine, k2_slice_of("BENCH"), k2_slice_of(symbol),
                                     &bench->instruments[i], &error),
                &error);
    }
    bench->random = 88172645463325252u;
}

static void small_commits(struct bench *bench)
{
    double *times = k2_alloc_zero(SMALL_COMMITS, sizeof *times), busy_us = 0;
    for (size_t i = 0; times != NULL && i < SMALL_COMMITS; i++) {
        fill(bench, SMALL_ROWS);
        double begun_us = time_us(CLOCK_PROCESS_CPUTIME_ID);
        times[i] = commit(bench);
        busy_us += time_us(CLOCK_PROCESS_CPUTIME_ID) - begun_us;
    }
    if (times != NULL) {
        qsort(times, SMALL_COMMITS, sizeof *times, compare);
        (void)printf("commit of %d rows, fsynced\tp50 %.0f us, p99 %.0f us, %.0f us by processor "
                     "time\tp50 <= 600 us, p99 <= 1800 us\n",
                     SMALL_ROWS, times[SMALL_COMMITS / 2], times[SMALL_COMMITS * 99 / 100],
                     busy_us / SMALL_COMMITS);
    }
    k2_free(times);
}

static void large_commits(struct bench *bench)
{
    double spent_us = 0, busy_us = 0, rows = (double)LARGE_COMMITS * K2_GROUP_ROWS;
    for (size_t i = 0; i < LARGE_COMMITS; i++) {
        fill(bench, K2_GROUP_ROWS);
        double begun_us = time_us(CLOCK_PROCESS_CPUTIME_ID);
        spent_us += commit(bench);
        busy_us += time_us(CLOCK_PROCESS_CPUTIME_ID) - begun_us;
    }
    (void)printf("append, encoded, fsynced every %d rows\t%.2f M rows/s, %.2f M by processor time"
                 "\t>= 8 M\n",
                 K2_GROUP_ROWS, rows / spent_us, rows / busy_us);
}

// What a user of libk2 has: arrays. The same rows, by way of a batch.
static void columns(struct bench *bench)
{
    static uint32_t instruments[K2_GROUP_ROWS];
    static int64_t times[K2_GROUP_ROWS], sequences[K2_GROUP_ROWS];
    struct k2_error error;
    struct k2_appender *appender;
    struct k2_commit_result result;
    const struct k2_batch_column *filled = bench->batch->columns;
    const struct k2_column_values values[] = {
        {.column = bench->price, .values = filled[bench->price].values},
        {.column = bench->quantity, .values = filled[bench->quantity].values},
        {.column = bench->received, .values = filled[bench->received].values}};
    const struct k2_rows rows = {.size_bytes = sizeof rows,
                                 .row_count = K2_GROUP_ROWS,
                                 .instruments = instruments,
                                 .times_ns = times,
                                 .sequences = sequences,
                                 .columns = values,
                                 .column_count = 3};
    double busy_us = 0, all = (double)LARGE_COMMITS * K2_GROUP_ROWS;
    stop_at(k2_appender_open(&appender, bench->db, "trades", &error), &error);
    for (size_t i = 0; i < LARGE_COMMITS; i++) {
        fill(bench, K2_GROUP_ROWS);
        for (size_t row = 0; row < K2_GROUP_ROWS; row++) {
            instruments[row] = bench->batch->keys[row].instrument;
            times[row] = bench->batch->keys[row].time_ns;
            sequences[row] = bench->batch->keys[row].sequence;
        }
        double begun_us = time_us(CLOCK_PROCESS_CPUTIME_ID);
        stop_at(k2_appender_rows(appender, &rows, &error), &error);
        stop_at(k2_appender_commit(appender, &result, &error), &error);
        busy_us += time_us(CLOCK_PROCESS_CPUTIME_ID) - begun_us;
    }
    k2_appender_close(appender);
    (void)printf("append of arrays through libk2\t%.2f M rows/s by processor time\t>= 8 M\n",
                 all / busy_us);
}

static void snapshots(struct bench *bench)
{
    const uint64_t ids[] = {1, SMALL_COMMITS / 2, SMALL_COMMITS + LARGE_COMMITS};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        struct k2_snapshot snapshot;
        struct k2_error error;
        bool found;
        double begun = time_us(CLOCK_MONOTONIC);
        stop_at(k2_snapshot_get(bench->engine, ids[i], &found, &snapshot, &error), &error);
        (void)printf("open snapshot %llu of %d\t%.1f us\n", (unsigned long long)ids[i],
                     SMALL_COMMITS + LARGE_COMMITS, time_us(CLOCK_MONOTONIC) - begun);
    }
}

int main(int argument_count, char **arguments)
{
    if (argument_count < 2 || argument_count > 3) {
        (void)fprintf(stderr, "usage: bench_commit FOLDER [small|large]\n");
        return 2;
    }
    const char *only = argument_count == 3 ? arguments[2] : NULL;
    struct bench bench = {0};
    open_bench(&bench, arguments[1]);
    if (only == NULL || strcmp(only, "small") == 0) {
        small_commits(&bench);
    }
    if (only == NULL || strcmp(only, "large") == 0) {
        large_commits(&bench);
        columns(&bench);
    }
    if (only == NULL) {
        snapshots(&bench);
    }
    k2_row_batch_destroy(bench.batch);
    k2_db_close(bench.db);
    return 0;
}
