// What a program that links libk2 does, from opening the store to the last row, while memory and
// index fail at every turn: an error, never a wrong answer, and nothing is left behind.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/k2.h"
#include "engine/k2_arrow.h"
#include "tests/support/faults.h"
#include "tests/support/folder.h"
#include "tests/support/rich_store.h"

typedef enum k2_status act(struct k2_db *db, uint64_t *digest, struct k2_error *error);

static const int64_t hour_ns = 3600000000000;
static const char *const quote_columns[] = {"timestamp", "bid_price", "quote_id"};
static const struct k2_symbol quote_symbols[] = {{"TEST", "BB"}, {NULL, "AAA"}};

static struct k2_query query_of(const char *table)
{
    return (struct k2_query){.size_bytes = sizeof(struct k2_query), .table = table};
}

static enum k2_status read_cursor(struct k2_cursor *cursor, uint64_t *digest,
                                  struct k2_error *error)
{
    enum k2_status status = K2_OK;
    for (size_t rows = 1; rows > 0 && status == K2_OK;) {
        status = k2_cursor_next(cursor, &rows, error);
        for (size_t i = 0; status == K2_OK && i < rows; i++) {
            for (size_t column = 0; column < k2_cursor_column_count(cursor); column++) {
                const uint8_t *valid = k2_cursor_valid(cursor, column);
                const int64_t *values = k2_cursor_values(cursor, column);
                const struct k2_text *texts = k2_cursor_texts(cursor, column);
                if (valid != NULL && valid[i] == 0) {
                    rich_note(digest, -1);
                } else if (values != NULL) {
                    rich_note(digest, values[i]);
                } else {
                    rich_note_text(digest, (struct k2_slice){(const uint8_t *)texts[i].data,
                                                             texts[i].size_bytes});
                }
            }
        }
    }
    return status;
}

static enum k2_status read_all(struct k2_db *db, uint64_t *digest, struct k2_error *error)
{
    struct k2_query query = query_of("trades");
    struct k2_cursor *cursor = NULL;
    enum k2_status status = k2_cursor_open(&cursor, db, &query, error);
    if (status == K2_OK) {
        status = read_cursor(cursor, digest, error);
    }
    k2_cursor_close(cursor);
    return status;
}

static enum k2_status read_some(struct k2_db *db, uint64_t *digest, struct k2_error *error)
{
    struct k2_query query = query_of("quotes");
    struct k2_cursor *cursor = NULL;
    query.columns = quote_columns;
    query.column_count = 3;
    query.symbols = quote_symbols;
    query.symbol_count = 2;
    query.has_start = true;
    query.start_ns = 1700000000000000000 + 5 * hour_ns;
    query.order = K2_CURSOR_TIME_DESCENDING;
    query.limit = 20;
    enum k2_status status = k2_db_snapshot(db, "held", &query.snapshot, error);
    if (status == K2_OK) {
        status = k2_cursor_open(&cursor, db, &query, error);
    }
    if (status == K2_OK) {
        status = read_cursor(cursor, digest, error);
    }
    k2_cursor_close(cursor);
    return status;
}

static enum k2_status join(struct k2_db *db, uint64_t *digest, struct k2_error *error)
{
    struct k2_asof_query query = {
        .size_bytes = sizeof query,
        .left = query_of("trades"),
        .right_table = "quotes",
        .right_columns = quote_columns,
        .right_column_count = 3,
    };
    struct k2_cursor *cursor = NULL;
    enum k2_status status = k2_cursor_open_asof(&cursor, db, &query, error);
    if (status == K2_OK) {
        status = read_cursor(cursor, digest, error);
    }
    k2_cursor_close(cursor);
    return status;
}

static enum k2_status cover(struct k2_db *db, uint64_t *digest, struct k2_error *error)
{
    struct k2_query query = query_of("trades");
    struct k2_coverage coverage = {.size_bytes = sizeof coverage};
    enum k2_status status = k2_query_coverage(db, &query, &coverage, error);
    if (status == K2_OK) {
        query.symbols = quote_symbols;
        query.symbol_count = 2;
        rich_note(digest, coverage.state);
        rich_note(digest, (int64_t)coverage.gap_count);
        status = k2_query_coverage(db, &query, &coverage, error);
        rich_note(digest, (int64_t)coverage.gap_count);
    }
    return status;
}

