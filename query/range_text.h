// The parameters that choose a range, as their users write them, and what they mean.
#pragma once

#include "engine/engine.h"

enum k2_range_parameter {
    K2_RANGE_TABLE = 0, // exact name
    K2_RANGE_EXCHANGE,  // lists, see query/instrument_filter.h
    K2_RANGE_SYMBOL,
    K2_RANGE_CANONICAL,
    K2_RANGE_START, // start <= timestamp < end
    K2_RANGE_END,
    K2_RANGE_FIELDS, // columns, comma-separated, in the order wanted
    K2_RANGE_ORDER,  // asc, desc
    K2_RANGE_LIMIT,
    K2_RANGE_AS_OF, // snapshot id, time or tag
    K2_RANGE_CURSOR,
    K2_RANGE_FORMAT,
    K2_RANGE_TIME,    // iso, ns
    K2_RANGE_NUMBERS, // string, float
    K2_RANGE_PARAMETER_COUNT,
};

// One parameter as given, and the name under which its user knows it (`limit`, `--limit`), with
// which every complaint about it begins.
struct k2_range_text {
    const char *name;
    bool given;
    struct k2_slice value;
};

bool k2_range_text_is(const struct k2_range_text *text, const char *word);

// All complaints begin with the parameter's name. Fails always, with K2_BAD_REQUEST.
K2_MUST_CHECK enum k2_status k2_range_text_bad_choice(const struct k2_range_text *text,
                                                      const char *choices, struct k2_error *error);
K2_MUST_CHECK enum k2_status k2_range_text_time(const struct k2_range_text *text, bool *given,
                                                int64_t *time_ns, struct k2_error *error);
// From 1 to `max` (0: any); leaves *limit alone when it is not given.
K2_MUST_CHECK enum k2_status k2_range_text_limit(const struct k2_range_text *text, uint64_t max,
                                                 uint64_t *limit, struct k2_error *error);
// K2_NOT_FOUND: there is no such table.
K2_MUST_CHECK enum k2_status k2_range_text_table(const struct k2_range_text *text,
                                                 struct k2_engine *engine,
                                                 const struct k2_table **table,
                                                 struct k2_error *error);
// The snapshot of `as_of`, the newest one without it.
K2_MUST_CHECK enum k2_status k2_range_text_snapshot(const struct k2_range_text *text,
                                                    struct k2_engine *engine, uint64_t *id,
                                                    struct k2_error *error);
