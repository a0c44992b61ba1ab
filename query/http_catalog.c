#include "query/http_catalog.h"

#include "engine/snapshot.h"
#include "format/base/json_text.h"
#include "query/instrument_list.h"
#include "query/store_report.h"

enum {
    SNAPSHOTS_LISTED = 100,
    SNAPSHOTS_LISTED_MAX = 10000,
};

// ---- what handlers share ------------------------------------------------------------------------

static void put_begin(struct k2_buffer *out)
{
    k2_put_text(out, "{\"success\":true,\"data\":");
}

static enum k2_status put_end(const struct k2_http_context *context, uint64_t snapshot,
                              uint64_t rows, struct k2_http_response *response,
                              struct k2_error *error)
{
    struct k2_buffer *out = &response->body;
    k2_put_text(out, ",\n");
    k2_http_put_meta(context->request, out);
    k2_put_format(out, ",\"snapshot\":%llu,\"rows\":%llu}}\n", (unsigned long long)snapshot,
                  (unsigned long long)rows);
    k2_http_response_header(response, "X-K2-Snapshot", "%llu", (unsigned long long)snapshot);
    k2_http_response_header(response, "Cache-Control", "private, no-cache");
    return k2_buffer_check(out, "answer", error);
}

// Refuses parameters that are not among `names`, which ends with NULL.
static enum k2_status check_parameters(const struct k2_http_request *request,
                                       const char *const *names, struct k2_error *error)
{
    for (size_t i = 0; i < request->parameter_count; i++) {
        size_t place = 0;
        while (names[place] != NULL && strcmp(names[place], request->parameters[i].name) != 0) {
            place++;
        }
        if (names[place] == NULL) {
            return k2_fail(error, K2_BAD_REQUEST, "%s: unknown parameter",
                           request->parameters[i].name);
        }
    }
    return K2_OK;
}

static enum k2_status find_snapshot(const struct k2_http_context *context, uint64_t *id,
                                    struct k2_error *error)
{
    const struct k2_http_parameter *as_of = k2_http_request_find(context->request, "as_of");
    struct k2_snapshot snapshot = {0};
    enum k2_status status = K2_OK;
    if (as_of != NULL) {
        status = k2_snapshot_resolve(context->engine, as_of->value, &snapshot, error);
        if (status != K2_OK) {
            k2_error_annotate(error, "as_of");
        }
    } else {
        status = k2_snapshot_newest(context->engine, &snapshot, error);
    }
    *id = snapshot.id;
    return status;
}

// The table of parameter `table`; NULL when it is not given.
static enum k2_status find_table(const struct k2_http_context *context,
                                 const struct k2_table **table, struct k2_error *error)
{
    const struct k2_http_parameter *name = k2_http_request_find(context->request, "table");
    *table = NULL;
    enum k2_status status = k2_engine_refresh(context->engine, error);
    if (status != K2_OK || name == NULL) {
        return status;
    }
    *table = k2_engine_table(context->engine, name->value);
    if (*table == NULL || name->value.data[0] == '_') {
        return k2_fail(error, K2_BAD_REQUEST, "table: there is no table `%.*s`",
                       (int)name->value.size_bytes, (const char *)name->value.data);
    }
    return K2_OK;
}

// A number from 1 to `max`; `*number` stays when the parameter is not given.
static enum k2_status read_number(const struct k2_http_request *request, const char *name,
                                  uint64_t max, uint64_t *number, struct k2_error *error)
{
    const struct k2_http_parameter *given = k2_http_request_find(request, name);
    if (given == NULL) {
        return K2_OK;
    }
    uint64_t value = 0;
    bool good = given->value.size_bytes > 0 && given->value.size_bytes <= 18;
    for (size_t i = 0; good && i < given->value.size_bytes; i++) {
        good = given->value.data[i] >= '0' && given->value.data[i] <= '9';
        value = value * 10 + (uint64_t)(given->value.data[i] - '0');
    }
    if (!good || value == 0 || value > max) {
        return k2_fail(error, K2_BAD_REQUEST, "%s: `%.*s` is not a number from 1 to %llu", name,
                       (int)given->value.size_bytes, (const char *)given->value.data,
                       (unsigned long long)max);
    }
    *number = value;
    return K2_OK;
}

// ---- tables
// ---------------------------------------------------------------------------------------

static void put_column(const struct k2_column *column, struct k2_buffer *out)
{
    k2_put_text(out, "{\"name\":");
    k2_json_put_string(out, k2_slice_of(column->name));
    k2_put_format(out, ",\"type\":\"%s\",\"nullable\":%s", k2_kind_name(column->kind),
                  column->nullable ? "true" : "false");
    if (column->kind == K2_KIND_DECIMAL64) {
        k2_put_format(out, ",\"scale\":%u", column->scale);
    }
    k2_put_u8(out, '}');
}

static void put_table(const struct k2_table *table, struct k2_buffer *out)
{
    k2_put_text(out, "{\"table\":");
    k2_json_put_string(out, k2_slice_of(table->schema->table));
    k2_put_format(out, ",\"schema_version\":%u,\"columns\":[", table->schema_version);
    for (size_t i = 0; i < table->schema->column_count; i++) {
        k2_put_text(out, i > 0 ? ",\n  " : "\n  ");
        put_column(&table->schema->columns[i], out);
    }
    k2_put_text(out, "]}");
}

