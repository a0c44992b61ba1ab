#include "engine/last_rows.h"

#include <stdlib.h>
#include <string.h>

#include "engine/block_reader.h"
#include "engine/scan_groups.h"
#include "format/base/alloc.h"

// The last row of an instrument so far.
struct candidate {
    bool found;
    uint32_t group, row; // of the span's plan
    int64_t time_ns;
};

struct finder {
    struct k2_scan *scan;
    struct k2_group_set *set;
    struct k2_name_set *names;
    struct k2_block_reader blocks; // epoch, sequence, then the columns
    size_t column_count;
    struct candidate *candidates; // by number in the name set
    size_t candidate_count, capacity;
    uint32_t *order; // candidates of the span by group and row
    // The last rows so far, by number; spans go back in time, so that what one found stays.
    int64_t *values, *times;
    bool *valid, *done;
};

enum { EPOCH = 0, SEQUENCE = 1, FIRST_COLUMN = 2 };

static enum k2_status no_memory(struct k2_error *error)
{
    return k2_fail(error, K2_NO_MEMORY, "last rows: out of memory");
}

static void close_finder(struct finder *self)
{
    k2_block_reader_deinit(&self->blocks);
    k2_scan_close(self->scan);
    k2_free(self->candidates);
    k2_free(self->order);
    k2_free(self->values);
    k2_free(self->times);
    k2_free(self->valid);
    k2_free(self->done);
}

static enum k2_status open_finder(struct finder *self, struct k2_engine *engine,
                                  const struct k2_last_request *request, struct k2_error *error)
{
    struct k2_scan_request rows = request->rows;
    const struct k2_schema *schema = rows.table->schema;
    for (size_t i = 0; i < rows.column_count; i++) {
        if (rows.columns[i] < schema->column_count &&
            !k2_kind_is_fixed(schema->columns[rows.columns[i]].kind)) {
            return k2_fail(error, K2_BAD_REQUEST, "last rows: column %s is a text",
                           schema->columns[rows.columns[i]].name);
        }
    }
    self->column_count = rows.column_count;
    rows.order = K2_ORDER_TIME_DESCENDING;
    rows.limit = 0;
    rows.after = NULL;
    rows.with_commit = false;
    rows.memory_bytes = 1;
    size_t *slots = k2_alloc((FIRST_COLUMN + self->column_count) * sizeof *slots);
    if (slots == NULL) {
        return no_memory(error);
    }
    enum k2_status status = k2_scan_open(engine, &rows, &self->scan, error);
    if (status == K2_OK) {
        self->set = k2_scan_group_set(self->scan);
        self->names = k2_scan_names(self->scan);
        slots[EPOCH] = K2_SLOT_EPOCH;
        slots[SEQUENCE] = K2_SLOT_SEQUENCE;
        for (size_t i = 0; i < self->column_count; i++) {
            slots[FIRST_COLUMN + i] = (size_t)k2_scan_layout_of(self->scan)->outputs[i].slot;
        }
        status = k2_block_reader_init(&self->blocks, self->set, slots,
                                      FIRST_COLUMN + self->column_count, error);
    }
    k2_free(slots);
    return status;
}

#define GROW(array, count) grow((void **)&(array), (count), sizeof *(array))
static bool grow(void **array, size_t count, size_t item_bytes)
{
    void *grown = k2_realloc(*array, count, item_bytes);
    *array = grown != NULL ? grown : *array;
    return grown != NULL;
}

static enum k2_status need_candidates(struct finder *self, struct k2_error *error)
{
    size_t count = self->names->count;
    if (count > self->capacity) {
        size_t capacity = count * 2;
        if (!GROW(self->candidates, capacity) || !GROW(self->order, capacity) ||
            !GROW(self->times, capacity) || !GROW(self->done, capacity) ||
            !GROW(self->values, capacity * (self->column_count + 1)) ||
            !GROW(self->valid, capacity * (self->column_count + 1))) {
            return no_memory(error);
        }
        self->capacity = capacity;
    }
    for (; self->candidate_count < count; self->candidate_count++) {
        self->candidates[self->candidate_count] = (struct candidate){0};
        self->done[self->candidate_count] = false;
    }
    return K2_OK;
}

// The last row of [begin, end) that counts, and its time.
static enum k2_status last_visible(struct finder *self, struct k2_group_cursor *cursor,
                                   const struct k2_directory_entry *entry, uint32_t begin,
                                   uint32_t end, struct candidate *last, struct k2_error *error)
{
    uint32_t stop;
    enum k2_status status = K2_OK;
    for (uint32_t row = begin; status == K2_OK && row < end; row = stop) {
        status = k2_group_set_visible(self->set, cursor, end, &row, &stop, error);
        if (status == K2_OK && row < stop) {
            last->found = true;
            last->row = stop - 1;
        }
    }
    if (status != K2_OK || !last->found) {
        return status;
    }
    if (last->row == entry->first_row + entry->row_count - 1) {
        last->time_ns = entry->time_max_ns;
        return K2_OK;
    }
    const struct k2_vector *times;
    status = k2_group_set_block(self->set, cursor, K2_SLOT_TIME, last->row / K2_BLOCK_ROWS, &times,
                                error);
    if (status == K2_OK) {
        last->time_ns = times->values[last->row % K2_BLOCK_ROWS];
    }
    return status;
}

