#include "engine/group_set.h"

#include <inttypes.h>
#include <string.h>

#include "format/base/alloc.h"

enum { MOST_NUMBERS = 1 << 22 }; // ids beyond are looked up by name every time

void k2_group_set_init(struct k2_group_set *set, const struct k2_scan_layout *layout,
                       struct k2_name_set *names, struct k2_room_pool *rooms)
{
    *set = (struct k2_group_set){.layout = layout, .names = names, .rooms = rooms};
}

static void close_readers(struct k2_group_set *set, struct k2_group_cursor *cursor)
{
    for (size_t i = 0; cursor->readers != NULL && i < set->layout->slot_count; i++) {
        if (cursor->readers[i] != NULL) {
            k2_column_reader_close(cursor->readers[i]);
            cursor->readers[i] = NULL;
            set->open_readers--;
        }
    }
    if (set->cached.cursor == cursor) {
        set->cached.cursor = NULL;
    }
}

static void close_cursor(struct k2_group_set *set, struct k2_group_cursor *cursor)
{
    close_readers(set, cursor);
    k2_free(cursor->readers);
    k2_free(cursor->absent);
    k2_free(cursor->wanted);
    if (cursor->view != NULL) {
        k2_plan_release(&set->plan, (size_t)(cursor->group - set->plan.groups));
    }
    *cursor = (struct k2_group_cursor){.group = cursor->group};
}

void k2_group_set_close_cursor(struct k2_group_set *set, size_t group_index)
{
    if (set->cursors[group_index].view != NULL) {
        close_cursor(set, &set->cursors[group_index]);
    }
}

void k2_group_set_close_readers(struct k2_group_set *set)
{
    for (size_t i = 0; i < set->plan.group_count; i++) {
        close_readers(set, &set->cursors[i]);
    }
}

static void close_plan(struct k2_group_set *set)
{
    for (size_t i = 0; set->cursors != NULL && i < set->plan.group_count; i++) {
        k2_group_set_close_cursor(set, i);
    }
    for (size_t i = 0; set->hidden != NULL && i < set->plan.group_count; i++) {
        k2_free(set->hidden[i]);
    }
    k2_free(set->hidden);
    set->hidden = NULL;
    k2_free(set->cursors);
    set->cursors = NULL;
    k2_plan_close(&set->plan);
    set->plan = (struct k2_plan){0};
}

void k2_group_set_deinit(struct k2_group_set *set)
{
    if (set->layout != NULL) {
        close_plan(set);
    }
    k2_room_pool_give(set->rooms, set->store);
    k2_free(set->numbers);
    *set = (struct k2_group_set){0};
}

enum k2_status k2_group_set_take_plan(struct k2_group_set *set, struct k2_plan *plan,
                                      struct k2_error *error)
{
    struct k2_group_cursor *cursors = k2_alloc_zero(plan->group_count, sizeof *cursors);
    if (cursors == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "scan: no memory for %zu row groups",
                       plan->group_count);
    }
    close_plan(set);
    set->plan = *plan;
    *plan = (struct k2_plan){0};
    set->cursors = cursors;
    for (size_t i = 0; i < set->plan.group_count; i++) {
        cursors[i].group = &set->plan.groups[i];
    }
    return K2_OK;
}

// Where a failure happened; views and readers know only their bytes.
static enum k2_status damaged(const struct k2_group_set *set, const struct k2_plan_group *group,
                              size_t slot, enum k2_status status, struct k2_error *error)
{
    k2_error_annotate(error, "segment %016" PRIx64 ", row group at byte %" PRIu64 ", column %s",
                      group->segment_id, group->offset, k2_scan_slot_name(set->layout, slot));
    return status;
}

static struct k2_instrument_name name_of(const struct k2_directory_entry *entry)
{
    return (struct k2_instrument_name){entry->exchange, entry->symbol};
}

