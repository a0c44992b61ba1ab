#include "format/parquet/parquet_column.h"

#include <assert.h>
#include <math.h>

#include "format/base/alloc.h"
#include "format/base/utf8.h"
#include "format/parquet/parquet_runs.h"
#include "format/parquet/thrift_compact.h"

// As Parquet numbers them.
enum {
    PAGE_DATA = 0,
    PAGE_DICTIONARY = 2,
    ENCODING_PLAIN = 0,
    ENCODING_RLE = 3,
    ENCODING_RLE_DICTIONARY = 8,
    NS_PER_US = 1000,
    SCRATCH_BYTES = 1 << 30,
    MEMO = 4096,
    HINT_ROWS = 16, // so far ahead the dictionary is told what comes
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
    return scratch->compressor == NULL ? no_memory(error) : K2_OK;
}

void k2_parquet_scratch_deinit(struct k2_parquet_scratch *scratch)
{
    k2_zstd_compressor_destroy(scratch->compressor);
    k2_buffer_deinit(&scratch->body);
    k2_buffer_deinit(&scratch->packed);
    k2_buffer_deinit(&scratch->text);
}

static bool is_text(const struct k2_parquet_column *column)
{
    return column->field->type == K2_PARQUET_BYTE_ARRAY ||
           column->field->type == K2_PARQUET_FIXED_BYTES;
}

static size_t prefix_bytes(const struct k2_parquet_column *column)
{
    return column->field->type == K2_PARQUET_BYTE_ARRAY ? 4 : 0;
}

// Of a value of a fixed type in a PLAIN page; booleans stand as bytes until the page is closed.
static size_t width_bytes(const struct k2_parquet_column *column)
{
    switch (column->field->type) {
    case K2_PARQUET_BOOLEAN:
        return 1;
    case K2_PARQUET_INT32:
        return 4;
    default:
        return 8;
    }
}

enum k2_status k2_parquet_column_init(struct k2_parquet_column *column,
                                      const struct k2_parquet_field *field,
                                      struct k2_parquet_scratch *scratch, struct k2_error *error)
{
    *column = (struct k2_parquet_column){.field = field, .scratch = scratch};
    k2_parquet_dictionary_init(&column->dictionary, prefix_bytes(column));
    k2_buffer_init(&column->plain, SCRATCH_BYTES);
    k2_buffer_init(&column->pages, K2_PARQUET_CHUNK_BYTES);
    k2_buffer_init(&column->dictionary_page, K2_PARQUET_CHUNK_BYTES);
    k2_buffer_init(&column->min_text, SCRATCH_BYTES);
    k2_buffer_init(&column->max_text, SCRATCH_BYTES);
    column->entries = k2_alloc(K2_PARQUET_PAGE_ROWS * sizeof *column->entries);
    if (field->optional) {
        column->levels = k2_alloc(K2_PARQUET_PAGE_ROWS * sizeof *column->levels);
    }
    bool symbolic = field->column->kind == K2_KIND_SYMBOLIC;
    if (symbolic) {
        column->memo = k2_alloc_zero(MEMO, sizeof *column->memo);
    }
    k2_parquet_column_clear(column);
    bool complete = (!symbolic || column->memo != NULL) && column->entries != NULL &&
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
    column->uses_dictionary = column->field->type != K2_PARQUET_BOOLEAN;
    column->has_last = false;
    column->page_rows = column->page_values = column->page_plain_bytes = 0;
    column->level_count = 0;
    column->memo_round++;
    column->page_has_range = column->has_range = false;
    column->page_count = column->dictionary_page_count = 0;
    column->row_count = column->null_count = column->uncompressed_bytes = 0;
}

size_t k2_parquet_column_bytes(const struct k2_parquet_column *column)
{
    return column->pages.size_bytes + column->plain.size_bytes +
           column->dictionary.plain.size_bytes;
}

// ---- bounds -------------------------------------------------------------------------------------

// Doubles in the order of integers: the bits of negative ones are turned round.
static int64_t double_order(int64_t bits)
{
    return bits < 0 ? bits ^ INT64_MAX : bits;
}

static bool is_nan(int64_t bits)
{
    return (bits & INT64_MAX) > 0x7ff0000000000000;
}

