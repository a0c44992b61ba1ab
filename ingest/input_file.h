// A file of rows as a stream of bytes: plain, gzip, zstd, or the members of a zip; `-` is stdin.
//
// What it is, its first bytes say; a name that ends in .gz, .zst or .zip must keep its word.
// Bounded memory. Belongs to one thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "format/base/status.h"

struct k2_input_file; // opaque

// K2_NOT_FOUND, K2_NOT_PERMITTED; K2_BAD_REQUEST for a directory or a name that lies.
K2_MUST_CHECK enum k2_status k2_input_file_open(struct k2_input_file **file, const char *path,
                                                struct k2_error *error);
void k2_input_file_close(struct k2_input_file *file);

// Goes to the next member, which must be done before the first read. A zip has its regular files,
// in the order of its directory; everything else is one member. `*found` is false after the last.
K2_MUST_CHECK enum k2_status k2_input_file_next(struct k2_input_file *file, bool *found,
                                                struct k2_error *error);

// The path as given, without .gz or .zst; of a zip `PATH/MEMBER`. Holds until the next
// k2_input_file_next.
const char *k2_input_file_name(const struct k2_input_file *file);

// Reads up to `room_bytes` (> 0) of the member; `*size_bytes` is 0 at its end only. K2_IO: the
// file can not be read, or is cut off or damaged.
K2_MUST_CHECK enum k2_status k2_input_file_read(struct k2_input_file *file, uint8_t *bytes,
                                                size_t room_bytes, size_t *size_bytes,
                                                struct k2_error *error);

// For progress: bytes of the file as it lies on disk, all (0: not known) and taken so far.
uint64_t k2_input_file_total_bytes(const struct k2_input_file *file);
uint64_t k2_input_file_done_bytes(const struct k2_input_file *file);
