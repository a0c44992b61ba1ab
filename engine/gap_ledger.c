#include "engine/gap_ledger.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "engine/duplicates.h"
#include "engine/ledger_store.h"
#include "engine/row_order.h"
#include "format/base/alloc.h"

// One row in one of its domains.
struct counted_row {
    uint32_t domain, row;
    int64_t epoch, sequence;
};

// A user of a named domain.
struct user {
    uint32_t instrument, domain;
};

// The numbers of one epoch of a domain: rows[begin..end), ascending.
struct counter {
    struct k2_gap_place place;
    size_t begin, end;
    bool of_source; // by the rule of the batch's own source
    struct k2_sequence_state state;
    struct k2_sequence_gap *gaps; // owned: those that the rows may meet
    size_t gap_count;
    struct k2_sequence_changes changes;
    bool changed, gave_up;
};

struct k2_ledger_changes {
    struct k2_engine *engine;
    const struct k2_table *table;
    const struct k2_source *source;   // borrowed until note
    const struct k2_row_batch *batch; // likewise
    uint64_t commit;
    struct counted_row *rows;
    size_t row_count, row_room;
    struct counter *counters;
    size_t counter_count;
    struct user *users; // stored rows of named domains
    size_t user_count;
    size_t gave_up;
};

static enum k2_status fail_memory(struct k2_error *error)
{
    return k2_fail(error, K2_NO_MEMORY, "sequences: out of memory");
}

void k2_ledger_changes_destroy(struct k2_ledger_changes *changes)
{
    for (size_t i = 0; changes != NULL && i < changes->counter_count; i++) {
        k2_free(changes->counters[i].gaps);
        k2_sequence_changes_deinit(&changes->counters[i].changes);
    }
    if (changes != NULL) {
        k2_free(changes->rows);
        k2_free(changes->counters);
        k2_free(changes->users);
    }
    k2_free(changes);
}

size_t k2_ledger_given_up(const struct k2_ledger_changes *changes)
{
    return changes == NULL ? 0 : changes->gave_up;
}

static bool is_dense(const struct k2_ledger_changes *self)
{
    return self->source->numbering == K2_NUMBERING_DENSE;
}

// ---- which rows count where

static int compare_rows(const void *left, const void *right)
{
    const struct counted_row *a = left, *b = right;
    if (a->domain != b->domain) {
        return a->domain < b->domain ? -1 : 1;
    }
    if (a->epoch != b->epoch) {
        return a->epoch < b->epoch ? -1 : 1;
    }
    if (a->sequence != b->sequence) {
        return a->sequence < b->sequence ? -1 : 1;
    }
    return (a->row > b->row) - (a->row < b->row);
}

static enum k2_status add_row(struct k2_ledger_changes *self, uint32_t domain, uint32_t row,
                              struct k2_error *error)
{
    if (self->row_count == self->row_room) {
        size_t room = self->row_room * 2 + self->batch->row_count;
        struct counted_row *grown = k2_realloc(self->rows, room, sizeof *grown);
        if (grown == NULL) {
            return fail_memory(error);
        }
        self->rows = grown;
        self->row_room = room;
    }
    const struct k2_row_key *key = &self->batch->keys[row];
    self->rows[self->row_count++] = (struct counted_row){domain, row, key->epoch, key->sequence};
    return K2_OK;
}

static enum k2_status add_instrument_rows(struct k2_ledger_changes *self,
                                          const struct k2_domains *domains, const uint32_t *order,
                                          struct k2_error *error)
{
    enum k2_status status = K2_OK;
    uint32_t before = 0;
    bool counted = false;
    for (size_t i = 0; i < self->batch->row_count && status == K2_OK; i++) {
        uint32_t instrument = self->batch->keys[order[i]].instrument;
        if (instrument != before) {
            counted = k2_domains_has_instrument(domains, instrument);
            before = instrument;
        }
        if (counted) {
            status = add_row(self, instrument, order[i], error);
        }
    }
    return status;
}

static enum k2_status add_named_rows(struct k2_ledger_changes *self,
                                     const struct k2_domains *domains,
                                     const struct k2_domain_rule *rule, struct k2_error *error)
{
    struct k2_buffer name;
    enum k2_status status = K2_OK;
    k2_buffer_init(&name, 64 << 20);
    for (size_t i = 0; i < self->batch->row_count && status == K2_OK; i++) {
        k2_buffer_clear(&name);
        k2_domain_name_of(self->engine, rule, self->batch, i, &name);
        status = k2_buffer_check(&name, "domain", error);
        uint32_t domain = status == K2_OK ? k2_domains_find(domains, k2_buffer_slice(&name)) : 0;
        if (domain != 0) {
            status = add_row(self, domain, (uint32_t)i, error);
        }
    }
    k2_buffer_deinit(&name);
    return status;
}

