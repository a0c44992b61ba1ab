// Files whose rows live elsewhere, or that never became part of the store.
#pragma once

#include "engine/engine.h"

// A writer's start: removes files below segments/ that the index does not name.
K2_MUST_CHECK enum k2_status k2_garbage_sweep(struct k2_engine *engine, struct k2_error *error);

// Unlinks retired segments that no reader can still plan on; dead readers are cleared first.
// `*left` (may be NULL) counts those that a reader still holds.
K2_MUST_CHECK enum k2_status k2_garbage_collect(struct k2_engine *engine, size_t *left,
                                                struct k2_error *error);
