#include "engine/repair_losses.h"

#include <stdlib.h>
#include <string.h>

#include "engine/index_records.h"
#include "format/base/alloc.h"

static const char damaged_rows[] = "damaged";
static const char gone_rows[] = "cut off or overwritten; any instrument of a group is named";
static const char bare_bytes[] = "bytes in which no rows can be read";
static const char missing_commits[] = "no file has this commit";

void k2_losses_deinit(struct k2_losses *losses)
{
    k2_free(losses->items);
    k2_text_arena_deinit(&losses->texts);
    *losses = (struct k2_losses){0};
}

static enum k2_status add(struct k2_losses *losses, const struct k2_lost *lost,
                          struct k2_error *error)
{
    if (losses->count == losses->room) {
        size_t room = losses->room * 2 + 64;
        struct k2_lost *grown = k2_realloc(losses->items, room, sizeof *grown);
        if (grown == NULL) {
            return k2_fail(error, K2_NO_MEMORY, "repair: out of memory");
        }
        losses->items = grown;
        losses->room = room;
    }
    losses->items[losses->count++] = *lost;
    return K2_OK;
}

// A copy that ends with a NUL.
static bool keep(struct k2_losses *losses, struct k2_slice text, const char **copy)
{
    char bytes[512];
    struct k2_slice kept;
    size_t size = text.size_bytes < sizeof bytes - 1 ? text.size_bytes : sizeof bytes - 1;
    if (size > 0) {
        memcpy(bytes, text.data, size);
    }
    bytes[size] = '\0';
    bool done =
        k2_text_arena_copy(&losses->texts, (struct k2_slice){(uint8_t *)bytes, size + 1}, &kept);
    *copy = done ? (const char *)kept.data : NULL;
    return done;
}

static enum k2_status add_named(struct k2_losses *losses, struct k2_lost lost,
                                struct k2_slice table, struct k2_slice exchange,
                                struct k2_slice symbol, struct k2_error *error)
{
    if (!keep(losses, table, &lost.table) || !keep(losses, exchange, &lost.exchange) ||
        !keep(losses, symbol, &lost.symbol)) {
        return k2_fail(error, K2_NO_MEMORY, "repair: out of memory");
    }
    return add(losses, &lost, error);
}

enum k2_status k2_losses_add_group(struct k2_losses *losses, struct k2_salvage *salvage,
                                   const struct k2_salvaged_group *group, struct k2_error *error)
{
    struct k2_lost lost = {.segment_id = group->place.segment_id, .reason = bare_bytes};
    struct k2_row_group_view *view = NULL;
    if (group->state == K2_SALVAGED_BARE) {
        return add(losses, &lost, error);
    }
    enum k2_status status = k2_salvage_view(salvage, group, &view, error);
    if (status != K2_OK) {
        return status;
    }
    size_t entry_count;
    const struct k2_directory_entry *entries = k2_row_group_view_directory(view, &entry_count);
    lost.reason = damaged_rows;
    lost.has_range = true;
    lost.snapshot = group->commit;
    for (size_t i = 0; i < entry_count && status == K2_OK; i++) {
        lost.first_ns = entries[i].time_min_ns;
        lost.last_ns = entries[i].time_max_ns;
        lost.rows = entries[i].row_count;
        status = add_named(losses, lost, k2_slice_of(salvage->names[group->name]),
                           entries[i].exchange, entries[i].symbol, error);
    }
    k2_row_group_view_close(view);
    return status;
}

static enum k2_status find_table_name(struct k2_store_txn *txn, uint16_t table,
                                      struct k2_slice *name, struct k2_error *error)
{
    struct k2_index_key key = k2_index_key_id(table, 2);
    struct k2_slice value;
    bool found;
    enum k2_status status =
        k2_store_get(txn, K2_STORE_TABLE, k2_index_key_slice(&key), &found, &value, error);
    *name = (struct k2_slice){0};
    if (status == K2_OK && found && value.size_bytes > 4) {
        *name = (struct k2_slice){value.data + 4, value.size_bytes - 4}; // behind the version
    }
    return status;
}

static enum k2_status add_instrument(struct k2_losses *losses, struct k2_store_txn *txn,
                                     const struct k2_lost *lost, struct k2_slice table, uint32_t id,
                                     struct k2_error *error)
{
    struct k2_index_key key = k2_index_key_id(id, 4);
    struct k2_slice name;
    bool found;
    enum k2_status status =
        k2_store_get(txn, K2_STORE_INSTRUMENT, k2_index_key_slice(&key), &found, &name, error);
    const uint8_t *zero = status == K2_OK && found ? memchr(name.data, 0, name.size_bytes) : NULL;
    if (status != K2_OK || zero == NULL) {
        return status;
    }
    size_t exchange_bytes = (size_t)(zero - name.data);
    return add_named(losses, *lost, table, (struct k2_slice){name.data, exchange_bytes},
                     (struct k2_slice){zero + 1, name.size_bytes - exchange_bytes - 1}, error);
}

