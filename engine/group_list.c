#include "engine/group_list.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "engine/commit_log.h"
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
        k2_free(list->by_instrument);
        k2_free(list->reach);
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

static int compare_instruments(const void *left, const void *right, void *context)
{
    const struct k2_listed_group *groups = context;
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    uint32_t min_a = groups[a].record.instrument_min, min_b = groups[b].record.instrument_min;
    return min_a != min_b ? (min_a > min_b) - (min_a < min_b) : (a > b) - (a < b);
}

// Sets the reach of the nodes in [low, high); gives that of the one in the middle, which is not
// deeper in the tree than the bits of a size_t.
static uint32_t set_reach(struct k2_group_list *list, size_t low,
                          size_t high) // NOLINT(misc-no-recursion)
{
    if (low >= high) {
        return 0;
    }
    size_t middle = low + (high - low) / 2;
    uint32_t most = list->groups[list->by_instrument[middle]].record.instrument_max;
    uint32_t left = set_reach(list, low, middle), right = set_reach(list, middle + 1, high);
    most = left > most ? left : most;
    most = right > most ? right : most;
    list->reach[middle] = most;
    return most;
}

void k2_group_list_order(struct k2_group_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        list->by_instrument[i] = (uint32_t)i;
    }
    if (list->count > 0) {
        qsort_r(list->by_instrument, list->count, sizeof *list->by_instrument, compare_instruments,
                list->groups);
    }
    (void)set_reach(list, 0, list->count);
}

static enum k2_status order_by_instrument(struct k2_group_list *list, struct k2_error *error)
{
    list->by_instrument = k2_alloc(list->count * sizeof *list->by_instrument);
    list->reach = k2_alloc(list->count * sizeof *list->reach);
    if (list->by_instrument == NULL || list->reach == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "groups: out of memory");
    }
    k2_group_list_order(list);
    return K2_OK;
}

static int compare_places(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

bool k2_group_list_of_instrument(const struct k2_group_list *list, uint32_t instrument,
                                 uint32_t *places, size_t room, size_t *count)
{
    struct part {
        size_t low, high;
    } parts[64] = {{0, list->count}}; // one for each level of the tree, and the last one's sides
    *count = 0;
    for (size_t part_count = 1; part_count > 0;) {
        struct part part = parts[--part_count];
        size_t middle = part.low + (part.high - part.low) / 2;
        if (part.low >= part.high || list->reach[middle] < instrument) {
            continue;
        }
        uint32_t place = list->by_instrument[middle];
        const struct k2_group_record *record = &list->groups[place].record;
        parts[part_count++] = (struct part){part.low, middle};
        if (record->instrument_min <= instrument) {
            parts[part_count++] = (struct part){middle + 1, part.high};
        }
        if (record->instrument_min <= instrument && instrument <= record->instrument_max) {
            if (*count == room) {
                return false;
            }
            places[(*count)++] = place;
        }
    }
    if (*count > 1) {
        qsort(places, *count, sizeof *places, compare_places);
    }
    return true;
}

enum k2_status k2_group_longest_ns(struct k2_store_txn *txn, uint16_t table_id, int64_t *longest_ns,
                                   struct k2_error *error)
{
    struct k2_index_key key = k2_index_key_id(table_id, 2);
    struct k2_slice value;
    bool found;
    *longest_ns = INT64_MAX;
    enum k2_status status =
        k2_store_get(txn, K2_STORE_COUNTER, k2_index_key_slice(&key), &found, &value, error);
    if (status == K2_OK && found) {
        *longest_ns = k2_counter_record_decode(value).longest_group_ns;
    }
    return status;
}

// What else a plan asks of the state.
static enum k2_status read_state(struct k2_group_list *list, struct k2_store_txn *txn,
                                 uint16_t table_id, struct k2_error *error)
{
    enum k2_status status = k2_commit_log_newest_id(txn, &list->newest_snapshot, error);
    return status == K2_OK ? k2_group_longest_ns(txn, table_id, &list->longest_group_ns, error)
                           : status;
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
    if (status == K2_OK && !too_many) {
        status = read_state(made, txn, table_id, error);
    }
    if (status == K2_OK && !too_many) {
        status = order_by_instrument(made, error);
    }
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
