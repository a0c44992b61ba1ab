// Finds out where the numbering of a source began anew: for sources that do not say it.
//
// A new epoch begins only with a row that comes more than an hour after everything of its domain,
// and whose number is less than half of the greatest. Any other row belongs to the epoch in whose
// span of time it lies; so old data that comes again is late or a duplicate, never a reset.
#pragma once

#include "engine/engine.h"
#include "engine/source.h"
#include "format/segment/row_batch.h"

// Sets the epochs of the batch's rows, from what was committed and from each other, whatever order
// they came in. Before k2_commit_add_from, on the writer's thread.
K2_MUST_CHECK enum k2_status k2_epochs_detect(struct k2_engine *engine,
                                              const struct k2_table *table,
                                              const struct k2_source *source,
                                              struct k2_row_batch *batch, struct k2_error *error);
