#include "engine/policy.h"

#include <assert.h>
#include <time.h>

#include "engine/commit_log.h"
#include "engine/engine_state.h"
#include "engine/journal.h"
#include "format/base/timestamp.h"

enum { POLICY_BYTES = 1 + 8 + 8 + 8 + 1 + 8 };

const char *k2_duplicate_rule_name(enum k2_duplicate_rule rule)
{
    static const char *const names[] = {"keep-first", "keep-last", "reject"};
    size_t index = (size_t)rule;
    return index < sizeof names / sizeof names[0] ? names[index] : "unknown";
}

static void put(struct k2_index_value *value, uint64_t number, size_t size_bytes)
{
    for (size_t i = 0; i < size_bytes; i++) {
        value->data[value->size_bytes++] = (uint8_t)(number >> (8 * i));
    }
}

struct k2_index_value k2_policy_encode(const struct k2_policy *policy)
{
    struct k2_index_value value = {.size_bytes = 0};
    put(&value, (uint64_t)policy->duplicates, 1);
    put(&value, (uint64_t)policy->history_ns, 8);
    put(&value, (uint64_t)policy->retention_ns, 8);
    put(&value, policy->history_floor, 8);
    put(&value, policy->has_cut, 1);
    put(&value, (uint64_t)policy->retention_cut_ns, 8);
    assert(value.size_bytes == POLICY_BYTES);
    return value;
}

enum k2_status k2_policy_decode(struct k2_slice value, struct k2_policy *policy,
                                struct k2_error *error)
{
    struct k2_byte_reader reader = {.rest = value};
    uint8_t rule = k2_read_u8(&reader);
    struct k2_policy read = {.duplicates = (enum k2_duplicate_rule)rule};
    read.history_ns = k2_read_i64(&reader);
    read.retention_ns = k2_read_i64(&reader);
    read.history_floor = k2_read_u64(&reader);
    read.has_cut = k2_read_u8(&reader) != 0;
    read.retention_cut_ns = k2_read_i64(&reader);
    if (reader.truncated || rule > K2_REJECT_SECOND || read.history_ns < 0 ||
        read.retention_ns < 0) {
        return k2_fail(error, K2_CORRUPT, "index: a policy of %zu bytes is none; run `k2 repair`",
                       value.size_bytes);
    }
    *policy = read;
    return K2_OK;
}

enum k2_status k2_policy_load(struct k2_store_txn *txn, uint16_t table_id, struct k2_policy *policy,
                              struct k2_error *error)
{
    struct k2_index_key key = k2_index_key_id(table_id, 2);
    struct k2_slice value;
    bool found;
    *policy = (struct k2_policy){.duplicates = K2_KEEP_FIRST};
    enum k2_status status =
        k2_store_get(txn, K2_STORE_POLICY, k2_index_key_slice(&key), &found, &value, error);
    return status == K2_OK && found ? k2_policy_decode(value, policy, error) : status;
}

enum k2_status k2_policy_store(struct k2_store_txn *txn, uint16_t table_id,
                               const struct k2_policy *policy, struct k2_error *error)
{
    struct k2_index_key key = k2_index_key_id(table_id, 2);
    struct k2_index_value value = k2_policy_encode(policy);
    return k2_store_put(txn, K2_STORE_POLICY, k2_index_key_slice(&key),
                        k2_index_value_slice(&value), error);
}

enum k2_status k2_policy_get(struct k2_engine *engine, const struct k2_table *table,
                             struct k2_policy *policy, struct k2_error *error)
{
    struct k2_store_txn *txn;
    enum k2_status status = k2_store_begin(engine->store, false, &txn, error);
    if (status == K2_OK) {
        status = k2_policy_load(txn, table->id, policy, error);
        k2_store_abort(txn);
    }
    return status;
}

struct policy_change {
    uint16_t table_id;
    struct k2_policy policy;
};

static enum k2_status put_policy(void *context, struct k2_store_txn *txn, struct k2_error *error)
{
    const struct policy_change *change = context;
    return k2_policy_store(txn, change->table_id, &change->policy, error);
}

static enum k2_status check_change(struct k2_engine *engine, const struct k2_table *table,
                                   const struct k2_policy *old, const struct k2_policy *new,
                                   struct k2_error *error)
{
    const char *name = table->schema->table;
    struct k2_table_counters counters;
    if (name[0] == '_') {
        return k2_fail(error, K2_BAD_REQUEST, "policy: %s is K2's own table", name);
    }
    if (new->history_ns < 0 || new->retention_ns < 0) {
        return k2_fail(error, K2_BAD_REQUEST, "policy: table %s: a time below zero", name);
    }
    if (old->duplicates != K2_KEEP_LAST || new->duplicates == K2_KEEP_LAST) {
        return K2_OK;
    }
    enum k2_status status = k2_engine_counters(engine, table, &counters, error);
    if (status == K2_OK && counters.hidden > 0) {
        return k2_fail(error, K2_BAD_REQUEST,
                       "policy: table %s: it holds %llu rows that were replaced or deleted, which "
                       "%s has none of; shorten its history and run `k2 retain` first",
                       name, (unsigned long long)counters.hidden,
                       k2_duplicate_rule_name(new->duplicates));
    }
    return status;
}

