// What the handles of libk2 share. For engine/k2*.c only.
#pragma once

#include "engine/engine.h"
#include "engine/k2.h"
#include "engine/scan.h"

struct k2_db {
    struct k2_engine *engine; // owned
    enum k2_db_mode mode;
};

struct k2_cursor {
    struct k2_scan *scan;             // owned
    struct k2_column_info *infos;     // owned; names are the schema's
    const struct k2_column **columns; // owned array of columns of the schema
    size_t column_count;
    const struct k2_vector *vectors; // of the scan; NULL: no rows at hand
};

K2_MUST_CHECK enum k2_status k2_db_find_table(const struct k2_db *db, const char *name,
                                              const struct k2_table **table,
                                              struct k2_error *error);
