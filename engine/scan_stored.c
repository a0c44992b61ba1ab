#include "engine/scan_stored.h"

#include <string.h>

#include "format/base/alloc.h"

// Rows of a block that are wanted, ascending.
struct selection {
    bool all;
    uint32_t base, end;                // of the block
    const struct k2_row_range *ranges; // that reach into it
    size_t range_count;
    uint32_t count;
};

void k2_scan_stored_deinit(struct k2_scan_stored *stored)
{
    k2_free(stored->ranges);
    *stored = (struct k2_scan_stored){0};
}

static enum k2_status add_range(struct k2_scan_stored *stored, uint32_t begin, uint32_t end,
                                struct k2_error *error)
{
    if (begin >= end) {
        return K2_OK;
    }
    if (stored->range_count > 0 && stored->ranges[stored->range_count - 1].end == begin) {
        stored->ranges[stored->range_count - 1].end = end;
        return K2_OK;
    }
    if (stored->range_count == stored->range_capacity) {
        size_t capacity = stored->range_capacity == 0 ? 64 : stored->range_capacity * 2;
        struct k2_row_range *ranges = k2_realloc(stored->ranges, capacity, sizeof *ranges);
        if (ranges == NULL) {
            return k2_fail(error, K2_NO_MEMORY, "scan: no memory for %zu row ranges", capacity);
        }
        stored->ranges = ranges;
        stored->range_capacity = capacity;
    }
    stored->ranges[stored->range_count++] = (struct k2_row_range){begin, end};
    return K2_OK;
}

// Adds the rows of [begin, end) that the snapshot sees.
static enum k2_status add_visible(struct k2_scan_stored *stored, struct k2_group_set *set,
                                  struct k2_group_cursor *cursor, uint32_t begin, uint32_t end,
                                  struct k2_error *error)
{
    enum k2_status status = K2_OK;
    for (uint32_t stop; status == K2_OK && begin < end; begin = stop) {
        status = k2_group_set_visible(set, cursor, end, &begin, &stop, error);
        if (status == K2_OK) {
            status = add_range(stored, begin, stop, error);
        }
    }
    return status;
}

static size_t group_index(const struct k2_scan_stored *stored)
{
    return stored->order != NULL ? stored->order[stored->group] : stored->group;
}

static enum k2_status enter_group(struct k2_scan_stored *stored, struct k2_group_set *set,
                                  const struct k2_stored_request *request,
                                  struct k2_group_cursor **cursor, struct k2_error *error)
{
    enum k2_status status = k2_group_set_cursor(set, group_index(stored), cursor, error);
    if (status != K2_OK || stored->entered) {
        return status;
    }
    const struct k2_plan_group *group = (*cursor)->group;
    stored->block = 0;
    stored->entry = stored->range = stored->range_count = 0;
    stored->whole = set->instruments == NULL && k2_group_set_sees_all(set, *cursor) &&
                    group->time_min_ns >= request->first_ns &&
                    group->time_max_ns <= request->last_ns;
    if (!stored->whole) {
        status = k2_group_set_wanted(set, *cursor, error);
    }
    for (size_t i = 0; status == K2_OK && !stored->whole && i < (*cursor)->wanted_count; i++) {
        uint32_t begin, end;
        status = k2_group_set_locate(set, *cursor, (*cursor)->wanted[i].entry, request->first_ns,
                                     request->last_ns, &begin, &end, error);
        if (status == K2_OK) {
            status = add_visible(stored, set, *cursor, begin, end, error);
        }
    }
    stored->entered = status == K2_OK;
    return status;
}

// Which rows of the next block are wanted.
static void select_rows(struct k2_scan_stored *stored, const struct k2_group_cursor *cursor,
                        struct selection *selection)
{
    uint32_t base = stored->block * K2_BLOCK_ROWS;
    uint32_t stop = base + k2_group_cursor_block_rows(cursor, stored->block);
    *selection =
        (struct selection){.base = base, .end = stop, .ranges = &stored->ranges[stored->range]};
    while (stored->range < stored->range_count && stored->ranges[stored->range].begin < stop) {
        const struct k2_row_range *range = &stored->ranges[stored->range];
        uint32_t begin = range->begin > base ? range->begin : base;
        uint32_t end = range->end < stop ? range->end : stop;
        selection->count += end - begin;
        selection->range_count++;
        if (range->end > stop) {
            break; // it reaches into the block behind
        }
        stored->range++;
    }
    selection->all = selection->count == stop - base;
}

