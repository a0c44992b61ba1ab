// What column readers see of a view, and what those who sum and decode see of a reader.
#pragma once

#include <stdatomic.h>

#include "format/segment/integer_chunk.h"
#include "format/segment/row_group_view.h"
#include "format/segment/text_chunk.h"

// Where a column's chunk lies; beside its struct k2_group_column.
struct k2_column_place {
    uint8_t encoding;
    uint16_t reference; // id of the column of DIFFERENCES and ORDINALS
    uint32_t offset;    // in the group
    uint64_t checksum;
};

struct k2_row_group_view {
    struct k2_slice bytes; // borrowed: the group, padding included
    uint32_t row_count;
    struct k2_row_group_info info; // markers and inputs are arrays of the view
    struct k2_progress_marker *markers;
    struct k2_rewrite_input *inputs;
    struct k2_group_column *columns;
    struct k2_column_place *places;
    atomic_bool *checked; // by column: its checksum was right
    size_t column_count;
    struct k2_directory_entry *directory;
    size_t directory_count;
    uint8_t *directory_text; // owned, when the directory is compressed
    size_t heap_bytes;
};

// A block of a reference.
struct k2_reference_room {
    _Alignas(64) int64_t values[K2_VECTOR_ROWS + 64];
    uint8_t valid[K2_VECTOR_ROWS];
};

struct k2_column_reader {
    const struct k2_row_group_view *view; // borrowed
    enum k2_kind kind;
    uint8_t scale;
    bool constant; // every row is `value`: the commit of a group without that column
    bool all_null;
    int64_t value;
    struct k2_column_stats stats;      // of the whole column; unless `constant`
    struct k2_integer_chunk integers;  // fixed kinds
    struct k2_text_chunk texts;        // text kinds
    struct k2_integer_chunk reference; // what is added to differences
    struct k2_reference_room *room; // owned; NULL: the reference was lent so far, if there is one
    bool ordinals;                  // what is added are places in the reference's runs
    uint16_t reference_id;
    uint16_t first_row, end_row; // of the block that is decoded next: wanted; 0 and 0: all
    const int64_t *lent; // borrowed: the reference's values of the block that is decoded next
};
