#include "engine/gap_list.h"

#include <stdlib.h>
#include <string.h>

#include "engine/domains.h"
#include "engine/ledger_reader.h"
#include "engine/ledger_store.h"
#include "format/base/alloc.h"

struct entry {
    struct k2_gap_place place;
    struct k2_sequence_gap gap;
};

struct k2_gap_list {
    struct k2_engine *engine; // borrowed
    struct k2_ledger_view view;
    const struct k2_instruments *names;       // borrowed until release
    const struct k2_instrument **instruments; // owned array: wanted ones of `names`
    size_t instrument_count, next_instrument;
    uint32_t *named; // owned: named domains that they use, each once
    size_t named_count, next_named;
    struct entry *entries; // owned: of the counter at hand
    size_t entry_count, entry_room, next_entry;
    struct k2_gap shown; // names of the counter at hand
    struct k2_buffer domain_text, name;
};

static enum k2_status fail_memory(struct k2_error *error)
{
    return k2_fail(error, K2_NO_MEMORY, "gaps: out of memory");
}

static int compare_ids(const void *left, const void *right)
{
    const uint32_t *a = left, *b = right;
    return (*a > *b) - (*a < *b);
}

static enum k2_status list_named(struct k2_gap_list *self, struct k2_error *error)
{
    enum k2_status status = K2_OK;
    size_t kept = 0;
    for (size_t i = 0; i < self->instrument_count && status == K2_OK; i++) {
        status = k2_ledger_users_of(&self->view, self->instruments[i]->id, &self->named,
                                    &self->named_count, error);
    }
    if (self->named_count > 1) {
        qsort(self->named, self->named_count, sizeof *self->named, compare_ids);
    }
    for (size_t i = 0; i < self->named_count; i++) {
        if (i == 0 || self->named[i] != self->named[i - 1]) {
            self->named[kept++] = self->named[i];
        }
    }
    self->named_count = kept;
    return status;
}

static enum k2_status list_instruments(struct k2_gap_list *self,
                                       const struct k2_gap_list_request *request,
                                       struct k2_error *error)
{
    enum k2_status status =
        k2_instruments_borrow(self->engine, request->table, request->snapshot, &self->names, error);
    if (status != K2_OK) {
        return status;
    }
    self->instruments = k2_alloc(self->names->count * sizeof *self->instruments);
    if (self->instruments == NULL) {
        return fail_memory(error);
    }
    size_t kept = 0;
    for (size_t i = 0; i < self->names->count; i++) {
        const struct k2_instrument *instrument = &self->names->items[i];
        if (request->instruments == NULL ||
            bsearch(&instrument->id, request->instruments, request->instrument_count,
                    sizeof instrument->id, compare_ids) != NULL) {
            self->instruments[kept++] = instrument;
        }
    }
    self->instrument_count = kept;
    return K2_OK;
}

static enum k2_status build(struct k2_gap_list *self, const struct k2_gap_list_request *request,
                            struct k2_error *error)
{
    enum k2_status status = list_instruments(self, request, error);
    if (status != K2_OK) {
        return status;
    }
    status = k2_store_begin(self->engine->store, false, &self->view.txn, error);
    if (status == K2_OK) {
        status = list_named(self, error);
        k2_store_abort(self->view.txn);
    }
    return status;
}

enum k2_status k2_gap_list_open(struct k2_gap_list **list, struct k2_engine *engine,
                                const struct k2_gap_list_request *request, struct k2_error *error)
{
    struct k2_gap_list *self = k2_alloc_zero(1, sizeof *self);
    *list = NULL;
    if (self == NULL) {
        return fail_memory(error);
    }
    self->engine = engine;
    self->view = (struct k2_ledger_view){
        .table = request->table->id,
        .snapshot = request->snapshot,
        .has_start = request->has_start,
        .has_end = request->has_end,
        .start_ns = request->start_ns,
        .end_ns = request->end_ns,
        .open_only = request->open_only,
    };
    k2_buffer_init(&self->domain_text, 1 << 20);
    k2_buffer_init(&self->name, 1 << 20);
    enum k2_status status = build(self, request, error);
    if (status != K2_OK) {
        k2_gap_list_close(self);
        return status;
    }
    *list = self;
    return K2_OK;
}

void k2_gap_list_close(struct k2_gap_list *list)
{
    if (list == NULL) {
        return;
    }
    k2_free(list->instruments);
    k2_instruments_release(list->names);
    k2_free(list->named);
    k2_free(list->entries);
    k2_buffer_deinit(&list->domain_text);
    k2_buffer_deinit(&list->name);
    k2_free(list);
}

bool k2_gap_list_has_domains(const struct k2_gap_list *list)
{
    return list->named_count > 0;
}

// ---- the gaps of one counter

static enum k2_status take_gap(void *context, const struct k2_gap_place *place,
                               const struct k2_sequence_gap *gap, struct k2_error *error)
{
    struct k2_gap_list *self = context;
    if (self->view.open_only && place->closed != 0) {
        return K2_OK;
    }
    if (self->entry_count == self->entry_room) {
        size_t room = self->entry_room * 2 + 64;
        struct entry *grown = k2_realloc(self->entries, room, sizeof *grown);
        if (grown == NULL) {
            return fail_memory(error);
        }
        self->entries = grown;
        self->entry_room = room;
    }
    self->entries[self->entry_count++] = (struct entry){*place, *gap};
    return K2_OK;
}

