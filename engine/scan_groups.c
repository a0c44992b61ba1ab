#include "engine/scan_groups.h"

#include "engine/scan_private.h"

int64_t k2_interval_start(int64_t time_ns, int64_t interval_ns)
{
    int64_t rest = time_ns % interval_ns;
    int64_t start;
    if (__builtin_sub_overflow(time_ns, rest < 0 ? rest + interval_ns : rest, &start)) {
        return INT64_MIN;
    }
    return start;
}

int64_t k2_interval_last(int64_t start_ns, int64_t interval_ns)
{
    int64_t next;
    if (start_ns == INT64_MIN) { // cut at its begin: it ends where the next multiple begins
        return k2_interval_start(start_ns + interval_ns, interval_ns) - 1;
    }
    return __builtin_add_overflow(start_ns, interval_ns, &next) ? INT64_MAX : next - 1;
}

int64_t k2_scan_interval_end(const struct k2_scan *scan, int64_t point, int64_t interval_ns)
{
    if (interval_ns > 0) {
        int64_t start = k2_interval_start(scan->backwards ? ~point : point, interval_ns);
        point = scan->backwards ? ~start : k2_interval_last(start, interval_ns);
    }
    return point < scan->last ? point : scan->last;
}

// The end of a span that begins at scan->next and is about 2^exponent long.
static int64_t span_end(const struct k2_scan *scan, int64_t interval_ns, int exponent)
{
    int64_t end = k2_scan_pace_window_last(scan->next, scan->horizon, exponent);
    return k2_scan_interval_end(scan, end, interval_ns);
}

static void set_span(const struct k2_scan *scan, int64_t end, int exponent,
                     struct k2_scan_span *span)
{
    span->first_ns = scan->backwards ? ~end : scan->next;
    span->last_ns = scan->backwards ? ~scan->next : end;
    span->exponent = exponent;
}

// The exponent of a span that holds all groups of the plan; longer ones are the same.
static int longest_exponent(const struct k2_scan *scan)
{
    const struct k2_plan *plan = &scan->groups.plan;
    int64_t end = scan->next;
    for (size_t i = 0; i < plan->group_count; i++) {
        int64_t last = scan->backwards ? ~plan->groups[i].time_min_ns : plan->groups[i].time_max_ns;
        end = last > end ? last : end;
    }
    end = end < scan->horizon ? end : scan->horizon;
    uint64_t length = (uint64_t)end - (uint64_t)scan->next;
    return length == 0 ? 0 : 64 - __builtin_clzll(length);
}

enum k2_status k2_scan_next_span(struct k2_scan *scan, int64_t interval_ns, size_t row_count,
                                 struct k2_scan_span *span, bool *found, struct k2_error *error)
{
    *found = false;
    if (scan->done || !k2_scan_pace_skip(&scan->pace, &scan->next) || scan->next > scan->last) {
        scan->done = true;
        return K2_OK;
    }
    enum k2_status status = k2_scan_need_plan(scan, interval_ns, error);
    if (status != K2_OK) {
        return status;
    }
    int exponent = 64;
    if (row_count < SIZE_MAX) {
        int longest = longest_exponent(scan);
        int suggested = k2_scan_pace_window(&scan->pace, scan->next, row_count);
        exponent = (suggested < longest ? suggested : longest) + scan->pace.boost;
        exponent = exponent < 0 ? 0 : exponent > longest ? longest : exponent;
    }
    set_span(scan, span_end(scan, interval_ns, exponent), exponent, span);
    *found = true;
    return K2_OK;
}

bool k2_scan_halve_span(struct k2_scan *scan, int64_t interval_ns, struct k2_scan_span *span)
{
    int64_t end = scan->backwards ? ~span->first_ns : span->last_ns;
    for (int exponent = span->exponent - 1; exponent >= 0; exponent--) {
        int64_t shorter = span_end(scan, interval_ns, exponent);
        if (shorter < end) {
            scan->pace.boost -= span->exponent - exponent;
            set_span(scan, shorter, exponent, span);
            return true;
        }
    }
    return false;
}

bool k2_scan_cut_span(const struct k2_scan *scan, int64_t interval_ns, int64_t last_ns,
                      struct k2_scan_span *span)
{
    if (last_ns >= span->last_ns) {
        return true;
    }
    if (last_ns < span->first_ns) {
        return false;
    }
    int64_t end = k2_scan_interval_end(scan, last_ns, interval_ns);
    if (end > last_ns) { // it ends too late: the one before
        int64_t start = k2_interval_start(last_ns, interval_ns);
        if (start <= span->first_ns) {
            return false;
        }
        end = start - 1;
    }
    span->last_ns = end;
    return true;
}

void k2_scan_pass_span(struct k2_scan *scan, const struct k2_scan_span *span, bool roomy)
{
    if (roomy && span->exponent < longest_exponent(scan)) {
        scan->pace.boost++;
    }
    k2_scan_advance(scan, scan->backwards ? ~span->first_ns : span->last_ns);
}

struct k2_group_set *k2_scan_group_set(struct k2_scan *scan)
{
    return &scan->groups;
}

const struct k2_scan_layout *k2_scan_layout_of(const struct k2_scan *scan)
{
    return &scan->layout;
}

struct k2_name_set *k2_scan_names(struct k2_scan *scan)
{
    return &scan->names;
}

bool k2_scan_span_meets(struct k2_scan *scan, const struct k2_scan_span *span,
                        const struct k2_plan_group *group)
{
    return group->time_min_ns <= span->last_ns && group->time_max_ns >= span->first_ns &&
           k2_group_set_has_some(&scan->groups, group);
}
