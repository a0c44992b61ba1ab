// The instruments of a table by name: lists that a handle makes once and lends to who asks.
#pragma once

#include "engine/engine.h"

struct k2_instrument {
    uint32_t id;
    const char *exchange, *symbol; // of the list
    uint64_t first_snapshot;       // the first commit that brought a row of it into the table
};

// Immutable; any thread may read it. Sorted by (exchange, symbol) bytes.
struct k2_instruments {
    const struct k2_instrument *items;
    size_t count;
};

// The instruments that have a row in `table` as of `snapshot`; given back with release, before the
// engine is closed. The index is walked only when it has new ones since the last call. Any thread.
K2_MUST_CHECK enum k2_status k2_instruments_borrow(struct k2_engine *engine,
                                                   const struct k2_table *table, uint64_t snapshot,
                                                   const struct k2_instruments **list,
                                                   struct k2_error *error);
void k2_instruments_release(const struct k2_instruments *list); // NULL is fine

// Behind the last item of the exchange of items[first].
size_t k2_instruments_exchange_end(const struct k2_instruments *list, size_t first);

// The item with this symbol among [first, end), which are of one exchange; `end` without one.
size_t k2_instruments_find_symbol(const struct k2_instruments *list, size_t first, size_t end,
                                  const char *symbol);