static enum k2_status add_up(struct k2_db *db, uint64_t *digest, struct k2_error *error)
{
    static const char *const columns[] = {"price", "quantity"};
    struct k2_query rows = query_of("trades");
    rows.columns = columns;
    rows.column_count = 2;
    struct k2_sum_query query = {
        .size_bytes = sizeof query, .rows = &rows, .price = "price", .quantity = "quantity"};
    struct k2_sums *sums = NULL;
    enum k2_status status = k2_sums_open(&sums, db, &query, error);
    for (size_t i = 0; status == K2_OK && i < k2_sums_count(sums); i++) {
        struct k2_sum_item item = {.size_bytes = sizeof item};
        struct k2_sum_total total = {.size_bytes = sizeof total};
        k2_sums_item(sums, i, &item);
        k2_sums_total(sums, i, 1, &total);
        rich_note(digest, item.vwap);
        rich_note(digest, (int64_t)total.sum.low);
    }
    k2_sums_close(sums);
    return status;
}

static enum k2_status make_candles(struct k2_db *db, uint64_t *digest, struct k2_error *error)
{
    static const char *const prices[] = {"bid_price", "ask_price"};
    struct k2_query rows = query_of("quotes");
    struct k2_ohlcv_query query = {.size_bytes = sizeof query,
                                   .rows = &rows,
                                   .interval_ns = hour_ns,
                                   .prices = prices,
                                   .price_count = 2};
    struct k2_ohlcv_reader *reader = NULL;
    enum k2_status status = k2_ohlcv_open(&reader, db, &query, error);
    for (bool found = true; found && status == K2_OK;) {
        struct k2_ohlcv candle = {.size_bytes = sizeof candle};
        status = k2_ohlcv_next(reader, &found, &candle, error);
        if (status == K2_OK && found) {
            rich_note(digest, candle.start_ns);
            rich_note(digest, candle.prices[0].close + 7 * candle.prices[1].low);
        }
    }
    k2_ohlcv_close(reader);
    return status;
}

// A consumer of Arrow streams learns no more than a number and a text; out of memory stays that.
static enum k2_status export_stream(struct k2_db *db, uint64_t *digest, struct k2_error *error)
{
    struct k2_query query = query_of("quotes");
    struct k2_cursor *cursor = NULL;
    struct ArrowArrayStream stream = {0};
    struct ArrowSchema schema = {0};
    enum k2_status status = k2_cursor_open(&cursor, db, &query, error);
    if (status == K2_OK) {
        status = k2_cursor_export_stream(&cursor, NULL, &stream, error);
    }
    k2_cursor_close(cursor);
    if (status != K2_OK) {
        return status;
    }
    int code = stream.get_schema(&stream, &schema);
    if (code == 0) {
        rich_note(digest, schema.n_children);
        schema.release(&schema);
    }
    for (bool more = code == 0; more;) {
        struct ArrowArray array = {0};
        code = stream.get_next(&stream, &array);
        more = code == 0 && array.release != NULL;
        if (more) {
            rich_note(digest, array.length);
            array.release(&array);
        }
    }
    if (code != 0) {
        const char *text = stream.get_last_error(&stream);
        assert_true(text != NULL && text[0] != '\0');
        status = strstr(text, "memory") != NULL     ? K2_NO_MEMORY
                 : strstr(text, "No space") != NULL ? K2_NO_SPACE
                 : strstr(text, "checksum mismatch") != NULL || strstr(text, "k2 repair") != NULL
                     ? K2_CORRUPT
                     : K2_IO;
        status = k2_fail(error, status, "%s", text);
    }
    stream.release(&stream);
    return status;
}

