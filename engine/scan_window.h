// The rows of a time range, gathered from all row groups that have some and put in order.
//
//   collect (finds them), load (decodes and sorts them), then emit or trim; and again
//
// Belongs to one thread. Its memory stays below what it was given, unless more rows than fit have
// one and the same time.
#pragma once

#include "engine/group_set.h"
#include "engine/scan.h"
#include "engine/scan_order.h"

// Rows of one directory entry that follow each other in the group, all in the window.
struct k2_window_run {
    uint32_t cursor; // index in the group set
    uint32_t number; // of the instrument, in the name set
    uint32_t first_row, row_count;
    uint32_t base; // position of its first row in the window
};

// All rows of one slot, by position.
struct k2_window_column {
    int64_t *values;        // fixed kinds
    struct k2_slice *texts; // text kinds; the texts lie in the window's arena
    uint8_t *valid;
    size_t capacity;
    bool loaded, has_nulls;
};

struct k2_scan_window {
    const struct k2_scan_layout *layout; // borrowed
    size_t memory_bytes;
    size_t decoded_rows;        // of the times that this window needed, in whole blocks
    bool with_commit;           // it is an output
    size_t text_row_bytes;      // of a row's texts, as seen so far
    size_t text_ceiling_bytes;  // of this window
    struct k2_window_run *runs; // by group and row
    uint32_t *run_order;        // scratch: their indexes by (exchange, symbol)
    size_t run_count, run_capacity;
    size_t row_count;
    struct k2_window_column *columns; // by slot
    // Rows on their way into order: the time since the window's begin above, the position in the
    // low `position_bits`.
    uint64_t *refs, *spare_refs;
    uint32_t *row_runs; // by position: the run that the row came with
    size_t ref_capacity;
    unsigned position_bits;
    const uint64_t *order; // refs or spare_refs; NULL: positions are in order, row_runs is not set
    size_t begin, end;     // of the rows in order that count
    struct k2_text_arena texts;
    struct k2_room_pool *rooms;    // borrowed
    struct k2_vector_store *store; // of `rooms`; NULL: none needed yet
};

K2_MUST_CHECK enum k2_status k2_scan_window_init(struct k2_scan_window *window,
                                                 const struct k2_scan_layout *layout,
                                                 struct k2_room_pool *rooms, size_t memory_bytes,
                                                 struct k2_error *error);
void k2_scan_window_deinit(struct k2_scan_window *window); // also a zeroed one

// How many rows fit.
size_t k2_scan_window_room(const struct k2_scan_window *window);

// Finds the rows with first_ns <= time <= last_ns that count. `*fits` is false when they
// are more than fit: the caller tries a shorter range. One that can not be shorter always fits.
K2_MUST_CHECK enum k2_status k2_scan_window_collect(struct k2_scan_window *window,
                                                    struct k2_group_set *set, int64_t first_ns,
                                                    int64_t last_ns, bool *fits,
                                                    struct k2_error *error);

// Decodes what collect found and sorts it. `*fits` false: their texts take too much.
K2_MUST_CHECK enum k2_status k2_scan_window_load(struct k2_scan_window *window,
                                                 struct k2_group_set *set, int64_t first_ns,
                                                 int64_t last_ns, bool *fits,
                                                 struct k2_error *error);

// Leaves out the rows up to and with `key`, or (from_end) from `key` on.
K2_MUST_CHECK enum k2_status k2_scan_window_trim(struct k2_scan_window *window,
                                                 struct k2_group_set *set,
                                                 const struct k2_scan_key *key, bool from_end,
                                                 struct k2_error *error);

// Gives `row_count` <= K2_VECTOR_ROWS rows from window->begin on, or the last ones before
// window->end backwards, and takes them from the window. `stores` and `vectors` go by output; a
// vector points into its store or into the window, and holds until the next collect.
void k2_scan_window_emit(struct k2_scan_window *window, const struct k2_name_set *names,
                         bool backwards, size_t row_count, struct k2_vector_store *stores,
                         struct k2_vector *vectors);
