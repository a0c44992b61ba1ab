// A K2 table's columns as fields of an Iceberg table, and what has to change in one that is there.
//
// Field ids are K2's column ids; a timestamp is two fields, as in Parquet files (PARQUET.md).
#pragma once

#include "format/base/arena.h"
#include "format/iceberg/iceberg_metadata.h"
#include "format/schema/schema.h"

// The fields of a new table. They live in `arena`.
K2_MUST_CHECK enum k2_status k2_table_schema_fields(const struct k2_schema *schema,
                                                    struct k2_arena *arena,
                                                    struct k2_iceberg_field **fields, size_t *count,
                                                    struct k2_error *error);

// What `metadata` lacks of `schema`: `*count` 0 means nothing, else the whole new schema. Columns
// that others added stay. `*needs_rewrite`: rows that are there already have another value than
// null in a new column. K2_BAD_REQUEST: a field was renamed or has another type; K2 does not guess.
K2_MUST_CHECK enum k2_status k2_table_schema_evolve(const struct k2_schema *schema,
                                                    const struct k2_iceberg_metadata *metadata,
                                                    struct k2_arena *arena,
                                                    struct k2_iceberg_field **fields, size_t *count,
                                                    bool *needs_rewrite, struct k2_error *error);
