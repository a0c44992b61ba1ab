// As-of joins against a naive model: random trades and quotes of few symbols with equal times, late
// rows and old snapshots; ranges, symbols, limits, texts, both orders, before and after compaction.
#include "engine/asof.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/compact.h"
#include "engine/k2.h"
#include "engine/k2_db.h"
#include "format/base/alloc.h"
#include "tests/support/folder.h"
#include "tests/support/tier.h"

enum { SYMBOLS = 6, MOST_ROWS = 20000, COMMITS = 6 };

struct row {
    int64_t time_ns, epoch, sequence, price;
    int symbol;
    uint64_t snapshot;
    bool has_note;
};

struct world {
    char path[TEST_PATH_BYTES];
    struct k2_db *db;
    uint64_t random;
    struct row trades[MOST_ROWS], quotes[MOST_ROWS];
    size_t trade_count, quote_count;
    uint64_t snapshots[COMMITS];
    int64_t longest_ns;
};

static void need(enum k2_status status, const struct k2_error *error)
{
    if (status != K2_OK) {
        fail_msg("%s", error->text);
    }
}

static uint64_t below(struct world *world, uint64_t bound)
{
    return test_random_below(&world->random, bound);
}

static void name_of(int symbol, char text[16])
{
    (void)snprintf(text, 16, "S%d", symbol);
}

static void note_of(const struct row *row, char text[48])
{
    (void)snprintf(text, 48, "quote %lld", (long long)row->price);
}

static uint64_t add_rows(struct world *world, bool quotes, size_t count)
{
    struct k2_error error = {0};
    struct k2_appender *appender;
    struct row *rows = quotes ? world->quotes : world->trades;
    size_t *row_count = quotes ? &world->quote_count : &world->trade_count, first = *row_count;
    size_t price, other, note;
    need(k2_appender_open(&appender, world->db, quotes ? "quotes" : "trades", &error), &error);
    need(k2_appender_column(appender, quotes ? "bid_price" : "price", &price, &error), &error);
    need(k2_appender_column(appender, quotes ? "ask_price" : "quantity", &other, &error), &error);
    need(k2_appender_column(appender, quotes ? "quote_id" : "trade_id", &note, &error), &error);
    for (size_t i = 0; i < count; i++) {
        // The last symbol has no quotes, the one before no trades.
        int symbol = (int)below(world, SYMBOLS - 1) + (quotes ? 0 : 1);
        symbol = !quotes && symbol == SYMBOLS - 2 ? 1 : symbol;
        struct row row = {.time_ns = (int64_t)below(world, (uint64_t)world->longest_ns) - 300,
                          .epoch = (int64_t)below(world, 2),
                          .sequence = (int64_t)(first + i),
                          .price = (int64_t)below(world, 1000000),
                          .symbol = symbol,
                          .has_note = below(world, 3) > 0};
        char name[16], text[48];
        name_of(symbol, name);
        note_of(&row, text);
        need(k2_appender_row(appender, "X", name, row.time_ns, row.epoch, row.sequence, &error),
             &error);
        need(k2_appender_value(appender, price, row.price, &error), &error);
        need(k2_appender_value(appender, other, row.price + 1, &error), &error);
        if (row.has_note) {
            need(k2_appender_text(appender, note, text, strlen(text), &error), &error);
        }
        rows[(*row_count)++] = row;
    }
    struct k2_commit_result result;
    need(k2_appender_commit(appender, &result, &error), &error);
    assert_int_equal(result.stored, count);
    for (size_t i = first; i < *row_count; i++) {
        rows[i].snapshot = result.snapshot;
    }
    k2_appender_close(appender);
    return result.snapshot;
}

// By time, symbol, epoch, sequence.
static int compare_rows(const void *left, const void *right)
{
    const struct row *a = left, *b = right;
    if (a->time_ns != b->time_ns) {
        return a->time_ns < b->time_ns ? -1 : 1;
    }
    if (a->symbol != b->symbol) {
        return a->symbol - b->symbol;
    }
    if (a->epoch != b->epoch) {
        return a->epoch < b->epoch ? -1 : 1;
    }
    return (a->sequence > b->sequence) - (a->sequence < b->sequence);
}

static const struct row *quote_of(const struct world *world, const struct row *trade,
                                  uint64_t snapshot)
{
    const struct row *best = NULL;
    for (size_t i = 0; i < world->quote_count; i++) {
        const struct row *quote = &world->quotes[i];
        if (quote->symbol == trade->symbol && quote->time_ns <= trade->time_ns &&
            quote->snapshot <= snapshot && (best == NULL || compare_rows(best, quote) < 0)) {
            best = quote;
        }
    }
    return best;
}

struct check {
    struct k2_query left;
    struct k2_symbol symbols[SYMBOLS];
    bool wanted[SYMBOLS], all;
    bool texts; // with columns of texts from the right
};

