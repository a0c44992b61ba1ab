// Where numbers begin anew is found out from times and numbers, in whatever order rows come.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/epoch_detect.h"
#include "format/base/alloc.h"
#include "format/base/timestamp.h"
#include "tests/support/store_rows.h"

enum { ROWS_MOST = 6 };

struct given_row {
    int64_t minute, sequence;
    int64_t epoch; // expected
};

struct given_commit {
    const char *name;
    struct given_row rows[ROWS_MOST]; // ends with sequence 0
};

static void fill(struct test_store *store, const struct given_commit *given, size_t *count)
{
    struct test_trade trades[ROWS_MOST];
    *count = 0;
    while (*count < ROWS_MOST && given->rows[*count].sequence != 0) {
        const struct given_row *row = &given->rows[*count];
        trades[(*count)++] =
            (struct test_trade){"AAA", row->minute * 60 * K2_NS_PER_SECOND, row->sequence, 3, 1};
    }
    test_store_fill(store, trades, *count);
}

// Each commit is behind those before it.
static const struct given_commit commits[] = {
    {"the first epoch is 0", {{0, 100, 0}, {1, 101, 0}}},
    {"a smaller number within the hour is late", {{60, 20, 0}}},
    {"nearly half is no reset", {{200, 50, 0}}},
    {"a row out of silence with a small number begins an epoch", {{300, 2, 1}, {301, 3, 1}}},
    {"what came before it in time is of the epoch before", {{100, 102, 0}, {2, 99, 0}}},
    {"what lies before its first row but begins anew is of it", {{299, 1, 1}}},
    {"old data again is no reset", {{0, 100, 0}, {1, 101, 0}, {300, 2, 1}}},
    {"two begin in one commit, in any order",
     {{900, 1, 3}, {500, 80, 1}, {700, 5, 2}, {701, 90, 2}}},
    {"before everything is of the first", {{-500, 7, 0}}},
    {"the newest goes on", {{901, 2, 3}, {5000, 3, 3}}},
};

static void detect(struct test_store *store, const struct k2_source *source,
                   const struct given_commit *given)
{
    struct k2_commit *commit = NULL;
    struct k2_commit_outcome outcome;
    uint64_t snapshot;
    size_t count;
    fill(store, given, &count);
    assert_int_equal(k2_epochs_detect(store->engine, store->table, source, store->batch, NULL),
                     K2_OK);
    for (size_t i = 0; i < count; i++) {
        if (store->batch->keys[i].epoch != given->rows[i].epoch) {
            fail_msg("%s: row %zu: epoch %lld, expected %lld", given->name, i,
                     (long long)store->batch->keys[i].epoch, (long long)given->rows[i].epoch);
        }
    }
    assert_int_equal(k2_commit_begin(store->engine, &commit, NULL), K2_OK);
    assert_int_equal(k2_commit_add_from(commit, store->batch, source, &outcome, NULL), K2_OK);
    assert_int_equal(outcome.stored + outcome.duplicates, count);
    assert_int_equal(k2_commit_finish(commit, &snapshot, NULL), K2_OK);
}

static void epochs_are_found_out(void **state)
{
    (void)state;
    for (int named = 0; named < 2; named++) {
        struct k2_source source = {.numbering = K2_NUMBERING_DENSE, .detects_epochs = true};
        struct test_store store;
        test_store_open(&store);
        if (named) {
            source.domain.columns[source.domain.column_count++] =
                (size_t)k2_schema_find(store.table->schema, k2_slice_of("price"));
        }
        for (size_t i = 0; i < sizeof commits / sizeof commits[0]; i++) {
            detect(&store, &source, &commits[i]);
            if (i % 3 == 0) {
                test_store_reopen(&store, K2_ENGINE_WRITE);
            }
        }
        test_store_close(&store);
    }
}

static void any_allocation_may_fail(void **state)
{
    (void)state;
    for (int named = 0; named < 2; named++) {
        struct k2_source source = {.numbering = K2_NUMBERING_DENSE, .detects_epochs = true};
        enum k2_status status = K2_NO_MEMORY;
        struct test_store store;
        size_t count;
        test_store_open(&store);
        if (named) {
            source.domain.columns[source.domain.column_count++] =
                (size_t)k2_schema_find(store.table->schema, k2_slice_of("price"));
        }
        fill(&store, &commits[0], &count);
        for (long calls = 0; status != K2_OK; calls++) {
            k2_alloc_fail_after(calls);
            status = k2_epochs_detect(store.engine, store.table, &source, store.batch, NULL);
            k2_alloc_fail_after(-1);
            assert_true(status == K2_OK || status == K2_NO_MEMORY);
        }
        test_store_close(&store);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(epochs_are_found_out),
        cmocka_unit_test(any_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
