#include "engine/k2.h"

#include <string.h>

#include "engine/instruments.h"
#include "engine/k2_db.h"
#include "engine/snapshot.h"
#include "format/base/alloc.h"
#include "format/base/decimal.h"
#include "format/base/timestamp.h"
#include "format/base/version.h"

// The public names stand for the internal ones, number by number.
#define SAME(left, right) _Static_assert((int)(left) == (int)(right), #left)
SAME(K2_DB_READ, K2_ENGINE_READ);
SAME(K2_DB_WRITE, K2_ENGINE_WRITE);
SAME(K2_DB_CREATE, K2_ENGINE_CREATE);
SAME(K2_TYPE_INT8, K2_KIND_INT8);
SAME(K2_TYPE_INT16, K2_KIND_INT16);
SAME(K2_TYPE_INT32, K2_KIND_INT32);
SAME(K2_TYPE_INT64, K2_KIND_INT64);
SAME(K2_TYPE_DECIMAL, K2_KIND_DECIMAL64);
SAME(K2_TYPE_TIMESTAMP, K2_KIND_TIMESTAMP);
SAME(K2_TYPE_BOOL, K2_KIND_BOOL);
SAME(K2_TYPE_FLOAT64, K2_KIND_FLOAT64);
SAME(K2_TYPE_SYMBOLIC, K2_KIND_SYMBOLIC);
SAME(K2_TYPE_TEXT, K2_KIND_TEXT);
SAME(K2_TYPE_UUID, K2_KIND_UUID);
SAME(K2_TYPE_JSON, K2_KIND_JSON);
SAME(K2_CURSOR_TIME, K2_ORDER_TIME);
SAME(K2_CURSOR_TIME_DESCENDING, K2_ORDER_TIME_DESCENDING);
SAME(K2_CURSOR_STORED, K2_ORDER_STORED);
SAME(K2_TIME_TEXT_BYTES, K2_TIMESTAMP_TEXT_BYTES + 1);
SAME(K2_DECIMAL_BYTES, K2_DECIMAL_TEXT_BYTES + 1);
SAME(sizeof(struct k2_text), sizeof(struct k2_slice));
SAME(offsetof(struct k2_text, size_bytes), offsetof(struct k2_slice, size_bytes));

const char *k2_version(void)
{
    return K2_VERSION;
}

enum k2_status k2_db_open(struct k2_db **db, const char *path, enum k2_db_mode mode,
                          struct k2_error *error)
{
    *db = NULL;
    struct k2_db *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "%s: out of memory", path);
    }
    self->mode = mode;
    enum k2_status status = k2_engine_open(&self->engine, path, (enum k2_engine_mode)mode, error);
    if (status != K2_OK) {
        k2_free(self);
        return status;
    }
    k2_engine_set_read_cache(self->engine, &k2_read_cache_large);
    *db = self;
    return K2_OK;
}

void k2_db_set_cache(struct k2_db *db, size_t mapped_bytes, size_t heap_bytes)
{
    k2_engine_set_read_cache(db->engine, &(struct k2_read_cache){mapped_bytes, heap_bytes});
}

void k2_db_close(struct k2_db *db)
{
    if (db != NULL) {
        k2_engine_close(db->engine);
        k2_free(db);
    }
}

const char *k2_db_table(const struct k2_db *db, size_t index)
{
    const struct k2_table *table = k2_engine_table_at(db->engine, index);
    return table == NULL ? NULL : table->schema->table;
}

enum k2_status k2_db_refresh(struct k2_db *db, struct k2_error *error)
{
    return k2_engine_refresh(db->engine, error);
}

enum k2_status k2_db_find_table(const struct k2_db *db, const char *name,
                                const struct k2_table **table, struct k2_error *error)
{
    *table = name == NULL ? NULL : k2_engine_table(db->engine, k2_slice_of(name));
    if (*table == NULL) {
        return k2_fail(error, K2_NOT_FOUND, "%s: there is no table %s", k2_engine_path(db->engine),
                       name == NULL ? "without a name" : name);
    }
    return K2_OK;
}

static struct k2_column_info info_of(const struct k2_column *column)
{
    return (struct k2_column_info){column->name, (enum k2_type)column->kind, column->scale,
                                   column->nullable};
}

