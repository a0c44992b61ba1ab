#include "query/range_query.h"

#include <assert.h>

#include "engine/snapshot.h"
#include "format/base/alloc.h"
#include "format/base/checksum.h"
#include "format/base/timestamp.h"
#include "query/cursor.h"
#include "query/encode/row_stream.h"
#include "query/gap_query.h"
#include "query/instrument_filter.h"
#include "query/range_text.h"

enum {
    QUOTE_COLUMNS = 5,
    HASHED_BYTES = 1 << 20, // ceiling of the text that a cursor's hash covers
    GAPS_SHOWN = 100,
    GAPS_BYTES = 1 << 20,
};

struct k2_range_query {
    struct k2_engine *engine; // borrowed
    const struct k2_table *table;
    struct k2_instrument_selection instruments;
    struct k2_scan_request scan_request;
    struct k2_scan *scan;
    struct k2_asof *asof; // in place of the scan
    // Of an as-of join: columns of the quotes. Their indexes follow those of the table's columns.
    const struct k2_table *quotes; // NULL: no join
    struct k2_column quote_columns[QUOTE_COLUMNS];
    size_t quote_indexes[QUOTE_COLUMNS];
    struct k2_row_stream stream;
    const struct k2_column **columns; // wanted, owned array
    size_t *indexes;                  // of the scan: wanted, then what the cursor needs
    size_t column_count, index_count;
    size_t key_places[K2_KEY_COLUMN_COUNT]; // of the key columns in the scan; paged answers only
    const struct k2_row_format *format;
    struct k2_row_style style;
    struct k2_cursor start;  // where a page begins, if `continues`
    struct k2_cursor cursor; // behind the rows so far, if `rows` > 0; paged answers only
    bool continues, paged, has_more;
    uint64_t limit, rows, snapshot, query_hash;
    struct k2_completeness completeness;
    struct k2_buffer gaps; // of a paged answer: as a JSON array
};

// ---- texts to a request -----------------------------------------------------------------------

static enum k2_status read_format(struct k2_range_query *self,
                                  const struct k2_range_request *request, struct k2_error *error)
{
    const struct k2_range_text *text = &request->texts[K2_RANGE_FORMAT];
    self->format = text->given ? k2_row_format_find(text->value) : request->format;
    bool for_terminals = self->format != NULL && strcmp(self->format->name, "table") == 0;
    if (self->format == NULL || (for_terminals && request->page_limit_max > 0)) {
        return k2_range_text_bad_choice(text, "json, ndjson, csv, parquet, arrow", error);
    }
    self->paged = request->page_limit_max > 0 && strcmp(self->format->name, "json") == 0;
    return K2_OK;
}

static enum k2_status read_style(struct k2_range_query *self,
                                 const struct k2_range_request *request, struct k2_error *error)
{
    const struct k2_range_text *time = &request->texts[K2_RANGE_TIME];
    if (time->given && !k2_range_text_is(time, "iso") && !k2_range_text_is(time, "ns")) {
        return k2_range_text_bad_choice(time, "iso, ns", error);
    }
    const struct k2_range_text *numbers = &request->texts[K2_RANGE_NUMBERS];
    if (numbers->given && !k2_range_text_is(numbers, "string") &&
        !k2_range_text_is(numbers, "float")) {
        return k2_range_text_bad_choice(numbers, "string, float", error);
    }
    const struct k2_range_text *order = &request->texts[K2_RANGE_ORDER];
    if (order->given && !k2_range_text_is(order, "asc") && !k2_range_text_is(order, "desc")) {
        return k2_range_text_bad_choice(order, "asc, desc", error);
    }
    self->style.time_ns = time->given && k2_range_text_is(time, "ns");
    self->style.float_number = numbers->given && k2_range_text_is(numbers, "float");
    self->scan_request.order = request->order;
    if (order->given) {
        self->scan_request.order =
            k2_range_text_is(order, "desc") ? K2_ORDER_TIME_DESCENDING : K2_ORDER_TIME;
    }
    if (request->with_quotes && self->scan_request.order != K2_ORDER_TIME) {
        return k2_fail(error, K2_BAD_REQUEST, "%s: an as-of join goes up in time: asc alone",
                       order->name);
    }
    self->style.sorted_by = self->table->schema;
    self->style.descending = self->scan_request.order == K2_ORDER_TIME_DESCENDING;
    self->style.large_groups = request->large_groups;
    return K2_OK;
}

