#include "tests/support/segment_rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct k2_column test_columns[K2_TEST_COLUMNS] = {
    {.name = "exchange", .id = 1, .kind = K2_KIND_SYMBOLIC},
    {.name = "symbol", .id = 2, .kind = K2_KIND_SYMBOLIC},
    {.name = "timestamp", .id = 3, .kind = K2_KIND_TIMESTAMP},
    {.name = "epoch", .id = 4, .kind = K2_KIND_INT64},
    {.name = "sequence", .id = 5, .kind = K2_KIND_INT64},
    {.name = "tiny", .id = 6, .kind = K2_KIND_INT8, .nullable = true},
    {.name = "small", .id = 7, .kind = K2_KIND_INT16},
    {.name = "medium", .id = 8, .kind = K2_KIND_INT32, .nullable = true},
    {.name = "wide", .id = 9, .kind = K2_KIND_INT64},
    {.name = "price", .id = 10, .kind = K2_KIND_DECIMAL64, .scale = 8},
    {.name = "quantity", .id = 11, .kind = K2_KIND_DECIMAL64, .scale = 8, .nullable = true},
    {.name = "received", .id = 12, .kind = K2_KIND_TIMESTAMP, .nullable = true},
    {.name = "maker", .id = 13, .kind = K2_KIND_BOOL, .nullable = true},
    {.name = "ratio", .id = 14, .kind = K2_KIND_FLOAT64, .nullable = true},
    {.name = "side", .id = 15, .kind = K2_KIND_SYMBOLIC, .nullable = true},
    {.name = "note", .id = 16, .kind = K2_KIND_TEXT, .nullable = true},
    {.name = "message_id", .id = 17, .kind = K2_KIND_UUID, .nullable = true},
    {.name = "vendor_data", .id = 18, .kind = K2_KIND_JSON, .nullable = true},
    {.name = "trade_id", .id = 19, .kind = K2_KIND_TEXT, .nullable = true},
};

uint64_t k2_test_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state * 0x2545f4914f6cdd1du;
}

static void need(bool good)
{
    if (!good) {
        (void)fprintf(stderr, "test rows: out of memory\n");
        abort();
    }
}

static int64_t random_value(enum k2_kind kind, size_t row, uint64_t *random)
{
    uint64_t bits = k2_test_random(random);
    switch (kind) {
    case K2_KIND_INT8:
        return (int8_t)bits;
    case K2_KIND_INT16:
        return (int16_t)bits;
    case K2_KIND_INT32:
        return (int32_t)bits;
    case K2_KIND_DECIMAL64:
        return 3700000000 + (int64_t)(bits % 300) * 500000;
    case K2_KIND_TIMESTAMP:
        return 1394665200000000000 + (int64_t)row * 1000000 + (int64_t)(bits % 250000);
    case K2_KIND_BOOL:
        return bits % 2 == 1;
    default:
        return (int64_t)bits;
    }
}

static size_t random_text(const struct k2_column *column, const struct k2_test_shape *shape,
                          uint64_t *random, uint8_t *text)
{
    static const char *const sides[] = {"BUY", "SELL", "SELL_SHORT", "UNKNOWN", ""};
    uint64_t bits = k2_test_random(random);
    enum k2_kind kind = column->kind;
    if (column->id == 19) { // any number of digits, 0 to 18 nines
        static const uint64_t powers[] = {1, 10, 1000, 100000, 1000000000, 1000000000000000000};
        int size = snprintf((char *)text, 64, "%llu",
                            (unsigned long long)((bits >> 3) % powers[bits % 6]));
        return (size_t)size;
    }
    if (kind == K2_KIND_SYMBOLIC) {
        const char *side = sides[bits % 5];
        memcpy(text, side, strlen(side));
        return strlen(side);
    }
    if (kind == K2_KIND_UUID) {
        memcpy(text, &bits, 8);
        bits = k2_test_random(random);
        memcpy(text + 8, &bits, 8);
        return 16;
    }
    if (kind == K2_KIND_TEXT && shape->long_text_bytes > 0 && bits % 50 == 0) {
        memset(text, 'a' + (int)(bits % 26), shape->long_text_bytes);
        memcpy(text, &bits, 8);
        return shape->long_text_bytes;
    }
    if (kind == K2_KIND_TEXT && bits % 9 == 0) {
        return 0;
    }
    int size =
        snprintf((char *)text, 64, kind == K2_KIND_JSON ? "{\"key\":\"%llu\"}" : "trade %llu",
                 (unsigned long long)(bits % 100000));
    return (size_t)size;
}

