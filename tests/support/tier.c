#include "tests/support/tier.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

bool test_is_torture(void)
{
    const char *tier = getenv("K2_TEST_TIER");
    return tier != NULL && strcmp(tier, "torture") == 0;
}

long test_stride(long part)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return test_is_torture() ? 1 : part;
#else
    (void)part;
    return 1;
#endif
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text == NULL || text[0] == '\0' ? otherwise : strtoull(text, NULL, 10);
}

uint64_t test_seed(void)
{
    return number_of("K2_TEST_SEED", 1);
}

int64_t test_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

bool test_goes_on(struct test_budget *budget, uint64_t turns)
{
    if (!test_is_torture()) {
        return budget->turn++ < turns;
    }
    int64_t now = test_now_ns();
    if (budget->turn++ == 0) {
        budget->end_ns = now + (int64_t)number_of("K2_TEST_MINUTES", 60) * 60 * 1000000000;
    }
    return now < budget->end_ns;
}

uint64_t test_random(uint64_t *state)
{
    uint64_t mixed = *state += 0x9e3779b97f4a7c15;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
    return mixed ^ mixed >> 31;
}

uint64_t test_random_below(uint64_t *state, uint64_t bound)
{
    return test_random(state) % bound;
}

void test_leave(int code)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    _exit(code);
#else
    exit(code);
#endif
}
