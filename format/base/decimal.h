// Exact decimal texts: digits to scaled integers and back, without rounding and without doubles.
//
// Pure and fast: on the path of every price that comes from a text.
#pragma once

#include <stdint.h>

#include "format/base/bytes.h"

enum {
    K2_DECIMAL_DIGITS = 18,     // |unscaled| < 10^18
    K2_DECIMAL_SCALE_MAX = 18,  // places
    K2_DECIMAL_TEXT_BYTES = 24, // enough for any printed decimal
};

enum k2_decimal_result {
    K2_DECIMAL_OK = 0,
    K2_DECIMAL_NOT_A_NUMBER,
    K2_DECIMAL_TOO_MANY_PLACES, // a digit other than 0 behind the last place of the scale
    K2_DECIMAL_OVERFLOW,        // 10^18 or more units
};

// Reads sign, digits, point, exponent: `-12.5`, `.5`, `1e-8`, `0.100000000000`. `*unscaled` is the
// value times 10^scale; untouched unless K2_DECIMAL_OK. No blanks, no thousands separators.
enum k2_decimal_result k2_decimal_parse(struct k2_slice text, unsigned scale, int64_t *unscaled);

// Short words for reasons and errors: `not_a_number`, `too_many_places`, `overflow`; static.
const char *k2_decimal_result_name(enum k2_decimal_result result);

// Prints plain exact digits without trailing zeros (`42.1`, `-0.00000001`, `0`) for any int64 and
// scale up to K2_DECIMAL_SCALE_MAX. Returns the number of characters; writes no NUL.
size_t k2_decimal_print(char text[K2_DECIMAL_TEXT_BYTES], int64_t unscaled, unsigned scale);
