#include "format/segment/row_group_view.h"

#include <assert.h>
#include <string.h>

#include "format/base/alloc.h"
#include "format/base/checksum.h"
#include "format/base/zstd.h"
#include "format/segment/row_group_view_private.h"
#include "format/segment/segment_layout.h"
#include "format/segment/symbol_directory.h"

// The fields of the header that only opening needs.
struct header {
    uint32_t head_bytes, length_bytes;
    uint32_t column_count, table_name_bytes;
    uint32_t marker_count, marker_bytes, input_count;
    uint32_t directory_entries, directory_bytes, directory_raw_bytes;
    uint64_t directory_checksum;
};

// The caller has checked that the bytes are there.
static void read_header(struct k2_row_group_view *view, const uint8_t *bytes, struct header *header)
{
    struct k2_row_group_info *info = &view->info;
    struct k2_byte_reader reader = {.rest = {bytes, K2_GROUP_HEADER_BYTES}};
    (void)k2_read_bytes(&reader, K2_GROUP_AT_CHECKED);
    header->head_bytes = k2_read_u32(&reader);
    header->length_bytes = k2_read_u32(&reader);
    view->row_count = k2_read_u32(&reader);
    header->column_count = k2_read_u16(&reader);
    header->table_name_bytes = k2_read_u16(&reader);
    struct k2_slice store_id = k2_read_bytes(&reader, sizeof info->store_id);
    assert(store_id.data != NULL); // the header is there as a whole
    memcpy(info->store_id, store_id.data, sizeof info->store_id);
    info->segment_id = k2_read_u64(&reader);
    info->offset = k2_read_u64(&reader);
    info->run = k2_read_u64(&reader);
    info->run_base = k2_read_u64(&reader);
    info->commit = k2_read_u64(&reader);
    info->commit_time_ns = k2_read_i64(&reader);
    info->part = k2_read_u32(&reader);
    info->part_count = k2_read_u32(&reader);
    info->schema_version = k2_read_u32(&reader);
    info->table_id = k2_read_u16(&reader);
    info->level = k2_read_u16(&reader);
    header->marker_count = k2_read_u32(&reader);
    header->marker_bytes = k2_read_u32(&reader);
    header->input_count = k2_read_u32(&reader);
    header->directory_entries = k2_read_u32(&reader);
    header->directory_bytes = k2_read_u32(&reader);
    header->directory_raw_bytes = k2_read_u32(&reader);
    header->directory_checksum = k2_read_u64(&reader);
}

static uint64_t read_u64_at(const uint8_t *bytes)
{
    struct k2_byte_reader reader = {.rest = {bytes, sizeof(uint64_t)}};
    return k2_read_u64(&reader);
}

