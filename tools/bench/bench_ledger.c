// What the gap ledger costs a commit: rows of 10,000 instruments, one each, from sources that count
// every event and from others, into new stores below FOLDER. Processor time.
//
// usage: bench_ledger FOLDER
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "engine/commit.h"
#include "engine/completeness.h"
#include "engine/instruments.h"
#include "format/base/alloc.h"

enum { SYMBOLS = 10000, COMMITS = 100, FEW = 100 };

struct bench {
    struct k2_engine *engine;
    const struct k2_table *table;
    struct k2_row_batch *batch;
    uint32_t instruments[SYMBOLS];
    int64_t time_ns, sequences[SYMBOLS];
    uint64_t snapshot;
};

static double spent_us(void)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static void stop_at(enum k2_status status, const struct k2_error *error)
{
    if (status != K2_OK) {
        (void)fprintf(stderr, "bench_ledger: %s\n", error->text);
        exit(1);
    }
}

static void open_bench(struct bench *bench, const char *folder, const char *name)
{
    struct k2_error error;
    char path[4096];
    *bench = (struct bench){0};
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    stop_at(k2_engine_open(&bench->engine, path, K2_ENGINE_CREATE, &error), &error);
    bench->table = k2_engine_table(bench->engine, k2_slice_of("trades"));
    stop_at(k2_row_batch_create(&bench->batch, bench->table->schema, K2_GROUP_ROWS, false, &error),
            &error);
    for (size_t i = 0; i < SYMBOLS; i++) {
        char symbol[16];
        (void)snprintf(symbol, sizeof symbol, "S%05zu", i);
        stop_at(k2_instrument_intern(bench->engine, k2_slice_of("BENCH"), k2_slice_of(symbol),
                                     &bench->instruments[i], &error),
                &error);
    }
}

static void close_bench(struct bench *bench)
{
    k2_row_batch_destroy(bench->batch);
    k2_engine_close(bench->engine);
}

// One row of each of `count` instruments; every `hole`th commit of one leaves a number out.
static void commit(struct bench *bench, size_t count, enum k2_numbering numbering, size_t hole)
{
    struct k2_error error;
    struct k2_commit *commit = NULL;
    struct k2_commit_outcome outcome;
    size_t price = (size_t)k2_schema_find(bench->table->schema, k2_slice_of("price"));
    size_t quantity = (size_t)k2_schema_find(bench->table->schema, k2_slice_of("quantity"));
    k2_row_batch_clear(bench->batch);
    for (size_t i = 0; i < count; i++) {
        size_t row;
        bench->sequences[i] += 1 + (hole > 0 && i % hole == 0);
        struct k2_row_key key = {bench->instruments[i], bench->time_ns += 1000, 0,
                                 bench->sequences[i]};
        stop_at(k2_row_batch_add(bench->batch, &key, 0, &row, &error), &error);
        k2_row_batch_set_value(bench->batch, row, price, 100000000);
        k2_row_batch_set_value(bench->batch, row, quantity, 100000000);
    }
    stop_at(k2_commit_begin(bench->engine, &commit, &error), &error);
    stop_at(k2_commit_add(commit, bench->batch, numbering, &outcome, &error), &error);
    stop_at(k2_commit_finish(commit, &bench->snapshot, &error), &error);
}

static double commits(struct bench *bench, size_t count, enum k2_numbering numbering, size_t hole)
{
    commit(bench, count, numbering, hole); // instruments become known, and dense
    double begun = spent_us();
    for (int i = 0; i < COMMITS; i++) {
        commit(bench, count, numbering, hole);
    }
    return (spent_us() - begun) / COMMITS;
}

static void ask(struct bench *bench, size_t count)
{
    struct k2_completeness_request request = {.table = bench->table,
                                              .snapshot = bench->snapshot,
                                              .instruments = count > 0 ? bench->instruments : NULL,
                                              .instrument_count = count};
    struct k2_completeness known = {0};
    struct k2_error error;
    int turns = count > 0 ? 10000 : 20;
    double begun = spent_us();
    for (int i = 0; i < turns; i++) {
        stop_at(k2_completeness_get(bench->engine, &request, &known, &error), &error);
    }
    (void)printf("is it all? of %s\t%.1f us (%s)\n", count > 0 ? "one instrument" : "10,000",
                 (spent_us() - begun) / turns, k2_complete_name(known.complete));
}

int main(int argument_count, char **arguments)
{
    static struct bench bench;
    static const size_t counts[] = {FEW, SYMBOLS};
    if (argument_count != 2) {
        (void)fprintf(stderr, "usage: bench_ledger FOLDER\n");
        return 2;
    }
    for (size_t i = 0; i < 2; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "sparse%zu", i);
        open_bench(&bench, arguments[1], name);
        double sparse = commits(&bench, counts[i], K2_NUMBERING_SPARSE, 0);
        close_bench(&bench);
        (void)snprintf(name, sizeof name, "dense%zu", i);
        open_bench(&bench, arguments[1], name);
        double dense = commits(&bench, counts[i], K2_NUMBERING_DENSE, 0);
        double holes = commits(&bench, counts[i], K2_NUMBERING_DENSE, 100);
        (void)printf("commit of one row of each of %zu instruments\tsparse %.0f us, dense %.0f us, "
                     "dense with a gap in 1 %% %.0f us\n",
                     counts[i], sparse, dense, holes);
        if (counts[i] == SYMBOLS) {
            ask(&bench, 1);
            ask(&bench, 0);
        }
        close_bench(&bench);
    }
    return 0;
}
