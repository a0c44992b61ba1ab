#include "engine/ledger_history.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "engine/group_rows.h"
#include "engine/ledger_store.h"
#include "engine/plan.h"
#include "format/base/alloc.h"

enum { RUN_CEILING = 1 << 20, DOMAIN_END_SHIFT = 32 };

struct item {
    uint32_t domain;
    int64_t epoch;
    uint64_t commit;
    struct k2_sequence_run run;
};

struct user {
    uint32_t instrument, domain;
    uint64_t commit;
};

struct history {
    const struct k2_ledger_history_request *request;
    struct k2_store_txn *txn;
    uint64_t begin, end; // domains of this pass: begin <= domain < end
    struct item *items;  // owned
    size_t count, room, ceiling;
    struct user *users; // owned
    size_t user_count, user_room;
    struct k2_ledger_figures figures;
    struct k2_ledger_entry *entries; // owned: states of this pass
    size_t entry_count, entry_room;
};

static enum k2_status fail_memory(struct k2_error *error)
{
    return k2_fail(error, K2_NO_MEMORY, "sequences: out of memory");
}

// ---- runs out of rows

static int compare_items(const void *left, const void *right)
{
    const struct item *a = left, *b = right;
    if (a->domain != b->domain) {
        return a->domain < b->domain ? -1 : 1;
    }
    if (a->epoch != b->epoch) {
        return a->epoch < b->epoch ? -1 : 1;
    }
    if (a->commit != b->commit) {
        return a->commit < b->commit ? -1 : 1;
    }
    return (a->run.first > b->run.first) - (a->run.first < b->run.first);
}

static bool same_commit(const struct item *left, const struct item *right)
{
    return left->domain == right->domain && left->epoch == right->epoch &&
           left->commit == right->commit;
}

// Sorts the items and joins those of a commit; afterwards none can be joined.
static enum k2_status join_items(struct history *self, struct k2_error *error)
{
    struct k2_sequence_run *runs = k2_alloc_zero(self->count, sizeof *runs);
    size_t kept = 0;
    if (runs == NULL) {
        return fail_memory(error);
    }
    if (self->count > 1) {
        qsort(self->items, self->count, sizeof *self->items, compare_items);
    }
    for (size_t begin = 0, end; begin < self->count; begin = end) {
        struct item item = self->items[begin];
        for (end = begin; end < self->count && same_commit(&item, &self->items[end]); end++) {
            runs[end - begin] = self->items[end].run;
        }
        size_t joined = k2_sequence_runs_join(runs, end - begin);
        for (size_t i = 0; i < joined; i++) {
            item.run = runs[i];
            self->items[kept++] = item;
        }
    }
    self->count = kept;
    k2_free(runs);
    return K2_OK;
}

// Makes room: by joining, then by leaving the upper half of the domains to another pass, and by
// growing when there is but one.
static enum k2_status make_room(struct history *self, struct k2_error *error)
{
    if (self->count >= self->ceiling) {
        enum k2_status status = join_items(self, error);
        if (status != K2_OK) {
            return status;
        }
        if (self->count > self->ceiling / 4 * 3) {
            size_t kept = self->count / 2;
            uint32_t middle = self->items[kept].domain;
            while (kept > 0 && self->items[kept - 1].domain == middle) {
                kept--;
            }
            if (kept == 0) { // the first domain is more than half of all
                while (kept < self->count && self->items[kept].domain == middle) {
                    kept++;
                }
            }
            if (kept < self->count) {
                self->end = self->items[kept].domain;
            } else {
                self->ceiling *= 2;
            }
            self->count = kept;
        }
    }
    if (self->count < self->room) {
        return K2_OK;
    }
    size_t room = self->room * 2 + 1024;
    struct item *grown = k2_realloc(self->items, room, sizeof *grown);
    if (grown == NULL) {
        return fail_memory(error);
    }
    self->items = grown;
    self->room = room;
    return K2_OK;
}

