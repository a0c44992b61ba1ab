#include "engine/rewrite.h"

#include <stdlib.h>
#include <string.h>

#include "engine/commit_log.h"
#include "engine/engine_state.h"
#include "engine/file_io.h"
#include "engine/publish.h"
#include "engine/rewrite_inputs.h"
#include "format/base/alloc.h"

enum { MARKER_CEILING_BYTES = 16 << 20 };

// Merged rows, and how they are encoded: one after the other while the next ones are looked for, so
// that the last group is known as such.
struct piece {
    struct k2_row_batch *batch; // owned
    struct k2_merged_names names;
    uint16_t level;
    uint32_t *current, *history; // owned: what is written of it, sorted
    size_t current_count, history_count;
};

struct k2_rewrite {
    struct k2_engine *engine;
    const struct k2_table *table;
    struct k2_plan plan;
    uint64_t rows_total, rows_done;
    struct k2_rewrite_inputs inputs;
    struct k2_row_group_info info;
    struct k2_tail output;
    bool synced, swapped;
    struct k2_new_group *groups; // owned
    size_t group_count, group_room;
    struct piece pieces[2];
    struct k2_version_place *elsewhere; // owned: groups that may replace rows of the inputs
    size_t elsewhere_count;
    uint64_t dropped;
    struct k2_row_group_memory memory;
    const struct k2_rewrite_options *options;
    // All progress markers: the files of the inputs, which have them, go away.
    struct k2_progress_marker *markers; // owned; they point into `marker_bytes`
    size_t marker_count;
    struct k2_buffer marker_bytes;
};

static enum k2_status no_memory(struct k2_error *error)
{
    return k2_fail(error, K2_NO_MEMORY, "rewrite: out of memory");
}

void k2_rewrite_lock(struct k2_engine *engine)
{
    (void)pthread_mutex_lock(&engine->rewrite_lock);
}

void k2_rewrite_unlock(struct k2_engine *engine)
{
    (void)pthread_mutex_unlock(&engine->rewrite_lock);
}

// ---- open

static enum k2_status load_markers(struct k2_rewrite *self, struct k2_store_txn *txn,
                                   struct k2_error *error)
{
    struct k2_store_cursor cursor = {0};
    enum k2_status status = k2_store_cursor_begin(txn, K2_STORE_PROGRESS, &cursor, error);
    while (status == K2_OK && cursor.found) {
        struct k2_progress_marker *grown =
            k2_realloc(self->markers, self->marker_count + 1, sizeof *grown);
        if (grown == NULL) {
            status = no_memory(error);
            break;
        }
        self->markers = grown;
        self->markers[self->marker_count++] = (struct k2_progress_marker){
            {NULL, cursor.key.size_bytes}, {NULL, cursor.value.size_bytes}};
        k2_put_bytes(&self->marker_bytes, cursor.key.data, cursor.key.size_bytes);
        k2_put_bytes(&self->marker_bytes, cursor.value.data, cursor.value.size_bytes);
        status = k2_store_next(&cursor, error);
    }
    k2_store_cursor_close(&cursor);
    if (status == K2_OK) {
        status = k2_buffer_check(&self->marker_bytes, "progress", error);
    }
    const uint8_t *bytes = self->marker_bytes.data;
    for (size_t i = 0; i < self->marker_count && status == K2_OK; i++) {
        self->markers[i].key.data = bytes;
        self->markers[i].value.data = bytes + self->markers[i].key.size_bytes;
        bytes = self->markers[i].value.data + self->markers[i].value.size_bytes;
    }
    return status;
}

static enum k2_status add_elsewhere(struct k2_rewrite *self, const struct k2_group_place *place,
                                    const struct k2_group_record *record, struct k2_error *error)
{
    struct k2_version_place *grown =
        k2_realloc(self->elsewhere, self->elsewhere_count + 1, sizeof *grown);
    if (grown == NULL) {
        return no_memory(error);
    }
    self->elsewhere = grown;
    self->elsewhere[self->elsewhere_count++] = (struct k2_version_place){
        place->time_min_ns, record->time_max_ns, record->instrument_min, record->instrument_max};
    return K2_OK;
}

