// Lists of groups that a handle keeps: made when a state of the index is asked again, never of
// another state, and equal to what the index says.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/engine_state.h"
#include "engine/group_list.h"
#include "engine/plan.h"
#include "format/base/alloc.h"
#include "tests/support/store_rows.h"

static void commit_at(struct test_store *store, int64_t time_ns)
{
    struct k2_commit_outcome outcome;
    const struct test_trade trade = {.symbol = "AAA", .time_ns = time_ns, .sequence = time_ns};
    (void)test_store_commit(store, &trade, 1, K2_NUMBERING_SPARSE, &outcome);
    assert_int_equal(outcome.stored, 1);
}

// The allocation after `allocations` fails; -1: none.
static struct k2_group_list *ask_with(struct test_store *store, long allocations,
                                      enum k2_status expected)
{
    struct k2_store_txn *txn;
    struct k2_group_list *list = NULL;
    assert_int_equal(k2_store_begin(store->engine->store, false, &txn, NULL), K2_OK);
    k2_alloc_fail_after(allocations);
    enum k2_status status =
        k2_group_lists_acquire(store->engine->lists, txn, store->table->id, &list, NULL);
    k2_alloc_fail_after(-1);
    k2_store_abort(txn);
    assert_int_equal(status, expected);
    return list;
}

static struct k2_group_list *ask(struct test_store *store)
{
    return ask_with(store, -1, K2_OK);
}

static size_t plan_groups(struct test_store *store, int64_t from_ns, int64_t until_ns, bool fresh)
{
    struct k2_plan plan;
    const struct k2_plan_request request = {
        .table = store->table,
        .time_min_ns = from_ns,
        .time_max_ns = until_ns,
        .snapshot = UINT64_MAX,
        .headers_only = true,
        .fresh = fresh,
    };
    assert_int_equal(k2_plan_open(store->engine, &request, &plan, NULL), K2_OK);
    size_t count = plan.group_count;
    for (size_t i = 0; i < count; i++) {
        assert_in_range(plan.groups[i].time_min_ns, from_ns, until_ns);
    }
    k2_plan_close(&plan);
    return count;
}

static void a_state_that_is_asked_again_has_a_list(void **state)
{
    (void)state;
    struct test_store store;
    test_store_open(&store);
    for (int64_t i = 1; i <= 5; i++) {
        commit_at(&store, i * 10);
    }
    assert_null(ask(&store)); // the first time
    struct k2_group_list *list = ask(&store);
    assert_non_null(list);
    assert_ptr_equal(ask(&store), list);
    assert_int_equal(list->count, 5);
    const struct {
        int64_t time_ns;
        size_t place;
    } rows[] = {{INT64_MIN, 0}, {10, 0}, {11, 1}, {50, 4}, {51, 5}, {INT64_MAX, 5}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(k2_group_list_find(list, rows[i].time_ns), rows[i].place);
    }
    commit_at(&store, 25);
    assert_null(ask(&store)); // another state
    struct k2_group_list *next = ask(&store);
    assert_int_equal(next->count, 6);
    assert_int_equal(next->groups[2].place.time_min_ns, 25);
    assert_int_equal(list->count, 5); // who has one keeps it
    assert_int_equal(list->groups[2].place.time_min_ns, 30);
    k2_group_lists_release(store.engine->lists, list);
    k2_group_lists_release(store.engine->lists, list);
    k2_group_lists_release(store.engine->lists, next);
    test_store_close(&store);
}

static void plans_are_the_same_with_a_list_and_without(void **state)
{
    (void)state;
    struct test_store store;
    test_store_open(&store);
    for (int64_t i = 1; i <= 40; i++) {
        commit_at(&store, i * 10);
        for (int64_t from = 0; from < 420; from += 70) {
            size_t count = plan_groups(&store, from, from + 100, true);
            for (int again = 0; again < 3; again++) {
                assert_int_equal(plan_groups(&store, from, from + 100, false), count);
            }
        }
    }
    test_store_close(&store);
}

static void failing_memory_leaves_no_list(void **state)
{
    (void)state;
    struct test_store store;
    test_store_open(&store);
    commit_at(&store, 10);
    assert_null(ask(&store));
    for (int i = 0; i < 4; i++) {
        assert_null(ask_with(&store, i, K2_NO_MEMORY));
    }
    struct k2_group_list *list = ask(&store);
    assert_int_equal(list->count, 1);
    k2_group_lists_release(store.engine->lists, list);
    test_store_close(&store);
}

