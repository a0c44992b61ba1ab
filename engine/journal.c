#include "engine/journal.h"

#include <assert.h>
#include <string.h>

#include "engine/commit_log.h"
#include "engine/engine_state.h"
#include "engine/index_records.h"
#include "engine/instruments.h"
#include "engine/publish.h"
#include "engine/row_order.h"
#include "format/base/alloc.h"

static const size_t group_ceiling_bytes = (size_t)1 << 30;
static const char exchange[] = "_k2";

const char *const k2_journal_kinds[K2_JOURNAL_KIND_COUNT] = {
    K2_JOURNAL_TAG,    K2_JOURNAL_SCHEMA, K2_JOURNAL_COMMITS, K2_JOURNAL_POLICY,
    K2_JOURNAL_EXPORT, K2_JOURNAL_DOMAIN, K2_JOURNAL_DROPPED,
};

enum k2_status k2_journal_begin(struct k2_engine *engine, struct k2_store_txn *txn,
                                struct k2_error *error)
{
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < K2_JOURNAL_KIND_COUNT && status == K2_OK; i++) {
        status =
            k2_instrument_intern(engine, k2_slice_of(exchange), k2_slice_of(k2_journal_kinds[i]),
                                 &engine->journal_instruments[i], error);
    }
    return status == K2_OK ? k2_instruments_store(engine, txn, error) : status;
}

// The names of the engine's instruments belong to another thread.
static struct k2_instrument_name name_of(void *context, uint32_t instrument)
{
    const struct k2_engine *engine = context;
    size_t kind = 0;
    while (engine->journal_instruments[kind] != instrument) {
        kind++;
        assert(kind < K2_JOURNAL_KIND_COUNT);
    }
    return (struct k2_instrument_name){k2_slice_of(exchange), k2_slice_of(k2_journal_kinds[kind])};
}

static uint32_t instrument_of(const struct k2_engine *engine, const char *kind)
{
    size_t i = 0;
    while (strcmp(k2_journal_kinds[i], kind) != 0) {
        i++;
        assert(i < K2_JOURNAL_KIND_COUNT);
    }
    return engine->journal_instruments[i];
}

static enum k2_status add_entry(struct k2_engine *engine, struct k2_row_batch *batch,
                                const struct k2_journal_entry *entry, struct k2_error *error)
{
    const struct k2_schema *schema = batch->schema;
    struct k2_row_key key = {
        .instrument = instrument_of(engine, entry->kind),
        .time_ns = k2_engine_next_time_ns(engine),
        .sequence = (int64_t)(engine->run << 32 | ++engine->journal_sequence),
    };
    size_t row;
    enum k2_status status = k2_row_batch_add(batch, &key, 0, &row, error);
    if (status == K2_OK) {
        k2_row_batch_set_value(batch, row, (size_t)k2_schema_find(schema, k2_slice_of("number")),
                               entry->number);
        status = k2_row_batch_set_text(
            batch, row, (size_t)k2_schema_find(schema, k2_slice_of("name")), entry->name, error);
    }
    if (status == K2_OK) {
        status = k2_row_batch_set_text(
            batch, row, (size_t)k2_schema_find(schema, k2_slice_of("value")), entry->value, error);
    }
    return status;
}

static enum k2_status write_group(struct k2_engine *engine, const struct k2_table *table,
                                  const struct k2_row_batch *batch, struct k2_new_group *group,
                                  struct k2_error *error)
{
    struct k2_row_group_info info = {
        .commit = engine->newest.id,
        .commit_time_ns = engine->newest.time_ns,
        .part_count = 1,
    };
    uint32_t *order = k2_alloc_zero(batch->row_count, sizeof *order);
    enum k2_status status = order == NULL ? k2_fail(error, K2_NO_MEMORY, "log: out of memory")
                                          : k2_row_order(batch, order, error);
    if (status == K2_OK) {
        const struct k2_publish_rows rows = {
            .table = table,
            .batch = batch,
            .order = order,
            .row_count = batch->row_count,
            .name_of = name_of,
            .name_context = engine,
        };
        status = k2_publish_write(engine, &engine->tail, &rows, &info, &engine->group_memory, group,
                                  error);
    }
    if (status == K2_OK) {
        status = k2_tail_sync(engine, &engine->tail, error);
    }
    k2_free(order);
    return status;
}