static bool is_input(const struct k2_rewrite *self, const struct k2_group_place *place)
{
    for (size_t i = 0; i < self->plan.group_count; i++) {
        const struct k2_plan_group *group = &self->plan.groups[i];
        if (group->segment_id == place->segment_id && group->offset == place->offset) {
            return true;
        }
    }
    return false;
}

// Groups with rows that replace others, and that are no inputs. Few tables have any.
static enum k2_status find_elsewhere(struct k2_rewrite *self, struct k2_store_txn *txn,
                                     struct k2_error *error)
{
    struct k2_store_cursor cursor = {0};
    struct k2_index_key key = k2_index_key_id(self->table->id, 2);
    enum k2_status status = k2_store_cursor_open(txn, K2_STORE_GROUP, &cursor, error);
    if (status == K2_OK) {
        status = k2_store_seek(&cursor, k2_index_key_slice(&key), error);
    }
    while (status == K2_OK && cursor.found &&
           k2_index_key_get(cursor.key, 0, 2) == self->table->id) {
        struct k2_group_place place = k2_group_place_of(cursor.key);
        struct k2_group_record record = k2_group_record_decode(cursor.value);
        if (record.versions && !is_input(self, &place)) {
            status = add_elsewhere(self, &place, &record, error);
        }
        if (status == K2_OK) {
            status = k2_store_next(&cursor, error);
        }
    }
    k2_store_cursor_close(&cursor);
    return status;
}

// All that is read of the index is of one state of it.
static enum k2_status load(struct k2_rewrite *self, const struct k2_plan_group *groups,
                           size_t group_count, struct k2_error *error)
{
    struct k2_store_txn *txn;
    struct k2_snapshot newest;
    enum k2_status status = k2_store_begin(self->engine->store, false, &txn, error);
    if (status != K2_OK) {
        return status;
    }
    status = k2_commit_log_newest(txn, &newest, error);
    if (status == K2_OK) {
        self->info.commit = newest.id;
        self->info.commit_time_ns = newest.time_ns;
        status = k2_plan_open_groups(self->engine, txn, groups, group_count, &self->plan, error);
    }
    if (status == K2_OK) {
        status = find_elsewhere(self, txn, error);
    }
    if (status == K2_OK) {
        status = load_markers(self, txn, error);
    }
    if (status == K2_OK) {
        status = k2_rewrite_inputs_load(&self->inputs, txn, self->table, &self->plan, error);
    }
    k2_store_abort(txn);
    return status;
}

static enum k2_status create_pieces(struct k2_rewrite *self, struct k2_error *error)
{
    size_t room =
        self->rows_total < K2_MERGED_ROWS ? (size_t)self->rows_total : K2_MERGED_MOST_ROWS;
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < 2 && status == K2_OK; i++) {
        struct piece *piece = &self->pieces[i];
        piece->current = k2_alloc(room * sizeof *piece->current);
        piece->history = k2_alloc(room * sizeof *piece->history);
        status = piece->current == NULL || piece->history == NULL
                     ? no_memory(error)
                     : k2_row_batch_create(&piece->batch, self->table->schema, room, true, error);
    }
    return status;
}

enum k2_status k2_rewrite_open(struct k2_rewrite **rewrite, struct k2_engine *engine,
                               const struct k2_table *table, const struct k2_plan_group *groups,
                               size_t group_count, struct k2_error *error)
{
    struct k2_rewrite *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return no_memory(error);
    }
    self->engine = engine;
    self->table = table;
    self->output.rewritten = true;
    k2_buffer_init(&self->marker_bytes, MARKER_CEILING_BYTES);
    enum k2_status status = load(self, groups, group_count, error);
    for (size_t i = 0; i < self->plan.group_count; i++) {
        self->rows_total += self->plan.groups[i].row_count;
    }
    if (status != K2_OK) {
        k2_rewrite_close(self);
        return status;
    }
    *rewrite = self;
    return K2_OK;
}

const struct k2_plan *k2_rewrite_inputs(const struct k2_rewrite *rewrite)
{
    return &rewrite->plan;
}

