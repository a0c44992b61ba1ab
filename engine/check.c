#include "engine/check.h"

#include <stdio.h>
#include <string.h>

#include "engine/commit_log.h"
#include "engine/engine_state.h"
#include "engine/file_io.h"
#include "engine/group_rows.h"
#include "engine/index_records.h"
#include "engine/plan.h"
#include "engine/row_order.h"
#include "format/base/alloc.h"

// What the index says of a file, less the groups of it that were met.
struct expected_segment {
    uint64_t id, groups, bytes;
};

struct check {
    struct k2_engine *engine;
    const struct k2_check_options *options;
    struct k2_check_report *report;
    struct k2_store_txn *txn; // one state of the index for the whole check
    uint64_t newest_snapshot;
    uint64_t mapped_id; // segment that `mapped` belongs to
    struct k2_slice mapped;
    struct expected_segment *segments; // owned; by id
    size_t segment_count;
};

static void find(struct check *self, const struct k2_error *error)
{
    self->report->findings++;
    if (self->options->finding != NULL) {
        self->options->finding(self->options->context, error->text);
    }
}

// True for a status that is a finding about the store; others end the check.
static bool is_finding(enum k2_status status)
{
    return status == K2_CORRUPT || status == K2_NOT_FOUND;
}

static enum k2_status map_segment(struct check *self, uint64_t segment_id, struct k2_error *error)
{
    if (self->mapped_id == segment_id && self->mapped.data != NULL) {
        return K2_OK;
    }
    k2_file_unmap(self->mapped);
    self->mapped = (struct k2_slice){0};
    struct k2_segment_record record;
    bool found;
    enum k2_status status = k2_store_get_segment(self->txn, segment_id, &found, &record, error);
    if (status != K2_OK) {
        return status;
    }
    if (!found) {
        return k2_fail(error, K2_CORRUPT, "segment %016llx: the index does not know it",
                       (unsigned long long)segment_id);
    }
    char path[K2_PATH_BYTES];
    k2_engine_segment_path(self->engine, segment_id, ".k2s", path);
    status = k2_file_map(path, record.length_bytes, &self->mapped, error);
    if (status == K2_OK) {
        self->mapped_id = segment_id;
        status = k2_segment_header_check(self->mapped, self->engine->store_id, segment_id, error);
    }
    return status;
}

static enum k2_status expect_segment(struct check *self, uint64_t segment_id,
                                     const struct k2_segment_record *record, struct k2_error *error)
{
    struct expected_segment *grown =
        k2_realloc(self->segments, self->segment_count + 1, sizeof *grown);
    if (grown == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "check: out of memory");
    }
    self->segments = grown;
    self->segments[self->segment_count++] =
        (struct expected_segment){segment_id, record->group_count, record->live_bytes};
    return K2_OK;
}

static void meet_group(struct check *self, const struct k2_plan_group *group)
{
    size_t low = 0, high = self->segment_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (self->segments[middle].id < group->segment_id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low < self->segment_count && self->segments[low].id == group->segment_id) {
        self->segments[low].groups--; // below zero is found as well
        self->segments[low].bytes -= group->length_bytes;
    }
}

static void compare_segments(struct check *self)
{
    for (size_t i = 0; i < self->segment_count; i++) {
        const struct expected_segment *segment = &self->segments[i];
        if (segment->groups != 0 || segment->bytes != 0) {
            struct k2_error finding;
            (void)k2_fail(&finding, K2_CORRUPT,
                          "segment %016llx: %lld groups too few and %lld bytes of such",
                          (unsigned long long)segment->id, (long long)segment->groups,
                          (long long)segment->bytes);
            find(self, &finding);
        }
    }
}

static enum k2_status check_segments(struct check *self, struct k2_error *error)
{
    struct k2_store_cursor cursor;
    enum k2_status status = k2_store_cursor_begin(self->txn, K2_STORE_SEGMENT, &cursor, error);
    while (status == K2_OK && cursor.found) {
        struct k2_segment_record record = k2_segment_record_decode(cursor.value);
        if (record.state == K2_SEGMENT_LIVE) {
            self->report->segments++;
            struct k2_error finding;
            enum k2_status found = map_segment(self, k2_index_key_get(cursor.key, 0, 8), &finding);
            if (is_finding(found)) {
                find(self, &finding);
            }
            status = expect_segment(self, k2_index_key_get(cursor.key, 0, 8), &record, error);
        }
        if (status == K2_OK) {
            status = k2_store_next(&cursor, error);
        }
    }
    k2_store_cursor_close(&cursor);
    return status;
}

enum k2_status k2_check_columns(const struct k2_row_group_view *view, struct k2_error *error)
{
    size_t column_count;
    const struct k2_group_column *columns = k2_row_group_view_columns(view, &column_count);
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < column_count && status == K2_OK; i++) {
        struct k2_column_reader *reader = NULL;
        bool found = false;
        status = k2_column_reader_open(&reader, view, columns[i].id, &found, error);
        if (status == K2_OK && found) {
            k2_column_reader_close(reader);
        }
    }
    return status;
}

