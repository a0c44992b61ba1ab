// The scan against a model that keeps every row in an array: ranges, instruments, limits, orders,
// snapshots, places to continue from, windows of all sizes; before and after compaction.
#include "engine/scan.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/commit.h"
#include "engine/compact.h"
#include "engine/instruments.h"
#include "format/base/alloc.h"
#include "tests/support/folder.h"
#include "tests/support/tier.h"

static const char first_schema[] =
    "{\"type\":\"record\",\"name\":\"Tick\",\"fields\":["
    "{\"name\":\"exchange\",\"type\":\"string\",\"k2.role\":\"exchange\"},"
    "{\"name\":\"symbol\",\"type\":\"string\",\"k2.role\":\"symbol\"},"
    "{\"name\":\"timestamp\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-nanos\"},\"k2."
    "role\":\"timestamp\"},"
    "{\"name\":\"epoch\",\"type\":\"long\",\"k2.role\":\"epoch\",\"default\":0},"
    "{\"name\":\"sequence\",\"type\":\"long\",\"k2.role\":\"sequence\"},"
    "{\"name\":\"row\",\"type\":\"long\"},"
    "{\"name\":\"size\",\"type\":[\"null\",\"long\"],\"default\":null},"
    "{\"name\":\"side\",\"type\":\"string\",\"k2.kind\":\"symbolic\"},"
    "{\"name\":\"note\",\"type\":[\"null\",\"string\"],\"default\":null,\"k2.kind\":\"text\"}";
static const char second_schema[] =
    ",{\"name\":\"lots\",\"type\":\"long\",\"default\":7},"
    "{\"name\":\"venue\",\"type\":\"string\",\"default\":\"main\",\"k2.kind\":\"text\"},"
    "{\"name\":\"extra\",\"type\":[\"null\",\"long\"],\"default\":null}";

enum { ROW = 5, SIZE, SIDE, NOTE, LOTS, VENUE, EXTRA, COLUMNS };
enum { EXCHANGES = 2, SYMBOLS = 7, INSTRUMENTS = EXCHANGES * SYMBOLS, MAX_ROWS = 60000 };

static const char *const exchanges[EXCHANGES] = {"NYSE", "ASX"};
static const char *const symbols[SYMBOLS] = {"B", "A", "AA", "a", "BTC/USD", "Z", "\xc3\xa9"};
static const char *const sides[] = {"BUY", "SELL", "UNKNOWN"};

struct model_row {
    int instrument; // exchange * SYMBOLS + symbol
    int64_t time_ns, epoch, sequence;
    uint64_t commit;
    bool second; // written with the second schema
};

struct world {
    char path[TEST_PATH_BYTES];
    struct k2_engine *engine;
    const struct k2_table *table;
    struct model_row *rows; // by number, which is also the column `row`
    size_t row_count;
    uint32_t *order; // numbers in the total order
    uint64_t snapshots[400];
    size_t snapshot_count;
    uint64_t random;
};

static struct k2_slice exchange_of(const struct model_row *row)
{
    return k2_slice_of(exchanges[row->instrument / SYMBOLS]);
}

static struct k2_slice symbol_of(const struct model_row *row)
{
    return k2_slice_of(symbols[row->instrument % SYMBOLS]);
}

static int compare_keys(const struct model_row *row, const struct k2_scan_key *key)
{
    if (row->time_ns != key->time_ns) {
        return row->time_ns < key->time_ns ? -1 : 1;
    }
    int order = k2_slice_compare(exchange_of(row), key->exchange);
    if (order == 0) {
        order = k2_slice_compare(symbol_of(row), key->symbol);
    }
    if (order == 0) {
        order = (row->epoch > key->epoch) - (row->epoch < key->epoch);
    }
    return order != 0 ? order : (row->sequence > key->sequence) - (row->sequence < key->sequence);
}

static struct k2_scan_key key_of(const struct model_row *row)
{
    return (struct k2_scan_key){row->time_ns, exchange_of(row), symbol_of(row), row->epoch,
                                row->sequence};
}

