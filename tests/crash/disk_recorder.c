#include "tests/crash/disk_recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

enum { MOST_FILES = 4096 };

// The functions of the C library have no other place for it.
static struct {
    pthread_mutex_t lock;
    bool on, cuts;
    unsigned cut_count;
    char path[TEST_PATH_BYTES];
    struct disk_log *log;
    struct disk_image live; // names only: which node is where now
    const struct workload_journal *journal;
    struct {
        uint32_t node; // 0: not below the path
        bool is_folder, syncs, is_index;
    } files[MOST_FILES];
} recorder = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void fail_recording(const char *what)
{
    (void)fprintf(stderr, "recorder: %s\n", what);
    abort();
}

static struct disk_operation *note(enum disk_operation_kind kind, uint32_t node)
{
    struct disk_operation *operation = disk_log_add(recorder.log, kind);
    operation->node = node;
    operation->done = atomic_load(&recorder.journal->done);
    operation->begun = atomic_load(&recorder.journal->begun);
    return operation;
}

// The place that a path names; false when it is not below the folder, or a lock. DISK_ROOT is the
// place with an empty name.
static bool find_place(int at, const char *path, struct disk_place *place)
{
    char absolute[PATH_MAX];
    if (!recorder.on || path == NULL) {
        return false;
    }
    if (path[0] != '/' && at != AT_FDCWD) {
        if (at < 0 || at >= MOST_FILES || !recorder.files[at].is_folder) {
            return false;
        }
        *place = (struct disk_place){.folder = recorder.files[at].node};
        if (strchr(path, '/') != NULL || strlen(path) >= sizeof place->name) {
            fail_recording("a path below an open folder");
        }
        memcpy(place->name, path, strlen(path) + 1);
        return !disk_is_lock(place->name);
    }
    size_t root = strlen(recorder.path);
    if (strncmp(path, recorder.path, root) != 0 || (path[root] != '/' && path[root] != '\0')) {
        return false;
    }
    (void)snprintf(absolute, sizeof absolute, "%s", path + root);
    *place = (struct disk_place){.folder = DISK_ROOT};
    char *rest = absolute;
    for (char *word; (word = strsep(&rest, "/")) != NULL;) {
        if (word[0] == '\0' || strcmp(word, ".") == 0) {
            continue;
        }
        if (strcmp(word, "..") == 0) {
            return false; // of the folder: outside
        }
        if (place->name[0] != '\0') {
            uint32_t *folder = disk_image_find(&recorder.live, place->folder, place->name);
            if (folder == NULL) {
                return false;
            }
            place->folder = *folder;
        }
        (void)snprintf(place->name, sizeof place->name, "%s", word);
    }
    return !disk_is_lock(place->name);
}

static bool node_at(const struct disk_place *place, uint32_t *node)
{
    uint32_t *known = disk_image_find(&recorder.live, place->folder, place->name);
    *node = place->name[0] == '\0' ? place->folder : known != NULL ? *known : UINT32_MAX;
    return *node != UINT32_MAX;
}

static uint32_t new_node(const struct disk_place *place, bool is_folder)
{
    struct disk_log *log = recorder.log;
    uint32_t node = (uint32_t)log->node_count++;
    log->is_folder = realloc(log->is_folder, log->node_count);
    if (log->is_folder == NULL) {
        fail_recording("out of memory");
    }
    log->is_folder[node] = is_folder;
    disk_image_grow(&recorder.live, log->node_count);
    struct disk_operation *operation = note(DISK_NAME, node);
    operation->to = *place;
    disk_image_apply(&recorder.live, operation);
    return node;
}

static void enter(void)
{
    (void)pthread_mutex_lock(&recorder.lock);
}

// Gives the result of the call, and its errno.
static long leave(long result, int reason)
{
    (void)pthread_mutex_unlock(&recorder.lock);
    errno = reason;
    return result;
}

// ---- opening and closing

static int open_file(int at, const char *path, int flags, mode_t mode)
{
    enter();
    struct disk_place place;
    uint32_t node = 0;
    bool watched = find_place(at, path, &place);
    bool known = watched && node_at(&place, &node);
    long file = syscall(SYS_openat, at, path, flags, mode);
    int reason = errno;
    if (file >= 0 && file < MOST_FILES) {
        memset(&recorder.files[file], 0, sizeof recorder.files[file]);
    }
    if (file >= 0 && watched) {
        if (file >= MOST_FILES || (!known && (flags & O_CREAT) == 0)) {
            fail_recording(path);
        }
        node = known ? node : new_node(&place, false);
        recorder.files[file].node = node;
        recorder.files[file].is_folder = (flags & O_DIRECTORY) != 0;
        recorder.files[file].is_index = strcmp(place.name, "data.mdb") == 0;
        recorder.files[file].syncs = (flags & O_DSYNC) != 0;
        if ((flags & O_TRUNC) != 0) {
            note(DISK_LENGTH, node)->offset = 0;
        }
    }
    return (int)leave(file, reason);
}

