#include "engine/commit.h"

#include <assert.h>
#include <string.h>

#include "engine/commit_log.h"
#include "engine/duplicates.h"
#include "engine/engine_state.h"
#include "engine/gap_ledger.h"
#include "engine/instruments.h"
#include "engine/policy.h"
#include "engine/publish.h"
#include "engine/row_order.h"
#include "format/base/alloc.h"

// A batch and what was found out about it.
struct part {
    const struct k2_table *table;
    const struct k2_row_batch *batch; // borrowed; NULL: only counters
    uint32_t *order;                  // owned: the rows to store, sorted
    size_t stored;
    uint8_t *fates;      // owned
    uint32_t *conflicts; // owned
    size_t conflict_count;
    uint64_t duplicates, rejected;
    struct k2_ledger_changes *ledger; // owned
    struct k2_key_versions versions;
    struct k2_row_batch changed;     // `batch` with what `versions` says of its rows
    struct k2_batch_column *columns; // owned: of `changed`, or NULL
    uint8_t *version_valid;          // owned: of `changed`, or NULL
    struct k2_new_group group;       // once written
};

struct k2_commit {
    struct k2_engine *engine;
    struct part parts[K2_MAX_TABLES];
    size_t part_count;
    struct k2_buffer progress; // u32 key size, u32 value size, key, value, ...
    size_t progress_count;
};

enum { PROGRESS_CEILING_BYTES = 16 << 20 };

const char *k2_row_fate_reason(enum k2_row_fate fate)
{
    static const char *const reasons[] = {"stored", "duplicate", "key_conflict", "unknown_key",
                                          "duplicate_key"};
    return reasons[fate];
}

const char *k2_row_fate_detail(enum k2_row_fate fate)
{
    static const char *const details[] = {
        "it is stored",
        "it is there already",
        "another row has this key and other content",
        "there is no row with this key to delete",
        "a row with this key is there already",
    };
    return details[fate];
}

enum k2_status k2_commit_begin(struct k2_engine *engine, struct k2_commit **commit,
                               struct k2_error *error)
{
    assert(engine->mode != K2_ENGINE_READ);
    enum k2_status status = k2_engine_check_writable(engine, error);
    if (status != K2_OK) {
        return status;
    }
    struct k2_commit *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "commit: out of memory");
    }
    self->engine = engine;
    k2_buffer_init(&self->progress, PROGRESS_CEILING_BYTES);
    k2_engine_hold_commits(engine);
    *commit = self;
    return K2_OK;
}

static void destroy(struct k2_commit *commit)
{
    for (size_t i = 0; i < commit->part_count; i++) {
        k2_free(commit->parts[i].order);
        k2_free(commit->parts[i].fates);
        k2_free(commit->parts[i].conflicts);
        k2_ledger_changes_destroy(commit->parts[i].ledger);
        k2_key_versions_deinit(&commit->parts[i].versions);
        k2_free(commit->parts[i].columns);
        k2_free(commit->parts[i].version_valid);
    }
    k2_buffer_deinit(&commit->progress);
    k2_free(commit);
}

void k2_commit_abort(struct k2_commit *commit)
{
    if (commit != NULL) {
        k2_engine_let_commits(commit->engine);
        destroy(commit);
    }
}

static struct part *part_of(struct k2_commit *commit, const struct k2_table *table)
{
    for (size_t i = 0; i < commit->part_count; i++) {
        if (commit->parts[i].table == table) {
            return &commit->parts[i];
        }
    }
    struct part *part = &commit->parts[commit->part_count++];
    part->table = table;
    return part;
}

