#include "engine/scan_window.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/alloc.h"
#include "format/codec/bitpack.h"

enum {
    LEAST_ROWS = 16,       // of a window, however little memory there is
    FIRST_TEXT_BYTES = 24, // guess for a text before one was seen
    MAX_OPEN_READERS = 8192,
    TEXT_MEMO = 64, // texts of a block that were copied a moment ago
};

enum k2_status k2_scan_window_init(struct k2_scan_window *window,
                                   const struct k2_scan_layout *layout, struct k2_room_pool *rooms,
                                   size_t memory_bytes, struct k2_error *error)
{
    *window =
        (struct k2_scan_window){.layout = layout, .rooms = rooms, .memory_bytes = memory_bytes};
    window->columns = k2_alloc_zero(layout->slot_count, sizeof *window->columns);
    if (window->columns == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "scan: no memory for a window");
    }
    for (size_t i = 0; i < layout->slot_count; i++) {
        window->text_row_bytes += k2_kind_is_fixed(layout->slots[i].kind) ? 0 : FIRST_TEXT_BYTES;
    }
    for (size_t i = 0; i < layout->output_count; i++) {
        window->with_commit = window->with_commit || layout->outputs[i].slot == K2_SLOT_COMMIT;
    }
    return K2_OK;
}

static void free_column(struct k2_window_column *column)
{
    k2_free(column->values);
    k2_free(column->texts);
    k2_free(column->valid);
    *column = (struct k2_window_column){0};
}

static void free_refs(struct k2_scan_window *window)
{
    k2_free(window->refs);
    k2_free(window->spare_refs);
    k2_free(window->row_runs);
    window->refs = window->spare_refs = NULL;
    window->row_runs = NULL;
    window->ref_capacity = 0;
}

void k2_scan_window_deinit(struct k2_scan_window *window)
{
    for (size_t i = 0; window->columns != NULL && i < window->layout->slot_count; i++) {
        free_column(&window->columns[i]);
    }
    k2_free(window->columns);
    k2_free(window->runs);
    k2_free(window->run_order);
    free_refs(window);
    k2_text_arena_deinit(&window->texts);
    k2_room_pool_give(window->rooms, window->store);
    *window = (struct k2_scan_window){0};
}

size_t k2_scan_window_room(const struct k2_scan_window *window)
{
    size_t row_bytes = 2 * sizeof(uint64_t) + sizeof(uint32_t) + window->text_row_bytes;
    for (size_t i = 0; i < window->layout->slot_count; i++) {
        bool is_fixed = k2_kind_is_fixed(window->layout->slots[i].kind);
        if (i == K2_SLOT_COMMIT && !window->with_commit) {
            continue; // it is looked at, but not kept
        }
        row_bytes += 1 + (is_fixed ? sizeof(int64_t) : sizeof(struct k2_slice));
    }
    size_t rows = window->memory_bytes / row_bytes;
    return rows < LEAST_ROWS ? LEAST_ROWS : rows;
}

static enum k2_status add_run(struct k2_scan_window *window, struct k2_window_run run,
                              struct k2_error *error)
{
    if (run.row_count == 0) {
        return K2_OK;
    }
    if (window->run_count == window->run_capacity) {
        size_t capacity = window->run_capacity == 0 ? 64 : window->run_capacity * 2;
        struct k2_window_run *runs = k2_realloc(window->runs, capacity, sizeof *runs);
        if (runs == NULL) {
            return k2_fail(error, K2_NO_MEMORY, "scan: no memory for %zu runs", capacity);
        }
        window->runs = runs;
        uint32_t *run_order = k2_realloc(window->run_order, capacity, sizeof *run_order);
        if (run_order == NULL) {
            return k2_fail(error, K2_NO_MEMORY, "scan: no memory for %zu runs", capacity);
        }
        window->run_order = run_order;
        window->run_capacity = capacity;
    }
    if (window->row_count + run.row_count > UINT32_MAX / 2) {
        return k2_fail(error, K2_LIMIT, "scan: over 2^31 rows have one time");
    }
    run.base = (uint32_t)window->row_count;
    window->runs[window->run_count++] = run;
    window->row_count += run.row_count;
    return K2_OK;
}

