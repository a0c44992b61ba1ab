// One commit: rows of any tables, the progress they stand for and the counters, durable together.
//
//   begin, add (each batch), set_progress, count, finish | abort
//
// Belongs to the writer thread; one commit at a time per engine. A batch is borrowed from add until
// finish or abort. Rows become visible, and survive a power cut, when finish returns K2_OK.
#pragma once

#include "engine/engine.h"
#include "engine/source.h"
#include "format/segment/row_batch.h"

struct k2_commit; // opaque

// What add found out about a batch. The arrays belong to the commit, until finish or abort.
struct k2_commit_outcome {
    size_t stored, duplicates;
    const uint32_t *conflicts; // rows of the batch with the key of another row and other content
    size_t conflict_count;     // stored + duplicates + conflict_count = batch->row_count
    size_t gave_up;            // counters that had too many gaps and are not dense any more
};

K2_MUST_CHECK enum k2_status k2_commit_begin(struct k2_engine *engine, struct k2_commit **commit,
                                             struct k2_error *error);

// Sorts the batch's rows, finds duplicates within it, in what is stored and in earlier batches of
// this commit for the same table, and encodes the rest. batch->schema must be the newest schema of
// a table of this engine. At most one batch a table and commit.
K2_MUST_CHECK enum k2_status k2_commit_add(struct k2_commit *commit,
                                           const struct k2_row_batch *batch,
                                           enum k2_numbering numbering,
                                           struct k2_commit_outcome *outcome,
                                           struct k2_error *error);

// The same for a source that says more than how it numbers; borrowed until finish or abort.
K2_MUST_CHECK enum k2_status k2_commit_add_from(struct k2_commit *commit,
                                                const struct k2_row_batch *batch,
                                                const struct k2_source *source,
                                                struct k2_commit_outcome *outcome,
                                                struct k2_error *error);

// Both are copied.
K2_MUST_CHECK enum k2_status k2_commit_set_progress(struct k2_commit *commit, struct k2_slice key,
                                                    struct k2_slice value, struct k2_error *error);

// Adds rows that never became part of a batch to the table's rejected counter (conflicts count
// themselves).
void k2_commit_count_rejected(struct k2_commit *commit, const struct k2_table *table,
                              uint64_t rows);

// Ends the commit in every case. `*snapshot` is the new snapshot, or the newest one when no row was
// stored (then only counters and progress are written). K2_NO_SPACE: nothing happened, try again
// later. K2_IO: the engine must be closed and opened again; whether the commit happened is known
// then.
K2_MUST_CHECK enum k2_status k2_commit_finish(struct k2_commit *commit, uint64_t *snapshot,
                                              struct k2_error *error);
void k2_commit_abort(struct k2_commit *commit);