static void widen(struct k2_parquet_column *column, int64_t value)
{
    if (column->field->type == K2_PARQUET_DOUBLE) {
        if (is_nan(value)) {
            return;
        }
        value = double_order(value);
    }
    if (!column->page_has_range) {
        column->page_has_range = true;
        column->page_min = column->page_max = value;
    }
    column->page_min = value < column->page_min ? value : column->page_min;
    column->page_max = value > column->page_max ? value : column->page_max;
}

// Little-endian, whatever the machine is.
static void store(uint8_t *place, size_t width, int64_t value)
{
    for (size_t i = 0; i < width; i++) {
        place[i] = (uint8_t)((uint64_t)value >> 8 * i);
    }
}

static void put_fixed(struct k2_parquet_bound *bound, size_t size_bytes, int64_t value)
{
    bound->exact = true;
    bound->size_bytes = (uint8_t)size_bytes;
    store(bound->bytes, size_bytes, value);
}

// Both zeros are equal to readers, so the smallest is written as -0 and the largest as 0.
static void fixed_bounds(const struct k2_parquet_column *column, int64_t min, int64_t max,
                         struct k2_parquet_bound *min_bound, struct k2_parquet_bound *max_bound)
{
    if (column->field->type == K2_PARQUET_DOUBLE) {
        min = min == 0 ? INT64_MIN : double_order(min);
        max = max == double_order(INT64_MIN) ? 0 : double_order(max);
    }
    put_fixed(min_bound, width_bytes(column), min);
    put_fixed(max_bound, width_bytes(column), max);
}

// The next text of a PLAIN page that K2 has just made.
static struct k2_slice read_plain(const struct k2_parquet_column *column,
                                  struct k2_byte_reader *reader)
{
    size_t size = K2_PARQUET_UUID_BYTES;
    if (column->field->type == K2_PARQUET_BYTE_ARRAY) {
        size = k2_read_u32(reader);
    }
    return k2_read_bytes(reader, size);
}

static void widen_text(bool first, struct k2_slice text, struct k2_slice *min, struct k2_slice *max)
{
    if (first || k2_slice_compare(text, *min) < 0) {
        *min = text;
    }
    if (first || k2_slice_compare(text, *max) > 0) {
        *max = text;
    }
}

// The smallest and largest text of the open page, which has one. Texts are borrowed from it.
static enum k2_status page_text_range(struct k2_parquet_column *column, struct k2_slice *min,
                                      struct k2_slice *max, struct k2_error *error)
{
    if (!column->uses_dictionary) {
        struct k2_byte_reader reader = {.rest = k2_buffer_slice(&column->plain)};
        for (size_t i = 0; i < column->page_values; i++) {
            widen_text(i == 0, read_plain(column, &reader), min, max);
        }
        return K2_OK;
    }
    if (column->seen_room < column->dictionary.entry_room) {
        uint8_t *seen = k2_realloc(column->seen, column->dictionary.entry_room, sizeof *seen);
        if (seen == NULL) {
            return no_memory(error);
        }
        column->seen = seen;
        column->seen_room = column->dictionary.entry_room;
    }
    memset(column->seen, 0, column->dictionary.entry_count);
    for (size_t i = 0; i < column->page_values; i++) {
        uint32_t entry = column->entries[i];
        if (!column->seen[entry]) {
            column->seen[entry] = 1;
            widen_text(i == 0, k2_parquet_dictionary_entry(&column->dictionary, entry), min, max);
        }
    }
    return K2_OK;
}

static void keep_text(struct k2_buffer *kept, struct k2_slice text)
{
    k2_buffer_clear(kept);
    k2_put_bytes(kept, text.data, text.size_bytes);
}

static enum k2_status bound_texts(struct k2_parquet_column *column, struct k2_parquet_page *page,
                                  struct k2_error *error)
{
    struct k2_slice min = {0}, max = {0};
    enum k2_status status = page_text_range(column, &min, &max, error);
    if (status != K2_OK) {
        return status;
    }
    if (!column->has_range || k2_slice_compare(min, k2_buffer_slice(&column->min_text)) < 0) {
        keep_text(&column->min_text, min);
    }
    if (!column->has_range || k2_slice_compare(max, k2_buffer_slice(&column->max_text)) > 0) {
        keep_text(&column->max_text, max);
    }
    if (column->min_text.failed || column->max_text.failed) {
        return no_memory(error);
    }
    column->has_range = true;
    k2_parquet_bound_min(&page->min, min);
    page->has_bounds = k2_parquet_bound_max(&page->max, max);
    return K2_OK;
}

