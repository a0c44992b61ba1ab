#include "tests/support/faults.h"

#include <errno.h>

#include "engine/file_io.h"
#include "engine/store.h"
#include "format/base/alloc.h"
#include "tests/support/tier.h"

static long files_left;

static int fail_files(void *context, enum k2_file_operation operation)
{
    (void)context;
    if (operation == K2_FILE_INDEX_COMMITTED || files_left < 0) {
        return 0;
    }
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

static void files_fail(long after)
{
    files_left = after < 0 ? -1 : after + 1;
    k2_file_set_hook(after < 0 ? NULL : fail_files, NULL);
}

const struct test_fault test_faults[TEST_FAULTS] = {
    {"no memory", memory_fails, K2_NO_MEMORY, false},
    {"index: EIO", index_fails, K2_IO, false},
    {"index: ENOSPC", index_is_full, K2_NO_SPACE, false},
    {"files: EIO", files_fail, K2_IO, true},
};

long test_next_turn(long turn)
{
    return test_is_torture() ? turn + 1 : turn + 1 + turn / (test_stride(5) > 1 ? 2 : 5);
}
