#include "engine/publish.h"

#include <string.h>

#include "engine/engine_state.h"
#include "engine/instruments.h"

static struct k2_instrument_name name_of(void *context, uint32_t instrument)
{
    return k2_instrument_name_of(context, instrument);
}

static void describe_versions(const struct k2_row_batch *batch, const uint32_t *order,
                              size_t row_count, struct k2_group_record *record)
{
    bool all_replaced = batch->untils != NULL;
    uint64_t last = 0;
    for (size_t i = 0; batch->ops != NULL && i < row_count; i++) {
        record->versions |= batch->ops[order[i]] != K2_OP_PUT;
    }
    for (size_t i = 0; all_replaced && i < row_count; i++) {
        uint64_t until = batch->untils[order[i]];
        all_replaced = until != 0;
        last = until > last ? until : last;
    }
    record->until_max = all_replaced ? last : 0;
}

static void describe(const struct k2_row_batch *batch, const uint32_t *order, size_t row_count,
                     const struct k2_row_group_info *info, struct k2_new_group *group)
{
    struct k2_group_record *record = &group->record;
    *record = (struct k2_group_record){
        .row_count = (uint32_t)row_count,
        .time_max_ns = INT64_MIN,
        .instrument_min = batch->keys[order[0]].instrument,
        .instrument_max = batch->keys[order[row_count - 1]].instrument,
        .commit_min = batch->commits == NULL ? info->commit : UINT64_MAX,
        .commit_max = batch->commits == NULL ? info->commit : 0,
        .level = info->level,
    };
    group->place.time_min_ns = INT64_MAX;
    bool all = row_count == batch->row_count; // then their order does not matter
    for (size_t i = 0; i < row_count; i++) {
        int64_t time_ns = batch->keys[all ? i : order[i]].time_ns;
        if (time_ns < group->place.time_min_ns) {
            group->place.time_min_ns = time_ns;
        }
        if (time_ns > record->time_max_ns) {
            record->time_max_ns = time_ns;
        }
    }
    for (size_t i = 0; batch->commits != NULL && i < row_count; i++) {
        uint64_t commit = batch->commits[order[i]];
        record->commit_min = commit < record->commit_min ? commit : record->commit_min;
        record->commit_max = commit > record->commit_max ? commit : record->commit_max;
    }
    describe_versions(batch, order, row_count, record);
}

enum k2_status k2_publish_write(struct k2_engine *engine, struct k2_tail *tail,
                                const struct k2_publish_rows *rows, struct k2_row_group_info *info,
                                struct k2_row_group_memory *memory, struct k2_new_group *group,
                                struct k2_error *error)
{
    enum k2_status status = k2_tail_open(engine, tail, error);
    if (status != K2_OK) {
        return status;
    }
    const struct k2_table *table = rows->table;
    memcpy(info->store_id, engine->store_id, sizeof info->store_id);
    info->segment_id = tail->segment_id;
    info->offset = tail->written_bytes;
    info->table_id = table->id;
    info->schema_version = table->schema_version;
    info->table_name = k2_slice_of(table->schema->table);
    info->run = engine->run;
    info->run_base = engine->run_base;
    status = k2_row_group_write(memory, rows->batch, rows->order, rows->row_count, info,
                                rows->name_of == NULL ? name_of : rows->name_of,
                                rows->name_of == NULL ? engine : rows->name_context, error);
    if (status == K2_OK) {
        status = k2_tail_write(engine, tail, k2_buffer_slice(&memory->bytes), error);
    }
    if (status == K2_OK) {
        *group = (struct k2_new_group){
            .table = table,
            .place = {.table = table->id, .segment_id = info->segment_id, .offset = info->offset},
        };
        describe(rows->batch, rows->order, rows->row_count, info, group);
        group->record.length_bytes = (uint32_t)memory->bytes.size_bytes;
        k2_row_group_memory_trim(memory);
    }
    return status;
}

static enum k2_status load_counters(struct k2_store_txn *txn, uint16_t table_id,
                                    struct k2_counter_record *record, struct k2_error *error)
{
    struct k2_index_key key = k2_index_key_id(table_id, 2);
    struct k2_slice value;
    bool found;
    enum k2_status status =
        k2_store_get(txn, K2_STORE_COUNTER, k2_index_key_slice(&key), &found, &value, error);
    if (status == K2_OK) {
        *record = k2_counter_record_decode(found ? value : (struct k2_slice){0});
    }
    return status;
}

static enum k2_status store_counters(struct k2_store_txn *txn, uint16_t table_id,
                                     const struct k2_counter_record *record, struct k2_error *error)
{
    struct k2_index_key key = k2_index_key_id(table_id, 2);
    struct k2_index_value value = k2_counter_record_encode(record);
    return k2_store_put(txn, K2_STORE_COUNTER, k2_index_key_slice(&key),
                        k2_index_value_slice(&value), error);
}

