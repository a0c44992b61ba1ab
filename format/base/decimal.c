#include "format/base/decimal.h"

#include <assert.h>
#include <stdbool.h>

static const uint64_t powers[] = {
    1u,
    10u,
    100u,
    1000u,
    10000u,
    100000u,
    1000000u,
    10000000u,
    100000000u,
    1000000000u,
    10000000000u,
    100000000000u,
    1000000000000u,
    10000000000000u,
    100000000000000u,
    1000000000000000u,
    10000000000000000u,
    100000000000000000u,
    1000000000000000000u,
    10000000000000000000u,
};

enum {
    POWER_COUNT = sizeof powers / sizeof powers[0],
    MANTISSA_DIGITS = 19,       // always fit 64 bits
    EXPONENT_CEILING = 1 << 24, // beyond any text's own digits
};

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static enum k2_decimal_result finish(uint64_t magnitude, bool negative, int64_t *unscaled)
{
    if (magnitude >= powers[K2_DECIMAL_DIGITS]) {
        return K2_DECIMAL_OVERFLOW;
    }
    *unscaled = negative ? -(int64_t)magnitude : (int64_t)magnitude;
    return K2_DECIMAL_OK;
}

// Digits and at most one point, short enough that nothing overflows. False: not such a text.
static bool parse_short(const uint8_t *c, const uint8_t *end, unsigned scale, uint64_t *magnitude)
{
    if (end - c > MANTISSA_DIGITS || c == end) {
        return false;
    }
    uint64_t value = 0;
    const uint8_t *begin = c;
    while (c < end && is_digit(*c)) {
        value = value * 10 + (uint64_t)(*c++ - '0');
    }
    unsigned places = 0;
    if (c < end && *c == '.') {
        if (end - begin == 1) {
            return false;
        }
        for (c++; c < end && is_digit(*c); c++, places++) {
            value = value * 10 + (uint64_t)(*c - '0');
        }
    }
    if (c != end || places > scale) {
        return false;
    }
    return !__builtin_mul_overflow(value, powers[scale - places], magnitude);
}

// What any text says: mantissa * 10^exponent, the mantissa without trailing zeros.
struct scientific {
    uint64_t mantissa;
    unsigned digit_count; // of the mantissa; more than MANTISSA_DIGITS: mantissa is cut off
    int64_t exponent;
};

static const uint8_t *read_exponent(const uint8_t *c, const uint8_t *end, int64_t *exponent)
{
    bool negative = c < end && *c == '-';
    c += c < end && (*c == '-' || *c == '+');
    if (c == end || !is_digit(*c)) {
        return NULL;
    }
    int64_t value = 0;
    for (; c < end && is_digit(*c); c++) {
        value = value < EXPONENT_CEILING ? value * 10 + (*c - '0') : value;
    }
    *exponent += negative ? -value : value;
    return c;
}

static bool read_scientific(const uint8_t *c, const uint8_t *end, struct scientific *number)
{
    *number = (struct scientific){0};
    bool point = false, any = false;
    int64_t zeros = 0; // read, and not yet known to be inside the mantissa
    for (; c < end; c++) {
        if (*c == '.' && !point) {
            point = true;
            continue;
        }
        if (!is_digit(*c)) {
            break;
        }
        any = true;
        number->exponent -= point;
        if (*c == '0') {
            zeros += number->digit_count > 0;
            continue;
        }
        for (; zeros >= 0; zeros--) {
            if (number->digit_count < MANTISSA_DIGITS) {
                number->mantissa *= 10;
            }
            number->digit_count += number->digit_count <= MANTISSA_DIGITS;
        }
        zeros = 0;
        number->mantissa += number->digit_count <= MANTISSA_DIGITS ? (uint64_t)(*c - '0') : 0;
    }
    number->exponent += zeros;
    if (any && c < end && (*c == 'e' || *c == 'E')) {
        c = read_exponent(c + 1, end, &number->exponent);
    }
    return any && c == end;
}

enum k2_decimal_result k2_decimal_parse(struct k2_slice text, unsigned scale, int64_t *unscaled)
{
    assert(scale <= K2_DECIMAL_SCALE_MAX);
    if (text.size_bytes == 0) {
        return K2_DECIMAL_NOT_A_NUMBER;
    }
    const uint8_t *c = text.data, *end = text.data + text.size_bytes;
    bool negative = *c == '-';
    c += negative || *c == '+';
    uint64_t magnitude;
    if (parse_short(c, end, scale, &magnitude)) {
        return finish(magnitude, negative, unscaled);
    }
    struct scientific number;
    if (!read_scientific(c, end, &number)) {
        return K2_DECIMAL_NOT_A_NUMBER;
    }
    if (number.digit_count == 0) {
        *unscaled = 0;
        return K2_DECIMAL_OK;
    }
    int64_t shift = number.exponent + (int64_t)scale;
    if (shift < 0) {
        return K2_DECIMAL_TOO_MANY_PLACES;
    }
    if (number.digit_count > MANTISSA_DIGITS || shift >= POWER_COUNT ||
        __builtin_mul_overflow(number.mantissa, powers[shift], &magnitude)) {
        return K2_DECIMAL_OVERFLOW;
    }
    return finish(magnitude, negative, unscaled);
}

const char *k2_decimal_result_name(enum k2_decimal_result result)
{
    static const char *const names[] = {
        [K2_DECIMAL_OK] = "ok",
        [K2_DECIMAL_NOT_A_NUMBER] = "not_a_number",
        [K2_DECIMAL_TOO_MANY_PLACES] = "too_many_places",
        [K2_DECIMAL_OVERFLOW] = "overflow",
    };
    size_t index = (size_t)result;
    return index < sizeof names / sizeof names[0] ? names[index] : "unknown";
}

size_t k2_decimal_print(char text[K2_DECIMAL_TEXT_BYTES], int64_t unscaled, unsigned scale)
{
    assert(scale <= K2_DECIMAL_SCALE_MAX);
    uint64_t magnitude = unscaled < 0 ? 0 - (uint64_t)unscaled : (uint64_t)unscaled;
    uint64_t whole = magnitude / powers[scale], rest = magnitude % powers[scale];
    char *c = text;
    if (unscaled < 0) {
        *c++ = '-';
    }
    char reversed[K2_DECIMAL_TEXT_BYTES];
    size_t count = 0;
    do {
        reversed[count++] = (char)('0' + whole % 10);
        whole /= 10;
    } while (whole > 0);
    while (count > 0) {
        *c++ = reversed[--count];
    }
    if (rest > 0) {
        *c++ = '.';
        char *end = c + scale;
        for (char *place = end; place > c; rest /= 10) {
            *--place = (char)('0' + rest % 10);
        }
        while (end[-1] == '0') {
            end--;
        }
        c = end;
    }
    return (size_t)(c - text);
}