static enum k2_status commit_group(struct k2_engine *engine, const struct k2_new_group *group,
                                   k2_journal_change *change, void *context, struct k2_error *error)
{
    struct k2_store_txn *txn;
    enum k2_status status = k2_store_begin(engine->store, true, &txn, error);
    if (status != K2_OK) {
        return status;
    }
    status = change(context, txn, error);
    if (status == K2_OK) {
        status = k2_publish_add(txn, group, error);
    }
    if (status == K2_OK) {
        status = k2_publish_count(txn, group->table, group->record.row_count, 0, 0, 0, error);
    }
    if (status == K2_OK) {
        status = k2_publish_tail(engine, &engine->tail, 1, txn, error);
    }
    if (status != K2_OK) {
        k2_store_abort(txn);
        return status;
    }
    status = k2_store_commit(txn, error);
    k2_engine_note_failure(engine, status, status != K2_NO_SPACE, error);
    return status;
}

static enum k2_status write_entries(struct k2_engine *engine,
                                    const struct k2_journal_entry *entries, size_t entry_count,
                                    k2_journal_change *change, void *context,
                                    struct k2_error *error)
{
    const struct k2_table *table = k2_engine_table(engine, k2_slice_of(K2_JOURNAL_TABLE));
    struct k2_row_batch *batch = NULL;
    struct k2_new_group group;
    assert(engine->mode != K2_ENGINE_READ && table != NULL && entry_count > 0);
    enum k2_status status = k2_engine_check_writable(engine, error);
    if (status != K2_OK) {
        return status;
    }
    status = k2_row_batch_create(&batch, table->schema, entry_count, false, error);
    for (size_t i = 0; i < entry_count && status == K2_OK; i++) {
        status = add_entry(engine, batch, &entries[i], error);
    }
    if (status == K2_OK) {
        status = write_group(engine, table, batch, &group, error);
        if (status == K2_OK) {
            status = commit_group(engine, &group, change, context, error);
        }
        if (status != K2_OK) {
            k2_tail_seal(engine, &engine->tail, engine->broken);
            k2_engine_note_failure(engine, status, false, error);
        }
    }
    k2_row_batch_destroy(batch);
    if (status == K2_OK) {
        k2_tail_committed(&engine->tail, 1);
    }
    return status;
}

enum k2_status k2_journal_write(struct k2_engine *engine, const struct k2_journal_entry *entries,
                                size_t entry_count, k2_journal_change *change, void *context,
                                struct k2_error *error)
{
    k2_engine_lock(engine);
    enum k2_status status = write_entries(engine, entries, entry_count, change, context, error);
    k2_engine_unlock(engine);
    return status;
}

// The chunks of the commit log that changed since they were written, as entries.
struct commit_chunks {
    struct k2_journal_entry *entries; // owned
    size_t count;
    struct k2_buffer bytes;
    uint64_t newest;                    // the commit up to which they go
    const struct k2_snapshot *snapshot; // borrowed: to be appended; may be NULL
    k2_journal_change *change;          // may be NULL
    void *context;
};

static enum k2_status note_logged(void *context, struct k2_store_txn *txn, struct k2_error *error)
{
    const struct commit_chunks *chunks = context;
    struct k2_index_value value = k2_index_value_number(chunks->newest);
    enum k2_status status =
        chunks->snapshot == NULL ? K2_OK : k2_commit_log_append(txn, chunks->snapshot, error);
    if (status == K2_OK && chunks->change != NULL) {
        status = chunks->change(chunks->context, txn, error);
    }
    return status != K2_OK ? status
                           : k2_store_put(txn, K2_STORE_META, k2_slice_of(K2_JOURNAL_LOGGED),
                                          k2_index_value_slice(&value), error);
}

static enum k2_status collect_chunks(struct k2_store_txn *txn, struct k2_store_cursor *cursor,
                                     struct commit_chunks *chunks, struct k2_error *error)
{
    struct k2_slice value;
    bool found;
    enum k2_status status =
        k2_store_get(txn, K2_STORE_META, k2_slice_of(K2_JOURNAL_LOGGED), &found, &value, error);
    uint64_t logged = status == K2_OK && found ? k2_index_number(value) : 0;
    struct k2_index_key key = k2_index_key_id(logged / K2_COMMIT_LOG_CHUNK, 8);
    if (status == K2_OK && logged < chunks->newest) {
        status = k2_store_seek(cursor, k2_index_key_slice(&key), error);
    }
    while (status == K2_OK && cursor->found && chunks->count < K2_GROUP_ROWS) {
        struct k2_journal_entry *grown =
            k2_realloc(chunks->entries, chunks->count + 1, sizeof *grown);
        if (grown == NULL) {
            return k2_fail(error, K2_NO_MEMORY, "log: out of memory");
        }
        chunks->entries = grown;
        // The bytes move while the buffer grows: until the end only their sizes are known.
        chunks->entries[chunks->count++] = (struct k2_journal_entry){
            .kind = K2_JOURNAL_COMMITS,
            .number = (int64_t)k2_index_key_get(cursor->key, 0, 8),
            .value = {NULL, cursor->value.size_bytes},
        };
        k2_put_bytes(&chunks->bytes, cursor->value.data, cursor->value.size_bytes);
        status = k2_store_next(cursor, error);
    }
    if (status == K2_OK && cursor->found) {
        chunks->newest = k2_index_key_get(cursor->key, 0, 8) * K2_COMMIT_LOG_CHUNK;
    }
    return status == K2_OK ? k2_buffer_check(&chunks->bytes, "log", error) : status;
}

