#include "engine/instruments.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine_state.h"
#include "engine/index_records.h"
#include "format/base/alloc.h"
#include "format/base/checksum.h"
#include "format/base/utf8.h"

enum { SYMBOL_BYTES = K2_INSTRUMENT_NAME_BYTES - K2_EXCHANGE_BYTES - 1 };

struct k2_slice k2_exchange_upper(struct k2_slice exchange, uint8_t room[K2_EXCHANGE_BYTES])
{
    if (exchange.size_bytes > K2_EXCHANGE_BYTES) {
        return exchange;
    }
    for (size_t i = 0; i < exchange.size_bytes; i++) {
        uint8_t byte = exchange.data[i];
        room[i] = (uint8_t)(byte >= 'a' && byte <= 'z' ? byte - 'a' + 'A' : byte);
    }
    return (struct k2_slice){room, exchange.size_bytes};
}

// exchange NUL symbol: the key by name and the value by id.
struct name_key {
    uint8_t data[K2_INSTRUMENT_NAME_BYTES];
    size_t size_bytes;
};

static enum k2_status make_name(struct name_key *key, struct k2_slice exchange,
                                struct k2_slice symbol, struct k2_error *error)
{
    if (exchange.size_bytes == 0 || exchange.size_bytes > K2_EXCHANGE_BYTES) {
        return k2_fail(error, K2_REJECTED, "exchange: %zu bytes; 1 to %d are possible",
                       exchange.size_bytes, K2_EXCHANGE_BYTES);
    }
    if (symbol.size_bytes == 0 || symbol.size_bytes > SYMBOL_BYTES) {
        return k2_fail(error, K2_REJECTED, "symbol: %zu bytes; 1 to %d are possible",
                       symbol.size_bytes, SYMBOL_BYTES);
    }
    if (!k2_utf8_is_valid(exchange) || memchr(exchange.data, 0, exchange.size_bytes) != NULL) {
        return k2_fail(error, K2_REJECTED, "exchange: not UTF-8 text");
    }
    if (!k2_utf8_is_valid(symbol) || memchr(symbol.data, 0, symbol.size_bytes) != NULL) {
        return k2_fail(error, K2_REJECTED, "symbol: not UTF-8 text");
    }
    memcpy(key->data, exchange.data, exchange.size_bytes);
    key->data[exchange.size_bytes] = 0;
    memcpy(key->data + exchange.size_bytes + 1, symbol.data, symbol.size_bytes);
    key->size_bytes = exchange.size_bytes + 1 + symbol.size_bytes;
    return K2_OK;
}

static bool split_name(struct k2_slice name, struct k2_instrument_name *parts)
{
    const uint8_t *zero = memchr(name.data, 0, name.size_bytes);
    if (zero == NULL) {
        return false;
    }
    size_t exchange_bytes = (size_t)(zero - name.data);
    parts->exchange = (struct k2_slice){name.data, exchange_bytes};
    parts->symbol = (struct k2_slice){zero + 1, name.size_bytes - exchange_bytes - 1};
    return true;
}

static uint64_t hash_of(struct k2_slice exchange, struct k2_slice symbol)
{
    return k2_hash(exchange) * 31 + k2_hash(symbol);
}

// The slot that has the pair, or the free one where it would stand.
static size_t find_slot(const struct k2_instrument_map *map, struct k2_slice exchange,
                        struct k2_slice symbol)
{
    size_t slot = hash_of(exchange, symbol) & (map->slot_count - 1);
    while (map->slots[slot] != 0) {
        const struct k2_instrument_name *name = &map->names[map->slots[slot]];
        if (k2_slice_equal(name->symbol, symbol) && k2_slice_equal(name->exchange, exchange)) {
            break;
        }
        slot = (slot + 1) & (map->slot_count - 1);
    }
    return slot;
}

static bool grow_slots(struct k2_instrument_map *map)
{
    if (map->slot_count > 0 && map->used * 2 < map->slot_count) {
        return true;
    }
    size_t slot_count = map->slot_count == 0 ? 1024 : map->slot_count * 2;
    uint32_t *slots = k2_alloc_zero(slot_count, sizeof *slots);
    if (slots == NULL) {
        return false;
    }
    struct k2_instrument_map grown = *map;
    grown.slots = slots;
    grown.slot_count = slot_count;
    for (size_t i = 0; i < map->slot_count; i++) {
        if (map->slots[i] != 0) {
            const struct k2_instrument_name *name = &map->names[map->slots[i]];
            slots[find_slot(&grown, name->exchange, name->symbol)] = map->slots[i];
        }
    }
    k2_free(map->slots);
    *map = grown;
    return true;
}

