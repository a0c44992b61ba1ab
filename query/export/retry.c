#include "query/export/retry.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>

enum {
    BUDGET = 30,
    LONGEST_WAIT_MS = 20000,
    LONGEST_ASKED_S = 60,
};

void k2_retry_budget_init(struct k2_retry_budget *budget)
{
    budget->retries = BUDGET;
}

void k2_retry_succeeded(struct k2_retry_budget *budget)
{
    if (budget->retries < BUDGET) {
        budget->retries += 0.1;
    }
}

void k2_retry_init(struct k2_retry *retry, struct k2_retry_budget *budget, unsigned wait_ms)
{
    *retry = (struct k2_retry){budget, K2_RETRY_TRIES - 1, wait_ms};
}

static unsigned asked_ms(struct k2_slice retry_after)
{
    unsigned seconds = 0;
    for (size_t i = 0; i < retry_after.size_bytes; i++) {
        unsigned digit = (unsigned)retry_after.data[i] - '0';
        if (digit > 9) {
            return 0;
        }
        seconds = seconds * 10 + digit;
        if (seconds > LONGEST_ASKED_S) {
            seconds = LONGEST_ASKED_S;
        }
    }
    return seconds * 1000;
}

bool k2_retry_wait(struct k2_retry *retry, struct k2_slice retry_after)
{
    if (retry->tries_left == 0 || retry->budget->retries < 1) {
        return false;
    }
    uint32_t chance = 0;
    if (getrandom(&chance, sizeof chance, GRND_NONBLOCK) != sizeof chance) {
        chance = UINT32_MAX / 2;
    }
    unsigned wait_ms = (unsigned)((uint64_t)retry->wait_ms * chance >> 32);
    unsigned asked = asked_ms(retry_after);
    wait_ms = asked > wait_ms ? asked : wait_ms;
    retry->tries_left--;
    retry->budget->retries -= 1;
    retry->wait_ms = retry->wait_ms < LONGEST_WAIT_MS / 2 ? retry->wait_ms * 2 : LONGEST_WAIT_MS;
    struct timespec rest = {wait_ms / 1000, (long)(wait_ms % 1000) * 1000000};
    while (nanosleep(&rest, &rest) != 0 && errno == EINTR) {
    }
    return true;
}
