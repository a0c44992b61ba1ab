// The columns of a table, read from an Avro record schema (`format/schema/*.avsc`).
//
// Immutable after k2_schema_parse; may be shared between threads. The five key columns always
// stand first, in the order of enum k2_key_column; what the Avro schema does not name (exchange,
// epoch) is added under its usual name.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "format/base/bytes.h"
#include "format/base/status.h"

// Ids are stored in segments and never reused.
enum k2_kind {
    K2_KIND_INT8 = 1,
    K2_KIND_INT16 = 2,
    K2_KIND_INT32 = 3,
    K2_KIND_INT64 = 4,
    K2_KIND_DECIMAL64 = 5, // unscaled int64, |value| < 10^18, `scale` places
    K2_KIND_TIMESTAMP = 6, // ns since 1970-01-01 UTC
    K2_KIND_BOOL = 7,      // 0 or 1
    K2_KIND_FLOAT64 = 8,   // the bits of the double in an int64
    K2_KIND_SYMBOLIC = 9,  // few distinct texts (currency, side)
    K2_KIND_TEXT = 10,     // any bytes
    K2_KIND_UUID = 11,     // 16 raw bytes
    K2_KIND_JSON = 12,     // canonical JSON text: compact, keys sorted by bytes
};

// True for the kinds whose values are int64 in vectors and batches, false for those of texts.
static inline bool k2_kind_is_fixed(enum k2_kind kind)
{
    return kind <= K2_KIND_FLOAT64;
}

const char *k2_kind_name(enum k2_kind kind); // "decimal64"; "unknown" for an unknown id

enum k2_json_shape {
    K2_JSON_ANY = 0,
    K2_JSON_STRINGS = 1,    // array of string
    K2_JSON_STRING_MAP = 2, // object whose values are strings
};

enum k2_key_column {
    K2_EXCHANGE = 0,  // symbolic
    K2_SYMBOL = 1,    // symbolic
    K2_TIMESTAMP = 2, // timestamp
    K2_EPOCH = 3,     // int64
    K2_SEQUENCE = 4,  // int64
    K2_KEY_COLUMN_COUNT = 5,
};

// Hidden columns of row groups; never in a schema.
enum {
    K2_COLUMN_ID_COMMIT = 0xff01, // snapshot id that brought the row
    K2_COLUMN_ID_UNTIL = 0xff02,  // snapshot id that replaced it, 0: none did
    K2_COLUMN_ID_OP = 0xff03,     // enum k2_row_op
    K2_COLUMN_ID_FIRST_HIDDEN = 0xff00,
};

enum { K2_MAX_COLUMNS = 256 };

struct k2_column {
    const char *name; // owned by the schema
    uint16_t id;      // = Iceberg field id; unique in the table for ever
    enum k2_kind kind;
    uint8_t scale; // decimal64 only
    bool nullable;
    bool version;  // k2.role version: of the rows of one key the one with the greatest counts
    bool identity; // part of the content that tells a duplicate from a key conflict
    enum k2_json_shape shape;
    bool has_default;
    int64_t default_value;    // fixed kinds
    const char *default_text; // text kinds
};

struct k2_schema {
    char *table;  // owned
    char *source; // owned: the Avro JSON as given
    struct k2_column *columns;
    size_t column_count;
    size_t version_column; // index of the one with that role; 0: none has
};

// Parses Avro JSON. `table` names the table; NULL takes the attribute `k2.table`, else the record's
// name in lower case. Attributes of a field that K2 reads: `k2.role` (exchange, symbol, timestamp,
// epoch, sequence; version), `k2.kind` (symbolic, text, json, uuid), `k2.identity` (false),
// `field-id` (else numbered by place). Fails with K2_BAD_REQUEST and the field named.
K2_MUST_CHECK enum k2_status k2_schema_parse(struct k2_schema **schema, const char *table,
                                             struct k2_slice json, struct k2_error *error);
void k2_schema_destroy(struct k2_schema *schema);

// The built-in tables: trades, quotes, book, reference_data and the internal ones
// _deadletter and _log. NULL after the last.
const char *k2_schema_builtin_name(size_t index);
K2_MUST_CHECK enum k2_status k2_schema_builtin(struct k2_schema **schema, const char *table,
                                               struct k2_error *error); // K2_NOT_FOUND

// The index of a column by exact name, or -1.
int k2_schema_find(const struct k2_schema *schema, struct k2_slice name);

// K2_BAD_REQUEST with the field named when data written with `older` can not be read as `newer`
// (BACKWARD): a column gone, its type changed, or a new one neither nullable nor defaulted.
K2_MUST_CHECK enum k2_status k2_schema_check_evolution(const struct k2_schema *older,
                                                       const struct k2_schema *newer,
                                                       struct k2_error *error);
