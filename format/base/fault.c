#include "format/base/fault.h"

#include <stdatomic.h>
#include <stddef.h>

static struct {
    atomic_long left; // turns that go well, and one; 0: all do
    void (*_Atomic watch)(void);
} faults[K2_FAULT_KINDS];

void k2_fault_after(enum k2_fault kind, long count)
{
    atomic_store(&faults[kind].left, count < 0 ? 0 : count + 1);
}

void k2_fault_watch(enum k2_fault kind, void (*watch)(void))
{
    atomic_store(&faults[kind].watch, watch);
}

bool k2_fault_due(enum k2_fault kind)
{
    long left = atomic_load_explicit(&faults[kind].left, memory_order_relaxed);
    if (left == 0) {
        return false;
    }
    void (*watch)(void) = atomic_load_explicit(&faults[kind].watch, memory_order_relaxed);
    if (watch != NULL) {
        watch();
    }
    if (left > 1) {
        atomic_store_explicit(&faults[kind].left, left - 1, memory_order_relaxed);
    }
    return left == 1;
}