// Adds the rows of `run` that count.
static enum k2_status add_visible(struct k2_scan_window *window, struct k2_group_set *set,
                                  struct k2_group_cursor *cursor, struct k2_window_run run,
                                  struct k2_error *error)
{
    uint32_t end = run.first_row + run.row_count, stop;
    enum k2_status status = K2_OK;
    for (uint32_t row = run.first_row; status == K2_OK && row < end; row = stop) {
        status = k2_group_set_visible(set, cursor, end, &row, &stop, error);
        if (status == K2_OK) {
            run.first_row = row;
            run.row_count = stop - row;
            status = add_run(window, run, error);
        }
    }
    return status;
}

static enum k2_status collect_group(struct k2_scan_window *window, struct k2_group_set *set,
                                    size_t group_index, int64_t first_ns, int64_t last_ns,
                                    size_t room, struct k2_error *error)
{
    struct k2_group_cursor *cursor;
    enum k2_status status = k2_group_set_cursor(set, group_index, &cursor, error);
    if (status == K2_OK) {
        status = k2_group_set_wanted(set, cursor, error);
    }
    for (size_t i = 0; status == K2_OK && i < cursor->wanted_count; i++) {
        const struct k2_wanted_entry *wanted = &cursor->wanted[i];
        const struct k2_directory_entry *entry = &cursor->entries[wanted->entry];
        if (entry->time_min_ns > last_ns || entry->time_max_ns < first_ns) {
            continue;
        }
        uint32_t begin, end;
        status =
            k2_group_set_locate(set, cursor, wanted->entry, first_ns, last_ns, &begin, &end, error);
        if (status != K2_OK || begin >= end) {
            continue;
        }
        struct k2_window_run run = {(uint32_t)group_index, wanted->number, begin, end - begin, 0};
        status = add_visible(window, set, cursor, run, error);
        if (window->row_count > room) {
            break;
        }
    }
    return status;
}

enum k2_status k2_scan_window_collect(struct k2_scan_window *window, struct k2_group_set *set,
                                      int64_t first_ns, int64_t last_ns, bool *fits,
                                      struct k2_error *error)
{
    window->run_count = 0;
    window->row_count = 0;
    window->begin = window->end = 0;
    window->decoded_rows = 0;
    window->order = NULL;
    k2_text_arena_clear(&window->texts);
    for (size_t i = 0; i < window->layout->slot_count; i++) {
        window->columns[i].loaded = false;
    }
    if (set->open_readers > MAX_OPEN_READERS) {
        k2_group_set_close_readers(set);
    }
    size_t room = first_ns == last_ns ? SIZE_MAX : k2_scan_window_room(window);
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < set->plan.group_count && window->row_count <= room; i++) {
        const struct k2_plan_group *group = &set->plan.groups[i];
        if (group->time_min_ns <= last_ns && group->time_max_ns >= first_ns &&
            k2_group_set_has_some(set, group)) {
            status = collect_group(window, set, i, first_ns, last_ns, room, error);
        }
        if (status != K2_OK) {
            return status;
        }
    }
    *fits = window->row_count <= room;
    return K2_OK;
}

static enum k2_status no_memory(size_t row_count, struct k2_error *error)
{
    return k2_fail(error, K2_NO_MEMORY, "scan: no memory for a window of %zu rows", row_count);
}

static enum k2_status prepare_column(struct k2_scan_window *window, size_t slot,
                                     struct k2_error *error)
{
    struct k2_window_column *column = &window->columns[slot];
    column->has_nulls = false;
    if (column->capacity >= window->row_count) {
        return K2_OK;
    }
    free_column(column);
    size_t count = window->row_count;
    bool is_fixed = k2_kind_is_fixed(window->layout->slots[slot].kind);
    if (is_fixed) {
        column->values = k2_alloc_aligned(count * sizeof *column->values);
    } else {
        column->texts = k2_alloc(count * sizeof *column->texts);
    }
    column->valid = k2_alloc(count);
    if (column->valid == NULL || (is_fixed ? column->values == NULL : column->texts == NULL)) {
        free_column(column);
        return no_memory(count, error);
    }
    column->capacity = count;
    return K2_OK;
}

struct text_memo {
    struct k2_slice from[TEXT_MEMO], copy[TEXT_MEMO];
};

