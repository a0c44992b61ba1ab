// Writer schemas by their id: a Confluent-style registry (http, https), a folder of `<id>.avsc`, or
// the schemas of the built-in tables.
//
// Belongs to one thread. Calls to a server block for at most a few seconds.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "format/base/buffer.h"

struct k2_registered_schema {
    const char *text;              // Avro JSON
    const char *const *references; // schemas it refers to, each before its use
    size_t reference_count;
};

// Where schemas from a server are kept, so that a start without the server works. Either may be
// NULL.
struct k2_schema_cache {
    enum k2_status (*load)(void *context, struct k2_slice key, bool *found, struct k2_buffer *value,
                           struct k2_error *error);
    enum k2_status (*save)(void *context, struct k2_slice key, struct k2_slice value,
                           struct k2_error *error);
    void *context;
};

struct k2_schema_registry; // opaque

// `location`: a URL (a path in it is kept, as `/apis/ccompat/v7`), a folder, or NULL for the
// built-in schemas, whose ids are their places in k2_schema_builtin_name, from 1. Asks nobody yet.
K2_MUST_CHECK enum k2_status k2_schema_registry_open(struct k2_schema_registry **registry,
                                                     const char *location,
                                                     const struct k2_schema_cache *cache,
                                                     struct k2_error *error);
void k2_schema_registry_close(struct k2_schema_registry *registry);

// The schema of `id`, borrowed from the registry until it is closed. K2_NOT_FOUND: nobody knows it
// (yet; a server is asked again after a few seconds). K2_BUSY: the server does not answer.
// K2_BAD_REQUEST: not an Avro schema.
K2_MUST_CHECK enum k2_status k2_schema_registry_get(struct k2_schema_registry *registry, int32_t id,
                                                    const struct k2_registered_schema **schema,
                                                    struct k2_error *error);

// The id of `text` under `subject`, a new one if it is new. K2_BAD_REQUEST: the server refuses it
// (invalid, or not compatible with what is there). Built-in: K2_NOT_FOUND unless it is one of them.
K2_MUST_CHECK enum k2_status k2_schema_registry_register(struct k2_schema_registry *registry,
                                                         const char *subject, const char *text,
                                                         int32_t *id, struct k2_error *error);
