// The rules of the gap ledger against sets of numbers, without a store.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/ledger_records.h"
#include "engine/sequence_track.h"
#include "format/base/alloc.h"
#include "tests/support/tier.h"

enum { NUMBERS = 64, BATCH_MOST = 12 };

// What is open, applied as the ledger would.
struct ledger {
    struct k2_sequence_state state;
    struct k2_sequence_gap gaps[NUMBERS];
    size_t count;
};

static void apply(struct ledger *ledger, const struct k2_sequence_changes *changes)
{
    for (size_t i = 0; i < changes->closed_count; i++) {
        size_t place = 0;
        while (place < ledger->count && ledger->gaps[place].last != changes->closed[i].last) {
            place++;
        }
        assert_true(place < ledger->count);
        assert_memory_equal(&ledger->gaps[place], &changes->closed[i], sizeof changes->closed[i]);
        ledger->count--;
        memmove(ledger->gaps + place, ledger->gaps + place + 1,
                (ledger->count - place) * sizeof ledger->gaps[0]);
    }
    for (size_t i = 0; i < changes->opened_count; i++) {
        size_t place = ledger->count;
        while (place > 0 && ledger->gaps[place - 1].last > changes->opened[i].last) {
            ledger->gaps[place] = ledger->gaps[place - 1];
            place--;
        }
        ledger->gaps[place] = changes->opened[i];
        ledger->count++;
    }
    assert_int_equal(ledger->state.open_gaps, ledger->count);
}

static void take(struct ledger *ledger, struct k2_sequence_run *runs, size_t count, uint64_t commit)
{
    struct k2_sequence_changes changes = {0};
    count = k2_sequence_runs_join(runs, count);
    assert_int_equal(k2_sequence_track(&ledger->state, ledger->gaps, ledger->count, runs, count,
                                       commit, &changes, NULL),
                     K2_OK);
    apply(ledger, &changes);
    k2_sequence_changes_deinit(&changes);
}

static struct k2_sequence_run run_of(int64_t first, int64_t last)
{
    // Row n has the time 10 n.
    return (struct k2_sequence_run){first, last, 10 * first, 10 * last, 10 * first, 10 * last};
}

struct step {
    int64_t first, last; // a run; 0, 0: the commit ends
};

static void gaps_are_as_told(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct step steps[8]; // ends with two ends
        const char *gaps;     // first-last(after,before)
    } rows[] = {
        {"what precedes the first number is no gap", {{5, 6}}, ""},
        {"a hole opens", {{1, 2}, {0, 0}, {5, 5}}, "3-4(20,50) "},
        {"disorder in a commit opens none", {{5, 6}, {1, 4}}, ""},
        {"a late row closes", {{1, 1}, {3, 3}, {0, 0}, {2, 2}}, ""},
        {"a late row splits", {{1, 1}, {9, 9}, {0, 0}, {5, 5}}, "2-4(10,50) 6-8(50,90) "},
        {"a late row tightens from below", {{1, 1}, {9, 9}, {0, 0}, {2, 3}}, "4-8(30,90) "},
        {"a late row tightens from above", {{1, 1}, {9, 9}, {0, 0}, {7, 8}}, "2-6(10,70) "},
        {"two late rows in one gap",
         {{1, 1}, {9, 9}, {0, 0}, {3, 3}, {7, 7}},
         "2-2(10,30) 4-6(30,70) 8-8(70,90) "},
        {"a run over two gaps", {{1, 1}, {3, 3}, {5, 5}, {0, 0}, {2, 4}}, ""},
        {"a row before the first number opens one", {{9, 9}, {0, 0}, {5, 5}}, "6-8(50,90) "},
        {"rows before the first number, with a hole",
         {{9, 9}, {0, 0}, {2, 2}, {5, 8}},
         "3-4(20,50) "},
        {"a run over everything", {{3, 3}, {5, 5}, {0, 0}, {1, 9}}, ""},
        {"late and new at once",
         {{1, 1}, {4, 4}, {0, 0}, {2, 2}, {7, 7}},
         "3-3(20,40) 5-6(40,70) "},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ledger ledger = {0};
        struct k2_sequence_run runs[8];
        struct k2_buffer text;
        size_t count = 0;
        uint64_t commit = 1;
        k2_buffer_init(&text, 4096);
        for (size_t j = 0; j < 8; j++) {
            const struct step *step = &rows[i].steps[j];
            if (step->first != 0) {
                runs[count++] = run_of(step->first, step->last);
            }
            if (step->first == 0 || j == 7) {
                take(&ledger, runs, count, commit++);
                count = 0;
            }
        }
        for (size_t j = 0; j < ledger.count; j++) {
            const struct k2_sequence_gap *gap = &ledger.gaps[j];
            k2_put_format(&text, "%lld-%lld(%lld,%lld) ", (long long)gap->first,
                          (long long)gap->last, (long long)gap->after_ns,
                          (long long)gap->before_ns);
        }
        k2_put_u8(&text, 0);
        if (strcmp((char *)text.data, rows[i].gaps) != 0) {
            fail_msg("%s: %s", rows[i].name, (char *)text.data);
        }
        k2_buffer_deinit(&text);
    }
}

