#include "tests/support/model_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/aggregate.h"
#include "engine/asof.h"
#include "engine/candles.h"
#include "engine/instruments.h"
#include "engine/last_rows.h"
#include "format/base/alloc.h"
#include "tests/support/tier.h"

enum { TEXT_BYTES = 64 << 20 };

static const struct k2_slice exchange = {(const uint8_t *)"TEST", 4};

static size_t column(const struct k2_table *table, const char *name)
{
    int index = k2_schema_find(table->schema, k2_slice_of(name));
    assert_true(index >= 0);
    return (size_t)index;
}

void model_store_open(struct model_store *self, enum k2_engine_mode mode)
{
    static const char *const names[MODEL_TABLES][5] = {
        {"trades", "price", "quantity", "trade_id", "asset_class"},
        {"quotes", "bid_price", "bid_quantity", "quote_id", "asset_class"},
    };
    struct k2_error error;
    if (k2_engine_open(&self->engine, self->folder, mode, &error) != K2_OK) {
        fail_msg("%s", error.text);
    }
    for (size_t i = 0; i < MODEL_TABLES; i++) {
        const struct k2_table *table = k2_engine_table(self->engine, k2_slice_of(names[i][0]));
        assert_non_null(table);
        self->tables[i] = table;
        self->price[i] = column(table, names[i][1]);
        self->quantity[i] = column(table, names[i][2]);
        self->id[i] = column(table, names[i][3]);
        self->channel[i] = column(table, names[i][4]);
        assert_int_equal(
            k2_row_batch_create(&self->batches[i], table->schema, K2_GROUP_ROWS, false, NULL),
            K2_OK);
    }
}

void model_store_close(struct model_store *self)
{
    for (size_t i = 0; i < MODEL_TABLES; i++) {
        k2_row_batch_destroy(self->batches[i]);
        self->batches[i] = NULL;
    }
    k2_engine_close(self->engine);
    self->engine = NULL;
}

void model_store_fill(struct model_store *self, size_t table, const struct model_row *rows,
                      size_t count)
{
    struct k2_row_batch *batch = self->batches[table];
    bool ops = test_random_below(&self->chance, 4) == 0; // also where nothing is deleted
    k2_row_batch_clear(batch);
    for (size_t i = 0; i < count; i++) {
        struct k2_row_key key = {
            .time_ns = rows[i].time_ns, .epoch = rows[i].epoch, .sequence = rows[i].sequence};
        size_t row;
        char text[32];
        int size = snprintf(text, sizeof text, "T%d", rows[i].content.id);
        assert_int_equal(k2_instrument_intern(self->engine, exchange,
                                              k2_slice_of(model_symbols[rows[i].symbol]),
                                              &key.instrument, NULL),
                         K2_OK);
        assert_int_equal(k2_row_batch_add(batch, &key, i, &row, NULL), K2_OK);
        k2_row_batch_set_value(batch, row, self->price[table], rows[i].content.price);
        k2_row_batch_set_value(batch, row, self->quantity[table], rows[i].content.quantity);
        if (rows[i].content.id >= 0) {
            const struct k2_slice id = {(const uint8_t *)text, (size_t)size};
            assert_int_equal(k2_row_batch_set_text(batch, row, self->id[table], id, NULL), K2_OK);
        }
        const struct k2_slice channel =
            k2_slice_of(model_channels[rows[i].symbol % MODEL_CHANNELS]);
        assert_int_equal(k2_row_batch_set_text(batch, row, self->channel[table], channel, NULL),
                         K2_OK);
        if (rows[i].deletes || ops) {
            enum k2_row_op op = rows[i].deletes ? K2_OP_DELETE : K2_OP_PUT;
            assert_int_equal(k2_row_batch_set_op(batch, row, op, NULL), K2_OK);
        }
    }
}

// ---- questions

