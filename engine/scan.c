#include "engine/scan.h"

#include <stdlib.h>

#include "engine/engine_state.h"
#include "engine/instruments.h"
#include "engine/policy.h"
#include "engine/scan_groups.h"
#include "engine/scan_private.h"
#include "engine/scan_versions.h"
#include "format/base/alloc.h"

enum {
    // Where rows are as they arrived, more leaves the caches and is slower. Where they are sorted
    // by
    // instrument, a short window decodes each block many times: it grows while that is so.
    DEFAULT_MEMORY_BYTES = 8 * 1024 * 1024,
    MOST_MEMORY_BYTES = 32 * 1024 * 1024,
    BEARABLE_WASTE = 2,        // rows decoded for each one in the window
    FIRST_HORIZON_GROUPS = 64, // of the first plan; later ones see further
    MOST_HORIZON_GROUPS = 4096,
    HORIZON_GROWTH = 4,
    MOST_BOOST = 60,
    NAMED_ROW_SHARE = 16, // first guess at the rows of some instruments among all rows
};

void k2_scan_close(struct k2_scan *scan)
{
    if (scan == NULL) {
        return;
    }
    k2_scan_stored_deinit(&scan->stored);
    k2_scan_pieces_deinit(&scan->pieces);
    k2_scan_window_deinit(&scan->window);
    k2_group_set_deinit(&scan->groups);
    k2_scan_pace_deinit(&scan->pace);
    k2_name_set_deinit(&scan->names);
    k2_scan_layout_deinit(&scan->layout);
    k2_free(scan->ids);
    k2_free(scan->wanted);
    k2_room_pool_give(scan->engine->rooms, scan->stores);
    k2_free(scan->vectors);
    k2_free(scan);
}

uint64_t k2_scan_snapshot(const struct k2_scan *scan)
{
    return scan->snapshot;
}

// Sets the range on the axis; `done` if nothing lies in it.
static void set_range(struct k2_scan *scan, const struct k2_scan_request *request)
{
    int64_t first_ns = request->has_start ? request->start_ns : INT64_MIN;
    int64_t last_ns = INT64_MAX;
    if (request->has_end) {
        scan->done = request->end_ns == INT64_MIN;
        last_ns = scan->done ? INT64_MIN : request->end_ns - 1;
    }
    if (request->after != NULL && scan->backwards && request->after->time_ns < last_ns) {
        last_ns = request->after->time_ns;
    } else if (request->after != NULL && !scan->backwards && request->after->time_ns > first_ns) {
        first_ns = request->after->time_ns;
    }
    scan->done = scan->done || first_ns > last_ns;
    scan->next = scan->backwards ? ~last_ns : first_ns;
    scan->last = scan->backwards ? ~first_ns : last_ns;
}

static int compare_ids(const void *left, const void *right)
{
    const struct k2_wanted_instrument *a = left, *b = right;
    return (a->id > b->id) - (a->id < b->id);
}

static enum k2_status find_ids(struct k2_scan *scan, struct k2_store_txn *txn,
                               struct k2_error *error)
{
    size_t name_count = scan->names.count;
    scan->ids = k2_alloc(name_count * sizeof *scan->ids);
    scan->wanted = k2_alloc(name_count * sizeof *scan->wanted);
    if (scan->ids == NULL || scan->wanted == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "scan: no memory for %zu instruments", name_count);
    }
    enum k2_status status =
        k2_instruments_find_within(txn, scan->names.names, name_count, scan->ids, error);
    for (size_t i = 0; status == K2_OK && i < name_count; i++) {
        if (scan->ids[i] != 0) {
            scan->wanted[scan->id_count++] =
                (struct k2_wanted_instrument){scan->ids[i], (uint32_t)i};
        }
    }
    qsort(scan->wanted, scan->id_count, sizeof *scan->wanted, compare_ids);
    for (size_t i = 0; i < scan->id_count; i++) {
        scan->ids[i] = scan->wanted[i].id;
    }
    scan->done = scan->done || scan->id_count == 0;
    return status;
}

// Wanted pairs that the store does not know have no rows.
static enum k2_status set_instruments(struct k2_scan *scan, const struct k2_scan_request *request,
                                      struct k2_store_txn *txn, struct k2_error *error)
{
    if (request->instruments == NULL) {
        return K2_OK;
    }
    for (size_t i = 0; i < request->instrument_count; i++) {
        struct k2_instrument_name name = {request->instruments[i].exchange,
                                          request->instruments[i].symbol};
        uint32_t number;
        enum k2_status status = k2_name_set_add(&scan->names, name, &number, error);
        if (status != K2_OK) {
            return status;
        }
    }
    return find_ids(scan, txn, error);
}

