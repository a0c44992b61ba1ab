#include "query/export/table_commit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "format/base/alloc.h"

enum {
    MOST_ATTEMPTS = 12,
    MOST_LOOKS = 8, // for what became of a commit without an answer
    FIRST_PAUSE_MS = 20,
    MOST_PAUSE_MS = 2000,
    MERGED_MANIFEST_BYTES = 8 << 20,
    MOST_COUNTS = 16,
};
static const size_t file_ceiling_bytes = (size_t)1 << 30;
static const size_t location_ceiling_bytes = 1 << 16;
static const int64_t snapshot_id_bound = (int64_t)1 << 53;

static enum k2_status no_memory(struct k2_error *error)
{
    return k2_fail(error, K2_NO_MEMORY, "export: no memory");
}

// ---- chance and time ------------------------------------------------------------------------

static enum k2_status random_bytes(void *bytes, size_t size_bytes, struct k2_error *error)
{
    ssize_t got = getrandom(bytes, size_bytes, 0);
    return got == (ssize_t)size_bytes ? K2_OK : k2_fail_errno(error, errno, "no random numbers");
}

enum k2_status k2_make_sync(uint8_t sync[16], struct k2_error *error)
{
    return random_bytes(sync, 16, error);
}

enum k2_status k2_make_uuid(char uuid[K2_UUID_BYTES], struct k2_error *error)
{
    uint8_t bytes[16];
    enum k2_status status = random_bytes(bytes, sizeof bytes, error);
    if (status != K2_OK) {
        return status;
    }
    bytes[6] = (uint8_t)((bytes[6] & 0x0f) | 0x40); // version 4
    bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80);
    char *at = uuid;
    for (size_t i = 0; i < sizeof bytes; i++) {
        at += snprintf(at, (size_t)(uuid + K2_UUID_BYTES - at), "%s%02x",
                       i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", bytes[i]);
    }
    return K2_OK;
}

int64_t k2_now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

// Twice as long each time, and half of it by chance, so that writers do not meet again.
static void pause_before(size_t attempt)
{
    uint32_t chance = 0;
    long most = FIRST_PAUSE_MS << (attempt < 7 ? attempt : 7);
    most = most < MOST_PAUSE_MS ? most : MOST_PAUSE_MS;
    (void)random_bytes(&chance, sizeof chance, NULL);
    long pause_ms = most / 2 + (long)(chance % (uint32_t)(most / 2));
    struct timespec pause = {pause_ms / 1000, pause_ms % 1000 * 1000000};
    (void)nanosleep(&pause, NULL);
}

static enum k2_status make_snapshot_id(const struct k2_iceberg_metadata *metadata, int64_t *id,
                                       struct k2_error *error)
{
    struct k2_iceberg_snapshot taken;
    do {
        uint64_t chance = 0;
        enum k2_status status = random_bytes(&chance, sizeof chance, error);
        if (status != K2_OK) {
            return status;
        }
        *id = (int64_t)(chance % (uint64_t)(snapshot_id_bound - 1)) + 1;
    } while (k2_iceberg_find_snapshot(metadata, *id, &taken));
    return K2_OK;
}

// ---- reading --------------------------------------------------------------------------------

static enum k2_status get_file(struct k2_object_store *store, const char *location,
                               struct k2_buffer *bytes, struct k2_error *error)
{
    k2_buffer_init(bytes, file_ceiling_bytes);
    enum k2_status status = store->class->get(store->self, location, 0, SIZE_MAX, bytes, error);
    if (status == K2_NOT_FOUND) {
        status =
            k2_fail(error, K2_CORRUPT, "%s: the file is missing; the table names it", location);
    }
    return status;
}

enum k2_status k2_table_manifests(struct k2_object_store *store, const char *manifest_list,
                                  struct k2_iceberg_manifests *manifests, struct k2_error *error)
{
    struct k2_buffer bytes;
    enum k2_status status = get_file(store, manifest_list, &bytes, error);
    if (status == K2_OK) {
        status = k2_iceberg_manifest_list_read(manifests, k2_buffer_slice(&bytes), error);
        if (status != K2_OK) {
            k2_error_annotate(error, "%s", manifest_list);
        }
    }
    k2_buffer_deinit(&bytes);
    return status;
}

