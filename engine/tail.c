#include "engine/tail.h"

#include <unistd.h>

#include "engine/engine_state.h"
#include "engine/file_io.h"

enum { MOST_RESERVED_BYTES = 1 << 20 };

enum k2_status k2_tail_open(struct k2_engine *engine, struct k2_tail *tail, struct k2_error *error)
{
    if (tail->open) {
        return K2_OK;
    }
    char path[K2_PATH_BYTES];
    // The id is used up even if this file comes to nothing: an offset is written once, ever.
    k2_engine_lock(engine);
    uint64_t segment_id = ++engine->newest_segment;
    k2_engine_unlock(engine);
    k2_engine_segment_path(engine, segment_id, ".tmp", path);
    int file;
    enum k2_status status = k2_file_create(path, &file, error);
    if (status != K2_OK) {
        return status;
    }
    *tail = (struct k2_tail){
        .open = true, .file = file, .segment_id = segment_id, .rewritten = tail->rewritten};
    struct k2_buffer header;
    k2_buffer_init(&header, 1 << 16);
    status = k2_segment_header_encode(engine->store_id, segment_id, &header, error);
    if (status == K2_OK) {
        status = k2_tail_write(engine, tail, k2_buffer_slice(&header), error);
    }
    k2_buffer_deinit(&header);
    if (status != K2_OK) {
        k2_tail_seal(engine, tail, false);
    }
    return status;
}

static void name_error(struct k2_engine *engine, const struct k2_tail *tail, struct k2_error *error)
{
    k2_error_annotate(error, "%s: segment %016llx", engine->path,
                      (unsigned long long)tail->segment_id);
}

// A sync of a file that grows into room that it has need not write where that is: about a quarter
// of what a small commit waits for. As much again as there is, so that small files stay small.
static void reserve(struct k2_tail *tail, uint64_t size_bytes)
{
    uint64_t end = tail->written_bytes + size_bytes;
    if (tail->rewritten || end <= tail->reserved_bytes) {
        return;
    }
    uint64_t more = end < MOST_RESERVED_BYTES ? end : MOST_RESERVED_BYTES;
    bool reserved = k2_file_reserve(tail->file, tail->written_bytes, size_bytes + more);
    tail->reserved_bytes = reserved ? end + more : UINT64_MAX; // never again for this file
}

enum k2_status k2_tail_write(struct k2_engine *engine, struct k2_tail *tail, struct k2_slice bytes,
                             struct k2_error *error)
{
    reserve(tail, bytes.size_bytes);
    enum k2_status status = k2_file_write(tail->file, bytes, tail->written_bytes, error);
    if (status != K2_OK) {
        name_error(engine, tail, error);
        return status;
    }
    tail->written_bytes += bytes.size_bytes;
    return K2_OK;
}

uint64_t k2_tail_new_bytes(const struct k2_tail *tail)
{
    uint64_t begin = tail->committed_bytes == 0 ? K2_SEGMENT_ALIGNMENT : tail->committed_bytes;
    return tail->written_bytes - begin;
}

void k2_tail_committed(struct k2_tail *tail, uint32_t new_groups)
{
    tail->live_bytes += k2_tail_new_bytes(tail);
    tail->committed_bytes = tail->written_bytes;
    tail->group_count += new_groups;
}

enum k2_status k2_tail_sync(struct k2_engine *engine, struct k2_tail *tail, struct k2_error *error)
{
    enum k2_status status = k2_file_sync(tail->file, error);
    if (status != K2_OK) {
        name_error(engine, tail, error);
        return status;
    }
    if (tail->published) {
        return K2_OK;
    }
    char from[K2_PATH_BYTES], to[K2_PATH_BYTES], folder[K2_PATH_BYTES];
    k2_engine_segment_path(engine, tail->segment_id, ".tmp", from);
    k2_engine_segment_path(engine, tail->segment_id, ".k2s", to);
    k2_engine_segment_path(engine, 0, NULL, folder);
    status = k2_file_rename(from, to, error);
    if (status == K2_OK) {
        tail->published = true;
        status = k2_file_sync_directory(folder, error);
    }
    return status;
}

void k2_tail_seal(struct k2_engine *engine, struct k2_tail *tail, bool keep)
{
    if (!tail->open) {
        return;
    }
    (void)close(tail->file);
    if (tail->committed_bytes == 0 &&
        !keep) { // never named by the index: deleted now, or at next start
        char path[K2_PATH_BYTES];
        k2_engine_segment_path(engine, tail->segment_id, tail->published ? ".k2s" : ".tmp", path);
        (void)k2_file_unlink(path, NULL);
    }
    *tail = (struct k2_tail){.rewritten = tail->rewritten};
}