struct question {
    struct k2_scan_request request;
    struct k2_scan_instrument instruments[MODEL_SYMBOLS];
    bool asked[MODEL_SYMBOLS];
};

static uint64_t below(struct model_store *self, uint64_t bound)
{
    return test_random_below(&self->chance, bound);
}

static void ask(struct model_store *self, size_t table, uint64_t snapshot,
                struct question *question)
{
    *question = (struct question){.request = {.table = self->tables[table], .snapshot = snapshot}};
    struct k2_scan_request *request = &question->request;
    bool all = below(self, 3) == 0;
    for (int i = 0; i < MODEL_SYMBOLS; i++) {
        question->asked[i] = all || below(self, 3) == 0;
        if (question->asked[i] && !all) {
            question->instruments[request->instrument_count++] =
                (struct k2_scan_instrument){exchange, k2_slice_of(model_symbols[i])};
        }
    }
    request->instruments = all ? NULL : question->instruments;
    request->has_start = below(self, 3) > 0;
    request->has_end = below(self, 3) > 0;
    int64_t span = (MODEL_NUMBERS + 12) * self->step_ns;
    request->start_ns = (int64_t)below(self, (uint64_t)span);
    request->end_ns = request->start_ns + (int64_t)below(self, (uint64_t)span / 2);
}

static bool is_wanted(const struct question *question, const struct model_key *key)
{
    const struct k2_scan_request *request = &question->request;
    return question->asked[key->symbol] &&
           (!request->has_start || key->time_ns >= request->start_ns) &&
           (!request->has_end || key->time_ns < request->end_ns);
}

static void expect_text(const struct model_store *self, const char *what, uint64_t snapshot,
                        struct k2_buffer *told, struct k2_buffer *expected)
{
    k2_put_u8(told, 0);
    k2_put_u8(expected, 0);
    assert_false(told->failed || expected->failed);
    const char *left = (const char *)told->data, *right = (const char *)expected->data;
    if (strcmp(left, right) != 0) {
        size_t at = 0;
        while (left[at] == right[at]) {
            at++;
        }
        size_t from = at < 60 ? 0 : at - 60;
        fail_msg("operation %llu: %s as of %llu: ...%.160s... instead of ...%.160s...",
                 (unsigned long long)self->operation, what, (unsigned long long)snapshot,
                 left + from, right + from);
    }
    k2_buffer_deinit(told);
    k2_buffer_deinit(expected);
}

static void expect_ok(const struct model_store *self, enum k2_status status,
                      const struct k2_error *error)
{
    if (status != K2_OK) {
        fail_msg("operation %llu: %s", (unsigned long long)self->operation, error->text);
    }
}

bool model_store_expired(struct model_store *self, size_t table, uint64_t snapshot)
{
    bool expired = snapshot < self->models[table].floor;
    for (size_t i = 0; i < MODEL_TAGS; i++) {
        expired &= self->tags[i] != snapshot;
    }
    if (expired) {
        struct k2_scan_request request = {.table = self->tables[table], .snapshot = snapshot};
        struct k2_scan *scan = NULL;
        assert_int_equal(k2_scan_open(self->engine, &request, &scan, NULL), K2_EXPIRED);
    }
    return expired;
}

// ---- rows

static void put_row(struct k2_buffer *out, const char *symbol, size_t symbol_bytes, int64_t time_ns,
                    int64_t epoch, int64_t sequence, int64_t price, int64_t quantity,
                    const char *id, size_t id_bytes)
{
    k2_put_format(out, "%.*s %lld %lld %lld %lld %lld %.*s;", (int)symbol_bytes, symbol,
                  (long long)time_ns, (long long)epoch, (long long)sequence, (long long)price,
                  (long long)quantity, (int)id_bytes, id);
}