enum k2_status k2_table_entries(struct k2_object_store *store,
                                const struct k2_iceberg_manifest *manifest,
                                struct k2_iceberg_entries *entries, struct k2_error *error)
{
    struct k2_buffer bytes;
    const char *location = (const char *)manifest->path.data; // in an arena: with a NUL
    enum k2_status status = get_file(store, location, &bytes, error);
    if (status == K2_OK) {
        status = k2_iceberg_manifest_read(entries, k2_buffer_slice(&bytes), manifest, error);
        if (status != K2_OK) {
            k2_error_annotate(error, "%s", location);
        }
    }
    k2_buffer_deinit(&bytes);
    return status;
}

static void drop_deleted(struct k2_iceberg_entries *entries, size_t first)
{
    size_t kept = first;
    for (size_t i = first; i < entries->count; i++) {
        if (entries->items[i].status != K2_ICEBERG_DELETED) {
            entries->items[kept++] = entries->items[i];
        }
    }
    entries->count = kept;
}

enum k2_status k2_table_files(struct k2_table_place *place, struct k2_iceberg_entries *entries,
                              struct k2_error *error)
{
    struct k2_iceberg_snapshot current;
    struct k2_iceberg_manifests manifests = {0};
    if (!k2_iceberg_current_snapshot(place->table.metadata, &current)) {
        return K2_OK;
    }
    enum k2_status status =
        k2_table_manifests(place->store, current.manifest_list, &manifests, error);
    for (size_t i = 0; i < manifests.count && status == K2_OK; i++) {
        status = k2_table_entries(place->store, &manifests.items[i], entries, error);
    }
    drop_deleted(entries, 0);
    k2_iceberg_manifests_deinit(&manifests);
    return status;
}

// ---- one attempt ----------------------------------------------------------------------------

struct attempt {
    struct k2_table_place *place;
    const struct k2_table_change *change;
    struct k2_iceberg_manifest_head head;
    struct k2_buffer schema_json, spec_json;
    size_t number;         // of the attempt
    size_t manifest_count; // written by it
    struct k2_iceberg_snapshot snapshot, parent;
    bool has_parent;
    struct k2_iceberg_manifests manifests; // of the parent, then of the snapshot
    struct k2_arena arena;
    struct k2_buffer written; // locations of this attempt's files, each with a NUL
    // Files that went.
    size_t removed_files;
    int64_t removed_rows, removed_bytes;
};

static void attempt_deinit(struct attempt *self)
{
    k2_buffer_deinit(&self->schema_json);
    k2_buffer_deinit(&self->spec_json);
    k2_buffer_deinit(&self->written);
    k2_iceberg_manifests_deinit(&self->manifests);
    k2_arena_deinit(&self->arena);
}

static void attempt_init(struct attempt *self, struct k2_table_place *place,
                         const struct k2_table_change *change, size_t number)
{
    *self = (struct attempt){.place = place, .change = change, .number = number};
    k2_buffer_init(&self->schema_json, file_ceiling_bytes);
    k2_buffer_init(&self->spec_json, file_ceiling_bytes);
    k2_buffer_init(&self->written, file_ceiling_bytes);
}

// Files of an attempt that surely was not taken.
static void remove_written(struct attempt *self)
{
    const char *at = (const char *)self->written.data;
    const char *end = at + self->written.size_bytes;
    for (; !self->written.failed && at < end; at += strlen(at) + 1) {
        (void)self->place->store->class->remove(self->place->store->self, at, NULL);
    }
}

