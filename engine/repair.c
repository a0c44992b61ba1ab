#include "engine/repair.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/engine_state.h"
#include "engine/file_io.h"
#include "engine/journal.h"
#include "engine/ledger_history.h"
#include "engine/publish.h"
#include "engine/repair_index.h"
#include "engine/repair_losses.h"
#include "engine/version_count.h"
#include "engine/volume.h"
#include "format/base/alloc.h"
#include "format/segment/segment_layout.h"

// A group that the index names and that is not there any more.
struct gone {
    struct k2_group_place place;
    struct k2_group_record record;
};

struct repair {
    const char *path; // borrowed
    const struct k2_repair_options *options;
    struct k2_repair_report *report;
    int lock;
    struct k2_store *index; // owned: the old one, when it can be read
    struct k2_salvage salvage;
    struct gone *gone; // owned
    size_t gone_count;
    uint64_t *damaged; // owned: segments that a copy replaces
    size_t damaged_count;
    struct k2_losses losses;
};

static void put_path(const struct repair *self, const char *name, char path[K2_PATH_BYTES])
{
    int size = snprintf(path, K2_PATH_BYTES, "%s/%s", self->path, name);
    assert(size > 0 && size < K2_PATH_BYTES); // k2_repair refused longer ones
    (void)size;
}

static void put_segment_path(const struct repair *self, const char *folder, uint64_t id,
                             const char *suffix, char path[K2_PATH_BYTES])
{
    char name[80];
    (void)snprintf(name, sizeof name, "%s/%016llx%s", folder, (unsigned long long)id, suffix);
    put_path(self, name, path);
}

static bool exists(const struct repair *self, const char *name)
{
    char path[K2_PATH_BYTES];
    struct stat status;
    put_path(self, name, path);
    return stat(path, &status) == 0;
}

// ---- the old index

// Opens the index if every page and value of it is what was written; else self->index stays NULL.
static enum k2_status open_index(struct repair *self, uint8_t store_id[16], struct k2_error *error)
{
    char path[K2_PATH_BYTES];
    struct k2_store_txn *txn = NULL;
    struct k2_slice value = {0};
    bool found = false;
    if (self->options->from_segments || !exists(self, "index/data.mdb")) {
        return K2_OK;
    }
    put_path(self, "index", path);
    enum k2_status status = k2_store_open(&self->index, path, false, error);
    if (status == K2_OK) {
        status = k2_store_begin(self->index, false, &txn, error);
    }
    if (status == K2_OK) {
        status = k2_store_verify_all(txn, error);
    }
    if (status == K2_OK) {
        status = k2_store_get(txn, K2_STORE_META, k2_slice_of("store_id"), &found, &value, error);
    }
    if (status == K2_OK && found && value.size_bytes == 16) {
        memcpy(store_id, value.data, 16);
    }
    k2_store_abort(txn);
    if (status != K2_OK || !found || value.size_bytes != 16) {
        k2_store_close(self->index);
        self->index = NULL;
    }
    // Any failure but of this machine means that the index is of no use.
    return status == K2_NO_MEMORY || status == K2_BUSY || status == K2_NOT_PERMITTED ? status
                                                                                     : K2_OK;
}

static enum k2_status note_gone(struct repair *self, const struct k2_group_place *place,
                                const struct k2_group_record *record, struct k2_error *error)
{
    struct gone *grown = k2_realloc(self->gone, self->gone_count + 1, sizeof *grown);
    if (grown == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "repair: out of memory");
    }
    self->gone = grown;
    self->gone[self->gone_count++] = (struct gone){*place, *record};
    return K2_OK;
}

