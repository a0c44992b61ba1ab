#include "tests/crash/disk_log.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/tier.h"

enum { PAGE_BYTES = 4096, SECTOR_BYTES = 512, PATH_BYTES = 512 };

// ---- images

bool disk_is_lock(const char *name)
{
    return strcmp(name, "LOCK") == 0 || strcmp(name, "lock.mdb") == 0;
}

void disk_image_grow(struct disk_image *image, size_t node_count)
{
    if (node_count > image->node_count) {
        image->nodes = realloc(image->nodes, node_count * sizeof *image->nodes);
        assert_non_null(image->nodes);
        memset(image->nodes + image->node_count, 0,
               (node_count - image->node_count) * sizeof *image->nodes);
        image->node_count = node_count;
    }
}

static void set_length(struct disk_node *node, uint64_t size_bytes)
{
    if (size_bytes > node->room_bytes) {
        node->room_bytes = (size_t)size_bytes * 2;
        node->bytes = realloc(node->bytes, node->room_bytes);
        assert_non_null(node->bytes);
    }
    if (size_bytes > node->size_bytes) {
        memset(node->bytes + node->size_bytes, 0, (size_t)size_bytes - node->size_bytes);
    }
    node->size_bytes = (size_t)size_bytes;
}

static void write_bytes(struct disk_node *node, uint64_t offset, const uint8_t *bytes,
                        size_t size_bytes)
{
    if (offset + size_bytes > node->size_bytes) {
        set_length(node, offset + size_bytes);
    }
    memcpy(node->bytes + offset, bytes, size_bytes);
}

uint32_t *disk_image_find(struct disk_image *image, uint32_t folder, const char *name)
{
    for (size_t i = 0; i < image->entry_count; i++) {
        struct disk_entry *entry = &image->entries[i];
        if (entry->place.folder == folder && strcmp(entry->place.name, name) == 0) {
            return &entry->node;
        }
    }
    return NULL;
}

static void name_node(struct disk_image *image, const struct disk_place *place, uint32_t node)
{
    uint32_t *known = disk_image_find(image, place->folder, place->name);
    if (known == NULL) {
        image->entries = realloc(image->entries, (image->entry_count + 1) * sizeof *image->entries);
        assert_non_null(image->entries);
        image->entries[image->entry_count++] = (struct disk_entry){*place, node};
    } else {
        *known = node;
    }
}

static void unname_node(struct disk_image *image, const struct disk_place *place)
{
    uint32_t *known = disk_image_find(image, place->folder, place->name);
    if (known != NULL) {
        struct disk_entry *entry =
            (struct disk_entry *)((char *)known - offsetof(struct disk_entry, node));
        *entry = image->entries[--image->entry_count];
    }
}

// A rename whose file is not there under its old name gives it the new one all the same: the new
// name may reach the disk without the old.
static void apply_names(struct disk_image *image, const struct disk_operation *operation)
{
    uint32_t *left, *right;
    switch (operation->kind) {
    case DISK_NAME:
        name_node(image, &operation->to, operation->node);
        break;
    case DISK_UNNAME:
        unname_node(image, &operation->from);
        break;
    case DISK_RENAME:
        unname_node(image, &operation->from);
        name_node(image, &operation->to, operation->node);
        break;
    case DISK_EXCHANGE:
        left = disk_image_find(image, operation->from.folder, operation->from.name);
        right = disk_image_find(image, operation->to.folder, operation->to.name);
        if (left != NULL && right != NULL) {
            uint32_t node = *left;
            *left = *right;
            *right = node;
        }
        break;
    default:
        break;
    }
}

void disk_image_apply(struct disk_image *image, const struct disk_operation *operation)
{
    struct disk_node *node = &image->nodes[operation->node];
    if (operation->kind == DISK_WRITE) {
        write_bytes(node, operation->offset, operation->bytes, operation->size_bytes);
    } else if (operation->kind == DISK_LENGTH) {
        set_length(node, operation->offset);
    } else {
        apply_names(image, operation);
    }
}

static void load_file(struct disk_node *node, const char *path)
{
    struct stat about;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(file >= 0 && fstat(file, &about) == 0);
    set_length(node, (uint64_t)about.st_size);
    assert_int_equal(pread(file, node->bytes, node->size_bytes, 0), about.st_size);
    (void)close(file);
}

