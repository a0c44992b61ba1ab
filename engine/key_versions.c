#include "engine/key_versions.h"

#include "engine/row_order.h"
#include "format/base/alloc.h"

enum k2_status k2_key_versions_init(struct k2_key_versions *versions, enum k2_duplicate_rule rule,
                                    size_t row_count, struct k2_error *error)
{
    *versions = (struct k2_key_versions){.rule = rule};
    versions->matches = k2_alloc_zero(row_count, sizeof *versions->matches);
    versions->ops = k2_alloc_zero(row_count, sizeof *versions->ops);
    if (versions->matches == NULL || versions->ops == NULL) {
        k2_key_versions_deinit(versions);
        return k2_fail(error, K2_NO_MEMORY, "versions: out of memory");
    }
    return K2_OK;
}

void k2_key_versions_deinit(struct k2_key_versions *versions)
{
    k2_free(versions->matches);
    k2_free(versions->ops);
    k2_free(versions->versions);
    *versions = (struct k2_key_versions){.rule = K2_KEEP_FIRST};
}

bool k2_same_content(const struct k2_row_batch *batch, uint32_t left, uint32_t right)
{
    const struct k2_schema *schema = batch->schema;
    for (size_t i = K2_KEY_COLUMN_COUNT; i < schema->column_count; i++) {
        const struct k2_batch_column *column = &batch->columns[i];
        if (!schema->columns[i].identity) {
            continue;
        }
        if (column->valid[left] != column->valid[right]) {
            return false;
        }
        if (!column->valid[left]) {
            continue;
        }
        bool same = column->values != NULL
                        ? column->values[left] == column->values[right]
                        : k2_slice_equal(k2_row_batch_text(batch, column->texts[left]),
                                         k2_row_batch_text(batch, column->texts[right]));
        if (!same) {
            return false;
        }
    }
    return true;
}

// The version of a key that counts so far: the stored one, or a row of the batch.
struct best {
    bool there, deleted;
    bool in_batch;
    uint32_t row; // if in_batch
    bool has_version;
    int64_t version;
};

struct run {
    struct k2_key_versions *versions;
    const struct k2_row_batch *batch;
    uint8_t *fates;
    struct best best;
};

static bool version_of(const struct k2_row_batch *batch, uint32_t row, int64_t *version)
{
    size_t column = batch->schema->version_column;
    if (column == 0 || !batch->columns[column].valid[row]) {
        return false;
    }
    *version = batch->columns[column].values[row];
    return true;
}

// A row without a version comes before all that have one.
static bool is_greater(bool has_left, int64_t left, bool has_right, int64_t right)
{
    return has_left && (!has_right || left > right);
}

static void take(struct run *run, uint32_t row, bool deleted, bool has_version, int64_t version)
{
    if (run->best.in_batch) { // one that this commit would have stored
        run->fates[run->best.row] = K2_ROW_DUPLICATE;
    }
    run->best = (struct best){true, deleted, true, row, has_version, version};
    run->fates[row] = K2_ROW_NEW;
}

static void take_delete(struct run *run, uint32_t row)
{
    const struct best *best = &run->best;
    int64_t version = 0;
    bool has_version = version_of(run->batch, row, &version);
    if (!best->there) {
        run->fates[row] = K2_ROW_UNKNOWN_KEY;
    } else if (!has_version) {
        if (best->deleted) {
            run->fates[row] = K2_ROW_DUPLICATE;
        } else {
            take(run, row, true, best->has_version, best->version);
        }
    } else if (is_greater(true, version, best->has_version, best->version) ||
               (!best->deleted && version == best->version)) {
        take(run, row, true, true, version);
    } else {
        run->fates[row] = K2_ROW_DUPLICATE;
    }
}

