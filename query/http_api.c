#include "query/http_api.h"

#include <stdio.h>
#include <time.h>

#include "engine/gap_list.h"
#include "engine/snapshot.h"
#include "format/base/alloc.h"
#include "format/base/json_text.h"
#include "format/base/timestamp.h"
#include "query/http_catalog.h"
#include "query/http_gaps.h"
#include "query/http_rows.h"
#include "query/metric_text.h"
#include "query/process_metrics.h"

enum {
    DEFAULT_SCAN_BYTES = 4 << 20,
    TABLE_LABEL_BYTES = 200,
};

struct k2_http_api {
    struct k2_engine *engine; // borrowed
    struct k2_http_api_options options;
    struct k2_http_metrics *metrics;
};

// ---- handlers of this file ----------------------------------------------------------------------

static k2_http_handler get_root, get_health, get_metrics, get_newest_first, get_in_order, get_asof;

static enum k2_status get_newest_first(const struct k2_http_context *context,
                                       struct k2_http_response *response, struct k2_error *error)
{
    return k2_http_rows(context, K2_HTTP_ROWS_NEWEST_FIRST, response, error);
}

static enum k2_status get_in_order(const struct k2_http_context *context,
                                   struct k2_http_response *response, struct k2_error *error)
{
    return k2_http_rows(context, K2_HTTP_ROWS_IN_ORDER, response, error);
}

static enum k2_status get_asof(const struct k2_http_context *context,
                               struct k2_http_response *response, struct k2_error *error)
{
    return k2_http_rows(context, K2_HTTP_ROWS_WITH_QUOTES, response, error);
}

// ---- routes
// ---------------------------------------------------------------------------------------

// A part `{...}` of a template takes any text. Every route is GET, and HEAD by that.
struct route {
    const char *template;
    k2_http_handler *handle;
    const char *table; // of the rows, unless the path names it
    bool quick;
};

static const struct route routes[] = {
    {"/", get_root, NULL, true},
    {"/health", get_health, NULL, true},
    {"/metrics", get_metrics, NULL, true},
    {"/v1/trades", get_newest_first, "trades", false},
    {"/v1/quotes", get_newest_first, "quotes", false},
    {"/v1/book", get_in_order, "book", false},
    {"/v1/asof", get_asof, "trades", false},
    {"/v1/tables", k2_http_get_tables, NULL, false},
    {"/v1/tables/{table}/rows", get_in_order, NULL, false},
    {"/v1/instruments", k2_http_get_instruments, NULL, false},
    {"/v1/symbols", k2_http_get_symbols, NULL, false},
    {"/v1/snapshots", k2_http_get_snapshots, NULL, false},
    {"/v1/gaps", k2_http_get_gaps, NULL, false},
    {"/v1/stats", k2_http_get_stats, NULL, false},
};
enum { ROUTE_COUNT = sizeof routes / sizeof routes[0] };
_Static_assert((int)ROUTE_COUNT <= (int)K2_HTTP_MAX_ROUTES, "metrics have room for every route");

static bool matches(const struct route *route, const struct k2_http_request *request,
                    struct k2_slice *variable)
{
    const char *at = route->template + 1;
    size_t part = 0;
    for (; *at != '\0'; part++) {
        size_t size = strcspn(at, "/");
        if (part == request->part_count) {
            return false;
        }
        if (*at == '{') {
            *variable = request->parts[part];
        } else if (!k2_slice_equal(request->parts[part],
                                   (struct k2_slice){(const uint8_t *)at, size})) {
            return false;
        }
        at += at[size] == '/' ? size + 1 : size;
    }
    return part == request->part_count;
}

static const struct route *find_route(const struct k2_http_request *request,
                                      struct k2_slice *variable)
{
    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        if (matches(&routes[i], request, variable)) {
            return &routes[i];
        }
    }
    return NULL;
}

static bool is_get(const struct k2_http_request *request)
{
    return strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0;
}

// ---- the api
// --------------------------------------------------------------------------------------

