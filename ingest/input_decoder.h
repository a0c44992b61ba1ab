// How the bytes of an input file become those of its members: one decoder for each container.
//
// Internal to ingest/input_file. A decoder pulls the file's bytes from `raw` and belongs to the
// input file that opened it.
#pragma once

#include <stdbool.h>

#include "format/base/bytes.h"
#include "format/base/status.h"

// Where the bytes of the file come from.
struct k2_input_raw {
    int file;
    bool seekable; // then nothing is lost by reading it from its start again
    // Gives the next bytes, none at the end; borrowed until the next call.
    enum k2_status (*pull)(void *context, struct k2_slice *bytes, struct k2_error *error);
    void *context;
};

struct k2_input_decoder {
    const char *name, *suffix;
    const uint8_t *magic;
    size_t magic_bytes;
    enum k2_status (*open)(void **self, const struct k2_input_raw *raw, struct k2_error *error);
    // As k2_input_file_next; `*member` is NULL when the container has one member without a name.
    enum k2_status (*next)(void *self, bool *found, const char **member, struct k2_error *error);
    enum k2_status (*read)(void *self, uint8_t *bytes, size_t room_bytes, size_t *size_bytes,
                           struct k2_error *error);
    void (*close)(void *self); // NULL is fine
};

extern const struct k2_input_decoder k2_input_gzip;
extern const struct k2_input_decoder k2_input_zstd;
extern const struct k2_input_decoder k2_input_zip;