static void put_model_row(struct k2_buffer *out, const struct model_key *key,
                          const struct model_content *content)
{
    char id[32] = "-";
    if (content->id >= 0) {
        (void)snprintf(id, sizeof id, "T%d", content->id);
    }
    const char *symbol = model_symbols[key->symbol];
    put_row(out, symbol, strlen(symbol), key->time_ns, key->epoch, key->sequence, content->price,
            content->quantity, id, strlen(id));
}

static void put_answer(struct model_store *self, const struct k2_scan_request *request,
                       struct k2_buffer *out)
{
    struct k2_scan *scan = NULL;
    struct k2_error error;
    expect_ok(self, k2_scan_open(self->engine, request, &scan, &error), &error);
    for (size_t rows = 1; rows > 0;) {
        const struct k2_vector *v;
        expect_ok(self, k2_scan_next(scan, &v, &rows, &error), &error);
        for (size_t i = 0; i < rows; i++) {
            bool null = v[6].valid != NULL && !v[6].valid[i];
            put_row(out, (const char *)v[0].texts[i].data, v[0].texts[i].size_bytes, v[1].values[i],
                    v[2].values[i], v[3].values[i], v[4].values[i], v[5].values[i],
                    null ? "-" : (const char *)v[6].texts[i].data,
                    null ? 1 : v[6].texts[i].size_bytes);
        }
    }
    k2_scan_close(scan);
}

void model_compare_rows(struct model_store *self, size_t table, uint64_t snapshot, bool all)
{
    const struct table_model *model = &self->models[table];
    const size_t columns[] = {K2_SYMBOL,      K2_TIMESTAMP,       K2_EPOCH,
                              K2_SEQUENCE,    self->price[table], self->quantity[table],
                              self->id[table]};
    struct question question;
    struct k2_buffer told, expected;
    if (model_store_expired(self, table, snapshot)) {
        return;
    }
    ask(self, table, snapshot, &question);
    struct k2_scan_request *request = &question.request;
    if (all) {
        *request = (struct k2_scan_request){.table = self->tables[table], .snapshot = snapshot};
        memset(question.asked, 1, sizeof question.asked);
    } else {
        request->order = below(self, 2) == 0 ? K2_ORDER_TIME : K2_ORDER_TIME_DESCENDING;
        request->limit = below(self, 3) == 0 ? below(self, 100) + 1 : 0;
    }
    request->columns = columns;
    request->column_count = sizeof columns / sizeof columns[0];
    bool down = request->order == K2_ORDER_TIME_DESCENDING;
    size_t place = 0;
    struct k2_scan_key after;
    if (!all && model->key_count > 0 && below(self, 4) == 0) {
        place = below(self, model->key_count);
        const struct model_key *key = &model->keys[place];
        after =
            (struct k2_scan_key){key->time_ns, exchange, k2_slice_of(model_symbols[key->symbol]),
                                 key->epoch, key->sequence};
        request->after = &after;
        place = down ? model->key_count - place : place + 1;
    }
    k2_buffer_init(&told, TEXT_BYTES);
    k2_buffer_init(&expected, TEXT_BYTES);
    put_answer(self, request, &told);
    uint64_t left = request->limit == 0 ? UINT64_MAX : request->limit;
    for (; place < model->key_count && left > 0; place++) {
        const struct model_key *key = &model->keys[down ? model->key_count - 1 - place : place];
        const struct model_version *version = table_model_at(key, snapshot);
        if (version != NULL && is_wanted(&question, key)) {
            put_model_row(&expected, key, &version->content);
            left--;
        }
    }
    expect_text(self, "rows", snapshot, &told, &expected);
}

// ---- sums, last rows

struct total {
    uint64_t rows;
    int64_t price, quantity, product, least, most;
};

static void put_total(struct k2_buffer *out, const char *symbol, size_t symbol_bytes,
                      const struct total *total)
{
    k2_put_format(out, "%.*s %llu %lld %lld %lld %lld %lld;", (int)symbol_bytes, symbol,
                  (unsigned long long)total->rows, (long long)total->price,
                  (long long)total->quantity, (long long)total->product, (long long)total->least,
                  (long long)total->most);
}

