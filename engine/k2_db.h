// What the handles of libk2 share. For engine/k2*.c only.
#pragma once

#include "engine/engine.h"
#include "engine/k2.h"

struct k2_db {
    struct k2_engine *engine; // owned
    enum k2_db_mode mode;
};

K2_MUST_CHECK enum k2_status k2_db_find_table(const struct k2_db *db, const char *name,
                                              const struct k2_table **table,
                                              struct k2_error *error);
