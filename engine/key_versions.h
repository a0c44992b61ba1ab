// What becomes of rows whose key is there already: the rule of the table, deletions, and versions
// with a number of their own (k2.role version).
//
// Rows of one key are looked at in order of arrival, behind the newest stored one. Belongs to a
// commit and its thread.
#pragma once

#include "engine/commit.h"
#include "engine/policy.h"
#include "format/segment/row_batch.h"

// The newest stored row with the key of a batch's row.
struct k2_key_match {
    uint64_t commit; // 0: there is none
    int64_t version; // of the table's version column, if has_version
    uint8_t op;      // enum k2_row_op
    bool same;       // its content is that of the batch's row
    bool has_version;
};

// Zeroed may be deinited.
struct k2_key_versions {
    enum k2_duplicate_rule rule;
    struct k2_key_match *matches; // owned, by row
    uint8_t *ops;                 // owned, by row: what is to be stored of rows that are new
    bool any_op;                  // one of them is no plain put
    // Rows that the commit makes or stores invisible.
    uint64_t hidden;
    // Versions of deletions that came without one: those of what they delete. Owned, by row; NULL
    // if there are none.
    int64_t *versions;
};

K2_MUST_CHECK enum k2_status k2_key_versions_init(struct k2_key_versions *versions,
                                                  enum k2_duplicate_rule rule, size_t row_count,
                                                  struct k2_error *error);
void k2_key_versions_deinit(struct k2_key_versions *versions);

// Fills `fates` (by row; see engine/duplicates.h) and versions->ops; `matches` is complete. `order`
// sorts the batch.
K2_MUST_CHECK enum k2_status k2_key_versions_resolve(struct k2_key_versions *versions,
                                                     const struct k2_row_batch *batch,
                                                     const uint32_t *order, uint8_t *fates,
                                                     struct k2_error *error);

// Do two rows of the batch have the same content (all columns that count for it)?
bool k2_same_content(const struct k2_row_batch *batch, uint32_t left, uint32_t right);
