// libk2 through its public header alone.
#include "engine/k2.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/base/alloc.h"
#include "tests/support/folder.h"

struct world {
    char path[TEST_PATH_BYTES];
    struct k2_db *db;
    struct k2_appender *appender;
    size_t price, quantity, side, conditions, trade_id;
};

static void need(enum k2_status status, const struct k2_error *error)
{
    if (status != K2_OK) {
        fail_msg("%s", error->text);
    }
}

static int open_world(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    struct k2_error error = {0};
    test_folder_make(world->path);
    need(k2_db_open(&world->db, world->path, K2_DB_CREATE, &error), &error);
    need(k2_appender_open(&world->appender, world->db, "trades", &error), &error);
    struct k2_appender *appender = world->appender;
    need(k2_appender_column(appender, "price", &world->price, &error), &error);
    need(k2_appender_column(appender, "quantity", &world->quantity, &error), &error);
    need(k2_appender_column(appender, "side", &world->side, &error), &error);
    need(k2_appender_column(appender, "trade_conditions", &world->conditions, &error), &error);
    need(k2_appender_column(appender, "trade_id", &world->trade_id, &error), &error);
    *state = world;
    return 0;
}

static int close_world(void **state)
{
    struct world *world = *state;
    k2_appender_close(world->appender);
    k2_db_close(world->db);
    test_folder_remove(world->path);
    free(world);
    return 0;
}

static void add(struct world *world, const char *symbol, int64_t time_ns, int64_t sequence,
                int64_t price)
{
    struct k2_error error = {0};
    need(k2_appender_row(world->appender, "x", symbol, time_ns, 0, sequence, &error), &error);
    need(k2_appender_value(world->appender, world->price, price, &error), &error);
    need(k2_appender_value(world->appender, world->quantity, 100000000, &error), &error);
}

static struct k2_commit_result commit(struct world *world)
{
    struct k2_error error = {0};
    struct k2_commit_result result = {0};
    need(k2_appender_commit(world->appender, &result, &error), &error);
    return result;
}

// The sum of the prices of a query, and its rows.
static int64_t sum_of(struct world *world, struct k2_query query, size_t *row_count)
{
    static const char *const columns[] = {"price", "symbol"};
    struct k2_error error = {0};
    struct k2_cursor *cursor = NULL;
    query.size_bytes = sizeof query;
    query.table = "trades";
    query.columns = columns;
    query.column_count = 2;
    need(k2_cursor_open(&cursor, world->db, &query, &error), &error);
    int64_t sum = 0;
    size_t rows = 0;
    *row_count = 0;
    do {
        need(k2_cursor_next(cursor, &rows, &error), &error);
        for (size_t i = 0; i < rows; i++) {
            sum += k2_cursor_values(cursor, 0)[i];
            assert_true(k2_cursor_texts(cursor, 1)[i].size_bytes > 0);
        }
        *row_count += rows;
    } while (rows > 0);
    assert_null(k2_cursor_values(cursor, 0));
    k2_cursor_close(cursor);
    return sum;
}

static void rows_come_back_as_of_any_commit(void **state)
{
    struct world *world = *state;
    size_t rows;
    uint64_t snapshot = 0;
    struct k2_error error = {0};
    assert_int_equal(k2_db_snapshot(world->db, NULL, &snapshot, &error), K2_NOT_FOUND);
    assert_int_equal(sum_of(world, (struct k2_query){0}, &rows), 0);
    for (int i = 0; i < 3000; i++) {
        add(world, i % 2 == 0 ? "A" : "B", i, i, i);
    }
    struct k2_commit_result first = commit(world);
    assert_int_equal(first.stored, 3000);
    add(world, "A", 5, 70000, 1000000);
    struct k2_commit_result second = commit(world);
    assert_int_equal(second.stored, 1);
    assert_true(second.snapshot > first.snapshot);
    assert_int_equal(sum_of(world, (struct k2_query){0}, &rows), 2999 * 1500 + 1000000);
    assert_int_equal(rows, 3001);
    assert_int_equal(sum_of(world, (struct k2_query){.snapshot = first.snapshot}, &rows),
                     2999 * 1500);
    need(k2_db_snapshot(world->db, NULL, &snapshot, &error), &error);
    assert_int_equal(snapshot, second.snapshot);
    char text[24];
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)first.snapshot);
    need(k2_db_snapshot(world->db, text, &snapshot, &error), &error);
    assert_int_equal(snapshot, first.snapshot);
}

