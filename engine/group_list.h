// The groups of a table as one state of the index lists them, kept in the handle while the index
// stays as it is: what is asked again and again need not be looked up in pages again and again.
//
// A list is made the second time that a state is asked, so that a reader beside a busy writer, who
// meets another state each time, pays nothing. Thread-safe.
#pragma once

#include "engine/index_records.h"
#include "engine/store.h"

struct k2_listed_group {
    struct k2_group_place place;
    struct k2_group_record record;
};

struct k2_group_list {
    struct k2_listed_group *groups; // by (time_min, segment, offset); owned
    size_t count;
    // Places in `groups` by least instrument: a tree whose root is the middle one, whose sides are
    // the halves. `reach` has by node the greatest instrument of all groups below and at it.
    uint32_t *by_instrument;  // owned
    uint32_t *reach;          // owned
    uint64_t txn_id;          // the state
    uint64_t newest_snapshot; // of it
    int64_t longest_group_ns; // of the table so far, INT64_MAX: that or longer
    size_t users;             // of the lists' lock
};

struct k2_group_lists; // opaque

K2_MUST_CHECK enum k2_status k2_group_lists_create(struct k2_group_lists **lists,
                                                   struct k2_error *error);
void k2_group_lists_destroy(struct k2_group_lists *lists); // NULL is fine

// `*list` NULL: none is kept of the state of `txn`, which only reads; look it up. Else it stays as
// it is until it is released. K2_CORRUPT: the index is damaged there.
K2_MUST_CHECK enum k2_status k2_group_lists_acquire(struct k2_group_lists *lists,
                                                    struct k2_store_txn *txn, uint16_t table_id,
                                                    struct k2_group_list **list,
                                                    struct k2_error *error);
void k2_group_lists_release(struct k2_group_lists *lists, struct k2_group_list *list);

// Fills by_instrument and reach, which have room.
void k2_group_list_order(struct k2_group_list *list);

// Writes the places in list->groups of the groups that `instrument` can have rows in, by their
// least and greatest one, ascending: at most `room`. False: there are more.
K2_MUST_CHECK bool k2_group_list_of_instrument(const struct k2_group_list *list,
                                               uint32_t instrument, uint32_t *places, size_t room,
                                               size_t *count);

// What the table's counters say of the longest group so far; INT64_MAX: nothing is known.
K2_MUST_CHECK enum k2_status k2_group_longest_ns(struct k2_store_txn *txn, uint16_t table_id,
                                                 int64_t *longest_ns, struct k2_error *error);

// The first group that begins at this time or later; `count` if there is none.
size_t k2_group_list_find(const struct k2_group_list *list, int64_t time_ns);