// Moves the selected rows to the front. A vector may point into the group: then into the store.
static void compress(const struct selection *selection, struct k2_vector_store *store,
                     struct k2_vector *vector)
{
    uint32_t to = 0;
    for (size_t i = 0; i < selection->range_count; i++) {
        const struct k2_row_range *range = &selection->ranges[i];
        uint32_t first = range->begin > selection->base ? range->begin : selection->base;
        uint32_t end = range->end < selection->end ? range->end : selection->end;
        uint32_t count = end - first, from = first - selection->base;
        if (vector->values != NULL) {
            memmove(store->values + to, vector->values + from, count * sizeof *store->values);
        }
        if (vector->texts != NULL) {
            memmove(store->texts + to, vector->texts + from, count * sizeof *store->texts);
        }
        if (vector->valid != NULL) {
            memmove(store->valid + to, vector->valid + from, count);
        }
        to += count;
    }
    vector->values = vector->values != NULL ? store->values : NULL;
    vector->texts = vector->texts != NULL ? store->texts : NULL;
    vector->valid = vector->valid != NULL ? store->valid : NULL;
}

static struct k2_slice name_of(const struct k2_directory_entry *entry, int output)
{
    return output == K2_OUTPUT_EXCHANGE ? entry->exchange : entry->symbol;
}

// They may lie at two places: then they are taken to differ.
static bool is_same(struct k2_slice left, struct k2_slice right)
{
    return left.data == right.data && left.size_bytes == right.size_bytes;
}

// The names of all rows of the next block. What the store has of the first one is not written
// again.
static void fill_names(struct k2_scan_stored *stored, const struct k2_group_cursor *cursor,
                       int output, struct k2_vector_store *store)
{
    struct k2_filled_name *filled = &stored->filled[output == K2_OUTPUT_EXCHANGE];
    uint32_t base = stored->block * K2_BLOCK_ROWS;
    uint32_t rows = k2_group_cursor_block_rows(cursor, stored->block);
    while (cursor->entries[stored->entry].first_row + cursor->entries[stored->entry].row_count <=
           base) {
        stored->entry++;
    }
    size_t index = stored->entry;
    for (uint32_t row = 0, end; row < rows; row = end) {
        struct k2_slice name = name_of(&cursor->entries[index], output);
        do {
            const struct k2_directory_entry *entry = &cursor->entries[index++];
            end = entry->first_row + entry->row_count - base;
        } while (end < rows && is_same(name_of(&cursor->entries[index], output), name));
        end = end < rows ? end : rows;
        uint32_t there = row == 0 && is_same(filled->name, name) ? filled->row_count : row;
        for (uint32_t i = there; i < end; i++) {
            store->texts[i] = name;
        }
        if (row == 0) {
            *filled = (struct k2_filled_name){name, there > end ? there : end};
        } else if (filled->row_count > row) {
            filled->row_count = row; // overwritten from here on
        }
    }
}

// Sequences may be kept by the runs of equal times, for which all times of a block are needed.
static bool may_narrow(int slot)
{
    return slot != K2_SLOT_TIME;
}

// Of a block not all of whose rows are wanted, only those are decoded that lie among them.
static void narrow(struct k2_column_reader *reader, const struct selection *selection)
{
    const struct k2_row_range *last = &selection->ranges[selection->range_count - 1];
    uint32_t base = selection->base, begin = selection->ranges[0].begin;
    uint32_t end = last->end < selection->end ? last->end : selection->end;
    k2_column_reader_narrow(reader, begin > base ? begin - base : 0, end - base);
}

void k2_scan_stored_lend(const struct k2_group_set *set, struct k2_column_reader *reader,
                         const struct k2_group_cursor *cursor, uint32_t block, size_t index,
                         const struct k2_vector *vectors, bool all)
{
    const struct k2_scan_layout *layout = set->layout;
    uint16_t reference;
    if (!k2_column_reader_reference(reader, &reference)) {
        return;
    }
    const struct k2_vector *times = k2_group_set_cached(set, cursor, K2_SLOT_TIME, block);
    if (times != NULL && layout->slots[K2_SLOT_TIME].column_id == reference) {
        k2_column_reader_lend(reader, times);
        return;
    }
    for (size_t i = 0; i < index; i++) {
        const struct k2_scan_output *output = &layout->outputs[i];
        if (output->source == i && output->slot >= 0 && !cursor->absent[output->slot] &&
            (all || !may_narrow(output->slot)) &&
            layout->slots[output->slot].column_id == reference) {
            k2_column_reader_lend(reader, &vectors[i]);
            return;
        }
    }
}