static int compare_numbers(const void *left, const void *right, void *context)
{
    const struct model_row *rows = context;
    struct k2_scan_key key = key_of(&rows[*(const uint32_t *)right]);
    return compare_keys(&rows[*(const uint32_t *)left], &key);
}

// What the columns of a row hold follows from its number.
static bool size_is_null(size_t number)
{
    return number % 5 == 0;
}

static size_t note_bytes(size_t number, char text[64])
{
    int size = snprintf(text, 64, "note %zu of %zu", number, number % 97);
    return number % 11 == 0 ? 0 : (size_t)size;
}

static void declare(struct world *world, bool second)
{
    char json[4096];
    (void)snprintf(json, sizeof json, "%s%s]}", first_schema, second ? second_schema : "");
    struct k2_schema *schema = NULL;
    struct k2_error error = {0};
    if (k2_schema_parse(&schema, "ticks", k2_slice_of(json), &error) != K2_OK ||
        k2_engine_add_table(world->engine, &schema, &world->table, &error) != K2_OK) {
        fail_msg("%s", error.text);
    }
}

static void set_columns(struct k2_row_batch *batch, size_t place, size_t number, bool second)
{
    char text[64];
    struct k2_error error;
    k2_row_batch_set_value(batch, place, ROW, (int64_t)number);
    if (!size_is_null(number)) {
        k2_row_batch_set_value(batch, place, SIZE, -(int64_t)number * 3);
    }
    assert_int_equal(
        k2_row_batch_set_text(batch, place, SIDE, k2_slice_of(sides[number % 3]), &error), K2_OK);
    if (number % 7 != 0) {
        struct k2_slice note = {(const uint8_t *)text, note_bytes(number, text)};
        assert_int_equal(k2_row_batch_set_text(batch, place, NOTE, note, &error), K2_OK);
    }
    if (second) {
        k2_row_batch_set_value(batch, place, LOTS, (int64_t)number % 13);
        k2_row_batch_set_value(batch, place, EXTRA, (int64_t)number + 1);
        assert_int_equal(k2_row_batch_set_text(batch, place, VENUE, k2_slice_of("second"), &error),
                         K2_OK);
    }
}

// Commits `count` rows between two times; sequences are unique, so that keys are.
static void commit_rows(struct world *world, size_t count, int64_t from_ns, int64_t span_ns,
                        int instrument_count)
{
    struct k2_error error = {0};
    struct k2_row_batch *batch = NULL;
    struct k2_commit *commit = NULL;
    bool second = world->table->schema->column_count == COLUMNS;
    assert_int_equal(
        k2_row_batch_create(&batch, world->table->schema, K2_GROUP_ROWS, false, &error), K2_OK);
    size_t first = world->row_count;
    for (size_t i = 0; i < count; i++) {
        size_t number = world->row_count++, place;
        assert_true(number < MAX_ROWS);
        struct model_row *row = &world->rows[number];
        *row = (struct model_row){
            .instrument = (int)test_random_below(&world->random, (uint64_t)instrument_count),
            .time_ns = from_ns + (int64_t)test_random_below(&world->random, (uint64_t)span_ns),
            .epoch = (int64_t)test_random_below(&world->random, 2),
            .sequence = (int64_t)number ^ 0x155,
            .second = second,
        };
        struct k2_row_key key = {0, row->time_ns, row->epoch, row->sequence};
        assert_int_equal(k2_instrument_intern(world->engine, exchange_of(row), symbol_of(row),
                                              &key.instrument, &error),
                         K2_OK);
        assert_int_equal(k2_row_batch_add(batch, &key, 0, &place, &error), K2_OK);
        set_columns(batch, place, number, second);
    }
    struct k2_commit_outcome outcome;
    uint64_t snapshot = 0;
    if (k2_commit_begin(world->engine, &commit, &error) != K2_OK ||
        k2_commit_add(commit, batch, K2_NUMBERING_SPARSE, &outcome, &error) != K2_OK ||
        k2_commit_finish(commit, &snapshot, &error) != K2_OK) {
        fail_msg("%s", error.text);
    }
    for (size_t i = first; i < world->row_count; i++) {
        world->rows[i].commit = snapshot;
    }
    world->snapshots[world->snapshot_count++] = snapshot;
    k2_row_batch_destroy(batch);
}

