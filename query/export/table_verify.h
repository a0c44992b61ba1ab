// Whether an exported table holds what the store holds: rows, and of every column nulls, least,
// greatest and sum; and a checksum of the rows in any order.
//
// Reads all of both. Where several stores export into the table, only the files of this one count.
// Belongs to one thread.
#pragma once

#include "query/export/exporter.h"

enum { K2_DIFFERENCE_BYTES = 256 };

struct k2_verify_result {
    bool same;
    uint64_t snapshot; // of the store, that the table says to have
    uint64_t table_rows, store_rows, files;
    bool has_kept; // days up to this one are not compared: retention has dropped rows of the store
    int32_t kept_day;
    uint64_t checksum[2];                 // of the table
    char difference[K2_DIFFERENCE_BYTES]; // the first one, if not the same
};

K2_MUST_CHECK enum k2_status k2_table_verify(struct k2_table_place *place, struct k2_engine *engine,
                                             const struct k2_table *table,
                                             struct k2_verify_result *result,
                                             struct k2_error *error);
