#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "engine/file_io.h"
#include "format/base/alloc.h"
#include "query/export/catalog.h"
#include "query/export/object_store.h"

enum { BUSY_MS = 30000 };
static const size_t metadata_ceiling_bytes = (size_t)1 << 30;
static const size_t location_ceiling_bytes = 1 << 16;

struct sqlite_catalog {
    struct k2_object_store *store; // borrowed
    char *warehouse;               // its location
    sqlite3 *database;
};

static enum k2_status fail_sqlite(const struct sqlite_catalog *self, struct k2_error *error)
{
    int code = sqlite3_errcode(self->database) & 0xff;
    enum k2_status status = K2_IO;
    status = code == SQLITE_BUSY || code == SQLITE_LOCKED      ? K2_BUSY
             : code == SQLITE_FULL                             ? K2_NO_SPACE
             : code == SQLITE_NOTADB || code == SQLITE_CORRUPT ? K2_CORRUPT
             : code == SQLITE_READONLY || code == SQLITE_PERM  ? K2_NOT_PERMITTED
             : code == SQLITE_NOMEM                            ? K2_NO_MEMORY
                                                               : K2_IO;
    return k2_fail(error, status, "%s/catalog.db: %s", self->warehouse,
                   sqlite3_errmsg(self->database));
}

static enum k2_status execute(struct sqlite_catalog *self, const char *sql, struct k2_error *error)
{
    return sqlite3_exec(self->database, sql, NULL, NULL, NULL) == SQLITE_OK
               ? K2_OK
               : fail_sqlite(self, error);
}

// Runs one statement whose parameters are texts; `*value` (may be NULL) is the first column of the
// first row, owned, or NULL if there is none.
static enum k2_status run(struct sqlite_catalog *self, const char *sql, const char *const *texts,
                          size_t text_count, char **value, struct k2_error *error)
{
    sqlite3_stmt *statement = NULL;
    enum k2_status status = K2_OK;
    int code = sqlite3_prepare_v2(self->database, sql, -1, &statement, NULL);
    for (size_t i = 0; i < text_count && code == SQLITE_OK; i++) {
        code = sqlite3_bind_text(statement, (int)i + 1, texts[i], -1, SQLITE_STATIC);
    }
    code = code == SQLITE_OK ? sqlite3_step(statement) : code;
    if (code == SQLITE_ROW && value != NULL) {
        const unsigned char *text = sqlite3_column_text(statement, 0);
        if (text != NULL) {
            *value = k2_alloc_text((const char *)text, (size_t)sqlite3_column_bytes(statement, 0));
            if (*value == NULL) {
                status = k2_fail(error, K2_NO_MEMORY, "catalog: no memory");
            }
        }
    } else if (code != SQLITE_DONE && code != SQLITE_ROW) {
        status = fail_sqlite(self, error);
    }
    (void)sqlite3_finalize(statement);
    return status;
}

static void sqlite_close(void *catalog)
{
    struct sqlite_catalog *self = catalog;
    (void)sqlite3_close(self->database);
    k2_free(self->warehouse);
    k2_free(self);
}

static enum k2_status find_location(struct sqlite_catalog *self, const char *name, char **location,
                                    struct k2_error *error)
{
    *location = NULL;
    return run(
        self,
        "SELECT metadata_location FROM iceberg_tables WHERE catalog_name = '" K2_ICEBERG_CATALOG
        "' AND table_namespace = '" K2_ICEBERG_NAMESPACE "' AND table_name = ?1",
        &name, 1, location, error);
}

static enum k2_status read_metadata(struct sqlite_catalog *self, struct k2_catalog_table *table,
                                    struct k2_error *error)
{
    struct k2_buffer text;
    k2_buffer_init(&text, metadata_ceiling_bytes);
    enum k2_status status = self->store->class->get(self->store->self, table->metadata_location, 0,
                                                    SIZE_MAX, &text, error);
    if (status == K2_OK) {
        status = k2_iceberg_metadata_parse(&table->metadata, k2_buffer_slice(&text), error);
        if (status != K2_OK) {
            k2_error_annotate(error, "%s", table->metadata_location);
        }
    }
    k2_buffer_deinit(&text);
    return status;
}

