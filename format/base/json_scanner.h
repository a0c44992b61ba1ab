// Walks over JSON text (RFC 8259) without building anything; numbers stay texts.
//
// The lowest level: callers ask for what the grammar lets come next. Strings are checked for
// escapes, control characters and UTF-8 when they are scanned. Belongs to one thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "format/base/buffer.h"

struct k2_json_scanner {
    const uint8_t *at, *end;
};

struct k2_json_string {
    struct k2_slice raw; // between the quotes, as it stands
    bool escaped;        // has a backslash, so that its text is not `raw`
};

enum k2_json_type {
    K2_JSON_TYPE_NONE = 0, // end of the text, or no JSON value begins here
    K2_JSON_TYPE_OBJECT,
    K2_JSON_TYPE_ARRAY,
    K2_JSON_TYPE_STRING,
    K2_JSON_TYPE_NUMBER,
    K2_JSON_TYPE_TRUE,
    K2_JSON_TYPE_FALSE,
    K2_JSON_TYPE_NULL,
};

enum { K2_JSON_DEPTH = 64 }; // objects and arrays within each other

// Skips blanks and tells what begins; takes nothing of it.
enum k2_json_type k2_json_peek(struct k2_json_scanner *scanner);

// Skips blanks and takes `c` if it is there.
bool k2_json_take(struct k2_json_scanner *scanner, char c);

// These take one value of their kind, or return false and leave the scanner anywhere. Strings and
// numbers need k2_json_peek to have told so.
bool k2_json_scan_string(struct k2_json_scanner *scanner, struct k2_json_string *string);
bool k2_json_scan_number(struct k2_json_scanner *scanner, struct k2_slice *text);
bool k2_json_scan_word(struct k2_json_scanner *scanner, const char *word); // true, false, null

// Any value, to its end, whatever is in it; `*text` is the value as it stands.
bool k2_json_scan_value(struct k2_json_scanner *scanner, struct k2_slice *text);

// Appends the text that a scanned string stands for. Check `out` for failure.
void k2_json_put_unescaped(struct k2_buffer *out, struct k2_slice raw);
