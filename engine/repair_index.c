#include "engine/repair_index.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "engine/commit_log.h"
#include "engine/domains.h"
#include "engine/engine_state.h"
#include "engine/group_rows.h"
#include "engine/journal.h"
#include "engine/ledger_history.h"
#include "engine/policy.h"
#include "engine/publish.h"
#include "engine/text_arena.h"
#include "engine/version_count.h"
#include "format/base/alloc.h"

enum entry_kind {
    ENTRY_OTHER,
    ENTRY_TAG,
    ENTRY_SCHEMA,
    ENTRY_COMMITS,
    ENTRY_POLICY,
    ENTRY_DOMAIN,
    ENTRY_EXPORT,
    ENTRY_DROPPED
};

// A row of `_log`.
struct entry {
    enum entry_kind kind;
    int64_t sequence, number;
    struct k2_slice name, value; // in the arena
};

struct builder {
    struct k2_salvage *salvage;
    struct k2_store_txn *txn;
    struct k2_text_arena texts;
    struct entry *entries; // owned, by sequence
    size_t entry_count, entry_room;
    uint16_t table_ids[K2_MAX_TABLES]; // those with a schema
    size_t table_count;
    uint64_t logged, newest;               // commits that the log has; all
    const struct k2_salvaged_group *group; // being indexed
    uint64_t new_members;
};

static enum k2_status no_memory(struct k2_error *error)
{
    return k2_fail(error, K2_NO_MEMORY, "repair: out of memory");
}

static bool is_journal(const struct builder *self, const struct k2_salvaged_group *group)
{
    return strcmp(self->salvage->names[group->name], K2_JOURNAL_TABLE) == 0;
}

// ---- rows of `_log`

static enum entry_kind kind_of(struct k2_slice symbol)
{
    return k2_slice_equal(symbol, k2_slice_of(K2_JOURNAL_TAG))       ? ENTRY_TAG
           : k2_slice_equal(symbol, k2_slice_of(K2_JOURNAL_SCHEMA))  ? ENTRY_SCHEMA
           : k2_slice_equal(symbol, k2_slice_of(K2_JOURNAL_COMMITS)) ? ENTRY_COMMITS
           : k2_slice_equal(symbol, k2_slice_of(K2_JOURNAL_POLICY))  ? ENTRY_POLICY
           : k2_slice_equal(symbol, k2_slice_of(K2_JOURNAL_DOMAIN))  ? ENTRY_DOMAIN
           : k2_slice_equal(symbol, k2_slice_of(K2_JOURNAL_EXPORT))  ? ENTRY_EXPORT
           : k2_slice_equal(symbol, k2_slice_of(K2_JOURNAL_DROPPED)) ? ENTRY_DROPPED
                                                                     : ENTRY_OTHER;
}

static enum k2_status read_text(struct builder *self, struct k2_group_rows *rows, int column,
                                uint32_t row, struct k2_slice *text, struct k2_error *error)
{
    const struct k2_vector *vector;
    uint32_t place;
    enum k2_status status = k2_group_rows_vector(rows, (size_t)column, row, &vector, &place, error);
    *text = (struct k2_slice){0};
    bool there = status == K2_OK && vector != NULL && vector->texts != NULL &&
                 (vector->valid == NULL || vector->valid[place]);
    return there && !k2_text_arena_copy(&self->texts, vector->texts[place], text) ? no_memory(error)
                                                                                  : status;
}

static enum k2_status read_entry(struct builder *self, struct k2_group_rows *rows,
                                 const struct k2_schema *schema, struct k2_slice symbol,
                                 uint32_t row, struct k2_error *error)
{
    if (self->entry_count == self->entry_room) {
        size_t room = self->entry_room * 2 + 64;
        struct entry *grown = k2_realloc(self->entries, room, sizeof *grown);
        if (grown == NULL) {
            return no_memory(error);
        }
        self->entries = grown;
        self->entry_room = room;
    }
    struct entry *entry = &self->entries[self->entry_count];
    int64_t time_ns, epoch;
    const struct k2_vector *vector = NULL;
    uint32_t place;
    *entry = (struct entry){.kind = kind_of(symbol)};
    size_t number = (size_t)k2_schema_find(schema, k2_slice_of("number"));
    enum k2_status status = k2_group_rows_key(rows, row, &time_ns, &epoch, &entry->sequence, error);
    if (status == K2_OK) {
        status = k2_group_rows_vector(rows, number, row, &vector, &place, error);
    }
    if (status == K2_OK && vector != NULL) {
        entry->number = vector->values[place];
    }
    if (status == K2_OK) {
        status = read_text(self, rows, k2_schema_find(schema, k2_slice_of("name")), row,
                           &entry->name, error);
    }
    if (status == K2_OK) {
        status = read_text(self, rows, k2_schema_find(schema, k2_slice_of("value")), row,
                           &entry->value, error);
    }
    self->entry_count += status == K2_OK;
    return status;
}

