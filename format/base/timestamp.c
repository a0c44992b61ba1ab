#include "format/base/timestamp.h"

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool two_digits(const uint8_t *c, unsigned *value)
{
    *value = (unsigned)(c[0] - '0') * 10 + (unsigned)(c[1] - '0');
    return is_digit(c[0]) && is_digit(c[1]);
}

bool k2_date_to_days(int year, unsigned month, unsigned day, int64_t *days)
{
    static const uint8_t lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if (year < 1 || year > 9999 || month < 1 || month > 12 || day < 1 ||
        day > lengths[month - 1] + (leap && month == 2 ? 1u : 0u)) {
        return false;
    }
    // Years that begin in March put the leap day last (H. Hinnant's days_from_civil).
    int march_year = year - (month <= 2);
    int march_month = (int)(month + 9) % 12;
    int day_of_year = (153 * march_month + 2) / 5 + (int)day - 1;
    *days = (int64_t)march_year * 365 + march_year / 4 - march_year / 100 + march_year / 400 +
            day_of_year - 719468;
    return true;
}

bool k2_timestamp_of(int64_t days, int64_t time_of_day_ns, int64_t *time_ns)
{
    int64_t rest_ns = time_of_day_ns % K2_NS_PER_SECOND, seconds;
    if (__builtin_mul_overflow(days, 86400, &seconds) ||
        __builtin_add_overflow(seconds, time_of_day_ns / K2_NS_PER_SECOND, &seconds)) {
        return false;
    }
    // One second nearer to zero: the outermost seconds of the range are not whole.
    if (seconds != 0) {
        rest_ns += seconds < 0 ? -K2_NS_PER_SECOND : K2_NS_PER_SECOND;
        seconds += seconds < 0 ? 1 : -1;
    }
    return !__builtin_mul_overflow(seconds, K2_NS_PER_SECOND, &seconds) &&
           !__builtin_add_overflow(seconds, rest_ns, time_ns);
}

static enum k2_timestamp_result parse_integer(const uint8_t *c, const uint8_t *end,
                                              int64_t *time_ns)
{
    bool negative = *c == '-';
    c += negative || *c == '+';
    if (c == end) {
        return K2_TIMESTAMP_NOT_A_TIME;
    }
    int64_t value = 0;
    bool overflow = false;
    for (; c < end; c++) {
        if (!is_digit(*c)) {
            return K2_TIMESTAMP_NOT_A_TIME;
        }
        int64_t digit = negative ? -(*c - '0') : *c - '0';
        overflow |= __builtin_mul_overflow(value, 10, &value);
        overflow |= __builtin_add_overflow(value, digit, &value);
    }
    if (overflow) {
        return K2_TIMESTAMP_OUT_OF_RANGE;
    }
    *time_ns = value;
    return K2_TIMESTAMP_OK;
}

static const uint8_t *parse_fraction(const uint8_t *c, const uint8_t *end, int64_t *fraction_ns,
                                     enum k2_timestamp_result *result)
{
    int64_t unit = K2_NS_PER_SECOND / 10, value = 0;
    const uint8_t *begin = c;
    for (; c < end && is_digit(*c); c++, unit /= 10) {
        if (unit == 0 && *c != '0') {
            *result = K2_TIMESTAMP_TOO_MANY_PLACES;
        }
        value += unit * (*c - '0');
    }
    *fraction_ns = value;
    return c == begin ? NULL : c;
}

// `Z`, `+hh:mm`, `+hhmm` or `+hh`, up to the end of the text.
static enum k2_timestamp_result parse_zone(const uint8_t *c, const uint8_t *end, int64_t *offset_ns)
{
    *offset_ns = 0;
    if (c == end) {
        return K2_TIMESTAMP_NO_ZONE;
    }
    if ((*c == 'Z' || *c == 'z') && end - c == 1) {
        return K2_TIMESTAMP_OK;
    }
    unsigned hours, minutes = 0;
    bool negative = *c == '-';
    if ((!negative && *c != '+') || end - c < 3 || !two_digits(c + 1, &hours)) {
        return K2_TIMESTAMP_NOT_A_TIME;
    }
    c += 3;
    c += end - c == 3 && *c == ':';
    if (c < end && (end - c != 2 || !two_digits(c, &minutes))) {
        return K2_TIMESTAMP_NOT_A_TIME;
    }
    if (hours > 23 || minutes > 59) {
        return K2_TIMESTAMP_NOT_A_TIME;
    }
    int64_t seconds = hours * 3600 + minutes * 60;
    *offset_ns = (negative ? -seconds : seconds) * K2_NS_PER_SECOND;
    return K2_TIMESTAMP_OK;
}

