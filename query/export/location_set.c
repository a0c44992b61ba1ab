#include "query/export/location_set.h"

#include "format/base/alloc.h"
#include "format/base/checksum.h"
#include "query/export/object_store.h"

enum { FIRST_SLOTS = 256 };

const char *k2_location_name(const char *location)
{
    static const char *const buckets[] = {"s3://", "s3a://", "s3n://"};
    const char *path = k2_local_path(location);
    if (path != NULL) {
        while (path[0] == '/' && path[1] == '/') {
            path++;
        }
        return path;
    }
    for (size_t i = 0; i < sizeof buckets / sizeof buckets[0]; i++) {
        size_t size_bytes = strlen(buckets[i]);
        if (strncmp(location, buckets[i], size_bytes) == 0) {
            return location + size_bytes - 3; // with `://`: no path begins so
        }
    }
    return location;
}

void k2_location_set_deinit(struct k2_location_set *set)
{
    k2_free(set->items);
    k2_free(set->slots);
    k2_arena_deinit(&set->arena);
    *set = (struct k2_location_set){0};
}

static size_t slot_of(const struct k2_location_set *set, const char *location)
{
    const char *name = k2_location_name(location);
    size_t slot = (size_t)k2_hash(k2_slice_of(name)) & (set->slot_count - 1);
    while (set->slots[slot] != 0 &&
           strcmp(k2_location_name(set->items[set->slots[slot] - 1]), name) != 0) {
        slot = (slot + 1) & (set->slot_count - 1);
    }
    return slot;
}

static bool grow(struct k2_location_set *set)
{
    if (set->count * 2 < set->slot_count) {
        return true;
    }
    size_t slot_count = set->slot_count == 0 ? FIRST_SLOTS : set->slot_count * 2;
    uint32_t *slots = k2_alloc_zero(slot_count, sizeof *slots);
    const char **items = k2_realloc(set->items, slot_count / 2 + 1, sizeof *items);
    set->items = items != NULL ? items : set->items;
    if (slots == NULL || items == NULL) {
        k2_free(slots);
        return false;
    }
    k2_free(set->slots);
    set->slots = slots;
    set->slot_count = slot_count;
    for (size_t i = 0; i < set->count; i++) {
        set->slots[slot_of(set, set->items[i])] = (uint32_t)i + 1;
    }
    return true;
}

enum k2_status k2_location_set_add(struct k2_location_set *set, const char *location,
                                   struct k2_error *error)
{
    const char *copy = NULL;
    if (grow(set)) {
        size_t slot = slot_of(set, location);
        if (set->slots[slot] != 0) {
            return K2_OK;
        }
        copy = k2_arena_text(&set->arena, k2_slice_of(location));
        if (copy != NULL) {
            set->items[set->count] = copy;
            set->slots[slot] = (uint32_t)++set->count;
        }
    }
    return copy != NULL ? K2_OK : k2_fail(error, K2_NO_MEMORY, "export: no memory");
}

bool k2_location_set_has(const struct k2_location_set *set, const char *location)
{
    return set->slot_count > 0 && set->slots[slot_of(set, location)] != 0;
}
