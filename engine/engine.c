#include "engine/engine.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "engine/commit_log.h"
#include "engine/domains.h"
#include "engine/engine_state.h"
#include "engine/file_io.h"
#include "engine/garbage.h"
#include "engine/group_list.h"
#include "engine/index_records.h"
#include "engine/ledger_history.h"
#include "engine/version_count.h"
#include "engine/volume.h"
#include "format/base/alloc.h"

enum { SPARE_ROOM_BYTES = 2 << 20 }; // what scans of all columns need, a few times

static const char format_version[] = "0.2"; // of the index; another one is refused

static bool path_of(const struct k2_engine *engine, const char *name, char path[K2_PATH_BYTES])
{
    int size = snprintf(path, K2_PATH_BYTES, "%s/%s", engine->path, name);
    return size > 0 && size < K2_PATH_BYTES;
}

void k2_engine_segment_path(const struct k2_engine *engine, uint64_t segment_id, const char *suffix,
                            char path[K2_PATH_BYTES])
{
    int size = suffix == NULL ? snprintf(path, K2_PATH_BYTES, "%s/segments", engine->path)
                              : snprintf(path, K2_PATH_BYTES, "%s/segments/%016llx%s", engine->path,
                                         (unsigned long long)segment_id, suffix);
    if (size < 0 || size >= K2_PATH_BYTES) {
        path[0] = '\0'; // k2_engine_open refused such a path
    }
}

const char *k2_engine_segment_suffix(const char *name, uint64_t *segment_id)
{
    enum { DIGITS = 16 };
    static const char digits[] = "0123456789abcdef";
    uint64_t id = 0;
    for (size_t i = 0; i < DIGITS; i++) {
        const char *digit = name[i] == '\0' ? NULL : strchr(digits, name[i]);
        if (digit == NULL) {
            return NULL;
        }
        id = id << 4 | (uint64_t)(digit - digits);
    }
    *segment_id = id;
    return name + DIGITS;
}

// Is there something at the path? What may not be looked at is not taken for absent.
static enum k2_status look_at(const char *path, bool *exists, struct stat *about,
                              struct k2_error *error)
{
    *exists = stat(path, about) == 0;
    return *exists || errno == ENOENT || errno == ENOTDIR
               ? K2_OK
               : k2_fail_errno(error, errno, "%s: cannot look into it", path);
}