static enum k2_status read_entries(struct builder *self, const struct k2_salvaged_group *group,
                                   const struct k2_schema *schema, struct k2_error *error)
{
    struct k2_row_group_view *view = NULL;
    struct k2_group_rows *rows = NULL;
    enum k2_status status = k2_salvage_view(self->salvage, group, &view, error);
    if (status != K2_OK) {
        return status;
    }
    size_t entry_count;
    const struct k2_directory_entry *entries = k2_row_group_view_directory(view, &entry_count);
    status = k2_group_rows_open(&rows, view, schema, error);
    for (size_t i = 0; i < entry_count && status == K2_OK; i++) {
        for (uint32_t j = 0; j < entries[i].row_count && status == K2_OK; j++) {
            status =
                read_entry(self, rows, schema, entries[i].symbol, entries[i].first_row + j, error);
        }
    }
    k2_group_rows_close(rows);
    k2_row_group_view_close(view);
    return status;
}

static int compare_entries(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    return (a->sequence > b->sequence) - (a->sequence < b->sequence);
}

static enum k2_status read_journal(struct builder *self, struct k2_error *error)
{
    struct k2_schema *schema = NULL;
    enum k2_status status = k2_schema_builtin(&schema, K2_JOURNAL_TABLE, error);
    for (size_t i = 0; i < self->salvage->group_count && status == K2_OK; i++) {
        const struct k2_salvaged_group *group = &self->salvage->groups[i];
        if (group->counts && is_journal(self, group)) {
            status = read_entries(self, group, schema, error);
        }
    }
    k2_schema_destroy(schema);
    if (self->entry_count > 1) {
        qsort(self->entries, self->entry_count, sizeof *self->entries, compare_entries);
    }
    return status;
}

// What a retain has dropped does not come back, though its file may still be there.
static void drop_range(struct k2_salvage *salvage, uint16_t table, uint64_t segment_id,
                       uint64_t begin, uint64_t end)
{
    for (size_t i = k2_salvage_first(salvage, segment_id);
         i < salvage->group_count && salvage->groups[i].place.segment_id == segment_id; i++) {
        struct k2_salvaged_group *group = &salvage->groups[i];
        if (group->state != K2_SALVAGED_BARE && group->place.table == table &&
            group->place.offset >= begin && group->place.offset < end) {
            group->replaced |= group->counts || group->lost;
            group->counts = group->lost = false;
        }
    }
}

static enum k2_status drop_retained(struct builder *self, struct k2_error *error)
{
    for (size_t i = 0; i < self->entry_count; i++) {
        const struct entry *entry = &self->entries[i];
        struct k2_byte_reader reader = {.rest = entry->value};
        while (entry->kind == ENTRY_DROPPED && reader.rest.size_bytes > 0) {
            uint64_t segment_id = k2_read_u64(&reader);
            uint64_t begin = k2_read_u64(&reader), end = k2_read_u64(&reader);
            if (reader.truncated) {
                return k2_fail(error, K2_CORRUPT, "_log: what a retain dropped can not be read");
            }
            drop_range(self->salvage, (uint16_t)entry->number, segment_id, begin, end);
        }
    }
    return K2_OK;
}

// ---- tables

static bool has_table(const struct builder *self, uint16_t id)
{
    for (size_t i = 0; i < self->table_count; i++) {
        if (self->table_ids[i] == id) {
            return true;
        }
    }
    return false;
}

static enum k2_status put_table(struct builder *self, uint16_t id, uint32_t version,
                                const struct k2_schema *schema, struct k2_error *error)
{
    if (!has_table(self, id)) {
        if (self->table_count == K2_MAX_TABLES) {
            return k2_fail(error, K2_LIMIT, "repair: more than %d tables", K2_MAX_TABLES);
        }
        self->table_ids[self->table_count++] = id;
    }
    return k2_catalog_put_table(self->txn, id, version, schema, error);
}

