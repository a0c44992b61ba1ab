// Which of the groups found count; declared in salvage.h.
//
// A run is one writer process; its commits have rising ids, one more than the last that succeeded.
// What a commit wrote before it failed stays in the file, so one id may have been tried more than
// once: the last try counts, if anything shows that it succeeded.
//
// A rewrite has a file of its own, and every part of it names what it has replaced. They are judged
// from the newest on: what a newer one has taken is theirs no more.
#include <assert.h>
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

// What a rewrite that counts says of a range of a segment.
struct claim {
    uint16_t table;
    struct k2_rewrite_input range;
};

struct decision {
    struct k2_salvage *salvage;
    struct run *runs; // owned, by id
    size_t run_count;
    struct k2_salvaged_group **order; // owned: groups of commits by (run, commit, place)
    size_t order_count;
    struct claim *claims; // owned
    size_t claim_count, claim_room;
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
            // A rewrite, as a group that stands alone, has the number of a commit before it.
            bool follows = group->alone || group->record.level != K2_LEVEL_COMMIT;
            uint64_t before = follows || group->commit == 0 ? group->commit : group->commit - 1;
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
    assert(first != NULL);
    if (is_void(self, first)) {
        return;
    }
    bool counts = first->commit <= self->salvage->proven_commit || is_whole(self, attempt);
    for (size_t i = attempt->begin; i < attempt->end; i++) {
        bool sound = self->order[i]->state == K2_SALVAGED_SOUND;
        self->order[i]->counts = counts && sound;
        self->order[i]->lost = !counts || !sound;
    }
}

static void decide_commits(struct decision *self)
{
    struct attempt attempt = {0};
    for (size_t i = 0; i < self->order_count; i++) {
        const struct k2_salvaged_group *group = self->order[i];
        assert(group != NULL);
        const struct k2_salvaged_group *next =
            i + 1 < self->order_count ? self->order[i + 1] : NULL;
        bool same_commit = next != NULL && next->run == group->run && next->commit == group->commit;
        bool same_attempt = same_commit && next->part > group->part;
        attempt.end = i + 1;
        if (!same_commit) {
            decide_attempt(self, &attempt);
        }
        attempt.begin = same_attempt ? attempt.begin : i + 1;
    }
}

// ---- rewrites

// A segment with a rewrite: its groups, and one that can be read.
struct rewrite {
    size_t begin, end; // in salvage->groups
    struct k2_salvaged_group *known;
    bool whole;
};

static struct rewrite rewrite_in(const struct k2_salvage *salvage, uint64_t segment_id)
{
    struct rewrite rewrite = {.begin = k2_salvage_first(salvage, segment_id), .whole = true};
    uint32_t part = 0;
    for (rewrite.end = rewrite.begin; rewrite.end < salvage->group_count &&
                                      salvage->groups[rewrite.end].place.segment_id == segment_id;
         rewrite.end++) {
        struct k2_salvaged_group *group = &salvage->groups[rewrite.end];
        rewrite.whole &= group->state == K2_SALVAGED_SOUND && group->part == part++;
        if (group->state != K2_SALVAGED_BARE && group->record.level != K2_LEVEL_COMMIT) {
            rewrite.known = group;
        }
    }
    rewrite.whole &= rewrite.known != NULL && salvage->groups[rewrite.end - 1].part_count == part;
    return rewrite;
}

static bool overlaps(const struct k2_rewrite_input *left, const struct k2_rewrite_input *right)
{
    return left->segment_id == right->segment_id && left->begin < right->end &&
           right->begin < left->end;
}

// A newer rewrite has the same inputs, and does not know this one: it never became part of the
// store.
static bool was_given_up(const struct decision *self, const struct rewrite *rewrite)
{
    const struct k2_salvaged_group *known = rewrite->known;
    const struct k2_rewrite_input *inputs = self->salvage->inputs + known->first_input;
    bool taken = false;
    for (size_t i = 0; i < self->claim_count; i++) {
        const struct claim *claim = &self->claims[i];
        if (claim->table != known->place.table) {
            continue;
        }
        if (claim->range.segment_id == known->place.segment_id) {
            return false;
        }
        for (size_t j = 0; j < known->input_count; j++) {
            taken |=
                !claim->range.earlier && !inputs[j].earlier && overlaps(&claim->range, &inputs[j]);
        }
    }
    return taken;
}