static void queries_choose_instruments(void **state)
{
    struct world *world = *state;
    struct k2_error error = {0};
    for (int i = 0; i < 100; i++) {
        add(world, i % 4 == 0 ? "A" : "B", i, i, 1);
    }
    need(k2_appender_row(world->appender, "Y", "A", 7, 0, 1, &error), &error);
    need(k2_appender_value(world->appender, world->price, 1000, &error), &error);
    need(k2_appender_value(world->appender, world->quantity, 1, &error), &error);
    (void)commit(world);
    static const struct {
        const char *name;
        struct k2_symbol symbols[2];
        size_t count;
        int64_t sum;
    } rows[] = {
        {"none", {{0}}, 0, 0},
        {"one of one exchange", {{"X", "A"}}, 1, 25},
        {"one on every exchange", {{NULL, "A"}}, 1, 1025},
        {"all of an exchange", {{"Y", NULL}}, 1, 1000},
        {"two", {{"X", "B"}, {"Y", "A"}}, 2, 1075},
        {"unknown", {{"X", "a"}}, 1, 0},
        {"unknown exchange", {{"Z", NULL}}, 1, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t count;
        for (int order = 0; order < 3; order++) {
            struct k2_query query = {.symbols = rows[i].symbols,
                                     .symbol_count = rows[i].count,
                                     .order = (enum k2_cursor_order)order};
            print_message("%s\n", rows[i].name);
            assert_int_equal(sum_of(world, query, &count), rows[i].sum);
        }
    }
}

static void duplicates_and_conflicts_are_told(void **state)
{
    struct world *world = *state;
    add(world, "A", 1, 1, 10);
    add(world, "A", 2, 2, 20);
    (void)commit(world);
    add(world, "A", 3, 3, 30);
    add(world, "A", 1, 1, 10);
    add(world, "A", 2, 2, 21);
    struct k2_commit_result result = commit(world);
    assert_int_equal(result.stored, 1);
    assert_int_equal(result.duplicates, 1);
    assert_int_equal(result.conflicts, 1);
    assert_int_equal(result.conflict_rows[0], 2);
    uint64_t newest = result.snapshot;
    result = commit(world); // nothing waits
    assert_int_equal(result.snapshot, newest);
}

static void what_can_not_be_stored_is_refused(void **state)
{
    struct world *world = *state;
    struct k2_appender *appender = world->appender;
    struct k2_error error = {0};
    assert_int_equal(k2_appender_value(appender, world->price, 1, &error), K2_BAD_REQUEST);
    assert_int_equal(k2_appender_row(appender, "", "A", 1, 0, 1, &error), K2_REJECTED);
    need(k2_appender_row(appender, "X", "A", 1, 0, 1, &error), &error);
    assert_int_equal(k2_appender_value(appender, 2, 1, &error), K2_BAD_REQUEST);
    assert_int_equal(k2_appender_value(appender, 999, 1, &error), K2_BAD_REQUEST);
    assert_int_equal(k2_appender_value(appender, world->side, 1, &error), K2_BAD_REQUEST);
    assert_int_equal(k2_appender_value(appender, world->price, INT64_MAX, &error), K2_REJECTED);
    assert_int_equal(k2_appender_text(appender, world->side, "\xff", 1, &error), K2_REJECTED);
    assert_int_equal(k2_appender_text(appender, world->conditions, "{}", 2, &error), K2_REJECTED);
    struct k2_commit_result result;
    assert_int_equal(k2_appender_commit(appender, &result, &error), K2_BAD_REQUEST);
    assert_non_null(strstr(error.text, "price"));
    size_t column;
    assert_int_equal(k2_appender_column(appender, "nothing", &column, &error), K2_NOT_FOUND);
    struct k2_cursor *cursor = NULL;
    struct k2_query query = {.table = "trades"};
    assert_int_equal(k2_cursor_open(&cursor, world->db, &query, &error), K2_BAD_REQUEST);
    query = (struct k2_query){.size_bytes = sizeof query, .table = "nothing"};
    assert_int_equal(k2_cursor_open(&cursor, world->db, &query, &error), K2_NOT_FOUND);
    assert_null(cursor);
}

static void texts_are_canonical_and_nulls_are_told(void **state)
{
    struct world *world = *state;
    struct k2_error error = {0};
    add(world, "A", 1, 1, 10);
    need(k2_appender_text(world->appender, world->conditions, "[ \"@\", \"T\" ]", 12, &error),
         &error);
    add(world, "A", 2, 2, 10);
    (void)commit(world);
    struct k2_cursor *cursor = NULL;
    size_t rows;
    struct k2_query query = {.size_bytes = sizeof query, .table = "trades"};
    need(k2_cursor_open(&cursor, world->db, &query, &error), &error);
    need(k2_cursor_next(cursor, &rows, &error), &error);
    assert_int_equal(rows, 2);
    const struct k2_text *conditions = k2_cursor_texts(cursor, world->conditions);
    assert_int_equal(conditions[0].size_bytes, 9);
    assert_memory_equal(conditions[0].data, "[\"@\",\"T\"]", 9);
    assert_int_equal(k2_cursor_valid(cursor, world->conditions)[0], 1);
    assert_int_equal(k2_cursor_valid(cursor, world->conditions)[1], 0);
    assert_null(k2_cursor_valid(cursor, world->price));
    assert_null(k2_cursor_texts(cursor, world->price));
    assert_int_equal(k2_cursor_column(cursor, world->price).type, K2_TYPE_DECIMAL);
    assert_int_equal(k2_cursor_column(cursor, world->price).scale, 8);
    assert_memory_equal(k2_cursor_texts(cursor, world->side)[0].data, "UNKNOWN", 7);
    bool found = true;
    struct k2_column_info info;
    need(k2_db_column(world->db, "trades", world->price, &found, &info, &error), &error);
    assert_true(found && strcmp(info.name, "price") == 0);
    need(k2_db_column(world->db, "trades", 99, &found, &info, &error), &error);
    assert_false(found);
    k2_cursor_close(cursor);
}

static void a_full_appender_says_so(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < 65536; i++) {
        add(world, "A", i, i, i);
    }
    assert_int_equal(k2_appender_row(world->appender, "X", "A", 1, 0, 1, NULL), K2_LIMIT);
    assert_int_equal(commit(world).stored, 65536);
    add(world, "A", 65536, 65536, 1);
    assert_int_equal(commit(world).stored, 1);
}