static enum k2_status value_at(struct finder *self, const struct candidate *candidate,
                               size_t column, int64_t *value, bool *valid, struct k2_error *error)
{
    struct k2_group_cursor *cursor;
    const struct k2_vector *vector;
    uint32_t place = candidate->row % K2_BLOCK_ROWS;
    enum k2_status status = k2_group_set_cursor(self->set, candidate->group, &cursor, error);
    if (status == K2_OK) {
        status = k2_block_reader_get(&self->blocks, cursor, candidate->row / K2_BLOCK_ROWS, column,
                                     &vector, error);
    }
    if (status == K2_OK) {
        *value = vector->values[place];
        *valid = vector->valid == NULL || vector->valid[place] != 0;
    }
    return status;
}

// Is `left` behind `right`, by (time, epoch, sequence)?
static enum k2_status is_behind(struct finder *self, const struct candidate *left,
                                const struct candidate *right, bool *behind, struct k2_error *error)
{
    *behind = left->time_ns > right->time_ns;
    enum k2_status status = K2_OK;
    bool equal = left->time_ns == right->time_ns, valid;
    for (size_t column = EPOCH; status == K2_OK && equal && column <= SEQUENCE; column++) {
        int64_t a = 0, b = 0;
        status = value_at(self, left, column, &a, &valid, error);
        if (status == K2_OK) {
            status = value_at(self, right, column, &b, &valid, error);
        }
        equal = a == b;
        *behind = a > b;
    }
    return status;
}

static enum k2_status see_entry(struct finder *self, size_t group_index,
                                struct k2_group_cursor *cursor,
                                const struct k2_wanted_entry *wanted,
                                const struct k2_scan_span *span, struct k2_error *error)
{
    const struct k2_directory_entry *entry = &cursor->entries[wanted->entry];
    struct candidate *best = &self->candidates[wanted->number];
    struct candidate last = {.group = (uint32_t)group_index};
    if (self->done[wanted->number] || (best->found && entry->time_max_ns < best->time_ns)) {
        return K2_OK;
    }
    uint32_t begin, end;
    enum k2_status status = k2_group_set_locate(self->set, cursor, wanted->entry, span->first_ns,
                                                span->last_ns, &begin, &end, error);
    if (status == K2_OK) {
        status = last_visible(self, cursor, entry, begin, end, &last, error);
    }
    bool behind = last.found;
    if (status == K2_OK && last.found && best->found) {
        status = is_behind(self, &last, best, &behind, error);
    }
    if (status == K2_OK && behind) {
        *best = last;
    }
    return status;
}

// Has every instrument that the group can have a row behind all of the group's?
static bool is_settled(const struct finder *self, const struct k2_plan_group *group)
{
    const struct k2_group_set *set = self->set;
    for (uint64_t id = group->instrument_min; id <= group->instrument_max; id++) {
        uint32_t number = id < set->number_capacity ? set->numbers[id] : 0;
        if (number == 0 || number > self->candidate_count) {
            return false;
        }
        const struct candidate *best = &self->candidates[number - 1];
        if (!self->done[number - 1] && (!best->found || best->time_ns <= group->time_max_ns)) {
            return false;
        }
    }
    return true;
}

static enum k2_status see_group(struct finder *self, size_t group_index,
                                const struct k2_scan_span *span, struct k2_error *error)
{
    struct k2_group_cursor *cursor;
    if (is_settled(self, &self->set->plan.groups[group_index])) {
        return K2_OK;
    }
    enum k2_status status = k2_group_set_cursor(self->set, group_index, &cursor, error);
    if (status == K2_OK) {
        status = k2_group_set_wanted(self->set, cursor, error);
    }
    if (status == K2_OK) {
        status = need_candidates(self, error);
    }
    for (size_t i = 0; status == K2_OK && i < cursor->wanted_count; i++) {
        status = see_entry(self, group_index, cursor, &cursor->wanted[i], span, error);
    }
    return status;
}

static int compare_candidates(const void *left, const void *right, void *context)
{
    const struct candidate *candidates = context;
    const struct candidate *a = &candidates[*(const uint32_t *)left];
    const struct candidate *b = &candidates[*(const uint32_t *)right];
    if (a->group != b->group) {
        return a->group < b->group ? -1 : 1;
    }
    return (a->row > b->row) - (a->row < b->row);
}

// Of the block of the first of these, which go up by block and row, only the rows that the ones of
// the same block mean are wanted. Gives how many those are.
static size_t enter_block(struct finder *self, const uint32_t *order, size_t count)
{
    const struct candidate *first = &self->candidates[order[0]], *last = first;
    uint32_t block = first->row / K2_BLOCK_ROWS;
    size_t same = 1;
    for (; same < count; same++) {
        const struct candidate *next = &self->candidates[order[same]];
        if (next->group != first->group || next->row / K2_BLOCK_ROWS != block) {
            break;
        }
        last = next;
    }
    k2_block_reader_narrow(&self->blocks, first->row % K2_BLOCK_ROWS,
                           last->row % K2_BLOCK_ROWS + 1);
    return same;
}