static void add_up(const struct model_store *self, size_t table, const struct question *question,
                   struct total totals[MODEL_SYMBOLS])
{
    const struct table_model *model = &self->models[table];
    memset(totals, 0, MODEL_SYMBOLS * sizeof *totals);
    for (size_t i = 0; i < model->key_count; i++) {
        const struct model_key *key = &model->keys[i];
        const struct model_version *version = table_model_at(key, question->request.snapshot);
        if (version == NULL || !is_wanted(question, key)) {
            continue;
        }
        struct total *total = &totals[key->symbol];
        int64_t price = version->content.price, quantity = version->content.quantity;
        total->least = total->rows == 0 || price < total->least ? price : total->least;
        total->most = total->rows == 0 || price > total->most ? price : total->most;
        total->rows++;
        total->price += price;
        total->quantity += quantity;
        total->product += price * quantity;
    }
}

void model_compare_sums(struct model_store *self, size_t table, uint64_t snapshot)
{
    struct question question;
    struct total totals[MODEL_SYMBOLS];
    struct k2_aggregates result;
    struct k2_buffer told, expected;
    struct k2_error error;
    const size_t columns[] = {self->price[table], self->quantity[table]};
    if (model_store_expired(self, table, snapshot)) {
        return;
    }
    ask(self, table, snapshot, &question);
    struct k2_aggregate_request request = {
        .rows = question.request,
        .wants = K2_AGGREGATE_SUM | K2_AGGREGATE_RANGE,
        .has_product = true,
        .price = 0,
        .quantity = 1,
    };
    request.rows.columns = columns;
    request.rows.column_count = 2;
    k2_buffer_init(&told, TEXT_BYTES);
    k2_buffer_init(&expected, TEXT_BYTES);
    expect_ok(self, k2_aggregates_run(self->engine, &request, &result, &error), &error);
    for (size_t i = 0; i < result.item_count; i++) {
        const struct k2_aggregate *item = &result.items[i];
        const struct total total = {
            item->row_count,           (int64_t)item->columns[0].sum, (int64_t)item->columns[1].sum,
            (int64_t)item->amount.low, item->columns[0].min,          item->columns[0].max};
        put_total(&told, (const char *)item->symbol.data, item->symbol.size_bytes, &total);
    }
    k2_aggregates_deinit(&result);
    add_up(self, table, &question, totals);
    for (int i = 0; i < MODEL_SYMBOLS; i++) {
        if (totals[i].rows > 0) {
            put_total(&expected, model_symbols[i], strlen(model_symbols[i]), &totals[i]);
        }
    }
    expect_text(self, "sums", snapshot, &told, &expected);
}

void model_compare_last(struct model_store *self, size_t table, uint64_t snapshot)
{
    const struct table_model *model = &self->models[table];
    const size_t columns[] = {K2_EPOCH, K2_SEQUENCE, self->price[table], self->quantity[table]};
    const struct model_key *last[MODEL_SYMBOLS] = {NULL};
    struct question question;
    struct k2_last_rows result;
    struct k2_buffer told, expected;
    struct k2_error error;
    if (model_store_expired(self, table, snapshot)) {
        return;
    }
    ask(self, table, snapshot, &question);
    struct k2_last_request request = {.rows = question.request};
    request.rows.columns = columns;
    request.rows.column_count = 4;
    k2_buffer_init(&told, TEXT_BYTES);
    k2_buffer_init(&expected, TEXT_BYTES);
    expect_ok(self, k2_last_rows_find(self->engine, &request, &result, &error), &error);
    for (size_t i = 0; i < result.row_count; i++) {
        const struct k2_last_row *row = &result.rows[i];
        put_row(&told, (const char *)row->symbol.data, row->symbol.size_bytes, row->time_ns,
                row->values[0], row->values[1], row->values[2], row->values[3], "", 0);
    }
    k2_last_rows_deinit(&result);
    for (size_t i = 0; i < model->key_count; i++) {
        const struct model_key *key = &model->keys[i];
        if (is_wanted(&question, key) && table_model_at(key, snapshot) != NULL) {
            last[key->symbol] = key;
        }
    }
    for (int i = 0; i < MODEL_SYMBOLS; i++) {
        if (last[i] != NULL) {
            const struct model_content *content = &table_model_at(last[i], snapshot)->content;
            put_row(&expected, model_symbols[i], strlen(model_symbols[i]), last[i]->time_ns,
                    last[i]->epoch, last[i]->sequence, content->price, content->quantity, "", 0);
        }
    }
    expect_text(self, "last rows", snapshot, &told, &expected);
}

