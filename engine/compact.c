#include "engine/compact.h"

#include <string.h>

#include "engine/commit_log.h"
#include "engine/engine_state.h"
#include "engine/file_io.h"
#include "engine/garbage.h"
#include "engine/instruments.h"
#include "engine/journal.h"
#include "engine/plan.h"
#include "engine/publish.h"
#include "engine/row_order.h"
#include "engine/scan.h"
#include "format/base/alloc.h"

enum {
    OUTPUT_CEILING_BYTES = 256 << 20, // an output file of this length is followed by another
    WINDOW_TEXT_BYTES = 128 << 20,    // texts held at once; a window is cut when they pass it
    MAX_OUTPUTS = 4096,
};
static const size_t group_ceiling_bytes = (size_t)2 << 30;

struct input_table {
    const struct k2_table *table;
    struct k2_plan plan; // headers only
    uint64_t rows;
};

struct compaction {
    struct k2_engine *engine;
    const struct k2_compact_options *options;
    struct input_table inputs[K2_MAX_TABLES];
    size_t input_count;
    struct k2_rewrite_input *segments; // owned: the input segments, each once
    size_t segment_count;
    uint64_t rows_total, rows_done;

    struct k2_snapshot snapshot;
    struct k2_row_group_info info;
    struct k2_tail output;
    struct k2_tail *finished; // owned: outputs that are durable; their files are closed
    size_t finished_count;
    struct k2_new_group *groups; // owned
    size_t group_count, group_room;
    uint32_t groups_in_output;

    struct k2_row_batch *batch; // owned: the window
    uint32_t *order;            // owned
    struct k2_buffer scratch;
    // All progress markers: the inputs, whose groups have them, go away.
    struct k2_progress_marker *markers; // owned; they point into `marker_bytes`
    size_t marker_count;
    struct k2_buffer marker_bytes;
};

static bool has_segment(const struct compaction *self, uint64_t segment_id)
{
    for (size_t i = self->segment_count; i > 0; i--) {
        if (self->segments[i - 1].segment_id == segment_id) {
            return true;
        }
    }
    return false;
}

static enum k2_status add_segment(struct compaction *self, uint64_t segment_id,
                                  struct k2_error *error)
{
    if (has_segment(self, segment_id)) {
        return K2_OK;
    }
    struct k2_rewrite_input *grown =
        k2_realloc(self->segments, self->segment_count + 1, sizeof *grown);
    if (grown == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "compact: out of memory");
    }
    self->segments = grown;
    self->segments[self->segment_count++] = (struct k2_rewrite_input){.segment_id = segment_id};
    return K2_OK;
}

static enum k2_status find_inputs(struct compaction *self, struct k2_error *error)
{
    const struct k2_table *table;
    enum k2_status status = K2_OK;
    for (size_t i = 0; status == K2_OK && (table = k2_engine_table_at(self->engine, i)); i++) {
        struct input_table *input = &self->inputs[self->input_count];
        struct k2_plan_request request = {
            .table = table,
            .time_min_ns = INT64_MIN,
            .time_max_ns = INT64_MAX,
            .snapshot = UINT64_MAX,
            .with_history = true,
            .unsorted_only = !self->options->full,
            .headers_only = true,
        };
        *input = (struct input_table){.table = table};
        status = k2_plan_open(self->engine, &request, &input->plan, error);
        if (status != K2_OK || input->plan.group_count == 0) {
            continue;
        }
        self->input_count++;
        for (size_t j = 0; j < input->plan.group_count && status == K2_OK; j++) {
            input->rows += input->plan.groups[j].row_count;
            status = add_segment(self, input->plan.groups[j].segment_id, error);
        }
        self->rows_total += input->rows;
    }
    return status;
}

static void forget_inputs(struct compaction *self)
{
    for (size_t i = 0; i < self->input_count; i++) {
        k2_plan_close(&self->inputs[i].plan);
    }
    self->input_count = self->segment_count = 0;
    self->rows_total = 0;
}

// The headers of the inputs tell of the commits that wrote them; before they go, `_log` does, which
// thereby becomes an input itself.
static enum k2_status log_commits(struct compaction *self, struct k2_error *error)
{
    enum k2_status status = k2_journal_write_commits(self->engine, error);
    k2_tail_seal(self->engine, &self->engine->tail, true);
    forget_inputs(self);
    return status == K2_OK ? find_inputs(self, error) : status;
}

