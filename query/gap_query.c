#include "query/gap_query.h"

#include <stdio.h>
#include <string.h>

#include "engine/text_arena.h"
#include "format/base/alloc.h"
#include "format/base/checksum.h"
#include "query/encode/row_stream.h"
#include "query/instrument_filter.h"

enum { HASHED_BYTES = 1 << 20 };

enum gap_column {
    EXCHANGE,
    SYMBOL,
    EPOCH,
    FIRST_MISSING,
    LAST_MISSING,
    AFTER_TIME,
    BEFORE_TIME,
    SNAPSHOT,
    CLOSED_SNAPSHOT,
    DOMAIN, // only where counters of several instruments are listed
    COLUMN_COUNT,
};

static const struct k2_column columns[COLUMN_COUNT] = {
    {.name = "exchange", .id = 1, .kind = K2_KIND_SYMBOLIC, .nullable = true},
    {.name = "symbol", .id = 2, .kind = K2_KIND_SYMBOLIC, .nullable = true},
    {.name = "epoch", .id = 3, .kind = K2_KIND_INT64},
    {.name = "first_missing", .id = 4, .kind = K2_KIND_INT64},
    {.name = "last_missing", .id = 5, .kind = K2_KIND_INT64},
    {.name = "after_time", .id = 6, .kind = K2_KIND_TIMESTAMP},
    {.name = "before_time", .id = 7, .kind = K2_KIND_TIMESTAMP},
    {.name = "snapshot", .id = 8, .kind = K2_KIND_INT64},
    {.name = "closed_snapshot", .id = 9, .kind = K2_KIND_INT64, .nullable = true},
    {.name = "domain", .id = 10, .kind = K2_KIND_TEXT, .nullable = true},
};

static const struct k2_column *const column_list[COLUMN_COUNT] = {
    &columns[EXCHANGE],        &columns[SYMBOL],     &columns[EPOCH],       &columns[FIRST_MISSING],
    &columns[LAST_MISSING],    &columns[AFTER_TIME], &columns[BEFORE_TIME], &columns[SNAPSHOT],
    &columns[CLOSED_SNAPSHOT], &columns[DOMAIN],
};

// Gaps as vectors for the encoder.
struct gap_rows {
    struct k2_vector_store *stores; // owned, one a column
    struct k2_vector vectors[COLUMN_COUNT];
    struct k2_text_arena texts;
    size_t count;
};

struct k2_gap_query {
    struct k2_gap_list *list;
    struct k2_row_stream stream;
    struct gap_rows rows;
    bool has_more;
    uint64_t snapshot, limit, given, skipped, hash;
};

// ---- vectors

static void rows_deinit(struct gap_rows *rows)
{
    k2_free(rows->stores);
    k2_text_arena_deinit(&rows->texts);
}

static enum k2_status rows_init(struct gap_rows *rows, struct k2_error *error)
{
    rows->stores = k2_alloc_aligned(COLUMN_COUNT * sizeof *rows->stores);
    if (rows->stores == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "gaps: no memory");
    }
    for (size_t i = 0; i < COLUMN_COUNT; i++) {
        bool fixed = k2_kind_is_fixed(columns[i].kind);
        rows->vectors[i] = (struct k2_vector){
            .kind = columns[i].kind,
            .values = fixed ? rows->stores[i].values : NULL,
            .texts = fixed ? NULL : rows->stores[i].texts,
            .valid = columns[i].nullable ? rows->stores[i].valid : NULL,
        };
    }
    return K2_OK;
}

