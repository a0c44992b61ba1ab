// A group in which every codec and every encoding stands: whichever bit of it is flipped, wherever
// it is cut, that is found or without effect; never does a wrong row come out.
//
// By default a part of the bits and lengths is tried; K2_TEST_TIER=torture tries them all.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/base/alloc.h"
#include "format/base/checksum.h"
#include "format/codec/codec.h"
#include "format/segment/row_group_view_private.h"
#include "format/segment/segment_layout.h"
#include "tests/support/tier.h"

enum { ROWS = 1100, COLUMNS = 21, SEGMENT_ID = 7, OFFSET = 12288 };

// What a column looks like: a value at each row, or a text.
enum shape {
    NONE, // all null
    SAME,
    FEW_BITS,
    FAR_APART,
    STAYING,
    STAYING_WALK,
    FAR_OUTLIERS,
    WALK_WITH_JUMPS,
    SIZES,
    GAPS,
    WITH_NULLS,
    NEAR_TIME,
    ANY_DOUBLE,
    WORDS,
    SENTENCES,
    DIGITS,
    NUMBERED,
    ANY_16_BYTES,
};

static const struct {
    const char *name;
    enum k2_kind kind;
    enum shape shape;
    uint8_t encoding;      // enum k2_chunk_encoding
    const char *codecs[2]; // of the first block, on level 0 and on a sorted one
} columns[COLUMNS] = {
    [K2_EXCHANGE] = {"exchange", K2_KIND_SYMBOLIC, NONE, 0, {NULL, NULL}},
    [K2_SYMBOL] = {"symbol", K2_KIND_SYMBOLIC, NONE, 0, {NULL, NULL}},
    [K2_TIMESTAMP] =
        {"timestamp", K2_KIND_TIMESTAMP, SAME, K2_ENCODING_INTEGERS, {"MASKD", "MASKD"}},
    [K2_EPOCH] = {"epoch", K2_KIND_INT64, SAME, K2_ENCODING_INTEGERS, {"CONST", "CONST"}},
    [K2_SEQUENCE] = {"sequence", K2_KIND_INT64, SAME, K2_ENCODING_ORDINALS, {"CONST", "CONST"}},
    {"none", K2_KIND_INT64, NONE, K2_ENCODING_ALL_NULL, {NULL, NULL}},
    {"few_bits", K2_KIND_INT64, FEW_BITS, K2_ENCODING_INTEGERS, {"FOR", "FOR"}},
    {"far_apart", K2_KIND_INT64, FAR_APART, K2_ENCODING_INTEGERS, {"DICT", "DICT"}},
    {"staying", K2_KIND_INT64, STAYING, K2_ENCODING_INTEGERS, {"MASKV", "BINS_DELTA"}},
    {"staying_walk", K2_KIND_INT64, STAYING_WALK, K2_ENCODING_INTEGERS, {"MASKD", "BINS_DELTA"}},
    {"outliers", K2_KIND_INT64, FAR_OUTLIERS, K2_ENCODING_INTEGERS, {"PFOR", "BINS_FOR"}},
    {"jumps", K2_KIND_INT64, WALK_WITH_JUMPS, K2_ENCODING_INTEGERS, {"PDELTA", "BINS_DELTA"}},
    {"sizes", K2_KIND_INT64, SIZES, K2_ENCODING_INTEGERS, {"DICT", "BINS_FOR"}},
    {"gaps", K2_KIND_INT64, GAPS, K2_ENCODING_INTEGERS, {"PDELTA", "BINS_DELTA"}},
    {"with_nulls", K2_KIND_INT32, WITH_NULLS, K2_ENCODING_INTEGERS, {"FOR", "FOR"}},
    {"received", K2_KIND_TIMESTAMP, NEAR_TIME, K2_ENCODING_DIFFERENCES, {"FOR", "FOR"}},
    {"ratio", K2_KIND_FLOAT64, ANY_DOUBLE, K2_ENCODING_INTEGERS, {"FOR", "FOR"}},
    {"side", K2_KIND_SYMBOLIC, WORDS, K2_ENCODING_DICTIONARY, {"FOR", "FOR"}},
    {"note", K2_KIND_TEXT, SENTENCES, K2_ENCODING_TEXTS, {"MASKV", "BINS_FOR"}},
    {"trade_id", K2_KIND_TEXT, DIGITS, K2_ENCODING_DIGITS, {"DELTA", "DELTA"}},
    {"order_id", K2_KIND_TEXT, NUMBERED, K2_ENCODING_NUMBERED, {"DELTA", "DELTA"}},
};