static enum k2_status set_after(struct k2_scan *scan, const struct k2_scan_request *request,
                                struct k2_error *error)
{
    if (request->after == NULL) {
        return K2_OK;
    }
    scan->has_after = true;
    scan->after = *request->after;
    if (!k2_text_arena_copy(&scan->names.texts, request->after->exchange, &scan->after.exchange) ||
        !k2_text_arena_copy(&scan->names.texts, request->after->symbol, &scan->after.symbol)) {
        return k2_fail(error, K2_NO_MEMORY, "scan: no memory for a key");
    }
    return K2_OK;
}

// `most_mapped` as in a plan's request.
static struct k2_plan_request plan_of(const struct k2_scan *scan, int64_t axis_first,
                                      int64_t axis_last, uint64_t snapshot, size_t most_mapped)
{
    return (struct k2_plan_request){
        .table = scan->table,
        .time_min_ns = scan->backwards ? ~axis_last : axis_first,
        .time_max_ns = scan->backwards ? ~axis_first : axis_last,
        .snapshot = snapshot,
        .instruments = scan->ids,
        .instrument_count = scan->id_count,
        .commit_after = scan->commit_after,
        .with_history = scan->every_version,
        .unsorted_only = scan->unsorted_only,
        .fresh = scan->fresh,
        .most_mapped = most_mapped,
    };
}

// The plan for the rows from scan->next to scan->horizon.
static enum k2_status take_plan(struct k2_scan *scan, struct k2_plan *plan, struct k2_error *error)
{
    int64_t first_ns = scan->backwards ? ~scan->horizon : scan->next;
    int64_t last_ns = scan->backwards ? ~scan->next : scan->horizon;
    enum k2_status status = k2_group_set_take_plan(&scan->groups, plan, error);
    return status == K2_OK && !scan->every_version
               ? k2_scan_versions_find(&scan->groups, first_ns, last_ns, scan->snapshot, error)
               : status;
}

// Learns which groups there are, and which snapshot is the newest when none was asked for.
static enum k2_status survey(struct k2_scan *scan, struct k2_store_txn *txn, struct k2_plan *plan,
                             struct k2_error *error)
{
    uint64_t bound = scan->snapshot == 0 ? UINT64_MAX : scan->snapshot;
    int64_t last = scan->next > scan->last ? scan->next : scan->last;
    struct k2_plan_request request = plan_of(scan, scan->next, last, bound, FIRST_HORIZON_GROUPS);
    enum k2_status status = k2_plan_open_within(scan->engine, txn, &request, plan, error);
    if (status == K2_OK && scan->snapshot == 0) {
        scan->snapshot = plan->newest_snapshot;
    }
    return status;
}

// Where the groups are few, the survey's plan is the only one.
static enum k2_status begin(struct k2_scan *scan, struct k2_plan *plan, struct k2_error *error)
{
    scan->groups.snapshot = scan->snapshot;
    scan->groups.commit_after = scan->commit_after;
    enum k2_status status =
        k2_scan_pace_init(&scan->pace, plan, scan->snapshot, scan->backwards, error);
    if (status == K2_OK && plan->is_mapped) {
        scan->horizon = scan->last;
        status = take_plan(scan, plan, error);
        scan->planned = status == K2_OK;
    }
    return status;
}

static enum k2_status prepare_outputs(struct k2_scan *scan, const struct k2_scan_request *request,
                                      struct k2_error *error)
{
    enum k2_status status = k2_scan_layout_init(
        &scan->layout, request->table->schema, request->columns, request->column_count,
        request->with_commit || request->every_version, request->every_version, error);
    if (status == K2_OK) {
        k2_group_set_init(&scan->groups, &scan->layout, &scan->names, scan->engine->rooms);
        scan->groups.instruments = scan->wanted;
        scan->groups.instrument_count = scan->id_count;
    }
    if (status == K2_OK && scan->order != K2_ORDER_STORED) {
        size_t memory = request->memory_bytes == 0 ? DEFAULT_MEMORY_BYTES : request->memory_bytes;
        scan->grows = request->memory_bytes == 0;
        status =
            k2_scan_window_init(&scan->window, &scan->layout, scan->engine->rooms, memory, error);
    }
    if (status != K2_OK) {
        return status;
    }
    size_t count = scan->layout.output_count;
    scan->stores = k2_room_pool_take(scan->engine->rooms, count * sizeof *scan->stores);
    scan->vectors = k2_alloc_zero(count, sizeof *scan->vectors);
    if (scan->stores == NULL || scan->vectors == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "scan: no memory for %zu columns", count);
    }
    return K2_OK;
}