// A dense source knows its rows by number alone, unless rows may be replaced or are deleted.
static enum k2_status find_fates(struct k2_engine *engine, struct part *part,
                                 const struct k2_source *source, struct k2_error *error)
{
    const struct k2_row_batch *batch = part->batch;
    struct k2_policy policy;
    bool by_key = source->numbering != K2_NUMBERING_DENSE;
    enum k2_status status = k2_policy_get(engine, part->table, &policy, error);
    if (status == K2_OK) {
        status =
            k2_ledger_open(engine, part->table, source, batch, part->order, &part->ledger, error);
    }
    if (status == K2_OK && !by_key) {
        k2_ledger_find(part->ledger, policy.duplicates == K2_KEEP_LAST, part->fates, &by_key);
    }
    for (size_t i = 0; i < batch->row_count && policy.duplicates == K2_REJECT_SECOND; i++) {
        part->fates[i] = part->fates[i] == K2_ROW_DUPLICATE ? K2_ROW_REPEATED : part->fates[i];
    }
    by_key = by_key || policy.duplicates == K2_KEEP_LAST || batch->ops != NULL;
    return status == K2_OK && by_key
               ? k2_duplicates_by_key(engine, part->table, batch, policy.duplicates, part->order,
                                      part->fates, &part->versions, error)
               : status;
}

// Deletions that came without a version get that of what they delete.
static enum k2_status set_versions(struct part *part, struct k2_error *error)
{
    const struct k2_row_batch *batch = part->batch;
    const struct k2_schema *schema = batch->schema;
    size_t column = schema->version_column;
    part->columns = k2_alloc(schema->column_count * sizeof *part->columns);
    part->version_valid = k2_alloc(batch->row_count);
    if (part->columns == NULL || part->version_valid == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "commit: out of memory");
    }
    memcpy(part->columns, batch->columns, schema->column_count * sizeof *part->columns);
    for (size_t i = 0; i < batch->row_count; i++) {
        bool valid = batch->columns[column].valid[i] != 0;
        bool set = !valid && part->versions.ops[i] == K2_OP_DELETE;
        part->version_valid[i] = valid || set;
        part->versions.versions[i] =
            valid ? batch->columns[column].values[i] : part->versions.versions[i];
        part->columns[column].null_count -= set;
    }
    part->columns[column].values = part->versions.versions;
    part->columns[column].valid = part->version_valid;
    part->changed.columns = part->columns;
    return K2_OK;
}

// The rows as they are to be stored: what replaces or deletes others says so.
static enum k2_status mark_versions(struct part *part, struct k2_error *error)
{
    if (!part->versions.any_op) {
        if (part->batch->ops != NULL) {
            part->changed = *part->batch;
            part->changed.ops = NULL;
            part->batch = &part->changed;
        }
        return K2_OK;
    }
    part->changed = *part->batch;
    part->changed.ops = part->versions.ops;
    enum k2_status status = part->versions.versions != NULL ? set_versions(part, error) : K2_OK;
    part->batch = &part->changed;
    return status;
}

// Leaves the new rows in `order`, and lists the conflicts in order of arrival.
static enum k2_status divide(struct part *part, struct k2_error *error)
{
    size_t rows = part->batch->row_count, conflicts = 0;
    for (size_t i = 0; i < rows; i++) {
        part->duplicates += part->fates[i] == K2_ROW_DUPLICATE;
        conflicts += part->fates[i] >= K2_ROW_CONFLICT;
    }
    bool all_new = part->duplicates == 0 && conflicts == 0;
    for (size_t i = 0; i < rows && !all_new; i++) {
        uint32_t row = part->order[i];
        if (part->fates[row] == K2_ROW_NEW) {
            part->order[part->stored++] = row;
        }
    }
    part->stored = all_new ? rows : part->stored;
    part->conflicts = k2_alloc(conflicts * sizeof *part->conflicts);
    if (part->conflicts == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "commit: out of memory");
    }
    for (size_t i = 0; i < rows && conflicts > 0; i++) {
        if (part->fates[i] >= K2_ROW_CONFLICT) {
            part->conflicts[part->conflict_count++] = (uint32_t)i;
        }
    }
    part->rejected += part->conflict_count;
    return K2_OK;
}

