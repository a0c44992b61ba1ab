// What a rewrite does with rows that were replaced: they get their `_until` and go apart, into
// history groups, which newer reads skip; and what a retain drops.
//
// Pure: works on batches of merged rows. No answer changes, but for what is dropped.
#pragma once

#include "format/segment/row_batch.h"

// Zero drops nothing.
struct k2_retain_rule {
    uint64_t history_floor; // rows that only snapshots before this one show are dropped, 0: none,
    const uint64_t *tags;   // but not those that one of these shows; ascending
    size_t tag_count;
    bool has_cut;
    int64_t cut_ns; // rows with an earlier timestamp are dropped
};

// Where rows that replace others may be that the rewrite does not have.
struct k2_version_place {
    int64_t time_min_ns, time_max_ns;
    uint32_t instrument_min, instrument_max;
};

struct k2_version_split {
    const struct k2_retain_rule *rule;
    const struct k2_version_place *elsewhere;
    size_t elsewhere_count;
    uint32_t *current, *history; // rows of the batch, as sorted; room for all of them
    size_t current_count, history_count;
    uint64_t dropped; // the rest; added up
};

// Takes the batch apart. Its rows are sorted by key, none of which goes on in another batch; rows
// of one key get in order of their commits. Changes `_op` and `_until` of the batch.
K2_MUST_CHECK enum k2_status k2_version_split(struct k2_version_split *split,
                                              struct k2_row_batch *batch, struct k2_error *error);