enum k2_status k2_db_column(const struct k2_db *db, const char *table_name, size_t index,
                            bool *found, struct k2_column_info *info, struct k2_error *error)
{
    const struct k2_table *table;
    enum k2_status status = k2_db_find_table(db, table_name, &table, error);
    if (status != K2_OK) {
        return status;
    }
    *found = index < table->schema->column_count;
    if (*found) {
        *info = info_of(&table->schema->columns[index]);
    }
    return K2_OK;
}

enum k2_status k2_db_snapshot(struct k2_db *db, const char *text, uint64_t *snapshot,
                              struct k2_error *error)
{
    struct k2_snapshot found;
    enum k2_status status = text == NULL
                                ? k2_snapshot_newest(db->engine, &found, error)
                                : k2_snapshot_resolve(db->engine, k2_slice_of(text), &found, error);
    if (status == K2_OK && found.id == 0) {
        status = k2_fail(error, K2_NOT_FOUND, "%s: nothing was committed yet",
                         k2_engine_path(db->engine));
    }
    if (status == K2_OK) {
        *snapshot = found.id;
    }
    return status;
}

void k2_choice_free(struct k2_choice *choice)
{
    k2_instruments_release(choice->list);
    k2_free(choice->instruments);
}

// Marks what one of the symbols means among items [first, end), which are of one exchange. Gives
// how many were not marked before.
static size_t mark_chosen(const struct k2_query *query, const struct k2_instruments *list,
                          size_t first, size_t end, bool *marks)
{
    size_t count = 0;
    for (size_t i = 0; i < query->symbol_count; i++) {
        const struct k2_symbol *symbol = &query->symbols[i];
        if (symbol->exchange != NULL &&
            strcmp(symbol->exchange, list->items[first].exchange) != 0) {
            continue;
        }
        size_t begin = first, stop = end;
        if (symbol->symbol != NULL) {
            begin = k2_instruments_find_symbol(list, first, end, symbol->symbol);
            stop = begin < end ? begin + 1 : end;
        }
        for (size_t place = begin; place < stop; place++) {
            count += !marks[place];
            marks[place] = true;
        }
    }
    return count;
}

// Symbols that name no exchange (or no symbol) are looked up among all instruments.
static enum k2_status list_chosen(struct k2_db *db, const struct k2_query *query,
                                  const struct k2_table *table, struct k2_choice *choice,
                                  struct k2_error *error)
{
    enum k2_status status =
        k2_instruments_borrow(db->engine, table, UINT64_MAX, &choice->list, error);
    if (status != K2_OK) {
        return status;
    }
    const struct k2_instruments *list = choice->list;
    bool *marks = k2_alloc_zero(list->count, sizeof *marks);
    size_t count = 0;
    for (size_t first = 0, end; marks != NULL && first < list->count; first = end) {
        end = k2_instruments_exchange_end(list, first);
        count += mark_chosen(query, list, first, end, marks);
    }
    choice->instruments = marks == NULL ? NULL : k2_alloc(count * sizeof *choice->instruments);
    if (choice->instruments == NULL) {
        k2_free(marks);
        return k2_fail(error, K2_NO_MEMORY, "query: no memory for %zu instruments", list->count);
    }
    for (size_t i = 0; choice->instrument_count < count; i++) {
        if (marks[i]) {
            choice->instruments[choice->instrument_count++] = (struct k2_scan_instrument){
                k2_slice_of(list->items[i].exchange), k2_slice_of(list->items[i].symbol)};
        }
    }
    k2_free(marks);
    return K2_OK;
}

static enum k2_status choose(struct k2_db *db, const struct k2_query *query,
                             const struct k2_table *table, struct k2_choice *choice,
                             struct k2_error *error)
{
    for (size_t i = 0; i < query->symbol_count; i++) {
        if (query->symbols[i].exchange == NULL || query->symbols[i].symbol == NULL) {
            return list_chosen(db, query, table, choice, error);
        }
    }
    choice->instruments = k2_alloc(query->symbol_count * sizeof *choice->instruments);
    if (choice->instruments == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "query: no memory for %zu symbols",
                       query->symbol_count);
    }
    for (size_t i = 0; i < query->symbol_count; i++) {
        choice->instruments[i] = (struct k2_scan_instrument){
            k2_slice_of(query->symbols[i].exchange), k2_slice_of(query->symbols[i].symbol)};
    }
    choice->instrument_count = query->symbol_count;
    return K2_OK;
}

