// The part of parquet_column.h that turns the numbers of a page into bytes.
#include "format/base/alloc.h"
#include "format/parquet/parquet_column_private.h"
#include "format/parquet/parquet_delta.h"
#include "format/parquet/parquet_runs.h"

enum {
    SAMPLE = 4096,    // numbers that are looked at to choose a way
    MOST_FACTOR = 16, // that all differences may have in common: deltas waste its bits
};

// ---- choosing -----------------------------------------------------------------------------------

// The greatest number that all differences are multiples of, or one that is small enough.
static uint64_t common_factor(const int64_t *values, size_t count)
{
    uint64_t factor = 0;
    for (size_t i = 1; i < count && (factor == 0 || factor > MOST_FACTOR); i++) {
        int64_t difference = (int64_t)((uint64_t)values[i] - (uint64_t)values[i - 1]);
        uint64_t left = difference < 0 ? 0 - (uint64_t)difference : (uint64_t)difference;
        while (left != 0) {
            uint64_t rest = factor % left;
            factor = left;
            left = factor == 0 ? 0 : rest;
        }
    }
    return factor;
}

static enum k2_parquet_lookup find_sample(struct k2_parquet_column *column, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        enum k2_parquet_lookup lookup = k2_parquet_dictionary_find_u64(
            &column->dictionary, (uint64_t)column->values[i], &column->scratch->entries[i]);
        if (lookup != K2_PARQUET_FOUND && lookup != K2_PARQUET_ADDED) {
            return lookup;
        }
    }
    return K2_PARQUET_FOUND;
}

// What zstd makes of the bytes.
static size_t packed_size(struct k2_parquet_column *column, struct k2_slice bytes)
{
    struct k2_buffer *packed = &column->scratch->packed;
    k2_buffer_clear(packed);
    k2_zstd_compress(column->scratch->compressor, bytes, K2_ZSTD_NUMBERS, packed);
    return packed->size_bytes;
}

// Distinct values with a large factor in common, such as times of milliseconds as nanoseconds: a
// dictionary may be larger than the values, whose bytes are much alike.
static bool is_smaller_plain(struct k2_parquet_column *column, size_t count)
{
    struct k2_buffer *runs = &column->scratch->text;
    struct k2_slice values = {(const uint8_t *)column->values, count * sizeof *column->values};
    k2_buffer_clear(runs);
    k2_parquet_put_runs(runs, column->scratch->entries, count, k2_parquet_entry_bits(column));
    size_t plain = packed_size(column, values);
    size_t by_dictionary = packed_size(column, k2_buffer_slice(&column->dictionary.plain)) +
                           packed_size(column, k2_buffer_slice(runs));
    return plain < by_dictionary;
}

// Times, ids and counters are near to their neighbours; prices and quantities, multiples of a large
// number, come again.
static enum k2_parquet_lookup choose(struct k2_parquet_column *column)
{
    size_t count = column->page_values < SAMPLE ? column->page_values : SAMPLE;
    column->way = K2_PARQUET_BY_DICTIONARY;
    if (column->field->type != K2_PARQUET_INT64 || column->lead > 0) {
        return K2_PARQUET_FOUND;
    }
    enum k2_parquet_lookup lookup = find_sample(column, count);
    size_t distinct = column->dictionary.entry_count;
    if (lookup != K2_PARQUET_FOUND || distinct * K2_PARQUET_FEW <= count) {
        return lookup;
    }
    if (common_factor(column->values, count) > MOST_FACTOR) {
        column->way = is_smaller_plain(column, count) ? K2_PARQUET_AS_PLAIN : column->way;
    } else {
        struct k2_buffer *packed = &column->scratch->packed;
        k2_buffer_clear(packed);
        k2_parquet_delta_put(packed, column->values, count);
        size_t by_dictionary =
            distinct * k2_parquet_width_bytes(column) + count * k2_parquet_entry_bits(column) / 8;
        column->way = packed->size_bytes < by_dictionary ? K2_PARQUET_AS_DELTAS : column->way;
    }
    if (column->scratch->packed.failed || column->scratch->text.failed) {
        return K2_PARQUET_NO_MEMORY;
    }
    if (column->way != K2_PARQUET_BY_DICTIONARY) {
        k2_parquet_dictionary_clear(&column->dictionary);
    }
    return K2_PARQUET_FOUND;
}

static bool dictionary_pays(const struct k2_parquet_column *column)
{
    size_t width = k2_parquet_width_bytes(column);
    return column->dictionary.entry_count * width +
               column->page_values * k2_parquet_entry_bits(column) / 8 <
           column->page_values * width;
}

// ---- writing ------------------------------------------------------------------------------------