// All that the index has to say to begin with, as of one state of it.
static enum k2_status ask_index(struct k2_scan *scan, const struct k2_scan_request *request,
                                struct k2_plan *plan, struct k2_error *error)
{
    struct k2_store_txn *txn;
    enum k2_status status = k2_store_begin(scan->engine->store, false, &txn, error);
    if (status != K2_OK) {
        return status;
    }
    status = set_instruments(scan, request, txn, error);
    if (status == K2_OK && scan->snapshot != 0) {
        status = k2_policy_check(txn, request->table, scan->snapshot, error);
    }
    if (status == K2_OK) {
        status = survey(scan, txn, plan, error);
    }
    k2_store_abort(txn);
    return status;
}

static enum k2_status prepare(struct k2_scan *scan, const struct k2_scan_request *request,
                              struct k2_error *error)
{
    struct k2_plan plan = {0};
    enum k2_status status = ask_index(scan, request, &plan, error);
    if (status == K2_OK) {
        status = set_after(scan, request, error);
    }
    if (status == K2_OK) {
        status = prepare_outputs(scan, request, error);
    }
    if (status == K2_OK) {
        status = begin(scan, &plan, error);
    }
    k2_plan_close(&plan);
    return status;
}

enum k2_status k2_scan_open(struct k2_engine *engine, const struct k2_scan_request *request,
                            struct k2_scan **result, struct k2_error *error)
{
    if (request->after != NULL && request->order == K2_ORDER_STORED) {
        return k2_fail(error, K2_BAD_REQUEST,
                       "scan: the order of storage has no place to continue");
    }
    if (request->commit_after > 0 && request->order != K2_ORDER_STORED) {
        return k2_fail(error, K2_BAD_REQUEST,
                       "scan: rows of later commits come in the order of storage alone");
    }
    struct k2_scan *scan = k2_alloc_zero(1, sizeof *scan);
    if (scan == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "scan: no memory");
    }
    scan->engine = engine;
    scan->table = request->table;
    scan->snapshot = request->snapshot;
    scan->order = request->order;
    scan->backwards = request->order == K2_ORDER_TIME_DESCENDING;
    scan->commit_after = request->commit_after;
    scan->unsorted_only = request->unsorted_only;
    scan->fresh = request->fresh;
    scan->every_version = request->every_version;
    scan->limited = request->limit > 0;
    scan->rows_left = request->limit;
    scan->horizon_groups = FIRST_HORIZON_GROUPS;
    set_range(scan, request);
    enum k2_status status = prepare(scan, request, error);
    if (status != K2_OK) {
        k2_scan_close(scan);
        return status;
    }
    scan->pace.row_share = request->instruments != NULL ? NAMED_ROW_SHARE : 1;
    *result = scan;
    return K2_OK;
}

// Later plans see further, so that a scan that ends soon maps little and a long one plans seldom.
enum k2_status k2_scan_need_plan(struct k2_scan *scan, int64_t interval_ns, struct k2_error *error)
{
    if (scan->planned && scan->next <= scan->horizon) {
        return K2_OK;
    }
    scan->planned = scan->pieces.known = false;
    scan->horizon = k2_scan_interval_end(
        scan, k2_scan_pace_horizon(&scan->pace, scan->next, scan->last, scan->horizon_groups),
        interval_ns);
    if (scan->horizon_groups < MOST_HORIZON_GROUPS) {
        scan->horizon_groups *= HORIZON_GROWTH;
    }
    struct k2_plan plan = {0};
    struct k2_plan_request request = plan_of(scan, scan->next, scan->horizon, scan->snapshot, 0);
    enum k2_status status = k2_plan_open(scan->engine, &request, &plan, error);
    if (status == K2_OK) {
        status = take_plan(scan, &plan, error);
        k2_plan_close(&plan);
    }
    scan->planned = status == K2_OK;
    return status;
}

