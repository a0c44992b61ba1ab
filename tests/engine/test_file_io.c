// Calls that change files: what they did, or one line that says what could not be done, and the
// file is as it was.
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/file_io.h"
#include "format/base/alloc.h"
#include "tests/support/folder.h"

struct place {
    char folder[TEST_PATH_BYTES];
    char file[TEST_PATH_BYTES + 16];   // has 5 bytes
    char within[TEST_PATH_BYTES + 16]; // a folder with a folder in it
    char below[TEST_PATH_BYTES + 24];  // a path below the file, which is no folder
    char fresh[TEST_PATH_BYTES + 16];  // is not there
    char lost[TEST_PATH_BYTES + 24];   // in a folder that is not there
};

static const struct k2_slice five = {(const uint8_t *)"12345", 5};

static void must(enum k2_status status, const struct k2_error *error)
{
    if (status != K2_OK) {
        fail_msg("%s", error->text);
    }
}

static int set_up(void **state)
{
    static struct place place;
    struct k2_error error;
    char inner[TEST_PATH_BYTES + 32];
    int file = -1;
    test_folder_make(place.folder);
    (void)snprintf(place.file, sizeof place.file, "%s/file", place.folder);
    (void)snprintf(place.within, sizeof place.within, "%s/within", place.folder);
    (void)snprintf(place.below, sizeof place.below, "%s/below", place.file);
    (void)snprintf(place.fresh, sizeof place.fresh, "%s/fresh", place.folder);
    (void)snprintf(place.lost, sizeof place.lost, "%s/lost", place.fresh);
    (void)snprintf(inner, sizeof inner, "%s/inner", place.within);
    must(k2_file_create(place.file, &file, &error), &error);
    must(k2_file_write(file, five, 0, &error), &error);
    must(k2_file_sync(file, &error), &error);
    (void)close(file);
    must(k2_file_make_directory(place.within, &error), &error);
    must(k2_file_make_directory(inner, &error), &error);
    must(k2_file_make_directory(inner, &error), &error); // it is there: fine
    *state = &place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;
    k2_file_set_hook(NULL, NULL);
    k2_alloc_fail_after(-1);
    test_folder_remove(place->folder);
    return 0;
}

static off_t size_of(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 ? about.st_size : -1;
}

// ---- each call where it can not be done

typedef enum k2_status act(const struct place *place, struct k2_error *error);

static enum k2_status create_again(const struct place *place, struct k2_error *error)
{
    int file;
    return k2_file_create(place->file, &file, error);
}

static enum k2_status write_closed(const struct place *place, struct k2_error *error)
{
    (void)place;
    return k2_file_write(-1, five, 0, error);
}

static enum k2_status sync_closed(const struct place *place, struct k2_error *error)
{
    (void)place;
    return k2_file_sync(-1, error);
}

static enum k2_status rename_nothing(const struct place *place, struct k2_error *error)
{
    return k2_file_rename(place->fresh, place->file, error);
}

static enum k2_status exchange_nothing(const struct place *place, struct k2_error *error)
{
    return k2_file_exchange(place->fresh, place->file, error);
}

static enum k2_status sync_no_folder(const struct place *place, struct k2_error *error)
{
    return k2_file_sync_directory(place->fresh, error);
}

static enum k2_status unlink_folder(const struct place *place, struct k2_error *error)
{
    return k2_file_unlink(place->within, error);
}

static enum k2_status make_below_file(const struct place *place, struct k2_error *error)
{
    return k2_file_make_directory(place->below, error);
}

static enum k2_status remove_below_file(const struct place *place, struct k2_error *error)
{
    return k2_file_remove_folder(place->below, error);
}

static enum k2_status remove_with_folders(const struct place *place, struct k2_error *error)
{
    return k2_file_remove_folder(place->within, error);
}

static enum k2_status copy_nothing(const struct place *place, struct k2_error *error)
{
    return k2_file_copy(place->fresh, place->lost, 5, error);
}

static enum k2_status copy_from_below(const struct place *place, struct k2_error *error)
{
    return k2_file_copy(place->below, place->fresh, 5, error);
}

static enum k2_status copy_over(const struct place *place, struct k2_error *error)
{
    return k2_file_copy(place->file, place->file, 5, error);
}

static enum k2_status copy_too_much(const struct place *place, struct k2_error *error)
{
    return k2_file_copy(place->file, place->fresh, 6, error);
}

