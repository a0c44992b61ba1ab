// Sorts the rows of a window by time; pure.
#pragma once

#include <stddef.h>
#include <stdint.h>

// A row of a window on its way into order.
struct k2_row_ref {
    uint64_t key;      // time since the window's begin
    uint32_t position; // where its values lie in the window
    uint32_t run;      // index of the run that it came with
};

// Sorts by key; rows of equal keys keep their order. `spare` has room for `count` too. The result
// is `rows` or `spare`, whichever is returned.
struct k2_row_ref *k2_row_refs_sort(struct k2_row_ref *rows, struct k2_row_ref *spare,
                                    size_t count);
