#include "engine/candle_span.h"

#include <stdlib.h>
#include <string.h>

#include "engine/scan_order.h"
#include "engine/vector_sums.h"
#include "format/base/alloc.h"

enum { TIME = 0, FIRST_PRICE = 1 }; // columns of span->blocks; the quantity is the last one

void k2_candle_span_deinit(struct k2_candle_span *span)
{
    k2_block_reader_deinit(&span->blocks);
    k2_free(span->partials);
    k2_free(span->prices);
    k2_free(span->runs);
    k2_free(span->run_order);
    k2_free(span->run_of);
    k2_free(span->refs);
    k2_free(span->spare);
    *span = (struct k2_candle_span){0};
}

void k2_candle_span_clear(struct k2_candle_span *span)
{
    span->partial_count = span->run_count = 0;
}

static enum k2_status no_memory(struct k2_error *error)
{
    return k2_fail(error, K2_NO_MEMORY, "candles: out of memory");
}

static enum k2_status grow_partials(struct k2_candle_span *span, struct k2_error *error)
{
    size_t capacity = span->partial_capacity == 0 ? 1024 : span->partial_capacity * 2;
    if (capacity > UINT32_MAX) {
        return k2_fail(error, K2_LIMIT, "candles: over 2^32 in one interval");
    }
    struct k2_partial_candle *partials = k2_realloc(span->partials, capacity, sizeof *partials);
    span->partials = partials != NULL ? partials : span->partials;
    struct k2_partial_price *prices =
        partials == NULL ? NULL
                         : k2_realloc(span->prices, capacity * span->price_count, sizeof *prices);
    if (prices == NULL) {
        return no_memory(error);
    }
    span->prices = prices;
    span->partial_capacity = capacity;
    return K2_OK;
}

static enum k2_status add_partial(struct k2_candle_span *span, int64_t start_ns,
                                  struct k2_error *error)
{
    if (span->partial_count == span->partial_capacity) {
        enum k2_status status = grow_partials(span, error);
        if (status != K2_OK) {
            return status;
        }
    }
    size_t place = span->partial_count++;
    span->partials[place] = (struct k2_partial_candle){.start_ns = start_ns};
    for (size_t i = 0; i < span->price_count; i++) {
        span->prices[place * span->price_count + i].first_row = K2_NO_ROW;
    }
    return K2_OK;
}

static enum k2_status add_run(struct k2_candle_span *span, struct k2_candle_run run,
                              struct k2_error *error)
{
    if (run.count == 0) {
        return K2_OK;
    }
    if (span->run_count == span->run_capacity) {
        size_t capacity = span->run_capacity == 0 ? 256 : span->run_capacity * 2;
        struct k2_candle_run *runs = k2_realloc(span->runs, capacity, sizeof *runs);
        span->runs = runs != NULL ? runs : span->runs;
        uint32_t *run_order =
            runs == NULL ? NULL : k2_realloc(span->run_order, capacity, sizeof *run_order);
        if (run_order == NULL) {
            return no_memory(error);
        }
        span->run_order = run_order;
        span->run_capacity = capacity;
    }
    span->runs[span->run_count++] = run;
    return K2_OK;
}

// The vectors of the block at hand.
struct block {
    uint32_t base; // row of its first value
    const int64_t *times;
    const struct k2_vector *prices[K2_CANDLE_PRICES];
    const struct k2_vector *quantity; // NULL: none
    bool plain; // one price, a quantity, no nulls and short factors: what most trades are
};

// Rows [begin, end) of the block, whose prices are from low to high, into a price of a candle; they
// follow what it has.
static void widen_price(const struct k2_candle_span *span, const struct block *block,
                        const int64_t *values, uint32_t begin, uint32_t end, int64_t low,
                        int64_t high, struct k2_partial_price *price)
{
    if (price->first_row == K2_NO_ROW) {
        price->open = values[begin];
        price->low = low;
        price->high = high;
        price->first_ns = block->times[begin];
        price->first_row = block->base + begin;
        price->first_group = span->group;
    }
    price->low = low < price->low ? low : price->low;
    price->high = high > price->high ? high : price->high;
    price->close = values[end - 1];
    price->last_ns = block->times[end - 1];
    price->last_row = block->base + end - 1;
    price->last_group = span->group;
}

