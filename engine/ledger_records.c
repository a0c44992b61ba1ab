#include "engine/ledger_records.h"

#include <assert.h>
#include <string.h>

enum { STATE_GIVEN_UP = 1 };

struct k2_index_key k2_ledger_page_key(uint16_t table, uint32_t page, int64_t epoch)
{
    struct k2_index_key key = k2_index_key_pair(table, page);
    k2_index_key_put_signed(&key, epoch);
    return key;
}

// Differences wrap: any two numbers can stand side by side.
static uint64_t between(int64_t from, int64_t to)
{
    return (uint64_t)to - (uint64_t)from;
}

static int64_t beyond(int64_t from, uint64_t distance)
{
    return (int64_t)((uint64_t)from + distance);
}

static void put_state(const struct k2_sequence_state *state, struct k2_buffer *out)
{
    k2_put_varint(out, state->given_up ? STATE_GIVEN_UP : 0);
    k2_put_varint(out, k2_zigzag(state->first));
    k2_put_varint(out, between(state->first, state->last));
    k2_put_varint(out, k2_zigzag(state->min_ns));
    k2_put_varint(out, between(state->min_ns, state->max_ns));
    k2_put_varint(out, between(state->min_ns, state->first_ns));
    k2_put_varint(out, between(state->last_ns, state->max_ns));
    k2_put_varint(out, state->open_gaps);
    k2_put_varint(out, state->commit);
}

void k2_ledger_page_put(const struct k2_ledger_page *page, struct k2_buffer *out)
{
    uint64_t present = 0;
    for (unsigned i = 0; i < K2_PAGE_DOMAINS; i++) {
        present |= (uint64_t)page->states[i].any << i;
    }
    k2_put_u64(out, present);
    for (unsigned i = 0; i < K2_PAGE_DOMAINS; i++) {
        if (page->states[i].any) {
            put_state(&page->states[i], out);
        }
    }
}

// False: not what K2 writes.
static bool read_state(struct k2_byte_reader *reader, struct k2_sequence_state *state)
{
    uint64_t flags = k2_read_varint(reader);
    state->any = true;
    state->given_up = flags == STATE_GIVEN_UP;
    state->first = k2_unzigzag(k2_read_varint(reader));
    state->last = beyond(state->first, k2_read_varint(reader));
    state->min_ns = k2_unzigzag(k2_read_varint(reader));
    state->max_ns = beyond(state->min_ns, k2_read_varint(reader));
    state->first_ns = beyond(state->min_ns, k2_read_varint(reader));
    state->last_ns = (int64_t)((uint64_t)state->max_ns - k2_read_varint(reader));
    uint64_t open_gaps = k2_read_varint(reader);
    state->open_gaps = (uint32_t)open_gaps;
    state->commit = k2_read_varint(reader);
    return !reader->truncated && flags <= STATE_GIVEN_UP && open_gaps <= K2_MAX_OPEN_GAPS &&
           state->first <= state->last && state->min_ns <= state->first_ns &&
           state->first_ns <= state->max_ns && state->min_ns <= state->last_ns &&
           state->last_ns <= state->max_ns;
}

enum k2_status k2_ledger_page_read(struct k2_ledger_page *page, struct k2_slice bytes,
                                   struct k2_error *error)
{
    struct k2_byte_reader reader = {.rest = bytes};
    uint64_t present = k2_read_u64(&reader);
    bool good = !reader.truncated;
    memset(page, 0, sizeof *page);
    for (unsigned i = 0; i < K2_PAGE_DOMAINS && good; i++) {
        good = (present >> i & 1) == 0 || read_state(&reader, &page->states[i]);
    }
    if (!good || reader.rest.size_bytes > 0) {
        return k2_fail(error, K2_CORRUPT, "index: sequences: not states of counters");
    }
    return K2_OK;
}

struct k2_index_key k2_gap_open_key(const struct k2_gap_place *place, int64_t last)
{
    struct k2_index_key key = k2_index_key_pair(place->table, place->domain);
    k2_index_key_put_signed(&key, place->epoch);
    k2_index_key_put_signed(&key, last);
    return key;
}

struct k2_index_key k2_gap_closed_key(const struct k2_gap_place *place, int64_t last)
{
    struct k2_index_key key = k2_index_key_pair(place->table, place->domain);
    k2_index_key_put(&key, place->closed, 8);
    k2_index_key_put_signed(&key, place->epoch);
    k2_index_key_put_signed(&key, last);
    return key;
}

