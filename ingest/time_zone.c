#include "ingest/time_zone.h"

#include <stdio.h>
#include <string.h>

#include "format/base/alloc.h"
#include "format/base/bytes.h"

enum {
    HEADER_BYTES = 44,
    COUNTS_AT = 20, // six 32-bit counts
    FILE_CEILING_BYTES = 1 << 20,
};
static const int64_t day_s = 86400;

struct interval {
    int64_t begin_s; // UTC; the offset holds until the next interval begins
    int64_t offset_s;
};

struct k2_time_zone {
    struct interval *intervals; // the first one begins before all times
    size_t interval_count;
    int64_t end_s; // UTC: what holds from here on is not known; INT64_MAX: the last offset does
};

struct counts {
    uint32_t utc, standard, leaps, times, types, chars;
};

// TZif is big-endian.
static uint64_t read_big(struct k2_byte_reader *reader, size_t size_bytes)
{
    struct k2_slice bytes = k2_read_bytes(reader, size_bytes);
    uint64_t value = 0;
    for (size_t i = 0; i < bytes.size_bytes; i++) {
        value = value << 8 | bytes.data[i];
    }
    return value;
}

static bool read_header(struct k2_byte_reader *reader, uint8_t *version, struct counts *counts)
{
    struct k2_slice magic = k2_read_bytes(reader, 4);
    *version = k2_read_u8(reader);
    (void)k2_read_bytes(reader, COUNTS_AT - 5);
    counts->utc = (uint32_t)read_big(reader, 4);
    counts->standard = (uint32_t)read_big(reader, 4);
    counts->leaps = (uint32_t)read_big(reader, 4);
    counts->times = (uint32_t)read_big(reader, 4);
    counts->types = (uint32_t)read_big(reader, 4);
    counts->chars = (uint32_t)read_big(reader, 4);
    return !reader->truncated && k2_slice_equal(magic, k2_slice_of("TZif")) &&
           counts->times <= FILE_CEILING_BYTES && counts->types > 0 && counts->types <= 256;
}

static enum k2_status read_intervals(struct k2_time_zone *self, struct k2_byte_reader *reader,
                                     const struct counts *counts, bool *good)
{
    struct k2_byte_reader times = {.rest = k2_read_bytes(reader, (size_t)counts->times * 8)};
    struct k2_slice indexes = k2_read_bytes(reader, counts->times);
    int64_t offsets[256] = {0};
    for (uint32_t i = 0; i < counts->types; i++) {
        offsets[i] = (int32_t)read_big(reader, 4);
        (void)k2_read_bytes(reader, 2); // is daylight time, name
        if (offsets[i] < -2 * day_s || offsets[i] > 2 * day_s) {
            reader->truncated = true;
        }
    }
    (void)k2_read_bytes(reader, counts->chars);
    (void)k2_read_bytes(reader, (size_t)counts->leaps * 12);
    (void)k2_read_bytes(reader, (size_t)counts->standard + counts->utc);
    *good = !reader->truncated;
    if (!*good) {
        return K2_OK;
    }
    self->interval_count = (size_t)counts->times + 1;
    self->intervals = k2_alloc_zero(self->interval_count, sizeof *self->intervals);
    if (self->intervals == NULL) {
        return K2_NO_MEMORY;
    }
    self->intervals[0] = (struct interval){INT64_MIN, offsets[0]};
    for (size_t i = 1; i < self->interval_count && *good; i++) {
        uint8_t index = indexes.data[i - 1];
        self->intervals[i] = (struct interval){(int64_t)read_big(&times, 8), offsets[index]};
        *good =
            index < counts->types && self->intervals[i].begin_s >= self->intervals[i - 1].begin_s;
    }
    return K2_OK;
}

// The footer is a rule for the time behind the last change. One with a comma changes the clock
// twice a year: K2 knows only what the file lists (Debian's lists up to 2037).
static void read_footer(struct k2_time_zone *self, const struct k2_byte_reader *reader)
{
    bool changes = memchr(reader->rest.data, ',', reader->rest.size_bytes) != NULL;
    self->end_s = changes ? self->intervals[self->interval_count - 1].begin_s : INT64_MAX;
}