static enum k2_status put_logged_schemas(struct builder *self, struct k2_error *error)
{
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < self->entry_count && status == K2_OK; i++) {
        const struct entry *entry = &self->entries[i];
        if (entry->kind != ENTRY_SCHEMA) {
            continue;
        }
        char *name = k2_alloc_text((const char *)entry->name.data, entry->name.size_bytes);
        struct k2_schema *schema = NULL;
        status =
            name == NULL ? no_memory(error) : k2_schema_parse(&schema, name, entry->value, error);
        if (status == K2_OK) {
            status = put_table(self, (uint16_t)((uint64_t)entry->number >> 32),
                               (uint32_t)entry->number, schema, error);
        }
        k2_schema_destroy(schema);
        k2_free(name);
    }
    return status;
}

// The id that groups of the table have; 0: it has none.
static uint16_t id_in_groups(const struct builder *self, const char *name)
{
    for (size_t i = 0; i < self->salvage->group_count; i++) {
        const struct k2_salvaged_group *group = &self->salvage->groups[i];
        if (group->counts && strcmp(self->salvage->names[group->name], name) == 0) {
            return group->place.table;
        }
    }
    return 0;
}

static bool is_logged(const struct builder *self, const char *name)
{
    for (size_t i = 0; i < self->entry_count; i++) {
        if (self->entries[i].kind == ENTRY_SCHEMA &&
            k2_slice_equal(self->entries[i].name, k2_slice_of(name))) {
            return true;
        }
    }
    return false;
}

// Built-in tables have their schema from the program. Those with rows keep their id; the others get
// one that is free.
static enum k2_status put_builtin(struct builder *self, bool with_rows, struct k2_error *error)
{
    enum k2_status status = K2_OK;
    const char *name;
    for (size_t i = 0; status == K2_OK && (name = k2_schema_builtin_name(i)) != NULL; i++) {
        uint16_t id = id_in_groups(self, name);
        struct k2_schema *schema = NULL;
        if (is_logged(self, name) || (id != 0) != with_rows) {
            continue;
        }
        for (uint16_t free_id = (uint16_t)(i + 1); id == 0; free_id++) {
            id = has_table(self, free_id) ? 0 : free_id;
        }
        status = k2_schema_builtin(&schema, name, error);
        if (status == K2_OK) {
            status = put_table(self, id, 1, schema, error);
        }
        k2_schema_destroy(schema);
    }
    return status;
}

static enum k2_status put_tables(struct builder *self, struct k2_error *error)
{
    enum k2_status status = put_logged_schemas(self, error);
    if (status == K2_OK) {
        status = put_builtin(self, true, error);
    }
    return status == K2_OK ? put_builtin(self, false, error) : status;
}

// ---- groups and what follows from them

static enum k2_status put_instrument(struct builder *self, const struct k2_directory_entry *entry,
                                     struct k2_error *error)
{
    struct k2_buffer name;
    struct k2_slice stored = {0};
    bool found = false;
    k2_buffer_init(&name, 4096);
    k2_put_bytes(&name, entry->exchange.data, entry->exchange.size_bytes);
    k2_put_u8(&name, 0);
    k2_put_bytes(&name, entry->symbol.data, entry->symbol.size_bytes);
    struct k2_index_key key = k2_index_key_id(entry->instrument, 4);
    struct k2_index_value value = k2_index_value_number(entry->instrument);
    enum k2_status status = k2_buffer_check(&name, "instrument", error);
    if (status == K2_OK) {
        status = k2_store_get(self->txn, K2_STORE_INSTRUMENT, k2_index_key_slice(&key), &found,
                              &stored, error);
    }
    if (status == K2_OK && !found) {
        status = k2_store_put(self->txn, K2_STORE_INSTRUMENT, k2_index_key_slice(&key),
                              k2_buffer_slice(&name), error);
        if (status == K2_OK) {
            status = k2_store_put(self->txn, K2_STORE_INSTRUMENT_NAME, k2_buffer_slice(&name),
                                  k2_index_value_slice(&value), error);
        }
    } else if (status == K2_OK && !k2_slice_equal(stored, k2_buffer_slice(&name))) {
        status = k2_fail(error, K2_CORRUPT, "instrument %u has two names", entry->instrument);
    }
    k2_buffer_deinit(&name);
    return status;
}

