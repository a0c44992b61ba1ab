#include "query/export/row_sorter.h"

#include <stdlib.h>

#include "format/base/alloc.h"
#include "format/base/arena.h"
#include "format/base/buffer.h"
#include "format/base/checksum.h"

enum {
    NS_PER_US = 1000,
    FIRST_SLOTS = 1024,
};
static const size_t text_room_bytes = (size_t)96 << 20; // no further rows behind it
static const size_t text_ceiling_bytes = UINT32_MAX;

struct text_ref {
    uint32_t offset, size_bytes;
};

// Distinct texts of a symbolic column.
struct names {
    struct k2_arena arena;
    struct k2_slice *list;
    uint32_t *ranks; // in the order of their bytes
    size_t count, room;
    uint32_t *slots; // number + 1, or 0
    size_t slot_count;
};

// A column whose rows are all alike so far has no memory for them.
struct column {
    bool uniform; // every row so far is as the first one
    bool null;    // if so: it is null
    int64_t value;
    struct text_ref text;
    int64_t *values;        // fixed kinds
    struct text_ref *texts; // text kinds
    uint32_t *codes;        // symbolic kinds: numbers of names
    struct names *names;
    uint8_t *valid; // NULL: not nullable
    bool has_nulls;
    size_t filled; // rows of the column's store that are as `value` and `text` say
};

// Where a text of a symbolic column stands, and its number: rows take turns between few.
enum { MEMO = 64 };

struct memo {
    const uint8_t *data;
    size_t size_bytes;
    uint32_t number;
};

// Rows that follow each other in memory and in order.
struct row_run {
    uint32_t first, count;
};

struct k2_row_sorter {
    const struct k2_schema *schema; // borrowed
    size_t row_count, row_capacity, next_row;
    struct column *columns;
    struct k2_buffer text;
    uint32_t *order;
    struct row_run *runs; // of the vector that is given next
    struct k2_vector_store *stores;
    struct k2_vector *vectors;
};

static enum k2_status no_memory(struct k2_error *error)
{
    return k2_fail(error, K2_NO_MEMORY, "export: no memory for rows");
}

// ---- life -----------------------------------------------------------------------------------

static void names_deinit(struct names *names)
{
    k2_arena_deinit(&names->arena);
    k2_free(names->list);
    k2_free(names->ranks);
    k2_free(names->slots);
    *names = (struct names){0};
}

static bool create_columns(struct k2_row_sorter *self)
{
    for (size_t i = 0; i < self->schema->column_count; i++) {
        if (self->schema->columns[i].kind == K2_KIND_SYMBOLIC) {
            self->columns[i].names = k2_alloc_zero(1, sizeof(struct names));
            if (self->columns[i].names == NULL) {
                return false;
            }
        }
    }
    return true;
}

enum k2_status k2_row_sorter_create(struct k2_row_sorter **sorter, const struct k2_schema *schema,
                                    size_t row_capacity, struct k2_error *error)
{
    *sorter = NULL;
    struct k2_row_sorter *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return no_memory(error);
    }
    self->schema = schema;
    self->row_capacity = row_capacity;
    k2_buffer_init(&self->text, text_ceiling_bytes);
    self->columns = k2_alloc_zero(schema->column_count, sizeof *self->columns);
    self->order = k2_alloc(row_capacity * sizeof *self->order);
    self->runs = k2_alloc(K2_VECTOR_ROWS * sizeof *self->runs);
    self->stores = k2_alloc_aligned(schema->column_count * sizeof *self->stores);
    self->vectors = k2_alloc_zero(schema->column_count, sizeof *self->vectors);
    if (self->columns == NULL || self->order == NULL || self->stores == NULL ||
        self->vectors == NULL || self->runs == NULL || !create_columns(self)) {
        k2_row_sorter_destroy(self);
        return no_memory(error);
    }
    *sorter = self;
    return K2_OK;
}