static void sort_model(struct world *world)
{
    for (size_t i = 0; i < world->row_count; i++) {
        world->order[i] = (uint32_t)i;
    }
    qsort_r(world->order, world->row_count, sizeof *world->order, compare_numbers, world->rows);
}

static int open_world(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    struct k2_error error = {0};
    world->rows = calloc(MAX_ROWS, sizeof *world->rows);
    world->order = calloc(MAX_ROWS, sizeof *world->order);
    world->random = test_seed();
    test_folder_make(world->path);
    if (k2_engine_open(&world->engine, world->path, K2_ENGINE_CREATE, &error) != K2_OK) {
        fail_msg("%s", error.text);
    }
    declare(world, false);
    *state = world;
    return 0;
}

static int close_world(void **state)
{
    struct world *world = *state;
    k2_engine_close(world->engine);
    test_folder_remove(world->path);
    free(world->rows);
    free(world->order);
    free(world);
    return 0;
}

struct query {
    struct k2_scan_request request;
    struct k2_scan_instrument instruments[INSTRUMENTS];
    size_t columns[COLUMNS + 2];
    struct k2_scan_key after;
};

static int64_t some_time(struct world *world)
{
    const struct model_row *row = &world->rows[test_random_below(&world->random, world->row_count)];
    return (int64_t)((uint64_t)row->time_ns + test_random_below(&world->random, 5) - 2);
}

static void some_instruments(struct world *world, struct query *query)
{
    struct k2_scan_request *request = &query->request;
    request->instruments = query->instruments;
    for (int i = 0; i < INSTRUMENTS; i++) {
        if (test_random_below(&world->random, 3) == 0) {
            struct model_row row = {.instrument = i};
            query->instruments[request->instrument_count++] =
                (struct k2_scan_instrument){exchange_of(&row), symbol_of(&row)};
        }
    }
    if (test_random_below(&world->random, 4) == 0 && request->instrument_count < INSTRUMENTS) {
        query->instruments[request->instrument_count++] =
            (struct k2_scan_instrument){k2_slice_of("NYSE"), k2_slice_of("NEVER")};
    }
}

static void some_query(struct world *world, struct query *query)
{
    uint64_t *random = &world->random;
    struct k2_scan_request *request = &query->request;
    static const size_t memories[] = {2000, 20000, 100000, 400000, 0};
    *query = (struct query){.request = {.table = world->table, .columns = query->columns}};
    request->order = (enum k2_order)test_random_below(random, 3);
    request->has_start = test_random_below(random, 2) == 0;
    request->has_end = test_random_below(random, 2) == 0;
    request->start_ns = some_time(world);
    request->end_ns = some_time(world);
    request->memory_bytes = memories[test_random_below(random, 5)];
    request->with_commit = test_random_below(random, 4) == 0;
    if (test_random_below(random, 2) == 0) {
        request->snapshot = world->snapshots[test_random_below(random, world->snapshot_count)];
    }
    if (test_random_below(random, 2) == 0) {
        request->limit = test_random_below(random, 2) == 0 ? 1 + test_random_below(random, 20)
                                                           : 1 + test_random_below(random, 5000);
    }
    if (test_random_below(random, 2) == 0) {
        some_instruments(world, query);
    }
    if (request->order != K2_ORDER_STORED && test_random_below(random, 3) == 0) {
        query->after = key_of(&world->rows[test_random_below(random, world->row_count)]);
        query->after.sequence += (int64_t)test_random_below(random, 3) - 1;
        request->after = &query->after;
    }
    for (size_t i = test_random_below(random, 6); i > 0; i--) {
        query->columns[request->column_count++] =
            test_random_below(random, world->table->schema->column_count);
    }
    query->columns[request->column_count++] = ROW; // by which the model knows it
}

