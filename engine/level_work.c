#include "engine/level_work.h"

#include <string.h>
#include <time.h>

#include "engine/commit_log.h"
#include "engine/engine_state.h"
#include "engine/publish.h"
#include "format/base/alloc.h"

enum { LEAST_DEAD_BYTES = 1 << 20 }; // of a file, to write the rest of it again

static const int64_t most_late_ns = (int64_t)7 * 86400 * 1000000000;

struct step {
    struct k2_engine *engine;
    const struct k2_table *table;
    const struct k2_level_request *request;
    struct k2_plan plan; // headers of all groups
    uint64_t *sparse;    // owned
    size_t sparse_count;
    struct k2_level_job job;
    int64_t newest_ns;
    struct k2_rewrite_floors floors;
};

static enum k2_status no_memory(struct k2_error *error)
{
    return k2_fail(error, K2_NO_MEMORY, "levels: out of memory");
}

static enum k2_status list_groups(struct step *self, struct k2_error *error)
{
    struct k2_plan_request request = k2_plan_listing(self->table);
    enum k2_status status = k2_plan_open(self->engine, &request, &self->plan, error);
    self->newest_ns = INT64_MIN;
    for (size_t i = 0; status == K2_OK && i < self->plan.group_count; i++) {
        int64_t time_ns = self->plan.groups[i].time_max_ns;
        self->newest_ns = time_ns > self->newest_ns ? time_ns : self->newest_ns;
    }
    return status;
}

// Does the file keep more bytes from being given back than it is worth?
static bool is_sparse(const struct step *self, const struct k2_segment_record *record)
{
    uint64_t needed = record->live_bytes + K2_SEGMENT_ALIGNMENT;
    uint64_t dead = record->length_bytes > needed ? record->length_bytes - needed : 0;
    bool enough = self->request->effort == K2_EFFORT_FULL
                      ? dead > 0
                      : dead >= LEAST_DEAD_BYTES && dead > record->live_bytes;
    return record->state == K2_SEGMENT_LIVE && record->group_count > 0 && enough;
}

static enum k2_status add_sparse(struct step *self, uint64_t segment_id, struct k2_error *error)
{
    uint64_t *grown = k2_realloc(self->sparse, self->sparse_count + 1, sizeof *grown);
    if (grown == NULL) {
        return no_memory(error);
    }
    self->sparse = grown;
    self->sparse[self->sparse_count++] = segment_id;
    return K2_OK;
}

static enum k2_status list_sparse(struct step *self, struct k2_error *error)
{
    struct k2_store_txn *txn;
    struct k2_store_cursor cursor = {0};
    k2_engine_lock(self->engine);
    uint64_t open = self->engine->tail.open ? self->engine->tail.segment_id : 0;
    k2_engine_unlock(self->engine);
    enum k2_status status = k2_store_begin(self->engine->store, false, &txn, error);
    if (status != K2_OK) {
        return status;
    }
    status = k2_store_cursor_begin(txn, K2_STORE_SEGMENT, &cursor, error);
    while (status == K2_OK && cursor.found) {
        struct k2_segment_record record = k2_segment_record_decode(cursor.value);
        uint64_t segment_id = k2_index_key_get(cursor.key, 0, 8);
        if (segment_id != open && is_sparse(self, &record)) {
            status = add_sparse(self, segment_id, error);
        }
        if (status == K2_OK) {
            status = k2_store_next(&cursor, error);
        }
    }
    k2_store_cursor_close(&cursor);
    k2_store_abort(txn);
    return status;
}