void k2_rewrite_close(struct k2_rewrite *rewrite)
{
    if (rewrite == NULL) {
        return;
    }
    // What is not known to be out of the index stays; the next start looks.
    k2_tail_seal(rewrite->engine, &rewrite->output, rewrite->swapped || rewrite->engine->broken);
    for (size_t i = 0; i < 2; i++) {
        k2_row_batch_destroy(rewrite->pieces[i].batch);
        k2_merged_names_deinit(&rewrite->pieces[i].names);
        k2_free(rewrite->pieces[i].current);
        k2_free(rewrite->pieces[i].history);
    }
    k2_plan_close(&rewrite->plan);
    k2_rewrite_inputs_deinit(&rewrite->inputs);
    k2_buffer_deinit(&rewrite->marker_bytes);
    k2_row_group_memory_deinit(&rewrite->memory);
    k2_free(rewrite->markers);
    k2_free(rewrite->groups);
    k2_free(rewrite->elsewhere);
    k2_free(rewrite);
}

// ---- run

// Windows overlap the border of a day, groups of one often do not.
static uint16_t level_of(const struct k2_rewrite *self, const struct piece *piece, uint16_t level,
                         const uint32_t *order, size_t rows)
{
    bool over = level == K2_LEVEL_HOURLY;
    for (size_t i = 0; i < rows && over; i++) {
        over = piece->batch->keys[order[i]].time_ns < self->options->daily_before_ns;
    }
    return over ? K2_LEVEL_DAILY : level;
}

static enum k2_status write_group(struct k2_rewrite *self, struct piece *piece, uint16_t level,
                                  const uint32_t *order, size_t rows, bool last,
                                  struct k2_error *error)
{
    if (self->group_count == self->group_room) {
        size_t room = self->group_room * 2 + 16;
        struct k2_new_group *grown = k2_realloc(self->groups, room, sizeof *grown);
        if (grown == NULL) {
            return no_memory(error);
        }
        self->groups = grown;
        self->group_room = room;
    }
    self->info.level = level_of(self, piece, level, order, rows);
    self->info.part = (uint32_t)self->group_count;
    self->info.part_count = last ? self->info.part + 1 : 0; // the last part tells how many
    self->info.inputs = self->inputs.list;
    self->info.input_count = self->inputs.count;
    self->info.markers = self->markers;
    self->info.marker_count = self->info.part == 0 ? self->marker_count : 0;
    const struct k2_publish_rows publish = {
        .table = self->table,
        .batch = piece->batch,
        .order = order,
        .row_count = rows,
        .name_of = k2_merged_name_of,
        .name_context = &piece->names,
    };
    struct k2_new_group *group = &self->groups[self->group_count];
    enum k2_status status = k2_publish_write(self->engine, &self->output, &publish, &self->info,
                                             &self->memory, group, error);
    if (status != K2_OK) {
        return status;
    }
    self->group_count++;
    const struct k2_rewrite_options *options = self->options;
    return options->pace == NULL
               ? K2_OK
               : options->pace(options->context, rows, group->record.length_bytes, error);
}

static enum k2_status write_rows(struct k2_rewrite *self, struct piece *piece, uint16_t level,
                                 const uint32_t *order, size_t rows, bool last,
                                 struct k2_error *error)
{
    enum k2_status status = K2_OK;
    for (size_t done = 0; done < rows && status == K2_OK;) {
        size_t part = rows - done < K2_GROUP_ROWS ? rows - done : K2_GROUP_ROWS;
        status =
            write_group(self, piece, level, order + done, part, last && done + part == rows, error);
        done += part;
    }
    return status;
}

static enum k2_status write_piece(struct k2_rewrite *self, struct piece *piece, bool last,
                                  struct k2_error *error)
{
    enum k2_status status =
        write_rows(self, piece, piece->level, piece->current, piece->current_count,
                   last && piece->history_count == 0, error);
    return status == K2_OK ? write_rows(self, piece, K2_LEVEL_HISTORY, piece->history,
                                        piece->history_count, last, error)
                           : status;
}

// What becomes of the rows of a piece.
static enum k2_status split_piece(struct k2_rewrite *self, struct piece *piece,
                                  struct k2_error *error)
{
    static const struct k2_retain_rule nothing;
    struct k2_version_split split = {
        .rule = self->options->retain == NULL ? &nothing : self->options->retain,
        .elsewhere = self->elsewhere,
        .elsewhere_count = self->elsewhere_count,
        .current = piece->current,
        .history = piece->history,
    };
    enum k2_status status = k2_version_split(&split, piece->batch, error);
    piece->current_count = split.current_count;
    piece->history_count = split.history_count;
    self->dropped += split.dropped;
    self->rows_done += piece->batch->row_count;
    return status;
}

