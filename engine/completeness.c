#include "engine/completeness.h"

#include <stdlib.h>
#include <string.h>

#include "engine/domains.h"
#include "engine/ledger_history.h"
#include "engine/ledger_reader.h"
#include "engine/policy.h"
#include "format/base/alloc.h"

// All epochs of a domain in one.
struct summary {
    bool seen, given_up;
    bool newer; // something changed after the snapshot
    uint64_t open_gaps;
    int64_t from_ns, until_ns;
};

struct inquiry {
    const struct k2_completeness_request *request;
    struct k2_ledger_view view;
    struct k2_completeness *answer;
    bool dense, any, known;
    bool has_named;    // the table has named domains
    uint32_t *domains; // owned: named ones, some more than once
    size_t domain_count;
    struct k2_store_cursor instruments; // of K2_STORE_DOMAIN; goes up with the instruments
    // Domains are asked for in order: the page at hand serves 64 of them.
    struct k2_ledger_page *states; // owned
    struct summary summaries[K2_PAGE_DOMAINS];
    uint32_t page;
    bool has_page;
};

const char *k2_complete_name(enum k2_complete complete)
{
    static const char *const names[] = {"null", "false", "true"};
    return names[complete];
}

const char *k2_incomplete_reason_name(enum k2_incomplete_reason reason)
{
    static const char *const names[] = {NULL, "gap", "retention", "not_dense", "empty", "stale"};
    return names[reason];
}

static enum k2_status count_gap(void *context, const struct k2_gap_place *place,
                                const struct k2_sequence_gap *gap, struct k2_error *error)
{
    struct inquiry *self = context;
    (void)gap;
    (void)error;
    self->answer->gap_count += place->closed == 0;
    return K2_OK;
}

static void add_state(struct inquiry *self, struct summary *summary,
                      const struct k2_sequence_state *state)
{
    bool newer = state->commit > self->request->snapshot;
    if (!state->any) {
        return;
    }
    summary->newer |= newer;
    summary->given_up |= state->given_up && !newer;
    summary->open_gaps += state->open_gaps;
    bool first = !summary->seen;
    summary->seen = true;
    summary->from_ns = first || state->min_ns < summary->from_ns ? state->min_ns : summary->from_ns;
    summary->until_ns =
        first || state->max_ns > summary->until_ns ? state->max_ns : summary->until_ns;
}

static enum k2_status load_page(struct inquiry *self, uint32_t page, struct k2_error *error)
{
    struct k2_store_cursor cursor;
    struct k2_index_key key = k2_index_key_pair(self->view.table, page);
    enum k2_status status = k2_store_cursor_open(self->view.txn, K2_STORE_SEQUENCE, &cursor, error);
    memset(self->summaries, 0, sizeof self->summaries);
    if (status == K2_OK) {
        status = k2_store_seek(&cursor, k2_index_key_slice(&key), error);
    }
    while (status == K2_OK && cursor.found &&
           k2_index_key_get(cursor.key, 0, 2) == self->view.table &&
           k2_index_key_get(cursor.key, 2, 4) == page) {
        status = k2_ledger_page_read(self->states, cursor.value, error);
        for (unsigned i = 0; i < K2_PAGE_DOMAINS && status == K2_OK; i++) {
            add_state(self, &self->summaries[i], &self->states->states[i]);
        }
        if (status == K2_OK) {
            status = k2_store_next(&cursor, error);
        }
    }
    k2_store_cursor_close(&cursor);
    self->page = page;
    self->has_page = status == K2_OK;
    return status;
}

static void add_known(struct k2_completeness *answer, const struct summary *summary)
{
    bool first = !answer->has_known;
    if (first || summary->from_ns > answer->known_from_ns) {
        answer->known_from_ns = summary->from_ns;
    }
    if (first || summary->until_ns < answer->known_until_ns) {
        answer->known_until_ns = summary->until_ns;
    }
    answer->has_known = true;
}

