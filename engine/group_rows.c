#include "engine/group_rows.h"

#include <assert.h>

#include "format/base/alloc.h"

struct column {
    bool opened, found, loaded;
    uint32_t block, block_rows;
    struct k2_column_reader *reader; // owned
    struct k2_vector_store *store;   // owned
    struct k2_vector vector;
};

struct k2_group_rows {
    const struct k2_row_group_view *view;
    const struct k2_schema *schema;
    struct column columns[]; // like schema->columns, then the hidden ones
};

static const uint16_t hidden_ids[] = {K2_COLUMN_ID_COMMIT, K2_COLUMN_ID_UNTIL, K2_COLUMN_ID_OP};
enum { HIDDEN_COUNT = sizeof hidden_ids / sizeof hidden_ids[0] };

enum k2_status k2_group_rows_open(struct k2_group_rows **rows, const struct k2_row_group_view *view,
                                  const struct k2_schema *schema, struct k2_error *error)
{
    size_t size = sizeof **rows + (schema->column_count + HIDDEN_COUNT) * sizeof(*rows)->columns[0];
    struct k2_group_rows *self = k2_alloc_zero(1, size);
    if (self == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "rows: out of memory");
    }
    self->view = view;
    self->schema = schema;
    *rows = self;
    return K2_OK;
}

void k2_group_rows_close(struct k2_group_rows *rows)
{
    for (size_t i = 0; rows != NULL && i < rows->schema->column_count + HIDDEN_COUNT; i++) {
        if (rows->columns[i].found) {
            k2_column_reader_close(rows->columns[i].reader);
        }
        k2_free(rows->columns[i].store);
    }
    k2_free(rows);
}

static enum k2_status open_column(struct k2_group_rows *rows, size_t index, struct column *column,
                                  struct k2_error *error)
{
    column->store = k2_alloc_aligned(sizeof *column->store);
    if (column->store == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "rows: out of memory");
    }
    bool found = false;
    size_t shown = rows->schema->column_count;
    uint16_t id = index < shown ? rows->schema->columns[index].id : hidden_ids[index - shown];
    enum k2_status status = k2_column_reader_open(&column->reader, rows->view, id, &found, error);
    column->opened = status == K2_OK;
    column->found = status == K2_OK && found;
    return status;
}

enum k2_status k2_group_rows_vector(struct k2_group_rows *rows, size_t index, uint32_t row,
                                    const struct k2_vector **vector, uint32_t *place,
                                    struct k2_error *error)
{
    struct column *column = &rows->columns[index];
    uint32_t block = row / K2_BLOCK_ROWS;
    enum k2_status status = K2_OK;
    if (!column->opened) {
        status = column->store == NULL ? open_column(rows, index, column, error)
                                       : k2_fail(error, K2_CORRUPT, "rows: column is not open");
    }
    if (status == K2_OK && column->found && (!column->loaded || column->block != block)) {
        column->loaded = false;
        status = k2_column_reader_decode(column->reader, block, column->store, &column->vector,
                                         &column->block_rows, error);
        column->loaded = status == K2_OK;
        column->block = block;
    }
    if (status != K2_OK) {
        k2_error_annotate(error, "column %s",
                          index < rows->schema->column_count ? rows->schema->columns[index].name
                                                             : "of versions");
        return status;
    }
    assert(!column->found || row % K2_BLOCK_ROWS < column->block_rows);
    *vector = column->found ? &column->vector : NULL;
    *place = row % K2_BLOCK_ROWS;
    return K2_OK;
}

static enum k2_status key_value(struct k2_group_rows *rows, size_t column, uint32_t row,
                                int64_t *value, struct k2_error *error)
{
    const struct k2_vector *vector;
    uint32_t place;
    enum k2_status status = k2_group_rows_vector(rows, column, row, &vector, &place, error);
    if (status == K2_OK && vector == NULL) {
        return k2_fail(error, K2_CORRUPT, "column %s is missing",
                       rows->schema->columns[column].name);
    }
    if (status == K2_OK) {
        *value = vector->values[place];
    }
    return status;
}

enum k2_status k2_group_rows_key(struct k2_group_rows *rows, uint32_t row, int64_t *time_ns,
                                 int64_t *epoch, int64_t *sequence, struct k2_error *error)
{
    enum k2_status status = key_value(rows, K2_TIMESTAMP, row, time_ns, error);
    if (status == K2_OK) {
        status = key_value(rows, K2_EPOCH, row, epoch, error);
    }
    return status == K2_OK ? key_value(rows, K2_SEQUENCE, row, sequence, error) : status;
}

enum k2_status k2_group_rows_hidden_vector(struct k2_group_rows *rows, uint16_t id, uint32_t row,
                                           const struct k2_vector **vector, uint32_t *place,
                                           struct k2_error *error)
{
    size_t column = 0;
    while (column + 1 < HIDDEN_COUNT && hidden_ids[column] != id) {
        column++;
    }
    return k2_group_rows_vector(rows, rows->schema->column_count + column, row, vector, place,
                                error);
}

enum k2_status k2_group_rows_hidden(struct k2_group_rows *rows, uint16_t id, uint32_t row,
                                    int64_t *value, struct k2_error *error)
{
    const struct k2_vector *vector;
    uint32_t place;
    enum k2_status status = k2_group_rows_hidden_vector(rows, id, row, &vector, &place, error);
    if (status == K2_OK) {
        *value = vector == NULL ? 0 : vector->values[place];
    }
    return status;
}
