#include "engine/aggregate.h"

#include <stdlib.h>
#include <string.h>

#include "engine/block_reader.h"
#include "engine/scan_groups.h"
#include "engine/vector_sums.h"
#include "format/base/alloc.h"

struct run {
    const struct k2_aggregate_request *request;
    struct k2_scan *scan;
    struct k2_group_set *set;
    struct k2_name_set *names;
    struct k2_block_reader blocks; // columns in the order of the request
    struct k2_vector_store *store;
    size_t column_count;
    struct k2_aggregate *items; // by number in the name set
    struct k2_column_total *columns;
    size_t item_count, item_capacity;
    enum k2_factors factors; // price and quantity of the group at hand
};

static void close_run(struct run *run)
{
    k2_block_reader_deinit(&run->blocks);
    k2_scan_close(run->scan);
    k2_free(run->store);
    k2_free(run->items);
    k2_free(run->columns);
}

static enum k2_status check_request(const struct k2_aggregate_request *request,
                                    struct k2_error *error)
{
    const struct k2_schema *schema = request->rows.table->schema;
    for (size_t i = 0; i < request->rows.column_count; i++) {
        size_t index = request->rows.columns[i];
        if (index < schema->column_count && (!k2_kind_is_fixed(schema->columns[index].kind) ||
                                             schema->columns[index].kind == K2_KIND_FLOAT64)) {
            return k2_fail(error, K2_BAD_REQUEST, "column %s of kind %s can not be added up",
                           schema->columns[index].name, k2_kind_name(schema->columns[index].kind));
        }
    }
    if (request->has_product && (request->price >= request->rows.column_count ||
                                 request->quantity >= request->rows.column_count)) {
        return k2_fail(error, K2_BAD_REQUEST, "aggregate: a product of columns not asked for");
    }
    return K2_OK;
}

static enum k2_status open_run(struct run *run, struct k2_engine *engine, struct k2_error *error)
{
    static const size_t none;
    struct k2_scan_request rows = run->request->rows;
    run->column_count = rows.column_count;
    rows.order = K2_ORDER_STORED;
    rows.limit = 0;
    rows.after = NULL;
    rows.with_commit = false;
    rows.columns = rows.columns == NULL ? &none : rows.columns;
    size_t *slots = k2_alloc(run->column_count * sizeof *slots);
    run->store = k2_alloc_aligned(sizeof *run->store);
    if (slots == NULL || run->store == NULL) {
        k2_free(slots);
        return k2_fail(error, K2_NO_MEMORY, "aggregate: out of memory");
    }
    enum k2_status status = k2_scan_open(engine, &rows, &run->scan, error);
    if (status == K2_OK) {
        run->set = k2_scan_group_set(run->scan);
        run->names = k2_scan_names(run->scan);
        for (size_t i = 0; i < run->column_count; i++) {
            slots[i] = (size_t)k2_scan_layout_of(run->scan)->outputs[i].slot;
        }
        status = k2_block_reader_init(&run->blocks, run->set, slots, run->column_count, error);
    }
    k2_free(slots);
    return status;
}

// Items for all instruments met so far.
static enum k2_status need_items(struct run *run, struct k2_error *error)
{
    size_t count = run->names->count;
    if (count > run->item_capacity) {
        size_t capacity = count * 2;
        struct k2_aggregate *items = k2_realloc(run->items, capacity, sizeof *items);
        run->items = items != NULL ? items : run->items;
        struct k2_column_total *columns =
            items == NULL
                ? NULL
                : k2_realloc(run->columns, capacity * (run->column_count + 1), sizeof *columns);
        if (columns == NULL) {
            return k2_fail(error, K2_NO_MEMORY, "aggregate: no memory for %zu instruments", count);
        }
        run->columns = columns;
        run->item_capacity = capacity;
    }
    for (; run->item_count < count; run->item_count++) {
        run->items[run->item_count] = (struct k2_aggregate){0};
        for (size_t i = 0; i < run->column_count; i++) {
            run->columns[run->item_count * run->column_count + i] =
                (struct k2_column_total){.min = INT64_MAX, .max = INT64_MIN};
        }
    }
    return K2_OK;
}

// Adds rows [begin, end) of one block from its decoded vector.
static enum k2_status add_decoded(struct run *run, struct k2_group_cursor *cursor, size_t column,
                                  uint32_t begin, uint32_t end, struct k2_column_total *total,
                                  struct k2_error *error)
{
    if (begin == end) {
        return K2_OK;
    }
    const struct k2_vector *vector;
    uint32_t place = begin % K2_BLOCK_ROWS;
    enum k2_status status =
        k2_block_reader_get(&run->blocks, cursor, begin / K2_BLOCK_ROWS, column, &vector, error);
    if (status != K2_OK) {
        return status;
    }
    const uint8_t *valid = vector->valid == NULL ? NULL : vector->valid + place;
    if ((run->request->wants & K2_AGGREGATE_SUM) != 0) {
        k2_vector_sum(vector->values + place, valid, end - begin, &total->sum, &total->value_count);
    }
    if ((run->request->wants & K2_AGGREGATE_RANGE) != 0) {
        k2_vector_range(vector->values + place, valid, end - begin, &total->min, &total->max);
    }
    return K2_OK;
}