static enum k2_status parse(struct k2_time_zone *self, struct k2_slice bytes, bool *good)
{
    struct k2_byte_reader reader = {.rest = bytes};
    uint8_t version;
    struct counts counts;
    *good = read_header(&reader, &version, &counts) && version >= '2';
    if (!*good) {
        return K2_OK;
    }
    // The first block repeats everything in 32 bits.
    size_t first_bytes = (size_t)counts.times * 5 + (size_t)counts.types * 6 + counts.chars +
                         (size_t)counts.leaps * 8 + counts.standard + counts.utc;
    (void)k2_read_bytes(&reader, first_bytes);
    *good = read_header(&reader, &version, &counts);
    if (!*good) {
        return K2_OK;
    }
    enum k2_status status = read_intervals(self, &reader, &counts, good);
    if (status == K2_OK && *good) {
        read_footer(self, &reader);
    }
    return status;
}

static bool is_zone_name(const char *name)
{
    size_t size = strlen(name);
    return size > 0 && size < 100 && name[0] != '/' && strstr(name, "..") == NULL &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/") ==
               size;
}

static enum k2_status read_zone(struct k2_time_zone *self, const char *name, struct k2_error *error)
{
    char path[160];
    (void)snprintf(path, sizeof path, "/usr/share/zoneinfo/%s", name);
    FILE *file = is_zone_name(name) ? fopen(path, "rbe") : NULL;
    if (file == NULL) {
        return k2_fail(error, K2_BAD_REQUEST,
                       "time zone %.100s: not in /usr/share/zoneinfo; is tzdata installed?", name);
    }
    uint8_t *bytes = k2_alloc(FILE_CEILING_BYTES);
    size_t size = bytes == NULL ? 0 : fread(bytes, 1, FILE_CEILING_BYTES, file);
    (void)fclose(file);
    bool good = false;
    enum k2_status status =
        bytes == NULL ? K2_NO_MEMORY : parse(self, (struct k2_slice){bytes, size}, &good);
    k2_free(bytes);
    if (status != K2_OK) {
        return k2_fail(error, status, "time zone %s: out of memory", name);
    }
    return good ? K2_OK : k2_fail(error, K2_BAD_REQUEST, "time zone %s: no TZif file", name);
}

enum k2_status k2_time_zone_load(struct k2_time_zone **zone, const char *name,
                                 struct k2_error *error)
{
    struct k2_time_zone *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "time zone %s: out of memory", name);
    }
    enum k2_status status = K2_OK;
    if (strcmp(name, "UTC") == 0) {
        self->end_s = INT64_MAX;
        self->interval_count = 1;
        self->intervals = k2_alloc_zero(1, sizeof *self->intervals);
        status = self->intervals != NULL
                     ? K2_OK
                     : k2_fail(error, K2_NO_MEMORY, "time zone %s: out of memory", name);
    } else {
        status = read_zone(self, name, error);
    }
    if (status != K2_OK) {
        k2_time_zone_destroy(self);
        return status;
    }
    *zone = self;
    return K2_OK;
}

void k2_time_zone_destroy(struct k2_time_zone *zone)
{
    if (zone != NULL) {
        k2_free(zone->intervals);
        k2_free(zone);
    }
}

bool k2_time_zone_to_utc(const struct k2_time_zone *zone, int64_t local_s, int64_t *utc_s)
{
    // The last interval that surely begins before the local time does in any zone.
    size_t low = 0, high = zone->interval_count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (zone->intervals[middle].begin_s <= local_s - 3 * day_s) {
            low = middle;
        } else {
            high = middle;
        }
    }
    for (size_t i = low; i < zone->interval_count; i++) {
        int64_t utc = local_s - zone->intervals[i].offset_s;
        int64_t end = i + 1 < zone->interval_count ? zone->intervals[i + 1].begin_s : INT64_MAX;
        if (i + 1 == zone->interval_count && utc >= zone->end_s) {
            return false;
        }
        if (utc < zone->intervals[i].begin_s) {
            return false; // falls into the gap before this interval
        }
        if (utc < end) {
            *utc_s = utc;
            return true;
        }
    }
    return false;
}

int64_t k2_time_zone_to_local(const struct k2_time_zone *zone, int64_t utc_s)
{
    size_t low = 0, high = zone->interval_count;
    while (high - low > 1) { // the last interval that begins at or before the instant
        size_t middle = low + (high - low) / 2;
        if (zone->intervals[middle].begin_s <= utc_s) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return utc_s + zone->intervals[low].offset_s;
}
