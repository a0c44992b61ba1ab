// The store: a directory with segments and the index that says which of their bytes count.
//
// Lifetime: open, use, close; one handle per process and directory (LMDB). A write handle holds
// LOCK until it is closed or its process ends. Reading calls are thread-safe; calls that change
// the store (engine/commit.h, compact, tag, add_table) belong to one thread at a time.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "format/base/buffer.h"
#include "format/schema/schema.h"

struct k2_engine; // opaque

enum k2_engine_mode {
    K2_ENGINE_READ,   // the store must be there; works beside a writer of another process
    K2_ENGINE_WRITE,  // the store must be there; K2_BUSY names the pid that holds it
    K2_ENGINE_CREATE, // like WRITE, and creates it if it is not there
};

// K2_NOT_FOUND: no store at `path`. K2_CORRUPT: segments without index, or a damaged index.
// K2_BUSY: another process writes; its pid is in the text. Opening for writing seals the open tail
// and deletes files that the index does not name.
K2_MUST_CHECK enum k2_status k2_engine_open(struct k2_engine **engine, const char *path,
                                            enum k2_engine_mode mode, struct k2_error *error);
void k2_engine_close(struct k2_engine *engine);

// Why nothing can be changed any more: the disk failed, or a commit ended unclear. NULL: all is
// well. From then on changes fail with K2_IO until the store is opened again; reading goes on. The
// text is the engine's. Thread-safe.
const char *k2_engine_failure(const struct k2_engine *engine);

const char *k2_engine_path(const struct k2_engine *engine);
const uint8_t *k2_engine_store_id(const struct k2_engine *engine); // 16 bytes
uint64_t k2_engine_run(const struct k2_engine *engine); // counts the starts of writers; 0: a reader

// What the handle keeps of what was read, for the next reads, beside what is in use.
struct k2_read_cache {
    size_t mapped_bytes; // of row groups that stay mapped: pages of files, which the kernel may
                         // take back at any time; they are no heap
    size_t heap_bytes;   // of headers and directories of row groups
};

extern const struct k2_read_cache k2_read_cache_small; // 32 MiB and 32 MiB: as it is at opening
extern const struct k2_read_cache k2_read_cache_large; // 1 GiB and 48 MiB: of a handle of libk2
// Thread-safe.
void k2_engine_set_read_cache(struct k2_engine *engine, const struct k2_read_cache *cache);

struct k2_table {
    uint16_t id;
    uint32_t schema_version; // newest
    const struct k2_schema *schema;
};

// By exact name; NULL if there is none. Borrowed from the engine until it is closed. A reader sees
// tables of other processes after k2_engine_refresh.
const struct k2_table *k2_engine_table(const struct k2_engine *engine, struct k2_slice name);
const struct k2_table *k2_engine_table_at(const struct k2_engine *engine, size_t index); // or NULL
K2_MUST_CHECK enum k2_status k2_engine_refresh(struct k2_engine *engine, struct k2_error *error);

// Declares a table, or a newer version of its schema (BACKWARD; else K2_BAD_REQUEST names the
// field). The engine takes the schema: on K2_OK *schema is NULL.
K2_MUST_CHECK enum k2_status k2_engine_add_table(struct k2_engine *engine,
                                                 struct k2_schema **schema,
                                                 const struct k2_table **table,
                                                 struct k2_error *error);

// The progress marker of `key` (Kafka: "kafka/TOPIC/PARTITION"), appended to `value`.
K2_MUST_CHECK enum k2_status k2_engine_progress(struct k2_engine *engine, struct k2_slice key,
                                                bool *found, struct k2_buffer *value,
                                                struct k2_error *error);

// Figures for `k2 stats`, /v1/stats and /metrics; all since the store began.
struct k2_table_counters {
    uint64_t rows;                         // visible in the newest snapshot
    uint64_t stored, duplicates, rejected; // rows in = the sum of the three
    uint64_t groups, segments, bytes, instruments;
    int64_t first_time_ns, last_time_ns;      // only if rows > 0
    uint64_t unsorted_groups, unsorted_bytes; // what maintenance has before it
    // Written by commits, and by rewrites, since the index was made: their sum by the first is the
    // write amplification.
    uint64_t committed_bytes, rewritten_bytes;
    uint64_t hidden; // rows that are kept, but not visible in it: replaced, deleted, and deletions
};
K2_MUST_CHECK enum k2_status k2_engine_counters(struct k2_engine *engine,
                                                const struct k2_table *table,
                                                struct k2_table_counters *counters,
                                                struct k2_error *error);
K2_MUST_CHECK enum k2_status k2_engine_index_bytes(struct k2_engine *engine, uint64_t *bytes,
                                                   struct k2_error *error);

// Bytes that each column takes in the segments, by column index of the newest schema; reads the
// header of every group. `bytes` has room for schema->column_count; the key columns exchange and
// symbol stand for the directories.
K2_MUST_CHECK enum k2_status k2_engine_column_bytes(struct k2_engine *engine,
                                                    const struct k2_table *table, uint64_t *bytes,
                                                    struct k2_error *error);