enum k2_status k2_http_api_create(struct k2_http_api **api, struct k2_engine *engine,
                                  const struct k2_http_api_options *options, struct k2_error *error)
{
    *api = NULL;
    const char *names[ROUTE_COUNT + 1] = {0};
    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        names[i] = routes[i].template;
    }
    struct k2_http_api *self = k2_alloc_zero(1, sizeof *self);
    struct k2_http_metrics *metrics = k2_http_metrics_create(names);
    if (self == NULL || metrics == NULL) {
        k2_http_metrics_destroy(metrics);
        k2_free(self);
        return k2_fail(error, K2_NO_MEMORY, "http: no memory");
    }
    *self = (struct k2_http_api){.engine = engine, .options = *options, .metrics = metrics};
    if (self->options.scan_memory_bytes == 0) {
        self->options.scan_memory_bytes = DEFAULT_SCAN_BYTES;
    }
    if (self->options.version == NULL) {
        self->options.version = "unknown";
    }
    *api = self;
    return K2_OK;
}

void k2_http_api_destroy(struct k2_http_api *api)
{
    if (api != NULL) {
        k2_http_metrics_destroy(api->metrics);
        k2_free(api);
    }
}

struct k2_http_metrics *k2_http_api_metrics(const struct k2_http_api *api)
{
    return api->metrics;
}

bool k2_http_api_is_quick(const struct k2_http_api *api, const struct k2_http_request *request)
{
    (void)api;
    struct k2_slice variable = {0};
    const struct route *route = find_route(request, &variable);
    return route == NULL || route->quick || !is_get(request);
}

void k2_http_api_tell(const struct k2_http_api *api, const struct k2_http_request *request,
                      const struct k2_http_response *response, const struct k2_error *error)
{
    if (api->options.log != NULL) {
        char line[K2_ERROR_TEXT_BYTES + 256];
        (void)snprintf(line, sizeof line, "http: %s: request %s: %s",
                       response->route != NULL ? response->route : "other", request->correlation_id,
                       error->text);
        api->options.log(api->options.log_context, line);
    }
}

// Internal tables are not for readers.
static bool is_internal(struct k2_slice table)
{
    return table.size_bytes > 0 && table.data[0] == '_';
}

void k2_http_api_handle(const struct k2_http_api *api, const struct k2_http_request *request,
                        struct k2_http_response *response)
{
    struct k2_http_context context = {.engine = api->engine,
                                      .options = &api->options,
                                      .request = request,
                                      .metrics = api->metrics};
    const struct route *route = find_route(request, &context.table);
    response->route = route != NULL ? route->template : NULL;
    if (route == NULL || is_internal(context.table)) {
        k2_http_response_error(response, request, 404, NULL, "there is nothing at this path");
    } else if (!is_get(request)) {
        k2_http_response_error(response, request, 405, NULL, "this path takes GET and HEAD alone");
        k2_http_response_header(response, "Allow", "GET, HEAD");
    } else {
        struct k2_error error = {0};
        if (route->table != NULL) {
            context.table = k2_slice_of(route->table);
        }
        enum k2_status status = route->handle(&context, response, &error);
        if (status == K2_OK) {
            status = k2_http_response_encode(response, request->coding, &error);
        }
        if (status != K2_OK) {
            k2_http_response_failure(response, request, &error);
        }
        if (response->failure.status != K2_OK && response->status >= 500) {
            k2_http_api_tell(api, request, response, &response->failure);
        }
    }
    k2_http_response_header(response, "X-Correlation-ID", "%s", request->correlation_id);
}

// ---- /, /health, /metrics
// -------------------------------------------------------------------------

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * K2_NS_PER_SECOND + now.tv_nsec;
}

static enum k2_status get_root(const struct k2_http_context *context,
                               struct k2_http_response *response, struct k2_error *error)
{
    struct k2_buffer *out = &response->body;
    k2_put_text(out, "{\"name\":\"K2\",\"version\":");
    k2_json_put_string(out, k2_slice_of(context->options->version));
    k2_put_text(out, ",\"links\":[");
    for (size_t i = 1; i < ROUTE_COUNT; i++) {
        k2_put_text(out, i > 1 ? "," : "");
        k2_json_put_string(out, k2_slice_of(routes[i].template));
    }
    k2_put_text(out, "]}\n");
    return k2_buffer_check(out, "answer", error);
}

