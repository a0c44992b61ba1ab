// A time zone from the system's TZif files (package tzdata): local wall clock to UTC and back.
//
// Immutable after loading; never looks at the environment's zone.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "format/base/status.h"

struct k2_time_zone; // opaque

// `name` as in the zone database, such as `Australia/Sydney`; `UTC` needs no file. K2_BAD_REQUEST
// when there is no such zone.
K2_MUST_CHECK enum k2_status k2_time_zone_load(struct k2_time_zone **zone, const char *name,
                                               struct k2_error *error);
void k2_time_zone_destroy(struct k2_time_zone *zone);

// `local_s` is the wall clock read as if it were UTC. Where it occurs twice the first one counts;
// false where it does not occur, and beyond the years that the file and its rule cover.
bool k2_time_zone_to_utc(const struct k2_time_zone *zone, int64_t local_s, int64_t *utc_s);

// The wall clock at an instant, read as if it were UTC. Beyond the years that the file and its rule
// cover it goes on as in the last of them.
int64_t k2_time_zone_to_local(const struct k2_time_zone *zone, int64_t utc_s);
