#include "engine/row_order.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "format/base/alloc.h"
#include "tests/support/tier.h"

enum { ROWS = 500 };

static struct k2_row_batch *new_batch(struct k2_schema **schema)
{
    struct k2_row_batch *batch;
    assert_int_equal(k2_schema_builtin(schema, "trades", NULL), K2_OK);
    assert_int_equal(k2_row_batch_create(&batch, *schema, ROWS, false, NULL), K2_OK);
    return batch;
}

static void random_rows_are_sorted_and_stable(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint32_t instruments, times, sequences, spread;
    } shapes[] = {
        {"many equal keys", 2, 2, 2, 1},
        {"one instrument", 1, 1000, 5, 1},
        {"many instruments", 400, 3, 1000, 1},
        {"ids far apart", 5, 5, 5, 900000},
        {"all equal", 1, 1, 1, 1},
    };
    struct k2_schema *schema;
    struct k2_row_batch *batch = new_batch(&schema);
    uint32_t order[ROWS];
    uint64_t random = 88172645463325252u;
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        for (size_t count = 0; count <= ROWS; count += 1 + count / 2) {
            k2_row_batch_clear(batch);
            for (size_t j = 0; j < count; j++) {
                size_t row;
                struct k2_row_key key = {
                    .instrument = 1 + (uint32_t)test_random_below(&random, shapes[i].instruments) *
                                          shapes[i].spread,
                    .time_ns = (int64_t)test_random_below(&random, shapes[i].times) - 1,
                    .epoch = (int64_t)test_random_below(&random, 2),
                    .sequence = (int64_t)test_random_below(&random, shapes[i].sequences),
                };
                assert_int_equal(k2_row_batch_add(batch, &key, 0, &row, NULL), K2_OK);
            }
            assert_int_equal(k2_row_order(batch, order, NULL), K2_OK);
            for (size_t j = 1; j < count; j++) {
                int compared =
                    k2_row_key_compare(&batch->keys[order[j - 1]], &batch->keys[order[j]]);
                if (compared > 0 || (compared == 0 && order[j - 1] >= order[j])) {
                    fail_msg("%s: place %zu of %zu", shapes[i].name, j, count);
                }
            }
        }
    }
    k2_row_batch_destroy(batch);
    k2_schema_destroy(schema);
}

static void a_failed_allocation_is_told(void **state)
{
    (void)state;
    struct k2_schema *schema;
    struct k2_row_batch *batch = new_batch(&schema);
    uint32_t order[3];
    for (int64_t i = 0; i < 3; i++) {
        size_t row;
        struct k2_row_key key = {.instrument = 1, .time_ns = 3 - i};
        assert_int_equal(k2_row_batch_add(batch, &key, 0, &row, NULL), K2_OK);
    }
    long allowed = 0;
    enum k2_status status = K2_NO_MEMORY;
    for (; status != K2_OK; allowed++) {
        k2_alloc_fail_after(allowed);
        status = k2_row_order(batch, order, NULL);
        assert_true(status == K2_OK || status == K2_NO_MEMORY);
    }
    k2_alloc_fail_after(-1);
    assert_int_equal(allowed, 3);
    k2_row_batch_destroy(batch);
    k2_schema_destroy(schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_rows_are_sorted_and_stable),
        cmocka_unit_test(a_failed_allocation_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
