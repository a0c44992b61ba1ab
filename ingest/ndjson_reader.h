// The members of one JSON object on one line, in their order.
//
// Numbers keep their text, strings lose their escapes, objects and arrays stay as they stand.
// Belongs to one thread; everything it gives is borrowed from it and from the line.
#pragma once

#include "format/base/json_scanner.h"

struct k2_ndjson_reader {
    struct k2_json_scanner scanner;
    struct k2_buffer texts; // unescaped ones of this line
    bool first, failed;
};

struct k2_ndjson_member {
    struct k2_slice key;
    enum k2_json_type type;
    struct k2_slice text;  // the string's text; of anything else, the value as it stands
    struct k2_slice value; // as it stands, strings with their quotes
};

// Zeroed is ready for deinit.
void k2_ndjson_reader_init(struct k2_ndjson_reader *reader);
void k2_ndjson_reader_deinit(struct k2_ndjson_reader *reader);

// K2_NO_MEMORY, or K2_OK; whether it is an object, the members tell.
K2_MUST_CHECK enum k2_status k2_ndjson_reader_start(struct k2_ndjson_reader *reader,
                                                    struct k2_slice line, struct k2_error *error);

// The next member, or false at the end and after what is no JSON; then `failed` tells which. The
// same key may come twice.
bool k2_ndjson_reader_next(struct k2_ndjson_reader *reader, struct k2_ndjson_member *member);
