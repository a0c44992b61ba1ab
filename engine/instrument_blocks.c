#include "engine/instrument_blocks.h"

#include <stdlib.h>
#include <string.h>

#include "engine/scan_groups.h"
#include "engine/scan_pieces.h"
#include "engine/scan_private.h"
#include "format/base/alloc.h"

enum {
    MOST_GROUPS = 4096,
    MOST_PIECES = 1 << 17,
    MOST_OPEN = 256, // row groups at a time
};

// An entry of a row group's directory that has rows of the range.
struct piece {
    uint32_t number; // of the instrument
    uint32_t group, place;
    struct k2_directory_entry entry; // its names hold while the group is open
};

struct k2_instrument_blocks {
    struct k2_scan *scan;
    struct k2_group_set *set; // of the scan
    struct k2_scan_span range;
    struct piece *pieces; // by number and time
    size_t piece_count, capacity;
    size_t *firsts; // by number: its first piece; one more at the end
    size_t number_count;
    size_t *left_in_group; // by group: pieces that were not read yet
    size_t open_count;
    // What is being read.
    size_t next, stop;                     // pieces of the instrument
    struct k2_group_cursor *cursor;        // NULL: the next piece is to be entered
    uint32_t row, shown_end, row_end;      // of the group: the next one, where the shown ones end
    const struct k2_group_cursor *decoded; // what the vectors have; NULL: nothing
    uint32_t block;
    struct k2_vector_store *stores; // by output
    struct k2_vector *vectors;      // by output
};

static enum k2_status no_memory(struct k2_error *error)
{
    return k2_fail(error, K2_NO_MEMORY, "scan: no memory for the pieces of instruments");
}

void k2_instrument_blocks_close(struct k2_instrument_blocks *blocks)
{
    if (blocks == NULL) {
        return;
    }
    k2_scan_close(blocks->scan);
    k2_free(blocks->pieces);
    k2_free(blocks->firsts);
    k2_free(blocks->left_in_group);
    k2_free(blocks->stores);
    k2_free(blocks->vectors);
    k2_free(blocks);
}

uint64_t k2_instrument_blocks_snapshot(const struct k2_instrument_blocks *blocks)
{
    return k2_scan_snapshot(blocks->scan);
}

// ---- pieces -------------------------------------------------------------------------------------

static bool add_piece(struct k2_instrument_blocks *self, const struct piece *piece)
{
    if (self->piece_count == self->capacity) {
        size_t capacity = self->capacity == 0 ? 1024 : self->capacity * 2;
        struct piece *pieces = k2_realloc(self->pieces, capacity, sizeof *pieces);
        if (pieces == NULL) {
            return false;
        }
        self->pieces = pieces;
        self->capacity = capacity;
    }
    self->pieces[self->piece_count++] = *piece;
    return true;
}

static enum k2_status list_group(struct k2_instrument_blocks *self, size_t group,
                                 struct k2_error *error)
{
    struct k2_group_cursor *cursor;
    enum k2_status status = k2_group_set_cursor(self->set, group, &cursor, error);
    if (status == K2_OK) {
        status = k2_group_set_wanted(self->set, cursor, error);
    }
    for (size_t i = 0; status == K2_OK && i < cursor->wanted_count; i++) {
        const struct k2_directory_entry *entry = &cursor->entries[cursor->wanted[i].entry];
        if (entry->time_min_ns > self->range.last_ns || entry->time_max_ns < self->range.first_ns) {
            continue;
        }
        const struct piece piece = {cursor->wanted[i].number, (uint32_t)group,
                                    cursor->wanted[i].entry, *entry};
        status = add_piece(self, &piece) ? K2_OK : no_memory(error);
    }
    k2_group_set_close_cursor(self->set, group);
    return status;
}

static int compare_pieces(const void *left, const void *right)
{
    const struct piece *a = left, *b = right;
    if (a->number != b->number) {
        return a->number < b->number ? -1 : 1;
    }
    return k2_scan_piece_compare(&a->entry, &b->entry);
}

static enum k2_status index_pieces(struct k2_instrument_blocks *self, struct k2_error *error)
{
    self->number_count = k2_scan_names(self->scan)->count;
    self->firsts = k2_alloc_zero(self->number_count + 1, sizeof *self->firsts);
    self->left_in_group = k2_alloc_zero(self->set->plan.group_count, sizeof *self->left_in_group);
    if (self->firsts == NULL || self->left_in_group == NULL) {
        return no_memory(error);
    }
    if (self->piece_count > 1) {
        qsort(self->pieces, self->piece_count, sizeof *self->pieces, compare_pieces);
    }
    for (size_t i = 0; i < self->piece_count; i++) {
        self->firsts[self->pieces[i].number + 1] = i + 1;
        self->left_in_group[self->pieces[i].group]++;
    }
    for (size_t i = 1; i <= self->number_count; i++) { // those without a piece end where they begin
        self->firsts[i] =
            self->firsts[i] < self->firsts[i - 1] ? self->firsts[i - 1] : self->firsts[i];
    }
    return K2_OK;
}

