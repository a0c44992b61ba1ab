// When to try again, and for how long to wait: twice as long each time, with chance in it, so that
// many clients of a server that came back do not come back together.
//
// A budget is shared by all calls to one server: each success earns a tenth of a retry, so that a
// server that fails for long is not asked many times as often. Belongs to one thread.
#pragma once

#include <stdbool.h>

#include "format/base/bytes.h"

struct k2_retry_budget {
    double retries; // left
};

struct k2_retry {
    struct k2_retry_budget *budget; // borrowed
    unsigned tries_left, wait_ms;
};

enum { K2_RETRY_TRIES = 6 };

void k2_retry_budget_init(struct k2_retry_budget *budget);
void k2_retry_succeeded(struct k2_retry_budget *budget);

// `wait_ms` is the longest wait before the second try.
void k2_retry_init(struct k2_retry *retry, struct k2_retry_budget *budget, unsigned wait_ms);

// Waits, or tells false: it is enough. `retry_after` is the value of that header, empty if there
// was none: seconds are honoured up to a minute, a date is not.
bool k2_retry_wait(struct k2_retry *retry, struct k2_slice retry_after);
