// The writing half of libk2. Declared in k2.h.
#include <string.h>

#include "engine/commit.h"
#include "engine/instruments.h"
#include "engine/k2_db.h"
#include "format/base/alloc.h"
#include "format/base/json_text.h"
#include "format/base/utf8.h"

enum { TEXT_CEILING_BYTES = 65535, UUID_BYTES = 16 };

struct k2_appender {
    struct k2_db *db;             // borrowed
    const struct k2_table *table; // borrowed from the engine
    struct k2_row_batch *batch;   // owned
    struct k2_buffer json;        // canonical form of one text
    uint32_t *conflicts;          // owned: of the last commit
};

enum k2_status k2_appender_open(struct k2_appender **appender, struct k2_db *db,
                                const char *table_name, struct k2_error *error)
{
    const struct k2_table *table;
    *appender = NULL;
    if (db->mode == K2_DB_READ) {
        return k2_fail(error, K2_BAD_REQUEST, "%s: opened for reading", k2_engine_path(db->engine));
    }
    enum k2_status status = k2_db_find_table(db, table_name, &table, error);
    if (status != K2_OK) {
        return status;
    }
    struct k2_appender *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "append: out of memory");
    }
    self->db = db;
    self->table = table;
    k2_buffer_init(&self->json, (size_t)2 * TEXT_CEILING_BYTES);
    status = k2_row_batch_create(&self->batch, table->schema, K2_GROUP_ROWS, false, error);
    if (status != K2_OK) {
        self->batch = NULL;
        k2_appender_close(self);
        return status;
    }
    *appender = self;
    return K2_OK;
}

void k2_appender_close(struct k2_appender *appender)
{
    if (appender != NULL) {
        k2_row_batch_destroy(appender->batch);
        k2_buffer_deinit(&appender->json);
        k2_free(appender->conflicts);
        k2_free(appender);
    }
}

enum k2_status k2_appender_row(struct k2_appender *appender, const char *exchange,
                               const char *symbol, int64_t time_ns, int64_t epoch, int64_t sequence,
                               struct k2_error *error)
{
    struct k2_row_batch *batch = appender->batch;
    if (batch->row_count == batch->row_capacity) {
        return k2_fail(error, K2_LIMIT, "append: %zu rows are waiting; commit them first",
                       batch->row_count);
    }
    struct k2_row_key key = {0, time_ns, epoch, sequence};
    uint8_t upper[K2_EXCHANGE_BYTES];
    enum k2_status status =
        k2_instrument_intern(appender->db->engine, k2_exchange_upper(k2_slice_of(exchange), upper),
                             k2_slice_of(symbol), &key.instrument, error);
    size_t row;
    return status == K2_OK ? k2_row_batch_add(batch, &key, batch->row_count, &row, error) : status;
}

enum k2_status k2_appender_delete(struct k2_appender *appender, const char *exchange,
                                  const char *symbol, int64_t time_ns, int64_t epoch,
                                  int64_t sequence, struct k2_error *error)
{
    struct k2_row_batch *batch = appender->batch;
    enum k2_status status =
        k2_appender_row(appender, exchange, symbol, time_ns, epoch, sequence, error);
    if (status == K2_OK) {
        status = k2_row_batch_set_op(batch, batch->row_count - 1, K2_OP_DELETE, error);
        if (status != K2_OK) {
            k2_row_batch_drop_last(batch);
        }
    }
    return status;
}

enum k2_status k2_appender_column(const struct k2_appender *appender, const char *name,
                                  size_t *column, struct k2_error *error)
{
    int index = k2_schema_find(appender->table->schema, k2_slice_of(name));
    if (index < 0) {
        return k2_fail(error, K2_NOT_FOUND, "append: table %s has no column %s",
                       appender->table->schema->table, name);
    }
    *column = (size_t)index;
    return K2_OK;
}