// Takes the values of the span's last rows, block after block.
static enum k2_status take_values(struct finder *self, struct k2_error *error)
{
    size_t count = 0;
    for (size_t i = 0; i < self->candidate_count; i++) {
        if (self->candidates[i].found && !self->done[i]) {
            self->order[count++] = (uint32_t)i;
        }
    }
    if (count > 0) {
        qsort_r(self->order, count, sizeof *self->order, compare_candidates, self->candidates);
    }
    enum k2_status status = K2_OK;
    for (size_t i = 0, end = 0; status == K2_OK && i < count; i++) {
        if (i == end) {
            end += enter_block(self, self->order + i, count - i);
        }
        uint32_t number = self->order[i];
        const struct candidate *candidate = &self->candidates[number];
        self->times[number] = candidate->time_ns;
        self->done[number] = true;
        for (size_t j = 0; status == K2_OK && j < self->column_count; j++) {
            size_t place = number * self->column_count + j;
            if (self->blocks.columns[FIRST_COLUMN + j].slot == K2_SLOT_TIME) {
                self->values[place] = candidate->time_ns;
                self->valid[place] = true;
                continue;
            }
            status = value_at(self, candidate, FIRST_COLUMN + j, &self->values[place],
                              &self->valid[place], error);
        }
    }
    k2_block_reader_narrow(&self->blocks, 0, 0); // the plan may go
    return status;
}

static enum k2_status find_all(struct finder *self, struct k2_error *error)
{
    struct k2_scan_span span;
    bool found;
    enum k2_status status = k2_scan_next_span(self->scan, 0, SIZE_MAX, &span, &found, error);
    while (status == K2_OK && found) {
        // The newest groups first: they settle most, and older entries are passed by their times.
        for (size_t i = self->set->plan.group_count; status == K2_OK && i > 0; i--) {
            if (k2_scan_span_meets(self->scan, &span, &self->set->plan.groups[i - 1])) {
                status = see_group(self, i - 1, &span, error);
            }
        }
        if (status == K2_OK) {
            status = take_values(self, error);
        }
        k2_scan_pass_span(self->scan, &span, false);
        if (status == K2_OK) {
            status = k2_scan_next_span(self->scan, 0, SIZE_MAX, &span, &found, error);
        }
    }
    return status;
}

static int compare_rows(const void *left, const void *right)
{
    const struct k2_last_row *a = left, *b = right;
    int order = k2_slice_compare(a->exchange, b->exchange);
    return order != 0 ? order : k2_slice_compare(a->symbol, b->symbol);
}

static enum k2_status take_rows(struct finder *self, struct k2_last_rows *result,
                                struct k2_error *error)
{
    result->snapshot = k2_scan_snapshot(self->scan);
    result->rows = k2_alloc_zero(self->candidate_count, sizeof *result->rows);
    result->texts = k2_alloc_zero(1, sizeof *result->texts);
    bool fits = result->rows != NULL && result->texts != NULL;
    for (size_t i = 0; fits && i < self->candidate_count; i++) {
        struct k2_instrument_name name = self->names->names[i];
        struct k2_last_row row = {.time_ns = self->done[i] ? self->times[i] : 0,
                                  .values = &self->values[i * self->column_count],
                                  .valid = &self->valid[i * self->column_count]};
        if (!self->done[i]) {
            continue;
        }
        fits = k2_text_arena_copy(result->texts, name.exchange, &row.exchange) &&
               k2_text_arena_copy(result->texts, name.symbol, &row.symbol);
        result->rows[result->row_count++] = row;
    }
    if (!fits) {
        return no_memory(error);
    }
    if (result->row_count > 0) {
        qsort(result->rows, result->row_count, sizeof *result->rows, compare_rows);
    }
    result->values = self->values;
    result->valid = self->valid;
    self->values = NULL;
    self->valid = NULL;
    return K2_OK;
}

enum k2_status k2_last_rows_find(struct k2_engine *engine, const struct k2_last_request *request,
                                 struct k2_last_rows *result, struct k2_error *error)
{
    *result = (struct k2_last_rows){0};
    struct finder self = {0};
    enum k2_status status = open_finder(&self, engine, request, error);
    if (status == K2_OK) {
        status = find_all(&self, error);
    }
    if (status == K2_OK) {
        status = take_rows(&self, result, error);
    }
    close_finder(&self);
    if (status != K2_OK) {
        k2_last_rows_deinit(result);
    }
    return status;
}

void k2_last_rows_deinit(struct k2_last_rows *result)
{
    k2_free(result->rows);
    k2_free(result->values);
    k2_free(result->valid);
    if (result->texts != NULL) {
        k2_text_arena_deinit(result->texts);
        k2_free(result->texts);
    }
    *result = (struct k2_last_rows){0};
}
