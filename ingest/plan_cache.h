// The decoders of all (table, schema id) that messages have named so far.
//
// Belongs to one thread.
#pragma once

#include "ingest/avro_plan.h"
#include "ingest/schema_registry.h"

struct k2_plan_cache; // opaque

// Registry and intern are borrowed. `exchange` is for rows whose writer knows none, or NULL.
K2_MUST_CHECK enum k2_status k2_plan_cache_create(struct k2_plan_cache **cache,
                                                  struct k2_schema_registry *registry,
                                                  const char *exchange,
                                                  k2_intern_instrument *intern,
                                                  void *intern_context, struct k2_error *error);
void k2_plan_cache_destroy(struct k2_plan_cache *cache);

// The decoder of messages with schema `id` into `table` (borrowed for the life of the cache).
// K2_BAD_REQUEST: the schema is known and can never become rows of the table. K2_NOT_FOUND and
// K2_BUSY as k2_schema_registry_get: try again later.
K2_MUST_CHECK enum k2_status k2_plan_cache_get(struct k2_plan_cache *cache,
                                               const struct k2_schema *table, int32_t id,
                                               struct k2_avro_plan **plan, struct k2_error *error);