// 200 as long as rows can be read; `status` tells whether all parts work.
static enum k2_status get_health(const struct k2_http_context *context,
                                 struct k2_http_response *response, struct k2_error *error)
{
    struct k2_snapshot newest = {0};
    struct k2_buffer parts;
    char time[K2_TIMESTAMP_TEXT_BYTES];
    int64_t begun_ns = clock_ns(CLOCK_MONOTONIC);
    bool readable = k2_snapshot_newest(context->engine, &newest, NULL) == K2_OK;
    double latency_ms = (double)(clock_ns(CLOCK_MONOTONIC) - begun_ns) / 1e6;
    k2_buffer_init(&parts, K2_HTTP_BODY_BYTES);
    const struct k2_http_api_options *options = context->options;
    bool whole =
        options->put_health == NULL || options->put_health(options->source_context, &parts);
    const char *failure = k2_engine_failure(context->engine);
    whole = whole && failure == NULL;
    k2_timestamp_print(time, clock_ns(CLOCK_REALTIME));
    struct k2_buffer *out = &response->body;
    k2_put_format(out, "{\"status\":\"%s\",\"version\":",
                  !readable ? "unhealthy"
                  : whole   ? "healthy"
                            : "degraded");
    k2_json_put_string(out, k2_slice_of(options->version));
    k2_put_format(out, ",\"timestamp\":\"%.*s\",\"snapshot\":%llu", (int)sizeof time, time,
                  (unsigned long long)newest.id);
    k2_put_format(out,
                  ",\"dependencies\":[{\"name\":\"store\",\"status\":\"%s\","
                  "\"latency_ms\":%.3f}]",
                  !readable         ? "unhealthy"
                  : failure != NULL ? "read_only"
                                    : "healthy",
                  latency_ms);
    if (failure != NULL) {
        k2_put_text(out, ",\"reason\":");
        k2_json_put_string(out, k2_slice_of(failure));
    }
    k2_put_bytes(out, parts.data, parts.size_bytes);
    k2_put_text(out, "}\n");
    k2_buffer_deinit(&parts);
    response->status = readable ? 200 : 503;
    k2_http_response_header(response, "Cache-Control", "no-store");
    return k2_buffer_check(out, "answer", error);
}

// One family with a sample for each table.
struct table_family {
    const char *name, *type, *help;
    size_t offset; // into struct k2_table_counters
};

static const struct table_family table_families[] = {
    {"k2_table_rows", "gauge", "Rows in the newest snapshot.",
     offsetof(struct k2_table_counters, rows)},
    {"k2_table_stored_rows_total", "counter", "Rows stored.",
     offsetof(struct k2_table_counters, stored)},
    {"k2_table_duplicate_rows_total", "counter", "Rows that were there already.",
     offsetof(struct k2_table_counters, duplicates)},
    {"k2_table_rejected_rows_total", "counter", "Rows refused; they are dead letters.",
     offsetof(struct k2_table_counters, rejected)},
    {"k2_table_segments", "gauge", "Segment files with rows.",
     offsetof(struct k2_table_counters, segments)},
    {"k2_table_row_groups", "gauge", "Row groups.", offsetof(struct k2_table_counters, groups)},
    {"k2_table_unsorted_groups", "gauge", "Row groups that are not sorted yet.",
     offsetof(struct k2_table_counters, unsorted_groups)},
    {"k2_table_unsorted_bytes", "gauge", "Bytes of row groups that are not sorted yet.",
     offsetof(struct k2_table_counters, unsorted_bytes)},
    {"k2_table_size_bytes", "gauge", "Bytes in segments.",
     offsetof(struct k2_table_counters, bytes)},
    {"k2_table_committed_bytes_total", "counter", "Bytes written by commits.",
     offsetof(struct k2_table_counters, committed_bytes)},
    {"k2_table_rewritten_bytes_total", "counter", "Bytes written by folds, sorts and retains.",
     offsetof(struct k2_table_counters, rewritten_bytes)},
    {"k2_table_instruments", "gauge", "Instruments with rows.",
     offsetof(struct k2_table_counters, instruments)},
};

static enum k2_status put_table_metrics(struct k2_engine *engine, struct k2_buffer *out)
{
    const struct k2_table *table = NULL;
    enum k2_status status = K2_OK;
    for (size_t f = 0; f < sizeof table_families / sizeof table_families[0]; f++) {
        const struct table_family *family = &table_families[f];
        k2_metric_family(out, family->name, family->type, family->help);
        for (size_t i = 0; status == K2_OK && (table = k2_engine_table_at(engine, i)) != NULL;
             i++) {
            struct k2_table_counters counters;
            uint64_t value = 0;
            char labels[TABLE_LABEL_BYTES];
            status = k2_engine_counters(engine, table, &counters, NULL);
            if (status == K2_OK) {
                memcpy(&value, (const char *)&counters + family->offset, sizeof value);
                k2_metric_put_label(labels, sizeof labels, 0, "table", table->schema->table);
                k2_metric_count(out, family->name, labels, value);
            }
        }
    }
    return status;
}