static enum k2_status put_member(void *context, const struct k2_directory_entry *entry,
                                 uint64_t first_commit, struct k2_error *error)
{
    struct builder *self = context;
    struct k2_slice stored;
    bool found = false;
    enum k2_status status = put_instrument(self, entry, error);
    if (status != K2_OK || is_journal(self, self->group)) {
        return status;
    }
    struct k2_index_key key = k2_index_key_pair(self->group->place.table, entry->instrument);
    struct k2_index_value value = k2_index_value_number(first_commit);
    status =
        k2_store_get(self->txn, K2_STORE_MEMBER, k2_index_key_slice(&key), &found, &stored, error);
    if (status == K2_OK && (!found || k2_index_number(stored) > first_commit)) {
        self->new_members += !found;
        status = k2_store_put(self->txn, K2_STORE_MEMBER, k2_index_key_slice(&key),
                              k2_index_value_slice(&value), error);
    }
    return status;
}

static enum k2_status put_markers_of(struct builder *self, const struct k2_salvaged_group *group,
                                     struct k2_error *error)
{
    struct k2_row_group_view *view = NULL;
    enum k2_status status = k2_salvage_view(self->salvage, group, &view, error);
    if (status != K2_OK) {
        return status;
    }
    const struct k2_row_group_info *info = k2_row_group_view_info(view);
    for (size_t i = 0; i < info->marker_count && status == K2_OK; i++) {
        status = k2_store_put(self->txn, K2_STORE_PROGRESS, info->markers[i].key,
                              info->markers[i].value, error);
    }
    k2_row_group_view_close(view);
    return status;
}

static enum k2_status put_group(struct builder *self, const struct k2_salvaged_group *group,
                                struct k2_error *error)
{
    const struct k2_table table = {.id = group->place.table};
    struct k2_new_group added = {&table, group->place, group->record};
    self->group = group;
    self->new_members = 0;
    enum k2_status status = k2_salvage_members(self->salvage, group, put_member, self, error);
    if (status == K2_OK) {
        status = k2_publish_add(self->txn, &added, error);
    }
    if (status == K2_OK) {
        status = k2_publish_count(self->txn, &table, group->record.row_count, 0, 0,
                                  self->new_members, error);
    }
    return status;
}

static int compare_markers(const void *left, const void *right)
{
    const struct k2_salvaged_group *a = *(const struct k2_salvaged_group *const *)left;
    const struct k2_salvaged_group *b = *(const struct k2_salvaged_group *const *)right;
    bool rewrite_a = a->record.level != K2_LEVEL_COMMIT;
    bool rewrite_b = b->record.level != K2_LEVEL_COMMIT;
    if (a->commit != b->commit) {
        return a->commit < b->commit ? -1 : 1;
    }
    if (rewrite_a != rewrite_b) {
        return rewrite_a ? 1 : -1; // it began after that commit
    }
    return (a->place.segment_id > b->place.segment_id) -
           (a->place.segment_id < b->place.segment_id);
}

// The newest last.
static enum k2_status put_markers(struct builder *self, struct k2_error *error)
{
    struct k2_salvage *salvage = self->salvage;
    struct k2_salvaged_group **groups =
        k2_alloc_zero(salvage->group_count, sizeof(struct k2_salvaged_group *));
    size_t count = 0;
    if (groups == NULL) {
        return no_memory(error);
    }
    for (size_t i = 0; i < salvage->group_count; i++) {
        struct k2_salvaged_group *group = &salvage->groups[i];
        if ((group->counts || group->replaced) && group->part == 0 && !group->alone) {
            groups[count++] = group;
        }
    }
    if (count > 0) {
        qsort(groups, count, sizeof(struct k2_salvaged_group *), compare_markers);
    }
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < count && status == K2_OK; i++) {
        status = put_markers_of(self, groups[i], error);
    }
    k2_free(groups);
    return status;
}

static enum k2_status put_groups(struct builder *self, struct k2_error *error)
{
    struct k2_salvage *salvage = self->salvage;
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < salvage->group_count && status == K2_OK; i++) {
        struct k2_salvaged_group *group = &salvage->groups[i];
        if (group->counts && !has_table(self, group->place.table)) {
            group->counts = false;
            group->lost = true;
        }
        if (group->counts) {
            status = put_group(self, group, error);
        }
    }
    for (size_t i = 0; i < salvage->segment_count && status == K2_OK; i++) {
        status = k2_repair_index_segment(salvage, salvage->segments[i].id, self->txn, error);
    }
    return status;
}

