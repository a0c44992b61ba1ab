// Which of the groups found count; declared in salvage.h.
//
// A run is one writer process; its commits have rising ids, one more than the last that succeeded.
// What a commit wrote before it failed stays in the file, so one id may have been tried more than
// once: the last try counts, if anything shows that it succeeded.
#include <stdlib.h>

#include "engine/salvage.h"
#include "format/base/alloc.h"

// A run, and the least base of all runs after it.
struct run {
    uint64_t id, base, least_later_base;
};

// The groups [begin, end) of `order`: one try of one commit, in the order in which it wrote them.
struct attempt {
    size_t begin, end;
};

struct decision {
    struct k2_salvage *salvage;
    struct run *runs; // owned, by id
    size_t run_count;
    struct k2_salvaged_group **order; // owned: groups of commits by (run, commit, place)
    size_t order_count;
    struct attempt *rewrites; // owned, by commit
    size_t rewrite_count;
    uint64_t newest_rewrite; // the newest that counts; 0: none
};

static int compare(uint64_t left, uint64_t right)
{
    return (left > right) - (left < right);
}

static int compare_runs(const void *left, const void *right)
{
    const struct run *a = left, *b = right;
    return compare(a->id, b->id);
}

static int compare_order(const void *left, const void *right)
{
    const struct k2_salvaged_group *a = *(struct k2_salvaged_group *const *)left;
    const struct k2_salvaged_group *b = *(struct k2_salvaged_group *const *)right;
    if (a->run != b->run || a->commit != b->commit) {
        return a->run != b->run ? compare(a->run, b->run) : compare(a->commit, b->commit);
    }
    return a->place.segment_id != b->place.segment_id
               ? compare(a->place.segment_id, b->place.segment_id)
               : compare(a->place.offset, b->place.offset);
}

static void list_runs(struct decision *self)
{
    struct k2_salvage *salvage = self->salvage;
    size_t count = 0;
    for (size_t i = 0; i < salvage->group_count; i++) {
        const struct k2_salvaged_group *group = &salvage->groups[i];
        if (group->state != K2_SALVAGED_BARE) {
            self->runs[count++] = (struct run){.id = group->run, .base = group->run_base};
            uint64_t before =
                group->alone || group->commit == 0 ? group->commit : group->commit - 1;
            salvage->proven_commit =
                before > salvage->proven_commit ? before : salvage->proven_commit;
            salvage->newest_run =
                group->run > salvage->newest_run ? group->run : salvage->newest_run;
        }
    }
    if (count > 0) {
        qsort(self->runs, count, sizeof *self->runs, compare_runs);
    }
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || self->runs[i].id != self->runs[i - 1].id) {
            self->runs[self->run_count++] = self->runs[i];
        }
    }
    uint64_t least = UINT64_MAX;
    for (size_t i = self->run_count; i > 0; i--) {
        self->runs[i - 1].least_later_base = least;
        least = self->runs[i - 1].base < least ? self->runs[i - 1].base : least;
    }
}

static bool is_void(const struct decision *self, const struct k2_salvaged_group *group)
{
    struct run wanted = {.id = group->run};
    const struct run *run =
        bsearch(&wanted, self->runs, self->run_count, sizeof wanted, compare_runs);
    return run->least_later_base < group->commit;
}

static bool is_whole(const struct decision *self, const struct attempt *attempt)
{
    const struct k2_salvaged_group *last = self->order[attempt->end - 1];
    bool sound = last->part_count == attempt->end - attempt->begin;
    for (size_t i = attempt->begin; i < attempt->end; i++) {
        sound &= self->order[i]->state == K2_SALVAGED_SOUND;
    }
    return sound;
}

// A commit of which it is shown that it succeeded counts as far as it can be read; the newest one
// only if it is whole. What of it can not be read is lost.
static void decide_attempt(struct decision *self, const struct attempt *attempt)
{
    const struct k2_salvaged_group *first = self->order[attempt->begin];
    if (is_void(self, first)) {
        return;
    }
    bool rewrite = first->record.level > 0; // of which more is known later
    bool counts =
        rewrite || first->commit <= self->salvage->proven_commit || is_whole(self, attempt);
    for (size_t i = attempt->begin; i < attempt->end; i++) {
        bool sound = self->order[i]->state == K2_SALVAGED_SOUND;
        self->order[i]->counts = counts && sound;
        self->order[i]->lost = !counts || !sound;
    }
    if (rewrite) {
        self->rewrites[self->rewrite_count++] = *attempt;
    }
}

