#include "engine/candles.h"

#include <stdlib.h>

#include "engine/candle_region.h"
#include "format/base/alloc.h"

enum {
    DEFAULT_MEMORY_BYTES = 48 << 20,
    LEAST_CANDLES = 64,
    GIVEN = 256,
    FIRST_ROWS_PER_CANDLE = 4
};
static const int64_t second_ns = INT64_C(1000000000), day_ns = INT64_C(86400000000000);

struct k2_candles {
    struct k2_scan *scan; // owned
    struct k2_candle_span span;
    struct k2_candle_region region;
    bool in_region; // what `span` has is of one instrument of the region
    bool by_time, backwards;
    unsigned price_scale;
    size_t given, ready;    // partial candles in order: given to the caller, and all
    size_t run, run_given;  // the same without span.order: runs, and candles of the run at hand
    size_t rows_per_candle; // seen so far
    bool done;
    enum k2_status failure; // of an earlier call
    struct k2_candle items[GIVEN];
};

static enum k2_status check_column(const struct k2_schema *schema, size_t index,
                                   struct k2_error *error)
{
    if (index >= schema->column_count) {
        return k2_fail(error, K2_BAD_REQUEST, "candles: column %zu of %zu", index,
                       schema->column_count);
    }
    const struct k2_column *column = &schema->columns[index];
    if (!k2_kind_is_fixed(column->kind) || column->kind == K2_KIND_FLOAT64 ||
        column->kind == K2_KIND_BOOL || column->kind == K2_KIND_TIMESTAMP) {
        return k2_fail(error, K2_BAD_REQUEST, "candles: column %s of kind %s is no price",
                       column->name, k2_kind_name(column->kind));
    }
    return K2_OK;
}

static enum k2_status check_request(const struct k2_candle_request *request, struct k2_error *error)
{
    int64_t interval_ns = request->interval_ns;
    if (interval_ns < second_ns || (day_ns % interval_ns != 0 && interval_ns % day_ns != 0)) {
        return k2_fail(
            error, K2_BAD_REQUEST,
            "an interval is at least a second, and divides a day or is a number of days");
    }
    if (request->price_count < 1 || request->price_count > K2_CANDLE_PRICES) {
        return k2_fail(error, K2_BAD_REQUEST, "candles: of 1 or %d columns", K2_CANDLE_PRICES);
    }
    const struct k2_schema *schema = request->rows.table->schema;
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < request->price_count && status == K2_OK; i++) {
        status = check_column(schema, request->prices[i], error);
    }
    if (status == K2_OK && request->has_quantity) {
        status = check_column(schema, request->quantity, error);
    }
    return status;
}

static enum k2_status open_scan(struct k2_candles *self, struct k2_engine *engine,
                                const struct k2_candle_request *request, struct k2_error *error)
{
    struct k2_scan_request rows = request->rows;
    size_t columns[2 + K2_CANDLE_PRICES], slots[2 + K2_CANDLE_PRICES], count = 0;
    columns[count++] = K2_TIMESTAMP;
    for (size_t i = 0; i < request->price_count; i++) {
        columns[count++] = request->prices[i];
    }
    if (request->has_quantity) {
        columns[count++] = request->quantity;
    }
    rows.columns = columns;
    rows.column_count = count;
    rows.order = self->backwards ? K2_ORDER_TIME_DESCENDING : K2_ORDER_STORED;
    rows.limit = 0;
    rows.after = NULL;
    rows.with_commit = false;
    enum k2_status status = k2_scan_open(engine, &rows, &self->scan, error);
    if (status != K2_OK) {
        return status;
    }
    for (size_t i = 0; i < count; i++) {
        slots[i] = (size_t)k2_scan_layout_of(self->scan)->outputs[i].slot;
    }
    self->span.set = k2_scan_group_set(self->scan);
    self->span.kernels = k2_bitpack_selected();
    return k2_block_reader_init(&self->span.blocks, self->span.set, slots, count, error);
}

enum k2_status k2_candles_start(struct k2_candles **candles, struct k2_engine *engine,
                                const struct k2_candle_request *request, struct k2_error *error)
{
    *candles = NULL;
    enum k2_status status = check_request(request, error);
    if (status != K2_OK) {
        return status;
    }
    struct k2_candles *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "candles: out of memory");
    }
    size_t memory = request->rows.memory_bytes;
    // Beside each partial candle there are its prices, two refs and its run.
    size_t candle_bytes = sizeof(struct k2_partial_candle) +
                          request->price_count * sizeof(struct k2_partial_price) +
                          2 * sizeof(uint64_t) + sizeof(uint32_t);
    size_t most = (memory == 0 ? (size_t)DEFAULT_MEMORY_BYTES : memory) / candle_bytes;
    self->span.most = most < LEAST_CANDLES ? LEAST_CANDLES : most;
    self->span.interval_ns = request->interval_ns;
    self->span.price_count = request->price_count;
    self->span.has_quantity = request->has_quantity;
    self->by_time = request->order != K2_CANDLES_AS_FOUND;
    self->backwards = request->order == K2_CANDLES_BY_TIME_DESCENDING;
    self->price_scale = request->rows.table->schema->columns[request->prices[0]].scale;
    self->rows_per_candle = FIRST_ROWS_PER_CANDLE;
    status = open_scan(self, engine, request, error);
    if (status != K2_OK) {
        k2_candles_finish(self);
        return status;
    }
    *candles = self;
    return K2_OK;
}

