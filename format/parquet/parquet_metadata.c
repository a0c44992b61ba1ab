#include "format/parquet/parquet_metadata.h"

#include "format/base/alloc.h"
#include "format/base/version.h"
#include "format/parquet/thrift_compact.h"

// As Parquet numbers them.
enum {
    FORMAT_VERSION = 2,
    REQUIRED = 0,
    OPTIONAL = 1,
    CONVERTED_UTF8 = 0,
    CONVERTED_DECIMAL = 5,
    CONVERTED_TIMESTAMP_MICROS = 10,
    CONVERTED_INT_8 = 15,
    CONVERTED_INT_16 = 16,
    CODEC_NONE = 0,
    CODEC_ZSTD = 6,
    ENCODING_PLAIN = 0,
    ENCODING_RLE = 3,
    ENCODING_DELTA = 5, // DELTA_BINARY_PACKED
    ENCODING_RLE_DICTIONARY = 8,
    PAGE_DATA = 0,
    PAGE_DICTIONARY = 2,
    UNORDERED = 0,
    ASCENDING = 1,
    DESCENDING = 2,
    DECIMAL_DIGITS = 18,
    MOST_ORDINALS = 32768, // of row groups; later ones have none
    MICROS = 2,            // field of the union TimeUnit
    TYPE_ORDER = 1,        // field of the union ColumnOrder
};

struct chunk {
    uint64_t offset; // of its first page in the file
    uint64_t size_bytes, uncompressed_bytes;
    uint64_t dictionary_bytes; // 0: no dictionary
    uint64_t null_count;
    uint32_t page_count, dictionary_page_count; // data pages, those that use the dictionary
    uint32_t delta_page_count;
    uint32_t column_index_bytes; // 0: none can be given
    uint32_t offset_index_bytes;
    bool uncompressed;
    bool has_min, has_max;
    struct k2_parquet_bound min, max;
};

struct group {
    uint64_t row_count, file_offset, size_bytes, uncompressed_bytes;
};

struct k2_parquet_metadata {
    const struct k2_parquet_field *fields; // borrowed
    size_t field_count;
    const struct k2_parquet_sorting *sorting; // borrowed
    size_t sorting_count;
    struct group *groups;
    struct chunk *chunks; // field_count of each group
    size_t group_count, group_room;
    struct k2_buffer column_indexes, offset_indexes;
};

enum k2_status k2_parquet_metadata_create(struct k2_parquet_metadata **metadata,
                                          const struct k2_parquet_field *fields, size_t field_count,
                                          const struct k2_parquet_sorting *sorting,
                                          size_t sorting_count, struct k2_error *error)
{
    *metadata = k2_alloc_zero(1, sizeof **metadata);
    if (*metadata == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "parquet: no memory");
    }
    **metadata = (struct k2_parquet_metadata){.fields = fields,
                                              .field_count = field_count,
                                              .sorting = sorting,
                                              .sorting_count = sorting_count};
    k2_buffer_init(&(*metadata)->column_indexes, K2_PARQUET_METADATA_BYTES);
    k2_buffer_init(&(*metadata)->offset_indexes, K2_PARQUET_METADATA_BYTES);
    return K2_OK;
}

void k2_parquet_metadata_destroy(struct k2_parquet_metadata *metadata)
{
    if (metadata == NULL) {
        return;
    }
    k2_buffer_deinit(&metadata->column_indexes);
    k2_buffer_deinit(&metadata->offset_indexes);
    k2_free(metadata->groups);
    k2_free(metadata->chunks);
    k2_free(metadata);
}

// ---- row groups ---------------------------------------------------------------------------------

static enum k2_status make_room(struct k2_parquet_metadata *metadata, struct k2_error *error)
{
    if (metadata->group_count < metadata->group_room) {
        return K2_OK;
    }
    size_t room = metadata->group_room == 0 ? 1 : metadata->group_room * 2;
    size_t chunk_room = room * metadata->field_count;
    if (chunk_room > K2_PARQUET_METADATA_BYTES / sizeof(struct chunk)) {
        return k2_fail(error, K2_LIMIT, "parquet: more than %zu row groups in a file",
                       metadata->group_count);
    }
    struct group *groups = k2_realloc(metadata->groups, room, sizeof *groups);
    if (groups != NULL) {
        metadata->groups = groups;
    }
    struct chunk *chunks = k2_realloc(metadata->chunks, chunk_room, sizeof *chunks);
    if (chunks != NULL) {
        metadata->chunks = chunks;
    }
    if (groups == NULL || chunks == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "parquet: no memory");
    }
    metadata->group_room = room;
    return K2_OK;
}

