// A history of a store, step by step, whose right content after every step is known: for tests
// that end or disturb it at any moment.
//
// Rows follow from the step's number alone. A step appends to trades (and sometimes quotes) in one
// commit, sets a tag, compacts, or closes and opens the store.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "engine/engine.h"

enum { WORKLOAD_STEPS = 16, WORKLOAD_MOST_STEPS = 200000 };

// What the working process has been told, shared with the one that judges it.
struct workload_journal {
    atomic_size_t begun;                             // steps that were begun
    atomic_size_t done;                              // steps that were acknowledged
    _Atomic uint64_t snapshots[WORKLOAD_MOST_STEPS]; // after each done append; else 0
};

// MAP_SHARED memory, zeroed; fails the test when there is none.
struct workload_journal *workload_journal_create(void);
void workload_journal_reset(struct workload_journal *journal);
void workload_journal_destroy(struct workload_journal *journal);

// Opens (and creates) the store with its tables.
K2_MUST_CHECK enum k2_status workload_open(struct k2_engine **engine, const char *path,
                                           struct k2_error *error);

// Does step journal->done, which it counts up when the store has acknowledged it. A step that opens
// the store anew sets *engine; it is NULL when that fails.
K2_MUST_CHECK enum k2_status workload_step(struct k2_engine **engine, const char *path,
                                           struct workload_journal *journal,
                                           struct k2_error *error);

// A step that compacts, which costs more than the others.
bool workload_is_compaction(size_t step);

// Does this step close and open the store?
bool workload_reopens(size_t step);

// Whether the store shows exactly the first `steps` steps: rows of both tables in order, tags,
// progress, and the state as of `past_count` earlier snapshots (chosen by `chance`). Says in `why`
// what differs.
bool workload_matches(struct k2_engine *engine, const struct workload_journal *journal,
                      size_t steps, size_t past_count, uint64_t *chance, struct k2_error *why);

// After a crash: the store shows what was acknowledged, or that and the step under way; fails the
// test otherwise. Sets journal->done and begun to what is there.
void workload_settle(struct k2_engine *engine, struct workload_journal *journal, uint64_t *chance,
                     const char *where);