// What the index says of groups: those that can be read count, of the others it tells what is lost.
static enum k2_status decide_by_index(struct repair *self, struct k2_error *error)
{
    struct k2_store_txn *txn;
    struct k2_store_cursor cursor = {0};
    enum k2_status status = k2_store_begin(self->index, false, &txn, error);
    if (status != K2_OK) {
        return status;
    }
    status = k2_store_cursor_begin(txn, K2_STORE_GROUP, &cursor, error);
    while (status == K2_OK && cursor.found) {
        struct k2_group_place place = k2_group_place_of(cursor.key);
        struct k2_group_record record = k2_group_record_decode(cursor.value);
        struct k2_salvaged_group *group =
            k2_salvage_find(&self->salvage, place.segment_id, place.offset);
        bool there = group != NULL && group->state == K2_SALVAGED_SOUND &&
                     group->record.row_count == record.row_count &&
                     group->record.length_bytes == record.length_bytes &&
                     group->place.table == place.table;
        if (there) {
            group->counts = true;
        } else {
            status = note_gone(self, &place, &record, error);
            if (status == K2_OK && group != NULL && group->state == K2_SALVAGED_DAMAGED) {
                status = k2_losses_add_group(&self->losses, &self->salvage, group, error);
            } else if (status == K2_OK) {
                status = k2_losses_add_indexed(&self->losses, txn, &place, &record, error);
            }
        }
        if (status == K2_OK) {
            status = k2_store_next(&cursor, error);
        }
    }
    k2_store_cursor_close(&cursor);
    k2_store_abort(txn);
    return status;
}

// ---- damaged files

static enum k2_status note_damaged(struct repair *self, uint64_t segment_id, struct k2_error *error)
{
    for (size_t i = 0; i < self->damaged_count; i++) {
        if (self->damaged[i] == segment_id) {
            return K2_OK;
        }
    }
    uint64_t *grown = k2_realloc(self->damaged, self->damaged_count + 1, sizeof *grown);
    if (grown == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "repair: out of memory");
    }
    self->damaged = grown;
    self->damaged[self->damaged_count++] = segment_id;
    return K2_OK;
}

static bool has_gone(const struct repair *self, uint64_t segment_id)
{
    for (size_t i = 0; i < self->gone_count; i++) {
        if (self->gone[i].place.segment_id == segment_id) {
            return true;
        }
    }
    return false;
}

// With an index, what it does not name is no damage.
static enum k2_status find_damaged(struct repair *self, struct k2_error *error)
{
    const struct k2_salvage *salvage = &self->salvage;
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < salvage->segment_count && status == K2_OK; i++) {
        const struct k2_salvaged_segment *segment = &salvage->segments[i];
        bool counts = false, lost = has_gone(self, segment->id);
        for (size_t j = k2_salvage_first(salvage, segment->id);
             j < salvage->group_count && salvage->groups[j].place.segment_id == segment->id; j++) {
            counts |= salvage->groups[j].counts;
            lost |= self->index == NULL && salvage->groups[j].lost;
        }
        if (lost || (counts && !segment->sound_header)) {
            status = note_damaged(self, segment->id, error);
        }
    }
    return status;
}

// Files that end before their committed length: maybe in what a rewrite has replaced, so that no
// group that counts is gone.
static enum k2_status find_short(struct repair *self, struct k2_error *error)
{
    struct k2_store_txn *txn;
    struct k2_store_cursor cursor = {0};
    enum k2_status status = k2_store_begin(self->index, false, &txn, error);
    if (status != K2_OK) {
        return status;
    }
    status = k2_store_cursor_begin(txn, K2_STORE_SEGMENT, &cursor, error);
    while (status == K2_OK && cursor.found) {
        struct k2_segment_record record = k2_segment_record_decode(cursor.value);
        uint64_t id = k2_index_key_get(cursor.key, 0, 8);
        const struct k2_salvaged_segment *file = k2_salvage_segment(&self->salvage, id);
        uint64_t size_bytes = file == NULL ? 0 : file->size_bytes;
        if (record.state == K2_SEGMENT_LIVE && size_bytes < record.length_bytes) {
            status = note_damaged(self, id, error);
        }
        if (status == K2_OK) {
            status = k2_store_next(&cursor, error);
        }
    }
    k2_store_cursor_close(&cursor);
    k2_store_abort(txn);
    return status;
}

