#include "engine/ledger_reader.h"

#include "format/base/alloc.h"

static bool touches(const struct k2_ledger_view *view, const struct k2_sequence_gap *gap)
{
    int64_t first_ns = gap->after_ns < gap->before_ns ? gap->after_ns : gap->before_ns;
    int64_t last_ns = gap->after_ns < gap->before_ns ? gap->before_ns : gap->after_ns;
    return (!view->has_end || first_ns < view->end_ns) &&
           (!view->has_start || last_ns >= view->start_ns);
}

static enum k2_status visit_open(const struct k2_ledger_view *view, uint32_t domain,
                                 k2_ledger_visit *visit, void *context, struct k2_error *error)
{
    struct k2_store_cursor cursor;
    struct k2_index_key key = k2_index_key_pair(view->table, domain);
    enum k2_status status = k2_store_cursor_open(view->txn, K2_STORE_GAP, &cursor, error);
    if (status == K2_OK) {
        status = k2_store_seek(&cursor, k2_index_key_slice(&key), error);
    }
    while (status == K2_OK && cursor.found) {
        struct k2_gap_place place;
        struct k2_sequence_gap gap;
        status = k2_gap_open_read(cursor.key, cursor.value, &place, &gap, error);
        if (status != K2_OK || place.table != view->table || place.domain != domain) {
            break;
        }
        if (gap.opened <= view->snapshot && touches(view, &gap)) {
            status = visit(context, &place, &gap, error);
        }
        if (status == K2_OK) {
            status = k2_store_next(&cursor, error);
        }
    }
    k2_store_cursor_close(&cursor);
    return status;
}

// Those that were closed after the snapshot were open as of it.
static enum k2_status visit_closed(const struct k2_ledger_view *view, uint32_t domain,
                                   k2_ledger_visit *visit, void *context, struct k2_error *error)
{
    struct k2_store_cursor cursor;
    struct k2_index_key key = k2_index_key_pair(view->table, domain);
    k2_index_key_put(&key, view->open_only ? view->snapshot + 1 : 0, 8);
    enum k2_status status = k2_store_cursor_open(view->txn, K2_STORE_GAP_CLOSED, &cursor, error);
    if (status == K2_OK) {
        status = k2_store_seek(&cursor, k2_index_key_slice(&key), error);
    }
    while (status == K2_OK && cursor.found) {
        struct k2_gap_place place;
        struct k2_sequence_gap gap;
        status = k2_gap_closed_read(cursor.key, cursor.value, &place, &gap, error);
        if (status != K2_OK || place.table != view->table || place.domain != domain) {
            break;
        }
        place.closed = place.closed <= view->snapshot ? place.closed : 0;
        if (gap.opened <= view->snapshot && touches(view, &gap)) {
            status = visit(context, &place, &gap, error);
        }
        if (status == K2_OK) {
            status = k2_store_next(&cursor, error);
        }
    }
    k2_store_cursor_close(&cursor);
    return status;
}

enum k2_status k2_ledger_visit_domain(const struct k2_ledger_view *view, uint32_t domain,
                                      k2_ledger_visit *visit, void *context, struct k2_error *error)
{
    enum k2_status status = visit_open(view, domain, visit, context, error);
    return status == K2_OK ? visit_closed(view, domain, visit, context, error) : status;
}

enum k2_status k2_ledger_users_of(const struct k2_ledger_view *view, uint32_t instrument,
                                  uint32_t **domains, size_t *count, struct k2_error *error)
{
    struct k2_store_cursor cursor;
    struct k2_index_key key = k2_index_key_pair(view->table, instrument);
    enum k2_status status = k2_store_cursor_open(view->txn, K2_STORE_DOMAIN_USER, &cursor, error);
    if (status == K2_OK) {
        status = k2_store_seek(&cursor, k2_index_key_slice(&key), error);
    }
    while (status == K2_OK && cursor.found && k2_index_key_get(cursor.key, 0, 2) == view->table &&
           k2_index_key_get(cursor.key, 2, 4) == instrument) {
        if (k2_index_number(cursor.value) <= view->snapshot) {
            uint32_t *grown = k2_realloc(*domains, *count + 1, sizeof *grown);
            if (grown == NULL) {
                status = k2_fail(error, K2_NO_MEMORY, "gaps: out of memory");
                break;
            }
            *domains = grown;
            (*domains)[(*count)++] = (uint32_t)k2_index_key_get(cursor.key, 6, 4);
        }
        status = k2_store_next(&cursor, error);
    }
    k2_store_cursor_close(&cursor);
    return status;
}
