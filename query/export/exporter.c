#include "query/export/exporter.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/policy.h"
#include "format/base/alloc.h"
#include "query/export/export_intent.h"
#include "query/export/table_schema.h"

enum {
    MERGED_MANIFESTS = 100, // as many small ones become one
    PROPERTY_BYTES = 64,
    NAME_BYTES = 160,
    NUMBER_BYTES = 24,
    RANGE_BYTES = 48,
};

struct exporter {
    const struct k2_export_request *request;
    struct k2_table_place place;
    struct k2_arena arena; // schemas, names
    char store[K2_STORE_TEXT_BYTES];
    char property[PROPERTY_BYTES], range_property[PROPERTY_BYTES], cut_property[PROPERTY_BYTES];
    char commit_id[K2_UUID_BYTES];
    uint64_t exported;    // what the table holds of this store; 0: nothing
    bool wanted, created; // there is no table yet, but there is to be one; it was made just now
    bool full;
    bool cuts; // days before `cut_ns` go, of that day what is older
    int64_t cut_ns;
    int32_t cut_day;
    bool sets_retention; // the table is to say another one
    struct k2_row_selection selection;
    struct k2_iceberg_field *new_fields;
    size_t new_field_count;
    struct k2_day_rows *days;
    size_t day_count;
    struct k2_day_rows *corrected; // days of which rows were replaced or deleted: written anew
    size_t corrected_count;
    struct k2_file_list files;
    struct k2_iceberg_entries replaced; // with full or corrected days
    struct k2_slice *removed;           // paths of those that go
    size_t removed_count;
};

static enum k2_status no_memory(struct k2_error *error)
{
    return k2_fail(error, K2_NO_MEMORY, "export: no memory");
}

void k2_store_text(const struct k2_engine *engine, char text[K2_STORE_TEXT_BYTES])
{
    const uint8_t *id = k2_engine_store_id(engine);
    for (size_t i = 0; i < 16; i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", id[i]);
    }
}

const char *k2_day_name(const struct k2_schema *schema, struct k2_arena *arena)
{
    static const char suffix[] = "_day";
    const char *name = schema->columns[K2_TIMESTAMP].name;
    size_t size = strlen(name);
    char *text = k2_arena_alloc(arena, size + sizeof suffix);
    if (text != NULL) {
        memcpy(text, name, size);
        memcpy(text + size, suffix, sizeof suffix);
    }
    return text;
}

bool k2_export_is_ours(const char *store, const struct k2_iceberg_file *file, uint64_t *from)
{
    const char *name = strrchr((const char *)file->path.data, '/'); // in an arena, with a NUL
    char prefix[K2_STORE_TEXT_BYTES + 8], *end = NULL;
    (void)snprintf(prefix, sizeof prefix, "/k2-%s-", store);
    if (name == NULL || strncmp(name, prefix, strlen(prefix)) != 0) {
        return false;
    }
    *from = strtoull(name + strlen(prefix), &end, 10);
    return end != name + strlen(prefix) && *end == '-';
}

// ---- what the table says --------------------------------------------------------------------

static bool parse_number(const char *text, const char *end, int64_t *number)
{
    char *stop = NULL;
    *number = text == end ? 0 : strtoll(text, &stop, 10);
    return text == end || stop == end;
}

