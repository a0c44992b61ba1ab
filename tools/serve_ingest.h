// The Kafka side of `k2 serve`: its options, and its figures for /metrics and /health.
#pragma once

#include "engine/engine.h"
#include "tools/cli.h"

#define K2_OPTIONS_INGEST                                                                          \
    {"kafka", "BROKERS", "HOST:PORT[,HOST:PORT...] to read from", false},                          \
        {"schema-registry", "URL|DIR", "knows schemas by id; built-in schemas else", false},       \
        {"sequence", "TABLE=dense", "its sources count every event; they may leave some out else", \
         true},                                                                                    \
        {"epoch", "TABLE=RULE", "where their numbers begin anew, as in k2 load", true},            \
        {"domain", "TABLE=COLUMN,...", "what a counter counts: instrument unless given", true},    \
    {                                                                                              \
        "topic", "NAME[:P,P...]=TABLE", "a topic (partitions of it) and its table", true           \
    }

struct k2_serve_ingest; // opaque

// Checks --kafka, --schema-registry and --topic; `*ingest` is NULL without --kafka.
K2_MUST_CHECK enum k2_status k2_serve_ingest_create(struct k2_serve_ingest **ingest,
                                                    const struct k2_cli *cli,
                                                    struct k2_error *error);

// Both accept NULL. The engine is the ingest's to write until stop.
K2_MUST_CHECK enum k2_status k2_serve_ingest_start(struct k2_serve_ingest *ingest,
                                                   struct k2_engine *engine,
                                                   struct k2_error *error);
void k2_serve_ingest_destroy(struct k2_serve_ingest *ingest);

// For struct k2_http_api_options, with a struct k2_serve_ingest as context. Any thread.
void k2_serve_ingest_put_metrics(void *ingest, struct k2_buffer *out);
bool k2_serve_ingest_put_health(void *ingest, struct k2_buffer *out);