static enum k2_status load_segments(struct compaction *self, struct k2_error *error)
{
    struct k2_store_txn *txn;
    enum k2_status status = k2_store_begin(self->engine->store, false, &txn, error);
    if (status != K2_OK) {
        return status;
    }
    for (size_t i = 0; i < self->segment_count && status == K2_OK; i++) {
        struct k2_index_key key = k2_index_key_id(self->segments[i].segment_id, 8);
        struct k2_slice value;
        bool found;
        status =
            k2_store_get(txn, K2_STORE_SEGMENT, k2_index_key_slice(&key), &found, &value, error);
        if (status == K2_OK && !found) {
            status = k2_fail(error, K2_CORRUPT, "index: segment %016llx is not known",
                             (unsigned long long)self->segments[i].segment_id);
        }
        if (status == K2_OK) {
            self->segments[i].length_bytes = k2_segment_record_decode(value).length_bytes;
        }
    }
    k2_store_abort(txn);
    return status;
}

static enum k2_status load_markers(struct compaction *self, struct k2_error *error)
{
    struct k2_store_txn *txn;
    struct k2_store_cursor cursor = {0};
    enum k2_status status = k2_store_begin(self->engine->store, false, &txn, error);
    if (status != K2_OK) {
        return status;
    }
    status = k2_store_cursor_open(txn, K2_STORE_PROGRESS, &cursor, error);
    if (status == K2_OK) {
        status = k2_store_seek(&cursor, (struct k2_slice){0}, error);
    }
    while (status == K2_OK && cursor.found) {
        struct k2_progress_marker *grown =
            k2_realloc(self->markers, self->marker_count + 1, sizeof *grown);
        if (grown == NULL) {
            status = k2_fail(error, K2_NO_MEMORY, "compact: out of memory");
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
    k2_store_abort(txn);
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

static enum k2_status finish_output(struct compaction *self, struct k2_error *error)
{
    if (!self->output.open) {
        return K2_OK;
    }
    if (self->finished_count == MAX_OUTPUTS) {
        return k2_fail(error, K2_LIMIT, "compact: more than %d files", MAX_OUTPUTS);
    }
    enum k2_status status = k2_tail_sync(self->engine, &self->output, error);
    if (status != K2_OK) {
        return status;
    }
    struct k2_tail *grown =
        k2_realloc(self->finished, self->finished_count + 1, sizeof *self->finished);
    if (grown == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "compact: out of memory");
    }
    self->finished = grown;
    self->output.group_count = self->groups_in_output;
    self->finished[self->finished_count++] = self->output;
    self->groups_in_output = 0;
    k2_tail_seal(self->engine, &self->output, true);
    return K2_OK;
}

static enum k2_status write_group(struct compaction *self, const struct k2_table *table,
                                  const uint32_t *order, size_t rows, bool last,
                                  struct k2_error *error)
{
    if (self->group_count == self->group_room) {
        size_t room = self->group_room * 2 + 64;
        struct k2_new_group *grown = k2_realloc(self->groups, room, sizeof *grown);
        if (grown == NULL) {
            return k2_fail(error, K2_NO_MEMORY, "compact: out of memory");
        }
        self->groups = grown;
        self->group_room = room;
    }
    self->info.part = (uint32_t)self->group_count;
    self->info.part_count = last ? self->info.part + 1 : 0; // the last part tells how many
    self->info.inputs = last ? self->segments : NULL;
    self->info.input_count = last ? self->segment_count : 0;
    self->info.markers = self->markers;
    self->info.marker_count = self->info.part == 0 ? self->marker_count : 0;
    enum k2_status status =
        k2_publish_write(self->engine, &self->output, table, self->batch, order, rows, &self->info,
                         &self->scratch, &self->groups[self->group_count], error);
    if (status != K2_OK) {
        return status;
    }
    self->group_count++;
    self->groups_in_output++;
    self->rows_done += rows;
    if (self->options->progress != NULL) {
        self->options->progress(self->options->context, self->rows_done, self->rows_total);
    }
    bool full = self->output.written_bytes >= OUTPUT_CEILING_BYTES;
    return full ? finish_output(self, error) : K2_OK;
}

// Sorts the window and writes it as groups; `last`: nothing follows in the whole rewrite.
static enum k2_status write_window(struct compaction *self, const struct k2_table *table, bool last,
                                   struct k2_error *error)
{
    size_t rows = self->batch->row_count;
    enum k2_status status = k2_row_order(self->batch, self->order, error);
    for (size_t done = 0; done < rows && status == K2_OK;) {
        size_t part = rows - done < K2_GROUP_ROWS ? rows - done : K2_GROUP_ROWS;
        status =
            write_group(self, table, self->order + done, part, last && done + part == rows, error);
        done += part;
    }
    k2_row_batch_clear(self->batch);
    return status;
}

static enum k2_status copy_column(struct k2_row_batch *batch, size_t first, size_t rows,
                                  size_t column, const struct k2_vector *vector,
                                  struct k2_error *error)
{
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < rows && status == K2_OK; i++) {
        if (vector->valid != NULL && !vector->valid[i]) {
            k2_row_batch_set_null(batch, first + i, column);
        } else if (vector->values != NULL) {
            k2_row_batch_set_value(batch, first + i, column, vector->values[i]);
        } else {
            status = k2_row_batch_set_text(batch, first + i, column, vector->texts[i], error);
        }
    }
    return status;
}

// Appends the scan's vectors (all columns of the schema, then the commits) to the window.
static enum k2_status copy_rows(struct compaction *self, const struct k2_schema *schema,
                                const struct k2_vector *columns, size_t rows,
                                struct k2_error *error)
{
    size_t first = self->batch->row_count, row;
    struct k2_slice exchange = {0}, symbol = {0};
    struct k2_row_key key = {0};
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < rows && status == K2_OK; i++) {
        const struct k2_slice *next_exchange = &columns[K2_EXCHANGE].texts[i];
        const struct k2_slice *next_symbol = &columns[K2_SYMBOL].texts[i];
        if (i == 0 || next_symbol->data != symbol.data || next_exchange->data != exchange.data) {
            status = k2_instrument_intern(self->engine, *next_exchange, *next_symbol,
                                          &key.instrument, error);
            exchange = *next_exchange;
            symbol = *next_symbol;
        }
        key.time_ns = columns[K2_TIMESTAMP].values[i];
        key.epoch = columns[K2_EPOCH].values[i];
        key.sequence = columns[K2_SEQUENCE].values[i];
        if (status == K2_OK) {
            status = k2_row_batch_add(self->batch, &key, 0, &row, error);
        }
        if (status == K2_OK) {
            self->batch->commits[row] = (uint64_t)columns[schema->column_count].values[i];
            status = k2_row_batch_set_op(
                self->batch, row, (enum k2_row_op)columns[schema->column_count + 1].values[i],
                error);
        }
        if (status == K2_OK) {
            status = k2_row_batch_set_until(
                self->batch, row, (uint64_t)columns[schema->column_count + 2].values[i], error);
        }
    }
    for (size_t i = K2_KEY_COLUMN_COUNT; i < schema->column_count && status == K2_OK; i++) {
        status = copy_column(self->batch, first, rows, i, &columns[i], error);
    }
    return status;
}