static bool wanted(const struct query *query, const struct model_row *row, uint64_t snapshot)
{
    const struct k2_scan_request *request = &query->request;
    bool named = request->instruments == NULL;
    for (size_t i = 0; i < request->instrument_count && !named; i++) {
        named = k2_slice_equal(request->instruments[i].exchange, exchange_of(row)) &&
                k2_slice_equal(request->instruments[i].symbol, symbol_of(row));
    }
    if (!named || row->commit > snapshot ||
        (request->has_start && row->time_ns < request->start_ns) ||
        (request->has_end && row->time_ns >= request->end_ns)) {
        return false;
    }
    if (request->after == NULL) {
        return true;
    }
    int order = compare_keys(row, request->after);
    return request->order == K2_ORDER_TIME ? order > 0 : order < 0;
}

static void check_text(const struct k2_vector *vector, size_t i, const char *text, size_t size)
{
    struct k2_slice wanted_text = {(const uint8_t *)text, size};
    assert_true(vector->valid == NULL || vector->valid[i] == 1);
    if (!k2_slice_equal(vector->texts[i], wanted_text)) {
        fail_msg("text '%.*s', expected '%.*s'", (int)vector->texts[i].size_bytes,
                 (const char *)vector->texts[i].data, (int)size, text);
    }
}

static void check_value(const struct k2_vector *vector, size_t i, bool is_null, int64_t value)
{
    bool found_null = vector->valid != NULL && vector->valid[i] == 0;
    assert_int_equal(found_null, is_null);
    if (!is_null) {
        assert_int_equal(vector->values[i], value);
    }
}

static void check_column(const struct model_row *row, size_t number, size_t column,
                         const struct k2_vector *vector, size_t i)
{
    char text[64];
    switch (column) {
    case K2_EXCHANGE:
        check_text(vector, i, exchanges[row->instrument / SYMBOLS],
                   strlen(exchanges[row->instrument / SYMBOLS]));
        break;
    case K2_SYMBOL:
        check_text(vector, i, symbols[row->instrument % SYMBOLS],
                   strlen(symbols[row->instrument % SYMBOLS]));
        break;
    case K2_TIMESTAMP:
        assert_int_equal(vector->kind, K2_KIND_TIMESTAMP);
        check_value(vector, i, false, row->time_ns);
        break;
    case K2_EPOCH:
        check_value(vector, i, false, row->epoch);
        break;
    case K2_SEQUENCE:
        check_value(vector, i, false, row->sequence);
        break;
    case ROW:
        check_value(vector, i, false, (int64_t)number);
        break;
    case SIZE:
        check_value(vector, i, size_is_null(number), -(int64_t)number * 3);
        break;
    case SIDE:
        check_text(vector, i, sides[number % 3], strlen(sides[number % 3]));
        break;
    case NOTE:
        if (number % 7 == 0) {
            assert_true(vector->valid != NULL && vector->valid[i] == 0);
        } else {
            check_text(vector, i, text, note_bytes(number, text));
        }
        break;
    case LOTS:
        check_value(vector, i, false, row->second ? (int64_t)number % 13 : 7);
        break;
    case VENUE:
        check_text(vector, i, row->second ? "second" : "main", row->second ? 6 : 4);
        break;
    case EXTRA:
        check_value(vector, i, !row->second, (int64_t)number + 1);
        break;
    }
}

// Reads a whole scan; the numbers of its rows, checked column by column.
static size_t read_scan(struct world *world, const struct query *query, uint32_t *numbers,
                        uint64_t *snapshot)
{
    struct k2_error error = {0};
    struct k2_scan *scan = NULL;
    const struct k2_scan_request *request = &query->request;
    if (k2_scan_open(world->engine, request, &scan, &error) != K2_OK) {
        fail_msg("%s", error.text);
    }
    *snapshot = k2_scan_snapshot(scan);
    size_t count = 0, rows;
    do {
        const struct k2_vector *columns;
        if (k2_scan_next(scan, &columns, &rows, &error) != K2_OK) {
            fail_msg("%s", error.text);
        }
        assert_true(rows <= K2_VECTOR_ROWS && count + rows <= world->row_count);
        const struct k2_vector *row_column = &columns[request->column_count - 1];
        for (size_t i = 0; i < rows; i++) {
            size_t number = (size_t)row_column->values[i];
            assert_true(number < world->row_count);
            for (size_t j = 0; j < request->column_count; j++) {
                assert_true((uintptr_t)columns[j].values % 64 == 0);
                check_column(&world->rows[number], number, request->columns[j], &columns[j], i);
            }
            if (request->with_commit) {
                assert_int_equal(columns[request->column_count].values[i],
                                 world->rows[number].commit);
            }
            numbers[count++] = (uint32_t)number;
        }
    } while (rows > 0);
    k2_scan_close(scan);
    return count;
}