void k2_row_sorter_destroy(struct k2_row_sorter *sorter)
{
    if (sorter == NULL) {
        return;
    }
    for (size_t i = 0; sorter->columns != NULL && i < sorter->schema->column_count; i++) {
        struct column *column = &sorter->columns[i];
        k2_free(column->values);
        k2_free(column->texts);
        k2_free(column->codes);
        k2_free(column->valid);
        if (column->names != NULL) {
            names_deinit(column->names);
            k2_free(column->names);
        }
    }
    k2_free(sorter->columns);
    k2_buffer_deinit(&sorter->text);
    k2_free(sorter->order);
    k2_free(sorter->runs);
    k2_free(sorter->stores);
    k2_free(sorter->vectors);
    k2_free(sorter);
}

void k2_row_sorter_clear(struct k2_row_sorter *sorter)
{
    sorter->row_count = sorter->next_row = 0;
    k2_buffer_clear(&sorter->text);
    for (size_t i = 0; i < sorter->schema->column_count; i++) {
        sorter->columns[i].has_nulls = false;
        sorter->columns[i].filled = 0;
        if (sorter->columns[i].names != NULL) {
            names_deinit(sorter->columns[i].names);
        }
    }
}

size_t k2_row_sorter_count(const struct k2_row_sorter *sorter)
{
    return sorter->row_count;
}

// ---- names ----------------------------------------------------------------------------------

static size_t slot_of(const struct names *names, struct k2_slice name)
{
    size_t slot = (size_t)k2_hash(name) & (names->slot_count - 1);
    while (names->slots[slot] != 0 && !k2_slice_equal(names->list[names->slots[slot] - 1], name)) {
        slot = (slot + 1) & (names->slot_count - 1);
    }
    return slot;
}

static bool grow_names(struct names *names)
{
    if (names->count * 2 < names->slot_count) {
        return true;
    }
    size_t slot_count = names->slot_count == 0 ? FIRST_SLOTS : names->slot_count * 2;
    uint32_t *slots = k2_alloc_zero(slot_count, sizeof *slots);
    struct k2_slice *list = k2_realloc(names->list, slot_count / 2 + 1, sizeof *list);
    names->list = list != NULL ? list : names->list;
    if (slots == NULL || list == NULL) {
        k2_free(slots);
        return false;
    }
    k2_free(names->slots);
    names->slots = slots;
    names->slot_count = slot_count;
    for (size_t i = 0; i < names->count; i++) {
        names->slots[slot_of(names, names->list[i])] = (uint32_t)i + 1;
    }
    return true;
}

static bool find_name(struct names *names, struct k2_slice name, uint32_t *number)
{
    if (!grow_names(names)) {
        return false;
    }
    size_t slot = slot_of(names, name);
    if (names->slots[slot] == 0) {
        const char *copy = k2_arena_text(&names->arena, name);
        if (copy == NULL) {
            return false;
        }
        names->list[names->count] = (struct k2_slice){(const uint8_t *)copy, name.size_bytes};
        names->slots[slot] = (uint32_t)++names->count;
    }
    *number = names->slots[slot] - 1;
    return true;
}

static int compare_names(const void *left, const void *right, void *context)
{
    const struct names *names = context;
    return k2_slice_compare(names->list[*(const uint32_t *)left],
                            names->list[*(const uint32_t *)right]);
}

static bool rank_names(struct names *names)
{
    uint32_t *sorted = k2_alloc(names->count * sizeof *sorted);
    k2_free(names->ranks);
    names->ranks = k2_alloc(names->count * sizeof *names->ranks);
    if (sorted == NULL || names->ranks == NULL) {
        k2_free(sorted);
        return false;
    }
    for (size_t i = 0; i < names->count; i++) {
        sorted[i] = (uint32_t)i;
    }
    qsort_r(sorted, names->count, sizeof *sorted, compare_names, names);
    for (size_t i = 0; i < names->count; i++) {
        names->ranks[sorted[i]] = (uint32_t)i;
    }
    k2_free(sorted);
    return true;
}