// ---- columns ------------------------------------------------------------------------------------

static const struct {
    const char *name, *column;
} quote_columns[QUOTE_COLUMNS] = {{"quote_timestamp", "timestamp"},
                                  {"bid_price", "bid_price"},
                                  {"bid_quantity", "bid_quantity"},
                                  {"ask_price", "ask_price"},
                                  {"ask_quantity", "ask_quantity"}};

static enum k2_status find_quotes(struct k2_range_query *self, struct k2_error *error)
{
    self->quotes = k2_engine_table(self->engine, k2_slice_of("quotes"));
    if (self->quotes == NULL) {
        return k2_fail(error, K2_NOT_FOUND, "there is no table `quotes`");
    }
    const struct k2_schema *schema = self->quotes->schema;
    for (size_t i = 0; i < QUOTE_COLUMNS; i++) {
        int index = k2_schema_find(schema, k2_slice_of(quote_columns[i].column));
        if (index < 0) {
            return k2_fail(error, K2_NOT_FOUND, "table quotes has no column `%s`",
                           quote_columns[i].column);
        }
        self->quote_indexes[i] = (size_t)index;
        self->quote_columns[i] = schema->columns[index];
        self->quote_columns[i].name = quote_columns[i].name;
        self->quote_columns[i].nullable = true;
    }
    return K2_OK;
}

// A column by its index, those of the quotes behind those of the table.
static const struct k2_column *column_at(const struct k2_range_query *self, size_t index)
{
    size_t count = self->table->schema->column_count;
    return index < count ? &self->table->schema->columns[index]
                         : &self->quote_columns[index - count];
}

static int find_column(const struct k2_range_query *self, struct k2_slice name)
{
    int index = k2_schema_find(self->table->schema, name);
    for (size_t i = 0; index < 0 && self->quotes != NULL && i < QUOTE_COLUMNS; i++) {
        if (k2_slice_equal(k2_slice_of(quote_columns[i].name), name)) {
            index = (int)(self->table->schema->column_count + i);
        }
    }
    return index;
}

static enum k2_status add_field(struct k2_range_query *self, const struct k2_range_text *text,
                                struct k2_slice name, struct k2_error *error)
{
    int index = find_column(self, name);
    if (index < 0) {
        return k2_fail(error, K2_BAD_REQUEST, "%s: table %s has no column `%.*s`", text->name,
                       self->table->schema->table, (int)name.size_bytes, (const char *)name.data);
    }
    for (size_t i = 0; i < self->column_count; i++) {
        if (self->indexes[i] == (size_t)index) {
            return k2_fail(error, K2_BAD_REQUEST, "%s: column `%.*s` stands there twice",
                           text->name, (int)name.size_bytes, (const char *)name.data);
        }
    }
    self->indexes[self->column_count] = (size_t)index;
    self->columns[self->column_count++] = column_at(self, (size_t)index);
    return K2_OK;
}

static enum k2_status add_named_fields(struct k2_range_query *self,
                                       const struct k2_range_text *text, struct k2_error *error)
{
    struct k2_slice rest = text->value;
    for (bool more = true; more;) {
        size_t size = 0;
        while (size < rest.size_bytes && rest.data[size] != ',') {
            size++;
        }
        enum k2_status status = add_field(self, text, (struct k2_slice){rest.data, size}, error);
        if (status != K2_OK) {
            return status;
        }
        more = size < rest.size_bytes;
        rest.data += more ? size + 1 : size;
        rest.size_bytes -= more ? size + 1 : size;
    }
    return K2_OK;
}