enum k2_status k2_export_state(const struct k2_engine *engine,
                               const struct k2_iceberg_metadata *metadata, uint64_t *exported,
                               bool *has_range, struct k2_row_selection *range,
                               struct k2_error *error)
{
    char store[K2_STORE_TEXT_BYTES], name[PROPERTY_BYTES];
    int64_t number = 0;
    k2_store_text(engine, store);
    (void)snprintf(name, sizeof name, K2_EXPORT_PROPERTY "%s", store);
    const char *text = k2_iceberg_property(metadata, name);
    *exported = 0;
    *has_range = false;
    if (text != NULL && (!parse_number(text, text + strlen(text), &number) || number <= 0)) {
        return k2_fail(error, K2_CORRUPT, "property %s is `%.40s`; export with --full", name, text);
    }
    *exported = (uint64_t)number;
    (void)snprintf(name, sizeof name, K2_EXPORT_RANGE "%s", store);
    text = k2_iceberg_property(metadata, name);
    if (text == NULL) {
        return K2_OK;
    }
    const char *comma = strchr(text, ',');
    *has_range = true;
    range->has_start = comma != text;
    if (comma == NULL || !parse_number(text, comma, &range->start_ns) ||
        !parse_number(comma + 1, text + strlen(text), &range->end_ns)) {
        return k2_fail(error, K2_CORRUPT, "property %s is `%.40s`; export with --full", name, text);
    }
    range->has_end = comma[1] != '\0';
    return K2_OK;
}

static int32_t day_of(int64_t time_ns)
{
    static const int64_t day_ns = INT64_C(86400) * 1000000000;
    return (int32_t)(time_ns / day_ns - (time_ns % day_ns < 0));
}

enum k2_status k2_export_kept(struct k2_engine *engine, const struct k2_table *table,
                              const struct k2_iceberg_metadata *metadata, bool *kept, int32_t *day,
                              int64_t *cut_ns, struct k2_error *error)
{
    char store[K2_STORE_TEXT_BYTES], name[PROPERTY_BYTES];
    struct k2_policy policy = {0};
    int64_t done_ns = INT64_MIN;
    k2_store_text(engine, store);
    (void)snprintf(name, sizeof name, K2_EXPORT_CUT "%s", store);
    const char *text = k2_iceberg_property(metadata, name);
    enum k2_status status = k2_policy_get(engine, table, &policy, error);
    if (status == K2_OK && text != NULL && !parse_number(text, text + strlen(text), &done_ns)) {
        status =
            k2_fail(error, K2_CORRUPT, "property %s is `%.40s`; export with --full", name, text);
    }
    *kept = status == K2_OK && policy.has_cut && policy.retention_cut_ns > done_ns;
    *cut_ns = policy.retention_cut_ns;
    *day = day_of(policy.retention_cut_ns);
    return status;
}

// A range that was given must be the one that the table was begun with.
static enum k2_status check_range(struct exporter *self, bool has_range,
                                  const struct k2_row_selection *range, struct k2_error *error)
{
    const struct k2_export_request *request = self->request;
    struct k2_row_selection *selection = &self->selection;
    bool given = request->has_range;
    bool begun = self->exported > 0 && !self->full;
    if (begun && given &&
        (!has_range || range->has_start != request->has_start ||
         range->has_end != request->has_end ||
         (range->has_start && range->start_ns != request->start_ns) ||
         (range->has_end && range->end_ns != request->end_ns))) {
        return k2_fail(error, K2_BAD_REQUEST,
                       "the table was begun with another range of time; leave --start and --end "
                       "out, or export with --full");
    }
    if (begun && has_range) {
        selection->has_start = range->has_start;
        selection->has_end = range->has_end;
        selection->start_ns = range->start_ns;
        selection->end_ns = range->end_ns;
    } else if (given) {
        selection->has_start = request->has_start;
        selection->has_end = request->has_end;
        selection->start_ns = request->start_ns;
        selection->end_ns = request->end_ns;
    }
    return K2_OK;
}

