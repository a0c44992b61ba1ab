#include "query/export/table_care.h"

#include <stdio.h>
#include <stdlib.h>

#include "format/base/alloc.h"
#include "query/export/location_set.h"

enum {
    NAME_BYTES = 160,
    LEAST_FILES = 2,
    MERGED_MANIFESTS = 2,
    DEFAULT_KEEP = 1,
    LARGER_FILE_RATIO = 2,
};
static const int64_t default_snapshot_age_ms = (int64_t)5 * 86400 * 1000; // Iceberg's own
static const int64_t default_orphan_age_ms = (int64_t)86400 * 1000;
static const int64_t small_file_bytes = (int64_t)96 << 20;
static const size_t text_ceiling_bytes = (size_t)1 << 30;

static enum k2_status no_memory(struct k2_error *error)
{
    return k2_fail(error, K2_NO_MEMORY, "export: no memory");
}

static int64_t number_property(const struct k2_iceberg_metadata *metadata, const char *name,
                               int64_t otherwise)
{
    const char *text = k2_iceberg_property(metadata, name);
    char *end = NULL;
    long long number = text == NULL ? 0 : strtoll(text, &end, 10);
    return text != NULL && end != text && *end == '\0' && number >= 0 ? number : otherwise;
}

// ---- what a snapshot names ------------------------------------------------------------------

// Adds the manifest list, the manifests and, but for manifests in `seen`, their live files.
static enum k2_status collect(struct k2_table_place *place, const char *manifest_list,
                              struct k2_location_set *seen, struct k2_location_set *files,
                              struct k2_error *error)
{
    struct k2_iceberg_manifests manifests = {0};
    enum k2_status status = k2_location_set_add(files, manifest_list, error);
    if (status == K2_OK) {
        status = k2_table_manifests(place->store, manifest_list, &manifests, error);
    }
    for (size_t i = 0; i < manifests.count && status == K2_OK; i++) {
        struct k2_iceberg_entries entries = {0};
        const char *path = (const char *)manifests.items[i].path.data;
        if (k2_location_set_has(seen, path)) {
            continue;
        }
        status = k2_location_set_add(seen, path, error);
        if (status == K2_OK) {
            status = k2_location_set_add(files, path, error);
        }
        if (status == K2_OK) {
            status = k2_table_entries(place->store, &manifests.items[i], &entries, error);
        }
        for (size_t j = 0; j < entries.count && status == K2_OK; j++) {
            if (entries.items[j].status != K2_ICEBERG_DELETED) {
                status = k2_location_set_add(files, (const char *)entries.items[j].file.path.data,
                                             error);
            }
        }
        k2_iceberg_entries_deinit(&entries);
    }
    k2_iceberg_manifests_deinit(&manifests);
    return status;
}

static enum k2_status collect_all(struct k2_table_place *place, struct k2_location_set *files,
                                  struct k2_error *error)
{
    struct k2_location_set seen = {0};
    enum k2_status status = K2_OK;
    const struct k2_iceberg_metadata *metadata = place->table.metadata;
    for (size_t i = 0; i < k2_iceberg_snapshot_count(metadata) && status == K2_OK; i++) {
        status =
            collect(place, k2_iceberg_snapshot_at(metadata, i).manifest_list, &seen, files, error);
    }
    k2_location_set_deinit(&seen);
    return status;
}

// ---- snapshots that are too old -------------------------------------------------------------

static int compare_newest_first(const void *left, const void *right)
{
    const struct k2_iceberg_snapshot *a = left, *b = right;
    return (a->sequence_number < b->sequence_number) - (a->sequence_number > b->sequence_number);
}