static enum k2_status choose_columns(struct k2_range_query *self,
                                     const struct k2_range_request *request, struct k2_error *error)
{
    size_t all = self->table->schema->column_count + (self->quotes != NULL ? QUOTE_COLUMNS : 0);
    size_t room = all + K2_KEY_COLUMN_COUNT;
    self->columns = k2_alloc_zero(room, sizeof *self->columns);
    self->indexes = k2_alloc_zero(room, sizeof *self->indexes);
    if (self->columns == NULL || self->indexes == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "query: no memory");
    }
    const struct k2_range_text *fields = &request->texts[K2_RANGE_FIELDS];
    if (fields->given) {
        enum k2_status status = add_named_fields(self, fields, error);
        if (status != K2_OK) {
            return status;
        }
    } else {
        for (size_t i = 0; i < all; i++) {
            self->indexes[i] = i;
            self->columns[i] = column_at(self, i);
        }
        self->column_count = all;
    }
    self->index_count = self->column_count;
    for (size_t key = 0; self->paged && key < K2_KEY_COLUMN_COUNT; key++) {
        size_t place = 0;
        while (place < self->index_count && self->indexes[place] != key) {
            place++;
        }
        if (place == self->index_count) {
            self->indexes[self->index_count++] = key;
        }
        self->key_places[key] = place;
    }
    return K2_OK;
}

// ---- snapshot and cursor --------------------------------------------------------------------

// What a cursor is bound to: which rows in which order, not how many and how they look.
static enum k2_status hash_query(struct k2_range_query *self,
                                 const struct k2_range_request *request, struct k2_error *error)
{
    static const enum k2_range_parameter bound[] = {
        K2_RANGE_TABLE, K2_RANGE_EXCHANGE, K2_RANGE_SYMBOL, K2_RANGE_CANONICAL,
        K2_RANGE_START, K2_RANGE_END,      K2_RANGE_AS_OF};
    struct k2_buffer text;
    k2_buffer_init(&text, HASHED_BYTES);
    k2_put_bytes(&text, k2_engine_store_id(self->engine), 16);
    k2_put_u8(&text, (uint8_t)self->scan_request.order);
    k2_put_u8(&text, request->with_quotes);
    for (size_t i = 0; i < sizeof bound / sizeof bound[0]; i++) {
        const struct k2_range_text *parameter = &request->texts[bound[i]];
        k2_put_u8(&text, parameter->given);
        k2_put_u64(&text, parameter->value.size_bytes);
        k2_put_bytes(&text, parameter->value.data, parameter->value.size_bytes);
    }
    enum k2_status status = k2_buffer_check(&text, "query", error);
    if (status == K2_OK) {
        self->query_hash = k2_hash(k2_buffer_slice(&text));
    }
    k2_buffer_deinit(&text);
    return status;
}

static enum k2_status read_cursor(struct k2_range_query *self, const struct k2_range_text *text,
                                  struct k2_error *error)
{
    enum k2_status status = k2_cursor_parse(&self->start, text->value, error);
    if (status == K2_OK && self->start.query_hash != self->query_hash) {
        status = k2_fail(error, K2_BAD_REQUEST,
                         "it belongs to another query; only fields, limit "
                         "and the format may change between pages");
    }
    if (status != K2_OK) {
        k2_error_annotate(error, "%s", text->name);
        return status;
    }
    bool found = false;
    struct k2_snapshot snapshot;
    status = k2_snapshot_get(self->engine, self->start.snapshot, &found, &snapshot, error);
    if (status == K2_OK && !found) {
        status = k2_fail(error, K2_NOT_FOUND, "%s: snapshot %llu is not there any more", text->name,
                         (unsigned long long)self->start.snapshot);
    }
    self->continues = status == K2_OK;
    self->snapshot = self->start.snapshot;
    return status;
}