// Rows that came in the order of their numbers, the usual case, are not sorted again.
static void sort_rows(struct k2_ledger_changes *self)
{
    struct counted_row *rows = self->rows;
    bool grouped = true;
    for (size_t i = 1; i < self->row_count && grouped; i++) {
        grouped = rows[i - 1].domain <= rows[i].domain;
    }
    for (size_t begin = 0, end; begin < self->row_count; begin = end) {
        bool sorted = true;
        for (end = begin + 1;
             end < self->row_count && (!grouped || rows[end].domain == rows[begin].domain); end++) {
            sorted &= compare_rows(&rows[end - 1], &rows[end]) < 0;
        }
        if (!sorted) {
            qsort(rows + begin, end - begin, sizeof *rows, compare_rows);
        }
    }
}

static bool same_counter(const struct counted_row *left, const struct counted_row *right)
{
    return left->domain == right->domain && left->epoch == right->epoch;
}

static enum k2_status make_counters(struct k2_ledger_changes *self, struct k2_error *error)
{
    size_t count = 0;
    for (size_t i = 0; i < self->row_count; i++) {
        count += i == 0 || !same_counter(&self->rows[i - 1], &self->rows[i]);
    }
    self->counters = k2_alloc_zero(count, sizeof *self->counters);
    if (self->counters == NULL) {
        return fail_memory(error);
    }
    for (size_t i = 0; i < self->row_count; i++) {
        if (i == 0 || !same_counter(&self->rows[i - 1], &self->rows[i])) {
            struct counter *counter = &self->counters[self->counter_count++];
            counter->place = (struct k2_gap_place){self->table->id, self->rows[i].domain,
                                                   self->rows[i].epoch, 0};
            counter->begin = i;
        }
        self->counters[self->counter_count - 1].end = i + 1;
    }
    return K2_OK;
}

// ---- domains that the batch's source makes dense

struct newcomers {
    uint32_t *instruments; // owned
    size_t instrument_count;
    struct k2_name_set names;
    struct k2_slice *list; // owned: of names
};

static void free_newcomers(struct newcomers *newcomers)
{
    k2_free(newcomers->instruments);
    k2_free(newcomers->list);
    k2_name_set_deinit(&newcomers->names);
}

static enum k2_status find_new_names(struct k2_ledger_changes *self,
                                     const struct k2_domains *domains, struct newcomers *newcomers,
                                     struct k2_error *error)
{
    struct k2_buffer name;
    enum k2_status status = K2_OK;
    uint32_t number;
    k2_buffer_init(&name, 64 << 20);
    for (size_t i = 0; i < self->batch->row_count && status == K2_OK; i++) {
        k2_buffer_clear(&name);
        k2_domain_name_of(self->engine, &self->source->domain, self->batch, i, &name);
        status = k2_buffer_check(&name, "domain", error);
        if (status == K2_OK && k2_domains_find(domains, k2_buffer_slice(&name)) == 0) {
            struct k2_instrument_name text = {.exchange = k2_buffer_slice(&name)};
            status = k2_name_set_add(&newcomers->names, text, &number, error);
        }
    }
    k2_buffer_deinit(&name);
    newcomers->list = k2_alloc_zero(newcomers->names.count, sizeof *newcomers->list);
    if (status == K2_OK && newcomers->list == NULL) {
        status = fail_memory(error);
    }
    for (size_t i = 0; i < newcomers->names.count && status == K2_OK; i++) {
        newcomers->list[i] = newcomers->names.names[i].exchange;
    }
    return status;
}

static enum k2_status find_new_instruments(struct k2_ledger_changes *self,
                                           const struct k2_domains *domains, const uint32_t *order,
                                           struct newcomers *newcomers, struct k2_error *error)
{
    newcomers->instruments = k2_alloc_zero(self->batch->row_count, sizeof *newcomers->instruments);
    if (newcomers->instruments == NULL) {
        return fail_memory(error);
    }
    uint32_t before = 0;
    for (size_t i = 0; i < self->batch->row_count; i++) {
        uint32_t instrument = self->batch->keys[order[i]].instrument;
        if (instrument != before && !k2_domains_has_instrument(domains, instrument)) {
            newcomers->instruments[newcomers->instrument_count++] = instrument;
        }
        before = instrument;
    }
    return K2_OK;
}

