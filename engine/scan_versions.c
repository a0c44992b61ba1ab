#include "engine/scan_versions.h"

#include "format/base/alloc.h"

enum {
    MOST_OPEN_READERS = 4096,
    KEPT_SLOTS = K2_SLOT_FIRST_DATA,
    PART_ROWS = 4096, // replacing rows that are looked for at once
};

// A row that takes the place of the older ones of its key.
struct replacing {
    uint32_t row;
    bool deletes;
    int64_t time_ns, epoch, sequence;
    uint64_t commit;
};

struct finder {
    struct k2_group_set *set;
    int64_t first_ns, last_ns;
    uint64_t snapshot;
    struct replacing *rows; // owned: PART_ROWS
    size_t row_count;
    // The block of each slot that was read last.
    struct k2_vector_store *stores; // owned, by slot
    struct {
        const struct k2_group_cursor *cursor; // NULL: none
        uint32_t block;
        struct k2_vector vector;
    } kept[KEPT_SLOTS];
};

static enum k2_status value_of(struct finder *self, struct k2_group_cursor *cursor, size_t slot,
                               uint32_t row, int64_t *value, struct k2_error *error)
{
    uint32_t block = row / K2_BLOCK_ROWS;
    enum k2_status status = K2_OK;
    if (self->kept[slot].cursor != cursor || self->kept[slot].block != block) {
        self->kept[slot].cursor = NULL;
        status = k2_group_set_decode(self->set, cursor, slot, block, &self->stores[slot],
                                     &self->kept[slot].vector, error);
        self->kept[slot].block = block;
        self->kept[slot].cursor = status == K2_OK ? cursor : NULL;
    }
    if (status == K2_OK) {
        *value = self->kept[slot].vector.values[row % K2_BLOCK_ROWS];
    }
    return status;
}

static enum k2_status hide(struct finder *self, size_t group_index, uint32_t row,
                           struct k2_error *error)
{
    struct k2_group_set *set = self->set;
    if (set->hidden == NULL) {
        set->hidden = k2_alloc_zero(set->plan.group_count, sizeof(uint64_t *));
    }
    if (set->hidden != NULL && set->hidden[group_index] == NULL) {
        size_t words = (size_t)set->plan.groups[group_index].row_count / 64 + 1;
        set->hidden[group_index] = k2_alloc_zero(words, sizeof(uint64_t));
    }
    if (set->hidden == NULL || set->hidden[group_index] == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "scan: no memory for replaced rows");
    }
    set->hidden[group_index][row / 64] |= (uint64_t)1 << row % 64;
    return K2_OK;
}

// -1, 0, 1: where the key of `row` stands to that of the replacing row, whose time it has.
static enum k2_status compare(struct finder *self, struct k2_group_cursor *cursor, uint32_t row,
                              const struct replacing *with, int *order, struct k2_error *error)
{
    int64_t epoch = 0, sequence = 0;
    enum k2_status status = value_of(self, cursor, K2_SLOT_EPOCH, row, &epoch, error);
    if (status == K2_OK) {
        status = value_of(self, cursor, K2_SLOT_SEQUENCE, row, &sequence, error);
    }
    *order = epoch != with->epoch ? (epoch < with->epoch ? -1 : 1)
                                  : (sequence > with->sequence) - (sequence < with->sequence);
    return status;
}

