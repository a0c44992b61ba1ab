// The metadata file of an Iceberg table (version 2): what K2 needs of it, and changes to it.
//
// Whatever other writers put there (refs, statistics, older schemas) stays as it is. Readers of
// foreign bytes: K2_CORRUPT names the member. Texts are borrowed from the metadata until its next
// change. Belongs to one thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "format/base/buffer.h"

struct k2_iceberg_metadata; // opaque

struct k2_iceberg_field {
    int32_t id;
    const char *name;
    const char *type; // "long", "decimal(18, 8)"; NULL: a nested type
    bool required;
};

struct k2_iceberg_property {
    const char *name;
    const char *value; // in a change: NULL removes it
};

// Partitions and sort order of a table that K2 makes: day of one field; ascending, nulls first.
enum {
    K2_ICEBERG_SORT_FIELDS = 3,
    K2_ICEBERG_PARTITION_ID = 1000, // of the field of the partition
};

struct k2_iceberg_definition {
    const char *uuid; // 36 characters
    const char *location;
    const struct k2_iceberg_field *fields;
    size_t field_count;
    int32_t day_field;          // id of the timestamptz
    const char *day_name;       // of the partition field
    const int32_t *sort_fields; // ids
    size_t sort_field_count;    // 0: unsorted
    const struct k2_iceberg_property *properties;
    size_t property_count;
    int64_t time_ms;
};

struct k2_iceberg_snapshot {
    int64_t id; // below 2^53: readers in JavaScript have doubles alone
    bool has_parent;
    int64_t parent;
    int64_t sequence_number;
    int64_t timestamp_ms;
    const char *manifest_list;
    int32_t schema_id;
    // The summary; `operation` is not among its properties.
    const char *operation; // append, replace, overwrite, delete; NULL in foreign ones without
    const struct k2_iceberg_property *summary; // of a change; use k2_iceberg_snapshot_summary
    size_t summary_count;
};

// One commit. Everything but commit_id is optional; zero is the default.
struct k2_iceberg_change {
    const char *commit_id; // a UUID, new for each attempt whose outcome is known; in the name of
                           // every file of the commit, and an Idempotency-Key for a service
    int64_t time_ms;
    const struct k2_iceberg_field *fields; // a new current schema
    size_t field_count;
    const struct k2_iceberg_property *properties; // to set, or with value NULL to remove
    size_t property_count;
    const struct k2_iceberg_snapshot *snapshot; // becomes the newest of branch main
    const int64_t *removed_snapshots;
    size_t removed_snapshot_count;
};

// A new table without snapshots.
K2_MUST_CHECK enum k2_status
k2_iceberg_metadata_create(struct k2_iceberg_metadata **metadata,
                           const struct k2_iceberg_definition *definition, struct k2_error *error);
// Reads a metadata file. K2_CORRUPT: not one; K2_BAD_REQUEST: of a version that K2 does not write.
K2_MUST_CHECK enum k2_status k2_iceberg_metadata_parse(struct k2_iceberg_metadata **metadata,
                                                       struct k2_slice json,
                                                       struct k2_error *error);
K2_MUST_CHECK enum k2_status k2_iceberg_metadata_copy(struct k2_iceberg_metadata **copy,
                                                      const struct k2_iceberg_metadata *metadata,
                                                      struct k2_error *error);
void k2_iceberg_metadata_destroy(struct k2_iceberg_metadata *metadata);

// The file's text. Check `out`.
void k2_iceberg_metadata_put(const struct k2_iceberg_metadata *metadata, struct k2_buffer *out);

// Does what a catalog does with a commit: `previous_location` goes into the metadata log, which is
// kept to `write.metadata.previous-versions-max` (100) entries; those cut off are reported.
typedef void k2_iceberg_cut_off(void *context, const char *metadata_location);
K2_MUST_CHECK enum k2_status k2_iceberg_metadata_apply(struct k2_iceberg_metadata *metadata,
                                                       const struct k2_iceberg_change *change,
                                                       const char *previous_location,
                                                       k2_iceberg_cut_off *cut_off, void *context,
                                                       struct k2_error *error);

// The bodies of a REST catalog: `{"requirements":[...],"updates":[...]}` of a commit on `base`
// (assert-table-uuid, assert-ref-snapshot-id, ...), and of the creation of a table with
// assert-create, which keeps the field ids that a plain create would give anew. Check `out`.
void k2_iceberg_change_put_json(const struct k2_iceberg_metadata *base,
                                const struct k2_iceberg_change *change, struct k2_buffer *out);
void k2_iceberg_create_put_json(const struct k2_iceberg_metadata *metadata, struct k2_buffer *out);

// ---- what it says ---------------------------------------------------------------------------

const char *k2_iceberg_uuid(const struct k2_iceberg_metadata *metadata);
const char *k2_iceberg_location(const struct k2_iceberg_metadata *metadata);
int64_t k2_iceberg_last_sequence_number(const struct k2_iceberg_metadata *metadata);
int64_t k2_iceberg_last_updated_ms(const struct k2_iceberg_metadata *metadata);
const char *k2_iceberg_property(const struct k2_iceberg_metadata *metadata,
                                const char *name); // NULL: not set
// Property by place, in the order of their names as the file has them; false behind the last.
bool k2_iceberg_property_at(const struct k2_iceberg_metadata *metadata, size_t index,
                            struct k2_iceberg_property *property);

// The current schema.
int32_t k2_iceberg_schema_id(const struct k2_iceberg_metadata *metadata);
size_t k2_iceberg_field_count(const struct k2_iceberg_metadata *metadata);
struct k2_iceberg_field k2_iceberg_field_at(const struct k2_iceberg_metadata *metadata,
                                            size_t index);
// Its JSON, and that of the fields of the default partition spec (an array), as manifests want them
// in their headers. Check `out`.
void k2_iceberg_schema_put_json(const struct k2_iceberg_metadata *metadata, struct k2_buffer *out);
void k2_iceberg_spec_put_json(const struct k2_iceberg_metadata *metadata, struct k2_buffer *out);
int32_t k2_iceberg_spec_id(const struct k2_iceberg_metadata *metadata);
int32_t k2_iceberg_sort_order_id(const struct k2_iceberg_metadata *metadata);
// The default spec is the day of this field alone.
bool k2_iceberg_spec_is_day_of(const struct k2_iceberg_metadata *metadata, int32_t field_id);

// Snapshots in the order of the file; `current` is the one of branch main, false: there is none.
size_t k2_iceberg_snapshot_count(const struct k2_iceberg_metadata *metadata);
struct k2_iceberg_snapshot k2_iceberg_snapshot_at(const struct k2_iceberg_metadata *metadata,
                                                  size_t index);
bool k2_iceberg_current_snapshot(const struct k2_iceberg_metadata *metadata,
                                 struct k2_iceberg_snapshot *snapshot);
bool k2_iceberg_find_snapshot(const struct k2_iceberg_metadata *metadata, int64_t id,
                              struct k2_iceberg_snapshot *snapshot);
// A property of a snapshot's summary; NULL: not there.
const char *k2_iceberg_snapshot_summary(const struct k2_iceberg_metadata *metadata, int64_t id,
                                        const char *name);
// A branch or a tag (also main) names this snapshot: it is not to be removed.
bool k2_iceberg_is_referenced(const struct k2_iceberg_metadata *metadata, int64_t snapshot_id);
// The metadata log by place, oldest first; NULL behind the last.
const char *k2_iceberg_metadata_log_at(const struct k2_iceberg_metadata *metadata, size_t index);
