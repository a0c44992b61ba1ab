// The index: named ordered tables of keys and values in LMDB, changed in transactions.
//
// Every value carries a checksum over table, key and value (LMDB 0.9 has none), so that a damaged
// index is found and not believed. One store per directory and process. Read transactions may be
// used by any thread, one thread at a time; write transactions belong to the thread that began
// them.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "engine/index_records.h"
#include "format/base/bytes.h"
#include "format/base/status.h"

enum k2_store_table {
    K2_STORE_META,            // name -> value
    K2_STORE_TABLE,           // table id -> name, newest schema version
    K2_STORE_SCHEMA,          // table id, version -> Avro JSON
    K2_STORE_SEGMENT,         // segment id -> struct k2_segment_record
    K2_STORE_GROUP,           // table, time_min, segment, offset -> struct k2_group_record
    K2_STORE_INSTRUMENT,      // id -> exchange NUL symbol
    K2_STORE_INSTRUMENT_NAME, // exchange NUL symbol -> id
    K2_STORE_MEMBER,          // table, instrument -> first snapshot
    K2_STORE_COUNTER,         // table -> struct k2_counter_record
    K2_STORE_PROGRESS,        // opaque key -> opaque value
    K2_STORE_SEQUENCE,        // table, page, epoch -> states of 64 counters (ledger_records.h)
    K2_STORE_COMMIT,          // chunk of 256 commits -> packed records
    K2_STORE_TAG,             // name -> snapshot
    K2_STORE_RETIRED,         // transaction, segment -> nothing
    K2_STORE_POLICY,          // table -> struct k2_policy
    K2_STORE_DOMAIN,          // table, domain -> since, name (domains.h); 0: figures of the ledger
    K2_STORE_DOMAIN_USER,     // table, instrument, named domain -> first snapshot
    K2_STORE_GAP,             // table, domain, epoch, last missing -> struct k2_sequence_gap
    K2_STORE_GAP_CLOSED,      // table, domain, closing snapshot, epoch, last -> the same
    K2_STORE_EXPORT,          // place of an export -> what is known of it (export_note.h)
    K2_STORE_TABLE_COUNT,
};

struct k2_store;     // opaque
struct k2_store_txn; // opaque

// `path` is the folder of data.mdb. Without `write` the environment is read-only; with it, all of
// the index is verified first, as nothing is to be built upon what is damaged.
K2_MUST_CHECK enum k2_status k2_store_open(struct k2_store **store, const char *path, bool write,
                                           struct k2_error *error);
void k2_store_close(struct k2_store *store);

K2_MUST_CHECK enum k2_status k2_store_begin(struct k2_store *store, bool write,
                                            struct k2_store_txn **txn, struct k2_error *error);
// Ends the transaction in every case. Durable on K2_OK; K2_NO_SPACE: nothing changed; K2_IO:
// unknown until the store is opened again.
K2_MUST_CHECK enum k2_status k2_store_commit(struct k2_store_txn *txn, struct k2_error *error);
void k2_store_abort(struct k2_store_txn *txn); // NULL is fine
uint64_t k2_store_txn_id(struct k2_store_txn *txn);

// Values are borrowed until the transaction ends or, when it writes, its next change.
K2_MUST_CHECK enum k2_status k2_store_get(struct k2_store_txn *txn, enum k2_store_table table,
                                          struct k2_slice key, bool *found, struct k2_slice *value,
                                          struct k2_error *error);
// The record of a segment; all zeros where there is none.
K2_MUST_CHECK enum k2_status k2_store_get_segment(struct k2_store_txn *txn, uint64_t segment_id,
                                                  bool *found, struct k2_segment_record *record,
                                                  struct k2_error *error);
K2_MUST_CHECK enum k2_status k2_store_put(struct k2_store_txn *txn, enum k2_store_table table,
                                          struct k2_slice key, struct k2_slice value,
                                          struct k2_error *error);
K2_MUST_CHECK enum k2_status k2_store_delete(struct k2_store_txn *txn, enum k2_store_table table,
                                             struct k2_slice key, struct k2_error *error);

// How many entries a table has, without walking it.
K2_MUST_CHECK enum k2_status k2_store_count(struct k2_store_txn *txn, enum k2_store_table table,
                                            uint64_t *count, struct k2_error *error);

// Deletes all entries of a table.
K2_MUST_CHECK enum k2_status k2_store_clear(struct k2_store_txn *txn, enum k2_store_table table,
                                            struct k2_error *error);

// Walks a table in key order. The cursor is closed before its transaction ends.
struct k2_store_cursor {
    void *cursor; // MDB_cursor
    enum k2_store_table table;
    bool found; // key and value hold an entry
    struct k2_store_txn *txn;
    struct k2_slice key, value;
};
K2_MUST_CHECK enum k2_status k2_store_cursor_open(struct k2_store_txn *txn,
                                                  enum k2_store_table table,
                                                  struct k2_store_cursor *cursor,
                                                  struct k2_error *error);
// Opened at the first entry, if there is one, for all of the table: in a transaction that reads it
// is verified. To be closed also when it fails.
K2_MUST_CHECK enum k2_status k2_store_cursor_begin(struct k2_store_txn *txn,
                                                   enum k2_store_table table,
                                                   struct k2_store_cursor *cursor,
                                                   struct k2_error *error);
void k2_store_cursor_close(struct k2_store_cursor *cursor); // a zeroed one is fine
K2_MUST_CHECK enum k2_status k2_store_seek(struct k2_store_cursor *cursor, struct k2_slice key,
                                           struct k2_error *error); // first at or after
K2_MUST_CHECK enum k2_status k2_store_next(struct k2_store_cursor *cursor, struct k2_error *error);
K2_MUST_CHECK enum k2_status k2_store_last(struct k2_store_cursor *cursor, struct k2_error *error);

// Verifies the pages of a table that lead to its keys from `first` to `last` (both empty: all of
// it, and the number of entries): what LMDB itself would believe. For read transactions.
// K2_CORRUPT.
K2_MUST_CHECK enum k2_status k2_store_verify(struct k2_store_txn *txn, enum k2_store_table table,
                                             struct k2_slice first, struct k2_slice last,
                                             struct k2_error *error);

// The same of every table and of the list of free pages, and that every page has one use.
K2_MUST_CHECK enum k2_status k2_store_verify_all(struct k2_store_txn *txn, struct k2_error *error);

// Clears slots of dead readers and gives the oldest transaction that a live reader holds;
// UINT64_MAX when nobody reads.
K2_MUST_CHECK enum k2_status k2_store_oldest_reader(struct k2_store *store, uint64_t *txn_id,
                                                    struct k2_error *error);

// Writes the newest state into an empty file (a data.mdb), and syncs it. The writer goes on
// meanwhile.
K2_MUST_CHECK enum k2_status k2_store_copy(struct k2_store *store, int file,
                                           struct k2_error *error);

uint64_t k2_store_size_bytes(struct k2_store *store); // pages in use

// Test aid: the next `count` operations on indexes succeed, all later ones fail with
// `error_number`, an errno or a code of LMDB's; -1 turns it off.
void k2_store_fail_after(long count, int error_number);
