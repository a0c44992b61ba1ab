// Which metadata a table has now: a SQLite file beside the tables, or a REST service.
//
// Every table lies in the namespace that the catalog was opened with (`k2`) and is named by its
// name there (`trades`). A commit is optimistic: it says on which state it was built and is taken
// only if that still holds. One thread at a time.
#pragma once

#include "format/iceberg/iceberg_metadata.h"

#define K2_ICEBERG_CATALOG "k2"   // the catalog's name
#define K2_ICEBERG_NAMESPACE "k2" // of its tables

// A table as the catalog has it. Zeroed is closable.
struct k2_catalog_table {
    struct k2_iceberg_metadata *metadata; // owned
    char *metadata_location;              // owned; NULL when a service does not tell
};
void k2_catalog_table_close(struct k2_catalog_table *table);

enum k2_catalog_outcome {
    K2_CATALOG_DONE = 0,
    K2_CATALOG_CONFLICT, // the table is not what the commit was built on (create: it exists): load
                         // again, build anew, try again
    K2_CATALOG_UNKNOWN,  // no answer, or one that tells nothing: load and look for the commit id
                         // among the snapshots (and properties) before anything else; never remove
                         // files of the commit before that
};

struct k2_catalog_class {
    void (*close)(void *self);

    // `*found` is false when there is no such table; that is not a failure.
    enum k2_status (*load)(void *self, const char *name, bool *found,
                           struct k2_catalog_table *table, struct k2_error *error);
    // The location that a new table is to have, NUL-terminated, without `/` at the end.
    enum k2_status (*location)(void *self, const char *name, struct k2_buffer *location,
                               struct k2_error *error);
    // Makes the namespace, if needed, and the table with exactly these schema ids, spec, sort order
    // and properties. On K2_CATALOG_DONE `*table` is what was made. `commit_id` as below.
    enum k2_status (*create)(void *self, const char *name,
                             const struct k2_iceberg_metadata *metadata, const char *commit_id,
                             enum k2_catalog_outcome *outcome, struct k2_catalog_table *table,
                             struct k2_error *error);
    // Applies `change` to `base`, if the table is still that. On K2_CATALOG_DONE `*after` is the
    // table as it became; else `*after` is untouched. A failure (status) is one that trying again
    // does not cure, and nothing happened.
    enum k2_status (*commit)(void *self, const char *name, const struct k2_catalog_table *base,
                             const struct k2_iceberg_change *change,
                             enum k2_catalog_outcome *outcome, struct k2_catalog_table *after,
                             struct k2_error *error);
};

struct k2_catalog {
    const struct k2_catalog_class *class; // NULL: closed
    void *self;
};

void k2_catalog_close(struct k2_catalog *catalog);

struct k2_object_store;

// The catalog of `folder`/catalog.db, in the layout of PyIceberg's SqlCatalog and Java's
// JdbcCatalog; it writes the metadata files itself, through `store` (borrowed until close).
// `warehouse` is the location of the folder. With `create` it is made if it is not there, else
// K2_NOT_FOUND.
K2_MUST_CHECK enum k2_status k2_sqlite_catalog_open(struct k2_catalog *catalog,
                                                    const char *warehouse,
                                                    struct k2_object_store *store, bool create,
                                                    struct k2_error *error);