static enum k2_status sqlite_load(void *catalog, const char *name, bool *found,
                                  struct k2_catalog_table *table, struct k2_error *error)
{
    struct sqlite_catalog *self = catalog;
    *table = (struct k2_catalog_table){0};
    *found = false;
    enum k2_status status = find_location(self, name, &table->metadata_location, error);
    if (status == K2_OK && table->metadata_location != NULL) {
        *found = true;
        status = read_metadata(self, table, error);
    }
    if (status != K2_OK) {
        k2_catalog_table_close(table);
    }
    return status;
}

static enum k2_status sqlite_location(void *catalog, const char *name, struct k2_buffer *location,
                                      struct k2_error *error)
{
    const struct sqlite_catalog *self = catalog;
    k2_put_format(location, "%s/" K2_ICEBERG_NAMESPACE "/%s", self->warehouse, name);
    k2_put_u8(location, 0);
    return k2_buffer_check(location, "table location", error);
}

// The number that a metadata file's name begins with, of any writer: `00003-UUID` or `v3`; 0 if
// there is none.
static unsigned long version_of(const char *location)
{
    const char *name = location == NULL ? NULL : strrchr(location, '/');
    if (name == NULL) {
        return 0;
    }
    name += name[1] == 'v' ? 2 : 1;
    return *name >= '0' && *name <= '9' ? strtoul(name, NULL, 10) : 0;
}

// Writes the file of the next version; `*location` is owned.
static enum k2_status write_metadata(struct sqlite_catalog *self,
                                     const struct k2_iceberg_metadata *metadata,
                                     const char *previous, const char *commit_id, char **location,
                                     struct k2_error *error)
{
    struct k2_buffer path, text;
    k2_buffer_init(&path, location_ceiling_bytes);
    k2_buffer_init(&text, metadata_ceiling_bytes);
    k2_put_format(&path, "%s/metadata/%05lu-%s.metadata.json", k2_iceberg_location(metadata),
                  previous == NULL ? 0 : version_of(previous) + 1, commit_id);
    k2_put_u8(&path, 0);
    k2_iceberg_metadata_put(metadata, &text);
    enum k2_status status = k2_buffer_check(&path, "metadata file", error);
    if (status == K2_OK) {
        status = k2_buffer_check(&text, "metadata file", error);
    }
    if (status == K2_OK) {
        status = self->store->class->put(self->store->self, (const char *)path.data,
                                         k2_buffer_slice(&text), K2_PUT_IF_ABSENT, error);
    }
    *location = NULL;
    if (status == K2_OK) {
        *location = k2_alloc_text((const char *)path.data, path.size_bytes - 1);
        status = *location != NULL ? K2_OK : k2_fail(error, K2_NO_MEMORY, "catalog: no memory");
    }
    k2_buffer_deinit(&path);
    k2_buffer_deinit(&text);
    return status;
}

// For readers of the folder alone: DuckDB looks here for the newest version. It may lag, or be lost
// in a crash; the next commit mends it.
static void write_hint(struct sqlite_catalog *self, const struct k2_catalog_table *table)
{
    static const char suffix[] = ".metadata.json";
    struct k2_buffer path;
    const char *name = strrchr(table->metadata_location, '/') + 1;
    size_t size = strlen(name);
    size -= size > sizeof suffix - 1 ? sizeof suffix - 1 : 0;
    k2_buffer_init(&path, location_ceiling_bytes);
    k2_put_format(&path, "%s/metadata/version-hint.text", k2_iceberg_location(table->metadata));
    k2_put_u8(&path, 0);
    if (!path.failed) {
        (void)self->store->class->put(self->store->self, (const char *)path.data,
                                      (struct k2_slice){(const uint8_t *)name, size},
                                      K2_PUT_REPLACE, NULL);
    }
    k2_buffer_deinit(&path);
}