enum k2_status k2_repair_index_segment(const struct k2_salvage *salvage, uint64_t segment_id,
                                       struct k2_store_txn *txn, struct k2_error *error)
{
    struct k2_segment_record record = {.state = K2_SEGMENT_LIVE, .run = salvage->newest_run};
    for (size_t i = k2_salvage_first(salvage, segment_id);
         i < salvage->group_count && salvage->groups[i].place.segment_id == segment_id; i++) {
        const struct k2_salvaged_group *group = &salvage->groups[i];
        if (group->counts) {
            record.group_count++;
            record.live_bytes += group->length_bytes;
            record.rewritten = group->record.level != K2_LEVEL_COMMIT;
        }
        // What was replaced stays below the length: the next rewrite says that it was.
        if (group->counts || (group->replaced && group->state == K2_SALVAGED_SOUND)) {
            record.length_bytes = group->place.offset + group->length_bytes;
        }
    }
    struct k2_index_key key = k2_index_key_id(segment_id, 8);
    struct k2_index_value value = k2_segment_record_encode(&record);
    return record.group_count == 0
               ? k2_store_delete(txn, K2_STORE_SEGMENT, k2_index_key_slice(&key), error)
               : k2_store_put(txn, K2_STORE_SEGMENT, k2_index_key_slice(&key),
                              k2_index_value_slice(&value), error);
}

// ---- the commit log

// The chunks that `_log` has, from the first on without a hole; of each the last one written.
static enum k2_status put_logged_commits(struct builder *self, struct k2_error *error)
{
    enum k2_status status = K2_OK;
    struct k2_snapshot newest = {0};
    for (uint64_t chunk = 0; status == K2_OK && newest.id == chunk * K2_COMMIT_LOG_CHUNK; chunk++) {
        const struct entry *last = NULL;
        for (size_t i = 0; i < self->entry_count; i++) {
            bool same = self->entries[i].kind == ENTRY_COMMITS &&
                        (uint64_t)self->entries[i].number == chunk;
            last = same ? &self->entries[i] : last;
        }
        if (last == NULL) {
            break;
        }
        struct k2_index_key key = k2_index_key_id(chunk, 8);
        status =
            k2_store_put(self->txn, K2_STORE_COMMIT, k2_index_key_slice(&key), last->value, error);
        if (status == K2_OK) {
            status = k2_commit_log_newest(self->txn, &newest, error);
        }
    }
    self->logged = newest.id;
    return status;
}

static int compare_commits(const void *left, const void *right)
{
    const struct k2_salvaged_group *a = *(const struct k2_salvaged_group *const *)left;
    const struct k2_salvaged_group *b = *(const struct k2_salvaged_group *const *)right;
    return (a->commit > b->commit) - (a->commit < b->commit);
}

static void add_rows(struct k2_snapshot *snapshot, const struct k2_salvaged_group *group)
{
    size_t place = 0;
    while (place < snapshot->table_count &&
           snapshot->tables[place].table_id != group->place.table) {
        place++;
    }
    if (place == K2_MAX_SNAPSHOT_TABLES) {
        return;
    }
    if (place == snapshot->table_count) {
        snapshot->tables[snapshot->table_count++].table_id = group->place.table;
    }
    snapshot->tables[place].added += group->record.row_count;
}

// Appends commit `id` as its groups [first, end) tell; none: of a commit that left nothing.
static enum k2_status put_commit(struct builder *self, uint64_t id, int64_t *time_ns,
                                 struct k2_salvaged_group *const *groups, size_t group_count,
                                 struct k2_error *error)
{
    struct k2_snapshot snapshot = {.id = id, .parent = id - 1, .time_ns = *time_ns + 1000};
    for (size_t i = 0; i < group_count; i++) {
        if (groups[i]->commit_time_ns > snapshot.time_ns) {
            snapshot.time_ns = groups[i]->commit_time_ns;
        }
        add_rows(&snapshot, groups[i]);
    }
    *time_ns = snapshot.time_ns;
    return k2_commit_log_append(self->txn, &snapshot, error);
}