// Hides the older rows of the key in an entry of a group.
static enum k2_status hide_older(struct finder *self, size_t group_index,
                                 struct k2_group_cursor *cursor, size_t entry,
                                 const struct replacing *by, struct k2_error *error)
{
    uint32_t begin, end;
    int order = 1;
    enum k2_status status = k2_group_set_locate(self->set, cursor, entry, by->time_ns, by->time_ns,
                                                &begin, &end, error);
    uint32_t low = begin, high = end;
    while (status == K2_OK && low < high) { // the first row at or behind the key
        uint32_t middle = low + (high - low) / 2;
        status = compare(self, cursor, middle, by, &order, error);
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for (uint32_t row = low; status == K2_OK && row < end; row++) {
        int64_t commit = 0;
        status = compare(self, cursor, row, by, &order, error);
        if (status != K2_OK || order != 0) {
            break;
        }
        status = value_of(self, cursor, K2_SLOT_COMMIT, row, &commit, error);
        if (status == K2_OK && (uint64_t)commit < by->commit) {
            status = hide(self, group_index, row, error);
        }
    }
    return status;
}

// The place in cursor->wanted of the first entry of an instrument.
static size_t find_wanted(const struct k2_group_cursor *cursor, uint32_t instrument)
{
    size_t low = 0, high = cursor->wanted_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (cursor->entries[cursor->wanted[middle].entry].instrument < instrument) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static enum k2_status hide_in_group(struct finder *self, size_t group_index, uint32_t instrument,
                                    struct k2_error *error)
{
    struct k2_group_cursor *cursor;
    enum k2_status status = k2_group_set_cursor(self->set, group_index, &cursor, error);
    if (status == K2_OK) {
        status = k2_group_set_wanted(self->set, cursor, error);
    }
    for (size_t i = status == K2_OK ? find_wanted(cursor, instrument) : SIZE_MAX;
         status == K2_OK && i < cursor->wanted_count; i++) {
        const struct k2_directory_entry *entry = &cursor->entries[cursor->wanted[i].entry];
        if (entry->instrument != instrument) {
            break;
        }
        for (size_t j = 0; j < self->row_count && status == K2_OK; j++) {
            const struct replacing *by = &self->rows[j];
            if (by->time_ns >= entry->time_min_ns && by->time_ns <= entry->time_max_ns) {
                status = hide_older(self, group_index, cursor, cursor->wanted[i].entry, by, error);
            }
        }
    }
    return status;
}

// Hides what the collected rows of an instrument take the place of.
static enum k2_status apply(struct finder *self, uint32_t instrument, struct k2_error *error)
{
    const struct k2_plan *plan = &self->set->plan;
    enum k2_status status = K2_OK;
    for (size_t i = 0; self->row_count > 0 && i < plan->group_count && status == K2_OK; i++) {
        const struct k2_plan_group *group = &plan->groups[i];
        if (group->time_min_ns <= self->rows[self->row_count - 1].time_ns &&
            group->time_max_ns >= self->rows[0].time_ns && group->instrument_min <= instrument &&
            group->instrument_max >= instrument && group->commit_min < self->snapshot) {
            status = hide_in_group(self, i, instrument, error);
        }
    }
    self->row_count = 0;
    return status;
}

static enum k2_status read_replacing(struct finder *self, struct k2_group_cursor *cursor,
                                     uint32_t row, struct k2_error *error)
{
    struct replacing *found = &self->rows[self->row_count++];
    *found = (struct replacing){.row = row};
    enum k2_status status = value_of(self, cursor, K2_SLOT_TIME, row, &found->time_ns, error);
    if (status == K2_OK) {
        status = value_of(self, cursor, K2_SLOT_EPOCH, row, &found->epoch, error);
    }
    return status == K2_OK ? value_of(self, cursor, K2_SLOT_SEQUENCE, row, &found->sequence, error)
                           : status;
}

// Looks at one row of a group that may have versions.
static enum k2_status visit_row(struct finder *self, size_t group_index,
                                struct k2_group_cursor *cursor, uint32_t row,
                                struct k2_error *error)
{
    int64_t op = K2_OP_PUT, until = 0, commit = 0;
    enum k2_status status = value_of(self, cursor, K2_SLOT_OP, row, &op, error);
    if (status == K2_OK) {
        status = value_of(self, cursor, K2_SLOT_UNTIL, row, &until, error);
    }
    if (status != K2_OK || (op == K2_OP_PUT && until == 0)) {
        return status;
    }
    status = value_of(self, cursor, K2_SLOT_COMMIT, row, &commit, error);
    if (status != K2_OK || (uint64_t)commit > self->snapshot) {
        return status; // nobody sees it anyway
    }
    if (op == K2_OP_DELETE || (until != 0 && (uint64_t)until <= self->snapshot)) {
        status = hide(self, group_index, row, error);
    }
    if (status == K2_OK && op != K2_OP_PUT) {
        status = read_replacing(self, cursor, row, error);
        self->rows[self->row_count - 1].commit = (uint64_t)commit;
    }
    return status;
}

static enum k2_status visit_entry(struct finder *self, size_t group_index,
                                  struct k2_group_cursor *cursor, size_t entry_index,
                                  struct k2_error *error)
{
    const struct k2_directory_entry *entry = &cursor->entries[entry_index];
    uint32_t begin, end;
    enum k2_status status = k2_group_set_locate(self->set, cursor, entry_index, self->first_ns,
                                                self->last_ns, &begin, &end, error);
    for (uint32_t row = begin; status == K2_OK && row < end; row++) {
        status = visit_row(self, group_index, cursor, row, error);
        if (status == K2_OK && self->row_count == PART_ROWS) {
            status = apply(self, entry->instrument, error);
        }
    }
    return status == K2_OK ? apply(self, entry->instrument, error) : status;
}

static enum k2_status visit_group(struct finder *self, size_t group_index, struct k2_error *error)
{
    struct k2_group_cursor *cursor;
    enum k2_status status = k2_group_set_cursor(self->set, group_index, &cursor, error);
    if (status == K2_OK) {
        status = k2_group_set_wanted(self->set, cursor, error);
    }
    for (size_t i = 0; status == K2_OK && i < cursor->wanted_count; i++) {
        status = visit_entry(self, group_index, cursor, cursor->wanted[i].entry, error);
    }
    if (self->set->open_readers > MOST_OPEN_READERS) {
        k2_group_set_close_readers(self->set);
    }
    return status;
}

enum k2_status k2_scan_versions_find(struct k2_group_set *set, int64_t first_ns, int64_t last_ns,
                                     uint64_t snapshot, struct k2_error *error)
{
    struct finder self = {
        .set = set, .first_ns = first_ns, .last_ns = last_ns, .snapshot = snapshot};
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < set->plan.group_count && status == K2_OK; i++) {
        const struct k2_plan_group *group = &set->plan.groups[i];
        if (!group->versions || group->commit_min > snapshot || group->time_min_ns > last_ns ||
            group->time_max_ns < first_ns) {
            continue;
        }
        if (self.stores == NULL) {
            self.stores = k2_alloc_aligned(KEPT_SLOTS * sizeof *self.stores);
            self.rows = k2_alloc(PART_ROWS * sizeof *self.rows);
        }
        status = self.stores == NULL || self.rows == NULL
                     ? k2_fail(error, K2_NO_MEMORY, "scan: no memory for replaced rows")
                     : visit_group(&self, i, error);
    }
    k2_free(self.stores);
    k2_free(self.rows);
    return status;
}
