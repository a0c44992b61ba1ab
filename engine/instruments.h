// Instruments: (exchange, symbol) pairs and their numbers.
//
// Ids are given by the writer, from 1, and never change or return.
#pragma once

#include "engine/engine.h"
#include "engine/store.h"
#include "format/segment/row_group.h"

enum {
    K2_EXCHANGE_BYTES = 32,
    K2_INSTRUMENT_NAME_BYTES = K2_EXCHANGE_BYTES + 1 + 255, // exchange NUL symbol, in the index
};

// An exchange as it is stored: in upper case. Borrowed from `room`; what is too long comes back as
// it is, to be refused.
struct k2_slice k2_exchange_upper(struct k2_slice exchange, uint8_t room[K2_EXCHANGE_BYTES]);

// The id of a pair, a new one if it is new; the new one becomes durable with the next commit that
// has a row of it. Write handles only, one thread. K2_REJECTED: exchange empty or over 32 bytes,
// symbol empty or over 255 bytes or not UTF-8.
K2_MUST_CHECK enum k2_status k2_instrument_intern(struct k2_engine *engine,
                                                  struct k2_slice exchange, struct k2_slice symbol,
                                                  uint32_t *instrument, struct k2_error *error);

// Was this id given? Write handles only.
bool k2_instrument_is_given(const struct k2_engine *engine, uint32_t instrument);

// The names of an interned id; borrowed from the engine. Write handles only.
struct k2_instrument_name k2_instrument_name_of(struct k2_engine *engine, uint32_t instrument);

// The id of each name in `ids`, 0 for those that the index does not know. Any handle, any thread.
K2_MUST_CHECK enum k2_status k2_instruments_find(struct k2_engine *engine,
                                                 const struct k2_instrument_name *names,
                                                 size_t name_count, uint32_t *ids,
                                                 struct k2_error *error);
// The same within a transaction.
K2_MUST_CHECK enum k2_status k2_instruments_find_within(struct k2_store_txn *txn,
                                                        const struct k2_instrument_name *names,
                                                        size_t name_count, uint32_t *ids,
                                                        struct k2_error *error);

// The names of an id in the index, borrowed from the transaction. K2_CORRUPT: it has none.
K2_MUST_CHECK enum k2_status k2_instrument_read_name(struct k2_store_txn *txn, uint32_t id,
                                                     struct k2_instrument_name *name,
                                                     struct k2_error *error);
