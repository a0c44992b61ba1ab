// Kinds of faults that a test lets happen at the n-th turn of something, and from then on.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "format/base/status.h"

struct test_fault {
    const char *name;
    void (*begin)(long after); // how many turns go well before it; -1: it ends
    enum k2_status status;     // that the store is to give
    bool of_changes;           // never met by who only reads
    bool of_segments;          // met by first touches only; to a repair it is no fault
    bool watched;              // test_places has something to say of it
};

enum { TEST_FAULTS = 6 };
extern const struct test_fault test_faults[TEST_FAULTS];

// The turn to try after this one: in torture each; else rarer, the more there have been.
long test_next_turn(long turn);

// Which turns meet the fault somewhere new: on the stack is a call that no turn of this fault was
// below before, in the whole program. To let each of them fail shows one failure to every line
// that a failure can come to, in few turns. For what runs in one thread.
//
// Between begin and end no turn fails. The turns are the caller's to free with free(); fewer than
// the operation has, and none after TEST_PLACES_MOST turns.
enum { TEST_PLACES_MOST = 100000 };
void test_places_begin(const struct test_fault *fault);
size_t test_places_end(const struct test_fault *fault, long **turns);
