// Sorts the rows of a batch by key, without moving them.
#pragma once

#include "format/segment/row_batch.h"

// (instrument, time, epoch, sequence); < 0, 0, > 0.
int k2_row_key_compare(const struct k2_row_key *left, const struct k2_row_key *right);

// Fills order[0..row_count) with the batch's rows, ascending; equal keys stay in order of arrival
// (versions of a key, in a rewrite: by their snapshots).
// Rows that arrive sorted, or as a few sorted runs, cost little more than one pass.
K2_MUST_CHECK enum k2_status k2_row_order(const struct k2_row_batch *batch, uint32_t *order,
                                          struct k2_error *error);