static struct k2_slice bound_slice(const struct k2_parquet_bound *bound)
{
    return (struct k2_slice){bound->bytes, bound->size_bytes};
}

static double read_double(const struct k2_parquet_bound *bound)
{
    double value;
    memcpy(&value, bound->bytes, sizeof value);
    return value;
}

static int compare_bounds(const struct k2_parquet_field *field, const struct k2_parquet_bound *left,
                          const struct k2_parquet_bound *right)
{
    if (field->type == K2_PARQUET_BYTE_ARRAY || field->type == K2_PARQUET_FIXED_BYTES) {
        return k2_slice_compare(bound_slice(left), bound_slice(right));
    }
    if (field->type == K2_PARQUET_DOUBLE) {
        double first = read_double(left), second = read_double(right);
        return (first > second) - (first < second);
    }
    struct k2_byte_reader first = {.rest = bound_slice(left)};
    struct k2_byte_reader second = {.rest = bound_slice(right)};
    int64_t left_value = (int64_t)k2_read_fixed(&first, left->size_bytes);
    int64_t right_value = (int64_t)k2_read_fixed(&second, right->size_bytes);
    if (left->size_bytes == sizeof(int32_t)) {
        left_value = (int32_t)left_value;
        right_value = (int32_t)right_value;
    }
    return (left_value > right_value) - (left_value < right_value);
}

// Pages of nulls alone do not count.
static int32_t order_of_pages(const struct k2_parquet_column *column)
{
    bool ascending = true, descending = true;
    const struct k2_parquet_page *before = NULL;
    for (size_t i = 0; i < column->page_count; i++) {
        const struct k2_parquet_page *page = &column->page_list[i];
        if (page->all_null) {
            continue;
        }
        if (before != NULL) {
            int min_order = compare_bounds(column->field, &before->min, &page->min);
            int max_order = compare_bounds(column->field, &before->max, &page->max);
            ascending = ascending && min_order <= 0 && max_order <= 0;
            descending = descending && min_order >= 0 && max_order >= 0;
        }
        before = page;
    }
    return ascending ? ASCENDING : descending ? DESCENDING : UNORDERED;
}

static void put_column_index(const struct k2_parquet_column *column, struct k2_buffer *out)
{
    const struct k2_parquet_page *pages = column->page_list;
    for (size_t i = 0; i < column->page_count; i++) {
        if (!pages[i].all_null && !pages[i].has_bounds) {
            return; // bounds are needed for every page with values
        }
    }
    static const struct k2_slice nothing = {(const uint8_t *)"", 0};
    struct k2_thrift_writer thrift = {.out = out};
    k2_thrift_struct_begin(&thrift);
    k2_thrift_field_list(&thrift, 1, K2_THRIFT_BOOL, column->page_count);
    for (size_t i = 0; i < column->page_count; i++) {
        k2_thrift_bool(&thrift, pages[i].all_null);
    }
    k2_thrift_field_list(&thrift, 2, K2_THRIFT_BINARY, column->page_count);
    for (size_t i = 0; i < column->page_count; i++) {
        k2_thrift_binary(&thrift, pages[i].all_null ? nothing : bound_slice(&pages[i].min));
    }
    k2_thrift_field_list(&thrift, 3, K2_THRIFT_BINARY, column->page_count);
    for (size_t i = 0; i < column->page_count; i++) {
        k2_thrift_binary(&thrift, pages[i].all_null ? nothing : bound_slice(&pages[i].max));
    }
    k2_thrift_field_i32(&thrift, 4, order_of_pages(column));
    k2_thrift_field_list(&thrift, 5, K2_THRIFT_I64, column->page_count);
    for (size_t i = 0; i < column->page_count; i++) {
        k2_thrift_i64(&thrift, (int64_t)pages[i].null_count);
    }
    k2_thrift_struct_end(&thrift);
}