// The same, by the block's vector, which may have nulls.
static void add_price(const struct k2_candle_span *span, const struct block *block,
                      const struct k2_vector *vector, uint32_t begin, uint32_t end,
                      struct k2_partial_price *price)
{
    const int64_t *values = vector->values;
    while (vector->valid != NULL && begin < end && vector->valid[begin] == 0) {
        begin++;
    }
    while (vector->valid != NULL && begin < end && vector->valid[end - 1] == 0) {
        end--;
    }
    if (begin == end) {
        return;
    }
    int64_t low = values[begin], high = low;
    k2_vector_range(values + begin, vector->valid == NULL ? NULL : vector->valid + begin,
                    end - begin, &low, &high);
    widen_price(span, block, values, begin, end, low, high, price);
}

static void add_plain_rows(const struct k2_candle_span *span, const struct block *block,
                           uint32_t begin, uint32_t end)
{
    size_t place = span->partial_count - 1;
    struct k2_partial_candle *partial = &span->partials[place];
    const int64_t *prices = block->prices[0]->values;
    struct k2_trade_sums sums;
    span->kernels->trade_sums(prices + begin, block->quantity->values + begin, end - begin, &sums);
    partial->row_count += end - begin;
    partial->volume += sums.quantity;
    partial->weight += sums.quantity;
    k2_wide_sum_add(&partial->amount, k2_trade_product(&sums));
    widen_price(span, block, prices, begin, end, sums.low, sums.high, &span->prices[place]);
}

// Rows [begin, end) of the block into the newest partial candle.
static void add_rows(const struct k2_candle_span *span, const struct block *block, uint32_t begin,
                     uint32_t end)
{
    if (block->plain) {
        add_plain_rows(span, block, begin, end);
        return;
    }
    size_t place = span->partial_count - 1;
    struct k2_partial_candle *partial = &span->partials[place];
    partial->row_count += end - begin;
    for (size_t i = 0; i < span->price_count; i++) {
        add_price(span, block, block->prices[i], begin, end,
                  &span->prices[place * span->price_count + i]);
    }
    if (block->quantity == NULL) {
        return;
    }
    const struct k2_vector *price = block->prices[0], *quantity = block->quantity;
    const uint8_t *price_valid = price->valid == NULL ? NULL : price->valid + begin;
    const uint8_t *quantity_valid = quantity->valid == NULL ? NULL : quantity->valid + begin;
    k2_int128 weight = 0;
    k2_vector_product(price->values + begin, price_valid, quantity->values + begin, quantity_valid,
                      end - begin, span->factors, &partial->amount, &weight);
    partial->weight += weight;
    if (price_valid == NULL) {
        partial->volume += weight;
    } else {
        uint64_t count = 0;
        k2_vector_sum(quantity->values + begin, quantity_valid, end - begin, &partial->volume,
                      &count);
    }
}

static enum k2_status open_block(struct k2_candle_span *span, struct k2_group_cursor *cursor,
                                 uint32_t index, struct block *block, struct k2_error *error)
{
    const struct k2_vector *times;
    block->base = index * K2_BLOCK_ROWS;
    block->quantity = NULL;
    enum k2_status status = k2_block_reader_get(&span->blocks, cursor, index, TIME, &times, error);
    for (size_t i = 0; status == K2_OK && i < span->price_count; i++) {
        status = k2_block_reader_get(&span->blocks, cursor, index, FIRST_PRICE + i,
                                     &block->prices[i], error);
    }
    if (status == K2_OK && span->has_quantity) {
        status = k2_block_reader_get(&span->blocks, cursor, index, FIRST_PRICE + span->price_count,
                                     &block->quantity, error);
    }
    if (status == K2_OK) {
        block->times = times->values;
        block->plain = span->factors == K2_FACTORS_SHORT && span->price_count == 1 &&
                       block->quantity != NULL && block->quantity->valid == NULL &&
                       block->prices[0]->valid == NULL;
    }
    return status;
}

