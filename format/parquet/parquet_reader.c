#include "format/parquet/parquet_reader.h"

#include "format/base/alloc.h"
#include "format/parquet/parquet_reader_private.h"
#include "format/parquet/thrift_reader.h"

// As Parquet numbers them.
enum {
    REPEATED = 2,
    OPTIONAL = 1,
    MOST_COLUMNS = 4096,
    MOST_GROUPS = 1 << 16,
    MOST_ROWS = 1 << 24, // of a row group
};
static const size_t bytes_ceiling = (size_t)1 << 30;

struct chunk {
    int64_t codec, value_count, size_bytes, data_offset, dictionary_offset;
    bool has_dictionary;
};

struct k2_parquet_file {
    struct k2_parquet_leaf *leaves;
    size_t leaf_count;
    struct chunk *chunks; // leaf_count of each group
    size_t *rows;
    size_t group_count;
};

static enum k2_status bad(struct k2_error *error, const char *what)
{
    return k2_fail(error, K2_CORRUPT, "parquet: %s", what);
}

static enum k2_status no_memory(struct k2_error *error)
{
    return k2_fail(error, K2_NO_MEMORY, "parquet: no memory");
}

// ---- footer ---------------------------------------------------------------------------------

enum k2_status k2_parquet_footer_size(struct k2_slice tail, size_t *size_bytes,
                                      struct k2_error *error)
{
    struct k2_byte_reader reader = {.rest = tail};
    uint32_t size = k2_read_u32(&reader);
    struct k2_slice magic = k2_read_bytes(&reader, 4);
    if (reader.truncated || memcmp(magic.data, "PAR1", 4) != 0) {
        return bad(error, "the file does not end with its magic");
    }
    *size_bytes = (size_t)size + K2_PARQUET_TAIL_BYTES;
    return K2_OK;
}

static void read_leaf(struct k2_thrift_reader *thrift, struct k2_parquet_leaf *leaf,
                      int64_t *children, int64_t *repetition)
{
    struct k2_thrift_field field = {0};
    *leaf = (struct k2_parquet_leaf){.field_id = -1};
    *children = *repetition = 0;
    while (k2_thrift_next(thrift, &field)) {
        switch (field.id) {
        case 1:
            leaf->type = (enum k2_parquet_type)k2_thrift_read_int(thrift, field.type);
            break;
        case 2:
            leaf->length_bytes = (int32_t)k2_thrift_read_int(thrift, field.type);
            break;
        case 3:
            *repetition = k2_thrift_read_int(thrift, field.type);
            break;
        case 5:
            *children = k2_thrift_read_int(thrift, field.type);
            break;
        case 9:
            leaf->field_id = (int32_t)k2_thrift_read_int(thrift, field.type);
            break;
        default:
            k2_thrift_skip(thrift, field.type);
        }
    }
    leaf->optional = *repetition == OPTIONAL;
}

static enum k2_status read_schema(struct k2_parquet_file *self, struct k2_thrift_reader *thrift,
                                  uint8_t type, struct k2_error *error)
{
    uint8_t element;
    size_t count = k2_thrift_read_list(thrift, type, &element);
    int64_t children, repetition;
    struct k2_parquet_leaf root;
    if (count == 0 || count > MOST_COLUMNS || self->leaves != NULL) {
        return bad(error, "a footer without columns, or with too many");
    }
    self->leaves = k2_alloc_zero(count, sizeof *self->leaves);
    if (self->leaves == NULL) {
        return no_memory(error);
    }
    read_leaf(thrift, &root, &children, &repetition);
    for (size_t i = 1; i < count && !thrift->bytes.truncated; i++) {
        read_leaf(thrift, &self->leaves[i - 1], &children, &repetition);
        if (children != 0 || repetition == REPEATED) {
            return k2_fail(error, K2_BAD_REQUEST, "parquet: nested columns are not read");
        }
    }
    self->leaf_count = count - 1;
    return thrift->bytes.truncated ? bad(error, "the footer is cut off") : K2_OK;
}

static void read_chunk_metadata(struct k2_thrift_reader *thrift, struct chunk *chunk)
{
    struct k2_thrift_field field = {0};
    while (k2_thrift_next(thrift, &field)) {
        switch (field.id) {
        case 4:
            chunk->codec = k2_thrift_read_int(thrift, field.type);
            break;
        case 5:
            chunk->value_count = k2_thrift_read_int(thrift, field.type);
            break;
        case 7:
            chunk->size_bytes = k2_thrift_read_int(thrift, field.type);
            break;
        case 9:
            chunk->data_offset = k2_thrift_read_int(thrift, field.type);
            break;
        case 11:
            chunk->dictionary_offset = k2_thrift_read_int(thrift, field.type);
            chunk->has_dictionary = chunk->dictionary_offset > 0;
            break;
        default:
            k2_thrift_skip(thrift, field.type);
        }
    }
}

static void read_chunk(struct k2_thrift_reader *thrift, struct chunk *chunk)
{
    struct k2_thrift_field field = {0};
    enum { STRUCT = 12 };
    *chunk = (struct chunk){0};
    while (k2_thrift_next(thrift, &field)) {
        if (field.id == 3 && field.type == STRUCT) {
            read_chunk_metadata(thrift, chunk);
        } else {
            k2_thrift_skip(thrift, field.type);
        }
    }
}

