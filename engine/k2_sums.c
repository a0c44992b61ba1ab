// libk2: sums and candles.
#include <string.h>

#include "engine/aggregate.h"
#include "engine/candles.h"
#include "engine/k2_db.h"
#include "format/base/alloc.h"

#define SAME(left, right) _Static_assert((int)(left) == (int)(right), #left)
SAME(K2_OHLCV_TIME, K2_CANDLES_BY_TIME);
SAME(K2_OHLCV_TIME_DESCENDING, K2_CANDLES_BY_TIME_DESCENDING);
SAME(K2_OHLCV_FOUND, K2_CANDLES_AS_FOUND);

struct k2_sums {
    struct k2_aggregates result;
    bool has_product;
    unsigned scale; // of the price
};

struct k2_ohlcv_reader {
    struct k2_candles *candles;
    const struct k2_candle *items; // of candles
    size_t count, given;
    size_t price_count;
};

static struct k2_text text_of(struct k2_slice slice)
{
    return (struct k2_text){(const char *)slice.data, slice.size_bytes};
}

static struct k2_wide wide_of(k2_int128 value)
{
    return (struct k2_wide){(uint64_t)(k2_uint128)value, (int64_t)(value >> 64)};
}

static enum k2_status find_column(const struct k2_table *table, const char *name, size_t *column,
                                  struct k2_error *error)
{
    return name == NULL ? k2_fail(error, K2_BAD_REQUEST, "query: a column without a name")
                        : k2_query_find_column(table->schema, &name, 0, column, error);
}

static enum k2_status wrong_size(size_t size_bytes, size_t expected_bytes, struct k2_error *error)
{
    return k2_fail(error, K2_BAD_REQUEST, "query: size_bytes is %zu, expected %zu", size_bytes,
                   expected_bytes);
}

// The place of a column among those to add up.
static enum k2_status find_factor(const struct k2_aggregate_request *request, const char *name,
                                  size_t *place, struct k2_error *error)
{
    size_t column;
    enum k2_status status = find_column(request->rows.table, name, &column, error);
    for (*place = 0; status == K2_OK && *place < request->rows.column_count; ++*place) {
        if (request->rows.columns[*place] == column) {
            return K2_OK;
        }
    }
    return status != K2_OK
               ? status
               : k2_fail(error, K2_BAD_REQUEST, "query: %s is not among its columns", name);
}

static enum k2_status run_sums(struct k2_sums *sums, struct k2_db *db,
                               const struct k2_sum_query *query,
                               struct k2_aggregate_request *request, size_t *columns,
                               struct k2_error *error)
{
    const struct k2_schema *schema = request->rows.table->schema;
    enum k2_status status = K2_OK;
    request->rows.columns = columns;
    request->rows.column_count = query->rows->column_count;
    request->wants = K2_AGGREGATE_SUM | K2_AGGREGATE_RANGE;
    for (size_t i = 0; i < query->rows->column_count && status == K2_OK; i++) {
        status = k2_query_find_column(schema, query->rows->columns, i, &columns[i], error);
    }
    request->has_product = query->price != NULL || query->quantity != NULL;
    if (status == K2_OK && request->has_product) {
        status = find_factor(request, query->price, &request->price, error);
    }
    if (status == K2_OK && request->has_product) {
        status = find_factor(request, query->quantity, &request->quantity, error);
    }
    if (status == K2_OK) {
        status = k2_aggregates_run(db->engine, request, &sums->result, error);
    }
    if (status == K2_OK && request->has_product) {
        sums->has_product = true;
        sums->scale = schema->columns[columns[request->price]].scale;
    }
    return status;
}

enum k2_status k2_sums_open(struct k2_sums **sums, struct k2_db *db,
                            const struct k2_sum_query *query, struct k2_error *error)
{
    *sums = NULL;
    if (query->size_bytes != sizeof *query) {
        return wrong_size(query->size_bytes, sizeof *query, error);
    }
    if (query->rows->columns == NULL && query->rows->column_count > 0) {
        return k2_fail(error, K2_BAD_REQUEST, "query: the columns to add up have no names");
    }
    struct k2_choice choice = {0};
    struct k2_aggregate_request request = {0};
    struct k2_sums *self = k2_alloc_zero(1, sizeof *self);
    size_t *columns = k2_alloc_zero(query->rows->column_count, sizeof *columns);
    enum k2_status status =
        self == NULL || columns == NULL
            ? k2_fail(error, K2_NO_MEMORY, "query: out of memory")
            : k2_query_to_request(db, query->rows, &choice, &request.rows, error);
    if (status == K2_OK) {
        status = run_sums(self, db, query, &request, columns, error);
    }
    k2_choice_free(&choice);
    k2_free(columns);
    if (status != K2_OK) {
        k2_sums_close(self);
        return status;
    }
    *sums = self;
    return K2_OK;
}

void k2_sums_close(struct k2_sums *sums)
{
    if (sums != NULL) {
        k2_aggregates_deinit(&sums->result);
        k2_free(sums);
    }
}

uint64_t k2_sums_snapshot(const struct k2_sums *sums)
{
    return sums->result.snapshot;
}

size_t k2_sums_count(const struct k2_sums *sums)
{
    return sums->result.item_count;
}