static enum k2_status rewrite_scan(struct compaction *self, struct k2_scan *scan,
                                   const struct k2_table *table, bool last_table,
                                   struct k2_error *error)
{
    uint64_t rows_seen = 0;
    for (;;) {
        const struct k2_vector *columns;
        size_t rows = 0;
        enum k2_status status = k2_scan_next(scan, &columns, &rows, error);
        if (status != K2_OK) {
            return status;
        }
        if (rows == 0) {
            break;
        }
        bool full = self->batch->row_count + rows > self->batch->row_capacity ||
                    self->batch->text.size_bytes > WINDOW_TEXT_BYTES;
        if (full) {
            status = write_window(self, table, false, error);
        }
        if (status == K2_OK) {
            status = copy_rows(self, table->schema, columns, rows, error);
        }
        if (status != K2_OK) {
            return status;
        }
        rows_seen += rows;
    }
    uint64_t rows_expected = 0;
    for (size_t i = 0; i < self->input_count; i++) {
        rows_expected += self->inputs[i].table == table ? self->inputs[i].rows : 0;
    }
    if (rows_seen != rows_expected) {
        return k2_fail(error, K2_CORRUPT, "%llu rows are there, the index says %llu",
                       (unsigned long long)rows_seen, (unsigned long long)rows_expected);
    }
    return write_window(self, table, last_table, error);
}

