// An Avro schema as a flat array of types, for the compiler of decoders and for the encoder.
//
// Immutable after k2_avro_schema_parse; may be shared between threads.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "format/base/bytes.h"
#include "format/base/status.h"

enum k2_avro_type {
    K2_AVRO_NULL,
    K2_AVRO_BOOLEAN,
    K2_AVRO_INT,
    K2_AVRO_LONG,
    K2_AVRO_FLOAT,
    K2_AVRO_DOUBLE,
    K2_AVRO_BYTES,
    K2_AVRO_STRING,
    K2_AVRO_FIXED,
    K2_AVRO_ENUM,
    K2_AVRO_ARRAY,
    K2_AVRO_MAP,
    K2_AVRO_UNION,
    K2_AVRO_RECORD,
};

enum k2_avro_logical {
    K2_AVRO_PLAIN = 0,
    K2_AVRO_DECIMAL,
    K2_AVRO_UUID,
    K2_AVRO_TIMESTAMP_MILLIS,
    K2_AVRO_TIMESTAMP_MICROS,
    K2_AVRO_TIMESTAMP_NANOS,
    K2_AVRO_OTHER, // one that says what the value means, and K2 has no kind for
};

enum { K2_AVRO_DEPTH_MAX = 64 };

struct k2_avro_node {
    enum k2_avro_type type;
    enum k2_avro_logical logical;
    uint32_t size_bytes; // fixed
    uint32_t scale;      // decimal
    // Record fields, union branches, enum symbols; the items of an array, the values of a map.
    uint32_t first_member, member_count;
    bool empty; // every value takes 0 bytes
};

struct k2_avro_member {
    const char *name;                  // of a field or symbol, else NULL
    uint32_t node;                     // unused for symbols
    uint32_t first_alias, alias_count; // fields
    // A logicalType beside the field's type instead of inside it: Avro ignores it, some writers
    // mean it.
    enum k2_avro_logical beside;
};

struct k2_avro_schema {
    struct k2_avro_node *nodes; // owned, all of them; node 0 is not used
    struct k2_avro_member *members;
    char **aliases;
    size_t node_count, member_count, alias_count;
    uint32_t root;
};

// Parses Avro JSON. `named` are schemas whose named types `json` refers to, in an order in which
// each stands before its use. K2_BAD_REQUEST says what is wrong.
K2_MUST_CHECK enum k2_status k2_avro_schema_parse(struct k2_avro_schema **schema,
                                                  struct k2_slice json,
                                                  const struct k2_slice *named, size_t named_count,
                                                  struct k2_error *error);
void k2_avro_schema_destroy(struct k2_avro_schema *schema);

const char *k2_avro_type_name(enum k2_avro_type type); // "long"

// The member of a record or enum by exact name, or NULL.
const struct k2_avro_member *k2_avro_find_member(const struct k2_avro_schema *schema,
                                                 const struct k2_avro_node *node, const char *name);
