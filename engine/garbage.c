#include "engine/garbage.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine/engine_state.h"
#include "engine/file_io.h"
#include "engine/index_records.h"
#include "format/base/alloc.h"

// Does the index name this file? `*segment_id` is that of the name, 0 if it is none.
static enum k2_status is_named(struct k2_store_txn *txn, const char *name, bool *named,
                               uint64_t *segment_id, struct k2_error *error)
{
    *named = false;
    *segment_id = 0;
    const char *suffix = k2_engine_segment_suffix(name, segment_id);
    if (suffix == NULL || strcmp(suffix, ".k2s") != 0) {
        return K2_OK;
    }
    struct k2_index_key key = k2_index_key_id(*segment_id, 8);
    struct k2_slice value;
    return k2_store_get(txn, K2_STORE_SEGMENT, k2_index_key_slice(&key), named, &value, error);
}

enum k2_status k2_garbage_sweep(struct k2_engine *engine, struct k2_error *error)
{
    char path[K2_PATH_BYTES], file[K2_PATH_BYTES + 264];
    k2_engine_segment_path(engine, 0, NULL, path);
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return k2_fail_errno(error, errno, "%s: cannot read", path);
    }
    struct k2_store_txn *txn = NULL;
    struct k2_store_cursor cursor = {0};
    enum k2_status status = k2_store_begin(engine->store, false, &txn, error);
    if (status == K2_OK) { // a damaged table would name too few files, and the others go below
        status = k2_store_verify(txn, K2_STORE_SEGMENT, (struct k2_slice){0}, (struct k2_slice){0},
                                 error);
    }
    if (status == K2_OK) {
        status = k2_store_cursor_open(txn, K2_STORE_SEGMENT, &cursor, error);
    }
    if (status == K2_OK) {
        status = k2_store_last(&cursor, error);
    }
    if (status == K2_OK && cursor.found) {
        engine->newest_segment = k2_index_key_get(cursor.key, 0, 8);
    }
    for (struct dirent *entry; status == K2_OK && (entry = readdir(folder)) != NULL;) {
        bool named = false;
        uint64_t segment_id = 0;
        status = is_named(txn, entry->d_name, &named, &segment_id, error);
        if (status == K2_OK && !named && segment_id != 0) {
            (void)snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
            status = k2_file_unlink(file, error);
        }
    }
    k2_store_cursor_close(&cursor);
    k2_store_abort(txn);
    (void)closedir(folder);
    return status;
}

struct retired {
    uint64_t txn_id, segment_id;
};

// Retired segments, oldest first; at most `room`.
static enum k2_status list_retired(struct k2_engine *engine, struct retired *list, size_t room,
                                   size_t *count, struct k2_error *error)
{
    struct k2_store_txn *txn;
    struct k2_store_cursor cursor = {0};
    *count = 0;
    enum k2_status status = k2_store_begin(engine->store, false, &txn, error);
    if (status != K2_OK) {
        return status;
    }
    status = k2_store_cursor_begin(txn, K2_STORE_RETIRED, &cursor, error);
    while (status == K2_OK && cursor.found && *count < room) {
        list[(*count)++] = (struct retired){k2_index_key_get(cursor.key, 0, 8),
                                            k2_index_key_get(cursor.key, 8, 8)};
        status = k2_store_next(&cursor, error);
    }
    k2_store_cursor_close(&cursor);
    k2_store_abort(txn);
    return status;
}

static enum k2_status forget(struct k2_store_txn *txn, const struct retired *retired,
                             struct k2_error *error)
{
    struct k2_index_key key = k2_index_key_id(retired->txn_id, 8);
    k2_index_key_put(&key, retired->segment_id, 8);
    enum k2_status status = k2_store_delete(txn, K2_STORE_RETIRED, k2_index_key_slice(&key), error);
    key = k2_index_key_id(retired->segment_id, 8);
    if (status == K2_OK) {
        status = k2_store_delete(txn, K2_STORE_SEGMENT, k2_index_key_slice(&key), error);
    }
    return status;
}

static enum k2_status forget_all(struct k2_engine *engine, const struct retired *list, size_t count,
                                 struct k2_error *error)
{
    struct k2_store_txn *txn = NULL;
    enum k2_status status = k2_store_begin(engine->store, true, &txn, error);
    for (size_t i = 0; i < count && status == K2_OK; i++) {
        status = forget(txn, &list[i], error);
    }
    if (status != K2_OK) {
        k2_store_abort(txn);
        return status;
    }
    return k2_store_commit(txn, error);
}

// Files first, then the index: a file that is gone already is fine, a forgotten one would stay
// until the next start. What went before a failure is forgotten all the same.
static enum k2_status remove_segments(struct k2_engine *engine, const struct retired *list,
                                      size_t count, struct k2_error *error)
{
    char path[K2_PATH_BYTES];
    enum k2_status status = K2_OK;
    size_t gone = 0;
    while (gone < count && status == K2_OK) {
        k2_engine_segment_path(engine, list[gone].segment_id, ".k2s", path);
        status = k2_file_unlink(path, error);
        k2_view_cache_forget(engine->views, list[gone].segment_id); // the space comes back
        gone += status == K2_OK;
    }
    if (gone == 0) {
        return status;
    }
    // A file that came back would have nobody who knows that it is void.
    k2_engine_segment_path(engine, 0, NULL, path);
    enum k2_status rest = k2_file_sync_directory(path, status == K2_OK ? error : NULL);
    if (rest == K2_OK) {
        rest = forget_all(engine, list, gone, status == K2_OK ? error : NULL);
    }
    return status == K2_OK ? rest : status;
}

enum k2_status k2_garbage_collect(struct k2_engine *engine, size_t *left, struct k2_error *error)
{
    enum { BATCH = 256 };
    struct retired *list = k2_alloc_zero(BATCH, sizeof *list);
    uint64_t oldest = 0;
    size_t count = 0, free_count = 0;
    if (list == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "garbage: out of memory");
    }
    enum k2_status status = K2_OK;
    (void)pthread_mutex_lock(&engine->rewrite_lock); // one at a time
    do {
        status = list_retired(engine, list, BATCH, &count, error);
        if (status == K2_OK && count > 0) {
            status = k2_store_oldest_reader(engine->store, &oldest, error);
        }
        free_count = 0;
        while (status == K2_OK && free_count < count && list[free_count].txn_id <= oldest) {
            free_count++;
        }
        if (status == K2_OK && free_count > 0) {
            status = remove_segments(engine, list, free_count, error);
        }
    } while (status == K2_OK && free_count == BATCH);
    (void)pthread_mutex_unlock(&engine->rewrite_lock);
    k2_free(list);
    if (left != NULL) {
        *left = count - free_count;
    }
    return status;
}
