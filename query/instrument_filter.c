#include "query/instrument_filter.h"

#include <stdlib.h>

#include "format/base/alloc.h"
#include "query/canonical.h"

typedef struct k2_slice name_of_instrument(const struct k2_instrument *instrument);

static struct k2_slice exchange_of(const struct k2_instrument *instrument)
{
    return k2_slice_of(instrument->exchange);
}

static struct k2_slice symbol_of(const struct k2_instrument *instrument)
{
    return k2_slice_of(instrument->symbol);
}

// Takes the next name of a comma-separated list; false at its end.
static bool next_name(struct k2_slice *rest, struct k2_slice *name)
{
    if (rest->data == NULL) {
        return false;
    }
    const uint8_t *comma = rest->size_bytes == 0 ? NULL : memchr(rest->data, ',', rest->size_bytes);
    if (comma == NULL) {
        *name = *rest;
        *rest = (struct k2_slice){0};
        return true;
    }
    *name = (struct k2_slice){rest->data, (size_t)(comma - rest->data)};
    rest->size_bytes -= name->size_bytes + 1;
    rest->data = comma + 1;
    return true;
}

// The one spelling that `wanted` means; untouched when nothing matches.
static enum k2_status find_spelling(const struct k2_name_list *names, name_of_instrument *name_of,
                                    const struct k2_instrument *list, size_t count,
                                    const bool *keep, struct k2_slice wanted,
                                    struct k2_slice *spelling, struct k2_error *error)
{
    bool ambiguous = false;
    struct k2_slice other = {0};
    for (size_t i = 0; i < count; i++) {
        struct k2_slice name = name_of(&list[i]);
        if (!keep[i] || !k2_equal_without_case(name, wanted)) {
            continue;
        }
        if (k2_slice_equal(name, wanted)) {
            *spelling = name;
            return K2_OK;
        }
        if (spelling->data != NULL && !k2_slice_equal(name, *spelling)) {
            ambiguous = true;
            other = name;
        } else {
            *spelling = name;
        }
    }
    if (ambiguous) {
        return k2_fail(error, K2_BAD_REQUEST,
                       "%s: ambiguous_symbol: `%.*s` may mean `%.*s` or `%.*s`; write it exactly",
                       names->parameter, (int)wanted.size_bytes, (const char *)wanted.data,
                       (int)spelling->size_bytes, (const char *)spelling->data,
                       (int)other.size_bytes, (const char *)other.data);
    }
    return K2_OK;
}

static enum k2_status check_name(const struct k2_name_list *names, struct k2_slice name,
                                 struct k2_error *error)
{
    if (name.size_bytes == 0) {
        return k2_fail(error, K2_BAD_REQUEST, "%s: a name is empty; separate names by one comma",
                       names->parameter);
    }
    return K2_OK;
}

// Narrows `keep` to the instruments with one of the names.
static enum k2_status keep_named(const struct k2_name_list *names, name_of_instrument *name_of,
                                 const struct k2_instrument *list, size_t count, bool *keep,
                                 bool *chosen, struct k2_error *error)
{
    if (!names->given) {
        return K2_OK;
    }
    memset(chosen, 0, count * sizeof *chosen);
    struct k2_slice rest = names->names, wanted = {0};
    while (next_name(&rest, &wanted)) {
        struct k2_slice spelling = {0};
        enum k2_status status = check_name(names, wanted, error);
        if (status == K2_OK) {
            status = find_spelling(names, name_of, list, count, keep, wanted, &spelling, error);
        }
        if (status != K2_OK) {
            return status;
        }
        for (size_t i = 0; spelling.data != NULL && i < count; i++) {
            chosen[i] = chosen[i] || k2_slice_equal(name_of(&list[i]), spelling);
        }
    }
    for (size_t i = 0; i < count; i++) {
        keep[i] = keep[i] && chosen[i];
    }
    return K2_OK;
}

static bool is_listed(struct k2_slice names, struct k2_slice name)
{
    struct k2_slice wanted = {0};
    while (next_name(&names, &wanted)) {
        char canonical[K2_CANONICAL_BYTES];
        size_t size = k2_canonical_symbol(wanted, canonical);
        if (k2_slice_equal((struct k2_slice){(const uint8_t *)canonical, size}, name)) {
            return true;
        }
    }
    return false;
}

