// Rooms of ended scans: who gets which, what is kept, and what goes.
#include "engine/room_pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/base/alloc.h"

static void *take(struct k2_room_pool *pool, size_t size_bytes)
{
    unsigned char *room = k2_room_pool_take(pool, size_bytes);
    assert_non_null(room);
    assert_int_equal((uintptr_t)room % 64, 0);
    memset(room, 0xa5, size_bytes); // the sanitizer sees what is too short, or not ours any more
    return room;
}

static void a_room_goes_to_whom_it_fits(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t kept, wanted;
        bool same;
    } cases[] = {
        {"the same size", 1000, 1000, true},
        {"a little less", 1000, 600, true},
        {"half", 1000, 500, true},
        {"far less", 1000, 400, false},
        {"a little more", 1000, 1001, false},
        {"nothing", 1000, 0, false},
        {"of what had nothing", 0, 10, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        print_message("# %s\n", cases[i].name);
        struct k2_room_pool *pool = k2_room_pool_create(4096);
        assert_non_null(pool);
        void *kept = take(pool, cases[i].kept);
        k2_room_pool_give(pool, kept);
        k2_alloc_fail_after(0); // nothing but what is kept
        void *room = k2_room_pool_take(pool, cases[i].wanted);
        k2_alloc_fail_after(-1);
        assert_true(room == (cases[i].same ? kept : NULL));
        k2_room_pool_give(pool, room);
        k2_room_pool_destroy(pool);
    }
}

static size_t count_kept(struct k2_room_pool *pool, size_t size_bytes)
{
    void *rooms[64];
    size_t count = 0;
    k2_alloc_fail_after(0);
    while (count < 64 && (rooms[count] = k2_room_pool_take(pool, size_bytes)) != NULL) {
        count++;
    }
    k2_alloc_fail_after(-1);
    for (size_t i = 0; i < count; i++) {
        k2_room_pool_give(pool, rooms[i]);
    }
    return count;
}

static void the_oldest_go_when_it_is_too_much(void **state)
{
    (void)state;
    struct k2_room_pool *pool = k2_room_pool_create(10000);
    void *rooms[50];
    for (size_t i = 0; i < 5; i++) {
        rooms[i] = take(pool, 1000);
    }
    for (size_t i = 0; i < 5; i++) {
        k2_room_pool_give(pool, rooms[i]);
    }
    void *large = take(pool, 7000);
    k2_room_pool_give(pool, large);
    assert_int_equal(count_kept(pool, 1000), 3);
    assert_int_equal(count_kept(pool, 7000), 1);
    void *too_large = take(pool, 10001);
    k2_room_pool_give(pool, too_large);
    assert_int_equal(count_kept(pool, 10001), 0);
    assert_int_equal(count_kept(pool, 1000), 3);
    for (size_t i = 0; i < 50; i++) { // more rooms than it has places for
        rooms[i] = take(pool, 16);
    }
    for (size_t i = 0; i < 50; i++) {
        k2_room_pool_give(pool, rooms[i]);
    }
    assert_int_equal(count_kept(pool, 16), 32);
    k2_room_pool_destroy(pool);
}

static void without_a_pool_nothing_is_kept(void **state)
{
    (void)state;
    k2_room_pool_give(NULL, take(NULL, 100));
    k2_room_pool_give(NULL, NULL);
    k2_room_pool_destroy(NULL);
    assert_null(k2_room_pool_take(NULL, SIZE_MAX));
    k2_alloc_fail_after(0);
    assert_null(k2_room_pool_create(100));
    assert_null(k2_room_pool_take(NULL, 100));
    k2_alloc_fail_after(-1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_room_goes_to_whom_it_fits),
        cmocka_unit_test(the_oldest_go_when_it_is_too_much),
        cmocka_unit_test(without_a_pool_nothing_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