static enum k2_status add_domains(struct k2_ledger_changes *self, const struct k2_domains *domains,
                                  const uint32_t *order, struct k2_error *error)
{
    struct newcomers newcomers = {0};
    enum k2_status status = self->source->domain.column_count > 0
                                ? find_new_names(self, domains, &newcomers, error)
                                : find_new_instruments(self, domains, order, &newcomers, error);
    if (status == K2_OK) {
        status = k2_domains_add(self->engine, self->table, newcomers.instruments,
                                newcomers.instrument_count, newcomers.list, newcomers.names.count,
                                error);
    }
    free_newcomers(&newcomers);
    return status;
}

// ---- what was seen of them

// Entries come back sorted by page, counters are sorted by domain and epoch: mostly that is the
// same place.
static struct counter *find_counter(struct k2_ledger_changes *self,
                                    const struct k2_ledger_entry *entry, size_t guess)
{
    size_t low = 0, high = self->counter_count;
    const struct k2_gap_place *place = &self->counters[guess].place;
    if (place->domain == entry->domain && place->epoch == entry->epoch) {
        return &self->counters[guess];
    }
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        place = &self->counters[middle].place;
        bool before = place->domain != entry->domain ? place->domain < entry->domain
                                                     : place->epoch < entry->epoch;
        low = before ? middle + 1 : low;
        high = before ? high : middle;
    }
    return &self->counters[low];
}

static enum k2_status load_states(struct k2_ledger_changes *self, struct k2_store_txn *txn,
                                  struct k2_error *error)
{
    size_t count = self->counter_count;
    struct k2_ledger_entry *entries = k2_alloc_zero(count, sizeof *entries);
    if (entries == NULL) {
        return fail_memory(error);
    }
    for (size_t i = 0; i < count; i++) {
        entries[i].domain = self->counters[i].place.domain;
        entries[i].epoch = self->counters[i].place.epoch;
    }
    enum k2_status status = k2_ledger_load_states(txn, self->table->id, entries, count, error);
    for (size_t i = 0; i < count && status == K2_OK; i++) {
        find_counter(self, &entries[i], i)->state = entries[i].state;
    }
    k2_free(entries);
    return status;
}

static enum k2_status load_counters(struct k2_ledger_changes *self, struct k2_error *error)
{
    struct k2_store_txn *txn;
    enum k2_status status = k2_store_begin(self->engine->store, false, &txn, error);
    if (status != K2_OK) {
        return status;
    }
    status = load_states(self, txn, error);
    for (size_t i = 0; i < self->counter_count && status == K2_OK; i++) {
        struct counter *counter = &self->counters[i];
        int64_t first = self->rows[counter->begin].sequence;
        if (counter->state.open_gaps > 0 && !counter->state.given_up &&
            first <= counter->state.last) {
            status = k2_ledger_load_gaps(txn, &counter->place, first,
                                         self->rows[counter->end - 1].sequence, &counter->gaps,
                                         &counter->gap_count, error);
        }
    }
    k2_store_abort(txn);
    return status;
}

static bool is_of_source(const struct k2_ledger_changes *self, const struct k2_domains *domains,
                         uint32_t domain)
{
    const struct k2_domain_rule *rule = &self->source->domain;
    if ((domain & K2_NAMED_DOMAIN) == 0 || rule->column_count == 0) {
        return (domain & K2_NAMED_DOMAIN) == 0 && rule->column_count == 0;
    }
    struct k2_slice name = domains->names.names[domain & ~K2_NAMED_DOMAIN].exchange;
    struct k2_domain_part parts[K2_DOMAIN_COLUMNS];
    size_t count;
    bool same =
        k2_domain_name_read(name, parts, &count, NULL) == K2_OK && count == rule->column_count;
    for (size_t i = 0; same && i < count; i++) {
        const char *column = self->table->schema->columns[rule->columns[i]].name;
        same = k2_slice_equal(parts[i].column, k2_slice_of(column));
    }
    return same;
}

static enum k2_status build(struct k2_ledger_changes *self, struct k2_domains *domains,
                            const uint32_t *order, struct k2_error *error)
{
    enum k2_status status = K2_OK;
    if (is_dense(self)) {
        status = add_domains(self, domains, order, error);
    }
    if (status == K2_OK) {
        status = add_instrument_rows(self, domains, order, error);
    }
    for (size_t i = 0; i < domains->rule_count && status == K2_OK; i++) {
        status = add_named_rows(self, domains, &domains->rules[i], error);
    }
    if (status == K2_OK) {
        sort_rows(self);
        status = make_counters(self, error);
    }
    for (size_t i = 0; i < self->counter_count && status == K2_OK; i++) {
        struct counter *counter = &self->counters[i];
        counter->of_source = is_dense(self) && is_of_source(self, domains, counter->place.domain);
    }
    return status == K2_OK ? load_counters(self, error) : status;
}

