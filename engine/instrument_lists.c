#include "engine/instrument_lists.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine_state.h"
#include "engine/index_records.h"
#include "engine/instruments.h"
#include "engine/text_arena.h"
#include "format/base/alloc.h"

// A list as of the newest state, or an older one that has the texts of such a one.
struct k2_lent_list {
    struct k2_instruments list;
    struct k2_instrument *items; // owned
    size_t room;
    struct k2_text_arena texts;
    struct k2_lent_list *newer; // whose texts it uses; NULL: its own
    atomic_uint users;
    uint64_t newest_first; // the greatest first snapshot of its instruments
    uint64_t member_count; // of all tables, when it was made: members are added, never taken away
};

static struct k2_lent_list *lend(struct k2_lent_list *self)
{
    atomic_fetch_add(&self->users, 1);
    return self;
}

static void give_back(struct k2_lent_list *self)
{
    while (self != NULL && atomic_fetch_sub(&self->users, 1) == 1) {
        struct k2_lent_list *newer = self->newer;
        k2_text_arena_deinit(&self->texts);
        k2_free(self->items);
        k2_free(self);
        self = newer;
    }
}

static enum k2_status no_memory(struct k2_error *error)
{
    return k2_fail(error, K2_NO_MEMORY, "instruments: out of memory");
}

static enum k2_status add_item(struct k2_lent_list *self, const struct k2_instrument *item,
                               struct k2_error *error)
{
    if (self->list.count == self->room) {
        size_t room = self->room * 2 + 64;
        struct k2_instrument *grown = k2_realloc(self->items, room, sizeof *grown);
        if (grown == NULL) {
            return no_memory(error);
        }
        self->items = grown;
        self->room = room;
    }
    self->items[self->list.count++] = *item;
    self->list.items = self->items;
    return K2_OK;
}

// A copy of the text that ends with a NUL.
static const char *keep_text(struct k2_lent_list *self, struct k2_slice text)
{
    char room[K2_INSTRUMENT_NAME_BYTES + 1];
    struct k2_slice kept;
    assert(text.size_bytes < sizeof room);
    memcpy(room, text.data, text.size_bytes);
    room[text.size_bytes] = '\0';
    struct k2_slice ended = {(const uint8_t *)room, text.size_bytes + 1};
    return k2_text_arena_copy(&self->texts, ended, &kept) ? (const char *)kept.data : NULL;
}

static enum k2_status read_member(struct k2_lent_list *self, struct k2_store_txn *txn,
                                  const struct k2_store_cursor *cursor, struct k2_error *error)
{
    struct k2_instrument item = {.id = (uint32_t)k2_index_key_get(cursor->key, 2, 4),
                                 .first_snapshot = k2_index_number(cursor->value)};
    struct k2_instrument_name name;
    enum k2_status status = k2_instrument_read_name(txn, item.id, &name, error);
    if (status != K2_OK) {
        return status;
    }
    item.exchange = keep_text(self, name.exchange);
    item.symbol = keep_text(self, name.symbol);
    if (item.exchange == NULL || item.symbol == NULL) {
        return no_memory(error);
    }
    self->newest_first =
        item.first_snapshot > self->newest_first ? item.first_snapshot : self->newest_first;
    return add_item(self, &item, error);
}

static int compare_items(const void *left, const void *right)
{
    const struct k2_instrument *a = left, *b = right;
    int order = strcmp(a->exchange, b->exchange);
    return order != 0 ? order : strcmp(a->symbol, b->symbol);
}

static enum k2_status read_members(struct k2_lent_list *self, struct k2_store_txn *txn,
                                   const struct k2_table *table, struct k2_error *error)
{
    struct k2_store_cursor cursor = {0};
    struct k2_index_key key = k2_index_key_id(table->id, 2);
    enum k2_status status = k2_store_cursor_open(txn, K2_STORE_MEMBER, &cursor, error);
    if (status == K2_OK) {
        status = k2_store_seek(&cursor, k2_index_key_slice(&key), error);
    }
    while (status == K2_OK && cursor.found && k2_index_key_get(cursor.key, 0, 2) == table->id) {
        status = read_member(self, txn, &cursor, error);
        if (status == K2_OK) {
            status = k2_store_next(&cursor, error);
        }
    }
    k2_store_cursor_close(&cursor);
    if (status == K2_OK && self->list.count > 1) {
        qsort(self->items, self->list.count, sizeof *self->items, compare_items);
    }
    return status;
}

