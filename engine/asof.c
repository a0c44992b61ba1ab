#include "engine/asof.h"

#include "engine/asof_last.h"
#include "engine/asof_merge.h"
#include "engine/instrument_blocks.h"
#include "engine/instrument_lists.h"
#include "engine/name_set.h"
#include "format/base/alloc.h"
#include "format/codec/bitpack.h"

enum {
    MEMO = 1024,        // names that were met a moment ago
    SHORT_ROWS = 10000, // a limit up to here does not want a large window
    SHORT_MEMORY_BYTES = 512 << 10,
};

// The columns that every scan of a join has; the names only if it has many instruments.
enum { COLUMN_TIME = 0, COLUMN_EXCHANGE = 1, COLUMN_SYMBOL = 2, NAMED_COLUMNS = 3 };

struct memo {
    const uint8_t *exchange, *symbol; // where they stood
    uint32_t number;
};

struct side {
    const struct k2_table *table;
    size_t *columns; // of the scan
    size_t column_count;
    struct k2_scan *scan;                // of all instruments, or of one
    struct k2_instrument_blocks *blocks; // by_instrument: instead of scans; or NULL
    bool by_blocks;                      // for the instrument that is read
    const struct k2_vector *vectors;     // of the scan or the blocks
    size_t row_count, next_row;          // of the vectors: where the rows at hand end and begin
    bool ended;
    struct memo *memo;
};

enum { OUTPUT_EXCHANGE = -1, OUTPUT_SYMBOL = -2 };

struct output {
    bool right;
    int name;     // by_instrument: OUTPUT_EXCHANGE, OUTPUT_SYMBOL, which no scan gives; else 0
    size_t place; // of the column in its side's scan
};

struct k2_asof {
    struct k2_engine *engine;
    struct k2_scan_request request; // of the left side; its pointers are ours
    struct k2_scan_key after;
    uint64_t snapshot;
    bool by_instrument;
    bool limited;
    uint64_t rows_left;
    // The instruments asked for, or (by_instrument) all that there are; their texts in `names`.
    struct k2_scan_instrument *instruments;
    size_t instrument_count, next_instrument;
    const struct k2_scan_instrument *one; // by_instrument: the one that is read
    struct side left, right;
    struct k2_name_set names;
    struct k2_asof_last last;
    struct output *outputs;
    size_t output_count;
    size_t *right_places; // of right outputs, in the right scan
    size_t right_count;
    struct k2_vector_store *stores; // by output
    struct k2_vector *vectors;      // by output
    // Rows to give: of the left vector from first_row on.
    size_t first_row, row_count, gathered;
    size_t first_at_hand; // of the rows that are gathered: the first whose right row is at hand
    int32_t rows[K2_VECTOR_ROWS];     // of the right vectors, or K2_ASOF_NO_ROW: the copy
    uint32_t numbers[K2_VECTOR_ROWS]; // of instruments; by_instrument all 0
    bool done;
    enum k2_status failure; // of an earlier call
};

static enum k2_status no_memory(struct k2_error *error)
{
    return k2_fail(error, K2_NO_MEMORY, "as-of join: no memory");
}

// ---- life ---------------------------------------------------------------------------------------

static void close_side(struct side *side)
{
    k2_scan_close(side->scan);
    k2_instrument_blocks_close(side->blocks);
    k2_free(side->columns);
    k2_free(side->memo);
}

void k2_asof_close(struct k2_asof *asof)
{
    if (asof == NULL) {
        return;
    }
    close_side(&asof->left);
    close_side(&asof->right);
    k2_asof_last_deinit(&asof->last);
    k2_name_set_deinit(&asof->names);
    k2_free(asof->instruments);
    k2_free(asof->outputs);
    k2_free(asof->right_places);
    k2_free(asof->stores);
    k2_free(asof->vectors);
    k2_free(asof);
}

uint64_t k2_asof_snapshot(const struct k2_asof *asof)
{
    return asof->snapshot;
}

// The place of a column in the scan of its side, which reads it once.
static size_t place_of(struct side *side, size_t column)
{
    for (size_t i = 0; i < side->column_count; i++) {
        if (side->columns[i] == column) {
            return i;
        }
    }
    side->columns[side->column_count] = column;
    return side->column_count++;
}

