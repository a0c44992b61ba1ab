// Where a page of rows ended, as an opaque text that a client sends back.
//
// A cursor holds its snapshot and the key of the last row, so that following it gives every row
// once whatever is committed meanwhile, also after a restart. It is bound to its store and query.
#pragma once

#include <stdint.h>

#include "engine/scan.h"

enum {
    K2_CURSOR_EXCHANGE_BYTES = 32,
    K2_CURSOR_SYMBOL_BYTES = 255,
    K2_CURSOR_TEXT_BYTES = 512, // enough for any cursor text
};

struct k2_cursor {
    uint64_t query_hash; // of the store and what the query asks for
    uint64_t snapshot;
    int64_t time_ns, epoch, sequence;
    uint8_t exchange_bytes, symbol_bytes;
    uint8_t exchange[K2_CURSOR_EXCHANGE_BYTES];
    uint8_t symbol[K2_CURSOR_SYMBOL_BYTES];
};

// K2_LIMIT if exchange or symbol are longer than the store allows.
K2_MUST_CHECK enum k2_status k2_cursor_init(struct k2_cursor *cursor, uint64_t query_hash,
                                            uint64_t snapshot, const struct k2_scan_key *last,
                                            struct k2_error *error);

// Borrows the texts of the cursor.
struct k2_scan_key k2_cursor_key(const struct k2_cursor *cursor);

// base64url without padding; returns the number of characters, writes no NUL.
size_t k2_cursor_print(const struct k2_cursor *cursor, char text[K2_CURSOR_TEXT_BYTES]);

// K2_BAD_REQUEST for anything that k2_cursor_print did not write.
K2_MUST_CHECK enum k2_status k2_cursor_parse(struct k2_cursor *cursor, struct k2_slice text,
                                             struct k2_error *error);