struct group {
    struct k2_column columns[COLUMNS];
    struct k2_schema schema;
    struct k2_row_batch *batch;
    struct k2_buffer bytes;
    struct k2_vector_store *store;
};

static int64_t make_value(enum shape shape, size_t row, int64_t time_ns, int64_t last,
                          uint64_t *random)
{
    static const int64_t popular[] = {1, 1, 1, 1, 2, 5, 10, 100};
    uint64_t bits = test_random(random);
    int64_t near = (int64_t)(bits % 1000);
    switch (shape) {
    case FEW_BITS:
    case WITH_NULLS:
        return (int64_t)(bits % 32);
    case FAR_APART:
        return bits % 3 == 0 ? INT64_MIN : bits % 3 == 1 ? 77 : INT64_MAX;
    case STAYING:
        return 3712000000 + (int64_t)(row / 9 * 0x9e3779b97f4a7c15u >> 60) * 1000000;
    case STAYING_WALK:
        return (int64_t)((row / 5 * 1777777 + row / 5 % 13 * 1000) * 1000);
    case FAR_OUTLIERS:
        return row % 91 == 50 ? -5000000000 * near : near;
    case WALK_WITH_JUMPS:
        return (row / 200 % 2 == 0 ? 0 : -86400000000000) + (int64_t)row * 40 + near % 30;
    case SIZES:
        return 100 * (bits % 16 < 8 ? popular[bits % 8] : (int64_t)(bits >> 32) % 16);
    case GAPS:
        return last + 1 + (int64_t)((bits >> 34 | 1) >> (bits & 31));
    case NEAR_TIME:
        return time_ns + 5000 + (int64_t)(bits & 1023);
    default:
        return (int64_t)(bits & 0x3fffffffffffffff);
    }
}

static size_t make_text(enum shape shape, size_t row, uint64_t *random, char text[64])
{
    static const char *const words[] = {"BUY", "SELL", "UNKNOWN", ""};
    unsigned long long bits = test_random(random);
    switch (shape) {
    case WORDS:
        return (size_t)snprintf(text, 64, "%s", words[bits % 4]);
    case SENTENCES:
        return (size_t)snprintf(text, 64, "message %llu of the venue", bits % 1000000);
    case DIGITS:
        return (size_t)snprintf(text, 64, "%zu", 4000 + row * 3);
    case NUMBERED:
        return (size_t)snprintf(text, 64, "ORDER-%zu", 99000 + row);
    default:
        memcpy(text, &bits, 8);
        memcpy(text + 8, &bits, 8);
        return 16;
    }
}

static void fill_row(struct group *self, size_t row, uint64_t *random, int64_t *last)
{
    int64_t time_ns = 1394665200000000000 + (int64_t)(row / 3 * 1000 + row / 3 % 7) * 1000000;
    struct k2_row_key key = {1, time_ns, 0, (int64_t)(row % 3) + 1};
    char text[64];
    size_t index;
    assert_int_equal(k2_row_batch_add(self->batch, &key, row, &index, NULL), K2_OK);
    for (size_t i = K2_KEY_COLUMN_COUNT; i < COLUMNS; i++) {
        if (columns[i].shape == NONE || (columns[i].shape == WITH_NULLS && row % 5 == 2)) {
            continue;
        }
        if (k2_kind_is_fixed(columns[i].kind)) {
            last[i] = make_value(columns[i].shape, row, time_ns, last[i], random);
            k2_row_batch_set_value(self->batch, row, i, last[i]);
        } else {
            struct k2_slice slice = {(const uint8_t *)text,
                                     make_text(columns[i].shape, row, random, text)};
            assert_int_equal(k2_row_batch_set_text(self->batch, row, i, slice, NULL), K2_OK);
        }
    }
}

static struct k2_instrument_name name_of(void *context, uint32_t instrument)
{
    (void)instrument;
    return (struct k2_instrument_name){k2_slice_of("XASX"), k2_slice_of(context)};
}

// What a rewrite knows of the row: when it came, what replaced it, what it did itself.
static void fill_versions(struct group *self, size_t row)
{
    static const enum k2_row_op ops[] = {K2_OP_PUT, K2_OP_PUT, K2_OP_REPLACE, K2_OP_DELETE};
    self->batch->commits[row] = 100 + row % 50;
    assert_int_equal(k2_row_batch_set_until(self->batch, row, 200 + row % 77, NULL), K2_OK);
    assert_int_equal(k2_row_batch_set_op(self->batch, row, ops[row % 7 % 4], NULL), K2_OK);
}

