// The maintenance of `k2 serve`: folding and sorting beside ingest (engine/maintenance.h).
#pragma once

#include "engine/engine.h"
#include "tools/cli.h"

#define K2_OPTIONS_MAINTENANCE                                                                     \
    {"maintenance", "on|off", "folds and sorts beside ingest; on unless given", false},            \
    {                                                                                              \
        "maintenance-rate", "MIB", "at most so many MiB written a second; no limit unless given",  \
            false                                                                                  \
    }

struct k2_serve_maintenance; // opaque

// Checks the options; `*maintenance` is NULL when it is off.
K2_MUST_CHECK enum k2_status k2_serve_maintenance_create(struct k2_serve_maintenance **maintenance,
                                                         const struct k2_cli *cli,
                                                         struct k2_error *error);

// All accept NULL. Its thread uses the engine until destroy, before which ingest has ended.
K2_MUST_CHECK enum k2_status k2_serve_maintenance_start(struct k2_serve_maintenance *maintenance,
                                                        struct k2_engine *engine,
                                                        struct k2_error *error);
void k2_serve_maintenance_destroy(struct k2_serve_maintenance *maintenance);

// For /metrics and /health; false: it can not work. Any thread.
void k2_serve_maintenance_put_metrics(struct k2_serve_maintenance *maintenance,
                                      struct k2_buffer *out);
bool k2_serve_maintenance_put_health(struct k2_serve_maintenance *maintenance,
                                     struct k2_buffer *out);