static enum k2_status copy_folder(const struct place *place, struct k2_error *error)
{
    return k2_file_copy(place->within, place->fresh, 5, error);
}

static enum k2_status lock_in_no_folder(const struct place *place, struct k2_error *error)
{
    char holder[K2_FILE_HOLDER_BYTES];
    int file;
    return k2_file_lock(place->lost, &file, holder, error);
}

static enum k2_status map_nothing(const struct place *place, struct k2_error *error)
{
    struct k2_slice bytes;
    return k2_file_map(place->fresh, 5, &bytes, error);
}

static enum k2_status map_below(const struct place *place, struct k2_error *error)
{
    struct k2_slice bytes;
    return k2_file_map(place->below, 5, &bytes, error);
}

static enum k2_status map_too_much(const struct place *place, struct k2_error *error)
{
    struct k2_slice bytes;
    return k2_file_map(place->file, 6, &bytes, error);
}

static enum k2_status map_no_bytes(const struct place *place, struct k2_error *error)
{
    struct k2_slice bytes;
    return k2_file_map(place->file, 0, &bytes, error);
}

static const struct {
    const char *name;
    act *go;
    enum k2_status status;
    const char *said;
} failures[] = {
    {"a file that is there", create_again, K2_IO, "/file: cannot create: File exists"},
    {"writing to nothing", write_closed, K2_IO, "cannot write 5 bytes: Bad file descriptor"},
    {"syncing nothing", sync_closed, K2_IO, "cannot sync: Bad file descriptor"},
    {"renaming nothing", rename_nothing, K2_NOT_FOUND, "cannot rename to"},
    {"exchanging with nothing", exchange_nothing, K2_NOT_FOUND, "cannot exchange with"},
    {"syncing no folder", sync_no_folder, K2_NOT_FOUND, "/fresh: cannot sync"},
    {"unlinking a folder", unlink_folder, K2_IO, "/within: cannot remove"},
    {"a folder below a file", make_below_file, K2_NOT_FOUND, "/below: cannot create the folder"},
    {"removing below a file", remove_below_file, K2_NOT_FOUND, "/below: cannot read"},
    {"removing folders of folders", remove_with_folders, K2_IO, "/within/inner: cannot remove"},
    {"copying nothing", copy_nothing, K2_CORRUPT, "/fresh: the file is missing; run `k2 check`"},
    {"copying from below a file", copy_from_below, K2_NOT_FOUND, "/below: cannot open"},
    {"copying over a file", copy_over, K2_IO, "/file: cannot create"},
    {"copying more than there is", copy_too_much, K2_CORRUPT, "has 5 bytes of 6; run `k2 check`"},
    {"copying a folder", copy_folder, K2_IO, "cannot read at byte 0: Is a directory"},
    {"a lock in no folder", lock_in_no_folder, K2_NOT_FOUND, "/lost: cannot open"},
    {"mapping nothing", map_nothing, K2_CORRUPT, "/fresh: the file is missing; run `k2 check`"},
    {"mapping below a file", map_below, K2_NOT_FOUND, "/below: cannot open"},
    {"mapping more than there is", map_too_much, K2_CORRUPT, "has 5 bytes of 6; run `k2 check`"},
    {"mapping no bytes", map_no_bytes, K2_IO, "/file: cannot map"},
};

static void what_can_not_be_done_is_said(void **state)
{
    const struct place *place = *state;
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++) {
        struct k2_error error = {0};
        enum k2_status status = failures[i].go(place, &error);
        if (status != failures[i].status || strstr(error.text, failures[i].said) == NULL) {
            fail_msg("%s: %s: %s", failures[i].name, k2_status_name(status), error.text);
        }
        assert_int_equal(size_of(place->file), 5);
        (void)unlink(place->fresh);
    }
}

// ---- what else they do

static int refuse_exchange(void *context, enum k2_file_operation operation)
{
    return operation == K2_FILE_RENAME ? *(int *)context : 0;
}