enum k2_status k2_http_get_tables(const struct k2_http_context *context,
                                  struct k2_http_response *response, struct k2_error *error)
{
    static const char *const names[] = {NULL};
    struct k2_snapshot newest = {0};
    enum k2_status status = check_parameters(context->request, names, error);
    if (status == K2_OK) {
        status = k2_engine_refresh(context->engine, error);
    }
    if (status == K2_OK) {
        status = k2_snapshot_newest(context->engine, &newest, error);
    }
    if (status != K2_OK) {
        return status;
    }
    put_begin(&response->body);
    const struct k2_table *table = NULL;
    uint64_t count = 0;
    for (size_t i = 0; (table = k2_engine_table_at(context->engine, i)) != NULL; i++) {
        if (table->schema->table[0] != '_') {
            k2_put_text(&response->body, count++ > 0 ? ",\n" : "[\n");
            put_table(table, &response->body);
        }
    }
    k2_put_text(&response->body, count > 0 ? "\n]" : "[]");
    return put_end(context, newest.id, count, response, error);
}

// ---- instruments and symbols ------------------------------------------------------------------

static enum k2_status open_list(const struct k2_http_context *context, uint64_t *snapshot,
                                struct k2_instrument_list *list, struct k2_error *error)
{
    static const char *const names[] = {"exchange", "symbol", "canonical", "table", "as_of", NULL};
    *list = (struct k2_instrument_list){0};
    const struct k2_http_request *request = context->request;
    const struct k2_http_parameter *exchange = k2_http_request_find(request, "exchange");
    const struct k2_http_parameter *symbol = k2_http_request_find(request, "symbol");
    const struct k2_http_parameter *canonical = k2_http_request_find(request, "canonical");
    const struct k2_instrument_filter filter = {
        .exchange = {exchange != NULL, "exchange",
                     exchange != NULL ? exchange->value : (struct k2_slice){0}},
        .symbol = {symbol != NULL, "symbol", symbol != NULL ? symbol->value : (struct k2_slice){0}},
        .canonical = {canonical != NULL, "canonical",
                      canonical != NULL ? canonical->value : (struct k2_slice){0}},
    };
    const struct k2_table *table = NULL;
    enum k2_status status = check_parameters(request, names, error);
    if (status == K2_OK) {
        status = find_table(context, &table, error);
    }
    if (status == K2_OK) {
        status = find_snapshot(context, snapshot, error);
    }
    if (status == K2_OK) {
        status = k2_instrument_list_open(list, context->engine, table, *snapshot, &filter, error);
    }
    return status;
}

// The whole answer of a list of instruments; `put` writes its items and counts them.
static enum k2_status put_list(const struct k2_http_context *context,
                               uint64_t (*put)(const struct k2_instrument_list *list,
                                               struct k2_buffer *out),
                               struct k2_http_response *response, struct k2_error *error)
{
    struct k2_instrument_list list;
    uint64_t snapshot = 0;
    enum k2_status status = open_list(context, &snapshot, &list, error);
    if (status == K2_OK) {
        put_begin(&response->body);
        uint64_t count = put(&list, &response->body);
        status = put_end(context, snapshot, count, response, error);
    }
    k2_instrument_list_close(&list);
    return status;
}

enum k2_status k2_http_get_instruments(const struct k2_http_context *context,
                                       struct k2_http_response *response, struct k2_error *error)
{
    return put_list(context, k2_instrument_list_put, response, error);
}

enum k2_status k2_http_get_symbols(const struct k2_http_context *context,
                                   struct k2_http_response *response, struct k2_error *error)
{
    return put_list(context, k2_instrument_list_put_symbols, response, error);
}

// ---- snapshots and figures --------------------------------------------------------------------

enum k2_status k2_http_get_snapshots(const struct k2_http_context *context,
                                     struct k2_http_response *response, struct k2_error *error)
{
    static const char *const names[] = {"table", "limit", "cursor", NULL};
    struct k2_snapshot_list_request list = {.limit = SNAPSHOTS_LISTED};
    struct k2_snapshot newest = {0};
    uint64_t count = 0, next = 0;
    enum k2_status status = check_parameters(context->request, names, error);
    if (status == K2_OK) {
        status = read_number(context->request, "limit", SNAPSHOTS_LISTED_MAX, &list.limit, error);
    }
    if (status == K2_OK) {
        status = read_number(context->request, "cursor", UINT64_C(1) << 53, &list.before, error);
    }
    if (status == K2_OK) {
        status = find_table(context, &list.table, error);
    }
    if (status == K2_OK) {
        status = k2_snapshot_newest(context->engine, &newest, error);
    }
    if (status == K2_OK) {
        put_begin(&response->body);
        status = k2_store_report_snapshots(context->engine, &list, &response->body, &count, &next,
                                           error);
    }
    if (status != K2_OK) {
        return status;
    }
    k2_put_format(&response->body, ",\n\"pagination\":{\"limit\":%llu,\"next_cursor\":",
                  (unsigned long long)list.limit);
    if (next > 0) {
        k2_put_format(&response->body, "\"%llu\"", (unsigned long long)next);
    } else {
        k2_put_text(&response->body, "null");
    }
    k2_put_format(&response->body, ",\"has_more\":%s}", next > 0 ? "true" : "false");
    return put_end(context, newest.id, count, response, error);
}

enum k2_status k2_http_get_stats(const struct k2_http_context *context,
                                 struct k2_http_response *response, struct k2_error *error)
{
    static const char *const names[] = {NULL};
    struct k2_snapshot newest = {0};
    enum k2_status status = check_parameters(context->request, names, error);
    if (status == K2_OK) {
        status = k2_snapshot_newest(context->engine, &newest, error);
    }
    if (status == K2_OK) {
        put_begin(&response->body);
        status = k2_store_report_stats(context->engine, &response->body, error);
    }
    return status == K2_OK ? put_end(context, newest.id, 1, response, error) : status;
}