static void put_offset_index(const struct k2_parquet_column *column, uint64_t data_offset,
                             struct k2_buffer *out)
{
    struct k2_thrift_writer thrift = {.out = out};
    k2_thrift_struct_begin(&thrift);
    k2_thrift_field_list(&thrift, 1, K2_THRIFT_STRUCT, column->page_count);
    for (size_t i = 0; i < column->page_count; i++) {
        const struct k2_parquet_page *page = &column->page_list[i];
        k2_thrift_struct_begin(&thrift);
        k2_thrift_field_i64(&thrift, 1, (int64_t)(data_offset + page->offset));
        k2_thrift_field_i32(&thrift, 2, (int32_t)page->size_bytes);
        k2_thrift_field_i64(&thrift, 3, (int64_t)page->first_row);
        k2_thrift_struct_end(&thrift);
    }
    k2_thrift_struct_end(&thrift);
}

enum k2_status k2_parquet_metadata_add_group(struct k2_parquet_metadata *metadata,
                                             const struct k2_parquet_column *columns,
                                             size_t row_count, uint64_t file_offset,
                                             uint64_t *size_bytes, struct k2_error *error)
{
    enum k2_status status = make_room(metadata, error);
    if (status != K2_OK) {
        return status;
    }
    struct chunk *chunks = &metadata->chunks[metadata->group_count * metadata->field_count];
    struct group group = {.row_count = row_count, .file_offset = file_offset};
    for (size_t i = 0; i < metadata->field_count; i++) {
        const struct k2_parquet_column *column = &columns[i];
        struct chunk *chunk = &chunks[i];
        *chunk = (struct chunk){.offset = file_offset + group.size_bytes,
                                .size_bytes =
                                    column->dictionary_page.size_bytes + column->pages.size_bytes,
                                .uncompressed_bytes = column->uncompressed_bytes,
                                .dictionary_bytes = column->dictionary_page.size_bytes,
                                .null_count = column->null_count,
                                .page_count = (uint32_t)column->page_count,
                                .dictionary_page_count = (uint32_t)column->dictionary_page_count,
                                .delta_page_count = (uint32_t)column->delta_page_count,
                                .uncompressed = column->uncompressed};
        k2_parquet_column_bounds(column, &chunk->has_min, &chunk->min, &chunk->has_max,
                                 &chunk->max);
        size_t column_index = metadata->column_indexes.size_bytes;
        size_t offset_index = metadata->offset_indexes.size_bytes;
        put_column_index(column, &metadata->column_indexes);
        put_offset_index(column, chunk->offset + chunk->dictionary_bytes,
                         &metadata->offset_indexes);
        chunk->column_index_bytes = (uint32_t)(metadata->column_indexes.size_bytes - column_index);
        chunk->offset_index_bytes = (uint32_t)(metadata->offset_indexes.size_bytes - offset_index);
        group.size_bytes += chunk->size_bytes;
        group.uncompressed_bytes += chunk->uncompressed_bytes;
    }
    status = k2_buffer_check(&metadata->column_indexes, "parquet: column indexes", error);
    if (status == K2_OK) {
        status = k2_buffer_check(&metadata->offset_indexes, "parquet: offset indexes", error);
    }
    if (status == K2_OK) {
        metadata->groups[metadata->group_count++] = group;
        *size_bytes = group.size_bytes;
    }
    return status;
}

void k2_parquet_metadata_total(const struct k2_parquet_metadata *metadata, size_t field,
                               struct k2_parquet_total *total)
{
    *total = (struct k2_parquet_total){.field = &metadata->fields[field]};
    bool bounded_below = true, bounded_above = true;
    for (size_t i = 0; i < metadata->group_count; i++) {
        const struct chunk *chunk = &metadata->chunks[i * metadata->field_count + field];
        total->size_bytes += chunk->size_bytes;
        total->value_count += metadata->groups[i].row_count;
        total->null_count += chunk->null_count;
        if (chunk->null_count == metadata->groups[i].row_count) {
            continue;
        }
        bounded_below = bounded_below && chunk->has_min;
        bounded_above = bounded_above && chunk->has_max;
        if (chunk->has_min &&
            (!total->has_min || compare_bounds(total->field, &chunk->min, &total->min) < 0)) {
            total->has_min = true;
            total->min = chunk->min;
        }
        if (chunk->has_max &&
            (!total->has_max || compare_bounds(total->field, &chunk->max, &total->max) > 0)) {
            total->has_max = true;
            total->max = chunk->max;
        }
    }
    total->has_min = total->has_min && bounded_below;
    total->has_max = total->has_max && bounded_above;
}

