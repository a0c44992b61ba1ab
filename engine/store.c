#include "engine/store.h"

#include <assert.h>
#include <errno.h>
#include <lmdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "engine/file_io.h"
#include "engine/index_pages.h"
#include "format/base/alloc.h"
#include "format/base/checksum.h"
#include "format/base/fault.h"

enum { CHECKSUM_BYTES = 4, MAX_READERS = 1024 };
static const size_t map_bytes = (size_t)64 << 30; // sparse: address space, not disk

static const char *const table_names[K2_STORE_TABLE_COUNT] = {
    [K2_STORE_META] = "meta",
    [K2_STORE_TABLE] = "table",
    [K2_STORE_SCHEMA] = "schema",
    [K2_STORE_SEGMENT] = "segment",
    [K2_STORE_GROUP] = "group",
    [K2_STORE_INSTRUMENT] = "instrument",
    [K2_STORE_INSTRUMENT_NAME] = "instrument_name",
    [K2_STORE_MEMBER] = "member",
    [K2_STORE_COUNTER] = "counter",
    [K2_STORE_PROGRESS] = "progress",
    [K2_STORE_SEQUENCE] = "sequence_state",
    [K2_STORE_COMMIT] = "commit",
    [K2_STORE_TAG] = "tag",
    [K2_STORE_RETIRED] = "retired",
    [K2_STORE_POLICY] = "policy",
    [K2_STORE_DOMAIN] = "domain",
    [K2_STORE_DOMAIN_USER] = "domain_user",
    [K2_STORE_GAP] = "gap",
    [K2_STORE_GAP_CLOSED] = "gap_closed",
    [K2_STORE_EXPORT] = "export",
};

struct k2_store {
    MDB_env *environment;
    const uint8_t *file; // data.mdb, mapped; LMDB does not tell where it has its own mapping
    MDB_dbi tables[K2_STORE_TABLE_COUNT];
    _Atomic(struct k2_store_txn *) spare; // a reader's that ended, for the next one; or NULL
};

struct k2_store_txn {
    struct k2_store *store;
    MDB_txn *txn;
    uint8_t *scratch; // a value with its checksum on the way in
    size_t scratch_bytes;
    bool write;
};

static atomic_int refusal; // test aid

void k2_store_fail_after(long count, int error_number)
{
    atomic_store(&refusal, error_number);
    k2_fault_after(K2_FAULT_INDEX, count);
}

// 0, or what a test wants LMDB to answer.
static int refused(void)
{
    return k2_fault_due(K2_FAULT_INDEX) ? atomic_load(&refusal) : 0;
}

// The one place where LMDB's codes become ours.
static enum k2_status fail(struct k2_error *error, int code, const char *what)
{
    switch (code) {
    case MDB_MAP_FULL:
        return k2_fail(error, K2_NO_SPACE, "index: %s: no space left in its 64 GiB map", what);
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
        return k2_fail(error, K2_CORRUPT, "index: %s: %s; run `k2 repair`", what,
                       mdb_strerror(code));
    case MDB_READERS_FULL:
        return k2_fail(error, K2_BUSY, "index: %s: %d readers are open; try again", what,
                       MAX_READERS);
    case EAGAIN:
        return k2_fail(error, K2_BUSY,
                       "index: %s: a process with the same pid in another pid namespace reads the "
                       "store; share the pid namespace",
                       what);
    case MDB_PANIC:
        return k2_fail(error, K2_IO, "index: %s: an earlier write failed; open the store again",
                       what);
    default:
        if (code > 0) {
            return k2_fail_errno(error, code, "index: %s", what);
        }
        return k2_fail(error, K2_IO, "index: %s: %s", what, mdb_strerror(code));
    }
}

// Readers of the group write their slot into lock.mdb, though they may not write data.mdb.
static int share_lock(const char *path)
{
    char lock[4200];
    int size = snprintf(lock, sizeof lock, "%s/lock.mdb", path);
    if (size < 0 || (size_t)size >= sizeof lock) {
        return ENAMETOOLONG;
    }
    return chmod(lock, 0660) == 0 || errno == EPERM ? 0 : errno; // EPERM: another owner's store
}

