// Instants as texts: ISO 8601 and integers to nanoseconds since 1970-01-01 UTC, and back.
//
// Pure, proleptic Gregorian, no leap seconds, no zones but offsets; an int64 reaches from
// 1677-09-21T00:12:43.145224192Z to 2262-04-11T23:47:16.854775807Z.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "format/base/bytes.h"

#define K2_NS_PER_SECOND INT64_C(1000000000)
#define K2_NS_PER_DAY (86400 * K2_NS_PER_SECOND)

enum { K2_TIMESTAMP_TEXT_BYTES = 30 }; // `2014-03-11T00:00:00.123456789Z`

enum k2_timestamp_result {
    K2_TIMESTAMP_OK = 0,
    K2_TIMESTAMP_NOT_A_TIME,
    K2_TIMESTAMP_NO_ZONE,         // a time of day with neither Z nor offset
    K2_TIMESTAMP_TOO_MANY_PLACES, // a digit other than 0 behind the nanosecond
    K2_TIMESTAMP_OUT_OF_RANGE,
};

// Reads `YYYY-MM-DD` (its first instant UTC), the same with `T` or a blank, `HH:MM[:SS[.digits]]`
// and `Z` or `+hh:mm`, or an integer of nanoseconds. `*time_ns` is untouched unless
// K2_TIMESTAMP_OK.
enum k2_timestamp_result k2_timestamp_parse(struct k2_slice text, int64_t *time_ns);

// Short words for reasons and errors: `not_a_time`, `no_zone`, ...; static.
const char *k2_timestamp_result_name(enum k2_timestamp_result result);

// Always K2_TIMESTAMP_TEXT_BYTES characters; writes no NUL.
void k2_timestamp_print(char text[K2_TIMESTAMP_TEXT_BYTES], int64_t time_ns);

// Days since 1970-01-01 of a date from year 1 to 9999; false when there is no such date.
bool k2_date_to_days(int year, unsigned month, unsigned day, int64_t *days);

// days * 86400 * 10^9 + time_of_day_ns; false when that is out of range.
bool k2_timestamp_of(int64_t days, int64_t time_of_day_ns, int64_t *time_ns);
