// Random commits, duplicates, conflicts, compactions and restarts against a list in memory.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/check.h"
#include "engine/compact.h"
#include "engine/snapshot.h"
#include "format/base/alloc.h"
#include "tests/support/store_rows.h"
#include "tests/support/tier.h"

enum { SYMBOLS = 5, BATCH_MOST = 60, ROWS_MOST = 200000 };

static const char *const symbols[SYMBOLS] = {"AAA", "B", "BB", "C", "ZZZ"};

struct model_row {
    struct test_trade trade;
    int64_t epoch;
    uint64_t commit;
};

struct model {
    struct test_store store;
    struct model_row *rows; // in order of arrival
    size_t count;
    uint64_t newest; // snapshot
    uint64_t chance;
    uint64_t read, duplicates, conflicts;
};

static const struct model_row *find(const struct model *model, const struct test_trade *trade,
                                    int64_t epoch)
{
    for (size_t i = model->count; i > 0; i--) {
        const struct test_trade *row = &model->rows[i - 1].trade;
        if (row->symbol == trade->symbol && row->time_ns == trade->time_ns &&
            model->rows[i - 1].epoch == epoch && row->sequence == trade->sequence) {
            return &model->rows[i - 1];
        }
    }
    return NULL;
}

// Mostly near the end of time, with a few late ones; few keys, so that they meet.
static struct test_trade random_trade(struct model *model)
{
    int64_t late = test_random_below(&model->chance, 8) == 0
                       ? (int64_t)test_random_below(&model->chance, 1 + model->newest * 20)
                       : 0;
    return (struct test_trade){
        .symbol = symbols[test_random_below(&model->chance, SYMBOLS)],
        .time_ns =
            (int64_t)(model->newest * 20 + test_random_below(&model->chance, 25)) - late - 50,
        .sequence = (int64_t)test_random_below(&model->chance, 3) - 1,
        .price = (int64_t)test_random_below(&model->chance, 2),
        .quantity = 7,
    };
}

static void commit_some(struct model *model)
{
    struct test_trade trades[BATCH_MOST];
    int64_t epochs[BATCH_MOST];
    struct k2_commit_outcome outcome;
    size_t count = test_random_below(&model->chance, BATCH_MOST) + 1;
    size_t stored = 0, duplicates = 0, conflicts = 0, before = model->count;
    for (size_t i = 0; i < count; i++) {
        trades[i] = random_trade(model);
        epochs[i] = (int64_t)test_random_below(&model->chance, 2);
        const struct model_row *known = find(model, &trades[i], epochs[i]);
        if (known == NULL) {
            model->rows[model->count++] = (struct model_row){trades[i], epochs[i], 0};
            stored++;
        } else if (known->trade.price == trades[i].price) {
            duplicates++;
        } else {
            conflicts++;
        }
    }
    model->store.epochs = epochs;
    uint64_t snapshot =
        test_store_commit(&model->store, trades, count, K2_NUMBERING_SPARSE, &outcome);
    assert_int_equal(outcome.stored, stored);
    assert_int_equal(outcome.duplicates, duplicates);
    assert_int_equal(outcome.conflict_count, conflicts);
    assert_int_equal(snapshot, model->newest + (stored > 0));
    for (size_t i = before; i < model->count; i++) {
        model->rows[i].commit = snapshot;
    }
    model->newest = snapshot;
    model->read += count;
    model->duplicates += duplicates;
    model->conflicts += conflicts;
}

static int compare_rows(const void *left, const void *right)
{
    const struct test_trade *a = &((const struct model_row *)left)->trade;
    const struct test_trade *b = &((const struct model_row *)right)->trade;
    int64_t epoch_a = ((const struct model_row *)left)->epoch;
    int64_t epoch_b = ((const struct model_row *)right)->epoch;
    int by_symbol = strcmp(a->symbol, b->symbol);
    if (a->time_ns != b->time_ns) {
        return a->time_ns < b->time_ns ? -1 : 1;
    }
    if (by_symbol != 0) {
        return by_symbol;
    }
    if (epoch_a != epoch_b) {
        return epoch_a < epoch_b ? -1 : 1;
    }
    return (a->sequence > b->sequence) - (a->sequence < b->sequence);
}

static void compare_answer(struct model *model)
{
    uint64_t snapshot = test_random_below(&model->chance, model->newest) + 1;
    struct model_row *rows = k2_alloc_zero(model->count, sizeof *rows);
    struct k2_buffer text;
    size_t count = 0;
    assert_non_null(rows);
    for (size_t i = 0; i < model->count; i++) {
        if (model->rows[i].commit <= snapshot) {
            rows[count++] = model->rows[i];
        }
    }
    qsort(rows, count, sizeof *rows, compare_rows);
    k2_buffer_init(&text, 64 << 20);
    for (size_t i = 0; i < count; i++) {
        k2_put_format(&text, "%s %lld %lld %lld %lld;", rows[i].trade.symbol,
                      (long long)rows[i].trade.time_ns, (long long)rows[i].trade.sequence,
                      (long long)rows[i].trade.price, (long long)rows[i].trade.quantity);
    }
    k2_put_u8(&text, 0);
    char *answer = test_store_rows(&model->store, snapshot);
    assert_string_equal(answer, (char *)text.data);
    k2_free(answer);
    k2_free(rows);
    k2_buffer_deinit(&text);
}

static void compact(struct model *model, bool full)
{
    struct k2_compact_options options = {.full = full};
    struct k2_compact_report report;
    struct k2_error error;
    if (k2_compact(model->store.engine, &options, &report, &error) != K2_OK) {
        fail_msg("%s", error.text);
    }
    model->newest = report.snapshot;
}

static void compare_figures(struct model *model)
{
    struct k2_table_counters counters;
    struct k2_check_options options = {.deep = true};
    struct k2_check_report report;
    assert_int_equal(k2_engine_counters(model->store.engine, model->store.table, &counters, NULL),
                     K2_OK);
    assert_int_equal(counters.rows, model->count);
    assert_int_equal(counters.stored, model->count);
    assert_int_equal(counters.duplicates, model->duplicates);
    assert_int_equal(counters.rejected, model->conflicts);
    assert_int_equal(counters.stored + counters.duplicates + counters.rejected, model->read);
    assert_int_equal(k2_check(model->store.engine, &options, &report, NULL), K2_OK);
    assert_int_equal(report.findings, 0);
}

static void a_store_equals_a_list(void **state)
{
    (void)state;
    uint64_t operations = test_is_torture() ? 100000 : 1500 / (uint64_t)test_stride(3);
    struct model model = {.chance = test_seed()};
    print_message("seed %llu\n", (unsigned long long)model.chance);
    model.rows = k2_alloc_zero(ROWS_MOST, sizeof *model.rows);
    assert_non_null(model.rows);
    test_store_open(&model.store);
    commit_some(&model);
    for (uint64_t i = 0; i < operations && model.count + BATCH_MOST < ROWS_MOST; i++) {
        uint64_t what = test_random_below(&model.chance, 200);
        if (what < 60) {
            commit_some(&model);
        } else if (what < 64) {
            test_store_reopen(&model.store, K2_ENGINE_WRITE);
        } else if (what < 67) {
            compact(&model, what == 64);
        } else if (what < 69) {
            compare_figures(&model);
        } else {
            compare_answer(&model);
        }
    }
    compare_figures(&model);
    test_store_close(&model.store);
    k2_free(model.rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_store_equals_a_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