// The number of an entry's instrument, a new one if it is new.
static enum k2_status number_entry(struct k2_group_set *set, const struct k2_directory_entry *entry,
                                   uint32_t *number, struct k2_error *error)
{
    uint32_t id = entry->instrument;
    if (id < set->number_capacity && set->numbers[id] != 0) {
        *number = set->numbers[id] - 1;
        if (k2_instrument_name_compare(set->names->names[*number], name_of(entry)) == 0) {
            return K2_OK;
        }
    }
    enum k2_status status = k2_name_set_add(set->names, name_of(entry), number, error);
    if (status != K2_OK || id >= MOST_NUMBERS) {
        return status;
    }
    if (id >= set->number_capacity) {
        size_t capacity = (size_t)id * 2 + 64;
        uint32_t *numbers = k2_realloc(set->numbers, capacity, sizeof *numbers);
        if (numbers == NULL) {
            return k2_fail(error, K2_NO_MEMORY, "scan: no memory for %zu instruments", capacity);
        }
        memset(numbers + set->number_capacity, 0,
               (capacity - set->number_capacity) * sizeof *numbers);
        set->numbers = numbers;
        set->number_capacity = capacity;
    }
    set->numbers[id] = *number + 1;
    return K2_OK;
}

static enum k2_status want_all(struct k2_group_set *set, struct k2_group_cursor *cursor,
                               struct k2_error *error)
{
    for (size_t i = 0; i < cursor->entry_count; i++) {
        struct k2_wanted_entry *wanted = &cursor->wanted[cursor->wanted_count++];
        wanted->entry = (uint32_t)i;
        enum k2_status status = number_entry(set, &cursor->entries[i], &wanted->number, error);
        if (status != K2_OK) {
            return status;
        }
    }
    return K2_OK;
}

// Both lists go up by id.
static void want_some(const struct k2_group_set *set, struct k2_group_cursor *cursor)
{
    size_t low = 0;
    for (size_t i = 0; i < set->instrument_count; i++) {
        const struct k2_wanted_instrument *instrument = &set->instruments[i];
        size_t high = cursor->entry_count;
        while (low < high) { // the first entry not below the id
            size_t middle = low + (high - low) / 2;
            if (cursor->entries[middle].instrument < instrument->id) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        for (; low < cursor->entry_count && cursor->entries[low].instrument == instrument->id;
             low++) {
            if (k2_instrument_name_compare(set->names->names[instrument->number],
                                           name_of(&cursor->entries[low])) == 0) {
                cursor->wanted[cursor->wanted_count++] =
                    (struct k2_wanted_entry){(uint32_t)low, instrument->number};
            }
        }
    }
}

enum k2_status k2_group_set_wanted(struct k2_group_set *set, struct k2_group_cursor *cursor,
                                   struct k2_error *error)
{
    if (cursor->wanted != NULL) {
        return K2_OK;
    }
    cursor->wanted_count = 0;
    cursor->wanted = k2_alloc(cursor->entry_count * sizeof *cursor->wanted);
    if (cursor->wanted == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "scan: no memory for a row group");
    }
    if (set->instruments != NULL) {
        want_some(set, cursor);
        return K2_OK;
    }
    enum k2_status status = want_all(set, cursor, error);
    if (status != K2_OK) {
        k2_free(cursor->wanted);
        cursor->wanted = NULL;
    }
    return status;
}

static enum k2_status open_cursor(struct k2_group_set *set, size_t group_index,
                                  struct k2_group_cursor *cursor, struct k2_error *error)
{
    enum k2_status status = k2_plan_acquire(&set->plan, group_index, &cursor->view, error);
    if (status != K2_OK) {
        cursor->view = NULL;
        return status;
    }
    // They go up by instrument and cover all rows: the view has checked it.
    cursor->entries = k2_row_group_view_directory(cursor->view, &cursor->entry_count);
    cursor->readers = k2_alloc_zero(set->layout->slot_count, sizeof(struct k2_column_reader *));
    cursor->absent = k2_alloc_zero(set->layout->slot_count, sizeof *cursor->absent);
    if (cursor->readers == NULL || cursor->absent == NULL) {
        close_cursor(set, cursor);
        return k2_fail(error, K2_NO_MEMORY, "scan: no memory for a row group");
    }
    return K2_OK;
}

enum k2_status k2_group_set_cursor(struct k2_group_set *set, size_t group_index,
                                   struct k2_group_cursor **cursor, struct k2_error *error)
{
    *cursor = &set->cursors[group_index];
    return (*cursor)->view != NULL ? K2_OK : open_cursor(set, group_index, *cursor, error);
}