enum k2_status k2_scan_plan_rest(struct k2_scan *scan, size_t most_groups,
                                 struct k2_scan_span *span, bool *planned, struct k2_error *error)
{
    enum k2_status status = K2_OK;
    *planned = !scan->done && scan->planned && scan->horizon == scan->last;
    if (!scan->done && !*planned) {
        struct k2_plan plan = {0};
        struct k2_plan_request request =
            plan_of(scan, scan->next, scan->last, scan->snapshot, most_groups);
        status = k2_plan_open(scan->engine, &request, &plan, error);
        if (status == K2_OK && plan.is_mapped) {
            scan->horizon = scan->last;
            scan->pieces.known = false;
            status = take_plan(scan, &plan, error);
            *planned = scan->planned = status == K2_OK;
        }
        k2_plan_close(&plan);
    }
    int64_t first = scan->next, last = scan->last;
    *span =
        (struct k2_scan_span){scan->backwards ? ~last : first, scan->backwards ? ~first : last, 64};
    return status;
}

// Closes the groups that lie wholly before scan->next.
static void close_passed(struct k2_scan *scan)
{
    for (size_t i = 0; i < scan->groups.plan.group_count; i++) {
        const struct k2_plan_group *group = &scan->groups.plan.groups[i];
        int64_t end = scan->backwards ? ~group->time_min_ns : group->time_max_ns;
        if (end < scan->next) {
            k2_group_set_close_cursor(&scan->groups, i);
        }
    }
}

void k2_scan_advance(struct k2_scan *scan, int64_t covered)
{
    if (covered >= scan->last) {
        scan->done = true;
    } else {
        scan->next = covered + 1;
    }
}

// Fills the window with rows from [next, *window_last] on the axis: 2^(suggested + boost) long, but
// made shorter until they fit.
static enum k2_status fill_range(struct k2_scan *scan, int suggested, int64_t *window_last,
                                 struct k2_error *error)
{
    uint64_t longest = (uint64_t)scan->horizon - (uint64_t)scan->next;
    int most = longest == 0 ? 0 : 64 - __builtin_clzll(longest);
    int exponent = suggested + scan->pace.boost;
    exponent = exponent < 0 ? 0 : exponent > most ? most : exponent;
    for (;; exponent--) {
        *window_last = k2_scan_pace_window_last(scan->next, scan->horizon, exponent);
        scan->window_first = scan->backwards ? ~*window_last : scan->next;
        scan->window_last = scan->backwards ? ~scan->next : *window_last;
        bool fits = false;
        enum k2_status status = k2_scan_window_collect(
            &scan->window, &scan->groups, scan->window_first, scan->window_last, &fits, error);
        if (status == K2_OK && fits) {
            status = k2_scan_window_load(&scan->window, &scan->groups, scan->window_first,
                                         scan->window_last, &fits, error);
        }
        if (status != K2_OK || fits) {
            return status;
        }
        scan->pace.boost = exponent - 1 - suggested;
    }
}

// The next window with rows, or the end.
static enum k2_status fill_window(struct k2_scan *scan, struct k2_error *error)
{
    while (!scan->done && scan->window.begin == scan->window.end) {
        if (!k2_scan_pace_skip(&scan->pace, &scan->next) || scan->next > scan->last) {
            scan->done = true;
            return K2_OK;
        }
        enum k2_status status = k2_scan_need_plan(scan, 0, error);
        if (status != K2_OK) {
            return status;
        }
        size_t wanted = k2_scan_window_room(&scan->window);
        if (scan->limited && scan->rows_left < wanted) {
            wanted = (size_t)scan->rows_left;
        }
        int suggested = k2_scan_pace_window(&scan->pace, scan->next, wanted);
        int64_t window_last;
        status = fill_range(scan, suggested, &window_last, error);
        if (status == K2_OK && scan->has_after && scan->window_first <= scan->after.time_ns &&
            scan->after.time_ns <= scan->window_last) {
            status = k2_scan_window_trim(&scan->window, &scan->groups, &scan->after,
                                         scan->backwards, error);
        }
        if (status != K2_OK) {
            return status;
        }
        if (scan->grows && scan->window.decoded_rows / BEARABLE_WASTE > scan->window.row_count &&
            scan->window.row_count > wanted / 4 && scan->window.memory_bytes < MOST_MEMORY_BYTES) {
            scan->window.memory_bytes *= 2; // of the next one
        }
        if (scan->window.row_count < wanted / 4 && scan->pace.boost < MOST_BOOST) {
            scan->pace.boost += scan->window.row_count < wanted / 64 ? 3 : 1;
        }
        k2_scan_advance(scan, window_last);
        close_passed(scan);
    }
    return K2_OK;
}

