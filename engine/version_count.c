#include "engine/version_count.h"

#include "engine/commit_log.h"
#include "engine/engine_state.h"
#include "engine/index_records.h"
#include "engine/plan.h"
#include "engine/publish.h"
#include "engine/scan.h"
#include "engine/shown_rows.h"
#include "format/base/alloc.h"

enum k2_status k2_version_count_shown(struct k2_engine *engine, const struct k2_table *table,
                                      uint64_t snapshot, int64_t start_ns, int64_t end_ns,
                                      uint64_t *rows, struct k2_error *error)
{
    const size_t columns[] = {K2_TIMESTAMP};
    struct k2_scan_request request = {
        .table = table,
        .snapshot = snapshot,
        .has_start = start_ns != INT64_MIN,
        .has_end = end_ns != INT64_MAX,
        .start_ns = start_ns,
        .end_ns = end_ns,
        .columns = columns,
        .column_count = 1,
        .order = K2_ORDER_STORED,
    };
    struct k2_scan *scan = NULL;
    *rows = 0;
    enum k2_status status = k2_scan_open(engine, &request, &scan, error);
    for (size_t count = 1; status == K2_OK && count > 0;) {
        const struct k2_vector *vectors;
        status = k2_scan_next(scan, &vectors, &count, error);
        *rows += status == K2_OK ? count : 0;
    }
    k2_scan_close(scan);
    return status;
}

static enum k2_status has_versions(struct k2_engine *engine, const struct k2_table *table,
                                   uint64_t *rows, bool *found, struct k2_error *error)
{
    struct k2_plan plan;
    struct k2_plan_request request = k2_plan_listing(table);
    *found = false;
    *rows = 0;
    enum k2_status status = k2_plan_open(engine, &request, &plan, error);
    if (status != K2_OK) {
        return status;
    }
    for (size_t i = 0; i < plan.group_count; i++) {
        *found |= plan.groups[i].versions;
        *rows += plan.groups[i].row_count;
    }
    k2_plan_close(&plan);
    return K2_OK;
}

// The snapshots from `first` on.
static enum k2_status count_snapshots(struct k2_engine *engine, const struct k2_table *table,
                                      struct k2_store_txn *txn, uint64_t first,
                                      struct k2_error *error)
{
    if (first > engine->newest.id) {
        return K2_OK;
    }
    size_t count = (size_t)(engine->newest.id - first + 1);
    int64_t *rows = k2_alloc_zero(count, sizeof *rows);
    const struct k2_commit_log_rows recounted = {table->id, rows};
    if (rows == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "log: out of memory");
    }
    enum k2_status status = k2_shown_rows_count(engine, table, first, count, rows, error);
    if (status == K2_OK) {
        status = k2_commit_log_recount(txn, first, &recounted, 1, error);
    }
    k2_free(rows);
    return status;
}

static enum k2_status count_table(struct k2_engine *engine, const struct k2_table *table,
                                  struct k2_store_txn *txn, uint64_t known, struct k2_error *error)
{
    struct k2_table_counters counters;
    uint64_t rows, shown = 0;
    bool found;
    enum k2_status status = has_versions(engine, table, &rows, &found, error);
    if (status == K2_OK && found) {
        status = k2_version_count_shown(engine, table, 0, INT64_MIN, INT64_MAX, &shown, error);
    }
    if (status == K2_OK) {
        status = k2_engine_counters(engine, table, &counters, error);
    }
    if (status != K2_OK) {
        return status;
    }
    int64_t hidden = found ? (int64_t)(rows - shown) : 0;
    status = k2_publish_hide(txn, table, hidden - (int64_t)counters.hidden, error);
    return status == K2_OK && found ? count_snapshots(engine, table, txn, known + 1, error)
                                    : status;
}

enum k2_status k2_version_count_forget(struct k2_store_txn *txn, uint64_t known,
                                       struct k2_error *error)
{
    struct k2_index_value mark = k2_index_value_number(known);
    return k2_store_put(txn, K2_STORE_META, k2_slice_of(K2_HIDDEN_STALE),
                        k2_index_value_slice(&mark), error);
}

enum k2_status k2_version_count_refresh(struct k2_engine *engine, struct k2_error *error)
{
    struct k2_store_txn *txn;
    struct k2_slice value;
    struct k2_snapshot newest;
    const struct k2_table *table;
    uint64_t known;
    bool stale = false;
    enum k2_status status = k2_store_begin(engine->store, true, &txn, error);
    if (status != K2_OK) {
        return status;
    }
    status = k2_store_get(txn, K2_STORE_META, k2_slice_of(K2_HIDDEN_STALE), &stale, &value, error);
    known = status == K2_OK && stale ? k2_index_number(value) : 0; // the bytes go with a change
    for (size_t i = 0; status == K2_OK && stale && (table = k2_engine_table_at(engine, i)) != NULL;
         i++) {
        status = count_table(engine, table, txn, known, error);
    }
    if (status == K2_OK && stale) {
        status = k2_store_delete(txn, K2_STORE_META, k2_slice_of(K2_HIDDEN_STALE), error);
    }
    if (status != K2_OK || !stale) {
        k2_store_abort(txn);
        return status;
    }
    status = k2_commit_log_newest(txn, &newest, error);
    if (status != K2_OK) {
        k2_store_abort(txn);
        return status;
    }
    status = k2_store_commit(txn, error);
    if (status == K2_OK) {
        engine->newest = newest;
    }
    return status;
}
