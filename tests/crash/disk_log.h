// What a process did to the files below one folder, in order, and what a disk that loses power in
// the middle of it may hold.
//
// The disk promises as little as POSIX does. Bytes are there for sure once their file was synced
// (or were written with O_DSYNC), names once their folder was. Of what came later anything may be
// missing, in any combination: single writes, their 4 KiB pages or 512-byte sectors, names, removed
// names, renames. What is missing at the end of a file is a shorter file, or zeros, or garbage.
//
// All of it belongs to one thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/support/folder.h"

enum { DISK_NAME_BYTES = 48, DISK_ROOT = 0 };

enum disk_operation_kind {
    DISK_WRITE,       // node, offset, bytes
    DISK_LENGTH,      // node, offset: the new length
    DISK_SYNC,        // node
    DISK_SYNC_WRITE,  // the operation before it, a write, is durable
    DISK_NAME,        // to, node: a new file, folder or second name
    DISK_UNNAME,      // from
    DISK_RENAME,      // from, to, node
    DISK_EXCHANGE,    // from, to
    DISK_SYNC_FOLDER, // node
};

struct disk_place {
    uint32_t folder; // node
    char name[DISK_NAME_BYTES];
};

struct disk_operation {
    enum disk_operation_kind kind;
    uint32_t node;
    uint64_t offset;
    uint8_t *bytes; // owned by the log
    size_t size_bytes;
    struct disk_place from, to;
    size_t done, begun; // the workload's journal at that moment
};

struct disk_node {
    bool is_folder;
    uint8_t *bytes; // owned
    size_t size_bytes, room_bytes;
};

struct disk_entry {
    struct disk_place place;
    uint32_t node;
};

// A state of all files. Node 0 is the folder that was watched.
struct disk_image {
    struct disk_node *nodes;
    size_t node_count;
    struct disk_entry *entries;
    size_t entry_count;
};

struct disk_log {
    struct disk_image start;
    bool *is_folder; // by node, of all nodes that there were
    size_t node_count;
    struct disk_operation *operations;
    size_t count, room;
    size_t done; // the workload's journal at the end
};

// Zeroed they are empty. LOCK and lock.mdb are no part of an image: a power cut frees every lock,
// and LMDB makes a new table of readers then.
bool disk_is_lock(const char *name);
void disk_image_load(struct disk_image *image, const char *path);
void disk_image_clear(struct disk_image *image);
uint32_t *disk_image_find(struct disk_image *image, uint32_t folder, const char *name); // or NULL
void disk_image_apply(struct disk_image *image, const struct disk_operation *operation);
bool disk_image_equal(const struct disk_image *left, const struct disk_image *right);
void disk_image_grow(struct disk_image *image, size_t node_count);

struct disk_operation *disk_log_add(struct disk_log *log, enum disk_operation_kind kind);
void disk_log_clear(struct disk_log *log);

// Walks a log: `durable` is what is on the disk for sure after `position` operations, `pending`
// are the operations that are not.
struct disk_crash {
    const struct disk_log *log;
    size_t position;
    struct disk_image durable;
    uint64_t version; // of `durable`
    size_t *pending;
    size_t pending_count;
};

void disk_crash_begin(struct disk_crash *crash, const struct disk_log *log);
bool disk_crash_next(struct disk_crash *crash); // false: the log ends
void disk_crash_end(struct disk_crash *crash);

// Which pending operations reach the disk: all that `chance` decides, so equal numbers give equal
// states. 0 and 1: none, all. Returns a number that differs for different states.
uint64_t disk_crash_describe(const struct disk_crash *crash, uint64_t chance);

// Makes the state below the folder `path`, which is empty.
void disk_crash_write(const struct disk_crash *crash, uint64_t chance, const char *path);
