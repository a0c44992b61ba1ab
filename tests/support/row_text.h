// Rows of batches as text, and instruments without a store.
#pragma once

#include "format/segment/row_batch.h"
#include "format/segment/row_group.h"

enum { TEST_NAMES_MAX = 256 };

// Zeroed it is empty; test_names_deinit frees it.
struct test_names {
    char *exchange[TEST_NAMES_MAX], *symbol[TEST_NAMES_MAX]; // by id - 1
    uint32_t count;
};
void test_names_deinit(struct test_names *names);

// Both take a struct test_names as context. Interning refuses what the engine refuses.
enum k2_status test_names_intern(void *context, struct k2_slice exchange, struct k2_slice symbol,
                                 uint32_t *instrument, struct k2_error *error);
struct k2_instrument_name test_names_of(void *context, uint32_t instrument);

// Appends `exchange/symbol time epoch sequence` and ` column=value` for every column; null is `-`,
// bytes outside of printable ASCII are \xx.
void test_put_row(struct k2_buffer *out, const struct k2_row_batch *batch, size_t row,
                  const struct test_names *names);
