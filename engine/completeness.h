// Does an answer have all rows that its sources sent? Told by the gap ledger.
//
// Thread-safe, works beside a writer.
#pragma once

#include "engine/engine.h"

enum k2_complete {
    K2_COMPLETE_UNKNOWN = 0, // not every counter is dense, so nobody can tell
    K2_COMPLETE_NO,
    K2_COMPLETE_YES, // as far as was heard: see known_from and known_until
};
const char *k2_complete_name(enum k2_complete complete); // "null", "false", "true"

enum k2_incomplete_reason {
    K2_INCOMPLETE_NOTHING = 0, // complete
    K2_INCOMPLETE_GAP,         // numbers are missing
    K2_INCOMPLETE_RETENTION,   // rows of the range were dropped because they were old
    K2_INCOMPLETE_NOT_DENSE,   // unknown: a source does not count every event, or has too many gaps
    K2_INCOMPLETE_EMPTY,       // unknown: no instrument was asked for that is there
    K2_INCOMPLETE_STALE,       // unknown: the ledger is to be made again after a repair
};
const char *k2_incomplete_reason_name(enum k2_incomplete_reason reason); // "gap"; NULL: nothing

struct k2_completeness_request {
    const struct k2_table *table;
    uint64_t snapshot;
    bool has_start, has_end;
    int64_t start_ns, end_ns;    // start <= t < end
    const uint32_t *instruments; // sorted ids, NULL: all that the table has as of the snapshot
    size_t instrument_count;
};

struct k2_completeness {
    enum k2_complete complete;
    enum k2_incomplete_reason reason;
    uint64_t gap_count; // open gaps that may have rows in the range
    // The counters of all instruments asked for have shown numbers between these two times; before
    // and behind them nobody can know of a gap. Absent where the state of then is not kept: as of
    // older snapshots.
    bool has_known;
    int64_t known_from_ns, known_until_ns;
};

K2_MUST_CHECK enum k2_status k2_completeness_get(struct k2_engine *engine,
                                                 const struct k2_completeness_request *request,
                                                 struct k2_completeness *completeness,
                                                 struct k2_error *error);