// All tables are opened once, in one transaction, before any other runs.
static int open_tables(struct k2_store *store, bool write)
{
    MDB_txn *txn;
    int code = mdb_txn_begin(store->environment, NULL, write ? 0 : MDB_RDONLY, &txn);
    if (code != 0) {
        return code;
    }
    for (int i = 0; i < K2_STORE_TABLE_COUNT && code == 0; i++) {
        code = mdb_dbi_open(txn, table_names[i], write ? MDB_CREATE : 0, &store->tables[i]);
    }
    if (code != 0) {
        mdb_txn_abort(txn);
        return code;
    }
    return mdb_txn_commit(txn);
}

static int file_size(const struct k2_store *store, size_t *size_bytes)
{
    mdb_filehandle_t file;
    struct stat about;
    int code = mdb_env_get_fd(store->environment, &file);
    if (code == 0 && fstat(file, &about) != 0) {
        code = errno;
    }
    *size_bytes = code == 0 ? (size_t)about.st_size : 0;
    return code;
}

static int map_file(struct k2_store *store)
{
    mdb_filehandle_t file;
    int code = mdb_env_get_fd(store->environment, &file);
    if (code != 0) {
        return code;
    }
    void *mapping = mmap(NULL, map_bytes, PROT_READ, MAP_SHARED, file, 0);
    if (mapping == MAP_FAILED) {
        return errno;
    }
    store->file = mapping;
    return 0;
}

// Before LMDB opens the file.
static enum k2_status check_roots(const char *path, struct k2_error *error)
{
    enum { ROOTS_BYTES = 2 * 4096 };
    char name[4200];
    struct stat about;
    struct k2_slice roots;
    int size = snprintf(name, sizeof name, "%s/data.mdb", path);
    if (size < 0 || (size_t)size >= sizeof name) {
        return fail(error, ENAMETOOLONG, "cannot open");
    }
    if (stat(name, &about) != 0 || about.st_size == 0) {
        return K2_OK; // as LMDB will say, or make
    }
    enum k2_status status = k2_file_map(name, ROOTS_BYTES, &roots, error);
    if (status == K2_OK) {
        status = k2_index_pages_check_roots(roots, error);
        k2_file_unmap(roots);
    }
    return status;
}

// A table whose name is damaged would be made anew, empty.
static enum k2_status check_names(MDB_txn *txn, struct k2_error *error)
{
    MDB_dbi list;
    MDB_cursor *cursor = NULL;
    MDB_val name, value;
    bool known = true;
    int code = mdb_dbi_open(txn, NULL, 0, &list);
    if (code == 0) {
        code = mdb_cursor_open(txn, list, &cursor);
    }
    while (code == 0 && known && (code = mdb_cursor_get(cursor, &name, &value, MDB_NEXT)) == 0) {
        struct k2_slice text = {name.mv_data, name.mv_size};
        known = false;
        for (int i = 0; i < K2_STORE_TABLE_COUNT && !known; i++) {
            known = k2_slice_equal(text, k2_slice_of(table_names[i]));
        }
    }
    if (cursor != NULL) {
        mdb_cursor_close(cursor);
    }
    if (code != 0 && code != MDB_NOTFOUND) {
        return fail(error, code, "cannot list tables");
    }
    return known ? K2_OK
                 : k2_fail(error, K2_CORRUPT,
                           "index: a table `%.*s`, which this version of K2 does not know; if no "
                           "newer one has made it, run `k2 repair`",
                           (int)name.mv_size, (const char *)name.mv_data);
}