// Opens the reader of a slot at its first use.
static enum k2_status need_reader(struct k2_group_set *set, struct k2_group_cursor *cursor,
                                  size_t slot, struct k2_error *error)
{
    if (cursor->readers[slot] != NULL || cursor->absent[slot]) {
        return K2_OK;
    }
    bool found = false;
    enum k2_status status = k2_column_reader_open(
        &cursor->readers[slot], cursor->view, set->layout->slots[slot].column_id, &found, error);
    if (status != K2_OK) {
        cursor->readers[slot] = NULL;
        return damaged(set, cursor->group, slot, status, error);
    }
    if (!found) {
        cursor->readers[slot] = NULL;
        cursor->absent[slot] = true;
        if (slot == K2_SLOT_TIME || slot == K2_SLOT_SEQUENCE || slot == K2_SLOT_COMMIT) {
            return damaged(set, cursor->group, slot,
                           k2_fail(error, K2_CORRUPT, "the column is missing"), error);
        }
        return K2_OK;
    }
    set->open_readers++;
    return K2_OK;
}

enum k2_status k2_group_set_reader(struct k2_group_set *set, struct k2_group_cursor *cursor,
                                   size_t slot, struct k2_column_reader **reader,
                                   struct k2_error *error)
{
    enum k2_status status = need_reader(set, cursor, slot, error);
    if (status == K2_OK) {
        *reader = cursor->readers[slot];
    }
    return status;
}

void k2_group_set_bounds(const struct k2_group_set *set, const struct k2_group_cursor *cursor,
                         size_t slot, int64_t *min, int64_t *max)
{
    size_t column_count;
    *min = INT64_MIN;
    *max = INT64_MAX;
    const struct k2_group_column *columns = k2_row_group_view_columns(cursor->view, &column_count);
    for (size_t i = 0; i < column_count; i++) {
        if (columns[i].id == set->layout->slots[slot].column_id && columns[i].stats.has_range) {
            *min = columns[i].stats.min;
            *max = columns[i].stats.max;
            return;
        }
    }
}

static void fill_default(const struct k2_scan_slot *slot, uint32_t row_count,
                         struct k2_vector_store *store, struct k2_vector *vector)
{
    const struct k2_column *column = slot->column;
    if (column == NULL) { // hidden: all rows have 0
        *vector = (struct k2_vector){.kind = slot->kind, .values = store->values};
        memset(store->values, 0, row_count * sizeof *store->values);
        return;
    }
    *vector = (struct k2_vector){.kind = slot->kind, .scale = column->scale};
    if (!column->has_default) {
        memset(store->valid, 0, row_count);
        vector->valid = store->valid;
    }
    if (k2_kind_is_fixed(slot->kind)) {
        for (uint32_t i = 0; i < row_count; i++) {
            store->values[i] = column->has_default ? column->default_value : 0;
        }
        vector->values = store->values;
        return;
    }
    struct k2_slice text = {0};
    if (column->has_default && column->default_text != NULL) {
        text = k2_slice_of(column->default_text);
    }
    for (uint32_t i = 0; i < row_count; i++) {
        store->texts[i] = text;
    }
    vector->texts = store->texts;
}

enum k2_status k2_group_set_decode(struct k2_group_set *set, struct k2_group_cursor *cursor,
                                   size_t slot, uint32_t block, struct k2_vector_store *store,
                                   struct k2_vector *vector, struct k2_error *error)
{
    enum k2_status status = need_reader(set, cursor, slot, error);
    if (status != K2_OK) {
        return status;
    }
    const struct k2_scan_slot *wanted = &set->layout->slots[slot];
    uint32_t expected = k2_group_cursor_block_rows(cursor, block);
    if (cursor->absent[slot]) {
        fill_default(wanted, expected, store, vector);
        return K2_OK;
    }
    uint32_t row_count = 0;
    status =
        k2_column_reader_decode(cursor->readers[slot], block, store, vector, &row_count, error);
    if (status == K2_OK &&
        (row_count != expected ||
         (k2_kind_is_fixed(wanted->kind) ? vector->values == NULL : vector->texts == NULL))) {
        status = k2_fail(
            error, K2_CORRUPT,
            "block %" PRIu32 " has %" PRIu32 " rows of kind %s, expected %" PRIu32 " of kind %s",
            block, row_count, k2_kind_name(vector->kind), expected, k2_kind_name(wanted->kind));
    }
    if (status != K2_OK) {
        return damaged(set, cursor->group, slot, status, error);
    }
    vector->kind = wanted->kind;
    return K2_OK;
}