static enum k2_status add_item(struct history *self, const struct item *item,
                               struct k2_error *error)
{
    if (item->domain < self->begin || item->domain >= self->end) {
        return K2_OK;
    }
    struct item *last = self->count > 0 ? &self->items[self->count - 1] : NULL;
    if (last != NULL && same_commit(last, item) && last->run.last < item->run.first &&
        last->run.last == item->run.first - 1) {
        last->run.last = item->run.last;
        last->run.last_ns = item->run.last_ns;
        last->run.min_ns =
            item->run.min_ns < last->run.min_ns ? item->run.min_ns : last->run.min_ns;
        last->run.max_ns =
            item->run.max_ns > last->run.max_ns ? item->run.max_ns : last->run.max_ns;
        return K2_OK;
    }
    enum k2_status status = make_room(self, error);
    if (status == K2_OK && item->domain < self->end) {
        assert(self->items != NULL); // there is room
        self->items[self->count++] = *item;
    }
    return status;
}

static enum k2_status add_user(struct history *self, const struct user *user,
                               struct k2_error *error)
{
    struct user *last = self->user_count > 0 ? &self->users[self->user_count - 1] : NULL;
    if (last != NULL && last->instrument == user->instrument && last->domain == user->domain) {
        last->commit = user->commit < last->commit ? user->commit : last->commit;
        return K2_OK;
    }
    if (self->user_count == self->user_room) {
        size_t room = self->user_room * 2 + 256;
        struct user *grown = k2_realloc(self->users, room, sizeof *grown);
        if (grown == NULL) {
            return fail_memory(error);
        }
        self->users = grown;
        self->user_room = room;
    }
    assert(self->users != NULL); // there is room
    self->users[self->user_count++] = *user;
    return K2_OK;
}

// ---- rows out of groups

struct group_walk {
    struct history *history;
    const struct k2_row_group_view *view;
    struct k2_group_rows *rows;
    struct k2_column_reader *commits; // NULL: all rows are of one commit
    struct k2_vector_store *store;
    struct k2_vector vector;
    uint32_t block;
    bool loaded;
    struct k2_buffer name;
};

static enum k2_status commit_of(struct group_walk *walk, uint32_t row, uint64_t *commit,
                                struct k2_error *error)
{
    uint32_t unused;
    enum k2_status status = K2_OK;
    if (walk->commits == NULL) {
        *commit = k2_row_group_view_info(walk->view)->commit;
        return K2_OK;
    }
    if (!walk->loaded || walk->block != row / K2_BLOCK_ROWS) {
        walk->block = row / K2_BLOCK_ROWS;
        status = k2_column_reader_decode(walk->commits, walk->block, walk->store, &walk->vector,
                                         &unused, error);
        walk->loaded = status == K2_OK;
    }
    if (status == K2_OK) {
        *commit = (uint64_t)walk->vector.values[row % K2_BLOCK_ROWS];
    }
    return status;
}

// The value of a stored row, as the name of a domain has it.
static enum k2_status part_of(struct group_walk *walk, const struct k2_directory_entry *entry,
                              size_t column, uint32_t row, char number[K2_DOMAIN_NUMBER_BYTES],
                              struct k2_slice *value, struct k2_error *error)
{
    const struct k2_column *about = &walk->history->request->table->schema->columns[column];
    const struct k2_vector *vector;
    uint32_t place;
    *value = column == K2_EXCHANGE ? entry->exchange : entry->symbol;
    if (column == K2_EXCHANGE || column == K2_SYMBOL) {
        return K2_OK;
    }
    *value = (struct k2_slice){0};
    enum k2_status status = k2_group_rows_vector(walk->rows, column, row, &vector, &place, error);
    if (status != K2_OK) {
        return status;
    }
    bool fixed = k2_kind_is_fixed(about->kind);
    bool valid =
        vector == NULL ? about->has_default : vector->valid == NULL || vector->valid[place] != 0;
    if (valid && fixed) {
        int64_t stored = vector == NULL ? about->default_value : vector->values[place];
        *value = (struct k2_slice){(const uint8_t *)number, k2_domain_number_print(number, stored)};
    } else if (valid) {
        *value = vector == NULL ? k2_slice_of(about->default_text) : vector->texts[place];
    }
    return K2_OK;
}