// Their ids into `removed`, their manifest lists into `lists`.
static enum k2_status choose_expired(const struct k2_iceberg_metadata *metadata,
                                     const struct k2_care_options *options, int64_t *removed,
                                     struct k2_location_set *lists, size_t *count,
                                     struct k2_error *error)
{
    size_t total = k2_iceberg_snapshot_count(metadata);
    int64_t age_ms = options->older_than_ms >= 0
                         ? options->older_than_ms
                         : number_property(metadata, "history.expire.max-snapshot-age-ms",
                                           default_snapshot_age_ms);
    uint64_t keep = options->keep > 0
                        ? options->keep
                        : (uint64_t)number_property(
                              metadata, "history.expire.min-snapshots-to-keep", DEFAULT_KEEP);
    int64_t bound_ms = k2_now_ms() - age_ms;
    struct k2_iceberg_snapshot *all = k2_alloc_zero(total, sizeof *all);
    enum k2_status status = all != NULL ? K2_OK : no_memory(error);
    for (size_t i = 0; i < total && status == K2_OK; i++) {
        all[i] = k2_iceberg_snapshot_at(metadata, i);
    }
    if (status == K2_OK) {
        qsort(all, total, sizeof *all, compare_newest_first);
    }
    *count = 0;
    for (size_t i = 0; i < total && status == K2_OK; i++) {
        if (i >= keep && all[i].timestamp_ms <= bound_ms &&
            !k2_iceberg_is_referenced(metadata, all[i].id)) {
            removed[(*count)++] = all[i].id;
            status = k2_location_set_add(lists, all[i].manifest_list, error);
        }
    }
    k2_free(all);
    return status;
}

static enum k2_status remove_unneeded(struct k2_table_place *place,
                                      const struct k2_location_set *candidates,
                                      const struct k2_location_set *needed,
                                      struct k2_care_result *result, struct k2_error *error)
{
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < candidates->count && status == K2_OK; i++) {
        if (!k2_location_set_has(needed, candidates->items[i])) {
            status = place->store->class->remove(place->store->self, candidates->items[i], error);
            result->files_removed++;
        }
    }
    return status;
}

// The change is nothing that another writer's commit makes void: the table may be newer meanwhile,
// unless one of the snapshots got a name.
static bool still_expired(void *context, const struct k2_catalog_table *table)
{
    const struct k2_table_change *change = context;
    for (size_t i = 0; i < change->removed_snapshot_count; i++) {
        struct k2_iceberg_snapshot snapshot;
        if (k2_iceberg_is_referenced(table->metadata, change->removed_snapshots[i]) ||
            !k2_iceberg_find_snapshot(table->metadata, change->removed_snapshots[i], &snapshot)) {
            return false;
        }
    }
    return true;
}

static enum k2_status expire(struct k2_table_place *place, const int64_t *removed, size_t count,
                             const struct k2_location_set *lists, struct k2_care_result *result,
                             struct k2_error *error)
{
    struct k2_location_set candidates = {0}, seen = {0}, needed = {0};
    struct k2_table_outcome outcome = {0};
    char commit_id[K2_UUID_BYTES];
    struct k2_table_change change = {.commit_id = commit_id,
                                     .removed_snapshots = removed,
                                     .removed_snapshot_count = count,
                                     .still_wanted = still_expired,
                                     .context = &change};
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < lists->count && status == K2_OK; i++) {
        status = collect(place, lists->items[i], &seen, &candidates, error);
    }
    if (status == K2_OK) {
        status = k2_make_uuid(commit_id, error);
    }
    if (status == K2_OK) {
        status = k2_table_commit(place, &change, &outcome, error);
    }
    // What is needed is asked of the table as it is now: nothing can come to need an old file.
    if (status == K2_OK && outcome.done) {
        result->snapshots_removed = count;
        status = collect_all(place, &needed, error);
        if (status == K2_OK) {
            status = remove_unneeded(place, &candidates, &needed, result, error);
        }
    }
    k2_location_set_deinit(&candidates);
    k2_location_set_deinit(&seen);
    k2_location_set_deinit(&needed);
    return status;
}

