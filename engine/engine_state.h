// What an open engine holds. For the modules of this folder only.
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "engine/engine.h"
#include "engine/journal.h"
#include "engine/room_pool.h"
#include "engine/snapshot.h"
#include "engine/store.h"
#include "engine/tail.h"
#include "engine/view_cache.h"
#include "format/segment/row_group.h"

enum { K2_MAX_TABLES = K2_MAX_SNAPSHOT_TABLES };

// Interned instruments of a write handle, by id and by name.
struct k2_instrument_map {
    struct k2_instrument_name *names; // by id; exchange.data NULL: not looked up yet
    size_t room;
    uint32_t *slots; // open addressing by hash of the names; 0 = free
    size_t slot_count, used;
    uint32_t newest_id;  // greatest id given, durable or not
    uint32_t durable_id; // greatest id in the index
};

// The instruments known to have rows in a table: one bit an id.
struct k2_member_set {
    uint8_t *bits;
    size_t bit_count;
};

struct k2_domains;

struct k2_engine {
    char *path; // owned
    enum k2_engine_mode mode;
    struct k2_store *store; // owned
    uint8_t store_id[16];
    struct k2_view_cache *views; // owned; what reads have mapped and checked
    struct k2_room_pool *rooms;  // owned; of scans that ended

    // Tables are added at the end and never change place; readers of other threads see
    // `table_count` last.
    struct k2_table tables[K2_MAX_TABLES];
    atomic_size_t table_count;
    struct k2_schema *old_schemas[K2_MAX_TABLES * 4]; // replaced ones, freed at close
    size_t old_schema_count;
    pthread_mutex_t tables_lock; // guards changes of the five fields above

    // Write handles only. `commit_lock` is held from the begin to the end of a commit, and by
    // whatever else makes a snapshot or changes what commits go by: what a commit has found out
    // stays true until it is written. What follows up to `journal_sequence` is guarded by
    // `write_lock`, which whoever changes the store holds while it writes to the tail and the
    // index, for the time of a commit. Recursive. `rewrite_lock` is held through a whole rewrite,
    // and by everything else that takes groups out of the index; it comes first. The instruments
    // belong to the thread that commits.
    pthread_mutex_t write_lock, rewrite_lock, commit_lock;
    int lock_file;
    uint64_t run, run_base;
    uint64_t newest_segment;
    struct k2_snapshot newest; // as of the last commit of this handle
    struct k2_tail tail;
    struct k2_row_group_memory group_memory;             // of groups for the tail
    uint32_t journal_sequence;                           // rows of `_log` that this run wrote
    uint32_t journal_instruments[K2_JOURNAL_KIND_COUNT]; // set at opening
    struct k2_instrument_map instruments;
    struct k2_member_set members[K2_MAX_TABLES];
    struct k2_group_lists *lists; // what plans ask for
    // Of each table the newest list that was made, owned; NULL: none. Any handle.
    struct k2_lent_list *instrument_lists[K2_MAX_TABLES];
    pthread_mutex_t instrument_lists_lock;
    struct k2_domains *domains[K2_MAX_TABLES]; // owned, see domains.h; NULL: not asked for yet
    // Called behind each commit, by its thread, with the places of the tables that got a group and
    // without a lock; NULL: none. Set under `write_lock`.
    void (*after_commit)(void *context, const size_t *tables, size_t table_count);
    void *after_commit_context;
    atomic_bool broken; // refuse all changes until it is opened again
    char failure[256];  // why; written by the first who finds out, before `failed` is set
    atomic_bool failed;
};

void k2_engine_lock(struct k2_engine *engine); // write_lock
void k2_engine_unlock(struct k2_engine *engine);
void k2_engine_hold_commits(struct k2_engine *engine); // commit_lock
void k2_engine_let_commits(struct k2_engine *engine);

// Loads the tables that are not loaded yet, and newer versions of those that are.
K2_MUST_CHECK enum k2_status
k2_engine_load_tables(struct k2_engine *engine, struct k2_store_txn *txn, struct k2_error *error);

// After a change that failed: K2_IO, or one that is `unclear`, makes the store read-only.
void k2_engine_note_failure(struct k2_engine *engine, enum k2_status status, bool unclear,
                            const struct k2_error *error);
// K2_IO if it is.
K2_MUST_CHECK enum k2_status k2_engine_check_writable(const struct k2_engine *engine,
                                                      struct k2_error *error);

// The time of the next commit: now, in whole microseconds, but always later than the newest, also
// when the clock goes back.
int64_t k2_engine_next_time_ns(const struct k2_engine *engine);

// Writes a table with this schema, which is its newest, into the index.
K2_MUST_CHECK enum k2_status k2_catalog_put_table(struct k2_store_txn *txn, uint16_t id,
                                                  uint32_t version, const struct k2_schema *schema,
                                                  struct k2_error *error);

// Writes the version and the store's id into a new index.
K2_MUST_CHECK enum k2_status k2_engine_put_identity(struct k2_store_txn *txn,
                                                    const uint8_t store_id[16],
                                                    struct k2_error *error);

// Writes the built-in tables that the engine has not loaded into the index: all of a new store, and
// those that came later.
K2_MUST_CHECK enum k2_status
k2_catalog_put_builtin(struct k2_engine *engine, struct k2_store_txn *txn, struct k2_error *error);

// The path of a segment file below the store, `suffix` ".k2s" or ".tmp".
enum { K2_PATH_BYTES = 4096 };
void k2_engine_segment_path(const struct k2_engine *engine, uint64_t segment_id, const char *suffix,
                            char path[K2_PATH_BYTES]);

// What stands behind the segment's number in the name of such a file; NULL: it is none.
const char *k2_engine_segment_suffix(const char *name, uint64_t *segment_id);

// The instruments given since the last commit go into the index with `txn`; what follows a
// successful commit is k2_instruments_committed.
K2_MUST_CHECK enum k2_status k2_instruments_store(struct k2_engine *engine,
                                                  struct k2_store_txn *txn, struct k2_error *error);
void k2_instruments_committed(struct k2_engine *engine);
K2_MUST_CHECK enum k2_status k2_instruments_open(struct k2_engine *engine, struct k2_store_txn *txn,
                                                 struct k2_error *error);
void k2_instruments_close(struct k2_engine *engine);
void k2_instrument_lists_close(struct k2_engine *engine);

// Notes that `instrument` has rows in the table; `*added` when that is new to the index.
K2_MUST_CHECK enum k2_status k2_member_add(struct k2_engine *engine, struct k2_store_txn *txn,
                                           const struct k2_table *table, uint32_t instrument,
                                           uint64_t snapshot, bool *added, struct k2_error *error);
