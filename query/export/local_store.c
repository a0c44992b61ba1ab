#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/file_io.h"
#include "format/base/alloc.h"
#include "query/export/object_store.h"

static const char scheme[] = "file://";
static const size_t path_ceiling_bytes = 1 << 16;

struct k2_upload {
    struct k2_buffer path, part; // where it goes, where it grows; with a NUL
    int file;                    // -1: not open
    uint64_t size_bytes;
    bool replace;
};

const char *k2_local_path(const char *location)
{
    if (strncmp(location, scheme, sizeof scheme - 1) == 0) {
        location += sizeof scheme - 1;
    } else if (strncmp(location, "file:/", 6) == 0) {
        location += 5;
    }
    return location[0] == '/' ? location : NULL;
}

static enum k2_status path_of(const char *location, const char **path, struct k2_error *error)
{
    *path = k2_local_path(location);
    return *path != NULL ? K2_OK
                         : k2_fail(error, K2_BAD_REQUEST,
                                   "%s: not a file of this machine; give the catalog and keys that "
                                   "it was written with",
                                   location);
}

// Makes the folders above `path`, durably: each new name is synced into the folder above it.
static enum k2_status make_folders(const char *path, struct k2_error *error)
{
    struct stat info;
    struct k2_buffer folder;
    k2_buffer_init(&folder, path_ceiling_bytes);
    const char *end = strrchr(path, '/');
    enum k2_status status = K2_OK;
    if (end == NULL || end == path) {
        return K2_OK;
    }
    k2_put_bytes(&folder, path, (size_t)(end - path));
    k2_put_u8(&folder, 0);
    status = k2_buffer_check(&folder, "export: a folder", error);
    const char *name = (const char *)folder.data;
    if (status == K2_OK && stat(name, &info) != 0) {
        status = make_folders(name, error);
        if (status == K2_OK) {
            status = k2_file_make_directory(name, error);
        }
        if (status == K2_OK) {
            char *slash = strrchr(name, '/');
            *slash = '\0';
            status = k2_file_sync_directory(slash == name ? "/" : name, error);
        }
    }
    k2_buffer_deinit(&folder);
    return status;
}

static void local_close(void *self)
{
    (void)self;
}

static void upload_free(struct k2_upload *upload)
{
    if (upload->file >= 0) {
        (void)close(upload->file);
    }
    k2_buffer_deinit(&upload->path);
    k2_buffer_deinit(&upload->part);
    k2_free(upload);
}

static enum k2_status begin(const char *path, bool replace, struct k2_upload **upload,
                            struct k2_error *error)
{
    struct k2_upload *self = k2_alloc_zero(1, sizeof *self);
    *upload = NULL;
    if (self == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "%s: no memory", path);
    }
    self->file = -1;
    self->replace = replace;
    k2_buffer_init(&self->path, path_ceiling_bytes);
    k2_buffer_init(&self->part, path_ceiling_bytes);
    k2_put_bytes(&self->path, path, strlen(path) + 1);
    // Hidden from readers of the folder until it is whole.
    const char *name = strrchr(path, '/') + 1;
    k2_put_bytes(&self->part, path, (size_t)(name - path));
    if (replace) { // one name for ever: what a crash leaves is written over
        k2_put_format(&self->part, ".%s.part", name);
    } else {
        k2_put_format(&self->part, ".%s.%ld.part", name, (long)getpid());
    }
    k2_put_u8(&self->part, 0);
    enum k2_status status = k2_buffer_check(&self->path, path, error);
    if (status == K2_OK) {
        status = k2_buffer_check(&self->part, path, error);
    }
    if (status == K2_OK) {
        status = make_folders(path, error);
    }
    if (status == K2_OK) {
        (void)k2_file_unlink((const char *)self->part.data, NULL);
        status = k2_file_create((const char *)self->part.data, &self->file, error);
    }
    if (status != K2_OK) {
        upload_free(self);
        return status;
    }
    *upload = self;
    return K2_OK;
}

static enum k2_status local_upload_begin(void *self, const char *location,
                                         struct k2_upload **upload, struct k2_error *error)
{
    const char *path;
    (void)self;
    enum k2_status status = path_of(location, &path, error);
    return status == K2_OK ? begin(path, false, upload, error) : status;
}

static enum k2_status local_upload_write(struct k2_upload *upload, struct k2_slice bytes,
                                         struct k2_error *error)
{
    enum k2_status status = k2_file_write(upload->file, bytes, upload->size_bytes, error);
    if (status != K2_OK) {
        k2_error_annotate(error, "%s", (const char *)upload->path.data);
    }
    upload->size_bytes += bytes.size_bytes;
    return status;
}

