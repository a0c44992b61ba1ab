// zip and zstd, by libarchive.
#include "ingest/input_decoder.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <unistd.h>

#include "format/base/alloc.h"

struct opened {
    struct k2_input_raw raw;
    struct archive *archive;
    struct k2_error raw_error; // of the last pull
    bool zip;
};

static void archive_close(void *context)
{
    struct opened *self = context;
    if (self != NULL) {
        (void)archive_read_free(self->archive);
    }
    k2_free(self);
}

static la_ssize_t give_raw(struct archive *archive, void *context, const void **bytes)
{
    struct opened *self = context;
    struct k2_slice slice;
    if (self->raw.pull(self->raw.context, &slice, &self->raw_error) != K2_OK) {
        archive_set_error(archive, EIO, "%s", self->raw_error.text);
        return -1;
    }
    *bytes = slice.data;
    return (la_ssize_t)slice.size_bytes;
}

static enum k2_status fail(struct opened *self, struct k2_error *error)
{
    const char *text = archive_error_string(self->archive);
    return k2_fail(error, K2_IO, "the %s data is damaged or cut off: %s",
                   self->zip ? "zip" : "zstd", text != NULL ? text : "no reason given");
}

static enum k2_status open_archive(void **opened, const struct k2_input_raw *raw, bool zip,
                                   struct k2_error *error)
{
    struct opened *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "out of memory");
    }
    self->raw = *raw;
    self->zip = zip;
    self->archive = archive_read_new();
    if (self->archive == NULL) {
        archive_close(self);
        return k2_fail(error, K2_NO_MEMORY, "out of memory");
    }
    int result = zip ? archive_read_support_format_zip(self->archive)
                     : archive_read_support_filter_zstd(self->archive);
    if (result == ARCHIVE_OK && !zip) {
        result = archive_read_support_format_raw(self->archive);
    }
    if (result == ARCHIVE_OK && zip && raw->seekable && lseek(raw->file, 0, SEEK_SET) == 0) {
        result = archive_read_open_fd(self->archive, raw->file, 1 << 16); // finds the directory
    } else if (result == ARCHIVE_OK) {
        result = archive_read_open(self->archive, self, NULL, give_raw, NULL);
    }
    if (result != ARCHIVE_OK) {
        enum k2_status status = fail(self, error);
        archive_close(self);
        return status;
    }
    *opened = self;
    return K2_OK;
}

static enum k2_status open_zip(void **opened, const struct k2_input_raw *raw,
                               struct k2_error *error)
{
    return open_archive(opened, raw, true, error);
}

static enum k2_status open_zstd(void **opened, const struct k2_input_raw *raw,
                                struct k2_error *error)
{
    return open_archive(opened, raw, false, error);
}

static enum k2_status archive_next(void *context, bool *found, const char **member,
                                   struct k2_error *error)
{
    struct opened *self = context;
    for (;;) {
        struct archive_entry *entry;
        int result = archive_read_next_header(self->archive, &entry);
        if (result == ARCHIVE_EOF) {
            *found = false;
            return K2_OK;
        }
        if (result != ARCHIVE_OK && result != ARCHIVE_WARN) {
            return fail(self, error);
        }
        *found = true;
        *member = NULL;
        if (!self->zip) {
            return K2_OK;
        }
        *member = archive_entry_pathname(entry);
        if (*member == NULL) {
            return k2_fail(error, K2_IO, "the name of a zip member is no text");
        }
        if (archive_entry_filetype(entry) == AE_IFREG) {
            return K2_OK;
        }
    }
}

static enum k2_status archive_read(void *context, uint8_t *bytes, size_t room_bytes,
                                   size_t *size_bytes, struct k2_error *error)
{
    struct opened *self = context;
    la_ssize_t size = archive_read_data(self->archive, bytes, room_bytes);
    if (size < 0) {
        return fail(self, error);
    }
    *size_bytes = (size_t)size;
    return K2_OK;
}

const struct k2_input_decoder k2_input_zip = {
    .name = "zip",
    .suffix = ".zip",
    .magic = (const uint8_t *)"PK\x03\x04",
    .magic_bytes = 4,
    .open = open_zip,
    .next = archive_next,
    .read = archive_read,
    .close = archive_close,
};

const struct k2_input_decoder k2_input_zstd = {
    .name = "zstd",
    .suffix = ".zst",
    .magic = (const uint8_t *)"\x28\xb5\x2f\xfd",
    .magic_bytes = 4,
    .open = open_zstd,
    .next = archive_next,
    .read = archive_read,
    .close = archive_close,
};
