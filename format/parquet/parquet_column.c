#include "format/parquet/parquet_column.h"

#include "format/base/alloc.h"
#include "format/parquet/parquet_column_private.h"
#include "format/parquet/parquet_runs.h"
#include "format/parquet/thrift_compact.h"

// As Parquet numbers them.
enum {
    PAGE_DATA = 0,
    PAGE_DICTIONARY = 2,
    SCRATCH_BYTES = 1 << 30,
    LEAST_SAVING = 6, // zstd is for deltas where it saves one part of so many
};

static enum k2_status no_memory(struct k2_error *error)
{
    return k2_fail(error, K2_NO_MEMORY, "parquet: no memory");
}

// ---- life ---------------------------------------------------------------------------------------

enum k2_status k2_parquet_scratch_init(struct k2_parquet_scratch *scratch, struct k2_error *error)
{
    *scratch = (struct k2_parquet_scratch){.compressor = k2_zstd_compressor_create()};
    k2_buffer_init(&scratch->body, SCRATCH_BYTES);
    k2_buffer_init(&scratch->packed, SCRATCH_BYTES);
    k2_buffer_init(&scratch->text, SCRATCH_BYTES);
    scratch->entries = k2_alloc(K2_PARQUET_PAGE_ROWS * sizeof *scratch->entries);
    scratch->known = k2_alloc_zero(K2_PARQUET_KNOWN, sizeof *scratch->known);
    bool complete =
        scratch->compressor != NULL && scratch->entries != NULL && scratch->known != NULL;
    return complete ? K2_OK : no_memory(error);
}

void k2_parquet_scratch_deinit(struct k2_parquet_scratch *scratch)
{
    k2_zstd_compressor_destroy(scratch->compressor);
    k2_buffer_deinit(&scratch->body);
    k2_buffer_deinit(&scratch->packed);
    k2_buffer_deinit(&scratch->text);
    k2_free(scratch->entries);
    k2_free(scratch->known);
}

enum k2_status k2_parquet_column_init(struct k2_parquet_column *column,
                                      const struct k2_parquet_field *field,
                                      struct k2_parquet_scratch *scratch, struct k2_error *error)
{
    *column = (struct k2_parquet_column){.field = field, .scratch = scratch};
    k2_parquet_dictionary_init(&column->dictionary, k2_parquet_prefix_bytes(column));
    k2_buffer_init(&column->plain, SCRATCH_BYTES);
    k2_buffer_init(&column->pages, K2_PARQUET_CHUNK_BYTES);
    k2_buffer_init(&column->dictionary_page, K2_PARQUET_CHUNK_BYTES);
    k2_buffer_init(&column->min_text, SCRATCH_BYTES);
    k2_buffer_init(&column->max_text, SCRATCH_BYTES);
    bool text = k2_parquet_is_text(column);
    if (text) {
        column->entries = k2_alloc(K2_PARQUET_PAGE_ROWS * sizeof *column->entries);
    } else {
        column->values = k2_alloc(K2_PARQUET_PAGE_ROWS * sizeof *column->values);
    }
    if (field->optional) {
        column->levels = k2_alloc(K2_PARQUET_PAGE_ROWS * sizeof *column->levels);
    }
    bool symbolic = field->column->kind == K2_KIND_SYMBOLIC;
    if (symbolic) {
        column->memo = k2_alloc_zero(K2_PARQUET_MEMO, sizeof *column->memo);
    }
    k2_parquet_column_clear(column);
    bool complete = (!symbolic || column->memo != NULL) &&
                    (text ? column->entries != NULL : column->values != NULL) &&
                    (!field->optional || column->levels != NULL);
    return complete ? K2_OK : no_memory(error);
}

void k2_parquet_column_deinit(struct k2_parquet_column *column)
{
    k2_parquet_dictionary_deinit(&column->dictionary);
    k2_buffer_deinit(&column->plain);
    k2_buffer_deinit(&column->pages);
    k2_buffer_deinit(&column->dictionary_page);
    k2_buffer_deinit(&column->min_text);
    k2_buffer_deinit(&column->max_text);
    k2_free(column->levels);
    k2_free(column->memo);
    k2_free(column->entries);
    k2_free(column->values);
    k2_free(column->page_list);
    k2_free(column->seen);
}

void k2_parquet_column_clear(struct k2_parquet_column *column)
{
    k2_parquet_dictionary_clear(&column->dictionary);
    k2_buffer_clear(&column->plain);
    k2_buffer_clear(&column->pages);
    k2_buffer_clear(&column->dictionary_page);
    k2_buffer_clear(&column->min_text);
    k2_buffer_clear(&column->max_text);
    column->way = k2_parquet_is_text(column)                  ? K2_PARQUET_BY_DICTIONARY
                  : column->field->type == K2_PARQUET_BOOLEAN ? K2_PARQUET_AS_PLAIN
                                                              : K2_PARQUET_UNDECIDED;
    column->uncompressed = column->has_last = false;
    column->page_rows = column->page_values = column->page_plain_bytes = 0;
    column->level_count = column->lead = column->null_lead = 0;
    column->memo_round++;
    column->has_range = false;
    column->page_count = column->dictionary_page_count = column->delta_page_count = 0;
    column->row_count = column->null_count = column->uncompressed_bytes = 0;
}

