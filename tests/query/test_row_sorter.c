// Rows come out of the sorter as they went in, in the order of an exported file: whether columns
// stay uniform, begin so, or never are, whatever is null, and through several rounds.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/base/alloc.h"
#include "query/export/export_order.h"
#include "query/export/row_sorter.h"

enum { MOST_ROWS = 5000, NAME_BYTES = 16, COLUMNS = 20 };

static const char source[] =
    "{\"type\":\"record\",\"name\":\"T\",\"fields\":["
    "{\"name\":\"exchange\",\"type\":\"string\"},{\"name\":\"symbol\",\"type\":\"string\"},"
    "{\"name\":\"timestamp\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-micros\"}},"
    "{\"name\":\"sequence\",\"type\":\"long\"},{\"name\":\"size\",\"type\":[\"null\",\"long\"]},"
    "{\"name\":\"note\",\"type\":[\"null\",\"string\"]},{\"name\":\"flag\",\"type\":\"boolean\"},"
    "{\"name\":\"side\",\"type\":{\"type\":\"enum\",\"name\":\"S\",\"symbols\":[\"A\",\"B\"]}}]}";

// One row, every column as text or number.
struct row {
    int64_t numbers[COLUMNS];
    char texts[COLUMNS][NAME_BYTES];
    bool null[COLUMNS];
};

struct shape {
    const char *name;
    unsigned symbols, exchanges, span_ns, null_in; // one of so many is null; 0: none
    bool begins_uniform, uniform;
    unsigned pieces; // the times of so many parts ascend, but for some of one microsecond; 0: none
};

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state * 0x2545f4914f6cdd1du;
}

// Parts that follow each other if there are many of them, and overlap if there are few.
static int64_t time_of(const struct shape *shape, size_t index, uint64_t bits)
{
    if (shape->pieces == 0) {
        return (int64_t)(bits % shape->span_ns) - 5000;
    }
    size_t rows = MOST_ROWS / shape->pieces + 1, part = index / rows;
    int64_t begin = (int64_t)(part * 7 % shape->pieces * rows * (shape->pieces > 4 ? 300 : 1));
    return begin + (int64_t)(index % rows * 300) + (int64_t)(bits % 600);
}

static void make_row(const struct k2_schema *schema, const struct shape *shape, size_t index,
                     uint64_t *random, struct row *row)
{
    bool alike = shape->uniform || (shape->begins_uniform && index < MOST_ROWS / 2);
    memset(row, 0, sizeof *row);
    for (size_t i = 0; i < schema->column_count; i++) {
        uint64_t bits = alike && i != K2_TIMESTAMP ? 7 : next_random(random) >> 8;
        const struct k2_column *column = &schema->columns[i];
        unsigned kinds = i == K2_SYMBOL     ? shape->symbols
                         : i == K2_EXCHANGE ? shape->exchanges
                                            : 900;
        row->null[i] = column->nullable && shape->null_in > 0 && bits % shape->null_in == 0;
        if (row->null[i]) {
            continue;
        }
        if (k2_kind_is_fixed(column->kind)) {
            row->numbers[i] = i == K2_TIMESTAMP  ? time_of(shape, index, bits)
                              : i == K2_SEQUENCE ? (int64_t)index
                                                 : (int64_t)(bits % 5) - 2;
        } else {
            (void)snprintf(row->texts[i], NAME_BYTES,
                           bits % 11 == 0 && i > K2_SEQUENCE ? "" : "t%u",
                           (unsigned)(bits % kinds));
        }
    }
}

static int64_t floor_us(int64_t time_ns)
{
    return time_ns >= 0 ? time_ns / 1000 : -((-time_ns + 999) / 1000);
}

static int compare_rows(const void *left, const void *right)
{
    const struct row *a = left, *b = right;
    int order = strcmp(a->texts[K2_SYMBOL], b->texts[K2_SYMBOL]);
    int64_t pairs[][2] = {
        {floor_us(a->numbers[K2_TIMESTAMP]), floor_us(b->numbers[K2_TIMESTAMP])},
        {a->numbers[K2_SEQUENCE], b->numbers[K2_SEQUENCE]},
    };
    for (size_t i = 0; order == 0 && i < 2; i++) {
        order = (pairs[i][0] > pairs[i][1]) - (pairs[i][0] < pairs[i][1]);
    }
    return order;
}