static enum k2_status named_of(struct group_walk *walk, const struct k2_directory_entry *entry,
                               const struct k2_domain_rule *rule, uint32_t row, uint32_t *domain,
                               struct k2_error *error)
{
    const struct k2_ledger_history_request *request = walk->history->request;
    enum k2_status status = K2_OK;
    k2_buffer_clear(&walk->name);
    for (size_t i = 0; i < rule->column_count && status == K2_OK; i++) {
        struct k2_domain_part part = {
            k2_slice_of(request->table->schema->columns[rule->columns[i]].name), {0}};
        char number[K2_DOMAIN_NUMBER_BYTES];
        status = part_of(walk, entry, rule->columns[i], row, number, &part.value, error);
        if (status == K2_OK) {
            k2_domain_name_put(&part, 1, &walk->name);
        }
    }
    if (status == K2_OK) {
        status = k2_buffer_check(&walk->name, "domain", error);
    }
    if (status == K2_OK) {
        uint32_t found = k2_domains_find(request->domains, k2_buffer_slice(&walk->name));
        *domain = found == 0 ? 0 : found + request->first_number;
    }
    return status;
}

static enum k2_status take_named(struct group_walk *walk, const struct k2_directory_entry *entry,
                                 uint32_t row, struct item *item, struct k2_error *error)
{
    const struct k2_domains *domains = walk->history->request->domains;
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < domains->rule_count && status == K2_OK; i++) {
        status = named_of(walk, entry, &domains->rules[i], row, &item->domain, error);
        if (status == K2_OK && item->domain != 0) {
            struct user user = {entry->instrument, item->domain, item->commit};
            status = add_item(walk->history, item, error);
            if (status == K2_OK) {
                status = add_user(walk->history, &user, error);
            }
        }
    }
    return status;
}

static enum k2_status take_entry(struct group_walk *walk, const struct k2_directory_entry *entry,
                                 struct k2_error *error)
{
    const struct k2_domains *domains = walk->history->request->domains;
    bool counted = k2_domains_has_instrument(domains, entry->instrument);
    enum k2_status status = K2_OK;
    if (!counted && domains->rule_count == 0) {
        return K2_OK;
    }
    for (uint32_t i = 0; i < entry->row_count && status == K2_OK; i++) {
        uint32_t row = entry->first_row + i;
        struct item item = {.domain = entry->instrument};
        int64_t time_ns, sequence;
        status = k2_group_rows_key(walk->rows, row, &time_ns, &item.epoch, &sequence, error);
        if (status == K2_OK) {
            status = commit_of(walk, row, &item.commit, error);
        }
        item.run = (struct k2_sequence_run){sequence, sequence, time_ns, time_ns, time_ns, time_ns};
        if (status == K2_OK && counted) {
            status = add_item(walk->history, &item, error);
        }
        if (status == K2_OK && domains->rule_count > 0) {
            status = take_named(walk, entry, row, &item, error);
        }
    }
    return status;
}

static enum k2_status take_group(struct history *self, const struct k2_plan *plan, size_t index,
                                 struct k2_error *error)
{
    struct group_walk walk = {.history = self};
    struct k2_row_group_view *view = NULL;
    bool mixed = false;
    size_t entry_count;
    enum k2_status status = k2_plan_view(plan, index, &view, error);
    if (status != K2_OK) {
        return status;
    }
    k2_buffer_init(&walk.name, 64 << 20);
    walk.view = view;
    walk.store = k2_alloc_aligned(sizeof *walk.store);
    status = walk.store == NULL
                 ? fail_memory(error)
                 : k2_group_rows_open(&walk.rows, view, self->request->table->schema, error);
    if (status == K2_OK) {
        status = k2_column_reader_open(&walk.commits, view, K2_COLUMN_ID_COMMIT, &mixed, error);
    }
    walk.commits = mixed ? walk.commits : NULL;
    const struct k2_directory_entry *entries = k2_row_group_view_directory(view, &entry_count);
    for (size_t i = 0; i < entry_count && status == K2_OK; i++) {
        status = take_entry(&walk, &entries[i], error);
    }
    if (mixed) {
        k2_column_reader_close(walk.commits);
    }
    k2_group_rows_close(walk.rows);
    k2_row_group_view_close(view);
    k2_buffer_deinit(&walk.name);
    k2_free(walk.store);
    return status;
}

