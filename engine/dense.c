#include "engine/dense.h"

#include <stdlib.h>
#include <string.h>

#include "engine/duplicates.h"
#include "engine/engine_state.h"
#include "engine/group_rows.h"
#include "engine/index_records.h"
#include "engine/interval_set.h"
#include "engine/plan.h"
#include "format/base/alloc.h"

// The sequences of one (instrument, epoch). Stored empty: given up, probed by key from then on.
struct domain {
    uint32_t instrument;
    int64_t epoch;
    bool known; // the index, or this commit, has a set of it
    bool given_up;
    struct k2_interval_set seen;
};

struct k2_dense_changes {
    uint16_t table_id;
    struct domain *domains; // by (instrument, epoch)
    size_t count;
};

struct counted_row {
    uint32_t instrument, row;
    int64_t epoch, sequence;
};

static int compare_counted(const void *left, const void *right)
{
    const struct counted_row *a = left, *b = right;
    if (a->instrument != b->instrument) {
        return a->instrument < b->instrument ? -1 : 1;
    }
    if (a->epoch != b->epoch) {
        return a->epoch < b->epoch ? -1 : 1;
    }
    if (a->sequence != b->sequence) {
        return a->sequence < b->sequence ? -1 : 1;
    }
    return (a->row > b->row) - (a->row < b->row);
}

static bool same_domain(const struct counted_row *left, const struct counted_row *right)
{
    return left->instrument == right->instrument && left->epoch == right->epoch;
}

static struct k2_index_key domain_key(uint16_t table_id, const struct domain *domain)
{
    struct k2_index_key key = k2_index_key_pair(table_id, domain->instrument);
    k2_index_key_put_signed(&key, domain->epoch);
    return key;
}

static enum k2_status load_domain(struct k2_store_txn *txn, uint16_t table_id,
                                  struct domain *domain, struct k2_error *error)
{
    struct k2_index_key key = domain_key(table_id, domain);
    struct k2_slice value;
    enum k2_status status = k2_store_get(txn, K2_STORE_SEQUENCE, k2_index_key_slice(&key),
                                         &domain->known, &value, error);
    if (status == K2_OK && domain->known) {
        domain->given_up = value.size_bytes == 0;
        if (!domain->given_up) {
            status = k2_interval_set_read(&domain->seen, value, error);
        }
    }
    return status;
}

// Rows sorted by (instrument, epoch, sequence, arrival), and one loaded domain for each.
static enum k2_status prepare(struct k2_engine *engine, const struct k2_table *table,
                              const struct k2_row_batch *batch, struct counted_row **rows,
                              struct k2_dense_changes **changes, struct k2_error *error)
{
    struct counted_row *list = k2_alloc_zero(batch->row_count, sizeof *list);
    struct k2_dense_changes *self = k2_alloc_zero(1, sizeof *self);
    *rows = list;
    *changes = self;
    if (list == NULL || self == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "sequences: out of memory");
    }
    size_t count = 0;
    for (size_t i = 0; i < batch->row_count; i++) {
        const struct k2_row_key *key = &batch->keys[i];
        list[i] = (struct counted_row){key->instrument, (uint32_t)i, key->epoch, key->sequence};
    }
    qsort(list, batch->row_count, sizeof *list, compare_counted);
    for (size_t i = 0; i < batch->row_count; i++) {
        count += i == 0 || !same_domain(&list[i - 1], &list[i]);
    }
    self->table_id = table->id;
    self->domains = k2_alloc_zero(count, sizeof *self->domains);
    if (self->domains == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "sequences: out of memory");
    }
    struct k2_store_txn *txn;
    enum k2_status status = k2_store_begin(engine->store, false, &txn, error);
    if (status != K2_OK) {
        return status;
    }
    for (size_t i = 0; i < batch->row_count && status == K2_OK; i++) {
        if (i == 0 || !same_domain(&list[i - 1], &list[i])) {
            struct domain *domain = &self->domains[self->count++];
            domain->instrument = list[i].instrument;
            domain->epoch = list[i].epoch;
            status = load_domain(txn, table->id, domain, error);
        }
    }
    k2_store_abort(txn);
    return status;
}

