// Cursors behind Arrow's C stream interface, walked as a foreign reader would: values, nulls,
// dictionaries, who owns what, and what a failure looks like.
#include "engine/k2.h"
#include "engine/k2_arrow.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/base/alloc.h"
#include "tests/support/folder.h"

enum { ROWS = 10000, SYMBOLS = 7 };

struct world {
    char path[TEST_PATH_BYTES];
    struct k2_db *db;
};

static const char *const names[] = {"symbol", "timestamp", "price",          "sequence",
                                    "side",   "trade_id",  "source_sequence"};
enum { SYMBOL, TIME, PRICE, SEQUENCE, SIDE, TRADE_ID, SOURCE, COLUMNS };

static void need(enum k2_status status, const struct k2_error *error)
{
    if (status != K2_OK) {
        fail_msg("%s", error->text);
    }
}

static int64_t price_of(int64_t row)
{
    return row % 2 == 0 ? row * 1000003 : -row;
}

static void add_rows(struct k2_db *db)
{
    struct k2_error error = {0};
    struct k2_appender *appender;
    size_t price, quantity, trade_id;
    need(k2_appender_open(&appender, db, "trades", &error), &error);
    need(k2_appender_column(appender, "price", &price, &error), &error);
    need(k2_appender_column(appender, "quantity", &quantity, &error), &error);
    need(k2_appender_column(appender, "trade_id", &trade_id, &error), &error);
    for (int64_t row = 0; row < ROWS; row++) {
        char symbol[32], id[32];
        (void)snprintf(symbol, sizeof symbol, "S%d", (int)(row % SYMBOLS));
        int size = snprintf(id, sizeof id, "id %d", (int)row);
        need(k2_appender_row(appender, "X", symbol, row - 5000, 0, row, &error), &error);
        need(k2_appender_value(appender, price, price_of(row), &error), &error);
        need(k2_appender_value(appender, quantity, 1, &error), &error);
        if (row % 3 != 0) {
            need(k2_appender_text(appender, trade_id, id, (size_t)size, &error), &error);
        }
    }
    struct k2_commit_result result;
    need(k2_appender_commit(appender, &result, &error), &error);
    k2_appender_close(appender);
}

static int open_world(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    struct k2_error error = {0};
    test_folder_make(world->path);
    need(k2_db_open(&world->db, world->path, K2_DB_CREATE, &error), &error);
    add_rows(world->db);
    *state = world;
    return 0;
}

static int close_world(void **state)
{
    struct world *world = *state;
    k2_db_close(world->db);
    test_folder_remove(world->path);
    free(world);
    return 0;
}

static enum k2_status open_stream(const struct world *world,
                                  const struct k2_export_options *options,
                                  struct ArrowArrayStream *stream, struct k2_error *error)
{
    const struct k2_query query = {
        .size_bytes = sizeof query, .table = "trades", .columns = names, .column_count = COLUMNS};
    struct k2_cursor *cursor = NULL;
    enum k2_status status = k2_cursor_open(&cursor, world->db, &query, error);
    if (status == K2_OK) {
        status = k2_cursor_export_stream(&cursor, options, stream, error);
        assert_true((status == K2_OK) == (cursor == NULL));
        k2_cursor_close(cursor);
    }
    return status;
}

static int is_set(const struct ArrowArray *array, int64_t row)
{
    const uint8_t *bits = array->buffers[0];
    return bits == NULL || (bits[row / 8] >> row % 8 & 1);
}

static void assert_text(const struct ArrowArray *texts, int64_t row, const char *expected)
{
    const int32_t *offsets = texts->buffers[1];
    size_t size = strlen(expected);
    assert_int_equal(offsets[row + 1] - offsets[row], size);
    assert_memory_equal((const char *)texts->buffers[2] + offsets[row], expected, size);
}