static enum k2_status collect(struct history *self, struct k2_error *error)
{
    const struct k2_ledger_history_request *request = self->request;
    const struct k2_domains *domains = request->domains;
    uint32_t *wanted = k2_alloc_zero(domains->instrument_count, sizeof *wanted);
    size_t count = 0;
    struct k2_plan plan = {0};
    if (wanted == NULL) {
        return fail_memory(error);
    }
    for (size_t i = 0; i < domains->instruments.bit_count; i++) {
        if (k2_domains_has_instrument(domains, (uint32_t)i)) {
            wanted[count++] = (uint32_t)i;
        }
    }
    struct k2_plan_request plan_request = {
        .table = request->table,
        .time_min_ns = INT64_MIN,
        .time_max_ns = INT64_MAX,
        .snapshot = UINT64_MAX,
        .with_history = true, // a row that was replaced showed its number first
        .fresh = true,
        .instruments = domains->rule_count == 0 ? wanted : NULL,
        .instrument_count = count,
    };
    enum k2_status status = k2_plan_open(request->engine, &plan_request, &plan, error);
    for (size_t i = 0; i < plan.group_count && status == K2_OK; i++) {
        status = take_group(self, &plan, i, error);
    }
    k2_plan_close(&plan);
    k2_free(wanted);
    return status == K2_OK ? join_items(self, error) : status;
}

// ---- the ledger out of runs

// The open gaps of one counter while its commits go by.
struct open_gaps {
    struct k2_sequence_gap *items; // owned, by number
    size_t count, room;
};

