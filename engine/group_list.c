#include "engine/group_list.h"

#include <pthread.h>
#include <string.h>

#include "engine/engine_state.h"
#include "format/base/alloc.h"

enum { MOST_GROUPS = 100000 }; // of a list: 10 MB

struct slot {
    bool used;
    uint16_t table_id;
    uint64_t asked; // the state that was asked last
    struct k2_group_list *list;
};

struct k2_group_lists {
    pthread_mutex_t lock; // never held while another one is taken, or the index is read
    struct slot slots[K2_MAX_TABLES];
};

static void list_free(struct k2_group_list *list)
{
    if (list != NULL) {
        k2_free(list->groups);
        k2_free(list);
    }
}

enum k2_status k2_group_lists_create(struct k2_group_lists **lists, struct k2_error *error)
{
    *lists = k2_alloc_zero(1, sizeof **lists);
    if (*lists == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "groups: out of memory");
    }
    (void)pthread_mutex_init(&(*lists)->lock, NULL);
    return K2_OK;
}

void k2_group_lists_destroy(struct k2_group_lists *lists)
{
    if (lists == NULL) {
        return;
    }
    for (size_t i = 0; i < K2_MAX_TABLES; i++) {
        list_free(lists->slots[i].list);
    }
    (void)pthread_mutex_destroy(&lists->lock);
    k2_free(lists);
}

static struct slot *find_slot(struct k2_group_lists *lists, uint16_t table_id)
{
    for (size_t i = 0; i < K2_MAX_TABLES; i++) {
        struct slot *slot = &lists->slots[i];
        if (!slot->used || slot->table_id == table_id) {
            slot->used = true;
            slot->table_id = table_id;
            return slot;
        }
    }
    return NULL;
}

// `*wanted`: there is none, and the same state was asked before.
static struct k2_group_list *take(struct k2_group_lists *lists, uint16_t table_id, uint64_t txn_id,
                                  bool *wanted)
{
    struct k2_group_list *list = NULL;
    *wanted = false;
    (void)pthread_mutex_lock(&lists->lock);
    struct slot *slot = find_slot(lists, table_id);
    if (slot != NULL && slot->list != NULL && slot->list->txn_id == txn_id) {
        list = slot->list;
        list->users++;
    } else if (slot != NULL) {
        *wanted = slot->asked == txn_id;
        slot->asked = txn_id;
    }
    (void)pthread_mutex_unlock(&lists->lock);
    return list;
}

static enum k2_status add(struct k2_group_list *list, size_t *room, struct k2_slice key,
                          struct k2_slice value, struct k2_error *error)
{
    if (list->count == *room) {
        size_t grown_room = *room * 2 + 64;
        struct k2_listed_group *grown = k2_realloc(list->groups, grown_room, sizeof *grown);
        if (grown == NULL) {
            return k2_fail(error, K2_NO_MEMORY, "groups: out of memory");
        }
        list->groups = grown;
        *room = grown_room;
    }
    list->groups[list->count++] =
        (struct k2_listed_group){k2_group_place_of(key), k2_group_record_decode(value)};
    return K2_OK;
}

static enum k2_status fill(struct k2_group_list *list, struct k2_store_txn *txn, uint16_t table_id,
                           bool *too_many, struct k2_error *error)
{
    struct k2_store_cursor cursor = {0};
    struct k2_index_key begin = k2_index_key_id(table_id, 2);
    struct k2_index_key end = k2_index_key_id((uint64_t)table_id + 1, 2);
    size_t room = 0;
    // A damaged page would hide groups.
    enum k2_status status = k2_store_verify(txn, K2_STORE_GROUP, k2_index_key_slice(&begin),
                                            k2_index_key_slice(&end), error);
    if (status == K2_OK) {
        status = k2_store_cursor_open(txn, K2_STORE_GROUP, &cursor, error);
    }
    if (status == K2_OK) {
        status = k2_store_seek(&cursor, k2_index_key_slice(&begin), error);
    }
    while (status == K2_OK && cursor.found && !*too_many &&
           k2_index_key_get(cursor.key, 0, 2) == table_id) {
        status = add(list, &room, cursor.key, cursor.value, error);
        *too_many = list->count > MOST_GROUPS;
        if (status == K2_OK) {
            status = k2_store_next(&cursor, error);
        }
    }
    k2_store_cursor_close(&cursor);
    return status;
}

static void keep(struct k2_group_lists *lists, uint16_t table_id, struct k2_group_list *list)
{
    struct k2_group_list *old = list;
    list->users = 1;
    (void)pthread_mutex_lock(&lists->lock);
    struct slot *slot = find_slot(lists, table_id);
    if (slot != NULL) {
        old = slot->list;
        slot->list = list;
        list->users++; // the slot's own
        if (old != NULL && --old->users > 0) {
            old = NULL;
        }
    } else {
        old = NULL;
    }
    (void)pthread_mutex_unlock(&lists->lock);
    list_free(old);
}

enum k2_status k2_group_lists_acquire(struct k2_group_lists *lists, struct k2_store_txn *txn,
                                      uint16_t table_id, struct k2_group_list **list,
                                      struct k2_error *error)
{
    uint64_t txn_id = k2_store_txn_id(txn);
    bool wanted, too_many = false;
    *list = take(lists, table_id, txn_id, &wanted);
    if (*list != NULL || !wanted) {
        return K2_OK;
    }
    struct k2_group_list *made = k2_alloc_zero(1, sizeof *made);
    if (made == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "groups: out of memory");
    }
    made->txn_id = txn_id;
    enum k2_status status = fill(made, txn, table_id, &too_many, error);
    if (status != K2_OK || too_many) {
        list_free(made);
        return status;
    }
    keep(lists, table_id, made);
    *list = made;
    return K2_OK;
}

void k2_group_lists_release(struct k2_group_lists *lists, struct k2_group_list *list)
{
    (void)pthread_mutex_lock(&lists->lock);
    bool unused = --list->users == 0;
    (void)pthread_mutex_unlock(&lists->lock);
    if (unused) {
        list_free(list);
    }
}

size_t k2_group_list_find(const struct k2_group_list *list, int64_t time_ns)
{
    size_t low = 0, high = list->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (list->groups[middle].place.time_min_ns < time_ns) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}