static void load_folder(struct disk_image *image, uint32_t folder, const char *path)
{
    DIR *listed = opendir(path);
    assert_non_null(listed);
    for (struct dirent *entry; (entry = readdir(listed)) != NULL;) {
        char below[PATH_BYTES];
        struct disk_place place = {.folder = folder};
        if (entry->d_name[0] == '.' || disk_is_lock(entry->d_name)) {
            continue;
        }
        assert_true(snprintf(place.name, sizeof place.name, "%s", entry->d_name) <
                    (int)sizeof place.name);
        assert_true(snprintf(below, sizeof below, "%s/%s", path, entry->d_name) <
                    (int)sizeof below);
        uint32_t node = (uint32_t)image->node_count;
        disk_image_grow(image, node + 1);
        name_node(image, &place, node);
        if (entry->d_type == DT_DIR) {
            image->nodes[node].is_folder = true;
            load_folder(image, node, below);
        } else {
            load_file(&image->nodes[node], below);
        }
    }
    (void)closedir(listed);
}

void disk_image_load(struct disk_image *image, const char *path)
{
    *image = (struct disk_image){0};
    disk_image_grow(image, 1);
    image->nodes[DISK_ROOT].is_folder = true;
    load_folder(image, DISK_ROOT, path);
}

void disk_image_clear(struct disk_image *image)
{
    for (size_t i = 0; i < image->node_count; i++) {
        free(image->nodes[i].bytes);
    }
    free(image->nodes);
    free(image->entries);
    *image = (struct disk_image){0};
}

static void copy_image(struct disk_image *to, const struct disk_image *from)
{
    *to = (struct disk_image){0};
    disk_image_grow(to, from->node_count);
    for (size_t i = 0; i < from->node_count; i++) {
        const struct disk_node *node = &from->nodes[i];
        to->nodes[i].is_folder = node->is_folder;
        if (node->size_bytes > 0) {
            write_bytes(&to->nodes[i], 0, node->bytes, node->size_bytes);
        }
    }
    for (size_t i = 0; i < from->entry_count; i++) {
        name_node(to, &from->entries[i].place, from->entries[i].node);
    }
}

// The folders may have other numbers.
static bool equal_below(const struct disk_image *left, uint32_t left_folder,
                        const struct disk_image *right, uint32_t right_folder, size_t *seen)
{
    for (size_t i = 0; i < left->entry_count; i++) {
        const struct disk_entry *entry = &left->entries[i];
        if (entry->place.folder != left_folder) {
            continue;
        }
        const uint32_t *other =
            disk_image_find((struct disk_image *)(uintptr_t)right, right_folder, entry->place.name);
        const struct disk_node *a = &left->nodes[entry->node];
        const struct disk_node *b = other == NULL ? NULL : &right->nodes[*other];
        if (b == NULL || a->is_folder != b->is_folder || a->size_bytes != b->size_bytes ||
            (a->size_bytes > 0 && memcmp(a->bytes, b->bytes, a->size_bytes) != 0)) {
            print_error("%s: not as the log of operations says\n", entry->place.name);
            return false;
        }
        (*seen)++;
        if (a->is_folder && !equal_below(left, entry->node, right, *other, seen)) {
            return false;
        }
    }
    return true;
}

bool disk_image_equal(const struct disk_image *left, const struct disk_image *right)
{
    size_t seen = 0;
    return equal_below(left, DISK_ROOT, right, DISK_ROOT, &seen) && seen == right->entry_count;
}

// ---- the log

struct disk_operation *disk_log_add(struct disk_log *log, enum disk_operation_kind kind)
{
    if (log->count == log->room) {
        log->room = log->room * 2 + 256;
        log->operations = realloc(log->operations, log->room * sizeof *log->operations);
        assert_non_null(log->operations);
    }
    struct disk_operation *operation = &log->operations[log->count++];
    *operation = (struct disk_operation){.kind = kind};
    return operation;
}

void disk_log_clear(struct disk_log *log)
{
    for (size_t i = 0; i < log->count; i++) {
        free(log->operations[i].bytes);
    }
    free(log->operations);
    free(log->is_folder);
    disk_image_clear(&log->start);
    *log = (struct disk_log){0};
}

// ---- crashes

void disk_crash_begin(struct disk_crash *crash, const struct disk_log *log)
{
    *crash = (struct disk_crash){.log = log};
    copy_image(&crash->durable, &log->start);
    disk_image_grow(&crash->durable, log->node_count);
    for (size_t i = 0; i < log->node_count; i++) {
        crash->durable.nodes[i].is_folder = log->is_folder[i];
    }
    crash->pending = calloc(log->count + 1, sizeof *crash->pending);
    assert_non_null(crash->pending);
}

void disk_crash_end(struct disk_crash *crash)
{
    disk_image_clear(&crash->durable);
    free(crash->pending);
}

static bool is_data(const struct disk_operation *operation)
{
    return operation->kind == DISK_WRITE || operation->kind == DISK_LENGTH;
}

