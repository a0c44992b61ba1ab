// What the store notes of an export before its commit and after it, and what is done when the note
// of the one before was never finished: its process died in between.
//
// Without the note an export is just as exact (the table's property decides), but leaves files that
// nothing names until `k2 iceberg orphans`. Belongs to the writer's thread.
#pragma once

#include "query/export/table_commit.h"
#include "query/export/warehouse.h"

struct k2_engine;

struct k2_export_intent {
    struct k2_engine *engine;
    const struct k2_warehouse *warehouse;
    struct k2_table_place *place;
    const char *commit_id;
    uint64_t from, to; // snapshots of the store
    bool writable;     // false: nothing is noted
};

K2_MUST_CHECK enum k2_status k2_export_intent_begin(const struct k2_export_intent *intent,
                                                    struct k2_error *error);
K2_MUST_CHECK enum k2_status k2_export_intent_end(const struct k2_export_intent *intent,
                                                  int64_t iceberg_snapshot_id,
                                                  struct k2_error *error);

// There is an unfinished note of this table. Works with any handle.
K2_MUST_CHECK enum k2_status k2_export_intent_is_open(const struct k2_export_intent *intent,
                                                      bool *open, struct k2_error *error);

// Looks for an unfinished note of this table. If its commit is in the table, the note is finished;
// else, on a local catalog, where nothing is under way any more, its files are removed.
K2_MUST_CHECK enum k2_status k2_export_intent_resolve(const struct k2_export_intent *intent,
                                                      struct k2_error *error);
