// Test aid: what a test lets fail at its n-th turn, and from then on. Nothing fails unless asked.
//
// Thread-safe; turns of several threads are counted together.
#pragma once

#include <stdbool.h>

enum k2_fault {
    K2_FAULT_MEMORY,   // an allocation
    K2_FAULT_INDEX,    // an operation of LMDB
    K2_FAULT_CHECKSUM, // a comparison of bytes of a segment with their checksum
    K2_FAULT_KINDS,
};

// The next `count` turns go well, all later ones fail; -1: none fails.
void k2_fault_after(enum k2_fault kind, long count);

// `watch` is called at each turn while turns are counted; NULL: nothing is called.
void k2_fault_watch(enum k2_fault kind, void (*watch)(void));

// Takes a turn: does it fail?
bool k2_fault_due(enum k2_fault kind);
