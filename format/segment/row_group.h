// Encodes rows into one self-contained row group. SEGMENT.md specifies every byte.
//
// Pure: from rows and names to bytes, the same bytes for the same input on every instruction set.
#pragma once

#include "format/base/buffer.h"
#include "format/segment/row_batch.h"

enum {
    K2_SEGMENT_ALIGNMENT = 4096, // row groups start here, so that no append rewrites a sector
    K2_BLOCK_ROWS = 1024,
};

// (exchange, symbol) of an instrument id, for the group's own directory.
struct k2_instrument_name {
    struct k2_slice exchange, symbol;
};

struct k2_progress_marker {
    struct k2_slice key, value; // opaque to format and engine
};

// The input of a rewrite: all of a segment up to `length_bytes`.
struct k2_rewrite_input {
    uint64_t segment_id, length_bytes;
};

// What a group says of itself, so that files alone can tell what counts.
struct k2_row_group_info {
    uint8_t store_id[16];
    uint64_t segment_id;
    uint64_t offset; // of the group in its file; a multiple of K2_SEGMENT_ALIGNMENT
    uint16_t table_id;
    uint16_t level; // 0 as committed, 1.. sorted by a rewrite
    uint32_t schema_version;
    uint64_t run;              // the writer process: counts up with every start
    uint64_t run_base;         // last snapshot id when that run began
    uint64_t commit;           // snapshot id of the commit (or rewrite) that writes this group
    uint32_t part, part_count; // this group is part `part` (from 0) of that commit
    int64_t commit_time_ns;
    const struct k2_progress_marker *markers; // first part of a commit only
    size_t marker_count;
    const struct k2_rewrite_input *inputs; // rewrites only
    size_t input_count;
    struct k2_slice table_name;
};

// Appends the group of rows `order[0..row_count)` of `batch`, which must be sorted by (instrument,
// time, epoch, sequence), to `out`, padded to K2_SEGMENT_ALIGNMENT. `out` must be aligned relative
// to info->offset. `names` gives the instruments of the batch by `name_context`.
typedef struct k2_instrument_name k2_name_of_instrument(void *name_context, uint32_t instrument);
K2_MUST_CHECK enum k2_status k2_row_group_encode(const struct k2_row_batch *batch,
                                                 const uint32_t *order, size_t row_count,
                                                 const struct k2_row_group_info *info,
                                                 k2_name_of_instrument *name_of, void *name_context,
                                                 struct k2_buffer *out, struct k2_error *error);

// The first K2_SEGMENT_ALIGNMENT bytes of a segment file: magic, version, feature bits, store and
// segment id. The check fails with K2_CORRUPT, or with K2_BAD_REQUEST for an intact file of a newer
// format.
K2_MUST_CHECK enum k2_status k2_segment_header_encode(const uint8_t store_id[16],
                                                      uint64_t segment_id, struct k2_buffer *out,
                                                      struct k2_error *error);
K2_MUST_CHECK enum k2_status k2_segment_header_check(struct k2_slice file,
                                                     const uint8_t store_id[16],
                                                     uint64_t segment_id, struct k2_error *error);

// False for a checked header with a feature that this program may read past but not rewrite.
bool k2_segment_header_writable(struct k2_slice file);
