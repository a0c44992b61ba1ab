// What `k2 tag` does, here or in the server.
#pragma once

#include "engine/engine.h"

struct k2_tag_change {
    struct k2_slice name;
    uint64_t snapshot; // 0: the newest
    bool remove;
};
// `*snapshot` is the one that has, or had, the name.
K2_MUST_CHECK enum k2_status k2_tag_change(struct k2_engine *engine,
                                           const struct k2_tag_change *change, uint64_t *snapshot,
                                           struct k2_error *error);
