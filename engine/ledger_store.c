#include "engine/ledger_store.h"

#include <stdlib.h>

#include "format/base/alloc.h"

enum { PAGE_BYTES = 1 << 16 };

// ---- figures

enum k2_status k2_ledger_figures_read(struct k2_store_txn *txn, uint16_t table,
                                      struct k2_ledger_figures *figures, struct k2_error *error)
{
    struct k2_index_key key = k2_index_key_pair(table, 0);
    struct k2_slice value = {0};
    bool found;
    enum k2_status status =
        k2_store_get(txn, K2_STORE_DOMAIN, k2_index_key_slice(&key), &found, &value, error);
    struct k2_byte_reader reader = {.rest = value};
    *figures = (struct k2_ledger_figures){0};
    if (status == K2_OK && found) {
        figures->opened = k2_read_u64(&reader);
        figures->closed = k2_read_u64(&reader);
        figures->open = k2_read_u64(&reader);
        figures->given_up = k2_read_u64(&reader);
    }
    return status;
}

enum k2_status k2_ledger_figures_store(struct k2_store_txn *txn, uint16_t table,
                                       const struct k2_ledger_figures *figures,
                                       struct k2_error *error)
{
    struct k2_index_key key = k2_index_key_pair(table, 0);
    const uint64_t fields[] = {figures->opened, figures->closed, figures->open, figures->given_up};
    struct k2_index_value value = k2_ledger_value(fields, sizeof fields / sizeof fields[0]);
    return k2_store_put(txn, K2_STORE_DOMAIN, k2_index_key_slice(&key),
                        k2_index_value_slice(&value), error);
}

// ---- gaps

// A gap that the same commit opened leaves no trace.
static enum k2_status close_gap(struct k2_store_txn *txn, const struct k2_gap_place *place,
                                uint64_t commit, const struct k2_sequence_gap *gap,
                                struct k2_ledger_figures *figures, struct k2_error *error)
{
    struct k2_gap_place closed = *place;
    closed.closed = commit;
    struct k2_index_key key = k2_gap_open_key(place, gap->last);
    enum k2_status status = k2_store_delete(txn, K2_STORE_GAP, k2_index_key_slice(&key), error);
    figures->open--;
    if (status != K2_OK || gap->opened == commit) {
        figures->opened--;
        return status;
    }
    key = k2_gap_closed_key(&closed, gap->last);
    struct k2_index_value value = k2_gap_encode(gap);
    figures->closed++;
    return k2_store_put(txn, K2_STORE_GAP_CLOSED, k2_index_key_slice(&key),
                        k2_index_value_slice(&value), error);
}

enum k2_status k2_ledger_store_gaps(struct k2_store_txn *txn, const struct k2_gap_place *place,
                                    uint64_t commit, const struct k2_sequence_changes *changes,
                                    struct k2_ledger_figures *figures, struct k2_error *error)
{
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < changes->closed_count && status == K2_OK; i++) {
        status = close_gap(txn, place, commit, &changes->closed[i], figures, error);
    }
    for (size_t i = 0; i < changes->opened_count && status == K2_OK; i++) {
        struct k2_index_key key = k2_gap_open_key(place, changes->opened[i].last);
        struct k2_index_value value = k2_gap_encode(&changes->opened[i]);
        status = k2_store_put(txn, K2_STORE_GAP, k2_index_key_slice(&key),
                              k2_index_value_slice(&value), error);
        figures->opened++;
        figures->open++;
    }
    return status;
}

enum k2_status k2_ledger_load_gaps(struct k2_store_txn *txn, const struct k2_gap_place *place,
                                   int64_t first, int64_t last, struct k2_sequence_gap **gaps,
                                   size_t *count, struct k2_error *error)
{
    struct k2_store_cursor cursor = {0};
    struct k2_index_key key = k2_gap_open_key(place, first);
    size_t room = *count;
    enum k2_status status = k2_store_cursor_open(txn, K2_STORE_GAP, &cursor, error);
    if (status == K2_OK) {
        status = k2_store_seek(&cursor, k2_index_key_slice(&key), error);
    }
    while (status == K2_OK && cursor.found) {
        struct k2_gap_place found;
        struct k2_sequence_gap gap;
        status = k2_gap_open_read(cursor.key, cursor.value, &found, &gap, error);
        if (status != K2_OK || found.table != place->table || found.domain != place->domain ||
            found.epoch != place->epoch || gap.first > last) {
            break;
        }
        if (*count == room) {
            room = room * 2 + 16;
            struct k2_sequence_gap *grown = k2_realloc(*gaps, room, sizeof *grown);
            if (grown == NULL) {
                status = k2_fail(error, K2_NO_MEMORY, "gaps: out of memory");
                break;
            }
            *gaps = grown;
        }
        (*gaps)[(*count)++] = gap;
        status = k2_store_next(&cursor, error);
    }
    k2_store_cursor_close(&cursor);
    return status;
}

