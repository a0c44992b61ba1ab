// Which instruments a query means: lists of exchanges, symbols and canonical symbols as users
// write them, against the instruments that a table has.
//
// An exact match wins, else the only one without regard to the case of ASCII letters. A name that
// matches nothing selects nothing.
#pragma once

#include "engine/instrument_lists.h"
#include "engine/scan.h"

// One comma-separated list and the name under which its user knows it. `given` false: no condition.
struct k2_name_list {
    bool given;
    const char *parameter;
    struct k2_slice names;
};

struct k2_instrument_filter {
    struct k2_name_list exchange, symbol, canonical;
};

// The instruments of a filter; `instruments` points into `list`. Closed with close.
struct k2_instrument_selection {
    bool all; // no condition was given: the other fields are empty
    struct k2_scan_instrument *instruments;
    size_t instrument_count;
    const struct k2_instruments *list; // borrowed until close
};

// K2_BAD_REQUEST names the parameter: an empty name in a list, or `ambiguous_symbol`.
K2_MUST_CHECK enum k2_status
k2_instrument_selection_open(struct k2_instrument_selection *selection, struct k2_engine *engine,
                             const struct k2_table *table, uint64_t snapshot,
                             const struct k2_instrument_filter *filter, struct k2_error *error);
// Their ids, sorted; an owned array of selection->instrument_count. NULL when all are selected.
K2_MUST_CHECK enum k2_status
k2_instrument_selection_ids(const struct k2_instrument_selection *selection, uint32_t **ids,
                            struct k2_error *error);
void k2_instrument_selection_close(struct k2_instrument_selection *selection);

// The part behind the engine: marks `keep[i]` of every instrument that passes.
K2_MUST_CHECK enum k2_status k2_instrument_filter_apply(const struct k2_instrument_filter *filter,
                                                        const struct k2_instrument *list,
                                                        size_t count, bool *keep,
                                                        struct k2_error *error);