// `HH:MM[:SS[.digits]]` and a zone.
static enum k2_timestamp_result parse_time(const uint8_t *c, const uint8_t *end,
                                           int64_t *time_of_day_ns)
{
    unsigned hour, minute, second = 0;
    if (end - c < 5 || !two_digits(c, &hour) || c[2] != ':' || !two_digits(c + 3, &minute)) {
        return K2_TIMESTAMP_NOT_A_TIME;
    }
    c += 5;
    int64_t fraction_ns = 0;
    enum k2_timestamp_result places = K2_TIMESTAMP_OK;
    if (end - c >= 3 && *c == ':') {
        if (!two_digits(c + 1, &second)) {
            return K2_TIMESTAMP_NOT_A_TIME;
        }
        c += 3;
        if (c < end && *c == '.') {
            c = parse_fraction(c + 1, end, &fraction_ns, &places);
        }
    }
    if (c == NULL || hour > 23 || minute > 59 || second > 59) {
        return K2_TIMESTAMP_NOT_A_TIME;
    }
    int64_t offset_ns;
    enum k2_timestamp_result zone = parse_zone(c, end, &offset_ns);
    int64_t seconds = hour * 3600 + minute * 60 + second;
    *time_of_day_ns = seconds * K2_NS_PER_SECOND + fraction_ns - offset_ns;
    return zone != K2_TIMESTAMP_OK ? zone : places;
}

enum k2_timestamp_result k2_timestamp_parse(struct k2_slice text, int64_t *time_ns)
{
    const uint8_t *c = text.data, *end = text.data + text.size_bytes;
    if (text.size_bytes == 0) {
        return K2_TIMESTAMP_NOT_A_TIME;
    }
    if (text.size_bytes < 10 || c[4] != '-') {
        return parse_integer(c, end, time_ns);
    }
    unsigned century, year_of_century, month, day;
    if (!two_digits(c, &century) || !two_digits(c + 2, &year_of_century) ||
        !two_digits(c + 5, &month) || c[7] != '-' || !two_digits(c + 8, &day)) {
        return K2_TIMESTAMP_NOT_A_TIME;
    }
    int64_t days, time_of_day_ns = 0;
    if (!k2_date_to_days((int)(century * 100 + year_of_century), month, day, &days)) {
        return K2_TIMESTAMP_NOT_A_TIME;
    }
    c += 10;
    if (c < end) {
        if (*c != 'T' && *c != ' ' && *c != 't') {
            return K2_TIMESTAMP_NOT_A_TIME;
        }
        enum k2_timestamp_result result = parse_time(c + 1, end, &time_of_day_ns);
        if (result != K2_TIMESTAMP_OK) {
            return result;
        }
    }
    int64_t value;
    if (!k2_timestamp_of(days, time_of_day_ns, &value)) {
        return K2_TIMESTAMP_OUT_OF_RANGE;
    }
    *time_ns = value;
    return K2_TIMESTAMP_OK;
}

const char *k2_timestamp_result_name(enum k2_timestamp_result result)
{
    static const char *const names[] = {
        [K2_TIMESTAMP_OK] = "ok",
        [K2_TIMESTAMP_NOT_A_TIME] = "not_a_time",
        [K2_TIMESTAMP_NO_ZONE] = "no_zone",
        [K2_TIMESTAMP_TOO_MANY_PLACES] = "too_many_places",
        [K2_TIMESTAMP_OUT_OF_RANGE] = "out_of_range",
    };
    size_t index = (size_t)result;
    return index < sizeof names / sizeof names[0] ? names[index] : "unknown";
}

static void print_digits(char *text, unsigned count, uint32_t value)
{
    for (unsigned i = count; i > 0; i--) {
        text[i - 1] = (char)('0' + value % 10);
        value /= 10;
    }
}

void k2_timestamp_print(char text[K2_TIMESTAMP_TEXT_BYTES], int64_t time_ns)
{
    int64_t days = time_ns / K2_NS_PER_DAY, rest_ns = time_ns % K2_NS_PER_DAY;
    if (rest_ns < 0) {
        days--;
        rest_ns += K2_NS_PER_DAY;
    }
    // The inverse of k2_date_to_days; all years of the range lie after year 0.
    uint32_t shifted = (uint32_t)(days + 719468);
    uint32_t era = shifted / 146097, day_of_era = shifted % 146097;
    uint32_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint32_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint32_t march_month = (5 * day_of_year + 2) / 153;
    uint32_t month = march_month < 10 ? march_month + 3 : march_month - 9;
    uint32_t seconds = (uint32_t)(rest_ns / K2_NS_PER_SECOND);
    memcpy(text, "0000-00-00T00:00:00.000000000Z", K2_TIMESTAMP_TEXT_BYTES);
    print_digits(text, 4, era * 400 + year_of_era + (month <= 2));
    print_digits(text + 5, 2, month);
    print_digits(text + 8, 2, day_of_year - (153 * march_month + 2) / 5 + 1);
    print_digits(text + 11, 2, seconds / 3600);
    print_digits(text + 14, 2, seconds / 60 % 60);
    print_digits(text + 17, 2, seconds % 60);
    print_digits(text + 20, 9, (uint32_t)(rest_ns % K2_NS_PER_SECOND));
}