// Can every input be read? Then what is missing of the rewrite is in them.
static bool has_inputs(const struct k2_salvage *salvage, const struct rewrite *rewrite)
{
    const struct k2_salvaged_group *known = rewrite->known;
    for (size_t i = 0; i < known->input_count; i++) {
        const struct k2_rewrite_input *input = &salvage->inputs[known->first_input + i];
        const struct k2_salvaged_segment *segment = k2_salvage_segment(salvage, input->segment_id);
        if (input->earlier) {
            continue;
        }
        if (segment == NULL || segment->size_bytes < input->end) {
            return false;
        }
        bool sound = true, any = false;
        for (size_t j = k2_salvage_first(salvage, input->segment_id);
             j < salvage->group_count && salvage->groups[j].place.segment_id == segment->id; j++) {
            const struct k2_salvaged_group *group = &salvage->groups[j];
            bool within =
                group->place.offset < input->end &&
                group->place.offset + group->length_bytes > input->begin &&
                (group->state == K2_SALVAGED_BARE || group->place.table == known->place.table);
            any |= within;
            sound &= !within || group->state == K2_SALVAGED_SOUND;
        }
        if (!sound || !any) {
            return false;
        }
    }
    return true;
}

static enum k2_status claim_input(struct decision *self, uint16_t table,
                                  const struct k2_rewrite_input *input, struct k2_error *error)
{
    struct k2_salvage *salvage = self->salvage;
    if (self->claim_count == self->claim_room) {
        size_t room = self->claim_room * 2 + 64;
        struct claim *grown = k2_realloc(self->claims, room, sizeof *grown);
        if (grown == NULL) {
            return k2_fail(error, K2_NO_MEMORY, "repair: out of memory");
        }
        self->claims = grown;
        self->claim_room = room;
    }
    self->claims[self->claim_count++] = (struct claim){table, *input};
    for (size_t i = k2_salvage_first(salvage, input->segment_id);
         i < salvage->group_count && salvage->groups[i].place.segment_id == input->segment_id;
         i++) {
        struct k2_salvaged_group *group = &salvage->groups[i];
        if (group->state != K2_SALVAGED_BARE && group->place.table == table &&
            group->place.offset >= input->begin && group->place.offset < input->end) {
            group->replaced |= group->counts || group->lost;
            group->counts = group->lost = false;
        }
    }
    return K2_OK;
}

static enum k2_status decide_rewrite(struct decision *self, struct k2_salvaged_segment *segment,
                                     const struct rewrite *rewrite, struct k2_error *error)
{
    struct k2_salvage *salvage = self->salvage;
    const struct k2_salvaged_group *known = rewrite->known;
    if (was_given_up(self, rewrite) || (!rewrite->whole && has_inputs(salvage, rewrite))) {
        segment->is_void = true;
        for (size_t i = rewrite->begin; i < rewrite->end; i++) {
            salvage->groups[i].counts = salvage->groups[i].lost = false;
        }
        return K2_OK;
    }
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < known->input_count && status == K2_OK; i++) {
        status =
            claim_input(self, known->place.table, &salvage->inputs[known->first_input + i], error);
    }
    return status;
}

static enum k2_status decide_rewrites(struct decision *self, struct k2_error *error)
{
    struct k2_salvage *salvage = self->salvage;
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < salvage->group_count; i++) {
        struct k2_salvaged_group *group = &salvage->groups[i];
        if (group->state != K2_SALVAGED_BARE && group->record.level != K2_LEVEL_COMMIT) {
            group->counts = group->state == K2_SALVAGED_SOUND;
            group->lost = !group->counts;
        }
    }
    for (size_t i = salvage->segment_count; i > 0 && status == K2_OK; i--) { // the newest first
        struct k2_salvaged_segment *segment = &salvage->segments[i - 1];
        struct rewrite rewrite = rewrite_in(salvage, segment->id);
        if (rewrite.known != NULL) {
            status = decide_rewrite(self, segment, &rewrite, error);
        }
    }
    return status;
}

