// What commits and rewrites share: groups that were written become part of the index.
#pragma once

#include "engine/engine.h"
#include "engine/index_records.h"
#include "engine/store.h"
#include "engine/tail.h"
#include "format/segment/row_group.h"

struct k2_new_group {
    const struct k2_table *table;
    struct k2_group_place place;
    struct k2_group_record record;
};

// Rows order[0..row_count) of `batch`, sorted by key.
struct k2_publish_rows {
    const struct k2_table *table;
    const struct k2_row_batch *batch;
    const uint32_t *order;
    size_t row_count;
    k2_name_of_instrument *name_of; // NULL: the engine's interned instruments (writer's thread)
    void *name_context;
};

// Encodes rows as one group and appends it to `tail`, which is opened if need be. `info` comes with
// commit, part, level, markers and inputs; the rest is filled in. The group is not durable yet.
K2_MUST_CHECK enum k2_status k2_publish_write(struct k2_engine *engine, struct k2_tail *tail,
                                              const struct k2_publish_rows *rows,
                                              struct k2_row_group_info *info,
                                              struct k2_row_group_memory *memory,
                                              struct k2_new_group *group, struct k2_error *error);

// Adds the group, or takes it out, with the figures of its table.
K2_MUST_CHECK enum k2_status
k2_publish_add(struct k2_store_txn *txn, const struct k2_new_group *group, struct k2_error *error);
K2_MUST_CHECK enum k2_status k2_publish_remove(struct k2_store_txn *txn,
                                               const struct k2_new_group *group,
                                               struct k2_error *error);

// The committed length of a tail, as of `txn`.
K2_MUST_CHECK enum k2_status k2_publish_tail(struct k2_engine *engine, const struct k2_tail *tail,
                                             uint32_t new_groups, struct k2_store_txn *txn,
                                             struct k2_error *error);

// Adds to the rows that are kept but not shown by the newest snapshot.
K2_MUST_CHECK enum k2_status k2_publish_hide(struct k2_store_txn *txn, const struct k2_table *table,
                                             int64_t rows, struct k2_error *error);

// Rows of the table that were older are gone.
K2_MUST_CHECK enum k2_status k2_publish_first(struct k2_store_txn *txn,
                                              const struct k2_table *table, int64_t first_time_ns,
                                              struct k2_error *error);

// Adds to the counters of a table that do not come from groups.
K2_MUST_CHECK enum k2_status k2_publish_count(struct k2_store_txn *txn,
                                              const struct k2_table *table, uint64_t stored,
                                              uint64_t duplicates, uint64_t rejected,
                                              uint64_t instruments, struct k2_error *error);
