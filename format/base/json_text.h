// JSON as K2 stores and prints it: one spelling for each value.
//
// Canonical: no blanks, object keys sorted by their bytes, strings escaped only where they must be,
// numbers as they were written. Pure; on the path of every row with conditions or vendor data.
#pragma once

#include "format/base/buffer.h"
#include "format/schema/schema.h"

enum k2_json_result {
    K2_JSON_OK = 0,
    K2_JSON_NOT_JSON,
    K2_JSON_WRONG_SHAPE,   // JSON, but not what the column holds
    K2_JSON_TOO_DEEP,      // beyond K2_JSON_DEPTH
    K2_JSON_DUPLICATE_KEY, // in one object
    K2_JSON_NO_MEMORY,     // or the ceiling of `out`
};

// Appends the canonical form of exactly one JSON value; on failure `out` is as it was.
enum k2_json_result k2_json_put_canonical(struct k2_buffer *out, struct k2_slice text,
                                          enum k2_json_shape shape);

// Short words for reasons and errors: `not_json`, `wrong_shape`, ...; static.
const char *k2_json_result_name(enum k2_json_result result);

// Appends `text` as a JSON string with its quotes. Bytes that are no UTF-8 become U+FFFD.
void k2_json_put_string(struct k2_buffer *out, struct k2_slice text);
