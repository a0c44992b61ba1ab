#include "engine/name_set.h"

#include <stdlib.h>

#include "format/base/alloc.h"
#include "format/base/checksum.h"

void k2_name_set_deinit(struct k2_name_set *set)
{
    k2_free(set->names);
    k2_free(set->slots);
    k2_free(set->ranks);
    k2_text_arena_deinit(&set->texts);
    *set = (struct k2_name_set){0};
}

static size_t hash_of(struct k2_instrument_name name)
{
    uint64_t hash = k2_hash(name.symbol) + k2_hash(name.exchange) * 0x9e3779b97f4a7c15u;
    return (size_t)(hash ^ hash >> 32);
}

// The slot of the pair, or the empty slot where it belongs.
static size_t slot_of(const struct k2_name_set *set, struct k2_instrument_name name)
{
    size_t mask = set->slot_count - 1;
    size_t slot = hash_of(name) & mask;
    while (set->slots[slot] != 0 &&
           k2_instrument_name_compare(set->names[set->slots[slot] - 1], name) != 0) {
        slot = (slot + 1) & mask;
    }
    return slot;
}

uint32_t k2_name_set_find(const struct k2_name_set *set, struct k2_instrument_name name)
{
    if (set->count == 0) {
        return K2_NAME_NONE;
    }
    uint32_t entry = set->slots[slot_of(set, name)];
    return entry == 0 ? K2_NAME_NONE : entry - 1;
}

// Room for one more name, with at most half of the slots taken. What grew before a failure stays.
static bool grow(struct k2_name_set *set)
{
    if (set->count < set->capacity) {
        return true;
    }
    size_t capacity = set->capacity == 0 ? 16 : set->capacity * 2;
    struct k2_instrument_name *names = k2_realloc(set->names, capacity, sizeof *names);
    if (names == NULL) {
        return false;
    }
    set->names = names;
    uint32_t *ranks = k2_realloc(set->ranks, capacity, sizeof *ranks);
    if (ranks == NULL) {
        return false;
    }
    set->ranks = ranks;
    uint32_t *slots = k2_alloc_zero(capacity * 2, sizeof *slots);
    if (slots == NULL) {
        return false;
    }
    k2_free(set->slots);
    set->slots = slots;
    set->slot_count = capacity * 2;
    set->capacity = capacity;
    for (size_t i = 0; i < set->count; i++) {
        set->slots[slot_of(set, set->names[i])] = (uint32_t)i + 1;
    }
    return true;
}

enum k2_status k2_name_set_add(struct k2_name_set *set, struct k2_instrument_name name,
                               uint32_t *number, struct k2_error *error)
{
    uint32_t found = k2_name_set_find(set, name);
    if (found != K2_NAME_NONE) {
        *number = found;
        return K2_OK;
    }
    struct k2_instrument_name copy;
    if (!grow(set) || !k2_text_arena_copy(&set->texts, name.exchange, &copy.exchange) ||
        !k2_text_arena_copy(&set->texts, name.symbol, &copy.symbol)) {
        return k2_fail(error, K2_NO_MEMORY, "scan: no memory for %zu instruments", set->count + 1);
    }
    set->slots[slot_of(set, name)] = (uint32_t)set->count + 1;
    set->names[set->count] = copy;
    *number = (uint32_t)set->count;
    set->count++;
    return K2_OK;
}

static int compare_numbers(const void *left, const void *right, void *context)
{
    const struct k2_name_set *set = context;
    return k2_instrument_name_compare(set->names[*(const uint32_t *)left],
                                      set->names[*(const uint32_t *)right]);
}

enum k2_status k2_name_set_rank(struct k2_name_set *set, struct k2_error *error)
{
    if (set->ranked_count == set->count) {
        return K2_OK;
    }
    uint32_t *numbers = k2_alloc(set->count * sizeof *numbers);
    if (numbers == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "scan: no memory to rank %zu instruments", set->count);
    }
    for (size_t i = 0; i < set->count; i++) {
        numbers[i] = (uint32_t)i;
    }
    qsort_r(numbers, set->count, sizeof *numbers, compare_numbers, set);
    for (size_t i = 0; i < set->count; i++) {
        set->ranks[numbers[i]] = (uint32_t)i;
    }
    set->ranked_count = set->count;
    k2_free(numbers);
    return K2_OK;
}

struct ranked_places {
    const uint32_t *ranks;
    const uint8_t *numbers;
    size_t stride_bytes;
};

static uint32_t rank_of(const struct ranked_places *by, uint32_t place)
{
    uint32_t number;
    memcpy(&number, by->numbers + place * by->stride_bytes, sizeof number);
    return by->ranks[number];
}

static int compare_places(const void *left, const void *right, void *context)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    uint32_t rank_a = rank_of(context, a), rank_b = rank_of(context, b);
    return rank_a != rank_b ? (rank_a > rank_b) - (rank_a < rank_b) : (a > b) - (a < b);
}

enum k2_status k2_name_set_order(struct k2_name_set *set, const uint32_t *numbers,
                                 size_t stride_bytes, size_t count, uint32_t *order,
                                 struct k2_error *error)
{
    enum k2_status status = k2_name_set_rank(set, error);
    if (status != K2_OK) {
        return status;
    }
    struct ranked_places by = {set->ranks, (const uint8_t *)numbers, stride_bytes};
    for (size_t i = 0; i < count; i++) {
        order[i] = (uint32_t)i;
    }
    qsort_r(order, count, sizeof *order, compare_places, &by);
    return K2_OK;
}
