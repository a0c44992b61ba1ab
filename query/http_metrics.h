// What the HTTP server counts, by route and status.
//
// Thread-safe: counters are relaxed atomics. A counter never decreases; a scrape may see a request
// in one family and not yet in another.
#pragma once

#include "format/base/buffer.h"

enum { K2_HTTP_MAX_ROUTES = 32 };

struct k2_http_metrics; // opaque

// `routes` are templates (static texts), ended by NULL; all else counts as `other`.
struct k2_http_metrics *k2_http_metrics_create(const char *const *routes); // NULL: no memory
void k2_http_metrics_destroy(struct k2_http_metrics *metrics);

void k2_http_metrics_begin(struct k2_http_metrics *metrics); // a request is in progress

// How a request that began ended.
struct k2_http_outcome {
    const char *route; // one of the routes; NULL: other
    unsigned status;
    int64_t duration_ns;
    uint64_t body_bytes, row_count;
    bool cut; // the answer did not reach its end
};
void k2_http_metrics_end(struct k2_http_metrics *metrics, const struct k2_http_outcome *outcome);

void k2_http_metrics_put(const struct k2_http_metrics *metrics, struct k2_buffer *out);
