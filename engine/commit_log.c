#include "engine/commit_log.h"

#include <string.h>

#include "engine/index_records.h"
#include "format/base/buffer.h"

// A value: varint count of entries, i64 time (us) and the tables before the first entry (varint
// count, then varint id, varint rows each); then per entry varint time delta (us), varint
// operation | hides << 2 | table count << 3, and per table varint id, varint rows added and, if it
// hides, zigzag rows hidden. Rows of a table are those added less those hidden.
enum { NS_PER_US = 1000, HIDES = 4 };

static uint64_t chunk_of(uint64_t id)
{
    return (id - 1) / K2_COMMIT_LOG_CHUNK;
}

// Counts `rows` to a table of the state, as part of what its last commit added.
static void add_rows(struct k2_snapshot *state, uint16_t table_id, uint64_t rows, int64_t hidden)
{
    size_t place = 0;
    while (place < state->table_count && state->tables[place].table_id != table_id) {
        place++;
    }
    if (place == K2_MAX_SNAPSHOT_TABLES) {
        return; // the engine has no more tables than that
    }
    if (place == state->table_count) {
        state->table_count++;
        state->tables[place].table_id = table_id;
        state->tables[place].rows = 0;
        state->tables[place].added = 0;
    }
    state->tables[place].rows += rows - (uint64_t)hidden;
    state->tables[place].added += rows;
}

static void read_tables(struct k2_byte_reader *reader, uint64_t table_count, bool hides,
                        struct k2_snapshot *state)
{
    for (uint64_t i = 0; i < table_count && !reader->truncated; i++) {
        uint16_t table_id = (uint16_t)k2_read_varint(reader);
        uint64_t rows = k2_read_varint(reader);
        add_rows(state, table_id, rows, hides ? k2_unzigzag(k2_read_varint(reader)) : 0);
    }
}

// The state before the chunk's first entry, and how many entries follow.
static uint64_t read_head(struct k2_byte_reader *reader, struct k2_snapshot *state)
{
    memset(state, 0, sizeof *state);
    uint64_t entry_count = k2_read_varint(reader);
    state->time_ns = k2_read_i64(reader);
    read_tables(reader, k2_read_varint(reader), false, state);
    return entry_count;
}

// The entry that makes the next state out of this one; false when it is later than `time_ns`.
static bool read_entry(struct k2_byte_reader *reader, int64_t time_ns, struct k2_snapshot *state)
{
    int64_t next_ns = state->time_ns + (int64_t)k2_read_varint(reader) * NS_PER_US;
    if (next_ns > time_ns) {
        return false;
    }
    uint64_t kind = k2_read_varint(reader);
    state->parent = state->id++;
    state->time_ns = next_ns;
    state->operation = (enum k2_operation)(kind & (HIDES - 1));
    for (size_t i = 0; i < state->table_count; i++) {
        state->tables[i].added = 0;
    }
    read_tables(reader, kind >> 3, (kind & HIDES) != 0, state);
    return true;
}

// Reads the chunk up to entry `last` (an id), or its end, or the last entry not after `time_ns`.
static enum k2_status read_chunk(struct k2_slice value, uint64_t chunk, uint64_t last,
                                 int64_t time_ns, struct k2_snapshot *snapshot,
                                 struct k2_error *error)
{
    struct k2_byte_reader reader = {.rest = value};
    uint64_t entry_count = read_head(&reader, snapshot);
    snapshot->id = chunk * K2_COMMIT_LOG_CHUNK;
    for (uint64_t i = 0; i < entry_count && snapshot->id < last; i++) {
        if (!read_entry(&reader, time_ns, snapshot)) {
            break;
        }
    }
    if (reader.truncated) {
        return k2_fail(error, K2_CORRUPT, "index: commit log: chunk %llu is cut",
                       (unsigned long long)chunk);
    }
    return K2_OK;
}

// The cursor at the last chunk, to be closed after any outcome.
static enum k2_status find_last(struct k2_store_txn *txn, struct k2_store_cursor *cursor,
                                struct k2_error *error)
{
    enum k2_status status = k2_store_cursor_open(txn, K2_STORE_COMMIT, cursor, error);
    return status == K2_OK ? k2_store_last(cursor, error) : status;
}

enum k2_status k2_commit_log_newest(struct k2_store_txn *txn, struct k2_snapshot *snapshot,
                                    struct k2_error *error)
{
    struct k2_store_cursor cursor;
    memset(snapshot, 0, sizeof *snapshot);
    enum k2_status status = find_last(txn, &cursor, error);
    if (status == K2_OK && cursor.found) {
        uint64_t chunk = k2_index_key_get(cursor.key, 0, 8);
        status = read_chunk(cursor.value, chunk, UINT64_MAX, INT64_MAX, snapshot, error);
    }
    k2_store_cursor_close(&cursor);
    return status;
}

