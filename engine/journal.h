// The table `_log`: what the index knows beside rows, as rows of segments, so that `k2 repair` can
// make the index again without it.
//
// Tags, schemas and policies are written when they are set, in one transaction with the index. The
// commit log is written by a rewrite, which takes away the headers that tell of the commits before
// it. Such a group belongs to no commit: it stands by itself, has the number of the newest snapshot
// and makes none of its own. Belongs to the writer's thread.
#pragma once

#include "engine/engine.h"
#include "engine/store.h"

#define K2_JOURNAL_TABLE "_log"
#define K2_JOURNAL_TAG "tag"
#define K2_JOURNAL_SCHEMA "schema"
#define K2_JOURNAL_COMMITS "commits"
#define K2_JOURNAL_POLICY "policy"
#define K2_JOURNAL_EXPORT "export"
#define K2_JOURNAL_DOMAIN "domain"
#define K2_JOURNAL_DROPPED "dropped"

// The symbols of `_log`, exchange `_k2`: all of the above.
enum { K2_JOURNAL_KIND_COUNT = 7 };
extern const char *const k2_journal_kinds[K2_JOURNAL_KIND_COUNT];

// In the index: the newest commit whose record is in `_log`.
#define K2_JOURNAL_LOGGED "logged"

struct k2_journal_entry {
    const char *kind;      // K2_JOURNAL_...
    struct k2_slice name;  // the tag, or the table
    int64_t number;        // see format/schema/_log.avsc
    struct k2_slice value; // borrowed
};

struct k2_snapshot;

// A writer's start: their instruments get their ids, which become durable with `txn`.
K2_MUST_CHECK enum k2_status k2_journal_begin(struct k2_engine *engine, struct k2_store_txn *txn,
                                              struct k2_error *error);

// Changes the index in the transaction that makes the entries count.
typedef enum k2_status k2_journal_change(void *context, struct k2_store_txn *txn,
                                         struct k2_error *error);

// Makes the entries and the change durable, together or not at all. Failures are those of
// k2_commit_finish.
K2_MUST_CHECK enum k2_status k2_journal_write(struct k2_engine *engine,
                                              const struct k2_journal_entry *entries,
                                              size_t entry_count, k2_journal_change *change,
                                              void *context, struct k2_error *error);

// Writes what the commit log has gained since it was written last, before files with commits go.
K2_MUST_CHECK enum k2_status k2_journal_write_commits(struct k2_engine *engine,
                                                      struct k2_error *error);

// Appends a snapshot without rows to the commit log, and writes that.
K2_MUST_CHECK enum k2_status k2_journal_add_snapshot(struct k2_engine *engine,
                                                     const struct k2_snapshot *snapshot,
                                                     struct k2_error *error);

// The same with further entries and a change, in the same transaction. The snapshot may hide rows
// (engine/snapshot.h).
K2_MUST_CHECK enum k2_status k2_journal_add_change(struct k2_engine *engine,
                                                   const struct k2_snapshot *snapshot,
                                                   const struct k2_journal_entry *entries,
                                                   size_t entry_count, k2_journal_change *change,
                                                   void *context, struct k2_error *error);