// Before LMDB believes the file: a writer makes tables that it does not find, of free pages.
static enum k2_status verify_tables(struct k2_store *store, struct k2_error *error)
{
    MDB_txn *txn;
    size_t size_bytes = 0;
    int code = mdb_txn_begin(store->environment, NULL, MDB_RDONLY, &txn);
    if (code != 0) {
        return fail(error, code, "cannot begin a transaction");
    }
    code = file_size(store, &size_bytes);
    struct k2_index_pages pages = {{store->file, size_bytes}, mdb_txn_id(txn)};
    enum k2_status status = code == 0 ? k2_index_pages_verify_all(&pages, NULL, 0, error)
                                      : fail(error, code, "cannot verify");
    if (status == K2_OK) {
        status = check_names(txn, error);
    }
    mdb_txn_abort(txn);
    return status;
}

static enum k2_status verify_for_writing(struct k2_store *store, struct k2_error *error)
{
    struct k2_store_txn *txn = NULL;
    enum k2_status status = k2_store_begin(store, false, &txn, error);
    if (txn != NULL) { // it began
        status = k2_store_verify_all(txn, error);
        k2_store_abort(txn);
    }
    return status;
}

enum k2_status k2_store_open(struct k2_store **store, const char *path, bool write,
                             struct k2_error *error)
{
    enum k2_status verified = check_roots(path, error);
    if (verified != K2_OK) {
        return verified;
    }
    struct k2_store *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "index: out of memory");
    }
    int code = refused();
    if (code == 0) {
        code = mdb_env_create(&self->environment);
    }
    if (code == 0) {
        code = mdb_env_set_mapsize(self->environment, map_bytes);
    }
    if (code == 0) {
        code = mdb_env_set_maxdbs(self->environment, K2_STORE_TABLE_COUNT);
    }
    if (code == 0) {
        code = mdb_env_set_maxreaders(self->environment, MAX_READERS);
    }
    if (code == 0) {
        unsigned flags = MDB_NOTLS | MDB_NORDAHEAD | (write ? 0u : (unsigned)MDB_RDONLY);
        code = mdb_env_open(self->environment, path, flags, 0640);
    }
    if (code == 0 && write) {
        code = share_lock(path);
    }
    if (code == 0) {
        code = map_file(self);
    }
    verified = code == 0 ? verify_tables(self, error) : K2_OK;
    if (verified != K2_OK) {
        k2_store_close(self);
        return verified;
    }
    if (code == 0) {
        code = open_tables(self, write);
    }
    verified = code == 0 && write ? verify_for_writing(self, error) : K2_OK;
    if (verified != K2_OK) {
        k2_store_close(self);
        return verified;
    }
    if (code != 0) {
        k2_store_close(self);
        if (code == MDB_NOTFOUND) {
            return k2_fail(error, K2_NOT_FOUND, "index: %s: not complete", path);
        }
        enum k2_status status = fail(error, code, "cannot open");
        if (status == K2_NOT_PERMITTED) {
            return k2_fail(error, status,
                           "%s: cannot open the index; reading needs write access to its lock.mdb",
                           path);
        }
        return status;
    }
    *store = self;
    return K2_OK;
}

static void free_txn(struct k2_store_txn *txn)
{
    k2_free(txn->scratch);
    k2_free(txn);
}

static void end_txn(struct k2_store_txn *txn)
{
    if (txn != NULL) {
        mdb_txn_abort(txn->txn);
        free_txn(txn);
    }
}

void k2_store_close(struct k2_store *store)
{
    if (store != NULL) {
        end_txn(atomic_load(&store->spare));
        mdb_env_close(store->environment);
        if (store->file != NULL) {
            (void)munmap((void *)(uintptr_t)store->file, map_bytes);
        }
        k2_free(store);
    }
}