static enum k2_status new_list(struct k2_lent_list **list, struct k2_error *error)
{
    *list = k2_alloc_zero(1, sizeof **list);
    if (*list == NULL) {
        return no_memory(error);
    }
    atomic_init(&(*list)->users, 1);
    return K2_OK;
}

// The list of the newest state, the kept one if nothing is new. Under the lock of the lists.
static enum k2_status newest_list(struct k2_engine *engine, const struct k2_table *table,
                                  struct k2_lent_list **list, struct k2_error *error)
{
    struct k2_lent_list **kept = &engine->instrument_lists[table - engine->tables];
    struct k2_store_txn *txn;
    uint64_t member_count;
    enum k2_status status = k2_store_begin(engine->store, false, &txn, error);
    if (status != K2_OK) {
        return status;
    }
    status = k2_store_count(txn, K2_STORE_MEMBER, &member_count, error);
    if (status == K2_OK && (*kept == NULL || (*kept)->member_count != member_count)) {
        struct k2_lent_list *made = NULL;
        status = new_list(&made, error);
        if (status == K2_OK) {
            made->member_count = member_count;
            status = read_members(made, txn, table, error);
        }
        if (status == K2_OK) {
            give_back(*kept);
            *kept = made;
        } else {
            give_back(made);
        }
    }
    k2_store_abort(txn);
    if (status == K2_OK) {
        *list = lend(*kept);
    }
    return status;
}

// Of `newer` those that were there then.
static enum k2_status older_list(struct k2_lent_list *newer, uint64_t snapshot,
                                 struct k2_lent_list **list, struct k2_error *error)
{
    struct k2_lent_list *made;
    enum k2_status status = new_list(&made, error);
    if (status != K2_OK) {
        return status;
    }
    made->newer = lend(newer);
    for (size_t i = 0; i < newer->list.count && status == K2_OK; i++) {
        if (newer->items[i].first_snapshot <= snapshot) {
            status = add_item(made, &newer->items[i], error);
        }
    }
    if (status != K2_OK) {
        give_back(made);
        return status;
    }
    *list = made;
    return K2_OK;
}

enum k2_status k2_instruments_borrow(struct k2_engine *engine, const struct k2_table *table,
                                     uint64_t snapshot, const struct k2_instruments **list,
                                     struct k2_error *error)
{
    struct k2_lent_list *newest, *found = NULL;
    *list = NULL;
    (void)pthread_mutex_lock(&engine->instrument_lists_lock);
    enum k2_status status = newest_list(engine, table, &newest, error);
    (void)pthread_mutex_unlock(&engine->instrument_lists_lock);
    if (status != K2_OK) {
        return status;
    }
    if (newest->newest_first <= snapshot) {
        found = newest;
    } else {
        status = older_list(newest, snapshot, &found, error);
        give_back(newest);
    }
    *list = status == K2_OK ? &found->list : NULL;
    return status;
}

void k2_instruments_release(const struct k2_instruments *list)
{
    give_back((struct k2_lent_list *)(uintptr_t)list); // its first member
}

void k2_instrument_lists_close(struct k2_engine *engine)
{
    for (size_t i = 0; i < K2_MAX_TABLES; i++) {
        give_back(engine->instrument_lists[i]);
        engine->instrument_lists[i] = NULL;
    }
}

size_t k2_instruments_exchange_end(const struct k2_instruments *list, size_t first)
{
    size_t low = first + 1, high = list->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(list->items[middle].exchange, list->items[first].exchange) == 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

size_t k2_instruments_find_symbol(const struct k2_instruments *list, size_t first, size_t end,
                                  const char *symbol)
{
    size_t low = first, high = end;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(list->items[middle].symbol, symbol) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < end && strcmp(list->items[low].symbol, symbol) == 0 ? low : end;
}
