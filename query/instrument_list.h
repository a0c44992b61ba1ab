// The instruments of all tables together, for /v1/instruments and /v1/symbols.
//
// Belongs to one thread; a zeroed list may be closed.
#pragma once

#include "query/instrument_filter.h"

enum { K2_INSTRUMENT_LIST_TABLES = 64 };

struct k2_instrument_list {
    struct k2_instrument *entries; // by (exchange, symbol, table); their texts are in `lists`
    uint8_t *tables;               // of each entry, an index of `names`
    bool *keep;                    // of each entry: passes the filter
    size_t entry_count;
    const char *names[K2_INSTRUMENT_LIST_TABLES];
    const struct k2_instruments *lists[K2_INSTRUMENT_LIST_TABLES]; // borrowed until close
    size_t table_count;
};

// As of `snapshot`, of `table` alone or, if NULL, of all but internal tables.
K2_MUST_CHECK enum k2_status
k2_instrument_list_open(struct k2_instrument_list *list, struct k2_engine *engine,
                        const struct k2_table *table, uint64_t snapshot,
                        const struct k2_instrument_filter *filter, struct k2_error *error);
void k2_instrument_list_close(struct k2_instrument_list *list);

// [{"exchange","symbol","canonical","tables":[],"first_snapshot"}]; returns how many.
uint64_t k2_instrument_list_put(const struct k2_instrument_list *list, struct k2_buffer *out);

// The symbols as an array of texts, each once, by their bytes; a lack of
// memory shows in `out`.
uint64_t k2_instrument_list_put_symbols(const struct k2_instrument_list *list,
                                        struct k2_buffer *out);