static enum k2_status take_domain(struct inquiry *self, uint32_t domain, struct k2_error *error)
{
    enum k2_status status = K2_OK;
    if (!self->has_page || self->page != domain / K2_PAGE_DOMAINS) {
        status = load_page(self, domain / K2_PAGE_DOMAINS, error);
    }
    if (status != K2_OK) {
        return status;
    }
    const struct summary *summary = &self->summaries[domain % K2_PAGE_DOMAINS];
    self->dense &= summary->seen && !summary->given_up;
    self->known &= summary->seen && !summary->newer;
    if (summary->seen) {
        add_known(self->answer, summary);
    }
    return summary->open_gaps > 0 || summary->newer
               ? k2_ledger_visit_domain(&self->view, domain, count_gap, self, error)
               : K2_OK;
}

static bool is_before(const struct k2_store_cursor *cursor, struct k2_slice key)
{
    return cursor->found && k2_slice_compare(cursor->key, key) < 0;
}

// Is the instrument a domain as of the snapshot? Instruments are asked for in rising order.
static enum k2_status is_dense(struct inquiry *self, uint32_t instrument, bool *dense,
                               struct k2_error *error)
{
    struct k2_store_cursor *cursor = &self->instruments;
    struct k2_index_key key = k2_index_key_pair(self->view.table, instrument);
    struct k2_domain_record record = {0};
    enum k2_status status = K2_OK;
    if (is_before(cursor, k2_index_key_slice(&key))) {
        status = k2_store_next(cursor, error); // the usual case: of all instruments
    }
    if (status == K2_OK && is_before(cursor, k2_index_key_slice(&key))) {
        status = k2_store_seek(cursor, k2_index_key_slice(&key), error);
    }
    *dense =
        status == K2_OK && cursor->found && k2_slice_equal(cursor->key, k2_index_key_slice(&key));
    if (*dense) {
        status = k2_domain_record_read(cursor->value, &record, error);
    }
    *dense = *dense && record.since <= self->view.snapshot;
    return status;
}

static enum k2_status open_domains(struct inquiry *self, struct k2_error *error)
{
    struct k2_store_cursor *cursor = &self->instruments;
    struct k2_index_key named = k2_index_key_pair(self->view.table, K2_NAMED_DOMAIN);
    struct k2_index_key first = k2_index_key_pair(self->view.table, 1);
    enum k2_status status = k2_store_cursor_open(self->view.txn, K2_STORE_DOMAIN, cursor, error);
    if (status == K2_OK) {
        status = k2_store_seek(cursor, k2_index_key_slice(&named), error);
    }
    self->has_named =
        status == K2_OK && cursor->found && k2_index_key_get(cursor->key, 0, 2) == self->view.table;
    return status == K2_OK ? k2_store_seek(cursor, k2_index_key_slice(&first), error) : status;
}

static enum k2_status take_instrument(struct inquiry *self, uint32_t instrument,
                                      struct k2_error *error)
{
    bool dense = false;
    size_t before = self->domain_count;
    enum k2_status status = is_dense(self, instrument, &dense, error);
    self->any = true;
    if (status == K2_OK && dense) {
        status = take_domain(self, instrument, error);
    }
    if (status == K2_OK && self->has_named) {
        status =
            k2_ledger_users_of(&self->view, instrument, &self->domains, &self->domain_count, error);
    }
    self->dense &= dense || self->domain_count > before;
    return status;
}

static int compare_ids(const void *left, const void *right)
{
    const uint32_t *a = left, *b = right;
    return (*a > *b) - (*a < *b);
}

static enum k2_status take_named(struct inquiry *self, struct k2_error *error)
{
    enum k2_status status = K2_OK;
    if (self->domain_count > 1) {
        qsort(self->domains, self->domain_count, sizeof *self->domains, compare_ids);
    }
    for (size_t i = 0; i < self->domain_count && status == K2_OK; i++) {
        if (i == 0 || self->domains[i] != self->domains[i - 1]) {
            status = take_domain(self, self->domains[i], error);
        }
    }
    return status;
}