static enum k2_status read_state(struct exporter *self, struct k2_error *error)
{
    const struct k2_export_request *request = self->request;
    struct k2_row_selection range = {0};
    bool has_range;
    const struct k2_iceberg_metadata *metadata = self->place.table.metadata;
    enum k2_status status =
        k2_export_state(request->engine, metadata, &self->exported, &has_range, &range, error);
    if (status != K2_OK) {
        return status;
    }
    if (self->exported > request->newest && !request->full) {
        return k2_fail(error, K2_BAD_REQUEST,
                       "the table holds snapshot %llu of this store, whose newest is %llu: the "
                       "store is older than its export (restored?); export with --full",
                       (unsigned long long)self->exported, (unsigned long long)request->newest);
    }
    if (!k2_iceberg_spec_is_day_of(metadata, request->table->schema->columns[K2_TIMESTAMP].id)) {
        return k2_fail(error, K2_BAD_REQUEST,
                       "the table is not partitioned by day(%s); K2 writes such tables alone",
                       request->table->schema->columns[K2_TIMESTAMP].name);
    }
    return check_range(self, has_range, &range, error);
}

// ---- a new table ----------------------------------------------------------------------------

static const char *retention_name(enum k2_export_retention retention)
{
    return retention == K2_RETENTION_FOLLOW ? "follow" : "keep";
}

static enum k2_status define(struct exporter *self, const char *location,
                             struct k2_iceberg_metadata **metadata, struct k2_error *error)
{
    const struct k2_iceberg_property properties[] = {
        {K2_EXPORT_RETENTION, retention_name(self->request->retention)},
        {"write.parquet.compression-codec", "zstd"},
        {"write.metadata.delete-after-commit.enabled", "true"},
        {"write.metadata.previous-versions-max", "100"},
        {"history.expire.max-snapshot-age-ms", "21600000"}, // 6 hours
        {"history.expire.min-snapshots-to-keep", "10"},
        {"commit.manifest.min-count-to-merge", "100"},
    };
    const struct k2_schema *schema = self->request->table->schema;
    char uuid[K2_UUID_BYTES];
    struct k2_iceberg_field *fields;
    size_t field_count;
    const int32_t sorting[] = {schema->columns[K2_SYMBOL].id, schema->columns[K2_TIMESTAMP].id,
                               schema->columns[K2_SEQUENCE].id};
    enum k2_status status = k2_make_uuid(uuid, error);
    if (status == K2_OK) {
        status = k2_table_schema_fields(schema, &self->arena, &fields, &field_count, error);
    }
    if (status != K2_OK) {
        return status;
    }
    const struct k2_iceberg_definition definition = {
        .uuid = uuid,
        .location = location,
        .fields = fields,
        .field_count = field_count,
        .day_field = schema->columns[K2_TIMESTAMP].id,
        .day_name = self->place.day_name,
        .sort_fields = sorting,
        .sort_field_count = sizeof sorting / sizeof sorting[0],
        .properties = properties,
        .property_count = sizeof properties / sizeof properties[0],
        .time_ms = k2_now_ms(),
    };
    return k2_iceberg_metadata_create(metadata, &definition, error);
}

static enum k2_status create_table(struct exporter *self, struct k2_error *error)
{
    struct k2_catalog *catalog = self->place.catalog;
    struct k2_iceberg_metadata *metadata = NULL;
    struct k2_buffer location;
    enum k2_catalog_outcome outcome = K2_CATALOG_CONFLICT;
    char commit_id[K2_UUID_BYTES];
    k2_buffer_init(&location, 1 << 16);
    enum k2_status status =
        catalog->class->location(catalog->self, self->place.name, &location, error);
    if (status == K2_OK) {
        status = define(self, (const char *)location.data, &metadata, error);
    }
    if (status == K2_OK) {
        status = k2_make_uuid(commit_id, error);
    }
    if (status == K2_OK) {
        status = catalog->class->create(catalog->self, self->place.name, metadata, commit_id,
                                        &outcome, &self->place.table, error);
    }
    // Another one may have made it, or this one without knowing.
    if (status == K2_OK && outcome != K2_CATALOG_DONE) {
        bool found = false;
        status = catalog->class->load(catalog->self, self->place.name, &found, &self->place.table,
                                      error);
        if (status == K2_OK && !found) {
            status = k2_fail(error, K2_BUSY, "it could not be made; try again later");
        }
    }
    self->created = status == K2_OK;
    k2_iceberg_metadata_destroy(metadata);
    k2_buffer_deinit(&location);
    return status;
}