// ---- rows in --------------------------------------------------------------------------------

static bool is_same(struct k2_slice left, struct k2_slice right)
{
    return left.data == right.data && left.size_bytes == right.size_bytes;
}

// Rows of an instrument follow each other, and mostly share the bytes; so do other symbolic texts.
static bool put_codes(struct names *names, const struct k2_vector *vector, uint32_t *codes,
                      size_t row_count)
{
    struct memo memos[MEMO] = {0}; // of this call: texts may move until the next one
    for (size_t i = 0; i < row_count; i++) {
        struct k2_slice name = vector->texts[i];
        if (i > 0 && is_same(name, vector->texts[i - 1])) {
            codes[i] = codes[i - 1];
            continue;
        }
        uint64_t place = (uint64_t)(uintptr_t)name.data * 0x9e3779b97f4a7c15U;
        struct memo *memo = &memos[(place >> 32) % MEMO];
        if (memo->data != name.data || memo->size_bytes != name.size_bytes || name.data == NULL) {
            *memo = (struct memo){.data = name.data, .size_bytes = name.size_bytes};
            if (!find_name(names, name, &memo->number)) {
                return false;
            }
        }
        codes[i] = memo->number;
    }
    return true;
}

static bool put_texts(struct k2_row_sorter *self, const struct k2_vector *vector,
                      struct text_ref *refs, size_t row_count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < row_count; i++) {
        bytes += vector->texts[i].size_bytes;
    }
    size_t offset = self->text.size_bytes;
    uint8_t *place = k2_buffer_extend(&self->text, bytes);
    if (place == NULL) {
        return false;
    }
    for (size_t i = 0; i < row_count; i++) {
        struct k2_slice text = vector->texts[i];
        if (i > 0 && is_same(text, vector->texts[i - 1])) {
            refs[i] = refs[i - 1];
            continue;
        }
        refs[i] = (struct text_ref){(uint32_t)offset, (uint32_t)text.size_bytes};
        k2_copy_short(place, text);
        place += text.size_bytes;
        offset += text.size_bytes;
    }
    self->text.size_bytes = offset;
    return true;
}

// Whether all rows are alike. A text that stands at another place is taken to differ.
static bool is_uniform(const struct k2_vector *vector, size_t row_count, bool *null)
{
    *null = vector->valid != NULL && vector->valid[0] == 0;
    if (vector->valid != NULL && memchr(vector->valid, *null ? 1 : 0, row_count) != NULL) {
        return false;
    }
    if (*null) {
        return true;
    }
    if (vector->texts != NULL) {
        for (size_t i = 1; i < row_count; i++) {
            if (!is_same(vector->texts[i], vector->texts[0])) {
                return false;
            }
        }
        return true;
    }
    uint64_t difference = 0;
    for (size_t i = 1; i < row_count; i++) {
        difference |= (uint64_t)vector->values[i] ^ (uint64_t)vector->values[0];
    }
    return difference == 0;
}

static struct k2_slice text_at(const struct k2_row_sorter *self, struct text_ref ref)
{
    return ref.size_bytes == 0 ? k2_slice_of("")
                               : (struct k2_slice){self->text.data + ref.offset, ref.size_bytes};
}