enum { MANY = 3000, INSTRUMENTS = 3 };

struct arrays {
    uint32_t instruments[MANY];
    int64_t times[MANY], epochs[MANY], sequences[MANY], prices[MANY], quantities[MANY];
    struct k2_text ids[MANY];
    char id_bytes[MANY][12];
    uint8_t id_valid[MANY];
};

static struct arrays *fill_arrays(struct world *world)
{
    static const char *const symbols[INSTRUMENTS] = {"A", "B", "C"};
    struct k2_error error = {0};
    uint32_t numbers[INSTRUMENTS];
    struct arrays *arrays = calloc(1, sizeof *arrays);
    assert_non_null(arrays);
    for (size_t i = 0; i < INSTRUMENTS; i++) {
        need(k2_appender_instrument(world->appender, "x", symbols[i], &numbers[i], &error), &error);
    }
    for (size_t i = 0; i < MANY; i++) {
        arrays->instruments[i] = numbers[i % INSTRUMENTS];
        arrays->times[i] = (int64_t)(i * 7919 % MANY);
        arrays->epochs[i] = (int64_t)(i % 2);
        arrays->sequences[i] = (int64_t)i;
        arrays->prices[i] = (int64_t)(100 + i);
        arrays->quantities[i] = 100000000;
        (void)snprintf(arrays->id_bytes[i], sizeof arrays->id_bytes[i], "id%zu", i);
        arrays->ids[i] = (struct k2_text){arrays->id_bytes[i], strlen(arrays->id_bytes[i])};
        arrays->id_valid[i] = i % 5 > 0;
    }
    return arrays;
}

static void set_columns(const struct world *world, const struct arrays *arrays,
                        struct k2_column_values columns[3])
{
    columns[0] = (struct k2_column_values){.column = world->price, .values = arrays->prices};
    columns[1] = (struct k2_column_values){.column = world->quantity, .values = arrays->quantities};
    columns[2] = (struct k2_column_values){
        .column = world->trade_id, .texts = arrays->ids, .valid = arrays->id_valid};
}

static struct k2_rows rows_of(const struct arrays *arrays, const struct k2_column_values *columns)
{
    return (struct k2_rows){.size_bytes = sizeof(struct k2_rows),
                            .row_count = MANY,
                            .instruments = arrays->instruments,
                            .times_ns = arrays->times,
                            .epochs = arrays->epochs,
                            .sequences = arrays->sequences,
                            .columns = columns,
                            .column_count = 3};
}