static bool prepare_side(struct side *side, const struct k2_table *table, bool named)
{
    side->table = table;
    side->columns =
        k2_alloc_zero(table->schema->column_count + NAMED_COLUMNS, sizeof *side->columns);
    side->memo = k2_alloc_zero(MEMO, sizeof *side->memo);
    if (side->columns == NULL || side->memo == NULL) {
        return false;
    }
    side->columns[COLUMN_TIME] = K2_TIMESTAMP;
    side->columns[COLUMN_EXCHANGE] = K2_EXCHANGE;
    side->columns[COLUMN_SYMBOL] = K2_SYMBOL;
    side->column_count = named ? NAMED_COLUMNS : 1;
    return true;
}

static enum k2_status prepare_outputs(struct k2_asof *self, const struct k2_asof_request *request,
                                      struct k2_error *error)
{
    size_t left_count = self->left.table->schema->column_count;
    size_t right_count = self->right.table->schema->column_count;
    bool all = request->columns == NULL, has_texts = false;
    self->output_count = all ? left_count + right_count : request->column_count;
    self->outputs = k2_alloc_zero(self->output_count, sizeof *self->outputs);
    self->right_places = k2_alloc_zero(self->output_count, sizeof *self->right_places);
    self->stores = k2_alloc_aligned(self->output_count * sizeof *self->stores);
    self->vectors = k2_alloc_zero(self->output_count, sizeof *self->vectors);
    if (self->outputs == NULL || self->right_places == NULL || self->stores == NULL ||
        self->vectors == NULL) {
        return no_memory(error);
    }
    for (size_t i = 0; i < self->output_count; i++) {
        struct k2_asof_column wanted = {i >= left_count, i >= left_count ? i - left_count : i};
        wanted = all ? wanted : request->columns[i];
        struct side *side = wanted.right ? &self->right : &self->left;
        if (wanted.column >= side->table->schema->column_count) {
            return k2_fail(error, K2_BAD_REQUEST, "as-of join: table %s has no column %zu",
                           side->table->schema->table, wanted.column);
        }
        const struct k2_column *column = &side->table->schema->columns[wanted.column];
        bool named = self->by_instrument && wanted.column <= K2_SYMBOL;
        self->outputs[i].right = wanted.right;
        if (named && !wanted.right) {
            self->outputs[i].name = wanted.column == K2_EXCHANGE ? OUTPUT_EXCHANGE : OUTPUT_SYMBOL;
        } else {
            self->outputs[i].place = place_of(side, wanted.column);
        }
        self->vectors[i] = (struct k2_vector){.kind = column->kind, .scale = column->scale};
        if (wanted.right) {
            self->right_places[self->right_count++] = self->outputs[i].place;
            has_texts = has_texts || !k2_kind_is_fixed(column->kind);
        }
    }
    k2_asof_last_init(&self->last, self->right_count, has_texts);
    return K2_OK;
}

static enum k2_status copy_name(struct k2_asof *self, struct k2_slice exchange,
                                struct k2_slice symbol, struct k2_error *error)
{
    struct k2_scan_instrument *copy = &self->instruments[self->instrument_count];
    if (!k2_text_arena_copy(&self->names.texts, exchange, &copy->exchange) ||
        !k2_text_arena_copy(&self->names.texts, symbol, &copy->symbol)) {
        return no_memory(error);
    }
    self->instrument_count++;
    return K2_OK;
}

static enum k2_status copy_instruments(struct k2_asof *self, const struct k2_scan_request *request,
                                       struct k2_error *error)
{
    if (request->instruments == NULL) {
        return K2_OK;
    }
    self->instruments = k2_alloc(request->instrument_count * sizeof *self->instruments);
    enum k2_status status = self->instruments == NULL ? no_memory(error) : K2_OK;
    for (size_t i = 0; i < request->instrument_count && status == K2_OK; i++) {
        const struct k2_scan_instrument *name = &request->instruments[i];
        status = copy_name(self, name->exchange, name->symbol, error);
    }
    return status;
}

