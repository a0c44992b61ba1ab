#include "tools/duration.h"

#include <stdio.h>
#include <string.h>

static const int64_t second_ns = 1000000000;

static const struct {
    const char *name;
    int64_t seconds;
} units[] = {
    {"y", INT64_C(365) * 86400}, {"d", 86400}, {"h", 3600}, {"m", 60}, {"s", 1},
    {"w", INT64_C(7) * 86400}, // behind "s": read, never printed
};

bool k2_duration_parse(const char *text, int64_t *duration_ns)
{
    int64_t number = 0;
    size_t digits = 0;
    for (; text[digits] >= '0' && text[digits] <= '9'; digits++) {
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, text[digits] - '0', &number)) {
            return false;
        }
    }
    for (size_t i = 0; digits > 0 && number > 0 && i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(text + digits, units[i].name) == 0) {
            return !__builtin_mul_overflow(number, units[i].seconds, &number) &&
                   !__builtin_mul_overflow(number, second_ns, duration_ns);
        }
    }
    return false;
}

void k2_duration_print(char text[K2_DURATION_TEXT_BYTES], int64_t duration_ns)
{
    int64_t seconds = duration_ns / second_ns;
    size_t unit = 0;
    while (units[unit].seconds > 1 && (seconds == 0 || seconds % units[unit].seconds != 0)) {
        unit++;
    }
    (void)snprintf(text, K2_DURATION_TEXT_BYTES, "%lld%s",
                   (long long)(seconds / units[unit].seconds), units[unit].name);
}