static bool grow_names(struct k2_instrument_map *map, uint32_t id)
{
    if (id < map->room) {
        return true;
    }
    size_t room = (size_t)id + id / 2 + 64;
    struct k2_instrument_name *names = k2_realloc(map->names, room, sizeof *names);
    if (names == NULL) {
        return false;
    }
    memset(names + map->room, 0, (room - map->room) * sizeof *names);
    map->names = names;
    map->room = room;
    return true;
}

// Keeps a copy of the pair under `id`.
static enum k2_status remember(struct k2_instrument_map *map, uint32_t id, struct k2_slice exchange,
                               struct k2_slice symbol, struct k2_error *error)
{
    if (!grow_slots(map) || !grow_names(map, id)) {
        return k2_fail(error, K2_NO_MEMORY, "instruments: out of memory");
    }
    char *copy = k2_alloc(exchange.size_bytes + symbol.size_bytes + 1);
    if (copy == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "instruments: out of memory");
    }
    memcpy(copy, exchange.data, exchange.size_bytes);
    memcpy(copy + exchange.size_bytes, symbol.data, symbol.size_bytes);
    map->names[id].exchange = (struct k2_slice){(uint8_t *)copy, exchange.size_bytes};
    map->names[id].symbol =
        (struct k2_slice){(uint8_t *)copy + exchange.size_bytes, symbol.size_bytes};
    map->slots[find_slot(map, exchange, symbol)] = id;
    map->used++;
    return K2_OK;
}

static enum k2_status look_up(struct k2_engine *engine, const struct name_key *name, uint32_t *id,
                              struct k2_error *error)
{
    struct k2_store_txn *txn;
    struct k2_slice value;
    bool found = false;
    enum k2_status status = k2_store_begin(engine->store, false, &txn, error);
    if (status == K2_OK) {
        struct k2_slice key = {name->data, name->size_bytes};
        status = k2_store_get(txn, K2_STORE_INSTRUMENT_NAME, key, &found, &value, error);
        *id = status == K2_OK && found ? (uint32_t)k2_index_number(value) : 0;
        k2_store_abort(txn);
    }
    return status;
}

enum k2_status k2_instrument_intern(struct k2_engine *engine, struct k2_slice exchange,
                                    struct k2_slice symbol, uint32_t *instrument,
                                    struct k2_error *error)
{
    struct k2_instrument_map *map = &engine->instruments;
    assert(engine->mode != K2_ENGINE_READ);
    if (map->slot_count > 0) {
        uint32_t id = map->slots[find_slot(map, exchange, symbol)];
        if (id != 0) {
            *instrument = id;
            return K2_OK;
        }
    }
    struct name_key name;
    uint32_t id = 0;
    enum k2_status status = make_name(&name, exchange, symbol, error);
    if (status == K2_OK) {
        status = look_up(engine, &name, &id, error);
    }
    if (status == K2_OK) {
        bool fresh = id == 0;
        id = fresh ? map->newest_id + 1 : id;
        status = remember(map, id, exchange, symbol, error);
        map->newest_id += status == K2_OK && fresh;
    }
    if (status == K2_OK) {
        *instrument = id;
    }
    return status;
}

struct k2_instrument_name k2_instrument_name_of(struct k2_engine *engine, uint32_t instrument)
{
    assert(instrument < engine->instruments.room);
    return engine->instruments.names[instrument];
}

bool k2_instrument_is_given(const struct k2_engine *engine, uint32_t instrument)
{
    return instrument > 0 && instrument <= engine->instruments.newest_id;
}

enum k2_status k2_instruments_store(struct k2_engine *engine, struct k2_store_txn *txn,
                                    struct k2_error *error)
{
    const struct k2_instrument_map *map = &engine->instruments;
    enum k2_status status = K2_OK;
    for (uint32_t id = map->durable_id + 1; id <= map->newest_id && status == K2_OK; id++) {
        struct name_key name;
        status = make_name(&name, map->names[id].exchange, map->names[id].symbol, error);
        struct k2_slice bytes = {name.data, name.size_bytes};
        struct k2_index_key key = k2_index_key_id(id, 4);
        struct k2_index_value value = k2_index_value_number(id);
        if (status == K2_OK) {
            status = k2_store_put(txn, K2_STORE_INSTRUMENT, k2_index_key_slice(&key), bytes, error);
        }
        if (status == K2_OK) {
            status = k2_store_put(txn, K2_STORE_INSTRUMENT_NAME, bytes,
                                  k2_index_value_slice(&value), error);
        }
    }
    return status;
}

void k2_instruments_committed(struct k2_engine *engine)
{
    engine->instruments.durable_id = engine->instruments.newest_id;
}

