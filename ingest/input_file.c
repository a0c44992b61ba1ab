#include "ingest/input_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/base/alloc.h"
#include "ingest/input_decoder.h"

enum { RAW_BYTES = 1 << 16, MAGIC_BYTES = 4 };

struct k2_input_file {
    char *path, *name; // owned
    int file;
    bool borrowed;                          // stdin is not closed
    bool plain_begun;                       // the only member of a plain file was given
    const struct k2_input_decoder *decoder; // NULL: plain
    void *decoding;                         // of the decoder
    uint64_t total_bytes, done_bytes;
    uint8_t *raw; // RAW_BYTES
    size_t raw_begin, raw_end;
};

static const struct k2_input_decoder *const decoders[] = {
    &k2_input_gzip,
    &k2_input_zstd,
    &k2_input_zip,
};

enum { DECODER_COUNT = sizeof decoders / sizeof decoders[0] };

static enum k2_status fill(struct k2_input_file *self, struct k2_error *error)
{
    ssize_t size;
    do {
        size = read(self->file, self->raw + self->raw_end, RAW_BYTES - self->raw_end);
    } while (size < 0 && errno == EINTR);
    if (size < 0) {
        return k2_fail_errno(error, errno, "%s", self->path);
    }
    self->raw_end += (size_t)size;
    self->done_bytes += (size_t)size;
    return K2_OK;
}

static enum k2_status pull(void *context, struct k2_slice *bytes, struct k2_error *error)
{
    struct k2_input_file *self = context;
    enum k2_status status = K2_OK;
    if (self->raw_begin == self->raw_end) {
        self->raw_begin = self->raw_end = 0;
        status = fill(self, error);
    }
    *bytes = (struct k2_slice){self->raw + self->raw_begin, self->raw_end - self->raw_begin};
    self->raw_begin = self->raw_end;
    return status;
}

static bool ends_with(const char *text, const char *suffix)
{
    size_t size = strlen(text), suffix_size = strlen(suffix);
    return size > suffix_size && strcmp(text + size - suffix_size, suffix) == 0;
}

// Fills in the first bytes and picks the decoder that they ask for.
static enum k2_status choose_decoder(struct k2_input_file *self, struct k2_error *error)
{
    for (size_t before = SIZE_MAX; self->raw_end < MAGIC_BYTES && self->raw_end != before;) {
        before = self->raw_end;
        enum k2_status status = fill(self, error);
        if (status != K2_OK) {
            return status;
        }
    }
    for (size_t i = 0; i < DECODER_COUNT; i++) {
        const struct k2_input_decoder *decoder = decoders[i];
        if (self->raw_end >= decoder->magic_bytes &&
            memcmp(self->raw, decoder->magic, decoder->magic_bytes) == 0) {
            self->decoder = decoder;
            return K2_OK;
        }
    }
    for (size_t i = 0; i < DECODER_COUNT; i++) {
        if (ends_with(self->path, decoders[i]->suffix)) {
            return k2_fail(error, K2_BAD_REQUEST, "%s: is not %s data, though its name says so",
                           self->path, decoders[i]->name);
        }
    }
    return K2_OK;
}

static enum k2_status open_descriptor(struct k2_input_file *self, struct stat *about,
                                      struct k2_error *error)
{
    self->borrowed = strcmp(self->path, "-") == 0;
    self->file = self->borrowed ? STDIN_FILENO : open(self->path, O_RDONLY | O_CLOEXEC);
    if (self->file < 0 || fstat(self->file, about) != 0) {
        return k2_fail_errno(error, errno, "%s", self->path);
    }
    if (S_ISDIR(about->st_mode)) {
        return k2_fail(error, K2_BAD_REQUEST, "%s: is a directory; name its files", self->path);
    }
    self->total_bytes = S_ISREG(about->st_mode) ? (uint64_t)about->st_size : 0;
    return K2_OK;
}

static enum k2_status start(struct k2_input_file *self, struct k2_error *error)
{
    struct stat about;
    enum k2_status status = open_descriptor(self, &about, error);
    if (status != K2_OK) {
        return status;
    }
    self->raw = k2_alloc(RAW_BYTES);
    if (self->raw == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "%s: out of memory", self->path);
    }
    status = choose_decoder(self, error);
    if (status == K2_OK && self->decoder != NULL) {
        struct k2_input_raw raw = {
            .file = self->file,
            .seekable = S_ISREG(about.st_mode) && !self->borrowed,
            .pull = pull,
            .context = self,
        };
        status = self->decoder->open(&self->decoding, &raw, error);
        if (status != K2_OK) {
            k2_error_annotate(error, "%s", self->path);
        }
    }
    return status;
}