// Adds rows [begin, end) of one instrument, which all count, behind those before. `*last_ns` is the
// end of the newest partial candle, if `*begun`.
static enum k2_status add_range(struct k2_candle_span *span, struct k2_group_cursor *cursor,
                                uint32_t begin, uint32_t end, bool *begun, int64_t *last_ns,
                                struct k2_error *error)
{
    for (uint32_t stop; begin < end; begin = stop) {
        struct block block;
        enum k2_status status = open_block(span, cursor, begin / K2_BLOCK_ROWS, &block, error);
        if (status != K2_OK) {
            return status;
        }
        stop = end - block.base < K2_BLOCK_ROWS ? end : block.base + K2_BLOCK_ROWS;
        for (uint32_t row = begin - block.base; row < stop - block.base;) {
            if (!*begun || block.times[row] > *last_ns) {
                int64_t start_ns = k2_interval_start(block.times[row], span->interval_ns);
                *last_ns = k2_interval_last(start_ns, span->interval_ns);
                *begun = true;
                status = add_partial(span, start_ns, error);
                if (status != K2_OK) {
                    return status;
                }
            }
            uint32_t behind = row + (uint32_t)span->kernels->count_up_to(
                                        block.times + row, stop - block.base - row, *last_ns);
            add_rows(span, &block, row, behind);
            row = behind;
        }
    }
    return K2_OK;
}

// Are rows of the instrument from `time_ns` on all behind those of the newest run?
static bool continues_run(const struct k2_candle_span *span, uint32_t number, int64_t time_ns)
{
    return span->run_count > 0 && span->runs[span->run_count - 1].number == number &&
           time_ns > span->run_end_ns;
}

static enum k2_status add_entry(struct k2_candle_span *span, struct k2_group_cursor *cursor,
                                const struct k2_wanted_entry *wanted,
                                const struct k2_scan_span *range, struct k2_error *error)
{
    uint32_t begin, end, stop;
    struct k2_candle_run run = {.number = wanted->number, .first = (uint32_t)span->partial_count};
    const struct k2_directory_entry *entry = &cursor->entries[wanted->entry];
    bool begun = continues_run(span, wanted->number, entry->time_min_ns);
    int64_t last_ns = 0;
    if (begun) {
        run = span->runs[--span->run_count];
        last_ns =
            k2_interval_last(span->partials[run.first + run.count - 1].start_ns, span->interval_ns);
    }
    enum k2_status status = k2_group_set_locate(span->set, cursor, wanted->entry, range->first_ns,
                                                range->last_ns, &begin, &end, error);
    while (status == K2_OK && begin < end) {
        status = k2_group_set_visible(span->set, cursor, end, &begin, &stop, error);
        if (status == K2_OK && begin < stop) {
            status = add_range(span, cursor, begin, stop, &begun, &last_ns, error);
        }
        begin = stop;
    }
    run.count = (uint32_t)(span->partial_count - run.first);
    if (run.count > 0) { // else the newest run is still the one before
        span->run_end_ns = entry->time_max_ns;
    }
    return status == K2_OK ? add_run(span, run, error) : status;
}

// Opens a group, as the one at hand.
static enum k2_status enter_group(struct k2_candle_span *span, size_t group_index,
                                  struct k2_group_cursor **cursor, struct k2_error *error)
{
    enum k2_status status = k2_group_set_cursor(span->set, group_index, cursor, error);
    span->group = (uint32_t)group_index;
    if (status == K2_OK && span->has_quantity) {
        span->factors = k2_block_reader_factors(&span->blocks, *cursor, FIRST_PRICE,
                                                FIRST_PRICE + span->price_count);
    }
    return status;
}

void k2_candle_span_leave(struct k2_candle_span *span)
{
    k2_block_reader_forget(&span->blocks);
    if (span->entered) {
        k2_group_set_close_cursor(span->set, span->group);
    }
    span->entered = false;
}

enum k2_status k2_candle_span_add_entry(struct k2_candle_span *span, size_t group_index,
                                        const struct k2_wanted_entry *wanted,
                                        const struct k2_scan_span *range, struct k2_error *error)
{
    struct k2_group_cursor *cursor;
    if (!span->entered || span->group != group_index) {
        k2_candle_span_leave(span);
        enum k2_status status = enter_group(span, group_index, &cursor, error);
        if (status != K2_OK) {
            return status;
        }
        span->entered = true;
    }
    enum k2_status status = k2_group_set_cursor(span->set, group_index, &cursor, error);
    return status == K2_OK ? add_entry(span, cursor, wanted, range, error) : status;
}