static enum k2_status put_commits(struct builder *self, struct k2_error *error)
{
    struct k2_salvage *salvage = self->salvage;
    struct k2_salvaged_group **groups =
        k2_alloc_zero(salvage->group_count, sizeof(struct k2_salvaged_group *));
    size_t count = 0, first = 0;
    struct k2_snapshot newest = {0};
    if (groups == NULL) {
        return no_memory(error);
    }
    for (size_t i = 0; i < salvage->group_count; i++) {
        const struct k2_salvaged_group *group = &salvage->groups[i];
        if ((group->counts || group->replaced) && !group->alone &&
            group->record.level == K2_LEVEL_COMMIT) {
            groups[count++] = &salvage->groups[i];
        }
    }
    if (count > 0) {
        qsort(groups, count, sizeof(struct k2_salvaged_group *), compare_commits);
    }
    enum k2_status status = put_logged_commits(self, error);
    if (status == K2_OK) {
        status = k2_salvage_find_missing(salvage, self->logged, error);
    }
    if (status == K2_OK) {
        status = k2_commit_log_newest(self->txn, &newest, error);
    }
    uint64_t last = count > 0 ? groups[count - 1]->commit : 0;
    last = salvage->proven_commit > last ? salvage->proven_commit : last;
    self->newest = newest.id > last ? newest.id : last;
    for (uint64_t id = newest.id + 1; id <= last && status == K2_OK; id++) {
        while (first < count && groups[first]->commit < id) {
            first++;
        }
        size_t end = first;
        while (end < count && groups[end]->commit == id) {
            end++;
        }
        status = put_commit(self, id, &newest.time_ns, groups + first, end - first, error);
    }
    k2_free(groups);
    return status;
}

static enum k2_status put_tags(struct builder *self, struct k2_error *error)
{
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < self->entry_count && status == K2_OK; i++) {
        const struct entry *entry = &self->entries[i];
        struct k2_index_value value = k2_index_value_number((uint64_t)entry->number);
        if (entry->kind == ENTRY_TAG && entry->number == 0) {
            status = k2_store_delete(self->txn, K2_STORE_TAG, entry->name, error);
        } else if (entry->kind == ENTRY_TAG && (uint64_t)entry->number <= self->newest) {
            status = k2_store_put(self->txn, K2_STORE_TAG, entry->name,
                                  k2_index_value_slice(&value), error);
        }
    }
    return status;
}

static enum k2_status put_exports(struct builder *self, struct k2_error *error)
{
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < self->entry_count && status == K2_OK; i++) {
        const struct entry *entry = &self->entries[i];
        if (entry->kind == ENTRY_EXPORT) {
            status = k2_store_put(self->txn, K2_STORE_EXPORT, entry->name, entry->value, error);
        }
    }
    return status;
}

static enum k2_status find_table(struct builder *self, struct k2_slice name, uint16_t *id,
                                 struct k2_error *error)
{
    struct k2_store_cursor cursor;
    *id = 0;
    enum k2_status status = k2_store_cursor_begin(self->txn, K2_STORE_TABLE, &cursor, error);
    while (status == K2_OK && cursor.found && *id == 0) {
        struct k2_byte_reader reader = {.rest = cursor.value};
        (void)k2_read_u32(&reader); // the schema's version
        if (k2_slice_equal(reader.rest, name)) {
            *id = (uint16_t)k2_index_key_get(cursor.key, 0, 2);
        }
        status = k2_store_next(&cursor, error);
    }
    k2_store_cursor_close(&cursor);
    return status;
}

static enum k2_status put_policies(struct builder *self, struct k2_error *error)
{
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < self->entry_count && status == K2_OK; i++) {
        const struct entry *entry = &self->entries[i];
        struct k2_policy policy;
        uint16_t id = 0;
        if (entry->kind != ENTRY_POLICY) {
            continue;
        }
        status = find_table(self, entry->name, &id, error);
        if (status == K2_OK) {
            status = k2_policy_decode(entry->value, &policy, error);
        }
        if (status == K2_OK && id != 0) {
            status = k2_policy_store(self->txn, id, &policy, error);
        }
    }
    return status;
}