// Rows that lie before a cut need not have been looked at.
static enum k2_status check_rows(struct k2_rewrite *self, struct k2_error *error)
{
    const struct k2_retain_rule *rule = self->options->retain;
    if (rule != NULL && rule->has_cut && self->rows_done < self->rows_total) {
        self->dropped += self->rows_total - self->rows_done;
        self->rows_done = self->rows_total;
    }
    return self->rows_done == self->rows_total
               ? K2_OK
               : k2_fail(error, K2_CORRUPT, "%llu rows are there, the index says %llu",
                         (unsigned long long)self->rows_done, (unsigned long long)self->rows_total);
}

static enum k2_status merge_windows(struct k2_rewrite *self, struct k2_rewrite_merge *merge,
                                    struct k2_error *error)
{
    struct piece *piece = &self->pieces[0], *next = &self->pieces[1];
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < self->options->window_count && status == K2_OK; i++) {
        status = k2_rewrite_merge_begin(merge, &self->options->windows[i], error);
        while (status == K2_OK) {
            next->level = self->options->windows[i].level;
            status = k2_rewrite_merge_next(merge, next->batch, &next->names, error);
            if (status != K2_OK || next->batch->row_count == 0) {
                break;
            }
            status = split_piece(self, next, error);
            if (status != K2_OK || next->current_count + next->history_count == 0) {
                continue;
            }
            status = write_piece(self, piece, false, error);
            struct piece *written = piece;
            piece = next;
            next = written;
        }
    }
    if (status == K2_OK) {
        status = check_rows(self, error);
    }
    return status == K2_OK ? write_piece(self, piece, true, error) : status;
}

enum k2_status k2_rewrite_run(struct k2_rewrite *rewrite, const struct k2_rewrite_options *options,
                              struct k2_error *error)
{
    struct k2_rewrite_merge *merge = NULL;
    rewrite->options = options;
    enum k2_status status = create_pieces(rewrite, error);
    if (status == K2_OK) {
        status =
            k2_rewrite_merge_create(&merge, rewrite->table, &rewrite->plan, options->floors, error);
    }
    if (status == K2_OK) {
        status = merge_windows(rewrite, merge, error);
    }
    k2_rewrite_merge_destroy(merge);
    if (status == K2_OK && rewrite->group_count > 0) {
        status = k2_tail_sync(rewrite->engine, &rewrite->output, error);
    }
    rewrite->synced = status == K2_OK;
    if (status != K2_OK) {
        k2_error_annotate(error, "rewrite of %s", rewrite->table->schema->table);
        k2_engine_note_failure(rewrite->engine, status, false, error);
    }
    return status;
}

// ---- swap

// Takes groups off what counts in a segment, and retires it when none is left.
static enum k2_status put_segment(struct k2_engine *engine, struct k2_store_txn *txn,
                                  const struct k2_rewrite_segment *gone, struct k2_error *error)
{
    struct k2_index_key key = k2_index_key_id(gone->id, 8);
    struct k2_segment_record record;
    bool found;
    enum k2_status status = k2_store_get_segment(txn, gone->id, &found, &record, error);
    if (status != K2_OK) {
        return status;
    }
    if (!found || record.group_count < gone->groups || record.live_bytes < gone->bytes) {
        return k2_fail(error, K2_CORRUPT, "index: segment %016llx: %u groups, %u to take out",
                       (unsigned long long)gone->id, found ? record.group_count : 0, gone->groups);
    }
    bool open = engine->tail.open && engine->tail.segment_id == gone->id;
    record.group_count -= gone->groups;
    record.live_bytes -= gone->bytes;
    if (record.group_count == 0 && !open) {
        record.state = K2_SEGMENT_RETIRED;
    }
    struct k2_index_value changed = k2_segment_record_encode(&record);
    status = k2_store_put(txn, K2_STORE_SEGMENT, k2_index_key_slice(&key),
                          k2_index_value_slice(&changed), error);
    if (status == K2_OK && record.state == K2_SEGMENT_RETIRED) {
        key = k2_index_key_id(k2_store_txn_id(txn), 8);
        k2_index_key_put(&key, gone->id, 8);
        status = k2_store_put(txn, K2_STORE_RETIRED, k2_index_key_slice(&key), (struct k2_slice){0},
                              error);
    }
    return status;
}