enum k2_status k2_candle_span_add(struct k2_candle_span *span, size_t group_index,
                                  const struct k2_scan_span *range, bool may_grow, bool *fits,
                                  struct k2_error *error)
{
    struct k2_group_cursor *cursor;
    *fits = true;
    enum k2_status status = enter_group(span, group_index, &cursor, error);
    if (status == K2_OK) {
        status = k2_group_set_wanted(span->set, cursor, error);
    }
    if (status != K2_OK) {
        return status;
    }
    for (size_t i = 0; status == K2_OK && i < cursor->wanted_count && *fits; i++) {
        const struct k2_directory_entry *entry = &cursor->entries[cursor->wanted[i].entry];
        if (entry->time_min_ns > range->last_ns || entry->time_max_ns < range->first_ns) {
            continue;
        }
        status = add_entry(span, cursor, &cursor->wanted[i], range, error);
        *fits = may_grow || span->partial_count <= span->most;
    }
    k2_block_reader_forget(&span->blocks);
    return status;
}

static enum k2_status need_refs(struct k2_candle_span *span, struct k2_error *error)
{
    if (span->ref_capacity >= span->partial_count) {
        return K2_OK;
    }
    size_t capacity = span->partial_capacity;
    k2_free(span->refs);
    k2_free(span->spare);
    k2_free(span->run_of);
    span->ref_capacity = 0;
    span->refs = k2_alloc(capacity * sizeof *span->refs);
    span->spare = k2_alloc(capacity * sizeof *span->spare);
    span->run_of = k2_alloc(capacity * sizeof *span->run_of);
    if (span->refs == NULL || span->spare == NULL || span->run_of == NULL) {
        return no_memory(error);
    }
    span->ref_capacity = capacity;
    return K2_OK;
}

// How many intervals behind the first one a candle is; cut off where it does not fit: such a span
// has one instant's worth of candles in each.
static uint64_t interval_of(const struct k2_candle_span *span, int64_t first_ns, int64_t start_ns)
{
    return ((uint64_t)start_ns - (uint64_t)first_ns) / (uint64_t)span->interval_ns;
}

static int64_t least_start(const struct k2_candle_span *span)
{
    int64_t least = INT64_MAX;
    for (size_t i = 0; i < span->partial_count; i++) {
        least = span->partials[i].start_ns < least ? span->partials[i].start_ns : least;
    }
    return least;
}

// Sorts refs [begin, end) by interval; stable.
static void sort_part(struct k2_candle_span *span, size_t begin, size_t end)
{
    uint64_t *sorted = k2_sort_by_high_bits(span->refs + begin, span->spare + begin, end - begin,
                                            span->place_bits);
    if (sorted != span->refs + begin) {
        memcpy(span->refs + begin, sorted, (end - begin) * sizeof *sorted);
    }
}

static enum k2_status order_runs(struct k2_candle_span *span, struct k2_name_set *names,
                                 struct k2_error *error)
{
    if (span->run_count == 0) {
        return K2_OK;
    }
    return k2_name_set_order(names, &span->runs[0].number, sizeof span->runs[0], span->run_count,
                             span->run_order, error);
}

// Is the run, by its place in order, of the same instrument as the one before?
static bool continues(const struct k2_candle_span *span, size_t i)
{
    return i > 0 && i < span->run_count &&
           span->runs[span->run_order[i]].number == span->runs[span->run_order[i - 1]].number;
}

// Does an instrument have runs that are not one behind the other?
static bool has_joint_runs(const struct k2_candle_span *span)
{
    for (size_t i = 1; i < span->run_count; i++) {
        const struct k2_candle_run *run = &span->runs[span->run_order[i]];
        const struct k2_candle_run *before = &span->runs[span->run_order[i - 1]];
        if (continues(span, i) && span->partials[run->first].start_ns <=
                                      span->partials[before->first + before->count - 1].start_ns) {
            return true;
        }
    }
    return false;
}

static void fill_refs(struct k2_candle_span *span, bool by_time)
{
    int64_t first_ns = least_start(span);
    size_t filled = 0, begin = 0;
    for (size_t i = 0; i < span->run_count; i++) {
        const struct k2_candle_run *run = &span->runs[span->run_order[i]];
        begin = continues(span, i) ? begin : filled;
        for (uint32_t place = run->first; place < run->first + run->count; place++) {
            uint64_t interval = interval_of(span, first_ns, span->partials[place].start_ns);
            span->refs[filled++] = interval << span->place_bits | place;
            span->run_of[place] = span->run_order[i];
        }
        if (!by_time && continues(span, i) && !continues(span, i + 1)) {
            sort_part(span, begin, filled); // several runs of one instrument
        }
    }
}