size_t k2_parquet_metadata_group_count(const struct k2_parquet_metadata *metadata)
{
    return metadata->group_count;
}

uint64_t k2_parquet_metadata_group_offset(const struct k2_parquet_metadata *metadata, size_t group)
{
    return metadata->groups[group].file_offset;
}

// ---- schema -------------------------------------------------------------------------------------

// Both annotations: some readers know only the older one.
static void put_converted_type(struct k2_thrift_writer *thrift,
                               const struct k2_parquet_field *field)
{
    switch (field->logical) {
    case K2_PARQUET_STRING:
        k2_thrift_field_i32(thrift, 6, CONVERTED_UTF8);
        break;
    case K2_PARQUET_DECIMAL:
        k2_thrift_field_i32(thrift, 6, CONVERTED_DECIMAL);
        k2_thrift_field_i32(thrift, 7, field->column->scale);
        k2_thrift_field_i32(thrift, 8, DECIMAL_DIGITS);
        break;
    case K2_PARQUET_TIMESTAMP:
        k2_thrift_field_i32(thrift, 6, CONVERTED_TIMESTAMP_MICROS);
        break;
    case K2_PARQUET_INTEGER:
        k2_thrift_field_i32(
            thrift, 6, field->column->kind == K2_KIND_INT8 ? CONVERTED_INT_8 : CONVERTED_INT_16);
        break;
    default:
        break;
    }
}

static void put_logical_type(struct k2_thrift_writer *thrift, const struct k2_parquet_field *field)
{
    if (field->logical == K2_PARQUET_NO_LOGICAL) {
        return;
    }
    k2_thrift_field_struct(thrift, 10);
    k2_thrift_field_struct(thrift, (int16_t)field->logical);
    switch (field->logical) {
    case K2_PARQUET_DECIMAL:
        k2_thrift_field_i32(thrift, 1, field->column->scale);
        k2_thrift_field_i32(thrift, 2, DECIMAL_DIGITS);
        break;
    case K2_PARQUET_TIMESTAMP:
        k2_thrift_field_bool(thrift, 1, true); // UTC
        k2_thrift_field_struct(thrift, 2);
        k2_thrift_field_empty(thrift, MICROS);
        k2_thrift_struct_end(thrift);
        break;
    case K2_PARQUET_INTEGER:
        k2_thrift_field_i8(thrift, 1, field->column->kind == K2_KIND_INT8 ? 8 : 16);
        k2_thrift_field_bool(thrift, 2, true); // signed
        break;
    default:
        break;
    }
    k2_thrift_struct_end(thrift);
    k2_thrift_struct_end(thrift);
}

static void put_schema(const struct k2_parquet_metadata *metadata, struct k2_thrift_writer *thrift)
{
    k2_thrift_field_list(thrift, 2, K2_THRIFT_STRUCT, metadata->field_count + 1);
    k2_thrift_struct_begin(thrift);
    k2_thrift_field_binary(thrift, 4, k2_slice_of("schema"));
    k2_thrift_field_i32(thrift, 5, (int32_t)metadata->field_count);
    k2_thrift_struct_end(thrift);
    for (size_t i = 0; i < metadata->field_count; i++) {
        const struct k2_parquet_field *field = &metadata->fields[i];
        k2_thrift_struct_begin(thrift);
        k2_thrift_field_i32(thrift, 1, (int32_t)field->type);
        if (field->type == K2_PARQUET_FIXED_BYTES) {
            k2_thrift_field_i32(thrift, 2, K2_PARQUET_UUID_BYTES);
        }
        k2_thrift_field_i32(thrift, 3, field->optional ? OPTIONAL : REQUIRED);
        k2_thrift_field_binary(thrift, 4, k2_slice_of(field->name));
        put_converted_type(thrift, field);
        k2_thrift_field_i32(thrift, 9, (int32_t)field->id);
        put_logical_type(thrift, field);
        k2_thrift_struct_end(thrift);
    }
}

