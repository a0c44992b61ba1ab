// Kinds of faults that a test lets happen at the n-th turn of something, and from then on.
#pragma once

#include <stdbool.h>

#include "format/base/status.h"

struct test_fault {
    const char *name;
    void (*begin)(long after); // how many turns go well before it; -1: it ends
    enum k2_status status;     // that the store is to give
    bool of_changes;           // never met by who only reads
};

enum { TEST_FAULTS = 4 };
extern const struct test_fault test_faults[TEST_FAULTS];

// The turn to try after this one: in torture each; else rarer, the more there have been.
long test_next_turn(long turn);