static enum k2_status rewrite_table(struct compaction *self, const struct k2_table *table,
                                    bool last_table, struct k2_error *error)
{
    struct k2_scan_request request = {
        .table = table,
        .unsorted_only = !self->options->full,
        .every_version = true,
        .fresh = true,
    };
    struct k2_scan *scan = NULL;
    enum k2_status status =
        k2_row_batch_create(&self->batch, table->schema, K2_BATCH_ROWS, true, error);
    if (status == K2_OK) {
        status = k2_scan_open(self->engine, &request, &scan, error);
    }
    if (status == K2_OK) {
        status = rewrite_scan(self, scan, table, last_table, error);
    }
    k2_scan_close(scan);
    k2_row_batch_destroy(self->batch);
    self->batch = NULL;
    if (status != K2_OK) {
        k2_error_annotate(error, "compact: table %s", table->schema->table);
    }
    return status;
}

static enum k2_status retire(struct compaction *self, struct k2_store_txn *txn,
                             const struct k2_rewrite_input *segment, struct k2_error *error)
{
    struct k2_segment_record record = {
        .length_bytes = segment->length_bytes,
        .state = K2_SEGMENT_RETIRED,
        .run = self->engine->run,
    };
    struct k2_index_key key = k2_index_key_id(segment->segment_id, 8);
    struct k2_index_value value = k2_segment_record_encode(&record);
    enum k2_status status = k2_store_put(txn, K2_STORE_SEGMENT, k2_index_key_slice(&key),
                                         k2_index_value_slice(&value), error);
    key = k2_index_key_id(k2_store_txn_id(txn), 8);
    k2_index_key_put(&key, segment->segment_id, 8);
    if (status == K2_OK) {
        status = k2_store_put(txn, K2_STORE_RETIRED, k2_index_key_slice(&key), (struct k2_slice){0},
                              error);
    }
    return status;
}

static enum k2_status remove_inputs(struct compaction *self, struct k2_store_txn *txn,
                                    struct k2_error *error)
{
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < self->input_count; i++) {
        const struct input_table *input = &self->inputs[i];
        for (size_t j = 0; j < input->plan.group_count && status == K2_OK; j++) {
            const struct k2_plan_group *group = &input->plan.groups[j];
            struct k2_new_group old = {
                .place = {input->table->id, group->time_min_ns, group->segment_id, group->offset},
                .record = {.row_count = group->row_count, .length_bytes = group->length_bytes},
            };
            status = k2_publish_remove(txn, &old, error);
        }
    }
    for (size_t i = 0; i < self->segment_count && status == K2_OK; i++) {
        status = retire(self, txn, &self->segments[i], error);
    }
    return status;
}

static enum k2_status add_outputs(struct compaction *self, struct k2_store_txn *txn,
                                  struct k2_error *error)
{
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < self->group_count && status == K2_OK; i++) {
        status = k2_publish_add(txn, &self->groups[i], error);
    }
    for (size_t i = 0; i < self->finished_count && status == K2_OK; i++) {
        struct k2_tail *output = &self->finished[i];
        status = k2_publish_tail(self->engine, output, 0, txn, error);
    }
    return status == K2_OK ? k2_commit_log_append(txn, &self->snapshot, error) : status;
}

// Inputs out, outputs in, in one transaction.
static enum k2_status swap(struct compaction *self, struct k2_error *error)
{
    struct k2_engine *engine = self->engine;
    struct k2_store_txn *txn;
    enum k2_status status = k2_store_begin(engine->store, true, &txn, error);
    if (status != K2_OK) {
        return status;
    }
    status = remove_inputs(self, txn, error);
    if (status == K2_OK) {
        status = add_outputs(self, txn, error);
    }
    if (status != K2_OK) {
        k2_store_abort(txn);
        return status;
    }
    status = k2_store_commit(txn, error);
    engine->broken = status != K2_OK && status != K2_NO_SPACE;
    if (status == K2_OK) {
        engine->newest = self->snapshot;
    }
    return status;
}