// One transaction of one statement, which takes effect if its condition holds. The hook is asked
// where a crash would leave the file without a pointer, and the pointer without anybody knowing.
static enum k2_status swap(struct sqlite_catalog *self, const char *sql, const char *const *texts,
                           size_t text_count, enum k2_catalog_outcome *outcome,
                           struct k2_error *error)
{
    int refused = k2_file_ask_hook(K2_FILE_INDEX_COMMIT);
    if (refused != 0) {
        return k2_fail_errno(error, refused, "%s/catalog.db: cannot commit", self->warehouse);
    }
    enum k2_status status = run(self, sql, texts, text_count, NULL, error);
    *outcome = sqlite3_changes(self->database) == 1 ? K2_CATALOG_DONE : K2_CATALOG_CONFLICT;
    if (status == K2_IO) { // it may have reached the disk before
        *outcome = K2_CATALOG_UNKNOWN;
        status = K2_OK;
    }
    (void)k2_file_ask_hook(K2_FILE_INDEX_COMMITTED);
    return status;
}

static enum k2_status sqlite_create(void *catalog, const char *name,
                                    const struct k2_iceberg_metadata *metadata,
                                    const char *commit_id, enum k2_catalog_outcome *outcome,
                                    struct k2_catalog_table *table, struct k2_error *error)
{
    struct sqlite_catalog *self = catalog;
    *table = (struct k2_catalog_table){0};
    enum k2_status status = k2_iceberg_metadata_copy(&table->metadata, metadata, error);
    if (status == K2_OK) {
        status = write_metadata(self, metadata, NULL, commit_id, &table->metadata_location, error);
    }
    if (status == K2_OK) {
        status = swap(self,
                      "INSERT OR IGNORE INTO iceberg_tables (catalog_name, table_namespace,"
                      " table_name, metadata_location, previous_metadata_location, iceberg_type)"
                      " VALUES ('" K2_ICEBERG_CATALOG "', '" K2_ICEBERG_NAMESPACE
                      "', ?1, ?2, NULL, 'TABLE')",
                      (const char *const[]){name, table->metadata_location}, 2, outcome, error);
        if (status == K2_OK && *outcome == K2_CATALOG_CONFLICT) {
            (void)self->store->class->remove(self->store->self, table->metadata_location, NULL);
        }
    }
    if (status == K2_OK && *outcome == K2_CATALOG_DONE) {
        write_hint(self, table);
        return K2_OK;
    }
    k2_catalog_table_close(table);
    return status;
}

struct cut_files {
    struct k2_buffer locations; // each with a NUL
};

static void note_cut(void *context, const char *location)
{
    struct cut_files *cut = context;
    k2_put_bytes(&cut->locations, location, strlen(location) + 1);
}

// Metadata files that fell out of the log; one that stays is an orphan, no more.
static void remove_cut(struct sqlite_catalog *self, const struct k2_iceberg_metadata *metadata,
                       const struct cut_files *cut)
{
    const char *wish = k2_iceberg_property(metadata, "write.metadata.delete-after-commit.enabled");
    if (wish == NULL || strcmp(wish, "true") != 0 || cut->locations.failed) {
        return;
    }
    const char *at = (const char *)cut->locations.data;
    const char *end = at + cut->locations.size_bytes;
    for (; at < end; at += strlen(at) + 1) {
        (void)self->store->class->remove(self->store->self, at, NULL);
    }
}

static enum k2_status sqlite_commit(void *catalog, const char *name,
                                    const struct k2_catalog_table *base,
                                    const struct k2_iceberg_change *change,
                                    enum k2_catalog_outcome *outcome,
                                    struct k2_catalog_table *after, struct k2_error *error)
{
    struct sqlite_catalog *self = catalog;
    struct k2_catalog_table next = {0};
    struct cut_files cut = {0};
    k2_buffer_init(&cut.locations, metadata_ceiling_bytes);
    enum k2_status status = k2_iceberg_metadata_copy(&next.metadata, base->metadata, error);
    if (status == K2_OK) {
        status = k2_iceberg_metadata_apply(next.metadata, change, base->metadata_location, note_cut,
                                           &cut, error);
    }
    if (status == K2_OK) {
        status = write_metadata(self, next.metadata, base->metadata_location, change->commit_id,
                                &next.metadata_location, error);
    }
    if (status == K2_OK) {
        status = swap(self,
                      "UPDATE iceberg_tables SET metadata_location = ?2,"
                      " previous_metadata_location = ?3 WHERE catalog_name = '" K2_ICEBERG_CATALOG
                      "' AND table_namespace = '" K2_ICEBERG_NAMESPACE
                      "' AND table_name = ?1 AND metadata_location = ?3",
                      (const char *const[]){name, next.metadata_location, base->metadata_location},
                      3, outcome, error);
    }
    if (status == K2_OK && *outcome == K2_CATALOG_DONE) {
        write_hint(self, &next);
        remove_cut(self, next.metadata, &cut);
        *after = next;
        next = (struct k2_catalog_table){0};
    } else if (next.metadata_location != NULL &&
               (status != K2_OK || *outcome == K2_CATALOG_CONFLICT)) {
        (void)self->store->class->remove(self->store->self, next.metadata_location, NULL);
    }
    k2_buffer_deinit(&cut.locations);
    k2_catalog_table_close(&next);
    return status;
}