// Rows that are alike, and as those before them: true when nothing is left to do.
static bool stays_uniform(struct k2_row_sorter *self, struct column *column,
                          const struct k2_vector *vector, size_t row_count, bool *failed)
{
    bool null;
    *failed = false;
    if ((self->row_count > 0 && !column->uniform) || !is_uniform(vector, row_count, &null)) {
        return false;
    }
    if (self->row_count > 0) {
        if (null || column->null) {
            return null == column->null;
        }
        if (vector->texts == NULL) {
            return column->value == vector->values[0];
        }
        struct k2_slice text = column->names != NULL ? column->names->list[column->value]
                                                     : text_at(self, column->text);
        return k2_slice_equal(text, vector->texts[0]);
    }
    column->uniform = true;
    column->null = null;
    column->value = 0;
    if (!null && vector->texts == NULL) {
        column->value = vector->values[0];
    } else if (!null && column->names != NULL) {
        uint32_t code = 0;
        *failed = !put_codes(column->names, vector, &code, 1);
        column->value = code;
    } else if (!null) {
        *failed = !put_texts(self, vector, &column->text, 1);
    }
    return true;
}

static bool make_room(struct k2_row_sorter *self, size_t index)
{
    struct column *column = &self->columns[index];
    const struct k2_column *kind = &self->schema->columns[index];
    size_t rows = self->row_capacity;
    bool good = true;
    if (k2_kind_is_fixed(kind->kind)) {
        column->values =
            column->values != NULL ? column->values : k2_alloc(rows * sizeof *column->values);
        good = column->values != NULL;
    } else if (column->names != NULL) {
        column->codes =
            column->codes != NULL ? column->codes : k2_alloc(rows * sizeof *column->codes);
        good = column->codes != NULL;
    } else {
        column->texts =
            column->texts != NULL ? column->texts : k2_alloc(rows * sizeof *column->texts);
        good = column->texts != NULL;
    }
    if (good && kind->nullable && column->valid == NULL) {
        column->valid = k2_alloc(rows);
        good = column->valid != NULL;
    }
    return good;
}

// Gives the rows so far their memory, as they are not all alike any more.
static bool spread(struct k2_row_sorter *self, size_t index)
{
    struct column *column = &self->columns[index];
    if (!make_room(self, index)) {
        return false;
    }
    size_t count = column->uniform ? self->row_count : 0;
    for (size_t i = 0; i < count && column->values != NULL; i++) {
        column->values[i] = column->value;
    }
    for (size_t i = 0; i < count && column->codes != NULL; i++) {
        column->codes[i] = (uint32_t)column->value;
    }
    struct text_ref text = {0};
    if (!column->null) {
        text = column->text;
    }
    for (size_t i = 0; i < count && column->texts != NULL; i++) {
        column->texts[i] = text;
    }
    if (column->valid != NULL && count > 0) {
        memset(column->valid, !column->null, count);
        column->has_nulls = column->null;
    }
    column->uniform = false;
    return true;
}

static bool put_column(struct k2_row_sorter *self, size_t index, const struct k2_vector *vector,
                       size_t row_count)
{
    struct column *column = &self->columns[index];
    size_t row = self->row_count;
    bool failed;
    if (stays_uniform(self, column, vector, row_count, &failed)) {
        return !failed;
    }
    column->uniform = column->uniform && row > 0;
    if ((column->uniform || row == 0) && !spread(self, index)) {
        return false;
    }
    if (column->valid != NULL) {
        if (vector->valid == NULL) {
            memset(column->valid + row, 1, row_count);
        } else {
            memcpy(column->valid + row, vector->valid, row_count);
            column->has_nulls = true;
        }
    }
    if (column->codes != NULL) {
        return put_codes(column->names, vector, column->codes + row, row_count);
    }
    if (column->texts != NULL) {
        return put_texts(self, vector, column->texts + row, row_count);
    }
    memcpy(column->values + row, vector->values, row_count * sizeof *column->values);
    return true;
}

enum k2_status k2_row_sorter_put(struct k2_row_sorter *sorter, const struct k2_vector *vectors,
                                 size_t row_count, struct k2_error *error)
{
    if (row_count > sorter->row_capacity - sorter->row_count) {
        return k2_fail(error, K2_LIMIT, "export: more than %zu rows at a time",
                       sorter->row_capacity);
    }
    if (sorter->text.size_bytes > text_room_bytes) {
        return k2_fail(error, K2_LIMIT, "export: more than %zu bytes of text at a time",
                       text_room_bytes);
    }
    for (size_t i = 0; i < sorter->schema->column_count; i++) {
        if (!put_column(sorter, i, &vectors[i], row_count)) {
            return no_memory(error);
        }
    }
    sorter->row_count += row_count;
    return K2_OK;
}

