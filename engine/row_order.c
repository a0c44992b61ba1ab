#include "engine/row_order.h"

#include <string.h>

#include "format/base/alloc.h"

static inline int compare(const struct k2_row_key *left, const struct k2_row_key *right)
{
    if (left->instrument != right->instrument) {
        return left->instrument < right->instrument ? -1 : 1;
    }
    if (left->time_ns != right->time_ns) {
        return left->time_ns < right->time_ns ? -1 : 1;
    }
    if (left->epoch != right->epoch) {
        return left->epoch < right->epoch ? -1 : 1;
    }
    return (left->sequence > right->sequence) - (left->sequence < right->sequence);
}

int k2_row_key_compare(const struct k2_row_key *left, const struct k2_row_key *right)
{
    return compare(left, right);
}

// Groups rows by instrument with a counting sort, which keeps their order: what is left to sort is
// each instrument's own rows, and those mostly arrive in order of time.
static enum k2_status group_by_instrument(const struct k2_row_batch *batch, uint32_t *order,
                                          struct k2_error *error)
{
    uint32_t least = UINT32_MAX, greatest = 0;
    for (size_t i = 0; i < batch->row_count; i++) {
        uint32_t instrument = batch->keys[i].instrument;
        least = instrument < least ? instrument : least;
        greatest = instrument > greatest ? instrument : greatest;
    }
    size_t span = batch->row_count == 0 ? 0 : (size_t)(greatest - least) + 1;
    if (span > (size_t)4 * K2_GROUP_ROWS) { // few rows of far apart ids: the merge does it all
        for (size_t i = 0; i < batch->row_count; i++) {
            order[i] = (uint32_t)i;
        }
        return K2_OK;
    }
    uint32_t *starts = k2_alloc_zero(span + 1, sizeof *starts);
    if (starts == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "sort: out of memory");
    }
    for (size_t i = 0; i < batch->row_count; i++) {
        starts[batch->keys[i].instrument - least + 1]++;
    }
    for (size_t i = 1; i <= span; i++) {
        starts[i] += starts[i - 1];
    }
    for (size_t i = 0; i < batch->row_count; i++) {
        order[starts[batch->keys[i].instrument - least]++] = (uint32_t)i;
    }
    k2_free(starts);
    return K2_OK;
}

static size_t run_end(const struct k2_row_key *keys, const uint32_t *order, size_t start,
                      size_t count)
{
    size_t end = start + 1;
    while (end < count && compare(&keys[order[end - 1]], &keys[order[end]]) <= 0) {
        end++;
    }
    return end;
}

static void merge(const struct k2_row_key *keys, const uint32_t *from, size_t start, size_t middle,
                  size_t end, uint32_t *to)
{
    size_t left = start, right = middle;
    for (size_t i = start; i < end; i++) {
        bool take_left =
            right >= end || (left < middle && compare(&keys[from[left]], &keys[from[right]]) <= 0);
        to[i] = take_left ? from[left++] : from[right++];
    }
}

// Rows of one key (versions of it, in a rewrite) by the snapshots that brought them.
static void order_versions(const struct k2_row_batch *batch, uint32_t *order)
{
    bool versions = batch->commits != NULL && (batch->ops != NULL || batch->untils != NULL);
    for (size_t i = 1; versions && i < batch->row_count; i++) {
        uint32_t row = order[i];
        size_t place = i;
        while (place > 0 && compare(&batch->keys[order[place - 1]], &batch->keys[row]) == 0 &&
               batch->commits[order[place - 1]] > batch->commits[row]) {
            order[place] = order[place - 1];
            place--;
        }
        order[place] = row;
    }
}

enum k2_status k2_row_order(const struct k2_row_batch *batch, uint32_t *order,
                            struct k2_error *error)
{
    size_t count = batch->row_count;
    enum k2_status status = group_by_instrument(batch, order, error);
    if (status != K2_OK || count == 0) {
        return status;
    }
    if (run_end(batch->keys, order, 0, count) == count) {
        order_versions(batch, order);
        return K2_OK;
    }
    uint32_t *other = k2_alloc_zero(count, sizeof *other);
    if (other == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "sort: out of memory");
    }
    uint32_t *from = order, *to = other;
    for (bool merged = true; merged;) { // a pass merges runs pairwise, until one is left
        merged = false;
        for (size_t start = 0; start < count;) {
            size_t middle = run_end(batch->keys, from, start, count);
            size_t end = middle < count ? run_end(batch->keys, from, middle, count) : middle;
            merge(batch->keys, from, start, middle, end, to);
            merged |= middle < end && (start > 0 || end < count);
            start = end;
        }
        uint32_t *swap = from;
        from = to;
        to = swap;
    }
    if (from != order) {
        memcpy(order, from, count * sizeof *order);
    }
    k2_free(other);
    order_versions(batch, order);
    return K2_OK;
}