static enum k2_status find_snapshot(struct k2_range_query *self,
                                    const struct k2_range_request *request, struct k2_error *error)
{
    if (request->texts[K2_RANGE_CURSOR].given) {
        return read_cursor(self, &request->texts[K2_RANGE_CURSOR], error);
    }
    const struct k2_range_text *as_of = &request->texts[K2_RANGE_AS_OF];
    return k2_range_text_snapshot(as_of, self->engine, &self->snapshot, error);
}

// ---- opening ------------------------------------------------------------------------------------

static enum k2_status read_texts(struct k2_range_query *self,
                                 const struct k2_range_request *request, struct k2_error *error)
{
    struct k2_scan_request *scan = &self->scan_request;
    const struct k2_range_text *texts = request->texts;
    enum k2_status status =
        k2_range_text_table(&texts[K2_RANGE_TABLE], self->engine, &self->table, error);
    if (status == K2_OK && request->with_quotes) {
        status = find_quotes(self, error);
    }
    if (status == K2_OK) {
        status = read_format(self, request, error);
    }
    if (status == K2_OK) {
        status = read_style(self, request, error);
    }
    if (status == K2_OK) {
        status =
            k2_range_text_time(&texts[K2_RANGE_START], &scan->has_start, &scan->start_ns, error);
    }
    if (status == K2_OK) {
        status = k2_range_text_time(&texts[K2_RANGE_END], &scan->has_end, &scan->end_ns, error);
    }
    if (status == K2_OK) {
        self->limit = self->paged ? request->page_limit : request->limit;
        status = k2_range_text_limit(
            &texts[K2_RANGE_LIMIT], self->paged ? request->page_limit_max : 0, &self->limit, error);
    }
    if (status == K2_OK) {
        status = choose_columns(self, request, error);
    }
    return status;
}

// Before the rows: what is known of a past state stays as it is.
static enum k2_status ask_ledger(struct k2_range_query *self, struct k2_error *error)
{
    const struct k2_scan_request *scan = &self->scan_request;
    uint32_t *ids = NULL;
    enum k2_status status = k2_instrument_selection_ids(&self->instruments, &ids, error);
    const struct k2_completeness_request request = {
        .table = self->table,
        .snapshot = self->snapshot,
        .has_start = scan->has_start,
        .has_end = scan->has_end,
        .start_ns = scan->start_ns,
        .end_ns = scan->end_ns,
        .instruments = ids,
        .instrument_count = self->instruments.instrument_count,
    };
    if (status == K2_OK) {
        status = k2_completeness_get(self->engine, &request, &self->completeness, error);
    }
    if (status == K2_OK && self->paged && self->completeness.gap_count > 0) {
        const struct k2_gap_list_request gaps = {
            .table = self->table,
            .snapshot = self->snapshot,
            .has_start = scan->has_start,
            .has_end = scan->has_end,
            .start_ns = scan->start_ns,
            .end_ns = scan->end_ns,
            .instruments = ids,
            .instrument_count = self->instruments.instrument_count,
        };
        status = k2_gap_query_put_open(self->engine, &gaps, GAPS_SHOWN, self->style.time_ns,
                                       &self->gaps, error);
    }
    k2_free(ids);
    return status;
}

static enum k2_status open_join(struct k2_range_query *self, struct k2_error *error)
{
    struct k2_asof_column *columns = k2_alloc_zero(self->index_count, sizeof *columns);
    if (columns == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "query: no memory");
    }
    size_t count = self->table->schema->column_count;
    for (size_t i = 0; i < self->index_count; i++) {
        columns[i].right = self->indexes[i] >= count;
        columns[i].column =
            columns[i].right ? self->quote_indexes[self->indexes[i] - count] : self->indexes[i];
    }
    const struct k2_asof_request join = {.left = self->scan_request,
                                         .right = self->quotes,
                                         .columns = columns,
                                         .column_count = self->index_count};
    enum k2_status status = k2_asof_open(self->engine, &join, &self->asof, error);
    k2_free(columns);
    return status;
}