// ---- footer -------------------------------------------------------------------------------------

static void put_statistics(struct k2_thrift_writer *thrift, const struct chunk *chunk)
{
    k2_thrift_field_struct(thrift, 12);
    k2_thrift_field_i64(thrift, 3, (int64_t)chunk->null_count);
    if (chunk->has_max) {
        k2_thrift_field_binary(thrift, 5, bound_slice(&chunk->max));
    }
    if (chunk->has_min) {
        k2_thrift_field_binary(thrift, 6, bound_slice(&chunk->min));
    }
    if (chunk->has_max) {
        k2_thrift_field_bool(thrift, 7, chunk->max.exact);
    }
    if (chunk->has_min) {
        k2_thrift_field_bool(thrift, 8, chunk->min.exact);
    }
    k2_thrift_struct_end(thrift);
}

// Which encodings the pages have, so that a reader knows whether the dictionary says it all.
static void put_page_counts(struct k2_thrift_writer *thrift, const struct chunk *chunk)
{
    uint32_t plain = chunk->page_count - chunk->dictionary_page_count - chunk->delta_page_count;
    const struct {
        int32_t page_type, encoding;
        uint32_t count;
    } rows[] = {
        {PAGE_DICTIONARY, ENCODING_PLAIN, chunk->dictionary_bytes > 0},
        {PAGE_DATA, ENCODING_RLE_DICTIONARY, chunk->dictionary_page_count},
        {PAGE_DATA, ENCODING_DELTA, chunk->delta_page_count},
        {PAGE_DATA, ENCODING_PLAIN, plain},
    };
    size_t count = 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        count += rows[i].count > 0;
    }
    k2_thrift_field_list(thrift, 13, K2_THRIFT_STRUCT, count);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].count > 0) {
            k2_thrift_struct_begin(thrift);
            k2_thrift_field_i32(thrift, 1, rows[i].page_type);
            k2_thrift_field_i32(thrift, 2, rows[i].encoding);
            k2_thrift_field_i32(thrift, 3, (int32_t)rows[i].count);
            k2_thrift_struct_end(thrift);
        }
    }
}

static void put_column_metadata(struct k2_thrift_writer *thrift,
                                const struct k2_parquet_field *field, const struct chunk *chunk,
                                uint64_t row_count)
{
    bool has_dictionary = chunk->dictionary_bytes > 0, has_deltas = chunk->delta_page_count > 0;
    k2_thrift_field_struct(thrift, 3);
    k2_thrift_field_i32(thrift, 1, (int32_t)field->type);
    k2_thrift_field_list(thrift, 2, K2_THRIFT_I32, 2u + has_dictionary + has_deltas);
    k2_thrift_i32(thrift, ENCODING_PLAIN);
    k2_thrift_i32(thrift, ENCODING_RLE);
    if (has_dictionary) {
        k2_thrift_i32(thrift, ENCODING_RLE_DICTIONARY);
    }
    if (has_deltas) {
        k2_thrift_i32(thrift, ENCODING_DELTA);
    }
    k2_thrift_field_list(thrift, 3, K2_THRIFT_BINARY, 1);
    k2_thrift_binary(thrift, k2_slice_of(field->name));
    k2_thrift_field_i32(thrift, 4, chunk->uncompressed ? CODEC_NONE : CODEC_ZSTD);
    k2_thrift_field_i64(thrift, 5, (int64_t)row_count);
    k2_thrift_field_i64(thrift, 6, (int64_t)chunk->uncompressed_bytes);
    k2_thrift_field_i64(thrift, 7, (int64_t)chunk->size_bytes);
    k2_thrift_field_i64(thrift, 9, (int64_t)(chunk->offset + chunk->dictionary_bytes));
    if (has_dictionary) {
        k2_thrift_field_i64(thrift, 11, (int64_t)chunk->offset);
    }
    put_statistics(thrift, chunk);
    put_page_counts(thrift, chunk);
    k2_thrift_struct_end(thrift);
}

// Where the next indexes begin; all column indexes stand before all offset indexes.
struct index_place {
    uint64_t column_index, offset_index;
};