// A second name below quarantine/, so that the file is there whatever happens next.
static enum k2_status quarantine(struct repair *self, uint64_t segment_id, struct k2_error *error)
{
    char from[K2_PATH_BYTES], to[K2_PATH_BYTES], suffix[32] = ".k2s";
    struct stat status, taken;
    put_segment_path(self, "segments", segment_id, ".k2s", from);
    if (stat(from, &status) != 0) {
        return errno == ENOENT ? K2_OK : k2_fail_errno(error, errno, "%s: cannot stat", from);
    }
    for (int number = 1; number < 1000; number++) {
        put_segment_path(self, "quarantine", segment_id, suffix, to);
        if (stat(to, &taken) != 0) {
            bool linked = false;
            enum k2_status result =
                k2_file_link(from, to, (uint64_t)status.st_size, &linked, error);
            if (result == K2_OK && !linked) {
                result = k2_file_copy(from, to, (uint64_t)status.st_size, error);
            }
            self->report->quarantined += result == K2_OK;
            return result;
        }
        if (taken.st_ino == status.st_ino && taken.st_dev == status.st_dev) {
            return K2_OK; // by a repair that was killed
        }
        (void)snprintf(suffix, sizeof suffix, ".%d.k2s", number);
    }
    return k2_fail(error, K2_LIMIT, "%s: is in quarantine a thousand times", from);
}

static enum k2_status write_sound(struct repair *self, int file, uint64_t segment_id,
                                  struct k2_error *error)
{
    struct k2_salvage *salvage = &self->salvage;
    struct k2_buffer header;
    k2_buffer_init(&header, 1 << 16);
    enum k2_status status = k2_segment_header_encode(salvage->store_id, segment_id, &header, error);
    if (status == K2_OK) {
        status = k2_file_write(file, k2_buffer_slice(&header), 0, error);
    }
    k2_buffer_deinit(&header);
    for (size_t i = k2_salvage_first(salvage, segment_id);
         status == K2_OK && i < salvage->group_count &&
         salvage->groups[i].place.segment_id == segment_id;
         i++) {
        const struct k2_salvaged_group *group = &salvage->groups[i];
        struct k2_slice bytes;
        if (group->counts || (group->replaced && group->state == K2_SALVAGED_SOUND)) {
            status = k2_salvage_bytes(salvage, group, &bytes, error);
            if (status == K2_OK) {
                status = k2_file_write(file, bytes, group->place.offset, error);
            }
        }
    }
    return status == K2_OK ? k2_file_sync(file, error) : status;
}

static bool has_sound(const struct repair *self, uint64_t segment_id)
{
    const struct k2_salvage *salvage = &self->salvage;
    for (size_t i = k2_salvage_first(salvage, segment_id);
         i < salvage->group_count && salvage->groups[i].place.segment_id == segment_id; i++) {
        if (salvage->groups[i].counts) {
            return true;
        }
    }
    return false;
}

// The sound groups at their old places, so that their checksums hold; what was between them is
// left out.
static enum k2_status write_copy(struct repair *self, uint64_t segment_id, struct k2_error *error)
{
    char path[K2_PATH_BYTES];
    int file = -1;
    if (!has_sound(self, segment_id)) {
        return K2_OK;
    }
    put_segment_path(self, "segments", segment_id, ".tmp", path);
    enum k2_status status = k2_file_unlink(path, error);
    if (status == K2_OK) {
        status = k2_file_create(path, &file, error);
    }
    if (status == K2_OK) {
        status = write_sound(self, file, segment_id, error);
        (void)close(file);
    }
    if (status != K2_OK) {
        k2_error_annotate(error, "%s", path);
    }
    return status;
}

static enum k2_status prepare_files(struct repair *self, struct k2_error *error)
{
    char path[K2_PATH_BYTES];
    enum k2_status status = K2_OK;
    put_path(self, "quarantine", path);
    if (self->damaged_count > 0) {
        status = k2_file_make_directory(path, error);
    }
    for (size_t i = 0; i < self->damaged_count && status == K2_OK; i++) {
        status = quarantine(self, self->damaged[i], error);
        if (status == K2_OK) {
            status = write_copy(self, self->damaged[i], error);
        }
    }
    if (status == K2_OK && self->damaged_count > 0) {
        status = k2_file_sync_directory(path, error);
    }
    return status;
}

static enum k2_status replace_files(struct repair *self, struct k2_error *error)
{
    char from[K2_PATH_BYTES], to[K2_PATH_BYTES];
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < self->damaged_count && status == K2_OK; i++) {
        put_segment_path(self, "segments", self->damaged[i], ".tmp", from);
        put_segment_path(self, "segments", self->damaged[i], ".k2s", to);
        status = has_sound(self, self->damaged[i]) ? k2_file_rename(from, to, error)
                                                   : k2_file_unlink(to, error);
    }
    put_path(self, "segments", to);
    return status == K2_OK ? k2_file_sync_directory(to, error) : status;
}