struct k2_index_value k2_ledger_value(const uint64_t *fields, size_t count)
{
    struct k2_index_value value = {.size_bytes = 0};
    assert(count * 8 <= sizeof value.data);
    for (size_t i = 0; i < count; i++) {
        for (unsigned byte = 0; byte < 8; byte++) {
            value.data[value.size_bytes++] = (uint8_t)(fields[i] >> 8 * byte);
        }
    }
    return value;
}

struct k2_index_value k2_gap_encode(const struct k2_sequence_gap *gap)
{
    const uint64_t fields[] = {(uint64_t)gap->first, (uint64_t)gap->after_ns,
                               (uint64_t)gap->before_ns, gap->opened};
    return k2_ledger_value(fields, sizeof fields / sizeof fields[0]);
}

static enum k2_status read_gap(struct k2_slice value, int64_t last, struct k2_sequence_gap *gap,
                               struct k2_error *error)
{
    struct k2_byte_reader reader = {.rest = value};
    gap->first = k2_read_i64(&reader);
    gap->last = last;
    gap->after_ns = k2_read_i64(&reader);
    gap->before_ns = k2_read_i64(&reader);
    gap->opened = k2_read_u64(&reader);
    if (reader.truncated || gap->first > gap->last) {
        return k2_fail(error, K2_CORRUPT, "index: gaps: not a gap");
    }
    return K2_OK;
}

enum k2_status k2_gap_open_read(struct k2_slice key, struct k2_slice value,
                                struct k2_gap_place *place, struct k2_sequence_gap *gap,
                                struct k2_error *error)
{
    if (key.size_bytes != 22) {
        return k2_fail(error, K2_CORRUPT, "index: gaps: a key of %zu bytes", key.size_bytes);
    }
    *place = (struct k2_gap_place){
        .table = (uint16_t)k2_index_key_get(key, 0, 2),
        .domain = (uint32_t)k2_index_key_get(key, 2, 4),
        .epoch = k2_index_key_get_signed(key, 6),
    };
    return read_gap(value, k2_index_key_get_signed(key, 14), gap, error);
}

enum k2_status k2_gap_closed_read(struct k2_slice key, struct k2_slice value,
                                  struct k2_gap_place *place, struct k2_sequence_gap *gap,
                                  struct k2_error *error)
{
    if (key.size_bytes != 30) {
        return k2_fail(error, K2_CORRUPT, "index: gaps: a key of %zu bytes", key.size_bytes);
    }
    *place = (struct k2_gap_place){
        .table = (uint16_t)k2_index_key_get(key, 0, 2),
        .domain = (uint32_t)k2_index_key_get(key, 2, 4),
        .epoch = k2_index_key_get_signed(key, 14),
        .closed = k2_index_key_get(key, 6, 8),
    };
    return read_gap(value, k2_index_key_get_signed(key, 22), gap, error);
}

void k2_domain_name_put(const struct k2_domain_part *parts, size_t count, struct k2_buffer *out)
{
    for (size_t i = 0; i < count; i++) {
        k2_put_varint(out, parts[i].column.size_bytes);
        k2_put_bytes(out, parts[i].column.data, parts[i].column.size_bytes);
        k2_put_varint(out, parts[i].value.size_bytes);
        k2_put_bytes(out, parts[i].value.data, parts[i].value.size_bytes);
    }
}

enum k2_status k2_domain_name_read(struct k2_slice bytes,
                                   struct k2_domain_part parts[K2_DOMAIN_COLUMNS], size_t *count,
                                   struct k2_error *error)
{
    struct k2_byte_reader reader = {.rest = bytes};
    *count = 0;
    while (reader.rest.size_bytes > 0 && !reader.truncated) {
        struct k2_domain_part part;
        uint64_t size = k2_read_varint(&reader);
        part.column = k2_read_bytes(&reader, size);
        size = k2_read_varint(&reader);
        part.value = k2_read_bytes(&reader, size);
        if (*count == K2_DOMAIN_COLUMNS) {
            reader.truncated = true;
        } else {
            parts[(*count)++] = part;
        }
    }
    if (reader.truncated || *count == 0) {
        return k2_fail(error, K2_CORRUPT, "index: domains: not a name");
    }
    return K2_OK;
}