enum k2_status k2_ledger_open(struct k2_engine *engine, const struct k2_table *table,
                              const struct k2_source *source, const struct k2_row_batch *batch,
                              const uint32_t *order, struct k2_ledger_changes **changes,
                              struct k2_error *error)
{
    struct k2_domains *domains;
    *changes = NULL;
    enum k2_status status = k2_domains_load(engine, table, &domains, error);
    if (status != K2_OK || batch->row_count == 0 ||
        !(source->numbering == K2_NUMBERING_DENSE || k2_domains_any(domains))) {
        return status;
    }
    struct k2_ledger_changes *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return fail_memory(error);
    }
    *changes = self;
    self->engine = engine;
    self->table = table;
    self->source = source;
    self->batch = batch;
    self->commit = engine->newest.id + 1;
    return build(self, domains, order, error);
}

// ---- duplicates

// One counter's rows. A second row with the same number in the batch is a duplicate as well, but
// for one of the same key where that `replaces`. Deletions bring no number.
static bool find_seen(const struct k2_ledger_changes *self, const struct counter *counter,
                      bool replaces, uint8_t *fates)
{
    const struct k2_row_batch *batch = self->batch;
    bool named = (counter->place.domain & K2_NAMED_DOMAIN) != 0;
    bool by_key = counter->state.given_up;
    const struct counted_row *first = NULL; // of the number
    for (size_t i = counter->begin; i < counter->end && !counter->state.given_up; i++) {
        const struct counted_row *row = &self->rows[i];
        if (k2_row_batch_op(batch, row->row) == K2_OP_DELETE) {
            continue;
        }
        bool again = first != NULL && first->sequence == row->sequence;
        first = again ? first : row;
        again = again && !(replaces && k2_row_key_compare(&batch->keys[first->row],
                                                          &batch->keys[row->row]) == 0);
        if (!again &&
            !k2_sequence_seen(&counter->state, counter->gaps, counter->gap_count, row->sequence)) {
            continue;
        }
        if (named || self->source->detects_epochs) {
            by_key = true; // several rows may share a number
        } else {
            fates[row->row] = K2_ROW_DUPLICATE;
        }
    }
    return by_key;
}

void k2_ledger_find(const struct k2_ledger_changes *changes, bool replaces, uint8_t *fates,
                    bool *by_key)
{
    *by_key = false;
    for (size_t i = 0; changes != NULL && i < changes->counter_count; i++) {
        if (changes->counters[i].of_source) {
            *by_key |= find_seen(changes, &changes->counters[i], replaces, fates);
        }
    }
}

// ---- what a commit brings

static size_t make_runs(const struct k2_ledger_changes *self, const struct counter *counter,
                        const uint8_t *fates, struct k2_sequence_run *runs)
{
    size_t count = 0;
    for (size_t i = counter->begin; i < counter->end; i++) {
        const struct counted_row *row = &self->rows[i];
        if (fates[row->row] != K2_ROW_NEW) {
            continue;
        }
        int64_t time_ns = self->batch->keys[row->row].time_ns;
        struct k2_sequence_run *last = count > 0 ? &runs[count - 1] : NULL;
        if (last != NULL && last->last < row->sequence && last->last == row->sequence - 1) {
            last->last = row->sequence;
            last->last_ns = time_ns;
            last->min_ns = time_ns < last->min_ns ? time_ns : last->min_ns;
            last->max_ns = time_ns > last->max_ns ? time_ns : last->max_ns;
        } else {
            runs[count++] = (struct k2_sequence_run){row->sequence, row->sequence, time_ns,
                                                     time_ns,       time_ns,       time_ns};
        }
    }
    return k2_sequence_runs_join(runs, count);
}

static enum k2_status give_up(struct k2_ledger_changes *self, struct counter *counter,
                              struct k2_error *error)
{
    struct k2_store_txn *txn;
    struct k2_sequence_gap *gaps = NULL;
    size_t count = 0;
    enum k2_status status = k2_store_begin(self->engine->store, false, &txn, error);
    if (status != K2_OK) {
        return status;
    }
    status = k2_ledger_load_gaps(txn, &counter->place, INT64_MIN, INT64_MAX, &gaps, &count, error);
    k2_store_abort(txn);
    if (status == K2_OK) {
        status = k2_sequence_give_up(&counter->state, gaps, count, self->commit, &counter->changes,
                                     error);
    }
    counter->gave_up = true;
    self->gave_up++;
    k2_free(gaps);
    return status;
}