enum k2_status k2_store_begin(struct k2_store *store, bool write, struct k2_store_txn **txn,
                              struct k2_error *error)
{
    int code = refused();
    struct k2_store_txn *self =
        write || code != 0 ? NULL : atomic_exchange(&store->spare, (struct k2_store_txn *)NULL);
    if (self != NULL) {
        code = mdb_txn_renew(self->txn);
        if (code != 0) {
            end_txn(self);
            return fail(error, code, "cannot begin a transaction");
        }
        *txn = self;
        return K2_OK;
    }
    self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "index: out of memory");
    }
    self->store = store;
    self->write = write;
    if (code == 0) {
        code = mdb_txn_begin(store->environment, NULL, write ? 0 : MDB_RDONLY, &self->txn);
    }
    if (code != 0) {
        k2_free(self);
        return fail(error, code, "cannot begin a transaction");
    }
    *txn = self;
    return K2_OK;
}

// LMDB calls a write that the disk cut short EIO. Told apart here: the disk is full, and the
// environment goes on, so its last state is untouched.
static bool is_cut_short(MDB_env *environment)
{
    enum { FULL_BELOW_BYTES = 1 << 20 };
    const char *path = NULL;
    struct statvfs volume;
    MDB_txn *txn;
    if (mdb_env_get_path(environment, &path) != 0 || statvfs(path, &volume) != 0 ||
        (uint64_t)volume.f_bavail * volume.f_frsize >= FULL_BELOW_BYTES ||
        mdb_txn_begin(environment, NULL, 0, &txn) != 0) {
        return false;
    }
    mdb_txn_abort(txn);
    return true;
}

enum k2_status k2_store_commit(struct k2_store_txn *txn, struct k2_error *error)
{
    MDB_env *environment = txn->store->environment;
    int refused = txn->write ? k2_file_ask_hook(K2_FILE_INDEX_COMMIT) : 0;
    int code = refused;
    if (refused != 0) {
        mdb_txn_abort(txn->txn);
    } else {
        code = mdb_txn_commit(txn->txn);
        if (txn->write) {
            (void)k2_file_ask_hook(K2_FILE_INDEX_COMMITTED);
        }
    }
    free_txn(txn);
    if (code == EIO && refused == 0 && is_cut_short(environment)) {
        code = ENOSPC;
    }
    return code == 0 ? K2_OK : fail(error, code, "cannot commit");
}

// A reader's keeps its slot and its memory, but no state of the index.
void k2_store_abort(struct k2_store_txn *txn)
{
    if (txn != NULL && !txn->write) {
        mdb_txn_reset(txn->txn);
        txn = atomic_exchange(&txn->store->spare, txn);
    }
    end_txn(txn);
}

uint64_t k2_store_txn_id(struct k2_store_txn *txn)
{
    return mdb_txn_id(txn->txn);
}

static uint32_t checksum_of(enum k2_store_table table, struct k2_slice key, struct k2_slice value)
{
    return (uint32_t)k2_checksum(value, k2_hash(key), (uint64_t)table);
}

static MDB_val value_of(struct k2_slice bytes)
{
    return (MDB_val){.mv_size = bytes.size_bytes, .mv_data = (void *)(uintptr_t)bytes.data};
}

static enum k2_status open_value(enum k2_store_table table, struct k2_slice key, MDB_val stored,
                                 struct k2_slice *value, struct k2_error *error)
{
    struct k2_slice bytes = {stored.mv_data, stored.mv_size};
    if (bytes.size_bytes >= CHECKSUM_BYTES) {
        bytes.size_bytes -= CHECKSUM_BYTES;
        uint32_t told;
        memcpy(&told, bytes.data + bytes.size_bytes, CHECKSUM_BYTES);
        if (told == checksum_of(table, key, bytes)) {
            *value = bytes;
            return K2_OK;
        }
    }
    return k2_fail(error, K2_CORRUPT, "index: table %s: checksum mismatch; run `k2 repair`",
                   table_names[table]);
}

// Does a value lie within the page, or the pages of a long one, that a reader sees?
static bool is_in_page(MDB_val stored)
{
    enum { PAGE_BYTES = 4096, HEADER_BYTES = 16, COUNT_BYTES = 4 };
    const uint8_t *data = stored.mv_data;
    size_t place = (uintptr_t)data % PAGE_BYTES;
    uint32_t pages = 1;
    if (place == HEADER_BYTES) { // entries of a page never begin there
        memcpy(&pages, data - COUNT_BYTES, COUNT_BYTES);
    }
    return stored.mv_size + place <= (size_t)pages * PAGE_BYTES;
}