// Callers may have been built when the struct was shorter.
static void give(void *to, size_t to_bytes, const void *from, size_t from_bytes)
{
    memcpy((char *)to + sizeof(size_t), (const char *)from + sizeof(size_t),
           (to_bytes < from_bytes ? to_bytes : from_bytes) - sizeof(size_t));
}

void k2_sums_item(const struct k2_sums *sums, size_t index, struct k2_sum_item *item)
{
    struct k2_sum_item found = {.size_bytes = sizeof found};
    if (index < sums->result.item_count) {
        const struct k2_aggregate *from = &sums->result.items[index];
        found.exchange = text_of(from->exchange);
        found.symbol = text_of(from->symbol);
        found.row_count = from->row_count;
        found.has_vwap =
            sums->has_product && k2_wide_sum_average(&from->amount, from->weight, sums->scale,
                                                     K2_CANDLE_VWAP_SCALE, &found.vwap);
    }
    give(item, item->size_bytes, &found, sizeof found);
}

void k2_sums_total(const struct k2_sums *sums, size_t index, size_t column,
                   struct k2_sum_total *total)
{
    struct k2_sum_total found = {.size_bytes = sizeof found};
    if (index < sums->result.item_count && column < sums->result.column_count) {
        const struct k2_column_total *from = &sums->result.items[index].columns[column];
        found.value_count = from->value_count;
        found.sum = wide_of(from->sum);
        found.min = from->value_count == 0 ? 0 : from->min;
        found.max = from->value_count == 0 ? 0 : from->max;
    }
    give(total, total->size_bytes, &found, sizeof found);
}

static enum k2_status start_candles(struct k2_ohlcv_reader *reader, struct k2_db *db,
                                    const struct k2_ohlcv_query *query,
                                    struct k2_candle_request *request, struct k2_error *error)
{
    const struct k2_table *table = request->rows.table;
    enum k2_status status = K2_OK;
    if (query->price_count < 1 || query->price_count > K2_CANDLE_PRICES) {
        return k2_fail(error, K2_BAD_REQUEST, "query: candles of 1 or %d prices", K2_CANDLE_PRICES);
    }
    if ((unsigned)query->order > K2_OHLCV_FOUND) {
        return k2_fail(error, K2_BAD_REQUEST, "query: there is no order %u",
                       (unsigned)query->order);
    }
    for (size_t i = 0; i < query->price_count && status == K2_OK; i++) {
        status = find_column(table, query->prices[i], &request->prices[i], error);
    }
    if (status == K2_OK && query->quantity != NULL) {
        request->has_quantity = true;
        status = find_column(table, query->quantity, &request->quantity, error);
    }
    request->interval_ns = query->interval_ns;
    request->order = (enum k2_candle_order)query->order;
    request->price_count = reader->price_count = query->price_count;
    return status == K2_OK ? k2_candles_start(&reader->candles, db->engine, request, error)
                           : status;
}

enum k2_status k2_ohlcv_open(struct k2_ohlcv_reader **reader, struct k2_db *db,
                             const struct k2_ohlcv_query *query, struct k2_error *error)
{
    *reader = NULL;
    if (query->size_bytes != sizeof *query) {
        return wrong_size(query->size_bytes, sizeof *query, error);
    }
    struct k2_choice choice = {0};
    struct k2_candle_request request = {0};
    struct k2_ohlcv_reader *self = k2_alloc_zero(1, sizeof *self);
    enum k2_status status =
        self == NULL ? k2_fail(error, K2_NO_MEMORY, "query: out of memory")
                     : k2_query_to_request(db, query->rows, &choice, &request.rows, error);
    if (status == K2_OK) {
        status = start_candles(self, db, query, &request, error);
    }
    k2_choice_free(&choice);
    if (status != K2_OK) {
        k2_ohlcv_close(self);
        return status;
    }
    *reader = self;
    return K2_OK;
}

void k2_ohlcv_close(struct k2_ohlcv_reader *reader)
{
    if (reader != NULL) {
        k2_candles_finish(reader->candles);
        k2_free(reader);
    }
}

uint64_t k2_ohlcv_snapshot(const struct k2_ohlcv_reader *reader)
{
    return k2_candles_snapshot_of(reader->candles);
}

enum k2_status k2_ohlcv_next(struct k2_ohlcv_reader *reader, bool *found, struct k2_ohlcv *candle,
                             struct k2_error *error)
{
    *found = false;
    if (reader->given == reader->count) {
        reader->given = reader->count = 0;
        enum k2_status status =
            k2_candles_more(reader->candles, &reader->items, &reader->count, error);
        if (status != K2_OK || reader->count == 0) {
            return status;
        }
    }
    const struct k2_candle *from = &reader->items[reader->given++];
    struct k2_ohlcv given = {
        .size_bytes = sizeof given,
        .exchange = text_of(from->exchange),
        .symbol = text_of(from->symbol),
        .start_ns = from->start_ns,
        .end_ns = from->end_ns,
        .row_count = from->row_count,
        .volume = wide_of(from->volume),
        .has_vwap = from->has_vwap,
        .vwap = from->vwap,
    };
    for (size_t i = 0; i < reader->price_count; i++) {
        const struct k2_candle_price *price = &from->prices[i];
        given.prices[i] = (struct k2_ohlcv_price){price->found, price->open, price->high,
                                                  price->low, price->close};
    }
    give(candle, candle->size_bytes, &given, sizeof given);
    *found = true;
    return K2_OK;
}
