// Times as foreign files write them: units since midnight or 1970, and times of day.
#pragma once

#include <stdbool.h>

#include "format/base/bytes.h"

// A number of units that have `unit_digits` decimals down to the nanosecond: `12.5` with 6
// (milliseconds) is 12,500,000 ns. False when it is no number, finer than that or out of range.
bool k2_map_parse_units(struct k2_slice text, unsigned unit_digits, int64_t *value_ns);

// `HH:MM[:SS[.digits]]`.
bool k2_map_parse_time_of_day(struct k2_slice text, int64_t *time_of_day_ns);
