#include "ingest/map_time.h"

#include "format/base/timestamp.h"

bool k2_map_parse_units(struct k2_slice text, unsigned unit_digits, int64_t *value_ns)
{
    const uint8_t *c = text.data, *end = text.data + text.size_bytes;
    bool negative = c < end && *c == '-', point = false, any = false;
    c += negative;
    int64_t value = 0;
    unsigned places = 0;
    for (; c < end; c++) {
        if (*c == '.' && !point) {
            point = true;
            continue;
        }
        if (*c < '0' || *c > '9') {
            return false;
        }
        any = true;
        if (point && places == unit_digits) {
            if (*c != '0') {
                return false;
            }
            continue;
        }
        places += point;
        int digit = negative ? '0' - *c : *c - '0';
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, digit, &value)) {
            return false;
        }
    }
    for (; places < unit_digits; places++) {
        if (__builtin_mul_overflow(value, 10, &value)) {
            return false;
        }
    }
    *value_ns = value;
    return any;
}

bool k2_map_parse_time_of_day(struct k2_slice text, int64_t *time_of_day_ns)
{
    static const char day[] = "1970-01-01T";
    enum { DAY_BYTES = sizeof day - 1, TIME_CEILING_BYTES = 40 };
    uint8_t whole[DAY_BYTES + TIME_CEILING_BYTES + 1];
    if (text.size_bytes == 0 || text.size_bytes > TIME_CEILING_BYTES) {
        return false;
    }
    memcpy(whole, day, DAY_BYTES);
    memcpy(whole + DAY_BYTES, text.data, text.size_bytes);
    whole[DAY_BYTES + text.size_bytes] = 'Z';
    struct k2_slice slice = {whole, DAY_BYTES + text.size_bytes + 1};
    return k2_timestamp_parse(slice, time_of_day_ns) == K2_TIMESTAMP_OK && *time_of_day_ns >= 0 &&
           *time_of_day_ns < K2_NS_PER_DAY;
}