static enum k2_status decode_block(struct k2_scan_stored *stored, struct k2_group_set *set,
                                   struct k2_group_cursor *cursor,
                                   const struct selection *selection,
                                   struct k2_vector_store *stores, struct k2_vector *vectors,
                                   struct k2_error *error)
{
    const struct k2_scan_output *outputs = set->layout->outputs;
    size_t count = set->layout->output_count;
    for (size_t i = 0; i < count; i++) {
        if (outputs[i].source != i) {
            continue;
        }
        if (outputs[i].slot < 0) {
            fill_names(stored, cursor, outputs[i].slot, &stores[i]);
            vectors[i] = (struct k2_vector){.kind = outputs[i].kind, .texts = stores[i].texts};
            continue;
        }
        const struct k2_vector *decoded =
            k2_group_set_cached(set, cursor, (size_t)outputs[i].slot, stored->block);
        if (decoded != NULL) {
            vectors[i] = *decoded;
            continue;
        }
        struct k2_column_reader *reader;
        enum k2_status status =
            k2_group_set_reader(set, cursor, (size_t)outputs[i].slot, &reader, error);
        if (status == K2_OK && reader != NULL) {
            k2_scan_stored_lend(set, reader, cursor, stored->block, i, vectors, selection->all);
            if (!selection->all && may_narrow(outputs[i].slot)) {
                narrow(reader, selection);
            }
        }
        if (status == K2_OK) {
            status = k2_group_set_decode(set, cursor, (size_t)outputs[i].slot, stored->block,
                                         &stores[i], &vectors[i], error);
        }
        if (status != K2_OK) {
            return status;
        }
    }
    for (size_t i = 0; i < count && !selection->all; i++) {
        if (outputs[i].source == i) {
            compress(selection, &stores[i], &vectors[i]);
        }
        memset(stored->filled, 0, sizeof stored->filled); // names have moved
    }
    for (size_t i = 0; i < count; i++) {
        vectors[i] = vectors[outputs[i].source];
    }
    return K2_OK;
}

static void leave_group(struct k2_scan_stored *stored, struct k2_group_set *set)
{
    k2_group_set_close_cursor(set, group_index(stored));
    memset(stored->filled, 0, sizeof stored->filled); // what they point to may go
    stored->group++;
    stored->entered = false;
}

enum k2_status k2_scan_stored_next(struct k2_scan_stored *stored, struct k2_group_set *set,
                                   const struct k2_stored_request *request,
                                   struct k2_vector_store *stores, struct k2_vector *vectors,
                                   size_t *row_count, struct k2_error *error)
{
    struct selection selection;
    *row_count = 0;
    size_t count = stored->order != NULL ? stored->order_count : set->plan.group_count;
    while (stored->group < count) {
        const struct k2_plan_group *group = &set->plan.groups[group_index(stored)];
        if (!stored->entered &&
            (!k2_group_set_has_some(set, group) || group->time_min_ns > request->last_ns ||
             group->time_max_ns < request->first_ns)) {
            stored->group++;
            continue;
        }
        struct k2_group_cursor *cursor;
        enum k2_status status = enter_group(stored, set, request, &cursor, error);
        if (status != K2_OK) {
            return status;
        }
        uint32_t base = stored->block * K2_BLOCK_ROWS;
        if (base >= group->row_count || (!stored->whole && stored->range == stored->range_count)) {
            leave_group(stored, set);
            continue;
        }
        if (stored->whole) {
            selection = (struct selection){
                .all = true, .count = k2_group_cursor_block_rows(cursor, stored->block)};
        } else {
            select_rows(stored, cursor, &selection);
        }
        if (status == K2_OK && selection.count > 0) {
            status = decode_block(stored, set, cursor, &selection, stores, vectors, error);
        }
        if (status != K2_OK) {
            return status;
        }
        stored->block++;
        if (selection.count > 0) {
            *row_count = selection.count;
            return K2_OK;
        }
    }
    return K2_OK;
}