static struct domain *find_domain(struct k2_dense_changes *changes, uint32_t instrument,
                                  int64_t epoch)
{
    size_t low = 0, high = changes->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        struct domain *domain = &changes->domains[middle];
        if (domain->instrument == instrument && domain->epoch == epoch) {
            return domain;
        }
        bool before = domain->instrument < instrument ||
                      (domain->instrument == instrument && domain->epoch < epoch);
        low = before ? middle + 1 : low;
        high = before ? high : middle;
    }
    return NULL;
}

static enum k2_status see(struct domain *domain, int64_t sequence, bool *added,
                          struct k2_error *error)
{
    enum k2_status status = k2_interval_set_add(&domain->seen, sequence, added, error);
    if (status == K2_LIMIT) { // too many gaps: not a dense source after all
        domain->given_up = true;
        k2_interval_set_deinit(&domain->seen);
        status = K2_OK;
    }
    return status;
}

static enum k2_status see_stored_entry(struct k2_dense_changes *changes, struct k2_group_rows *rows,
                                       const struct k2_directory_entry *entry,
                                       struct k2_error *error)
{
    enum k2_status status = K2_OK;
    for (uint32_t i = 0; i < entry->row_count && status == K2_OK; i++) {
        int64_t time_ns, epoch, sequence;
        bool added;
        status = k2_group_rows_key(rows, entry->first_row + i, &time_ns, &epoch, &sequence, error);
        struct domain *domain =
            status == K2_OK ? find_domain(changes, entry->instrument, epoch) : NULL;
        if (domain != NULL && !domain->known && !domain->given_up) {
            status = see(domain, sequence, &added, error);
        }
    }
    return status;
}

static bool wanted(const struct k2_dense_changes *changes, uint32_t instrument)
{
    for (size_t i = 0; i < changes->count; i++) {
        if (changes->domains[i].instrument == instrument && !changes->domains[i].known) {
            return true;
        }
    }
    return false;
}

static enum k2_status see_stored_group(const struct k2_plan *plan, size_t index,
                                       const struct k2_table *table,
                                       struct k2_dense_changes *changes, struct k2_error *error)
{
    struct k2_row_group_view *view = NULL;
    struct k2_group_rows *rows = NULL;
    enum k2_status status = k2_plan_view(plan, index, &view, error);
    if (status != K2_OK) {
        return status;
    }
    size_t entry_count;
    const struct k2_directory_entry *entries = k2_row_group_view_directory(view, &entry_count);
    status = k2_group_rows_open(&rows, view, table->schema, error);
    for (size_t i = 0; i < entry_count && status == K2_OK; i++) {
        if (wanted(changes, entries[i].instrument)) {
            status = see_stored_entry(changes, rows, &entries[i], error);
        }
    }
    k2_group_rows_close(rows);
    k2_row_group_view_close(view);
    return status;
}

// An instrument that a dense source counts for the first time may have rows from elsewhere.
static enum k2_status see_stored(struct k2_engine *engine, const struct k2_table *table,
                                 struct k2_dense_changes *changes, struct k2_error *error)
{
    uint32_t *fresh = k2_alloc_zero(changes->count, sizeof *fresh);
    size_t fresh_count = 0;
    if (fresh == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "sequences: out of memory");
    }
    for (size_t i = 0; i < changes->count; i++) {
        uint32_t instrument = changes->domains[i].instrument;
        if (!changes->domains[i].known &&
            (fresh_count == 0 || fresh[fresh_count - 1] != instrument)) {
            fresh[fresh_count++] = instrument;
        }
    }
    struct k2_plan plan = {0};
    struct k2_plan_request request = {
        .table = table,
        .time_min_ns = INT64_MIN,
        .time_max_ns = INT64_MAX,
        .snapshot = UINT64_MAX,
        .instruments = fresh,
        .instrument_count = fresh_count,
    };
    enum k2_status status = K2_OK;
    if (fresh_count > 0) {
        status = k2_plan_open(engine, &request, &plan, error);
    }
    for (size_t i = 0; i < plan.group_count && status == K2_OK; i++) {
        status = see_stored_group(&plan, i, table, changes, error);
    }
    k2_plan_close(&plan);
    k2_free(fresh);
    return status;
}

