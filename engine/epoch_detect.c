#include "engine/epoch_detect.h"

#include <stdlib.h>

#include "engine/domains.h"
#include "format/base/alloc.h"
#include "format/base/timestamp.h"

static const int64_t quiet_ns = 3600 * K2_NS_PER_SECOND;

struct timed_row {
    uint32_t domain, row;
    int64_t time_ns, sequence;
};

// What is known of an epoch of a domain.
struct span {
    uint32_t domain;
    int64_t epoch, min_ns, max_ns, last;
};

struct detection {
    struct k2_engine *engine;
    const struct k2_table *table;
    const struct k2_source *source;
    struct k2_row_batch *batch;
    struct timed_row *rows; // owned, by (domain, time, sequence)
    struct span *spans;     // owned: those of the domain at hand, by epoch
    size_t span_count, span_room;
};

static enum k2_status fail_memory(struct k2_error *error)
{
    return k2_fail(error, K2_NO_MEMORY, "epochs: out of memory");
}

static int compare_rows(const void *left, const void *right)
{
    const struct timed_row *a = left, *b = right;
    if (a->domain != b->domain) {
        return a->domain < b->domain ? -1 : 1;
    }
    if (a->time_ns != b->time_ns) {
        return a->time_ns < b->time_ns ? -1 : 1;
    }
    if (a->sequence != b->sequence) {
        return a->sequence < b->sequence ? -1 : 1;
    }
    return (a->row > b->row) - (a->row < b->row);
}

// Named domains that are not in the index yet get numbers behind those that are.
static enum k2_status name_domains(struct detection *self, const struct k2_domains *domains,
                                   struct k2_error *error)
{
    struct k2_name_set fresh = {0};
    struct k2_buffer name;
    enum k2_status status = K2_OK;
    k2_buffer_init(&name, 64 << 20);
    for (size_t i = 0; i < self->batch->row_count && status == K2_OK; i++) {
        uint32_t number = 0;
        k2_buffer_clear(&name);
        k2_domain_name_of(self->engine, &self->source->domain, self->batch, i, &name);
        status = k2_buffer_check(&name, "domain", error);
        uint32_t domain = status == K2_OK ? k2_domains_find(domains, k2_buffer_slice(&name)) : 0;
        if (status == K2_OK && domain == 0) {
            struct k2_instrument_name text = {.exchange = k2_buffer_slice(&name)};
            status = k2_name_set_add(&fresh, text, &number, error);
            domain = K2_NAMED_DOMAIN | (uint32_t)(domains->names.count + number);
        }
        self->rows[i].domain = domain;
    }
    k2_buffer_deinit(&name);
    k2_name_set_deinit(&fresh);
    return status;
}

static enum k2_status list_rows(struct detection *self, struct k2_error *error)
{
    const struct k2_row_batch *batch = self->batch;
    struct k2_domains *domains;
    enum k2_status status = K2_OK;
    self->rows = k2_alloc_zero(batch->row_count, sizeof *self->rows);
    if (self->rows == NULL) {
        return fail_memory(error);
    }
    for (size_t i = 0; i < batch->row_count; i++) {
        const struct k2_row_key *key = &batch->keys[i];
        self->rows[i] =
            (struct timed_row){key->instrument, (uint32_t)i, key->time_ns, key->sequence};
    }
    if (self->source->domain.column_count > 0) {
        status = k2_domains_load(self->engine, self->table, &domains, error);
        if (status == K2_OK) {
            status = name_domains(self, domains, error);
        }
    }
    if (status == K2_OK && batch->row_count > 1) {
        qsort(self->rows, batch->row_count, sizeof *self->rows, compare_rows);
    }
    return status;
}

static enum k2_status add_span(struct detection *self, const struct span *span,
                               struct k2_error *error)
{
    if (self->span_count == self->span_room) {
        size_t room = self->span_room * 2 + 8;
        struct span *grown = k2_realloc(self->spans, room, sizeof *grown);
        if (grown == NULL) {
            return fail_memory(error);
        }
        self->spans = grown;
        self->span_room = room;
    }
    self->spans[self->span_count++] = *span;
    return K2_OK;
}

