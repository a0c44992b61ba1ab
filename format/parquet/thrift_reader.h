// Thrift's compact protocol, as far as Parquet metadata needs it: reading foreign bytes.
//
// Damage turns `bytes.truncated` on and every later call gives nothing: check once at the end.
#pragma once

#include <stdbool.h>

#include "format/base/bytes.h"

enum { K2_THRIFT_READ_DEPTH = 32 };

struct k2_thrift_reader {
    struct k2_byte_reader bytes;
};

// Types as they stand in field headers: booleans are 1 (true) and 2 (false).
struct k2_thrift_field {
    int16_t id;
    uint8_t type;
};

// The next field of a struct whose last field had `field->id` (0 at its begin); false at its end.
bool k2_thrift_next(struct k2_thrift_reader *reader, struct k2_thrift_field *field);
void k2_thrift_skip(struct k2_thrift_reader *reader, uint8_t type);        // the field's value
int64_t k2_thrift_read_int(struct k2_thrift_reader *reader, uint8_t type); // i16, i32, i64, bool
struct k2_slice k2_thrift_read_binary(struct k2_thrift_reader *reader, uint8_t type);

// The number of elements of a list, and their type. At most as many as bytes follow.
size_t k2_thrift_read_list(struct k2_thrift_reader *reader, uint8_t type, uint8_t *element_type);