enum k2_status k2_query_to_request(struct k2_db *db, const struct k2_query *query,
                                   struct k2_choice *choice, struct k2_scan_request *request,
                                   struct k2_error *error)
{
    const struct k2_table *table;
    if (query->size_bytes != sizeof *query) {
        return k2_fail(error, K2_BAD_REQUEST, "query: size_bytes is %zu, expected %zu",
                       query->size_bytes, sizeof *query);
    }
    if ((unsigned)query->order > K2_CURSOR_STORED) {
        return k2_fail(error, K2_BAD_REQUEST, "query: there is no order %u",
                       (unsigned)query->order);
    }
    enum k2_status status = k2_db_find_table(db, query->table, &table, error);
    if (status == K2_OK && query->symbols != NULL) {
        status = choose(db, query, table, choice, error);
    }
    if (status != K2_OK) {
        return status;
    }
    *request = (struct k2_scan_request){
        .table = table,
        .snapshot = query->snapshot,
        .has_start = query->has_start,
        .has_end = query->has_end,
        .start_ns = query->start_ns,
        .end_ns = query->end_ns,
        .instruments = choice->instruments,
        .instrument_count = choice->instrument_count,
        .order = (enum k2_order)query->order,
        .limit = query->limit,
        .memory_bytes = query->memory_bytes,
    };
    return K2_OK;
}

enum k2_status k2_query_find_column(const struct k2_schema *schema, const char *const *names,
                                    size_t index, size_t *column, struct k2_error *error)
{
    int found = (int)index;
    if (names != NULL) {
        found = k2_schema_find(schema, k2_slice_of(names[index]));
    }
    if (found < 0) {
        return k2_fail(error, K2_NOT_FOUND, "query: table %s has no column %s", schema->table,
                       names[index]);
    }
    *column = (size_t)found;
    return K2_OK;
}

enum k2_status k2_cursor_create(struct k2_cursor **cursor, size_t column_count,
                                struct k2_error *error)
{
    struct k2_cursor *self = k2_alloc_zero(1, sizeof *self);
    if (self != NULL) {
        self->infos = k2_alloc_zero(column_count, sizeof *self->infos);
        self->columns = k2_alloc_zero(column_count, sizeof *self->columns);
        self->column_count = column_count;
    }
    if (self == NULL || self->infos == NULL || self->columns == NULL) {
        k2_cursor_close(self);
        return k2_fail(error, K2_NO_MEMORY, "query: out of memory");
    }
    *cursor = self;
    return K2_OK;
}

void k2_cursor_set_column(struct k2_cursor *cursor, size_t index, const struct k2_column *column)
{
    cursor->columns[index] = column;
    cursor->infos[index] = info_of(column);
}

static enum k2_status open_scan(struct k2_cursor *cursor, struct k2_db *db,
                                const struct k2_query *query, struct k2_scan_request *request,
                                struct k2_error *error)
{
    const struct k2_schema *schema = request->table->schema;
    size_t *indexes = k2_alloc(cursor->column_count * sizeof *indexes);
    if (indexes == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "query: out of memory");
    }
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < cursor->column_count && status == K2_OK; i++) {
        status = k2_query_find_column(schema, query->columns, i, &indexes[i], error);
        if (status == K2_OK) {
            k2_cursor_set_column(cursor, i, &schema->columns[indexes[i]]);
        }
    }
    if (status == K2_OK) {
        request->columns = indexes;
        request->column_count = cursor->column_count;
        status = k2_scan_open(db->engine, request, &cursor->scan, error);
    }
    k2_free(indexes);
    return status;
}

enum k2_status k2_cursor_open(struct k2_cursor **cursor, struct k2_db *db,
                              const struct k2_query *query, struct k2_error *error)
{
    struct k2_choice choice = {0};
    struct k2_scan_request request;
    struct k2_cursor *self = NULL;
    *cursor = NULL;
    enum k2_status status = k2_query_to_request(db, query, &choice, &request, error);
    if (status == K2_OK) {
        size_t all = request.table->schema->column_count;
        status = k2_cursor_create(&self, query->columns == NULL ? all : query->column_count, error);
    }
    if (status == K2_OK) {
        status = open_scan(self, db, query, &request, error);
    }
    k2_choice_free(&choice);
    if (status != K2_OK) {
        k2_cursor_close(self);
        return status;
    }
    *cursor = self;
    return K2_OK;
}