static void put_rows(struct k2_row_sorter *sorter, const struct k2_schema *schema,
                     const struct row *rows, size_t count)
{
    static struct k2_vector_store stores[COLUMNS];
    struct k2_vector vectors[COLUMNS];
    struct k2_error error;
    for (size_t i = 0; i < schema->column_count; i++) {
        const struct k2_column *column = &schema->columns[i];
        bool fixed = k2_kind_is_fixed(column->kind), nulls = false;
        for (size_t j = 0; j < count; j++) {
            stores[i].values[j] = rows[j].null[i] ? -99 : rows[j].numbers[i];
            const char *text = rows[j].texts[i];
            // Rows that are alike often share the bytes.
            stores[i].texts[j] = j > 0 && strcmp(text, rows[j - 1].texts[i]) == 0
                                     ? stores[i].texts[j - 1]
                                     : k2_slice_of(text);
            stores[i].valid[j] = !rows[j].null[i];
            nulls = nulls || rows[j].null[i];
        }
        vectors[i] = (struct k2_vector){.kind = column->kind,
                                        .values = fixed ? stores[i].values : NULL,
                                        .texts = fixed ? NULL : stores[i].texts,
                                        .valid = nulls ? stores[i].valid : NULL};
    }
    if (k2_row_sorter_put(sorter, vectors, count, &error) != K2_OK) {
        fail_msg("%s", error.text);
    }
}

static void check_row(const struct k2_schema *schema, const struct k2_vector *vectors, size_t at,
                      const struct row *row, const char *name)
{
    for (size_t i = 0; i < schema->column_count; i++) {
        const struct k2_vector *vector = &vectors[i];
        bool null = vector->valid != NULL && vector->valid[at] == 0;
        bool same = null == row->null[i];
        if (same && !null) {
            same = k2_kind_is_fixed(schema->columns[i].kind)
                       ? vector->values[at] == row->numbers[i]
                       : k2_slice_equal(vector->texts[at], k2_slice_of(row->texts[i]));
        }
        if (!same) {
            fail_msg("%s: column %s of the row with sequence %lld", name, schema->columns[i].name,
                     (long long)row->numbers[K2_SEQUENCE]);
        }
    }
}

static void check_round(struct k2_row_sorter *sorter, const struct k2_schema *schema,
                        const struct shape *shape, uint64_t *random, struct row *rows)
{
    struct k2_error error;
    struct k2_export_order order = {0};
    const struct k2_vector *vectors;
    size_t done = 0, row_count = 1;
    for (size_t i = 0; i < MOST_ROWS; i++) {
        make_row(schema, shape, i, random, &rows[i]);
    }
    for (size_t i = 0, count; i < MOST_ROWS; i += count) {
        count = 1 + next_random(random) % K2_VECTOR_ROWS;
        count = count < MOST_ROWS - i ? count : MOST_ROWS - i;
        put_rows(sorter, schema, rows + i, count);
    }
    assert_int_equal(k2_row_sorter_count(sorter), MOST_ROWS);
    assert_int_equal(k2_row_sorter_sort(sorter, &error), K2_OK);
    qsort(rows, MOST_ROWS, sizeof *rows, compare_rows);
    while (row_count > 0) {
        k2_row_sorter_next(sorter, &vectors, &row_count);
        for (size_t i = 0; i < row_count; i++) {
            check_row(schema, vectors, i, &rows[done++], shape->name);
        }
        if (!k2_export_order_follows(&order, &vectors[K2_SYMBOL], &vectors[K2_TIMESTAMP],
                                     &vectors[K2_SEQUENCE], row_count)) {
            fail_msg("%s: not sorted before row %zu", shape->name, done);
        }
    }
    assert_int_equal(done, MOST_ROWS);
    k2_export_order_deinit(&order);
    k2_row_sorter_clear(sorter);
}

