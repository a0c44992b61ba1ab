// How many rows of a table each of many snapshots shows, counted in one pass over its rows: after a
// repair, when nothing else tells it.
//
// Belongs to one thread. For the modules of this folder only.
#pragma once

#include "engine/engine.h"

// rows[i] becomes what snapshot `first` + i shows, for `count` snapshots. Rows that were dropped
// count for none.
K2_MUST_CHECK enum k2_status k2_shown_rows_count(struct k2_engine *engine,
                                                 const struct k2_table *table, uint64_t first,
                                                 size_t count, int64_t *rows,
                                                 struct k2_error *error);