static enum k2_status verify_value(void *context, struct k2_slice key, struct k2_slice value,
                                   struct k2_error *error)
{
    const enum k2_store_table *table = context;
    MDB_val stored = value_of(value);
    struct k2_slice bytes;
    return open_value(*table, key, stored, &bytes, error);
}

static enum k2_status pages_of(struct k2_store_txn *txn, struct k2_index_pages *pages,
                               struct k2_error *error)
{
    *pages = (struct k2_index_pages){{txn->store->file, 0}, mdb_txn_id(txn->txn)};
    int code = file_size(txn->store, &pages->file.size_bytes);
    return code == 0 ? K2_OK : fail(error, code, "cannot verify");
}

static struct k2_index_range range_of(const enum k2_store_table *table)
{
    return (struct k2_index_range){
        .table = k2_slice_of(table_names[*table]),
        .check = verify_value,
        .context = (void *)(uintptr_t)table,
    };
}

enum k2_status k2_store_verify(struct k2_store_txn *txn, enum k2_store_table table,
                               struct k2_slice first, struct k2_slice last, struct k2_error *error)
{
    struct k2_index_pages pages;
    enum k2_status status = pages_of(txn, &pages, error);
    if (status != K2_OK) {
        return status;
    }
    struct k2_index_range range = range_of(&table);
    range.first = first;
    range.last = last;
    return k2_index_pages_verify(&pages, &range, error);
}

enum k2_status k2_store_verify_all(struct k2_store_txn *txn, struct k2_error *error)
{
    enum k2_store_table tables[K2_STORE_TABLE_COUNT];
    struct k2_index_range ranges[K2_STORE_TABLE_COUNT];
    struct k2_index_pages pages;
    enum k2_status status = pages_of(txn, &pages, error);
    for (int i = 0; i < K2_STORE_TABLE_COUNT; i++) {
        tables[i] = (enum k2_store_table)i;
        ranges[i] = range_of(&tables[i]);
    }
    return status == K2_OK ? k2_index_pages_verify_all(&pages, ranges, K2_STORE_TABLE_COUNT, error)
                           : status;
}

enum k2_status k2_store_get(struct k2_store_txn *txn, enum k2_store_table table,
                            struct k2_slice key, bool *found, struct k2_slice *value,
                            struct k2_error *error)
{
    MDB_val wanted = value_of(key), stored;
    enum k2_status status = K2_OK;
    int code = refused();
    *found = false;
    // Hidden, or an older value, by a page that is not what LMDB takes it for? What once was true
    // of an instrument stays so: only where it is not found.
    bool is_fact = table == K2_STORE_INSTRUMENT || table == K2_STORE_INSTRUMENT_NAME ||
                   table == K2_STORE_MEMBER;
    if (code == 0 && !is_fact && !txn->write) {
        status = k2_store_verify(txn, table, key, key, error);
    }
    if (code == 0 && status == K2_OK) {
        code = mdb_get(txn->txn, txn->store->tables[table], &wanted, &stored);
        *found = code == 0;
    }
    if (code != 0 && code != MDB_NOTFOUND) {
        return fail(error, code, "cannot read");
    }
    if (code == MDB_NOTFOUND && is_fact && !txn->write) {
        status = k2_store_verify(txn, table, key, key, error);
    }
    if (status != K2_OK || code != 0) {
        return status;
    }
    if (!txn->write && !is_in_page(stored)) {
        return fail(error, MDB_CORRUPTED, "cannot read");
    }
    return open_value(table, key, stored, value, error);
}