// What the log will be with `chunks->snapshot` is read in a transaction that comes to nothing.
static enum k2_status read_chunks(struct k2_engine *engine, struct commit_chunks *chunks,
                                  struct k2_error *error)
{
    struct k2_store_cursor cursor = {0};
    struct k2_store_txn *txn;
    enum k2_status status = k2_store_begin(engine->store, chunks->snapshot != NULL, &txn, error);
    if (status != K2_OK) {
        return status;
    }
    if (chunks->snapshot != NULL) {
        status = k2_commit_log_append(txn, chunks->snapshot, error);
    }
    if (status == K2_OK) {
        status = k2_store_cursor_open(txn, K2_STORE_COMMIT, &cursor, error);
    }
    if (status == K2_OK) {
        status = collect_chunks(txn, &cursor, chunks, error);
    }
    k2_store_cursor_close(&cursor);
    k2_store_abort(txn);
    size_t offset = 0;
    for (size_t i = 0; status == K2_OK && i < chunks->count; i++) {
        chunks->entries[i].value.data = chunks->bytes.data + offset;
        offset += chunks->entries[i].value.size_bytes;
    }
    return status;
}

static enum k2_status add_entries(struct commit_chunks *chunks,
                                  const struct k2_journal_entry *entries, size_t count,
                                  struct k2_error *error)
{
    struct k2_journal_entry *grown =
        k2_realloc(chunks->entries, chunks->count + count + 1, sizeof *grown);
    if (grown == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "log: out of memory");
    }
    chunks->entries = grown;
    for (size_t i = 0; i < count; i++) {
        chunks->entries[chunks->count++] = entries[i];
    }
    return K2_OK;
}

static enum k2_status log_commits(struct k2_engine *engine, struct commit_chunks *chunks,
                                  const struct k2_journal_entry *entries, size_t entry_count,
                                  struct k2_error *error)
{
    chunks->newest = chunks->snapshot == NULL ? engine->newest.id : chunks->snapshot->id;
    k2_buffer_init(&chunks->bytes, group_ceiling_bytes / 2);
    enum k2_status status = read_chunks(engine, chunks, error);
    if (status == K2_OK) {
        status = add_entries(chunks, entries, entry_count, error);
    }
    if (status == K2_OK && chunks->count > 0) {
        status =
            k2_journal_write(engine, chunks->entries, chunks->count, note_logged, chunks, error);
    }
    k2_free(chunks->entries);
    k2_buffer_deinit(&chunks->bytes);
    return status;
}

enum k2_status k2_journal_write_commits(struct k2_engine *engine, struct k2_error *error)
{
    struct commit_chunks chunks = {.snapshot = NULL};
    k2_engine_lock(engine);
    enum k2_status status = log_commits(engine, &chunks, NULL, 0, error);
    k2_engine_unlock(engine);
    return status;
}

enum k2_status k2_journal_add_change(struct k2_engine *engine, const struct k2_snapshot *snapshot,
                                     const struct k2_journal_entry *entries, size_t entry_count,
                                     k2_journal_change *change, void *context,
                                     struct k2_error *error)
{
    struct commit_chunks chunks = {.snapshot = snapshot, .change = change, .context = context};
    k2_engine_lock(engine);
    enum k2_status status = log_commits(engine, &chunks, entries, entry_count, error);
    if (status == K2_OK) {
        engine->newest = *snapshot;
    }
    k2_engine_unlock(engine);
    return status;
}

enum k2_status k2_journal_add_snapshot(struct k2_engine *engine, const struct k2_snapshot *snapshot,
                                       struct k2_error *error)
{
    return k2_journal_add_change(engine, snapshot, NULL, 0, NULL, NULL, error);
}
