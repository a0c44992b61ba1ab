// One text as a value of a fixed-size column, exact or refused.
#pragma once

#include <stdbool.h>

#include "format/schema/schema.h"

// A short static code (bad_decimal, decimal_overflow, bad_timestamp, bad_integer, bad_boolean,
// bad_number) and NULL when the text was taken. `shift` is how many places the text's value is
// divided by (decimals only). `what` explains a refusal in a few static words.
const char *k2_cell_value(const struct k2_column *column, struct k2_slice text, unsigned shift,
                          int64_t *value, const char **what);

// 16 bytes from 32 hexadecimal digits with or without dashes.
bool k2_cell_uuid(struct k2_slice text, uint8_t bytes[16]);