enum k2_status k2_store_get_segment(struct k2_store_txn *txn, uint64_t segment_id, bool *found,
                                    struct k2_segment_record *record, struct k2_error *error)
{
    struct k2_index_key key = k2_index_key_id(segment_id, 8);
    struct k2_slice value = {0};
    enum k2_status status =
        k2_store_get(txn, K2_STORE_SEGMENT, k2_index_key_slice(&key), found, &value, error);
    *record = k2_segment_record_decode(status == K2_OK && *found ? value : (struct k2_slice){0});
    return status;
}

enum k2_status k2_store_count(struct k2_store_txn *txn, enum k2_store_table table, uint64_t *count,
                              struct k2_error *error)
{
    MDB_stat stat = {0};
    int code = refused();
    code = code != 0 ? code : mdb_stat(txn->txn, txn->store->tables[table], &stat);
    *count = stat.ms_entries;
    return code == 0 ? K2_OK : fail(error, code, "cannot read");
}

enum k2_status k2_store_put(struct k2_store_txn *txn, enum k2_store_table table,
                            struct k2_slice key, struct k2_slice value, struct k2_error *error)
{
    size_t needed = value.size_bytes + CHECKSUM_BYTES;
    if (needed > txn->scratch_bytes) {
        uint8_t *scratch = k2_realloc(txn->scratch, needed, 1);
        if (scratch == NULL) {
            return k2_fail(error, K2_NO_MEMORY, "index: out of memory");
        }
        txn->scratch = scratch;
        txn->scratch_bytes = needed;
    }
    uint32_t checksum = checksum_of(table, key, value);
    if (value.size_bytes > 0) {
        memcpy(txn->scratch, value.data, value.size_bytes);
    }
    memcpy(txn->scratch + value.size_bytes, &checksum, CHECKSUM_BYTES);
    MDB_val wanted = value_of(key), stored = {.mv_size = needed, .mv_data = txn->scratch};
    int code = refused();
    if (code == 0) {
        code = mdb_put(txn->txn, txn->store->tables[table], &wanted, &stored, 0);
    }
    return code == 0 ? K2_OK : fail(error, code, "cannot write");
}

enum k2_status k2_store_delete(struct k2_store_txn *txn, enum k2_store_table table,
                               struct k2_slice key, struct k2_error *error)
{
    MDB_val wanted = value_of(key);
    int code = refused();
    if (code == 0) {
        code = mdb_del(txn->txn, txn->store->tables[table], &wanted, NULL);
    }
    return code == 0 || code == MDB_NOTFOUND ? K2_OK : fail(error, code, "cannot delete");
}

enum k2_status k2_store_clear(struct k2_store_txn *txn, enum k2_store_table table,
                              struct k2_error *error)
{
    int code = refused();
    if (code == 0) {
        code = mdb_drop(txn->txn, txn->store->tables[table], 0);
    }
    return code == 0 ? K2_OK : fail(error, code, "cannot empty a table");
}

static bool is_small(enum k2_store_table table)
{
    return table == K2_STORE_TABLE || table == K2_STORE_TAG || table == K2_STORE_RETIRED;
}

enum k2_status k2_store_cursor_open(struct k2_store_txn *txn, enum k2_store_table table,
                                    struct k2_store_cursor *cursor, struct k2_error *error)
{
    MDB_cursor *opened;
    *cursor = (struct k2_store_cursor){.table = table};
    int code = refused();
    if (code == 0) {
        code = mdb_cursor_open(txn->txn, txn->store->tables[table], &opened);
    }
    if (code != 0) {
        return fail(error, code, "cannot open a cursor");
    }
    cursor->cursor = opened;
    cursor->txn = txn;
    return is_small(table) && !txn->write
               ? k2_store_verify(txn, table, (struct k2_slice){0}, (struct k2_slice){0}, error)
               : K2_OK;
}

void k2_store_cursor_close(struct k2_store_cursor *cursor)
{
    if (cursor->cursor != NULL) {
        mdb_cursor_close(cursor->cursor);
        cursor->cursor = NULL;
    }
}