static int create_group(void **state, uint16_t level)
{
    static char table[] = "everything";
    static char symbol[] = "BHP";
    static uint32_t order[ROWS];
    static const struct k2_progress_marker marker = {{(const uint8_t *)"file", 4},
                                                     {(const uint8_t *)"17", 2}};
    struct group *self = calloc(1, sizeof *self);
    int64_t last[COLUMNS] = {0};
    uint64_t random = 11;
    self->store = k2_alloc_aligned(sizeof *self->store);
    for (size_t i = 0; i < COLUMNS; i++) {
        self->columns[i] = (struct k2_column){.name = columns[i].name,
                                              .id = (uint16_t)(i + 1),
                                              .kind = columns[i].kind,
                                              .nullable = i >= K2_KEY_COLUMN_COUNT};
    }
    self->schema =
        (struct k2_schema){.table = table, .columns = self->columns, .column_count = COLUMNS};
    bool history = level == K2_LEVEL_HISTORY;
    assert_int_equal(k2_row_batch_create(&self->batch, &self->schema, ROWS, history, NULL), K2_OK);
    for (size_t row = 0; row < ROWS; row++) {
        order[row] = (uint32_t)row;
        fill_row(self, row, &random, last);
        if (history) {
            fill_versions(self, row);
        }
    }
    static const struct k2_rewrite_input inputs[] = {{.segment_id = 3, .begin = 4096, .end = 8192},
                                                     {.segment_id = 5, .begin = 4096, .end = 9000}};
    struct k2_row_group_info info = {.segment_id = SEGMENT_ID,
                                     .offset = OFFSET,
                                     .level = level,
                                     .part_count = 1,
                                     .inputs = inputs,
                                     .input_count = level > 0 ? 2 : 0,
                                     .markers = &marker,
                                     .marker_count = 1,
                                     .table_name = k2_slice_of("trades")};
    k2_buffer_init(&self->bytes, 1 << 20);
    assert_int_equal(
        k2_row_group_encode(self->batch, order, ROWS, &info, name_of, symbol, &self->bytes, NULL),
        K2_OK);
    *state = self;
    return 0;
}

static int create_committed(void **state)
{
    return create_group(state, 0);
}

static int create_sorted(void **state)
{
    return create_group(state, 1);
}

static int create_history(void **state)
{
    return create_group(state, K2_LEVEL_HISTORY);
}

static int destroy_group(void **state)
{
    struct group *self = *state;
    k2_row_batch_destroy(self->batch);
    k2_buffer_deinit(&self->bytes);
    k2_free(self->store);
    free(self);
    return 0;
}

static bool same_cell(const struct group *self, size_t row, size_t column,
                      const struct k2_vector *vector, size_t i)
{
    const struct k2_row_key *key = &self->batch->keys[row];
    const struct k2_batch_column *cells = &self->batch->columns[column % COLUMNS];
    bool valid = vector->valid == NULL || vector->valid[i] == 1;
    switch (column) {
    case K2_COLUMN_ID_COMMIT - 1:
        return valid && vector->values[i] == (int64_t)self->batch->commits[row];
    case K2_COLUMN_ID_UNTIL - 1:
        return valid && vector->values[i] == (int64_t)self->batch->untils[row];
    case K2_COLUMN_ID_OP - 1:
        return valid && vector->values[i] == (int64_t)self->batch->ops[row];
    case K2_TIMESTAMP:
        return valid && vector->values[i] == key->time_ns;
    case K2_EPOCH:
        return valid && vector->values[i] == key->epoch;
    case K2_SEQUENCE:
        return valid && vector->values[i] == key->sequence;
    default:
        break;
    }
    if (!valid || cells->valid[row] == 0) {
        return !valid && cells->valid[row] == 0;
    }
    if (vector->values != NULL) {
        return vector->values[i] == cells->values[row];
    }
    return k2_slice_equal(vector->texts[i], k2_row_batch_text(self->batch, cells->texts[row]));
}