// Magic, checksum and place; then every count against the length that the checksum covers.
static enum k2_status check_head(const struct k2_row_group_view *view, struct k2_slice bytes,
                                 const struct header *header, uint64_t segment_id, uint64_t offset,
                                 struct k2_error *error)
{
    if (header->head_bytes < K2_GROUP_HEADER_BYTES || header->head_bytes > bytes.size_bytes) {
        return k2_fail(error, K2_CORRUPT, "head of %u bytes in %zu", (unsigned)header->head_bytes,
                       bytes.size_bytes);
    }
    struct k2_slice checked = {bytes.data + K2_GROUP_AT_CHECKED,
                               header->head_bytes - K2_GROUP_AT_CHECKED};
    if (!k2_checksum_holds(checked, segment_id, offset + K2_GROUP_AT_CHECKED,
                           read_u64_at(bytes.data + K2_GROUP_AT_CHECKSUM))) {
        return k2_fail(error, K2_CORRUPT, "head: checksum mismatch");
    }
    if (view->info.segment_id != segment_id || view->info.offset != offset) {
        return k2_fail(error, K2_CORRUPT, "head: it belongs to segment %llu, offset %llu",
                       (unsigned long long)view->info.segment_id,
                       (unsigned long long)view->info.offset);
    }
    if (header->length_bytes > bytes.size_bytes ||
        header->length_bytes % K2_SEGMENT_ALIGNMENT != 0 ||
        header->head_bytes > header->length_bytes ||
        header->directory_bytes > header->length_bytes - header->head_bytes) {
        return k2_fail(error, K2_CORRUPT, "group of %u bytes with a directory of %u in %zu",
                       (unsigned)header->length_bytes, (unsigned)header->directory_bytes,
                       bytes.size_bytes);
    }
    uint64_t needed = K2_GROUP_HEADER_BYTES +
                      (uint64_t)header->column_count * K2_COLUMN_ENTRY_BYTES +
                      header->marker_bytes + (uint64_t)header->input_count * K2_INPUT_BYTES +
                      header->table_name_bytes;
    if (needed != header->head_bytes || header->marker_count > header->marker_bytes / 2) {
        return k2_fail(error, K2_CORRUPT, "head of %u bytes, its parts have %llu",
                       (unsigned)header->head_bytes, (unsigned long long)needed);
    }
    if (view->row_count == 0 || view->row_count > K2_GROUP_ROWS) {
        return k2_fail(error, K2_CORRUPT, "group of %u rows", (unsigned)view->row_count);
    }
    return K2_OK;
}

static enum k2_status read_column(struct k2_row_group_view *view, size_t index,
                                  struct k2_byte_reader *reader, struct k2_error *error)
{
    struct k2_group_column *column = &view->columns[index];
    struct k2_column_place *place = &view->places[index];
    column->id = k2_read_u16(reader);
    unsigned kind = k2_read_u8(reader);
    column->scale = k2_read_u8(reader);
    place->encoding = k2_read_u8(reader);
    unsigned flags = k2_read_u8(reader);
    place->reference = k2_read_u16(reader);
    place->offset = k2_read_u32(reader);
    column->length_bytes = k2_read_u32(reader);
    place->checksum = k2_read_u64(reader);
    column->stats.null_count = k2_read_u32(reader);
    (void)k2_read_u32(reader);
    column->stats.min = k2_read_i64(reader);
    column->stats.max = k2_read_i64(reader);
    uint64_t low = k2_read_u64(reader);
    int64_t high = k2_read_i64(reader);
    column->stats.sum = high * ((k2_int128)1 << 64) + low;
    column->stats.has_range = (flags & K2_COLUMN_HAS_RANGE) != 0;
    column->all_null = place->encoding == K2_ENCODING_ALL_NULL;
    column->kind = (enum k2_kind)kind;
    if (kind == 0 || kind > K2_KIND_JSON) {
        return k2_fail(error, K2_CORRUPT, "column %u: unknown kind %u", column->id, kind);
    }
    if ((uint64_t)place->offset + column->length_bytes > view->bytes.size_bytes) {
        return k2_fail(error, K2_CORRUPT, "column %u: %u bytes at %u lead outside the group",
                       column->id, (unsigned)column->length_bytes, (unsigned)place->offset);
    }
    return K2_OK;
}

static enum k2_status read_columns(struct k2_row_group_view *view, struct k2_byte_reader *reader,
                                   size_t column_count, struct k2_error *error)
{
    view->columns = k2_alloc_zero(column_count, sizeof *view->columns);
    view->places = k2_alloc_zero(column_count, sizeof *view->places);
    view->checked = k2_alloc_zero(column_count, sizeof *view->checked);
    if (view->columns == NULL || view->places == NULL || view->checked == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "%zu columns: out of memory", column_count);
    }
    view->column_count = column_count;
    view->heap_bytes +=
        column_count * (sizeof *view->columns + sizeof *view->places + sizeof *view->checked);
    for (size_t i = 0; i < column_count; i++) {
        enum k2_status status = read_column(view, i, reader, error);
        if (status != K2_OK) {
            return status;
        }
    }
    return K2_OK;
}

