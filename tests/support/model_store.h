// A store beside its model: two tables, and every kind of question asked to both.
//
// A question that is answered differently fails the test and says which.
#pragma once

#include "engine/scan.h"
#include "tests/support/folder.h"
#include "tests/support/table_model.h"

enum { MODEL_TABLES = 2, MODEL_TAGS = 4, MODEL_SNAPSHOTS = 4096 };

struct model_store {
    char folder[TEST_PATH_BYTES];
    struct k2_engine *engine;
    const struct k2_table *tables[MODEL_TABLES]; // trades, quotes
    struct k2_row_batch *batches[MODEL_TABLES];
    size_t price[MODEL_TABLES], quantity[MODEL_TABLES], id[MODEL_TABLES], channel[MODEL_TABLES];

    struct table_model models[MODEL_TABLES];
    uint64_t newest;
    int64_t times_ns[MODEL_SNAPSHOTS + 1]; // by snapshot
    uint64_t tags[MODEL_TAGS];             // snapshots; 0: none
    uint64_t progress;
    int64_t step_ns; // between the times of two numbers
    uint64_t chance, operation;
};

void model_store_open(struct model_store *self, enum k2_engine_mode mode);
void model_store_close(struct model_store *self); // the handle only

// Rows into a table's (emptied) batch.
void model_store_fill(struct model_store *self, size_t table, const struct model_row *rows,
                      size_t count);

// Is the snapshot gone for the table? The store must say so too.
bool model_store_expired(struct model_store *self, size_t table, uint64_t snapshot);

// Questions with random ranges, instruments, orders, limits.
void model_compare_rows(struct model_store *self, size_t table, uint64_t snapshot, bool all);
void model_compare_sums(struct model_store *self, size_t table, uint64_t snapshot);
void model_compare_candles(struct model_store *self, size_t table, uint64_t snapshot);
void model_compare_last(struct model_store *self, size_t table, uint64_t snapshot);
void model_compare_asof(struct model_store *self, uint64_t snapshot);
void model_compare_gaps(struct model_store *self, size_t table, uint64_t snapshot);
void model_compare_completeness(struct model_store *self, size_t table, uint64_t snapshot);
void model_compare_instruments(struct model_store *self, size_t table, uint64_t snapshot);
void model_compare_figures(struct model_store *self, size_t table);
void model_compare_log(struct model_store *self,
                       uint64_t snapshot); // times, tags, progress, counts

// The open and closed gaps of a table as text, to compare before and after; freed with k2_free.
char *model_store_ledger(struct model_store *self, size_t table);