// ---- order ----------------------------------------------------------------------------------

static int64_t microseconds(int64_t time_ns)
{
    int64_t value = time_ns / NS_PER_US;
    return time_ns % NS_PER_US < 0 ? value - 1 : value;
}

static int compare_numbers(int64_t left, int64_t right)
{
    return (left > right) - (left < right);
}

static int64_t value_at(const struct column *column, uint32_t row)
{
    return column->uniform ? column->value : column->values[row];
}

static uint32_t code_at(const struct column *column, uint32_t row)
{
    return column->uniform ? (uint32_t)column->value : column->codes[row];
}

// Rows of one symbol.
static int compare_rows(const void *left, const void *right, void *context)
{
    const struct k2_row_sorter *self = context;
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    const struct column *times = &self->columns[K2_TIMESTAMP];
    int64_t time_a = value_at(times, a), time_b = value_at(times, b);
    int order = compare_numbers(microseconds(time_a), microseconds(time_b));
    const struct column *column = &self->columns[K2_SEQUENCE];
    order = order != 0 ? order : compare_numbers(value_at(column, a), value_at(column, b));
    order = order != 0 ? order : compare_numbers(time_a, time_b);
    column = &self->columns[K2_EXCHANGE];
    order = order != 0 ? order
                       : compare_numbers(column->names->ranks[code_at(column, a)],
                                         column->names->ranks[code_at(column, b)]);
    column = &self->columns[K2_EPOCH];
    return order != 0 ? order : compare_numbers(value_at(column, a), value_at(column, b));
}

// Whether two rows are in order for certain, by what is looked at most cheaply.
static bool is_in_order(int64_t time, int64_t next_time, int64_t sequence, int64_t next_sequence)
{
    if (time > next_time) {
        return false;
    }
    return (uint64_t)next_time - (uint64_t)time >= NS_PER_US || sequence < next_sequence ||
           (sequence == next_sequence && time < next_time);
}

// Rows of one symbol that are in order: a part of those of all groups. A row that has to go back
// more than a few places begins another piece.
enum { MOST_PIECES = 64, MOST_MOVES = 32 };

struct pieces {
    struct row_run items[MOST_PIECES]; // places in the order
    size_t count;                      // MOST_PIECES: there are more
};

static void find_pieces(struct k2_row_sorter *self, uint32_t *rows, size_t count,
                        struct pieces *pieces)
{
    const struct column *times = &self->columns[K2_TIMESTAMP];
    const struct column *sequences = &self->columns[K2_SEQUENCE];
    size_t begin = 0;
    pieces->count = 0;
    for (size_t i = 1; i < count && pieces->count < MOST_PIECES; i++) {
        uint32_t row = rows[i];
        if (is_in_order(value_at(times, rows[i - 1]), value_at(times, row),
                        value_at(sequences, rows[i - 1]), value_at(sequences, row))) {
            continue;
        }
        size_t to = i;
        while (to > begin && i - to < MOST_MOVES && compare_rows(&rows[to - 1], &row, self) > 0) {
            to--;
        }
        if (i - to == MOST_MOVES) {
            pieces->items[pieces->count++] =
                (struct row_run){(uint32_t)begin, (uint32_t)(i - begin)};
            begin = i;
        } else {
            memmove(&rows[to + 1], &rows[to], (i - to) * sizeof *rows);
            rows[to] = row;
        }
    }
    if (pieces->count < MOST_PIECES) {
        pieces->items[pieces->count++] =
            (struct row_run){(uint32_t)begin, (uint32_t)(count - begin)};
    }
}