static enum k2_status list_instruments(struct k2_asof *self, struct k2_error *error)
{
    const struct k2_instruments *list;
    enum k2_status status =
        k2_instruments_borrow(self->engine, self->left.table, UINT64_MAX, &list, error);
    if (status != K2_OK) {
        return status;
    }
    self->instruments = k2_alloc(list->count * sizeof *self->instruments);
    status = self->instruments == NULL ? no_memory(error) : K2_OK;
    for (size_t i = 0; i < list->count && status == K2_OK; i++) {
        status = copy_name(self, k2_slice_of(list->items[i].exchange),
                           k2_slice_of(list->items[i].symbol), error);
    }
    k2_instruments_release(list);
    return status;
}

// ---- scans --------------------------------------------------------------------------------------

static struct k2_scan_request request_of(const struct k2_asof *self, const struct side *side)
{
    struct k2_scan_request request = self->request;
    request.table = side->table;
    request.snapshot = self->snapshot;
    request.columns = side->columns;
    request.column_count = side->column_count;
    request.order = K2_ORDER_TIME;
    request.instruments = self->one != NULL ? self->one : self->instruments;
    request.instrument_count = self->one != NULL ? 1 : self->instrument_count;
    request.limit = self->limited ? self->rows_left : 0;
    return request;
}

static enum k2_status open_scan(struct k2_asof *self, struct side *side,
                                const struct k2_scan_request *request, struct k2_error *error)
{
    k2_scan_close(side->scan);
    side->scan = NULL;
    side->vectors = NULL;
    side->row_count = side->next_row = 0;
    side->ended = false;
    side->by_blocks = side->blocks != NULL && k2_instrument_blocks_seek(side->blocks, self->one);
    if (side->by_blocks) {
        return K2_OK;
    }
    for (size_t i = 0; i < MEMO && !self->by_instrument; i++) {
        side->memo[i].symbol = NULL; // it may stand elsewhere in the next scan
    }
    return k2_scan_open(self->engine, request, &side->scan, error);
}

// The names of the one instrument, in every row to come.
static void fill_names(struct k2_asof *self)
{
    for (size_t i = 0; self->one != NULL && i < self->output_count; i++) {
        if (self->outputs[i].name == 0) {
            continue;
        }
        struct k2_slice name =
            self->outputs[i].name == OUTPUT_EXCHANGE ? self->one->exchange : self->one->symbol;
        for (size_t row = 0; row < K2_VECTOR_ROWS; row++) {
            self->stores[i].texts[row] = name;
        }
        self->vectors[i].texts = self->stores[i].texts;
    }
}

// Both sides, for all instruments or for one.
static enum k2_status open_scans(struct k2_asof *self, struct k2_error *error)
{
    struct k2_scan_request request = request_of(self, &self->left);
    enum k2_status status = open_scan(self, &self->left, &request, error);
    if (status != K2_OK) {
        return status;
    }
    if (!self->left.by_blocks) {
        self->snapshot = k2_scan_snapshot(self->left.scan);
    }
    fill_names(self);
    request = request_of(self, &self->right);
    request.after = NULL; // that is a row of the left side
    if (request.limit > 0 && request.limit <= SHORT_ROWS) {
        request.memory_bytes = SHORT_MEMORY_BYTES;
    }
    request.limit = 0;
    return open_scan(self, &self->right, &request, error);
}

// One plan of each side for all instruments, where that is possible.
static enum k2_status open_blocks(struct k2_asof *self, struct k2_error *error)
{
    if (!self->by_instrument || self->instrument_count < 2 ||
        (self->limited && self->rows_left <= SHORT_ROWS)) {
        return K2_OK;
    }
    struct side *const sides[] = {&self->left, &self->right};
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < 2 && status == K2_OK; i++) {
        struct k2_scan_request request = request_of(self, sides[i]);
        status = k2_instrument_blocks_open(self->engine, &request, &sides[i]->blocks, error);
        if (sides[i]->blocks != NULL) {
            self->snapshot = k2_instrument_blocks_snapshot(sides[i]->blocks);
        }
    }
    return status;
}

