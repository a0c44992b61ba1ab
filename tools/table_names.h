// Tables as `--table a,b` names them, and ages as `--older-than 6h` does.
#pragma once

#include "engine/engine.h"
#include "engine/snapshot.h"
#include "tools/cli.h"

struct k2_table_names {
    const struct k2_table *tables[K2_MAX_SNAPSHOT_TABLES]; // borrowed from the engine
    size_t count;
    bool named; // by the user; else all but the store's own
};

K2_MUST_CHECK enum k2_status k2_table_names_read(struct k2_table_names *names,
                                                 const struct k2_cli *cli, struct k2_engine *engine,
                                                 struct k2_error *error);

// `90s`, `15m`, `6h`, `7d`. `option` is what complaints begin with.
K2_MUST_CHECK enum k2_status k2_read_age(const char *text, const char *option, int64_t *age_ms,
                                         struct k2_error *error);
