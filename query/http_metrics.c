#include "query/http_metrics.h"

#include <stdatomic.h>
#include <stdio.h>

#include "format/base/alloc.h"
#include "query/metric_text.h"

static const unsigned statuses[] = {200, 400, 401, 403, 404, 405, 413, 414, 429, 500, 503};

// Upper bounds in ns; the last bucket has none.
static const struct {
    int64_t bound_ns;
    const char *text;
} buckets[] = {
    {500000, "0.0005"},  {1000000, "0.001"},  {2500000, "0.0025"}, {5000000, "0.005"},
    {10000000, "0.01"},  {25000000, "0.025"}, {50000000, "0.05"},  {100000000, "0.1"},
    {250000000, "0.25"}, {500000000, "0.5"},  {1000000000, "1"},   {2500000000, "2.5"},
    {5000000000, "5"},   {10000000000, "10"}, {30000000000, "30"}, {60000000000, "60"},
};

enum {
    STATUS_COUNT = sizeof statuses / sizeof statuses[0],
    BUCKET_COUNT = sizeof buckets / sizeof buckets[0],
    LABEL_BYTES = 160,
};

struct route_counters {
    atomic_uint_fast64_t requests[STATUS_COUNT + 1]; // the last: any other status
    atomic_uint_fast64_t buckets[BUCKET_COUNT + 1];
    atomic_uint_fast64_t duration_ns, rows, bytes, cut;
};

struct k2_http_metrics {
    const char *names[K2_HTTP_MAX_ROUTES + 1]; // the last one is `other`
    struct route_counters routes[K2_HTTP_MAX_ROUTES + 1];
    size_t route_count; // with `other`
    atomic_int_fast64_t in_progress;
};

struct k2_http_metrics *k2_http_metrics_create(const char *const *routes)
{
    struct k2_http_metrics *metrics = k2_alloc_zero(1, sizeof *metrics);
    if (metrics == NULL) {
        return NULL;
    }
    while (routes[metrics->route_count] != NULL && metrics->route_count < K2_HTTP_MAX_ROUTES) {
        metrics->names[metrics->route_count] = routes[metrics->route_count];
        metrics->route_count++;
    }
    metrics->names[metrics->route_count++] = "other";
    return metrics;
}

void k2_http_metrics_destroy(struct k2_http_metrics *metrics)
{
    k2_free(metrics);
}

void k2_http_metrics_begin(struct k2_http_metrics *metrics)
{
    atomic_fetch_add_explicit(&metrics->in_progress, 1, memory_order_relaxed);
}

static void add(atomic_uint_fast64_t *counter, uint64_t value)
{
    atomic_fetch_add_explicit(counter, value, memory_order_relaxed);
}

static uint64_t get(const atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void k2_http_metrics_end(struct k2_http_metrics *metrics, const struct k2_http_outcome *outcome)
{
    atomic_fetch_sub_explicit(&metrics->in_progress, 1, memory_order_relaxed);
    size_t place = 0;
    while (place + 1 < metrics->route_count &&
           (outcome->route == NULL || strcmp(metrics->names[place], outcome->route) != 0)) {
        place++;
    }
    struct route_counters *route = &metrics->routes[place];
    size_t status = 0, bucket = 0;
    while (status < STATUS_COUNT && statuses[status] != outcome->status) {
        status++;
    }
    while (bucket < BUCKET_COUNT && outcome->duration_ns > buckets[bucket].bound_ns) {
        bucket++;
    }
    add(&route->requests[status], 1);
    add(&route->buckets[bucket], 1);
    add(&route->duration_ns, (uint64_t)outcome->duration_ns);
    add(&route->rows, outcome->row_count);
    add(&route->bytes, outcome->body_bytes);
    add(&route->cut, outcome->cut);
}

static void put_requests(const struct k2_http_metrics *metrics, struct k2_buffer *out)
{
    k2_metric_family(out, "k2_http_requests_total", "counter", "Requests by route and status.");
    for (size_t i = 0; i < metrics->route_count; i++) {
        for (size_t s = 0; s <= STATUS_COUNT; s++) {
            uint64_t count = get(&metrics->routes[i].requests[s]);
            char labels[LABEL_BYTES];
            if (count > 0 && s < STATUS_COUNT) {
                (void)snprintf(labels, sizeof labels, "route=\"%s\",status=\"%u\"",
                               metrics->names[i], statuses[s]);
                k2_metric_count(out, "k2_http_requests_total", labels, count);
            } else if (count > 0) {
                (void)snprintf(labels, sizeof labels, "route=\"%s\",status=\"other\"",
                               metrics->names[i]);
                k2_metric_count(out, "k2_http_requests_total", labels, count);
            }
        }
    }
}

static void put_durations(const struct k2_http_metrics *metrics, struct k2_buffer *out)
{
    static const char name[] = "k2_http_request_duration_seconds";
    k2_metric_family(out, name, "histogram", "From the request's head to the end of its answer.");
    for (size_t i = 0; i < metrics->route_count; i++) {
        const struct route_counters *route = &metrics->routes[i];
        uint64_t sum = 0;
        char labels[LABEL_BYTES];
        for (size_t b = 0; b <= BUCKET_COUNT; b++) {
            sum += get(&route->buckets[b]);
        }
        if (sum == 0) {
            continue;
        }
        sum = 0;
        for (size_t b = 0; b <= BUCKET_COUNT; b++) {
            sum += get(&route->buckets[b]);
            (void)snprintf(labels, sizeof labels, "route=\"%s\",le=\"%s\"", metrics->names[i],
                           b < BUCKET_COUNT ? buckets[b].text : "+Inf");
            k2_metric_count(out, "k2_http_request_duration_seconds_bucket", labels, sum);
        }
        (void)snprintf(labels, sizeof labels, "route=\"%s\"", metrics->names[i]);
        k2_metric_value(out, "k2_http_request_duration_seconds_sum", labels,
                        (double)get(&route->duration_ns) / 1e9);
        k2_metric_count(out, "k2_http_request_duration_seconds_count", labels, sum);
    }
}

static void put_totals(const struct k2_http_metrics *metrics, struct k2_buffer *out)
{
    static const struct {
        const char *name, *help;
        size_t offset;
    } totals[] = {
        {"k2_http_rows_total", "Rows in answers.", offsetof(struct route_counters, rows)},
        {"k2_http_body_bytes_total", "Bytes of answers, without heads.",
         offsetof(struct route_counters, bytes)},
        {"k2_http_cut_answers_total", "Answers that did not reach their end.",
         offsetof(struct route_counters, cut)},
    };
    for (size_t t = 0; t < sizeof totals / sizeof totals[0]; t++) {
        k2_metric_family(out, totals[t].name, "counter", totals[t].help);
        for (size_t i = 0; i < metrics->route_count; i++) {
            const char *counters = (const char *)&metrics->routes[i];
            char labels[LABEL_BYTES];
            (void)snprintf(labels, sizeof labels, "route=\"%s\"", metrics->names[i]);
            k2_metric_count(
                out, totals[t].name, labels,
                get((const atomic_uint_fast64_t *)(const void *)(counters + totals[t].offset)));
        }
    }
}

void k2_http_metrics_put(const struct k2_http_metrics *metrics, struct k2_buffer *out)
{
    put_requests(metrics, out);
    put_durations(metrics, out);
    put_totals(metrics, out);
    int64_t in_progress = atomic_load_explicit(&metrics->in_progress, memory_order_relaxed);
    k2_metric_single(out, "k2_http_requests_in_progress", "gauge", "Requests being answered.",
                     in_progress > 0 ? (uint64_t)in_progress : 0);
}