static enum k2_status check_column(const struct k2_appender *appender, size_t column, bool is_fixed,
                                   struct k2_error *error)
{
    const struct k2_schema *schema = appender->table->schema;
    if (column < K2_KEY_COLUMN_COUNT || column >= schema->column_count) {
        return k2_fail(error, K2_BAD_REQUEST, "append: column %zu is no data column", column);
    }
    if (k2_kind_is_fixed(schema->columns[column].kind) != is_fixed) {
        return k2_fail(error, K2_BAD_REQUEST, "append: column %s is of kind %s",
                       schema->columns[column].name, k2_kind_name(schema->columns[column].kind));
    }
    return K2_OK;
}

static enum k2_status check_cell(const struct k2_appender *appender, size_t column, bool is_fixed,
                                 struct k2_error *error)
{
    enum k2_status status = check_column(appender, column, is_fixed, error);
    if (status == K2_OK && appender->batch->row_count == 0) {
        return k2_fail(error, K2_BAD_REQUEST, "append: no row was begun");
    }
    return status;
}

static void find_limits(enum k2_kind kind, int64_t *least, int64_t *most)
{
    static const struct {
        int64_t least, most;
    } limits[] = {
        [K2_KIND_INT8] = {INT8_MIN, INT8_MAX},
        [K2_KIND_INT16] = {INT16_MIN, INT16_MAX},
        [K2_KIND_INT32] = {INT32_MIN, INT32_MAX},
        [K2_KIND_DECIMAL64] = {-999999999999999999, 999999999999999999},
        [K2_KIND_BOOL] = {0, 1},
    };
    bool limited = (size_t)kind < sizeof limits / sizeof limits[0] && limits[kind].most > 0;
    *least = limited ? limits[kind].least : INT64_MIN;
    *most = limited ? limits[kind].most : INT64_MAX;
}

static bool value_fits(enum k2_kind kind, int64_t value)
{
    int64_t least, most;
    find_limits(kind, &least, &most);
    return least <= value && value <= most;
}

static enum k2_status refuse_value(const struct k2_column *column, int64_t value,
                                   struct k2_error *error)
{
    return k2_fail(error, K2_REJECTED, "append: column %s: %lld is no %s", column->name,
                   (long long)value, k2_kind_name(column->kind));
}

enum k2_status k2_appender_value(struct k2_appender *appender, size_t column, int64_t value,
                                 struct k2_error *error)
{
    enum k2_status status = check_cell(appender, column, true, error);
    if (status != K2_OK) {
        return status;
    }
    const struct k2_column *target = &appender->table->schema->columns[column];
    if (!value_fits(target->kind, value)) {
        return refuse_value(target, value, error);
    }
    k2_row_batch_set_value(appender->batch, appender->batch->row_count - 1, column, value);
    return K2_OK;
}

static enum k2_status set_text(struct k2_appender *appender, size_t row, size_t column,
                               struct k2_slice bytes, struct k2_error *error)
{
    const struct k2_column *target = &appender->table->schema->columns[column];
    if (bytes.size_bytes > TEXT_CEILING_BYTES) {
        return k2_fail(error, K2_REJECTED, "append: column %s: %zu bytes; at most %d are possible",
                       target->name, bytes.size_bytes, TEXT_CEILING_BYTES);
    }
    if (target->kind == K2_KIND_UUID && bytes.size_bytes != UUID_BYTES) {
        return k2_fail(error, K2_REJECTED, "append: column %s: a uuid has 16 bytes, not %zu",
                       target->name, bytes.size_bytes);
    }
    if (target->kind == K2_KIND_JSON) {
        k2_buffer_clear(&appender->json);
        enum k2_json_result result = k2_json_put_canonical(&appender->json, bytes, target->shape);
        if (result != K2_JSON_OK) {
            return k2_fail(error, result == K2_JSON_NO_MEMORY ? K2_NO_MEMORY : K2_REJECTED,
                           "append: column %s: %s", target->name, k2_json_result_name(result));
        }
        bytes = k2_buffer_slice(&appender->json);
    } else if (target->kind != K2_KIND_UUID && !k2_utf8_is_valid(bytes)) {
        return k2_fail(error, K2_REJECTED, "append: column %s: not UTF-8 text", target->name);
    }
    return k2_row_batch_set_text(appender->batch, row, column, bytes, error);
}