static void local_upload_abort(struct k2_upload *upload)
{
    (void)k2_file_unlink((const char *)upload->part.data, NULL);
    upload_free(upload);
}

static enum k2_status sync_folder(struct k2_upload *upload, struct k2_error *error)
{
    char *path = (char *)upload->path.data;
    char *slash = strrchr(path, '/');
    *slash = '\0';
    enum k2_status status = k2_file_sync_directory(slash == path ? "/" : path, error);
    *slash = '/';
    return status;
}

static enum k2_status local_upload_finish(struct k2_upload *upload, struct k2_error *error)
{
    const char *path = (const char *)upload->path.data, *part = (const char *)upload->part.data;
    struct stat info;
    enum k2_status status = k2_file_sync(upload->file, error);
    if (status != K2_OK) {
        k2_error_annotate(error, "%s", path);
    }
    // Names are unique, so that nobody else makes this one between the look and the rename.
    if (status == K2_OK && !upload->replace && stat(path, &info) == 0) {
        status = k2_fail(error, K2_LIMIT, "%s: is there already", path);
    }
    if (status == K2_OK) {
        status = k2_file_rename(part, path, error);
    }
    if (status != K2_OK) {
        local_upload_abort(upload);
        return status;
    }
    status = sync_folder(upload, error);
    upload_free(upload);
    return status;
}

static enum k2_status local_put(void *self, const char *location, struct k2_slice bytes,
                                enum k2_put_mode mode, struct k2_error *error)
{
    struct k2_upload *upload;
    const char *path;
    (void)self;
    enum k2_status status = path_of(location, &path, error);
    if (status == K2_OK) {
        status = begin(path, mode == K2_PUT_REPLACE, &upload, error);
    }
    if (status != K2_OK) {
        return status;
    }
    status = local_upload_write(upload, bytes, error);
    if (status != K2_OK) {
        local_upload_abort(upload);
        return status;
    }
    return local_upload_finish(upload, error);
}

static enum k2_status read_file(int file, const char *path, uint64_t offset, size_t size_bytes,
                                struct k2_buffer *out, struct k2_error *error)
{
    enum { PIECE_BYTES = 1 << 20 };
    while (size_bytes > 0) {
        size_t piece = size_bytes < PIECE_BYTES ? size_bytes : PIECE_BYTES;
        uint8_t *room = k2_buffer_extend(out, piece);
        if (room == NULL) {
            return k2_buffer_check(out, path, error);
        }
        ssize_t got = pread(file, room, piece, (off_t)offset);
        out->size_bytes -= got < 0 ? piece : piece - (size_t)got;
        if (got < 0 && errno != EINTR) {
            return k2_fail_errno(error, errno, "%s: cannot read", path);
        }
        if (got == 0) {
            return K2_OK;
        }
        if (got > 0) {
            offset += (uint64_t)got;
            size_bytes -= (size_t)got;
        }
    }
    return K2_OK;
}

static enum k2_status local_get(void *self, const char *location, uint64_t offset,
                                size_t size_bytes, struct k2_buffer *out, struct k2_error *error)
{
    const char *path;
    (void)self;
    enum k2_status status = path_of(location, &path, error);
    if (status != K2_OK) {
        return status;
    }
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return k2_fail_errno(error, errno, "%s: cannot open", path);
    }
    status = read_file(file, path, offset, size_bytes, out, error);
    (void)close(file);
    return status;
}

// ---- listing --------------------------------------------------------------------------------

struct listing {
    const char *prefix; // of paths
    k2_object_visit *visit;
    void *context;
};

// `path` is that of a folder, without `/` at the end.
static enum k2_status list_folder(const struct listing *listing, const char *path,
                                  struct k2_error *error);

static enum k2_status visit_entry(const struct listing *listing, const char *path,
                                  struct k2_error *error)
{
    struct stat info;
    size_t prefix = strlen(listing->prefix), size = strlen(path);
    size_t shared = prefix < size ? prefix : size;
    if (strncmp(path, listing->prefix, shared) != 0 || lstat(path, &info) != 0) {
        return K2_OK; // gone meanwhile is fine
    }
    if (S_ISDIR(info.st_mode)) {
        return list_folder(listing, path, error);
    }
    if (!S_ISREG(info.st_mode) || size < prefix) {
        return K2_OK;
    }
    struct k2_buffer location;
    k2_buffer_init(&location, path_ceiling_bytes);
    k2_put_format(&location, "%s%s", scheme, path);
    k2_put_u8(&location, 0);
    enum k2_status status = k2_buffer_check(&location, path, error);
    if (status == K2_OK) {
        struct k2_object_info object = {
            .location = (const char *)location.data,
            .size_bytes = (uint64_t)info.st_size,
            .modified_ms = (int64_t)info.st_mtim.tv_sec * 1000 + info.st_mtim.tv_nsec / 1000000,
        };
        status = listing->visit(listing->context, &object, error);
    }
    k2_buffer_deinit(&location);
    return status;
}