enum k2_status k2_candle_span_sort(struct k2_candle_span *span, struct k2_name_set *names,
                                   bool by_time, struct k2_error *error)
{
    span->order = NULL;
    enum k2_status status = order_runs(span, names, error);
    if (status != K2_OK || span->partial_count == 0 || (!by_time && !has_joint_runs(span))) {
        return status;
    }
    status = need_refs(span, error);
    if (status != K2_OK) {
        return status;
    }
    span->place_bits = k2_bitpack_width(span->partial_count - 1);
    fill_refs(span, by_time);
    span->order = span->refs;
    if (by_time) {
        span->order =
            k2_sort_by_high_bits(span->refs, span->spare, span->partial_count, span->place_bits);
    }
    return K2_OK;
}

// A row, for the order of rows.
struct place {
    int64_t time_ns;
    uint32_t group, row;
};

// Compares by (time, epoch, sequence).
static enum k2_status compare_places(struct k2_candle_span *span, const struct place *left,
                                     const struct place *right, int *order, struct k2_error *error)
{
    *order = (left->time_ns > right->time_ns) - (left->time_ns < right->time_ns);
    static const size_t slots[] = {K2_SLOT_EPOCH, K2_SLOT_SEQUENCE};
    for (size_t i = 0; *order == 0 && i < 2; i++) {
        int64_t values[2] = {0};
        const struct place *places[2] = {left, right};
        for (size_t j = 0; j < 2; j++) {
            struct k2_group_cursor *cursor;
            const struct k2_vector *vector;
            enum k2_status status =
                k2_group_set_cursor(span->set, places[j]->group, &cursor, error);
            if (status == K2_OK) {
                status = k2_group_set_block(span->set, cursor, slots[i],
                                            places[j]->row / K2_BLOCK_ROWS, &vector, error);
            }
            if (status != K2_OK) {
                return status;
            }
            values[j] = vector->values[places[j]->row % K2_BLOCK_ROWS];
        }
        *order = (values[0] > values[1]) - (values[0] < values[1]);
    }
    return K2_OK;
}

static enum k2_status join_price(struct k2_candle_span *span, struct k2_partial_price *price,
                                 const struct k2_partial_price *other, struct k2_error *error)
{
    if (price->first_row == K2_NO_ROW || other->first_row == K2_NO_ROW) {
        *price = other->first_row == K2_NO_ROW ? *price : *other;
        return K2_OK;
    }
    struct place firsts[2] = {{price->first_ns, price->first_group, price->first_row},
                              {other->first_ns, other->first_group, other->first_row}};
    struct place lasts[2] = {{price->last_ns, price->last_group, price->last_row},
                             {other->last_ns, other->last_group, other->last_row}};
    int first = 0, last = 0;
    enum k2_status status = compare_places(span, &firsts[1], &firsts[0], &first, error);
    if (status == K2_OK) {
        status = compare_places(span, &lasts[1], &lasts[0], &last, error);
    }
    if (status != K2_OK) {
        return status;
    }
    if (first < 0) {
        price->open = other->open;
        price->first_ns = other->first_ns;
        price->first_row = other->first_row;
        price->first_group = other->first_group;
    }
    if (last > 0) {
        price->close = other->close;
        price->last_ns = other->last_ns;
        price->last_row = other->last_row;
        price->last_group = other->last_group;
    }
    price->high = other->high > price->high ? other->high : price->high;
    price->low = other->low < price->low ? other->low : price->low;
    return K2_OK;
}

enum k2_status k2_candle_span_join(struct k2_candle_span *span, size_t place, size_t other,
                                   struct k2_error *error)
{
    struct k2_partial_candle *candle = &span->partials[place], *added = &span->partials[other];
    candle->row_count += added->row_count;
    candle->volume += added->volume;
    candle->weight += added->weight;
    k2_wide_sum_join(&candle->amount, &added->amount);
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < span->price_count && status == K2_OK; i++) {
        status = join_price(span, &span->prices[place * span->price_count + i],
                            &span->prices[other * span->price_count + i], error);
    }
    return status;
}