enum k2_status k2_instruments_open(struct k2_engine *engine, struct k2_store_txn *txn,
                                   struct k2_error *error)
{
    struct k2_store_cursor cursor;
    enum k2_status status = k2_store_cursor_open(txn, K2_STORE_INSTRUMENT, &cursor, error);
    if (status == K2_OK) {
        status = k2_store_last(&cursor, error);
    }
    if (status == K2_OK && cursor.found) {
        engine->instruments.newest_id = (uint32_t)k2_index_key_get(cursor.key, 0, 4);
        engine->instruments.durable_id = engine->instruments.newest_id;
    }
    k2_store_cursor_close(&cursor);
    return status;
}

void k2_instruments_close(struct k2_engine *engine)
{
    struct k2_instrument_map *map = &engine->instruments;
    for (size_t i = 0; i < map->room; i++) {
        k2_free((void *)(uintptr_t)map->names[i].exchange.data);
    }
    k2_free(map->names);
    k2_free(map->slots);
    *map = (struct k2_instrument_map){0};
}

static bool grow_members(struct k2_member_set *members, uint32_t instrument)
{
    if (instrument < members->bit_count) {
        return true;
    }
    size_t bit_count = ((size_t)instrument * 2 + 4096) & ~(size_t)7;
    uint8_t *bits = k2_realloc(members->bits, bit_count / 8, 1);
    if (bits == NULL) {
        return false;
    }
    memset(bits + members->bit_count / 8, 0, (bit_count - members->bit_count) / 8);
    members->bits = bits;
    members->bit_count = bit_count;
    return true;
}

enum k2_status k2_member_add(struct k2_engine *engine, struct k2_store_txn *txn,
                             const struct k2_table *table, uint32_t instrument, uint64_t snapshot,
                             bool *added, struct k2_error *error)
{
    struct k2_member_set *members = &engine->members[table - engine->tables];
    *added = false;
    if (!grow_members(members, instrument)) {
        return k2_fail(error, K2_NO_MEMORY, "instruments: out of memory");
    }
    if (members->bits[instrument / 8] >> instrument % 8 & 1) {
        return K2_OK;
    }
    struct k2_index_key key = k2_index_key_pair(table->id, instrument);
    struct k2_slice stored;
    bool found;
    enum k2_status status =
        k2_store_get(txn, K2_STORE_MEMBER, k2_index_key_slice(&key), &found, &stored, error);
    if (status == K2_OK && !found) {
        struct k2_index_value value = k2_index_value_number(snapshot);
        status = k2_store_put(txn, K2_STORE_MEMBER, k2_index_key_slice(&key),
                              k2_index_value_slice(&value), error);
        *added = true;
    } else if (status == K2_OK) {
        // Only what is durable is noted here: an aborted transaction takes its members back.
        members->bits[instrument / 8] |= (uint8_t)(1 << instrument % 8);
    }
    return status;
}

enum k2_status k2_instruments_find(struct k2_engine *engine, const struct k2_instrument_name *names,
                                   size_t name_count, uint32_t *ids, struct k2_error *error)
{
    struct k2_store_txn *txn;
    enum k2_status status = k2_store_begin(engine->store, false, &txn, error);
    if (status == K2_OK) {
        status = k2_instruments_find_within(txn, names, name_count, ids, error);
        k2_store_abort(txn);
    }
    return status;
}

enum k2_status k2_instruments_find_within(struct k2_store_txn *txn,
                                          const struct k2_instrument_name *names, size_t name_count,
                                          uint32_t *ids, struct k2_error *error)
{
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < name_count && status == K2_OK; i++) {
        struct name_key name;
        struct k2_slice value;
        bool found;
        ids[i] = 0;
        if (make_name(&name, names[i].exchange, names[i].symbol, NULL) != K2_OK) {
            continue; // never stored
        }
        status = k2_store_get(txn, K2_STORE_INSTRUMENT_NAME,
                              (struct k2_slice){name.data, name.size_bytes}, &found, &value, error);
        if (status == K2_OK && found) {
            ids[i] = (uint32_t)k2_index_number(value);
        }
    }
    return status;
}

enum k2_status k2_instrument_read_name(struct k2_store_txn *txn, uint32_t id,
                                       struct k2_instrument_name *name, struct k2_error *error)
{
    struct k2_index_key key = k2_index_key_id(id, 4);
    struct k2_slice value;
    bool found;
    enum k2_status status =
        k2_store_get(txn, K2_STORE_INSTRUMENT, k2_index_key_slice(&key), &found, &value, error);
    if (status == K2_OK &&
        (!found || value.size_bytes > K2_INSTRUMENT_NAME_BYTES || !split_name(value, name))) {
        status = k2_fail(error, K2_CORRUPT, "index: instrument %u has no name", id);
    }
    return status;
}
