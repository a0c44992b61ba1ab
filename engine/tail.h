// The segment file that is being appended to, for all tables.
//
// Bytes below the committed length never change. A tail that failed, or whose commit failed, is
// sealed: closed for good, and the next append begins a new file. The engine's tail is guarded by
// its write lock (engine_state.h); a rewrite has one of its own.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "format/base/buffer.h"
#include "format/base/status.h"

enum { K2_TAIL_CEILING_BYTES = 64 << 20 }; // a tail of this length is sealed after its commit

struct k2_tail {
    bool open;
    bool published; // renamed to its final name, and the folder synced
    int file;
    uint64_t segment_id;
    uint64_t committed_bytes; // what the index knows
    uint64_t written_bytes;   // where the next group begins
    uint64_t reserved_bytes;  // up to where the disk has given room
    uint32_t group_count;     // committed, less those that a rewrite has replaced
    uint64_t live_bytes;      // of those groups
    bool rewritten;           // it takes a rewrite, no commits
};

struct k2_engine;

// Begins a new file if none is open. The id counts up from the index's newest.
K2_MUST_CHECK enum k2_status k2_tail_open(struct k2_engine *engine, struct k2_tail *tail,
                                          struct k2_error *error);

// Appends at `written_bytes`.
K2_MUST_CHECK enum k2_status k2_tail_write(struct k2_engine *engine, struct k2_tail *tail,
                                           struct k2_slice bytes, struct k2_error *error);

// Bytes of groups that are written and not committed yet.
uint64_t k2_tail_new_bytes(const struct k2_tail *tail);

// So many groups that were written are part of the store now.
void k2_tail_committed(struct k2_tail *tail, uint32_t new_groups);

// Makes everything written durable: data, then the name.
K2_MUST_CHECK enum k2_status k2_tail_sync(struct k2_engine *engine, struct k2_tail *tail,
                                          struct k2_error *error);

// Closes the file for good. One that never became part of the store is removed, unless `keep`: it
// is not known whether the index names it.
void k2_tail_seal(struct k2_engine *engine, struct k2_tail *tail, bool keep);