static enum k2_status add_row(struct gap_rows *rows, const struct k2_gap *gap,
                              struct k2_error *error)
{
    const struct {
        enum gap_column column;
        struct k2_slice text;
    } texts[] = {{EXCHANGE, gap->exchange}, {SYMBOL, gap->symbol}, {DOMAIN, gap->domain}};
    const struct {
        enum gap_column column;
        int64_t value;
    } values[] = {
        {EPOCH, gap->epoch},
        {FIRST_MISSING, gap->first},
        {LAST_MISSING, gap->last},
        {AFTER_TIME, gap->after_ns},
        {BEFORE_TIME, gap->before_ns},
        {SNAPSHOT, (int64_t)gap->snapshot},
        {CLOSED_SNAPSHOT, (int64_t)gap->closed_snapshot},
    };
    size_t row = rows->count++;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct k2_vector_store *store = &rows->stores[texts[i].column];
        store->valid[row] = texts[i].text.size_bytes > 0;
        if (!k2_text_arena_copy(&rows->texts, texts[i].text, &store->texts[row])) {
            return k2_fail(error, K2_NO_MEMORY, "gaps: no memory");
        }
    }
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        rows->stores[values[i].column].values[row] = values[i].value;
    }
    rows->stores[CLOSED_SNAPSHOT].valid[row] = gap->closed_snapshot > 0;
    return K2_OK;
}

static enum k2_status fill(struct k2_gap_list *list, struct gap_rows *rows, size_t most,
                           struct k2_error *error)
{
    enum k2_status status = K2_OK;
    k2_text_arena_clear(&rows->texts);
    rows->count = 0;
    for (bool found = true; status == K2_OK && found && rows->count < most;) {
        struct k2_gap gap;
        status = k2_gap_list_next(list, &found, &gap, error);
        if (status == K2_OK && found) {
            status = add_row(rows, &gap, error);
        }
    }
    return status;
}

static enum k2_status make_encoder(struct k2_row_encoder **encoder,
                                   const struct k2_row_format *format, bool with_domain,
                                   bool time_ns, struct k2_error *error)
{
    const struct k2_row_style style = {.time_ns = time_ns, .table = "gaps"};
    return k2_row_encoder_create(encoder, format, column_list,
                                 with_domain ? COLUMN_COUNT : COLUMN_COUNT - 1, &style, error);
}

// ---- opening

static uint64_t hash_request(const struct k2_gap_query_request *request, uint64_t snapshot,
                             struct k2_buffer *text)
{
    static const enum k2_range_parameter bound[] = {K2_RANGE_TABLE,  K2_RANGE_EXCHANGE,
                                                    K2_RANGE_SYMBOL, K2_RANGE_CANONICAL,
                                                    K2_RANGE_START,  K2_RANGE_END};
    k2_put_u64(text, snapshot);
    k2_put_u8(text, request->open_only);
    for (size_t i = 0; i < sizeof bound / sizeof bound[0]; i++) {
        const struct k2_range_text *parameter = &request->texts[bound[i]];
        k2_put_u8(text, parameter->given);
        k2_put_u64(text, parameter->value.size_bytes);
        k2_put_bytes(text, parameter->value.data, parameter->value.size_bytes);
    }
    return k2_hash(k2_buffer_slice(text));
}

// `SNAPSHOT-SKIPPED-HASH`
static bool read_cursor(struct k2_gap_query *self, struct k2_slice text)
{
    char copy[K2_GAP_CURSOR_BYTES];
    unsigned long long snapshot, skipped, hash;
    int end = 0;
    if (text.size_bytes >= sizeof copy) {
        return false;
    }
    memcpy(copy, text.data, text.size_bytes);
    copy[text.size_bytes] = '\0';
    bool good = sscanf(copy, "%18llu-%18llu-%16llx%n", &snapshot, &skipped, &hash, &end) == 3 &&
                (size_t)end == text.size_bytes && copy[0] != ' ';
    if (good) {
        self->snapshot = snapshot;
        self->skipped = skipped;
        self->hash = hash;
    }
    return good;
}

