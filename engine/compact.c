#include "engine/compact.h"

#include <stdlib.h>
#include <string.h>

#include "engine/engine_state.h"
#include "engine/garbage.h"
#include "engine/index_records.h"
#include "engine/level_work.h"
#include "engine/plan.h"
#include "format/base/alloc.h"

struct compaction {
    struct k2_engine *engine;
    const struct k2_compact_options *options;
    uint64_t rows_total, rows_done;
};

static enum k2_status list_inputs(struct compaction *self, const struct k2_table *table,
                                  struct k2_plan *plan, struct k2_error *error)
{
    struct k2_plan_request request = k2_plan_listing(table);
    request.unsorted_only = !self->options->full;
    return k2_plan_open(self->engine, &request, plan, error);
}

static enum k2_status pace(void *context, bool merges, uint64_t rows, uint64_t bytes,
                           struct k2_error *error)
{
    struct compaction *self = context;
    (void)merges;
    (void)bytes;
    self->rows_done += rows;
    if (self->options->progress != NULL) {
        uint64_t total = self->rows_total > self->rows_done ? self->rows_total : self->rows_done;
        self->options->progress(self->options->context, self->rows_done, total);
    }
    bool cancelled = self->options->cancel != NULL && *self->options->cancel;
    return cancelled ? k2_fail(error, K2_BUSY, "compact: the process ends; try again") : K2_OK;
}

// A step at a time, each of which holds when the next one fails.
static enum k2_status take_steps(struct compaction *self, const struct k2_table *table,
                                 enum k2_level_effort effort, bool *done, struct k2_error *error)
{
    k2_engine_lock(self->engine);
    uint64_t newest_segment = self->engine->newest_segment;
    k2_engine_unlock(self->engine);
    struct k2_level_request request = {
        .effort = effort,
        .newest_segment = newest_segment,
        .pace = pace,
        .context = self,
    };
    enum k2_status status = K2_OK;
    for (bool more = true; more && status == K2_OK;) {
        struct k2_rewrite_report report;
        status = k2_level_step(self->engine, table, &request, &more, &report, error);
        *done |= status == K2_OK && more;
        if (status == K2_OK && more) { // the next step may need the space
            status = k2_garbage_collect(self->engine, NULL, error);
        }
    }
    return status;
}

// What is sorted first is written once more by a full one, so that all lies together.
static enum k2_status rewrite_table(struct compaction *self, const struct k2_table *table,
                                    bool *done, struct k2_error *error)
{
    enum k2_status status = take_steps(self, table, K2_EFFORT_SORTED, done, error);
    return status == K2_OK && self->options->full
               ? take_steps(self, table, K2_EFFORT_FULL, done, error)
               : status;
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
    status = k2_store_cursor_begin(txn, K2_STORE_SEGMENT, &cursor, error);
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

static bool is_journal(const struct k2_table *table)
{
    return strcmp(table->schema->table, K2_JOURNAL_TABLE) == 0;
}

static enum k2_status count_rows(struct compaction *self, struct k2_error *error)
{
    const struct k2_table *table;
    enum k2_status status = K2_OK;
    for (size_t i = 0; status == K2_OK && (table = k2_engine_table_at(self->engine, i)); i++) {
        struct k2_plan plan;
        status = list_inputs(self, table, &plan, error);
        for (size_t j = 0; status == K2_OK && j < plan.group_count; j++) {
            self->rows_total += plan.groups[j].row_count;
        }
        if (status == K2_OK) {
            k2_plan_close(&plan);
        }
    }
    return status;
}

static enum k2_status add_snapshot(struct k2_engine *engine, struct k2_error *error)
{
    k2_engine_hold_commits(engine);
    k2_engine_lock(engine);
    struct k2_snapshot snapshot = {
        .id = engine->newest.id + 1,
        .parent = engine->newest.id,
        .time_ns = k2_engine_next_time_ns(engine),
        .operation = K2_OPERATION_COMPACT,
    };
    enum k2_status status = k2_journal_add_snapshot(engine, &snapshot, error);
    k2_engine_unlock(engine);
    k2_engine_let_commits(engine);
    return status;
}

// `_log` last, because the others write to it, and alone it is nothing to do. The snapshot that a
// compaction makes stays behind in it, so that trying again after a failure does not add to it.
static enum k2_status compact(struct compaction *self, struct k2_error *error)
{
    const struct k2_table *table, *journal = NULL;
    bool done = false;
    enum k2_status status = count_rows(self, error);
    for (size_t i = 0; status == K2_OK && (table = k2_engine_table_at(self->engine, i)); i++) {
        if (is_journal(table)) {
            journal = table;
        } else {
            status = rewrite_table(self, table, &done, error);
        }
    }
    if (status == K2_OK && done) {
        status = rewrite_table(self, journal, &done, error);
    }
    return status == K2_OK && done ? add_snapshot(self->engine, error) : status;
}

enum k2_status k2_compact(struct k2_engine *engine, const struct k2_compact_options *options,
                          struct k2_compact_report *report, struct k2_error *error)
{
    struct compaction self = {.engine = engine, .options = options};
    memset(report, 0, sizeof *report);
    enum k2_status status = k2_engine_check_writable(engine, error);
    if (status != K2_OK) {
        return status;
    }
    k2_engine_lock(engine);
    k2_tail_seal(engine, &engine->tail, true);
    k2_engine_unlock(engine);
    status = count_live(engine, &report->segments_before, &report->bytes_before, error);
    if (status == K2_OK) { // what a failed one left to be collected goes first
        status = k2_garbage_collect(engine, NULL, error);
    }
    if (status == K2_OK) {
        status = compact(&self, error);
    }
    if (status == K2_OK) {
        status = count_live(engine, &report->segments_after, &report->bytes_after, error);
    }
    k2_engine_note_failure(engine, status, false, error);
    k2_engine_lock(engine);
    report->snapshot = engine->newest.id;
    k2_engine_unlock(engine);
    return status;
}
