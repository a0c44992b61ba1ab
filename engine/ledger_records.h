// What the index keeps of counters: their states, their gaps, and what each counts.
//
// States of 64 neighbouring domains share one value, so that a commit of many instruments changes
// few. Open gaps are found by their last number, closed ones by the commit that closed them.
#pragma once

#include "engine/index_records.h"
#include "engine/sequence_track.h"
#include "engine/source.h"
#include "format/base/buffer.h"

enum {
    K2_PAGE_DOMAINS = 64,
    K2_DOMAIN_NAME_BYTES = 1024,
};

// Domains with this bit have a name; the others are instruments.
#define K2_NAMED_DOMAIN (UINT32_C(1) << 31)

// Numbers, one behind the other.
struct k2_index_value k2_ledger_value(const uint64_t *fields, size_t count);

// K2_STORE_SEQUENCE
struct k2_index_key k2_ledger_page_key(uint16_t table, uint32_t page, int64_t epoch);

struct k2_ledger_page {
    struct k2_sequence_state states[K2_PAGE_DOMAINS]; // `any` false: none
};
void k2_ledger_page_put(const struct k2_ledger_page *page, struct k2_buffer *out);
K2_MUST_CHECK enum k2_status k2_ledger_page_read(struct k2_ledger_page *page, struct k2_slice bytes,
                                                 struct k2_error *error);

// K2_STORE_GAP and K2_STORE_GAP_CLOSED
struct k2_gap_place {
    uint16_t table;
    uint32_t domain;
    int64_t epoch;
    uint64_t closed; // 0: open
};
struct k2_index_key k2_gap_open_key(const struct k2_gap_place *place, int64_t last);
struct k2_index_key k2_gap_closed_key(const struct k2_gap_place *place, int64_t last);
struct k2_index_value k2_gap_encode(const struct k2_sequence_gap *gap);
// Place and gap from an entry of either table.
K2_MUST_CHECK enum k2_status k2_gap_open_read(struct k2_slice key, struct k2_slice value,
                                              struct k2_gap_place *place,
                                              struct k2_sequence_gap *gap, struct k2_error *error);
K2_MUST_CHECK enum k2_status k2_gap_closed_read(struct k2_slice key, struct k2_slice value,
                                                struct k2_gap_place *place,
                                                struct k2_sequence_gap *gap,
                                                struct k2_error *error);

// K2_STORE_DOMAIN, and rows of `_log` of kind `domain`. The name is column by column: the size of
// the name of the column, that name, then the same of the value. An instrument has the columns
// exchange and symbol.
struct k2_domain_part {
    struct k2_slice column, value; // borrowed
};
void k2_domain_name_put(const struct k2_domain_part *parts, size_t count, struct k2_buffer *out);
K2_MUST_CHECK enum k2_status k2_domain_name_read(struct k2_slice bytes,
                                                 struct k2_domain_part parts[K2_DOMAIN_COLUMNS],
                                                 size_t *count, struct k2_error *error);