// A rewrite names what was there when it began. Of an older file that came back the rows tell: a
// commit's rows of a table are rewritten together, so none of them is elsewhere.
static enum k2_status find_stale(struct decision *self, struct k2_error *error)
{
    struct k2_salvage *salvage = self->salvage;
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < self->order_count && status == K2_OK; i++) {
        struct k2_salvaged_group *group = self->order[i];
        bool stale = false;
        for (size_t j = 0; group->counts && j < salvage->group_count && !stale && status == K2_OK;
             j++) {
            const struct k2_salvaged_group *other = &salvage->groups[j];
            if (other->counts && other->record.level != K2_LEVEL_COMMIT &&
                other->place.table == group->place.table &&
                other->record.commit_min <= group->commit &&
                other->record.commit_max >= group->commit) {
                status = k2_salvage_has_commit(salvage, other, group->commit, &stale, error);
            }
        }
        if (stale) {
            group->counts = false;
            group->replaced = true;
        }
    }
    return status;
}

static bool is_there(const struct k2_salvage *salvage, uint64_t commit)
{
    for (size_t i = 0; i < salvage->group_count; i++) {
        const struct k2_salvaged_group *group = &salvage->groups[i];
        if ((group->counts || group->replaced) && !group->alone &&
            group->record.level == K2_LEVEL_COMMIT && group->commit == commit) {
            return true;
        }
    }
    return false;
}

// Was everything at this place replaced, of all tables that the file is known to have?
static bool is_replaced(const struct decision *self, const struct k2_salvaged_group *bare)
{
    const struct k2_salvage *salvage = self->salvage;
    uint64_t id = bare->place.segment_id;
    bool any = false;
    for (size_t i = k2_salvage_first(salvage, id);
         i < salvage->group_count && salvage->groups[i].place.segment_id == id; i++) {
        const struct k2_salvaged_group *group = &salvage->groups[i];
        bool claimed = group->state == K2_SALVAGED_BARE;
        for (size_t j = 0; j < self->claim_count && !claimed; j++) {
            const struct claim *claim = &self->claims[j];
            claimed = claim->table == group->place.table && claim->range.segment_id == id &&
                      claim->range.begin <= bare->place.offset &&
                      claim->range.end >= bare->place.offset + bare->length_bytes;
            any |= claimed;
        }
        if (!claimed) {
            return false;
        }
    }
    return any;
}

// Unreadable bytes were rows, unless they end a file and the commit that would have been there is
// elsewhere: then they are what a failed try of it left.
static void decide_bare(struct decision *self)
{
    struct k2_salvage *salvage = self->salvage;
    const struct k2_salvaged_group *before = NULL;
    for (size_t i = 0; i < salvage->group_count; i++) {
        struct k2_salvaged_group *group = &salvage->groups[i];
        bool follows = before != NULL && before->place.segment_id == group->place.segment_id;
        const struct k2_salvaged_segment *segment =
            k2_salvage_segment(salvage, group->place.segment_id);
        if (group->state == K2_SALVAGED_BARE && !segment->is_void && !is_replaced(self, group)) {
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

// Files with commits that `_log` does not tell of are not removed, so each later one has a group,
// or is missing.
enum k2_status k2_salvage_find_missing(struct k2_salvage *salvage, uint64_t logged,
                                       struct k2_error *error)
{
    uint64_t *ids = k2_alloc_zero(salvage->group_count + 1, sizeof *ids);
    if (ids == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "repair: out of memory");
    }
    size_t count = 0;
    for (size_t i = 0; i < salvage->group_count; i++) {
        const struct k2_salvaged_group *group = &salvage->groups[i];
        bool known = group->counts || group->lost || group->replaced;
        if (known && !group->alone && group->state != K2_SALVAGED_BARE &&
            group->record.level == K2_LEVEL_COMMIT && group->commit > logged) {
            ids[count++] = group->commit;
        }
    }
    qsort(ids, count, sizeof *ids, compare_numbers);
    uint64_t before = logged;
    for (size_t i = 0; i <= count; i++) {
        uint64_t next = i < count ? ids[i] : salvage->proven_commit + 1;
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
    enum k2_status status = K2_OK;
    if (self.runs == NULL || self.order == NULL) {
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
            } else if (group->record.level == K2_LEVEL_COMMIT) {
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
        decide_bare(&self);
    }
    k2_free(self.runs);
    k2_free(self.order);
    k2_free(self.claims);
    return status;
}