static enum k2_status bound_page(struct k2_parquet_column *column, struct k2_parquet_page *page,
                                 struct k2_error *error)
{
    if (is_text(column)) {
        return column->page_values > 0 ? bound_texts(column, page, error) : K2_OK;
    }
    if (!column->page_has_range) {
        return K2_OK;
    }
    page->has_bounds = true;
    fixed_bounds(column, column->page_min, column->page_max, &page->min, &page->max);
    if (!column->has_range || column->page_min < column->min) {
        column->min = column->page_min;
    }
    if (!column->has_range || column->page_max > column->max) {
        column->max = column->page_max;
    }
    column->has_range = true;
    return K2_OK;
}

void k2_parquet_column_bounds(const struct k2_parquet_column *column, bool *has_min,
                              struct k2_parquet_bound *min, bool *has_max,
                              struct k2_parquet_bound *max)
{
    *has_min = *has_max = column->has_range;
    if (!column->has_range) {
        return;
    }
    if (!is_text(column)) {
        fixed_bounds(column, column->min, column->max, min, max);
        return;
    }
    k2_parquet_bound_min(min, k2_buffer_slice(&column->min_text));
    *has_max = k2_parquet_bound_max(max, k2_buffer_slice(&column->max_text));
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
        k2_thrift_field_i32(&thrift, 3, ENCODING_RLE);
        k2_thrift_field_i32(&thrift, 4, ENCODING_RLE);
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
    k2_zstd_compress(column->scratch->compressor, k2_buffer_slice(body), packed);
    if (packed->failed) {
        return no_memory(error);
    }
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
    k2_put_bytes(out, value.data, width_bytes(column));
}

// A dictionary that is no smaller than the values of the first page is given up.
static enum k2_status give_up_dictionary(struct k2_parquet_column *column, struct k2_error *error)
{
    for (size_t i = 0; i < column->page_values; i++) {
        uint32_t entry = column->entries[i];
        if (!is_text(column)) {
            put_narrow(column, entry, &column->plain);
            continue;
        }
        struct k2_slice text = k2_parquet_dictionary_entry(&column->dictionary, entry);
        if (prefix_bytes(column) > 0) {
            k2_put_u32(&column->plain, (uint32_t)text.size_bytes);
        }
        k2_put_bytes(&column->plain, text.data, text.size_bytes);
    }
    column->uses_dictionary = column->has_last = false;
    k2_parquet_dictionary_clear(&column->dictionary);
    return k2_buffer_check(&column->plain, "parquet: page", error);
}

static unsigned entry_bits(const struct k2_parquet_column *column)
{
    size_t count = column->dictionary.entry_count;
    return count <= 2 ? 1 : k2_parquet_bit_width((uint32_t)count - 1);
}

static bool dictionary_pays(const struct k2_parquet_column *column)
{
    size_t values = column->dictionary.plain.size_bytes;
    if (!is_text(column)) {
        values = column->dictionary.entry_count * width_bytes(column);
    }
    return values + column->page_values * entry_bits(column) / 8 < column->page_plain_bytes;
}

// Levels of rows that are not null are set when the first null comes, or the page ends.
static void fill_levels(struct k2_parquet_column *column)
{
    for (; column->level_count < column->page_rows; column->level_count++) {
        column->levels[column->level_count] = 1;
    }
}

static void put_levels(struct k2_parquet_column *column, struct k2_buffer *body)
{
    if (!column->field->optional) {
        return;
    }
    k2_put_u32(body, 0);
    if (column->page_values == column->page_rows) {
        k2_parquet_put_run(body, 1, column->page_rows, 1);
    } else {
        fill_levels(column);
        k2_parquet_put_runs(body, column->levels, column->page_rows, 1);
    }
    k2_buffer_patch_u32(body, 0, (uint32_t)body->size_bytes - 4);
}

