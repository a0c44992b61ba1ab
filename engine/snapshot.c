#include "engine/snapshot.h"

#include <string.h>

#include "engine/commit_log.h"
#include "engine/engine_state.h"
#include "engine/index_records.h"
#include "engine/journal.h"
#include "engine/policy.h"
#include "format/base/alloc.h"
#include "format/base/timestamp.h"

const char *k2_operation_name(enum k2_operation operation)
{
    static const char *const names[] = {"append", "compact", "retain", "restore"};
    size_t index = (size_t)operation;
    return index < sizeof names / sizeof names[0] ? names[index] : "unknown";
}

enum k2_status k2_snapshot_newest(struct k2_engine *engine, struct k2_snapshot *snapshot,
                                  struct k2_error *error)
{
    struct k2_store_txn *txn;
    enum k2_status status = k2_store_begin(engine->store, false, &txn, error);
    if (status == K2_OK) {
        status = k2_commit_log_newest(txn, snapshot, error);
        k2_store_abort(txn);
    }
    return status;
}

enum k2_status k2_snapshot_get(struct k2_engine *engine, uint64_t id, bool *found,
                               struct k2_snapshot *snapshot, struct k2_error *error)
{
    struct k2_store_txn *txn;
    enum k2_status status = k2_store_begin(engine->store, false, &txn, error);
    if (status == K2_OK) {
        status = k2_commit_log_get(txn, id, found, snapshot, error);
        k2_store_abort(txn);
    }
    return status;
}

// True if `text` is all digits; then `*id` is their value, 0 if it is too great for an id.
static bool parse_id(struct k2_slice text, uint64_t *id)
{
    *id = 0;
    for (size_t i = 0; i < text.size_bytes; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        if (text.size_bytes <= 16) {
            *id = *id * 10 + (uint64_t)(text.data[i] - '0');
        }
    }
    return text.size_bytes > 0;
}

