#include "query/encode/column_encoder.h"

#include <assert.h>
#include <stdio.h>

#include "format/arrow/arrow_writer.h"
#include "format/base/alloc.h"
#include "format/parquet/parquet_writer.h"

enum { LARGE_GROUP_BYTES = 128 << 20 }; // of a row group of a Parquet file

// What the two writers have in common; `writer` is theirs.
struct writer_face {
    void (*destroy)(void *writer);
    enum k2_status (*put)(void *writer, const struct k2_vector *vectors, size_t *row,
                          size_t row_count, struct k2_error *error);
    bool (*has_bytes)(const void *writer);
    void (*take)(void *writer, size_t enough_bytes, struct k2_buffer *out);
    enum k2_status (*finish)(void *writer, bool *done, struct k2_error *error);
};

struct k2_column_encoder {
    const struct writer_face *face;
    void *writer;          // owned
    struct k2_error error; // its failure; K2_OK: none
};

// ---- Parquet ------------------------------------------------------------------------------------

static void parquet_destroy(void *writer)
{
    k2_parquet_writer_destroy(writer);
}

static enum k2_status parquet_put(void *writer, const struct k2_vector *vectors, size_t *row,
                                  size_t row_count, struct k2_error *error)
{
    return k2_parquet_writer_put(writer, vectors, row, row_count, error);
}

static bool parquet_has_bytes(const void *writer)
{
    return k2_parquet_writer_has_bytes(writer);
}

static void parquet_take(void *writer, size_t enough_bytes, struct k2_buffer *out)
{
    k2_parquet_writer_take(writer, enough_bytes, out);
}

static enum k2_status parquet_finish(void *writer, bool *done, struct k2_error *error)
{
    return k2_parquet_writer_finish(writer, done, error);
}

static const struct writer_face parquet_face = {parquet_destroy, parquet_put, parquet_has_bytes,
                                                parquet_take, parquet_finish};

// The key columns by which the rows are sorted, as far as they are among the columns.
static size_t find_sorting(const struct k2_schema *schema, const struct k2_column *const *columns,
                           size_t column_count, size_t sorting[K2_KEY_COLUMN_COUNT])
{
    static const enum k2_key_column order[] = {K2_TIMESTAMP, K2_EXCHANGE, K2_SYMBOL, K2_EPOCH,
                                               K2_SEQUENCE};
    size_t count = 0;
    for (size_t key = 0; schema != NULL && key < K2_KEY_COLUMN_COUNT; key++) {
        size_t place = 0;
        while (place < column_count && columns[place] != &schema->columns[order[key]]) {
            place++;
        }
        if (place == column_count) {
            break;
        }
        sorting[count++] = place;
    }
    return count;
}

static enum k2_status create_parquet(struct k2_column_encoder *self,
                                     const struct k2_column *const *columns, size_t column_count,
                                     const struct k2_row_style *style, struct k2_error *error)
{
    size_t sorting[K2_KEY_COLUMN_COUNT];
    const struct k2_parquet_options options = {
        .group_rows = style->large_groups ? K2_PARQUET_GROUP_ROWS_LARGE : 0,
        .group_bytes = style->large_groups ? LARGE_GROUP_BYTES : 0,
        .times_as_integers = style->time_ns,
        .sorting = sorting,
        .sorting_count = find_sorting(style->sorted_by, columns, column_count, sorting),
        .descending = style->descending};
    struct k2_parquet_writer *writer = NULL;
    enum k2_status status =
        k2_parquet_writer_create(&writer, columns, column_count, &options, error);
    self->face = &parquet_face;
    self->writer = writer;
    return status;
}

// ---- Arrow --------------------------------------------------------------------------------------

static void arrow_destroy(void *writer)
{
    k2_arrow_writer_destroy(writer);
}

static enum k2_status arrow_put(void *writer, const struct k2_vector *vectors, size_t *row,
                                size_t row_count, struct k2_error *error)
{
    return k2_arrow_writer_put(writer, vectors, row, row_count, error);
}

static bool arrow_has_bytes(const void *writer)
{
    return k2_arrow_writer_has_bytes(writer);
}

