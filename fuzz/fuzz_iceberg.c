// The first byte chooses: any bytes as a manifest, a manifest list or a metadata file. Property:
// what can be read can be written, and then reads as the same.
#include <stdlib.h>

#include "format/iceberg/iceberg_manifest.h"
#include "format/iceberg/iceberg_metadata.h"

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static const uint8_t sync_mark[16] = {1, 2, 3};
static const size_t ceiling = (size_t)1 << 28;

static void compare_files(const struct k2_iceberg_file *a, const struct k2_iceberg_file *b)
{
    require(a->content == b->content && k2_slice_equal(a->path, b->path));
    require(a->has_day == b->has_day && a->day == b->day);
    require(a->record_count == b->record_count && a->size_bytes == b->size_bytes);
    require(a->split_count == b->split_count && a->equality_count == b->equality_count);
    for (size_t i = 0; i < a->column_count; i++) {
        const struct k2_iceberg_column *left = &a->columns[i], *right = NULL;
        for (size_t j = 0; j < b->column_count && right == NULL; j++) {
            right = b->columns[j].id == left->id ? &b->columns[j] : NULL;
        }
        bool known = left->has_size || left->has_values || left->has_nulls || left->has_nans ||
                     left->has_lower || left->has_upper;
        require(!known || right != NULL);
        if (known) {
            require(left->has_lower == right->has_lower &&
                    k2_slice_equal(left->lower, right->lower));
            require(left->has_nulls == right->has_nulls && left->null_count == right->null_count);
        }
    }
}

static void fuzz_manifest(struct k2_slice bytes)
{
    struct k2_iceberg_entries entries = {0}, again = {0};
    struct k2_buffer written;
    k2_buffer_init(&written, ceiling);
    if (k2_iceberg_manifest_read(&entries, bytes, NULL, NULL) == K2_OK) {
        struct k2_iceberg_manifest_head head = {.schema_json = k2_slice_of("{}"),
                                                .spec_json = k2_slice_of("[]"),
                                                .partition_name = "day"};
        k2_iceberg_manifest_put(&written, &head, entries.items, entries.count);
        require(!written.failed);
        require(k2_iceberg_manifest_read(&again, k2_buffer_slice(&written), NULL, NULL) == K2_OK);
        require(again.count == entries.count);
        for (size_t i = 0; i < entries.count; i++) {
            require(entries.items[i].status == again.items[i].status);
            require(entries.items[i].has_sequence == again.items[i].has_sequence);
            compare_files(&entries.items[i].file, &again.items[i].file);
        }
    }
    k2_iceberg_entries_deinit(&entries);
    k2_iceberg_entries_deinit(&again);
    k2_buffer_deinit(&written);
}

static void fuzz_list(struct k2_slice bytes)
{
    struct k2_iceberg_manifests list = {0}, again = {0};
    struct k2_buffer written;
    k2_buffer_init(&written, ceiling);
    if (k2_iceberg_manifest_list_read(&list, bytes, NULL) == K2_OK) {
        k2_iceberg_manifest_list_put(&written, list.items, list.count, 1, false, 0, 1, sync_mark);
        require(!written.failed);
        require(k2_iceberg_manifest_list_read(&again, k2_buffer_slice(&written), NULL) == K2_OK);
        require(again.count == list.count);
        for (size_t i = 0; i < list.count; i++) {
            require(k2_slice_equal(list.items[i].path, again.items[i].path));
            require(list.items[i].added_rows == again.items[i].added_rows);
            require(list.items[i].partition_count == again.items[i].partition_count);
        }
    }
    k2_iceberg_manifests_deinit(&list);
    k2_iceberg_manifests_deinit(&again);
    k2_buffer_deinit(&written);
}

static void fuzz_metadata(struct k2_slice bytes)
{
    struct k2_iceberg_metadata *metadata, *again;
    struct k2_buffer written, rewritten;
    if (k2_iceberg_metadata_parse(&metadata, bytes, NULL) != K2_OK) {
        return;
    }
    k2_buffer_init(&written, ceiling);
    k2_buffer_init(&rewritten, ceiling);
    const struct k2_iceberg_snapshot snapshot = {.id = 77,
                                                 .sequence_number = 5,
                                                 .manifest_list = "x",
                                                 .schema_id = -1,
                                                 .operation = "append"};
    const struct k2_iceberg_property property = {"k2.x", "1"};
    const struct k2_iceberg_change change = {
        .commit_id = "c", .properties = &property, .property_count = 1, .snapshot = &snapshot};
    k2_iceberg_change_put_json(metadata, &change, &rewritten);
    k2_buffer_clear(&rewritten);
    struct k2_iceberg_snapshot found;
    bool taken = k2_iceberg_find_snapshot(metadata, 77, &found);
    require(k2_iceberg_metadata_apply(metadata, &change, "before", NULL, NULL, NULL) == K2_OK);
    k2_iceberg_metadata_put(metadata, &written);
    require(k2_iceberg_metadata_parse(&again, k2_buffer_slice(&written), NULL) == K2_OK);
    k2_iceberg_metadata_put(again, &rewritten);
    require(k2_slice_equal(k2_buffer_slice(&written), k2_buffer_slice(&rewritten)));
    require(k2_iceberg_current_snapshot(again, &found) && found.id == 77);
    require(taken || found.sequence_number == 5);
    require(strcmp(k2_iceberg_property(again, "k2.x"), "1") == 0);
    k2_iceberg_metadata_destroy(metadata);
    k2_iceberg_metadata_destroy(again);
    k2_buffer_deinit(&written);
    k2_buffer_deinit(&rewritten);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    static void (*const targets[])(struct k2_slice) = {fuzz_manifest, fuzz_list, fuzz_metadata};
    if (size_bytes > 0) {
        targets[data[0] % 3]((struct k2_slice){data + 1, size_bytes - 1});
    }
    return 0;
}