// All instruments of the table, or those asked for that have rows as of the snapshot.
static enum k2_status take_members(struct inquiry *self, struct k2_error *error)
{
    const struct k2_completeness_request *request = self->request;
    struct k2_store_cursor cursor;
    struct k2_index_key key = k2_index_key_id(self->view.table, 2);
    enum k2_status status = k2_store_cursor_open(self->view.txn, K2_STORE_MEMBER, &cursor, error);
    if (status == K2_OK) {
        status = k2_store_seek(&cursor, k2_index_key_slice(&key), error);
    }
    while (status == K2_OK && cursor.found &&
           k2_index_key_get(cursor.key, 0, 2) == self->view.table) {
        if (k2_index_number(cursor.value) <= request->snapshot) {
            status = take_instrument(self, (uint32_t)k2_index_key_get(cursor.key, 2, 4), error);
        }
        if (status == K2_OK) {
            status = k2_store_next(&cursor, error);
        }
    }
    k2_store_cursor_close(&cursor);
    return status;
}

static enum k2_status take_wanted(struct inquiry *self, struct k2_error *error)
{
    const struct k2_completeness_request *request = self->request;
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < request->instrument_count && status == K2_OK; i++) {
        struct k2_index_key key = k2_index_key_pair(self->view.table, request->instruments[i]);
        struct k2_slice value;
        bool found;
        status = k2_store_get(self->view.txn, K2_STORE_MEMBER, k2_index_key_slice(&key), &found,
                              &value, error);
        if (status == K2_OK && found && k2_index_number(value) <= request->snapshot) {
            status = take_instrument(self, request->instruments[i], error);
        }
    }
    return status;
}

static void conclude(struct inquiry *self, bool stale, const struct k2_policy *policy)
{
    const struct k2_completeness_request *request = self->request;
    struct k2_completeness *answer = self->answer;
    bool cut =
        policy->has_cut && (!request->has_start || request->start_ns < policy->retention_cut_ns);
    answer->complete = K2_COMPLETE_UNKNOWN;
    if (cut || answer->gap_count > 0) {
        answer->complete = K2_COMPLETE_NO;
        answer->reason = answer->gap_count > 0 ? K2_INCOMPLETE_GAP : K2_INCOMPLETE_RETENTION;
    } else if (stale || !self->any) {
        answer->reason = stale ? K2_INCOMPLETE_STALE : K2_INCOMPLETE_EMPTY;
    } else if (!self->dense) {
        answer->reason = K2_INCOMPLETE_NOT_DENSE;
    } else {
        answer->complete = K2_COMPLETE_YES;
    }
    answer->has_known &= self->known && self->dense;
}

static enum k2_status inquire(struct inquiry *self, struct k2_error *error)
{
    struct k2_slice value;
    struct k2_policy policy = {0};
    bool stale = false;
    enum k2_status status = k2_store_get(self->view.txn, K2_STORE_META,
                                         k2_slice_of(K2_LEDGER_STALE), &stale, &value, error);
    if (status == K2_OK) {
        status = k2_policy_load(self->view.txn, self->view.table, &policy, error);
    }
    if (status == K2_OK) {
        status = open_domains(self, error);
    }
    if (status == K2_OK) {
        status = self->request->instruments == NULL ? take_members(self, error)
                                                    : take_wanted(self, error);
    }
    if (status == K2_OK) {
        status = take_named(self, error);
    }
    if (status == K2_OK) {
        conclude(self, stale, &policy);
    }
    return status;
}

enum k2_status k2_completeness_get(struct k2_engine *engine,
                                   const struct k2_completeness_request *request,
                                   struct k2_completeness *completeness, struct k2_error *error)
{
    struct inquiry self = {
        .request = request,
        .view = {.table = request->table->id,
                 .snapshot = request->snapshot,
                 .has_start = request->has_start,
                 .has_end = request->has_end,
                 .start_ns = request->start_ns,
                 .end_ns = request->end_ns,
                 .open_only = true},
        .answer = completeness,
        .dense = true,
        .known = true,
    };
    *completeness = (struct k2_completeness){0};
    self.states = k2_alloc_zero(1, sizeof *self.states);
    enum k2_status status =
        self.states == NULL ? k2_fail(error, K2_NO_MEMORY, "gaps: out of memory") : K2_OK;
    if (status == K2_OK) {
        status = k2_store_begin(engine->store, false, &self.view.txn, error);
    }
    if (status == K2_OK) {
        status = inquire(&self, error);
        k2_store_cursor_close(&self.instruments);
        k2_store_abort(self.view.txn);
    }
    k2_free(self.states);
    k2_free(self.domains);
    return status;
}