static enum k2_status find_snapshot(struct k2_gap_query *self, struct k2_engine *engine,
                                    const struct k2_gap_query_request *request,
                                    struct k2_error *error)
{
    const struct k2_range_text *cursor = &request->texts[K2_RANGE_CURSOR];
    enum k2_status status = K2_OK;
    struct k2_buffer text;
    if (!cursor->given) {
        status =
            k2_range_text_snapshot(&request->texts[K2_RANGE_AS_OF], engine, &self->snapshot, error);
    } else if (!read_cursor(self, cursor->value)) {
        return k2_fail(error, K2_BAD_REQUEST, "%s: it was not given by K2", cursor->name);
    }
    k2_buffer_init(&text, HASHED_BYTES);
    uint64_t hash = hash_request(request, self->snapshot, &text);
    if (status == K2_OK) {
        status = k2_buffer_check(&text, "query", error);
    }
    k2_buffer_deinit(&text);
    if (status == K2_OK && cursor->given && hash != self->hash) {
        status = k2_fail(error, K2_BAD_REQUEST, "%s: it belongs to another query", cursor->name);
    }
    self->hash = hash;
    return status;
}

static enum k2_status open_list(struct k2_gap_query *self, struct k2_engine *engine,
                                const struct k2_gap_query_request *request,
                                const struct k2_table *table, struct k2_error *error)
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
    struct k2_gap_list_request wanted = {
        .table = table, .snapshot = self->snapshot, .open_only = request->open_only};
    struct k2_instrument_selection selection = {0};
    uint32_t *ids = NULL;
    enum k2_status status =
        k2_range_text_time(&texts[K2_RANGE_START], &wanted.has_start, &wanted.start_ns, error);
    if (status == K2_OK) {
        status = k2_range_text_time(&texts[K2_RANGE_END], &wanted.has_end, &wanted.end_ns, error);
    }
    if (status == K2_OK) {
        status =
            k2_instrument_selection_open(&selection, engine, table, self->snapshot, &filter, error);
    }
    if (status == K2_OK) {
        status = k2_instrument_selection_ids(&selection, &ids, error);
    }
    if (status == K2_OK) {
        wanted.instruments = ids;
        wanted.instrument_count = selection.instrument_count;
        status = k2_gap_list_open(&self->list, engine, &wanted, error);
    }
    k2_instrument_selection_close(&selection);
    k2_free(ids);
    return status;
}

static enum k2_status read_style(const struct k2_gap_query_request *request,
                                 const struct k2_row_format **format, bool *time_ns,
                                 struct k2_error *error)
{
    const struct k2_range_text *given = &request->texts[K2_RANGE_FORMAT];
    const struct k2_range_text *time = &request->texts[K2_RANGE_TIME];
    *format = given->given ? k2_row_format_find(given->value) : request->format;
    if (*format == NULL) {
        return k2_range_text_bad_choice(given, "table, csv, json, ndjson", error);
    }
    if (time->given && !k2_range_text_is(time, "iso") && !k2_range_text_is(time, "ns")) {
        return k2_range_text_bad_choice(time, "iso, ns", error);
    }
    *time_ns = time->given && k2_range_text_is(time, "ns");
    return K2_OK;
}

static enum k2_status build(struct k2_gap_query *self, struct k2_engine *engine,
                            const struct k2_gap_query_request *request, struct k2_error *error)
{
    const struct k2_row_format *format;
    const struct k2_table *table;
    bool time_ns = false;
    enum k2_status status = read_style(request, &format, &time_ns, error);
    if (status == K2_OK) {
        status = k2_range_text_table(&request->texts[K2_RANGE_TABLE], engine, &table, error);
    }
    self->limit = request->limit;
    if (status == K2_OK) {
        status = k2_range_text_limit(&request->texts[K2_RANGE_LIMIT], request->limit_max,
                                     &self->limit, error);
    }
    if (status == K2_OK) {
        status = find_snapshot(self, engine, request, error);
    }
    if (status == K2_OK) {
        status = open_list(self, engine, request, table, error);
    }
    if (status == K2_OK) {
        status = rows_init(&self->rows, error);
    }
    for (uint64_t i = 0; i < self->skipped && status == K2_OK; i++) {
        struct k2_gap gap;
        bool found;
        status = k2_gap_list_next(self->list, &found, &gap, error);
        i = status == K2_OK && !found ? self->skipped : i;
    }
    return status == K2_OK ? make_encoder(&self->stream.encoder, format,
                                          k2_gap_list_has_domains(self->list), time_ns, error)
                           : status;
}