// ---- what is to be done ---------------------------------------------------------------------

static enum k2_status check_alone(const struct exporter *self, struct k2_error *error)
{
    struct k2_iceberg_property property;
    for (size_t i = 0; k2_iceberg_property_at(self->place.table.metadata, i, &property); i++) {
        if (strncmp(property.name, K2_EXPORT_PROPERTY, sizeof K2_EXPORT_PROPERTY - 1) == 0 &&
            strcmp(property.name, self->property) != 0) {
            return k2_fail(error, K2_BAD_REQUEST,
                           "another store (%s) exports into this table, too: all of it can not be "
                           "written anew by one",
                           property.name + sizeof K2_EXPORT_PROPERTY - 1);
        }
    }
    return K2_OK;
}

static struct k2_day_rows *find_day(struct k2_day_rows *days, size_t count, int32_t day)
{
    for (size_t i = 0; i < count; i++) {
        if (days[i].day == day) {
            return &days[i];
        }
    }
    return NULL;
}

// Of a day that is written anew the table must have just the rows that it was given, or what
// another writer made of them would be there beside the new ones.
static enum k2_status check_days(struct exporter *self, struct k2_error *error)
{
    struct k2_row_selection before = self->selection;
    enum k2_status status = K2_OK;
    before.snapshot = self->exported;
    before.commit_after = 0;
    for (size_t i = 0; i < self->corrected_count && status == K2_OK; i++) {
        struct k2_day_rows *days = NULL;
        size_t count = 0;
        struct k2_error why;
        if (self->cuts && self->corrected[i].day <= self->cut_day) {
            continue; // the store has dropped what the table was given
        }
        uint64_t exported = 0;
        for (size_t j = 0; j < self->replaced.count; j++) {
            const struct k2_iceberg_file *file = &self->replaced.items[j].file;
            uint64_t from;
            if (file->has_day && file->day == self->corrected[i].day &&
                k2_export_is_ours(self->store, file, &from)) {
                exported += (uint64_t)file->record_count;
            }
        }
        status = k2_export_days_of(&before, self->corrected[i].day, &days, &count, &why);
        if (status == K2_EXPIRED) { // nobody can tell any more
            return K2_OK;
        }
        if (status != K2_OK) {
            return k2_fail(error, status, "%s", why.text);
        }
        if (exported != (count == 1 ? days->rows : 0)) {
            status = k2_fail(error, K2_BAD_REQUEST,
                             "rows were corrected of a day that another writer has rewritten; "
                             "export with --full");
        }
        k2_free(days);
    }
    return status;
}

static enum k2_status list_replaced(struct exporter *self, struct k2_error *error)
{
    enum k2_status status = self->full ? check_alone(self, error) : K2_OK;
    if (status == K2_OK) {
        status = k2_table_files(&self->place, &self->replaced, error);
    }
    if (status != K2_OK) {
        return status;
    }
    self->removed = k2_alloc_zero(self->replaced.count, sizeof *self->removed);
    if (self->removed == NULL) {
        return no_memory(error);
    }
    for (size_t i = 0; i < self->replaced.count; i++) {
        const struct k2_iceberg_file *file = &self->replaced.items[i].file;
        uint64_t from;
        if (file->content != K2_ICEBERG_DATA) {
            return k2_fail(error, K2_BAD_REQUEST,
                           "the table has delete files of another writer; let it rewrite its data "
                           "files first, or drop the table");
        }
        if (self->full || (file->has_day && k2_export_is_ours(self->store, file, &from) &&
                           find_day(self->corrected, self->corrected_count, file->day) != NULL)) {
            self->removed[self->removed_count++] = file->path;
        }
    }
    return self->full ? K2_OK : check_days(self, error);
}