static enum k2_status open_scan(struct k2_range_query *self, const struct k2_range_request *request,
                                struct k2_error *error)
{
    struct k2_scan_key after = k2_cursor_key(&self->start);
    struct k2_scan_request *scan = &self->scan_request;
    scan->table = self->table;
    scan->snapshot = self->snapshot;
    scan->columns = self->indexes;
    scan->column_count = self->index_count;
    scan->memory_bytes = request->memory_bytes;
    scan->after = self->continues ? &after : NULL;
    // One row more tells whether another page follows.
    scan->limit = self->limit > 0 && self->paged ? self->limit + 1 : self->limit;
    if (!self->instruments.all) {
        scan->instruments = self->instruments.instruments;
        scan->instrument_count = self->instruments.instrument_count;
    }
    enum k2_status status = self->quotes != NULL
                                ? open_join(self, error)
                                : k2_scan_open(self->engine, scan, &self->scan, error);
    if (status == K2_OK) {
        self->snapshot =
            self->asof != NULL ? k2_asof_snapshot(self->asof) : k2_scan_snapshot(self->scan);
    }
    self->scan_request = (struct k2_scan_request){0}; // what it points to ends here
    k2_instrument_selection_close(&self->instruments);
    return status;
}

static enum k2_status build(struct k2_range_query *self, const struct k2_range_request *request,
                            struct k2_error *error)
{
    const struct k2_range_text *texts = request->texts;
    const struct k2_instrument_filter filter = {
        .exchange = {texts[K2_RANGE_EXCHANGE].given, texts[K2_RANGE_EXCHANGE].name,
                     texts[K2_RANGE_EXCHANGE].value},
        .symbol = {texts[K2_RANGE_SYMBOL].given, texts[K2_RANGE_SYMBOL].name,
                   texts[K2_RANGE_SYMBOL].value},
        .canonical = {texts[K2_RANGE_CANONICAL].given, texts[K2_RANGE_CANONICAL].name,
                      texts[K2_RANGE_CANONICAL].value},
    };
    enum k2_status status = read_texts(self, request, error);
    if (status == K2_OK) {
        status = hash_query(self, request, error);
    }
    if (status == K2_OK) {
        status = find_snapshot(self, request, error);
    }
    if (status == K2_OK) {
        status = k2_instrument_selection_open(&self->instruments, self->engine, self->table,
                                              self->snapshot, &filter, error);
    }
    if (status == K2_OK) {
        self->style.table = self->table->schema->table;
        self->style.snapshot = self->snapshot;
        status = k2_row_encoder_create(&self->stream.encoder, self->format, self->columns,
                                       self->column_count, &self->style, error);
    }
    if (status == K2_OK) {
        status = ask_ledger(self, error);
    }
    if (status == K2_OK) {
        status = open_scan(self, request, error);
    }
    return status;
}

static k2_row_pull pull;

enum k2_status k2_range_query_open(struct k2_range_query **query, struct k2_engine *engine,
                                   const struct k2_range_request *request, struct k2_error *error)
{
    *query = NULL;
    struct k2_range_query *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "query: no memory");
    }
    self->engine = engine;
    k2_buffer_init(&self->gaps, GAPS_BYTES);
    enum k2_status status = build(self, request, error);
    if (status != K2_OK) {
        k2_range_query_close(self);
        return status;
    }
    self->stream.pull = pull;
    self->stream.context = self;
    *query = self;
    return K2_OK;
}

void k2_range_query_close(struct k2_range_query *query)
{
    if (query == NULL) {
        return;
    }
    k2_scan_close(query->scan);
    k2_asof_close(query->asof);
    k2_row_stream_deinit(&query->stream);
    k2_instrument_selection_close(&query->instruments);
    k2_buffer_deinit(&query->gaps);
    k2_free(query->columns);
    k2_free(query->indexes);
    k2_free(query);
}

// ---- rows -------------------------------------------------------------------------------------