// Rows of the one instrument up to the end of the plan, if its pieces are in order of time.
static enum k2_status next_of_pieces(struct k2_scan *scan, size_t *row_count,
                                     struct k2_error *error)
{
    while (!scan->done && scan->window.begin == scan->window.end) {
        if (!k2_scan_pace_skip(&scan->pace, &scan->next) || scan->next > scan->last) {
            scan->done = true;
            return K2_OK;
        }
        enum k2_status status = k2_scan_need_plan(scan, 0, error);
        if (status == K2_OK && (!scan->pieces.known || scan->next > scan->pieces.last_ns)) {
            status =
                k2_scan_pieces_find(&scan->pieces, &scan->groups, scan->next, scan->horizon, error);
            scan->stored.group = 0;
            scan->stored.order = scan->pieces.groups;
            scan->stored.order_count = scan->pieces.group_count;
        }
        if (status != K2_OK || !scan->pieces.ordered) {
            return status;
        }
        struct k2_stored_request range = {scan->next, scan->pieces.last_ns};
        status = k2_scan_stored_next(&scan->stored, &scan->groups, &range, scan->stores,
                                     scan->vectors, row_count, error);
        if (status != K2_OK || *row_count > 0) {
            return status;
        }
        k2_scan_advance(scan, scan->pieces.last_ns);
    }
    return K2_OK;
}

static enum k2_status next_in_order(struct k2_scan *scan, size_t *row_count, struct k2_error *error)
{
    enum k2_status status = K2_OK;
    if (scan->id_count == 1 && !scan->backwards && !scan->has_after && !scan->every_version) {
        status = next_of_pieces(scan, row_count, error);
    }
    if (status == K2_OK && *row_count == 0) {
        status = fill_window(scan, error);
    }
    if (status != K2_OK || *row_count > 0) {
        return status;
    }
    size_t rows = scan->window.end - scan->window.begin;
    rows = rows < K2_VECTOR_ROWS ? rows : K2_VECTOR_ROWS;
    if (scan->limited && rows > scan->rows_left) {
        rows = (size_t)scan->rows_left;
    }
    k2_scan_window_emit(&scan->window, &scan->names, scan->backwards, rows, scan->stores,
                        scan->vectors);
    *row_count = rows;
    return K2_OK;
}

static enum k2_status next_stored(struct k2_scan *scan, size_t *row_count, struct k2_error *error)
{
    while (!scan->done) {
        if (!scan->planned) {
            if (!k2_scan_pace_skip(&scan->pace, &scan->next) || scan->next > scan->last) {
                scan->done = true;
                break;
            }
            enum k2_status status = k2_scan_need_plan(scan, 0, error);
            if (status != K2_OK) {
                return status;
            }
            scan->stored.group = 0;
        }
        struct k2_stored_request range = {scan->next, scan->horizon};
        enum k2_status status = k2_scan_stored_next(&scan->stored, &scan->groups, &range,
                                                    scan->stores, scan->vectors, row_count, error);
        if (status != K2_OK || *row_count > 0) {
            return status;
        }
        k2_scan_advance(scan, scan->horizon);
        scan->planned = false;
    }
    return K2_OK;
}

enum k2_status k2_scan_next(struct k2_scan *scan, const struct k2_vector **columns,
                            size_t *row_count, struct k2_error *error)
{
    *columns = scan->vectors;
    *row_count = 0;
    if (scan->failure != K2_OK) {
        return k2_fail(error, scan->failure, "scan: it failed before");
    }
    if (scan->limited && scan->rows_left == 0) {
        return K2_OK;
    }
    enum k2_status status = scan->order == K2_ORDER_STORED ? next_stored(scan, row_count, error)
                                                           : next_in_order(scan, row_count, error);
    if (status != K2_OK) {
        scan->failure = status;
        *row_count = 0;
        return status;
    }
    if (scan->limited) {
        if (*row_count > scan->rows_left) {
            *row_count = (size_t)scan->rows_left;
        }
        scan->rows_left -= *row_count;
    }
    return K2_OK;
}