static enum k2_status read_markers(struct k2_row_group_view *view, struct k2_slice bytes,
                                   size_t marker_count, struct k2_error *error)
{
    struct k2_byte_reader reader = {.rest = bytes};
    view->markers = k2_alloc_zero(marker_count, sizeof *view->markers);
    if (view->markers == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "%zu markers: out of memory", marker_count);
    }
    for (size_t i = 0; i < marker_count; i++) {
        view->markers[i].key = k2_read_bytes(&reader, (size_t)k2_read_varint(&reader));
        view->markers[i].value = k2_read_bytes(&reader, (size_t)k2_read_varint(&reader));
    }
    if (reader.truncated || reader.rest.size_bytes != 0) {
        return k2_fail(error, K2_CORRUPT, "%zu markers do not fill %zu bytes", marker_count,
                       bytes.size_bytes);
    }
    view->heap_bytes += marker_count * sizeof *view->markers;
    view->info.markers = view->markers;
    view->info.marker_count = marker_count;
    return K2_OK;
}

static enum k2_status read_inputs(struct k2_row_group_view *view, struct k2_byte_reader *reader,
                                  size_t input_count, struct k2_error *error)
{
    view->inputs = k2_alloc_zero(input_count, sizeof *view->inputs);
    if (view->inputs == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "%zu inputs: out of memory", input_count);
    }
    for (size_t i = 0; i < input_count; i++) {
        view->inputs[i].segment_id = k2_read_u64(reader);
        uint64_t begin = k2_read_u64(reader);
        view->inputs[i].begin = begin & ~(uint64_t)1;
        view->inputs[i].earlier = begin & 1;
        view->inputs[i].end = k2_read_u64(reader);
    }
    view->heap_bytes += input_count * sizeof *view->inputs;
    view->info.inputs = view->inputs;
    view->info.input_count = input_count;
    return K2_OK;
}

// The plain bytes of the directory: as they lie, or decompressed into the view.
static enum k2_status directory_bytes(struct k2_row_group_view *view, const struct header *header,
                                      struct k2_slice *raw, struct k2_error *error)
{
    struct k2_slice stored = {view->bytes.data + header->head_bytes, header->directory_bytes};
    if (!k2_checksum_holds(stored, view->info.segment_id, view->info.offset + header->head_bytes,
                           header->directory_checksum)) {
        return k2_fail(error, K2_CORRUPT, "symbol directory: checksum mismatch");
    }
    *raw = stored;
    if (header->directory_raw_bytes == header->directory_bytes) {
        return K2_OK;
    }
    uint64_t most = (uint64_t)header->directory_entries * K2_DIRECTORY_ENTRY_BYTES_MAX;
    if (header->directory_raw_bytes > most) {
        return k2_fail(error, K2_CORRUPT, "symbol directory of %u bytes for %u entries",
                       (unsigned)header->directory_raw_bytes, (unsigned)header->directory_entries);
    }
    view->directory_text = k2_alloc(header->directory_raw_bytes);
    view->heap_bytes += header->directory_raw_bytes;
    if (view->directory_text == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "symbol directory: out of memory");
    }
    *raw = (struct k2_slice){view->directory_text, header->directory_raw_bytes};
    if (!k2_zstd_decompress(stored, view->directory_text, raw->size_bytes)) {
        return k2_fail(error, K2_CORRUPT, "symbol directory does not decompress to %zu bytes",
                       raw->size_bytes);
    }
    return K2_OK;
}

