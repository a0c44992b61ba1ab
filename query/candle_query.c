#include "query/candle_query.h"

#include <assert.h>
#include <string.h>

#include "format/base/alloc.h"
#include "query/encode/row_stream.h"
#include "query/instrument_filter.h"

enum {
    SYMBOL = 0,
    EXCHANGE,
    START,
    END,
    FIRST_PRICE,
    PRICE_COLUMNS = 4, // open, high, low, close
    MOST_COLUMNS = FIRST_PRICE + PRICE_COLUMNS * K2_CANDLE_PRICES + 3,
};

// What candles are made of: the first kind whose columns the table has.
struct candle_kind {
    const char *prices[K2_CANDLE_PRICES];
    const char *quantity;
    const char *names[MOST_COLUMNS];
};
static const struct candle_kind kinds[] = {
    {{"price"},
     "quantity",
     {"symbol", "exchange", "interval_start", "interval_end", "open_price", "high_price",
      "low_price", "close_price", "volume", "trade_count", "vwap"}},
    {{"bid_price", "ask_price"},
     NULL,
     {"symbol", "exchange", "interval_start", "interval_end", "bid_open_price", "bid_high_price",
      "bid_low_price", "bid_close_price", "ask_open_price", "ask_high_price", "ask_low_price",
      "ask_close_price", "quote_count"}},
};

struct k2_candle_query {
    const struct candle_kind *kind;
    struct k2_candles *candles;
    struct k2_row_stream stream;
    const struct k2_row_format *format;
    struct k2_row_style style;
    struct k2_candle_request request;
    struct k2_column columns[MOST_COLUMNS];
    const struct k2_column *column_list[MOST_COLUMNS];
    struct k2_vector vectors[MOST_COLUMNS];
    struct k2_vector_store *stores; // owned, by column
    size_t column_count, volume_column;
    uint64_t limit, rows;
};

bool k2_candle_interval_parse(struct k2_slice text, int64_t *interval_ns)
{
    static const struct {
        char letter;
        int64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    int64_t number = 0;
    if (text.size_bytes < 2 || text.size_bytes > 7) {
        return false;
    }
    for (size_t i = 0; i + 1 < text.size_bytes; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        number = number * 10 + (text.data[i] - '0');
    }
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (text.data[text.size_bytes - 1] == (uint8_t)units[i].letter) {
            return !__builtin_mul_overflow(number * units[i].seconds, INT64_C(1000000000),
                                           interval_ns);
        }
    }
    return false;
}

static bool find_kind(struct k2_candle_query *self, const struct k2_schema *schema)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        size_t found = 0;
        while (found < K2_CANDLE_PRICES && kinds[i].prices[found] != NULL) {
            int index = k2_schema_find(schema, k2_slice_of(kinds[i].prices[found]));
            if (index < 0) {
                break;
            }
            self->request.prices[found++] = (size_t)index;
        }
        int quantity =
            kinds[i].quantity == NULL ? 0 : k2_schema_find(schema, k2_slice_of(kinds[i].quantity));
        if (quantity >= 0 && (found == K2_CANDLE_PRICES || kinds[i].prices[found] == NULL)) {
            self->kind = &kinds[i];
            self->request.price_count = found;
            self->request.has_quantity = kinds[i].quantity != NULL;
            self->request.quantity = (size_t)quantity;
            return true;
        }
    }
    return false;
}

static void add_column(struct k2_candle_query *self, enum k2_kind kind, uint8_t scale,
                       bool nullable)
{
    size_t place = self->column_count++;
    self->columns[place] = (struct k2_column){.name = self->kind->names[place],
                                              .id = (uint16_t)(place + 1),
                                              .kind = kind,
                                              .scale = scale,
                                              .nullable = nullable};
    self->column_list[place] = &self->columns[place];
    self->vectors[place] = (struct k2_vector){.kind = kind, .scale = scale};
    if (k2_kind_is_fixed(kind)) {
        self->vectors[place].values = self->stores[place].values;
    } else {
        self->vectors[place].texts = self->stores[place].texts;
    }
    self->vectors[place].valid = nullable ? self->stores[place].valid : NULL;
}

static enum k2_status make_columns(struct k2_candle_query *self, const struct k2_schema *schema,
                                   struct k2_error *error)
{
    self->stores = k2_alloc_aligned(MOST_COLUMNS * sizeof *self->stores);
    if (self->stores == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "candles: no memory");
    }
    add_column(self, K2_KIND_SYMBOLIC, 0, false);
    add_column(self, K2_KIND_SYMBOLIC, 0, false);
    add_column(self, K2_KIND_TIMESTAMP, 0, false);
    add_column(self, K2_KIND_TIMESTAMP, 0, false);
    for (size_t i = 0; i < self->request.price_count * PRICE_COLUMNS; i++) {
        const struct k2_column *price = &schema->columns[self->request.prices[i / PRICE_COLUMNS]];
        add_column(self, price->kind, price->scale, true);
    }
    self->volume_column = self->column_count;
    if (self->request.has_quantity) {
        const struct k2_column *quantity = &schema->columns[self->request.quantity];
        add_column(self, K2_KIND_DECIMAL64, quantity->scale, false);
    }
    add_column(self, K2_KIND_INT64, 0, false);
    if (self->request.has_quantity) {
        add_column(self, K2_KIND_DECIMAL64, K2_CANDLE_VWAP_SCALE, true);
    }
    return K2_OK;
}

