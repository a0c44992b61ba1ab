// Tables, their schemas and their figures.
#include <string.h>

#include "engine/engine_state.h"
#include "engine/index_records.h"
#include "engine/journal.h"
#include "engine/plan.h"
#include "format/base/alloc.h"

static struct k2_table *find_id(struct k2_engine *engine, uint16_t id)
{
    size_t count = atomic_load(&engine->table_count);
    for (size_t i = 0; i < count; i++) {
        if (engine->tables[i].id == id) {
            return &engine->tables[i];
        }
    }
    return NULL;
}

const struct k2_table *k2_engine_table(const struct k2_engine *engine, struct k2_slice name)
{
    size_t count = atomic_load(&engine->table_count);
    for (size_t i = 0; i < count; i++) {
        if (k2_slice_equal(name, k2_slice_of(engine->tables[i].schema->table))) {
            return &engine->tables[i];
        }
    }
    return NULL;
}

const struct k2_table *k2_engine_table_at(const struct k2_engine *engine, size_t index)
{
    return index < atomic_load(&engine->table_count) ? &engine->tables[index] : NULL;
}

// Takes the schema in every case. Old schemas stay until close: batches and readers borrow them.
static enum k2_status set_schema(struct k2_engine *engine, uint16_t id, uint32_t version,
                                 struct k2_schema *schema, struct k2_error *error)
{
    struct k2_table *table = find_id(engine, id);
    size_t count = atomic_load(&engine->table_count);
    size_t old_room = sizeof engine->old_schemas / sizeof engine->old_schemas[0];
    if (table == NULL && count == K2_MAX_TABLES) {
        k2_schema_destroy(schema);
        return k2_fail(error, K2_LIMIT, "%s: more than %d tables", engine->path, K2_MAX_TABLES);
    }
    if (table != NULL && engine->old_schema_count == old_room) {
        k2_schema_destroy(schema);
        return k2_fail(error, K2_LIMIT, "%s: too many schema changes; open the store again",
                       engine->path);
    }
    if (table == NULL) {
        engine->tables[count] = (struct k2_table){id, version, schema};
        atomic_store(&engine->table_count, count + 1);
    } else {
        engine->old_schemas[engine->old_schema_count++] =
            (struct k2_schema *)(uintptr_t)table->schema;
        table->schema = schema;
        table->schema_version = version;
    }
    return K2_OK;
}

static enum k2_status load_schema(struct k2_engine *engine, struct k2_store_txn *txn, uint16_t id,
                                  uint32_t version, const char *name, struct k2_error *error)
{
    struct k2_index_key key = k2_index_key_pair(id, version);
    struct k2_slice json;
    bool found;
    enum k2_status status =
        k2_store_get(txn, K2_STORE_SCHEMA, k2_index_key_slice(&key), &found, &json, error);
    if (status != K2_OK) {
        return status;
    }
    if (!found) {
        return k2_fail(error, K2_CORRUPT, "index: table %s: schema version %u is missing", name,
                       version);
    }
    struct k2_schema *schema = NULL;
    status = k2_schema_parse(&schema, name, json, error);
    return status == K2_OK ? set_schema(engine, id, version, schema, error) : status;
}

enum k2_status k2_engine_load_tables(struct k2_engine *engine, struct k2_store_txn *txn,
                                     struct k2_error *error)
{
    struct k2_store_cursor cursor;
    enum k2_status status = k2_store_cursor_begin(txn, K2_STORE_TABLE, &cursor, error);
    (void)pthread_mutex_lock(&engine->tables_lock);
    while (status == K2_OK && cursor.found) {
        struct k2_byte_reader reader = {.rest = cursor.value};
        uint16_t id = (uint16_t)k2_index_key_get(cursor.key, 0, 2);
        uint32_t version = k2_read_u32(&reader);
        const struct k2_table *known = find_id(engine, id);
        if (known == NULL || known->schema_version != version) {
            char *name = k2_alloc_text((const char *)reader.rest.data, reader.rest.size_bytes);
            status = name == NULL ? k2_fail(error, K2_NO_MEMORY, "index: out of memory")
                                  : load_schema(engine, txn, id, version, name, error);
            k2_free(name);
        }
        if (status == K2_OK) {
            status = k2_store_next(&cursor, error);
        }
    }
    (void)pthread_mutex_unlock(&engine->tables_lock);
    k2_store_cursor_close(&cursor);
    return status;
}

enum k2_status k2_engine_refresh(struct k2_engine *engine, struct k2_error *error)
{
    struct k2_store_txn *txn;
    enum k2_status status = k2_store_begin(engine->store, false, &txn, error);
    if (status == K2_OK) {
        status = k2_engine_load_tables(engine, txn, error);
        k2_store_abort(txn);
    }
    return status;
}

