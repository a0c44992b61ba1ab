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
    uint64_t txn_id; // the state
    size_t users;    // of the lists' lock
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

// The first group that begins at this time or later; `count` if there is none.
size_t k2_group_list_find(const struct k2_group_list *list, int64_t time_ns);