// Was the oldest late row committed a week ago?
static enum k2_status look_at_late(struct step *self, bool *due, struct k2_error *error)
{
    uint64_t oldest = UINT64_MAX;
    struct k2_store_txn *txn;
    struct k2_snapshot snapshot;
    struct timespec now;
    bool found = false;
    *due = false;
    for (size_t i = 0; i < self->plan.group_count; i++) {
        const struct k2_plan_group *group = &self->plan.groups[i];
        if (group->level == K2_LEVEL_LATE && group->commit_min < oldest) {
            oldest = group->commit_min;
        }
    }
    if (oldest == UINT64_MAX) {
        return K2_OK;
    }
    enum k2_status status = k2_store_begin(self->engine->store, false, &txn, error);
    if (status != K2_OK) {
        return status;
    }
    status = k2_commit_log_get(txn, oldest, &found, &snapshot, error);
    k2_store_abort(txn);
    (void)clock_gettime(CLOCK_REALTIME, &now);
    *due = status == K2_OK && found &&
           (int64_t)now.tv_sec * 1000000000 - snapshot.time_ns > most_late_ns;
    return status;
}

static enum k2_status choose(struct step *self, struct k2_error *error)
{
    struct k2_level_state state = {
        .groups = self->plan.groups,
        .group_count = self->plan.group_count,
        .newest_ns = self->newest_ns,
        .effort = self->request->effort,
        .newest_segment = self->request->newest_segment,
    };
    enum k2_status status = look_at_late(self, &state.late_is_due, error);
    if (status == K2_OK && state.effort != K2_EFFORT_FOLDS) {
        status = list_sparse(self, error);
        state.sparse = self->sparse;
        state.sparse_count = self->sparse_count;
    }
    return status == K2_OK ? k2_levels_choose(&state, &self->job, error) : status;
}

// ---- floors

static bool raise_floor(struct k2_rewrite_floors *floors, uint32_t instrument, int64_t time_ns)
{
    if (instrument >= floors->count) {
        size_t count = (size_t)instrument + instrument / 2 + 256;
        int64_t *grown = k2_realloc(floors->times_ns, count, sizeof *grown);
        if (grown == NULL) {
            return false;
        }
        for (size_t i = floors->count; i < count; i++) {
            grown[i] = INT64_MIN;
        }
        floors->times_ns = grown;
        floors->count = count;
    }
    if (time_ns > floors->times_ns[instrument]) {
        floors->times_ns[instrument] = time_ns;
    }
    return true;
}

static enum k2_status raise_floors(struct step *self, const struct k2_plan *plan,
                                   struct k2_error *error)
{
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < plan->group_count && status == K2_OK; i++) {
        struct k2_row_group_view *view = NULL;
        status = k2_plan_view(plan, i, &view, error);
        if (status != K2_OK) {
            break;
        }
        size_t count;
        const struct k2_directory_entry *entries = k2_row_group_view_directory(view, &count);
        for (size_t j = 0; j < count && status == K2_OK; j++) {
            if (!raise_floor(&self->floors, entries[j].instrument, entries[j].time_max_ns)) {
                status = no_memory(error);
            }
        }
        k2_row_group_view_close(view);
    }
    return status;
}

// How far each instrument is sorted, as far as that can matter to the inputs.
static enum k2_status find_floors(struct step *self, struct k2_error *error)
{
    int64_t first_ns = self->job.inputs[0].time_min_ns; // they are sorted by time
    struct k2_plan_group *sorted = k2_alloc_zero(self->plan.group_count, sizeof *sorted);
    struct k2_store_txn *txn = NULL;
    struct k2_plan plan = {0};
    size_t count = 0;
    if (sorted == NULL) {
        return no_memory(error);
    }
    for (size_t i = 0; i < self->plan.group_count; i++) {
        const struct k2_plan_group *group = &self->plan.groups[i];
        if (k2_level_is_sorted(group->level) && group->time_max_ns >= first_ns) {
            sorted[count++] = *group;
        }
    }
    enum k2_status status = K2_OK;
    if (count > 0) {
        status = k2_store_begin(self->engine->store, false, &txn, error);
        if (status == K2_OK) {
            status = k2_plan_open_groups(self->engine, txn, sorted, count, &plan, error);
            k2_store_abort(txn);
        }
        if (status == K2_OK) {
            status = raise_floors(self, &plan, error);
            k2_plan_close(&plan);
        }
    }
    k2_free(sorted);
    return status;
}

// ---- doing it

