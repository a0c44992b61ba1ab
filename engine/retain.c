#include "engine/retain.h"

#include <stdlib.h>
#include <string.h>

#include "engine/commit_log.h"
#include "engine/engine_state.h"
#include "engine/garbage.h"
#include "engine/index_records.h"
#include "engine/journal.h"
#include "engine/plan.h"
#include "engine/policy.h"
#include "engine/publish.h"
#include "engine/rewrite.h"
#include "engine/snapshot.h"
#include "engine/version_count.h"
#include "format/base/alloc.h"

enum { WINDOW_ROWS = K2_BATCH_ROWS, DROPPED_CEILING_BYTES = 64 << 20 };

struct retain {
    struct k2_engine *engine;
    const struct k2_table *table;
    bool dry_run;
    uint64_t base;           // the newest snapshot when the inputs were listed
    struct k2_policy before; // as it was then
    struct k2_policy policy; // with what this one does
    struct k2_retain_rule rule;
    uint64_t *tags;               // owned
    struct k2_plan_group *inputs; // owned
    size_t input_count;
    struct k2_rewrite_window *windows; // owned
    size_t window_count;
    uint64_t shown; // visible rows before the cut
    struct k2_snapshot snapshot;
    uint64_t dropped;
};

static enum k2_status no_memory(struct k2_error *error)
{
    return k2_fail(error, K2_NO_MEMORY, "retain: out of memory");
}