// Days with corrections are written anew, with all their rows; the others get what is new.
static enum k2_status find_corrections(struct exporter *self, struct k2_error *error)
{
    struct k2_table_counters counters;
    enum k2_status status =
        k2_engine_counters(self->request->engine, self->request->table, &counters, error);
    if (status != K2_OK || self->full || self->exported == 0 || counters.hidden == 0) {
        return status;
    }
    status =
        k2_export_corrected_days(&self->selection, &self->corrected, &self->corrected_count, error);
    size_t kept = 0;
    for (size_t i = 0; i < self->day_count && status == K2_OK; i++) {
        if (find_day(self->corrected, self->corrected_count, self->days[i].day) == NULL) {
            self->days[kept++] = self->days[i];
        }
    }
    self->day_count = status == K2_OK ? kept : self->day_count;
    return status;
}

static enum k2_status add_corrected(struct exporter *self, int32_t day, struct k2_error *error)
{
    if (find_day(self->corrected, self->corrected_count, day) != NULL) {
        return K2_OK;
    }
    struct k2_day_rows *grown =
        k2_realloc(self->corrected, self->corrected_count + 1, sizeof *grown);
    if (grown == NULL) {
        return no_memory(error);
    }
    self->corrected = grown;
    self->corrected[self->corrected_count++] = (struct k2_day_rows){.day = day};
    size_t kept = 0;
    for (size_t i = 0; i < self->day_count; i++) {
        if (self->days[i].day != day) {
            self->days[kept++] = self->days[i];
        }
    }
    self->day_count = kept;
    return K2_OK;
}

// Where the table follows retention, days that have lost rows are written anew, most without any.
static enum k2_status find_dropped(struct exporter *self, struct k2_error *error)
{
    struct k2_iceberg_entries entries = {0};
    enum k2_status status = k2_table_files(&self->place, &entries, error);
    for (size_t i = 0; i < entries.count && status == K2_OK; i++) {
        const struct k2_iceberg_file *file = &entries.items[i].file;
        uint64_t from;
        if (file->content == K2_ICEBERG_DATA && file->has_day && file->day <= self->cut_day &&
            k2_export_is_ours(self->store, file, &from)) {
            status = add_corrected(self, file->day, error);
        }
    }
    k2_iceberg_entries_deinit(&entries);
    return status;
}

// The rows that the corrected days have now; a day may have none any more.
static enum k2_status count_corrected(struct exporter *self, struct k2_error *error)
{
    struct k2_row_selection selection = self->selection;
    enum k2_status status = K2_OK;
    selection.commit_after = 0;
    for (size_t i = 0; i < self->corrected_count && status == K2_OK; i++) {
        struct k2_day_rows *days = NULL;
        size_t count = 0;
        status = k2_export_days_of(&selection, self->corrected[i].day, &days, &count, error);
        self->corrected[i].rows = status == K2_OK && count == 1 ? days->rows : 0;
        k2_free(days);
    }
    return status;
}

static enum k2_status read_retention(struct exporter *self, struct k2_error *error)
{
    const struct k2_export_request *request = self->request;
    const struct k2_iceberg_metadata *metadata = self->place.table.metadata;
    const char *says = k2_iceberg_property(metadata, K2_EXPORT_RETENTION);
    bool follows = says != NULL && strcmp(says, "follow") == 0;
    if (request->retention != K2_RETENTION_UNCHANGED) {
        bool wanted = request->retention == K2_RETENTION_FOLLOW;
        self->sets_retention = wanted != follows;
        follows = wanted;
    }
    return follows ? k2_export_kept(request->engine, request->table, metadata, &self->cuts,
                                    &self->cut_day, &self->cut_ns, error)
                   : K2_OK;
}