enum k2_status k2_catalog_put_table(struct k2_store_txn *txn, uint16_t id, uint32_t version,
                                    const struct k2_schema *schema, struct k2_error *error)
{
    struct k2_buffer value;
    k2_buffer_init(&value, 4096);
    k2_put_u32(&value, version);
    k2_put_text(&value, schema->table);
    enum k2_status status = k2_buffer_check(&value, schema->table, error);
    struct k2_index_key key = k2_index_key_id(id, 2);
    if (status == K2_OK) {
        status = k2_store_put(txn, K2_STORE_TABLE, k2_index_key_slice(&key),
                              k2_buffer_slice(&value), error);
    }
    k2_buffer_deinit(&value);
    key = k2_index_key_pair(id, version);
    if (status == K2_OK) {
        status = k2_store_put(txn, K2_STORE_SCHEMA, k2_index_key_slice(&key),
                              k2_slice_of(schema->source), error);
    }
    return status;
}

enum k2_status k2_catalog_put_builtin(struct k2_engine *engine, struct k2_store_txn *txn,
                                      struct k2_error *error)
{
    uint16_t id = (uint16_t)atomic_load(&engine->table_count);
    enum k2_status status = K2_OK;
    const char *name;
    for (uint16_t i = 0; status == K2_OK && (name = k2_schema_builtin_name(i)) != NULL; i++) {
        struct k2_schema *schema = NULL;
        if (k2_engine_table(engine, k2_slice_of(name)) != NULL) {
            continue;
        }
        status = k2_schema_builtin(&schema, name, error);
        if (status == K2_OK) {
            status = k2_catalog_put_table(txn, ++id, 1, schema, error);
        }
        k2_schema_destroy(schema);
    }
    return status;
}

// A table, or a newer schema of one, on its way into the index.
struct new_table {
    uint16_t id;
    uint32_t version;
    const struct k2_schema *schema;
};

static enum k2_status put_new_table(void *context, struct k2_store_txn *txn, struct k2_error *error)
{
    const struct new_table *table = context;
    return k2_catalog_put_table(txn, table->id, table->version, table->schema, error);
}

enum k2_status k2_engine_add_table(struct k2_engine *engine, struct k2_schema **schema,
                                   const struct k2_table **table, struct k2_error *error)
{
    const struct k2_table *known = k2_engine_table(engine, k2_slice_of((*schema)->table));
    uint16_t id = (uint16_t)(atomic_load(&engine->table_count) + 1);
    uint32_t version = 1;
    enum k2_status status = K2_OK;
    if (known != NULL) {
        status = k2_schema_check_evolution(known->schema, *schema, error);
        id = known->id;
        version = known->schema_version + 1;
    }
    if (status == K2_OK) {
        struct new_table added = {id, version, *schema};
        struct k2_journal_entry entry = {
            .kind = K2_JOURNAL_SCHEMA,
            .name = k2_slice_of((*schema)->table),
            .number = (int64_t)((uint64_t)id << 32 | version),
            .value = k2_slice_of((*schema)->source),
        };
        status = k2_journal_write(engine, &entry, 1, put_new_table, &added, error);
    }
    if (status != K2_OK) {
        return status;
    }
    (void)pthread_mutex_lock(&engine->tables_lock);
    status = set_schema(engine, id, version, *schema, error);
    (void)pthread_mutex_unlock(&engine->tables_lock);
    *schema = NULL;
    *table = find_id(engine, id);
    return status;
}

enum k2_status k2_engine_progress(struct k2_engine *engine, struct k2_slice key, bool *found,
                                  struct k2_buffer *value, struct k2_error *error)
{
    struct k2_store_txn *txn;
    struct k2_slice stored;
    enum k2_status status = k2_store_begin(engine->store, false, &txn, error);
    if (status != K2_OK) {
        return status;
    }
    status = k2_store_get(txn, K2_STORE_PROGRESS, key, found, &stored, error);
    if (status == K2_OK && *found) {
        k2_put_bytes(value, stored.data, stored.size_bytes);
        status = k2_buffer_check(value, "progress", error);
    }
    k2_store_abort(txn);
    return status;
}