enum k2_status k2_input_file_open(struct k2_input_file **file, const char *path,
                                  struct k2_error *error)
{
    struct k2_input_file *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "%s: out of memory", path);
    }
    self->file = -1;
    self->path = k2_alloc_text(path, strlen(path));
    enum k2_status status = self->path != NULL
                                ? start(self, error)
                                : k2_fail(error, K2_NO_MEMORY, "%s: out of memory", path);
    if (status != K2_OK) {
        k2_input_file_close(self);
        return status;
    }
    *file = self;
    return K2_OK;
}

void k2_input_file_close(struct k2_input_file *file)
{
    if (file == NULL) {
        return;
    }
    if (file->decoder != NULL) {
        file->decoder->close(file->decoding);
    }
    if (file->file >= 0 && !file->borrowed) {
        (void)close(file->file);
    }
    k2_free(file->raw);
    k2_free(file->name);
    k2_free(file->path);
    k2_free(file);
}

static enum k2_status set_name(struct k2_input_file *self, const char *member,
                               struct k2_error *error)
{
    size_t path_size = strlen(self->path);
    if (member == NULL && self->decoder != NULL && ends_with(self->path, self->decoder->suffix)) {
        path_size -= strlen(self->decoder->suffix);
    }
    size_t size = path_size + (member == NULL ? 0 : 1 + strlen(member));
    char *name = k2_alloc(size + 1);
    if (name == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "%s: out of memory", self->path);
    }
    (void)snprintf(name, size + 1, "%.*s%s%s", (int)path_size, self->path,
                   member == NULL ? "" : "/", member == NULL ? "" : member);
    k2_free(self->name);
    self->name = name;
    return K2_OK;
}

enum k2_status k2_input_file_next(struct k2_input_file *file, bool *found, struct k2_error *error)
{
    const char *member = NULL;
    *found = !file->plain_begun;
    file->plain_begun = true;
    if (file->decoder != NULL) {
        enum k2_status status = file->decoder->next(file->decoding, found, &member, error);
        if (status != K2_OK) {
            k2_error_annotate(error, "%s", file->path);
            return status;
        }
    }
    return *found ? set_name(file, member, error) : K2_OK;
}

const char *k2_input_file_name(const struct k2_input_file *file)
{
    return file->name != NULL ? file->name : file->path;
}

static enum k2_status read_plain(struct k2_input_file *self, uint8_t *bytes, size_t room_bytes,
                                 size_t *size_bytes, struct k2_error *error)
{
    if (self->raw_begin < self->raw_end) {
        size_t size = self->raw_end - self->raw_begin;
        size = size < room_bytes ? size : room_bytes;
        memcpy(bytes, self->raw + self->raw_begin, size);
        self->raw_begin += size;
        *size_bytes = size;
        return K2_OK;
    }
    ssize_t size;
    do {
        size = read(self->file, bytes, room_bytes);
    } while (size < 0 && errno == EINTR);
    if (size < 0) {
        return k2_fail_errno(error, errno, "%s", self->path);
    }
    self->done_bytes += (size_t)size;
    *size_bytes = (size_t)size;
    return K2_OK;
}

enum k2_status k2_input_file_read(struct k2_input_file *file, uint8_t *bytes, size_t room_bytes,
                                  size_t *size_bytes, struct k2_error *error)
{
    if (file->decoder == NULL) {
        return read_plain(file, bytes, room_bytes, size_bytes, error);
    }
    enum k2_status status =
        file->decoder->read(file->decoding, bytes, room_bytes, size_bytes, error);
    if (status != K2_OK) {
        k2_error_annotate(error, "%s", k2_input_file_name(file));
    }
    return status;
}

uint64_t k2_input_file_total_bytes(const struct k2_input_file *file)
{
    return file->total_bytes;
}

uint64_t k2_input_file_done_bytes(const struct k2_input_file *file)
{
    if (file->decoder == &k2_input_zip && file->total_bytes > 0) {
        off_t at = lseek(file->file, 0, SEEK_CUR); // libarchive reads and seeks by itself
        return at > 0 && (uint64_t)at < file->total_bytes ? (uint64_t)at : file->total_bytes;
    }
    return file->done_bytes;
}
