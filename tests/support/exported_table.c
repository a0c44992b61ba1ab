#include "tests/support/exported_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "engine/snapshot.h"
#include "query/export/table_verify.h"

static const struct k2_table *trades_of(struct k2_engine *engine)
{
    const struct k2_table *table = k2_engine_table(engine, k2_slice_of("trades"));
    assert_non_null(table);
    return table;
}

enum k2_status exported_table_export(struct k2_engine *engine, const char *folder, bool full,
                                     struct k2_export_result *result, struct k2_error *error)
{
    struct k2_warehouse warehouse;
    struct k2_warehouse_options options = {.warehouse = folder, .create = true};
    struct k2_snapshot newest;
    *result = (struct k2_export_result){0};
    enum k2_status status = k2_warehouse_open(&warehouse, &options, error);
    if (status != K2_OK) {
        return status;
    }
    status = k2_snapshot_newest(engine, &newest, error);
    struct k2_export_request request = {.engine = engine,
                                        .warehouse = &warehouse,
                                        .table = trades_of(engine),
                                        .snapshot = newest.id,
                                        .newest = newest.id,
                                        .full = full,
                                        .writable = true};
    if (status == K2_OK) {
        status = k2_export_table(&request, result, error);
    }
    k2_warehouse_close(&warehouse);
    return status;
}

static int compare_paths(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

// Each file once, there, and of the size that the manifest says. Gives the rows.
static uint64_t check_files(const struct k2_iceberg_entries *entries, const char *where)
{
    uint64_t rows = 0;
    const char **paths = calloc(entries->count + 1, sizeof *paths);
    for (size_t i = 0; i < entries->count; i++) {
        const struct k2_iceberg_file *file = &entries->items[i].file;
        struct stat info;
        paths[i] = (const char *)file->path.data;
        if (stat(k2_local_path(paths[i]), &info) != 0 || info.st_size != file->size_bytes) {
            fail_msg("%s: %s is not what the table says", where, paths[i]);
        }
        rows += (uint64_t)file->record_count;
    }
    qsort(paths, entries->count, sizeof *paths, compare_paths);
    for (size_t i = 1; i < entries->count; i++) {
        if (strcmp(paths[i - 1], paths[i]) == 0) {
            fail_msg("%s: %s stands there twice", where, paths[i]);
        }
    }
    free(paths);
    return rows;
}

struct count {
    size_t files, parts;
};

static enum k2_status count_file(void *context, const struct k2_object_info *object,
                                 struct k2_error *error)
{
    struct count *count = context;
    (void)error;
    count->files += strstr(object->location, ".parquet") != NULL ? 1 : 0;
    count->parts += strstr(object->location, ".parquet.") != NULL ? 1 : 0; // of a write given up
    return K2_OK;
}

size_t exported_table_check(struct k2_engine *engine, const char *folder, bool exact,
                            const char *where)
{
    struct k2_warehouse warehouse;
    struct k2_warehouse_options options = {.warehouse = folder};
    struct k2_error error = {0};
    struct k2_table_counters counters;
    struct k2_iceberg_entries entries = {0};
    struct k2_table_place place = {.name = "trades", .day_name = "timestamp_day"};
    bool found = false;
    if (k2_warehouse_open(&warehouse, &options, &error) != K2_OK) {
        fail_msg("%s: %s", where, error.text);
    }
    place.store = &warehouse.store;
    place.catalog = &warehouse.catalog;
    if (place.catalog->class->load(place.catalog->self, place.name, &found, &place.table, &error) !=
            K2_OK ||
        !found || k2_table_files(&place, &entries, &error) != K2_OK) {
        fail_msg("%s: %s", where, error.text);
    }
    assert_int_equal(k2_engine_counters(engine, trades_of(engine), &counters, &error), K2_OK);
    uint64_t rows = check_files(&entries, where);
    if (rows != counters.rows) {
        fail_msg("%s: %llu rows exported, %llu stored", where, (unsigned long long)rows,
                 (unsigned long long)counters.rows);
    }
    struct count count = {0};
    assert_int_equal(warehouse.store.class->list(warehouse.store.self,
                                                 k2_iceberg_location(place.table.metadata),
                                                 count_file, &count, &error),
                     K2_OK);
    if (exact && (count.files != entries.count || count.parts > 0)) {
        fail_msg("%s: %zu files lie there, the table has %zu", where, count.files, entries.count);
    }
    struct k2_verify_result verified;
    if (k2_table_verify(&place, engine, trades_of(engine), &verified, &error) != K2_OK ||
        !verified.same) {
        fail_msg("%s: %s%s", where, error.text, verified.difference);
    }
    size_t file_count = entries.count;
    k2_iceberg_entries_deinit(&entries);
    k2_catalog_table_close(&place.table);
    k2_warehouse_close(&warehouse);
    return file_count;
}