// ---- opening --------------------------------------------------------------------------------

static enum k2_status prepare(struct sqlite_catalog *self, struct k2_error *error)
{
    (void)sqlite3_busy_timeout(self->database, BUSY_MS);
    enum k2_status status = execute(self, "PRAGMA synchronous = FULL", error);
    if (status == K2_OK) {
        status = execute(
            self,
            "CREATE TABLE IF NOT EXISTS iceberg_tables ("
            "catalog_name VARCHAR(255) NOT NULL, table_namespace VARCHAR(255) NOT NULL,"
            " table_name VARCHAR(255) NOT NULL, metadata_location VARCHAR(1000),"
            " previous_metadata_location VARCHAR(1000), iceberg_type VARCHAR(5),"
            " PRIMARY KEY (catalog_name, table_namespace, table_name));"
            "CREATE TABLE IF NOT EXISTS iceberg_namespace_properties ("
            "catalog_name VARCHAR(255) NOT NULL, namespace VARCHAR(255) NOT NULL,"
            " property_key VARCHAR(255) NOT NULL, property_value VARCHAR(1000) NOT NULL,"
            " PRIMARY KEY (catalog_name, namespace, property_key));"
            "INSERT OR IGNORE INTO iceberg_namespace_properties VALUES ('" K2_ICEBERG_CATALOG
            "', '" K2_ICEBERG_NAMESPACE "', 'exists', 'true')",
            error);
    }
    return status;
}

static const struct k2_catalog_class sqlite_class = {
    .close = sqlite_close,
    .load = sqlite_load,
    .location = sqlite_location,
    .create = sqlite_create,
    .commit = sqlite_commit,
};

enum k2_status k2_sqlite_catalog_open(struct k2_catalog *catalog, const char *warehouse,
                                      struct k2_object_store *store, bool create,
                                      struct k2_error *error)
{
    struct k2_buffer path;
    *catalog = (struct k2_catalog){0};
    const char *folder = k2_local_path(warehouse);
    if (folder == NULL) {
        return k2_fail(error, K2_BAD_REQUEST,
                       "%s: a SQLite catalog lies in a folder; give a REST catalog, too",
                       warehouse);
    }
    struct sqlite_catalog *self = k2_alloc_zero(1, sizeof *self);
    k2_buffer_init(&path, location_ceiling_bytes);
    k2_put_format(&path, "%s/catalog.db", folder);
    k2_put_u8(&path, 0);
    if (self != NULL) {
        self->warehouse = k2_alloc_text(warehouse, strlen(warehouse));
        self->store = store;
    }
    enum k2_status status = self == NULL || self->warehouse == NULL
                                ? k2_fail(error, K2_NO_MEMORY, "catalog: no memory")
                                : k2_buffer_check(&path, "catalog", error);
    struct stat info;
    if (status == K2_OK && !create && stat((const char *)path.data, &info) != 0) {
        status = k2_fail_errno(error, errno, "%s: no catalog", (const char *)path.data);
    }
    if (status == K2_OK &&
        sqlite3_open_v2((const char *)path.data, &self->database,
                        SQLITE_OPEN_READWRITE | (create ? SQLITE_OPEN_CREATE : 0),
                        NULL) != SQLITE_OK) {
        status = fail_sqlite(self, error);
    }
    if (status == K2_OK) {
        status = prepare(self, error);
    }
    k2_buffer_deinit(&path);
    if (status != K2_OK) {
        if (self != NULL) {
            sqlite_close(self);
        }
        return status;
    }
    *catalog = (struct k2_catalog){&sqlite_class, self};
    return K2_OK;
}
