// What the column reader needs to see of a view.
#pragma once

#include "format/segment/row_group_view.h"

// Where a column's chunk lies; beside its struct k2_group_column.
struct k2_column_place {
    uint8_t encoding;
    uint16_t reference; // id of the column that was subtracted, for K2_ENCODING_DIFFERENCES
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
    size_t column_count;
    struct k2_directory_entry *directory;
    size_t directory_count;
    uint8_t *directory_text; // owned, when the directory is compressed
};