// ---- candles

struct bar {
    int64_t start_ns;
    int symbol;
    uint64_t rows;
    int64_t open, high, low, close, volume, amount;
};

static void put_bar(struct k2_buffer *out, const char *symbol, size_t symbol_bytes,
                    const struct bar *bar)
{
    k2_put_format(out, "%lld %.*s %llu %lld %lld %lld %lld %lld;", (long long)bar->start_ns,
                  (int)symbol_bytes, symbol, (unsigned long long)bar->rows, (long long)bar->open,
                  (long long)bar->high, (long long)bar->low, (long long)bar->close,
                  (long long)bar->volume);
}

static void add_to_bar(struct bar *bar, const struct model_content *content)
{
    bar->open = bar->rows == 0 ? content->price : bar->open;
    bar->high = bar->rows == 0 || content->price > bar->high ? content->price : bar->high;
    bar->low = bar->rows == 0 || content->price < bar->low ? content->price : bar->low;
    bar->close = content->price;
    bar->volume += content->quantity;
    bar->rows++;
}

// The model's keys stand by (time, symbol), so the bars of an interval are open side by side.
static void put_bars(const struct model_store *self, size_t table, const struct question *question,
                     int64_t interval_ns, struct k2_buffer *out)
{
    const struct table_model *model = &self->models[table];
    struct bar bars[MODEL_SYMBOLS] = {{0}};
    int64_t start_ns = 0;
    for (size_t i = 0; i <= model->key_count; i++) {
        const struct model_key *key = &model->keys[i];
        if (i == model->key_count || key->time_ns >= start_ns + interval_ns) {
            for (int j = 0; j < MODEL_SYMBOLS; j++) {
                if (bars[j].rows > 0) {
                    bars[j].start_ns = start_ns;
                    put_bar(out, model_symbols[j], strlen(model_symbols[j]), &bars[j]);
                }
            }
            memset(bars, 0, sizeof bars);
            start_ns = i == model->key_count ? 0 : key->time_ns / interval_ns * interval_ns;
        }
        if (i < model->key_count && is_wanted(question, key)) {
            const struct model_version *version = table_model_at(key, question->request.snapshot);
            if (version != NULL) {
                add_to_bar(&bars[key->symbol], &version->content);
            }
        }
    }
}