static enum k2_status prepare(struct exporter *self, struct k2_error *error)
{
    bool needs_rewrite = false;
    struct k2_policy policy = {0};
    enum k2_status status = read_state(self, error);
    if (status == K2_OK) {
        status = k2_table_schema_evolve(self->request->table->schema, self->place.table.metadata,
                                        &self->arena, &self->new_fields, &self->new_field_count,
                                        &needs_rewrite, error);
    }
    if (status == K2_OK) {
        status = k2_policy_get(self->request->engine, self->request->table, &policy, error);
    }
    if (status == K2_OK) {
        status = read_retention(self, error);
    }
    // What replaced or deleted rows since the last export may be gone together with them.
    bool history_cut = status == K2_OK && policy.history_floor > self->exported;
    self->full = self->full || ((needs_rewrite || history_cut) && self->exported > 0);
    self->selection.commit_after = self->full ? 0 : self->exported;
    return status;
}

// ---- doing it -------------------------------------------------------------------------------

static enum k2_status write_days(struct exporter *self, uint64_t commit_after,
                                 const struct k2_day_rows *days, size_t day_count,
                                 struct k2_error *error)
{
    const struct k2_export_request *request = self->request;
    char name[NAME_BYTES];
    (void)snprintf(name, sizeof name, "k2-%s-%llu-%llu-%s", self->store,
                   (unsigned long long)commit_after, (unsigned long long)request->snapshot,
                   self->commit_id);
    struct k2_export_writer writer = {
        .selection = self->selection,
        .store = self->place.store,
        .table_location = k2_iceberg_location(self->place.table.metadata),
        .name = name,
        .day_name = self->place.day_name,
        .sort_order_id = k2_iceberg_sort_order_id(self->place.table.metadata),
        .files = &self->files,
        .progress = request->progress,
        .context = request->context,
        .stop = request->stop,
    };
    writer.selection.commit_after = commit_after;
    return k2_export_write(&writer, days, day_count, error);
}

static enum k2_status write_files(struct exporter *self, struct k2_error *error)
{
    enum k2_status status = K2_OK;
    if (self->full || self->corrected_count > 0) {
        status = list_replaced(self, error);
    }
    if (status == K2_OK) {
        status = count_corrected(self, error);
    }
    if (status == K2_OK && self->day_count > 0) {
        status = write_days(self, self->selection.commit_after, self->days, self->day_count, error);
    }
    if (status == K2_OK && self->corrected_count > 0) {
        status = write_days(self, 0, self->corrected, self->corrected_count, error);
    }
    return status;
}

// Another export of the same store may have been faster.
static bool still_wanted(void *context, const struct k2_catalog_table *table)
{
    const struct exporter *self = context;
    struct k2_row_selection range;
    uint64_t exported;
    bool has_range;
    return k2_export_state(self->request->engine, table->metadata, &exported, &has_range, &range,
                           NULL) == K2_OK &&
           exported == self->exported;
}

