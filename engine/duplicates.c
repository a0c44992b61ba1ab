#include "engine/duplicates.h"

#include "engine/group_rows.h"
#include "engine/plan.h"
#include "engine/row_order.h"
#include "format/base/alloc.h"

struct probe {
    const struct k2_schema *schema;
    const struct k2_row_batch *batch;
    const uint32_t *order;
    uint8_t *fates;
    struct k2_key_versions *versions; // without matches: the first row of a key is the only one
};

// Does the batch's value equal the stored one? `vector` NULL: the group is older than the column.
static bool same_value(const struct probe *probe, size_t column, uint32_t row,
                       const struct k2_vector *vector, uint32_t place)
{
    const struct k2_batch_column *mine = &probe->batch->columns[column];
    const struct k2_column *about = &probe->schema->columns[column];
    bool valid = mine->valid[row] != 0;
    bool fixed = k2_kind_is_fixed(about->kind);
    if (vector == NULL) {
        if (!about->has_default || !valid) {
            return !valid && !about->has_default;
        }
        return fixed ? mine->values[row] == about->default_value
                     : k2_slice_equal(k2_row_batch_text(probe->batch, mine->texts[row]),
                                      k2_slice_of(about->default_text));
    }
    bool stored_valid = vector->valid == NULL || vector->valid[place] != 0;
    if (valid != stored_valid || !valid) {
        return valid == stored_valid;
    }
    return fixed ? mine->values[row] == vector->values[place]
                 : k2_slice_equal(k2_row_batch_text(probe->batch, mine->texts[row]),
                                  vector->texts[place]);
}

static enum k2_status compare_stored(const struct probe *probe, struct k2_group_rows *rows,
                                     uint32_t stored_row, uint32_t row, bool *same,
                                     struct k2_error *error)
{
    *same = true;
    for (size_t i = K2_KEY_COLUMN_COUNT; i < probe->schema->column_count; i++) {
        const struct k2_vector *vector;
        uint32_t place;
        if (!probe->schema->columns[i].identity) {
            continue;
        }
        enum k2_status status = k2_group_rows_vector(rows, i, stored_row, &vector, &place, error);
        if (status != K2_OK) {
            return status;
        }
        if (!same_value(probe, i, row, vector, place)) {
            *same = false;
            break;
        }
    }
    return K2_OK;
}

static enum k2_status read_version(const struct probe *probe, struct k2_group_rows *rows,
                                   uint32_t stored_row, struct k2_key_match *match,
                                   struct k2_error *error)
{
    const struct k2_vector *vector = NULL;
    uint32_t place;
    size_t column = probe->schema->version_column;
    enum k2_status status =
        column == 0 ? K2_OK
                    : k2_group_rows_vector(rows, column, stored_row, &vector, &place, error);
    if (status == K2_OK && vector != NULL) {
        match->has_version = vector->valid == NULL || vector->valid[place] != 0;
        match->version = vector->values[place];
    } else if (column != 0) { // older than the column
        match->has_version = probe->schema->columns[column].has_default;
        match->version = probe->schema->columns[column].default_value;
    }
    return status;
}

// Notes the stored row with the batch row, unless a newer one of its key was met before.
static enum k2_status note_match(const struct probe *probe, struct k2_group_rows *rows,
                                 uint32_t stored_row, uint32_t row, struct k2_error *error)
{
    struct k2_key_match *match = &probe->versions->matches[row];
    int64_t commit = 0, op = K2_OP_PUT;
    enum k2_status status =
        k2_group_rows_hidden(rows, K2_COLUMN_ID_COMMIT, stored_row, &commit, error);
    if (status != K2_OK || (uint64_t)commit <= match->commit) {
        return status;
    }
    status = k2_group_rows_hidden(rows, K2_COLUMN_ID_OP, stored_row, &op, error);
    *match = (struct k2_key_match){.commit = (uint64_t)commit, .op = (uint8_t)op};
    if (status == K2_OK && op != K2_OP_DELETE) {
        status = compare_stored(probe, rows, stored_row, row, &match->same, error);
    }
    return status == K2_OK ? read_version(probe, rows, stored_row, match, error) : status;
}

// The stored row has the key of the rows from order[low] on.
static enum k2_status meet(const struct probe *probe, struct k2_group_rows *rows,
                           uint32_t stored_row, size_t low, size_t high, struct k2_error *error)
{
    const struct k2_row_key *keys = probe->batch->keys;
    enum k2_status status = K2_OK;
    for (size_t i = low; i < high && status == K2_OK; i++) {
        uint32_t row = probe->order[i];
        bool same;
        if (k2_row_key_compare(&keys[row], &keys[probe->order[low]]) != 0) {
            break;
        }
        if (probe->versions->matches != NULL) {
            status = note_match(probe, rows, stored_row, row, error);
        } else {
            status = compare_stored(probe, rows, stored_row, row, &same, error);
            if (probe->fates[row] == K2_ROW_NEW) {
                probe->fates[row] = same ? K2_ROW_DUPLICATE : K2_ROW_CONFLICT;
            }
        }
    }
    return status;
}