// Adds rows [begin, end) through the reader, which knows statistics and packed blocks.
static enum k2_status add_by_reader(struct run *run, struct k2_group_cursor *cursor, size_t column,
                                    uint32_t begin, uint32_t end, struct k2_column_total *total,
                                    struct k2_error *error)
{
    struct k2_column_reader *reader;
    enum k2_status status =
        k2_group_set_reader(run->set, cursor, run->blocks.columns[column].slot, &reader, error);
    for (uint32_t stop; status == K2_OK && reader == NULL && begin < end; begin = stop) {
        stop = (begin / K2_BLOCK_ROWS + 1) * K2_BLOCK_ROWS; // its default
        stop = stop < end ? stop : end;
        status = add_decoded(run, cursor, column, begin, stop, total, error);
    }
    if (status != K2_OK || begin == end) {
        return status;
    }
    if ((run->request->wants & K2_AGGREGATE_SUM) != 0) {
        struct k2_range_sum sum = {0};
        status = k2_column_reader_sum(reader, begin, end - begin, run->store, &sum, error);
        total->sum += sum.sum;
        total->value_count += sum.value_count;
    }
    if (status == K2_OK && (run->request->wants & K2_AGGREGATE_RANGE) != 0) {
        struct k2_range_bounds bounds = {0};
        status = k2_column_reader_range(reader, begin, end - begin, run->store, &bounds, error);
        if (bounds.found) {
            total->min = bounds.min < total->min ? bounds.min : total->min;
            total->max = bounds.max > total->max ? bounds.max : total->max;
        }
    }
    return status;
}

// Parts of blocks at either end are shared with other instruments: they are decoded once, for all.
static enum k2_status add_column(struct run *run, struct k2_group_cursor *cursor, size_t column,
                                 uint32_t begin, uint32_t end, struct k2_column_total *total,
                                 struct k2_error *error)
{
    uint32_t row_count = cursor->group->row_count;
    uint32_t first = (begin + K2_BLOCK_ROWS - 1) / K2_BLOCK_ROWS * K2_BLOCK_ROWS;
    uint32_t last = end == row_count ? end : end / K2_BLOCK_ROWS * K2_BLOCK_ROWS;
    if (first >= last) { // no whole block
        first = first < end ? first : end;
        last = first;
    }
    enum k2_status status = add_decoded(run, cursor, column, begin, first, total, error);
    if (status == K2_OK && first < last) {
        status = add_by_reader(run, cursor, column, first, last, total, error);
    }
    return status == K2_OK ? add_decoded(run, cursor, column, last, end, total, error) : status;
}

static enum k2_status add_products(struct run *run, struct k2_group_cursor *cursor, uint32_t begin,
                                   uint32_t end, struct k2_aggregate *item, struct k2_error *error)
{
    enum k2_status status = K2_OK;
    for (uint32_t stop; status == K2_OK && begin < end; begin = stop) {
        uint32_t block = begin / K2_BLOCK_ROWS, place = begin % K2_BLOCK_ROWS;
        stop = end - begin < K2_BLOCK_ROWS - place ? end : begin + (K2_BLOCK_ROWS - place);
        const struct k2_vector *price, *quantity;
        status =
            k2_block_reader_get(&run->blocks, cursor, block, run->request->price, &price, error);
        if (status == K2_OK) {
            status = k2_block_reader_get(&run->blocks, cursor, block, run->request->quantity,
                                         &quantity, error);
        }
        if (status == K2_OK) {
            k2_vector_product(
                price->values + place, price->valid == NULL ? NULL : price->valid + place,
                quantity->values + place, quantity->valid == NULL ? NULL : quantity->valid + place,
                stop - begin, run->factors, &item->amount, &item->weight);
        }
    }
    return status;
}

static enum k2_status add_rows(struct run *run, struct k2_group_cursor *cursor, uint32_t number,
                               uint32_t begin, uint32_t end, struct k2_error *error)
{
    struct k2_aggregate *item = &run->items[number];
    item->row_count += end - begin;
    enum k2_status status = K2_OK;
    for (size_t i = 0; run->request->wants != 0 && i < run->column_count && status == K2_OK; i++) {
        status = add_column(run, cursor, i, begin, end,
                            &run->columns[number * run->column_count + i], error);
    }
    if (status == K2_OK && run->request->has_product) {
        status = add_products(run, cursor, begin, end, item, error);
    }
    return status;
}