static enum k2_status check_entry(struct k2_group_rows *rows,
                                  const struct k2_directory_entry *entry, bool versions,
                                  struct k2_error *error)
{
    int least = versions ? 1 : 0; // several rows may have one key
    struct k2_row_key before = {.instrument = entry->instrument}, key = before;
    enum k2_status status = K2_OK;
    for (uint32_t i = 0; i < entry->row_count && status == K2_OK; i++) {
        status = k2_group_rows_key(rows, entry->first_row + i, &key.time_ns, &key.epoch,
                                   &key.sequence, error);
        if (status != K2_OK) {
            break;
        }
        bool within = key.time_ns >= entry->time_min_ns && key.time_ns <= entry->time_max_ns &&
                      key.sequence >= entry->sequence_min && key.sequence <= entry->sequence_max &&
                      key.epoch >= entry->epoch_min && key.epoch <= entry->epoch_max;
        if (!within || (i > 0 && k2_row_key_compare(&before, &key) >= least)) {
            status = k2_fail(error, K2_CORRUPT, "row %u: %s", entry->first_row + i,
                             within ? "not in key order" : "outside its directory entry");
        }
        before = key;
    }
    return status;
}

static enum k2_status check_values(const struct k2_row_group_view *view,
                                   const struct k2_schema *schema, bool versions,
                                   struct k2_error *error)
{
    struct k2_group_rows *rows = NULL;
    size_t entry_count;
    const struct k2_directory_entry *entries = k2_row_group_view_directory(view, &entry_count);
    enum k2_status status = k2_group_rows_open(&rows, view, schema, error);
    for (size_t i = 0; i < entry_count && status == K2_OK; i++) {
        status = check_entry(rows, &entries[i], versions, error);
    }
    uint32_t row_count = k2_row_group_view_rows(view);
    for (size_t i = K2_KEY_COLUMN_COUNT; i < schema->column_count && status == K2_OK; i++) {
        for (uint32_t row = 0; row < row_count && status == K2_OK; row += K2_BLOCK_ROWS) {
            const struct k2_vector *vector;
            uint32_t place;
            status = k2_group_rows_vector(rows, i, row, &vector, &place, error);
        }
    }
    k2_group_rows_close(rows);
    return status;
}

static enum k2_status check_commits(const struct k2_row_group_view *view,
                                    const struct k2_plan_group *group, struct k2_error *error)
{
    struct k2_column_reader *reader = NULL;
    struct k2_vector_store *store = k2_alloc_aligned(sizeof *store);
    bool found = false;
    if (store == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "check: out of memory");
    }
    enum k2_status status =
        k2_column_reader_open(&reader, view, K2_COLUMN_ID_COMMIT, &found, error);
    for (uint32_t row = 0; status == K2_OK && found && row < group->row_count;) {
        struct k2_vector vector;
        uint32_t rows = 0;
        status = k2_column_reader_decode(reader, row / K2_BLOCK_ROWS, store, &vector, &rows, error);
        for (uint32_t i = 0; i < rows && status == K2_OK; i++) {
            uint64_t commit = (uint64_t)vector.values[i];
            if (commit < group->commit_min || commit > group->commit_max) {
                status = k2_fail(error, K2_CORRUPT, "row %u: of a snapshot that the index denies",
                                 row + i);
            }
        }
        row += K2_BLOCK_ROWS;
    }
    if (found) {
        k2_column_reader_close(reader);
    }
    k2_free(store);
    return status;
}

static enum k2_status check_group(struct check *self, const struct k2_table *table,
                                  const struct k2_plan_group *group, struct k2_error *error)
{
    enum k2_status status = map_segment(self, group->segment_id, error);
    if (status != K2_OK) {
        return status;
    }
    if (group->offset > self->mapped.size_bytes ||
        group->length_bytes > self->mapped.size_bytes - group->offset) {
        return k2_fail(error, K2_CORRUPT, "lies outside the committed bytes");
    }
    struct k2_row_group_view *view = NULL;
    struct k2_slice bytes = {self->mapped.data + group->offset, group->length_bytes};
    status = k2_row_group_view_open(&view, bytes, group->segment_id, group->offset, error);
    if (status != K2_OK) {
        return status;
    }
    const struct k2_row_group_info *info = k2_row_group_view_info(view);
    if (info->table_id != table->id || k2_row_group_view_rows(view) != group->row_count ||
        group->commit_max > self->newest_snapshot || group->commit_min > group->commit_max ||
        memcmp(info->store_id, self->engine->store_id, sizeof info->store_id) != 0) {
        status = k2_fail(error, K2_CORRUPT, "the index says something else of it");
    }
    if (status == K2_OK) {
        status = k2_check_columns(view, error);
    }
    if (status == K2_OK && self->options->deep) {
        status = check_values(view, table->schema, group->versions, error);
        if (status == K2_OK) {
            status = check_commits(view, group, error);
        }
    }
    k2_row_group_view_close(view);
    return status;
}