static void rows_come_out_sorted_and_whole(void **state)
{
    (void)state;
    static const struct shape shapes[] = {
        {"many symbols", 900, 3, 1000000, 5, false, false, 0},
        {"one symbol, one exchange", 1, 1, 1000000, 3, false, false, 0},
        {"many rows in a microsecond", 4, 2, 9000, 0, false, false, 0},
        {"alike at first", 50, 3, 1000000, 4, true, false, 0},
        {"null at first", 50, 3, 1000000, 7, true, false, 0},
        {"all alike", 5, 3, 100000, 0, false, true, 0},
        {"all null", 5, 3, 100000, 7, false, true, 0},
        {"in order", 2, 2, 0, 3, false, false, 1},
        {"two pieces that overlap", 2, 1, 0, 0, false, false, 2},
        {"pieces that follow each other", 3, 1, 0, 0, false, false, 20},
        {"more pieces than are merged", 1, 1, 0, 9, false, false, 100},
    };
    struct k2_schema *schema;
    struct k2_row_sorter *sorter;
    struct k2_error error;
    struct row *rows = malloc(MOST_ROWS * sizeof *rows);
    uint64_t random = 11;
    if (k2_schema_parse(&schema, "t", k2_slice_of(source), &error) != K2_OK) {
        fail_msg("%s", error.text);
    }
    assert_true(schema->column_count <= COLUMNS);
    assert_int_equal(k2_row_sorter_create(&sorter, schema, MOST_ROWS, &error), K2_OK);
    for (size_t i = 0; i < 2 * sizeof shapes / sizeof shapes[0]; i++) { // one after the other
        check_round(sorter, schema, &shapes[i * 3 % (sizeof shapes / sizeof shapes[0])], &random,
                    rows);
    }
    make_row(schema, &shapes[0], 0, &random, rows);
    for (size_t i = 0; i < MOST_ROWS; i += 1000) {
        for (size_t j = 0; j < 1000; j++) {
            rows[j] = rows[0];
        }
        put_rows(sorter, schema, rows, 1000);
    }
    struct k2_vector nothing[COLUMNS] = {0};
    assert_int_equal(k2_row_sorter_put(sorter, nothing, 1, &error), K2_LIMIT);
    k2_row_sorter_destroy(sorter);
    k2_row_sorter_destroy(NULL);
    k2_schema_destroy(schema);
    free(rows);
}

static void every_failed_allocation_is_told(void **state)
{
    (void)state;
    static const struct shape shape = {"alike at first", 9, 2, 100000, 4, true, false, 0};
    struct k2_schema *schema;
    struct k2_error error;
    struct row rows[64];
    uint64_t random = 5;
    assert_int_equal(k2_schema_parse(&schema, "t", k2_slice_of(source), &error), K2_OK);
    for (size_t i = 0; i < 64; i++) {
        make_row(schema, &shape, i < 32 ? i : MOST_ROWS + i, &random, &rows[i]);
    }
    enum k2_status status = K2_NO_MEMORY;
    for (long calls = 0; status != K2_OK; calls++) {
        struct k2_row_sorter *sorter = NULL;
        struct k2_vector_store *stores = k2_alloc_aligned(COLUMNS * sizeof *stores);
        struct k2_vector vectors[COLUMNS];
        assert_non_null(stores);
        k2_alloc_fail_after(calls);
        status = k2_row_sorter_create(&sorter, schema, 1000, &error);
        for (size_t half = 0; half < 2 && status == K2_OK; half++) {
            for (size_t i = 0; i < schema->column_count; i++) {
                bool fixed = k2_kind_is_fixed(schema->columns[i].kind);
                for (size_t j = 0; j < 32; j++) {
                    stores[i].values[j] = rows[half * 32 + j].numbers[i];
                    stores[i].texts[j] = k2_slice_of(rows[half * 32 + j].texts[i]);
                }
                vectors[i] = (struct k2_vector){.values = fixed ? stores[i].values : NULL,
                                                .texts = fixed ? NULL : stores[i].texts};
            }
            status = k2_row_sorter_put(sorter, vectors, 32, &error);
        }
        if (status == K2_OK) {
            status = k2_row_sorter_sort(sorter, &error);
        }
        k2_alloc_fail_after(-1);
        assert_true(status == K2_OK || status == K2_NO_MEMORY);
        k2_row_sorter_destroy(sorter);
        k2_free(stores);
    }
    k2_schema_destroy(schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_out_sorted_and_whole),
        cmocka_unit_test(every_failed_allocation_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
