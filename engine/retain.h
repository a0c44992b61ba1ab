// Drops what the policies of tables allow (engine/policy.h): rows whose event is older than the
// retention, and versions that only snapshots before the history show and no tag does.
//
// A rewrite that drops rows: a step of history of its own (operation `retain`).
#pragma once

#include "engine/engine.h"

struct k2_retain_report {
    uint64_t rows_dropped; // of these:
    uint64_t rows_old;     // before the retention, and visible until now
    uint64_t bytes_before, bytes_after;
    uint64_t history_floor; // of the table, from now on
    bool has_cut;
    int64_t retention_cut_ns; // rows with an earlier timestamp were dropped
    uint64_t snapshot;        // the newest
};

// One table. For a write handle, any thread. Commits, tags and policies wait while the rows to go
// are found and while the files are exchanged; all the time when a commit that came between changed
// what is shown (a table with versions), a tag what must stay, or a policy what may go. `now_ns`:
// the time by which history and retention are measured. `dry_run`: only tells. Nothing to do is
// K2_OK without a new snapshot.
K2_MUST_CHECK enum k2_status k2_retain(struct k2_engine *engine, const struct k2_table *table,
                                       int64_t now_ns, bool dry_run,
                                       struct k2_retain_report *report, struct k2_error *error);