static enum k2_status load_spans(struct detection *self, struct k2_store_txn *txn, uint32_t domain,
                                 struct k2_ledger_page *page, struct k2_error *error)
{
    struct k2_store_cursor cursor;
    uint32_t number = domain / K2_PAGE_DOMAINS;
    struct k2_index_key key = k2_index_key_pair(self->table->id, number);
    enum k2_status status = k2_store_cursor_open(txn, K2_STORE_SEQUENCE, &cursor, error);
    self->span_count = 0;
    if (status == K2_OK) {
        status = k2_store_seek(&cursor, k2_index_key_slice(&key), error);
    }
    while (status == K2_OK && cursor.found &&
           k2_index_key_get(cursor.key, 0, 2) == self->table->id &&
           k2_index_key_get(cursor.key, 2, 4) == number) {
        status = k2_ledger_page_read(page, cursor.value, error);
        const struct k2_sequence_state *state = &page->states[domain % K2_PAGE_DOMAINS];
        if (status == K2_OK && state->any) {
            struct span span = {domain, k2_index_key_get_signed(cursor.key, 6), state->min_ns,
                                state->max_ns, state->last};
            status = add_span(self, &span, error);
        }
        if (status == K2_OK) {
            status = k2_store_next(&cursor, error);
        }
    }
    k2_store_cursor_close(&cursor);
    return status;
}

// Seen from the span: did the numbering begin anew before this row?
static bool begins_anew(const struct span *span, const struct timed_row *row)
{
    int64_t quiet_until_ns;
    if (__builtin_add_overflow(span->max_ns, quiet_ns, &quiet_until_ns)) {
        return false;
    }
    return row->time_ns > quiet_until_ns && row->sequence < span->last / 2;
}

static void extend(struct span *span, const struct timed_row *row)
{
    span->min_ns = row->time_ns < span->min_ns ? row->time_ns : span->min_ns;
    span->max_ns = row->time_ns > span->max_ns ? row->time_ns : span->max_ns;
    span->last = row->sequence > span->last ? row->sequence : span->last;
}

static enum k2_status place_row(struct detection *self, const struct timed_row *row,
                                struct k2_error *error)
{
    enum k2_status status = K2_OK;
    size_t place = 0;
    for (size_t i = 1; i < self->span_count; i++) {
        place = self->spans[i].min_ns <= row->time_ns ? i : place;
    }
    bool anew = self->span_count == 0 || begins_anew(&self->spans[place], row);
    if (anew && place + 1 < self->span_count) {
        place++; // late, but before anything that is known of that epoch
    } else if (anew) {
        struct span span = {.domain = row->domain,
                            .epoch = self->span_count == 0 ? 0 : self->spans[place].epoch + 1,
                            .min_ns = row->time_ns,
                            .max_ns = row->time_ns,
                            .last = row->sequence};
        place = self->span_count;
        status = add_span(self, &span, error);
    }
    if (status == K2_OK) {
        extend(&self->spans[place], row);
        self->batch->keys[row->row].epoch = self->spans[place].epoch;
    }
    return status;
}

static enum k2_status place_rows(struct detection *self, struct k2_error *error)
{
    struct k2_store_txn *txn;
    struct k2_ledger_page *page = k2_alloc_zero(1, sizeof *page);
    if (page == NULL) {
        return fail_memory(error);
    }
    enum k2_status status = k2_store_begin(self->engine->store, false, &txn, error);
    if (status != K2_OK) {
        k2_free(page);
        return status;
    }
    for (size_t i = 0; i < self->batch->row_count && status == K2_OK; i++) {
        if (i == 0 || self->rows[i - 1].domain != self->rows[i].domain) {
            status = load_spans(self, txn, self->rows[i].domain, page, error);
        }
        if (status == K2_OK) {
            status = place_row(self, &self->rows[i], error);
        }
    }
    k2_store_abort(txn);
    k2_free(page);
    return status;
}

enum k2_status k2_epochs_detect(struct k2_engine *engine, const struct k2_table *table,
                                const struct k2_source *source, struct k2_row_batch *batch,
                                struct k2_error *error)
{
    struct detection self = {.engine = engine, .table = table, .source = source, .batch = batch};
    enum k2_status status = list_rows(&self, error);
    if (status == K2_OK) {
        status = place_rows(&self, error);
    }
    k2_free(self.rows);
    k2_free(self.spans);
    return status;
}
