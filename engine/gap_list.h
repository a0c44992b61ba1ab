// Reads the gap ledger: missing numbers of dense sources, as of any snapshot.
//
// Thread-safe, works beside a writer; a list belongs to one thread.
#pragma once

#include "engine/instrument_lists.h"
#include "engine/ledger_records.h"

// A range of missing numbers.
struct k2_gap {
    uint32_t instrument;         // 0: the counter counts more than an instrument
    struct k2_slice exchange;    // of the instrument, or of the counter if its name has one
    struct k2_slice symbol;      // likewise; else empty
    struct k2_slice domain;      // `channel=5`, the counter's name; empty: the instrument
    int64_t epoch, first, last;  // missing
    int64_t after_ns, before_ns; // times of the rows before and behind
    uint64_t snapshot;           // that opened it
    uint64_t closed_snapshot;    // that closed it, or left other gaps of it; 0: open
};

struct k2_gap_list_request {
    const struct k2_table *table;
    uint64_t snapshot;           // the ledger as it was then
    bool has_start, has_end;     // gaps that may have rows in start <= t < end
    int64_t start_ns, end_ns;    //
    const uint32_t *instruments; // sorted ids, NULL: all
    size_t instrument_count;     // counters that any of them uses are listed
    bool open_only;
};

struct k2_gap_list; // opaque

// The request's arrays are borrowed during open only.
K2_MUST_CHECK enum k2_status k2_gap_list_open(struct k2_gap_list **list, struct k2_engine *engine,
                                              const struct k2_gap_list_request *request,
                                              struct k2_error *error);
void k2_gap_list_close(struct k2_gap_list *list);

// Are there counters of several instruments among those listed?
bool k2_gap_list_has_domains(const struct k2_gap_list *list);

// The next gap by (exchange, symbol), then counters of several instruments, oldest first; by
// (epoch, first, snapshot) within a counter. `*found` is false at the end. Texts hold until the
// next call.
K2_MUST_CHECK enum k2_status k2_gap_list_next(struct k2_gap_list *list, bool *found,
                                              struct k2_gap *gap, struct k2_error *error);

// Figures of a table's ledger.
struct k2_gap_figures {
    uint64_t opened, closed; // since the store began
    uint64_t open;
    uint64_t given_up; // counters that had more than K2_MAX_OPEN_GAPS
};
K2_MUST_CHECK enum k2_status k2_gap_figures_get(struct k2_engine *engine,
                                                const struct k2_table *table,
                                                struct k2_gap_figures *figures,
                                                struct k2_error *error);