static k2_row_pull pull;

enum k2_status k2_gap_query_open(struct k2_gap_query **query, struct k2_engine *engine,
                                 const struct k2_gap_query_request *request, struct k2_error *error)
{
    *query = NULL;
    struct k2_gap_query *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "gaps: no memory");
    }
    enum k2_status status = build(self, engine, request, error);
    if (status != K2_OK) {
        k2_gap_query_close(self);
        return status;
    }
    self->stream.pull = pull;
    self->stream.context = self;
    *query = self;
    return K2_OK;
}

void k2_gap_query_close(struct k2_gap_query *query)
{
    if (query != NULL) {
        k2_gap_list_close(query->list);
        k2_row_stream_deinit(&query->stream);
        rows_deinit(&query->rows);
        k2_free(query);
    }
}

// ---- rows

static enum k2_status pull(void *context, const struct k2_vector **vectors, size_t *row_count,
                           struct k2_error *error)
{
    struct k2_gap_query *self = context;
    uint64_t left = self->limit == 0 ? UINT64_MAX : self->limit - self->given;
    size_t most = left < K2_VECTOR_ROWS ? (size_t)left : K2_VECTOR_ROWS;
    enum k2_status status = fill(self->list, &self->rows, most, error);
    self->given += self->rows.count;
    if (status == K2_OK && left > 0 && self->rows.count == left) { // does another one follow?
        struct k2_gap gap;
        status = k2_gap_list_next(self->list, &self->has_more, &gap, error);
    }
    *vectors = self->rows.vectors;
    *row_count = self->rows.count;
    return status;
}

enum k2_status k2_gap_query_next(struct k2_gap_query *query, size_t enough_bytes,
                                 struct k2_buffer *out, bool *done, struct k2_error *error)
{
    return k2_row_stream_next(&query->stream, enough_bytes, out, done, error);
}

struct k2_gap_query_summary k2_gap_query_summary(const struct k2_gap_query *query)
{
    return (struct k2_gap_query_summary){query->snapshot, query->given, query->limit,
                                         query->has_more};
}

void k2_gap_query_cursor(const struct k2_gap_query *query, char text[K2_GAP_CURSOR_BYTES])
{
    (void)snprintf(
        text, K2_GAP_CURSOR_BYTES, "%llu-%llu-%016llx", (unsigned long long)query->snapshot,
        (unsigned long long)query->skipped + query->given, (unsigned long long)query->hash);
}

enum k2_status k2_gap_query_put_open(struct k2_engine *engine,
                                     const struct k2_gap_list_request *request, size_t most,
                                     bool time_ns, struct k2_buffer *out, struct k2_error *error)
{
    struct k2_gap_list_request wanted = *request;
    struct gap_rows rows = {0};
    struct k2_gap_list *list = NULL;
    struct k2_row_encoder *encoder = NULL;
    wanted.open_only = true;
    most = most < K2_VECTOR_ROWS ? most : K2_VECTOR_ROWS;
    enum k2_status status = k2_gap_list_open(&list, engine, &wanted, error);
    if (status == K2_OK) {
        status = rows_init(&rows, error);
    }
    if (status == K2_OK) {
        status = make_encoder(&encoder, k2_row_format_find(k2_slice_of("json")),
                              k2_gap_list_has_domains(list), time_ns, error);
    }
    if (status == K2_OK) {
        status = fill(list, &rows, most, error);
    }
    if (status == K2_OK) {
        k2_row_encoder_begin(encoder, out);
        (void)k2_row_encoder_put(encoder, rows.vectors, 0, rows.count, SIZE_MAX, out);
        (void)k2_row_encoder_end(encoder, SIZE_MAX, out);
        status = k2_row_encoder_check(encoder, error);
    }
    k2_row_encoder_destroy(encoder);
    k2_gap_list_close(list);
    rows_deinit(&rows);
    return status == K2_OK ? k2_buffer_check(out, "gaps", error) : status;
}
