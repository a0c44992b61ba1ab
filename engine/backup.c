#include "engine/backup.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine/check.h"
#include "engine/engine_state.h"
#include "engine/file_io.h"
#include "engine/index_records.h"

// The order is what makes it consistent:
//
// 1. A read transaction begins: no segment that is live now or becomes live from now on is unlinked
//    before it ends.
// 2. The index is copied, of a state not older than that transaction. All files that it names are
//    there and have at least the length that it tells: they were durable before it was committed.
// 3. The copy of the index tells which segments to take, and how much of each.
struct backup {
    struct k2_engine *source; // borrowed
    const struct k2_backup_options *options;
    struct k2_backup_report *report;
    struct k2_engine *copy; // owned: what was made, opened for reading
    char target[K2_PATH_BYTES], folder[K2_PATH_BYTES];
};

enum { NAME_BYTES = 64 }; // room for what is put behind the target's path

static void put_path(char path[K2_PATH_BYTES], const char *folder, const char *name)
{
    int size = snprintf(path, K2_PATH_BYTES, "%s/%s", folder, name);
    assert(size > 0 && size < K2_PATH_BYTES); // name_folders refused longer ones
    (void)size;
}

// K2_LIMIT when there is something at `path`.
static enum k2_status check_target(const char *path, struct k2_error *error)
{
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return errno == ENOENT ? K2_OK : k2_fail_errno(error, errno, "%s: cannot read", path);
    }
    bool empty = true;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        empty &= strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    }
    (void)closedir(folder);
    return empty ? K2_OK
                 : k2_fail(error, K2_LIMIT, "%s: is not empty; name a folder that is not there",
                           path);
}

static enum k2_status name_folders(struct backup *self, const char *target, struct k2_error *error)
{
    size_t size = strlen(target);
    while (size > 1 && target[size - 1] == '/') {
        size--;
    }
    if (size == 0 || size > K2_PATH_BYTES - 2 * NAME_BYTES) {
        return k2_fail(error, K2_BAD_REQUEST, "target: a path of 1 to %d bytes is needed",
                       K2_PATH_BYTES - 2 * NAME_BYTES);
    }
    memcpy(self->target, target, size);
    self->target[size] = '\0';
    memcpy(self->folder, target, size);
    (void)snprintf(self->folder + size, NAME_BYTES, ".%ld.tmp", (long)getpid());
    return K2_OK;
}

static void remove_folders(struct backup *self)
{
    char path[K2_PATH_BYTES];
    put_path(path, self->folder, "index");
    (void)k2_file_remove_folder(path, NULL);
    put_path(path, self->folder, "segments");
    (void)k2_file_remove_folder(path, NULL);
    (void)k2_file_remove_folder(self->folder, NULL);
}

static enum k2_status make_folders(struct backup *self, struct k2_error *error)
{
    char path[K2_PATH_BYTES];
    remove_folders(self); // of a killed process that had this pid
    enum k2_status status = k2_file_make_directory(self->folder, error);
    put_path(path, self->folder, "index");
    if (status == K2_OK) {
        status = k2_file_make_directory(path, error);
    }
    put_path(path, self->folder, "segments");
    if (status == K2_OK) {
        status = k2_file_make_directory(path, error);
    }
    return status;
}

static enum k2_status copy_index(struct backup *self, struct k2_error *error)
{
    char path[K2_PATH_BYTES];
    int file = -1;
    put_path(path, self->folder, "index/data.mdb");
    enum k2_status status = k2_file_create(path, &file, error);
    if (status == K2_OK) {
        status = k2_store_copy(self->source->store, file, error);
        (void)close(file);
    }
    return status == K2_OK ? k2_engine_open(&self->copy, self->folder, K2_ENGINE_READ, error)
                           : status;
}

// `newest`: the writer may be appending to it. Any other file is complete, and its bytes never
// change: neither store will ever append to it, and removing it from one leaves it in the other.
static enum k2_status take_segment(struct backup *self, uint64_t segment_id, uint64_t length_bytes,
                                   bool newest, struct k2_error *error)
{
    char from[K2_PATH_BYTES], to[K2_PATH_BYTES];
    k2_engine_segment_path(self->source, segment_id, ".k2s", from);
    k2_engine_segment_path(self->copy, segment_id, ".k2s", to);
    bool linked = false;
    enum k2_status status = K2_OK;
    if (!newest && !self->options->copy_all) {
        status = k2_file_link(from, to, length_bytes, &linked, error);
    }
    if (status == K2_OK && !linked) {
        status = k2_file_copy(from, to, length_bytes, error);
    }
    self->report->segments++;
    self->report->bytes += length_bytes;
    return status;
}