enum k2_status k2_dense_find(struct k2_engine *engine, const struct k2_table *table,
                             const struct k2_row_batch *batch, uint8_t *fates, bool *by_key,
                             struct k2_dense_changes **changes, struct k2_error *error)
{
    struct counted_row *rows;
    enum k2_status status = prepare(engine, table, batch, &rows, changes, error);
    if (status == K2_OK) {
        status = see_stored(engine, table, *changes, error);
    }
    *by_key = false;
    for (size_t i = 0; i < batch->row_count && status == K2_OK; i++) {
        struct domain *domain = find_domain(*changes, rows[i].instrument, rows[i].epoch);
        bool added = true;
        if (!domain->given_up) {
            status = see(domain, rows[i].sequence, &added, error);
        }
        *by_key |= domain->given_up;
        fates[rows[i].row] = added ? K2_ROW_NEW : K2_ROW_DUPLICATE;
    }
    k2_free(rows);
    return status;
}

// Most tables have no dense source: one look-up tells.
static enum k2_status has_domains(struct k2_engine *engine, const struct k2_table *table,
                                  bool *found, struct k2_error *error)
{
    struct k2_store_txn *txn;
    struct k2_store_cursor cursor = {0};
    struct k2_index_key key = k2_index_key_id(table->id, 2);
    enum k2_status status = k2_store_begin(engine->store, false, &txn, error);
    if (status != K2_OK) {
        return status;
    }
    status = k2_store_cursor_open(txn, K2_STORE_SEQUENCE, &cursor, error);
    if (status == K2_OK) {
        status = k2_store_seek(&cursor, k2_index_key_slice(&key), error);
    }
    *found = status == K2_OK && cursor.found && k2_index_key_get(cursor.key, 0, 2) == table->id;
    k2_store_cursor_close(&cursor);
    k2_store_abort(txn);
    return status;
}

enum k2_status k2_dense_note(struct k2_engine *engine, const struct k2_table *table,
                             const struct k2_row_batch *batch, const uint8_t *fates,
                             struct k2_dense_changes **changes, struct k2_error *error)
{
    struct counted_row *rows = NULL;
    bool found;
    enum k2_status status = has_domains(engine, table, &found, error);
    if (status != K2_OK || !found) {
        return status;
    }
    status = prepare(engine, table, batch, &rows, changes, error);
    for (size_t i = 0; i < batch->row_count && status == K2_OK; i++) {
        struct domain *domain = find_domain(*changes, rows[i].instrument, rows[i].epoch);
        bool added;
        if (domain->known && !domain->given_up && fates[rows[i].row] == K2_ROW_NEW) {
            status = see(domain, rows[i].sequence, &added, error);
        }
    }
    k2_free(rows);
    return status;
}

static enum k2_status store_domain(const struct k2_dense_changes *changes,
                                   const struct domain *domain, struct k2_store_txn *txn,
                                   struct k2_error *error)
{
    struct k2_buffer value;
    k2_buffer_init(&value, (size_t)K2_MAX_INTERVALS * 20 + 16);
    if (!domain->given_up) {
        k2_interval_set_put(&domain->seen, &value);
    }
    enum k2_status status = k2_buffer_check(&value, "sequences", error);
    struct k2_index_key key = domain_key(changes->table_id, domain);
    if (status == K2_OK) {
        status = k2_store_put(txn, K2_STORE_SEQUENCE, k2_index_key_slice(&key),
                              k2_buffer_slice(&value), error);
    }
    k2_buffer_deinit(&value);
    return status;
}

enum k2_status k2_dense_store(const struct k2_dense_changes *changes, struct k2_store_txn *txn,
                              struct k2_error *error)
{
    enum k2_status status = K2_OK;
    for (size_t i = 0; changes != NULL && i < changes->count && status == K2_OK; i++) {
        const struct domain *domain = &changes->domains[i];
        if (domain->known || domain->seen.count > 0 || domain->given_up) {
            status = store_domain(changes, domain, txn, error);
        }
    }
    return status;
}

void k2_dense_changes_destroy(struct k2_dense_changes *changes)
{
    for (size_t i = 0; changes != NULL && i < changes->count; i++) {
        k2_interval_set_deinit(&changes->domains[i].seen);
    }
    if (changes != NULL) {
        k2_free(changes->domains);
    }
    k2_free(changes);
}
