// k2_cursor_open_asof: a join behind a cursor.
#include "engine/k2.h"

#include <stdio.h>
#include <string.h>

#include "engine/k2_db.h"
#include "format/base/alloc.h"

static bool is_taken(const struct k2_cursor *cursor, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(cursor->infos[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

// A right column as the cursor shows it: nullable, and with a name of its own.
static bool join_column(struct k2_cursor *cursor, size_t index, size_t left_count,
                        const struct k2_schema *schema, const struct k2_column *column)
{
    bool taken = is_taken(cursor, left_count, column->name);
    size_t size_bytes = strlen(schema->table) + 1 + strlen(column->name) + 1;
    char *name = k2_alloc(size_bytes);
    if (name == NULL) {
        return false;
    }
    (void)snprintf(name, size_bytes, "%s%s%s", taken ? schema->table : "", taken ? "_" : "",
                   column->name);
    struct k2_column *joined = &cursor->joined[cursor->joined_count++];
    *joined = *column;
    joined->name = name;
    joined->nullable = true;
    k2_cursor_set_column(cursor, index, joined);
    return true;
}

static enum k2_status open_join(struct k2_cursor *cursor, struct k2_db *db,
                                const struct k2_asof_query *query,
                                const struct k2_asof_request *request,
                                struct k2_asof_column *columns, size_t left_count,
                                struct k2_error *error)
{
    const struct k2_schema *left = request->left.table->schema, *right = request->right->schema;
    size_t right_count = cursor->column_count - left_count;
    cursor->joined = k2_alloc_zero(right_count, sizeof *cursor->joined);
    if (cursor->joined == NULL || columns == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "query: out of memory");
    }
    for (size_t i = 0; i < cursor->column_count; i++) {
        columns[i].right = i >= left_count;
        enum k2_status status =
            columns[i].right
                ? k2_query_find_column(right, query->right_columns, i - left_count,
                                       &columns[i].column, error)
                : k2_query_find_column(left, query->left.columns, i, &columns[i].column, error);
        if (status != K2_OK) {
            return status;
        }
        if (!columns[i].right) {
            k2_cursor_set_column(cursor, i, &left->columns[columns[i].column]);
        } else if (!join_column(cursor, i, left_count, right, &right->columns[columns[i].column])) {
            return k2_fail(error, K2_NO_MEMORY, "query: out of memory");
        }
    }
    return k2_asof_open(db->engine, request, &cursor->asof, error);
}

enum k2_status k2_cursor_open_asof(struct k2_cursor **cursor, struct k2_db *db,
                                   const struct k2_asof_query *query, struct k2_error *error)
{
    struct k2_choice choice = {0};
    struct k2_asof_request request = {0};
    struct k2_asof_column *columns = NULL;
    struct k2_cursor *self = NULL;
    size_t left_count = 0, right_count = 0;
    *cursor = NULL;
    if (query->size_bytes != sizeof *query) {
        return k2_fail(error, K2_BAD_REQUEST, "as-of query: size_bytes is %zu, expected %zu",
                       query->size_bytes, sizeof *query);
    }
    enum k2_status status = k2_db_find_table(db, query->right_table, &request.right, error);
    if (status == K2_OK) {
        status = k2_query_to_request(db, &query->left, &choice, &request.left, error);
    }
    if (status == K2_OK) {
        left_count = query->left.columns == NULL ? request.left.table->schema->column_count
                                                 : query->left.column_count;
        right_count = query->right_columns == NULL ? request.right->schema->column_count
                                                   : query->right_column_count;
        status = k2_cursor_create(&self, left_count + right_count, error);
    }
    if (status == K2_OK) {
        columns = k2_alloc_zero(left_count + right_count, sizeof *columns);
        request.columns = columns;
        request.column_count = left_count + right_count;
        status = open_join(self, db, query, &request, columns, left_count, error);
    }
    k2_free(columns);
    k2_choice_free(&choice);
    if (status != K2_OK) {
        k2_cursor_close(self);
        return status;
    }
    *cursor = self;
    return K2_OK;
}
