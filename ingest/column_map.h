// How the fields of a file become columns of a table: a map file (tools/maps/README.md).
//
// Immutable after parsing; borrowed by the sources that use it.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "format/schema/schema.h"
#include "ingest/time_zone.h"

enum k2_map_target {
    K2_MAP_COLUMN = 0, // the column takes the field
    K2_MAP_DATE,       // the date of the timestamp, by `format`
    K2_MAP_TIME,       // the time of day: HH:MM:SS[.digits], or a number of units since midnight
    K2_MAP_EPOCH_TIME, // the timestamp: a number of units since 1970-01-01 UTC
    K2_MAP_ELEMENT,    // an element more of a JSON array, if not empty
    K2_MAP_MEMBER,     // the member `member` of a JSON object, if not empty
    K2_MAP_TARGET_COUNT,
};

enum {
    K2_MAP_FIELD_CEILING = 512, // fields of a map
    K2_MAP_PART_CEILING = 64,   // elements and members among them
};

enum { K2_MAP_NO_UNIT = 10 };

struct k2_map_field {
    char *name;      // of the header, or NULL
    unsigned number; // place in the record, from 1; 0 with a name
    enum k2_map_target target;
    size_t column;   // index in the schema; not for DATE, TIME and EPOCH_TIME
    char *format;    // DATE: letters Y, M, D and what stands between
    char *member;    // MEMBER
    char *null_text; // a field that reads so is null, or NULL
    unsigned
        unit_digits; // decimals of a unit down to the nanosecond: s 9, ms 6, us 3, ns 0; 10: none
    unsigned divisor_digits; // the field is divided by 10 to this power
};

enum k2_map_header {
    K2_MAP_HEADER_NAMES = 0, // the first line names the fields
    K2_MAP_HEADER_NONE,
    K2_MAP_HEADER_SKIP, // the first line is no data
};

struct k2_column_map; // opaque

// `name` is for errors. K2_BAD_REQUEST names the line.
K2_MUST_CHECK enum k2_status k2_column_map_parse(struct k2_column_map **map, const char *name,
                                                 struct k2_slice text,
                                                 const struct k2_schema *schema,
                                                 struct k2_error *error);
K2_MUST_CHECK enum k2_status k2_column_map_read(struct k2_column_map **map, const char *path,
                                                const struct k2_schema *schema,
                                                struct k2_error *error);
void k2_column_map_destroy(struct k2_column_map *map);

enum k2_map_header k2_column_map_header(const struct k2_column_map *map);
char k2_column_map_separator(const struct k2_column_map *map);
bool k2_column_map_ignores_others(const struct k2_column_map *map);
const struct k2_map_field *k2_column_map_fields(const struct k2_column_map *map, size_t *count);
const struct k2_time_zone *k2_column_map_zone(const struct k2_column_map *map);
void k2_column_map_field_range(const struct k2_column_map *map, size_t *min, size_t *max);

// What the map says of sequences (ingest/sequence_rule.h), as texts; NULL: nothing.
enum k2_map_sequence {
    K2_MAP_SEQUENCE = 0,
    K2_MAP_EPOCH_RULE,
    K2_MAP_DOMAIN,
    K2_MAP_SEQUENCE_COUNT,
};
const char *k2_column_map_sequence(const struct k2_column_map *map, enum k2_map_sequence member);

// What the map says about all rows of one file, from its name. Texts are owned by the caller's
// struct and freed with k2_map_constants_deinit.
struct k2_map_constants {
    char *texts[K2_MAX_COLUMNS]; // by column index; NULL: nothing is said
    bool has_date;
    int64_t date_days; // since 1970-01-01
};

// `given` names columns that the user gave otherwise (an option): their templates may fail.
K2_MUST_CHECK enum k2_status k2_column_map_constants(const struct k2_column_map *map,
                                                     const char *file_name, const bool *given,
                                                     struct k2_map_constants *constants,
                                                     struct k2_error *error);
void k2_map_constants_deinit(struct k2_map_constants *constants);

// A date by a format such as `MM/DD/YYYY`; false when `text` is none.
bool k2_map_parse_date(const char *format, struct k2_slice text, int64_t *days);