enum k2_status k2_appender_text(struct k2_appender *appender, size_t column, const char *text,
                                size_t size_bytes, struct k2_error *error)
{
    enum k2_status status = check_cell(appender, column, false, error);
    const struct k2_slice bytes = {(const uint8_t *)text, size_bytes};
    return status == K2_OK
               ? set_text(appender, appender->batch->row_count - 1, column, bytes, error)
               : status;
}

// ---- many rows ----------------------------------------------------------------------------------

enum k2_status k2_appender_instrument(struct k2_appender *appender, const char *exchange,
                                      const char *symbol, uint32_t *instrument,
                                      struct k2_error *error)
{
    uint8_t upper[K2_EXCHANGE_BYTES];
    return k2_instrument_intern(appender->db->engine,
                                k2_exchange_upper(k2_slice_of(exchange), upper),
                                k2_slice_of(symbol), instrument, error);
}

static enum k2_status check_rows(const struct k2_appender *appender, const struct k2_rows *rows,
                                 struct k2_error *error)
{
    const struct k2_row_batch *batch = appender->batch;
    if (rows->size_bytes != sizeof *rows) {
        return k2_fail(error, K2_BAD_REQUEST, "append: size_bytes is %zu, expected %zu",
                       rows->size_bytes, sizeof *rows);
    }
    if (rows->row_count > batch->row_capacity - batch->row_count) {
        return k2_fail(error, K2_LIMIT,
                       "append: %zu rows are waiting, %zu more are too many; commit them first",
                       batch->row_count, rows->row_count);
    }
    for (size_t i = 0; i < rows->column_count; i++) {
        const struct k2_column_values *column = &rows->columns[i];
        enum k2_status status =
            check_column(appender, column->column, column->values != NULL, error);
        if (status != K2_OK) {
            return status;
        }
        if ((column->values == NULL) == (column->texts == NULL)) {
            return k2_fail(error, K2_BAD_REQUEST, "append: column %s: values or texts are needed",
                           appender->table->schema->columns[column->column].name);
        }
    }
    for (size_t i = 0; i < rows->row_count; i++) {
        if (!k2_instrument_is_given(appender->db->engine, rows->instruments[i])) {
            return k2_fail(error, K2_BAD_REQUEST, "append: row %zu: no instrument has number %u", i,
                           (unsigned)rows->instruments[i]);
        }
    }
    return K2_OK;
}

static enum k2_status add_values(struct k2_appender *appender, size_t first,
                                 const struct k2_rows *rows, const struct k2_column_values *column,
                                 struct k2_error *error)
{
    const struct k2_column *target = &appender->table->schema->columns[column->column];
    int64_t least, most;
    bool fits = true;
    find_limits(target->kind, &least, &most);
    for (size_t i = 0; i < rows->row_count; i++) {
        fits &= column->values[i] >= least && column->values[i] <= most;
    }
    for (size_t i = 0; i < rows->row_count && !fits; i++) { // a null may have any value
        bool valid = column->valid == NULL || column->valid[i] != 0;
        if (valid && !value_fits(target->kind, column->values[i])) {
            enum k2_status status = refuse_value(target, column->values[i], error);
            k2_error_annotate(error, "row %zu", i);
            return status;
        }
    }
    k2_row_batch_set_values(appender->batch, first, column->column, column->values, column->valid);
    return K2_OK;
}

static enum k2_status add_texts(struct k2_appender *appender, size_t first,
                                const struct k2_rows *rows, const struct k2_column_values *column,
                                struct k2_error *error)
{
    for (size_t i = 0; i < rows->row_count; i++) {
        if (column->valid != NULL && column->valid[i] == 0) {
            k2_row_batch_set_null(appender->batch, first + i, column->column);
            continue;
        }
        const struct k2_slice text = {(const uint8_t *)column->texts[i].data,
                                      column->texts[i].size_bytes};
        enum k2_status status = set_text(appender, first + i, column->column, text, error);
        if (status != K2_OK) {
            k2_error_annotate(error, "row %zu", i);
            return status;
        }
    }
    return K2_OK;
}