// `*location` lives in the arena.
static enum k2_status put_file(struct attempt *self, const char *name,
                               const struct k2_buffer *bytes, struct k2_slice *location,
                               struct k2_error *error)
{
    struct k2_buffer path;
    struct k2_object_store *store = self->place->store;
    k2_buffer_init(&path, location_ceiling_bytes);
    k2_put_format(&path, "%s/metadata/%s", k2_iceberg_location(self->place->table.metadata), name);
    enum k2_status status = k2_buffer_check(&path, "export: a location", error);
    if (status == K2_OK) {
        status = k2_buffer_check(bytes, "export: a manifest", error);
    }
    if (status == K2_OK) {
        const char *text = k2_arena_text(&self->arena, k2_buffer_slice(&path));
        *location = (struct k2_slice){(const uint8_t *)text, path.size_bytes};
        k2_put_bytes(&self->written, text, text == NULL ? 0 : path.size_bytes + 1);
        status = text == NULL ? no_memory(error)
                              : store->class->put(store->self, text, k2_buffer_slice(bytes),
                                                  K2_PUT_IF_ABSENT, error);
    }
    k2_buffer_deinit(&path);
    return status;
}

static enum k2_status write_manifest(struct attempt *self, const struct k2_iceberg_entry *entries,
                                     size_t count, struct k2_iceberg_manifest *manifest,
                                     struct k2_error *error)
{
    struct k2_buffer bytes;
    char name[K2_UUID_BYTES + 64];
    k2_buffer_init(&bytes, file_ceiling_bytes);
    (void)snprintf(name, sizeof name, "%s-%zu-m%zu.avro", self->change->commit_id, self->number,
                   self->manifest_count++);
    k2_iceberg_manifest_put(&bytes, &self->head, entries, count);
    struct k2_slice path = {0};
    enum k2_status status = put_file(self, name, &bytes, &path, error);
    if (status == K2_OK && !k2_iceberg_manifest_describe(
                               manifest, entries, count, self->head.spec_id, self->snapshot.id,
                               self->snapshot.sequence_number, &self->arena)) {
        status = no_memory(error);
    }
    manifest->path = path;
    manifest->length_bytes = (int64_t)bytes.size_bytes;
    k2_buffer_deinit(&bytes);
    return status;
}

// ---- files that go --------------------------------------------------------------------------

static int compare_paths(const void *left, const void *right)
{
    return k2_slice_compare(*(const struct k2_slice *)left, *(const struct k2_slice *)right);
}

// Entries from `first` on of manifests that are written anew: all are from before, with what they
// inherited. True if one of them goes.
static bool mark_entries(struct attempt *self, struct k2_iceberg_entries *entries, size_t first,
                         const struct k2_slice *removed)
{
    bool found = false;
    drop_deleted(entries, first);
    for (size_t i = first; i < entries->count; i++) {
        struct k2_iceberg_entry *entry = &entries->items[i];
        entry->status = K2_ICEBERG_EXISTING;
        if (removed != NULL && bsearch(&entry->file.path, removed, self->change->removed_count,
                                       sizeof *removed, compare_paths) != NULL) {
            entry->status = K2_ICEBERG_DELETED;
            entry->snapshot_id = self->snapshot.id;
            self->removed_files++;
            self->removed_rows += entry->file.record_count;
            self->removed_bytes += entry->file.size_bytes;
            found = true;
        }
    }
    return found;
}

// The manifests that list removed files become one.
static enum k2_status rewrite_manifests(struct attempt *self, const struct k2_slice *removed,
                                        struct k2_error *error)
{
    struct k2_iceberg_entries entries = {0};
    enum k2_status status = K2_OK;
    size_t kept = 0;
    for (size_t i = 0; i < self->manifests.count && status == K2_OK; i++) {
        struct k2_iceberg_manifest *manifest = &self->manifests.items[i];
        size_t first = entries.count;
        bool rewritten = false;
        if (manifest->content == 0 && manifest->spec_id == self->head.spec_id) {
            status = k2_table_entries(self->place->store, manifest, &entries, error);
            rewritten = status == K2_OK && mark_entries(self, &entries, first, removed);
        }
        if (!rewritten) {
            entries.count = first;
            self->manifests.items[kept++] = *manifest;
        }
    }
    if (status == K2_OK) {
        self->manifests.count = kept;
        if (entries.count > 0) { // in the place of the first: there is room
            status = write_manifest(self, entries.items, entries.count,
                                    &self->manifests.items[self->manifests.count++], error);
        }
    }
    k2_iceberg_entries_deinit(&entries);
    return status;
}

