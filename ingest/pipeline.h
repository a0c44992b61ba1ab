// The ingest of `k2 serve`: a thread that reads Kafka, decodes, and commits rows together with the
// offsets they came from.
//
// Start and stop belong to one thread; the figures may be asked for by any. While it runs, the
// pipeline's thread is the writer of the engine.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "engine/engine.h"
#include "ingest/kafka_source.h"

struct k2_pipeline; // opaque

struct k2_pipeline_topic {
    const char *name, *table;
    const int32_t *partitions; // NULL: all
    size_t partition_count;
};

// What is said of the sequences of a table's rows; NULL: nothing. See ingest/sequence_rule.h.
struct k2_pipeline_table {
    const char *name, *sequence, *epoch, *domain;
};

// Everything but the engine is copied. Zero is the default of every field below `topics`.
struct k2_pipeline_options {
    struct k2_engine *engine; // for writing
    const char *brokers;      // HOST:PORT[,HOST:PORT...]
    const struct k2_pipeline_topic *topics;
    size_t topic_count;
    const struct k2_pipeline_table *tables; // those of which something is said
    size_t table_count;
    const char *schema_registry; // see k2_schema_registry_open
    const char *exchange;        // of rows whose writer knows none
    size_t commit_rows;          // 65,536
    int commit_ms;               // 100
    int recheck_ms;              // for new partitions; 30,000
};

enum k2_pipeline_state {
    K2_PIPELINE_RUNNING = 0,
    K2_PIPELINE_WAITING, // no broker answers
    K2_PIPELINE_FULL,    // disk or map: rows are kept, nothing is taken in, it goes on by itself
    K2_PIPELINE_FAILED,  // an input or output error: nothing more is taken in until a new start
    K2_PIPELINE_STOPPED,
};
const char *k2_pipeline_state_name(enum k2_pipeline_state state);

// messages = rows + duplicates + rejected + what waits for the next commit; since start.
struct k2_pipeline_stats {
    enum k2_pipeline_state state;
    char reason[256]; // why it does not run, or what a partition lacks; else empty
    uint64_t messages, bytes;
    uint64_t rows, duplicates, rejected; // committed
    uint64_t waiting;                    // rows and dead letters
    uint64_t commits, snapshot;
    uint64_t lag; // messages in the log that are not taken yet, as far as brokers told
    size_t partitions, running, held, stopped;
};

// K2_NOT_FOUND names a table that is not there, K2_BAD_REQUEST a setting that can not be. Brokers
// and registry need not be there yet.
K2_MUST_CHECK enum k2_status k2_pipeline_start(struct k2_pipeline **pipeline,
                                               const struct k2_pipeline_options *options,
                                               struct k2_error *error);

// Commits what waits, if that can be, and ends the thread. NULL is fine.
void k2_pipeline_stop(struct k2_pipeline *pipeline);

void k2_pipeline_stats(struct k2_pipeline *pipeline, struct k2_pipeline_stats *stats);

// Copies up to `room` partitions and returns how many there are; their topic names live as long as
// the pipeline.
size_t k2_pipeline_partitions(struct k2_pipeline *pipeline, struct k2_partition *partitions,
                              size_t room);