static void decide_commits(struct decision *self)
{
    struct attempt attempt = {0};
    for (size_t i = 0; i < self->order_count; i++) {
        const struct k2_salvaged_group *group = self->order[i];
        const struct k2_salvaged_group *next =
            i + 1 < self->order_count ? self->order[i + 1] : NULL;
        bool same_commit = next != NULL && next->run == group->run && next->commit == group->commit;
        bool same_attempt =
            same_commit && next->part > group->part && next->record.level == group->record.level;
        attempt.end = i + 1;
        if (!same_commit) {
            decide_attempt(self, &attempt);
        }
        attempt.begin = same_attempt ? attempt.begin : i + 1;
    }
}

static int compare_rewrites(const void *left, const void *right)
{
    const struct attempt *a = left, *b = right; // `order` has them by run, and runs by commit
    return compare(b->begin, a->begin);
}

// Is there an older group with rows of a snapshot that this group of a rewrite has?
static enum k2_status find_older(struct k2_salvage *salvage, const struct k2_salvaged_group *group,
                                 bool *found, struct k2_error *error)
{
    uint64_t commit = group->record.commit_min;
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < salvage->group_count && !*found && status == K2_OK; i++) {
        const struct k2_salvaged_group *older = &salvage->groups[i];
        if (older->counts && older->commit < group->commit &&
            older->place.table == group->place.table && older->record.commit_min <= commit &&
            older->record.commit_max >= commit) {
            status = k2_salvage_has_commit(salvage, older, commit, found, error);
        }
    }
    return status;
}

// Inputs go when a rewrite has succeeded, so one that is still there speaks against one that is not
// whole; and if all are gone, it did succeed.
static enum k2_status find_inputs(const struct decision *self, const struct attempt *rewrite,
                                  bool *found, struct k2_error *error)
{
    enum k2_status status = K2_OK;
    *found = false;
    for (size_t i = rewrite->begin; i < rewrite->end && !*found && status == K2_OK; i++) {
        if (self->order[i]->state == K2_SALVAGED_SOUND) {
            status = find_older(self->salvage, self->order[i], found, error);
        }
    }
    return status;
}

static void replace_inputs(struct k2_salvage *salvage, const struct k2_salvaged_group *last)
{
    for (size_t i = 0; i < last->input_count; i++) {
        uint64_t id = salvage->inputs[last->first_input + i].segment_id;
        struct k2_salvaged_segment *segment = k2_salvage_segment(salvage, id);
        if (segment != NULL) {
            segment->replaced = true;
        }
    }
}

static enum k2_status decide_rewrites(struct decision *self, struct k2_error *error)
{
    struct k2_salvage *salvage = self->salvage;
    if (self->rewrite_count > 1) {
        qsort(self->rewrites, self->rewrite_count, sizeof *self->rewrites, compare_rewrites);
    }
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < self->rewrite_count && status == K2_OK; i++) { // the newest first
        const struct attempt *rewrite = &self->rewrites[i];
        const struct k2_salvaged_group *last = self->order[rewrite->end - 1];
        bool told = last->part_count > 0, inputs_there = false;
        if (!is_whole(self, rewrite) && (!told || last->commit > salvage->proven_commit)) {
            status = find_inputs(self, rewrite, &inputs_there, error);
        }
        if (!inputs_there) {
            replace_inputs(salvage, last);
            self->newest_rewrite =
                last->commit > self->newest_rewrite ? last->commit : self->newest_rewrite;
        } else {
            for (size_t j = rewrite->begin; j < rewrite->end; j++) {
                self->order[j]->counts = self->order[j]->lost = false;
            }
        }
    }
    for (size_t i = 0; i < salvage->group_count; i++) {
        struct k2_salvaged_group *group = &salvage->groups[i];
        if (k2_salvage_segment(salvage, group->place.segment_id)->replaced) {
            group->counts = group->lost = false;
        }
    }
    return status;
}

// A rewrite tells its own inputs only. Of older ones that are still there, because an unlink was
// lost, the rows tell: they are in a later rewrite, too.
static enum k2_status find_stale(struct decision *self, struct k2_error *error)
{
    struct k2_salvage *salvage = self->salvage;
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < salvage->group_count; i++) {
        struct k2_salvaged_group *group = &salvage->groups[i];
        if (!group->counts || group->alone || group->commit >= self->newest_rewrite) {
            continue;
        }
        bool stale = false;
        uint64_t commit = group->record.commit_min;
        for (size_t j = 0; j < salvage->group_count && !stale && status == K2_OK; j++) {
            const struct k2_salvaged_group *other = &salvage->groups[j];
            if (other->counts && other->record.level > 0 && other->commit > group->commit &&
                other->place.table == group->place.table && other->record.commit_min <= commit &&
                other->record.commit_max >= commit) {
                status = k2_salvage_has_commit(salvage, other, commit, &stale, error);
            }
        }
        group->counts = !stale;
    }
    return status;
}

