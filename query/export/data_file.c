#include "query/export/data_file.h"

#include "format/base/alloc.h"
#include "format/parquet/parquet_writer.h"

enum { PIECE_BYTES = 1 << 20 };
static const size_t group_bytes = (size_t)64 << 20;
static const size_t piece_ceiling_bytes = (size_t)1 << 30;

struct k2_data_file {
    struct k2_object_store *store; // borrowed
    char *location;
    struct k2_upload *upload;
    struct k2_parquet_writer *writer;
    const struct k2_column *columns[K2_MAX_COLUMNS];
    struct k2_buffer piece;
    uint64_t size_bytes, row_count;
};

void k2_data_file_abort(struct k2_data_file *file)
{
    if (file == NULL) {
        return;
    }
    if (file->upload != NULL) {
        file->store->class->upload_abort(file->upload);
    }
    k2_parquet_writer_destroy(file->writer);
    k2_buffer_deinit(&file->piece);
    k2_free(file->location);
    k2_free(file);
}

static enum k2_status create_writer(struct k2_data_file *self, const struct k2_schema *schema,
                                    struct k2_error *error)
{
    static const size_t sorting[] = {K2_SYMBOL, K2_TIMESTAMP, K2_SEQUENCE};
    const struct k2_parquet_options options = {
        .group_rows = K2_PARQUET_GROUP_ROWS_LARGE,
        .group_bytes = group_bytes,
        .plain_integers = true,
        .sorting = sorting,
        .sorting_count = sizeof sorting / sizeof sorting[0],
        .sorted_by_microseconds = true,
    };
    for (size_t i = 0; i < schema->column_count; i++) {
        self->columns[i] = &schema->columns[i];
    }
    return k2_parquet_writer_create(&self->writer, self->columns, schema->column_count, &options,
                                    error);
}

enum k2_status k2_data_file_create(struct k2_data_file **file, struct k2_object_store *store,
                                   const char *location, const struct k2_schema *schema,
                                   struct k2_error *error)
{
    *file = NULL;
    struct k2_data_file *self = k2_alloc_zero(1, sizeof *self);
    if (self != NULL) {
        k2_buffer_init(&self->piece, piece_ceiling_bytes);
        self->store = store;
        self->location = k2_alloc_text(location, strlen(location));
    }
    enum k2_status status = self != NULL && self->location != NULL
                                ? create_writer(self, schema, error)
                                : k2_fail(error, K2_NO_MEMORY, "export: no memory");
    if (status == K2_OK) {
        status = store->class->upload_begin(store->self, location, &self->upload, error);
    }
    if (status != K2_OK) {
        k2_data_file_abort(self);
        return status;
    }
    *file = self;
    return K2_OK;
}

static enum k2_status send_bytes(struct k2_data_file *self, struct k2_error *error)
{
    enum k2_status status = K2_OK;
    while (status == K2_OK && k2_parquet_writer_has_bytes(self->writer)) {
        k2_buffer_clear(&self->piece);
        k2_parquet_writer_take(self->writer, PIECE_BYTES, &self->piece);
        status = k2_buffer_check(&self->piece, "export: a piece of a file", error);
        if (status == K2_OK) {
            status = self->store->class->upload_write(self->upload, k2_buffer_slice(&self->piece),
                                                      error);
        }
        self->size_bytes += self->piece.size_bytes;
    }
    return status;
}

enum k2_status k2_data_file_put(struct k2_data_file *file, const struct k2_vector *vectors,
                                size_t row_count, struct k2_error *error)
{
    enum k2_status status = K2_OK;
    for (size_t row = 0; status == K2_OK && row < row_count;) {
        status = send_bytes(file, error);
        if (status == K2_OK) {
            status = k2_parquet_writer_put(file->writer, vectors, &row, row_count, error);
        }
    }
    file->row_count += row_count;
    return status == K2_OK ? send_bytes(file, error) : status;
}

uint64_t k2_data_file_size(const struct k2_data_file *file)
{
    return file->size_bytes;
}

// ---- what a manifest says -------------------------------------------------------------------