static enum k2_status count_segments(struct k2_store_txn *txn, const struct k2_table *table,
                                     struct k2_table_counters *counters, struct k2_error *error)
{
    struct k2_store_cursor cursor;
    struct k2_index_key key = k2_index_key_id(table->id, 2);
    uint64_t *ids = NULL;
    size_t count = 0, room = 0;
    enum k2_status status = k2_store_cursor_open(txn, K2_STORE_GROUP, &cursor, error);
    if (status == K2_OK) {
        status = k2_store_seek(&cursor, k2_index_key_slice(&key), error);
    }
    while (status == K2_OK && cursor.found && k2_index_key_get(cursor.key, 0, 2) == table->id) {
        uint64_t id = k2_group_place_of(cursor.key).segment_id;
        struct k2_group_record record = k2_group_record_decode(cursor.value);
        if (!k2_level_is_sorted(record.level)) {
            counters->unsorted_groups++;
            counters->unsorted_bytes += record.length_bytes;
        }
        size_t place = count;
        while (place > 0 && ids[place - 1] > id) {
            place--;
        }
        if (place == 0 || ids[place - 1] != id) {
            if (count == room) {
                uint64_t *grown = k2_realloc(ids, room * 2 + 16, sizeof *ids);
                if (grown == NULL) {
                    status = k2_fail(error, K2_NO_MEMORY, "stats: out of memory");
                    break;
                }
                ids = grown;
                room = room * 2 + 16;
            }
            memmove(ids + place + 1, ids + place, (count - place) * sizeof *ids);
            ids[place] = id;
            count++;
        }
        status = k2_store_next(&cursor, error);
    }
    counters->segments = count;
    k2_free(ids);
    k2_store_cursor_close(&cursor);
    return status;
}

enum k2_status k2_engine_counters(struct k2_engine *engine, const struct k2_table *table,
                                  struct k2_table_counters *counters, struct k2_error *error)
{
    struct k2_store_txn *txn;
    struct k2_slice value;
    bool found;
    memset(counters, 0, sizeof *counters);
    enum k2_status status = k2_store_begin(engine->store, false, &txn, error);
    if (status != K2_OK) {
        return status;
    }
    struct k2_index_key key = k2_index_key_id(table->id, 2);
    status = k2_store_get(txn, K2_STORE_COUNTER, k2_index_key_slice(&key), &found, &value, error);
    if (status == K2_OK && found) {
        struct k2_counter_record record = k2_counter_record_decode(value);
        *counters = (struct k2_table_counters){
            .rows = record.rows - record.hidden,
            .hidden = record.hidden,
            .committed_bytes = record.committed_bytes,
            .rewritten_bytes = record.rewritten_bytes,
            .stored = record.stored,
            .duplicates = record.duplicates,
            .rejected = record.rejected,
            .groups = record.groups,
            .bytes = record.bytes,
            .instruments = record.instruments,
            .first_time_ns = record.first_time_ns,
            .last_time_ns = record.last_time_ns,
        };
        status = count_segments(txn, table, counters, error);
    }
    k2_store_abort(txn);
    return status;
}

enum k2_status k2_engine_index_bytes(struct k2_engine *engine, uint64_t *bytes,
                                     struct k2_error *error)
{
    (void)error;
    *bytes = k2_store_size_bytes(engine->store);
    return K2_OK;
}

static void add_group_bytes(const struct k2_schema *schema, struct k2_row_group_view *view,
                            uint64_t *bytes)
{
    size_t count;
    const struct k2_group_column *columns = k2_row_group_view_columns(view, &count);
    uint64_t rest = k2_row_group_view_length(view);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < schema->column_count; j++) {
            if (schema->columns[j].id == columns[i].id) {
                bytes[j] += columns[i].length_bytes;
            }
        }
        rest -= columns[i].length_bytes < rest ? columns[i].length_bytes : rest;
    }
    bytes[K2_SYMBOL] += rest; // directory, header, padding: what it costs to find rows
}

enum k2_status k2_engine_column_bytes(struct k2_engine *engine, const struct k2_table *table,
                                      uint64_t *bytes, struct k2_error *error)
{
    struct k2_plan plan;
    struct k2_plan_request request = {
        .table = table,
        .time_min_ns = INT64_MIN,
        .time_max_ns = INT64_MAX,
        .snapshot = UINT64_MAX,
    };
    memset(bytes, 0, table->schema->column_count * sizeof *bytes);
    enum k2_status status = k2_plan_open(engine, &request, &plan, error);
    if (status != K2_OK) {
        return status;
    }
    for (size_t i = 0; i < plan.group_count && status == K2_OK; i++) {
        struct k2_row_group_view *view = NULL;
        status = k2_plan_view(&plan, i, &view, error);
        if (status == K2_OK) {
            add_group_bytes(table->schema, view, bytes);
            k2_row_group_view_close(view);
        }
    }
    k2_plan_close(&plan);
    return status;
}