// The newest segment with commits, which the writer may be appending to; 0: none.
static enum k2_status find_newest(struct k2_store_cursor *cursor, uint64_t *newest_id,
                                  struct k2_error *error)
{
    *newest_id = 0;
    enum k2_status status = k2_store_seek(cursor, (struct k2_slice){0}, error);
    while (status == K2_OK && cursor->found) {
        if (!k2_segment_record_decode(cursor->value).rewritten) {
            *newest_id = k2_index_key_get(cursor->key, 0, 8);
        }
        status = k2_store_next(cursor, error);
    }
    return status;
}

static enum k2_status take_segments(struct backup *self, struct k2_error *error)
{
    struct k2_store_txn *txn;
    struct k2_store_cursor cursor = {0};
    uint64_t newest_id = 0;
    enum k2_status status = k2_store_begin(self->copy->store, false, &txn, error);
    if (status != K2_OK) {
        return status;
    }
    status = k2_store_cursor_open(txn, K2_STORE_SEGMENT, &cursor, error);
    if (status == K2_OK) {
        status = find_newest(&cursor, &newest_id, error);
    }
    if (status == K2_OK) {
        status = k2_store_seek(&cursor, (struct k2_slice){0}, error);
    }
    while (status == K2_OK && cursor.found) {
        uint64_t segment_id = k2_index_key_get(cursor.key, 0, 8);
        struct k2_segment_record record = k2_segment_record_decode(cursor.value);
        if (record.state == K2_SEGMENT_LIVE) {
            status =
                take_segment(self, segment_id, record.length_bytes, segment_id == newest_id, error);
        }
        if (status == K2_OK) {
            status = k2_store_next(&cursor, error);
        }
    }
    k2_store_cursor_close(&cursor);
    k2_store_abort(txn);
    return status;
}

static void note_finding(void *context, const char *text)
{
    struct k2_error *first = context;
    if (first->text[0] == '\0') {
        (void)k2_fail(first, K2_CORRUPT, "%s", text);
    }
}

static enum k2_status check_copy(struct backup *self, struct k2_error *error)
{
    struct k2_error first = {0};
    struct k2_check_report found;
    struct k2_check_options options = {.finding = note_finding, .context = &first};
    struct k2_snapshot newest;
    enum k2_status status = k2_check(self->copy, &options, &found, error);
    if (status == K2_OK && found.findings > 0) {
        status = k2_fail(error, K2_CORRUPT, "the copy is damaged (%llu findings): %s",
                         (unsigned long long)found.findings, first.text);
    }
    if (status == K2_OK) {
        status = k2_snapshot_newest(self->copy, &newest, error);
    }
    if (status == K2_OK) {
        self->report->snapshot = newest.id;
        self->report->rows = found.rows;
        self->report->bytes += k2_store_size_bytes(self->copy->store);
    }
    return status;
}

static enum k2_status sync_parent(const char *path, struct k2_error *error)
{
    char parent[K2_PATH_BYTES];
    const char *slash = strrchr(path, '/');
    size_t size = slash == NULL ? 0 : (size_t)(slash - path);
    memcpy(parent, path, size);
    parent[size] = '\0';
    return k2_file_sync_directory(slash == NULL ? "." : slash == path ? "/" : parent, error);
}

// The files are durable; now their names, and then the one by which the whole is known.
static enum k2_status publish(struct backup *self, struct k2_error *error)
{
    static const char *const names[] = {"segments", "index", "."};
    char path[K2_PATH_BYTES];
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && status == K2_OK; i++) {
        put_path(path, self->folder, names[i]);
        status = k2_file_sync_directory(path, error);
    }
    if (status == K2_OK) {
        status = k2_file_rename(self->folder, self->target, error);
    }
    return status == K2_OK ? sync_parent(self->target, error) : status;
}

static enum k2_status make_copy(struct backup *self, struct k2_error *error)
{
    struct k2_store_txn *pin = NULL;
    enum k2_status status = k2_store_begin(self->source->store, false, &pin, error);
    if (status != K2_OK) {
        return status;
    }
    status = copy_index(self, error);
    if (status == K2_OK) {
        status = take_segments(self, error);
    }
    k2_store_abort(pin);
    if (status == K2_OK) {
        status = check_copy(self, error);
    }
    k2_engine_close(self->copy);
    self->copy = NULL;
    return status == K2_OK ? publish(self, error) : status;
}

enum k2_status k2_backup(struct k2_engine *engine, const char *target,
                         const struct k2_backup_options *options, struct k2_backup_report *report,
                         struct k2_error *error)
{
    struct backup self = {.source = engine, .options = options, .report = report};
    memset(report, 0, sizeof *report);
    enum k2_status status = name_folders(&self, target, error);
    if (status == K2_OK) {
        status = check_target(self.target, error);
    }
    if (status != K2_OK) {
        return status;
    }
    status = make_folders(&self, error);
    if (status == K2_OK) {
        status = make_copy(&self, error);
    }
    if (status != K2_OK) {
        remove_folders(&self);
        k2_error_annotate(error, "%s", self.target);
    }
    return status;
}
