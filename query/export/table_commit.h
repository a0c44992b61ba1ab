// A commit to an Iceberg table: which data files come and go, written as manifests and a manifest
// list, and handed to the catalog, again and again while others are faster.
//
// Belongs to one thread.
#pragma once

#include "format/iceberg/iceberg_manifest.h"
#include "query/export/catalog.h"
#include "query/export/object_store.h"

enum { K2_UUID_BYTES = 37 }; // with the NUL

// Random numbers of the system.
K2_MUST_CHECK enum k2_status k2_make_uuid(char uuid[K2_UUID_BYTES], struct k2_error *error);
K2_MUST_CHECK enum k2_status k2_make_sync(uint8_t sync[16], struct k2_error *error);
int64_t k2_now_ms(void);

// A table that is worked on, with its places.
struct k2_table_place {
    struct k2_object_store *store; // borrowed
    struct k2_catalog *catalog;    // borrowed
    const char *name;              // borrowed; in the catalog
    const char *day_name;          // borrowed; of the partition field
    struct k2_catalog_table table; // as loaded last; owned by the caller
};

// All data and delete files of the current snapshot, as the manifests list them (deleted entries
// left out). Deletes are those with content other than K2_ICEBERG_DATA.
K2_MUST_CHECK enum k2_status k2_table_files(struct k2_table_place *place,
                                            struct k2_iceberg_entries *entries,
                                            struct k2_error *error);
K2_MUST_CHECK enum k2_status k2_table_manifests(struct k2_object_store *store,
                                                const char *manifest_list,
                                                struct k2_iceberg_manifests *manifests,
                                                struct k2_error *error);
K2_MUST_CHECK enum k2_status k2_table_entries(struct k2_object_store *store,
                                              const struct k2_iceberg_manifest *manifest,
                                              struct k2_iceberg_entries *entries,
                                              struct k2_error *error);

struct k2_table_change {
    const char *commit_id; // a UUID, in the name of each file of the commit
    const char *operation; // append, overwrite, replace, delete; NULL: no snapshot
    const struct k2_iceberg_file *added;
    size_t added_count;
    const struct k2_slice *removed; // paths of data files that go
    size_t removed_count;
    const struct k2_iceberg_field *fields; // a new schema; NULL: as it is
    size_t field_count;
    const struct k2_iceberg_property *properties; // of the table
    size_t property_count;
    const struct k2_iceberg_property *summary; // of the snapshot, beside the usual counts
    size_t summary_count;
    const int64_t *removed_snapshots;
    size_t removed_snapshot_count;
    size_t merge_manifests; // as many small manifests become one; 0: never
    // Looks at the table as another writer left it, before each further attempt: false if the
    // change is not to be made any more (it is made, or void). NULL: always true.
    bool (*still_wanted)(void *context, const struct k2_catalog_table *table);
    void *context;
};

struct k2_table_outcome {
    bool done; // false: not wanted any more, or a removed file is not there any more
    int64_t snapshot_id;
};

// On K2_OK place->table is the newest state. K2_BUSY: others were faster too often, or the catalog
// does not tell what became of it.
K2_MUST_CHECK enum k2_status k2_table_commit(struct k2_table_place *place,
                                             const struct k2_table_change *change,
                                             struct k2_table_outcome *outcome,
                                             struct k2_error *error);