size_t k2_parquet_column_bytes(const struct k2_parquet_column *column)
{
    return column->pages.size_bytes + column->plain.size_bytes +
           column->dictionary.plain.size_bytes + sizeof *column->values * column->page_values;
}

// ---- pages --------------------------------------------------------------------------------------

static void put_page_header(struct k2_buffer *out, int32_t page_type, size_t body_bytes,
                            size_t packed_bytes, size_t value_count, int32_t encoding)
{
    struct k2_thrift_writer thrift = {.out = out};
    k2_thrift_struct_begin(&thrift);
    k2_thrift_field_i32(&thrift, 1, page_type);
    k2_thrift_field_i32(&thrift, 2, (int32_t)body_bytes);
    k2_thrift_field_i32(&thrift, 3, (int32_t)packed_bytes);
    k2_thrift_field_struct(&thrift, page_type == PAGE_DATA ? 5 : 7);
    k2_thrift_field_i32(&thrift, 1, (int32_t)value_count);
    k2_thrift_field_i32(&thrift, 2, encoding);
    if (page_type == PAGE_DATA) {
        k2_thrift_field_i32(&thrift, 3, K2_PARQUET_ENCODING_RLE);
        k2_thrift_field_i32(&thrift, 4, K2_PARQUET_ENCODING_RLE);
    }
    k2_thrift_struct_end(&thrift);
    k2_thrift_struct_end(&thrift);
}

// Appends header and compressed body to `out`.
static enum k2_status put_page(struct k2_parquet_column *column, int32_t page_type,
                               size_t value_count, int32_t encoding, struct k2_buffer *out,
                               struct k2_error *error)
{
    struct k2_buffer *body = &column->scratch->body, *packed = &column->scratch->packed;
    enum k2_status status = k2_buffer_check(body, "parquet: page", error);
    if (status != K2_OK) {
        return status;
    }
    k2_buffer_clear(packed);
    if (!column->uncompressed) {
        bool texts = k2_parquet_is_text(column) && encoding == K2_PARQUET_ENCODING_PLAIN;
        k2_zstd_compress(column->scratch->compressor, k2_buffer_slice(body),
                         texts ? K2_ZSTD_TEXTS : K2_ZSTD_NUMBERS, packed);
    }
    if (packed->failed) {
        return no_memory(error);
    }
    if (column->page_count == 1 && encoding == K2_PARQUET_ENCODING_DELTA &&
        packed->size_bytes > body->size_bytes - body->size_bytes / LEAST_SAVING) {
        column->uncompressed = true; // all of a chunk is, or nothing
    }
    packed = column->uncompressed ? body : packed;
    size_t before = out->size_bytes;
    put_page_header(out, page_type, body->size_bytes, packed->size_bytes, value_count, encoding);
    column->uncompressed_bytes += out->size_bytes - before + body->size_bytes;
    k2_put_bytes(out, packed->data, packed->size_bytes);
    return k2_buffer_check(out, "parquet: column", error);
}

// Fixed values of the dictionary are 8 bytes there, however wide the type is.
static void put_narrow(const struct k2_parquet_column *column, uint32_t entry,
                       struct k2_buffer *out)
{
    struct k2_slice value = k2_parquet_dictionary_entry(&column->dictionary, entry);
    k2_put_bytes(out, value.data, k2_parquet_width_bytes(column));
}

unsigned k2_parquet_entry_bits(const struct k2_parquet_column *column)
{
    size_t count = column->dictionary.entry_count;
    return count <= 2 ? 1 : k2_parquet_bit_width((uint32_t)count - 1);
}

// A dictionary that is no smaller than the texts of the first page is given up.
static bool dictionary_pays(const struct k2_parquet_column *column)
{
    return column->dictionary.plain.size_bytes +
               column->page_values * k2_parquet_entry_bits(column) / 8 <
           column->page_plain_bytes;
}

static enum k2_status give_up_dictionary(struct k2_parquet_column *column, struct k2_error *error)
{
    k2_parquet_settle(column);
    for (size_t i = 0; i < column->page_values; i++) {
        uint32_t entry = column->entries[i];
        struct k2_slice text = k2_parquet_dictionary_entry(&column->dictionary, entry);
        if (k2_parquet_prefix_bytes(column) > 0) {
            k2_put_u32(&column->plain, (uint32_t)text.size_bytes);
        }
        k2_put_bytes(&column->plain, text.data, text.size_bytes);
    }
    column->way = K2_PARQUET_AS_PLAIN;
    column->has_last = false;
    k2_parquet_dictionary_clear(&column->dictionary);
    return k2_buffer_check(&column->plain, "parquet: page", error);
}

