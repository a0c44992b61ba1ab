// Locations of files, each once, however it is spelled. Belongs to one thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "format/base/arena.h"
#include "format/base/status.h"

// Zeroed is empty and may be deinited.
struct k2_location_set {
    const char **items; // in the order in which they came
    size_t count, room;
    uint32_t *slots; // place + 1, or 0
    size_t slot_count;
    struct k2_arena arena;
};

// The part of a location by which it is known, borrowed from it: catalogs of others write
// `file:/w/a` or `/w/a` for `file:///w/a`, and `s3a://b/a` for `s3://b/a`.
const char *k2_location_name(const char *location);

void k2_location_set_deinit(struct k2_location_set *set);
K2_MUST_CHECK enum k2_status k2_location_set_add(struct k2_location_set *set, const char *location,
                                                 struct k2_error *error);
bool k2_location_set_has(const struct k2_location_set *set, const char *location);
