// Arrow's C structs from K2's columns: schemas and batches that own what they point to.
//
// What is exported may be released by any thread, also after everything else is gone.
#pragma once

#include "engine/k2_arrow.h"
#include "format/arrow/arrow_array.h"

// A struct of all columns.
K2_MUST_CHECK enum k2_status k2_arrow_export_schema(const struct k2_arrow_field *fields,
                                                    size_t field_count, struct ArrowSchema *out,
                                                    struct k2_error *error);

// Dictionaries as batches share them.
struct k2_arrow_shared;

// The rows of the arrays, all of the same number, whose buffers go to `out`; the arrays are then
// empty. `shared` has one place per array, NULL at first, for the dictionary as it was last given.
// After a failure the arrays may have lost their rows.
K2_MUST_CHECK enum k2_status k2_arrow_export_batch(struct k2_arrow_array *arrays,
                                                   size_t array_count,
                                                   struct k2_arrow_shared **shared,
                                                   struct ArrowArray *out, struct k2_error *error);
void k2_arrow_shared_drop(struct k2_arrow_shared *shared); // NULL is fine
