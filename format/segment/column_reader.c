// Declared in row_group_view.h.
#include <assert.h>
#include <string.h>

#include "format/base/alloc.h"
#include "format/base/checksum.h"
#include "format/codec/bitpack.h"
#include "format/segment/row_group_view_private.h"
#include "format/segment/segment_layout.h"

static const struct k2_integer_chunk *integers_of(const struct k2_column_reader *reader)
{
    return k2_kind_is_fixed(reader->kind) ? &reader->integers : &reader->texts.integers;
}

// The place of the column in the view, or -1.
static int find_column(const struct k2_row_group_view *view, uint16_t column_id)
{
    for (size_t i = 0; i < view->column_count; i++) {
        if (view->columns[i].id == column_id) {
            return (int)i;
        }
    }
    return -1;
}

static bool encoding_fits(enum k2_kind kind, uint8_t encoding)
{
    if (k2_kind_is_fixed(kind)) {
        return encoding == K2_ENCODING_INTEGERS || encoding == K2_ENCODING_DIFFERENCES ||
               encoding == K2_ENCODING_ORDINALS;
    }
    return k2_text_chunk_knows(encoding);
}

static enum k2_status find_chunk(const struct k2_row_group_view *view, size_t index,
                                 struct k2_slice *found, struct k2_error *error)
{
    const struct k2_group_column *column = &view->columns[index];
    const struct k2_column_place *place = &view->places[index];
    struct k2_slice bytes = {view->bytes.data + place->offset, column->length_bytes};
    if (!atomic_load_explicit(&view->checked[index], memory_order_relaxed)) {
        if (!k2_checksum_holds(bytes, view->info.segment_id, view->info.offset + place->offset,
                               place->checksum)) {
            return k2_fail(error, K2_CORRUPT, "checksum mismatch in %zu bytes at %llu",
                           bytes.size_bytes,
                           (unsigned long long)(view->info.offset + place->offset));
        }
        // Threads that meet here check both; nothing else depends on it.
        atomic_store_explicit(&view->checked[index], true, memory_order_relaxed);
    }
    if (!encoding_fits(column->kind, place->encoding)) {
        return k2_fail(error, K2_CORRUPT, "unknown encoding %u of kind %u", place->encoding,
                       (unsigned)column->kind);
    }
    *found = bytes;
    return K2_OK;
}

static enum k2_status open_reference(struct k2_column_reader *reader, uint16_t column_id,
                                     struct k2_error *error)
{
    const struct k2_row_group_view *view = reader->view;
    int index = find_column(view, column_id);
    if (index < 0 || !k2_kind_is_fixed(view->columns[index].kind) ||
        view->places[index].encoding != K2_ENCODING_INTEGERS) {
        return k2_fail(error, K2_CORRUPT, "differences to column %u, which has no integers",
                       column_id);
    }
    struct k2_slice bytes;
    enum k2_status status = find_chunk(view, (size_t)index, &bytes, error);
    if (status == K2_OK) {
        status = k2_integer_chunk_open(&reader->reference, bytes, view->row_count, error);
    }
    if (status != K2_OK) {
        k2_error_annotate(error, "differences to column %u", column_id);
        return status;
    }
    reader->reference_id = column_id;
    reader->integers.is_difference = true;
    return K2_OK;
}

static enum k2_status open_chunk(struct k2_column_reader *reader, size_t index,
                                 struct k2_error *error)
{
    const struct k2_row_group_view *view = reader->view;
    const struct k2_column_place *place = &view->places[index];
    struct k2_slice bytes;
    enum k2_status status = find_chunk(view, index, &bytes, error);
    if (status != K2_OK) {
        return status;
    }
    if (k2_kind_is_fixed(view->columns[index].kind)) {
        status = k2_integer_chunk_open(&reader->integers, bytes, view->row_count, error);
        if (status == K2_OK && place->encoding != K2_ENCODING_INTEGERS) {
            reader->ordinals = place->encoding == K2_ENCODING_ORDINALS;
            status = open_reference(reader, place->reference, error);
        }
        return status;
    }
    return k2_text_chunk_open(&reader->texts, place->encoding, bytes, view->row_count, error);
}

enum k2_status k2_column_reader_open(struct k2_column_reader **reader,
                                     const struct k2_row_group_view *view, uint16_t column_id,
                                     bool *found, struct k2_error *error)
{
    int index = find_column(view, column_id);
    *found = index >= 0 || column_id == K2_COLUMN_ID_COMMIT;
    if (!*found) {
        return K2_OK;
    }
    struct k2_column_reader *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "column %u: out of memory", column_id);
    }
    self->view = view;
    if (index < 0) {
        self->kind = K2_KIND_INT64;
        self->constant = true;
        self->value = (int64_t)view->info.commit;
        *reader = self;
        return K2_OK;
    }
    const struct k2_group_column *column = &view->columns[index];
    self->kind = column->kind;
    self->scale = column->scale;
    self->all_null = column->all_null;
    self->stats = column->stats;
    enum k2_status status = K2_OK;
    if (!column->all_null) {
        status = open_chunk(self, (size_t)index, error);
    }
    if (status != K2_OK) {
        k2_error_annotate(error, "column %u", column_id);
        k2_column_reader_close(self);
        return status;
    }
    *reader = self;
    return K2_OK;
}

void k2_column_reader_close(struct k2_column_reader *reader)
{
    if (reader != NULL) {
        k2_text_chunk_close(&reader->texts);
        k2_free(reader->room);
        k2_free(reader);
    }
}