static enum k2_status read_group(struct k2_parquet_file *self, struct k2_thrift_reader *thrift,
                                 size_t group, struct k2_error *error)
{
    struct k2_thrift_field field = {0};
    struct chunk *chunks = &self->chunks[group * self->leaf_count];
    size_t count = 0;
    int64_t rows = -1;
    while (k2_thrift_next(thrift, &field)) {
        if (field.id == 1) {
            uint8_t element;
            count = k2_thrift_read_list(thrift, field.type, &element);
            for (size_t i = 0; i < count && i < self->leaf_count; i++) {
                read_chunk(thrift, &chunks[i]);
            }
            if (count != self->leaf_count) {
                return bad(error, "a row group without all columns");
            }
        } else if (field.id == 3) {
            rows = k2_thrift_read_int(thrift, field.type);
        } else {
            k2_thrift_skip(thrift, field.type);
        }
    }
    if (thrift->bytes.truncated || count != self->leaf_count || rows < 0 || rows > MOST_ROWS) {
        return bad(error, "a row group that can not be");
    }
    for (size_t i = 0; i < count; i++) {
        if (chunks[i].value_count != rows || chunks[i].size_bytes < 0 ||
            chunks[i].data_offset < 0 || (uint64_t)chunks[i].size_bytes > bytes_ceiling) {
            return bad(error, "a column chunk that can not be");
        }
    }
    self->rows[group] = (size_t)rows;
    return K2_OK;
}

static enum k2_status read_groups(struct k2_parquet_file *self, struct k2_thrift_reader *thrift,
                                  uint8_t type, struct k2_error *error)
{
    uint8_t element;
    size_t count = k2_thrift_read_list(thrift, type, &element);
    if (self->leaves == NULL || self->rows != NULL || count > MOST_GROUPS) {
        return bad(error, "row groups that can not be");
    }
    self->chunks = k2_alloc_zero(count * self->leaf_count, sizeof *self->chunks);
    self->rows = k2_alloc_zero(count, sizeof *self->rows);
    if (self->chunks == NULL || self->rows == NULL) {
        return no_memory(error);
    }
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < count && status == K2_OK; i++) {
        status = read_group(self, thrift, i, error);
    }
    self->group_count = count;
    return status;
}

static enum k2_status read_footer(struct k2_parquet_file *self, struct k2_slice bytes,
                                  struct k2_error *error)
{
    struct k2_thrift_reader thrift = {.bytes = {.rest = bytes}};
    struct k2_thrift_field field = {0};
    enum k2_status status = K2_OK;
    while (status == K2_OK && k2_thrift_next(&thrift, &field)) {
        if (field.id == 2) {
            status = read_schema(self, &thrift, field.type, error);
        } else if (field.id == 4) {
            status = read_groups(self, &thrift, field.type, error);
        } else {
            k2_thrift_skip(&thrift, field.type);
        }
    }
    if (status == K2_OK && (thrift.bytes.truncated || self->leaves == NULL || self->rows == NULL)) {
        status = bad(error, "the footer is cut off");
    }
    return status;
}

enum k2_status k2_parquet_file_open(struct k2_parquet_file **file, struct k2_slice footer,
                                    struct k2_error *error)
{
    *file = NULL;
    if (footer.size_bytes < K2_PARQUET_TAIL_BYTES) {
        return bad(error, "the footer is cut off");
    }
    struct k2_parquet_file *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return no_memory(error);
    }
    footer.size_bytes -= K2_PARQUET_TAIL_BYTES;
    enum k2_status status = read_footer(self, footer, error);
    if (status != K2_OK) {
        k2_parquet_file_close(self);
        return status;
    }
    *file = self;
    return K2_OK;
}

void k2_parquet_file_close(struct k2_parquet_file *file)
{
    if (file != NULL) {
        k2_free(file->leaves);
        k2_free(file->chunks);
        k2_free(file->rows);
        k2_free(file);
    }
}

size_t k2_parquet_file_columns(const struct k2_parquet_file *file)
{
    return file->leaf_count;
}

struct k2_parquet_leaf k2_parquet_file_column(const struct k2_parquet_file *file, size_t column)
{
    return file->leaves[column];
}

size_t k2_parquet_file_groups(const struct k2_parquet_file *file)
{
    return file->group_count;
}

size_t k2_parquet_file_rows(const struct k2_parquet_file *file, size_t group)
{
    return file->rows[group];
}

void k2_parquet_file_chunk(const struct k2_parquet_file *file, size_t group, size_t column,
                           uint64_t *offset, size_t *size_bytes)
{
    const struct chunk *chunk = &file->chunks[group * file->leaf_count + column];
    bool dictionary_first = chunk->has_dictionary && chunk->dictionary_offset < chunk->data_offset;
    *offset = (uint64_t)(dictionary_first ? chunk->dictionary_offset : chunk->data_offset);
    *size_bytes = (size_t)chunk->size_bytes;
}

int64_t k2_parquet_file_codec(const struct k2_parquet_file *file, size_t group, size_t column)
{
    return file->chunks[group * file->leaf_count + column].codec;
}
