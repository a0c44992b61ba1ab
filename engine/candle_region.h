// Candles of one instrument after the other, where rows are sorted by instrument: each of its
// pieces, a directory entry, is decoded at once, however long the time that they cover. For
// candles.c only.
#pragma once

#include "engine/candle_span.h"

// All rows of one instrument in one row group.
struct k2_candle_piece {
    uint32_t rank; // of its name
    uint32_t group;
    struct k2_wanted_entry wanted;
    int64_t time_min_ns;
};

// Zeroed is empty and may be deinited.
struct k2_candle_region {
    struct k2_scan_span range;
    struct k2_candle_piece *pieces; // by (rank, time)
    size_t piece_count, capacity;
    size_t next; // piece
};

void k2_candle_region_deinit(struct k2_candle_region *region);

// Begins with the next span of time in which going by instrument decodes hardly more than going by
// row group; `*begun` false: there is none at the place that the scan has reached, or it is done.
K2_MUST_CHECK enum k2_status k2_candle_region_begin(struct k2_candle_region *region,
                                                    struct k2_scan *scan,
                                                    const struct k2_candle_span *span, bool *begun,
                                                    struct k2_error *error);

// Makes the candles of the next instrument, in order of time; `*more` false: there is none, and the
// region has been passed.
K2_MUST_CHECK enum k2_status k2_candle_region_next(struct k2_candle_region *region,
                                                   struct k2_scan *scan,
                                                   struct k2_candle_span *span, bool *more,
                                                   struct k2_error *error);
