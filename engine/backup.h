// A second, whole store: of the state at one moment, taken while others read and write.
//
// A backup is a store like any other: it can be read where it is, and restoring copies it back.
#pragma once

#include "engine/engine.h"

struct k2_backup_options {
    // Segments are given a second name where the file system can, which takes no time and no room;
    // but what damages the bytes of one store damages both. With this they are copied.
    bool copy_all;
};

struct k2_backup_report {
    uint64_t snapshot; // the newest one of the copy; 0 for an empty store
    uint64_t segments, rows;
    uint64_t bytes; // committed ones of its segments, and those of its index
};

// Makes `target` a store with what `engine` (any handle) holds, all of it durable and checked.
// `target` must not exist, or be an empty folder; K2_LIMIT otherwise. It appears at the end, whole:
// until then there is a folder `target.PID.tmp`, which a killed process leaves behind. K2_CORRUPT:
// the store is damaged, and there is no `target`.
K2_MUST_CHECK enum k2_status k2_backup(struct k2_engine *engine, const char *target,
                                       const struct k2_backup_options *options,
                                       struct k2_backup_report *report, struct k2_error *error);
