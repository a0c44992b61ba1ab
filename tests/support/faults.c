#include "tests/support/faults.h"

#include <errno.h>
#include <execinfo.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/file_io.h"
#include "engine/store.h"
#include "format/base/alloc.h"
#include "format/base/fault.h"
#include "tests/support/tier.h"

enum { DEEPEST = 32, SEEN_ROOM = 1 << 16 };

// What was seen of one kind of fault.
struct places {
    uintptr_t seen[SEEN_ROOM]; // a hash set of return addresses; 0: free
    size_t seen_count;
    long turn;
    long *turns; // that meet something new
    size_t turn_count, turn_room;
};

static long files_left;
static struct places all_places[TEST_FAULTS];
static struct places *places; // being watched

static bool add_place(uintptr_t address)
{
    size_t slot = (size_t)(address * UINT64_C(0x9e3779b97f4a7c15) >> 48) % SEEN_ROOM;
    while (places->seen[slot] != 0 && places->seen[slot] != address) {
        slot = (slot + 1) % SEEN_ROOM;
    }
    bool added = places->seen[slot] == 0;
    places->seen[slot] = address;
    places->seen_count += added;
    assert_true(places->seen_count < SEEN_ROOM / 2);
    return added;
}

static void note_turn(void)
{
    void *frames[DEEPEST];
    bool found = false;
    if (places == NULL || places->turn >= TEST_PLACES_MOST) {
        return;
    }
    int count = backtrace(frames, DEEPEST);
    for (int i = 1; i < count; i++) {
        found |= add_place((uintptr_t)frames[i]);
    }
    if (found && places->turn_count == places->turn_room) {
        places->turn_room = places->turn_room * 2 + 64;
        places->turns = realloc(places->turns, places->turn_room * sizeof *places->turns);
        assert_non_null(places->turns);
    }
    if (found) {
        places->turns[places->turn_count++] = places->turn;
    }
    places->turn++;
}

static int fail_files(void *context, enum k2_file_operation operation)
{
    (void)context;
    if (operation == K2_FILE_INDEX_COMMITTED || files_left < 0) {
        return 0;
    }
    note_turn();
    files_left -= files_left > 0;
    return files_left == 0 ? EIO : 0;
}

static void memory_fails(long after)
{
    k2_alloc_fail_after(after);
}

static void index_fails(long after)
{
    k2_store_fail_after(after, EIO);
}

static void index_is_full(long after)
{
    k2_store_fail_after(after, ENOSPC);
}

static void index_is_damaged(long after)
{
    enum { MDB_CORRUPTED = -30796 };
    k2_store_fail_after(after, MDB_CORRUPTED);
}

static void bytes_are_damaged(long after)
{
    k2_fault_after(K2_FAULT_CHECKSUM, after);
}

static void files_fail(long after)
{
    files_left = after < 0 ? -1 : after + 1;
    k2_file_set_hook(after < 0 ? NULL : fail_files, NULL);
}

const struct test_fault test_faults[TEST_FAULTS] = {
    {"no memory", memory_fails, K2_NO_MEMORY, .watched = true},
    {"index: EIO", index_fails, K2_IO, .watched = true},
    {"index: ENOSPC", index_is_full, .status = K2_NO_SPACE},
    {"index: damaged", index_is_damaged, .status = K2_CORRUPT},
    {"segments: damaged", bytes_are_damaged, K2_CORRUPT, .of_segments = true, .watched = true},
    {"files: EIO", files_fail, K2_IO, .of_changes = true, .watched = true},
};

long test_next_turn(long turn)
{
    return test_is_torture() ? turn + 1 : turn + 1 + turn / (test_stride(5) > 1 ? 2 : 5);
}

void test_places_begin(const struct test_fault *fault)
{
    void *frame;
    (void)backtrace(&frame, 1); // the first call loads a library
    places = &all_places[fault - test_faults];
    places->turn = 0;
    for (int kind = 0; kind < K2_FAULT_KINDS; kind++) {
        k2_fault_watch((enum k2_fault)kind, note_turn); // of which only this one's are counted
    }
    fault->begin(LONG_MAX - 1);
}

size_t test_places_end(const struct test_fault *fault, long **turns)
{
    fault->begin(-1);
    for (int kind = 0; kind < K2_FAULT_KINDS; kind++) {
        k2_fault_watch((enum k2_fault)kind, NULL);
    }
    size_t count = places->turn_count;
    *turns = places->turns;
    places->turns = NULL;
    places->turn_count = places->turn_room = 0;
    places = NULL;
    return count;
}