static enum k2_status build(struct k2_asof *self, const struct k2_asof_request *request,
                            struct k2_error *error)
{
    self->by_instrument = self->request.order == K2_ORDER_STORED;
    if (!prepare_side(&self->left, request->left.table, !self->by_instrument) ||
        !prepare_side(&self->right, request->right, !self->by_instrument)) {
        return no_memory(error);
    }
    enum k2_status status = prepare_outputs(self, request, error);
    if (status == K2_OK) {
        status = copy_instruments(self, &request->left, error);
    }
    if (status == K2_OK && self->by_instrument && request->left.instruments == NULL) {
        status = list_instruments(self, error);
    }
    if (status == K2_OK && request->left.after != NULL) {
        self->after = *request->left.after;
        self->request.after = &self->after;
        if (!k2_text_arena_copy(&self->names.texts, self->after.exchange, &self->after.exchange) ||
            !k2_text_arena_copy(&self->names.texts, self->after.symbol, &self->after.symbol)) {
            return no_memory(error);
        }
        if (!self->request.has_start || self->request.start_ns < self->after.time_ns) {
            self->request.has_start = true;
            self->request.start_ns = self->after.time_ns;
        }
    }
    return status;
}

// The instruments share one place when they are read one after the other.
static enum k2_status begin(struct k2_asof *self, struct k2_error *error)
{
    if (self->by_instrument && self->instrument_count == 0) {
        self->done = true;
    }
    self->one = self->by_instrument && !self->done ? &self->instruments[0] : NULL;
    self->next_instrument = 1;
    if (!k2_asof_last_reserve(&self->last, 1)) {
        return no_memory(error);
    }
    return open_scans(self, error);
}

enum k2_status k2_asof_open(struct k2_engine *engine, const struct k2_asof_request *request,
                            struct k2_asof **asof, struct k2_error *error)
{
    *asof = NULL;
    if (request->left.order == K2_ORDER_TIME_DESCENDING) {
        return k2_fail(error, K2_BAD_REQUEST, "as-of join: it goes up in time; order asc");
    }
    if (request->left.after != NULL && request->left.order == K2_ORDER_STORED) {
        return k2_fail(error, K2_BAD_REQUEST,
                       "as-of join: the order of storage has no place to continue");
    }
    struct k2_asof *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return no_memory(error);
    }
    self->engine = engine;
    self->request = request->left;
    self->request.with_commit = false;
    self->request.after = NULL;
    self->snapshot = request->left.snapshot;
    self->limited = request->left.limit > 0;
    self->rows_left = request->left.limit;
    enum k2_status status = build(self, request, error);
    if (status == K2_OK) {
        status = open_blocks(self, error);
    }
    if (status == K2_OK) {
        status = begin(self, error);
    }
    if (status != K2_OK) {
        k2_asof_close(self);
        return status;
    }
    *asof = self;
    return K2_OK;
}

// ---- rows ---------------------------------------------------------------------------------------

static enum k2_status pull(struct side *side, struct k2_error *error)
{
    enum k2_status status;
    side->next_row = 0;
    if (side->by_blocks) {
        status = k2_instrument_blocks_next(side->blocks, &side->vectors, &side->next_row,
                                           &side->row_count, error);
    } else {
        status = k2_scan_next(side->scan, &side->vectors, &side->row_count, error);
    }
    side->ended = status == K2_OK && side->row_count == side->next_row;
    return status;
}

static enum k2_status find_number(struct k2_asof *self, struct k2_instrument_name name,
                                  uint32_t *number, struct k2_error *error)
{
    enum k2_status status = k2_name_set_add(&self->names, name, number, error);
    if (status == K2_OK && !k2_asof_last_reserve(&self->last, (size_t)*number + 1)) {
        status = no_memory(error);
    }
    return status;
}

// The number of the instrument of a row. Scans give the same text at the same place, mostly.
static enum k2_status number_of(struct k2_asof *self, struct side *side, size_t row,
                                uint32_t *number, struct k2_error *error)
{
    if (self->by_instrument) {
        *number = 0;
        return K2_OK;
    }
    struct k2_instrument_name name = {side->vectors[COLUMN_EXCHANGE].texts[row],
                                      side->vectors[COLUMN_SYMBOL].texts[row]};
    uintptr_t place = (uintptr_t)name.symbol.data;
    struct memo *memo = &side->memo[(place ^ place >> 5 ^ place >> 11) % MEMO];
    if (memo->symbol == name.symbol.data && memo->exchange == name.exchange.data &&
        k2_instrument_name_compare(self->names.names[memo->number], name) == 0) {
        *number = memo->number;
        return K2_OK;
    }
    enum k2_status status = find_number(self, name, number, error);
    *memo = (struct memo){name.exchange.data, name.symbol.data, *number};
    return status;
}