// The same rows each time: stored once, duplicates from then on.
static enum k2_status append(struct k2_db *db, uint64_t *digest, struct k2_error *error)
{
    struct k2_appender *appender = NULL;
    struct k2_commit_result result = {0};
    size_t price = 0, name = 0;
    enum k2_status status = k2_appender_open(&appender, db, "quotes", error);
    if (status == K2_OK) {
        status = k2_appender_column(appender, "bid_price", &price, error);
    }
    if (status == K2_OK) {
        status = k2_appender_column(appender, "quote_id", &name, error);
    }
    for (int64_t i = 0; i < 5 && status == K2_OK; i++) {
        status = k2_appender_row(appender, "MORE", i % 2 == 0 ? "X" : "Y", i, 0, i, error);
        if (status == K2_OK) {
            status = k2_appender_value(appender, price, 100 + i, error);
        }
        if (status == K2_OK) {
            status = k2_appender_text(appender, name, "q", 1, error);
        }
    }
    if (status == K2_OK) {
        status = k2_appender_delete(appender, "MORE", "X", 0, 0, 0, error);
    }
    if (status == K2_OK) {
        status = k2_appender_commit(appender, &result, error);
    }
    k2_appender_close(appender);
    if (status == K2_OK) {
        assert_int_equal(result.stored + result.duplicates + result.conflicts, 6);
        status = read_some(db, digest, error);
    }
    return status;
}

static const struct {
    const char *name;
    enum k2_db_mode mode;
    act *go;
} programs[] = {
    {"all rows", K2_DB_READ, read_all},
    {"some rows", K2_DB_READ, read_some},
    {"join", K2_DB_READ, join},
    {"coverage", K2_DB_READ, cover},
    {"sums", K2_DB_READ, add_up},
    {"candles", K2_DB_READ, make_candles},
    {"Arrow stream", K2_DB_READ, export_stream},
    {"append", K2_DB_WRITE, append},
    {"writer that reads", K2_DB_WRITE, read_some},
};

static enum k2_status run(const char *path, size_t program, uint64_t *digest,
                          struct k2_error *error)
{
    struct k2_db *db = NULL;
    *digest = 1;
    enum k2_status status = k2_db_open(&db, path, programs[program].mode, error);
    if (status == K2_OK) {
        status = programs[program].go(db, digest, error);
    }
    k2_db_close(db);
    return status;
}

// False: the program had ended before the fault's turn came.
static bool program_fails(const char *path, size_t program, uint64_t expected,
                          const struct test_fault *fault, long turn)
{
    uint64_t digest;
    struct k2_error error = {0};
    fault->begin(turn);
    enum k2_status status = run(path, program, &digest, &error);
    fault->begin(-1);
    if (status == K2_OK ? digest != expected : status != fault->status || error.text[0] == '\0') {
        fail_msg("%s, %s at %ld: %s: %s", programs[program].name, fault->name, turn,
                 k2_status_name(status), error.text);
    }
    return status != K2_OK;
}

static void try_program(const char *path, size_t program, const struct test_fault *fault)
{
    uint64_t expected, digest;
    struct k2_error error = {0};
    long *places = NULL;
    if (run(path, program, &expected, &error) != K2_OK) {
        fail_msg("%s: %s", programs[program].name, error.text);
    }
    if (fault->watched) {
        test_places_begin(fault);
        enum k2_status status = run(path, program, &digest, &error);
        size_t count = test_places_end(fault, &places);
        assert_int_equal(status, K2_OK);
        for (size_t i = 0; i < count; i++) {
            (void)program_fails(path, program, expected, fault, places[i]);
        }
        free(places);
    }
    for (long turn = 0; program_fails(path, program, expected, fault, turn);) {
        turn = test_next_turn(turn);
    }
}

static void programs_survive_every_fault(void **state)
{
    char folder[TEST_PATH_BYTES];
    (void)state;
    test_folder_make(folder);
    rich_store_make(folder);
    for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++) {
        for (size_t j = 0; j < TEST_FAULTS; j++) {
            if (!test_faults[j].of_changes || programs[i].mode == K2_DB_READ) {
                try_program(folder, i, &test_faults[j]);
            }
        }
    }
    test_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(programs_survive_every_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
