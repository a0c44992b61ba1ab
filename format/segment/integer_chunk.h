// A column of int64 values in blocks of 1,024 rows: entries, statistics, payload. Also the codes
// and lengths of text columns. SEGMENT.md has the bytes.
#pragma once

#include "format/codec/codec.h"
#include "format/segment/row_group_view.h"

enum { K2_GROUP_BLOCKS = K2_GROUP_ROWS / K2_BLOCK_ROWS };

// Where the values to encode come from.
struct k2_integer_source {
    // Writes rows [first_row, first_row + row_count): values, and validity (1 = not null) unless
    // `valid` is NULL. Values of null rows do not matter.
    void (*fill)(const void *context, size_t first_row, size_t row_count, int64_t *values,
                 uint8_t *valid);
    const void *context; // borrowed
    size_t row_count;    // 1..K2_GROUP_ROWS
    bool has_nulls;      // false: `valid` is NULL
    bool sorted_level;   // as for k2_block_encode
    // NULL, or what is subtracted from each value before it is encoded: as many rows, no nulls.
    // Statistics are those of the values themselves.
    const struct k2_integer_source *reference; // borrowed
    bool ordinals; // subtracted are the places in the runs of equal values of the reference
};

// True when the values less source->reference, which is not NULL, take clearly fewer bytes; judged
// by the block in the middle.
bool k2_integer_chunk_difference_pays(const struct k2_integer_source *source);

// Appends the chunk to `out`. `flags` of K2_CHUNK_HAS_*: statistics wanted; they are left out
// where the chunk is too short for them. `scratch` is cleared. `*stats` may be NULL.
void k2_integer_chunk_encode(const struct k2_integer_source *source, unsigned flags,
                             struct k2_buffer *scratch, struct k2_buffer *out,
                             struct k2_column_stats *stats);

// An opened chunk; borrows the bytes. A value.
struct k2_integer_chunk {
    uint32_t row_count, block_count;
    uint32_t divisor_count;
    bool is_difference; // for whoever opened it to set: entries say nothing of the values
    bool is_uniform;    // the entry of block 0 is that of all
    const uint8_t *divisors, *entries;
    const uint8_t *bounds, *zones; // NULL: none
    struct k2_slice payload;
    // For whoever opened it to set: the rows of the block that is decoded next that are wanted,
    // values of others need not be right; 0 and 0: all.
    uint16_t first_row, end_row;
};

K2_MUST_CHECK enum k2_status k2_integer_chunk_open(struct k2_integer_chunk *chunk,
                                                   struct k2_slice bytes, uint32_t row_count,
                                                   struct k2_error *error);

uint32_t k2_integer_chunk_block_rows(const struct k2_integer_chunk *chunk, uint32_t block);

// `*valid` is NULL or `valid_room`, which has room for a block.
K2_MUST_CHECK enum k2_status k2_integer_chunk_decode(const struct k2_integer_chunk *chunk,
                                                     uint32_t block, int64_t *values,
                                                     uint8_t *valid_room, const uint8_t **valid,
                                                     struct k2_error *error);

// The sum of a block without nulls from its packed bytes; false: it has to be decoded.
bool k2_integer_chunk_sum(const struct k2_integer_chunk *chunk, uint32_t block, k2_int128 *sum);

// False: unknown, or all null.
bool k2_integer_chunk_bounds(const struct k2_integer_chunk *chunk, uint32_t block, int64_t *min,
                             int64_t *max);

// The statistics of zone `zone`, of K2_ZONE_BLOCKS blocks; false: the chunk has none.
bool k2_integer_chunk_zone(const struct k2_integer_chunk *chunk, uint32_t zone,
                           struct k2_column_stats *stats);

void k2_integer_chunk_block_info(const struct k2_integer_chunk *chunk, uint32_t block,
                                 struct k2_block_info *info);