void k2_candles_finish(struct k2_candles *candles)
{
    if (candles != NULL) {
        k2_candle_region_deinit(&candles->region);
        k2_candle_span_deinit(&candles->span);
        k2_scan_close(candles->scan);
        k2_free(candles);
    }
}

uint64_t k2_candles_snapshot_of(const struct k2_candles *candles)
{
    return k2_scan_snapshot(candles->scan);
}

// Makes the candles of a span. `*fits` false: they are too many for it.
static enum k2_status make_span(struct k2_candles *self, const struct k2_scan_span *range,
                                bool may_grow, bool *fits, struct k2_error *error)
{
    enum k2_status status = K2_OK;
    struct k2_group_set *set = self->span.set;
    k2_candle_span_clear(&self->span);
    *fits = true;
    for (size_t i = 0; i < set->plan.group_count && status == K2_OK && *fits; i++) {
        if (k2_scan_span_meets(self->scan, range, &set->plan.groups[i])) {
            status = k2_candle_span_add(&self->span, i, range, may_grow, fits, error);
            k2_group_set_close_cursor(set, i);
        }
    }
    return status;
}

static void learn_density(struct k2_candles *self)
{
    uint64_t rows = 0;
    for (size_t i = 0; i < self->span.partial_count; i++) {
        rows += self->span.partials[i].row_count;
    }
    if (self->span.partial_count > 0) {
        self->rows_per_candle = (size_t)(rows / self->span.partial_count) + 1;
    }
}

// How many rows a candle has at least on average, by the plan: as if each instrument had one in
// each interval.
static size_t least_density(const struct k2_candles *self)
{
    const struct k2_plan *plan = &self->span.set->plan;
    int64_t first_ns = INT64_MAX, last_ns = INT64_MIN;
    uint32_t least = UINT32_MAX, most = 0;
    uint64_t rows = 0;
    for (size_t i = 0; i < plan->group_count; i++) {
        const struct k2_plan_group *group = &plan->groups[i];
        first_ns = group->time_min_ns < first_ns ? group->time_min_ns : first_ns;
        last_ns = group->time_max_ns > last_ns ? group->time_max_ns : last_ns;
        least = group->instrument_min < least ? group->instrument_min : least;
        most = group->instrument_max > most ? group->instrument_max : most;
        rows += group->row_count;
    }
    if (rows == 0) {
        return 0;
    }
    uint64_t intervals =
        ((uint64_t)last_ns - (uint64_t)first_ns) / (uint64_t)self->span.interval_ns + 1;
    return (size_t)(rows / intervals / ((uint64_t)most - least + 1));
}

// The next span, of about as many candles as may be held.
static enum k2_status begin_span(struct k2_candles *self, struct k2_scan_span *range, bool *found,
                                 struct k2_error *error)
{
    int64_t interval_ns = self->span.interval_ns;
    size_t rows = self->span.most * self->rows_per_candle;
    enum k2_status status = k2_scan_next_span(self->scan, interval_ns, rows, range, found, error);
    size_t density = status == K2_OK && *found ? least_density(self) : 0;
    if (density > self->rows_per_candle) {
        self->rows_per_candle = density;
        rows = self->span.most * density;
        status = k2_scan_next_span(self->scan, interval_ns, rows, range, found, error);
    }
    return status;
}

// The candles of the next instrument of the region; behind the last one the region has been passed.
static enum k2_status next_instrument(struct k2_candles *self, struct k2_error *error)
{
    enum k2_status status =
        k2_candle_region_next(&self->region, self->scan, &self->span, &self->in_region, error);
    if (status == K2_OK && self->in_region) {
        status = k2_candle_span_sort(&self->span, k2_scan_names(self->scan), false, error);
    }
    self->ready = status == K2_OK ? self->span.partial_count : 0;
    return status;
}

