// Verifies a store: every checksum and invariant, in the index and in the segments.
#pragma once

#include "engine/engine.h"
#include "format/segment/row_group_view.h"

struct k2_check_options {
    bool deep; // decode every value and compare order and ranges, too
    void (*finding)(void *context, const char *text); // one line for each; may be NULL
    void *context;
};

struct k2_check_report {
    uint64_t segments, groups, rows;
    uint64_t findings;
};

// K2_OK also with findings: look at the report. Works beside a writer: it checks what is live.
K2_MUST_CHECK enum k2_status k2_check(struct k2_engine *engine,
                                      const struct k2_check_options *options,
                                      struct k2_check_report *report, struct k2_error *error);

// Every column of a group by its checksum, the hidden ones too.
K2_MUST_CHECK enum k2_status k2_check_columns(const struct k2_row_group_view *view,
                                              struct k2_error *error);