// `*missing` when a file is in no manifest.
static enum k2_status remove_files(struct attempt *self, bool *missing, struct k2_error *error)
{
    size_t count = self->change->removed_count;
    struct k2_slice *removed = k2_alloc_zero(count, sizeof *removed);
    if (removed == NULL) {
        return no_memory(error);
    }
    memcpy(removed, self->change->removed, count * sizeof *removed);
    qsort(removed, count, sizeof *removed, compare_paths);
    enum k2_status status = rewrite_manifests(self, removed, error);
    k2_free(removed);
    *missing = self->removed_files < count;
    return status;
}

// A manifest of nothing but deleted entries tells only the snapshot that deleted them.
static void drop_empty(struct attempt *self)
{
    size_t kept = 0;
    for (size_t i = 0; i < self->manifests.count; i++) {
        const struct k2_iceberg_manifest *manifest = &self->manifests.items[i];
        if (manifest->content != 0 || manifest->added_files > 0 || manifest->existing_files > 0 ||
            manifest->snapshot_id == self->snapshot.id) {
            self->manifests.items[kept++] = *manifest;
        }
    }
    self->manifests.count = kept;
}

// ---- merging manifests ----------------------------------------------------------------------

static bool is_small(const struct attempt *self, const struct k2_iceberg_manifest *manifest)
{
    return manifest->content == 0 && manifest->spec_id == self->head.spec_id &&
           manifest->key_metadata.data == NULL &&
           manifest->length_bytes < MERGED_MANIFEST_BYTES / 2 &&
           manifest->snapshot_id != self->snapshot.id;
}

static enum k2_status merge_small(struct attempt *self, struct k2_error *error)
{
    size_t small = 0;
    int64_t bytes = 0;
    for (size_t i = 0; i < self->manifests.count; i++) {
        small += is_small(self, &self->manifests.items[i]) ? 1 : 0;
    }
    if (self->change->merge_manifests == 0 || small < self->change->merge_manifests || small < 2) {
        return K2_OK;
    }
    struct k2_iceberg_entries entries = {0};
    enum k2_status status = K2_OK;
    size_t kept = 0;
    for (size_t i = 0; i < self->manifests.count && status == K2_OK; i++) {
        struct k2_iceberg_manifest *manifest = &self->manifests.items[i];
        if (is_small(self, manifest) && bytes < MERGED_MANIFEST_BYTES) {
            bytes += manifest->length_bytes;
            status = k2_table_entries(self->place->store, manifest, &entries, error);
        } else {
            self->manifests.items[kept++] = *manifest;
        }
    }
    if (status == K2_OK) {
        (void)mark_entries(self, &entries, 0, NULL);
        self->manifests.count = kept;
        if (entries.count > 0) { // in the place of the first: there is room
            status = write_manifest(self, entries.items, entries.count,
                                    &self->manifests.items[self->manifests.count++], error);
        }
    }
    k2_iceberg_entries_deinit(&entries);
    return status;
}

// ---- files that come ------------------------------------------------------------------------

static enum k2_status add_files(struct attempt *self, struct k2_error *error)
{
    const struct k2_table_change *change = self->change;
    if (change->added_count == 0) {
        return K2_OK;
    }
    struct k2_iceberg_entry *entries = k2_alloc_zero(change->added_count, sizeof *entries);
    struct k2_iceberg_manifest *list =
        k2_realloc(self->manifests.items, self->manifests.count + 1, sizeof *list);
    if (list != NULL) {
        self->manifests.items = list;
        self->manifests.room = self->manifests.count + 1;
    }
    if (entries == NULL || list == NULL) {
        k2_free(entries);
        return no_memory(error);
    }
    for (size_t i = 0; i < change->added_count; i++) {
        entries[i] = (struct k2_iceberg_entry){.status = K2_ICEBERG_ADDED,
                                               .has_snapshot = true,
                                               .snapshot_id = self->snapshot.id,
                                               .file = change->added[i]};
    }
    struct k2_iceberg_manifest manifest;
    enum k2_status status = write_manifest(self, entries, change->added_count, &manifest, error);
    if (status == K2_OK) {
        // Newest first, as other writers have it.
        memmove(list + 1, list, self->manifests.count * sizeof *list);
        list[0] = manifest;
        self->manifests.count++;
    }
    k2_free(entries);
    return status;
}

