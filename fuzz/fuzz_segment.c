// Any bytes open as a row group, or do not; whatever opens is read through: no stray access, every
// block has its rows, every text lies in readable memory, no bound is broken.
//
// The first byte says whether the checksums are set right first: without that no damaged byte would
// get past them.
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/alloc.h"
#include "format/base/checksum.h"
#include "format/segment/row_group_view.h"
#include "format/segment/segment_layout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SEGMENT_ID = 7, OFFSET = 12288 };

static uint64_t get(const uint8_t *bytes, size_t size_bytes)
{
    struct k2_byte_reader reader = {.rest = {bytes, size_bytes}};
    return k2_read_fixed(&reader, size_bytes);
}

static void put(uint8_t *bytes, uint64_t value)
{
    for (size_t i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)(value >> 8 * i);
    }
}

static void set_checksums(uint8_t *group, size_t size)
{
    size_t head = get(group + K2_GROUP_AT_HEAD_BYTES, 4);
    size_t directory = get(group + K2_GROUP_AT_DIRECTORY_BYTES, 4);
    size_t columns = get(group + K2_GROUP_AT_COLUMN_COUNT, 2);
    if (head < K2_GROUP_HEADER_BYTES || head > size) {
        return;
    }
    memcpy(group, K2_GROUP_MAGIC, K2_MAGIC_BYTES);
    put(group + K2_GROUP_AT_SEGMENT_ID, SEGMENT_ID);
    put(group + K2_GROUP_AT_OFFSET, OFFSET);
    if (directory <= size - head) {
        struct k2_slice bytes = {group + head, directory};
        put(group + K2_GROUP_AT_DIRECTORY_CHECKSUM, k2_checksum(bytes, SEGMENT_ID, OFFSET + head));
    }
    for (size_t i = 0; i < columns; i++) {
        size_t entry = K2_GROUP_HEADER_BYTES + i * K2_COLUMN_ENTRY_BYTES;
        if (entry + K2_COLUMN_ENTRY_BYTES > head) {
            break;
        }
        size_t offset = get(group + entry + K2_COLUMN_AT_OFFSET, 4);
        size_t length = get(group + entry + K2_COLUMN_AT_LENGTH, 4);
        if (offset <= size && length <= size - offset) {
            struct k2_slice bytes = {group + offset, length};
            put(group + entry + K2_COLUMN_AT_CHECKSUM,
                k2_checksum(bytes, SEGMENT_ID, OFFSET + offset));
        }
    }
    struct k2_slice checked = {group + K2_GROUP_AT_CHECKED, head - K2_GROUP_AT_CHECKED};
    put(group + K2_GROUP_AT_CHECKSUM,
        k2_checksum(checked, SEGMENT_ID, OFFSET + K2_GROUP_AT_CHECKED));
}

// What they add up to is some number, of damaged statistics as well; it must be found without a
// stray access, and count no more values than there are rows.
static void sum_column(struct k2_column_reader *reader, uint32_t rows,
                       struct k2_vector_store *store)
{
    const uint32_t firsts[] = {0, rows / 3, rows - 1};
    for (size_t i = 0; i < sizeof firsts / sizeof firsts[0]; i++) {
        struct k2_range_sum sum = {0};
        struct k2_range_bounds bounds = {0};
        uint32_t count = rows - firsts[i];
        if (k2_column_reader_sum(reader, firsts[i], count, store, &sum, NULL) == K2_OK) {
            assert(sum.value_count <= count);
        }
        if (k2_column_reader_range(reader, firsts[i], count, store, &bounds, NULL) != K2_OK) {
            break;
        }
    }
}

static void read_column(const struct k2_row_group_view *view, uint16_t column_id,
                        struct k2_vector_store *store)
{
    struct k2_column_reader *reader;
    struct k2_block_info info;
    bool found;
    if (k2_column_reader_open(&reader, view, column_id, &found, NULL) != K2_OK) {
        return;
    }
    assert(found);
    uint32_t left = k2_row_group_view_rows(view);
    for (uint32_t block = 0; left > 0; block++) {
        struct k2_vector vector;
        uint32_t row_count;
        int64_t min;
        int64_t max;
        (void)k2_column_reader_bounds(reader, block, &min, &max);
        assert(k2_column_reader_block_info(reader, block, &info));
        if (k2_column_reader_decode(reader, block, store, &vector, &row_count, NULL) != K2_OK) {
            break;
        }
        assert(row_count > 0 && row_count <= left && row_count <= K2_VECTOR_ROWS);
        assert((vector.values != NULL) == k2_kind_is_fixed(vector.kind));
        for (uint32_t i = 0; vector.texts != NULL && i < row_count; i++) {
            volatile uint64_t touched = k2_hash(vector.texts[i]);
            (void)touched;
        }
        left -= row_count;
    }
    sum_column(reader, k2_row_group_view_rows(view), store);
    k2_column_reader_close(reader);
}

static void read_group(struct k2_slice bytes, struct k2_vector_store *store)
{
    struct k2_row_group_view *view;
    if (k2_row_group_view_open(&view, bytes, SEGMENT_ID, OFFSET, NULL) != K2_OK) {
        return;
    }
    size_t count;
    const struct k2_directory_entry *entries = k2_row_group_view_directory(view, &count);
    uint32_t row = 0;
    for (size_t i = 0; i < count; i++) {
        volatile uint64_t touched = k2_hash(entries[i].symbol) + k2_hash(entries[i].exchange);
        (void)touched;
        assert(entries[i].first_row == row && entries[i].row_count > 0);
        row += entries[i].row_count;
    }
    assert(row == k2_row_group_view_rows(view));
    assert(k2_row_group_view_length(view) <= bytes.size_bytes);
    const struct k2_group_column *columns = k2_row_group_view_columns(view, &count);
    for (size_t i = 0; i < count; i++) {
        read_column(view, columns[i].id, store);
    }
    k2_row_group_view_close(view);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 + K2_GROUP_HEADER_BYTES || size > 1 << 20) {
        return 0;
    }
    // The corpus leaves out the zeros at the end of a page.
    size_t used = size - 1;
    size_t padded = (used + K2_SEGMENT_ALIGNMENT - 1) / K2_SEGMENT_ALIGNMENT * K2_SEGMENT_ALIGNMENT;
    uint8_t *group = calloc(1, padded);
    struct k2_vector_store *store = k2_alloc_aligned(sizeof *store);
    assert(group != NULL && store != NULL);
    memcpy(group, data + 1, used);
    if (data[0] % 2 == 1) {
        set_checksums(group, padded);
    }
    read_group((struct k2_slice){group, padded}, store);
    k2_free(store);
    free(group);
    return 0;
}