static enum k2_status read_directory(struct k2_row_group_view *view, const struct header *header,
                                     struct k2_error *error)
{
    if (header->directory_entries == 0 || header->directory_entries > view->row_count) {
        return k2_fail(error, K2_CORRUPT, "symbol directory of %u entries for %u rows",
                       (unsigned)header->directory_entries, (unsigned)view->row_count);
    }
    struct k2_slice raw;
    enum k2_status status = directory_bytes(view, header, &raw, error);
    if (status != K2_OK) {
        return status;
    }
    view->directory = k2_alloc(header->directory_entries * sizeof *view->directory);
    view->heap_bytes += header->directory_entries * sizeof *view->directory;
    if (view->directory == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "symbol directory: out of memory");
    }
    view->directory_count = header->directory_entries;
    return k2_symbol_directory_read(raw, view->directory, header->directory_entries,
                                    view->row_count, error);
}

static enum k2_status open_view(struct k2_row_group_view *view, struct k2_slice bytes,
                                uint64_t segment_id, uint64_t offset, struct k2_error *error)
{
    struct header header;
    if (bytes.size_bytes < K2_GROUP_HEADER_BYTES ||
        memcmp(bytes.data, K2_GROUP_MAGIC, K2_MAGIC_BYTES) != 0) {
        return k2_fail(error, K2_CORRUPT, "no row group begins here");
    }
    read_header(view, bytes.data, &header);
    enum k2_status status = check_head(view, bytes, &header, segment_id, offset, error);
    if (status != K2_OK) {
        return status;
    }
    view->bytes = (struct k2_slice){bytes.data, header.length_bytes};
    struct k2_byte_reader reader = {.rest = {bytes.data, header.head_bytes}};
    (void)k2_read_bytes(&reader, K2_GROUP_HEADER_BYTES);
    status = read_columns(view, &reader, header.column_count, error);
    if (status == K2_OK) {
        struct k2_slice markers = k2_read_bytes(&reader, header.marker_bytes);
        status = read_markers(view, markers, header.marker_count, error);
    }
    if (status == K2_OK) {
        status = read_inputs(view, &reader, header.input_count, error);
    }
    if (status == K2_OK) {
        view->info.table_name = k2_read_bytes(&reader, header.table_name_bytes);
        status = read_directory(view, &header, error);
    }
    return status;
}

enum k2_status k2_row_group_view_open(struct k2_row_group_view **view, struct k2_slice bytes,
                                      uint64_t segment_id, uint64_t offset, struct k2_error *error)
{
    struct k2_row_group_view *self = k2_alloc_zero(1, sizeof *self);
    enum k2_status status = self == NULL ? k2_fail(error, K2_NO_MEMORY, "out of memory")
                                         : open_view(self, bytes, segment_id, offset, error);
    if (status != K2_OK) {
        k2_error_annotate(error, "row group at %llu", (unsigned long long)offset);
        k2_row_group_view_close(self);
        return status;
    }
    *view = self;
    return K2_OK;
}

void k2_row_group_view_close(struct k2_row_group_view *view)
{
    if (view == NULL) {
        return;
    }
    k2_free(view->markers);
    k2_free(view->inputs);
    k2_free(view->columns);
    k2_free(view->places);
    k2_free(view->checked);
    k2_free(view->directory);
    k2_free(view->directory_text);
    k2_free(view);
}

size_t k2_row_group_view_heap_bytes(const struct k2_row_group_view *view)
{
    return sizeof *view + view->heap_bytes;
}

const struct k2_row_group_info *k2_row_group_view_info(const struct k2_row_group_view *view)
{
    return &view->info;
}

size_t k2_row_group_view_length(const struct k2_row_group_view *view)
{
    return view->bytes.size_bytes;
}

uint32_t k2_row_group_view_rows(const struct k2_row_group_view *view)
{
    return view->row_count;
}

const struct k2_directory_entry *k2_row_group_view_directory(const struct k2_row_group_view *view,
                                                             size_t *entry_count)
{
    *entry_count = view->directory_count;
    return view->directory;
}

const struct k2_group_column *k2_row_group_view_columns(const struct k2_row_group_view *view,
                                                        size_t *column_count)
{
    *column_count = view->column_count;
    return view->columns;
}