static enum k2_status set(struct k2_engine *engine, const struct k2_table *table,
                          const struct k2_policy *policy, struct k2_error *error)
{
    struct policy_change change = {.table_id = table->id};
    enum k2_status status = k2_policy_get(engine, table, &change.policy, error);
    if (status == K2_OK) {
        status = check_change(engine, table, &change.policy, policy, error);
    }
    if (status != K2_OK) {
        return status;
    }
    change.policy.duplicates = policy->duplicates;
    change.policy.history_ns = policy->history_ns;
    change.policy.retention_ns = policy->retention_ns;
    struct k2_index_value value = k2_policy_encode(&change.policy);
    struct k2_journal_entry entry = {
        .kind = K2_JOURNAL_POLICY,
        .name = k2_slice_of(table->schema->table),
        .value = k2_index_value_slice(&value),
    };
    return k2_journal_write(engine, &entry, 1, put_policy, &change, error);
}

enum k2_status k2_policy_set(struct k2_engine *engine, const struct k2_table *table,
                             const struct k2_policy *policy, struct k2_error *error)
{
    assert(engine->mode != K2_ENGINE_READ);
    k2_engine_hold_commits(engine); // no retain is under way, no commit goes by the old rule
    enum k2_status status = set(engine, table, policy, error);
    k2_engine_let_commits(engine);
    return status;
}

enum k2_status k2_policy_horizon(struct k2_store_txn *txn, int64_t history_ns, int64_t now_ns,
                                 uint64_t *snapshot, struct k2_error *error)
{
    struct k2_snapshot then;
    int64_t horizon_ns;
    bool found = false;
    *snapshot = 0;
    if (history_ns == 0 || __builtin_sub_overflow(now_ns, history_ns, &horizon_ns)) {
        return K2_OK;
    }
    enum k2_status status = k2_commit_log_at(txn, horizon_ns, &found, &then, error);
    if (status == K2_OK && found) {
        *snapshot = then.id;
    }
    return status;
}

static enum k2_status has_tag(struct k2_store_txn *txn, uint64_t snapshot, bool *found,
                              struct k2_error *error)
{
    struct k2_store_cursor cursor;
    *found = false;
    enum k2_status status = k2_store_cursor_begin(txn, K2_STORE_TAG, &cursor, error);
    while (status == K2_OK && cursor.found && !*found) {
        *found = k2_index_number(cursor.value) == snapshot;
        status = k2_store_next(&cursor, error);
    }
    k2_store_cursor_close(&cursor);
    return status;
}

static enum k2_status fail_expired(struct k2_store_txn *txn, const struct k2_table *table,
                                   uint64_t snapshot, uint64_t oldest, struct k2_error *error)
{
    char time[K2_TIMESTAMP_TEXT_BYTES];
    struct k2_snapshot then = {0};
    bool found;
    enum k2_status status = k2_commit_log_get(txn, oldest, &found, &then, error);
    if (status != K2_OK) {
        return status;
    }
    k2_timestamp_print(time, then.time_ns);
    return k2_fail(error, K2_EXPIRED,
                   "snapshot %llu has expired: the history of table %s goes back to snapshot %llu "
                   "of %.*s; tags keep older ones",
                   (unsigned long long)snapshot, table->schema->table, (unsigned long long)oldest,
                   (int)sizeof time, time);
}

enum k2_status k2_policy_check_snapshot(struct k2_store_txn *txn, const struct k2_table *table,
                                        uint64_t snapshot, int64_t now_ns, struct k2_error *error)
{
    struct k2_policy policy;
    enum k2_status status = k2_policy_load(txn, table->id, &policy, error);
    uint64_t oldest = policy.history_floor, horizon = 0;
    if (status == K2_OK && now_ns != INT64_MIN && snapshot >= oldest) {
        status = k2_policy_horizon(txn, policy.history_ns, now_ns, &horizon, error);
    }
    oldest = horizon > oldest ? horizon : oldest;
    if (status != K2_OK || snapshot >= oldest) {
        return status;
    }
    bool tagged;
    status = has_tag(txn, snapshot, &tagged, error);
    return status == K2_OK && !tagged ? fail_expired(txn, table, snapshot, oldest, error) : status;
}

enum k2_status k2_policy_check(struct k2_store_txn *txn, const struct k2_table *table,
                               uint64_t snapshot, struct k2_error *error)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    int64_t now_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    return k2_policy_check_snapshot(txn, table, snapshot, now_ns, error);
}