// Every number has a time of its own; a gap has the times of its neighbours.
static void compare(const struct ledger *ledger, const int64_t times[NUMBERS])
{
    int64_t first = 0, last = NUMBERS - 1;
    size_t place = 0;
    while (first < NUMBERS && times[first] < 0) {
        first++;
    }
    while (last > 0 && times[last] < 0) {
        last--;
    }
    assert_int_equal(ledger->state.first, first);
    assert_int_equal(ledger->state.last, last);
    assert_int_equal(ledger->state.first_ns, times[first]);
    assert_int_equal(ledger->state.last_ns, times[last]);
    for (int64_t number = 0; number < NUMBERS; number++) {
        assert_int_equal(k2_sequence_seen(&ledger->state, ledger->gaps, ledger->count, number),
                         times[number] >= 0);
    }
    for (int64_t number = first; number < last; number++) {
        if (times[number + 1] >= 0) {
            continue;
        }
        assert_true(place < ledger->count);
        const struct k2_sequence_gap *gap = &ledger->gaps[place++];
        assert_int_equal(gap->first, number + 1);
        assert_int_equal(gap->after_ns, times[number]);
        while (times[number + 1] < 0) {
            number++;
        }
        assert_int_equal(gap->last, number);
        assert_int_equal(gap->before_ns, times[number + 1]);
    }
    assert_int_equal(place, ledger->count);
}

static void random_runs_give_the_gaps_of_the_set(void **state)
{
    (void)state;
    uint64_t chance = test_seed(), turns = test_is_torture() ? 200000 : 3000;
    for (uint64_t turn = 0; turn < turns; turn++) {
        struct ledger ledger = {0};
        int64_t times[NUMBERS];
        memset(times, 0xff, sizeof times);
        for (uint64_t commit = 1; commit <= 12; commit++) {
            struct k2_sequence_run runs[BATCH_MOST];
            size_t count = test_random_below(&chance, BATCH_MOST) + 1;
            for (size_t i = 0; i < count; i++) {
                int64_t first = (int64_t)test_random_below(&chance, NUMBERS);
                int64_t last = first + (int64_t)test_random_below(&chance, 4);
                last = last < NUMBERS ? last : NUMBERS - 1;
                for (int64_t number = first; number <= last; number++) {
                    // A number that comes twice keeps the time that it had.
                    times[number] = times[number] < 0 ? 1000 - 7 * number : times[number];
                }
                runs[i] = (struct k2_sequence_run){
                    first,           last, 1000 - 7 * first, 1000 - 7 * last, 1000 - 7 * last,
                    1000 - 7 * first};
            }
            take(&ledger, runs, count, commit);
            compare(&ledger, times);
        }
    }
}

