// The part of parquet_column.h that finds bounds of pages and chunks.
#include <assert.h>

#include "format/base/alloc.h"
#include "format/codec/bitpack.h"
#include "format/parquet/parquet_column_private.h"

// Doubles in the order of integers: the bits of negative ones are turned round.
static int64_t double_order(int64_t bits)
{
    return bits < 0 ? bits ^ INT64_MAX : bits;
}

static bool is_nan(int64_t bits)
{
    return (bits & INT64_MAX) > 0x7ff0000000000000;
}

static void put_fixed(struct k2_parquet_bound *bound, size_t size_bytes, int64_t value)
{
    bound->exact = true;
    bound->size_bytes = (uint8_t)size_bytes;
    k2_parquet_store(bound->bytes, size_bytes, value);
}

// Both zeros are equal to readers, so the smallest is written as -0 and the largest as 0.
static void fixed_bounds(const struct k2_parquet_column *column, int64_t min, int64_t max,
                         struct k2_parquet_bound *min_bound, struct k2_parquet_bound *max_bound)
{
    if (column->field->type == K2_PARQUET_DOUBLE) {
        min = min == 0 ? INT64_MIN : double_order(min);
        max = max == double_order(INT64_MIN) ? 0 : double_order(max);
    }
    put_fixed(min_bound, k2_parquet_width_bytes(column), min);
    put_fixed(max_bound, k2_parquet_width_bytes(column), max);
}

// The next text of a PLAIN page that K2 has just made.
static struct k2_slice read_plain(const struct k2_parquet_column *column,
                                  struct k2_byte_reader *reader)
{
    size_t size = K2_PARQUET_UUID_BYTES;
    if (column->field->type == K2_PARQUET_BYTE_ARRAY) {
        size = k2_read_u32(reader);
    }
    struct k2_slice text = k2_read_bytes(reader, size);
    assert(text.data != NULL);
    return text;
}

struct text_range {
    struct k2_slice min, max;
    uint64_t min_key, max_key;
    bool begun;
};

// The first 8 bytes as a number in the order of texts; 0 stands for those that are not there.
static uint64_t text_key(struct k2_slice text)
{
    uint64_t key = 0;
    size_t size = text.size_bytes < sizeof key ? text.size_bytes : sizeof key;
    if (size == sizeof key && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__) {
        memcpy(&key, text.data, sizeof key);
        return __builtin_bswap64(key);
    }
    if (size >= 4 && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__) { // two pieces that overlap
        uint32_t first, last;
        memcpy(&first, text.data, sizeof first);
        memcpy(&last, text.data + size - sizeof last, sizeof last);
        return (uint64_t)__builtin_bswap32(first) << 32 | (uint64_t)__builtin_bswap32(last)
                                                              << (64 - 8 * size);
    }
    for (size_t i = 0; i < size; i++) {
        key |= (uint64_t)text.data[i] << (56 - 8 * i);
    }
    return key;
}

static void widen_text(struct text_range *range, struct k2_slice text)
{
    uint64_t key = text_key(text);
    if (!range->begun) {
        *range = (struct text_range){text, text, key, key, true};
        return;
    }
    if (key < range->min_key || (key == range->min_key && k2_slice_compare(text, range->min) < 0)) {
        range->min = text;
        range->min_key = key;
    }
    if (key > range->max_key || (key == range->max_key && k2_slice_compare(text, range->max) > 0)) {
        range->max = text;
        range->max_key = key;
    }
}

// The smallest and largest text of the open page, which has one. Texts are borrowed from it.
static enum k2_status page_text_range(struct k2_parquet_column *column, struct text_range *range,
                                      struct k2_error *error)
{
    if (column->way == K2_PARQUET_AS_PLAIN) {
        struct k2_byte_reader reader = {.rest = k2_buffer_slice(&column->plain)};
        for (size_t i = 0; i < column->page_values; i++) {
            widen_text(range, read_plain(column, &reader));
        }
        return K2_OK;
    }
    if (column->lead > 0) { // one text
        widen_text(range,
                   k2_parquet_dictionary_entry(&column->dictionary, (uint32_t)column->lead_value));
        return K2_OK;
    }
    if (column->seen_room < column->dictionary.entry_room) {
        uint8_t *seen = k2_realloc(column->seen, column->dictionary.entry_room, sizeof *seen);
        if (seen == NULL) {
            return k2_fail(error, K2_NO_MEMORY, "parquet: no memory");
        }
        column->seen = seen;
        column->seen_room = column->dictionary.entry_room;
    }
    memset(column->seen, 0, column->dictionary.entry_count);
    for (size_t i = 0; i < column->page_values; i++) {
        uint32_t entry = column->entries[i];
        if (!column->seen[entry]) {
            column->seen[entry] = 1;
            widen_text(range, k2_parquet_dictionary_entry(&column->dictionary, entry));
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
    struct text_range range = {0};
    enum k2_status status = page_text_range(column, &range, error);
    struct k2_slice min = range.min, max = range.max;
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
        return k2_fail(error, K2_NO_MEMORY, "parquet: no memory");
    }
    column->has_range = true;
    k2_parquet_bound_min(&page->min, min);
    page->has_bounds = k2_parquet_bound_max(&page->max, max);
    return K2_OK;
}

// The least and the greatest number of the open page; false: none but NaN.
static bool page_range(const struct k2_parquet_column *column, int64_t *min, int64_t *max)
{
    const int64_t *values = column->values;
    int64_t least = INT64_MAX, greatest = INT64_MIN;
    bool any = false;
    if (column->field->type == K2_PARQUET_DOUBLE) {
        for (size_t i = 0; i < column->page_values; i++) {
            if (!is_nan(values[i])) {
                int64_t value = double_order(values[i]);
                least = value < least ? value : least;
                greatest = value > greatest ? value : greatest;
                any = true;
            }
        }
    } else if (column->lead > 0) {
        any = true;
        least = greatest = column->lead_value;
    } else {
        any = column->page_values > 0;
        if (any) {
            k2_bitpack_selected()->range(values, column->page_values, &least, &greatest);
        }
    }
    *min = least;
    *max = greatest;
    return any;
}

enum k2_status k2_parquet_bound_page(struct k2_parquet_column *column, struct k2_parquet_page *page,
                                     struct k2_error *error)
{
    int64_t min, max;
    if (k2_parquet_is_text(column)) {
        return column->page_values > 0 ? bound_texts(column, page, error) : K2_OK;
    }
    if (!page_range(column, &min, &max)) {
        return K2_OK;
    }
    page->has_bounds = true;
    fixed_bounds(column, min, max, &page->min, &page->max);
    column->min = column->has_range && column->min < min ? column->min : min;
    column->max = column->has_range && column->max > max ? column->max : max;
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
    if (!k2_parquet_is_text(column)) {
        fixed_bounds(column, column->min, column->max, min, max);
        return;
    }
    k2_parquet_bound_min(min, k2_buffer_slice(&column->min_text));
    *has_max = k2_parquet_bound_max(max, k2_buffer_slice(&column->max_text));
}