static void put_levels(struct k2_parquet_column *column, struct k2_buffer *body)
{
    if (!column->field->optional) {
        return;
    }
    k2_put_u32(body, 0);
    if (column->page_values == column->page_rows) {
        k2_parquet_put_run(body, 1, column->page_rows, 1);
    } else if (column->null_lead > 0) {
        k2_parquet_put_run(body, 0, column->page_rows, 1);
    } else {
        k2_parquet_fill_levels(column);
        k2_parquet_put_runs(body, column->levels, column->page_rows, 1);
    }
    k2_buffer_patch_u32(body, 0, (uint32_t)body->size_bytes - 4);
}

static void put_texts(struct k2_parquet_column *column, struct k2_buffer *body, int32_t *encoding)
{
    bool by_entries = column->way == K2_PARQUET_BY_DICTIONARY && column->page_values > 0;
    *encoding = by_entries ? K2_PARQUET_ENCODING_DICTIONARY : K2_PARQUET_ENCODING_PLAIN;
    if (by_entries) {
        unsigned bits = k2_parquet_entry_bits(column);
        k2_put_u8(body, (uint8_t)bits);
        if (column->lead > 0) {
            k2_parquet_put_run(body, (uint32_t)column->lead_value, column->lead, bits);
        } else {
            k2_parquet_put_runs(body, column->entries, column->page_values, bits);
        }
    } else {
        k2_put_bytes(body, column->plain.data, column->plain.size_bytes);
    }
}

static enum k2_status add_page(struct k2_parquet_column *column, struct k2_parquet_page **page,
                               struct k2_error *error)
{
    if (column->page_count == column->page_room) {
        size_t room = column->page_room == 0 ? 16 : column->page_room * 2;
        struct k2_parquet_page *list = k2_realloc(column->page_list, room, sizeof *list);
        if (list == NULL) {
            return no_memory(error);
        }
        column->page_list = list;
        column->page_room = room;
    }
    *page = &column->page_list[column->page_count++];
    **page = (struct k2_parquet_page){.offset = column->pages.size_bytes,
                                      .first_row = column->row_count,
                                      .null_count = column->page_rows - column->page_values,
                                      .all_null = column->page_values == 0};
    return K2_OK;
}

enum k2_status k2_parquet_close_page(struct k2_parquet_column *column, struct k2_error *error)
{
    bool text = k2_parquet_is_text(column);
    enum k2_status status = K2_OK;
    if (column->page_rows == 0) {
        return K2_OK;
    }
    if (column->lead > 0 && column->lead < K2_PARQUET_FEW) {
        k2_parquet_settle(column); // too few for the choices that are made once for runs
    }
    if (text && column->way == K2_PARQUET_BY_DICTIONARY && column->page_values > 0 &&
        column->dictionary_page_count == 0 && !dictionary_pays(column)) {
        status = give_up_dictionary(column, error);
    }
    struct k2_parquet_page *page = NULL;
    if (status == K2_OK) {
        status = add_page(column, &page, error);
    }
    if (status == K2_OK) {
        status = k2_parquet_bound_page(column, page, error);
    }
    if (status != K2_OK) {
        return status;
    }
    struct k2_buffer *body = &column->scratch->body;
    int32_t encoding = K2_PARQUET_ENCODING_PLAIN;
    k2_buffer_clear(body);
    put_levels(column, body);
    if (text) {
        put_texts(column, body, &encoding);
    } else {
        status = k2_parquet_put_numbers(column, body, &encoding, error);
    }
    if (status == K2_OK) {
        status = put_page(column, PAGE_DATA, column->page_rows, encoding, &column->pages, error);
    }
    page->size_bytes = column->pages.size_bytes - page->offset;
    column->dictionary_page_count += encoding == K2_PARQUET_ENCODING_DICTIONARY;
    column->delta_page_count += encoding == K2_PARQUET_ENCODING_DELTA;
    column->row_count += column->page_rows;
    column->null_count += page->null_count;
    column->page_rows = column->page_values = column->page_plain_bytes = 0;
    column->level_count = column->lead = column->null_lead = 0;
    k2_buffer_clear(&column->plain);
    return status;
}

enum k2_status k2_parquet_column_end(struct k2_parquet_column *column, struct k2_error *error)
{
    enum k2_status status = k2_parquet_close_page(column, error);
    if (status != K2_OK || column->dictionary_page_count == 0) {
        return status;
    }
    struct k2_buffer *body = &column->scratch->body;
    k2_buffer_clear(body);
    if (k2_parquet_is_text(column)) {
        k2_put_bytes(body, column->dictionary.plain.data, column->dictionary.plain.size_bytes);
    } else {
        for (uint32_t entry = 0; entry < column->dictionary.entry_count; entry++) {
            put_narrow(column, entry, body);
        }
    }
    return put_page(column, PAGE_DICTIONARY, column->dictionary.entry_count,
                    K2_PARQUET_ENCODING_PLAIN, &column->dictionary_page, error);
}