// A file system that can not do it at once does it in three steps.
static void two_files_change_places(void **state)
{
    const struct place *place = *state;
    struct k2_error error;
    int reasons[] = {0, EINVAL, ENOSYS};
    for (size_t i = 0; i < 3; i++) {
        must(k2_file_copy(place->file, place->fresh, 3, &error), &error);
        k2_file_set_hook(refuse_exchange, &reasons[i]);
        must(k2_file_exchange(place->fresh, place->file, &error), &error);
        k2_file_set_hook(NULL, NULL);
        assert_int_equal(size_of(place->file), 3);
        assert_int_equal(size_of(place->fresh), 5);
        must(k2_file_rename(place->fresh, place->file, &error), &error);
    }
    int reason = EINVAL;
    k2_file_set_hook(refuse_exchange, &reason);
    assert_int_equal(k2_file_exchange(place->fresh, place->file, &error), K2_NOT_FOUND);
    reason = EIO;
    assert_int_equal(k2_file_exchange(place->within, place->file, &error), K2_IO);
    k2_file_set_hook(NULL, NULL);
}

static void a_second_name_is_given_to_what_is_as_long_as_said(void **state)
{
    const struct place *place = *state;
    struct k2_error error;
    bool linked = true;
    must(k2_file_link(place->file, place->fresh, 4, &linked, &error), &error);
    assert_false(linked);
    must(k2_file_link(place->below, place->fresh, 5, &linked, &error), &error);
    assert_false(linked);
    must(k2_file_link(place->file, place->lost, 5, &linked, &error), &error);
    assert_false(linked); // the folder is not there: the copy says so
    must(k2_file_link(place->file, place->fresh, 5, &linked, &error), &error);
    assert_true(linked);
    assert_int_equal(size_of(place->fresh), 5);
}

static void a_lock_tells_its_holder(void **state)
{
    const struct place *place = *state;
    struct k2_error error;
    char holder[K2_FILE_HOLDER_BYTES], pid[32];
    int held = -1, second;
    must(k2_file_lock(place->file, &held, holder, &error), &error);
    assert_int_equal(k2_file_lock(place->file, &second, holder, &error), K2_BUSY);
    (void)snprintf(pid, sizeof pid, "%ld", (long)getpid());
    assert_string_equal(holder, pid);
    assert_non_null(strstr(error.text, pid));
    assert_int_equal(ftruncate(held, 0), 0); // who locked it has not written yet
    assert_int_equal(k2_file_lock(place->file, &second, holder, &error), K2_BUSY);
    assert_string_equal(holder, "");
    (void)close(held);
}

static void limit_files_to(rlim_t size_bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = size_bytes < limit.rlim_max ? size_bytes : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

// At the limit of the process on the size of files a write ends early, and the next one fails.
static void a_write_that_ends_early_goes_on(void **state)
{
    const struct place *place = *state;
    struct k2_error written, locked;
    char holder[K2_FILE_HOLDER_BYTES];
    int file = -1;
    void (*before)(int) = signal(SIGXFSZ, SIG_IGN);
    must(k2_file_create(place->fresh, &file, &written), &written);
    limit_files_to(8);
    enum k2_status writing = k2_file_write(file, five, 5, &written);
    limit_files_to(0);
    int held;
    enum k2_status locking = k2_file_lock(place->file, &held, holder, &locked);
    limit_files_to(RLIM_INFINITY);
    (void)signal(SIGXFSZ, before);
    (void)close(file);
    assert_int_equal(writing, K2_NO_SPACE);
    assert_non_null(strstr(written.text, "cannot write 2 bytes: File too large"));
    assert_int_equal(size_of(place->fresh), 8);
    assert_int_equal(locking, K2_NO_SPACE);
    assert_non_null(strstr(locked.text, "/file: cannot write: File too large"));
}

static void a_copy_without_memory_says_so(void **state)
{
    const struct place *place = *state;
    struct k2_error error;
    k2_alloc_fail_after(0);
    assert_int_equal(k2_file_copy(place->file, place->fresh, 5, &error), K2_NO_MEMORY);
    k2_alloc_fail_after(-1);
    (void)unlink(place->fresh);
    must(k2_file_copy(place->file, place->fresh, 5, &error), &error);
    must(k2_file_unlink(place->fresh, &error), &error);
    must(k2_file_unlink(place->fresh, &error), &error); // not there: fine
    must(k2_file_remove_folder(place->fresh, &error), &error);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(what_can_not_be_done_is_said),
        CASE(two_files_change_places),
        CASE(a_second_name_is_given_to_what_is_as_long_as_said),
        CASE(a_lock_tells_its_holder),
        CASE(a_write_that_ends_early_goes_on),
        CASE(a_copy_without_memory_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