// An instrument has at most one piece in a group, and a group not more than rows.
static bool too_many(const struct k2_instrument_blocks *self)
{
    const struct k2_plan *plan = &self->set->plan;
    uint64_t pieces = 0;
    for (size_t i = 0; i < plan->group_count; i++) {
        uint64_t ids =
            (uint64_t)plan->groups[i].instrument_max - plan->groups[i].instrument_min + 1;
        pieces += ids < plan->groups[i].row_count ? ids : plan->groups[i].row_count;
    }
    return pieces > MOST_PIECES;
}

static enum k2_status list_pieces(struct k2_instrument_blocks *self, bool *usable,
                                  struct k2_error *error)
{
    bool planned;
    *usable = false;
    enum k2_status status =
        k2_scan_plan_rest(self->scan, MOST_GROUPS, &self->range, &planned, error);
    if (status != K2_OK || !planned || too_many(self)) {
        return status;
    }
    for (size_t i = 0; status == K2_OK && i < self->set->plan.group_count; i++) {
        if (k2_scan_span_meets(self->scan, &self->range, &self->set->plan.groups[i])) {
            status = list_group(self, i, error);
        }
    }
    if (status == K2_OK) {
        status = index_pieces(self, error);
    }
    *usable = status == K2_OK;
    return status;
}

enum k2_status k2_instrument_blocks_open(struct k2_engine *engine,
                                         const struct k2_scan_request *request,
                                         struct k2_instrument_blocks **blocks,
                                         struct k2_error *error)
{
    struct k2_scan_request stored = *request;
    struct k2_instrument_blocks *self = k2_alloc_zero(1, sizeof *self);
    bool usable = false;
    *blocks = NULL;
    if (self == NULL) {
        return no_memory(error);
    }
    stored.order = K2_ORDER_STORED;
    stored.limit = 0;
    stored.after = NULL;
    enum k2_status status = k2_scan_open(engine, &stored, &self->scan, error);
    if (status == K2_OK) {
        self->set = k2_scan_group_set(self->scan);
        size_t count = k2_scan_layout_of(self->scan)->output_count;
        self->stores = k2_alloc_aligned(count * sizeof *self->stores);
        self->vectors = k2_alloc_zero(count, sizeof *self->vectors);
        status = self->stores == NULL || self->vectors == NULL ? no_memory(error)
                                                               : list_pieces(self, &usable, error);
    }
    if (status != K2_OK || !usable) {
        k2_instrument_blocks_close(self);
        return status;
    }
    *blocks = self;
    return K2_OK;
}

// A piece less to read of the group, which is closed when it was the last one.
static void pass_piece(struct k2_instrument_blocks *self, const struct piece *piece)
{
    uint32_t group = piece->group;
    if (self->left_in_group[group] == 0 || --self->left_in_group[group] > 0) {
        return;
    }
    struct k2_group_cursor *cursor = &self->set->cursors[group];
    if (self->decoded == cursor) {
        self->decoded = NULL;
    }
    self->open_count -= cursor->view != NULL;
    k2_group_set_close_cursor(self->set, group);
}

static void leave_piece(struct k2_instrument_blocks *self)
{
    self->cursor = NULL;
    pass_piece(self, &self->pieces[self->next - 1]);
}

bool k2_instrument_blocks_seek(struct k2_instrument_blocks *blocks,
                               const struct k2_scan_instrument *instrument)
{
    const struct k2_instrument_name name = {instrument->exchange, instrument->symbol};
    uint32_t number = k2_name_set_find(k2_scan_names(blocks->scan), name);
    if (blocks->cursor != NULL) {
        leave_piece(blocks);
    }
    while (blocks->next < blocks->stop) { // what nobody wanted
        pass_piece(blocks, &blocks->pieces[blocks->next++]);
    }
    blocks->next = blocks->stop = 0;
    if (number == K2_NAME_NONE || number >= blocks->number_count) {
        return true; // it has no rows
    }
    size_t first = blocks->firsts[number], stop = blocks->firsts[number + 1];
    for (size_t i = first + 1; i < stop; i++) {
        if (!k2_scan_piece_follows(&blocks->pieces[i - 1].entry, &blocks->pieces[i].entry)) {
            return false;
        }
    }
    blocks->next = first;
    blocks->stop = stop;
    return true;
}

// ---- rows ---------------------------------------------------------------------------------------