static void arrow_take(void *writer, size_t enough_bytes, struct k2_buffer *out)
{
    k2_arrow_writer_take(writer, enough_bytes, out);
}

static enum k2_status arrow_finish(void *writer, bool *done, struct k2_error *error)
{
    return k2_arrow_writer_finish(writer, done, error);
}

static const struct writer_face arrow_face = {arrow_destroy, arrow_put, arrow_has_bytes, arrow_take,
                                              arrow_finish};

static enum k2_status create_arrow(struct k2_column_encoder *self,
                                   const struct k2_column *const *columns, size_t column_count,
                                   const struct k2_row_style *style, struct k2_error *error)
{
    char snapshot[24];
    (void)snprintf(snapshot, sizeof snapshot, "%llu", (unsigned long long)style->snapshot);
    struct k2_arrow_pair metadata[2];
    size_t metadata_count = 0;
    if (style->table != NULL) {
        metadata[metadata_count++] = (struct k2_arrow_pair){"k2.table", style->table};
        metadata[metadata_count++] = (struct k2_arrow_pair){"k2.snapshot", snapshot};
    }
    const struct k2_arrow_options options = {.choice = {.times_as_integers = style->time_ns},
                                             .metadata = metadata,
                                             .metadata_count = metadata_count};
    struct k2_arrow_writer *writer = NULL;
    enum k2_status status = k2_arrow_writer_create(&writer, columns, column_count, &options, error);
    self->face = &arrow_face;
    self->writer = writer;
    return status;
}

// ---- both ---------------------------------------------------------------------------------------

enum k2_status k2_column_encoder_create(struct k2_column_encoder **encoder,
                                        enum k2_column_format format,
                                        const struct k2_column *const *columns, size_t column_count,
                                        const struct k2_row_style *style, struct k2_error *error)
{
    *encoder = NULL;
    struct k2_column_encoder *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "encoder: no memory");
    }
    enum k2_status status = format == K2_COLUMNS_PARQUET
                                ? create_parquet(self, columns, column_count, style, error)
                                : create_arrow(self, columns, column_count, style, error);
    if (status != K2_OK) {
        k2_free(self);
        return status;
    }
    *encoder = self;
    return K2_OK;
}

void k2_column_encoder_destroy(struct k2_column_encoder *encoder)
{
    if (encoder != NULL) {
        encoder->face->destroy(encoder->writer);
        k2_free(encoder);
    }
}

static bool has_failed(const struct k2_column_encoder *encoder, const struct k2_buffer *out)
{
    return encoder->error.status != K2_OK || out->failed;
}

size_t k2_column_encoder_put(struct k2_column_encoder *encoder, const struct k2_vector *vectors,
                             size_t first_row, size_t row_count, size_t enough_bytes,
                             struct k2_buffer *out)
{
    const struct writer_face *face = encoder->face;
    size_t row = first_row;
    while (!has_failed(encoder, out)) {
        face->take(encoder->writer, enough_bytes, out);
        if (face->has_bytes(encoder->writer) || row == row_count) {
            return row;
        }
        encoder->error.status =
            face->put(encoder->writer, vectors, &row, row_count, &encoder->error);
    }
    return row_count;
}

bool k2_column_encoder_end(struct k2_column_encoder *encoder, size_t enough_bytes,
                           struct k2_buffer *out)
{
    const struct writer_face *face = encoder->face;
    bool done = false;
    while (!has_failed(encoder, out)) {
        face->take(encoder->writer, enough_bytes, out);
        if (face->has_bytes(encoder->writer)) {
            return out->failed; // what is missing does not come
        }
        if (done) {
            return true;
        }
        encoder->error.status = face->finish(encoder->writer, &done, &encoder->error);
    }
    return true;
}

enum k2_status k2_column_encoder_check(const struct k2_column_encoder *encoder,
                                       struct k2_error *error)
{
    if (encoder->error.status == K2_OK) {
        return K2_OK;
    }
    return k2_fail(error, encoder->error.status, "%s", encoder->error.text);
}