enum k2_status k2_group_set_block(struct k2_group_set *set, struct k2_group_cursor *cursor,
                                  size_t slot, uint32_t block, const struct k2_vector **vector,
                                  struct k2_error *error)
{
    *vector = &set->cached.vector;
    if (k2_group_set_cached(set, cursor, slot, block) != NULL) {
        return K2_OK;
    }
    set->cached.cursor = NULL;
    if (set->store == NULL) {
        set->store = k2_room_pool_take(set->rooms, sizeof *set->store);
        if (set->store == NULL) {
            return k2_fail(error, K2_NO_MEMORY, "scan: no memory for a block");
        }
    }
    enum k2_status status =
        k2_group_set_decode(set, cursor, slot, block, set->store, &set->cached.vector, error);
    if (status == K2_OK) {
        set->cached.cursor = cursor;
        set->cached.slot = slot;
        set->cached.block = block;
    }
    return status;
}

static uint32_t first_at_or_after(const int64_t *times, uint32_t begin, uint32_t end,
                                  int64_t time_ns)
{
    while (begin < end) {
        uint32_t middle = begin + (end - begin) / 2;
        if (times[middle] < time_ns) {
            begin = middle + 1;
        } else {
            end = middle;
        }
    }
    return begin;
}

// The first row in [begin, end), sorted by time, that is at or after `time_ns`; else `end`.
// Block bounds decide where they can, so that usually one block is decoded.
static enum k2_status find_edge(struct k2_group_set *set, struct k2_group_cursor *cursor,
                                uint32_t begin, uint32_t end, int64_t time_ns, uint32_t *edge,
                                struct k2_error *error)
{
    enum k2_status status = need_reader(set, cursor, K2_SLOT_TIME, error);
    while (status == K2_OK && begin < end) {
        uint32_t block = (begin + (end - begin) / 2) / K2_BLOCK_ROWS;
        uint32_t base = block * K2_BLOCK_ROWS;
        uint32_t low = begin > base ? begin : base;
        uint32_t high = end - base < K2_BLOCK_ROWS ? end : base + K2_BLOCK_ROWS;
        int64_t min, max;
        if (k2_column_reader_bounds(cursor->readers[K2_SLOT_TIME], block, &min, &max)) {
            if (max < time_ns) {
                begin = high;
                continue;
            }
            if (min >= time_ns) {
                end = low;
                continue;
            }
        }
        const struct k2_vector *times;
        status = k2_group_set_block(set, cursor, K2_SLOT_TIME, block, &times, error);
        if (status != K2_OK) {
            break;
        }
        uint32_t row = base + first_at_or_after(times->values, low - base, high - base, time_ns);
        if (row == high) {
            begin = high;
        } else if (row == low) {
            end = low;
        } else {
            begin = end = row;
        }
    }
    *edge = end;
    return status;
}

enum k2_status k2_group_set_locate(struct k2_group_set *set, struct k2_group_cursor *cursor,
                                   size_t entry_index, int64_t first_ns, int64_t last_ns,
                                   uint32_t *begin, uint32_t *end, struct k2_error *error)
{
    const struct k2_directory_entry *entry = &cursor->entries[entry_index];
    *begin = entry->first_row;
    *end = entry->first_row + entry->row_count;
    if (entry->time_min_ns > last_ns || entry->time_max_ns < first_ns) {
        *end = *begin;
        return K2_OK;
    }
    enum k2_status status = K2_OK;
    if (entry->time_min_ns < first_ns) {
        status = find_edge(set, cursor, *begin, *end, first_ns, begin, error);
    }
    if (status == K2_OK && entry->time_max_ns > last_ns) { // so last_ns + 1 exists
        status = find_edge(set, cursor, *begin, *end, last_ns + 1, end, error);
    }
    return status;
}

static bool counts(const struct k2_group_set *set, uint64_t commit)
{
    return commit <= set->snapshot && (set->commit_after == 0 || commit > set->commit_after);
}

bool k2_group_set_has_some(const struct k2_group_set *set, const struct k2_plan_group *group)
{
    return group->commit_min <= set->snapshot &&
           (set->commit_after == 0 || group->commit_max > set->commit_after);
}

