// Snapshots: what was committed when, and the names given to them.
//
// A snapshot is a number; opening one is a look-up. Thread-safe for reading.
#pragma once

#include "engine/engine.h"

enum k2_operation {
    K2_OPERATION_APPEND = 0,
    K2_OPERATION_COMPACT = 1,
    K2_OPERATION_RETAIN = 2,
    K2_OPERATION_RESTORE = 3,
};
const char *k2_operation_name(enum k2_operation operation); // "append"

enum { K2_MAX_SNAPSHOT_TABLES = 64 };

struct k2_snapshot {
    uint64_t id; // 0 before the first commit
    uint64_t parent;
    int64_t time_ns;
    enum k2_operation operation;
    size_t table_count; // tables with rows
    struct {
        uint16_t table_id;
        uint64_t rows, added; // rows: visible
        int64_t hidden;       // for k2_commit_log_append: rows that it hides, of those added too
    } tables[K2_MAX_SNAPSHOT_TABLES];
};

// The newest one; id 0 for an empty store.
K2_MUST_CHECK enum k2_status
k2_snapshot_newest(struct k2_engine *engine, struct k2_snapshot *snapshot, struct k2_error *error);
K2_MUST_CHECK enum k2_status k2_snapshot_get(struct k2_engine *engine, uint64_t id, bool *found,
                                             struct k2_snapshot *snapshot, struct k2_error *error);

// All digits: an id; a time (CONTRACT 1): the last one committed at or before it; else a tag.
// K2_NOT_FOUND if there is none.
K2_MUST_CHECK enum k2_status k2_snapshot_resolve(struct k2_engine *engine, struct k2_slice text,
                                                 struct k2_snapshot *snapshot,
                                                 struct k2_error *error);

// Newest first from `before` (exclusive; 0 = from the newest), at most `*count`; sets `*count`.
K2_MUST_CHECK enum k2_status k2_snapshot_list(struct k2_engine *engine, uint64_t before,
                                              struct k2_snapshot *snapshots, size_t *count,
                                              struct k2_error *error);

enum { K2_TAG_BYTES = 64 };
struct k2_tag {
    char name[K2_TAG_BYTES + 1]; // [A-Za-z][A-Za-z0-9_.-]{0,63}
    uint64_t snapshot;
};

// All tags by name; `*tags` is freed with k2_free.
K2_MUST_CHECK enum k2_status k2_tag_list(struct k2_engine *engine, struct k2_tag **tags,
                                         size_t *count, struct k2_error *error);
// K2_LIMIT: the name is taken. K2_NOT_FOUND: no such snapshot. K2_BAD_REQUEST: not a name.
K2_MUST_CHECK enum k2_status k2_tag_set(struct k2_engine *engine, struct k2_slice name,
                                        uint64_t snapshot, struct k2_error *error);
K2_MUST_CHECK enum k2_status k2_tag_delete(struct k2_engine *engine, struct k2_slice name,
                                           struct k2_error *error); // K2_NOT_FOUND