static void gather_values(const struct k2_asof *self, size_t column, const struct k2_vector *from,
                          int64_t *values)
{
    const struct k2_asof_last *last = &self->last;
    size_t i = self->gathered, row_count = self->row_count;
    if (self->by_instrument) { // rows at hand follow those that are kept
        for (; i < self->first_at_hand; i++) {
            values[i] = last->values[column];
        }
        k2_bitpack_selected()->pick(from->values, self->rows + i, row_count - i, values + i);
        return;
    }
    for (; i < row_count; i++) {
        int32_t row = self->rows[i];
        values[i] = row != K2_ASOF_NO_ROW
                        ? from->values[row]
                        : last->values[self->numbers[i] * last->column_count + column];
    }
}

static void gather_texts(const struct k2_asof *self, size_t column, const struct k2_vector *from,
                         struct k2_slice *texts)
{
    const struct k2_asof_last *last = &self->last;
    for (size_t i = self->gathered; i < self->row_count; i++) {
        int32_t row = self->rows[i];
        const struct k2_asof_text *kept =
            &last->texts[self->numbers[i] * last->column_count + column];
        texts[i] = row != K2_ASOF_NO_ROW ? from->texts[row]
                                         : (struct k2_slice){kept->data, kept->size_bytes};
    }
}

static bool gather_valid(const struct k2_asof *self, size_t column, const struct k2_vector *from,
                         uint8_t *valid)
{
    const struct k2_asof_last *last = &self->last;
    uint8_t all = 1;
    size_t i = self->gathered;
    if (self->by_instrument && from->valid == NULL) { // rows at hand follow those that are kept
        size_t end = self->first_at_hand;
        memset(valid + end, 1, self->row_count - end);
        bool kept = last->places[0].present && last->valid[column] != 0;
        memset(valid + i, kept, end - i);
        return kept || end == i;
    }
    for (; i < self->row_count; i++) {
        int32_t row = self->rows[i];
        if (row != K2_ASOF_NO_ROW) {
            valid[i] = from->valid == NULL || from->valid[row] != 0;
        } else {
            valid[i] = last->places[self->numbers[i]].present &&
                       last->valid[self->numbers[i] * last->column_count + column] != 0;
        }
        all &= valid[i];
    }
    return all != 0;
}

// Nulls hold nothing that was there before.
static void clear_nulls(const struct k2_asof *self, size_t first, struct k2_vector_store *store,
                        bool is_fixed)
{
    for (size_t i = first; i < self->row_count; i++) {
        if (store->valid[i] == 0 && is_fixed) {
            store->values[i] = 0;
        } else if (store->valid[i] == 0) {
            store->texts[i] = (struct k2_slice){0};
        }
    }
}

// Takes the columns of the right side for the rows found since the last call, before its vectors
// go.
static void gather(struct k2_asof *self)
{
    static const struct k2_vector none;
    self->first_at_hand = self->gathered;
    while (self->first_at_hand < self->row_count &&
           self->rows[self->first_at_hand] == K2_ASOF_NO_ROW) {
        self->first_at_hand++;
    }
    for (size_t i = 0, column = 0; i < self->output_count; i++) {
        if (!self->outputs[i].right) {
            continue;
        }
        struct k2_vector *vector = &self->vectors[i];
        struct k2_vector_store *store = &self->stores[i];
        const struct k2_vector *from =
            self->right.vectors == NULL ? &none : &self->right.vectors[self->outputs[i].place];
        bool is_fixed = k2_kind_is_fixed(vector->kind);
        if (self->gathered == 0) {
            vector->values = is_fixed ? store->values : NULL;
            vector->texts = is_fixed ? NULL : store->texts;
            vector->valid = NULL;
        }
        if (is_fixed) {
            gather_values(self, column, from, store->values);
        } else {
            gather_texts(self, column, from, store->texts);
        }
        if (!gather_valid(self, column, from, store->valid)) {
            clear_nulls(self, self->gathered, store, is_fixed);
            vector->valid = store->valid;
        }
        column++;
    }
    self->gathered = self->row_count;
}