static enum k2_status pace(void *context, uint64_t rows, uint64_t bytes, struct k2_error *error)
{
    struct step *self = context;
    return self->request->pace(self->request->context, self->job.task == K2_TASK_MERGE, rows, bytes,
                               error);
}

static enum k2_status rewrite(struct step *self, struct k2_rewrite_report *report,
                              struct k2_error *error)
{
    struct k2_rewrite *rewrite = NULL;
    struct k2_rewrite_window *windows = NULL;
    struct k2_rewrite_options options = {
        .floors = &self->floors,
        .daily_before_ns = k2_levels_today(self->newest_ns),
        .pace = self->request->pace == NULL ? NULL : pace,
        .context = self,
    };
    enum k2_status status = self->job.task == K2_TASK_SORT ? find_floors(self, error) : K2_OK;
    if (status == K2_OK) {
        status =
            k2_levels_windows(&self->job, self->newest_ns, &windows, &options.window_count, error);
        options.windows = windows;
    }
    if (status == K2_OK) {
        status = k2_rewrite_open(&rewrite, self->engine, self->table, self->job.inputs,
                                 self->job.input_count, error);
    }
    if (status == K2_OK) {
        status = k2_rewrite_run(rewrite, &options, error);
    }
    if (status == K2_OK) {
        status = k2_rewrite_swap(rewrite, report, error);
    }
    k2_rewrite_close(rewrite);
    k2_free(windows);
    return status;
}

static enum k2_status settle_group(struct step *self, struct k2_store_txn *txn,
                                   const struct k2_plan_group *group, struct k2_error *error)
{
    struct k2_group_place place = {self->table->id, group->time_min_ns, group->segment_id,
                                   group->offset};
    struct k2_index_key key = k2_group_key(&place);
    struct k2_slice value;
    bool found;
    enum k2_status status =
        k2_store_get(txn, K2_STORE_GROUP, k2_index_key_slice(&key), &found, &value, error);
    if (status != K2_OK || !found) {
        return status;
    }
    struct k2_group_record record = k2_group_record_decode(value);
    record.level = K2_LEVEL_DAILY;
    struct k2_index_value changed = k2_group_record_encode(&record);
    return k2_store_put(txn, K2_STORE_GROUP, k2_index_key_slice(&key),
                        k2_index_value_slice(&changed), error);
}

static enum k2_status settle(struct step *self, struct k2_error *error)
{
    struct k2_store_txn *txn;
    k2_engine_lock(self->engine);
    enum k2_status status = k2_store_begin(self->engine->store, true, &txn, error);
    if (status == K2_OK) {
        for (size_t i = 0; i < self->job.input_count && status == K2_OK; i++) {
            status = settle_group(self, txn, &self->job.inputs[i], error);
        }
        if (status == K2_OK) {
            status = k2_store_commit(txn, error);
            k2_engine_note_failure(self->engine, status, status != K2_NO_SPACE, error);
        } else {
            k2_store_abort(txn);
        }
    }
    k2_engine_unlock(self->engine);
    return status;
}

enum k2_status k2_level_step(struct k2_engine *engine, const struct k2_table *table,
                             const struct k2_level_request *request, bool *done,
                             struct k2_rewrite_report *report, struct k2_error *error)
{
    struct step self = {.engine = engine, .table = table, .request = request};
    *report = (struct k2_rewrite_report){0};
    k2_rewrite_lock(engine);
    enum k2_status status = list_groups(&self, error);
    if (status == K2_OK) {
        status = choose(&self, error);
    }
    *done = status == K2_OK && self.job.task != K2_TASK_NONE;
    if (*done) {
        status =
            self.job.task == K2_TASK_SETTLE ? settle(&self, error) : rewrite(&self, report, error);
    }
    k2_plan_close(&self.plan);
    k2_level_job_deinit(&self.job);
    k2_free(self.floors.times_ns);
    k2_free(self.sparse);
    k2_rewrite_unlock(engine);
    if (status != K2_OK) {
        k2_error_annotate(error, "levels of %s", table->schema->table);
    }
    return status;
}