// Copies texts out of a block. Rows that share one text (a dictionary) mostly share the copy.
static bool copy_texts(struct k2_text_arena *arena, struct text_memo *memo,
                       const struct k2_slice *from, uint32_t count, struct k2_slice *to)
{
    assert(from != NULL);
    for (uint32_t i = 0; i < count; i++) {
        size_t place = ((uintptr_t)from[i].data >> 2 ^ (uintptr_t)from[i].data) % TEXT_MEMO;
        if (memo->from[place].data != from[i].data ||
            memo->from[place].size_bytes != from[i].size_bytes) {
            memo->from[place] = (struct k2_slice){0};
            if (!k2_text_arena_copy(arena, from[i], &memo->copy[place])) {
                return false;
            }
            memo->from[place] = from[i];
        }
        to[i] = memo->copy[place];
    }
    return true;
}

// Copies `count` rows of a decoded block, from its row `from` on, to `position` of the window.
static bool copy_rows(struct k2_scan_window *window, struct k2_window_column *column,
                      const struct k2_vector *vector, struct text_memo *memo, uint32_t from,
                      uint32_t count, uint32_t position)
{
    if (vector->valid == NULL) {
        memset(column->valid + position, 1, count);
    } else {
        memcpy(column->valid + position, vector->valid + from, count);
        column->has_nulls = true;
    }
    if (column->values != NULL) {
        assert(vector->values != NULL);
        memcpy(column->values + position, vector->values + from, count * sizeof(int64_t));
        return true;
    }
    return copy_texts(&window->texts, memo, vector->texts + from, count, column->texts + position);
}

// Where a window begins or ends, the times of the block are decoded already.
static enum k2_status decode_for(struct k2_scan_window *window, struct k2_group_set *set,
                                 const struct k2_window_run *run, size_t slot, uint32_t block,
                                 struct k2_vector *vector, struct k2_error *error)
{
    struct k2_group_cursor *cursor = &set->cursors[run->cursor];
    if (slot != K2_SLOT_TIME) {
        return k2_group_set_decode(set, cursor, slot, block, window->store, vector, error);
    }
    const struct k2_vector *times;
    enum k2_status status = k2_group_set_block(set, cursor, slot, block, &times, error);
    if (status == K2_OK) {
        *vector = *times;
    }
    return status;
}

// Decodes one slot for all runs; runs of a group stand together and in row order, so that each
// block is decoded once.
static enum k2_status load_column(struct k2_scan_window *window, struct k2_group_set *set,
                                  size_t slot, struct k2_error *error)
{
    struct k2_window_column *column = &window->columns[slot];
    if (column->loaded) {
        return K2_OK;
    }
    enum k2_status status = prepare_column(window, slot, error);
    if (status == K2_OK && window->store == NULL) {
        window->store = k2_room_pool_take(window->rooms, sizeof *window->store);
        status = window->store == NULL ? no_memory(K2_VECTOR_ROWS, error) : K2_OK;
    }
    struct text_memo memo = {0};
    struct k2_vector vector = {0};
    uint32_t decoded_cursor = UINT32_MAX, decoded_block = 0;
    for (size_t i = 0; status == K2_OK && i < window->run_count; i++) {
        const struct k2_window_run *run = &window->runs[i];
        uint32_t end = run->first_row + run->row_count;
        for (uint32_t row = run->first_row; row < end;) {
            uint32_t block = row / K2_BLOCK_ROWS, base = block * K2_BLOCK_ROWS;
            if (decoded_cursor != run->cursor || decoded_block != block) {
                status = decode_for(window, set, run, slot, block, &vector, error);
                if (status != K2_OK) {
                    return status;
                }
                decoded_cursor = run->cursor;
                decoded_block = block;
                window->decoded_rows += slot == K2_SLOT_TIME ? K2_BLOCK_ROWS : 0;
                memo = (struct text_memo){0};
            }
            uint32_t stop = end - base < K2_BLOCK_ROWS ? end : base + K2_BLOCK_ROWS;
            if (!copy_rows(window, column, &vector, &memo, row - base, stop - row,
                           run->base + (row - run->first_row))) {
                return no_memory(window->row_count, error);
            }
            row = stop;
            if (window->texts.used_bytes > window->text_ceiling_bytes) {
                return K2_OK; // not loaded, as the caller sees
            }
        }
    }
    column->loaded = status == K2_OK;
    return status;
}