// The last row of an instrument before the range, if nothing of it was met in the range.
static enum k2_status look_before(struct k2_asof *self, size_t left_row, uint32_t number,
                                  struct k2_error *error)
{
    self->last.places[number].sought = true;
    struct k2_scan_instrument name;
    if (self->one != NULL) {
        name = *self->one;
    } else {
        name.exchange = self->left.vectors[COLUMN_EXCHANGE].texts[left_row];
        name.symbol = self->left.vectors[COLUMN_SYMBOL].texts[left_row];
    }
    struct k2_scan_request request = request_of(self, &self->right);
    request.instruments = &name;
    request.instrument_count = 1;
    request.after = NULL;
    request.has_start = false;
    request.has_end = true;
    request.end_ns = self->request.start_ns;
    request.order = K2_ORDER_TIME_DESCENDING;
    request.limit = 1;
    struct k2_scan *scan = NULL;
    const struct k2_vector *vectors;
    size_t row_count = 0;
    enum k2_status status = k2_scan_open(self->engine, &request, &scan, error);
    if (status == K2_OK) {
        status = k2_scan_next(scan, &vectors, &row_count, error);
    }
    if (status == K2_OK && row_count > 0) {
        struct k2_asof_last *last = &self->last;
        // Only this row is kept: the others stay at hand.
        size_t touched_count = last->touched_count;
        uint32_t first_touched = last->touched[0];
        last->touched[0] = number;
        last->touched_count = 1;
        last->places[number].row = 0;
        if (!k2_asof_last_keep(last, vectors, self->right_places)) {
            status = no_memory(error);
        }
        last->touched[0] = first_touched;
        last->touched_count = touched_count;
    }
    k2_scan_close(scan);
    return status;
}

// Takes the rows of the right side up to `time_ns`. `*stop`: the next ones are to be read, but what
// was found so far refers to the texts at hand.
static enum k2_status advance(struct k2_asof *self, int64_t time_ns, bool *stop,
                              struct k2_error *error)
{
    struct side *right = &self->right;
    enum k2_status status = K2_OK;
    while (status == K2_OK && !right->ended) {
        if (right->next_row == right->row_count) {
            gather(self);
            if (self->last.has_texts && self->row_count > 0) {
                *stop = true;
                return K2_OK;
            }
            if (!k2_asof_last_keep(&self->last, right->vectors, self->right_places)) {
                return no_memory(error);
            }
            status = pull(right, error);
            continue;
        }
        const int64_t *times = right->vectors[COLUMN_TIME].values;
        if (times[right->next_row] > time_ns) {
            break;
        }
        size_t row = right->next_row++;
        uint32_t number = 0;
        if (self->by_instrument) { // all up to the time at once
            while (right->next_row < right->row_count && times[right->next_row] <= time_ns) {
                row = right->next_row++;
            }
        } else {
            status = number_of(self, right, row, &number, error);
        }
        if (status == K2_OK) {
            k2_asof_last_set(&self->last, number, (int32_t)row);
        }
    }
    return status;
}

// Steps through the rows of both sides at hand, at once as far as they decide.
static void merge_one(struct k2_asof *self)
{
    struct side *left = &self->left, *right = &self->right;
    int32_t *rows = self->rows + self->row_count;
    int32_t before = self->last.places[0].row, none = (int32_t)right->next_row - 1;
    size_t passed;
    size_t decided = k2_asof_merge(left->vectors[COLUMN_TIME].values + left->next_row,
                                   left->row_count - left->next_row,
                                   right->vectors[COLUMN_TIME].values + right->next_row,
                                   right->row_count - right->next_row, none, rows, &passed);
    for (size_t i = 0; i < decided && rows[i] == none; i++) {
        rows[i] = before;
    }
    self->row_count += decided;
    left->next_row += decided;
    right->next_row += passed;
    if (passed > 0) {
        k2_asof_last_set(&self->last, 0, (int32_t)right->next_row - 1);
    }
}

