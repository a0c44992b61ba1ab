// A store in a folder of its own with trades of few columns, for tests of the engine.
#pragma once

#include "engine/commit.h"
#include "engine/scan.h"
#include "tests/support/folder.h"

struct test_store {
    char folder[TEST_PATH_BYTES];
    struct k2_engine *engine;
    const struct k2_table *table; // trades
    struct k2_row_batch *batch;
    const int64_t *epochs; // of the trades that are filled in next; NULL: all 0
};

struct test_trade {
    const char *symbol; // of exchange TEST
    int64_t time_ns, sequence, price, quantity;
};

void test_store_open(struct test_store *store); // a new folder
void test_store_reopen(struct test_store *store, enum k2_engine_mode mode);
void test_store_close(struct test_store *store); // and removes it

// Puts trades into the (emptied) batch.
void test_store_fill(struct test_store *store, const struct test_trade *trades, size_t count);

// Commits trades; fails the test when that fails. Gives the snapshot.
uint64_t test_store_commit(struct test_store *store, const struct test_trade *trades, size_t count,
                           enum k2_numbering numbering, struct k2_commit_outcome *outcome);

// All rows as of a snapshot (0: newest) in time order: `symbol time sequence price quantity;`.
// Freed with k2_free.
char *test_store_rows(struct test_store *store, uint64_t snapshot);