// Every cell of a column; a status other than K2_OK ends it, a wrong cell fails the test.
static enum k2_status compare_column(const struct group *self, const struct k2_row_group_view *view,
                                     size_t column, const char *what, size_t place)
{
    struct k2_column_reader *reader;
    bool found;
    enum k2_status status =
        k2_column_reader_open(&reader, view, (uint16_t)(column + 1), &found, NULL);
    if (status != K2_OK || !found) {
        assert_true(status != K2_OK);
        return status;
    }
    size_t row = 0;
    for (uint32_t block = 0; status == K2_OK && row < ROWS; block++) {
        struct k2_vector vector;
        uint32_t row_count;
        status = k2_column_reader_decode(reader, block, self->store, &vector, &row_count, NULL);
        for (uint32_t i = 0; status == K2_OK && i < row_count; i++, row++) {
            if (!same_cell(self, row, column, &vector, i)) {
                fail_msg("%s %zu: column %s, row %zu is another one", what, place,
                         column < COLUMNS ? columns[column].name : "hidden", row);
            }
        }
    }
    k2_column_reader_close(reader);
    return status;
}

static enum k2_status compare_group(const struct group *self, struct k2_slice bytes,
                                    const char *what, size_t place)
{
    struct k2_row_group_view *view;
    enum k2_status status = k2_row_group_view_open(&view, bytes, SEGMENT_ID, OFFSET, NULL);
    if (status != K2_OK) {
        return status;
    }
    size_t count;
    const struct k2_directory_entry *entries = k2_row_group_view_directory(view, &count);
    const struct k2_row_group_info *info = k2_row_group_view_info(view);
    assert_int_equal(k2_row_group_view_rows(view), ROWS);
    assert_int_equal(count, 1);
    assert_true(k2_slice_equal(entries[0].symbol, k2_slice_of("BHP")));
    assert_int_equal(entries[0].time_max_ns, self->batch->keys[ROWS - 1].time_ns);
    assert_int_equal(info->marker_count, 1);
    assert_true(k2_slice_equal(info->markers[0].value, k2_slice_of("17")));
    assert_int_equal(info->input_count, info->level > 0 ? 2 : 0);
    assert_int_equal(info->level > 0 ? info->inputs[1].end : 9000, 9000);
    for (size_t i = K2_TIMESTAMP; i < COLUMNS; i++) {
        enum k2_status read = compare_column(self, view, i, what, place);
        status = read != K2_OK ? read : status;
    }
    for (size_t id = K2_COLUMN_ID_COMMIT; info->level == K2_LEVEL_HISTORY && id <= K2_COLUMN_ID_OP;
         id++) {
        enum k2_status read = compare_column(self, view, id - 1, what, place);
        status = read != K2_OK ? read : status;
    }
    k2_row_group_view_close(view);
    return status;
}

static void every_codec_and_encoding_is_there(void **state)
{
    const struct group *self = *state;
    struct k2_row_group_view *view;
    size_t wrong = 0;
    assert_int_equal(
        k2_row_group_view_open(&view, k2_buffer_slice(&self->bytes), SEGMENT_ID, OFFSET, NULL),
        K2_OK);
    for (size_t i = K2_TIMESTAMP; i < COLUMNS; i++) {
        struct k2_column_reader *reader;
        struct k2_block_info info;
        bool found;
        size_t place = 0;
        while (place + 1 < view->column_count && view->columns[place].id != i + 1) {
            place++;
        }
        uint8_t encoding = view->places[place].encoding;
        assert_int_equal(k2_column_reader_open(&reader, view, (uint16_t)(i + 1), &found, NULL),
                         K2_OK);
        assert_true(k2_column_reader_block_info(reader, 0, &info));
        if (encoding != columns[i].encoding ||
            (columns[i].codecs[0] != NULL &&
             strcmp(info.codec, columns[i].codecs[view->info.level == K2_LEVEL_HOURLY]) != 0)) {
            print_error("%s: encoding %u, %s\n", columns[i].name, encoding, info.codec);
            wrong++;
        }
        k2_column_reader_close(reader);
    }
    k2_row_group_view_close(view);
    assert_int_equal(wrong, 0);
    assert_true(self->bytes.size_bytes <= 65536);
    assert_int_equal(compare_group(self, k2_buffer_slice(&self->bytes), "intact", 0), K2_OK);
}

static size_t u32_at(const struct group *self, size_t at)
{
    struct k2_byte_reader reader = {.rest = {self->bytes.data + at, 4}};
    return k2_read_u32(&reader);
}