enum k2_status k2_table_expire(struct k2_table_place *place, const struct k2_care_options *options,
                               struct k2_care_result *result, struct k2_error *error)
{
    struct k2_location_set lists = {0};
    const struct k2_iceberg_metadata *metadata = place->table.metadata;
    size_t count = 0;
    *result = (struct k2_care_result){0};
    int64_t *removed = k2_alloc_zero(k2_iceberg_snapshot_count(metadata), sizeof *removed);
    enum k2_status status = removed == NULL
                                ? no_memory(error)
                                : choose_expired(metadata, options, removed, &lists, &count, error);
    if (status == K2_OK && count > 0) {
        status = expire(place, removed, count, &lists, result, error);
    }
    k2_free(removed);
    k2_location_set_deinit(&lists);
    return status;
}

// ---- files that nothing names ---------------------------------------------------------------

struct orphans {
    const struct k2_location_set *needed;
    const char *metadata_text; // statistics and the like are found in it
    const char *metadata_location;
    int64_t bound_ms;
    struct k2_location_set found;
    uint64_t bytes;
    size_t named; // objects that the table needs
};

static bool is_current(const struct orphans *self, const char *location)
{
    return self->metadata_location != NULL &&
           strcmp(k2_location_name(location), k2_location_name(self->metadata_location)) == 0;
}

static enum k2_status judge_object(void *context, const struct k2_object_info *object,
                                   struct k2_error *error)
{
    struct orphans *self = context;
    const char *name = strrchr(object->location, '/');
    bool is_hint = name != NULL && strcmp(name, "/version-hint.text") == 0;
    if (is_current(self, object->location) || k2_location_set_has(self->needed, object->location)) {
        self->named++;
        return K2_OK;
    }
    if (is_hint || object->modified_ms > self->bound_ms ||
        strstr(self->metadata_text, k2_location_name(object->location)) != NULL) {
        return K2_OK;
    }
    self->bytes += object->size_bytes;
    return k2_location_set_add(&self->found, object->location, error);
}

enum k2_status k2_table_orphans(struct k2_table_place *place, const struct k2_care_options *options,
                                struct k2_care_result *result, struct k2_error *error)
{
    struct k2_location_set needed = {0};
    struct k2_buffer text, prefix;
    const struct k2_iceberg_metadata *metadata = place->table.metadata;
    struct orphans self = {
        .needed = &needed,
        .metadata_location = place->table.metadata_location,
        .bound_ms = k2_now_ms() -
                    (options->older_than_ms >= 0 ? options->older_than_ms : default_orphan_age_ms),
    };
    *result = (struct k2_care_result){0};
    k2_buffer_init(&text, text_ceiling_bytes);
    k2_buffer_init(&prefix, text_ceiling_bytes);
    k2_iceberg_metadata_put(metadata, &text);
    k2_put_u8(&text, 0);
    k2_put_format(&prefix, "%s/", k2_iceberg_location(metadata));
    k2_put_u8(&prefix, 0);
    enum k2_status status = k2_buffer_check(&text, "export: metadata", error);
    if (status == K2_OK) {
        status = k2_buffer_check(&prefix, "export: a location", error);
    }
    if (status == K2_OK) {
        status = collect_all(place, &needed, error);
    }
    if (status == K2_OK) {
        self.metadata_text = (const char *)text.data;
        status = place->store->class->list(place->store->self, (const char *)prefix.data,
                                           judge_object, &self, error);
    }
    if (status == K2_OK && self.found.count > 0 && self.named == 0) {
        status = k2_fail(error, K2_BAD_REQUEST,
                         "table %s: none of the files that it names is found below %s, only %zu "
                         "that it does not name; nothing was removed",
                         place->name, k2_iceberg_location(metadata), self.found.count);
    }
    for (size_t i = 0; i < self.found.count && status == K2_OK && !options->dry_run; i++) {
        status = place->store->class->remove(place->store->self, self.found.items[i], error);
    }
    result->files_removed = self.found.count;
    result->bytes_removed = self.bytes;
    k2_location_set_deinit(&needed);
    k2_location_set_deinit(&self.found);
    k2_buffer_deinit(&text);
    k2_buffer_deinit(&prefix);
    return status;
}