// The candles of the next span, if there is one.
static enum k2_status next_span(struct k2_candles *self, struct k2_error *error)
{
    struct k2_scan_span range;
    bool found, fits = false, may_grow = false;
    enum k2_status status = begin_span(self, &range, &found, error);
    if (status != K2_OK || !found) {
        self->done = status == K2_OK;
        return status;
    }
    while (status == K2_OK && !fits) {
        status = make_span(self, &range, may_grow, &fits, error);
        if (status == K2_OK && !fits) {
            may_grow = !k2_scan_halve_span(self->scan, self->span.interval_ns, &range);
        }
    }
    if (status == K2_OK) {
        status = k2_candle_span_sort(&self->span, k2_scan_names(self->scan), self->by_time, error);
    }
    if (status == K2_OK) {
        learn_density(self);
        self->ready = self->span.partial_count;
        k2_scan_pass_span(self->scan, &range, self->ready < self->span.most / 4);
    }
    return status;
}

// The next candles in order, or the end.
static enum k2_status next_part(struct k2_candles *self, struct k2_error *error)
{
    enum k2_status status = K2_OK;
    self->given = self->ready = self->run = self->run_given = 0;
    while (status == K2_OK && !self->done && self->ready == 0) {
        if (!self->in_region && !self->by_time) {
            status = k2_candle_region_begin(&self->region, self->scan, &self->span,
                                            &self->in_region, error);
        }
        if (status == K2_OK) {
            status = self->in_region ? next_instrument(self, error) : next_span(self, error);
        }
    }
    return status;
}

static void finish_candle(const struct k2_candles *self, size_t place, uint32_t number,
                          struct k2_candle *candle)
{
    const struct k2_candle_span *span = &self->span;
    const struct k2_partial_candle *partial = &span->partials[place];
    const struct k2_partial_price *prices = &span->prices[place * span->price_count];
    int64_t last_ns = k2_interval_last(partial->start_ns, span->interval_ns);
    const struct k2_instrument_name *name = &k2_scan_names(self->scan)->names[number];
    candle->exchange = name->exchange;
    candle->symbol = name->symbol;
    candle->start_ns = partial->start_ns;
    candle->end_ns = last_ns == INT64_MAX ? INT64_MAX : last_ns + 1;
    candle->row_count = partial->row_count;
    candle->volume = partial->volume;
    for (size_t i = 0; i < span->price_count; i++) {
        candle->prices[i] = (struct k2_candle_price){false, 0, 0, 0, 0};
        if (prices[i].first_row != K2_NO_ROW) {
            candle->prices[i] = (struct k2_candle_price){true, prices[i].open, prices[i].high,
                                                         prices[i].low, prices[i].close};
        }
    }
    candle->vwap = 0;
    candle->has_vwap = span->has_quantity &&
                       k2_wide_sum_average(&partial->amount, partial->weight, self->price_scale,
                                           K2_CANDLE_VWAP_SCALE, &candle->vwap);
}

// The next candle: all partial ones of its instrument and interval, which stand side by side.
static enum k2_status next_candle(struct k2_candles *self, struct k2_candle *candle,
                                  struct k2_error *error)
{
    struct k2_candle_span *span = &self->span;
    size_t first = 0;
    uint32_t number = 0;
    enum k2_status status = K2_OK;
    for (size_t step = 0; status == K2_OK && self->given < self->ready; self->given++, step++) {
        size_t index = self->backwards ? self->ready - 1 - self->given : self->given;
        uint32_t other_number;
        size_t place = k2_candle_span_at(span, index, &other_number);
        if (step == 0) {
            first = place;
            number = other_number;
        } else if (other_number == number &&
                   span->partials[place].start_ns == span->partials[first].start_ns) {
            status = k2_candle_span_join(span, first, place, error);
        } else {
            break;
        }
    }
    if (status == K2_OK) {
        finish_candle(self, first, number, candle);
    }
    return status;
}

// The same where each instrument has one run: nothing needs to be joined, or looked up.
static void next_in_runs(struct k2_candles *self, struct k2_candle *candle)
{
    const struct k2_candle_run *run = &self->span.runs[self->span.run_order[self->run]];
    finish_candle(self, run->first + self->run_given, run->number, candle);
    self->given++;
    if (++self->run_given == run->count) {
        self->run++;
        self->run_given = 0;
    }
}

enum k2_status k2_candles_more(struct k2_candles *candles, const struct k2_candle **items,
                               size_t *count, struct k2_error *error)
{
    *items = candles->items;
    *count = 0;
    if (candles->failure != K2_OK) {
        return k2_fail(error, candles->failure, "candles: it failed before");
    }
    enum k2_status status = K2_OK;
    if (candles->given == candles->ready) {
        status = next_part(candles, error);
    }
    while (status == K2_OK && *count < GIVEN && candles->given < candles->ready) {
        if (candles->span.order == NULL) {
            next_in_runs(candles, &candles->items[*count]);
        } else {
            status = next_candle(candles, &candles->items[*count], error);
        }
        *count += status == K2_OK;
    }
    if (status != K2_OK) {
        candles->failure = status;
        *count = 0;
    }
    return status;
}
