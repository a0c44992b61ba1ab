// Every call that changes files goes through here, so that tests can let any of them fail or be
// the last thing that a process does.
//
// Paths are given by the engine, never by clients. Thread-safe.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "format/base/bytes.h"
#include "format/base/status.h"

enum k2_file_operation {
    K2_FILE_CREATE,
    K2_FILE_WRITE,
    K2_FILE_SYNC,
    K2_FILE_RENAME,
    K2_FILE_SYNC_DIRECTORY,
    K2_FILE_UNLINK,
    K2_FILE_INDEX_COMMIT,    // an LMDB write transaction
    K2_FILE_INDEX_COMMITTED, // just after it; can not fail, only be the end
};

// Test aid: called before every operation; a result other than 0 is the errno with which it fails.
typedef int k2_file_hook(void *context, enum k2_file_operation operation);
void k2_file_set_hook(k2_file_hook *hook, void *context); // NULL: none

// 0 or the errno that the hook asks for; for the module that commits the index.
int k2_file_ask_hook(enum k2_file_operation operation);

// A new file for appending, which must not exist; mode 0640.
K2_MUST_CHECK enum k2_status k2_file_create(const char *path, int *file, struct k2_error *error);
K2_MUST_CHECK enum k2_status k2_file_write(int file, struct k2_slice bytes, uint64_t offset,
                                           struct k2_error *error);
// Room on the disk for bytes that will be written at `offset`, behind the file's end, which stays
// where it is: so that a sync finds it given already. False if it can not be had: that is no
// failure, and a write may still find room.
bool k2_file_reserve(int file, uint64_t offset, uint64_t size_bytes);
K2_MUST_CHECK enum k2_status k2_file_sync(int file, struct k2_error *error); // data and length
K2_MUST_CHECK enum k2_status k2_file_rename(const char *from, const char *to,
                                            struct k2_error *error);
// Two paths of one folder change places, at once where the file system can.
K2_MUST_CHECK enum k2_status k2_file_exchange(const char *left, const char *right,
                                              struct k2_error *error);
K2_MUST_CHECK enum k2_status k2_file_sync_directory(const char *path, struct k2_error *error);
// A file that is gone already is fine. Cleaning up may ignore the result: the next start sweeps.
enum k2_status k2_file_unlink(const char *path, struct k2_error *error);
K2_MUST_CHECK enum k2_status k2_file_make_directory(const char *path, struct k2_error *error);

// Removes a folder with the files in it, but not one with folders. Like unlink otherwise.
enum k2_status k2_file_remove_folder(const char *path, struct k2_error *error);

// A new file at `to` with the first `size_bytes` bytes of `from`, durable but for its name.
// K2_CORRUPT when `from` is missing or shorter.
K2_MUST_CHECK enum k2_status k2_file_copy(const char *from, const char *to, uint64_t size_bytes,
                                          struct k2_error *error);

// A second name for a file of exactly `size_bytes` bytes. `*linked` is false when it has another
// size, or when there can be no such name: the caller copies.
K2_MUST_CHECK enum k2_status k2_file_link(const char *from, const char *to, uint64_t size_bytes,
                                          bool *linked, struct k2_error *error);

// Opens (and creates) a file and takes its lock for as long as it is open, or the process lives;
// the file then holds this process's pid. K2_BUSY: `holder` is what the one who has it wrote.
enum { K2_FILE_HOLDER_BYTES = 32 };
K2_MUST_CHECK enum k2_status k2_file_lock(const char *path, int *file,
                                          char holder[K2_FILE_HOLDER_BYTES],
                                          struct k2_error *error);

// Maps the first `size_bytes` bytes for reading; K2_CORRUPT when the file is missing or shorter.
// The descriptor is closed. Unmapped with k2_file_unmap.
K2_MUST_CHECK enum k2_status k2_file_map(const char *path, uint64_t size_bytes,
                                         struct k2_slice *bytes, struct k2_error *error);
void k2_file_unmap(struct k2_slice bytes);
// The pages of a part of a mapping, from a multiple of 4,096 on, do not count as this process's
// memory any more; they come back when they are read.
void k2_file_forget_pages(struct k2_slice bytes);