void model_compare_candles(struct model_store *self, size_t table, uint64_t snapshot)
{
    static const int64_t seconds[] = {1, 60, 900, 3600, 86400};
    struct question question;
    struct k2_candles *candles = NULL;
    struct k2_buffer told, expected;
    struct k2_error error;
    if (model_store_expired(self, table, snapshot)) {
        return;
    }
    ask(self, table, snapshot, &question);
    struct k2_candle_request request = {
        .rows = question.request,
        .interval_ns = seconds[below(self, 5)] * 1000000000,
        .price_count = 1,
        .prices = {self->price[table]},
        .has_quantity = true,
        .quantity = self->quantity[table],
    };
    k2_buffer_init(&told, TEXT_BYTES);
    k2_buffer_init(&expected, TEXT_BYTES);
    expect_ok(self, k2_candles_start(&candles, self->engine, &request, &error), &error);
    for (size_t count = 1; count > 0;) {
        const struct k2_candle *items;
        expect_ok(self, k2_candles_more(candles, &items, &count, &error), &error);
        for (size_t i = 0; i < count; i++) {
            const struct k2_candle_price *price = &items[i].prices[0];
            const struct bar bar = {
                .start_ns = items[i].start_ns,
                .rows = items[i].row_count,
                .open = price->open,
                .high = price->high,
                .low = price->low,
                .close = price->close,
                .volume = (int64_t)items[i].volume,
            };
            put_bar(&told, (const char *)items[i].symbol.data, items[i].symbol.size_bytes, &bar);
        }
    }
    k2_candles_finish(candles);
    put_bars(self, table, &question, request.interval_ns, &expected);
    expect_text(self, "candles", snapshot, &told, &expected);
}

// ---- as-of join

void model_compare_asof(struct model_store *self, uint64_t snapshot)
{
    enum { NONE = -1 };
    const struct table_model *trades = &self->models[0], *quotes = &self->models[1];
    const struct k2_asof_column columns[] = {{false, K2_SYMBOL},   {false, K2_TIMESTAMP},
                                             {false, K2_SEQUENCE}, {false, self->price[0]},
                                             {true, K2_TIMESTAMP}, {true, self->price[1]}};
    const struct model_content *in_force[MODEL_SYMBOLS] = {NULL};
    int64_t since_ns[MODEL_SYMBOLS] = {0};
    struct question question;
    struct k2_asof *asof = NULL;
    struct k2_buffer told, expected;
    struct k2_error error;
    if (model_store_expired(self, 0, snapshot) || model_store_expired(self, 1, snapshot)) {
        return;
    }
    ask(self, 0, snapshot, &question);
    const struct k2_asof_request request = {
        .left = question.request, .right = self->tables[1], .columns = columns, .column_count = 6};
    k2_buffer_init(&told, TEXT_BYTES);
    k2_buffer_init(&expected, TEXT_BYTES);
    expect_ok(self, k2_asof_open(self->engine, &request, &asof, &error), &error);
    for (size_t rows = 1; rows > 0;) {
        const struct k2_vector *v;
        expect_ok(self, k2_asof_next(asof, &v, &rows, &error), &error);
        for (size_t i = 0; i < rows; i++) {
            bool found = v[4].valid == NULL || v[4].valid[i];
            put_row(&told, (const char *)v[0].texts[i].data, v[0].texts[i].size_bytes,
                    v[1].values[i], v[2].values[i], v[3].values[i], found ? v[4].values[i] : NONE,
                    found ? v[5].values[i] : NONE, "", 0);
        }
    }
    k2_asof_close(asof);
    for (size_t i = 0, j = 0; i < trades->key_count; i++) {
        const struct model_key *key = &trades->keys[i];
        const struct model_version *version = table_model_at(key, snapshot);
        for (; j < quotes->key_count && quotes->keys[j].time_ns <= key->time_ns; j++) {
            const struct model_version *quote = table_model_at(&quotes->keys[j], snapshot);
            if (quote != NULL) {
                in_force[quotes->keys[j].symbol] = &quote->content;
                since_ns[quotes->keys[j].symbol] = quotes->keys[j].time_ns;
            }
        }
        if (version != NULL && is_wanted(&question, key)) {
            const struct model_content *quote = in_force[key->symbol];
            const char *symbol = model_symbols[key->symbol];
            put_row(&expected, symbol, strlen(symbol), key->time_ns, key->sequence,
                    version->content.price, quote == NULL ? NONE : since_ns[key->symbol],
                    quote == NULL ? NONE : quote->price, "", 0);
        }
    }
    expect_text(self, "as-of join", snapshot, &told, &expected);
}