static void a_counter_with_too_many_gaps_is_given_up(void **state)
{
    (void)state;
    struct k2_sequence_run runs[] = {run_of(1, 1), run_of(5, 5), run_of(9, 9)};
    struct k2_sequence_run late[] = {run_of(2, 2), run_of(20, 20)};
    struct k2_sequence_changes changes = {0};
    struct ledger ledger = {0};
    take(&ledger, runs, 3, 1);
    assert_int_equal(
        k2_sequence_track(&ledger.state, ledger.gaps, ledger.count, late, 2, 2, &changes, NULL),
        K2_OK);
    assert_int_equal(
        k2_sequence_give_up(&ledger.state, ledger.gaps, ledger.count, 2, &changes, NULL), K2_OK);
    apply(&ledger, &changes);
    k2_sequence_changes_deinit(&changes);
    assert_int_equal(ledger.count, 1);
    assert_int_equal(ledger.gaps[0].first, 3);
    assert_int_equal(ledger.gaps[0].last, 19);
    assert_int_equal(ledger.gaps[0].after_ns, 20);
    assert_int_equal(ledger.gaps[0].before_ns, 200);
    assert_true(ledger.state.given_up);
    take(&ledger, runs, 3, 3); // nothing more happens
    assert_int_equal(ledger.count, 1);
}

static void the_ends_of_the_numbers_are_numbers(void **state)
{
    (void)state;
    struct ledger ledger = {0};
    struct k2_sequence_run runs[] = {{INT64_MIN, INT64_MIN, 1, 1, 1, 1},
                                     {INT64_MAX, INT64_MAX, 2, 2, 2, 2}};
    struct k2_sequence_run late = {INT64_MIN + 1, INT64_MAX - 1, 3, 3, 3, 3};
    take(&ledger, &runs[1], 1, 1);
    take(&ledger, runs, 1, 2);
    assert_int_equal(ledger.count, 1);
    assert_int_equal(ledger.gaps[0].first, INT64_MIN + 1);
    assert_int_equal(ledger.gaps[0].last, INT64_MAX - 1);
    take(&ledger, &late, 1, 3);
    assert_int_equal(ledger.count, 0);
}

static void states_survive_the_index(void **state)
{
    (void)state;
    struct k2_ledger_page page = {0}, copy;
    struct k2_buffer bytes;
    uint64_t chance = test_seed();
    k2_buffer_init(&bytes, 1 << 16);
    page.states[0] = (struct k2_sequence_state){
        true, false, INT64_MIN, INT64_MAX, INT64_MIN, INT64_MAX, INT64_MIN, INT64_MAX, 10000, 1};
    for (int i = 1; i < 64; i++) {
        if (test_random_below(&chance, 3) > 0) {
            page.states[i] =
                (struct k2_sequence_state){true, i % 2 == 0, -i, i, 5, 7, 4, 8, (uint32_t)i, 77};
        }
    }
    k2_ledger_page_put(&page, &bytes);
    assert_int_equal(k2_ledger_page_read(&copy, k2_buffer_slice(&bytes), NULL), K2_OK);
    for (int i = 0; i < 64; i++) {
        const struct k2_sequence_state *a = &page.states[i], *b = &copy.states[i];
        assert_true(a->any == b->any && a->given_up == b->given_up && a->first == b->first &&
                    a->last == b->last && a->first_ns == b->first_ns && a->last_ns == b->last_ns &&
                    a->min_ns == b->min_ns && a->max_ns == b->max_ns &&
                    a->open_gaps == b->open_gaps && a->commit == b->commit);
    }
    for (size_t cut = 0; cut < bytes.size_bytes; cut++) {
        struct k2_slice part = {bytes.data, cut};
        assert_int_equal(k2_ledger_page_read(&copy, part, NULL), K2_CORRUPT);
    }
    k2_buffer_deinit(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gaps_are_as_told),
        cmocka_unit_test(random_runs_give_the_gaps_of_the_set),
        cmocka_unit_test(a_counter_with_too_many_gaps_is_given_up),
        cmocka_unit_test(the_ends_of_the_numbers_are_numbers),
        cmocka_unit_test(states_survive_the_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
