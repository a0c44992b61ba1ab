#include "ingest/schema_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_SCHEMA_BYTES = 1 << 20 };

static enum k2_status path_of(const char *folder, int32_t id, char path[PATH_MAX],
                              struct k2_error *error)
{
    int size = snprintf(path, PATH_MAX, "%s/%d.avsc", folder, (int)id);
    if (size < 0 || size >= PATH_MAX) {
        return k2_fail(error, K2_BAD_REQUEST, "schema folder: the path is too long");
    }
    return K2_OK;
}

enum k2_status k2_schema_folder_get(const char *folder, int32_t id, struct k2_buffer *text,
                                    struct k2_error *error)
{
    char path[PATH_MAX];
    enum k2_status status = path_of(folder, id, path, error);
    if (status != K2_OK) {
        return status;
    }
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return k2_fail_errno(error, errno, "%s", path);
    }
    size_t begin = text->size_bytes;
    for (;;) {
        uint8_t bytes[4096];
        ssize_t count = read(file, bytes, sizeof bytes);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            status = k2_fail_errno(error, errno, "%s", path);
        }
        if (count <= 0) {
            break;
        }
        k2_put_bytes(text, bytes, (size_t)count);
    }
    (void)close(file);
    if (status == K2_OK) {
        status = k2_buffer_check(text, path, error);
    }
    if (status == K2_OK && text->size_bytes - begin > MAX_SCHEMA_BYTES) {
        status = k2_fail(error, K2_BAD_REQUEST, "%s: more than %d bytes", path, MAX_SCHEMA_BYTES);
    }
    return status;
}

// The id in a file's name, or 0.
static int32_t id_of(const char *name)
{
    char *end;
    errno = 0;
    long id = name[0] >= '1' && name[0] <= '9' ? strtol(name, &end, 10) : 0;
    if (id < 1 || id > INT32_MAX || errno != 0 || strcmp(end, ".avsc") != 0) {
        return 0;
    }
    return (int32_t)id;
}

// `*same` is the id of a file with these bytes, or 0; `*greatest` the greatest id, or 0.
static enum k2_status look(const char *folder, struct k2_slice text, int32_t *same,
                           int32_t *greatest, struct k2_error *error)
{
    *same = *greatest = 0;
    DIR *entries = opendir(folder);
    if (entries == NULL) {
        return k2_fail_errno(error, errno, "%s", folder);
    }
    struct k2_buffer other;
    k2_buffer_init(&other, MAX_SCHEMA_BYTES + 4096);
    for (const struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        int32_t id = id_of(entry->d_name);
        if (id == 0) {
            continue;
        }
        *greatest = id > *greatest ? id : *greatest;
        k2_buffer_clear(&other);
        if (k2_schema_folder_get(folder, id, &other, NULL) == K2_OK &&
            k2_slice_equal(k2_buffer_slice(&other), text) && (*same == 0 || id < *same)) {
            *same = id;
        }
    }
    k2_buffer_deinit(&other);
    (void)closedir(entries);
    return K2_OK;
}

static enum k2_status write_whole(const char *path, struct k2_slice text, struct k2_error *error)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (file < 0) {
        return k2_fail_errno(error, errno, "%s", path);
    }
    enum k2_status status = K2_OK;
    while (text.size_bytes > 0 && status == K2_OK) {
        ssize_t count = write(file, text.data, text.size_bytes);
        if (count < 0 && errno != EINTR) {
            status = k2_fail_errno(error, errno, "%s", path);
        } else if (count > 0) {
            text.data += count;
            text.size_bytes -= (size_t)count;
        }
    }
    if (close(file) != 0 && status == K2_OK) {
        status = k2_fail_errno(error, errno, "%s", path);
    }
    return status;
}

enum k2_status k2_schema_folder_add(const char *folder, struct k2_slice text, int32_t *id,
                                    struct k2_error *error)
{
    char made[PATH_MAX], path[PATH_MAX];
    int32_t same, greatest;
    if (mkdir(folder, 0755) != 0 && errno != EEXIST) {
        return k2_fail_errno(error, errno, "%s", folder);
    }
    enum k2_status status = look(folder, text, &same, &greatest, error);
    if (status != K2_OK || same != 0) {
        *id = same;
        return status;
    }
    int size = snprintf(made, sizeof made, "%s/.%ld.new", folder, (long)getpid());
    if (size < 0 || size >= PATH_MAX) {
        return k2_fail(error, K2_BAD_REQUEST, "schema folder: the path is too long");
    }
    status = write_whole(made, text, error);
    while (status == K2_OK) { // a link fails where another process was faster
        if (greatest == INT32_MAX) {
            status = k2_fail(error, K2_LIMIT, "%s: no id is left", folder);
            break;
        }
        status = path_of(folder, ++greatest, path, error);
        if (status == K2_OK && link(made, path) == 0) {
            *id = greatest;
            break;
        }
        if (status == K2_OK && errno != EEXIST) {
            status = k2_fail_errno(error, errno, "%s", path);
        }
    }
    (void)unlink(made);
    return status;
}
