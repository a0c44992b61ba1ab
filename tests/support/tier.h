// How long and from which seed a test runs: K2_TEST_TIER=torture, K2_TEST_SEED, K2_TEST_MINUTES.
#pragma once

#include <stdbool.h>
#include <stdint.h>

bool test_is_torture(void);

// In the default tier with a sanitizer, where everything costs five times as much, 1 in `part`
// turns is done; else all: the step of such a loop.
long test_stride(long part);

// K2_TEST_SEED, else 1. Printed by whoever uses it, so that a failure can be repeated.
uint64_t test_seed(void);

// For loops: true until `turns` turns (default tier), or until K2_TEST_MINUTES (60) have passed
// since the first call (torture). Zero the struct before.
struct test_budget {
    uint64_t turn;
    int64_t end_ns; // monotonic
};
bool test_goes_on(struct test_budget *budget, uint64_t turns);

// splitmix64: the next number, and one below `bound`.
uint64_t test_random(uint64_t *state);
uint64_t test_random_below(uint64_t *state, uint64_t bound);

int64_t test_now_ns(void); // monotonic

// Ends a child of a test. Coverage is written then; leaks are not looked for, which takes long.
_Noreturn void test_leave(int code);