// ---- the snapshot ---------------------------------------------------------------------------

struct summary {
    struct k2_iceberg_property items[MOST_COUNTS];
    char texts[MOST_COUNTS][24];
    size_t count;
};

static void put_count(struct summary *summary, const char *name, int64_t value)
{
    char *text = summary->texts[summary->count];
    (void)snprintf(text, sizeof summary->texts[0], "%lld", (long long)value);
    summary->items[summary->count++] = (struct k2_iceberg_property){name, text};
}

// The parent's total; where a foreign writer left it out, what the manifests say.
static int64_t total_before(const struct attempt *self, const char *name, int64_t counted)
{
    const char *text = self->has_parent ? k2_iceberg_snapshot_summary(self->place->table.metadata,
                                                                      self->parent.id, name)
                                        : "0";
    char *end = NULL;
    long long value = text == NULL ? 0 : strtoll(text, &end, 10);
    return text != NULL && end != text && *end == '\0' && value >= 0 ? value : counted;
}

static void summarise(struct attempt *self, struct summary *summary)
{
    const struct k2_table_change *change = self->change;
    int64_t rows = 0, bytes = 0, files_before = 0, rows_before = 0;
    size_t days = 0;
    for (size_t i = 0; i < change->added_count; i++) {
        rows += change->added[i].record_count;
        bytes += change->added[i].size_bytes;
        size_t j = 0;
        while (j < i && change->added[j].day != change->added[i].day) {
            j++;
        }
        days += j == i ? 1 : 0;
    }
    for (size_t i = 0; i < self->manifests.count; i++) {
        const struct k2_iceberg_manifest *manifest = &self->manifests.items[i];
        if (manifest->content == 0 && manifest->snapshot_id != self->snapshot.id) {
            files_before += manifest->added_files + manifest->existing_files;
            rows_before += manifest->added_rows + manifest->existing_rows;
        }
    }
    int64_t added = (int64_t)change->added_count, removed = (int64_t)self->removed_files;
    if (added > 0) {
        put_count(summary, "added-data-files", added);
        put_count(summary, "added-records", rows);
        put_count(summary, "added-files-size", bytes);
    }
    if (removed > 0) {
        put_count(summary, "deleted-data-files", removed);
        put_count(summary, "deleted-records", self->removed_rows);
        put_count(summary, "removed-files-size", self->removed_bytes);
    }
    put_count(summary, "changed-partition-count", (int64_t)days);
    put_count(summary, "total-records",
              total_before(self, "total-records", rows_before) + rows - self->removed_rows);
    put_count(summary, "total-data-files",
              total_before(self, "total-data-files", files_before) + added - removed);
    put_count(summary, "total-files-size",
              total_before(self, "total-files-size", 0) + bytes - self->removed_bytes);
    put_count(summary, "total-delete-files", total_before(self, "total-delete-files", 0));
    put_count(summary, "total-position-deletes", total_before(self, "total-position-deletes", 0));
    put_count(summary, "total-equality-deletes", total_before(self, "total-equality-deletes", 0));
}

static enum k2_status write_list(struct attempt *self, struct k2_error *error)
{
    struct k2_buffer bytes;
    struct k2_slice location = {0};
    char name[K2_UUID_BYTES + 64];
    k2_buffer_init(&bytes, file_ceiling_bytes);
    (void)snprintf(name, sizeof name, "snap-%lld-%zu-%s.avro", (long long)self->snapshot.id,
                   self->number, self->change->commit_id);
    k2_iceberg_manifest_list_put(&bytes, self->manifests.items, self->manifests.count,
                                 self->snapshot.id, self->has_parent, self->parent.id,
                                 self->snapshot.sequence_number, self->head.sync);
    enum k2_status status = put_file(self, name, &bytes, &location, error);
    self->snapshot.manifest_list = (const char *)location.data;
    k2_buffer_deinit(&bytes);
    return status;
}