static int compare_ids(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static enum k2_status load_tags(struct retain *self, struct k2_error *error)
{
    struct k2_tag *tags = NULL;
    size_t count = 0;
    enum k2_status status = k2_tag_list(self->engine, &tags, &count, error);
    if (status != K2_OK) {
        return status;
    }
    self->tags = k2_alloc_zero(count + 1, sizeof *self->tags);
    for (size_t i = 0; self->tags != NULL && i < count; i++) {
        self->tags[i] = tags[i].snapshot;
    }
    k2_free(tags);
    if (self->tags == NULL) {
        return no_memory(error);
    }
    qsort(self->tags, count, sizeof *self->tags, compare_ids);
    self->rule.tags = self->tags;
    self->rule.tag_count = count;
    return K2_OK;
}

// What the policy allows at `now_ns`.
static enum k2_status set_rule(struct retain *self, int64_t now_ns, struct k2_error *error)
{
    struct k2_store_txn *txn;
    uint64_t horizon = 0;
    enum k2_status status = k2_store_begin(self->engine->store, false, &txn, error);
    if (status != K2_OK) {
        return status;
    }
    status = k2_policy_load(txn, self->table->id, &self->before, error);
    self->policy = self->before;
    if (status == K2_OK) {
        status = k2_policy_horizon(txn, self->policy.history_ns, now_ns, &horizon, error);
    }
    k2_store_abort(txn);
    if (horizon > self->policy.history_floor) {
        self->policy.history_floor = horizon;
    }
    self->rule.history_floor = self->policy.history_floor;
    int64_t cut_ns;
    if (self->policy.retention_ns > 0 &&
        !__builtin_sub_overflow(now_ns, self->policy.retention_ns, &cut_ns)) {
        self->rule.has_cut = true;
        self->rule.cut_ns = cut_ns;
    }
    return status;
}

// ---- which groups

static bool is_old(const struct retain *self, const struct k2_plan_group *group)
{
    return self->rule.has_cut && group->time_min_ns < self->rule.cut_ns;
}

// May versions be found in it that nobody asks for any more?
static bool has_expired(const struct retain *self, const struct k2_plan_group *group)
{
    return group->versions && group->commit_min < self->rule.history_floor;
}

static bool overlaps(const struct k2_plan_group *left, const struct k2_plan_group *right)
{
    return left->time_min_ns <= right->time_max_ns && right->time_min_ns <= left->time_max_ns;
}

// Adds what overlaps in time with what is taken already, so that what comes out lies apart from
// what stays; and what shares a file with it, so that the file can go.
static bool take_more(const struct k2_plan *plan, bool *taken)
{
    bool more = false;
    for (size_t i = 0; i < plan->group_count; i++) {
        const struct k2_plan_group *group = &plan->groups[i];
        for (size_t j = 0; !taken[i] && j < plan->group_count; j++) {
            const struct k2_plan_group *other = &plan->groups[j];
            taken[i] =
                taken[j] && (overlaps(group, other) || (group->level != K2_LEVEL_COMMIT &&
                                                        group->segment_id == other->segment_id));
            more |= taken[i];
        }
    }
    return more;
}

static enum k2_status choose(struct retain *self, const struct k2_plan *plan,
                             struct k2_error *error)
{
    bool *taken = k2_alloc_zero(plan->group_count + 1, sizeof *taken);
    self->inputs = k2_alloc_zero(plan->group_count + 1, sizeof *self->inputs);
    if (taken == NULL || self->inputs == NULL) {
        k2_free(taken);
        return no_memory(error);
    }
    bool any = false, cuts = false;
    for (size_t i = 0; i < plan->group_count; i++) {
        bool old = is_old(self, &plan->groups[i]);
        taken[i] = old || has_expired(self, &plan->groups[i]);
        any |= taken[i];
        cuts |= old;
    }
    self->rule.has_cut = cuts; // nothing lies before it: then it is none
    while (any && take_more(plan, taken)) {
    }
    for (size_t i = 0; i < plan->group_count; i++) {
        if (taken[i]) {
            self->inputs[self->input_count++] = plan->groups[i];
        }
    }
    k2_free(taken);
    return K2_OK;
}

// Rows from the cut on, in pieces that begin where a group does.
static enum k2_status cut_windows(struct retain *self, struct k2_error *error)
{
    uint64_t rows = 0;
    int64_t first_ns = self->rule.has_cut ? self->rule.cut_ns : INT64_MIN;
    self->windows = k2_alloc_zero(self->input_count + 1, sizeof *self->windows);
    if (self->windows == NULL) {
        return no_memory(error);
    }
    for (size_t i = 0; i < self->input_count; i++) {
        const struct k2_plan_group *group = &self->inputs[i];
        if (rows >= WINDOW_ROWS && group->time_min_ns > first_ns) {
            self->windows[self->window_count++] =
                (struct k2_rewrite_window){first_ns, group->time_min_ns - 1, K2_LEVEL_DAILY, false};
            first_ns = group->time_min_ns;
            rows = 0;
        }
        rows += group->row_count;
    }
    self->windows[self->window_count++] =
        (struct k2_rewrite_window){first_ns, INT64_MAX, K2_LEVEL_DAILY, false};
    return K2_OK;
}

static enum k2_status find_inputs(struct retain *self, struct k2_error *error)
{
    struct k2_plan plan;
    struct k2_plan_request request = k2_plan_listing(self->table);
    enum k2_status status = k2_plan_open(self->engine, &request, &plan, error);
    if (status != K2_OK) {
        return status;
    }
    status = choose(self, &plan, error);
    k2_plan_close(&plan);
    return status == K2_OK ? cut_windows(self, error) : status;
}

// What was found is what the run below goes by; commits wait.
static enum k2_status prepare(struct retain *self, int64_t now_ns, struct k2_error *error)
{
    enum k2_status status = k2_engine_check_writable(self->engine, error);
    k2_tail_seal(self->engine, &self->engine->tail, true);
    self->base = self->engine->newest.id;
    if (status == K2_OK) {
        status = set_rule(self, now_ns, error);
    }
    if (status == K2_OK) {
        status = load_tags(self, error);
    }
    return status == K2_OK ? find_inputs(self, error) : status;
}

// ---- whether what was found still holds

static bool is_same_policy(const struct k2_policy *left, const struct k2_policy *right)
{
    struct k2_index_value a = k2_policy_encode(left), b = k2_policy_encode(right);
    struct k2_slice a_bytes = k2_index_value_slice(&a), b_bytes = k2_index_value_slice(&b);
    return k2_slice_compare(a_bytes, b_bytes) == 0;
}

// Commits that replace or delete rows change which rows are shown.
static enum k2_status has_versions(const struct retain *self, bool *found, struct k2_error *error)
{
    struct k2_plan plan;
    struct k2_plan_request request = k2_plan_listing(self->table);
    enum k2_status status = k2_plan_open(self->engine, &request, &plan, error);
    *found = false;
    for (size_t i = 0; status == K2_OK && i < plan.group_count; i++) {
        *found |= plan.groups[i].versions;
    }
    if (status == K2_OK) {
        k2_plan_close(&plan);
    }
    return status;
}

static enum k2_status still_holds(const struct retain *self, bool *holds, struct k2_error *error)
{
    struct retain now = {.engine = self->engine, .table = self->table};
    bool versions = false;
    enum k2_status status = k2_policy_get(self->engine, self->table, &now.before, error);
    if (status == K2_OK) {
        status = load_tags(&now, error);
    }
    if (status == K2_OK && self->engine->newest.id != self->base) {
        status = has_versions(self, &versions, error);
    }
    *holds = status == K2_OK && !versions && is_same_policy(&now.before, &self->before) &&
             now.rule.tag_count == self->rule.tag_count &&
             memcmp(now.tags, self->tags, now.rule.tag_count * sizeof *now.tags) == 0;
    k2_free(now.tags);
    return status;
}

// ---- what changes with it

// The least time of what is left of the table.
static enum k2_status find_first(struct k2_store_txn *txn, uint16_t table_id, int64_t *first_ns,
                                 bool *found, struct k2_error *error)
{
    struct k2_store_cursor cursor = {0};
    struct k2_index_key key = k2_index_key_id(table_id, 2);
    enum k2_status status = k2_store_cursor_open(txn, K2_STORE_GROUP, &cursor, error);
    if (status == K2_OK) {
        status = k2_store_seek(&cursor, k2_index_key_slice(&key), error);
    }
    *found = status == K2_OK && cursor.found && k2_index_key_get(cursor.key, 0, 2) == table_id;
    if (*found) {
        *first_ns = k2_group_place_of(cursor.key).time_min_ns;
    }
    k2_store_cursor_close(&cursor);
    return status;
}

static enum k2_status change(void *context, struct k2_store_txn *txn, struct k2_error *error)
{
    struct retain *self = context;
    int64_t first_ns = 0;
    bool found = false;
    enum k2_status status = k2_policy_store(txn, self->table->id, &self->policy, error);
    if (status == K2_OK) {
        status = k2_publish_hide(txn, self->table, -(int64_t)(self->dropped - self->shown), error);
    }
    if (status == K2_OK) {
        status = find_first(txn, self->table->id, &first_ns, &found, error);
    }
    return status == K2_OK && found ? k2_publish_first(txn, self->table, first_ns, error) : status;
}

static enum k2_status swap(struct retain *self, struct k2_rewrite *rewrite,
                           struct k2_rewrite_report *report, struct k2_error *error)
{
    struct k2_buffer inputs;
    struct k2_index_value policy = k2_policy_encode(&self->policy);
    k2_buffer_init(&inputs, DROPPED_CEILING_BYTES);
    k2_rewrite_put_inputs(rewrite, &inputs);
    enum k2_status status = k2_buffer_check(&inputs, "retain", error);
    const struct k2_journal_entry entries[] = {
        {K2_JOURNAL_POLICY, k2_slice_of(self->table->schema->table), 0,
         k2_index_value_slice(&policy)},
        {K2_JOURNAL_DROPPED, k2_slice_of(self->table->schema->table), self->table->id,
         k2_buffer_slice(&inputs)},
    };
    self->snapshot = (struct k2_snapshot){
        .id = self->engine->newest.id + 1,
        .parent = self->engine->newest.id,
        .time_ns = k2_engine_next_time_ns(self->engine),
        .operation = K2_OPERATION_RETAIN,
        .table_count = 1,
    };
    self->snapshot.tables[0].table_id = self->table->id;
    self->snapshot.tables[0].hidden = (int64_t)self->shown;
    if (status == K2_OK) {
        status =
            k2_rewrite_swap_logged(rewrite, &self->snapshot, entries,
                                   sizeof entries / sizeof entries[0], change, self, report, error);
    }
    k2_buffer_deinit(&inputs);
    return status;
}

// What the files say without the rows that go; commits need not wait.
static enum k2_status rewrite_inputs(struct retain *self, struct k2_rewrite **rewrite,
                                     struct k2_error *error)
{
    struct k2_rewrite_options options = {
        .windows = self->windows, .window_count = self->window_count, .retain = &self->rule};
    enum k2_status status = K2_OK;
    if (self->rule.has_cut) {
        bool later = !self->policy.has_cut || self->policy.retention_cut_ns < self->rule.cut_ns;
        self->policy.retention_cut_ns = later ? self->rule.cut_ns : self->policy.retention_cut_ns;
        self->policy.has_cut = true;
        status = k2_version_count_shown(self->engine, self->table, self->base, INT64_MIN,
                                        self->rule.cut_ns, &self->shown, error);
    }
    if (status == K2_OK) {
        status = k2_rewrite_open(rewrite, self->engine, self->table, self->inputs,
                                 self->input_count, error);
    }
    if (status == K2_OK) {
        status = k2_rewrite_run(*rewrite, &options, error);
    }
    if (status == K2_OK) {
        self->dropped = k2_rewrite_dropped(*rewrite);
    }
    return status;
}

static void hold(struct retain *self)
{
    k2_engine_hold_commits(self->engine);
    k2_engine_lock(self->engine);
}

static void let(struct retain *self)
{
    k2_engine_unlock(self->engine);
    k2_engine_let_commits(self->engine);
}

// One try. Unless `all_wait`, commits, tags and policies wait only while the inputs are listed and
// while they are swapped; when what came between changes what may be dropped, it is not `settled`.
// Nothing dropped: from now on older snapshots have expired, but the next retain drops what only
// they show.
static enum k2_status drop(struct retain *self, int64_t now_ns, bool all_wait, bool *settled,
                           struct k2_retain_report *report, struct k2_error *error)
{
    struct k2_rewrite *rewrite = NULL;
    struct k2_rewrite_report done = {0};
    bool held = true;
    hold(self);
    enum k2_status status = prepare(self, now_ns, error);
    if (!all_wait) {
        let(self);
        held = false;
    }
    *settled = true;
    if (status == K2_OK && self->input_count > 0) {
        status = rewrite_inputs(self, &rewrite, error);
    }
    if (status == K2_OK && self->dropped > 0 && !self->dry_run) {
        if (!held) {
            hold(self);
            held = true;
            status = still_holds(self, settled, error);
        }
        if (status == K2_OK && *settled) {
            status = swap(self, rewrite, &done, error);
        }
    }
    if (held) {
        let(self);
    }
    k2_rewrite_close(rewrite);
    *report = (struct k2_retain_report){
        .rows_dropped = self->dropped,
        .rows_old = self->shown,
        .bytes_before = done.bytes_before,
        .bytes_after = done.bytes_after,
    };
    return status;
}

static enum k2_status attempt(struct k2_engine *engine, const struct k2_table *table,
                              int64_t now_ns, bool dry_run, bool all_wait, bool *settled,
                              struct k2_retain_report *report, struct k2_error *error)
{
    struct retain self = {.engine = engine, .table = table, .dry_run = dry_run};
    enum k2_status status = drop(&self, now_ns, all_wait, settled, report, error);
    k2_free(self.tags);
    k2_free(self.inputs);
    k2_free(self.windows);
    return status;
}

enum k2_status k2_retain(struct k2_engine *engine, const struct k2_table *table, int64_t now_ns,
                         bool dry_run, struct k2_retain_report *report, struct k2_error *error)
{
    memset(report, 0, sizeof *report);
    if (table->schema->table[0] == '_') {
        return k2_fail(error, K2_BAD_REQUEST, "retain: %s is K2's own table", table->schema->table);
    }
    struct k2_policy policy = {.duplicates = K2_KEEP_FIRST};
    bool settled = false;
    k2_rewrite_lock(engine);
    enum k2_status status = attempt(engine, table, now_ns, dry_run, false, &settled, report, error);
    if (status == K2_OK && !settled) {
        status = attempt(engine, table, now_ns, dry_run, true, &settled, report, error);
    }
    if (status == K2_OK && report->rows_dropped > 0 && !dry_run) {
        status = k2_garbage_collect(engine, NULL, error);
    }
    if (status == K2_OK) {
        status = k2_policy_get(engine, table, &policy, error);
    }
    k2_rewrite_unlock(engine);
    report->history_floor = policy.history_floor;
    report->has_cut = policy.has_cut;
    report->retention_cut_ns = policy.retention_cut_ns;
    struct k2_snapshot newest = {0};
    if (status == K2_OK) {
        status = k2_snapshot_newest(engine, &newest, error);
    }
    report->snapshot = newest.id;
    k2_engine_note_failure(engine, status, false, error);
    if (status != K2_OK) {
        k2_error_annotate(error, "retain: table %s", table->schema->table);
    }
    return status;
}