static enum k2_status commit(struct exporter *self, struct k2_table_outcome *outcome,
                             struct k2_error *error)
{
    const struct k2_row_selection *selection = &self->selection;
    char number[NUMBER_BYTES], range[RANGE_BYTES] = "", from[NUMBER_BYTES] = "";
    char to[NUMBER_BYTES] = "", cut[NUMBER_BYTES] = "";
    (void)snprintf(number, sizeof number, "%llu", (unsigned long long)self->request->snapshot);
    if (selection->has_start) {
        (void)snprintf(from, sizeof from, "%lld", (long long)selection->start_ns);
    }
    if (selection->has_end) {
        (void)snprintf(to, sizeof to, "%lld", (long long)selection->end_ns);
    }
    (void)snprintf(range, sizeof range, "%s,%s", from, to);
    (void)snprintf(cut, sizeof cut, "%lld", (long long)self->cut_ns);
    bool ranged = selection->has_start || selection->has_end;
    struct k2_iceberg_property properties[4] = {{self->property, number}};
    size_t property_count = 1;
    if (ranged || self->full) {
        properties[property_count++] =
            (struct k2_iceberg_property){self->range_property, ranged ? range : NULL};
    }
    if (self->cuts) {
        properties[property_count++] = (struct k2_iceberg_property){self->cut_property, cut};
    }
    if (self->sets_retention) {
        properties[property_count++] = (struct k2_iceberg_property){
            K2_EXPORT_RETENTION, retention_name(self->request->retention)};
    }
    const struct k2_iceberg_property summary[] = {
        {"k2.commit-id", self->commit_id},
        {"k2.store", self->store},
        {"k2.snapshot", number},
    };
    bool replaces = self->removed_count > 0;
    const struct k2_table_change change = {
        .commit_id = self->commit_id,
        .operation = replaces ? "overwrite" : "append",
        .added = self->files.items,
        .added_count = self->files.count,
        .removed = self->removed,
        .removed_count = self->removed_count,
        .fields = self->new_fields,
        .field_count = self->new_field_count,
        .properties = properties,
        .property_count = property_count,
        .summary = summary,
        .summary_count = sizeof summary / sizeof summary[0],
        .merge_manifests = MERGED_MANIFESTS,
        .still_wanted = still_wanted,
        .context = self,
    };
    return k2_table_commit(&self->place, &change, outcome, error);
}

// Files that no commit names.
static void remove_files(struct exporter *self)
{
    struct k2_object_store *store = self->place.store;
    for (size_t i = 0; i < self->files.count; i++) {
        (void)store->class->remove(store->self, (const char *)self->files.items[i].path.data, NULL);
    }
}

static enum k2_status publish(struct exporter *self, struct k2_export_result *result,
                              struct k2_error *error)
{
    struct k2_table_outcome outcome = {0};
    enum k2_status status = k2_make_uuid(self->commit_id, error);
    struct k2_export_intent intent = {
        .engine = self->request->engine,
        .warehouse = self->request->warehouse,
        .place = &self->place,
        .commit_id = self->commit_id,
        .from = self->selection.commit_after,
        .to = self->request->snapshot,
        .writable = self->request->writable,
    };
    if (status == K2_OK) {
        status = k2_export_intent_begin(&intent, error);
    }
    if (status == K2_OK) {
        status = write_files(self, error);
        if (status != K2_OK) {
            remove_files(self);
        }
    }
    if (status == K2_OK) {
        // After a failure it is not always known whether it was taken: the files stay, and the next
        // export or `k2 iceberg orphans` removes those that nothing names.
        status = commit(self, &outcome, error);
    }
    if (status == K2_OK && !outcome.done) {
        remove_files(self);
        return k2_fail(error, K2_BUSY, "another export of this store was faster; try again");
    }
    if (status == K2_OK) {
        result->rows_added = self->files.rows;
        result->files_added = self->files.count;
        result->bytes_added = self->files.bytes;
        status = k2_export_intent_end(&intent, outcome.snapshot_id, error);
    }
    return status;
}

static enum k2_status export_rows(struct exporter *self, struct k2_export_result *result,
                                  struct k2_error *error)
{
    const struct k2_export_request *request = self->request;
    // An older snapshot than the table holds must not be noted as what it holds.
    bool same = self->exported == request->snapshot && (self->cuts || self->sets_retention);
    bool covered = self->exported >= request->snapshot && !self->full && !same;
    enum k2_status status = K2_OK;
    if (!covered) {
        status = k2_export_days(&self->selection, &self->days, &self->day_count, error);
    }
    if (status == K2_OK && !covered) {
        status = find_corrections(self, error);
    }
    if (status == K2_OK && self->cuts && !self->full) {
        status = find_dropped(self, error);
    }
    bool changes = self->day_count > 0 || self->cuts || self->sets_retention ||
                   self->corrected_count > 0 || self->new_field_count > 0 ||
                   (self->full && (self->exported > 0 || self->created));
    if (request->only_look) {
        result->has_work = result->has_work || (!covered && changes);
    } else if (status == K2_OK && !covered && changes) {
        status = publish(self, result, error);
    }
    return status;
}