// Against a look at each group, of lists that no store would have.
static void groups_of_an_instrument_are_found(void **state)
{
    (void)state;
    enum { MOST = 200, INSTRUMENTS = 40, TURNS = 300 };
    struct k2_listed_group groups[MOST];
    uint32_t by_instrument[MOST], reach[MOST], places[MOST], expected[MOST];
    unsigned seed = 7;
    for (size_t turn = 0; turn < TURNS; turn++) {
        struct k2_group_list list = {.groups = groups,
                                     .count = turn < 5 ? turn : (size_t)rand_r(&seed) % MOST,
                                     .by_instrument = by_instrument,
                                     .reach = reach};
        uint32_t longest = turn % 3 == 0 ? INSTRUMENTS : 3;
        for (size_t i = 0; i < list.count; i++) {
            uint32_t least = (uint32_t)rand_r(&seed) % INSTRUMENTS;
            groups[i].record = (struct k2_group_record){
                .instrument_min = least,
                .instrument_max = least + (uint32_t)rand_r(&seed) % longest,
            };
        }
        k2_group_list_order(&list);
        for (uint32_t instrument = 0; instrument < 2 * INSTRUMENTS; instrument++) {
            size_t count = 0, expected_count = 0;
            for (uint32_t i = 0; i < list.count; i++) {
                const struct k2_group_record *record = &groups[i].record;
                if (record->instrument_min <= instrument && instrument <= record->instrument_max) {
                    expected[expected_count++] = i;
                }
            }
            assert_true(k2_group_list_of_instrument(&list, instrument, places, MOST, &count));
            assert_int_equal(count, expected_count);
            assert_memory_equal(places, expected, count * sizeof places[0]);
            if (count > 0) {
                assert_false(
                    k2_group_list_of_instrument(&list, instrument, places, count - 1, &count));
            }
        }
    }
}

// More groups than are looked at one by one.
static void plans_of_an_instrument_are_the_same_with_a_list(void **state)
{
    (void)state;
    enum { GROUPS = 120 };
    struct test_store store;
    test_store_open(&store);
    for (int64_t i = 1; i <= GROUPS; i++) {
        struct k2_commit_outcome outcome;
        const char *symbols[] = {"AAA", "BBB", "CCC", "DDD"};
        const struct test_trade trade = {
            .symbol = symbols[i * 7 % 4], .time_ns = i * 10, .sequence = i};
        (void)test_store_commit(&store, &trade, 1, K2_NUMBERING_SPARSE, &outcome);
    }
    for (uint32_t instrument = 0; instrument < 6; instrument++) {
        for (int64_t from = 0; from < GROUPS * 10; from += 200) {
            struct k2_plan_request request = {.table = store.table,
                                              .time_min_ns = from,
                                              .time_max_ns = from + 800,
                                              .snapshot = 100,
                                              .instruments = &instrument,
                                              .instrument_count = 1,
                                              .headers_only = true,
                                              .fresh = true};
            struct k2_plan fresh, listed;
            assert_int_equal(k2_plan_open(store.engine, &request, &fresh, NULL), K2_OK);
            request.fresh = false;
            for (int again = 0; again < 3; again++) {
                assert_int_equal(k2_plan_open(store.engine, &request, &listed, NULL), K2_OK);
                assert_int_equal(listed.group_count, fresh.group_count);
                assert_int_equal(listed.newest_snapshot, fresh.newest_snapshot);
                for (size_t i = 0; i < fresh.group_count; i++) {
                    assert_int_equal(listed.groups[i].segment_id, fresh.groups[i].segment_id);
                    assert_int_equal(listed.groups[i].offset, fresh.groups[i].offset);
                }
                k2_plan_close(&listed);
            }
            k2_plan_close(&fresh);
        }
    }
    test_store_close(&store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_state_that_is_asked_again_has_a_list),
        cmocka_unit_test(plans_are_the_same_with_a_list_and_without),
        cmocka_unit_test(failing_memory_leaves_no_list),
        cmocka_unit_test(groups_of_an_instrument_are_found),
        cmocka_unit_test(plans_of_an_instrument_are_the_same_with_a_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