enum k2_status k2_commit_add(struct k2_commit *commit, const struct k2_row_batch *batch,
                             enum k2_numbering numbering, struct k2_commit_outcome *outcome,
                             struct k2_error *error)
{
    const struct k2_source source = {.numbering = numbering};
    return k2_commit_add_from(commit, batch, &source, outcome, error);
}

enum k2_status k2_commit_add_from(struct k2_commit *commit, const struct k2_row_batch *batch,
                                  const struct k2_source *source, struct k2_commit_outcome *outcome,
                                  struct k2_error *error)
{
    const struct k2_table *table =
        k2_engine_table(commit->engine, k2_slice_of(batch->schema->table));
    assert(table != NULL && batch->row_count <= K2_GROUP_ROWS);
    if (table->schema != batch->schema) {
        return k2_fail(error, K2_BAD_REQUEST, "table %s: the rows are of an older schema",
                       table->schema->table);
    }
    struct part *part = part_of(commit, table);
    assert(part->batch == NULL);
    part->batch = batch;
    part->order = k2_alloc(batch->row_count * sizeof *part->order);
    part->fates = k2_alloc_zero(batch->row_count, 1);
    if (part->order == NULL || part->fates == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "commit: out of memory");
    }
    enum k2_status status = k2_row_order(batch, part->order, error);
    if (status == K2_OK) {
        status = find_fates(commit->engine, part, source, error);
    }
    if (status == K2_OK) {
        status = k2_ledger_note(part->ledger, part->fates, error);
    }
    if (status != K2_OK) {
        k2_error_annotate(error, "table %s", table->schema->table);
        return status;
    }
    status = divide(part, error);
    if (status == K2_OK) {
        status = mark_versions(part, error);
    }
    if (status != K2_OK) {
        return status;
    }
    *outcome = (struct k2_commit_outcome){
        .stored = part->stored,
        .duplicates = part->duplicates,
        .conflicts = part->conflicts,
        .conflict_count = part->conflict_count,
        .gave_up = k2_ledger_given_up(part->ledger),
        .fates = part->fates,
    };
    return K2_OK;
}

enum k2_status k2_commit_set_progress(struct k2_commit *commit, struct k2_slice key,
                                      struct k2_slice value, struct k2_error *error)
{
    if (key.size_bytes == 0 || key.size_bytes > 500) {
        return k2_fail(error, K2_BAD_REQUEST, "progress: a key of %zu bytes", key.size_bytes);
    }
    k2_put_u32(&commit->progress, (uint32_t)key.size_bytes);
    k2_put_u32(&commit->progress, (uint32_t)value.size_bytes);
    k2_put_bytes(&commit->progress, key.data, key.size_bytes);
    k2_put_bytes(&commit->progress, value.data, value.size_bytes);
    commit->progress_count++;
    return k2_buffer_check(&commit->progress, "progress", error);
}

void k2_commit_count_rejected(struct k2_commit *commit, const struct k2_table *table, uint64_t rows)
{
    part_of(commit, table)->rejected += rows;
}

static struct k2_progress_marker next_marker(struct k2_byte_reader *reader)
{
    uint32_t key_bytes = k2_read_u32(reader), value_bytes = k2_read_u32(reader);
    struct k2_progress_marker marker;
    marker.key = k2_read_bytes(reader, key_bytes);
    marker.value = k2_read_bytes(reader, value_bytes);
    return marker;
}