// Two neighbours of `from`, the first of `first` rows, into `to`.
static void merge_two(struct k2_row_sorter *self, const uint32_t *from, size_t first, size_t count,
                      uint32_t *to)
{
    const struct column *times = &self->columns[K2_TIMESTAMP];
    const struct column *sequences = &self->columns[K2_SEQUENCE];
    size_t left = 0, right = first;
    while (left < first && right < count) {
        uint32_t a = from[left], b = from[right];
        bool in_order = is_in_order(value_at(times, a), value_at(times, b), value_at(sequences, a),
                                    value_at(sequences, b)) ||
                        compare_rows(&a, &b, self) <= 0;
        *to++ = in_order ? a : b;
        left += in_order;
        right += !in_order;
    }
    memcpy(to, &from[left], (first - left) * sizeof *to);
    memcpy(to + (first - left), &from[right], (count - right) * sizeof *to);
}

// Merges neighbours until one piece is left; `spare` has as much room as `rows`.
static void merge_pieces(struct k2_row_sorter *self, uint32_t *rows, size_t count, uint32_t *spare,
                         struct pieces *pieces)
{
    struct row_run *items = pieces->items;
    uint32_t *from = rows, *to = spare;
    while (pieces->count > 1) {
        size_t kept = 0;
        for (size_t i = 0; i < pieces->count; i += 2) {
            size_t more = i + 1 < pieces->count ? items[i + 1].count : 0;
            struct row_run both = {items[i].first, items[i].count + (uint32_t)more};
            merge_two(self, &from[both.first], items[i].count, both.count, &to[both.first]);
            items[kept++] = both;
        }
        pieces->count = kept;
        uint32_t *merged = to;
        to = from;
        from = merged;
    }
    if (from != rows) {
        memcpy(rows, from, count * sizeof *rows);
    }
}

// Mostly the rows are in order but for some of one microsecond, or they come from a few levels.
static void sort_symbol(struct k2_row_sorter *self, uint32_t *rows, size_t count)
{
    struct pieces pieces;
    find_pieces(self, rows, count, &pieces);
    if (pieces.count <= 1) {
        return;
    }
    uint32_t *spare = pieces.count < MOST_PIECES ? k2_alloc(count * sizeof *spare) : NULL;
    if (spare == NULL) { // without memory it takes longer, no more
        qsort_r(rows, count, sizeof *rows, compare_rows, self);
        return;
    }
    merge_pieces(self, rows, count, spare, &pieces);
    k2_free(spare);
}

enum k2_status k2_row_sorter_sort(struct k2_row_sorter *sorter, struct k2_error *error)
{
    sorter->next_row = 0;
    if (sorter->row_count == 0) {
        return K2_OK;
    }
    const struct column *symbols = &sorter->columns[K2_SYMBOL];
    size_t symbol_count = symbols->names->count;
    size_t *begins = k2_alloc_zero(symbol_count + 1, sizeof *begins);
    if (begins == NULL || !rank_names(symbols->names) ||
        !rank_names(sorter->columns[K2_EXCHANGE].names)) {
        k2_free(begins);
        return no_memory(error);
    }
    const uint32_t *ranks = symbols->names->ranks;
    for (uint32_t row = 0; row < sorter->row_count; row++) {
        begins[ranks[code_at(symbols, row)] + 1]++;
    }
    for (size_t i = 0; i < symbol_count; i++) {
        begins[i + 1] += begins[i];
    }
    for (uint32_t row = 0; row < sorter->row_count; row++) {
        sorter->order[begins[ranks[code_at(symbols, row)]]++] = row;
    }
    // Each begin has moved to the symbol's end.
    for (size_t i = 0, begin = 0; i < symbol_count; begin = begins[i++]) {
        sort_symbol(sorter, sorter->order + begin, begins[i] - begin);
    }
    k2_free(begins);
    return K2_OK;
}

// ---- rows out -------------------------------------------------------------------------------