// Finds the right rows of the left rows at hand, as far as one answer goes.
static enum k2_status match(struct k2_asof *self, struct k2_error *error)
{
    struct side *left = &self->left;
    const int64_t *times = left->vectors[COLUMN_TIME].values;
    bool stop = false;
    self->first_row = left->next_row;
    self->row_count = self->gathered = 0;
    while (left->next_row < left->row_count) {
        const struct k2_asof_place *one = &self->last.places[0];
        bool known =
            !self->request.has_start || one->present || one->sought || one->row != K2_ASOF_NO_ROW;
        if (self->by_instrument && known && self->right.next_row < self->right.row_count) {
            merge_one(self);
            continue;
        }
        size_t row = left->next_row;
        uint32_t number;
        enum k2_status status = advance(self, times[row], &stop, error);
        if (status == K2_OK && stop) {
            break;
        }
        if (status == K2_OK) {
            status = number_of(self, left, row, &number, error);
        }
        if (status != K2_OK) {
            return status;
        }
        const struct k2_asof_place *place = &self->last.places[number];
        if (self->request.has_start && place->row == K2_ASOF_NO_ROW && !place->present &&
            !place->sought) {
            status = look_before(self, row, number, error);
            if (status != K2_OK) {
                return status;
            }
        }
        self->numbers[self->row_count] = number;
        self->rows[self->row_count++] = self->last.places[number].row;
        left->next_row++;
    }
    gather(self);
    return K2_OK;
}

// The left columns of the rows found: as they stand, or moved to the front.
static void give_left(struct k2_asof *self)
{
    for (size_t i = 0; i < self->output_count; i++) {
        if (self->outputs[i].right || self->outputs[i].name != 0) {
            continue;
        }
        const struct k2_vector *from = &self->left.vectors[self->outputs[i].place];
        struct k2_vector_store *store = &self->stores[i];
        struct k2_vector *vector = &self->vectors[i];
        *vector = *from;
        if (self->first_row == 0) {
            continue;
        }
        if (from->values != NULL) {
            memcpy(store->values, from->values + self->first_row,
                   self->row_count * sizeof *store->values);
            vector->values = store->values;
        } else {
            memcpy(store->texts, from->texts + self->first_row,
                   self->row_count * sizeof *store->texts);
            vector->texts = store->texts;
        }
        if (from->valid != NULL) {
            memcpy(store->valid, from->valid + self->first_row, self->row_count);
            vector->valid = store->valid;
        }
    }
}

// The next left rows are at hand, or there are none (`done`).
static enum k2_status need_left(struct k2_asof *self, struct k2_error *error)
{
    while (self->left.next_row == self->left.row_count && !self->done) {
        enum k2_status status = pull(&self->left, error);
        if (status == K2_OK && self->left.ended) {
            if (!self->by_instrument || self->next_instrument >= self->instrument_count) {
                self->done = true;
                return K2_OK;
            }
            self->one = &self->instruments[self->next_instrument++];
            k2_asof_last_clear(&self->last);
            status =
                k2_asof_last_reserve(&self->last, 1) ? open_scans(self, error) : no_memory(error);
        }
        if (status != K2_OK) {
            return status;
        }
    }
    return K2_OK;
}

enum k2_status k2_asof_next(struct k2_asof *asof, const struct k2_vector **columns,
                            size_t *row_count, struct k2_error *error)
{
    *columns = asof->vectors;
    *row_count = 0;
    if (asof->failure != K2_OK) {
        return k2_fail(error, asof->failure, "as-of join: it failed before");
    }
    if (asof->done || (asof->limited && asof->rows_left == 0)) {
        return K2_OK;
    }
    enum k2_status status = need_left(asof, error);
    if (status == K2_OK && !asof->done) {
        status = match(asof, error);
    }
    if (status != K2_OK) {
        asof->failure = status;
        return status;
    }
    if (asof->done) {
        return K2_OK;
    }
    give_left(asof);
    *row_count = asof->row_count;
    if (asof->limited) {
        if (*row_count > asof->rows_left) {
            *row_count = (size_t)asof->rows_left;
        }
        asof->rows_left -= *row_count;
    }
    return K2_OK;
}
