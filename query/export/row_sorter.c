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

struct column {
    int64_t *values;        // fixed kinds
    struct text_ref *texts; // text kinds; of exchange and symbol: the name's number as offset
    uint8_t *valid;         // NULL: not nullable
    bool has_nulls;
    bool has_last;
    struct text_ref last;
};

// Distinct exchanges or symbols.
struct names {
    struct k2_arena arena;
    struct k2_slice *list;
    uint32_t *ranks; // in the order of their bytes
    size_t count, room;
    uint32_t *slots; // number + 1, or 0
    size_t slot_count;
};

struct k2_row_sorter {
    const struct k2_schema *schema; // borrowed
    size_t row_count, row_capacity, next_row;
    struct column *columns;
    struct k2_buffer text;
    struct names exchanges, symbols;
    uint32_t *order;
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
    bool good = true;
    for (size_t i = 0; i < self->schema->column_count && good; i++) {
        const struct k2_column *column = &self->schema->columns[i];
        struct column *place = &self->columns[i];
        if (k2_kind_is_fixed(column->kind)) {
            place->values = k2_alloc(self->row_capacity * sizeof *place->values);
            good = place->values != NULL;
        } else {
            place->texts = k2_alloc(self->row_capacity * sizeof *place->texts);
            good = place->texts != NULL;
        }
        if (good && column->nullable) {
            place->valid = k2_alloc(self->row_capacity);
            good = place->valid != NULL;
        }
    }
    return good;
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
    self->stores = k2_alloc_aligned(schema->column_count * sizeof *self->stores);
    self->vectors = k2_alloc_zero(schema->column_count, sizeof *self->vectors);
    if (self->columns == NULL || self->order == NULL || self->stores == NULL ||
        self->vectors == NULL || !create_columns(self)) {
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
        k2_free(sorter->columns[i].values);
        k2_free(sorter->columns[i].texts);
        k2_free(sorter->columns[i].valid);
    }
    k2_free(sorter->columns);
    k2_buffer_deinit(&sorter->text);
    names_deinit(&sorter->exchanges);
    names_deinit(&sorter->symbols);
    k2_free(sorter->order);
    k2_free(sorter->stores);
    k2_free(sorter->vectors);
    k2_free(sorter);
}