static mode_t mode_argument(int flags, va_list arguments)
{
    return (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
}

int open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_argument(flags, arguments);
    va_end(arguments);
    return open_file(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_argument(flags, arguments);
    va_end(arguments);
    return open_file(AT_FDCWD, path, flags, mode);
}

int openat(int at, const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_argument(flags, arguments);
    va_end(arguments);
    return open_file(at, path, flags, mode);
}

int close(int file)
{
    enter();
    if (file >= 0 && file < MOST_FILES) {
        memset(&recorder.files[file], 0, sizeof recorder.files[file]);
    }
    long result = syscall(SYS_close, file);
    return (int)leave(result, errno);
}

// ---- bytes

static void note_write(int file, const struct iovec *parts, int count, uint64_t offset,
                       size_t size_bytes)
{
    if (!recorder.on || file < 0 || file >= MOST_FILES || recorder.files[file].node == 0 ||
        size_bytes == 0) {
        return;
    }
    struct disk_operation *operation = note(DISK_WRITE, recorder.files[file].node);
    operation->offset = offset;
    operation->bytes = malloc(size_bytes);
    if (operation->bytes == NULL) {
        fail_recording("out of memory");
    }
    for (int i = 0; i < count && operation->size_bytes < size_bytes; i++) {
        size_t room = size_bytes - operation->size_bytes;
        size_t size = parts[i].iov_len < room ? parts[i].iov_len : room;
        memcpy(operation->bytes + operation->size_bytes, parts[i].iov_base, size);
        operation->size_bytes += size;
    }
    if (recorder.files[file].syncs) {
        (void)note(DISK_SYNC_WRITE, recorder.files[file].node);
    }
}

static ssize_t write_at(int file, const struct iovec *parts, int count, off_t offset)
{
    enter();
    long size = syscall(SYS_pwritev, file, parts, count, offset, 0L);
    int reason = errno;
    if (size > 0) {
        note_write(file, parts, count, (uint64_t)offset, (size_t)size);
    }
    return leave(size, reason);
}

static ssize_t write_on(int file, const struct iovec *parts, int count)
{
    enter();
    long before = syscall(SYS_lseek, file, 0L, SEEK_CUR);
    long size = syscall(SYS_writev, file, parts, count);
    int reason = errno;
    if (size > 0 && before >= 0) {
        note_write(file, parts, count, (uint64_t)before, (size_t)size);
    }
    return leave(size, reason);
}

ssize_t pwrite(int file, const void *bytes, size_t size, off_t offset)
{
    if (recorder.on && recorder.cuts && size > 1 && file >= 0 && file < MOST_FILES &&
        recorder.files[file].node != 0 && !recorder.files[file].is_index &&
        recorder.cut_count++ % 2 == 0) {
        size = size / 3 + 1;
    }
    struct iovec part = {(void *)(uintptr_t)bytes, size};
    return write_at(file, &part, 1, offset);
}

ssize_t pwrite64(int file, const void *bytes, size_t size, off64_t offset)
{
    return pwrite(file, bytes, size, offset);
}

ssize_t pwritev(int file, const struct iovec *parts, int count, off_t offset)
{
    return write_at(file, parts, count, offset);
}

ssize_t write(int file, const void *bytes, size_t size)
{
    struct iovec part = {(void *)(uintptr_t)bytes, size};
    return write_on(file, &part, 1);
}

ssize_t writev(int file, const struct iovec *parts, int count)
{
    return write_on(file, parts, count);
}

static void note_length(int file, off_t length)
{
    if (recorder.on && file >= 0 && file < MOST_FILES && recorder.files[file].node != 0) {
        note(DISK_LENGTH, recorder.files[file].node)->offset = (uint64_t)length;
    }
}

int ftruncate(int file, off_t length)
{
    enter();
    long result = syscall(SYS_ftruncate, file, length);
    int reason = errno;
    if (result == 0) {
        note_length(file, length);
    }
    return (int)leave(result, reason);
}

int ftruncate64(int file, off64_t length)
{
    return ftruncate(file, length);
}

int fallocate(int file, int mode, off_t offset, off_t length)
{
    enter();
    struct stat about;
    long result = syscall(SYS_fallocate, file, mode, offset, length);
    int reason = errno;
    if (result == 0 && (mode & FALLOC_FL_KEEP_SIZE) == 0 && fstat(file, &about) == 0) {
        note_length(file, about.st_size);
    }
    return (int)leave(result, reason);
}

static int sync_file(long call, int file)
{
    enter();
    long result = syscall(call, file);
    int reason = errno;
    if (result == 0 && recorder.on && file >= 0 && file < MOST_FILES &&
        (recorder.files[file].node != 0 || recorder.files[file].is_folder)) {
        (void)note(recorder.files[file].is_folder ? DISK_SYNC_FOLDER : DISK_SYNC,
                   recorder.files[file].node);
    }
    return (int)leave(result, reason);
}

int fsync(int file)
{
    return sync_file(SYS_fsync, file);
}

int fdatasync(int file)
{
    return sync_file(SYS_fdatasync, file);
}

// ---- names

int mkdir(const char *path, mode_t mode)
{
    enter();
    struct disk_place place;
    bool watched = find_place(AT_FDCWD, path, &place);
    long result = syscall(SYS_mkdir, path, mode);
    int reason = errno;
    if (result == 0 && watched) {
        (void)new_node(&place, true);
    }
    return (int)leave(result, reason);
}

static int move(int from_at, const char *from, int to_at, const char *to, unsigned flags)
{
    enter();
    struct disk_place old_place, new_place;
    bool watched = find_place(from_at, from, &old_place) && find_place(to_at, to, &new_place);
    long result = syscall(SYS_renameat2, from_at, from, to_at, to, flags);
    int reason = errno;
    if (result == 0 && watched) {
        uint32_t node = 0;
        (void)node_at(&old_place, &node);
        struct disk_operation *operation =
            note((flags & RENAME_EXCHANGE) != 0 ? DISK_EXCHANGE : DISK_RENAME, node);
        operation->from = old_place;
        operation->to = new_place;
        disk_image_apply(&recorder.live, operation);
    }
    return (int)leave(result, reason);
}

int rename(const char *from, const char *to)
{
    return move(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int renameat(int from_at, const char *from, int to_at, const char *to)
{
    return move(from_at, from, to_at, to, 0);
}

int renameat2(int from_at, const char *from, int to_at, const char *to, unsigned flags)
{
    return move(from_at, from, to_at, to, flags);
}

int link(const char *from, const char *to)
{
    enter();
    struct disk_place old_place, new_place;
    uint32_t node = 0;
    bool watched = find_place(AT_FDCWD, from, &old_place) && node_at(&old_place, &node) &&
                   find_place(AT_FDCWD, to, &new_place);
    long result = syscall(SYS_link, from, to);
    int reason = errno;
    if (result == 0 && watched) {
        struct disk_operation *operation = note(DISK_NAME, node);
        operation->to = new_place;
        disk_image_apply(&recorder.live, operation);
    }
    return (int)leave(result, reason);
}

static int remove_name(int at, const char *path, int flags)
{
    enter();
    struct disk_place place;
    bool watched = find_place(at, path, &place);
    long result = syscall(SYS_unlinkat, at, path, flags);
    int reason = errno;
    if (result == 0 && watched) {
        struct disk_operation *operation = note(DISK_UNNAME, 0);
        operation->from = place;
        disk_image_apply(&recorder.live, operation);
    }
    return (int)leave(result, reason);
}

int unlink(const char *path)
{
    return remove_name(AT_FDCWD, path, 0);
}

int unlinkat(int at, const char *path, int flags)
{
    return remove_name(at, path, flags);
}

int rmdir(const char *path)
{
    return remove_name(AT_FDCWD, path, AT_REMOVEDIR);
}

// ---- the recording

void disk_recorder_cut_writes(bool cut)
{
    recorder.cuts = cut;
}

void disk_recorder_start(struct disk_log *log, const char *path,
                         const struct workload_journal *journal)
{
    *log = (struct disk_log){0};
    disk_image_load(&log->start, path);
    log->node_count = log->start.node_count;
    log->is_folder = malloc(log->node_count);
    assert_non_null(log->is_folder);
    disk_image_load(&recorder.live, path); // in the same order: the same numbers
    for (size_t i = 0; i < log->node_count; i++) {
        log->is_folder[i] = log->start.nodes[i].is_folder;
    }
    assert_true(snprintf(recorder.path, sizeof recorder.path, "%s", path) <
                (int)sizeof recorder.path);
    recorder.log = log;
    recorder.journal = journal;
    memset(recorder.files, 0, sizeof recorder.files);
    recorder.on = true;
}

void disk_recorder_stop(void)
{
    recorder.on = false;
    recorder.log->done = atomic_load(&recorder.journal->done);
    disk_image_clear(&recorder.live);
    struct disk_image told = {0}, real;
    struct disk_crash crash;
    disk_crash_begin(&crash, recorder.log);
    told = crash.durable;
    for (size_t i = 0; i < recorder.log->count; i++) {
        disk_image_apply(&told, &recorder.log->operations[i]);
    }
    disk_image_load(&real, recorder.path);
    if (!disk_image_equal(&told, &real)) {
        fail_msg("files changed in a way that the recorder did not see");
    }
    crash.durable = told;
    disk_crash_end(&crash);
    disk_image_clear(&real);
}