static bool is_there(const struct k2_salvage *salvage, uint64_t commit)
{
    for (size_t i = 0; i < salvage->group_count; i++) {
        const struct k2_salvaged_group *group = &salvage->groups[i];
        if (group->counts && !group->alone && group->commit == commit) {
            return true;
        }
    }
    return false;
}

// Unreadable bytes were rows, unless they end a file and the commit that would have been there is
// elsewhere: then they are what a failed try of it left.
static void decide_bare(struct k2_salvage *salvage)
{
    const struct k2_salvaged_group *before = NULL;
    for (size_t i = 0; i < salvage->group_count; i++) {
        struct k2_salvaged_group *group = &salvage->groups[i];
        bool follows = before != NULL && before->place.segment_id == group->place.segment_id;
        const struct k2_salvaged_segment *segment =
            k2_salvage_segment(salvage, group->place.segment_id);
        if (group->state == K2_SALVAGED_BARE && !segment->replaced) {
            bool ends = group->place.offset + group->length_bytes == segment->size_bytes;
            bool elsewhere = follows && is_there(salvage, before->commit + 1);
            group->lost = !(ends && elsewhere);
        }
        before = group->state == K2_SALVAGED_BARE && follows ? before : group;
    }
}

static int compare_numbers(const void *left, const void *right)
{
    return compare(*(const uint64_t *)left, *(const uint64_t *)right);
}

// Commits after the newest rewrite each have a group, or are missing.
static enum k2_status find_missing(struct decision *self, struct k2_error *error)
{
    struct k2_salvage *salvage = self->salvage;
    uint64_t *ids = k2_alloc_zero(self->order_count + 1, sizeof *ids);
    if (ids == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "repair: out of memory");
    }
    size_t count = 0;
    for (size_t i = 0; i < self->order_count; i++) {
        const struct k2_salvaged_group *group = self->order[i];
        if ((group->counts || group->lost) && group->commit > self->newest_rewrite) {
            ids[count++] = group->commit;
        }
    }
    qsort(ids, count + 1, sizeof *ids, compare_numbers); // a 0 leads
    uint64_t before = self->newest_rewrite;
    ids[0] = before;
    for (size_t i = 1; i <= count + 1; i++) {
        uint64_t next = i <= count ? ids[i] : salvage->proven_commit + 1;
        if (next > before + 1) {
            salvage->first_missing =
                salvage->missing_count == 0 ? before + 1 : salvage->first_missing;
            salvage->last_missing = next - 1;
            salvage->missing_count += next - 1 - before;
        }
        before = next > before ? next : before;
    }
    k2_free(ids);
    return K2_OK;
}

enum k2_status k2_salvage_decide(struct k2_salvage *salvage, struct k2_error *error)
{
    struct decision self = {.salvage = salvage};
    size_t room = salvage->group_count;
    self.runs = k2_alloc_zero(room, sizeof *self.runs);
    self.order = k2_alloc_zero(room, sizeof(struct k2_salvaged_group *));
    self.rewrites = k2_alloc_zero(room, sizeof *self.rewrites);
    enum k2_status status = K2_OK;
    if (self.runs == NULL || self.order == NULL || self.rewrites == NULL) {
        status = k2_fail(error, K2_NO_MEMORY, "repair: out of memory");
    } else {
        list_runs(&self);
        for (size_t i = 0; i < room; i++) {
            struct k2_salvaged_group *group = &salvage->groups[i];
            if (group->state == K2_SALVAGED_BARE) {
                continue;
            }
            if (group->alone) {
                group->counts = group->state == K2_SALVAGED_SOUND;
                group->lost = !group->counts;
            } else {
                self.order[self.order_count++] = group;
            }
        }
        if (self.order_count > 0) {
            qsort(self.order, self.order_count, sizeof(struct k2_salvaged_group *), compare_order);
        }
        decide_commits(&self);
        status = decide_rewrites(&self, error);
        if (status == K2_OK) {
            status = find_stale(&self, error);
        }
        decide_bare(salvage);
        if (status == K2_OK) {
            status = find_missing(&self, error);
        }
    }
    k2_free(self.runs);
    k2_free(self.order);
    k2_free(self.rewrites);
    return status;
}