static void fill_row(struct k2_test_rows *self, const struct k2_test_shape *shape, size_t row,
                     uint64_t *random, uint8_t *text)
{
    size_t instrument = row * shape->instrument_count / shape->row_count + 1;
    struct k2_row_key key = {(uint32_t)instrument * 3, 1394665200000000000 + (int64_t)row * 777777,
                             (int64_t)(row / 5000), (int64_t)row * 2 - 100};
    size_t index;
    need(k2_row_batch_add(self->batch, &key, row, &index, NULL) == K2_OK);
    if (shape->with_commits) {
        self->batch->commits[row] = 100 + row / 300;
    }
    for (size_t i = K2_KEY_COLUMN_COUNT; i < K2_TEST_COLUMNS; i++) {
        const struct k2_column *column = &self->columns[i];
        if (column->nullable && k2_test_random(random) % 100 < shape->null_percent) {
            continue;
        }
        if (k2_kind_is_fixed(column->kind)) {
            k2_row_batch_set_value(self->batch, row, i, random_value(column->kind, row, random));
        } else {
            struct k2_slice slice = {text, random_text(column, shape, random, text)};
            need(k2_row_batch_set_text(self->batch, row, i, slice, NULL) == K2_OK);
        }
    }
}

struct k2_test_rows *k2_test_rows_create(const struct k2_test_shape *shape)
{
    static char table[] = "everything";
    struct k2_test_rows *self = malloc(sizeof *self);
    uint8_t *text = malloc(shape->long_text_bytes + 64);
    need(self != NULL && text != NULL);
    memcpy(self->columns, test_columns, sizeof test_columns);
    self->schema = (struct k2_schema){
        .table = table, .columns = self->columns, .column_count = K2_TEST_COLUMNS};
    need(k2_row_batch_create(&self->batch, &self->schema, shape->row_count, shape->with_commits,
                             NULL) == K2_OK);
    uint64_t random = shape->seed * 0x9e3779b97f4a7c15u + 1;
    for (size_t row = 0; row < shape->row_count; row++) {
        fill_row(self, shape, row, &random, text);
        self->order[row] = (uint32_t)row;
    }
    free(text);
    return self;
}

void k2_test_rows_destroy(struct k2_test_rows *rows)
{
    k2_row_batch_destroy(rows->batch);
    free(rows);
}

struct k2_instrument_name k2_test_name_of(void *context, uint32_t instrument)
{
    char(*symbols)[16] = context;
    char *symbol = symbols[instrument % 4096];
    (void)snprintf(symbol, 16, "SYM%u", (unsigned)instrument);
    return (struct k2_instrument_name){k2_slice_of(instrument % 2 == 0 ? "XNYS" : "XASX"),
                                       k2_slice_of(symbol)};
}

struct k2_row_group_info k2_test_group_info(void)
{
    static const uint8_t partition[] = {0, 1, 2, 3, 4, 5, 6, 7};
    static const struct k2_progress_marker markers[] = {
        {{(const uint8_t *)"kafka/trades/0", 14}, {partition, 8}},
        {{(const uint8_t *)"kafka/trades/1", 14}, {partition, 0}},
    };
    static const struct k2_rewrite_input inputs[] = {{3, 4096, 40960, false},
                                                     {4, 8192, 1 << 20, true}};
    struct k2_row_group_info info = {
        .store_id = "0123456789abcde",
        .segment_id = 7,
        .offset = 12288,
        .table_id = 2,
        .level = 1,
        .schema_version = 3,
        .run = 9,
        .run_base = 500,
        .commit = 512,
        .part = 0,
        .part_count = 2,
        .commit_time_ns = 1394668800000000001,
        .markers = markers,
        .marker_count = 2,
        .inputs = inputs,
        .input_count = 2,
        .table_name = k2_slice_of("everything"),
    };
    return info;
}
