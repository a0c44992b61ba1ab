// Whether rows come in the order of an exported file: by symbol, timestamp in microseconds,
// sequence. Belongs to one thread.
#pragma once

#include "format/base/buffer.h"
#include "format/segment/vector.h"

// Zeroed is the beginning.
struct k2_export_order {
    bool begun;
    struct k2_buffer symbol; // of the last row
    int64_t time_us, sequence;
};
void k2_export_order_deinit(struct k2_export_order *order);

// Whether the next rows follow those before, and each other. Also false when memory is short: then
// nobody knows. After false only deinit is allowed.
bool k2_export_order_follows(struct k2_export_order *order, const struct k2_vector *symbols,
                             const struct k2_vector *times, const struct k2_vector *sequences,
                             size_t row_count);