// Batch rows begin at row `first` of the table: times rise with the row.
static void check_batch(const struct ArrowArray *batch, int64_t first, int narrow)
{
    assert_int_equal(batch->n_children, COLUMNS);
    const int64_t *times = batch->children[TIME]->buffers[1];
    const int64_t *prices = batch->children[PRICE]->buffers[1];
    const int32_t *entries = batch->children[SYMBOL]->buffers[1];
    int64_t nulls = 0;
    for (int64_t i = 0; i < batch->length; i++) {
        int64_t row = first + i;
        char text[32];
        assert_int_equal(times[i], row - 5000);
        if (narrow) {
            assert_int_equal(prices[i], price_of(row));
        } else {
            assert_int_equal(prices[2 * i], price_of(row));
            assert_int_equal(prices[2 * i + 1], price_of(row) < 0 ? -1 : 0);
        }
        (void)snprintf(text, sizeof text, "S%d", (int)(row % SYMBOLS));
        assert_in_range(entries[i], 0, batch->children[SYMBOL]->dictionary->length - 1);
        assert_text(batch->children[SYMBOL]->dictionary, entries[i], text);
        (void)snprintf(text, sizeof text, "id %d", (int)row);
        assert_int_equal(is_set(batch->children[TRADE_ID], i), row % 3 != 0);
        assert_text(batch->children[TRADE_ID], i, row % 3 != 0 ? text : "");
        assert_false(is_set(batch->children[SOURCE], i));
        nulls += row % 3 == 0;
    }
    assert_int_equal(batch->children[TRADE_ID]->null_count, nulls);
    assert_int_equal(batch->children[SOURCE]->null_count, batch->length);
    assert_int_equal(batch->children[PRICE]->null_count, 0);
    assert_null(batch->children[PRICE]->buffers[0]);
    assert_int_equal((uintptr_t)prices % 64, 0);
}

static void schemas_say_what_batches_have(void **state)
{
    static const struct {
        struct k2_export_options options;
        const char *formats[COLUMNS];
    } rows[] = {{{.size_bytes = sizeof(struct k2_export_options)},
                 {"i", "tsn:UTC", "d:18,8", "l", "i", "u", "l"}},
                {{.size_bytes = sizeof(struct k2_export_options),
                  .decimals_as_int64 = true,
                  .times_as_int64 = true},
                 {"i", "l", "l", "l", "i", "u", "l"}}};
    for (size_t i = 0; i < 2; i++) {
        struct k2_error error = {0};
        struct ArrowArrayStream stream;
        struct ArrowSchema schema, moved;
        need(open_stream(*state, &rows[i].options, &stream, &error), &error);
        assert_int_equal(stream.get_schema(&stream, &schema), 0);
        assert_null(stream.get_last_error(&stream));
        stream.release(&stream);
        assert_null(stream.release);
        assert_string_equal(schema.format, "+s");
        assert_int_equal(schema.n_children, COLUMNS);
        for (size_t column = 0; column < COLUMNS; column++) {
            const struct ArrowSchema *child = schema.children[column];
            assert_string_equal(child->name, names[column]);
            assert_string_equal(child->format, rows[i].formats[column]);
            assert_int_equal(child->flags, column >= TRADE_ID ? ARROW_FLAG_NULLABLE : 0);
            assert_int_equal(child->dictionary != NULL, column == SYMBOL || column == SIDE);
        }
        assert_string_equal(schema.children[SYMBOL]->dictionary->format, "u");
        const char *metadata = schema.children[PRICE]->metadata;
        assert_int_equal(metadata != NULL, i == 1);
        if (metadata != NULL) {
            int32_t numbers[2];
            memcpy(numbers, metadata, sizeof numbers);
            assert_int_equal(numbers[0], 1);
            assert_int_equal(numbers[1], 8);
            assert_memory_equal(metadata + 8, "k2.scale\1\0\0\0008", 13);
        }
        moved = *schema.children[PRICE]; // a consumer may take a child
        schema.children[PRICE]->release = NULL;
        schema.release(&schema);
        assert_string_equal(moved.name, "price");
        moved.release(&moved);
    }
}