// ---- the new index

// Takes what is gone out of a copy of the old index.
static enum k2_status mend(struct repair *self, struct k2_store *store, struct k2_error *error)
{
    struct k2_store_txn *txn;
    enum k2_status status = k2_store_begin(store, true, &txn, error);
    if (status != K2_OK) {
        return status;
    }
    for (size_t i = 0; i < self->gone_count && status == K2_OK; i++) {
        const struct gone *gone = &self->gone[i];
        struct k2_new_group group = {.place = gone->place, .record = gone->record};
        status = k2_publish_remove(txn, &group, error);
        if (status == K2_OK) {
            status = k2_repair_index_segment(&self->salvage, gone->place.segment_id, txn, error);
        }
    }
    // The copy of a damaged file ends where its last group does, whatever was behind it.
    for (size_t i = 0; i < self->damaged_count && status == K2_OK; i++) {
        status = k2_repair_index_segment(&self->salvage, self->damaged[i], txn, error);
    }
    // What is gone is missing from now on: the ledger is made again from the rows that are left.
    if (status == K2_OK && self->gone_count > 0) {
        status = k2_ledger_forget(txn, error);
        if (status == K2_OK) {
            status = k2_version_count_forget(txn, UINT64_MAX - 1, error); // it was not lost
        }
    }
    if (status != K2_OK) {
        k2_store_abort(txn);
        return status;
    }
    return k2_store_commit(txn, error);
}

static enum k2_status copy_index(struct repair *self, struct k2_error *error)
{
    char path[K2_PATH_BYTES];
    int file = -1;
    put_path(self, "index.tmp/data.mdb", path);
    enum k2_status status = k2_file_create(path, &file, error);
    if (status == K2_OK) {
        status = k2_store_copy(self->index, file, error);
        (void)close(file);
    }
    return status;
}

static enum k2_status make_index(struct repair *self, struct k2_error *error)
{
    char path[K2_PATH_BYTES];
    struct k2_store *store = NULL;
    put_path(self, "index.tmp", path);
    enum k2_status status = k2_file_remove_folder(path, error); // of a repair that was killed
    if (status == K2_OK) {
        status = k2_file_make_directory(path, error);
    }
    if (status == K2_OK && self->index != NULL) {
        status = copy_index(self, error);
    }
    if (status == K2_OK) {
        status = k2_store_open(&store, path, true, error);
    }
    if (status == K2_OK) {
        status = self->index != NULL ? mend(self, store, error)
                                     : k2_repair_index_build(&self->salvage, store, error);
    }
    k2_store_close(store);
    return status == K2_OK ? k2_file_sync_directory(path, error) : status;
}

// The new index takes the place of the old one, which goes to quarantine/ if it is damaged.
static enum k2_status install_index(struct repair *self, struct k2_error *error)
{
    char fresh[K2_PATH_BYTES], place[K2_PATH_BYTES], old[K2_PATH_BYTES];
    bool readable = self->index != NULL;
    put_path(self, "index.tmp", fresh);
    put_path(self, "index", place);
    k2_store_close(self->index); // it is exchanged below
    self->index = NULL;
    bool replaces = exists(self, "index");
    enum k2_status status =
        replaces ? k2_file_exchange(fresh, place, error) : k2_file_rename(fresh, place, error);
    if (status == K2_OK) {
        status = k2_file_sync_directory(self->path, error);
    }
    if (status != K2_OK || !replaces) {
        return status;
    }
    if (readable) {
        return k2_file_remove_folder(fresh, error);
    }
    put_path(self, "quarantine", old);
    status = k2_file_make_directory(old, error);
    put_path(self, "quarantine/index", old);
    if (status == K2_OK) {
        status = k2_file_remove_folder(old, error); // the last damaged one is kept
    }
    return status == K2_OK ? k2_file_rename(fresh, old, error) : status;
}

// ---- all of it

