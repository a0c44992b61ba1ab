// Rows of a plan that were replaced or deleted as of a snapshot, so that a scan leaves them out.
//
// Only rows that say so (`_op`, `_until`) are looked for, in the range and for the instruments of
// the scan; plans without such groups cost one test a group. Belongs to the scan's thread.
#pragma once

#include "engine/group_set.h"

// Fills set->hidden for the rows with first_ns <= time <= last_ns. Called once for each plan.
K2_MUST_CHECK enum k2_status k2_scan_versions_find(struct k2_group_set *set, int64_t first_ns,
                                                   int64_t last_ns, uint64_t snapshot,
                                                   struct k2_error *error);
