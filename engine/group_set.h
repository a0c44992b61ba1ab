// The row groups of one plan while a scan reads them: views, column readers, decoded blocks.
//
// Groups are opened at first use and closed when the scan has passed them. Belongs to one thread.
#pragma once

#include "engine/name_set.h"
#include "engine/plan.h"
#include "engine/room_pool.h"
#include "engine/scan_layout.h"

// An instrument that a scan wants: its id in this store, and its number in the name set.
struct k2_wanted_instrument {
    uint32_t id, number;
};

// A directory entry that a scan wants, and its instrument's number.
struct k2_wanted_entry {
    uint32_t entry, number;
};

struct k2_group_cursor {
    const struct k2_plan_group *group;        // borrowed from the plan
    const struct k2_row_group_view *view;     // of the plan; NULL: not open
    const struct k2_directory_entry *entries; // of the view
    size_t entry_count;
    struct k2_wanted_entry *wanted; // ascending; NULL: not looked up yet, see k2_group_set_wanted
    size_t wanted_count;
    struct k2_column_reader **readers; // by slot; NULL: not open, or absent
    bool *absent;                      // by slot: the group has no such column
};

struct k2_group_set {
    const struct k2_scan_layout *layout; // borrowed
    struct k2_name_set *names;           // borrowed
    struct k2_room_pool *rooms;          // borrowed
    // By id; NULL: all instruments, which get their numbers as they are met.
    const struct k2_wanted_instrument *instruments; // borrowed
    size_t instrument_count;
    uint32_t *numbers; // by id: number + 1 in the name set, or 0; a memo
    size_t number_capacity;
    uint64_t snapshot, commit_after; // rows count with commit_after < commit <= snapshot
    struct k2_plan plan;             // owned
    struct k2_group_cursor *cursors; // by plan group
    uint64_t **hidden; // by plan group: a bit for each row that was replaced or deleted; NULL: none
    size_t open_readers;
    struct k2_vector_store *store; // of `rooms`; for single blocks, see k2_group_set_block
    struct {
        const struct k2_group_cursor *cursor; // NULL: nothing is cached
        size_t slot;
        uint32_t block;
        struct k2_vector vector;
    } cached;
};

void k2_group_set_init(struct k2_group_set *set, const struct k2_scan_layout *layout,
                       struct k2_name_set *names, struct k2_room_pool *rooms);
void k2_group_set_deinit(struct k2_group_set *set); // also a zeroed one

// Closes what is open and goes on with `plan`, which it takes: on K2_OK *plan is zeroed.
K2_MUST_CHECK enum k2_status k2_group_set_take_plan(struct k2_group_set *set, struct k2_plan *plan,
                                                    struct k2_error *error);

// The group, opened.
K2_MUST_CHECK enum k2_status k2_group_set_cursor(struct k2_group_set *set, size_t group_index,
                                                 struct k2_group_cursor **cursor,
                                                 struct k2_error *error);
// Looks up cursor->wanted.
K2_MUST_CHECK enum k2_status k2_group_set_wanted(struct k2_group_set *set,
                                                 struct k2_group_cursor *cursor,
                                                 struct k2_error *error);
void k2_group_set_close_cursor(struct k2_group_set *set, size_t group_index);

// Closes the column readers of all groups; they open again when they are needed.
void k2_group_set_close_readers(struct k2_group_set *set);

// The reader of a slot's column; NULL when the group has not this column. Borrowed from the cursor
// until it or its readers are closed.
K2_MUST_CHECK enum k2_status k2_group_set_reader(struct k2_group_set *set,
                                                 struct k2_group_cursor *cursor, size_t slot,
                                                 struct k2_column_reader **reader,
                                                 struct k2_error *error);

// The bounds of a slot's values by the statistics of the group; of all integers if they do not say.
void k2_group_set_bounds(const struct k2_group_set *set, const struct k2_group_cursor *cursor,
                         size_t slot, int64_t *min, int64_t *max);

// Decodes a block into `store`; a column that the group has not gives its default or nulls.
K2_MUST_CHECK enum k2_status k2_group_set_decode(struct k2_group_set *set,
                                                 struct k2_group_cursor *cursor, size_t slot,
                                                 uint32_t block, struct k2_vector_store *store,
                                                 struct k2_vector *vector, struct k2_error *error);

// Like decode, into the set's own store; the last block is remembered. Valid until the next call.
K2_MUST_CHECK enum k2_status k2_group_set_block(struct k2_group_set *set,
                                                struct k2_group_cursor *cursor, size_t slot,
                                                uint32_t block, const struct k2_vector **vector,
                                                struct k2_error *error);

// What k2_group_set_block decoded last, if it is that; else NULL. Valid until its next call.
static inline const struct k2_vector *k2_group_set_cached(const struct k2_group_set *set,
                                                          const struct k2_group_cursor *cursor,
                                                          size_t slot, uint32_t block)
{
    bool is_it =
        set->cached.cursor == cursor && set->cached.slot == slot && set->cached.block == block;
    return is_it ? &set->cached.vector : NULL;
}

// The rows of an entry with first_ns <= time <= last_ns: [*begin, *end), maybe empty.
K2_MUST_CHECK enum k2_status k2_group_set_locate(struct k2_group_set *set,
                                                 struct k2_group_cursor *cursor, size_t entry_index,
                                                 int64_t first_ns, int64_t last_ns, uint32_t *begin,
                                                 uint32_t *end, struct k2_error *error);

// False if no row of the group counts, whatever its time.
bool k2_group_set_has_some(const struct k2_group_set *set, const struct k2_plan_group *group);

// True if all rows of the group count: no row needs a look, statistics may answer.
bool k2_group_set_sees_all(const struct k2_group_set *set, const struct k2_group_cursor *cursor);

// Moves *begin to the first row before `end` that counts as of the set's snapshot, and *stop behind
// the rows that count and follow it; none: *begin == end. The one place that decides about rows.
K2_MUST_CHECK enum k2_status k2_group_set_visible(struct k2_group_set *set,
                                                  struct k2_group_cursor *cursor, uint32_t end,
                                                  uint32_t *begin, uint32_t *stop,
                                                  struct k2_error *error);

static inline uint32_t k2_group_cursor_block_rows(const struct k2_group_cursor *cursor,
                                                  uint32_t block)
{
    uint32_t rest = cursor->group->row_count - block * K2_BLOCK_ROWS;
    return rest < K2_BLOCK_ROWS ? rest : K2_BLOCK_ROWS;
}