static void put_plain(const struct k2_parquet_column *column, struct k2_buffer *body)
{
    if (column->field->type != K2_PARQUET_BOOLEAN) {
        k2_put_bytes(body, column->plain.data, column->plain.size_bytes);
        return;
    }
    for (size_t i = 0; i < column->page_values; i += 8) {
        unsigned bits = 0;
        for (size_t j = i; j < column->page_values && j < i + 8; j++) {
            bits |= (unsigned)(column->plain.data[j] != 0) << (j - i);
        }
        k2_put_u8(body, (uint8_t)bits);
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

static enum k2_status close_page(struct k2_parquet_column *column, struct k2_error *error)
{
    if (column->page_rows == 0) {
        return K2_OK;
    }
    enum k2_status status = K2_OK;
    if (column->uses_dictionary && column->page_values > 0 && column->dictionary_page_count == 0 &&
        !dictionary_pays(column)) {
        status = give_up_dictionary(column, error);
    }
    struct k2_parquet_page *page = NULL;
    if (status == K2_OK) {
        status = add_page(column, &page, error);
    }
    if (status == K2_OK) {
        status = bound_page(column, page, error);
    }
    if (status != K2_OK) {
        return status;
    }
    struct k2_buffer *body = &column->scratch->body;
    k2_buffer_clear(body);
    put_levels(column, body);
    bool by_entries = column->uses_dictionary && column->page_values > 0;
    if (by_entries) {
        unsigned bits = entry_bits(column);
        k2_put_u8(body, (uint8_t)bits);
        k2_parquet_put_runs(body, column->entries, column->page_values, bits);
    } else {
        put_plain(column, body);
    }
    status = put_page(column, PAGE_DATA, column->page_rows,
                      by_entries ? ENCODING_RLE_DICTIONARY : ENCODING_PLAIN, &column->pages, error);
    page->size_bytes = column->pages.size_bytes - page->offset;
    column->dictionary_page_count += by_entries;
    column->row_count += column->page_rows;
    column->null_count += page->null_count;
    column->page_rows = column->page_values = column->page_plain_bytes = 0;
    column->level_count = 0;
    column->page_has_range = false;
    k2_buffer_clear(&column->plain);
    return status;
}

enum k2_status k2_parquet_column_end(struct k2_parquet_column *column, struct k2_error *error)
{
    enum k2_status status = close_page(column, error);
    if (status != K2_OK || column->dictionary_page_count == 0) {
        return status;
    }
    struct k2_buffer *body = &column->scratch->body;
    k2_buffer_clear(body);
    if (is_text(column)) {
        k2_put_bytes(body, column->dictionary.plain.data, column->dictionary.plain.size_bytes);
    } else {
        for (uint32_t entry = 0; entry < column->dictionary.entry_count; entry++) {
            put_narrow(column, entry, body);
        }
    }
    return put_page(column, PAGE_DICTIONARY, column->dictionary.entry_count, ENCODING_PLAIN,
                    &column->dictionary_page, error);
}

// ---- rows ---------------------------------------------------------------------------------------

// Ends the use of the dictionary: it is full.
static enum k2_status leave_dictionary(struct k2_parquet_column *column, struct k2_error *error)
{
    enum k2_status status = close_page(column, error);
    column->uses_dictionary = column->has_last = false;
    return status;
}

static bool is_same(struct k2_slice left, struct k2_slice right)
{
    return left.data == right.data && left.size_bytes == right.size_bytes;
}

// Into last_entry. Texts of a symbolic column stand at few places, within one put.
static enum k2_parquet_lookup find_text(struct k2_parquet_column *column, struct k2_slice text)
{
    if (column->memo == NULL) {
        return k2_parquet_dictionary_find(&column->dictionary, text, &column->last_entry);
    }
    uint64_t place = (uint64_t)(uintptr_t)text.data * 0x9e3779b97f4a7c15u;
    struct k2_parquet_memo *memo = &column->memo[(place >> 32) % MEMO];
    if (memo->data == text.data && memo->size_bytes == text.size_bytes &&
        (memo->round == column->memo_round ||
         (memo->entry < column->dictionary.entry_count &&
          k2_slice_equal(k2_parquet_dictionary_entry(&column->dictionary, memo->entry), text)))) {
        memo->round = column->memo_round;
        column->last_entry = memo->entry;
        return K2_PARQUET_FOUND;
    }
    enum k2_parquet_lookup lookup =
        k2_parquet_dictionary_find(&column->dictionary, text, &column->last_entry);
    if (lookup == K2_PARQUET_FOUND || lookup == K2_PARQUET_ADDED) {
        *memo = (struct k2_parquet_memo){text.data, text.size_bytes, column->last_entry,
                                         column->memo_round};
    }
    return lookup;
}

static enum k2_status put_text(struct k2_parquet_column *column, struct k2_slice text,
                               struct k2_error *error)
{
    if (column->uses_dictionary) {
        if (!column->has_last || !is_same(column->last_text, text)) {
            switch (find_text(column, text)) {
            case K2_PARQUET_NO_MEMORY:
                column->has_last = false;
                return no_memory(error);
            case K2_PARQUET_FULL: {
                enum k2_status status = leave_dictionary(column, error);
                return status == K2_OK ? put_text(column, text, error) : status;
            }
            default:
                // Texts of the scratch buffer change where they stand.
                column->has_last = column->field->column->kind != K2_KIND_TEXT;
                column->last_text = text;
            }
        }
        column->entries[column->page_values++] = column->last_entry;
    } else {
        if (prefix_bytes(column) > 0) {
            k2_put_u32(&column->plain, (uint32_t)text.size_bytes);
        }
        k2_put_bytes(&column->plain, text.data, text.size_bytes);
        column->page_values++;
    }
    column->page_plain_bytes += prefix_bytes(column) + text.size_bytes;
    return K2_OK;
}

static enum k2_status put_row_text(struct k2_parquet_column *column, struct k2_slice text,
                                   struct k2_error *error)
{
    enum k2_kind kind = column->field->column->kind;
    if (kind == K2_KIND_UUID && text.size_bytes != K2_PARQUET_UUID_BYTES) {
        return k2_fail(error, K2_CORRUPT, "column %s: a uuid of %zu bytes", column->field->name,
                       text.size_bytes);
    }
    if (kind == K2_KIND_TEXT && !k2_utf8_is_valid(text)) {
        k2_buffer_clear(&column->scratch->text);
        k2_utf8_put_mended(&column->scratch->text, text); // readers refuse what is no UTF-8
        text = k2_buffer_slice(&column->scratch->text);
        if (column->scratch->text.failed) {
            return no_memory(error);
        }
    }
    return put_text(column, text, error);
}

static int64_t floor_us(int64_t time_ns)
{
    int64_t quotient = time_ns / NS_PER_US;
    return quotient - (time_ns % NS_PER_US < 0);
}

static bool is_valid(const struct k2_parquet_column *column, const struct k2_vector *vector,
                     size_t row)
{
    return !column->field->optional || vector->valid == NULL || vector->valid[row] != 0;
}

static void put_level(struct k2_parquet_column *column, bool valid)
{
    if (!valid) {
        fill_levels(column);
        column->levels[column->level_count++] = 0;
    }
    column->page_rows++;
}

// The values of rows that are not null, at most K2_VECTOR_ROWS, and the levels of all.
static size_t take_values(struct k2_parquet_column *column, const struct k2_vector *vector,
                          size_t first_row, size_t row_count, int64_t *values)
{
    if (!column->field->optional || vector->valid == NULL) {
        memcpy(values, vector->values + first_row, row_count * sizeof *values);
        column->page_rows += row_count;
        return row_count;
    }
    size_t count = 0;
    for (size_t row = first_row; row < first_row + row_count; row++) {
        bool valid = vector->valid[row] != 0;
        put_level(column, valid);
        values[count] = vector->values[row];
        count += valid;
    }
    return count;
}

static void widen_all(struct k2_parquet_column *column, const int64_t *values, size_t count)
{
    if (column->field->type == K2_PARQUET_DOUBLE) {
        for (size_t i = 0; i < count; i++) {
            widen(column, values[i]);
        }
        return;
    }
    if (count == 0) {
        return;
    }
    int64_t min = values[0], max = values[0];
    for (size_t i = 1; i < count; i++) {
        min = values[i] < min ? values[i] : min;
        max = values[i] > max ? values[i] : max;
    }
    widen(column, min);
    widen(column, max);
}

// Appends the values to the plain ones of the page.
static enum k2_status put_plain_values(struct k2_parquet_column *column, const int64_t *values,
                                       size_t count, struct k2_error *error)
{
    size_t width = width_bytes(column);
    uint8_t *place = k2_buffer_extend(&column->plain, count * width);
    if (place == NULL) {
        return k2_buffer_check(&column->plain, "parquet: page", error);
    }
    if (width == 8 && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__) {
        memcpy(place, values, count * width);
    } else {
        for (size_t i = 0; i < count; i++) {
            store(place + i * width, width, values[i]);
        }
    }
    column->page_values += count;
    column->page_plain_bytes += count * width;
    widen_all(column, values, count);
    return K2_OK;
}

// Appends the entries of values to the page, as far as the dictionary takes them. `*taken` less
// than `count`: it is full.
static enum k2_status put_entries(struct k2_parquet_column *column, const int64_t *values,
                                  size_t count, size_t *taken, struct k2_error *error)
{
    enum k2_parquet_lookup lookup = K2_PARQUET_FOUND;
    size_t at = 0;
    for (; at < count; at++) {
        if (at + HINT_ROWS < count) {
            k2_parquet_dictionary_hint(&column->dictionary, (uint64_t)values[at + HINT_ROWS]);
        }
        if (!column->has_last || column->last_value != values[at]) {
            lookup = k2_parquet_dictionary_find_u64(&column->dictionary, (uint64_t)values[at],
                                                    &column->last_entry);
            column->has_last = lookup == K2_PARQUET_FOUND || lookup == K2_PARQUET_ADDED;
            if (!column->has_last) {
                break;
            }
            column->last_value = values[at];
        }
        column->entries[column->page_values + at] = column->last_entry;
    }
    *taken = at;
    column->page_values += at;
    column->page_plain_bytes += at * width_bytes(column);
    widen_all(column, values, at);
    return lookup == K2_PARQUET_NO_MEMORY ? no_memory(error) : K2_OK;
}

// Rows of a fixed type, at most as many as the page has room for.
static enum k2_status put_numbers(struct k2_parquet_column *column, const struct k2_vector *vector,
                                  size_t first_row, size_t row_count, size_t *rows_taken,
                                  struct k2_error *error)
{
    int64_t values[K2_VECTOR_ROWS];
    size_t rows_before = column->page_rows;
    size_t count = take_values(column, vector, first_row, row_count, values), taken = count;
    for (size_t i = 0; column->field->microseconds && i < count; i++) {
        values[i] = floor_us(values[i]);
    }
    *rows_taken = row_count;
    if (!column->uses_dictionary) {
        return put_plain_values(column, values, count, error);
    }
    enum k2_status status = put_entries(column, values, count, &taken, error);
    if (status != K2_OK || taken == count) {
        return status;
    }
    // Full: the page ends behind the rows whose values it has.
    size_t row = first_row;
    for (size_t seen = 0; seen < taken || !is_valid(column, vector, row); row++) {
        seen += is_valid(column, vector, row);
    }
    *rows_taken = row - first_row;
    column->page_rows = rows_before + *rows_taken;
    column->level_count =
        column->level_count < column->page_rows ? column->level_count : column->page_rows;
    return leave_dictionary(column, error);
}

// One row of a text type; the value before its level, because it may close the page.
static enum k2_status put_text_row(struct k2_parquet_column *column, const struct k2_vector *vector,
                                   size_t row, struct k2_error *error)
{
    enum k2_status status = K2_OK;
    bool valid = is_valid(column, vector, row);
    if (valid) {
        status = put_row_text(column, vector->texts[row], error);
    }
    put_level(column, valid);
    return status;
}

enum k2_status k2_parquet_column_put(struct k2_parquet_column *column,
                                     const struct k2_vector *vector, size_t first_row,
                                     size_t row_count, struct k2_error *error)
{
    column->has_last = column->has_last && !is_text(column);
    column->memo_round++; // texts may have moved since the last call
    enum k2_status status = K2_OK;
    for (size_t row = first_row, end = first_row + row_count; row < end && status == K2_OK;) {
        size_t room = K2_PARQUET_PAGE_ROWS - column->page_rows;
        if (!is_text(column)) {
            size_t count = end - row < room ? end - row : room;
            status = put_numbers(column, vector, row, count, &count, error);
            row += count;
        } else {
            status = put_text_row(column, vector, row++, error);
        }
        if (status == K2_OK) {
            status = k2_buffer_check(&column->plain, "parquet: page", error);
        }
        if (status == K2_OK && (column->page_rows == K2_PARQUET_PAGE_ROWS ||
                                column->plain.size_bytes >= K2_PARQUET_PAGE_BYTES)) {
            status = close_page(column, error);
        }
    }
    return status;
}
