#include "engine/index_records.h"

#include <assert.h>

void k2_index_key_put(struct k2_index_key *key, uint64_t value, size_t size_bytes)
{
    assert(key->size_bytes + size_bytes <= K2_KEY_BYTES);
    for (size_t i = size_bytes; i > 0; i--) {
        key->data[key->size_bytes++] = (uint8_t)(value >> 8 * (i - 1));
    }
}

void k2_index_key_put_signed(struct k2_index_key *key, int64_t value)
{
    k2_index_key_put(key, (uint64_t)value ^ (uint64_t)1 << 63, 8);
}

uint64_t k2_index_key_get(struct k2_slice key, size_t offset, size_t size_bytes)
{
    uint64_t value = 0;
    for (size_t i = offset; i < offset + size_bytes && i < key.size_bytes; i++) {
        value = value << 8 | key.data[i];
    }
    return value;
}

int64_t k2_index_key_get_signed(struct k2_slice key, size_t offset)
{
    return (int64_t)(k2_index_key_get(key, offset, 8) ^ (uint64_t)1 << 63);
}

struct k2_index_key k2_index_key_id(uint64_t id, size_t size_bytes)
{
    struct k2_index_key key = {.size_bytes = 0};
    k2_index_key_put(&key, id, size_bytes);
    return key;
}

struct k2_index_key k2_index_key_pair(uint16_t table, uint32_t id)
{
    struct k2_index_key key = {.size_bytes = 0};
    k2_index_key_put(&key, table, 2);
    k2_index_key_put(&key, id, 4);
    return key;
}

static void put(struct k2_index_value *value, uint64_t number, size_t size_bytes)
{
    assert(value->size_bytes + size_bytes <= K2_RECORD_BYTES);
    for (size_t i = 0; i < size_bytes; i++) {
        value->data[value->size_bytes++] = (uint8_t)(number >> 8 * i);
    }
}

struct k2_index_value k2_index_value_number(uint64_t number)
{
    struct k2_index_value value = {.size_bytes = 0};
    put(&value, number, 8);
    return value;
}

uint64_t k2_index_number(struct k2_slice value)
{
    struct k2_byte_reader reader = {.rest = value};
    return k2_read_u64(&reader);
}

struct k2_index_value k2_segment_record_encode(const struct k2_segment_record *record)
{
    struct k2_index_value value = {.size_bytes = 0};
    put(&value, record->length_bytes, 8);
    put(&value, record->group_count, 4);
    put(&value, record->state, 1);
    put(&value, record->run, 8);
    put(&value, record->rewritten, 1);
    put(&value, record->live_bytes, 8);
    return value;
}

struct k2_segment_record k2_segment_record_decode(struct k2_slice value)
{
    struct k2_byte_reader reader = {.rest = value};
    struct k2_segment_record record = {0};
    record.length_bytes = k2_read_u64(&reader);
    record.group_count = k2_read_u32(&reader);
    record.state = k2_read_u8(&reader);
    record.run = k2_read_u64(&reader);
    record.rewritten = k2_read_u8(&reader) != 0;
    record.live_bytes = k2_read_u64(&reader);
    return record;
}

struct k2_index_key k2_group_key(const struct k2_group_place *place)
{
    struct k2_index_key key = {.size_bytes = 0};
    k2_index_key_put(&key, place->table, 2);
    k2_index_key_put_signed(&key, place->time_min_ns);
    k2_index_key_put(&key, place->segment_id, 8);
    k2_index_key_put(&key, place->offset, 8);
    return key;
}

struct k2_group_place k2_group_place_of(struct k2_slice key)
{
    return (struct k2_group_place){
        .table = (uint16_t)k2_index_key_get(key, 0, 2),
        .time_min_ns = k2_index_key_get_signed(key, 2),
        .segment_id = k2_index_key_get(key, 10, 8),
        .offset = k2_index_key_get(key, 18, 8),
    };
}

struct k2_index_value k2_group_record_encode(const struct k2_group_record *record)
{
    struct k2_index_value value = {.size_bytes = 0};
    put(&value, record->length_bytes, 4);
    put(&value, record->row_count, 4);
    put(&value, (uint64_t)record->time_max_ns, 8);
    put(&value, record->instrument_min, 4);
    put(&value, record->instrument_max, 4);
    put(&value, record->commit_min, 8);
    put(&value, record->commit_max, 8);
    put(&value, record->level, 2);
    put(&value, record->versions, 1);
    put(&value, record->until_max, 8);
    return value;
}

struct k2_group_record k2_group_record_decode(struct k2_slice value)
{
    struct k2_byte_reader reader = {.rest = value};
    struct k2_group_record record = {0};
    record.length_bytes = k2_read_u32(&reader);
    record.row_count = k2_read_u32(&reader);
    record.time_max_ns = k2_read_i64(&reader);
    record.instrument_min = k2_read_u32(&reader);
    record.instrument_max = k2_read_u32(&reader);
    record.commit_min = k2_read_u64(&reader);
    record.commit_max = k2_read_u64(&reader);
    record.level = k2_read_u16(&reader);
    record.versions = k2_read_u8(&reader) != 0;
    record.until_max = k2_read_u64(&reader);
    return record;
}

struct k2_index_value k2_counter_record_encode(const struct k2_counter_record *record)
{
    const uint64_t fields[] = {
        record->rows,
        record->stored,
        record->duplicates,
        record->rejected,
        record->groups,
        record->bytes,
        (uint64_t)record->first_time_ns,
        (uint64_t)record->last_time_ns,
        (uint64_t)record->longest_group_ns,
        record->instruments,
        record->hidden,
        record->committed_bytes,
        record->rewritten_bytes,
    };
    struct k2_index_value value = {.size_bytes = 0};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        put(&value, fields[i], 8);
    }
    return value;
}

struct k2_counter_record k2_counter_record_decode(struct k2_slice value)
{
    struct k2_byte_reader reader = {.rest = value};
    struct k2_counter_record record = {0};
    record.rows = k2_read_u64(&reader);
    record.stored = k2_read_u64(&reader);
    record.duplicates = k2_read_u64(&reader);
    record.rejected = k2_read_u64(&reader);
    record.groups = k2_read_u64(&reader);
    record.bytes = k2_read_u64(&reader);
    record.first_time_ns = k2_read_i64(&reader);
    record.last_time_ns = k2_read_i64(&reader);
    record.longest_group_ns = k2_read_i64(&reader);
    record.instruments = k2_read_u64(&reader);
    record.hidden = k2_read_u64(&reader);
    record.committed_bytes = k2_read_u64(&reader);
    record.rewritten_bytes = k2_read_u64(&reader);
    return record;
}