enum k2_status k2_commit_log_newest_id(struct k2_store_txn *txn, uint64_t *id,
                                       struct k2_error *error)
{
    struct k2_store_cursor cursor;
    *id = 0;
    enum k2_status status = find_last(txn, &cursor, error);
    if (status == K2_OK && cursor.found) {
        struct k2_byte_reader reader = {.rest = cursor.value};
        *id = k2_index_key_get(cursor.key, 0, 8) * K2_COMMIT_LOG_CHUNK + k2_read_varint(&reader);
    }
    k2_store_cursor_close(&cursor);
    return status;
}

enum k2_status k2_commit_log_get(struct k2_store_txn *txn, uint64_t id, bool *found,
                                 struct k2_snapshot *snapshot, struct k2_error *error)
{
    *found = false;
    if (id == 0) {
        return K2_OK;
    }
    struct k2_index_key key = k2_index_key_id(chunk_of(id), 8);
    struct k2_slice value;
    enum k2_status status =
        k2_store_get(txn, K2_STORE_COMMIT, k2_index_key_slice(&key), found, &value, error);
    if (status == K2_OK && *found) {
        status = read_chunk(value, chunk_of(id), id, INT64_MAX, snapshot, error);
        *found = snapshot->id == id;
    }
    return status;
}

enum k2_status k2_commit_log_at(struct k2_store_txn *txn, int64_t time_ns, bool *found,
                                struct k2_snapshot *snapshot, struct k2_error *error)
{
    enum k2_status status = k2_commit_log_newest(txn, snapshot, error);
    *found = false;
    if (status != K2_OK || snapshot->id == 0) {
        return status;
    }
    uint64_t low = 0, high = chunk_of(snapshot->id); // the answer's chunk is in [low, high]
    while (status == K2_OK && low < high) {
        uint64_t middle = high - (high - low) / 2;
        status = k2_commit_log_get(txn, middle * K2_COMMIT_LOG_CHUNK + 1, found, snapshot, error);
        if (snapshot->time_ns <= time_ns) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    struct k2_index_key key = k2_index_key_id(low, 8);
    struct k2_slice value = {0};
    if (status == K2_OK) {
        status = k2_store_get(txn, K2_STORE_COMMIT, k2_index_key_slice(&key), found, &value, error);
    }
    if (status == K2_OK && *found) {
        status = read_chunk(value, low, UINT64_MAX, time_ns, snapshot, error);
        *found = snapshot->id > low * K2_COMMIT_LOG_CHUNK;
    }
    return status;
}

static void put_entry(struct k2_buffer *buffer, const struct k2_snapshot *snapshot,
                      int64_t time_before_ns)
{
    uint64_t table_count = 0, hides = 0;
    for (size_t i = 0; i < snapshot->table_count; i++) {
        hides |= snapshot->tables[i].hidden != 0 ? HIDES : 0;
        table_count += snapshot->tables[i].added > 0 || snapshot->tables[i].hidden != 0;
    }
    k2_put_varint(buffer, (uint64_t)((snapshot->time_ns - time_before_ns) / NS_PER_US));
    k2_put_varint(buffer, (uint64_t)snapshot->operation | hides | table_count << 3);
    for (size_t i = 0; i < snapshot->table_count; i++) {
        if (snapshot->tables[i].added > 0 || snapshot->tables[i].hidden != 0) {
            k2_put_varint(buffer, snapshot->tables[i].table_id);
            k2_put_varint(buffer, snapshot->tables[i].added);
            if (hides) {
                k2_put_varint(buffer, k2_zigzag(snapshot->tables[i].hidden));
            }
        }
    }
}

// The chunk's bytes without their count of entries, and that count.
static enum k2_status read_body(struct k2_store_txn *txn, uint64_t chunk, uint64_t *entry_count,
                                struct k2_buffer *body, struct k2_error *error)
{
    struct k2_index_key key = k2_index_key_id(chunk, 8);
    struct k2_slice value;
    bool found;
    enum k2_status status =
        k2_store_get(txn, K2_STORE_COMMIT, k2_index_key_slice(&key), &found, &value, error);
    if (status == K2_OK && found) {
        struct k2_byte_reader reader = {.rest = value};
        *entry_count = k2_read_varint(&reader);
        k2_put_bytes(body, reader.rest.data, reader.rest.size_bytes);
    }
    return status;
}

enum k2_status k2_commit_log_append(struct k2_store_txn *txn, const struct k2_snapshot *snapshot,
                                    struct k2_error *error)
{
    struct k2_snapshot newest;
    enum k2_status status = k2_commit_log_newest(txn, &newest, error);
    if (status != K2_OK) {
        return status;
    }
    uint64_t chunk = chunk_of(snapshot->id), entry_count = 0;
    struct k2_buffer body, value;
    k2_buffer_init(&body, 1 << 20);
    k2_buffer_init(&value, 1 << 20);
    int64_t time_before_ns = newest.id == 0 ? 0 : newest.time_ns;
    status = read_body(txn, chunk, &entry_count, &body, error);
    if (status == K2_OK && entry_count == 0) {
        k2_put_i64(&body, time_before_ns);
        k2_put_varint(&body, newest.table_count);
        for (size_t i = 0; i < newest.table_count; i++) {
            k2_put_varint(&body, newest.tables[i].table_id);
            k2_put_varint(&body, newest.tables[i].rows);
        }
    }
    put_entry(&body, snapshot, time_before_ns);
    k2_put_varint(&value, entry_count + 1);
    k2_put_bytes(&value, body.data, body.size_bytes);
    if (status == K2_OK) {
        status = k2_buffer_check(&body, "commit log", error);
    }
    if (status == K2_OK) {
        status = k2_buffer_check(&value, "commit log", error);
    }
    if (status == K2_OK) {
        struct k2_index_key key = k2_index_key_id(chunk, 8);
        status = k2_store_put(txn, K2_STORE_COMMIT, k2_index_key_slice(&key),
                              k2_buffer_slice(&value), error);
    }
    k2_buffer_deinit(&body);
    k2_buffer_deinit(&value);
    return status;
}

// ---- counting anew

// Takes the chunks from that of `first` on out of the index: their bytes one after the other, each
// behind its size.
static enum k2_status take_chunks(struct k2_store_txn *txn, uint64_t first, struct k2_buffer *out,
                                  struct k2_error *error)
{
    enum k2_status status = K2_OK;
    bool found = true;
    for (uint64_t chunk = chunk_of(first); status == K2_OK && found; chunk++) {
        struct k2_index_key key = k2_index_key_id(chunk, 8);
        struct k2_slice value;
        status =
            k2_store_get(txn, K2_STORE_COMMIT, k2_index_key_slice(&key), &found, &value, error);
        if (status == K2_OK && found) {
            k2_put_u32(out, (uint32_t)value.size_bytes);
            k2_put_bytes(out, value.data, value.size_bytes);
            status = k2_store_delete(txn, K2_STORE_COMMIT, k2_index_key_slice(&key), error);
        }
    }
    return status == K2_OK ? k2_buffer_check(out, "commit log", error) : status;
}

static uint64_t rows_of(const struct k2_snapshot *snapshot, uint16_t table_id)
{
    for (size_t i = 0; i < snapshot->table_count; i++) {
        if (snapshot->tables[i].table_id == table_id) {
            return snapshot->tables[i].rows;
        }
    }
    return 0;
}

// Appends a snapshot as it was, but for the rows that it shows of `tables`.
static enum k2_status append_recounted(struct k2_store_txn *txn, struct k2_snapshot *snapshot,
                                       uint64_t first, const struct k2_commit_log_rows *tables,
                                       size_t table_count, struct k2_error *error)
{
    struct k2_snapshot before;
    enum k2_status status = k2_commit_log_newest(txn, &before, error);
    for (size_t i = 0; status == K2_OK && i < snapshot->table_count; i++) {
        uint16_t table_id = snapshot->tables[i].table_id;
        uint64_t rows = snapshot->tables[i].rows;
        for (size_t j = 0; j < table_count && snapshot->id >= first; j++) {
            rows = tables[j].table_id == table_id ? (uint64_t)tables[j].rows[snapshot->id - first]
                                                  : rows;
        }
        snapshot->tables[i].hidden =
            (int64_t)(rows_of(&before, table_id) + snapshot->tables[i].added - rows);
    }
    return status == K2_OK ? k2_commit_log_append(txn, snapshot, error) : status;
}

enum k2_status k2_commit_log_recount(struct k2_store_txn *txn, uint64_t first,
                                     const struct k2_commit_log_rows *tables, size_t table_count,
                                     struct k2_error *error)
{
    struct k2_buffer chunks;
    k2_buffer_init(&chunks, (size_t)1 << 30);
    enum k2_status status = take_chunks(txn, first, &chunks, error);
    struct k2_byte_reader reader = {.rest = k2_buffer_slice(&chunks)};
    for (uint64_t chunk = chunk_of(first); status == K2_OK && reader.rest.size_bytes > 0; chunk++) {
        uint32_t size_bytes = k2_read_u32(&reader);
        struct k2_slice value = k2_read_bytes(&reader, size_bytes);
        uint64_t id = chunk * K2_COMMIT_LOG_CHUNK;
        struct k2_snapshot snapshot = {.id = id + 1};
        for (id++; status == K2_OK && snapshot.id == id; id++) {
            status = read_chunk(value, chunk, id, INT64_MAX, &snapshot, error);
            if (status != K2_OK || snapshot.id != id) {
                break;
            }
            status = append_recounted(txn, &snapshot, first, tables, table_count, error);
            snapshot.id = id + 1;
        }
    }
    k2_buffer_deinit(&chunks);
    return status;
}