// A second row of a key, where the first one stays.
static void refuse_put(struct run *run, uint32_t row)
{
    const struct best *best = &run->best;
    bool same = best->deleted || (best->in_batch ? k2_same_content(run->batch, best->row, row)
                                                 : run->versions->matches[row].same);
    if (run->versions->rule == K2_REJECT_SECOND) {
        run->fates[row] = same ? K2_ROW_REPEATED : K2_ROW_CONFLICT;
    } else {
        run->fates[row] = same ? K2_ROW_DUPLICATE : K2_ROW_CONFLICT;
    }
}

static void take_put(struct run *run, uint32_t row)
{
    const struct best *best = &run->best;
    int64_t version = 0;
    bool has_version = version_of(run->batch, row, &version);
    if (best->there && run->versions->rule != K2_KEEP_LAST) {
        refuse_put(run, row);
    } else if (best->there && run->batch->schema->version_column != 0 &&
               !is_greater(has_version, version, best->has_version, best->version)) {
        run->fates[row] = K2_ROW_DUPLICATE;
    } else {
        take(run, row, false, has_version, version);
    }
}

// What the row that counts in the end does to the stored one.
static enum k2_status store_best(struct run *run, struct k2_error *error)
{
    struct k2_key_versions *versions = run->versions;
    uint32_t row = run->best.row;
    const struct k2_key_match *match = &versions->matches[row];
    bool stored = match->commit != 0, visible = stored && match->op != K2_OP_DELETE;
    int64_t version;
    if (!run->best.deleted && visible && match->same && run->batch->schema->version_column == 0) {
        run->fates[row] = K2_ROW_DUPLICATE;
        return K2_OK;
    }
    versions->ops[row] = (uint8_t)(run->best.deleted ? K2_OP_DELETE
                                   : stored          ? K2_OP_REPLACE
                                                     : K2_OP_PUT);
    versions->any_op |= versions->ops[row] != K2_OP_PUT;
    versions->hidden += (uint64_t)run->best.deleted + (uint64_t)visible;
    if (run->best.deleted && run->best.has_version && !version_of(run->batch, row, &version)) {
        if (versions->versions == NULL) {
            versions->versions = k2_alloc_zero(run->batch->row_count, sizeof *versions->versions);
        }
        if (versions->versions == NULL) {
            return k2_fail(error, K2_NO_MEMORY, "versions: out of memory");
        }
        versions->versions[row] = run->best.version;
    }
    return K2_OK;
}

// Rows order[begin..end) have one key and stand in order of arrival.
static enum k2_status resolve_run(struct run *run, const uint32_t *order, size_t begin, size_t end,
                                  struct k2_error *error)
{
    const struct k2_key_match *match = &run->versions->matches[order[begin]];
    run->best = (struct best){
        .there = match->commit != 0,
        .deleted = match->op == K2_OP_DELETE,
        .has_version = match->has_version,
        .version = match->version,
    };
    bool by_key = run->best.there && run->versions->rule == K2_KEEP_LAST;
    for (size_t i = begin; i < end; i++) {
        if (run->fates[order[i]] != K2_ROW_NEW && !by_key) {
            continue; // its number came before
        }
        if (k2_row_batch_op(run->batch, order[i]) == K2_OP_DELETE) {
            take_delete(run, order[i]);
        } else {
            take_put(run, order[i]);
        }
    }
    return run->best.in_batch ? store_best(run, error) : K2_OK;
}

enum k2_status k2_key_versions_resolve(struct k2_key_versions *versions,
                                       const struct k2_row_batch *batch, const uint32_t *order,
                                       uint8_t *fates, struct k2_error *error)
{
    struct run run = {.versions = versions, .batch = batch, .fates = fates};
    enum k2_status status = K2_OK;
    size_t end;
    for (size_t begin = 0; begin < batch->row_count && status == K2_OK; begin = end) {
        end = begin + 1;
        while (end < batch->row_count &&
               k2_row_key_compare(&batch->keys[order[begin]], &batch->keys[order[end]]) == 0) {
            end++;
        }
        status = resolve_run(&run, order, begin, end, error);
    }
    return status;
}
