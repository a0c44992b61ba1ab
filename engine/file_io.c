#include "engine/file_io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/base/alloc.h"

// Test aid; set before other threads run.
static k2_file_hook *the_hook;
static void *the_hook_context;

void k2_file_set_hook(k2_file_hook *hook, void *context)
{
    the_hook = hook;
    the_hook_context = context;
}

int k2_file_ask_hook(enum k2_file_operation operation)
{
    return the_hook == NULL ? 0 : the_hook(the_hook_context, operation);
}

enum k2_status k2_file_create(const char *path, int *file, struct k2_error *error)
{
    int refused = k2_file_ask_hook(K2_FILE_CREATE);
    int created = refused != 0 ? -1 : open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (created < 0) {
        return k2_fail_errno(error, refused != 0 ? refused : errno, "%s: cannot create", path);
    }
    *file = created;
    return K2_OK;
}

enum k2_status k2_file_write(int file, struct k2_slice bytes, uint64_t offset,
                             struct k2_error *error)
{
    int refused = k2_file_ask_hook(K2_FILE_WRITE);
    if (refused != 0) {
        return k2_fail_errno(error, refused, "cannot write %zu bytes", bytes.size_bytes);
    }
    while (bytes.size_bytes > 0) {
        ssize_t written = pwrite(file, bytes.data, bytes.size_bytes, (off_t)offset);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            int reason = written == 0 ? EIO : errno;
            return k2_fail_errno(error, reason, "cannot write %zu bytes", bytes.size_bytes);
        }
        bytes.data += written;
        bytes.size_bytes -= (size_t)written;
        offset += (uint64_t)written;
    }
    return K2_OK;
}

bool k2_file_reserve(int file, uint64_t offset, uint64_t size_bytes)
{
    return fallocate(file, FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size_bytes) == 0;
}

enum k2_status k2_file_sync(int file, struct k2_error *error)
{
    int refused = k2_file_ask_hook(K2_FILE_SYNC);
    if (refused != 0 || fdatasync(file) != 0) {
        return k2_fail_errno(error, refused != 0 ? refused : errno, "cannot sync");
    }
    return K2_OK;
}

enum k2_status k2_file_rename(const char *from, const char *to, struct k2_error *error)
{
    int refused = k2_file_ask_hook(K2_FILE_RENAME);
    if (refused != 0 || rename(from, to) != 0) {
        return k2_fail_errno(error, refused != 0 ? refused : errno, "%s: cannot rename to %s", from,
                             to);
    }
    return K2_OK;
}

enum k2_status k2_file_exchange(const char *left, const char *right, struct k2_error *error)
{
    char aside[4200];
    int refused = k2_file_ask_hook(K2_FILE_RENAME);
    if (refused == 0 && renameat2(AT_FDCWD, left, AT_FDCWD, right, RENAME_EXCHANGE) == 0) {
        return K2_OK;
    }
    int reason = refused != 0 ? refused : errno;
    int size = snprintf(aside, sizeof aside, "%s.old", right);
    if ((reason != EINVAL && reason != ENOSYS) || size >= (int)sizeof aside) {
        return k2_fail_errno(error, reason, "%s: cannot exchange with %s", left, right);
    }
    if (rename(right, aside) != 0 || rename(left, right) != 0 || rename(aside, left) != 0) {
        return k2_fail_errno(error, errno, "%s: cannot exchange with %s", left, right);
    }
    return K2_OK;
}

enum k2_status k2_file_sync_directory(const char *path, struct k2_error *error)
{
    int refused = k2_file_ask_hook(K2_FILE_SYNC_DIRECTORY);
    int directory = refused != 0 ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int failed = directory < 0 ? -1 : fsync(directory);
    int reason = refused != 0 ? refused : errno;
    if (directory >= 0) {
        (void)close(directory);
    }
    return failed == 0 ? K2_OK : k2_fail_errno(error, reason, "%s: cannot sync", path);
}

enum k2_status k2_file_unlink(const char *path, struct k2_error *error)
{
    int refused = k2_file_ask_hook(K2_FILE_UNLINK);
    if (refused != 0 || (unlink(path) != 0 && errno != ENOENT)) {
        return k2_fail_errno(error, refused != 0 ? refused : errno, "%s: cannot remove", path);
    }
    return K2_OK;
}

enum k2_status k2_file_make_directory(const char *path, struct k2_error *error)
{
    if (mkdir(path, 0750) != 0 && errno != EEXIST) {
        return k2_fail_errno(error, errno, "%s: cannot create the folder", path);
    }
    return K2_OK;
}

enum k2_status k2_file_remove_folder(const char *path, struct k2_error *error)
{
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return errno == ENOENT ? K2_OK : k2_fail_errno(error, errno, "%s: cannot read", path);
    }
    enum k2_status status = K2_OK;
    for (struct dirent *entry; status == K2_OK && (entry = readdir(folder)) != NULL;) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            unlinkat(dirfd(folder), entry->d_name, 0) != 0) {
            status = k2_fail_errno(error, errno, "%s/%s: cannot remove", path, entry->d_name);
        }
    }
    (void)closedir(folder);
    if (status == K2_OK && rmdir(path) != 0) {
        status = k2_fail_errno(error, errno, "%s: cannot remove", path);
    }
    return status;
}

enum { COPY_BYTES = 1 << 20 };

