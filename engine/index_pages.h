// The pages of the index as LMDB 0.9 writes them, verified without believing any of them.
//
// LMDB trusts its file: a page that is zeros, old or another one hides entries or ends the process.
// Here every page on the way is checked: that it is the page that it says it is, that its entries
// lie within it, ascend, and belong below their parent; and every value's checksum.
#pragma once

#include <stdint.h>

#include "format/base/bytes.h"
#include "format/base/status.h"

struct k2_index_pages {
    struct k2_slice file; // data.mdb as far as it goes, mapped
    uint64_t txn_id;      // of a transaction that is open as long as this is used
};

// K2_CORRUPT when `value`, as stored, is not that of `key`.
typedef enum k2_status k2_index_value_check(void *context, struct k2_slice key,
                                            struct k2_slice value, struct k2_error *error);

struct k2_index_range {
    struct k2_slice table;       // its name
    struct k2_slice first, last; // keys; an empty `last`: to the end
    k2_index_value_check *check;
    void *context;
};

// Verifies the pages that lead to the keys of the range, and when it is the whole table, that it
// has as many entries as were counted. K2_CORRUPT tells which page is wrong.
K2_MUST_CHECK enum k2_status k2_index_pages_verify(const struct k2_index_pages *pages,
                                                   const struct k2_index_range *range,
                                                   struct k2_error *error);

// Verifies the list of free pages, the list of tables and the ranges, and that no page has two uses
// or is used and free: so a way that leads to an older copy of a page is found.
K2_MUST_CHECK enum k2_status k2_index_pages_verify_all(const struct k2_index_pages *pages,
                                                       const struct k2_index_range *ranges,
                                                       size_t range_count, struct k2_error *error);

// Verifies the two pages that take turns in telling where the index is; a file of no bytes is fine.
K2_MUST_CHECK enum k2_status k2_index_pages_check_roots(struct k2_slice file,
                                                        struct k2_error *error);