static enum k2_status read_choices(struct k2_candle_query *self,
                                   const struct k2_candle_query_request *request,
                                   struct k2_error *error)
{
    const struct k2_range_text *format = &request->texts[K2_RANGE_FORMAT];
    const struct k2_range_text *time = &request->texts[K2_RANGE_TIME];
    const struct k2_range_text *numbers = &request->texts[K2_RANGE_NUMBERS];
    const struct k2_range_text *order = &request->texts[K2_RANGE_ORDER];
    self->format = format->given ? k2_row_format_find(format->value) : request->format;
    if (self->format == NULL) {
        return k2_range_text_bad_choice(format, "table, csv, json, ndjson, arrow, parquet", error);
    }
    if (time->given && !k2_range_text_is(time, "iso") && !k2_range_text_is(time, "ns")) {
        return k2_range_text_bad_choice(time, "iso, ns", error);
    }
    if (numbers->given && !k2_range_text_is(numbers, "string") &&
        !k2_range_text_is(numbers, "float")) {
        return k2_range_text_bad_choice(numbers, "string, float", error);
    }
    if (order->given && !k2_range_text_is(order, "asc") && !k2_range_text_is(order, "desc")) {
        return k2_range_text_bad_choice(order, "asc, desc", error);
    }
    self->style.time_ns = time->given && k2_range_text_is(time, "ns");
    self->style.float_number = numbers->given && k2_range_text_is(numbers, "float");
    self->request.order = order->given && k2_range_text_is(order, "desc")
                              ? K2_CANDLES_BY_TIME_DESCENDING
                              : K2_CANDLES_BY_TIME;
    if (!request->interval.given) {
        return k2_fail(error, K2_BAD_REQUEST, "%s is needed; such as %s 1m", request->interval.name,
                       request->interval.name);
    }
    if (!k2_candle_interval_parse(request->interval.value, &self->request.interval_ns)) {
        return k2_range_text_bad_choice(&request->interval, "1s, 1m, 5m, 15m, 30m, 1h, 1d, ...",
                                        error);
    }
    return k2_range_text_limit(&request->texts[K2_RANGE_LIMIT], 0, &self->limit, error);
}

static enum k2_status start(struct k2_candle_query *self, struct k2_engine *engine,
                            const struct k2_candle_query_request *request, struct k2_error *error)
{
    const struct k2_range_text *texts = request->texts;
    struct k2_scan_request *rows = &self->request.rows;
    struct k2_instrument_selection selection = {0};
    const struct k2_instrument_filter filter = {
        .exchange = {texts[K2_RANGE_EXCHANGE].given, texts[K2_RANGE_EXCHANGE].name,
                     texts[K2_RANGE_EXCHANGE].value},
        .symbol = {texts[K2_RANGE_SYMBOL].given, texts[K2_RANGE_SYMBOL].name,
                   texts[K2_RANGE_SYMBOL].value},
        .canonical = {texts[K2_RANGE_CANONICAL].given, texts[K2_RANGE_CANONICAL].name,
                      texts[K2_RANGE_CANONICAL].value},
    };
    enum k2_status status =
        k2_range_text_time(&texts[K2_RANGE_START], &rows->has_start, &rows->start_ns, error);
    if (status == K2_OK) {
        status = k2_range_text_time(&texts[K2_RANGE_END], &rows->has_end, &rows->end_ns, error);
    }
    if (status == K2_OK) {
        status = k2_range_text_snapshot(&texts[K2_RANGE_AS_OF], engine, &rows->snapshot, error);
    }
    if (status == K2_OK) {
        status = k2_instrument_selection_open(&selection, engine, rows->table, rows->snapshot,
                                              &filter, error);
    }
    if (status == K2_OK) {
        if (!selection.all) {
            rows->instruments = selection.instruments;
            rows->instrument_count = selection.instrument_count;
        }
        status = k2_candles_start(&self->candles, engine, &self->request, error);
        if (status == K2_BAD_REQUEST) {
            k2_error_annotate(error, "%s", request->interval.name);
        }
    }
    k2_instrument_selection_close(&selection);
    return status;
}