// A bound as Iceberg's appendix D has it: numbers little-endian, as PLAIN has them; decimals the
// fewest bytes of two's complement, big-endian. No memory: data NULL.
static struct k2_slice bound_of(const struct k2_parquet_field *field,
                                const struct k2_parquet_bound *bound, struct k2_arena *arena)
{
    struct k2_slice bytes = {bound->bytes, bound->size_bytes};
    uint8_t turned[sizeof(int64_t)];
    if (field->logical == K2_PARQUET_DECIMAL) {
        size_t size = sizeof turned;
        for (size_t i = 0; i < size; i++) {
            turned[i] = bound->bytes[size - 1 - i];
        }
        size_t skip = 0;
        while (skip + 1 < size && (turned[skip] == 0x00 || turned[skip] == 0xff) &&
               (turned[skip] ^ turned[skip + 1]) < 0x80) {
            skip++;
        }
        bytes = (struct k2_slice){turned + skip, size - skip};
    }
    const char *copy = k2_arena_text(arena, bytes);
    return (struct k2_slice){(const uint8_t *)copy, bytes.size_bytes};
}

static bool describe_column(const struct k2_parquet_total *total, struct k2_arena *arena,
                            struct k2_iceberg_column *column)
{
    *column = (struct k2_iceberg_column){
        .id = (int32_t)total->field->id,
        .has_size = true,
        .size_bytes = (int64_t)total->size_bytes,
        .has_values = true,
        .value_count = (int64_t)total->value_count,
        .has_nulls = true,
        .null_count = (int64_t)total->null_count,
        .has_lower = total->has_min,
        .has_upper = total->has_max,
    };
    if (total->has_min) {
        column->lower = bound_of(total->field, &total->min, arena);
    }
    if (total->has_max) {
        column->upper = bound_of(total->field, &total->max, arena);
    }
    return (!total->has_min || column->lower.data != NULL) &&
           (!total->has_max || column->upper.data != NULL);
}

static enum k2_status describe(const struct k2_data_file *self, int32_t day, int32_t sort_order_id,
                               struct k2_arena *arena, struct k2_iceberg_file *described,
                               struct k2_error *error)
{
    size_t count = k2_parquet_writer_field_count(self->writer);
    size_t groups = k2_parquet_writer_group_count(self->writer);
    struct k2_slice location = k2_slice_of(self->location);
    *described = (struct k2_iceberg_file){
        .content = K2_ICEBERG_DATA,
        .path = {(const uint8_t *)k2_arena_text(arena, location), location.size_bytes},
        .format = k2_slice_of("PARQUET"),
        .has_day = true,
        .day = day,
        .record_count = (int64_t)self->row_count,
        .size_bytes = (int64_t)self->size_bytes,
        .columns = k2_arena_alloc(arena, count * sizeof *described->columns),
        .column_count = count,
        .split_offsets = k2_arena_alloc(arena, groups * sizeof *described->split_offsets),
        .split_count = groups,
        .has_sort_order = sort_order_id > 0,
        .sort_order_id = sort_order_id,
    };
    bool good = described->path.data != NULL && described->columns != NULL &&
                described->split_offsets != NULL;
    for (size_t i = 0; i < groups && good; i++) {
        described->split_offsets[i] = (int64_t)k2_parquet_writer_group_offset(self->writer, i);
    }
    for (size_t i = 0; i < count && good; i++) {
        struct k2_parquet_total total;
        k2_parquet_writer_total(self->writer, i, &total);
        good = describe_column(&total, arena, &described->columns[i]);
    }
    return good ? K2_OK : k2_fail(error, K2_NO_MEMORY, "export: no memory");
}

enum k2_status k2_data_file_finish(struct k2_data_file *file, int32_t day, int32_t sort_order_id,
                                   struct k2_arena *arena, struct k2_iceberg_file *described,
                                   struct k2_error *error)
{
    enum k2_status status = K2_OK;
    for (bool done = false; status == K2_OK && !done;) {
        status = k2_parquet_writer_finish(file->writer, &done, error);
        if (status == K2_OK) {
            status = send_bytes(file, error);
        }
    }
    if (status == K2_OK) {
        status = describe(file, day, sort_order_id, arena, described, error);
    }
    if (status == K2_OK) {
        struct k2_upload *upload = file->upload;
        file->upload = NULL;
        status = file->store->class->upload_finish(upload, error);
    }
    k2_data_file_abort(file);
    return status;
}
