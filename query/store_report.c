#include "query/store_report.h"

#include "engine/gap_list.h"
#include "format/base/alloc.h"
#include "format/base/json_text.h"
#include "format/base/timestamp.h"

enum { SNAPSHOTS_AT_ONCE = 64 };

static void put_number(struct k2_buffer *out, const char *name, uint64_t value)
{
    k2_put_format(out, "\"%s\":%llu", name, (unsigned long long)value);
}

static void put_time(struct k2_buffer *out, const char *name, bool known, int64_t time_ns)
{
    char text[K2_TIMESTAMP_TEXT_BYTES];
    k2_put_format(out, "\"%s\":", name);
    if (!known) {
        k2_put_text(out, "null");
        return;
    }
    k2_timestamp_print(text, time_ns);
    k2_put_u8(out, '"');
    k2_put_bytes(out, text, sizeof text);
    k2_put_u8(out, '"');
}

// ---- stats --------------------------------------------------------------------------------------

static enum k2_status put_columns(struct k2_engine *engine, const struct k2_table *table,
                                  struct k2_buffer *out, struct k2_error *error)
{
    uint64_t bytes[K2_MAX_COLUMNS] = {0};
    enum k2_status status = k2_engine_column_bytes(engine, table, bytes, error);
    for (size_t i = 0; status == K2_OK && i < table->schema->column_count; i++) {
        k2_put_text(out, i > 0 ? "," : "");
        k2_json_put_string(out, k2_slice_of(table->schema->columns[i].name));
        k2_put_text(out, ":{");
        put_number(out, "bytes", bytes[i]);
        k2_put_u8(out, '}');
    }
    return status;
}

static enum k2_status put_gaps(struct k2_engine *engine, const struct k2_table *table,
                               struct k2_buffer *out, struct k2_error *error)
{
    struct k2_gap_figures gaps;
    enum k2_status status = k2_gap_figures_get(engine, table, &gaps, error);
    k2_put_format(out,
                  ",\"gaps\":{\"open\":%llu,\"opened\":%llu,\"closed\":%llu,\"given_up\":%llu}",
                  (unsigned long long)gaps.open, (unsigned long long)gaps.opened,
                  (unsigned long long)gaps.closed, (unsigned long long)gaps.given_up);
    return status;
}

static enum k2_status put_table(struct k2_engine *engine, const struct k2_table *table,
                                struct k2_buffer *out, struct k2_error *error)
{
    struct k2_table_counters counters;
    enum k2_status status = k2_engine_counters(engine, table, &counters, error);
    if (status != K2_OK) {
        return status;
    }
    k2_json_put_string(out, k2_slice_of(table->schema->table));
    k2_put_text(out, ":{");
    const struct {
        const char *name;
        uint64_t value;
    } figures[] = {
        {"rows", counters.rows},
        {"segments", counters.segments},
        {"bytes", counters.bytes},
        {"instruments", counters.instruments},
        {"stored", counters.stored},
        {"duplicates", counters.duplicates},
        {"rejected", counters.rejected},
        {"groups", counters.groups},
        {"unsorted_groups", counters.unsorted_groups},
        {"unsorted_bytes", counters.unsorted_bytes},
        {"committed_bytes", counters.committed_bytes},
        {"rewritten_bytes", counters.rewritten_bytes},
    };
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++) {
        put_number(out, figures[i].name, figures[i].value);
        k2_put_u8(out, ',');
    }
    double written = (double)(counters.committed_bytes + counters.rewritten_bytes);
    if (counters.committed_bytes > 0) {
        k2_put_format(out, "\"write_amplification\":%.2f,",
                      written / (double)counters.committed_bytes);
    } else {
        k2_put_text(out, "\"write_amplification\":null,");
    }
    put_time(out, "first_time", counters.rows > 0, counters.first_time_ns);
    k2_put_u8(out, ',');
    put_time(out, "last_time", counters.rows > 0, counters.last_time_ns);
    status = put_gaps(engine, table, out, error);
    if (status != K2_OK) {
        return status;
    }
    k2_put_text(out, ",\"columns\":{");
    status = put_columns(engine, table, out, error);
    k2_put_text(out, "}}");
    return status;
}

enum k2_status k2_store_report_stats(struct k2_engine *engine, struct k2_buffer *out,
                                     struct k2_error *error)
{
    struct k2_snapshot newest;
    uint64_t index_bytes = 0;
    enum k2_status status = k2_engine_refresh(engine, error);
    if (status == K2_OK) {
        status = k2_snapshot_newest(engine, &newest, error);
    }
    if (status == K2_OK) {
        status = k2_engine_index_bytes(engine, &index_bytes, error);
    }
    if (status != K2_OK) {
        return status;
    }
    k2_put_u8(out, '{');
    put_number(out, "snapshot", newest.id);
    k2_put_u8(out, ',');
    put_number(out, "index_bytes", index_bytes);
    k2_put_text(out, ",\"tables\":{");
    const struct k2_table *table = NULL;
    for (size_t i = 0; status == K2_OK && (table = k2_engine_table_at(engine, i)) != NULL; i++) {
        k2_put_text(out, i > 0 ? "," : "");
        status = put_table(engine, table, out, error);
    }
    k2_put_text(out, "}}");
    return status == K2_OK ? k2_buffer_check(out, "stats", error) : status;
}

// ---- snapshots ----------------------------------------------------------------------------------