static enum k2_status build(struct k2_candle_query *self, struct k2_engine *engine,
                            const struct k2_candle_query_request *request, struct k2_error *error)
{
    enum k2_status status = k2_range_text_table(&request->texts[K2_RANGE_TABLE], engine,
                                                &self->request.rows.table, error);
    if (status == K2_OK) {
        status = read_choices(self, request, error);
    }
    if (status != K2_OK) {
        return status;
    }
    const struct k2_schema *schema = self->request.rows.table->schema;
    if (!find_kind(self, schema)) {
        return k2_fail(error, K2_BAD_REQUEST,
                       "%s: table %s has neither price and quantity nor bid_price and ask_price",
                       request->texts[K2_RANGE_TABLE].name, schema->table);
    }
    status = make_columns(self, schema, error);
    if (status == K2_OK) {
        status = start(self, engine, request, error);
    }
    if (status == K2_OK) {
        self->style.table = schema->table;
        self->style.snapshot = k2_candles_snapshot_of(self->candles);
        status = k2_row_encoder_create(&self->stream.encoder, self->format, self->column_list,
                                       self->column_count, &self->style, error);
    }
    return status;
}

static k2_row_pull pull;

enum k2_status k2_candle_query_open(struct k2_candle_query **query, struct k2_engine *engine,
                                    const struct k2_candle_query_request *request,
                                    struct k2_error *error)
{
    *query = NULL;
    struct k2_candle_query *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "candles: no memory");
    }
    enum k2_status status = build(self, engine, request, error);
    if (status != K2_OK) {
        k2_candle_query_close(self);
        return status;
    }
    self->stream.pull = pull;
    self->stream.context = self;
    *query = self;
    return K2_OK;
}

void k2_candle_query_close(struct k2_candle_query *query)
{
    if (query != NULL) {
        k2_row_stream_deinit(&query->stream);
        k2_candles_finish(query->candles);
        k2_free(query->stores);
        k2_free(query);
    }
}

static enum k2_status set_row(struct k2_candle_query *self, size_t row,
                              const struct k2_candle *candle, struct k2_error *error)
{
    static const k2_int128 most = INT64_C(1000000000000000000); // 10^18, the bound of decimals
    struct k2_vector_store *stores = self->stores;
    stores[SYMBOL].texts[row] = candle->symbol;
    stores[EXCHANGE].texts[row] = candle->exchange;
    stores[START].values[row] = candle->start_ns;
    stores[END].values[row] = candle->end_ns;
    for (size_t i = 0; i < self->request.price_count; i++) {
        const struct k2_candle_price *price = &candle->prices[i];
        const int64_t values[PRICE_COLUMNS] = {price->open, price->high, price->low, price->close};
        for (size_t j = 0; j < PRICE_COLUMNS; j++) {
            stores[FIRST_PRICE + i * PRICE_COLUMNS + j].values[row] = values[j];
            stores[FIRST_PRICE + i * PRICE_COLUMNS + j].valid[row] = price->found;
        }
    }
    size_t column = self->volume_column;
    if (self->request.has_quantity) {
        if (candle->volume <= -most || candle->volume >= most) {
            return k2_fail(error, K2_LIMIT,
                           "candles: a volume of %.*s takes more than 18 digits; take shorter "
                           "intervals",
                           (int)candle->symbol.size_bytes, (const char *)candle->symbol.data);
        }
        stores[column++].values[row] = (int64_t)candle->volume;
    }
    stores[column++].values[row] = (int64_t)candle->row_count;
    if (self->request.has_quantity) {
        stores[column].values[row] = candle->vwap;
        stores[column].valid[row] = candle->has_vwap;
    }
    return K2_OK;
}

static enum k2_status pull(void *context, const struct k2_vector **vectors, size_t *row_count,
                           struct k2_error *error)
{
    struct k2_candle_query *self = context;
    const struct k2_candle *items;
    if (self->limit > 0 && self->rows == self->limit) {
        return K2_OK;
    }
    enum k2_status status = k2_candles_more(self->candles, &items, row_count, error);
    assert(*row_count <= K2_VECTOR_ROWS);
    if (self->limit > 0 && *row_count > self->limit - self->rows) {
        *row_count = (size_t)(self->limit - self->rows);
    }
    for (size_t i = 0; i < *row_count && status == K2_OK; i++) {
        status = set_row(self, i, &items[i], error);
    }
    *vectors = self->vectors;
    self->rows += *row_count;
    return status;
}

enum k2_status k2_candle_query_next(struct k2_candle_query *query, size_t enough_bytes,
                                    struct k2_buffer *out, bool *done, struct k2_error *error)
{
    return k2_row_stream_next(&query->stream, enough_bytes, out, done, error);
}

uint64_t k2_candle_query_rows(const struct k2_candle_query *query)
{
    return query->rows;
}

uint64_t k2_candle_query_snapshot(const struct k2_candle_query *query)
{
    return k2_candles_snapshot_of(query->candles);
}

const struct k2_row_format *k2_candle_query_format(const struct k2_candle_query *query)
{
    return query->format;
}