enum k2_status k2_publish_add(struct k2_store_txn *txn, const struct k2_new_group *group,
                              struct k2_error *error)
{
    struct k2_counter_record counters;
    struct k2_index_key key = k2_group_key(&group->place);
    struct k2_index_value value = k2_group_record_encode(&group->record);
    enum k2_status status = k2_store_put(txn, K2_STORE_GROUP, k2_index_key_slice(&key),
                                         k2_index_value_slice(&value), error);
    if (status == K2_OK) {
        status = load_counters(txn, group->place.table, &counters, error);
    }
    if (status != K2_OK) {
        return status;
    }
    int64_t first_ns = group->place.time_min_ns, last_ns = group->record.time_max_ns, span_ns;
    if (__builtin_sub_overflow(last_ns, first_ns, &span_ns)) {
        span_ns = INT64_MAX;
    }
    bool empty = counters.rows == 0;
    counters.first_time_ns =
        empty || first_ns < counters.first_time_ns ? first_ns : counters.first_time_ns;
    counters.last_time_ns =
        empty || last_ns > counters.last_time_ns ? last_ns : counters.last_time_ns;
    counters.longest_group_ns =
        span_ns > counters.longest_group_ns ? span_ns : counters.longest_group_ns;
    counters.rows += group->record.row_count;
    counters.groups++;
    counters.bytes += group->record.length_bytes;
    bool commit = group->record.level == K2_LEVEL_COMMIT;
    *(commit ? &counters.committed_bytes : &counters.rewritten_bytes) += group->record.length_bytes;
    return store_counters(txn, group->place.table, &counters, error);
}

enum k2_status k2_publish_remove(struct k2_store_txn *txn, const struct k2_new_group *group,
                                 struct k2_error *error)
{
    struct k2_counter_record counters;
    struct k2_index_key key = k2_group_key(&group->place);
    enum k2_status status = k2_store_delete(txn, K2_STORE_GROUP, k2_index_key_slice(&key), error);
    if (status == K2_OK) {
        status = load_counters(txn, group->place.table, &counters, error);
    }
    if (status != K2_OK) {
        return status;
    }
    counters.rows -= group->record.row_count;
    counters.groups--;
    counters.bytes -= group->record.length_bytes;
    if (counters.groups == 0) { // nothing is left that could be so wide
        counters.longest_group_ns = 0;
    }
    return store_counters(txn, group->place.table, &counters, error);
}

enum k2_status k2_publish_tail(struct k2_engine *engine, const struct k2_tail *tail,
                               uint32_t new_groups, struct k2_store_txn *txn,
                               struct k2_error *error)
{
    struct k2_segment_record record = {
        .length_bytes = tail->written_bytes,
        .group_count = tail->group_count + new_groups,
        .state = K2_SEGMENT_LIVE,
        .run = engine->run,
        .rewritten = tail->rewritten,
        .live_bytes = tail->live_bytes + k2_tail_new_bytes(tail),
    };
    struct k2_index_key key = k2_index_key_id(tail->segment_id, 8);
    struct k2_index_value value = k2_segment_record_encode(&record);
    return k2_store_put(txn, K2_STORE_SEGMENT, k2_index_key_slice(&key),
                        k2_index_value_slice(&value), error);
}

enum k2_status k2_publish_count(struct k2_store_txn *txn, const struct k2_table *table,
                                uint64_t stored, uint64_t duplicates, uint64_t rejected,
                                uint64_t instruments, struct k2_error *error)
{
    struct k2_counter_record counters;
    enum k2_status status = load_counters(txn, table->id, &counters, error);
    if (status == K2_OK) {
        counters.stored += stored;
        counters.duplicates += duplicates;
        counters.rejected += rejected;
        counters.instruments += instruments;
        status = store_counters(txn, table->id, &counters, error);
    }
    return status;
}

enum k2_status k2_publish_hide(struct k2_store_txn *txn, const struct k2_table *table, int64_t rows,
                               struct k2_error *error)
{
    struct k2_counter_record counters;
    enum k2_status status = load_counters(txn, table->id, &counters, error);
    if (status == K2_OK) {
        counters.hidden += (uint64_t)rows;
        status = store_counters(txn, table->id, &counters, error);
    }
    return status;
}

enum k2_status k2_publish_first(struct k2_store_txn *txn, const struct k2_table *table,
                                int64_t first_time_ns, struct k2_error *error)
{
    struct k2_counter_record counters;
    enum k2_status status = load_counters(txn, table->id, &counters, error);
    if (status == K2_OK) {
        counters.first_time_ns = first_time_ns;
        status = store_counters(txn, table->id, &counters, error);
    }
    return status;
}
