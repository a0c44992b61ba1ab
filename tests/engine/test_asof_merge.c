#include "engine/asof_merge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/tier.h"

enum { MOST = 1024, ROOM = MOST + 1, FIRST = 1000, UNTOUCHED = -5 };

struct lists {
    int64_t left[ROOM], right[ROOM];
    int32_t rows[ROOM], expected[ROOM];
};

// One step at a time, until one of the lists is at its end.
static size_t merge_slowly(struct lists *lists, size_t left_count, size_t right_count,
                           size_t *passed)
{
    size_t left = 0, right = 0;
    while (left < left_count && right < right_count) {
        if (lists->right[right] <= lists->left[left]) {
            right++;
        } else {
            lists->expected[left++] = FIRST + (int32_t)right;
        }
    }
    *passed = right;
    return left;
}

static void check(const char *name, struct lists *lists, size_t left_count, size_t right_count)
{
    size_t passed, expected_passed;
    for (size_t i = 0; i < ROOM; i++) {
        lists->rows[i] = UNTOUCHED;
    }
    size_t expected = merge_slowly(lists, left_count, right_count, &expected_passed);
    size_t decided = k2_asof_merge(lists->left, left_count, lists->right, right_count, FIRST,
                                   lists->rows, &passed);
    if (decided != expected || passed != expected_passed ||
        memcmp(lists->rows, lists->expected, decided * sizeof lists->rows[0]) != 0 ||
        lists->rows[left_count] != UNTOUCHED) {
        fail_msg("%s: %zu left and %zu right times: %zu decided, %zu passed", name, left_count,
                 right_count, decided, passed);
    }
}

static void fill(int64_t *times, size_t count, uint64_t step, uint64_t jump, uint64_t *random)
{
    int64_t time = -(int64_t)test_random_below(random, 3 * step + 2);
    for (size_t i = 0; i < count; i++) {
        time += (int64_t)test_random_below(random, step + 1);
        if (test_random_below(random, 50) == 0) {
            time += (int64_t)test_random_below(random, jump + 1);
        }
        times[i] = time;
    }
}

static void every_left_time_finds_the_last_right_one(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint64_t left_step, right_step, jump;
    } shapes[] = {
        {"alike", 1000, 1000, 0},
        {"equal times", 1, 1, 0},
        {"all equal", 0, 0, 0},
        {"many right times for each left one", 5000, 10, 0},
        {"few right times", 10, 5000, 0},
        {"bursts", 20, 20, 40000},
        {"right times end early", 9, 3, 0},
    };
    struct lists *lists = calloc(1, sizeof *lists);
    uint64_t random = 88172645463325252u;
    assert_non_null(lists);
    for (size_t turn = 0; turn < (test_is_torture() ? 200000 : 3000); turn++) {
        size_t shape = turn % (sizeof shapes / sizeof shapes[0]);
        uint64_t most = turn % 3 == 0 ? MOST : 90;
        size_t left_count = 1 + test_random_below(&random, most);
        size_t right_count = 1 + test_random_below(&random, most);
        fill(lists->left, left_count, shapes[shape].left_step, shapes[shape].jump, &random);
        fill(lists->right, right_count, shapes[shape].right_step, shapes[shape].jump, &random);
        if (test_random_below(&random, 20) == 0) {
            lists->left[left_count - 1] = INT64_MAX;
        }
        if (test_random_below(&random, 20) == 0) {
            lists->right[right_count - 1] = INT64_MAX;
        }
        if (test_random_below(&random, 20) == 0) {
            lists->right[0] = lists->left[0] = INT64_MIN;
        }
        check(shapes[shape].name, lists, left_count, right_count);
    }
    free(lists);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_left_time_finds_the_last_right_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