static size_t place_of(const struct open_gaps *gaps, int64_t number)
{
    size_t low = 0, high = gaps->count;
    while (low < high) { // the first that ends at or behind the number
        size_t middle = low + (high - low) / 2;
        if (gaps->items[middle].last < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static enum k2_status apply(struct open_gaps *gaps, const struct k2_sequence_changes *changes,
                            struct k2_error *error)
{
    for (size_t i = 0; i < changes->closed_count; i++) {
        size_t place = place_of(gaps, changes->closed[i].last);
        gaps->count--;
        memmove(gaps->items + place, gaps->items + place + 1,
                (gaps->count - place) * sizeof *gaps->items);
    }
    for (size_t i = 0; i < changes->opened_count; i++) {
        if (gaps->count == gaps->room) {
            size_t room = gaps->room * 2 + 16;
            struct k2_sequence_gap *grown = k2_realloc(gaps->items, room, sizeof *grown);
            if (grown == NULL) {
                return fail_memory(error);
            }
            gaps->items = grown;
            gaps->room = room;
        }
        size_t place = place_of(gaps, changes->opened[i].last);
        memmove(gaps->items + place + 1, gaps->items + place,
                (gaps->count - place) * sizeof *gaps->items);
        gaps->items[place] = changes->opened[i];
        gaps->count++;
    }
    return K2_OK;
}

// Takes the runs of one commit, as the commit has.
static enum k2_status take_commit(struct history *self, const struct k2_gap_place *place,
                                  uint64_t commit, const struct k2_sequence_run *runs,
                                  size_t run_count, struct k2_sequence_state *state,
                                  struct open_gaps *gaps, struct k2_error *error)
{
    struct k2_sequence_changes changes = {0};
    size_t first = place_of(gaps, runs[0].first);
    enum k2_status status = k2_sequence_track(state, gaps->items + first, gaps->count - first, runs,
                                              run_count, commit, &changes, error);
    if (status == K2_OK && state->open_gaps > K2_MAX_OPEN_GAPS) {
        status = k2_sequence_give_up(state, gaps->items, gaps->count, commit, &changes, error);
        self->figures.given_up++;
    }
    if (status == K2_OK) {
        status = k2_ledger_store_gaps(self->txn, place, commit, &changes, &self->figures, error);
    }
    if (status == K2_OK) {
        status = apply(gaps, &changes, error);
    }
    k2_sequence_changes_deinit(&changes);
    return status;
}

static enum k2_status since_of(struct history *self, uint32_t domain, uint64_t *since,
                               struct k2_error *error)
{
    struct k2_index_key key = k2_index_key_pair(self->request->table->id, domain);
    struct k2_domain_record record = {0};
    struct k2_slice value;
    bool found;
    enum k2_status status =
        k2_store_get(self->txn, K2_STORE_DOMAIN, k2_index_key_slice(&key), &found, &value, error);
    if (status == K2_OK && found) {
        status = k2_domain_record_read(value, &record, error);
    }
    *since = record.since;
    return status;
}

// What came before the domain was dense, counts as one commit of that moment.
static bool goes_along(const struct item *first, const struct item *item, uint64_t since)
{
    return first->domain == item->domain && first->epoch == item->epoch &&
           (first->commit == item->commit || (first->commit < since && item->commit < since));
}

static enum k2_status take_counter(struct history *self, size_t begin, size_t end,
                                   struct k2_sequence_run *runs, struct k2_error *error)
{
    const struct item *items = self->items;
    struct k2_gap_place place = {self->request->table->id, items[begin].domain, items[begin].epoch,
                                 0};
    struct k2_ledger_entry *entry = &self->entries[self->entry_count++];
    struct open_gaps gaps = {0};
    uint64_t since;
    *entry = (struct k2_ledger_entry){.domain = place.domain, .epoch = place.epoch};
    enum k2_status status = since_of(self, place.domain, &since, error);
    for (size_t first = begin, next; first < end && status == K2_OK; first = next) {
        for (next = first; next < end && goes_along(&items[first], &items[next], since); next++) {
            runs[next - first] = items[next].run;
        }
        size_t count = k2_sequence_runs_join(runs, next - first);
        uint64_t commit = items[first].commit < since ? since : items[first].commit;
        if (!entry->state.given_up) {
            status = take_commit(self, &place, commit, runs, count, &entry->state, &gaps, error);
        }
    }
    k2_free(gaps.items);
    return status;
}

static int compare_users(const void *left, const void *right)
{
    const struct user *a = left, *b = right;
    if (a->instrument != b->instrument) {
        return a->instrument < b->instrument ? -1 : 1;
    }
    return (a->domain > b->domain) - (a->domain < b->domain);
}

static enum k2_status store_users(struct history *self, struct k2_error *error)
{
    enum k2_status status = K2_OK;
    if (self->user_count > 1) {
        qsort(self->users, self->user_count, sizeof *self->users, compare_users);
    }
    for (size_t i = 0; i < self->user_count && status == K2_OK; i++) {
        const struct user *user = &self->users[i];
        uint64_t since;
        status = since_of(self, user->domain, &since, error);
        if (status == K2_OK) {
            uint64_t commit = user->commit < since ? since : user->commit;
            status = k2_domain_user_store(self->txn, self->request->table->id, user->instrument,
                                          user->domain, commit, error);
        }
    }
    self->user_count = 0;
    return status;
}

static enum k2_status take_counters(struct history *self, struct k2_error *error)
{
    const struct item *items = self->items;
    size_t counters = 0;
    for (size_t i = 0; i < self->count; i++) {
        counters += i == 0 || items[i - 1].domain != items[i].domain ||
                    items[i - 1].epoch != items[i].epoch;
    }
    struct k2_sequence_run *runs = k2_alloc_zero(self->count, sizeof *runs);
    self->entries = k2_alloc_zero(counters, sizeof *self->entries);
    self->entry_count = 0;
    enum k2_status status = runs == NULL || self->entries == NULL ? fail_memory(error) : K2_OK;
    for (size_t begin = 0, end; begin < self->count && status == K2_OK; begin = end) {
        end = begin;
        while (end < self->count && items[end].domain == items[begin].domain &&
               items[end].epoch == items[begin].epoch) {
            end++;
        }
        status = take_counter(self, begin, end, runs, error);
    }
    if (status == K2_OK) {
        status = k2_ledger_store_states(self->txn, self->request->table->id, self->entries,
                                        self->entry_count, error);
    }
    k2_free(self->entries);
    self->entries = NULL;
    k2_free(runs);
    return status;
}

enum k2_status k2_ledger_history_write(const struct k2_ledger_history_request *request,
                                       struct k2_store_txn *txn, struct k2_error *error)
{
    struct history self = {
        .request = request,
        .txn = txn,
        .end = UINT64_C(1) << DOMAIN_END_SHIFT,
        .ceiling = request->run_ceiling > 0 ? request->run_ceiling : RUN_CEILING,
    };
    uint16_t table = request->table->id;
    enum k2_status status = k2_ledger_figures_read(txn, table, &self.figures, error);
    for (bool more = true; more && status == K2_OK;) {
        status = collect(&self, error);
        if (status == K2_OK) {
            status = take_counters(&self, error);
        }
        if (status == K2_OK) {
            status = store_users(&self, error);
        }
        self.count = 0;
        self.begin = self.end;
        self.end = UINT64_C(1) << DOMAIN_END_SHIFT;
        more = self.begin < self.end;
    }
    if (status == K2_OK) {
        status = k2_ledger_figures_store(txn, table, &self.figures, error);
    }
    k2_free(self.items);
    k2_free(self.users);
    return status;
}

// ---- the whole ledger again

enum k2_status k2_ledger_forget(struct k2_store_txn *txn, struct k2_error *error)
{
    static const enum k2_store_table tables[] = {K2_STORE_SEQUENCE, K2_STORE_GAP,
                                                 K2_STORE_GAP_CLOSED, K2_STORE_DOMAIN_USER};
    struct k2_index_value mark = k2_index_value_number(1);
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < sizeof tables / sizeof tables[0] && status == K2_OK; i++) {
        status = k2_store_clear(txn, tables[i], error);
    }
    return status == K2_OK ? k2_store_put(txn, K2_STORE_META, k2_slice_of(K2_LEDGER_STALE),
                                          k2_index_value_slice(&mark), error)
                           : status;
}

static enum k2_status recall_table(struct k2_engine *engine, const struct k2_table *table,
                                   struct k2_store_txn *txn, struct k2_error *error)
{
    struct k2_domains *domains;
    struct k2_ledger_figures none = {0};
    enum k2_status status = k2_domains_load(engine, table, &domains, error);
    if (status != K2_OK || !k2_domains_any(domains)) {
        return status;
    }
    struct k2_ledger_history_request request = {
        .engine = engine, .table = table, .domains = domains};
    status = k2_ledger_figures_store(txn, table->id, &none, error);
    return status == K2_OK ? k2_ledger_history_write(&request, txn, error) : status;
}

enum k2_status k2_ledger_recall(struct k2_engine *engine, struct k2_error *error)
{
    struct k2_store_txn *txn;
    struct k2_slice value;
    bool stale = false;
    enum k2_status status = k2_store_begin(engine->store, true, &txn, error);
    if (status != K2_OK) {
        return status;
    }
    status = k2_store_get(txn, K2_STORE_META, k2_slice_of(K2_LEDGER_STALE), &stale, &value, error);
    if (status == K2_OK && stale) {
        status = k2_ledger_forget(txn, error); // a mark alone is enough
    }
    const struct k2_table *table;
    for (size_t i = 0; status == K2_OK && stale && (table = k2_engine_table_at(engine, i)) != NULL;
         i++) {
        status = recall_table(engine, table, txn, error);
    }
    if (status == K2_OK && stale) {
        status = k2_store_delete(txn, K2_STORE_META, k2_slice_of(K2_LEDGER_STALE), error);
    }
    if (status != K2_OK || !stale) {
        k2_store_abort(txn);
        return status;
    }
    return k2_store_commit(txn, error);
}