static struct check random_check(struct world *world)
{
    struct check check = {.left = {.size_bytes = sizeof(struct k2_query), .table = "trades"},
                          .texts = below(world, 2) > 0};
    static const char *const names[SYMBOLS] = {"S0", "S1", "S2", "S3", "S4", "S5"};
    bool all = below(world, 2) > 0;
    for (size_t i = 0; i < SYMBOLS; i++) {
        check.wanted[i] = all || below(world, 2) > 0;
        if (check.wanted[i] && !all) {
            check.symbols[check.left.symbol_count++] =
                (struct k2_symbol){below(world, 2) > 0 ? "X" : NULL, names[i]};
        }
    }
    check.left.snapshot = below(world, 3) > 0 ? 0 : world->snapshots[below(world, COMMITS)];
    check.left.has_start = below(world, 2) > 0;
    check.left.has_end = below(world, 2) > 0;
    check.left.start_ns = (int64_t)below(world, (uint64_t)world->longest_ns) - 400;
    check.left.end_ns = check.left.start_ns + (int64_t)below(world, (uint64_t)world->longest_ns);
    check.left.order = below(world, 2) > 0 ? K2_CURSOR_STORED : K2_CURSOR_TIME;
    check.left.limit = below(world, 3) > 0 ? 0 : 1 + below(world, 3000);
    check.left.memory_bytes = below(world, 2) > 0 ? 0 : 4096 + below(world, 100000);
    check.all = all;
    return check;
}

static const char *const left_columns[] = {"symbol", "timestamp", "sequence", "price"};
static const char *const right_columns[] = {"bid_price", "timestamp", "quote_id"};
enum { LEFT = 4 };

// One row of the cursor against the model. Gives the trade.
static struct row check_row(const struct world *world, const struct check *check,
                            const struct k2_cursor *cursor, size_t i, uint64_t snapshot)
{
    size_t sequence = (size_t)k2_cursor_values(cursor, 2)[i];
    assert_in_range(sequence, 0, world->trade_count - 1);
    struct row trade = world->trades[sequence];
    char name[16];
    name_of(trade.symbol, name);
    struct k2_text symbol = k2_cursor_texts(cursor, 0)[i];
    assert_int_equal(symbol.size_bytes, strlen(name));
    assert_memory_equal(symbol.data, name, symbol.size_bytes);
    assert_int_equal(k2_cursor_values(cursor, 1)[i], trade.time_ns);
    assert_int_equal(k2_cursor_values(cursor, 3)[i], trade.price);
    const struct row *quote = quote_of(world, &trade, snapshot);
    for (size_t column = LEFT; column < LEFT + 2; column++) {
        const uint8_t *valid = k2_cursor_valid(cursor, column);
        bool has = valid == NULL || valid[i] != 0;
        assert_int_equal(has, quote != NULL);
        int64_t expected = quote == NULL ? 0 : column == LEFT ? quote->price : quote->time_ns;
        assert_int_equal(k2_cursor_values(cursor, column)[i], expected);
    }
    if (check->texts) {
        const uint8_t *valid = k2_cursor_valid(cursor, LEFT + 2);
        bool has = valid == NULL || valid[i] != 0;
        assert_int_equal(has, quote != NULL && quote->has_note);
        struct k2_text text = k2_cursor_texts(cursor, LEFT + 2)[i];
        char note[48] = "";
        if (has) {
            note_of(quote, note);
        }
        assert_int_equal(text.size_bytes, strlen(note));
        assert_memory_equal(text.data, note, text.size_bytes);
    }
    return trade;
}

static size_t expected_rows(const struct world *world, const struct check *check, uint64_t snapshot)
{
    size_t count = 0;
    for (size_t i = 0; i < world->trade_count; i++) {
        const struct row *trade = &world->trades[i];
        count += check->wanted[trade->symbol] && trade->snapshot <= snapshot &&
                 (!check->left.has_start || trade->time_ns >= check->left.start_ns) &&
                 (!check->left.has_end || trade->time_ns < check->left.end_ns);
    }
    return check->left.limit > 0 && check->left.limit < count ? check->left.limit : count;
}

static void run_check(struct world *world, const struct check *check)
{
    struct k2_error error = {0};
    struct k2_asof_query query = {.size_bytes = sizeof query,
                                  .left = check->left,
                                  .right_table = "quotes",
                                  .right_columns = right_columns,
                                  .right_column_count = check->texts ? 3 : 2};
    query.left.symbols = check->all ? NULL : check->symbols;
    query.left.columns = left_columns;
    query.left.column_count = LEFT;
    struct k2_cursor *cursor;
    need(k2_cursor_open_asof(&cursor, world->db, &query, &error), &error);
    assert_string_equal(k2_cursor_column(cursor, LEFT + 1).name, "quotes_timestamp");
    assert_true(k2_cursor_column(cursor, LEFT).nullable);
    uint64_t snapshot = k2_cursor_snapshot(cursor);
    struct row before = {.time_ns = INT64_MIN};
    size_t total = 0, count = 0, places[SYMBOLS] = {0}, begun = 0;
    for (;;) {
        need(k2_cursor_next(cursor, &count, &error), &error);
        if (count == 0) {
            break;
        }
        for (size_t i = 0; i < count; i++) {
            struct row row = check_row(world, check, cursor, i, snapshot);
            if (check->left.order == K2_CURSOR_TIME || row.symbol == before.symbol) {
                assert_true(total + i == 0 || compare_rows(&before, &row) < 0);
            } else if (total + i == 0 || row.symbol != before.symbol) {
                assert_int_equal(places[row.symbol], 0); // each instrument once
                places[row.symbol] = ++begun;
            }
            before = row;
        }
        total += count;
    }
    assert_int_equal(total, expected_rows(world, check, snapshot));
    k2_cursor_close(cursor);
}