// Everything of the snapshot but its commit; `*missing`: see remove_files.
static enum k2_status build_snapshot(struct attempt *self, int64_t snapshot_id, bool *missing,
                                     struct k2_error *error)
{
    const struct k2_iceberg_metadata *metadata = self->place->table.metadata;
    int64_t time_ms = k2_now_ms(), last_ms = k2_iceberg_last_updated_ms(metadata);
    self->has_parent = k2_iceberg_current_snapshot(metadata, &self->parent);
    self->snapshot = (struct k2_iceberg_snapshot){
        .id = snapshot_id,
        .has_parent = self->has_parent,
        .parent = self->parent.id,
        .sequence_number = k2_iceberg_last_sequence_number(metadata) + 1,
        .timestamp_ms = time_ms > last_ms ? time_ms : last_ms,
        .schema_id = -1, // the current one
        .operation = self->change->operation,
    };
    k2_iceberg_schema_put_json(metadata, &self->schema_json);
    k2_iceberg_spec_put_json(metadata, &self->spec_json);
    self->head = (struct k2_iceberg_manifest_head){
        .schema_json = k2_buffer_slice(&self->schema_json),
        .spec_json = k2_buffer_slice(&self->spec_json),
        .schema_id = k2_iceberg_schema_id(metadata),
        .spec_id = k2_iceberg_spec_id(metadata),
        .partition_name = self->place->day_name,
    };
    enum k2_status status = k2_make_sync(self->head.sync, error);
    if (status == K2_OK) {
        status = k2_buffer_check(&self->schema_json, "export: a schema", error);
    }
    if (status == K2_OK) {
        status = k2_buffer_check(&self->spec_json, "export: a partition spec", error);
    }
    if (status == K2_OK && self->has_parent) {
        status = k2_table_manifests(self->place->store, self->parent.manifest_list,
                                    &self->manifests, error);
    }
    if (status == K2_OK && self->change->removed_count > 0) {
        status = remove_files(self, missing, error);
    }
    if (status == K2_OK && !*missing) {
        drop_empty(self);
        status = merge_small(self, error);
    }
    if (status == K2_OK && !*missing) {
        status = add_files(self, error);
    }
    return status == K2_OK && !*missing ? write_list(self, error) : status;
}

static enum k2_status hand_over(struct attempt *self, enum k2_catalog_outcome *outcome,
                                struct k2_error *error)
{
    const struct k2_table_change *change = self->change;
    struct k2_iceberg_property *all =
        k2_alloc_zero(MOST_COUNTS + change->summary_count, sizeof *all);
    struct summary *summary = k2_alloc_zero(1, sizeof *summary);
    if (all == NULL || summary == NULL) {
        k2_free(all);
        k2_free(summary);
        return no_memory(error);
    }
    summarise(self, summary);
    memcpy(all, summary->items, summary->count * sizeof *all);
    for (size_t i = 0; i < change->summary_count; i++) {
        all[summary->count + i] = change->summary[i];
    }
    self->snapshot.summary = all;
    self->snapshot.summary_count = summary->count + change->summary_count;
    const struct k2_iceberg_change commit = {
        .commit_id = change->commit_id,
        .time_ms = k2_now_ms(),
        .fields = change->fields,
        .field_count = change->field_count,
        .properties = change->properties,
        .property_count = change->property_count,
        .snapshot = change->operation == NULL ? NULL : &self->snapshot,
        .removed_snapshots = change->removed_snapshots,
        .removed_snapshot_count = change->removed_snapshot_count,
    };
    struct k2_catalog *catalog = self->place->catalog;
    struct k2_catalog_table after = {0};
    enum k2_status status = catalog->class->commit(
        catalog->self, self->place->name, &self->place->table, &commit, outcome, &after, error);
    if (status == K2_OK && *outcome == K2_CATALOG_DONE) {
        k2_catalog_table_close(&self->place->table);
        self->place->table = after;
    }
    k2_free(all);
    k2_free(summary);
    return status;
}