static enum k2_status keep_canonical(const struct k2_name_list *names,
                                     const struct k2_instrument *list, size_t count, bool *keep,
                                     struct k2_error *error)
{
    if (!names->given) {
        return K2_OK;
    }
    struct k2_slice rest = names->names, wanted = {0};
    while (next_name(&rest, &wanted)) {
        enum k2_status status = check_name(names, wanted, error);
        if (status != K2_OK) {
            return status;
        }
    }
    for (size_t i = 0; i < count; i++) {
        char canonical[K2_CANONICAL_BYTES];
        size_t size = keep[i] ? k2_canonical_symbol(symbol_of(&list[i]), canonical) : 0;
        keep[i] = size > 0 &&
                  is_listed(names->names, (struct k2_slice){(const uint8_t *)canonical, size});
    }
    return K2_OK;
}

enum k2_status k2_instrument_filter_apply(const struct k2_instrument_filter *filter,
                                          const struct k2_instrument *list, size_t count,
                                          bool *keep, struct k2_error *error)
{
    bool *chosen = k2_alloc_zero(count, sizeof *chosen);
    if (chosen == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "instruments: no memory");
    }
    for (size_t i = 0; i < count; i++) {
        keep[i] = true;
    }
    enum k2_status status =
        keep_named(&filter->exchange, exchange_of, list, count, keep, chosen, error);
    if (status == K2_OK) {
        status = keep_named(&filter->symbol, symbol_of, list, count, keep, chosen, error);
    }
    if (status == K2_OK) {
        status = keep_canonical(&filter->canonical, list, count, keep, error);
    }
    k2_free(chosen);
    return status;
}

static enum k2_status select_kept(struct k2_instrument_selection *self,
                                  const struct k2_instrument_filter *filter, struct k2_error *error)
{
    const struct k2_instrument *items = self->list->items;
    size_t count = self->list->count;
    bool *keep = k2_alloc_zero(count, sizeof *keep);
    self->instruments = k2_alloc(count * sizeof *self->instruments);
    if (keep == NULL || self->instruments == NULL) {
        k2_free(keep);
        return k2_fail(error, K2_NO_MEMORY, "instruments: no memory");
    }
    enum k2_status status = k2_instrument_filter_apply(filter, items, count, keep, error);
    for (size_t i = 0; status == K2_OK && i < count; i++) {
        if (keep[i]) {
            self->instruments[self->instrument_count++] =
                (struct k2_scan_instrument){exchange_of(&items[i]), symbol_of(&items[i])};
        }
    }
    k2_free(keep);
    return status;
}

enum k2_status k2_instrument_selection_open(struct k2_instrument_selection *selection,
                                            struct k2_engine *engine, const struct k2_table *table,
                                            uint64_t snapshot,
                                            const struct k2_instrument_filter *filter,
                                            struct k2_error *error)
{
    *selection = (struct k2_instrument_selection){
        .all = !filter->exchange.given && !filter->symbol.given && !filter->canonical.given};
    if (selection->all) {
        return K2_OK;
    }
    enum k2_status status = k2_instruments_borrow(engine, table, snapshot, &selection->list, error);
    if (status == K2_OK) {
        status = select_kept(selection, filter, error);
    }
    if (status != K2_OK) {
        k2_instrument_selection_close(selection);
    }
    return status;
}

static int compare_ids(const void *left, const void *right)
{
    const uint32_t *a = left, *b = right;
    return (*a > *b) - (*a < *b);
}

enum k2_status k2_instrument_selection_ids(const struct k2_instrument_selection *selection,
                                           uint32_t **ids, struct k2_error *error)
{
    size_t count = 0;
    *ids = NULL;
    if (selection->all) {
        return K2_OK;
    }
    uint32_t *list = k2_alloc_zero(selection->instrument_count, sizeof *list);
    if (list == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "instruments: no memory");
    }
    // Both are in the same order, and the selected names are those of the list.
    for (size_t i = 0; count < selection->instrument_count; i++) {
        const char *symbol = (const char *)selection->instruments[count].symbol.data;
        if (selection->list->items[i].symbol == symbol) {
            list[count++] = selection->list->items[i].id;
        }
    }
    if (count > 1) {
        qsort(list, count, sizeof *list, compare_ids);
    }
    *ids = list;
    return K2_OK;
}

void k2_instrument_selection_close(struct k2_instrument_selection *selection)
{
    k2_free(selection->instruments);
    k2_instruments_release(selection->list);
    *selection = (struct k2_instrument_selection){0};
}