static enum k2_status open_table(struct exporter *self, struct k2_error *error)
{
    const struct k2_export_request *request = self->request;
    struct k2_catalog *catalog = self->place.catalog;
    bool found = false;
    self->place.day_name = k2_day_name(request->table->schema, &self->arena);
    if (self->place.day_name == NULL) {
        return no_memory(error);
    }
    enum k2_status status =
        catalog->class->load(catalog->self, self->place.name, &found, &self->place.table, error);
    if (status == K2_OK && !found) {
        bool wanted = request->create_empty;
        if (!wanted) {
            status = k2_export_days(&self->selection, &self->days, &self->day_count, error);
            wanted = self->day_count > 0;
            k2_free(self->days);
            self->days = NULL;
            self->day_count = 0;
        }
        self->wanted = wanted;
        if (status == K2_OK && wanted && !request->only_look) {
            status = create_table(self, error);
        }
    }
    return status;
}

static enum k2_status tell(struct exporter *self, struct k2_export_result *result,
                           struct k2_error *error)
{
    struct k2_iceberg_snapshot current;
    const char *location = self->place.table.metadata_location;
    result->snapshot = self->request->snapshot;
    result->there = self->place.table.metadata != NULL;
    if (!result->there) {
        return K2_OK;
    }
    result->has_iceberg_snapshot =
        k2_iceberg_current_snapshot(self->place.table.metadata, &current);
    result->iceberg_snapshot_id = result->has_iceberg_snapshot ? current.id : 0;
    if (location != NULL) {
        result->metadata = k2_alloc_text(location, strlen(location));
        return result->metadata != NULL ? K2_OK : no_memory(error);
    }
    return K2_OK;
}

enum k2_status k2_export_table(const struct k2_export_request *request,
                               struct k2_export_result *result, struct k2_error *error)
{
    struct exporter self = {
        .request = request,
        .full = request->full,
        .place = {.store = &request->warehouse->store,
                  .catalog = &request->warehouse->catalog,
                  .name = request->table->schema->table},
        .selection = {.engine = request->engine,
                      .table = request->table,
                      .snapshot = request->snapshot},
    };
    *result = (struct k2_export_result){0};
    k2_store_text(request->engine, self.store);
    (void)snprintf(self.property, sizeof self.property, K2_EXPORT_PROPERTY "%s", self.store);
    (void)snprintf(self.range_property, sizeof self.range_property, K2_EXPORT_RANGE "%s",
                   self.store);
    (void)snprintf(self.cut_property, sizeof self.cut_property, K2_EXPORT_CUT "%s", self.store);
    enum k2_status status = open_table(&self, error);
    bool there = status == K2_OK && self.place.table.metadata != NULL;
    if (there) {
        struct k2_export_intent intent = {.engine = request->engine,
                                          .warehouse = request->warehouse,
                                          .place = &self.place,
                                          .writable = request->writable};
        status = request->only_look ? k2_export_intent_is_open(&intent, &result->has_work, error)
                                    : k2_export_intent_resolve(&intent, error);
    }
    if (status == K2_OK && there) {
        status = prepare(&self, error);
    }
    result->has_work = result->has_work || (self.wanted && !there);
    if (status == K2_OK && there && request->snapshot > 0) {
        status = export_rows(&self, result, error);
    }
    if (status == K2_OK) {
        status = tell(&self, result, error);
    }
    if (status != K2_OK) {
        k2_error_annotate(error, "table %s", self.place.name);
    }
    k2_catalog_table_close(&self.place.table);
    k2_file_list_deinit(&self.files);
    k2_iceberg_entries_deinit(&self.replaced);
    k2_free(self.removed);
    k2_free(self.days);
    k2_free(self.corrected);
    k2_arena_deinit(&self.arena);
    return status;
}
