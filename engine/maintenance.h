// A thread that keeps a store's groups folded and sorted while others commit (engine/levels.h).
//
// It reads and writes at a bounded rate and in bounded memory; a commit waits for it only for the
// swap that ends a rewrite, or when a table has K2_MOST_UNSORTED_GROUPS. When it fails, it waits
// and tries again: a full disk is a state. Start and stop belong to one thread; the rest to any.
#pragma once

#include <stdbool.h>

#include "engine/engine.h"

struct k2_maintenance; // opaque

struct k2_maintenance_options {
    uint64_t bytes_per_second; // written; 0: as fast as it can
};

K2_MUST_CHECK enum k2_status k2_maintenance_start(struct k2_maintenance **maintenance,
                                                  struct k2_engine *engine,
                                                  const struct k2_maintenance_options *options,
                                                  struct k2_error *error);
// Gives up what is under way; it is done again another time. No commit may be under way. NULL is
// fine.
void k2_maintenance_stop(struct k2_maintenance *maintenance);

// Paused, it gives up what is under way, and nothing bounds the unsorted groups.
void k2_maintenance_pause(struct k2_maintenance *maintenance, bool paused);

// Waits until there is nothing to do, or it fails or is paused.
void k2_maintenance_settle(struct k2_maintenance *maintenance);

enum k2_maintenance_state {
    K2_MAINTENANCE_IDLE = 0,
    K2_MAINTENANCE_WORKING,
    K2_MAINTENANCE_PAUSED,
    K2_MAINTENANCE_FULL,   // no space: it tries again every second
    K2_MAINTENANCE_FAILED, // something else: it tries again every 10 seconds
};
const char *k2_maintenance_state_name(enum k2_maintenance_state state);

struct k2_maintenance_figures {
    enum k2_maintenance_state state;
    char reason[256]; // of full and failed
    uint64_t rewrites, rows, bytes_read, bytes_written;
    int64_t last_run_ns;                    // when the last rewrite ended; 0: none yet
    uint64_t backlog_groups, backlog_bytes; // unsorted, of all tables, as of the last look
};
void k2_maintenance_get(struct k2_maintenance *maintenance, struct k2_maintenance_figures *figures);