// Marks the bytes that a checksum covers, and the checksums and magic numbers.
static void mark_covered(const struct group *self, uint8_t *covered)
{
    struct k2_row_group_view *view;
    size_t head = u32_at(self, K2_GROUP_AT_HEAD_BYTES);
    memset(covered, 1, head + u32_at(self, K2_GROUP_AT_DIRECTORY_BYTES));
    assert_int_equal(
        k2_row_group_view_open(&view, k2_buffer_slice(&self->bytes), SEGMENT_ID, OFFSET, NULL),
        K2_OK);
    for (size_t i = 0; i < view->column_count; i++) {
        memset(covered + view->places[i].offset, 1, view->columns[i].length_bytes);
    }
    k2_row_group_view_close(view);
}

static void every_flipped_bit_is_found_or_without_effect(void **state)
{
    struct group *self = *state;
    size_t step = test_is_torture() ? 1 : (size_t)test_stride(9) * 41; // no divisor of a byte
    size_t tried = 0;
    uint8_t *covered = calloc(1, self->bytes.size_bytes);
    mark_covered(self, covered);
    for (size_t bit = 0; bit < self->bytes.size_bytes * 8; bit += step, tried++) {
        self->bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        enum k2_status status = compare_group(self, k2_buffer_slice(&self->bytes), "bit", bit);
        self->bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (status != (covered[bit / 8] == 1 ? K2_CORRUPT : K2_OK)) {
            fail_msg("bit %zu: %s", bit, k2_status_name(status));
        }
    }
    print_message("%zu bits of %zu flipped\n", tried, self->bytes.size_bytes * 8);
    free(covered);
}

static void every_truncation_is_found(void **state)
{
    const struct group *self = *state;
    size_t step = test_is_torture() ? 1 : (size_t)test_stride(9) * 17;
    for (size_t size = 0; size < self->bytes.size_bytes; size += step) {
        // Of exactly that size, so that the address sanitizer sees a stray read.
        uint8_t *cut = malloc(size + 1);
        assert_non_null(cut);
        memcpy(cut + 1, self->bytes.data, size);
        struct k2_slice bytes = {cut + 1, size};
        assert_int_equal(compare_group(self, bytes, "length", size), K2_CORRUPT);
        free(cut);
    }
}

// Intact chunks of other columns, and of the same one at another place.
static void chunks_that_stand_for_each_other_are_found(void **state)
{
    struct group *self = *state;
    struct k2_row_group_view *view;
    size_t swapped = 0;
    uint8_t *kept = malloc(self->bytes.size_bytes);
    memcpy(kept, self->bytes.data, self->bytes.size_bytes);
    assert_int_equal(
        k2_row_group_view_open(&view, k2_buffer_slice(&self->bytes), SEGMENT_ID, OFFSET, NULL),
        K2_OK);
    for (size_t to = 0; to < view->column_count; to++) {
        for (size_t from = 0; from < view->column_count; from++) {
            size_t length = view->columns[to].length_bytes;
            length = length < view->columns[from].length_bytes ? length
                                                               : view->columns[from].length_bytes;
            uint8_t *place = self->bytes.data + view->places[to].offset;
            const uint8_t *other = kept + view->places[from].offset;
            if (length == 0 || memcmp(place, other, length) == 0) {
                continue;
            }
            memcpy(place, other, length);
            assert_int_equal(compare_group(self, k2_buffer_slice(&self->bytes), "chunk", from),
                             K2_CORRUPT);
            memcpy(self->bytes.data, kept, self->bytes.size_bytes);
            swapped++;
        }
    }
    assert_true(swapped > 100);
    k2_row_group_view_close(view);
    free(kept);
}

static void put_u64(uint8_t *bytes, uint64_t value)
{
    for (size_t i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)(value >> 8 * i);
    }
}

static void put_checksum(uint8_t *group, size_t at, size_t offset, size_t size)
{
    struct k2_slice bytes = {group + offset, size};
    put_u64(group + at, k2_checksum(bytes, SEGMENT_ID, OFFSET + offset));
}

// Sets the checksums right that stand for the places `view` of the intact group knows.
static void reseal(uint8_t *group, const struct k2_row_group_view *view, size_t head,
                   size_t directory)
{
    for (size_t i = 0; i < view->column_count; i++) {
        size_t entry = K2_GROUP_HEADER_BYTES + i * K2_COLUMN_ENTRY_BYTES;
        if (view->columns[i].length_bytes > 0) {
            put_checksum(group, entry + K2_COLUMN_AT_CHECKSUM, view->places[i].offset,
                         view->columns[i].length_bytes);
        }
    }
    put_checksum(group, K2_GROUP_AT_DIRECTORY_CHECKSUM, head, directory);
    put_checksum(group, K2_GROUP_AT_CHECKSUM, K2_GROUP_AT_CHECKED, head - K2_GROUP_AT_CHECKED);
}