static enum k2_status write_parts(struct k2_commit *commit, struct k2_snapshot *snapshot,
                                  const struct k2_progress_marker *markers, uint32_t *group_count,
                                  struct k2_error *error)
{
    struct k2_engine *engine = commit->engine;
    struct k2_row_group_info info = {
        .commit = snapshot->id,
        .commit_time_ns = snapshot->time_ns,
        .markers = markers,
        .marker_count = commit->progress_count,
    };
    for (size_t i = 0; i < commit->part_count; i++) {
        info.part_count += commit->parts[i].stored > 0;
    }
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < commit->part_count && status == K2_OK; i++) {
        struct part *part = &commit->parts[i];
        if (part->stored == 0) {
            continue;
        }
        const struct k2_publish_rows rows = {
            .table = part->table,
            .batch = part->batch,
            .order = part->order,
            .row_count = part->stored,
        };
        status = k2_publish_write(engine, &engine->tail, &rows, &info, &engine->group_memory,
                                  &part->group, error);
        info.part++;
        info.marker_count = 0; // the first part has them
        snapshot->tables[snapshot->table_count].table_id = part->table->id;
        snapshot->tables[snapshot->table_count].hidden = (int64_t)part->versions.hidden;
        snapshot->tables[snapshot->table_count++].added = part->stored;
    }
    *group_count = info.part_count;
    return status == K2_OK && info.part_count > 0 ? k2_tail_sync(engine, &engine->tail, error)
                                                  : status;
}

// Behind the last row of the instrument of row order[start]: steps that double, then halves.
static size_t instrument_end(const struct part *part, size_t start)
{
    const struct k2_row_key *keys = part->batch->keys;
    uint32_t instrument = keys[part->order[start]].instrument;
    size_t step = 1, low = start + 1; // rows before `low` are of the instrument
    while (low + step <= part->stored &&
           keys[part->order[low + step - 1]].instrument == instrument) {
        low += step;
        step *= 2;
    }
    for (; step > 0; step /= 2) {
        if (low + step <= part->stored &&
            keys[part->order[low + step - 1]].instrument == instrument) {
            low += step;
        }
    }
    return low;
}

static enum k2_status index_members(struct k2_engine *engine, struct k2_store_txn *txn,
                                    const struct part *part, uint64_t snapshot,
                                    uint64_t *added_count, struct k2_error *error)
{
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < part->stored && status == K2_OK; i = instrument_end(part, i)) {
        uint32_t instrument = part->batch->keys[part->order[i]].instrument;
        bool added;
        status = k2_member_add(engine, txn, part->table, instrument, snapshot, &added, error);
        *added_count += added;
    }
    return status;
}

static enum k2_status index_part(struct k2_engine *engine, struct k2_store_txn *txn,
                                 const struct part *part, uint64_t snapshot, struct k2_error *error)
{
    uint64_t instruments = 0;
    enum k2_status status = K2_OK;
    if (part->stored > 0) {
        status = k2_publish_add(txn, &part->group, error);
        if (status == K2_OK) {
            status = index_members(engine, txn, part, snapshot, &instruments, error);
        }
    }
    if (status == K2_OK) {
        status = k2_ledger_store(part->ledger, txn, error);
    }
    if (status == K2_OK) {
        status = k2_publish_count(txn, part->table, part->stored, part->duplicates, part->rejected,
                                  instruments, error);
    }
    if (status == K2_OK && part->versions.hidden > 0) {
        status = k2_publish_hide(txn, part->table, (int64_t)part->versions.hidden, error);
    }
    return status;
}

static enum k2_status index_commit(struct k2_commit *commit, struct k2_store_txn *txn,
                                   const struct k2_snapshot *snapshot,
                                   const struct k2_progress_marker *markers, uint32_t group_count,
                                   struct k2_error *error)
{
    struct k2_engine *engine = commit->engine;
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < commit->part_count && status == K2_OK; i++) {
        status = index_part(engine, txn, &commit->parts[i], snapshot->id, error);
    }
    for (size_t i = 0; i < commit->progress_count && status == K2_OK; i++) {
        status = k2_store_put(txn, K2_STORE_PROGRESS, markers[i].key, markers[i].value, error);
    }
    if (status == K2_OK && group_count > 0) {
        status = k2_publish_tail(engine, &engine->tail, group_count, txn, error);
        if (status == K2_OK) {
            status = k2_instruments_store(engine, txn, error);
        }
        if (status == K2_OK) {
            status = k2_commit_log_append(txn, snapshot, error);
        }
    }
    return status;
}

