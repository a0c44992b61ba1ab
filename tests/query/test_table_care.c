// Days of an exported table that grows at one commit a minute, cared for as `k2 serve` does: files,
// manifests, snapshots and metadata stay few, and the table equals the store all the time.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/compact.h"
#include "format/base/alloc.h"
#include "format/base/timestamp.h"
#include "query/export/table_care.h"
#include "query/export/table_verify.h"
#include "tests/support/exported_table.h"
#include "tests/support/store_rows.h"
#include "tests/support/tier.h"

enum {
    MINUTES_OF_A_DAY = 1440,
    CARE_MINUTES = 30,
    SORT_MINUTES = 240, // how often the store itself is cared for, as a server's maintenance does
    KEPT_SNAPSHOTS = 60,
    MOST_FILES_OF_A_DAY = 80,
    MOST_MANIFESTS = 130,
    ROWS_OF_A_MINUTE = 3,
    MOST_METADATA_BYTES = 256 << 10, // of the metadata file
    MOST_OBJECTS = 800,              // manifests, lists and metadata files below `metadata`
};

struct sizes {
    size_t files, manifests, snapshots, metadata_bytes, objects;
};

struct table {
    struct k2_warehouse warehouse;
    struct k2_table_place place;
};

static void open_table(struct table *table, const char *folder)
{
    struct k2_warehouse_options options = {.warehouse = folder};
    struct k2_error error = {0};
    bool found = false;
    assert_int_equal(k2_warehouse_open(&table->warehouse, &options, &error), K2_OK);
    table->place = (struct k2_table_place){.store = &table->warehouse.store,
                                           .catalog = &table->warehouse.catalog,
                                           .name = "trades",
                                           .day_name = "timestamp_day"};
    assert_int_equal(table->place.catalog->class->load(table->place.catalog->self, "trades", &found,
                                                       &table->place.table, &error),
                     K2_OK);
    assert_true(found);
}

static void close_table(struct table *table)
{
    k2_catalog_table_close(&table->place.table);
    k2_warehouse_close(&table->warehouse);
}

static void care(struct test_store *store, struct table *table)
{
    struct k2_care_options options = {
        .older_than_ms = 0, .keep = KEPT_SNAPSHOTS, .least_files = CARE_MINUTES};
    struct k2_care_result result;
    struct k2_error error = {0};
    if (k2_table_compact(&table->place, store->engine, store->table, &options, &result, &error) !=
            K2_OK ||
        k2_table_expire(&table->place, &options, &result, &error) != K2_OK ||
        k2_table_orphans(&table->place, &options, &result, &error) != K2_OK) {
        fail_msg("care: %s", error.text);
    }
    assert_int_equal(result.files_removed, 0); // expiring leaves nothing behind
}

static void verify(struct test_store *store, struct table *table, long minute)
{
    struct k2_verify_result result;
    struct k2_error error = {0};
    if (k2_table_verify(&table->place, store->engine, store->table, &result, &error) != K2_OK ||
        !result.same) {
        fail_msg("minute %ld: %s%s", minute, error.text, result.difference);
    }
}

static enum k2_status count_object(void *context, const struct k2_object_info *object,
                                   struct k2_error *error)
{
    size_t *count = context;
    (void)error;
    *count += strstr(object->location, "/metadata/") != NULL;
    return K2_OK;
}

static size_t larger(size_t left, size_t right)
{
    return left > right ? left : right;
}

// Keeps the largest sizes seen in `most`.
static void check_sizes(struct table *table, long minute, struct sizes *most)
{
    struct k2_iceberg_entries entries = {0};
    struct k2_iceberg_manifests manifests = {0};
    struct k2_iceberg_snapshot current;
    struct k2_buffer text;
    struct k2_error error = {0};
    struct k2_object_store *files = table->place.store;
    const struct k2_iceberg_metadata *metadata = table->place.table.metadata;
    size_t objects = 0;
    assert_int_equal(k2_table_files(&table->place, &entries, &error), K2_OK);
    assert_true(k2_iceberg_current_snapshot(metadata, &current));
    assert_int_equal(k2_table_manifests(files, current.manifest_list, &manifests, &error), K2_OK);
    assert_int_equal(files->class->list(files->self, k2_iceberg_location(metadata), count_object,
                                        &objects, &error),
                     K2_OK);
    k2_buffer_init(&text, 16 << 20);
    k2_iceberg_metadata_put(metadata, &text);
    struct sizes now = {entries.count, manifests.count, k2_iceberg_snapshot_count(metadata),
                        text.size_bytes, objects};
    size_t days = (size_t)(minute / MINUTES_OF_A_DAY) + 2; // some rows come for the day before
    if (now.files > days * MOST_FILES_OF_A_DAY || now.manifests > MOST_MANIFESTS ||
        now.snapshots > KEPT_SNAPSHOTS + 2 * CARE_MINUTES ||
        now.metadata_bytes > MOST_METADATA_BYTES || now.objects > MOST_OBJECTS) {
        fail_msg("minute %ld: %zu files, %zu manifests, %zu snapshots, %zu bytes of metadata, "
                 "%zu objects",
                 minute, now.files, now.manifests, now.snapshots, now.metadata_bytes, now.objects);
    }
    most->files = larger(most->files, now.files);
    most->manifests = larger(most->manifests, now.manifests);
    most->snapshots = larger(most->snapshots, now.snapshots);
    most->metadata_bytes = larger(most->metadata_bytes, now.metadata_bytes);
    most->objects = larger(most->objects, now.objects);
    k2_buffer_deinit(&text);
    k2_iceberg_entries_deinit(&entries);
    k2_iceberg_manifests_deinit(&manifests);
}