static bool has_segments(const struct k2_engine *engine)
{
    char path[K2_PATH_BYTES];
    k2_engine_segment_path(engine, 0, NULL, path);
    DIR *folder = opendir(path);
    bool found = false;
    for (struct dirent *entry; folder != NULL && !found && (entry = readdir(folder)) != NULL;) {
        const char *dot = strrchr(entry->d_name, '.');
        found = dot != NULL && strcmp(dot, ".k2s") == 0;
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
    return found;
}

// Takes LOCK or fails with K2_BUSY and the pid of who has it. The lock goes with the process.
static enum k2_status take_lock(struct k2_engine *engine, struct k2_error *error)
{
    char path[K2_PATH_BYTES], holder[K2_FILE_HOLDER_BYTES];
    (void)path_of(engine, "LOCK", path);
    enum k2_status status = k2_file_lock(path, &engine->lock_file, holder, error);
    if (status == K2_BUSY) {
        status =
            k2_fail(error, K2_BUSY, "%s: process %s writes to this store; wait for it or end it",
                    engine->path, holder);
    }
    return status;
}

static enum k2_status make_folders(struct k2_engine *engine, struct k2_error *error)
{
    static const char *const names[] = {"", "segments"};
    enum k2_status status = K2_OK;
    char path[K2_PATH_BYTES];
    for (size_t i = 0; i < sizeof names / sizeof names[0] && status == K2_OK; i++) {
        (void)path_of(engine, names[i], path);
        status = k2_file_make_directory(path, error);
    }
    return status;
}

static enum k2_status fail_no_index(const struct k2_engine *engine, struct k2_error *error)
{
    return k2_fail(error, K2_CORRUPT, "%s: there are segments but no index; run `k2 repair`",
                   engine->path);
}

// Is there a store to open? Creates the folders of a new one.
static enum k2_status find_store(struct k2_engine *engine, struct k2_error *error)
{
    char path[K2_PATH_BYTES];
    struct stat about;
    bool exists, has_index = false;
    enum k2_status status = look_at(engine->path, &exists, &about, error);
    if (status == K2_OK && exists && !S_ISDIR(about.st_mode)) {
        return k2_fail(error, K2_BAD_REQUEST, "%s: not a folder", engine->path);
    }
    if (status == K2_OK && exists) {
        (void)path_of(engine, "index/data.mdb", path);
        status = look_at(path, &has_index, &about, error);
    }
    if (status != K2_OK) {
        return status;
    }
    if (exists && (!has_index || about.st_size == 0)) {
        if (has_segments(engine)) {
            return fail_no_index(engine, error);
        }
        exists = false;
    }
    if (!exists && engine->mode != K2_ENGINE_CREATE) {
        return k2_fail(error, K2_NOT_FOUND,
                       "%s: no store here; name one with --data, or load data to create it",
                       engine->path);
    }
    status = engine->mode == K2_ENGINE_CREATE ? make_folders(engine, error) : K2_OK;
    if (status == K2_OK) {
        status = k2_volume_check(engine->path, error);
    }
    return status;
}

// A new, empty index appears as a whole: what a power cut leaves of its making has another name.
static enum k2_status make_index(struct k2_engine *engine, struct k2_error *error)
{
    char file[K2_PATH_BYTES], fresh[K2_PATH_BYTES], index[K2_PATH_BYTES];
    struct k2_store *store = NULL;
    struct stat about;
    bool exists;
    (void)path_of(engine, "index/data.mdb", file);
    (void)path_of(engine, "index.new", fresh);
    (void)path_of(engine, "index", index);
    enum k2_status status = look_at(file, &exists, &about, error);
    if (status != K2_OK || (exists && about.st_size > 0)) {
        return status; // somebody else was first
    }
    status = k2_file_remove_folder(fresh, error);
    if (status == K2_OK) {
        status = k2_file_remove_folder(index, error);
    }
    if (status == K2_OK) {
        status = k2_file_make_directory(fresh, error);
    }
    if (status == K2_OK) {
        status = k2_store_open(&store, fresh, true, error);
        k2_store_close(store);
    }
    if (status == K2_OK) {
        status = k2_file_sync_directory(fresh, error);
    }
    if (status == K2_OK) {
        status = k2_file_rename(fresh, index, error);
    }
    return status == K2_OK ? k2_file_sync_directory(engine->path, error) : status;
}

static enum k2_status put_meta(struct k2_store_txn *txn, const char *name, struct k2_slice value,
                               struct k2_error *error)
{
    return k2_store_put(txn, K2_STORE_META, k2_slice_of(name), value, error);
}

enum k2_status k2_engine_put_identity(struct k2_store_txn *txn, const uint8_t store_id[16],
                                      struct k2_error *error)
{
    enum k2_status status = put_meta(txn, "format", k2_slice_of(format_version), error);
    return status == K2_OK ? put_meta(txn, "store_id", (struct k2_slice){store_id, 16}, error)
                           : status;
}

static enum k2_status initialise(struct k2_engine *engine, struct k2_store_txn *txn,
                                 struct k2_error *error)
{
    if (getrandom(engine->store_id, sizeof engine->store_id, 0) != sizeof engine->store_id) {
        return k2_fail_errno(error, errno, "%s: no random bytes", engine->path);
    }
    return k2_engine_put_identity(txn, engine->store_id, error);
}

// The names of a new store survive a power cut, like its rows.
static enum k2_status sync_folders(const struct k2_engine *engine, struct k2_error *error)
{
    static const char *const names[] = {"index", "segments", ".", ".."};
    enum k2_status status = K2_OK;
    char path[K2_PATH_BYTES];
    for (size_t i = 0; i < sizeof names / sizeof names[0] && status == K2_OK; i++) {
        (void)path_of(engine, names[i], path);
        status = k2_file_sync_directory(path, error);
    }
    return status;
}

static enum k2_status get_number(struct k2_store_txn *txn, const char *name, uint64_t *number,
                                 struct k2_error *error)
{
    struct k2_slice value;
    bool found;
    enum k2_status status =
        k2_store_get(txn, K2_STORE_META, k2_slice_of(name), &found, &value, error);
    *number = status == K2_OK && found ? k2_index_number(value) : 0;
    return status;
}

static enum k2_status read_meta(struct k2_engine *engine, struct k2_store_txn *txn, bool *found,
                                struct k2_error *error)
{
    struct k2_slice value;
    enum k2_status status =
        k2_store_get(txn, K2_STORE_META, k2_slice_of("format"), found, &value, error);
    if (status != K2_OK || !*found) {
        return status;
    }
    if (!k2_slice_equal(value, k2_slice_of(format_version))) {
        return k2_fail(error, K2_BAD_REQUEST,
                       "%s: index format %.*s, this program reads %s; `k2 repair --from-segments` "
                       "makes the index again, if the segments are not newer, too",
                       engine->path, (int)value.size_bytes, (const char *)value.data,
                       format_version);
    }
    status = k2_store_get(txn, K2_STORE_META, k2_slice_of("store_id"), found, &value, error);
    if (status == K2_OK && (!*found || value.size_bytes != sizeof engine->store_id)) {
        return k2_fail(error, K2_CORRUPT, "%s: the index has no store id", engine->path);
    }
    if (status == K2_OK) {
        memcpy(engine->store_id, value.data, sizeof engine->store_id);
        status = k2_commit_log_newest(txn, &engine->newest, error);
    }
    return status;
}

// A writer's start: a new run, durable before anything of it is written.
static enum k2_status begin_run(struct k2_engine *engine, struct k2_error *error)
{
    struct k2_store_txn *txn;
    bool found = false;
    enum k2_status status = k2_store_begin(engine->store, true, &txn, error);
    if (status != K2_OK) {
        return status;
    }
    status = read_meta(engine, txn, &found, error);
    if (status == K2_OK && !found && has_segments(engine)) {
        status = fail_no_index(engine, error); // an empty index would have them all deleted
    } else if (status == K2_OK && !found) {
        status = initialise(engine, txn, error);
        if (status == K2_OK) {
            status = sync_folders(engine, error);
        }
    }
    if (status == K2_OK) {
        status = get_number(txn, "run", &engine->run, error);
    }
    if (status == K2_OK) {
        engine->run++;
        engine->run_base = engine->newest.id;
        struct k2_index_value value = k2_index_value_number(engine->run);
        status = put_meta(txn, "run", k2_index_value_slice(&value), error);
    }
    if (status == K2_OK) {
        status = k2_engine_load_tables(engine, txn, error);
    }
    if (status == K2_OK) {
        status = k2_catalog_put_builtin(engine, txn, error);
    }
    if (status == K2_OK) {
        status = k2_engine_load_tables(engine, txn, error);
    }
    if (status == K2_OK) {
        status = k2_instruments_open(engine, txn, error);
    }
    if (status == K2_OK) {
        status = k2_journal_begin(engine, txn, error);
    }
    if (status != K2_OK) {
        k2_store_abort(txn);
        return status;
    }
    status = k2_store_commit(txn, error);
    if (status == K2_OK) {
        k2_instruments_committed(engine);
        status = k2_garbage_sweep(engine, error);
    }
    if (status == K2_OK) {
        status = k2_garbage_collect(engine, NULL, error);
    }
    if (status == K2_OK) {
        status = k2_ledger_recall(engine, error);
    }
    return status == K2_OK ? k2_version_count_refresh(engine, error) : status;
}

static enum k2_status begin_reading(struct k2_engine *engine, struct k2_error *error)
{
    struct k2_store_txn *txn;
    bool found = false;
    enum k2_status status = k2_store_begin(engine->store, false, &txn, error);
    if (status != K2_OK) {
        return status;
    }
    status = read_meta(engine, txn, &found, error);
    if (status == K2_OK && !found) {
        status = k2_fail(error, K2_NOT_FOUND, "%s: no store here yet", engine->path);
    }
    if (status == K2_OK) {
        status = k2_engine_load_tables(engine, txn, error);
    }
    k2_store_abort(txn);
    return status;
}

static void init_locks(struct k2_engine *engine)
{
    pthread_mutexattr_t recursive;
    (void)pthread_mutexattr_init(&recursive);
    (void)pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    (void)pthread_mutex_init(&engine->tables_lock, NULL);
    (void)pthread_mutex_init(&engine->instrument_lists_lock, NULL);
    (void)pthread_mutex_init(&engine->write_lock, &recursive);
    (void)pthread_mutex_init(&engine->rewrite_lock, &recursive);
    (void)pthread_mutex_init(&engine->commit_lock, &recursive);
    (void)pthread_mutexattr_destroy(&recursive);
}

void k2_engine_lock(struct k2_engine *engine)
{
    (void)pthread_mutex_lock(&engine->write_lock);
}

void k2_engine_unlock(struct k2_engine *engine)
{
    (void)pthread_mutex_unlock(&engine->write_lock);
}

void k2_engine_hold_commits(struct k2_engine *engine)
{
    (void)pthread_mutex_lock(&engine->commit_lock);
}

void k2_engine_let_commits(struct k2_engine *engine)
{
    (void)pthread_mutex_unlock(&engine->commit_lock);
}

const struct k2_read_cache k2_read_cache_small = {(size_t)32 << 20, (size_t)32 << 20};
const struct k2_read_cache k2_read_cache_large = {(size_t)1 << 30, (size_t)48 << 20};

void k2_engine_set_read_cache(struct k2_engine *engine, const struct k2_read_cache *cache)
{
    struct k2_view_cache_limits limits = k2_view_cache_default_limits;
    limits.heap_bytes = cache->heap_bytes;
    limits.resident_bytes = cache->mapped_bytes;
    k2_view_cache_set_limits(engine->views, &limits);
}

enum k2_status k2_engine_open(struct k2_engine **engine, const char *path, enum k2_engine_mode mode,
                              struct k2_error *error)
{
    struct k2_engine *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "%s: out of memory", path);
    }
    self->lock_file = -1;
    self->mode = mode;
    init_locks(self);
    self->path = k2_alloc_text(path, strlen(path));
    enum k2_status status = K2_OK;
    if (self->path == NULL) {
        status = k2_fail(error, K2_NO_MEMORY, "%s: out of memory", path);
    } else if (path[0] == '\0' || strlen(path) > K2_PATH_BYTES - 64) {
        status = k2_fail(error, K2_BAD_REQUEST, "data folder: a path of 1 to %d bytes is needed",
                         K2_PATH_BYTES - 64);
    } else {
        status = find_store(self, error);
    }
    if (status == K2_OK) {
        status = k2_view_cache_create(&self->views, &k2_view_cache_default_limits, error);
    }
    if (status == K2_OK) {
        status = k2_group_lists_create(&self->lists, error);
    }
    if (status == K2_OK) {
        self->rooms = k2_room_pool_create(SPARE_ROOM_BYTES);
        status =
            self->rooms == NULL ? k2_fail(error, K2_NO_MEMORY, "%s: out of memory", path) : K2_OK;
    }
    char index[K2_PATH_BYTES];
    if (status == K2_OK && mode != K2_ENGINE_READ) {
        status = take_lock(self, error);
    }
    if (status == K2_OK && mode == K2_ENGINE_CREATE) {
        status = make_index(self, error);
    }
    if (status == K2_OK) {
        (void)path_of(self, "index", index);
        status = k2_store_open(&self->store, index, mode != K2_ENGINE_READ, error);
    }
    if (status == K2_OK) {
        status = mode == K2_ENGINE_READ ? begin_reading(self, error) : begin_run(self, error);
    }
    if (status != K2_OK) {
        k2_engine_close(self);
        return status;
    }
    *engine = self;
    return K2_OK;
}

