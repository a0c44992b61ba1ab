// Avro record schemas for tests, in one line.
#pragma once

#include <stddef.h>

enum { TEST_AVRO_BYTES = 8192 };

// Writes the JSON of a record with `fields`: words `name:type`, `name:type=DEFAULT` (JSON) and
// `name<alias:type`. A type is an Avro name, JSON without blanks, one of `nanos micros millis`,
// `decimal0 decimal2 decimal8` (bytes, 18 digits), `strings` (array) or `string_map`, and `?type`
// is its union with null.
void test_avro_record(char json[TEST_AVRO_BYTES], const char *fields);