static void batches_have_the_rows(void **state)
{
    static const struct {
        size_t batch_rows, batch_count;
        bool narrow;
    } rows[] = {
        {0, 1, false}, {3000, 4, false}, {1, ROWS, true}, {ROWS, 1, true}, {1024, 10, true}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct k2_export_options options = {.size_bytes = sizeof options,
                                                  .batch_rows = rows[i].batch_rows,
                                                  .decimals_as_int64 = rows[i].narrow};
        struct k2_error error = {0};
        struct ArrowArrayStream stream;
        need(open_stream(*state, &options, &stream, &error), &error);
        int64_t row_count = 0;
        size_t batch_count = 0;
        for (;; batch_count++) {
            struct ArrowArray batch;
            assert_int_equal(stream.get_next(&stream, &batch), 0);
            if (batch.release == NULL) {
                break;
            }
            check_batch(&batch, row_count, rows[i].narrow);
            row_count += batch.length;
            batch.release(&batch);
            assert_null(batch.release);
        }
        struct ArrowArray behind;
        assert_int_equal(stream.get_next(&stream, &behind), 0); // the end again
        assert_null(behind.release);
        assert_int_equal(row_count, ROWS);
        assert_int_equal(batch_count, rows[i].batch_count);
        stream.release(&stream);
    }
}

static void *release_elsewhere(void *context)
{
    struct ArrowArray *batch = context;
    batch->release(batch);
    return NULL;
}

static void batches_outlive_stream_and_store(void **state)
{
    (void)state;
    struct world other = {0};
    struct k2_error error = {0};
    struct ArrowArrayStream stream;
    struct ArrowArray first, second, child;
    const struct k2_export_options options = {.size_bytes = sizeof options, .batch_rows = 5000};
    test_folder_make(other.path);
    need(k2_db_open(&other.db, other.path, K2_DB_CREATE, &error), &error);
    add_rows(other.db);
    need(open_stream(&other, &options, &stream, &error), &error);
    assert_int_equal(stream.get_next(&stream, &first), 0);
    assert_int_equal(stream.get_next(&stream, &second), 0);
    stream.release(&stream);
    k2_db_close(other.db);
    test_folder_remove(other.path);
    check_batch(&first, 0, 0);
    check_batch(&second, 5000, 0);
    child = *first.children[SYMBOL];
    first.children[SYMBOL]->release = NULL;
    pthread_t thread; // both batches share a dictionary
    assert_int_equal(pthread_create(&thread, NULL, release_elsewhere, &first), 0);
    second.release(&second);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_text(child.dictionary, 1, "S1");
    child.release(&child);
}

static void wrong_options_are_told(void **state)
{
    const struct k2_export_options options[] = {
        {.size_bytes = 1}, {.size_bytes = sizeof(struct k2_export_options), .batch_rows = 65537}};
    for (size_t i = 0; i < 2; i++) {
        struct k2_error error = {0};
        struct ArrowArrayStream stream;
        assert_int_equal(open_stream(*state, &options[i], &stream, &error), K2_BAD_REQUEST);
        assert_memory_equal(error.text, "arrow: ", 7);
    }
}

// Opens, reads and releases with memory that ends somewhere.
static int read_all(const struct world *world)
{
    struct ArrowArrayStream stream;
    struct ArrowSchema schema;
    struct ArrowArray batch;
    const struct k2_export_options options = {.size_bytes = sizeof options, .batch_rows = 4000};
    enum k2_status status = open_stream(world, &options, &stream, NULL);
    if (status != K2_OK) {
        assert_int_equal(status, K2_NO_MEMORY);
        return ENOMEM;
    }
    int result = stream.get_schema(&stream, &schema);
    if (result == 0) {
        schema.release(&schema);
    }
    while (result == 0) {
        result = stream.get_next(&stream, &batch);
        if (result == 0 && batch.release == NULL) {
            break;
        }
        if (result == 0) {
            batch.release(&batch);
        }
    }
    if (result != 0) {
        assert_int_equal(result, ENOMEM);
        assert_non_null(stream.get_last_error(&stream));
    }
    stream.release(&stream);
    return result;
}

static void every_failed_allocation_is_told(void **state)
{
    int result = ENOMEM;
    long count = 0;
    for (; result != 0; count++) {
        k2_alloc_fail_after(count);
        result = read_all(*state);
        k2_alloc_fail_after(-1);
    }
    assert_true(count > 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schemas_say_what_batches_have),
        cmocka_unit_test(batches_have_the_rows),
        cmocka_unit_test(batches_outlive_stream_and_store),
        cmocka_unit_test(wrong_options_are_told),
        cmocka_unit_test(every_failed_allocation_is_told),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
