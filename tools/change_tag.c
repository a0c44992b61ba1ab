#include "tools/change_tag.h"

#include "engine/snapshot.h"

static enum k2_status find_newest(struct k2_engine *engine, uint64_t *id, struct k2_error *error)
{
    struct k2_snapshot newest;
    enum k2_status status = k2_snapshot_newest(engine, &newest, error);
    if (status == K2_OK && newest.id == 0) {
        return k2_fail(error, K2_NOT_FOUND, "tag: the store has no snapshot yet");
    }
    *id = status == K2_OK ? newest.id : 0;
    return status;
}

static enum k2_status delete_tag(struct k2_engine *engine, struct k2_slice name, uint64_t *id,
                                 struct k2_error *error)
{
    struct k2_snapshot snapshot;
    enum k2_status status = k2_snapshot_resolve(engine, name, &snapshot, error);
    if (status != K2_OK) {
        k2_error_annotate(error, "tag");
        return status;
    }
    *id = snapshot.id;
    return k2_tag_delete(engine, name, error);
}

enum k2_status k2_tag_change(struct k2_engine *engine, const struct k2_tag_change *change,
                             uint64_t *snapshot, struct k2_error *error)
{
    if (change->remove) {
        return delete_tag(engine, change->name, snapshot, error);
    }
    *snapshot = change->snapshot;
    enum k2_status status = change->snapshot == 0 ? find_newest(engine, snapshot, error) : K2_OK;
    return status == K2_OK ? k2_tag_set(engine, change->name, *snapshot, error) : status;
}