// Does the synchronisation `sync` at `position` make `operation` at `index` durable?
static bool is_covered(const struct disk_operation *sync, size_t position,
                       const struct disk_operation *operation, size_t index)
{
    switch (sync->kind) {
    case DISK_SYNC:
        return is_data(operation) && operation->node == sync->node;
    case DISK_SYNC_WRITE:
        return index + 1 == position;
    case DISK_SYNC_FOLDER: // a rename between folders is there with its new name
        return !is_data(operation) &&
               sync->node ==
                   (operation->kind == DISK_UNNAME ? operation->from.folder : operation->to.folder);
    default:
        return false;
    }
}

bool disk_crash_next(struct disk_crash *crash)
{
    if (crash->position == crash->log->count) {
        return false;
    }
    size_t position = crash->position++;
    const struct disk_operation *next = &crash->log->operations[position];
    if (next->kind != DISK_SYNC && next->kind != DISK_SYNC_WRITE &&
        next->kind != DISK_SYNC_FOLDER) {
        crash->pending[crash->pending_count++] = position;
        return true;
    }
    size_t left = 0;
    for (size_t i = 0; i < crash->pending_count; i++) {
        size_t index = crash->pending[i];
        const struct disk_operation *operation = &crash->log->operations[index];
        if (is_covered(next, position, operation, index)) {
            disk_image_apply(&crash->durable, operation);
            crash->version = crash->version * 1000003 + index + 1;
        } else {
            crash->pending[left++] = index;
        }
    }
    crash->pending_count = left;
    return true;
}

// How a state is chosen; everything follows from `chance`.
struct choice {
    uint64_t chance;
    enum { NOTHING, EVERYTHING, SOME, BEGINNING, ALL_BUT_ONE, ONLY_ONE } what;
    uint64_t likely;   // of 16: that an operation is there (SOME)
    size_t one;        // ALL_BUT_ONE, ONLY_ONE, and where BEGINNING ends
    size_t unit_bytes; // 0: writes are there or not; else their parts of this size are
    enum { SHORT, ZEROS, GARBAGE } end;
};

static struct choice choose(const struct disk_crash *crash, uint64_t chance)
{
    static const size_t units[] = {0, PAGE_BYTES, SECTOR_BYTES, PAGE_BYTES};
    struct choice choice = {.chance = chance, .what = chance == 0 ? NOTHING : EVERYTHING};
    if (chance > 1) {
        (void)test_random(&choice.chance);
        choice.what = SOME + test_random_below(&choice.chance, 4);
        choice.likely = 1 + test_random_below(&choice.chance, 15);
        choice.one = (size_t)test_random_below(&choice.chance, crash->pending_count + 1);
        choice.unit_bytes = units[test_random_below(&choice.chance, 4)];
        choice.end = test_random_below(&choice.chance, 3);
    }
    return choice;
}

// 0: missing, 16: there, else so many of its parts in 16.
static uint64_t share_of(struct choice *choice, size_t place)
{
    switch (choice->what) {
    case NOTHING:
        return 0;
    case EVERYTHING:
        return 16;
    case SOME:
        if (choice->unit_bytes != 0) {
            return choice->likely;
        }
        return test_random_below(&choice->chance, 16) < choice->likely ? 16 : 0;
    case BEGINNING: // in order, and the last one torn
        return place < choice->one ? 16 : place == choice->one ? choice->likely : 0;
    case ALL_BUT_ONE:
        return place != choice->one ? 16 : choice->unit_bytes == 0 ? 0 : choice->likely;
    case ONLY_ONE:
        return place == choice->one ? 16 : 0;
    }
    return 0;
}

// Calls `part` with each range of the write that reaches the disk.
typedef void on_part(void *context, size_t index, uint64_t offset, size_t skip, size_t size_bytes);

static void each_part(struct choice *choice, uint64_t share, size_t index,
                      const struct disk_operation *write, on_part *part, void *context)
{
    if (share == 16) {
        part(context, index, write->offset, 0, write->size_bytes);
        return;
    }
    size_t unit = choice->unit_bytes == 0 ? PAGE_BYTES : choice->unit_bytes;
    for (size_t skip = 0; skip < write->size_bytes && share > 0;) {
        size_t size = unit - (size_t)((write->offset + skip) % unit);
        size = size < write->size_bytes - skip ? size : write->size_bytes - skip;
        if (test_random_below(&choice->chance, 16) < share) {
            part(context, index, write->offset + skip, skip, size);
        }
        skip += size;
    }
}

struct state {
    const struct disk_crash *crash;
    uint64_t hash;
    struct disk_image names; // entries only
    int *files;              // by node, when files are written; -1: not there
    const char *path;
};

static void mix(uint64_t *hash, uint64_t number)
{
    uint64_t state = *hash ^ number;
    *hash = test_random(&state);
}

static void hash_part(void *context, size_t index, uint64_t offset, size_t skip, size_t size_bytes)
{
    struct state *state = context;
    mix(&state->hash, index);
    mix(&state->hash, offset + skip);
    mix(&state->hash, size_bytes);
}