// Rows in order that follow each other in memory, too. Gives how many runs they are.
static size_t find_runs(struct k2_row_sorter *self, const uint32_t *rows, size_t count)
{
    size_t run_count = 0;
    for (size_t i = 0; i < count; i++) {
        struct row_run *last = run_count == 0 ? NULL : &self->runs[run_count - 1];
        if (last != NULL && last->first + last->count == rows[i]) {
            last->count++;
        } else {
            self->runs[run_count++] = (struct row_run){rows[i], 1};
        }
    }
    return run_count;
}

static void give_uniform(struct k2_row_sorter *self, struct column *column,
                         struct k2_vector_store *store, struct k2_vector *vector, size_t count)
{
    bool fixed = k2_kind_is_fixed(vector->kind);
    struct k2_slice text = column->null || fixed   ? k2_slice_of("")
                           : column->names != NULL ? column->names->list[column->value]
                                                   : text_at(self, column->text);
    for (; column->filled < count; column->filled++) { // by an earlier vector as well
        store->valid[column->filled] = !column->null;
        if (fixed) {
            store->values[column->filled] = column->value;
        } else {
            store->texts[column->filled] = text;
        }
    }
    vector->alike = true;
    vector->valid = column->null ? store->valid : NULL;
    vector->values = fixed ? store->values : NULL;
    vector->texts = fixed ? NULL : store->texts;
}

// The texts of a run to `texts`.
static void gather_texts(const struct k2_row_sorter *self, const struct column *column,
                         struct row_run run, struct k2_slice *texts)
{
    if (column->codes != NULL) {
        const uint32_t *codes = &column->codes[run.first];
        for (uint32_t i = 0; i < run.count; i++) {
            texts[i] = column->names->list[codes[i]];
        }
    } else {
        const struct text_ref *refs = &column->texts[run.first];
        for (uint32_t i = 0; i < run.count; i++) {
            texts[i] = text_at(self, refs[i]);
        }
    }
}

static void gather(struct k2_row_sorter *self, size_t index, size_t run_count, size_t count)
{
    struct column *column = &self->columns[index];
    const struct k2_column *kind = &self->schema->columns[index];
    struct k2_vector_store *store = &self->stores[index];
    struct k2_vector *vector = &self->vectors[index];
    *vector = (struct k2_vector){.kind = kind->kind, .scale = kind->scale};
    if (column->uniform) {
        give_uniform(self, column, store, vector, count);
        return;
    }
    bool lent = run_count == 1 && column->values != NULL;
    size_t place = 0;
    for (size_t i = 0; i < run_count; place += self->runs[i++].count) {
        struct row_run run = self->runs[i];
        if (column->values == NULL) {
            gather_texts(self, column, run, &store->texts[place]);
        } else if (!lent) {
            memcpy(&store->values[place], &column->values[run.first],
                   run.count * sizeof *store->values);
        }
        if (column->has_nulls) {
            memcpy(&store->valid[place], &column->valid[run.first], run.count);
        }
    }
    vector->values = lent                     ? &column->values[self->runs[0].first]
                     : column->values != NULL ? store->values
                                              : NULL;
    vector->texts = column->values == NULL ? store->texts : NULL;
    vector->valid = column->has_nulls ? store->valid : NULL;
}

void k2_row_sorter_next(struct k2_row_sorter *sorter, const struct k2_vector **vectors,
                        size_t *row_count)
{
    size_t count = sorter->row_count - sorter->next_row;
    count = count < K2_VECTOR_ROWS ? count : K2_VECTOR_ROWS;
    size_t run_count = find_runs(sorter, sorter->order + sorter->next_row, count);
    for (size_t i = 0; i < sorter->schema->column_count && count > 0; i++) {
        gather(sorter, i, run_count, count);
    }
    sorter->next_row += count;
    *vectors = sorter->vectors;
    *row_count = count;
}
