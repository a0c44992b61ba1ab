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

// What a rewrite replaces: the groups of its table that begin in [begin, end) of a segment.
struct k2_rewrite_input {
    uint64_t segment_id, begin, end;
    bool earlier; // replaced before, by what this rewrite or another one has replaced
};

// How far a group has come. What is not sorted lies as it came, in runs that overlap.
enum k2_level {
    K2_LEVEL_COMMIT = 0,   // as committed
    K2_LEVEL_HOURLY = 1,   // sorted: of each instrument, times overlap in no two sorted groups
    K2_LEVEL_DAILY = 2,    // sorted, for good
    K2_LEVEL_FOLD = 16,    // a few commits as one run
    K2_LEVEL_FOLDS = 17,   // a few of those as one
    K2_LEVEL_LATE = 18,    // rows that came when later ones of their instrument were sorted
    K2_LEVEL_HISTORY = 32, // rows that were replaced or deleted, all with their `_until`
};
static inline bool k2_level_is_sorted(uint16_t level)
{
    return level > K2_LEVEL_COMMIT && level < K2_LEVEL_FOLD;
}

// What a group says of itself, so that files alone can tell what counts.
struct k2_row_group_info {
    uint8_t store_id[16];
    uint64_t segment_id;
    uint64_t offset; // of the group in its file; a multiple of K2_SEGMENT_ALIGNMENT
    uint16_t table_id;
    uint16_t level; // enum k2_level
    uint32_t schema_version;
    uint64_t run;      // the writer process: counts up with every start
    uint64_t run_base; // last snapshot id when that run began
    uint64_t commit;   // snapshot id of the commit that writes this group; of a rewrite: the
                       // newest one when it began
    uint32_t part, part_count; // this group is part `part` (from 0) of that commit or rewrite
    int64_t commit_time_ns;
    const struct k2_progress_marker *markers; // first part only
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

// What encoding works with, kept from one group to the next one. Zeroed is empty; belongs to one
// thread at a time.
struct k2_row_group_memory {
    struct k2_buffer bytes; // the group, of k2_row_group_write
    struct k2_buffer entries, scratch;
    struct k2_row_key *keys;
    size_t key_room;
};
void k2_row_group_memory_deinit(struct k2_row_group_memory *memory);
// Gives back what only a group of uncommon size needs.
void k2_row_group_memory_trim(struct k2_row_group_memory *memory);

// Like encode, but the group becomes all of memory->bytes, whatever was there.
K2_MUST_CHECK enum k2_status
k2_row_group_write(struct k2_row_group_memory *memory, const struct k2_row_batch *batch,
                   const uint32_t *order, size_t row_count, const struct k2_row_group_info *info,
                   k2_name_of_instrument *name_of, void *name_context, struct k2_error *error);

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