// True if the positions are already in time order: each run ends before the next begins.
static bool runs_follow_each_other(const struct k2_scan_window *window)
{
    const int64_t *times = window->columns[K2_SLOT_TIME].values;
    for (size_t i = 1; i < window->run_count; i++) {
        uint32_t base = window->runs[i].base;
        bool continues = window->runs[i].cursor == window->runs[i - 1].cursor &&
                         window->runs[i].number == window->runs[i - 1].number &&
                         window->runs[i].first_row > window->runs[i - 1].first_row;
        if (times[base - 1] > times[base] || (times[base - 1] == times[base] && !continues)) {
            return false;
        }
    }
    return true;
}

static size_t position_of(const struct k2_scan_window *window, uint64_t ref)
{
    return (size_t)(ref & (((uint64_t)1 << window->position_bits) - 1));
}

struct row_order {
    const struct k2_scan_window *window;
    const uint32_t *ranks;
};

static int compare_rows(const void *left, const void *right, void *context)
{
    const struct row_order *by = context;
    const struct k2_scan_window *window = by->window;
    size_t a = position_of(window, *(const uint64_t *)left);
    size_t b = position_of(window, *(const uint64_t *)right);
    uint32_t rank_a = by->ranks[window->runs[window->row_runs[a]].number];
    uint32_t rank_b = by->ranks[window->runs[window->row_runs[b]].number];
    const int64_t *times = window->columns[K2_SLOT_TIME].values;
    const int64_t *epochs = window->columns[K2_SLOT_EPOCH].values;
    const int64_t *sequences = window->columns[K2_SLOT_SEQUENCE].values;
    if (times[a] != times[b]) {
        return times[a] < times[b] ? -1 : 1;
    }
    if (rank_a != rank_b) {
        return rank_a < rank_b ? -1 : 1;
    }
    if (epochs[a] != epochs[b]) {
        return epochs[a] < epochs[b] ? -1 : 1;
    }
    return (sequences[a] > sequences[b]) - (sequences[a] < sequences[b]);
}

// True if rows of one instrument that came with different runs stand side by side: rows of equal
// keys are in the order of (instrument, run), so that epoch and sequence are not settled for them.
static bool runs_meet(const struct k2_scan_window *window, const uint64_t *refs, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        uint32_t run = window->row_runs[position_of(window, refs[i])];
        uint32_t previous = window->row_runs[position_of(window, refs[i - 1])];
        if (run != previous && window->runs[run].number == window->runs[previous].number) {
            return true;
        }
    }
    return false;
}

// Sorts the rows of equal keys by all that is left: always when keys were cut (`inexact`).
static enum k2_status settle_ties(struct k2_scan_window *window, struct k2_group_set *set,
                                  uint64_t *refs, bool inexact, struct k2_error *error)
{
    struct row_order by = {window, set->names->ranks};
    enum k2_status status = K2_OK;
    size_t end;
    for (size_t begin = 0; status == K2_OK && begin < window->row_count; begin = end) {
        uint64_t key = refs[begin] >> window->position_bits;
        end = begin + 1;
        while (end < window->row_count && refs[end] >> window->position_bits == key) {
            end++;
        }
        if (end - begin == 1 || (!inexact && !runs_meet(window, refs + begin, end - begin))) {
            continue;
        }
        status = load_column(window, set, K2_SLOT_EPOCH, error);
        if (status == K2_OK) {
            status = load_column(window, set, K2_SLOT_SEQUENCE, error);
        }
        if (status == K2_OK) {
            qsort_r(refs + begin, end - begin, sizeof *refs, compare_rows, &by);
        }
    }
    return status;
}

static enum k2_status prepare_refs(struct k2_scan_window *window, struct k2_error *error)
{
    if (window->ref_capacity >= window->row_count) {
        return K2_OK;
    }
    free_refs(window);
    window->refs = k2_alloc_aligned(window->row_count * sizeof *window->refs);
    window->spare_refs = k2_alloc_aligned(window->row_count * sizeof *window->refs);
    window->row_runs = k2_alloc(window->row_count * sizeof *window->row_runs);
    if (window->refs == NULL || window->spare_refs == NULL || window->row_runs == NULL) {
        free_refs(window);
        return no_memory(window->row_count, error);
    }
    window->ref_capacity = window->row_count;
    return K2_OK;
}