static void fill_constant(const struct k2_column_reader *reader, uint32_t row_count,
                          struct k2_vector_store *store, const uint8_t **valid)
{
    k2_bitpack_selected()->count_up(row_count, (uint64_t)reader->value, 0, store->values);
    if (reader->all_null) {
        memset(store->valid, 0, row_count);
        memset(store->texts, 0, row_count * sizeof store->texts[0]);
        *valid = store->valid;
    }
}

// The reference's values of a block.
static enum k2_status decode_reference(struct k2_column_reader *reader, uint32_t block,
                                       const int64_t **values, struct k2_error *error)
{
    if (reader->room == NULL) {
        reader->room = k2_alloc_aligned(sizeof *reader->room);
        if (reader->room == NULL) {
            return k2_fail(error, K2_NO_MEMORY, "a block of differences: out of memory");
        }
    }
    const uint8_t *ignored; // a reference has no nulls
    *values = reader->room->values;
    return k2_integer_chunk_decode(&reader->reference, block, reader->room->values,
                                   reader->room->valid, &ignored, error);
}

static enum k2_status decode_integers(struct k2_column_reader *reader, uint32_t block,
                                      struct k2_vector_store *store, uint32_t row_count,
                                      const uint8_t **valid, struct k2_error *error)
{
    enum k2_status status = k2_integer_chunk_decode(&reader->integers, block, store->values,
                                                    store->valid, valid, error);
    if (status != K2_OK || !reader->integers.is_difference) {
        return status;
    }
    const int64_t *added = reader->lent;
    reader->lent = NULL;
    if (added == NULL) {
        status = decode_reference(reader, block, &added, error);
    }
    if (status != K2_OK) {
        k2_error_annotate(error, "reference");
        return status;
    }
    if (reader->ordinals) {
        k2_bitpack_selected()->add_ordinals(added, row_count, store->values);
    } else {
        k2_bitpack_selected()->add(added, row_count, store->values);
    }
    return K2_OK;
}

enum k2_status k2_column_reader_decode(struct k2_column_reader *reader, uint32_t block,
                                       struct k2_vector_store *store, struct k2_vector *vector,
                                       uint32_t *row_count, struct k2_error *error)
{
    uint32_t rows = reader->view->row_count;
    assert(block < (rows + K2_BLOCK_ROWS - 1) / K2_BLOCK_ROWS);
    uint32_t rest = rows - block * K2_BLOCK_ROWS;
    rest = rest < K2_BLOCK_ROWS ? rest : K2_BLOCK_ROWS;
    assert(reader->end_row <= rest);
    bool fixed = k2_kind_is_fixed(reader->kind);
    const uint8_t *valid = NULL;
    enum k2_status status = K2_OK;
    if (reader->constant || reader->all_null) {
        fill_constant(reader, rest, store, &valid);
    } else if (fixed) {
        reader->integers.first_row = reader->first_row;
        reader->integers.end_row = reader->end_row;
        status = decode_integers(reader, block, store, rest, &valid, error);
    } else {
        bool all = reader->end_row == 0;
        status = k2_text_chunk_decode(&reader->texts, block, reader->first_row,
                                      all ? rest : reader->end_row, store, &valid, error);
    }
    reader->first_row = reader->end_row = 0;
    if (status != K2_OK) {
        return status;
    }
    *vector = (struct k2_vector){.kind = reader->kind,
                                 .scale = reader->scale,
                                 .values = fixed ? store->values : NULL,
                                 .texts = fixed ? NULL : store->texts,
                                 .valid = valid};
    *row_count = rest;
    return K2_OK;
}

bool k2_column_reader_reference(const struct k2_column_reader *reader, uint16_t *column_id)
{
    *column_id = reader->reference_id;
    return reader->integers.is_difference;
}

void k2_column_reader_lend(struct k2_column_reader *reader, const struct k2_vector *vector)
{
    reader->lent = vector->values;
}

void k2_column_reader_narrow(struct k2_column_reader *reader, uint32_t first, uint32_t end)
{
    assert(first < end);
    assert(end <= K2_BLOCK_ROWS);
    reader->first_row = (uint16_t)first;
    reader->end_row = (uint16_t)end;
}

bool k2_column_reader_bounds(const struct k2_column_reader *reader, uint32_t block, int64_t *min,
                             int64_t *max)
{
    if (reader->constant) {
        *min = *max = reader->value;
        return true;
    }
    if (reader->all_null || !k2_kind_is_fixed(reader->kind) || reader->kind == K2_KIND_FLOAT64) {
        return false;
    }
    return k2_integer_chunk_bounds(&reader->integers, block, min, max);
}

bool k2_column_reader_block_info(const struct k2_column_reader *reader, uint32_t block,
                                 struct k2_block_info *info)
{
    if (block >= (reader->view->row_count + K2_BLOCK_ROWS - 1) / K2_BLOCK_ROWS) {
        return false;
    }
    *info = (struct k2_block_info){.codec = k2_codec_name(K2_CODEC_CONST), .divisor = 1};
    if (reader->constant || reader->all_null) {
        return true;
    }
    k2_integer_chunk_block_info(integers_of(reader), block, info);
    if (!k2_kind_is_fixed(reader->kind)) {
        info->size_bytes += k2_text_chunk_block_bytes(&reader->texts, block);
    }
    return true;
}