static void write_part(void *context, size_t index, uint64_t offset, size_t skip, size_t size_bytes)
{
    struct state *state = context;
    const struct disk_operation *write = &state->crash->log->operations[index];
    int file = state->files[write->node];
    if (file >= 0) {
        assert_int_equal(pwrite(file, write->bytes + skip, size_bytes, (off_t)offset), size_bytes);
    }
}

// Names first (`part` NULL), which decide which files there are, or the bytes.
static void each_pending(struct state *state, uint64_t chance, on_part *part)
{
    const struct disk_crash *crash = state->crash;
    struct choice choice = choose(crash, chance);
    for (size_t i = 0; i < crash->pending_count; i++) {
        size_t index = crash->pending[i];
        const struct disk_operation *operation = &crash->log->operations[index];
        uint64_t share = share_of(&choice, i);
        if (!is_data(operation)) {
            bool there = share == 16 || test_random_below(&choice.chance, 16) < share;
            if (there && part == NULL) {
                apply_names(&state->names, operation);
            } else if (there && part == hash_part) {
                mix(&state->hash, index);
            }
            continue;
        }
        uint64_t before = choice.chance;
        if (operation->kind == DISK_WRITE) {
            struct choice same = choice; // the bytes take no part in the choice of names
            if (part != NULL) {
                each_part(&same, share, index, operation, part, state);
            }
            choice.chance = before ^ (index * 2 + 1);
            if (part == write_part && choice.end != SHORT && share < 16 && choice.what != NOTHING) {
                int file = state->files[operation->node];
                uint64_t end = operation->offset + operation->size_bytes;
                struct stat about;
                if (file >= 0 && fstat(file, &about) == 0 && (uint64_t)about.st_size < end) {
                    assert_int_equal(ftruncate(file, (off_t)end), 0);
                    if (choice.end == GARBAGE) {
                        static const uint8_t garbage[] = "power was lost before this was written";
                        assert_true(pwrite(file, garbage, sizeof garbage, about.st_size) > 0);
                    }
                }
            }
        } else if (part == hash_part && share == 16) {
            mix(&state->hash, index);
        } else if (part == write_part && share == 16 && state->files[operation->node] >= 0) {
            assert_int_equal(ftruncate(state->files[operation->node], (off_t)operation->offset), 0);
        }
    }
}

uint64_t disk_crash_describe(const struct disk_crash *crash, uint64_t chance)
{
    struct state state = {.crash = crash, .hash = crash->version};
    each_pending(&state, chance, hash_part);
    return state.hash;
}

static void write_node(struct state *state, uint32_t node_index, const char *path)
{
    const struct disk_node *node = &state->crash->durable.nodes[node_index];
    if (state->files[node_index] >= 0) { // a second name
        char open_file[64];
        (void)snprintf(open_file, sizeof open_file, "/proc/self/fd/%d", state->files[node_index]);
        assert_int_equal(linkat(AT_FDCWD, open_file, AT_FDCWD, path, AT_SYMLINK_FOLLOW), 0);
        return;
    }
    int file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    assert_true(file >= 0);
    assert_int_equal(pwrite(file, node->bytes, node->size_bytes, 0), node->size_bytes);
    state->files[node_index] = file;
}

static void write_folder(struct state *state, uint32_t folder, const char *path)
{
    for (size_t i = 0; i < state->names.entry_count; i++) {
        const struct disk_entry *entry = &state->names.entries[i];
        char below[PATH_BYTES];
        if (entry->place.folder != folder) {
            continue;
        }
        assert_true(snprintf(below, sizeof below, "%s/%s", path, entry->place.name) <
                    (int)sizeof below);
        if (state->crash->durable.nodes[entry->node].is_folder) {
            assert_int_equal(mkdir(below, 0750), 0);
            write_folder(state, entry->node, below);
        } else {
            write_node(state, entry->node, below);
        }
    }
}

void disk_crash_write(const struct disk_crash *crash, uint64_t chance, const char *path)
{
    struct state state = {.crash = crash, .path = path};
    size_t node_count = crash->durable.node_count;
    state.files = malloc(node_count * sizeof *state.files);
    assert_non_null(state.files);
    for (size_t i = 0; i < node_count; i++) {
        state.files[i] = -1;
    }
    for (size_t i = 0; i < crash->durable.entry_count; i++) {
        name_node(&state.names, &crash->durable.entries[i].place, crash->durable.entries[i].node);
    }
    each_pending(&state, chance, NULL);
    write_folder(&state, DISK_ROOT, path);
    each_pending(&state, chance, write_part);
    for (size_t i = 0; i < node_count; i++) {
        if (state.files[i] >= 0) {
            (void)close(state.files[i]);
        }
    }
    free(state.files);
    free(state.names.entries);
}
