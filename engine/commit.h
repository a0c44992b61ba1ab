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

enum k2_row_fate {
    K2_ROW_NEW = 0,
    K2_ROW_DUPLICATE = 1, // it changes nothing: its key is there with this content, or a newer one
    K2_ROW_CONFLICT = 2,  // same key, other content; this one and those below are rejected
    K2_ROW_UNKNOWN_KEY = 3, // a deletion of what is not there
    K2_ROW_REPEATED = 4,    // same key and content, where the table rejects second rows
};
const char *k2_row_fate_reason(enum k2_row_fate fate); // of a rejected one: "key_conflict"
const char *k2_row_fate_detail(enum k2_row_fate fate); // the same in words

// What add found out about a batch. The arrays belong to the commit, until finish or abort.
struct k2_commit_outcome {
    size_t stored, duplicates;
    const uint32_t *conflicts; // rejected rows of the batch, in order of arrival
    const uint8_t *fates;      // enum k2_row_fate, by row
    size_t conflict_count;     // stored + duplicates + conflict_count = batch->row_count
    size_t gave_up;            // counters that had too many gaps and are not dense any more
};

K2_MUST_CHECK enum k2_status k2_commit_begin(struct k2_engine *engine, struct k2_commit **commit,
                                             struct k2_error *error);

// Sorts the batch's rows, finds those whose key is there already, in it or in what is stored, does
// with them as the table's policy says (engine/policy.h), and encodes what is left. Rows with the
// op K2_OP_DELETE delete the row of their key: newer snapshots do not show it any more.
// batch->schema must be the newest schema of a table of this engine. At most one batch a table and
// commit.
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