enum k2_status k2_losses_add_indexed(struct k2_losses *losses, struct k2_store_txn *txn,
                                     const struct k2_group_place *place,
                                     const struct k2_group_record *record, struct k2_error *error)
{
    struct k2_lost lost = {
        .has_range = true,
        .first_ns = place->time_min_ns,
        .last_ns = record->time_max_ns,
        .rows = record->instrument_min == record->instrument_max ? record->row_count : 0,
        .segment_id = place->segment_id,
        .snapshot = record->commit_max,
        .reason = gone_rows,
    };
    struct k2_slice table;
    struct k2_store_cursor cursor = {0};
    struct k2_index_key first = k2_index_key_pair(place->table, record->instrument_min);
    size_t before = losses->count;
    enum k2_status status = find_table_name(txn, place->table, &table, error);
    if (status == K2_OK) {
        status = k2_store_cursor_open(txn, K2_STORE_MEMBER, &cursor, error);
    }
    if (status == K2_OK) {
        status = k2_store_seek(&cursor, k2_index_key_slice(&first), error);
    }
    while (status == K2_OK && cursor.found && k2_index_key_get(cursor.key, 0, 2) == place->table &&
           k2_index_key_get(cursor.key, 2, 4) <= record->instrument_max) {
        if (k2_index_number(cursor.value) <= record->commit_max) {
            uint32_t id = (uint32_t)k2_index_key_get(cursor.key, 2, 4);
            status = add_instrument(losses, txn, &lost, table, id, error);
        }
        if (status == K2_OK) {
            status = k2_store_next(&cursor, error);
        }
    }
    k2_store_cursor_close(&cursor);
    if (status == K2_OK && losses->count == before) { // _log has no members
        lost.rows = record->row_count;
        status = keep(losses, table, &lost.table)
                     ? add(losses, &lost, error)
                     : k2_fail(error, K2_NO_MEMORY, "repair: out of memory");
    }
    return status;
}

enum k2_status k2_losses_add_missing(struct k2_losses *losses, uint64_t first_snapshot,
                                     uint64_t count, struct k2_error *error)
{
    enum { MOST = 1000 }; // one line for each, but not for ever
    enum k2_status status = K2_OK;
    for (uint64_t i = 0; i < count && i < MOST && status == K2_OK; i++) {
        struct k2_lost lost = {.snapshot = first_snapshot + i, .reason = missing_commits};
        status = add(losses, &lost, error);
    }
    return status;
}

static int compare_text(const char *left, const char *right)
{
    return left == NULL || right == NULL ? (left != NULL) - (right != NULL) : strcmp(left, right);
}

static int compare(const void *left, const void *right)
{
    const struct k2_lost *a = left, *b = right;
    int order = compare_text(a->table, b->table);
    order = order != 0 ? order : compare_text(a->exchange, b->exchange);
    order = order != 0 ? order : compare_text(a->symbol, b->symbol);
    if (order == 0) {
        order = (a->segment_id > b->segment_id) - (a->segment_id < b->segment_id);
    }
    return order != 0 ? order : (a->snapshot > b->snapshot) - (a->snapshot < b->snapshot);
}

// Adds `next` to `lost` if both are of one instrument.
static bool merge(struct k2_lost *lost, const struct k2_lost *next)
{
    if (lost->symbol == NULL || compare_text(lost->table, next->table) != 0 ||
        compare_text(lost->exchange, next->exchange) != 0 ||
        compare_text(lost->symbol, next->symbol) != 0) {
        return false;
    }
    lost->first_ns = next->first_ns < lost->first_ns ? next->first_ns : lost->first_ns;
    lost->last_ns = next->last_ns > lost->last_ns ? next->last_ns : lost->last_ns;
    lost->rows = lost->rows == 0 || next->rows == 0 ? 0 : lost->rows + next->rows;
    lost->segment_id = lost->segment_id == next->segment_id ? lost->segment_id : 0;
    lost->snapshot = lost->snapshot == next->snapshot ? lost->snapshot : 0;
    return true;
}

uint64_t k2_losses_tell(struct k2_losses *losses, const struct k2_repair_options *options)
{
    uint64_t told = 0;
    if (losses->count > 1) {
        qsort(losses->items, losses->count, sizeof *losses->items, compare);
    }
    for (size_t i = 0; i < losses->count;) {
        struct k2_lost lost = losses->items[i++];
        while (i < losses->count && merge(&lost, &losses->items[i])) {
            i++;
        }
        told++;
        if (options->lost != NULL) {
            options->lost(options->context, &lost);
        }
    }
    return told;
}