void k2_row_sorter_clear(struct k2_row_sorter *sorter)
{
    sorter->row_count = sorter->next_row = 0;
    k2_buffer_clear(&sorter->text);
    names_deinit(&sorter->exchanges);
    names_deinit(&sorter->symbols);
    for (size_t i = 0; i < sorter->schema->column_count; i++) {
        sorter->columns[i].has_nulls = sorter->columns[i].has_last = false;
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

static bool put_names(struct k2_row_sorter *self, size_t index, const struct k2_vector *vector,
                      size_t row_count)
{
    struct names *names = index == K2_SYMBOL ? &self->symbols : &self->exchanges;
    struct text_ref *refs = self->columns[index].texts + self->row_count;
    for (size_t i = 0; i < row_count; i++) {
        struct k2_slice name = vector->texts[i];
        // Rows of an instrument follow each other, and mostly share the bytes.
        if (i > 0 && name.data == vector->texts[i - 1].data &&
            name.size_bytes == vector->texts[i - 1].size_bytes) {
            refs[i] = refs[i - 1];
        } else if (!find_name(names, name, &refs[i].offset)) {
            return false;
        }
    }
    return true;
}

static bool put_texts(struct k2_row_sorter *self, struct column *column,
                      const struct k2_vector *vector, size_t row_count)
{
    struct text_ref *refs = column->texts + self->row_count;
    for (size_t i = 0; i < row_count; i++) {
        struct k2_slice text = vector->texts[i];
        if (column->has_last && column->last.size_bytes == text.size_bytes &&
            (text.size_bytes == 0 ||
             memcmp(self->text.data + column->last.offset, text.data, text.size_bytes) == 0)) {
            refs[i] = column->last;
            continue;
        }
        column->last =
            (struct text_ref){(uint32_t)self->text.size_bytes, (uint32_t)text.size_bytes};
        column->has_last = true;
        refs[i] = column->last;
        k2_put_bytes(&self->text, text.data, text.size_bytes);
        if (self->text.failed) {
            return false;
        }
    }
    return true;
}

static bool put_column(struct k2_row_sorter *self, size_t index, const struct k2_vector *vector,
                       size_t row_count)
{
    struct column *column = &self->columns[index];
    if (index == K2_SYMBOL || index == K2_EXCHANGE) {
        return put_names(self, index, vector, row_count);
    }
    if (column->valid != NULL) {
        if (vector->valid == NULL) {
            memset(column->valid + self->row_count, 1, row_count);
        } else {
            memcpy(column->valid + self->row_count, vector->valid, row_count);
            column->has_nulls = true;
        }
    }
    if (column->values == NULL) {
        return put_texts(self, column, vector, row_count);
    }
    memcpy(column->values + self->row_count, vector->values, row_count * sizeof *column->values);
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

// Rows of one symbol.
static int compare_rows(const void *left, const void *right, void *context)
{
    const struct k2_row_sorter *self = context;
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    const int64_t *times = self->columns[K2_TIMESTAMP].values;
    int order = compare_numbers(microseconds(times[a]), microseconds(times[b]));
    const int64_t *sequences = self->columns[K2_SEQUENCE].values;
    order = order != 0 ? order : compare_numbers(sequences[a], sequences[b]);
    order = order != 0 ? order : compare_numbers(times[a], times[b]);
    const struct text_ref *exchanges = self->columns[K2_EXCHANGE].texts;
    order = order != 0 ? order
                       : compare_numbers(self->exchanges.ranks[exchanges[a].offset],
                                         self->exchanges.ranks[exchanges[b].offset]);
    const int64_t *epochs = self->columns[K2_EPOCH].values;
    return order != 0 ? order : compare_numbers(epochs[a], epochs[b]);
}

static void sort_symbol(struct k2_row_sorter *self, uint32_t *rows, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (compare_rows(&rows[i - 1], &rows[i], self) > 0) {
            qsort_r(rows, count, sizeof *rows, compare_rows, self);
            return;
        }
    }
}

enum k2_status k2_row_sorter_sort(struct k2_row_sorter *sorter, struct k2_error *error)
{
    sorter->next_row = 0;
    if (sorter->row_count == 0) {
        return K2_OK;
    }
    size_t symbol_count = sorter->symbols.count;
    size_t *begins = k2_alloc_zero(symbol_count + 1, sizeof *begins);
    if (begins == NULL || !rank_names(&sorter->symbols) || !rank_names(&sorter->exchanges)) {
        k2_free(begins);
        return no_memory(error);
    }
    const struct text_ref *symbols = sorter->columns[K2_SYMBOL].texts;
    const uint32_t *ranks = sorter->symbols.ranks;
    for (size_t row = 0; row < sorter->row_count; row++) {
        begins[ranks[symbols[row].offset] + 1]++;
    }
    for (size_t i = 0; i < symbol_count; i++) {
        begins[i + 1] += begins[i];
    }
    for (size_t row = 0; row < sorter->row_count; row++) {
        sorter->order[begins[ranks[symbols[row].offset]]++] = (uint32_t)row;
    }
    // Each begin has moved to the symbol's end.
    for (size_t i = 0, begin = 0; i < symbol_count; begin = begins[i++]) {
        sort_symbol(sorter, sorter->order + begin, begins[i] - begin);
    }
    k2_free(begins);
    return K2_OK;
}

// ---- rows out -------------------------------------------------------------------------------

static void gather(struct k2_row_sorter *self, size_t index, const uint32_t *rows, size_t count)
{
    const struct column *column = &self->columns[index];
    const struct k2_column *kind = &self->schema->columns[index];
    struct k2_vector_store *store = &self->stores[index];
    struct k2_vector *vector = &self->vectors[index];
    *vector = (struct k2_vector){.kind = kind->kind, .scale = kind->scale};
    if (column->values != NULL) {
        for (size_t i = 0; i < count; i++) {
            store->values[i] = column->values[rows[i]];
        }
        vector->values = store->values;
    } else if (index == K2_SYMBOL || index == K2_EXCHANGE) {
        const struct names *names = index == K2_SYMBOL ? &self->symbols : &self->exchanges;
        for (size_t i = 0; i < count; i++) {
            store->texts[i] = names->list[column->texts[rows[i]].offset];
        }
        vector->texts = store->texts;
    } else {
        for (size_t i = 0; i < count; i++) {
            struct text_ref ref = column->texts[rows[i]];
            store->texts[i] = ref.size_bytes == 0
                                  ? k2_slice_of("")
                                  : (struct k2_slice){self->text.data + ref.offset, ref.size_bytes};
        }
        vector->texts = store->texts;
    }
    if (column->has_nulls) {
        for (size_t i = 0; i < count; i++) {
            store->valid[i] = column->valid[rows[i]];
        }
        vector->valid = store->valid;
    }
}

void k2_row_sorter_next(struct k2_row_sorter *sorter, const struct k2_vector **vectors,
                        size_t *row_count)
{
    size_t count = sorter->row_count - sorter->next_row;
    count = count < K2_VECTOR_ROWS ? count : K2_VECTOR_ROWS;
    for (size_t i = 0; i < sorter->schema->column_count && count > 0; i++) {
        gather(sorter, i, sorter->order + sorter->next_row, count);
    }
    sorter->next_row += count;
    *vectors = sorter->vectors;
    *row_count = count;
}