struct snapshot_lister {
    struct k2_engine *engine;
    const struct k2_snapshot_list_request *request;
    struct k2_tag *tags;
    size_t tag_count;
    struct k2_snapshot *page;
    uint64_t count, next;
};

static const char *table_name(const struct k2_engine *engine, uint16_t id)
{
    const struct k2_table *table = NULL;
    for (size_t i = 0; (table = k2_engine_table_at(engine, i)) != NULL; i++) {
        if (table->id == id) {
            return table->schema->table;
        }
    }
    return NULL; // declared by another process since the last refresh
}

static void put_tags(const struct snapshot_lister *lister, uint64_t snapshot, struct k2_buffer *out)
{
    bool any = false;
    for (size_t i = 0; i < lister->tag_count; i++) {
        if (lister->tags[i].snapshot == snapshot) {
            k2_put_text(out, any ? "," : "");
            k2_json_put_string(out, k2_slice_of(lister->tags[i].name));
            any = true;
        }
    }
}

static void put_snapshot(const struct snapshot_lister *lister, const struct k2_snapshot *snapshot,
                         struct k2_buffer *out)
{
    k2_put_u8(out, '{');
    put_number(out, "snapshot", snapshot->id);
    k2_put_u8(out, ',');
    put_number(out, "parent", snapshot->parent);
    k2_put_u8(out, ',');
    put_time(out, "time", true, snapshot->time_ns);
    k2_put_format(out, ",\"operation\":\"%s\",\"tags\":[", k2_operation_name(snapshot->operation));
    put_tags(lister, snapshot->id, out);
    k2_put_text(out, "],\"tables\":{");
    bool any = false;
    for (size_t i = 0; i < snapshot->table_count; i++) {
        const char *name = table_name(lister->engine, snapshot->tables[i].table_id);
        if (name == NULL) {
            continue;
        }
        k2_put_text(out, any ? "," : "");
        k2_json_put_string(out, k2_slice_of(name));
        k2_put_text(out, ":{");
        put_number(out, "rows", snapshot->tables[i].rows);
        k2_put_u8(out, ',');
        put_number(out, "added", snapshot->tables[i].added);
        k2_put_u8(out, '}');
        any = true;
    }
    k2_put_text(out, "}}");
}

static bool is_wanted(const struct snapshot_lister *lister, const struct k2_snapshot *snapshot)
{
    if (lister->request->table == NULL) {
        return true;
    }
    for (size_t i = 0; i < snapshot->table_count; i++) {
        if (snapshot->tables[i].table_id == lister->request->table->id) {
            return snapshot->tables[i].added > 0 || snapshot->operation != K2_OPERATION_APPEND;
        }
    }
    return false;
}

// True when the list is full: `next` says where to go on.
static bool put_page(struct snapshot_lister *lister, size_t page_count, struct k2_buffer *out)
{
    const struct k2_snapshot_list_request *request = lister->request;
    for (size_t i = 0; i < page_count; i++) {
        const struct k2_snapshot *snapshot = &lister->page[i];
        if (!is_wanted(lister, snapshot)) {
            continue;
        }
        if (request->limit > 0 && lister->count == request->limit) {
            lister->next = snapshot->id + 1;
            return true;
        }
        if (!request->lines) {
            k2_put_text(out, lister->count > 0 ? ",\n" : "\n");
        }
        put_snapshot(lister, snapshot, out);
        k2_put_text(out, request->lines ? "\n" : "");
        lister->count++;
    }
    return false;
}

static enum k2_status put_pages(struct snapshot_lister *lister, struct k2_buffer *out,
                                struct k2_error *error)
{
    uint64_t before = lister->request->before;
    for (;;) {
        size_t page_count = SNAPSHOTS_AT_ONCE;
        enum k2_status status =
            k2_snapshot_list(lister->engine, before, lister->page, &page_count, error);
        if (status == K2_OK) {
            status = k2_buffer_check(out, "snapshots", error);
        }
        if (status != K2_OK || page_count == 0 || put_page(lister, page_count, out)) {
            return status;
        }
        before = lister->page[page_count - 1].id;
        if (before <= 1) {
            return K2_OK;
        }
    }
}

enum k2_status k2_store_report_snapshots(struct k2_engine *engine,
                                         const struct k2_snapshot_list_request *request,
                                         struct k2_buffer *out, uint64_t *count, uint64_t *next,
                                         struct k2_error *error)
{
    struct snapshot_lister lister = {.engine = engine, .request = request};
    enum k2_status status = k2_engine_refresh(engine, error);
    if (status == K2_OK) {
        status = k2_tag_list(engine, &lister.tags, &lister.tag_count, error);
    }
    if (status == K2_OK) {
        lister.page = k2_alloc_zero(SNAPSHOTS_AT_ONCE, sizeof *lister.page);
        status = lister.page == NULL ? k2_fail(error, K2_NO_MEMORY, "snapshots: no memory") : K2_OK;
    }
    if (status == K2_OK) {
        k2_put_text(out, request->lines ? "" : "[");
        status = put_pages(&lister, out, error);
        k2_put_text(out, request->lines ? "" : lister.count > 0 ? "\n]" : "]");
    }
    k2_free(lister.page);
    k2_free(lister.tags);
    *count = lister.count;
    *next = lister.next;
    return status == K2_OK ? k2_buffer_check(out, "snapshots", error) : status;
}
