// A small store in which everything is that a store can have: counted sources with gaps,
// corrections and deletions, sorted levels and fresh commits, tags, expired history, progress,
// notes. What is read from it is summed up in one number, so that answers can be compared.
#pragma once

#include "engine/engine.h"

enum { RICH_TRADES = 0, RICH_QUOTES = 1, RICH_TABLES = 2 };

// trades: a dense source, keep-first. quotes: sparse, keep-last.
extern const char *const rich_table_names[RICH_TABLES];

// Makes it below the new folder `path`, and closes it. Fails the test when that fails.
void rich_store_make(const char *path);

// Commits number `step`: rows, duplicates, gaps opened and closed, corrections, deletions; the same
// for the same number. Doing one again changes nothing but counters.
K2_MUST_CHECK enum k2_status rich_store_commit(struct k2_engine *engine, size_t step,
                                               struct k2_error *error);

// Numbers of commits that rich_store_make leaves to do.
enum { RICH_STEPS = 16, RICH_MORE_STEPS = 20 };

// A digest of what was read so far, and what is read next.
void rich_note(uint64_t *digest, int64_t value);
void rich_note_text(uint64_t *digest, struct k2_slice text);

// Rows of a table as of a snapshot (0: newest), in time order, all columns.
K2_MUST_CHECK enum k2_status rich_read_rows(struct k2_engine *engine, size_t table,
                                            uint64_t snapshot, uint64_t *digest,
                                            struct k2_error *error);

// The ledger of trades as of a snapshot.
K2_MUST_CHECK enum k2_status rich_read_gaps(struct k2_engine *engine, uint64_t snapshot,
                                            uint64_t *digest, struct k2_error *error);