// ---- small files ----------------------------------------------------------------------------

struct small_file {
    const struct k2_iceberg_file *file;
    uint64_t from; // it has the rows of later commits
};

struct compaction {
    struct k2_table_place *place;
    struct k2_row_selection selection;
    struct k2_iceberg_entries entries;
    struct small_file *ours; // by day and commit
    size_t our_count, least_files;
    bool all; // every small file, whatever it costs
    char store[K2_STORE_TEXT_BYTES];
    uint64_t exported;
    struct k2_care_result *result;
};

static int compare_days(const void *left, const void *right)
{
    const struct small_file *a = left, *b = right;
    int order = (a->file->day > b->file->day) - (a->file->day < b->file->day);
    return order != 0 ? order : (a->from > b->from) - (a->from < b->from);
}

// All files that this store exported, by day and commit.
static enum k2_status list_ours(struct compaction *self, struct k2_error *error)
{
    self->ours = k2_alloc_zero(self->entries.count, sizeof *self->ours);
    if (self->ours == NULL) {
        return no_memory(error);
    }
    for (size_t i = 0; i < self->entries.count; i++) {
        const struct k2_iceberg_file *file = &self->entries.items[i].file;
        uint64_t from;
        if (file->content != K2_ICEBERG_DATA) {
            return k2_fail(error, K2_BAD_REQUEST,
                           "table %s: it has delete files of another writer, which alone can merge "
                           "them",
                           self->place->name);
        }
        if (file->has_day && k2_export_is_ours(self->store, file, &from)) {
            self->ours[self->our_count++] = (struct small_file){file, from};
        }
    }
    qsort(self->ours, self->our_count, sizeof *self->ours, compare_days);
    return K2_OK;
}

// The newest files of a day, as far back as they are small: the rows of all commits since the
// oldest of them. Unless all are wanted, not those that are much larger than what came after them,
// so that a row is written anew a few times only. Moves `*begin` up.
static void choose_small(const struct compaction *self, size_t *begin, size_t end)
{
    const struct small_file *ours = self->ours;
    int64_t bytes = 0;
    size_t first = end;
    while (first > *begin) {
        const struct k2_iceberg_file *file = ours[first - 1].file;
        bool worth_it = self->all || end - first < self->least_files ||
                        file->size_bytes <= bytes * LARGER_FILE_RATIO;
        if (file->size_bytes >= small_file_bytes || !worth_it) {
            break;
        }
        bytes += file->size_bytes;
        first--;
    }
    // Files of one commit stay together.
    while (first > *begin && first < end && ours[first].from == ours[first - 1].from) {
        first++;
    }
    *begin = first;
}

static enum k2_status swap_files(struct compaction *self, const struct small_file *small,
                                 size_t count, const struct k2_file_list *files,
                                 const char *commit_id, bool *done, struct k2_error *error)
{
    struct k2_table_outcome outcome = {0};
    struct k2_slice *removed = k2_alloc_zero(count, sizeof *removed);
    if (removed == NULL) {
        return no_memory(error);
    }
    for (size_t i = 0; i < count; i++) {
        removed[i] = small[i].file->path;
    }
    const struct k2_iceberg_property summary[] = {{"k2.commit-id", commit_id},
                                                  {"k2.store", self->store}};
    const struct k2_table_change change = {
        .commit_id = commit_id,
        .operation = "replace",
        .added = files->items,
        .added_count = files->count,
        .removed = removed,
        .removed_count = count,
        .summary = summary,
        .summary_count = 2,
        .merge_manifests = MERGED_MANIFESTS,
    };
    enum k2_status status = k2_table_commit(self->place, &change, &outcome, error);
    *done = outcome.done;
    k2_free(removed);
    return status;
}

