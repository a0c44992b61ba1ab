// One Parquet file of an Iceberg table, from sorted vectors to an object in the store and what a
// manifest says of it. Belongs to one thread.
#pragma once

#include "format/iceberg/iceberg_manifest.h"
#include "format/segment/vector.h"
#include "query/export/object_store.h"

struct k2_data_file; // opaque

// `schema` and `store` are borrowed. Vectors are of all columns of the schema, in its order.
K2_MUST_CHECK enum k2_status
k2_data_file_create(struct k2_data_file **file, struct k2_object_store *store, const char *location,
                    const struct k2_schema *schema, struct k2_error *error);
K2_MUST_CHECK enum k2_status k2_data_file_put(struct k2_data_file *file,
                                              const struct k2_vector *vectors, size_t row_count,
                                              struct k2_error *error);
uint64_t k2_data_file_size(const struct k2_data_file *file); // bytes that left for the store

// Ends the file, durably, and describes it; texts and bounds go into `arena`. `file` is destroyed
// in every case.
K2_MUST_CHECK enum k2_status k2_data_file_finish(struct k2_data_file *file, int32_t day,
                                                 int32_t sort_order_id, struct k2_arena *arena,
                                                 struct k2_iceberg_file *described,
                                                 struct k2_error *error);
void k2_data_file_abort(struct k2_data_file *file); // NULL is fine