static void put_group(const struct k2_parquet_metadata *metadata, size_t index,
                      struct index_place *place, struct k2_thrift_writer *thrift)
{
    const struct group *group = &metadata->groups[index];
    k2_thrift_struct_begin(thrift);
    k2_thrift_field_list(thrift, 1, K2_THRIFT_STRUCT, metadata->field_count);
    for (size_t i = 0; i < metadata->field_count; i++) {
        const struct chunk *chunk = &metadata->chunks[index * metadata->field_count + i];
        k2_thrift_struct_begin(thrift);
        k2_thrift_field_i64(thrift, 2, 0); // of metadata outside the footer: none
        put_column_metadata(thrift, &metadata->fields[i], chunk, group->row_count);
        k2_thrift_field_i64(thrift, 4, (int64_t)place->offset_index);
        k2_thrift_field_i32(thrift, 5, (int32_t)chunk->offset_index_bytes);
        if (chunk->column_index_bytes > 0) {
            k2_thrift_field_i64(thrift, 6, (int64_t)place->column_index);
            k2_thrift_field_i32(thrift, 7, (int32_t)chunk->column_index_bytes);
        }
        k2_thrift_struct_end(thrift);
        place->column_index += chunk->column_index_bytes;
        place->offset_index += chunk->offset_index_bytes;
    }
    k2_thrift_field_i64(thrift, 2, (int64_t)group->uncompressed_bytes);
    k2_thrift_field_i64(thrift, 3, (int64_t)group->row_count);
    if (metadata->sorting_count > 0) {
        k2_thrift_field_list(thrift, 4, K2_THRIFT_STRUCT, metadata->sorting_count);
        for (size_t i = 0; i < metadata->sorting_count; i++) {
            k2_thrift_struct_begin(thrift);
            k2_thrift_field_i32(thrift, 1, (int32_t)metadata->sorting[i].field);
            k2_thrift_field_bool(thrift, 2, metadata->sorting[i].descending);
            k2_thrift_field_bool(thrift, 3, false); // nulls first; there are none
            k2_thrift_struct_end(thrift);
        }
    }
    k2_thrift_field_i64(thrift, 5, (int64_t)group->file_offset);
    k2_thrift_field_i64(thrift, 6, (int64_t)group->size_bytes);
    if (index < MOST_ORDINALS) {
        k2_thrift_field_i16(thrift, 7, (int16_t)index);
    }
    k2_thrift_struct_end(thrift);
}

enum k2_status k2_parquet_metadata_finish(const struct k2_parquet_metadata *metadata,
                                          uint64_t file_offset, struct k2_buffer *out,
                                          struct k2_error *error)
{
    uint64_t row_count = 0;
    for (size_t i = 0; i < metadata->group_count; i++) {
        row_count += metadata->groups[i].row_count;
    }
    struct index_place place = {.column_index = file_offset,
                                .offset_index = file_offset + metadata->column_indexes.size_bytes};
    k2_put_bytes(out, metadata->column_indexes.data, metadata->column_indexes.size_bytes);
    k2_put_bytes(out, metadata->offset_indexes.data, metadata->offset_indexes.size_bytes);
    size_t footer = out->size_bytes;
    struct k2_thrift_writer thrift = {.out = out};
    k2_thrift_struct_begin(&thrift);
    k2_thrift_field_i32(&thrift, 1, FORMAT_VERSION);
    put_schema(metadata, &thrift);
    k2_thrift_field_i64(&thrift, 3, (int64_t)row_count);
    k2_thrift_field_list(&thrift, 4, K2_THRIFT_STRUCT, metadata->group_count);
    for (size_t i = 0; i < metadata->group_count; i++) {
        put_group(metadata, i, &place, &thrift);
    }
    k2_thrift_field_binary(&thrift, 6, k2_slice_of("k2 version " K2_VERSION " (build 0)"));
    k2_thrift_field_list(&thrift, 7, K2_THRIFT_STRUCT, metadata->field_count);
    for (size_t i = 0; i < metadata->field_count; i++) {
        k2_thrift_struct_begin(&thrift);
        k2_thrift_field_empty(&thrift, TYPE_ORDER);
        k2_thrift_struct_end(&thrift);
    }
    k2_thrift_struct_end(&thrift);
    k2_put_u32(out, (uint32_t)(out->size_bytes - footer));
    k2_put_text(out, "PAR1");
    return k2_buffer_check(out, "parquet: footer", error);
}