static enum k2_status copy_bytes(int from, int to, uint64_t size_bytes, struct k2_error *error)
{
    uint8_t *buffer = k2_alloc(COPY_BYTES);
    if (buffer == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "out of memory");
    }
    enum k2_status status = K2_OK;
    for (uint64_t done = 0; done < size_bytes && status == K2_OK;) {
        uint64_t rest = size_bytes - done;
        ssize_t size =
            pread(from, buffer, rest < COPY_BYTES ? (size_t)rest : COPY_BYTES, (off_t)done);
        if (size < 0 && errno == EINTR) {
            continue;
        }
        if (size < 0) {
            status =
                k2_fail_errno(error, errno, "cannot read at byte %llu", (unsigned long long)done);
        } else if (size == 0) {
            status = k2_fail(error, K2_CORRUPT, "has %llu bytes of %llu; run `k2 check`",
                             (unsigned long long)done, (unsigned long long)size_bytes);
        } else {
            struct k2_slice bytes = {buffer, (size_t)size};
            status = k2_file_write(to, bytes, done, error);
            done += (uint64_t)size;
        }
    }
    k2_free(buffer);
    return status == K2_OK ? k2_file_sync(to, error) : status;
}

enum k2_status k2_file_copy(const char *from, const char *to, uint64_t size_bytes,
                            struct k2_error *error)
{
    int source = open(from, O_RDONLY | O_CLOEXEC), target = -1;
    if (source < 0) {
        return errno == ENOENT
                   ? k2_fail(error, K2_CORRUPT, "%s: the file is missing; run `k2 check`", from)
                   : k2_fail_errno(error, errno, "%s: cannot open", from);
    }
    enum k2_status status = k2_file_create(to, &target, error);
    if (status == K2_OK) {
        status = copy_bytes(source, target, size_bytes, error);
        if (status != K2_OK) {
            k2_error_annotate(error, "%s", from);
        }
        (void)close(target);
    }
    (void)close(source);
    return status;
}

enum k2_status k2_file_link(const char *from, const char *to, uint64_t size_bytes, bool *linked,
                            struct k2_error *error)
{
    struct stat status;
    *linked = false;
    if (stat(from, &status) != 0 || (uint64_t)status.st_size != size_bytes) {
        return K2_OK; // the copy says what is wrong with it
    }
    int refused = k2_file_ask_hook(K2_FILE_CREATE);
    if (refused != 0 || (link(from, to) != 0 && errno == ENOSPC)) {
        return k2_fail_errno(error, refused != 0 ? refused : ENOSPC, "%s: cannot create", to);
    }
    // Another file system, or one without links, or a file that this user may read only: the name
    // is not there then.
    *linked = stat(to, &status) == 0;
    return K2_OK;
}

enum k2_status k2_file_lock(const char *path, int *file, char holder[K2_FILE_HOLDER_BYTES],
                            struct k2_error *error)
{
    int opened = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (opened < 0) {
        return k2_fail_errno(error, errno, "%s: cannot open", path);
    }
    if (flock(opened, LOCK_EX | LOCK_NB) != 0) {
        ssize_t size = pread(opened, holder, K2_FILE_HOLDER_BYTES - 1, 0);
        holder[size > 0 ? size : 0] = '\0';
        holder[strcspn(holder, "\n")] = '\0';
        (void)close(opened);
        return k2_fail(error, K2_BUSY, "%s: locked by process %s", path, holder);
    }
    char pid[K2_FILE_HOLDER_BYTES];
    int size = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    // The old pid may be longer: the line end tells where this one ends.
    if (pwrite(opened, pid, (size_t)size, 0) != size) {
        int reason = errno;
        (void)close(opened);
        return k2_fail_errno(error, reason, "%s: cannot write", path);
    }
    *file = opened;
    return K2_OK;
}

enum k2_status k2_file_map(const char *path, uint64_t size_bytes, struct k2_slice *bytes,
                           struct k2_error *error)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        if (errno == ENOENT) {
            return k2_fail(error, K2_CORRUPT, "%s: the file is missing; run `k2 check`", path);
        }
        return k2_fail_errno(error, errno, "%s: cannot open", path);
    }
    struct stat status;
    enum k2_status result = K2_OK;
    if (fstat(file, &status) != 0) {
        result = k2_fail_errno(error, errno, "%s: cannot stat", path);
    } else if ((uint64_t)status.st_size < size_bytes) {
        result = k2_fail(error, K2_CORRUPT, "%s: has %lld bytes of %llu; run `k2 check`", path,
                         (long long)status.st_size, (unsigned long long)size_bytes);
    } else {
        void *mapping = mmap(NULL, size_bytes, PROT_READ, MAP_SHARED, file, 0);
        if (mapping == MAP_FAILED) {
            result = k2_fail_errno(error, errno, "%s: cannot map", path);
        } else {
            *bytes = (struct k2_slice){mapping, size_bytes};
        }
    }
    (void)close(file);
    return result;
}

void k2_file_unmap(struct k2_slice bytes)
{
    if (bytes.data != NULL) {
        (void)munmap((void *)(uintptr_t)bytes.data, bytes.size_bytes);
    }
}

void k2_file_forget_pages(struct k2_slice bytes)
{
    (void)madvise((void *)(uintptr_t)bytes.data, bytes.size_bytes, MADV_DONTNEED);
}