static enum k2_status remember_key(struct k2_range_query *self, const struct k2_vector *vectors,
                                   size_t row, struct k2_error *error)
{
    const size_t *places = self->key_places;
    struct k2_scan_key key = {.time_ns = vectors[places[K2_TIMESTAMP]].values[row],
                              .exchange = vectors[places[K2_EXCHANGE]].texts[row],
                              .symbol = vectors[places[K2_SYMBOL]].texts[row],
                              .epoch = vectors[places[K2_EPOCH]].values[row],
                              .sequence = vectors[places[K2_SEQUENCE]].values[row]};
    return k2_cursor_init(&self->cursor, self->query_hash, self->snapshot, &key, error);
}

static enum k2_status pull(void *context, const struct k2_vector **vectors, size_t *row_count,
                           struct k2_error *error)
{
    struct k2_range_query *self = context;
    if (self->has_more) { // the page is full
        return K2_OK;
    }
    enum k2_status status = self->asof != NULL
                                ? k2_asof_next(self->asof, vectors, row_count, error)
                                : k2_scan_next(self->scan, vectors, row_count, error);
    if (status != K2_OK) {
        return status;
    }
    if (self->paged && self->limit > 0 && *row_count > self->limit - self->rows) {
        *row_count = (size_t)(self->limit - self->rows);
        self->has_more = true;
    }
    self->rows += *row_count;
    return self->paged && *row_count > 0 ? remember_key(self, *vectors, *row_count - 1, error)
                                         : K2_OK;
}

enum k2_status k2_range_query_next(struct k2_range_query *query, size_t enough_bytes,
                                   struct k2_buffer *out, bool *done, struct k2_error *error)
{
    return k2_row_stream_next(&query->stream, enough_bytes, out, done, error);
}

struct k2_range_summary k2_range_query_summary(const struct k2_range_query *query)
{
    return (struct k2_range_summary){.format = query->format,
                                     .table = query->table,
                                     .snapshot = query->snapshot,
                                     .limit = query->limit,
                                     .rows = query->rows,
                                     .paged = query->paged,
                                     .has_more = query->has_more,
                                     .completeness = query->completeness};
}

static void put_known(const struct k2_range_query *query, const char *name, int64_t time_ns,
                      struct k2_buffer *out)
{
    char text[K2_TIMESTAMP_TEXT_BYTES];
    k2_put_format(out, ",\"%s\":", name);
    if (!query->completeness.has_known) {
        k2_put_text(out, "null");
    } else if (query->style.time_ns) {
        k2_put_format(out, "%lld", (long long)time_ns);
    } else {
        k2_timestamp_print(text, time_ns);
        k2_put_format(out, "\"%.*s\"", (int)sizeof text, text);
    }
}

enum k2_status k2_range_query_put_meta(const struct k2_range_query *query, struct k2_buffer *out,
                                       struct k2_error *error)
{
    const struct k2_completeness *completeness = &query->completeness;
    const char *reason = k2_incomplete_reason_name(completeness->reason);
    const char *quote = reason != NULL ? "\"" : "";
    k2_put_format(out, "\"complete\":%s,\"reason\":%s%s%s",
                  k2_complete_name(completeness->complete), quote, reason != NULL ? reason : "null",
                  quote);
    put_known(query, "known_from", completeness->known_from_ns, out);
    put_known(query, "known_until", completeness->known_until_ns, out);
    k2_put_format(out,
                  ",\"gap_count\":%llu,\"gaps\":", (unsigned long long)completeness->gap_count);
    if (query->gaps.size_bytes > 0) {
        k2_put_bytes(out, query->gaps.data, query->gaps.size_bytes);
    } else {
        k2_put_text(out, "[]");
    }
    return k2_buffer_check(out, "answer", error);
}

enum k2_status k2_range_query_cursor(const struct k2_range_query *query, struct k2_buffer *out,
                                     struct k2_error *error)
{
    assert(query->has_more && query->rows > 0);
    char text[K2_CURSOR_TEXT_BYTES];
    k2_put_bytes(out, text, k2_cursor_print(&query->cursor, text));
    return k2_buffer_check(out, "cursor", error);
}
