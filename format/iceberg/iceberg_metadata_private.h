// The metadata as a tree of JSON, for the modules of this folder that change it.
#pragma once

#include "format/iceberg/iceberg_metadata.h"

struct json_t; // jansson's

struct k2_iceberg_metadata {
    struct json_t *root; // owned
};

// The snapshot as the file has it, or NULL when memory is short. `schema_id` for one that names
// none (negative).
struct json_t *k2_iceberg_snapshot_json(const struct k2_iceberg_snapshot *snapshot,
                                        int32_t schema_id);
// A schema with these fields.
struct json_t *k2_iceberg_schema_json(int32_t schema_id, const struct k2_iceberg_field *fields,
                                      size_t field_count);
// The greatest of last-column-id and the ids of these fields.
int32_t k2_iceberg_greatest_id(const struct k2_iceberg_metadata *metadata,
                               const struct k2_iceberg_field *fields, size_t field_count);

void k2_iceberg_put_tree(const struct json_t *tree, struct k2_buffer *out);