static enum k2_status remove_inputs(struct k2_rewrite *self, struct k2_store_txn *txn,
                                    struct k2_error *error)
{
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < self->plan.group_count && status == K2_OK; i++) {
        const struct k2_plan_group *group = &self->plan.groups[i];
        struct k2_new_group old = {
            .place = {self->table->id, group->time_min_ns, group->segment_id, group->offset},
            .record = {.row_count = group->row_count,
                       .length_bytes = group->length_bytes,
                       .level = group->level},
        };
        status = k2_publish_remove(txn, &old, error);
    }
    for (size_t i = 0; i < self->inputs.segment_count && status == K2_OK; i++) {
        status = put_segment(self->engine, txn, &self->inputs.segments[i], error);
    }
    return status;
}

static enum k2_status add_outputs(struct k2_rewrite *self, struct k2_store_txn *txn,
                                  struct k2_error *error)
{
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < self->group_count && status == K2_OK; i++) {
        status = k2_publish_add(txn, &self->groups[i], error);
    }
    return status == K2_OK && self->group_count > 0
               ? k2_publish_tail(self->engine, &self->output, (uint32_t)self->group_count, txn,
                                 error)
               : status;
}

static enum k2_status swap_groups(struct k2_rewrite *self, struct k2_store_txn *txn,
                                  struct k2_error *error)
{
    enum k2_status status = remove_inputs(self, txn, error);
    return status == K2_OK ? add_outputs(self, txn, error) : status;
}

static void swapped(struct k2_rewrite *self)
{
    struct k2_engine *engine = self->engine;
    self->swapped = true;
    for (size_t i = 0; i < self->inputs.segment_count; i++) {
        const struct k2_rewrite_segment *segment = &self->inputs.segments[i];
        if (engine->tail.open && engine->tail.segment_id == segment->id) {
            engine->tail.group_count -= segment->groups;
            engine->tail.live_bytes -= segment->bytes;
        }
    }
}

static enum k2_status commit_swap(struct k2_rewrite *self, struct k2_error *error)
{
    struct k2_engine *engine = self->engine;
    struct k2_store_txn *txn;
    enum k2_status status = k2_store_begin(engine->store, true, &txn, error);
    if (status != K2_OK) {
        return status;
    }
    status = swap_groups(self, txn, error);
    if (status != K2_OK) {
        k2_store_abort(txn);
        return status;
    }
    status = k2_store_commit(txn, error);
    k2_engine_note_failure(engine, status, status != K2_NO_SPACE, error);
    return status;
}

static void report_on(const struct k2_rewrite *self, struct k2_rewrite_report *report)
{
    *report = (struct k2_rewrite_report){
        .rows = self->rows_done,
        .dropped = self->dropped,
        .groups_before = self->plan.group_count,
        .groups_after = self->group_count,
    };
    for (size_t i = 0; i < self->plan.group_count; i++) {
        report->bytes_before += self->plan.groups[i].length_bytes;
    }
    for (size_t i = 0; i < self->group_count; i++) {
        report->bytes_after += self->groups[i].record.length_bytes;
    }
}

enum k2_status k2_rewrite_swap(struct k2_rewrite *rewrite, struct k2_rewrite_report *report,
                               struct k2_error *error)
{
    struct k2_engine *engine = rewrite->engine;
    k2_engine_lock(engine);
    enum k2_status status = k2_engine_check_writable(engine, error);
    // Headers tell of the commits; before their files can go, `_log` does.
    if (status == K2_OK && k2_rewrite_inputs_have_commits(&rewrite->inputs, engine)) {
        status = k2_journal_write_commits(engine, error);
    }
    if (status == K2_OK) {
        status = commit_swap(rewrite, error);
    }
    if (status == K2_OK) {
        swapped(rewrite);
    }
    k2_engine_unlock(engine);
    if (status == K2_OK) {
        report_on(rewrite, report);
    }
    return status;
}

