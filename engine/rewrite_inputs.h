// What a rewrite replaces, as its headers name it: its inputs, and what was replaced before by
// these or other rewrites and is still there. Belongs to one thread.
#pragma once

#include "engine/plan.h"
#include "engine/store.h"

struct k2_rewrite_segment {
    uint64_t id;
    uint32_t groups; // inputs in it
    uint64_t bytes;  // of those
    bool rewritten;
};

// Zeroed may be deinited.
struct k2_rewrite_inputs {
    struct k2_rewrite_input *list; // owned: the inputs, then the earlier ones
    size_t count, room;
    struct k2_rewrite_segment *segments; // owned: those of the inputs, by id
    size_t segment_count;
};

// `plan` has the inputs, mapped, as of `txn`.
K2_MUST_CHECK enum k2_status k2_rewrite_inputs_load(struct k2_rewrite_inputs *inputs,
                                                    struct k2_store_txn *txn,
                                                    const struct k2_table *table,
                                                    const struct k2_plan *plan,
                                                    struct k2_error *error);
void k2_rewrite_inputs_deinit(struct k2_rewrite_inputs *inputs);

// Are there segments with commits among them that nothing is appended to any more?
bool k2_rewrite_inputs_have_commits(const struct k2_rewrite_inputs *inputs,
                                    const struct k2_engine *engine);
