// The (exchange, symbol) pairs that a scan meets, numbered from 0 and ranked by their bytes.
//
// Belongs to one thread. Holds copies: groups and their mappings may go.
#pragma once

#include "engine/text_arena.h"
#include "format/base/status.h"
#include "format/segment/row_group.h"

#define K2_NAME_NONE UINT32_MAX

// Zeroed is empty and may be deinited.
struct k2_name_set {
    struct k2_instrument_name *names; // by number
    size_t count, capacity;
    uint32_t *slots; // hash table: number + 1, or 0
    size_t slot_count;
    uint32_t *ranks; // by number, valid while ranked_count == count
    size_t ranked_count;
    struct k2_text_arena texts;
};

void k2_name_set_deinit(struct k2_name_set *set);

// The number of a pair, or K2_NAME_NONE.
uint32_t k2_name_set_find(const struct k2_name_set *set, struct k2_instrument_name name);

// The number of a pair, a new one if it is new. Fails with K2_NO_MEMORY only.
K2_MUST_CHECK enum k2_status k2_name_set_add(struct k2_name_set *set,
                                             struct k2_instrument_name name, uint32_t *number,
                                             struct k2_error *error);

// Brings set->ranks up to date: the places of the pairs in the order of (exchange, symbol).
K2_MUST_CHECK enum k2_status k2_name_set_rank(struct k2_name_set *set, struct k2_error *error);

// The places 0 to count - 1 in the order of their pairs' ranks, then of their own. The number of a
// pair stands at each `stride_bytes` from `numbers` on.
K2_MUST_CHECK enum k2_status k2_name_set_order(struct k2_name_set *set, const uint32_t *numbers,
                                               size_t stride_bytes, size_t count, uint32_t *order,
                                               struct k2_error *error);

static inline int k2_instrument_name_compare(struct k2_instrument_name left,
                                             struct k2_instrument_name right)
{
    int order = k2_slice_compare(left.exchange, right.exchange);
    return order != 0 ? order : k2_slice_compare(left.symbol, right.symbol);
}