// Writes a ref for each row, by (exchange, symbol) and run. Times are cut by `cut_bits`.
static void fill_refs(struct k2_scan_window *window, int64_t first_ns, unsigned cut_bits)
{
    const int64_t *times = window->columns[K2_SLOT_TIME].values;
    size_t filled = 0;
    for (size_t i = 0; i < window->run_count; i++) {
        uint32_t run_index = window->run_order[i];
        const struct k2_window_run *run = &window->runs[run_index];
        for (uint32_t position = run->base; position < run->base + run->row_count; position++) {
            uint64_t key = ((uint64_t)times[position] - (uint64_t)first_ns) >> cut_bits;
            window->refs[filled++] = key << window->position_bits | position;
            window->row_runs[position] = run_index;
        }
    }
    assert(filled == window->row_count);
}

// Stable by time over rows laid out by (exchange, symbol), so that time and name are settled.
static enum k2_status sort_rows(struct k2_scan_window *window, struct k2_group_set *set,
                                int64_t first_ns, int64_t last_ns, struct k2_error *error)
{
    enum k2_status status = prepare_refs(window, error);
    if (status == K2_OK) {
        status = k2_name_set_order(set->names, &window->runs[0].number, sizeof window->runs[0],
                                   window->run_count, window->run_order, error);
    }
    if (status != K2_OK) {
        return status;
    }
    window->position_bits = k2_bitpack_width(window->row_count - 1);
    unsigned time_bits = k2_bitpack_width((uint64_t)last_ns - (uint64_t)first_ns);
    unsigned room_bits = 64 - window->position_bits;
    unsigned cut_bits = time_bits > room_bits ? time_bits - room_bits : 0;
    fill_refs(window, first_ns, cut_bits);
    uint64_t *sorted = k2_sort_by_high_bits(window->refs, window->spare_refs, window->row_count,
                                            window->position_bits);
    window->order = sorted;
    return settle_ties(window, set, sorted, cut_bits > 0, error);
}

enum k2_status k2_scan_window_load(struct k2_scan_window *window, struct k2_group_set *set,
                                   int64_t first_ns, int64_t last_ns, bool *fits,
                                   struct k2_error *error)
{
    *fits = true;
    window->end = window->row_count;
    if (window->row_count == 0) {
        return K2_OK;
    }
    window->text_ceiling_bytes = first_ns == last_ns ? SIZE_MAX : window->memory_bytes / 2;
    enum k2_status status = load_column(window, set, K2_SLOT_TIME, error);
    for (size_t i = 0; status == K2_OK && i < window->layout->output_count; i++) {
        if (window->layout->outputs[i].slot >= 0) {
            status = load_column(window, set, (size_t)window->layout->outputs[i].slot, error);
        }
        if (window->texts.used_bytes > window->text_ceiling_bytes) {
            *fits = false;
            return status;
        }
    }
    window->text_row_bytes = window->texts.used_bytes / window->row_count + 1;
    if (status == K2_OK && !runs_follow_each_other(window)) {
        status = sort_rows(window, set, first_ns, last_ns, error);
    }
    return status;
}

// The instrument of the row that stands at `index` in order.
static uint32_t number_at(const struct k2_scan_window *window, size_t index)
{
    if (window->order != NULL) {
        size_t position = position_of(window, window->order[index]);
        return window->runs[window->row_runs[position]].number;
    }
    size_t low = 0, high = window->run_count; // the last run whose base is at or below the index
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (window->runs[middle].base <= index) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return window->runs[low].number;
}

static int compare_to_key(const struct k2_scan_window *window, const struct k2_name_set *names,
                          size_t index, const struct k2_scan_key *key)
{
    size_t position = window->order == NULL ? index : position_of(window, window->order[index]);
    int64_t time_ns = window->columns[K2_SLOT_TIME].values[position];
    if (time_ns != key->time_ns) {
        return time_ns < key->time_ns ? -1 : 1;
    }
    struct k2_instrument_name name = {key->exchange, key->symbol};
    int order = k2_instrument_name_compare(names->names[number_at(window, index)], name);
    if (order != 0) {
        return order;
    }
    assert(window->columns[K2_SLOT_EPOCH].values != NULL);
    int64_t epoch = window->columns[K2_SLOT_EPOCH].values[position];
    if (epoch != key->epoch) {
        return epoch < key->epoch ? -1 : 1;
    }
    int64_t sequence = window->columns[K2_SLOT_SEQUENCE].values[position];
    return (sequence > key->sequence) - (sequence < key->sequence);
}