static int compare_u32(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

// The model's answer: all of it for the order of storage, whose limit may take any rows.
static size_t answer(struct world *world, const struct query *query, uint64_t snapshot,
                     uint32_t *numbers)
{
    size_t count = 0;
    bool backwards = query->request.order == K2_ORDER_TIME_DESCENDING;
    bool limited = query->request.limit > 0 && query->request.order != K2_ORDER_STORED;
    for (size_t i = 0; i < world->row_count; i++) {
        uint32_t number = world->order[backwards ? world->row_count - 1 - i : i];
        if (wanted(query, &world->rows[number], snapshot)) {
            numbers[count++] = number;
            if (limited && count == query->request.limit) {
                break;
            }
        }
    }
    return count;
}

static void check_query(struct world *world, const struct query *query, uint32_t *got,
                        uint32_t *expected)
{
    uint64_t snapshot;
    size_t got_count = read_scan(world, query, got, &snapshot);
    size_t expected_count = answer(world, query, snapshot, expected);
    if (query->request.order != K2_ORDER_STORED) {
        assert_int_equal(got_count, expected_count);
        assert_memory_equal(got, expected, got_count * sizeof *got);
        return;
    }
    if (query->request.limit > 0 && query->request.limit < expected_count) {
        expected_count = (size_t)query->request.limit;
        assert_int_equal(got_count, expected_count);
        return;
    }
    assert_int_equal(got_count, expected_count);
    qsort(got, got_count, sizeof *got, compare_u32);
    qsort(expected, expected_count, sizeof *expected, compare_u32);
    assert_memory_equal(got, expected, got_count * sizeof *got);
}

static void check_queries(struct world *world, size_t turns)
{
    uint32_t *got = malloc(MAX_ROWS * sizeof *got), *expected = malloc(MAX_ROWS * sizeof *got);
    sort_model(world);
    for (size_t turn = 0; turn < turns; turn++) {
        struct query query;
        some_query(world, &query);
        check_query(world, &query, got, expected);
    }
    free(got);
    free(expected);
}

static void compact(struct world *world, bool full)
{
    struct k2_error error = {0};
    struct k2_compact_options options = {.full = full};
    struct k2_compact_report report;
    if (k2_compact(world->engine, &options, &report, &error) != K2_OK) {
        fail_msg("%s", error.text);
    }
}

// Overlapping commits, many rows of one time, several blocks an instrument, far gaps, times before
// 1970.
static void fill(struct world *world, size_t commits)
{
    for (size_t i = 0; i < commits; i++) {
        uint64_t kind = test_random_below(&world->random, 6);
        uint64_t few = 1 + test_random_below(&world->random, 40);
        int64_t base = (int64_t)test_random_below(&world->random, 3000);
        if (i == 2) {
            commit_rows(world, 3, INT64_MAX - 2, 3, 2);
            commit_rows(world, 3, INT64_MIN, 3, 2);
        } else if (kind == 0) {
            commit_rows(world, few, -500, 1000, INSTRUMENTS);
        } else if (kind == 1) {
            commit_rows(world, few * 2, base, 3, 2);
        } else if (kind == 2) {
            commit_rows(world, 2500, base, 2000, 3);
        } else if (kind == 3) {
            commit_rows(world, few, 1000000000000000, 5000000, INSTRUMENTS);
        } else {
            commit_rows(world, few * 10, base * 1000, 1000000, INSTRUMENTS);
        }
    }
}

static void random_queries_equal_the_model(void **state)
{
    struct world *world = *state;
    print_message("seed %llu\n", (unsigned long long)test_seed());
    size_t turns = test_is_torture() ? 20000 : 420;
    fill(world, 14);
    check_queries(world, turns);
    declare(world, true);
    fill(world, 10);
    check_queries(world, turns);
    compact(world, false);
    check_queries(world, turns);
    fill(world, 8);
    check_queries(world, turns);
    compact(world, true);
    check_queries(world, turns);
}

// Every row once, whatever limit the pages have, in both orders.
static void pages_join_without_hole_or_repeat(void **state)
{
    struct world *world = *state;
    commit_rows(world, 3000, 0, 40, 3); // many rows share a time
    commit_rows(world, 2000, 20, 40, 3);
    sort_model(world);
    for (int backwards = 0; backwards < 2; backwards++) {
        struct query query = {
            .request = {.table = world->table,
                        .columns = (size_t[]){ROW},
                        .column_count = 1,
                        .order = backwards ? K2_ORDER_TIME_DESCENDING : K2_ORDER_TIME}};
        size_t done = 0;
        uint32_t numbers[5000];
        for (;;) {
            uint64_t snapshot;
            query.request.limit = 1 + test_random_below(&world->random, 200);
            size_t count = read_scan(world, &query, numbers, &snapshot);
            for (size_t i = 0; i < count; i++, done++) {
                size_t place = backwards ? world->row_count - 1 - done : done;
                assert_int_equal(numbers[i], world->order[place]);
            }
            if (count == 0) {
                break;
            }
            query.after = key_of(&world->rows[numbers[count - 1]]);
            query.request.after = &query.after;
        }
        assert_int_equal(done, world->row_count);
    }
}

static void a_scan_does_not_see_what_happens_beside_it(void **state)
{
    struct world *world = *state;
    struct k2_error error = {0};
    fill(world, 12);
    sort_model(world);
    size_t expected = world->row_count;
    struct k2_scan_request request = {
        .table = world->table, .memory_bytes = 2000, .columns = (size_t[]){ROW}, .column_count = 1};
    struct k2_scan *scan = NULL;
    assert_int_equal(k2_scan_open(world->engine, &request, &scan, &error), K2_OK);
    size_t done = 0, rows, turn = 0;
    do {
        const struct k2_vector *columns;
        assert_int_equal(k2_scan_next(scan, &columns, &rows, &error), K2_OK);
        for (size_t i = 0; i < rows; i++, done++) {
            assert_int_equal(columns[0].values[i], world->order[done]);
        }
        turn++;
        if (turn % 64 == 1 && world->snapshot_count < 40) {
            size_t numbered = world->row_count;
            commit_rows(world, 50, 0, 1000000, INSTRUMENTS);
            assert_true(world->row_count == numbered + 50);
            compact(world, turn % 128 == 1);
        }
    } while (rows > 0);
    assert_int_equal(done, expected);
    k2_scan_close(scan);
}

static void a_wrong_request_is_refused(void **state)
{
    struct world *world = *state;
    struct k2_error error = {0};
    struct k2_scan *scan = NULL;
    struct k2_scan_request request = {
        .table = world->table, .columns = (size_t[]){99}, .column_count = 1};
    assert_int_equal(k2_scan_open(world->engine, &request, &scan, &error), K2_BAD_REQUEST);
    assert_non_null(strstr(error.text, "column 99"));
    struct k2_scan_key key = {0};
    request =
        (struct k2_scan_request){.table = world->table, .order = K2_ORDER_STORED, .after = &key};
    assert_int_equal(k2_scan_open(world->engine, &request, &scan, &error), K2_BAD_REQUEST);
    assert_null(scan);
}

static enum k2_status read_all(struct world *world, enum k2_order order, bool fresh,
                               size_t *row_count, struct k2_error *error)
{
    struct k2_scan_request request = {
        .table = world->table, .memory_bytes = 20000, .order = order, .fresh = fresh};
    struct k2_scan *scan = NULL;
    struct k2_scan_instrument some[] = {{k2_slice_of("NYSE"), k2_slice_of("A")},
                                        {k2_slice_of("ASX"), k2_slice_of("AA")}};
    if (order == K2_ORDER_TIME_DESCENDING) {
        request.instruments = some;
        request.instrument_count = 2;
    }
    *row_count = 0;
    enum k2_status status = k2_scan_open(world->engine, &request, &scan, error);
    for (size_t rows = 1; status == K2_OK && rows > 0; *row_count += rows) {
        const struct k2_vector *columns;
        status = k2_scan_next(scan, &columns, &rows, error);
    }
    k2_scan_close(scan);
    return status;
}

static void every_failed_allocation_is_told(void **state)
{
    struct world *world = *state;
    commit_rows(world, 1500, 0, 700, INSTRUMENTS);
    commit_rows(world, 300, 500, 900, INSTRUMENTS);
    for (int order = 0; order < 3; order++) {
        size_t expected, rows;
        assert_int_equal(read_all(world, (enum k2_order)order, false, &expected, NULL), K2_OK);
        enum k2_status status = K2_NO_MEMORY;
        long calls = 0;
        for (; status != K2_OK; calls += 1 + calls / 64) {
            k2_alloc_fail_after(calls);
            status = read_all(world, (enum k2_order)order, false, &rows, NULL);
            assert_true(status == K2_OK || status == K2_NO_MEMORY);
        }
        k2_alloc_fail_after(-1);
        assert_int_equal(rows, expected);
    }
}

// The path of the only segment file with rows: the longest.
static size_t find_segment(const struct world *world, char path[TEST_PATH_BYTES * 2])
{
    char folder_path[TEST_PATH_BYTES + 16];
    size_t longest = 0;
    (void)snprintf(folder_path, sizeof folder_path, "%s/segments", world->path);
    DIR *folder = opendir(folder_path);
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char file[TEST_PATH_BYTES * 2];
        struct stat stat_of;
        (void)snprintf(file, sizeof file, "%s/%.64s", folder_path, entry->d_name);
        if (entry->d_name[0] != '.' && stat(file, &stat_of) == 0 &&
            (size_t)stat_of.st_size > longest) {
            longest = (size_t)stat_of.st_size;
            memcpy(path, file, sizeof file);
        }
    }
    (void)closedir(folder);
    return longest;
}