void k2_cursor_close(struct k2_cursor *cursor)
{
    if (cursor != NULL) {
        k2_scan_close(cursor->scan);
        k2_asof_close(cursor->asof);
        for (size_t i = 0; i < cursor->joined_count; i++) {
            k2_free((void *)(uintptr_t)cursor->joined[i].name);
        }
        k2_free(cursor->joined);
        k2_free(cursor->infos);
        k2_free(cursor->columns);
        k2_free(cursor);
    }
}

uint64_t k2_cursor_snapshot(const struct k2_cursor *cursor)
{
    return cursor->scan != NULL ? k2_scan_snapshot(cursor->scan) : k2_asof_snapshot(cursor->asof);
}

enum k2_status k2_cursor_next(struct k2_cursor *cursor, size_t *row_count, struct k2_error *error)
{
    cursor->vectors = NULL;
    *row_count = 0;
    const struct k2_vector *vectors;
    enum k2_status status = cursor->scan != NULL
                                ? k2_scan_next(cursor->scan, &vectors, row_count, error)
                                : k2_asof_next(cursor->asof, &vectors, row_count, error);
    if (status == K2_OK && *row_count > 0) {
        cursor->vectors = vectors;
    }
    return status;
}

static const struct k2_vector *vector_at(const struct k2_cursor *cursor, size_t column)
{
    static const struct k2_vector none;
    return cursor->vectors == NULL || column >= cursor->column_count ? &none
                                                                     : &cursor->vectors[column];
}

const int64_t *k2_cursor_values(const struct k2_cursor *cursor, size_t column)
{
    return vector_at(cursor, column)->values;
}

const struct k2_text *k2_cursor_texts(const struct k2_cursor *cursor, size_t column)
{
    return (const struct k2_text *)(const void *)vector_at(cursor, column)->texts;
}

const uint8_t *k2_cursor_valid(const struct k2_cursor *cursor, size_t column)
{
    return vector_at(cursor, column)->valid;
}

size_t k2_cursor_column_count(const struct k2_cursor *cursor)
{
    return cursor->column_count;
}

struct k2_column_info k2_cursor_column(const struct k2_cursor *cursor, size_t column)
{
    return column < cursor->column_count ? cursor->infos[column] : (struct k2_column_info){0};
}

void k2_time_to_text(int64_t time_ns, char text[K2_TIME_TEXT_BYTES])
{
    k2_timestamp_print(text, time_ns);
    text[K2_TIMESTAMP_TEXT_BYTES] = '\0';
}

enum k2_status k2_time_from_text(const char *text, int64_t *time_ns, struct k2_error *error)
{
    enum k2_timestamp_result result = k2_timestamp_parse(k2_slice_of(text), time_ns);
    if (result != K2_TIMESTAMP_OK) {
        return k2_fail(error, K2_BAD_REQUEST, "time '%.64s': %s", text,
                       k2_timestamp_result_name(result));
    }
    return K2_OK;
}

void k2_decimal_to_text(int64_t value, unsigned scale, char text[K2_DECIMAL_BYTES])
{
    unsigned places = scale < K2_DECIMAL_SCALE_MAX ? scale : K2_DECIMAL_SCALE_MAX;
    text[k2_decimal_print(text, value, places)] = '\0';
}

enum k2_status k2_decimal_from_text(const char *text, unsigned scale, int64_t *value,
                                    struct k2_error *error)
{
    if (scale > K2_DECIMAL_SCALE_MAX) {
        return k2_fail(error, K2_BAD_REQUEST, "scale %u: at most %d", scale, K2_DECIMAL_SCALE_MAX);
    }
    enum k2_decimal_result result = k2_decimal_parse(k2_slice_of(text), scale, value);
    if (result != K2_DECIMAL_OK) {
        return k2_fail(error, K2_BAD_REQUEST, "decimal '%.64s': %s", text,
                       k2_decimal_result_name(result));
    }
    return K2_OK;
}
