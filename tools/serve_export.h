// The export of `k2 serve`: a thread that brings Iceberg tables up to the newest snapshot, again
// and again, and cares for them.
#pragma once

#include "engine/engine.h"
#include "tools/cli.h"

#define K2_OPTIONS_EXPORT                                                                          \
    {"export", "DIR", "keeps Iceberg tables below DIR up to date (s3://... with a catalog)",       \
     false},                                                                                       \
        {"export-every", "AGE", "how often: 10s, 5m, 1h; 60s unless given", false},                \
    {                                                                                              \
        "export-catalog", "URL", "the REST catalog of those tables; a SQLite file in DIR else",    \
            false                                                                                  \
    }

struct k2_serve_export; // opaque

// Checks the options; `*export` is NULL without --export.
K2_MUST_CHECK enum k2_status k2_serve_export_create(struct k2_serve_export **export,
                                                    const struct k2_cli *cli,
                                                    struct k2_error *error);

// All accept NULL. The thread uses the engine until destroy, which ends an export that is under
// way; the next start goes on with it.
K2_MUST_CHECK enum k2_status k2_serve_export_start(struct k2_serve_export *export,
                                                   struct k2_engine *engine,
                                                   struct k2_error *error);
void k2_serve_export_destroy(struct k2_serve_export *export);

// For /metrics. Any thread.
void k2_serve_export_put_metrics(struct k2_serve_export *export, struct k2_buffer *out);