static enum k2_status count_live(struct k2_engine *engine, uint64_t *segments, uint64_t *bytes,
                                 struct k2_error *error)
{
    struct k2_store_txn *txn;
    struct k2_store_cursor cursor = {0};
    *segments = *bytes = 0;
    enum k2_status status = k2_store_begin(engine->store, false, &txn, error);
    if (status != K2_OK) {
        return status;
    }
    status = k2_store_cursor_open(txn, K2_STORE_SEGMENT, &cursor, error);
    if (status == K2_OK) {
        status = k2_store_seek(&cursor, (struct k2_slice){0}, error);
    }
    while (status == K2_OK && cursor.found) {
        struct k2_segment_record record = k2_segment_record_decode(cursor.value);
        *segments += record.state == K2_SEGMENT_LIVE;
        *bytes += record.state == K2_SEGMENT_LIVE ? record.length_bytes : 0;
        status = k2_store_next(&cursor, error);
    }
    k2_store_cursor_close(&cursor);
    k2_store_abort(txn);
    return status;
}

static enum k2_status rewrite(struct compaction *self, struct k2_error *error)
{
    struct k2_engine *engine = self->engine;
    self->snapshot = (struct k2_snapshot){
        .id = engine->newest.id + 1,
        .parent = engine->newest.id,
        .time_ns = k2_engine_next_time_ns(engine),
        .operation = K2_OPERATION_COMPACT,
    };
    self->info = (struct k2_row_group_info){
        .level = 1,
        .commit = self->snapshot.id,
        .commit_time_ns = self->snapshot.time_ns,
    };
    self->order = k2_alloc_zero(K2_BATCH_ROWS, sizeof *self->order);
    if (self->order == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "compact: out of memory");
    }
    enum k2_status status = load_segments(self, error);
    if (status == K2_OK) {
        status = load_markers(self, error);
    }
    for (size_t i = 0; i < self->input_count && status == K2_OK; i++) {
        status = rewrite_table(self, self->inputs[i].table, i + 1 == self->input_count, error);
    }
    if (status == K2_OK) {
        status = finish_output(self, error);
    }
    return status == K2_OK ? swap(self, error) : status;
}

static void clean_up(struct compaction *self, enum k2_status status)
{
    k2_tail_seal(self->engine, &self->output, false);
    for (size_t i = 0; status != K2_OK && !self->engine->broken && i < self->finished_count; i++) {
        char path[K2_PATH_BYTES];
        k2_engine_segment_path(self->engine, self->finished[i].segment_id, ".k2s", path);
        (void)k2_file_unlink(path, NULL);
    }
    forget_inputs(self);
    k2_row_batch_destroy(self->batch);
    k2_buffer_deinit(&self->marker_bytes);
    k2_free(self->markers);
    k2_buffer_deinit(&self->scratch);
    k2_free(self->segments);
    k2_free(self->finished);
    k2_free(self->groups);
    k2_free(self->order);
    k2_free(self);
}

enum k2_status k2_compact(struct k2_engine *engine, const struct k2_compact_options *options,
                          struct k2_compact_report *report, struct k2_error *error)
{
    memset(report, 0, sizeof *report);
    if (engine->broken) {
        return k2_fail(error, K2_IO, "%s: an earlier commit failed; open the store again",
                       engine->path);
    }
    struct compaction *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "compact: out of memory");
    }
    self->engine = engine;
    self->options = options;
    k2_buffer_init(&self->scratch, group_ceiling_bytes);
    k2_buffer_init(&self->marker_bytes, 16 << 20);
    k2_tail_seal(engine, &engine->tail, true);
    enum k2_status status =
        count_live(engine, &report->segments_before, &report->bytes_before, error);
    if (status == K2_OK) {
        status = find_inputs(self, error);
    }
    if (status == K2_OK && self->input_count > 0) {
        status = log_commits(self, error);
    }
    if (status == K2_OK && self->input_count > 0) {
        status = rewrite(self, error);
    }
    clean_up(self, status);
    if (status == K2_OK) {
        status = k2_garbage_collect(engine, NULL, error);
    }
    if (status == K2_OK) {
        status = count_live(engine, &report->segments_after, &report->bytes_after, error);
    }
    report->snapshot = engine->newest.id;
    return status;
}