static enum k2_status move(struct k2_store_cursor *cursor, struct k2_slice key,
                           MDB_cursor_op operation, struct k2_error *error)
{
    MDB_val found = value_of(key), stored;
    int code = refused();
    if (code == 0) {
        code = mdb_cursor_get(cursor->cursor, &found, &stored, operation);
    }
    cursor->found = code == 0;
    if (code == MDB_NOTFOUND) {
        return K2_OK;
    }
    if (code != 0) {
        return fail(error, code, "cannot read");
    }
    cursor->key = (struct k2_slice){found.mv_data, found.mv_size};
    if (!cursor->txn->write && !is_in_page(stored)) {
        return fail(error, MDB_CORRUPTED, "cannot read");
    }
    return open_value(cursor->table, cursor->key, stored, &cursor->value, error);
}

enum k2_status k2_store_cursor_begin(struct k2_store_txn *txn, enum k2_store_table table,
                                     struct k2_store_cursor *cursor, struct k2_error *error)
{
    enum k2_status status = k2_store_cursor_open(txn, table, cursor, error);
    if (status == K2_OK && !txn->write && !is_small(table)) {
        status = k2_store_verify(txn, table, (struct k2_slice){0}, (struct k2_slice){0}, error);
    }
    return status == K2_OK ? move(cursor, (struct k2_slice){0}, MDB_FIRST, error) : status;
}

enum k2_status k2_store_seek(struct k2_store_cursor *cursor, struct k2_slice key,
                             struct k2_error *error)
{
    return move(cursor, key, key.size_bytes == 0 ? MDB_FIRST : MDB_SET_RANGE, error);
}

enum k2_status k2_store_next(struct k2_store_cursor *cursor, struct k2_error *error)
{
    return move(cursor, (struct k2_slice){0}, MDB_NEXT, error);
}

enum k2_status k2_store_last(struct k2_store_cursor *cursor, struct k2_error *error)
{
    static const uint8_t beyond[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    enum k2_status status = K2_OK;
    if (!cursor->txn->write) { // the pages that lead to the end
        status =
            k2_store_verify(cursor->txn, cursor->table, (struct k2_slice){beyond, sizeof beyond},
                            (struct k2_slice){0}, error);
    }
    return status == K2_OK ? move(cursor, (struct k2_slice){0}, MDB_LAST, error) : status;
}

// mdb_reader_list has no other form than text: "pid thread txnid" or "-" for an idle slot.
static int note_reader(const char *line, void *context)
{
    uint64_t *oldest = context;
    const char *last = strrchr(line, ' ');
    if (last != NULL && last[1] >= '0' && last[1] <= '9') {
        uint64_t txn_id = strtoull(last + 1, NULL, 10);
        *oldest = txn_id < *oldest ? txn_id : *oldest;
    }
    return 0;
}

enum k2_status k2_store_oldest_reader(struct k2_store *store, uint64_t *txn_id,
                                      struct k2_error *error)
{
    int dead = 0;
    int code = mdb_reader_check(store->environment, &dead);
    if (code != 0) {
        return fail(error, code, "cannot check readers");
    }
    *txn_id = UINT64_MAX;
    code = mdb_reader_list(store->environment, note_reader, txn_id);
    return code < 0 ? fail(error, code, "cannot list readers") : K2_OK;
}

// The compacting copy: it holds no lock of the writer, and leaves free pages behind.
enum k2_status k2_store_copy(struct k2_store *store, int file, struct k2_error *error)
{
    int refused = k2_file_ask_hook(K2_FILE_WRITE);
    int code = refused != 0 ? refused : mdb_env_copyfd2(store->environment, file, MDB_CP_COMPACT);
    return code == 0 ? k2_file_sync(file, error) : fail(error, code, "cannot copy");
}

uint64_t k2_store_size_bytes(struct k2_store *store)
{
    MDB_envinfo info;
    MDB_stat stat;
    if (mdb_env_info(store->environment, &info) != 0 || mdb_env_stat(store->environment, &stat)) {
        return 0;
    }
    return ((uint64_t)info.me_last_pgno + 1) * stat.ms_psize;
}