// The small files of one day.
static enum k2_status compact_day(struct compaction *self, const struct small_file *small,
                                  size_t count, struct k2_error *error)
{
    struct k2_file_list files = {0};
    char commit_id[K2_UUID_BYTES], name[NAME_BYTES];
    struct k2_row_selection selection = self->selection;
    struct k2_day_rows *days = NULL;
    size_t day_count = 0;
    uint64_t rows = 0;
    int32_t day = small->file->day;
    for (size_t i = 0; i < count; i++) {
        rows += (uint64_t)small[i].file->record_count;
    }
    selection.commit_after = small->from; // the least: they are sorted by it
    enum k2_status status = k2_make_uuid(commit_id, error);
    if (status == K2_OK) {
        status = k2_export_days_of(&selection, day, &days, &day_count, error);
    }
    if (status == K2_OK && (day_count != 1 || days->rows != rows)) {
        self->result->days_skipped++;
        k2_free(days);
        return K2_OK;
    }
    (void)snprintf(name, sizeof name, "k2-%s-%llu-%llu-%s", self->store,
                   (unsigned long long)small->from, (unsigned long long)self->exported, commit_id);
    const struct k2_export_writer writer = {
        .selection = selection,
        .store = self->place->store,
        .table_location = k2_iceberg_location(self->place->table.metadata),
        .name = name,
        .day_name = self->place->day_name,
        .sort_order_id = k2_iceberg_sort_order_id(self->place->table.metadata),
        .files = &files,
    };
    bool done = false;
    if (status == K2_OK) {
        status = k2_export_write(&writer, days, day_count, error);
    }
    if (status == K2_OK) {
        status = swap_files(self, small, count, &files, commit_id, &done, error);
    }
    if (status == K2_OK && done) {
        self->result->files_after -= count - files.count;
    }
    for (size_t i = 0; i < files.count && status == K2_OK && !done; i++) {
        (void)self->place->store->class->remove(self->place->store->self,
                                                (const char *)files.items[i].path.data, NULL);
    }
    k2_free(days);
    k2_file_list_deinit(&files);
    return status;
}

static enum k2_status compact(struct compaction *self, struct k2_error *error)
{
    enum k2_status status = k2_table_files(self->place, &self->entries, error);
    if (status == K2_OK) {
        status = list_ours(self, error);
    }
    self->result->files_before = self->result->files_after = self->entries.count;
    for (size_t begin = 0, end; status == K2_OK && begin < self->our_count; begin = end) {
        for (end = begin;
             end < self->our_count && self->ours[end].file->day == self->ours[begin].file->day;
             end++) {
        }
        choose_small(self, &begin, end);
        if (end - begin >= self->least_files) {
            status = compact_day(self, &self->ours[begin], end - begin, error);
        }
    }
    return status;
}

enum k2_status k2_table_compact(struct k2_table_place *place, struct k2_engine *engine,
                                const struct k2_table *table, const struct k2_care_options *options,
                                struct k2_care_result *result, struct k2_error *error)
{
    struct compaction self = {.place = place,
                              .least_files =
                                  options->least_files > 0 ? options->least_files : LEAST_FILES,
                              .all = options->least_files == 0,
                              .result = result};
    bool has_range;
    *result = (struct k2_care_result){0};
    k2_store_text(engine, self.store);
    enum k2_status status = k2_export_state(engine, place->table.metadata, &self.exported,
                                            &has_range, &self.selection, error);
    self.selection.engine = engine;
    self.selection.table = table;
    self.selection.snapshot = self.exported;
    if (status == K2_OK && self.exported > 0) {
        status = compact(&self, error);
    }
    k2_iceberg_entries_deinit(&self.entries);
    k2_free(self.ours);
    return status;
}