// A row at a time, the same rows as those of the arrays are duplicates.
static void rows_of_arrays_are_those_of_calls(void **state)
{
    struct world *world = *state;
    struct k2_error error = {0};
    struct arrays *arrays = fill_arrays(world);
    struct k2_column_values columns[3];
    set_columns(world, arrays, columns);
    struct k2_rows rows = rows_of(arrays, columns);
    add(world, "D", 1, 1, 1); // arrays go behind what waits
    need(k2_appender_rows(world->appender, &rows, &error), &error);
    rows.row_count = 0;
    need(k2_appender_rows(world->appender, &rows, &error), &error);
    assert_int_equal(commit(world).stored, MANY + 1);
    for (size_t i = 0; i < MANY; i++) {
        char symbol[2] = {(char)('A' + i % INSTRUMENTS), '\0'};
        need(k2_appender_row(world->appender, "X", symbol, arrays->times[i], arrays->epochs[i],
                             arrays->sequences[i], &error),
             &error);
        need(k2_appender_value(world->appender, world->price, arrays->prices[i], &error), &error);
        need(k2_appender_value(world->appender, world->quantity, 100000000, &error), &error);
        if (arrays->id_valid[i] != 0) {
            need(k2_appender_text(world->appender, world->trade_id, arrays->id_bytes[i],
                                  arrays->ids[i].size_bytes, &error),
                 &error);
        }
    }
    struct k2_commit_result result = commit(world);
    assert_int_equal(result.stored, 0);
    assert_int_equal(result.duplicates, MANY);
    free(arrays);
}

static void arrays_that_can_not_be_stored_change_nothing(void **state)
{
    struct world *world = *state;
    struct k2_error error = {0};
    struct arrays *arrays = fill_arrays(world);
    struct k2_column_values good[3], wrong[7][3];
    set_columns(world, arrays, good);
    struct k2_rows rows[9];
    static const enum k2_status statuses[9] = {K2_BAD_REQUEST, K2_LIMIT,       K2_BAD_REQUEST,
                                               K2_BAD_REQUEST, K2_BAD_REQUEST, K2_BAD_REQUEST,
                                               K2_REJECTED,    K2_REJECTED,    K2_BAD_REQUEST};
    for (size_t i = 0; i < 7; i++) {
        memcpy(wrong[i], good, sizeof good);
    }
    for (size_t i = 0; i < 9; i++) {
        rows[i] = rows_of(arrays, i >= 2 ? wrong[i - 2] : good);
    }
    static const int64_t large[MANY] = {[MANY - 1] = INT64_MAX};
    static const struct k2_text no_text[MANY] = {[7] = {"\xff", 1}};
    static const uint32_t no_instruments[MANY] = {0};
    rows[0].size_bytes--;
    rows[1].row_count = 70000;
    wrong[0][1].column = 2;                                                        // a key column
    wrong[1][1].column = 999;                                                      // no column
    wrong[2][0].values = NULL;                                                     // nothing
    wrong[3][2] = (struct k2_column_values){world->trade_id, large, NULL, NULL};   // of texts
    wrong[4][1].values = large;                                                    // no decimal
    wrong[5][2] = (struct k2_column_values){world->trade_id, NULL, no_text, NULL}; // no UTF-8
    rows[8].instruments = no_instruments;
    for (size_t i = 0; i < 9; i++) {
        error.text[0] = '\0';
        assert_int_equal(k2_appender_rows(world->appender, &rows[i], &error), statuses[i]);
        assert_true(error.text[0] != '\0');
    }
    uint32_t number;
    assert_int_equal(k2_appender_instrument(world->appender, "", "A", &number, &error),
                     K2_REJECTED);
    assert_int_equal(commit(world).stored, 0);           // nothing waits
    wrong[4][1].valid = (const uint8_t *)no_instruments; // what is null may hold anything
    need(k2_appender_rows(world->appender, &rows[6], &error), &error);
    struct k2_commit_result result;
    assert_int_equal(k2_appender_commit(world->appender, &result, &error), K2_BAD_REQUEST);
    assert_non_null(strstr(error.text, "quantity"));
    free(arrays);
}

static void texts_of_times_and_decimals(void **state)
{
    (void)state;
    char text[K2_TIME_TEXT_BYTES], digits[K2_DECIMAL_BYTES];
    int64_t value = 0;
    k2_time_to_text(1394496000123456789, text);
    assert_string_equal(text, "2014-03-11T00:00:00.123456789Z");
    assert_int_equal(k2_time_from_text(text, &value, NULL), K2_OK);
    assert_int_equal(value, 1394496000123456789);
    assert_int_equal(k2_time_from_text("yesterday", &value, NULL), K2_BAD_REQUEST);
    k2_decimal_to_text(-1250000000, 8, digits);
    assert_string_equal(digits, "-12.5");
    assert_int_equal(k2_decimal_from_text("0.00000001", 8, &value, NULL), K2_OK);
    assert_int_equal(value, 1);
    assert_int_equal(k2_decimal_from_text("0.000000001", 8, &value, NULL), K2_BAD_REQUEST);
    assert_string_equal(k2_version(), "0.1.0");
}