// The id of an instrument domain, by the names that stand in `_log`; 0: it has no rows any more.
static enum k2_status find_instrument(struct builder *self, struct k2_slice name, uint32_t *id,
                                      struct k2_error *error)
{
    struct k2_domain_part parts[K2_DOMAIN_COLUMNS];
    struct k2_buffer key;
    struct k2_slice value;
    size_t count;
    bool found = false;
    enum k2_status status = k2_domain_name_read(name, parts, &count, error);
    if (status != K2_OK || count != 2) {
        return status;
    }
    k2_buffer_init(&key, 4096);
    k2_put_bytes(&key, parts[0].value.data, parts[0].value.size_bytes);
    k2_put_u8(&key, 0);
    k2_put_bytes(&key, parts[1].value.data, parts[1].value.size_bytes);
    status = k2_buffer_check(&key, "instrument", error);
    if (status == K2_OK) {
        status = k2_store_get(self->txn, K2_STORE_INSTRUMENT_NAME, k2_buffer_slice(&key), &found,
                              &value, error);
    }
    *id = status == K2_OK && found ? (uint32_t)k2_index_number(value) : 0;
    k2_buffer_deinit(&key);
    return status;
}

// Domains come back in the order in which they were made; the ledger follows from the rows, when
// the next writer opens the store.
static enum k2_status put_domains(struct builder *self, struct k2_error *error)
{
    uint32_t named[K2_MAX_TABLES + 1] = {0};
    enum k2_status status = K2_OK;
    bool any = false;
    for (size_t i = 0; i < self->entry_count && status == K2_OK; i++) {
        const struct entry *entry = &self->entries[i];
        uint16_t table = 0;
        if (entry->kind != ENTRY_DOMAIN || entry->value.size_bytes == 0) {
            continue;
        }
        status = find_table(self, entry->name, &table, error);
        struct k2_slice name = {entry->value.data + 1, entry->value.size_bytes - 1};
        struct k2_domain_record record = {.since = (uint64_t)entry->number};
        uint32_t domain = 0;
        if (status == K2_OK && entry->value.data[0] == 0) {
            status = find_instrument(self, name, &domain, error);
        } else if (status == K2_OK && table <= K2_MAX_TABLES) {
            record.name = name;
            domain = K2_NAMED_DOMAIN | named[table]++;
        }
        if (status == K2_OK && table != 0 && domain != 0) {
            status = k2_domain_store(self->txn, table, domain, &record, error);
            any = true;
        }
    }
    return status == K2_OK && any ? k2_ledger_forget(self->txn, error) : status;
}

static enum k2_status mark_hidden(struct builder *self, struct k2_error *error)
{
    return k2_version_count_forget(self->txn, self->logged, error);
}

static enum k2_status put_meta(struct builder *self, struct k2_error *error)
{
    static const uint8_t none[16];
    struct k2_salvage *salvage = self->salvage;
    // No segment says which store it is: then it is a new one.
    if (memcmp(salvage->store_id, none, sizeof none) == 0 &&
        getrandom(salvage->store_id, sizeof none, 0) != sizeof none) {
        return k2_fail(error, K2_IO, "repair: no random bytes");
    }
    struct k2_index_value run = k2_index_value_number(salvage->newest_run);
    struct k2_index_value logged = k2_index_value_number(self->logged);
    enum k2_status status = k2_engine_put_identity(self->txn, salvage->store_id, error);
    if (status == K2_OK) {
        status = k2_store_put(self->txn, K2_STORE_META, k2_slice_of("run"),
                              k2_index_value_slice(&run), error);
    }
    if (status == K2_OK) {
        status = k2_store_put(self->txn, K2_STORE_META, k2_slice_of(K2_JOURNAL_LOGGED),
                              k2_index_value_slice(&logged), error);
    }
    return status;
}

enum k2_status k2_repair_index_build(struct k2_salvage *salvage, struct k2_store *store,
                                     struct k2_error *error)
{
    struct builder self = {.salvage = salvage};
    enum k2_status status = k2_store_begin(store, true, &self.txn, error);
    if (status != K2_OK) {
        return status;
    }
    static enum k2_status (*const steps[])(struct builder *, struct k2_error *) = {
        read_journal, drop_retained, put_tables,  put_groups,  put_markers, put_commits,
        put_tags,     put_policies,  mark_hidden, put_domains, put_exports, put_meta,
    };
    for (size_t i = 0; i < sizeof steps / sizeof steps[0] && status == K2_OK; i++) {
        status = steps[i](&self, error);
    }
    if (status == K2_OK) {
        status = k2_store_commit(self.txn, error);
    } else {
        k2_store_abort(self.txn);
    }
    k2_text_arena_deinit(&self.texts);
    k2_free(self.entries);
    return status;
}