void k2_engine_close(struct k2_engine *engine)
{
    if (engine == NULL) {
        return;
    }
    k2_tail_seal(engine, &engine->tail, engine->broken);
    k2_instruments_close(engine);
    k2_instrument_lists_close(engine);
    k2_view_cache_destroy(engine->views);
    k2_group_lists_destroy(engine->lists);
    k2_room_pool_destroy(engine->rooms);
    k2_store_close(engine->store);
    k2_row_group_memory_deinit(&engine->group_memory);
    for (size_t i = 0; i < atomic_load(&engine->table_count); i++) {
        k2_schema_destroy((struct k2_schema *)(uintptr_t)engine->tables[i].schema);
        k2_free(engine->members[i].bits);
        if (engine->domains[i] != NULL) {
            k2_domains_deinit(engine->domains[i]);
            k2_free(engine->domains[i]);
        }
    }
    for (size_t i = 0; i < engine->old_schema_count; i++) {
        k2_schema_destroy(engine->old_schemas[i]);
    }
    if (engine->lock_file >= 0) {
        (void)close(engine->lock_file);
    }
    (void)pthread_mutex_destroy(&engine->tables_lock);
    (void)pthread_mutex_destroy(&engine->instrument_lists_lock);
    (void)pthread_mutex_destroy(&engine->write_lock);
    (void)pthread_mutex_destroy(&engine->rewrite_lock);
    (void)pthread_mutex_destroy(&engine->commit_lock);
    k2_free(engine->path);
    k2_free(engine);
}