// ---- again and again ------------------------------------------------------------------------

static enum k2_status reload(struct k2_table_place *place, struct k2_error *error)
{
    struct k2_catalog_table table = {0};
    bool found = false;
    enum k2_status status =
        place->catalog->class->load(place->catalog->self, place->name, &found, &table, error);
    if (status == K2_OK && !found) {
        status = k2_fail(error, K2_NOT_FOUND, "table %s: it was dropped", place->name);
    }
    if (status == K2_OK) {
        k2_catalog_table_close(&place->table);
        place->table = table;
    }
    return status;
}

// After an answer that tells nothing: is the commit there?
static enum k2_status look_for(struct k2_table_place *place, const struct k2_table_change *change,
                               int64_t snapshot_id, bool *there, struct k2_error *error)
{
    struct k2_iceberg_snapshot snapshot;
    enum k2_status status = K2_BUSY;
    for (size_t look = 0; look < MOST_LOOKS && status == K2_BUSY; look++) {
        if (look > 0) {
            pause_before(look + 2);
        }
        status = reload(place, error);
    }
    *there = status == K2_OK && change->operation != NULL &&
             k2_iceberg_find_snapshot(place->table.metadata, snapshot_id, &snapshot);
    return status;
}

static bool is_wanted(const struct k2_table_place *place, const struct k2_table_change *change)
{
    return change->still_wanted == NULL || change->still_wanted(change->context, &place->table);
}

static enum k2_status try_once(struct k2_table_place *place, const struct k2_table_change *change,
                               size_t number, int64_t snapshot_id, bool *missing,
                               enum k2_catalog_outcome *result, struct k2_error *error)
{
    struct attempt attempt;
    attempt_init(&attempt, place, change, number);
    enum k2_status status = K2_OK;
    if (change->operation != NULL) {
        status = build_snapshot(&attempt, snapshot_id, missing, error);
    }
    if (status == K2_OK && !*missing) {
        status = hand_over(&attempt, result, error);
    }
    bool surely_not = status != K2_OK || *missing || *result == K2_CATALOG_CONFLICT;
    if (surely_not) {
        remove_written(&attempt);
    }
    attempt_deinit(&attempt);
    return status;
}

enum k2_status k2_table_commit(struct k2_table_place *place, const struct k2_table_change *change,
                               struct k2_table_outcome *outcome, struct k2_error *error)
{
    *outcome = (struct k2_table_outcome){0};
    enum k2_status status = K2_OK;
    for (size_t number = 0; number < MOST_ATTEMPTS && status == K2_OK; number++) {
        enum k2_catalog_outcome result = K2_CATALOG_CONFLICT;
        bool missing = false, there = false;
        int64_t snapshot_id;
        if (!is_wanted(place, change)) {
            return K2_OK;
        }
        status = make_snapshot_id(place->table.metadata, &snapshot_id, error);
        if (status == K2_OK) {
            status = try_once(place, change, number, snapshot_id, &missing, &result, error);
        }
        if (status != K2_OK || missing) {
            return status;
        }
        if (result == K2_CATALOG_UNKNOWN) {
            status = look_for(place, change, snapshot_id, &there, error);
        }
        if (result == K2_CATALOG_DONE || (status == K2_OK && there)) {
            outcome->done = true;
            outcome->snapshot_id = change->operation != NULL ? snapshot_id : 0;
            return K2_OK;
        }
        pause_before(number);
        if (status == K2_OK && result == K2_CATALOG_CONFLICT) {
            status = reload(place, error);
        }
    }
    return status != K2_OK
               ? status
               : k2_fail(error, K2_BUSY,
                         "table %s: other writers were faster %d times; try again later",
                         place->name, MOST_ATTEMPTS);
}
