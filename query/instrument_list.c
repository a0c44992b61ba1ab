#include "query/instrument_list.h"

#include <stdlib.h>

#include "format/base/alloc.h"
#include "format/base/json_text.h"
#include "query/canonical.h"

// An entry with its table, to be sorted together.
struct placed_instrument {
    struct k2_instrument instrument; // borrowed texts
    uint8_t table;
};

static int compare_placed(const void *left, const void *right)
{
    const struct placed_instrument *a = left, *b = right;
    int order = strcmp(a->instrument.exchange, b->instrument.exchange);
    order = order != 0 ? order : strcmp(a->instrument.symbol, b->instrument.symbol);
    return order != 0 ? order : (a->table > b->table) - (a->table < b->table);
}

static int compare_texts(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static enum k2_status read_lists(struct k2_instrument_list *list, struct k2_engine *engine,
                                 const struct k2_table *only, uint64_t snapshot,
                                 struct k2_error *error)
{
    const struct k2_table *table = NULL;
    for (size_t i = 0; (table = k2_engine_table_at(engine, i)) != NULL; i++) {
        bool wanted = only != NULL ? table == only : table->schema->table[0] != '_';
        if (!wanted) {
            continue;
        }
        if (list->table_count == K2_INSTRUMENT_LIST_TABLES) {
            return k2_fail(error, K2_LIMIT, "instruments: more than %d tables; name one",
                           K2_INSTRUMENT_LIST_TABLES);
        }
        size_t place = list->table_count;
        enum k2_status status =
            k2_instruments_borrow(engine, table, snapshot, &list->lists[place], error);
        if (status != K2_OK) {
            return status;
        }
        list->names[place] = table->schema->table;
        list->table_count++;
        list->entry_count += list->lists[place]->count;
    }
    return K2_OK;
}

static enum k2_status sort_entries(struct k2_instrument_list *list, struct k2_error *error)
{
    struct placed_instrument *placed = k2_alloc_zero(list->entry_count, sizeof *placed);
    list->entries = k2_alloc_zero(list->entry_count, sizeof *list->entries);
    list->tables = k2_alloc_zero(list->entry_count, sizeof *list->tables);
    list->keep = k2_alloc_zero(list->entry_count, sizeof *list->keep);
    if (placed == NULL || list->entries == NULL || list->tables == NULL || list->keep == NULL) {
        k2_free(placed);
        return k2_fail(error, K2_NO_MEMORY, "instruments: no memory");
    }
    size_t count = 0;
    for (size_t t = 0; t < list->table_count; t++) {
        for (size_t i = 0; i < list->lists[t]->count; i++) {
            placed[count++] = (struct placed_instrument){list->lists[t]->items[i], (uint8_t)t};
        }
    }
    if (count > 0) {
        qsort(placed, count, sizeof *placed, compare_placed);
    }
    for (size_t i = 0; i < count; i++) {
        list->entries[i] = placed[i].instrument;
        list->tables[i] = placed[i].table;
    }
    k2_free(placed);
    return K2_OK;
}

enum k2_status k2_instrument_list_open(struct k2_instrument_list *list, struct k2_engine *engine,
                                       const struct k2_table *table, uint64_t snapshot,
                                       const struct k2_instrument_filter *filter,
                                       struct k2_error *error)
{
    *list = (struct k2_instrument_list){0};
    enum k2_status status = read_lists(list, engine, table, snapshot, error);
    if (status == K2_OK) {
        status = sort_entries(list, error);
    }
    if (status == K2_OK) {
        status =
            k2_instrument_filter_apply(filter, list->entries, list->entry_count, list->keep, error);
    }
    if (status != K2_OK) {
        k2_instrument_list_close(list);
    }
    return status;
}

void k2_instrument_list_close(struct k2_instrument_list *list)
{
    for (size_t t = 0; t < list->table_count; t++) {
        k2_instruments_release(list->lists[t]);
    }
    k2_free(list->entries);
    k2_free(list->tables);
    k2_free(list->keep);
    *list = (struct k2_instrument_list){0};
}

static bool is_same(const struct k2_instrument *left, const struct k2_instrument *right)
{
    return strcmp(left->exchange, right->exchange) == 0 && strcmp(left->symbol, right->symbol) == 0;
}

// One instrument: entries[first .. last) are its tables.
static void put_instrument(const struct k2_instrument_list *list, size_t first, size_t last,
                           struct k2_buffer *out)
{
    const struct k2_instrument *instrument = &list->entries[first];
    char canonical[K2_CANONICAL_BYTES];
    size_t canonical_bytes = k2_canonical_symbol(k2_slice_of(instrument->symbol), canonical);
    uint64_t first_snapshot = instrument->first_snapshot;
    k2_put_text(out, "{\"exchange\":");
    k2_json_put_string(out, k2_slice_of(instrument->exchange));
    k2_put_text(out, ",\"symbol\":");
    k2_json_put_string(out, k2_slice_of(instrument->symbol));
    k2_put_text(out, ",\"canonical\":");
    k2_json_put_string(out, (struct k2_slice){(const uint8_t *)canonical, canonical_bytes});
    k2_put_text(out, ",\"tables\":[");
    for (size_t i = first; i < last; i++) {
        k2_put_text(out, i > first ? "," : "");
        k2_json_put_string(out, k2_slice_of(list->names[list->tables[i]]));
        uint64_t snapshot = list->entries[i].first_snapshot;
        first_snapshot = snapshot < first_snapshot ? snapshot : first_snapshot;
    }
    k2_put_format(out, "],\"first_snapshot\":%llu}", (unsigned long long)first_snapshot);
}

uint64_t k2_instrument_list_put(const struct k2_instrument_list *list, struct k2_buffer *out)
{
    uint64_t count = 0;
    size_t next = 0;
    for (size_t first = 0; first < list->entry_count; first = next) {
        next = first + 1;
        while (next < list->entry_count && is_same(&list->entries[first], &list->entries[next])) {
            next++;
        }
        if (list->keep[first]) {
            k2_put_text(out, count++ > 0 ? ",\n" : "[\n");
            put_instrument(list, first, next, out);
        }
    }
    k2_put_text(out, count > 0 ? "\n]" : "[]");
    return count;
}

uint64_t k2_instrument_list_put_symbols(const struct k2_instrument_list *list,
                                        struct k2_buffer *out)
{
    const char **symbols = k2_alloc_zero(list->entry_count, sizeof *symbols);
    uint64_t count = 0;
    size_t kept = 0;
    if (symbols == NULL) {
        out->failed = true;
        return 0;
    }
    for (size_t i = 0; i < list->entry_count; i++) {
        if (list->keep[i]) {
            symbols[kept++] = list->entries[i].symbol;
        }
    }
    if (kept > 0) {
        qsort(symbols, kept, sizeof *symbols, compare_texts);
    }
    for (size_t i = 0; i < kept; i++) {
        if (i == 0 || strcmp(symbols[i - 1], symbols[i]) != 0) {
            k2_put_text(out, count++ > 0 ? "," : "[");
            k2_json_put_string(out, k2_slice_of(symbols[i]));
        }
    }
    k2_put_text(out, count > 0 ? "]" : "[]");
    k2_free(symbols);
    return count;
}