static enum k2_status lose_by_headers(struct repair *self, struct k2_error *error)
{
    const struct k2_salvage *salvage = &self->salvage;
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < salvage->group_count && status == K2_OK; i++) {
        if (salvage->groups[i].lost) {
            status = k2_losses_add_group(&self->losses, &self->salvage, &salvage->groups[i], error);
        }
    }
    if (status == K2_OK && salvage->missing_count > 0) {
        status = k2_losses_add_missing(&self->losses, salvage->first_missing,
                                       salvage->missing_count, error);
    }
    return status;
}

static void count_rows(struct repair *self)
{
    const struct k2_salvage *salvage = &self->salvage;
    for (size_t i = 0; i < salvage->group_count; i++) {
        const struct k2_salvaged_group *group = &salvage->groups[i];
        if (group->counts && strcmp(salvage->names[group->name], K2_JOURNAL_TABLE) != 0) {
            self->report->recovered_rows += group->record.row_count;
        }
    }
}

static enum k2_status decide(struct repair *self, struct k2_error *error)
{
    uint8_t store_id[16];
    enum k2_status status = open_index(self, store_id, error);
    if (status == K2_OK) {
        status = k2_salvage_open(&self->salvage, self->path, self->index != NULL ? store_id : NULL,
                                 error);
    }
    if (status == K2_OK) {
        status = self->index != NULL ? decide_by_index(self, error)
                                     : k2_salvage_decide(&self->salvage, error);
    }
    if (status == K2_OK) {
        status = find_damaged(self, error);
    }
    return status == K2_OK && self->index != NULL ? find_short(self, error) : status;
}

static enum k2_status mend_store(struct repair *self, struct k2_error *error)
{
    enum k2_status status = decide(self, error);
    if (status != K2_OK) {
        return status;
    }
    bool from_headers = self->index == NULL;
    self->report->changed = from_headers || self->gone_count > 0 || self->damaged_count > 0;
    if (!self->report->changed) {
        count_rows(self);
        return K2_OK;
    }
    // Until the new index is in its place, nothing but copies and second names is made.
    status = prepare_files(self, error);
    if (status == K2_OK) {
        status = make_index(self, error);
    }
    if (status == K2_OK && from_headers) {
        status = lose_by_headers(self, error);
    }
    if (status == K2_OK) {
        status = install_index(self, error);
    }
    if (status == K2_OK) {
        status = replace_files(self, error);
    }
    count_rows(self);
    return status;
}

// A writer's start makes the gap ledger again, if it is to be.
static enum k2_status recall_ledger(const char *path, struct k2_error *error)
{
    struct k2_engine *engine = NULL;
    enum k2_status status = k2_engine_open(&engine, path, K2_ENGINE_WRITE, error);
    k2_engine_close(engine);
    return status;
}

enum k2_status k2_repair(const char *path, const struct k2_repair_options *options,
                         struct k2_repair_report *report, struct k2_error *error)
{
    struct repair self = {.path = path, .options = options, .report = report, .lock = -1};
    char name[K2_PATH_BYTES], holder[K2_FILE_HOLDER_BYTES];
    memset(report, 0, sizeof *report);
    if (path[0] == '\0' || strlen(path) > K2_PATH_BYTES - 128) {
        return k2_fail(error, K2_BAD_REQUEST, "data folder: a path of 1 to %d bytes is needed",
                       K2_PATH_BYTES - 128);
    }
    if (!exists(&self, "segments")) {
        return k2_fail(error, K2_NOT_FOUND, "%s: no store here", path);
    }
    enum k2_status status = k2_volume_check(path, error);
    put_path(&self, "LOCK", name);
    if (status == K2_OK) {
        status = k2_file_lock(name, &self.lock, holder, error);
    }
    if (status == K2_BUSY) {
        return k2_fail(error, K2_BUSY, "%s: process %s writes to this store; end it", path, holder);
    }
    if (status == K2_OK) {
        status = mend_store(&self, error);
    }
    if (status == K2_OK) {
        report->lost = k2_losses_tell(&self.losses, options);
    }
    k2_store_close(self.index);
    k2_salvage_close(&self.salvage);
    k2_losses_deinit(&self.losses);
    k2_free(self.gone);
    k2_free(self.damaged);
    if (self.lock >= 0) {
        (void)close(self.lock);
    }
    return status == K2_OK && report->changed ? recall_ledger(path, error) : status;
}