static enum k2_status note_users(struct k2_ledger_changes *self, const uint8_t *fates,
                                 struct k2_error *error)
{
    size_t room = 0;
    assert(self->user_count == 0);
    for (size_t i = 0; i < self->row_count; i++) {
        const struct counted_row *row = &self->rows[i];
        uint32_t instrument = self->batch->keys[row->row].instrument;
        const struct user *last = self->user_count > 0 ? &self->users[self->user_count - 1] : NULL;
        bool known = last != NULL && last->instrument == instrument && last->domain == row->domain;
        if ((row->domain & K2_NAMED_DOMAIN) == 0 || fates[row->row] != K2_ROW_NEW || known) {
            continue;
        }
        if (self->user_count == room) {
            room = room * 2 + 64;
            struct user *grown = k2_realloc(self->users, room, sizeof *grown);
            if (grown == NULL) {
                return fail_memory(error);
            }
            self->users = grown;
        }
        self->users[self->user_count++] = (struct user){instrument, row->domain};
    }
    return K2_OK;
}

static enum k2_status note_counter(struct k2_ledger_changes *self, struct counter *counter,
                                   const uint8_t *fates, struct k2_sequence_run *runs,
                                   struct k2_error *error)
{
    size_t count = counter->state.given_up ? 0 : make_runs(self, counter, fates, runs);
    if (count == 0) {
        return K2_OK;
    }
    counter->changed = true;
    enum k2_status status = k2_sequence_track(&counter->state, counter->gaps, counter->gap_count,
                                              runs, count, self->commit, &counter->changes, error);
    if (status == K2_OK && counter->state.open_gaps > K2_MAX_OPEN_GAPS) {
        status = give_up(self, counter, error);
    }
    return status;
}

enum k2_status k2_ledger_note(struct k2_ledger_changes *changes, const uint8_t *fates,
                              struct k2_error *error)
{
    if (changes == NULL || changes->row_count == 0) {
        return K2_OK;
    }
    struct k2_sequence_run *runs = k2_alloc_zero(changes->row_count, sizeof *runs);
    enum k2_status status = runs == NULL ? fail_memory(error) : K2_OK;
    for (size_t i = 0; i < changes->counter_count && status == K2_OK; i++) {
        status = note_counter(changes, &changes->counters[i], fates, runs, error);
    }
    k2_free(runs);
    return status == K2_OK ? note_users(changes, fates, error) : status;
}

static enum k2_status store_counters(const struct k2_ledger_changes *self, struct k2_store_txn *txn,
                                     struct k2_error *error)
{
    struct k2_ledger_entry *entries = k2_alloc_zero(self->counter_count, sizeof *entries);
    struct k2_ledger_figures figures, before;
    size_t count = 0;
    if (entries == NULL) {
        return fail_memory(error);
    }
    enum k2_status status = k2_ledger_figures_read(txn, self->table->id, &before, error);
    figures = before;
    for (size_t i = 0; i < self->counter_count && status == K2_OK; i++) {
        const struct counter *counter = &self->counters[i];
        if (counter->changed) {
            entries[count++] = (struct k2_ledger_entry){counter->place.domain, counter->place.epoch,
                                                        counter->state};
            figures.given_up += counter->gave_up;
            status = k2_ledger_store_gaps(txn, &counter->place, self->commit, &counter->changes,
                                          &figures, error);
        }
    }
    if (status == K2_OK) {
        status = k2_ledger_store_states(txn, self->table->id, entries, count, error);
    }
    if (status == K2_OK && memcmp(&figures, &before, sizeof figures) != 0) {
        status = k2_ledger_figures_store(txn, self->table->id, &figures, error);
    }
    k2_free(entries);
    return status;
}

enum k2_status k2_ledger_store(const struct k2_ledger_changes *changes, struct k2_store_txn *txn,
                               struct k2_error *error)
{
    if (changes == NULL || changes->counter_count == 0) {
        return K2_OK;
    }
    enum k2_status status = store_counters(changes, txn, error);
    for (size_t i = 0; i < changes->user_count && status == K2_OK; i++) {
        status = k2_domain_user_store(txn, changes->table->id, changes->users[i].instrument,
                                      changes->users[i].domain, changes->commit, error);
    }
    return status;
}