// The groups of a table in the check's own state of the index.
static enum k2_status check_table(struct check *self, const struct k2_table *table,
                                  struct k2_error *error)
{
    struct k2_store_cursor cursor = {0};
    struct k2_index_key key = k2_index_key_id(table->id, 2);
    uint64_t rows = 0, groups = 0;
    enum k2_status status = k2_store_cursor_open(self->txn, K2_STORE_GROUP, &cursor, error);
    if (status == K2_OK) {
        status = k2_store_seek(&cursor, k2_index_key_slice(&key), error);
    }
    while (status == K2_OK && cursor.found && k2_index_key_get(cursor.key, 0, 2) == table->id) {
        struct k2_group_place place = k2_group_place_of(cursor.key);
        struct k2_group_record record = k2_group_record_decode(cursor.value);
        struct k2_plan_group group = {
            .segment_id = place.segment_id,
            .offset = place.offset,
            .length_bytes = record.length_bytes,
            .row_count = record.row_count,
            .commit_min = record.commit_min,
            .commit_max = record.commit_max,
            .versions = record.versions || record.until_max > 0,
        };
        struct k2_error finding;
        meet_group(self, &group);
        enum k2_status found = check_group(self, table, &group, &finding);
        if (is_finding(found)) {
            k2_error_annotate(&finding, "segment %016llx: group at byte %llu",
                              (unsigned long long)place.segment_id,
                              (unsigned long long)place.offset);
            find(self, &finding);
        } else if (found != K2_OK) {
            status = k2_fail(error, found, "%s", finding.text);
            break;
        }
        rows += record.row_count;
        groups++;
        status = k2_store_next(&cursor, error);
    }
    k2_store_cursor_close(&cursor);
    self->report->rows += rows;
    self->report->groups += groups;
    struct k2_slice value;
    bool counted = false;
    if (status == K2_OK) {
        status = k2_store_get(self->txn, K2_STORE_COUNTER, k2_index_key_slice(&key), &counted,
                              &value, error);
    }
    struct k2_counter_record counters =
        k2_counter_record_decode(counted ? value : (struct k2_slice){0});
    if (status == K2_OK && (counters.rows != rows || counters.groups != groups)) {
        struct k2_error finding;
        (void)k2_fail(&finding, K2_CORRUPT,
                      "table %s: %llu rows in %llu groups, the counters say %llu in %llu",
                      table->schema->table, (unsigned long long)rows, (unsigned long long)groups,
                      (unsigned long long)counters.rows, (unsigned long long)counters.groups);
        find(self, &finding);
    }
    return status;
}

// Every page and entry of every table, also those that no row needs, and the free pages.
static enum k2_status check_entries(struct check *self, struct k2_error *error)
{
    struct k2_error whole = {0}, finding;
    enum k2_status status = k2_store_verify_all(self->txn, &whole);
    if (!is_finding(status)) {
        return status == K2_OK ? K2_OK : k2_fail(error, status, "%s", whole.text);
    }
    uint64_t before = self->report->findings;
    for (int table = 0; table < K2_STORE_TABLE_COUNT; table++) {
        status = k2_store_verify(self->txn, (enum k2_store_table)table, (struct k2_slice){0},
                                 (struct k2_slice){0}, &finding);
        if (is_finding(status)) {
            find(self, &finding);
        } else if (status != K2_OK) {
            return k2_fail(error, status, "%s", finding.text);
        }
    }
    if (self->report->findings == before) { // what no table shows alone
        find(self, &whole);
    }
    return K2_OK;
}

enum k2_status k2_check(struct k2_engine *engine, const struct k2_check_options *options,
                        struct k2_check_report *report, struct k2_error *error)
{
    struct check self = {.engine = engine, .options = options, .report = report};
    struct k2_snapshot newest;
    memset(report, 0, sizeof *report);
    enum k2_status status = k2_store_begin(engine->store, false, &self.txn, error);
    if (status != K2_OK) {
        return status;
    }
    status = check_entries(&self, error);
    if (status == K2_OK && report->findings > 0) { // what else it says means nothing
        k2_store_abort(self.txn);
        return K2_OK;
    }
    if (status == K2_OK) {
        status = k2_commit_log_newest(self.txn, &newest, error);
        self.newest_snapshot = newest.id;
    }
    if (status == K2_OK) {
        status = check_segments(&self, error);
    }
    const struct k2_table *table;
    for (size_t i = 0; status == K2_OK && (table = k2_engine_table_at(engine, i)) != NULL; i++) {
        status = check_table(&self, table, error);
    }
    if (status == K2_OK) {
        compare_segments(&self);
    }
    k2_free(self.segments);
    k2_file_unmap(self.mapped);
    k2_store_abort(self.txn);
    return status;
}
