#include "query/export/export_order.h"

enum { NS_PER_US = 1000, SYMBOL_BYTES = 1 << 16 };

void k2_export_order_deinit(struct k2_export_order *order)
{
    k2_buffer_deinit(&order->symbol);
    *order = (struct k2_export_order){0};
}

static int64_t microseconds(int64_t time_ns)
{
    int64_t value = time_ns / NS_PER_US;
    return time_ns % NS_PER_US < 0 ? value - 1 : value;
}

static bool keep_last(struct k2_export_order *order, struct k2_slice symbol)
{
    if (!order->begun) {
        k2_buffer_init(&order->symbol, SYMBOL_BYTES);
    }
    order->begun = true;
    k2_buffer_clear(&order->symbol);
    k2_put_bytes(&order->symbol, symbol.data, symbol.size_bytes);
    return !order->symbol.failed;
}

bool k2_export_order_follows(struct k2_export_order *order, const struct k2_vector *symbols,
                             const struct k2_vector *times, const struct k2_vector *sequences,
                             size_t row_count)
{
    bool begun = order->begun;
    struct k2_slice last = k2_buffer_slice(&order->symbol);
    int64_t last_us = order->time_us, last_sequence = order->sequence;
    for (size_t i = 0; i < row_count; i++) {
        struct k2_slice symbol = symbols->texts[i];
        int64_t time_us = microseconds(times->values[i]), sequence = sequences->values[i];
        // Rows of an instrument follow each other, and mostly share the bytes.
        bool same = symbol.data == last.data && symbol.size_bytes == last.size_bytes;
        int by_symbol = same || !begun ? 0 : k2_slice_compare(last, symbol);
        if (begun && (by_symbol > 0 ||
                      (by_symbol == 0 &&
                       (last_us > time_us || (last_us == time_us && last_sequence > sequence))))) {
            return false;
        }
        begun = true;
        last = symbol;
        last_us = time_us;
        last_sequence = sequence;
    }
    order->time_us = last_us;
    order->sequence = last_sequence;
    return row_count == 0 || keep_last(order, last);
}