// The first place in order[low..high) whose row's time is at least `time_ns`.
static size_t first_at(const struct probe *probe, size_t low, size_t high, int64_t time_ns)
{
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (probe->batch->keys[probe->order[middle]].time_ns < time_ns) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

// Where rows of the entry can equal rows of the batch: the entry's first row whose time is at
// least `time_ns`.
static enum k2_status first_stored(struct k2_group_rows *rows,
                                   const struct k2_directory_entry *entry, int64_t time_ns,
                                   uint32_t *row, struct k2_error *error)
{
    uint32_t low = entry->first_row, high = entry->first_row + entry->row_count;
    enum k2_status status = K2_OK;
    if (time_ns <= entry->time_min_ns) {
        high = low;
    }
    while (low < high && status == K2_OK) {
        uint32_t middle = low + (high - low) / 2, place;
        const struct k2_vector *times;
        status = k2_group_rows_vector(rows, K2_TIMESTAMP, middle, &times, &place, error);
        if (status == K2_OK && times == NULL) {
            status = k2_fail(error, K2_CORRUPT, "the timestamps are missing");
        }
        if (status == K2_OK && times->values[place] < time_ns) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *row = low;
    return status;
}

// Walks the rows of an entry and order[low..high), both sorted, side by side.
static enum k2_status join(const struct probe *probe, struct k2_group_rows *rows,
                           const struct k2_directory_entry *entry, size_t low, size_t high,
                           struct k2_error *error)
{
    uint32_t stored_row;
    struct k2_row_key stored = {.instrument = probe->batch->keys[probe->order[low]].instrument};
    enum k2_status status = first_stored(rows, entry, probe->batch->keys[probe->order[low]].time_ns,
                                         &stored_row, error);
    uint32_t end = entry->first_row + entry->row_count;
    while (status == K2_OK && stored_row < end && low < high) {
        status = k2_group_rows_key(rows, stored_row, &stored.time_ns, &stored.epoch,
                                   &stored.sequence, error);
        if (status != K2_OK) {
            break;
        }
        int order = k2_row_key_compare(&stored, &probe->batch->keys[probe->order[low]]);
        if (order == 0) {
            status = meet(probe, rows, stored_row, low, high, error);
        }
        if (order <= 0) { // further stored rows may be versions of the same key
            stored_row++;
        } else {
            low++;
        }
    }
    return status;
}

// Can a row of order[low..high) have a key of the entry at all?
static bool may_meet(const struct probe *probe, const struct k2_directory_entry *entry, size_t low,
                     size_t high)
{
    if (low >= high) {
        return false;
    }
    const struct k2_row_key *first = &probe->batch->keys[probe->order[low]];
    if (first->time_ns < entry->time_max_ns) {
        return true;
    }
    // All rows stand at the entry's last instant, as at the seam of two commits.
    for (size_t i = low; i < high; i++) {
        const struct k2_row_key *key = &probe->batch->keys[probe->order[i]];
        if (key->epoch >= entry->epoch_min && key->epoch <= entry->epoch_max &&
            key->sequence >= entry->sequence_min && key->sequence <= entry->sequence_max) {
            return true;
        }
    }
    return false;
}

static size_t instrument_end(const struct probe *probe, size_t start)
{
    uint32_t instrument = probe->batch->keys[probe->order[start]].instrument;
    size_t low = start + 1, high = probe->batch->row_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (probe->batch->keys[probe->order[middle]].instrument == instrument) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static enum k2_status probe_entry(const struct probe *probe, const struct k2_row_group_view *view,
                                  struct k2_group_rows **rows,
                                  const struct k2_directory_entry *entry, size_t start,
                                  struct k2_error *error)
{
    size_t end = instrument_end(probe, start);
    size_t low = first_at(probe, start, end, entry->time_min_ns);
    size_t high =
        entry->time_max_ns == INT64_MAX ? end : first_at(probe, low, end, entry->time_max_ns + 1);
    enum k2_status status = K2_OK;
    if (may_meet(probe, entry, low, high)) {
        if (*rows == NULL) {
            status = k2_group_rows_open(rows, view, probe->schema, error);
        }
        if (status == K2_OK) {
            status = join(probe, *rows, entry, low, high, error);
        }
    }
    return status;
}

static enum k2_status probe_group(const struct probe *probe, const struct k2_row_group_view *view,
                                  struct k2_error *error)
{
    struct k2_group_rows *rows = NULL;
    size_t entry_count, start = 0;
    const struct k2_directory_entry *entries = k2_row_group_view_directory(view, &entry_count);
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < entry_count && status == K2_OK; i++) { // both ascend by instrument
        while (start < probe->batch->row_count &&
               probe->batch->keys[probe->order[start]].instrument < entries[i].instrument) {
            start = instrument_end(probe, start);
        }
        if (start == probe->batch->row_count) {
            break;
        }
        if (probe->batch->keys[probe->order[start]].instrument == entries[i].instrument) {
            status = probe_entry(probe, view, &rows, &entries[i], start, error);
        }
    }
    k2_group_rows_close(rows);
    return status;
}

static enum k2_status probe_groups(const struct probe *probe, struct k2_plan *plan,
                                   struct k2_error *error)
{
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < plan->group_count && status == K2_OK; i++) {
        const struct k2_row_group_view *view = NULL;
        status = k2_plan_acquire(plan, i, &view, error);
        if (status == K2_OK) {
            status = probe_group(probe, view, error);
            if (status != K2_OK) {
                k2_error_annotate(error, "segment %016llx: group at byte %llu",
                                  (unsigned long long)plan->groups[i].segment_id,
                                  (unsigned long long)plan->groups[i].offset);
            }
            k2_plan_release(plan, i);
        }
    }
    return status;
}

// A table whose rows were never replaced or deleted, and that keeps the first one, is the common
// case and the simple one.
static bool has_versions(const struct probe *probe, enum k2_duplicate_rule rule,
                         const struct k2_plan *plan)
{
    bool versions = rule != K2_KEEP_FIRST || probe->batch->ops != NULL;
    for (size_t i = 0; i < plan->group_count; i++) {
        versions |= plan->groups[i].versions;
    }
    return versions;
}

static enum k2_status probe_stored(struct k2_engine *engine, const struct k2_table *table,
                                   const struct probe *probe, enum k2_duplicate_rule rule,
                                   const uint32_t *instruments, size_t instrument_count,
                                   struct k2_error *error)
{
    struct k2_plan_request request = {
        .table = table,
        .time_min_ns = INT64_MAX,
        .time_max_ns = INT64_MIN,
        .snapshot = UINT64_MAX,
        .instruments = instruments,
        .instrument_count = instrument_count,
    };
    for (size_t i = 0; i < probe->batch->row_count; i++) {
        int64_t time_ns = probe->batch->keys[i].time_ns;
        request.time_min_ns = time_ns < request.time_min_ns ? time_ns : request.time_min_ns;
        request.time_max_ns = time_ns > request.time_max_ns ? time_ns : request.time_max_ns;
    }
    struct k2_plan plan;
    enum k2_status status = k2_plan_open(engine, &request, &plan, error);
    if (status != K2_OK) {
        return status;
    }
    if (has_versions(probe, rule, &plan)) {
        status = k2_key_versions_init(probe->versions, rule, probe->batch->row_count, error);
    }
    if (status == K2_OK) {
        status = probe_groups(probe, &plan, error);
    }
    k2_plan_close(&plan);
    return status;
}

// Among rows of one key that nothing stored has, the first to arrive is the row.
static void probe_batch(const struct probe *probe)
{
    const struct k2_row_key *keys = probe->batch->keys;
    size_t first = 0;
    for (size_t i = 1; i < probe->batch->row_count; i++) {
        uint32_t row = probe->order[i], kept = probe->order[first];
        if (k2_row_key_compare(&keys[kept], &keys[row]) != 0) {
            first = i;
        } else if (probe->fates[row] == K2_ROW_NEW) {
            probe->fates[row] =
                k2_same_content(probe->batch, kept, row) ? K2_ROW_DUPLICATE : K2_ROW_CONFLICT;
        }
    }
}

enum k2_status k2_duplicates_by_key(struct k2_engine *engine, const struct k2_table *table,
                                    const struct k2_row_batch *batch, enum k2_duplicate_rule rule,
                                    const uint32_t *order, uint8_t *fates,
                                    struct k2_key_versions *versions, struct k2_error *error)
{
    struct probe probe = {batch->schema, batch, order, fates, versions};
    uint32_t *instruments = k2_alloc(batch->row_count * sizeof *instruments);
    size_t instrument_count = 0;
    *versions = (struct k2_key_versions){.rule = rule};
    if (instruments == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "duplicates: out of memory");
    }
    for (size_t i = 0; i < batch->row_count; i = instrument_end(&probe, i)) {
        instruments[instrument_count++] = batch->keys[order[i]].instrument;
    }
    enum k2_status status =
        batch->row_count == 0
            ? K2_OK
            : probe_stored(engine, table, &probe, rule, instruments, instrument_count, error);
    if (status == K2_OK && versions->matches != NULL) {
        status = k2_key_versions_resolve(versions, batch, order, fates, error);
    } else if (status == K2_OK) {
        probe_batch(&probe);
    }
    if (status != K2_OK) {
        k2_key_versions_deinit(versions);
    }
    k2_free(instruments);
    return status;
}