// ---- states

static int compare_entries(const void *left, const void *right)
{
    const struct k2_ledger_entry *a = left, *b = right;
    uint32_t page_a = a->domain / K2_PAGE_DOMAINS, page_b = b->domain / K2_PAGE_DOMAINS;
    if (page_a != page_b) {
        return page_a < page_b ? -1 : 1;
    }
    if (a->epoch != b->epoch) {
        return a->epoch < b->epoch ? -1 : 1;
    }
    return (a->domain > b->domain) - (a->domain < b->domain);
}

static void sort_entries(struct k2_ledger_entry *entries, size_t count)
{
    bool sorted = true;
    for (size_t i = 1; i < count && sorted; i++) {
        sorted = compare_entries(&entries[i - 1], &entries[i]) < 0;
    }
    if (!sorted) {
        qsort(entries, count, sizeof *entries, compare_entries);
    }
}

static bool same_page(const struct k2_ledger_entry *left, const struct k2_ledger_entry *right)
{
    return left->domain / K2_PAGE_DOMAINS == right->domain / K2_PAGE_DOMAINS &&
           left->epoch == right->epoch;
}

static enum k2_status read_page(struct k2_store_txn *txn, const struct k2_index_key *key,
                                struct k2_ledger_page *page, struct k2_error *error)
{
    struct k2_slice value;
    bool found;
    enum k2_status status =
        k2_store_get(txn, K2_STORE_SEQUENCE, k2_index_key_slice(key), &found, &value, error);
    *page = (struct k2_ledger_page){0};
    return status == K2_OK && found ? k2_ledger_page_read(page, value, error) : status;
}

// Goes through the entries page by page; with `store` their states go into the index, else they
// come from there.
static enum k2_status visit_pages(struct k2_store_txn *txn, uint16_t table,
                                  struct k2_ledger_entry *entries, size_t count, bool store,
                                  struct k2_error *error)
{
    struct k2_ledger_page *page = k2_alloc_zero(1, sizeof *page);
    struct k2_buffer value;
    enum k2_status status =
        page == NULL ? k2_fail(error, K2_NO_MEMORY, "sequences: out of memory") : K2_OK;
    k2_buffer_init(&value, PAGE_BYTES);
    sort_entries(entries, count);
    for (size_t begin = 0, end; begin < count && status == K2_OK; begin = end) {
        struct k2_index_key key = k2_ledger_page_key(table, entries[begin].domain / K2_PAGE_DOMAINS,
                                                     entries[begin].epoch);
        status = read_page(txn, &key, page, error);
        for (end = begin; end < count && same_page(&entries[begin], &entries[end]); end++) {
            struct k2_sequence_state *state = &page->states[entries[end].domain % K2_PAGE_DOMAINS];
            *(store ? state : &entries[end].state) = store ? entries[end].state : *state;
        }
        if (status == K2_OK && store) {
            k2_buffer_clear(&value);
            k2_ledger_page_put(page, &value);
            status = k2_buffer_check(&value, "sequences", error);
            if (status == K2_OK) {
                status = k2_store_put(txn, K2_STORE_SEQUENCE, k2_index_key_slice(&key),
                                      k2_buffer_slice(&value), error);
            }
        }
    }
    k2_buffer_deinit(&value);
    k2_free(page);
    return status;
}

enum k2_status k2_ledger_store_states(struct k2_store_txn *txn, uint16_t table,
                                      struct k2_ledger_entry *entries, size_t count,
                                      struct k2_error *error)
{
    return visit_pages(txn, table, entries, count, true, error);
}

enum k2_status k2_ledger_load_states(struct k2_store_txn *txn, uint16_t table,
                                     struct k2_ledger_entry *entries, size_t count,
                                     struct k2_error *error)
{
    return visit_pages(txn, table, entries, count, false, error);
}
