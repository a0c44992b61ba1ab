// Which columns a scan decodes, and where they go.
//
// Immutable after init, borrowed by everything below a scan. A slot is a column to decode; the
// first ones are always there, because order and visibility stand on them.
#pragma once

#include "format/schema/schema.h"

enum {
    K2_SLOT_TIME = 0,
    K2_SLOT_EPOCH = 1,
    K2_SLOT_SEQUENCE = 2,
    K2_SLOT_COMMIT = 3,
    K2_SLOT_OP = 4, // this one and the next: decoded only where a group may have versions
    K2_SLOT_UNTIL = 5,
    K2_SLOT_FIRST_DATA = 6,
};

struct k2_scan_slot {
    uint16_t column_id;
    enum k2_kind kind;
    const struct k2_column *column; // borrowed from the schema; NULL: hidden
};

enum {
    K2_OUTPUT_EXCHANGE = -1, // from the directory
    K2_OUTPUT_SYMBOL = -2,
};

struct k2_scan_output {
    int slot;      // or K2_OUTPUT_EXCHANGE, K2_OUTPUT_SYMBOL
    size_t source; // the first output of the same slot: itself, unless a column is asked twice
    enum k2_kind kind;
    uint8_t scale;
};

// Zeroed may be deinited.
struct k2_scan_layout {
    struct k2_scan_slot *slots;
    size_t slot_count;
    struct k2_scan_output *outputs; // in the order of the request
    size_t output_count;
};

// `columns` are indexes of schema->columns, NULL for all; `with_commit` adds the snapshot that
// brought a row behind them, `with_versions` then what the row does to older ones of its key and
// the snapshot that replaced it. K2_BAD_REQUEST for a column that is not there.
K2_MUST_CHECK enum k2_status k2_scan_layout_init(struct k2_scan_layout *layout,
                                                 const struct k2_schema *schema,
                                                 const size_t *columns, size_t column_count,
                                                 bool with_commit, bool with_versions,
                                                 struct k2_error *error);
void k2_scan_layout_deinit(struct k2_scan_layout *layout);

// For error texts.
const char *k2_scan_slot_name(const struct k2_scan_layout *layout, size_t slot);