struct logged_swap {
    struct k2_rewrite *rewrite;
    k2_journal_change *change;
    void *context;
};

static enum k2_status change_logged(void *context, struct k2_store_txn *txn, struct k2_error *error)
{
    struct logged_swap *swap = context;
    enum k2_status status = swap_groups(swap->rewrite, txn, error);
    return status == K2_OK ? swap->change(swap->context, txn, error) : status;
}

enum k2_status k2_rewrite_swap_logged(struct k2_rewrite *rewrite,
                                      const struct k2_snapshot *snapshot,
                                      const struct k2_journal_entry *entries, size_t entry_count,
                                      k2_journal_change *change, void *context,
                                      struct k2_rewrite_report *report, struct k2_error *error)
{
    struct k2_engine *engine = rewrite->engine;
    struct logged_swap swap = {rewrite, change, context};
    k2_engine_lock(engine);
    enum k2_status status = k2_engine_check_writable(engine, error);
    if (status == K2_OK) {
        status = k2_journal_add_change(engine, snapshot, entries, entry_count, change_logged, &swap,
                                       error);
    }
    if (status == K2_OK) {
        swapped(rewrite);
    }
    k2_engine_unlock(engine);
    if (status == K2_OK) {
        report_on(rewrite, report);
    }
    return status;
}

uint64_t k2_rewrite_dropped(const struct k2_rewrite *rewrite)
{
    return rewrite->dropped;
}

void k2_rewrite_put_inputs(const struct k2_rewrite *rewrite, struct k2_buffer *out)
{
    for (size_t i = 0; i < rewrite->inputs.count; i++) {
        k2_put_u64(out, rewrite->inputs.list[i].segment_id);
        k2_put_u64(out, rewrite->inputs.list[i].begin);
        k2_put_u64(out, rewrite->inputs.list[i].end);
    }
}

// ---- segments that nothing is left of

static enum k2_status find_empty(struct k2_engine *engine, uint64_t *segment_id,
                                 struct k2_error *error)
{
    struct k2_store_txn *txn;
    struct k2_store_cursor cursor = {0};
    *segment_id = 0;
    enum k2_status status = k2_store_begin(engine->store, false, &txn, error);
    if (status != K2_OK) {
        return status;
    }
    status = k2_store_cursor_begin(txn, K2_STORE_SEGMENT, &cursor, error);
    while (status == K2_OK && cursor.found && *segment_id == 0) {
        struct k2_segment_record record = k2_segment_record_decode(cursor.value);
        uint64_t id = k2_index_key_get(cursor.key, 0, 8);
        bool open = engine->tail.open && engine->tail.segment_id == id;
        if (record.state == K2_SEGMENT_LIVE && record.group_count == 0 && !open) {
            *segment_id = id;
        }
        status = k2_store_next(&cursor, error);
    }
    k2_store_cursor_close(&cursor);
    k2_store_abort(txn);
    return status;
}

static enum k2_status retire(struct k2_engine *engine, uint64_t segment_id, struct k2_error *error)
{
    struct k2_store_txn *txn;
    enum k2_status status = k2_journal_write_commits(engine, error);
    if (status == K2_OK) {
        status = k2_store_begin(engine->store, true, &txn, error);
    }
    if (status != K2_OK) {
        return status;
    }
    status = put_segment(engine, txn, &(struct k2_rewrite_segment){.id = segment_id}, error);
    if (status != K2_OK) {
        k2_store_abort(txn);
        return status;
    }
    status = k2_store_commit(txn, error);
    k2_engine_note_failure(engine, status, status != K2_NO_SPACE, error);
    return status;
}

enum k2_status k2_rewrite_retire_empty(struct k2_engine *engine, struct k2_error *error)
{
    uint64_t segment_id = 0;
    k2_engine_lock(engine);
    enum k2_status status;
    do {
        status = find_empty(engine, &segment_id, error);
        if (status == K2_OK && segment_id != 0) {
            status = retire(engine, segment_id, error);
        }
    } while (status == K2_OK && segment_id != 0);
    k2_engine_unlock(engine);
    return status;
}
