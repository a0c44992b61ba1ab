// `k2 policy`, whoever does it: this process or a server.
#pragma once

#include "engine/policy.h"

// Borrowed texts as on the command line; NULL: stays as it is.
struct k2_policy_change {
    const char *table, *duplicates, *history, *retention;
};

// K2_BAD_REQUEST: a text that means nothing. Needs no store.
K2_MUST_CHECK enum k2_status k2_policy_change_check(const struct k2_policy_change *change,
                                                    struct k2_error *error);
// The table of that name, which is none of K2's own; else K2_NOT_FOUND.
K2_MUST_CHECK enum k2_status k2_policy_table(struct k2_engine *engine, const char *name,
                                             const struct k2_table **table, struct k2_error *error);
K2_MUST_CHECK enum k2_status k2_policy_change_do(struct k2_engine *engine,
                                                 const struct k2_policy_change *change,
                                                 struct k2_error *error);