static void a_reader_may_not_append(void **state)
{
    struct world *world = *state;
    k2_appender_close(world->appender);
    world->appender = NULL;
    k2_db_close(world->db);
    struct k2_error error = {0};
    need(k2_db_open(&world->db, world->path, K2_DB_READ, &error), &error);
    assert_int_equal(k2_appender_open(&world->appender, world->db, "trades", &error),
                     K2_BAD_REQUEST);
    assert_string_equal(k2_db_table(world->db, 0), "trades");
    assert_null(k2_db_table(world->db, 99));
    need(k2_db_refresh(world->db, &error), &error);
    k2_db_set_cache(world->db, 0, 0);
    struct k2_db *none = NULL;
    assert_int_equal(k2_db_open(&none, "/nonexistent/store", K2_DB_READ, &error), K2_NOT_FOUND);
    assert_null(none);
}

enum { THREADS = 3, FIRST_ROWS = 2000 };

// Reads as of the first commit, over and over: the same sum while others are committed.
static void *read_first_state(void *context)
{
    struct world *world = context;
    size_t wrong = 0;
    for (int turn = 0; turn < 30; turn++) {
        struct k2_query query = {.size_bytes = sizeof query,
                                 .table = "trades",
                                 .snapshot = 1,
                                 .order = (enum k2_cursor_order)(turn % 3)};
        struct k2_cursor *cursor = NULL;
        size_t rows = 1, done = 0;
        enum k2_status status = k2_cursor_open(&cursor, world->db, &query, NULL);
        while (status == K2_OK && rows > 0) {
            status = k2_cursor_next(cursor, &rows, NULL);
            done += rows;
        }
        k2_cursor_close(cursor);
        wrong += status != K2_OK || done != FIRST_ROWS;
    }
    return wrong == 0 ? context : NULL;
}

static void threads_read_while_one_commits(void **state)
{
    struct world *world = *state;
    pthread_t threads[THREADS];
    for (int i = 0; i < FIRST_ROWS; i++) {
        add(world, i % 2 == 0 ? "A" : "B", i, i, i);
    }
    assert_int_equal(commit(world).snapshot, 1);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, read_first_state, world), 0);
    }
    for (int i = 0; i < 40; i++) {
        add(world, "A", i, 100000 + i, i);
        assert_int_equal(commit(world).stored, 1);
    }
    for (size_t i = 0; i < THREADS; i++) {
        void *result = NULL;
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_non_null(result);
    }
}

static void every_failed_allocation_is_told(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < 300; i++) {
        add(world, i % 2 == 0 ? "A" : "B", i, i, i);
    }
    (void)commit(world);
    static const struct k2_symbol symbols[] = {{NULL, "A"}};
    struct k2_query query = {
        .size_bytes = sizeof query, .table = "trades", .symbols = symbols, .symbol_count = 1};
    enum k2_status status = K2_NO_MEMORY;
    size_t rows = 0;
    for (long calls = 0; status != K2_OK; calls++) {
        struct k2_cursor *cursor = NULL;
        k2_alloc_fail_after(calls);
        status = k2_cursor_open(&cursor, world->db, &query, NULL);
        assert_true((status == K2_OK) == (cursor != NULL));
        if (status == K2_OK) {
            status = k2_cursor_next(cursor, &rows, NULL);
        }
        k2_alloc_fail_after(-1);
        assert_true(status == K2_OK || status == K2_NO_MEMORY);
        k2_cursor_close(cursor);
    }
    assert_int_equal(rows, 150);
}

#define WORLD_TEST(test) cmocka_unit_test_setup_teardown(test, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(rows_come_back_as_of_any_commit),
        WORLD_TEST(queries_choose_instruments),
        WORLD_TEST(duplicates_and_conflicts_are_told),
        WORLD_TEST(what_can_not_be_stored_is_refused),
        WORLD_TEST(texts_are_canonical_and_nulls_are_told),
        WORLD_TEST(a_full_appender_says_so),
        WORLD_TEST(rows_of_arrays_are_those_of_calls),
        WORLD_TEST(arrays_that_can_not_be_stored_change_nothing),
        cmocka_unit_test(texts_of_times_and_decimals),
        WORLD_TEST(a_reader_may_not_append),
        WORLD_TEST(threads_read_while_one_commits),
        WORLD_TEST(every_failed_allocation_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
