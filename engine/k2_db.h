// What the handles of libk2 share. For engine/k2*.c only.
#pragma once

#include "engine/asof.h"
#include "engine/engine.h"
#include "engine/instrument_lists.h"
#include "engine/k2.h"
#include "engine/scan.h"

struct k2_db {
    struct k2_engine *engine; // owned
    enum k2_db_mode mode;
};

struct k2_cursor {
    struct k2_scan *scan;             // owned; NULL: a join
    struct k2_asof *asof;             // owned; NULL: a scan
    struct k2_column_info *infos;     // owned; names are the schema's
    const struct k2_column **columns; // owned array of columns of the schema
    struct k2_column *joined;         // owned, and their names: columns of a join's right table
    size_t joined_count;
    size_t column_count;
    const struct k2_vector *vectors; // of scan or join; NULL: no rows at hand
};

K2_MUST_CHECK enum k2_status k2_db_find_table(const struct k2_db *db, const char *name,
                                              const struct k2_table **table,
                                              struct k2_error *error);

// Which instruments a query wants: all (NULL), or those of the array.
struct k2_choice {
    const struct k2_instruments *list;      // borrowed until k2_choice_free; NULL: not asked for
    struct k2_scan_instrument *instruments; // owned; texts of the query or of `list`
    size_t instrument_count;
};

// Checks the query and turns it into a request, but for its columns; what that points to is in
// `choice`, which is to be freed after any outcome.
K2_MUST_CHECK enum k2_status k2_query_to_request(struct k2_db *db, const struct k2_query *query,
                                                 struct k2_choice *choice,
                                                 struct k2_scan_request *request,
                                                 struct k2_error *error);
void k2_choice_free(struct k2_choice *choice);

// The index of a column by name, or where `names` is NULL the column of that index. K2_NOT_FOUND.
K2_MUST_CHECK enum k2_status k2_query_find_column(const struct k2_schema *schema,
                                                  const char *const *names, size_t index,
                                                  size_t *column, struct k2_error *error);

// A cursor of so many columns, none of them set.
K2_MUST_CHECK enum k2_status k2_cursor_create(struct k2_cursor **cursor, size_t column_count,
                                              struct k2_error *error);
void k2_cursor_set_column(struct k2_cursor *cursor, size_t index, const struct k2_column *column);