static int open_world(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    struct k2_error error = {0};
    test_folder_make(world->path);
    world->random = test_seed();
    world->longest_ns = 3000;
    need(k2_db_open(&world->db, world->path, K2_DB_CREATE, &error), &error);
    for (size_t i = 0; i < COMMITS; i++) {
        (void)add_rows(world, true, 900);
        world->snapshots[i] = add_rows(world, false, 500);
    }
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

static void check_many(struct world *world)
{
    size_t count = test_is_torture() ? 5000 : 60;
    for (size_t i = 0; i < count; i++) {
        struct check check = random_check(world);
        run_check(world, &check);
    }
}

static void joins_are_what_the_model_says(void **state)
{
    check_many(*state);
}

static void joins_are_the_same_after_compaction(void **state)
{
    struct world *world = *state;
    struct k2_error error = {0};
    struct k2_compact_report report;
    need(k2_compact(world->db->engine, &(struct k2_compact_options){.full = true}, &report, &error),
         &error);
    check_many(world);
}

static void wrong_joins_are_told(void **state)
{
    struct world *world = *state;
    static const char *const nothing[] = {"nothing"};
    struct k2_asof_query good = {.size_bytes = sizeof good,
                                 .left = {.size_bytes = sizeof(struct k2_query), .table = "trades"},
                                 .right_table = "quotes"};
    struct k2_asof_query queries[6] = {good, good, good, good, good, good};
    queries[0].size_bytes = 3;
    queries[1].right_table = "nothing";
    queries[2].left.table = "nothing";
    queries[3].left.order = K2_CURSOR_TIME_DESCENDING;
    queries[4].right_columns = nothing;
    queries[4].right_column_count = 1;
    queries[5].left.columns = nothing;
    queries[5].left.column_count = 1;
    static const enum k2_status statuses[] = {K2_BAD_REQUEST, K2_NOT_FOUND, K2_NOT_FOUND,
                                              K2_BAD_REQUEST, K2_NOT_FOUND, K2_NOT_FOUND};
    for (size_t i = 0; i < 6; i++) {
        struct k2_error error = {0};
        struct k2_cursor *cursor;
        assert_int_equal(k2_cursor_open_asof(&cursor, world->db, &queries[i], &error), statuses[i]);
        assert_null(cursor);
        assert_true(error.text[0] != '\0');
    }
    struct k2_cursor *cursor = NULL;
    struct k2_error error = {0};
    need(k2_cursor_open_asof(&cursor, world->db, &good, &error), &error); // all columns of both
    size_t count;
    need(k2_cursor_next(cursor, &count, &error), &error);
    assert_true(count > 0);
    k2_cursor_close(cursor);
}

static void every_failed_allocation_is_told(void **state)
{
    struct world *world = *state;
    struct k2_asof_query query = {
        .size_bytes = sizeof query,
        .left = {.size_bytes = sizeof(struct k2_query), .table = "trades"},
        .right_table = "quotes"};
    static const struct {
        const char *name;
        enum k2_cursor_order order;
        uint64_t limit;
    } forms[] = {
        {"in order of time", K2_CURSOR_TIME, 300},
        {"a scan for each instrument", K2_CURSOR_STORED, 300},
        {"one plan for all instruments", K2_CURSOR_STORED, 11000},
    };
    for (size_t form = 0; form < sizeof forms / sizeof forms[0]; form++) {
        query.left.order = forms[form].order;
        query.left.limit = forms[form].limit;
        query.left.has_start = true;
        enum k2_status status = K2_NO_MEMORY;
        for (long allowed = 0; status != K2_OK; allowed++) {
            struct k2_cursor *cursor = NULL;
            k2_alloc_fail_after(allowed);
            status = k2_cursor_open_asof(&cursor, world->db, &query, NULL);
            for (size_t count = 1; status == K2_OK && count > 0;) {
                status = k2_cursor_next(cursor, &count, NULL);
            }
            k2_alloc_fail_after(-1);
            assert_true(status == K2_OK || status == K2_NO_MEMORY);
            k2_cursor_close(cursor);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joins_are_what_the_model_says),
        cmocka_unit_test(wrong_joins_are_told),
        cmocka_unit_test(every_failed_allocation_is_told),
        cmocka_unit_test(joins_are_the_same_after_compaction),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