enum k2_status k2_appender_rows(struct k2_appender *appender, const struct k2_rows *rows,
                                struct k2_error *error)
{
    struct k2_row_batch *batch = appender->batch;
    uint8_t given[K2_MAX_COLUMNS] = {0};
    size_t first;
    enum k2_status status = check_rows(appender, rows, error);
    for (size_t i = 0; i < rows->column_count && status == K2_OK; i++) {
        given[rows->columns[i].column] = rows->columns[i].values != NULL;
    }
    if (status == K2_OK) {
        status = k2_row_batch_add_many(batch, rows->row_count, given, &first, error);
    }
    if (status != K2_OK) {
        return status;
    }
    for (size_t i = 0; i < rows->row_count; i++) {
        batch->keys[first + i] =
            (struct k2_row_key){rows->instruments[i], rows->times_ns[i],
                                rows->epochs == NULL ? 0 : rows->epochs[i], rows->sequences[i]};
    }
    for (size_t i = 0; i < rows->column_count && status == K2_OK; i++) {
        const struct k2_column_values *column = &rows->columns[i];
        status = column->values != NULL ? add_values(appender, first, rows, column, error)
                                        : add_texts(appender, first, rows, column, error);
    }
    if (status != K2_OK) {
        k2_row_batch_drop_from(batch, first);
    }
    return status;
}

// Rows whose required columns were never set would be stored as what they are not.
static enum k2_status check_required(const struct k2_row_batch *batch, struct k2_error *error)
{
    for (size_t i = K2_KEY_COLUMN_COUNT; i < batch->schema->column_count; i++) {
        const struct k2_batch_column *column = &batch->columns[i];
        if (batch->schema->columns[i].nullable || column->null_count == 0) {
            continue;
        }
        size_t row = 0;
        while (row < batch->row_count &&
               (column->valid[row] != 0 || k2_row_batch_op(batch, row) == K2_OP_DELETE)) {
            row++;
        }
        if (row == batch->row_count) {
            continue; // only deletions, which need their key alone
        }
        return k2_fail(error, K2_BAD_REQUEST, "append: row %zu: column %s was not set", row,
                       batch->schema->columns[i].name);
    }
    return K2_OK;
}

static enum k2_status add_rows(struct k2_appender *appender, struct k2_commit *commit,
                               struct k2_commit_result *result, struct k2_error *error)
{
    struct k2_commit_outcome outcome;
    enum k2_status status =
        k2_commit_add(commit, appender->batch, K2_NUMBERING_SPARSE, &outcome, error);
    if (status != K2_OK) {
        return status;
    }
    k2_free(appender->conflicts);
    appender->conflicts = k2_alloc(outcome.conflict_count * sizeof *appender->conflicts);
    if (appender->conflicts == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "append: out of memory");
    }
    if (outcome.conflict_count > 0) {
        memcpy(appender->conflicts, outcome.conflicts,
               outcome.conflict_count * sizeof *appender->conflicts);
    }
    *result = (struct k2_commit_result){
        .stored = outcome.stored,
        .duplicates = outcome.duplicates,
        .conflicts = outcome.conflict_count,
        .conflict_rows = appender->conflicts,
    };
    return K2_OK;
}

enum k2_status k2_appender_commit(struct k2_appender *appender, struct k2_commit_result *result,
                                  struct k2_error *error)
{
    struct k2_commit *commit;
    struct k2_commit_result done = {0};
    enum k2_status status = check_required(appender->batch, error);
    if (status == K2_OK) {
        status = k2_commit_begin(appender->db->engine, &commit, error);
    }
    if (status != K2_OK) {
        return status;
    }
    if (appender->batch->row_count > 0) {
        status = add_rows(appender, commit, &done, error);
    }
    if (status != K2_OK) {
        k2_commit_abort(commit);
        return status;
    }
    status = k2_commit_finish(commit, &done.snapshot, error);
    if (status == K2_OK) {
        k2_row_batch_clear(appender->batch);
        *result = done;
    }
    return status;
}