static void committed(struct k2_engine *engine, const struct k2_snapshot *snapshot,
                      uint32_t group_count)
{
    if (group_count == 0) {
        return;
    }
    engine->newest = *snapshot;
    k2_tail_committed(&engine->tail, group_count);
    k2_instruments_committed(engine);
    if (engine->tail.written_bytes >= K2_TAIL_CEILING_BYTES) {
        k2_tail_seal(engine, &engine->tail, true);
    }
}

static enum k2_status write_commit(struct k2_commit *commit, struct k2_snapshot *snapshot,
                                   const struct k2_progress_marker *markers, struct k2_error *error)
{
    struct k2_engine *engine = commit->engine;
    struct k2_store_txn *txn = NULL;
    uint32_t group_count = 0;
    enum k2_status status = write_parts(commit, snapshot, markers, &group_count, error);
    if (status == K2_OK) {
        status = k2_store_begin(engine->store, true, &txn, error);
    }
    if (status == K2_OK) {
        status = index_commit(commit, txn, snapshot, markers, group_count, error);
        if (status != K2_OK) {
            k2_store_abort(txn);
        } else {
            status = k2_store_commit(txn, error);
            k2_engine_note_failure(engine, status, status != K2_NO_SPACE, error);
        }
    }
    if (status == K2_OK) {
        committed(engine, snapshot, group_count);
    } else {
        // What was written lies behind the committed length - or not, if the commit is unclear.
        k2_tail_seal(engine, &engine->tail, engine->broken);
        k2_engine_note_failure(engine, status, false, error);
    }
    return status;
}

static bool is_empty(const struct k2_commit *commit, size_t *stored)
{
    uint64_t counted = 0;
    *stored = 0;
    for (size_t i = 0; i < commit->part_count; i++) {
        *stored += commit->parts[i].stored;
        counted += commit->parts[i].duplicates + commit->parts[i].rejected;
    }
    return *stored == 0 && counted == 0 && commit->progress_count == 0;
}

static enum k2_status finish(struct k2_commit *commit, struct k2_error *error)
{
    struct k2_engine *engine = commit->engine;
    struct k2_snapshot next = {
        .id = engine->newest.id + 1,
        .parent = engine->newest.id,
        .time_ns = k2_engine_next_time_ns(engine),
        .operation = K2_OPERATION_APPEND,
    };
    struct k2_byte_reader reader = {.rest = k2_buffer_slice(&commit->progress)};
    struct k2_progress_marker *markers = k2_alloc_zero(commit->progress_count, sizeof *markers);
    if (markers == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "commit: out of memory");
    }
    for (size_t i = 0; i < commit->progress_count; i++) {
        markers[i] = next_marker(&reader);
    }
    enum k2_status status = write_commit(commit, &next, markers, error);
    k2_free(markers);
    return status;
}

enum k2_status k2_commit_finish(struct k2_commit *commit, uint64_t *snapshot,
                                struct k2_error *error)
{
    struct k2_engine *engine = commit->engine;
    size_t stored;
    enum k2_status status = K2_OK;
    k2_engine_lock(engine);
    if (!is_empty(commit, &stored)) {
        status = finish(commit, error);
    }
    size_t tables[K2_MAX_TABLES], table_count = 0;
    for (size_t i = 0; i < commit->part_count && status == K2_OK; i++) {
        if (commit->parts[i].stored > 0) {
            tables[table_count++] = (size_t)(commit->parts[i].table - engine->tables);
        }
    }
    if (status == K2_OK) {
        *snapshot = engine->newest.id;
    }
    void (*after_commit)(void *, const size_t *, size_t) = engine->after_commit;
    k2_engine_unlock(engine);
    k2_engine_let_commits(engine);
    if (after_commit != NULL && table_count > 0) {
        after_commit(engine->after_commit_context, tables, table_count);
    }
    destroy(commit);
    return status;
}