static bool is_tag(struct k2_slice text)
{
    for (size_t i = 0; i < text.size_bytes; i++) {
        uint8_t c = text.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool later = (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
        if (!letter && (i == 0 || !later)) {
            return false;
        }
    }
    return text.size_bytes > 0 && text.size_bytes <= K2_TAG_BYTES;
}

static enum k2_status resolve_tag(struct k2_store_txn *txn, struct k2_slice name, bool *found,
                                  struct k2_snapshot *snapshot, struct k2_error *error)
{
    struct k2_slice value;
    enum k2_status status = k2_store_get(txn, K2_STORE_TAG, name, found, &value, error);
    if (status == K2_OK && *found) {
        status = k2_commit_log_get(txn, k2_index_number(value), found, snapshot, error);
    }
    return status;
}

static enum k2_status resolve(struct k2_store_txn *txn, struct k2_slice text, bool *found,
                              struct k2_snapshot *snapshot, struct k2_error *error)
{
    uint64_t id;
    int64_t time_ns;
    *found = false;
    if (parse_id(text, &id)) {
        return k2_commit_log_get(txn, id, found, snapshot, error);
    }
    if (is_tag(text)) {
        return resolve_tag(txn, text, found, snapshot, error);
    }
    if (k2_timestamp_parse(text, &time_ns) == K2_TIMESTAMP_OK) {
        return k2_commit_log_at(txn, time_ns, found, snapshot, error);
    }
    return K2_OK;
}

enum k2_status k2_snapshot_resolve(struct k2_engine *engine, struct k2_slice text,
                                   struct k2_snapshot *snapshot, struct k2_error *error)
{
    struct k2_store_txn *txn;
    bool found = false;
    enum k2_status status = k2_store_begin(engine->store, false, &txn, error);
    if (status == K2_OK) {
        status = resolve(txn, text, &found, snapshot, error);
        k2_store_abort(txn);
    }
    if (status == K2_OK && !found) {
        status = k2_fail(
            error, K2_NOT_FOUND, "no snapshot, tag or commit before `%.*s`; see `k2 snapshots`",
            (int)(text.size_bytes < 100 ? text.size_bytes : 100), (const char *)text.data);
    }
    return status;
}

enum k2_status k2_snapshot_list(struct k2_engine *engine, uint64_t before,
                                struct k2_snapshot *snapshots, size_t *count,
                                struct k2_error *error)
{
    struct k2_store_txn *txn;
    size_t room = *count;
    *count = 0;
    enum k2_status status = k2_store_begin(engine->store, false, &txn, error);
    if (status != K2_OK) {
        return status;
    }
    struct k2_snapshot snapshot;
    bool found = true;
    if (before == 0) {
        status = k2_commit_log_newest(txn, &snapshot, error);
    } else {
        status = k2_commit_log_get(txn, before - 1, &found, &snapshot, error);
    }
    while (status == K2_OK && found && snapshot.id > 0 && *count < room) {
        snapshots[(*count)++] = snapshot;
        status = k2_commit_log_get(txn, snapshot.id - 1, &found, &snapshot, error);
    }
    k2_store_abort(txn);
    return status;
}

enum k2_status k2_tag_list(struct k2_engine *engine, struct k2_tag **tags, size_t *count,
                           struct k2_error *error)
{
    struct k2_store_txn *txn;
    struct k2_store_cursor cursor = {0};
    struct k2_tag *list = NULL;
    size_t room = 0;
    *count = 0;
    enum k2_status status = k2_store_begin(engine->store, false, &txn, error);
    if (status != K2_OK) {
        return status;
    }
    status = k2_store_cursor_begin(txn, K2_STORE_TAG, &cursor, error);
    while (status == K2_OK && cursor.found) {
        if (*count == room) {
            struct k2_tag *grown = k2_realloc(list, room * 2 + 16, sizeof *list);
            if (grown == NULL) {
                status = k2_fail(error, K2_NO_MEMORY, "tags: out of memory");
                break;
            }
            list = grown;
            room = room * 2 + 16;
        }
        struct k2_tag *tag = &list[(*count)++];
        size_t size = cursor.key.size_bytes < K2_TAG_BYTES ? cursor.key.size_bytes : K2_TAG_BYTES;
        memcpy(tag->name, cursor.key.data, size);
        tag->name[size] = '\0';
        tag->snapshot = k2_index_number(cursor.value);
        status = k2_store_next(&cursor, error);
    }
    k2_store_cursor_close(&cursor);
    k2_store_abort(txn);
    if (status != K2_OK) {
        k2_free(list);
        *count = 0;
        return status;
    }
    *tags = list;
    return K2_OK;
}

static enum k2_status check_new_tag(struct k2_engine *engine, struct k2_store_txn *txn,
                                    struct k2_slice name, uint64_t snapshot, struct k2_error *error)
{
    struct k2_slice value;
    struct k2_snapshot unused;
    bool taken, found = false;
    if (!is_tag(name)) {
        return k2_fail(error, K2_BAD_REQUEST,
                       "tag: a letter, then letters, digits, `_`, `.` or `-`, at most %d",
                       K2_TAG_BYTES);
    }
    enum k2_status status = k2_store_get(txn, K2_STORE_TAG, name, &taken, &value, error);
    if (status == K2_OK && taken) {
        return k2_fail(error, K2_LIMIT, "tag %.*s: names snapshot %llu already; delete it first",
                       (int)name.size_bytes, (const char *)name.data,
                       (unsigned long long)k2_index_number(value));
    }
    if (status == K2_OK) {
        status = k2_commit_log_get(txn, snapshot, &found, &unused, error);
    }
    // What is gone can not be kept any more.
    for (size_t i = 0; status == K2_OK && found && k2_engine_table_at(engine, i) != NULL; i++) {
        status = k2_policy_check_snapshot(txn, k2_engine_table_at(engine, i), snapshot, INT64_MIN,
                                          error);
    }
    if (status == K2_OK && !found) {
        status = k2_fail(error, K2_NOT_FOUND, "tag: no snapshot %llu; see `k2 snapshots`",
                         (unsigned long long)snapshot);
    }
    return status;
}

static enum k2_status put_tag(void *context, struct k2_store_txn *txn, struct k2_error *error)
{
    const struct k2_journal_entry *entry = context;
    struct k2_index_value value = k2_index_value_number((uint64_t)entry->number);
    return k2_store_put(txn, K2_STORE_TAG, entry->name, k2_index_value_slice(&value), error);
}

static enum k2_status delete_tag(void *context, struct k2_store_txn *txn, struct k2_error *error)
{
    const struct k2_journal_entry *entry = context;
    return k2_store_delete(txn, K2_STORE_TAG, entry->name, error);
}

static enum k2_status set_tag(struct k2_engine *engine, struct k2_slice name, uint64_t snapshot,
                              struct k2_error *error)
{
    struct k2_store_txn *txn;
    enum k2_status status = k2_store_begin(engine->store, false, &txn, error);
    if (status != K2_OK) {
        return status;
    }
    status = check_new_tag(engine, txn, name, snapshot, error);
    k2_store_abort(txn);
    struct k2_journal_entry entry = {K2_JOURNAL_TAG, name, (int64_t)snapshot, {0}};
    return status == K2_OK ? k2_journal_write(engine, &entry, 1, put_tag, &entry, error) : status;
}

enum k2_status k2_tag_set(struct k2_engine *engine, struct k2_slice name, uint64_t snapshot,
                          struct k2_error *error)
{
    k2_engine_hold_commits(engine); // no retain drops the snapshot between the look and the tag
    enum k2_status status = set_tag(engine, name, snapshot, error);
    k2_engine_let_commits(engine);
    return status;
}

enum k2_status k2_tag_delete(struct k2_engine *engine, struct k2_slice name, struct k2_error *error)
{
    struct k2_store_txn *txn;
    struct k2_slice value;
    bool found = false;
    enum k2_status status = k2_store_begin(engine->store, false, &txn, error);
    if (status != K2_OK) {
        return status;
    }
    if (is_tag(name)) {
        status = k2_store_get(txn, K2_STORE_TAG, name, &found, &value, error);
    }
    if (status == K2_OK && !found) {
        status =
            k2_fail(error, K2_NOT_FOUND, "tag %.*s: there is none",
                    (int)(name.size_bytes < 80 ? name.size_bytes : 80), (const char *)name.data);
    }
    k2_store_abort(txn);
    struct k2_journal_entry entry = {K2_JOURNAL_TAG, name, 0, {0}};
    return status == K2_OK ? k2_journal_write(engine, &entry, 1, delete_tag, &entry, error)
                           : status;
}