static void add_minute(struct test_store *store, long minute)
{
    struct test_trade trades[ROWS_OF_A_MINUTE];
    struct k2_commit_outcome outcome;
    for (long i = 0; i < ROWS_OF_A_MINUTE; i++) {
        int64_t late = i == 0 && minute % 7 == 0 ? 3600 : 0; // seconds
        trades[i] = (struct test_trade){.symbol = i % 2 == 0 ? "B" : "A",
                                        .time_ns = (minute * 60 - late) * K2_NS_PER_SECOND + i,
                                        .sequence = minute * ROWS_OF_A_MINUTE + i,
                                        .price = minute,
                                        .quantity = i};
    }
    test_store_commit(store, trades, ROWS_OF_A_MINUTE, K2_NUMBERING_SPARSE, &outcome);
}

static void a_table_stays_small_and_equal(void **state)
{
    (void)state;
    struct test_store store;
    char folder[TEST_PATH_BYTES];
    struct sizes most = {0};
    long minutes = test_is_torture() ? 30 * MINUTES_OF_A_DAY : 240;
    test_store_open(&store);
    test_folder_make(folder);
    for (long minute = 1; minute <= minutes; minute++) {
        struct k2_export_result result;
        struct k2_error error = {0};
        add_minute(&store, minute);
        if (exported_table_export(store.engine, folder, false, &result, &error) != K2_OK) {
            fail_msg("minute %ld: %s", minute, error.text);
        }
        assert_int_equal(result.rows_added, ROWS_OF_A_MINUTE);
        k2_free(result.metadata);
        if (minute % SORT_MINUTES == 0) {
            struct k2_compact_report report;
            assert_int_equal(k2_compact(store.engine, &(struct k2_compact_options){.full = false},
                                        &report, &error),
                             K2_OK);
        }
        if (minute % CARE_MINUTES == 0) {
            struct table table;
            open_table(&table, folder);
            care(&store, &table);
            check_sizes(&table, minute, &most);
            if (minute % (8 * CARE_MINUTES) == 0 || !test_is_torture()) {
                verify(&store, &table, minute);
            }
            close_table(&table);
        }
    }
    exported_table_check(store.engine, folder, false, "at the end");
    printf("# %ld exports: at most %zu files, %zu manifests, %zu snapshots, %zu bytes of metadata, "
           "%zu objects beside the data\n",
           minutes, most.files, most.manifests, most.snapshots, most.metadata_bytes, most.objects);
    test_store_close(&store);
    test_folder_remove(folder);
}

// All rows anew, after something else was done to the table's files.
static void full_replaces_everything(void **state)
{
    (void)state;
    struct test_store store;
    struct table table;
    char folder[TEST_PATH_BYTES];
    struct k2_export_result result;
    struct k2_error error = {0};
    test_store_open(&store);
    test_folder_make(folder);
    for (long minute = 1; minute <= 3; minute++) {
        add_minute(&store, minute);
        assert_int_equal(exported_table_export(store.engine, folder, false, &result, &error),
                         K2_OK);
        k2_free(result.metadata);
    }
    assert_int_equal(exported_table_export(store.engine, folder, true, &result, &error), K2_OK);
    assert_int_equal(result.rows_added, 3 * ROWS_OF_A_MINUTE);
    k2_free(result.metadata);
    open_table(&table, folder);
    verify(&store, &table, 3);
    struct k2_care_options options = {.older_than_ms = 0, .keep = 1};
    struct k2_care_result cared;
    assert_int_equal(k2_table_expire(&table.place, &options, &cared, &error), K2_OK);
    assert_int_equal(cared.snapshots_removed, 3);
    close_table(&table);
    assert_int_equal(exported_table_check(store.engine, folder, true, "after --full"), 1);
    test_store_close(&store);
    test_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_stays_small_and_equal),
        cmocka_unit_test(full_replaces_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