enum k2_status k2_scan_window_trim(struct k2_scan_window *window, struct k2_group_set *set,
                                   const struct k2_scan_key *key, bool from_end,
                                   struct k2_error *error)
{
    if (window->begin == window->end) {
        return K2_OK;
    }
    enum k2_status status = load_column(window, set, K2_SLOT_EPOCH, error);
    if (status == K2_OK) {
        status = load_column(window, set, K2_SLOT_SEQUENCE, error);
    }
    if (status != K2_OK) {
        return status;
    }
    size_t low = window->begin, high = window->end; // the first row behind (at) the key
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_to_key(window, set->names, middle, key);
        if (order < 0 || (order == 0 && !from_end)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (from_end) {
        window->end = low;
    } else {
        window->begin = low;
    }
    return K2_OK;
}

// Where the next rows lie, in the order in which they go out.
static void take_positions(const struct k2_scan_window *window, bool backwards, size_t row_count,
                           uint32_t *positions)
{
    for (size_t i = 0; i < row_count; i++) {
        size_t index = backwards ? window->end - 1 - i : window->begin + i;
        positions[i] =
            (uint32_t)(window->order == NULL ? index : position_of(window, window->order[index]));
    }
}

static void emit_names(const struct k2_scan_window *window, const struct k2_name_set *names,
                       bool backwards, size_t row_count, int output, struct k2_vector_store *store,
                       struct k2_vector *vector)
{
    for (size_t i = 0; i < row_count; i++) {
        size_t index = backwards ? window->end - 1 - i : window->begin + i;
        const struct k2_instrument_name *name = &names->names[number_at(window, index)];
        store->texts[i] = output == K2_OUTPUT_EXCHANGE ? name->exchange : name->symbol;
    }
    vector->texts = store->texts;
}

// The rows lie one behind the other: nothing needs to move.
static void emit_in_place(const struct k2_window_column *column, size_t begin,
                          struct k2_vector *vector)
{
    vector->values = column->values == NULL ? NULL : column->values + begin;
    vector->texts = column->texts == NULL ? NULL : column->texts + begin;
    vector->valid = column->has_nulls ? column->valid + begin : NULL;
}

static void emit_gathered(const struct k2_window_column *column, const uint32_t *positions,
                          size_t row_count, struct k2_vector_store *store, struct k2_vector *vector)
{
    if (column->values != NULL) {
        for (size_t i = 0; i < row_count; i++) {
            store->values[i] = column->values[positions[i]];
        }
        vector->values = store->values;
    } else {
        for (size_t i = 0; i < row_count; i++) {
            store->texts[i] = column->texts[positions[i]];
        }
        vector->texts = store->texts;
    }
    if (column->has_nulls) {
        for (size_t i = 0; i < row_count; i++) {
            store->valid[i] = column->valid[positions[i]];
        }
        vector->valid = store->valid;
    }
}

void k2_scan_window_emit(struct k2_scan_window *window, const struct k2_name_set *names,
                         bool backwards, size_t row_count, struct k2_vector_store *stores,
                         struct k2_vector *vectors)
{
    assert(row_count <= K2_VECTOR_ROWS);
    assert(row_count <= window->end - window->begin);
    uint32_t positions[K2_VECTOR_ROWS];
    bool in_place = window->order == NULL && !backwards && window->begin % 8 == 0; // alignment
    if (!in_place) {
        take_positions(window, backwards, row_count, positions);
    }
    for (size_t i = 0; i < window->layout->output_count; i++) {
        const struct k2_scan_output *output = &window->layout->outputs[i];
        vectors[i] = (struct k2_vector){.kind = output->kind, .scale = output->scale};
        if (output->slot < 0) {
            emit_names(window, names, backwards, row_count, output->slot, &stores[i], &vectors[i]);
        } else if (in_place) {
            emit_in_place(&window->columns[output->slot], window->begin, &vectors[i]);
        } else {
            emit_gathered(&window->columns[output->slot], positions, row_count, &stores[i],
                          &vectors[i]);
        }
    }
    if (backwards) {
        window->end -= row_count;
    } else {
        window->begin += row_count;
    }
}