// The entries of the page's numbers into the scratch; K2_PARQUET_FULL: not all have one. Rows are
// sorted by symbol: the few prices of one are found near at hand, without a walk to the dictionary.
static enum k2_parquet_lookup find_entries(struct k2_parquet_column *column)
{
    const int64_t *values = column->values;
    struct k2_parquet_scratch *scratch = column->scratch;
    uint32_t *entries = scratch->entries;
    if (column->lead > 0) {
        return k2_parquet_dictionary_find_u64(&column->dictionary, (uint64_t)column->lead_value,
                                              entries);
    }
    scratch->round++;
    for (size_t i = 0; i < column->page_values; i++) {
        uint64_t place = (uint64_t)values[i] * 0x9e3779b97f4a7c15U;
        struct k2_parquet_known *known = &scratch->known[(place >> 40) % K2_PARQUET_KNOWN];
        if (known->value != values[i] || known->round != scratch->round) {
            enum k2_parquet_lookup lookup = k2_parquet_dictionary_find_u64(
                &column->dictionary, (uint64_t)values[i], &known->entry);
            known->value = values[i];
            known->round = 0; // until it is known for certain
            if (lookup != K2_PARQUET_FOUND && lookup != K2_PARQUET_ADDED) {
                return lookup;
            }
            known->round = scratch->round;
        }
        entries[i] = known->entry;
    }
    return K2_PARQUET_FOUND;
}

static void put_booleans(const struct k2_parquet_column *column, struct k2_buffer *body)
{
    for (size_t i = 0; i < column->page_values; i += 8) {
        unsigned bits = 0;
        for (size_t j = i; j < column->page_values && j < i + 8; j++) {
            bits |= (unsigned)(column->values[j] != 0) << (j - i);
        }
        k2_put_u8(body, (uint8_t)bits);
    }
}

static void put_plain(const struct k2_parquet_column *column, struct k2_buffer *body)
{
    if (column->field->type == K2_PARQUET_BOOLEAN) {
        put_booleans(column, body);
        return;
    }
    size_t width = k2_parquet_width_bytes(column);
    uint8_t *place = k2_buffer_extend(body, column->page_values * width);
    if (place == NULL) {
        return;
    }
    if (width == sizeof(int64_t) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__) {
        memcpy(place, column->values, column->page_values * width);
        return;
    }
    for (size_t i = 0; i < column->page_values; i++) {
        k2_parquet_store(place + i * width, width, column->values[i]);
    }
}

// A dictionary that is full, or no smaller than the numbers of the first page, is left.
static enum k2_parquet_lookup use_dictionary(struct k2_parquet_column *column)
{
    enum k2_parquet_lookup lookup = find_entries(column);
    if (lookup == K2_PARQUET_NO_MEMORY) {
        return lookup;
    }
    bool first = column->dictionary_page_count == 0;
    if (lookup == K2_PARQUET_FULL || (first && !dictionary_pays(column))) {
        column->way = K2_PARQUET_AS_PLAIN;
        if (first) {
            k2_parquet_dictionary_clear(&column->dictionary);
        }
    }
    return K2_PARQUET_FOUND;
}

enum k2_status k2_parquet_put_numbers(struct k2_parquet_column *column, struct k2_buffer *body,
                                      int32_t *encoding, struct k2_error *error)
{
    enum k2_parquet_lookup lookup = K2_PARQUET_FOUND;
    *encoding = K2_PARQUET_ENCODING_PLAIN;
    if (column->page_values == 0) {
        return K2_OK;
    }
    if (column->way == K2_PARQUET_UNDECIDED) {
        lookup = choose(column);
    }
    if (lookup == K2_PARQUET_FOUND && column->way == K2_PARQUET_BY_DICTIONARY) {
        lookup = use_dictionary(column);
    }
    if (lookup != K2_PARQUET_FOUND) {
        return k2_fail(error, K2_NO_MEMORY, "parquet: no memory");
    }
    if (column->way != K2_PARQUET_BY_DICTIONARY) {
        k2_parquet_settle(column);
    }
    if (column->way == K2_PARQUET_AS_PLAIN) {
        put_plain(column, body);
    } else if (column->way == K2_PARQUET_AS_DELTAS) {
        *encoding = K2_PARQUET_ENCODING_DELTA;
        k2_parquet_delta_put(body, column->values, column->page_values);
    } else {
        unsigned bits = k2_parquet_entry_bits(column);
        *encoding = K2_PARQUET_ENCODING_DICTIONARY;
        k2_put_u8(body, (uint8_t)bits);
        if (column->lead > 0) {
            k2_parquet_put_run(body, column->scratch->entries[0], column->lead, bits);
        } else {
            k2_parquet_put_runs(body, column->scratch->entries, column->page_values, bits);
        }
    }
    return K2_OK;
}