int64_t k2_engine_next_time_ns(const struct k2_engine *engine)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    int64_t time_ns = ((int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000) * 1000;
    int64_t least_ns = engine->newest.time_ns + 1000;
    return time_ns > least_ns ? time_ns : least_ns;
}

void k2_engine_note_failure(struct k2_engine *engine, enum k2_status status, bool unclear,
                            const struct k2_error *error)
{
    if (status == K2_OK || (status != K2_IO && !unclear)) {
        return;
    }
    if (!atomic_exchange(&engine->broken, true)) {
        (void)snprintf(engine->failure, sizeof engine->failure, "%.250s",
                       error != NULL ? error->text : k2_status_name(status));
        atomic_store(&engine->failed, true);
    }
}

const char *k2_engine_failure(const struct k2_engine *engine)
{
    return atomic_load(&engine->failed) ? engine->failure : NULL;
}

enum k2_status k2_engine_check_writable(const struct k2_engine *engine, struct k2_error *error)
{
    const char *failure = k2_engine_failure(engine);
    return failure == NULL ? K2_OK
                           : k2_fail(error, K2_IO,
                                     "%s: read-only since a failure (%s); look after the disk and "
                                     "open the store again",
                                     engine->path, failure);
}

const char *k2_engine_path(const struct k2_engine *engine)
{
    return engine->path;
}

const uint8_t *k2_engine_store_id(const struct k2_engine *engine)
{
    return engine->store_id;
}

uint64_t k2_engine_run(const struct k2_engine *engine)
{
    return engine->run;
}
