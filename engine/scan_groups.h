// The row groups of a scan in spans of time, for who aggregates rows without taking them out. For
// the modules of this folder only.
//
// A scan that is walked this way gives no rows by k2_scan_next. Its order tells the direction;
// within a span, groups come as they are planned.
#pragma once

#include "engine/group_set.h"
#include "engine/scan.h"

struct k2_scan_span {
    int64_t first_ns, last_ns; // inclusive both
    int exponent;              // 2^exponent ns, less where it is cut
};

// The next span that has row groups; `*found` false: there is none. It ends with the end of an
// interval of `interval_ns` (aligned to 1970-01-01 UTC) or of the scan; 0: it ends where the plan
// does. It is taken to have about `row_count` rows, but has at least one interval.
K2_MUST_CHECK enum k2_status k2_scan_next_span(struct k2_scan *scan, int64_t interval_ns,
                                               size_t row_count, struct k2_scan_span *span,
                                               bool *found, struct k2_error *error);

// Plans all that is left as one span. `*planned` false: there is nothing left, or it has more row
// groups than this.
K2_MUST_CHECK enum k2_status k2_scan_plan_rest(struct k2_scan *scan, size_t most_groups,
                                               struct k2_scan_span *span, bool *planned,
                                               struct k2_error *error);

// Makes the span, begun by next_span, about half as long; false: it is one interval.
bool k2_scan_halve_span(struct k2_scan *scan, int64_t interval_ns, struct k2_scan_span *span);

// Ends the span, of a scan that goes up, with the last interval that ends at or before `last_ns`,
// unless it ends there already; false: it has none.
bool k2_scan_cut_span(const struct k2_scan *scan, int64_t interval_ns, int64_t last_ns,
                      struct k2_scan_span *span);

// The span is done with; the next one begins behind it, and is longer if this one was `roomy`.
void k2_scan_pass_span(struct k2_scan *scan, const struct k2_scan_span *span, bool roomy);

// What the plan of the span has, the instruments met, and which slot each column asked for has: all
// borrowed from the scan.
struct k2_group_set *k2_scan_group_set(struct k2_scan *scan);
struct k2_name_set *k2_scan_names(struct k2_scan *scan);
const struct k2_scan_layout *k2_scan_layout_of(const struct k2_scan *scan);

// True if the group may have rows of the span.
bool k2_scan_span_meets(struct k2_scan *scan, const struct k2_scan_span *span,
                        const struct k2_plan_group *group);

// The start of the interval that `time_ns` lies in; INT64_MIN when that is before all times.
int64_t k2_interval_start(int64_t time_ns, int64_t interval_ns);
// Its last nanosecond, INT64_MAX when it is behind all times.
int64_t k2_interval_last(int64_t start_ns, int64_t interval_ns);