static void flip_bit(int file, size_t offset, unsigned bit)
{
    uint8_t byte;
    assert_int_equal(pread(file, &byte, 1, (off_t)offset), 1);
    byte ^= (uint8_t)(1u << bit);
    assert_int_equal(pwrite(file, &byte, 1, (off_t)offset), 1);
}

// Any flipped bit, met for the first time: either it lies where nothing is read, or the scan fails
// and says where.
static void a_damaged_segment_is_told(void **state)
{
    struct world *world = *state;
    commit_rows(world, 1500, 0, 700, INSTRUMENTS);
    commit_rows(world, 300, 500, 900, INSTRUMENTS);
    char path[TEST_PATH_BYTES * 2];
    size_t size_bytes = find_segment(world, path), told = 0, with_column = 0;
    int file = open(path, O_RDWR | O_CLOEXEC);
    assert_true(file >= 0);
    for (int turn = 0; turn < 400; turn++) {
        size_t offset = (size_t)test_random_below(&world->random, size_bytes), rows;
        unsigned bit = (unsigned)test_random_below(&world->random, 8);
        enum k2_order order = (enum k2_order)(turn % 3);
        struct k2_error error = {0};
        size_t expected;
        assert_int_equal(read_all(world, order, true, &expected, &error), K2_OK);
        flip_bit(file, offset, bit);
        enum k2_status status = read_all(world, order, true, &rows, &error);
        flip_bit(file, offset, bit);
        if (status == K2_OK) {
            assert_int_equal(rows, expected);
            continue;
        }
        assert_int_equal(status, K2_CORRUPT);
        assert_non_null(strstr(error.text, "segment"));
        told++;
        with_column += strstr(error.text, ", column ") != NULL;
    }
    assert_int_equal(close(file), 0);
    assert_true(told > 100 && with_column > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(random_queries_equal_the_model, open_world, close_world),
        cmocka_unit_test_setup_teardown(pages_join_without_hole_or_repeat, open_world, close_world),
        cmocka_unit_test_setup_teardown(a_scan_does_not_see_what_happens_beside_it, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(a_wrong_request_is_refused, open_world, close_world),
        cmocka_unit_test_setup_teardown(a_damaged_segment_is_told, open_world, close_world),
        cmocka_unit_test_setup_teardown(every_failed_allocation_is_told, open_world, close_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
