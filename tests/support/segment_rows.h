// Rows of every column kind from a seed, encoded as a row group, for tests and benchmarks of
// segments.
#pragma once

#include "format/segment/row_group.h"

enum { K2_TEST_COLUMNS = 19 };

struct k2_test_rows {
    struct k2_column columns[K2_TEST_COLUMNS];
    struct k2_schema schema;
    struct k2_row_batch *batch;
    uint32_t order[K2_GROUP_ROWS];
};

struct k2_test_shape {
    size_t row_count, instrument_count;
    unsigned null_percent; // of nullable cells
    bool with_commits;
    size_t long_text_bytes; // 0: none; else a text of this size now and then
    uint64_t seed;
};

uint64_t k2_test_random(uint64_t *state);

// Fails the test when memory is short. Rows come sorted; order is 0, 1, ...
struct k2_test_rows *k2_test_rows_create(const struct k2_test_shape *shape);
void k2_test_rows_destroy(struct k2_test_rows *rows);

// "XNYS" or "XASX", and a symbol made of the id; from static tables of the first 1,000 ids.
struct k2_instrument_name k2_test_name_of(void *context, uint32_t instrument);

// A first part with two progress markers.
struct k2_row_group_info k2_test_group_info(void);