// The names of the piece that is being read, in rows [begin, end) of the block.
static void name_rows(struct k2_instrument_blocks *self, size_t begin, size_t end)
{
    const struct k2_scan_layout *layout = k2_scan_layout_of(self->scan);
    const struct k2_directory_entry *entry =
        &self->cursor->entries[self->pieces[self->next - 1].place];
    for (size_t i = 0; i < layout->output_count; i++) {
        if (layout->outputs[i].slot >= 0) {
            continue;
        }
        bool exchange = layout->outputs[i].slot == K2_OUTPUT_EXCHANGE;
        for (size_t row = begin; row < end; row++) {
            self->stores[i].texts[row] = exchange ? entry->exchange : entry->symbol;
        }
        self->vectors[i].texts = self->stores[i].texts;
    }
}

static enum k2_status decode(struct k2_instrument_blocks *self, uint32_t block,
                             struct k2_error *error)
{
    const struct k2_scan_layout *layout = k2_scan_layout_of(self->scan);
    if (self->decoded == self->cursor && self->block == block) {
        return K2_OK;
    }
    self->decoded = NULL;
    for (size_t i = 0; i < layout->output_count; i++) {
        const struct k2_scan_output *output = &layout->outputs[i];
        self->vectors[i].kind = output->kind;
        if (output->slot < 0) {
            continue;
        }
        if (output->source != i) {
            self->vectors[i] = self->vectors[output->source];
            continue;
        }
        struct k2_column_reader *reader;
        enum k2_status status =
            k2_group_set_reader(self->set, self->cursor, (size_t)output->slot, &reader, error);
        if (status == K2_OK && reader != NULL) {
            k2_scan_stored_lend(self->set, reader, self->cursor, block, i, self->vectors, true);
        }
        if (status == K2_OK) {
            status = k2_group_set_decode(self->set, self->cursor, (size_t)output->slot, block,
                                         &self->stores[i], &self->vectors[i], error);
        }
        if (status != K2_OK) {
            return status;
        }
    }
    self->decoded = self->cursor;
    self->block = block;
    return K2_OK;
}

// Closes all row groups: they are opened again when they are needed.
static void close_all(struct k2_instrument_blocks *self)
{
    for (size_t i = 0; i < self->set->plan.group_count; i++) {
        k2_group_set_close_cursor(self->set, i);
    }
    self->open_count = 0;
    self->decoded = NULL;
}

static enum k2_status enter_piece(struct k2_instrument_blocks *self, struct k2_error *error)
{
    const struct piece *piece = &self->pieces[self->next];
    struct k2_group_cursor *cursor = &self->set->cursors[piece->group];
    if (cursor->view == NULL && self->open_count >= MOST_OPEN) {
        close_all(self);
    }
    self->open_count += cursor->view == NULL;
    enum k2_status status = k2_group_set_cursor(self->set, piece->group, &cursor, error);
    if (status == K2_OK) {
        status = k2_group_set_locate(self->set, cursor, piece->place, self->range.first_ns,
                                     self->range.last_ns, &self->row, &self->row_end, error);
    }
    self->shown_end = self->row;
    if (status == K2_OK) {
        self->cursor = cursor;
        self->next++;
    }
    return status;
}

enum k2_status k2_instrument_blocks_next(struct k2_instrument_blocks *blocks,
                                         const struct k2_vector **vectors, size_t *begin,
                                         size_t *end, struct k2_error *error)
{
    enum k2_status status = K2_OK;
    *vectors = blocks->vectors;
    *begin = *end = 0;
    while (status == K2_OK && (blocks->cursor != NULL || blocks->next < blocks->stop)) {
        if (blocks->cursor == NULL) {
            status = enter_piece(blocks, error);
            continue;
        }
        if (blocks->row == blocks->shown_end && blocks->row < blocks->row_end) {
            status = k2_group_set_visible(blocks->set, blocks->cursor, blocks->row_end,
                                          &blocks->row, &blocks->shown_end, error);
        }
        if (status != K2_OK) {
            break;
        }
        if (blocks->row >= blocks->row_end || blocks->row == blocks->shown_end) {
            leave_piece(blocks);
            continue;
        }
        uint32_t block = blocks->row / K2_BLOCK_ROWS, base = block * K2_BLOCK_ROWS;
        status = decode(blocks, block, error);
        if (status != K2_OK) {
            break;
        }
        uint32_t stop =
            blocks->shown_end - base < K2_BLOCK_ROWS ? blocks->shown_end : base + K2_BLOCK_ROWS;
        *begin = blocks->row - base;
        *end = stop - base;
        blocks->row = stop;
        name_rows(blocks, *begin, *end);
        return K2_OK;
    }
    return status;
}
