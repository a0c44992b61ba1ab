// Lengths of time as people write them: 90s, 15m, 12h, 30d, 2w, 5y (a year has 365 days).
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { K2_DURATION_TEXT_BYTES = 24 }; // with the NUL

// False: no such text, zero, or more than 292 years.
bool k2_duration_parse(const char *text, int64_t *duration_ns);

// In the largest unit that divides it.
void k2_duration_print(char text[K2_DURATION_TEXT_BYTES], int64_t duration_ns);