static const struct {
    const char *name, *type, *help;
    size_t offset; // into struct k2_gap_figures
} gap_families[] = {
    {"k2_sequence_gaps_open", "gauge", "Ranges of numbers that dense sources left out so far.",
     offsetof(struct k2_gap_figures, open)},
    {"k2_sequence_gaps_opened_total", "counter", "Gaps opened, also as parts of older ones.",
     offsetof(struct k2_gap_figures, opened)},
    {"k2_sequence_gaps_closed_total", "counter", "Gaps filled or split by late rows.",
     offsetof(struct k2_gap_figures, closed)},
    {"k2_sequence_counters_given_up_total", "counter",
     "Counters with too many gaps, which are not followed any more.",
     offsetof(struct k2_gap_figures, given_up)},
};

static enum k2_status put_gap_metrics(struct k2_engine *engine, struct k2_buffer *out)
{
    const struct k2_table *table = NULL;
    enum k2_status status = K2_OK;
    for (size_t f = 0; f < sizeof gap_families / sizeof gap_families[0]; f++) {
        k2_metric_family(out, gap_families[f].name, gap_families[f].type, gap_families[f].help);
        for (size_t i = 0; status == K2_OK && (table = k2_engine_table_at(engine, i)) != NULL;
             i++) {
            struct k2_gap_figures figures;
            uint64_t value = 0;
            char labels[TABLE_LABEL_BYTES];
            status = k2_gap_figures_get(engine, table, &figures, NULL);
            if (status == K2_OK) {
                memcpy(&value, (const char *)&figures + gap_families[f].offset, sizeof value);
                k2_metric_put_label(labels, sizeof labels, 0, "table", table->schema->table);
                k2_metric_count(out, gap_families[f].name, labels, value);
            }
        }
    }
    return status;
}

static void put_store_metrics(struct k2_engine *engine, struct k2_buffer *out)
{
    struct k2_snapshot newest = {0};
    uint64_t index_bytes = 0;
    enum k2_status status = k2_snapshot_newest(engine, &newest, NULL);
    if (status == K2_OK) {
        status = k2_engine_index_bytes(engine, &index_bytes, NULL);
    }
    if (status == K2_OK) {
        status = put_table_metrics(engine, out);
    }
    if (status == K2_OK) {
        status = put_gap_metrics(engine, out);
    }
    k2_metric_single(out, "k2_store_newest_snapshot", "gauge", "Id of the newest snapshot.",
                     newest.id);
    k2_metric_family(out, "k2_store_newest_snapshot_timestamp_seconds", "gauge",
                     "When it was committed, since 1970; 0 before the first.");
    k2_metric_value(out, "k2_store_newest_snapshot_timestamp_seconds", NULL,
                    newest.id > 0 ? (double)newest.time_ns / 1e9 : 0);
    k2_metric_single(out, "k2_store_index_size_bytes", "gauge", "Bytes of the index.", index_bytes);
    k2_metric_single(out, "k2_store_up", "gauge", "1 when the index could be read.",
                     status == K2_OK);
    k2_metric_single(out, "k2_store_writable", "gauge",
                     "0 when a failure has made the store read-only until it is opened again.",
                     k2_engine_failure(engine) == NULL);
}

static enum k2_status get_metrics(const struct k2_http_context *context,
                                  struct k2_http_response *response, struct k2_error *error)
{
    const struct k2_http_api_options *options = context->options;
    struct k2_buffer *out = &response->body;
    char labels[TABLE_LABEL_BYTES];
    k2_metric_put_label(labels, sizeof labels, 0, "version", options->version);
    k2_metric_family(out, "k2_build_info", "gauge", "1, with the version.");
    k2_metric_count(out, "k2_build_info", labels, 1);
    put_store_metrics(context->engine, out);
    k2_http_metrics_put(context->metrics, out);
    if (options->put_metrics != NULL) {
        options->put_metrics(options->source_context, out);
    }
    k2_process_metrics_put(out);
    response->content_type = "text/plain; version=0.0.4; charset=utf-8";
    k2_http_response_header(response, "Cache-Control", "no-store");
    return k2_buffer_check(out, "metrics", error);
}