static enum k2_status list_folder(const struct listing *listing, const char *path,
                                  struct k2_error *error)
{
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return errno == ENOENT ? K2_OK : k2_fail_errno(error, errno, "%s: cannot read", path);
    }
    struct k2_buffer entry_path;
    k2_buffer_init(&entry_path, path_ceiling_bytes);
    enum k2_status status = K2_OK;
    for (struct dirent *entry; status == K2_OK && (entry = readdir(folder)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        k2_buffer_clear(&entry_path);
        k2_put_format(&entry_path, "%s/%s", path, entry->d_name);
        k2_put_u8(&entry_path, 0);
        status = k2_buffer_check(&entry_path, path, error);
        if (status == K2_OK) {
            status = visit_entry(listing, (const char *)entry_path.data, error);
        }
    }
    k2_buffer_deinit(&entry_path);
    (void)closedir(folder);
    return status;
}

static enum k2_status local_list(void *self, const char *prefix, k2_object_visit *visit,
                                 void *context, struct k2_error *error)
{
    struct listing listing = {.visit = visit, .context = context};
    (void)self;
    enum k2_status status = path_of(prefix, &listing.prefix, error);
    if (status != K2_OK) {
        return status;
    }
    const char *slash = strrchr(listing.prefix, '/');
    char *folder = k2_alloc_text(listing.prefix, (size_t)(slash - listing.prefix));
    if (folder == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "%s: no memory", prefix);
    }
    status = list_folder(&listing, folder, error);
    k2_free(folder);
    return status;
}

static enum k2_status local_remove(void *self, const char *location, struct k2_error *error)
{
    const char *path;
    (void)self;
    enum k2_status status = path_of(location, &path, error);
    return status == K2_OK ? k2_file_unlink(path, error) : status;
}

enum k2_status k2_local_store_open(struct k2_object_store *store, struct k2_error *error)
{
    static const struct k2_object_store_class class = {
        .close = local_close,
        .put = local_put,
        .upload_begin = local_upload_begin,
        .upload_write = local_upload_write,
        .upload_finish = local_upload_finish,
        .upload_abort = local_upload_abort,
        .get = local_get,
        .list = local_list,
        .remove = local_remove,
    };
    (void)error; // nothing that could fail; others' stores can
    *store = (struct k2_object_store){.class = &class};
    return K2_OK;
}

enum k2_status k2_local_location(struct k2_buffer *location, const char *folder, bool create,
                                 struct k2_error *error)
{
    struct k2_buffer absolute;
    const char *path = k2_local_path(folder);
    k2_buffer_init(&absolute, path_ceiling_bytes);
    if (path == NULL) {
        char *here = getcwd(NULL, 0);
        if (here == NULL) {
            return k2_fail_errno(error, errno, "%s: cannot tell where that is", folder);
        }
        k2_put_format(&absolute, "%s/%s", here, folder);
        (free)(here); // of the C library
    } else {
        k2_put_text(&absolute, path);
    }
    while (!absolute.failed && absolute.size_bytes > 1 &&
           absolute.data[absolute.size_bytes - 1] == '/') {
        absolute.size_bytes--;
    }
    k2_put_text(&absolute, "/x"); // something in it, so that the folder itself is made
    k2_put_u8(&absolute, 0);
    enum k2_status status = k2_buffer_check(&absolute, folder, error);
    if (status == K2_OK && strpbrk((const char *)absolute.data, "?#%\n\r") != NULL) {
        status = k2_fail(error, K2_BAD_REQUEST,
                         "%s: readers take `?`, `#` and `%%` apart; use another folder", folder);
    }
    if (status == K2_OK && create) {
        status = make_folders((const char *)absolute.data, error);
    }
    char *real = NULL;
    if (status == K2_OK) {
        absolute.data[absolute.size_bytes - sizeof "/x"] = '\0';
        real = realpath((const char *)absolute.data, NULL);
        if (real == NULL) {
            status = k2_fail_errno(error, errno, "%s: cannot tell where that is", folder);
        }
    }
    if (status == K2_OK) {
        k2_put_format(location, "%s%s", scheme, real);
        k2_put_u8(location, 0);
        status = k2_buffer_check(location, folder, error);
    }
    (free)(real);
    k2_buffer_deinit(&absolute);
    return status;
}