// The bits of rows of a group that were replaced or deleted; NULL: there are none.
static const uint64_t *hidden_rows(const struct k2_group_set *set,
                                   const struct k2_group_cursor *cursor)
{
    return set->hidden == NULL ? NULL : set->hidden[cursor - set->cursors];
}

static bool sees_commits(const struct k2_group_set *set, const struct k2_group_cursor *cursor)
{
    return cursor->group->commit_max <= set->snapshot &&
           (set->commit_after == 0 || cursor->group->commit_min > set->commit_after);
}

bool k2_group_set_sees_all(const struct k2_group_set *set, const struct k2_group_cursor *cursor)
{
    return sees_commits(set, cursor) && hidden_rows(set, cursor) == NULL;
}

// Passes rows of one block that are all seen (or not), as far as `end`: *row moves to the first
// that is not.
static enum k2_status pass_block(struct k2_group_set *set, struct k2_group_cursor *cursor,
                                 bool seen, uint32_t end, uint32_t *row, struct k2_error *error)
{
    uint32_t block = *row / K2_BLOCK_ROWS, base = block * K2_BLOCK_ROWS;
    uint32_t stop = end - base < K2_BLOCK_ROWS ? end : base + K2_BLOCK_ROWS;
    enum k2_status status = need_reader(set, cursor, K2_SLOT_COMMIT, error);
    int64_t min, max;
    if (status == K2_OK &&
        k2_column_reader_bounds(cursor->readers[K2_SLOT_COMMIT], block, &min, &max)) {
        bool all = counts(set, (uint64_t)min) && counts(set, (uint64_t)max);
        bool none = (uint64_t)min > set->snapshot ||
                    (set->commit_after > 0 && (uint64_t)max <= set->commit_after);
        if (all || none) {
            *row = all == seen ? stop : *row;
            return K2_OK;
        }
    }
    const struct k2_vector *commits;
    if (status == K2_OK) {
        status = k2_group_set_block(set, cursor, K2_SLOT_COMMIT, block, &commits, error);
    }
    while (status == K2_OK && *row < stop &&
           counts(set, (uint64_t)commits->values[*row - base]) == seen) {
        ++*row;
    }
    return status;
}

// Moves *row behind the rows that are seen (or not).
static enum k2_status pass_rows(struct k2_group_set *set, struct k2_group_cursor *cursor, bool seen,
                                uint32_t end, uint32_t *row, struct k2_error *error)
{
    enum k2_status status = K2_OK;
    uint32_t before;
    do { // as long as whole blocks pass
        before = *row;
        if (before < end) {
            status = pass_block(set, cursor, seen, end, row, error);
        }
    } while (status == K2_OK && *row != before && *row % K2_BLOCK_ROWS == 0);
    return status;
}

static enum k2_status visible_by_commit(struct k2_group_set *set, struct k2_group_cursor *cursor,
                                        uint32_t end, uint32_t *begin, uint32_t *stop,
                                        struct k2_error *error)
{
    if (*begin >= end || sees_commits(set, cursor)) {
        *stop = end;
        return K2_OK;
    }
    enum k2_status status = pass_rows(set, cursor, false, end, begin, error);
    *stop = *begin;
    return status == K2_OK ? pass_rows(set, cursor, true, end, stop, error) : status;
}

static uint32_t pass_bits(const uint64_t *bits, bool set, uint32_t row, uint32_t end)
{
    while (row < end && (bits[row / 64] >> row % 64 & 1) == set) {
        row++;
    }
    return row;
}

enum k2_status k2_group_set_visible(struct k2_group_set *set, struct k2_group_cursor *cursor,
                                    uint32_t end, uint32_t *begin, uint32_t *stop,
                                    struct k2_error *error)
{
    const uint64_t *hidden = hidden_rows(set, cursor);
    if (hidden == NULL) {
        return visible_by_commit(set, cursor, end, begin, stop, error);
    }
    enum k2_status status = K2_OK;
    uint32_t shown_end;
    do {
        *begin = pass_bits(hidden, true, *begin, end);
        shown_end = pass_bits(hidden, false, *begin, end);
        status = visible_by_commit(set, cursor, shown_end, begin, stop, error);
    } while (status == K2_OK && *begin >= *stop && shown_end < end);
    return status;
}