static int compare_entries(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    if (a->place.epoch != b->place.epoch) {
        return a->place.epoch < b->place.epoch ? -1 : 1;
    }
    if (a->gap.first != b->gap.first) {
        return a->gap.first < b->gap.first ? -1 : 1;
    }
    return (a->gap.opened > b->gap.opened) - (a->gap.opened < b->gap.opened);
}

static enum k2_status load_counter(struct k2_gap_list *self, uint32_t domain,
                                   struct k2_error *error)
{
    self->entry_count = self->next_entry = 0;
    enum k2_status status = k2_ledger_visit_domain(&self->view, domain, take_gap, self, error);
    if (status == K2_OK && self->entry_count > 1) {
        qsort(self->entries, self->entry_count, sizeof *self->entries, compare_entries);
    }
    return status;
}

// Fills the names of a named domain, in texts of the list.
static enum k2_status name_counter(struct k2_gap_list *self, uint32_t domain,
                                   struct k2_error *error)
{
    struct k2_index_key key = k2_index_key_pair(self->view.table, domain);
    struct k2_domain_part parts[K2_DOMAIN_COLUMNS];
    struct k2_domain_record record;
    struct k2_slice value;
    size_t count = 0;
    bool found;
    k2_buffer_clear(&self->name);
    k2_buffer_clear(&self->domain_text);
    enum k2_status status = k2_store_get(self->view.txn, K2_STORE_DOMAIN, k2_index_key_slice(&key),
                                         &found, &value, error);
    if (status == K2_OK && !found) {
        status = k2_fail(error, K2_CORRUPT, "index: domains: one is missing");
    }
    if (status == K2_OK) {
        status = k2_domain_record_read(value, &record, error);
    }
    if (status == K2_OK) {
        k2_put_bytes(&self->name, record.name.data, record.name.size_bytes);
        status = k2_buffer_check(&self->name, "domain", error);
    }
    if (status == K2_OK) {
        status = k2_domain_name_read(k2_buffer_slice(&self->name), parts, &count, error);
    }
    self->shown = (struct k2_gap){0};
    for (size_t i = 0; i < count && status == K2_OK; i++) {
        k2_put_text(&self->domain_text, i > 0 ? "," : "");
        k2_put_bytes(&self->domain_text, parts[i].column.data, parts[i].column.size_bytes);
        k2_put_u8(&self->domain_text, '=');
        k2_put_bytes(&self->domain_text, parts[i].value.data, parts[i].value.size_bytes);
        if (k2_slice_equal(parts[i].column, k2_slice_of("exchange"))) {
            self->shown.exchange = parts[i].value;
        } else if (k2_slice_equal(parts[i].column, k2_slice_of("symbol"))) {
            self->shown.symbol = parts[i].value;
        }
        status = k2_buffer_check(&self->domain_text, "domain", error);
    }
    self->shown.domain = k2_buffer_slice(&self->domain_text);
    return status;
}

// Goes to the next counter, in a transaction of its own: what is as of a snapshot stays.
static enum k2_status advance(struct k2_gap_list *self, struct k2_error *error)
{
    enum k2_status status = k2_store_begin(self->engine->store, false, &self->view.txn, error);
    if (status != K2_OK) {
        return status;
    }
    if (self->next_instrument < self->instrument_count) {
        const struct k2_instrument *instrument = self->instruments[self->next_instrument++];
        self->shown = (struct k2_gap){.instrument = instrument->id,
                                      .exchange = k2_slice_of(instrument->exchange),
                                      .symbol = k2_slice_of(instrument->symbol)};
        status = load_counter(self, instrument->id, error);
    } else {
        uint32_t domain = self->named[self->next_named++];
        status = name_counter(self, domain, error);
        if (status == K2_OK) {
            status = load_counter(self, domain, error);
        }
    }
    k2_store_abort(self->view.txn);
    return status;
}

enum k2_status k2_gap_list_next(struct k2_gap_list *list, bool *found, struct k2_gap *gap,
                                struct k2_error *error)
{
    while (list->next_entry == list->entry_count) {
        if (list->next_instrument == list->instrument_count &&
            list->next_named == list->named_count) {
            *found = false;
            return K2_OK;
        }
        enum k2_status status = advance(list, error);
        if (status != K2_OK) {
            return status;
        }
    }
    const struct entry *entry = &list->entries[list->next_entry++];
    *found = true;
    *gap = list->shown;
    gap->epoch = entry->place.epoch;
    gap->first = entry->gap.first;
    gap->last = entry->gap.last;
    gap->after_ns = entry->gap.after_ns;
    gap->before_ns = entry->gap.before_ns;
    gap->snapshot = entry->gap.opened;
    gap->closed_snapshot = entry->place.closed;
    return K2_OK;
}

enum k2_status k2_gap_figures_get(struct k2_engine *engine, const struct k2_table *table,
                                  struct k2_gap_figures *figures, struct k2_error *error)
{
    struct k2_store_txn *txn;
    struct k2_ledger_figures stored = {0};
    enum k2_status status = k2_store_begin(engine->store, false, &txn, error);
    if (status == K2_OK) {
        status = k2_ledger_figures_read(txn, table->id, &stored, error);
        k2_store_abort(txn);
    }
    *figures = (struct k2_gap_figures){stored.opened, stored.closed, stored.open, stored.given_up};
    return status;
}