static enum k2_status add_entry(struct run *run, struct k2_group_cursor *cursor,
                                const struct k2_wanted_entry *wanted,
                                const struct k2_scan_span *span, struct k2_error *error)
{
    uint32_t begin, end, stop;
    enum k2_status status = k2_group_set_locate(run->set, cursor, wanted->entry, span->first_ns,
                                                span->last_ns, &begin, &end, error);
    while (status == K2_OK && begin < end) {
        status = k2_group_set_visible(run->set, cursor, end, &begin, &stop, error);
        if (status == K2_OK && begin < stop) {
            status = add_rows(run, cursor, wanted->number, begin, stop, error);
        }
        begin = stop;
    }
    return status;
}

static enum k2_status add_group(struct run *run, size_t group_index,
                                const struct k2_scan_span *span, struct k2_error *error)
{
    struct k2_group_cursor *cursor;
    enum k2_status status = k2_group_set_cursor(run->set, group_index, &cursor, error);
    if (status == K2_OK) {
        status = k2_group_set_wanted(run->set, cursor, error);
    }
    if (status == K2_OK) {
        status = need_items(run, error);
    }
    if (status == K2_OK && run->request->has_product) {
        run->factors = k2_block_reader_factors(&run->blocks, cursor, run->request->price,
                                               run->request->quantity);
    }
    for (size_t i = 0; status == K2_OK && i < cursor->wanted_count; i++) {
        status = add_entry(run, cursor, &cursor->wanted[i], span, error);
    }
    k2_block_reader_forget(&run->blocks);
    k2_group_set_close_cursor(run->set, group_index);
    return status;
}

static enum k2_status add_all(struct run *run, struct k2_error *error)
{
    struct k2_scan_span span;
    bool found;
    enum k2_status status = k2_scan_next_span(run->scan, 0, SIZE_MAX, &span, &found, error);
    while (status == K2_OK && found) {
        for (size_t i = 0; status == K2_OK && i < run->set->plan.group_count; i++) {
            if (k2_scan_span_meets(run->scan, &span, &run->set->plan.groups[i])) {
                status = add_group(run, i, &span, error);
            }
        }
        k2_scan_pass_span(run->scan, &span, false);
        if (status == K2_OK) {
            status = k2_scan_next_span(run->scan, 0, SIZE_MAX, &span, &found, error);
        }
    }
    return status;
}

static int compare_items(const void *left, const void *right)
{
    const struct k2_aggregate *a = left, *b = right;
    int order = k2_slice_compare(a->exchange, b->exchange);
    return order != 0 ? order : k2_slice_compare(a->symbol, b->symbol);
}

// The items with rows, in order, with names that outlive the scan.
static enum k2_status take_items(struct run *run, struct k2_aggregates *result,
                                 struct k2_error *error)
{
    result->snapshot = k2_scan_snapshot(run->scan);
    result->texts = k2_alloc_zero(1, sizeof *result->texts);
    bool fits = result->texts != NULL;
    for (size_t i = 0; i < run->item_count && fits; i++) {
        struct k2_aggregate item = run->items[i];
        struct k2_instrument_name name = run->names->names[i];
        if (item.row_count == 0) {
            continue;
        }
        item.columns = &run->columns[i * run->column_count];
        fits = k2_text_arena_copy(result->texts, name.exchange, &item.exchange) &&
               k2_text_arena_copy(result->texts, name.symbol, &item.symbol);
        run->items[result->item_count++] = item;
    }
    if (!fits) {
        return k2_fail(error, K2_NO_MEMORY, "aggregate: out of memory");
    }
    result->column_count = run->column_count;
    result->items = run->items;
    result->columns = run->columns;
    run->items = NULL;
    run->columns = NULL;
    if (result->item_count > 0) {
        qsort(result->items, result->item_count, sizeof *result->items, compare_items);
    }
    return K2_OK;
}

enum k2_status k2_aggregates_run(struct k2_engine *engine,
                                 const struct k2_aggregate_request *request,
                                 struct k2_aggregates *result, struct k2_error *error)
{
    *result = (struct k2_aggregates){0};
    struct run run = {.request = request};
    enum k2_status status = check_request(request, error);
    if (status == K2_OK) {
        status = open_run(&run, engine, error);
    }
    if (status == K2_OK) {
        status = add_all(&run, error);
    }
    if (status == K2_OK) {
        status = take_items(&run, result, error);
    }
    close_run(&run);
    if (status != K2_OK) {
        k2_aggregates_deinit(result);
    }
    return status;
}

void k2_aggregates_deinit(struct k2_aggregates *result)
{
    k2_free(result->items);
    k2_free(result->columns);
    if (result->texts != NULL) {
        k2_text_arena_deinit(result->texts);
        k2_free(result->texts);
    }
    *result = (struct k2_aggregates){0};
}