// Reads whatever is there, in full and as sums.
static bool read_all(const struct group *self, struct k2_slice bytes)
{
    struct k2_row_group_view *view;
    bool good = true;
    if (k2_row_group_view_open(&view, bytes, SEGMENT_ID, OFFSET, NULL) != K2_OK) {
        return false;
    }
    for (size_t i = 0; i < view->column_count; i++) {
        struct k2_column_reader *reader;
        struct k2_range_sum sum = {0};
        struct k2_range_bounds bounds = {0};
        struct k2_block_info info;
        bool found;
        int64_t least;
        int64_t most;
        if (k2_column_reader_open(&reader, view, view->columns[i].id, &found, NULL) != K2_OK) {
            good = false;
            continue;
        }
        uint32_t rows = k2_row_group_view_rows(view);
        for (uint32_t block = 0; block * 1024 < rows; block++) {
            struct k2_vector vector;
            uint32_t row_count;
            (void)k2_column_reader_bounds(reader, block, &least, &most);
            (void)k2_column_reader_block_info(reader, block, &info);
            good = k2_column_reader_decode(reader, block, self->store, &vector, &row_count, NULL) ==
                       K2_OK &&
                   good;
        }
        enum k2_kind kind = view->columns[i].kind;
        if (k2_kind_is_fixed(kind) && kind != K2_KIND_FLOAT64) {
            good = k2_column_reader_sum(reader, rows / 2, rows - rows / 2, self->store, &sum,
                                        NULL) == K2_OK &&
                   good;
            good = k2_column_reader_range(reader, 0, rows, self->store, &bounds, NULL) == K2_OK &&
                   good;
        }
        k2_column_reader_close(reader);
    }
    k2_row_group_view_close(view);
    return good;
}

// The bytes at the beginning of the head, of the directory and of each chunk, one after the other
// set to other values under right checksums: corrupt or not, nothing outside is touched.
static void sealed_nonsense_never_leads_outside(void **state)
{
    const struct group *self = *state;
    static const uint8_t flips[] = {1, 0x80, 6};
    size_t size = self->bytes.size_bytes;
    size_t head = u32_at(self, K2_GROUP_AT_HEAD_BYTES);
    size_t directory = u32_at(self, K2_GROUP_AT_DIRECTORY_BYTES);
    struct k2_row_group_view *view;
    size_t bad = 0;
    size_t tried = 0;
    uint8_t *wanted = calloc(1, size);
    assert_int_equal(
        k2_row_group_view_open(&view, k2_buffer_slice(&self->bytes), SEGMENT_ID, OFFSET, NULL),
        K2_OK);
    memset(wanted + K2_GROUP_AT_CHECKED, 1, head + directory - K2_GROUP_AT_CHECKED);
    for (size_t i = 0; i < view->column_count; i++) {
        size_t length = view->columns[i].length_bytes;
        memset(wanted + view->places[i].offset, 1, length < 40 ? length : 40);
    }
    size_t step = (size_t)test_stride(7);
    for (size_t at = 0; at < size; at += step) {
        for (size_t i = 0; wanted[at] == 1 && i < sizeof flips; i++, tried++) {
            uint8_t *copy = malloc(size); // of its own, so that the address sanitizer sees its end
            memcpy(copy, self->bytes.data, size);
            copy[at] ^= flips[i];
            reseal(copy, view, head, directory);
            bad += !read_all(self, (struct k2_slice){copy, size});
            free(copy);
        }
    }
    print_message("%zu of %zu found\n", bad, tried);
    assert_true(bad > tried / 20 && bad < tried);
    k2_row_group_view_close(view);
    free(wanted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_codec_and_encoding_is_there),
        cmocka_unit_test(every_flipped_bit_is_found_or_without_effect),
        cmocka_unit_test(every_truncation_is_found),
        cmocka_unit_test(chunks_that_stand_for_each_other_are_found),
        cmocka_unit_test(sealed_nonsense_never_leads_outside),
    };
    int failed =
        cmocka_run_group_tests_name("damage, committed", tests, create_committed, destroy_group);
    failed +=
        cmocka_run_group_tests_name("damage, sorted level", tests, create_sorted, destroy_group);
    return failed +
           cmocka_run_group_tests_name("damage, history", tests, create_history, destroy_group);
}
