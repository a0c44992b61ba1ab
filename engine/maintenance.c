#include "engine/maintenance.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "engine/engine_state.h"
#include "engine/garbage.h"
#include "engine/level_work.h"
#include "engine/plan.h"
#include "format/base/alloc.h"

enum { LOOK_MS = 200, FULL_MS = 1000, FAILED_MS = 10000 };

struct k2_maintenance {
    struct k2_engine *engine;
    struct k2_maintenance_options options;
    pthread_t thread;
    pthread_mutex_t lock; // guards what follows; never held while another lock is taken
    pthread_cond_t wake, rest;
    bool ending, paused, asked, resting;
    struct k2_maintenance_figures figures;
    uint64_t unsorted[K2_MAX_TABLES]; // groups, by place in engine->tables
    int64_t window_start_ns;          // of the rate; the thread's own
    uint64_t window_bytes;
};

const char *k2_maintenance_state_name(enum k2_maintenance_state state)
{
    static const char *const names[] = {"idle", "working", "paused", "full", "failed"};
    return names[state];
}

static int64_t now_ns(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

// Waits on `condition` with the lock held, at most so long.
static void wait_ms(struct k2_maintenance *self, pthread_cond_t *condition, int64_t milliseconds)
{
    int64_t end_ns = now_ns(CLOCK_MONOTONIC) + milliseconds * 1000000;
    struct timespec end = {.tv_sec = end_ns / 1000000000, .tv_nsec = end_ns % 1000000000};
    (void)pthread_cond_timedwait(condition, &self->lock, &end);
}

static bool is_stopping(struct k2_maintenance *self)
{
    (void)pthread_mutex_lock(&self->lock);
    bool stopping = self->ending || self->paused;
    (void)pthread_mutex_unlock(&self->lock);
    return stopping;
}

// ---- what there is

static enum k2_status count_unsorted(struct k2_maintenance *self, const struct k2_table *table,
                                     uint64_t *groups, uint64_t *bytes, struct k2_error *error)
{
    struct k2_plan plan;
    struct k2_plan_request request = k2_plan_listing(table);
    request.unsorted_only = true;
    *groups = *bytes = 0;
    enum k2_status status = k2_plan_open(self->engine, &request, &plan, error);
    if (status == K2_OK) {
        *groups = plan.group_count;
        for (size_t i = 0; i < plan.group_count; i++) {
            *bytes += plan.groups[i].length_bytes;
        }
        k2_plan_close(&plan);
    }
    return status;
}

// Whoever commits counts up from here, so it must not commit meanwhile.
static enum k2_status look(struct k2_maintenance *self, struct k2_error *error)
{
    const struct k2_table *table;
    enum k2_status status = K2_OK;
    uint64_t all_groups = 0, all_bytes = 0;
    for (size_t i = 0; status == K2_OK && (table = k2_engine_table_at(self->engine, i)); i++) {
        uint64_t groups, bytes;
        k2_engine_lock(self->engine);
        status = count_unsorted(self, table, &groups, &bytes, error);
        if (status == K2_OK) {
            (void)pthread_mutex_lock(&self->lock);
            self->unsorted[i] = groups;
            (void)pthread_cond_broadcast(&self->rest);
            (void)pthread_mutex_unlock(&self->lock);
        }
        k2_engine_unlock(self->engine);
        all_groups += groups;
        all_bytes += bytes;
    }
    (void)pthread_mutex_lock(&self->lock);
    self->figures.backlog_groups = all_groups;
    self->figures.backlog_bytes = all_bytes;
    (void)pthread_mutex_unlock(&self->lock);
    return status;
}

// ---- work

static enum k2_status work(struct k2_maintenance *self, bool folds_only, bool *any,
                           struct k2_error *error);

static void slow_down(struct k2_maintenance *self, uint64_t bytes)
{
    if (self->options.bytes_per_second == 0) {
        return;
    }
    self->window_bytes += bytes;
    int64_t due_ns = self->window_start_ns + (int64_t)((double)self->window_bytes * 1e9 /
                                                       (double)self->options.bytes_per_second);
    (void)pthread_mutex_lock(&self->lock);
    int64_t left_ns;
    while ((left_ns = due_ns - now_ns(CLOCK_MONOTONIC)) > 0 && !self->ending && !self->paused) {
        wait_ms(self, &self->wake, left_ns / 1000000 + 1);
        if (self->asked) { // commits may need a fold now
            break;
        }
    }
    (void)pthread_mutex_unlock(&self->lock);
    if (left_ns < -1000000000) { // what was not used is not saved up
        self->window_start_ns = now_ns(CLOCK_MONOTONIC);
        self->window_bytes = 0;
    }
}

static enum k2_status pace(void *context, bool merges, uint64_t rows, uint64_t bytes,
                           struct k2_error *error)
{
    struct k2_maintenance *self = context;
    (void)pthread_mutex_lock(&self->lock);
    self->figures.rows += rows;
    self->figures.bytes_written += bytes;
    bool asked = self->asked;
    (void)pthread_mutex_unlock(&self->lock);
    if (merges && asked) { // a long one lets folds go first
        bool any;
        enum k2_status status = work(self, true, &any, error);
        if (status != K2_OK) {
            return status;
        }
    }
    slow_down(self, bytes);
    return is_stopping(self) ? k2_fail(error, K2_BUSY, "maintenance: stopped") : K2_OK;
}

static void note_step(struct k2_maintenance *self, const struct k2_rewrite_report *report)
{
    (void)pthread_mutex_lock(&self->lock);
    self->figures.rewrites++;
    self->figures.bytes_read += report->bytes_before;
    self->figures.last_run_ns = now_ns(CLOCK_REALTIME);
    (void)pthread_mutex_unlock(&self->lock);
}

// One round over all tables.
static enum k2_status work(struct k2_maintenance *self, bool folds_only, bool *any,
                           struct k2_error *error)
{
    const struct k2_table *table;
    enum k2_status status = K2_OK;
    *any = false;
    (void)pthread_mutex_lock(&self->lock);
    self->asked = false;
    (void)pthread_mutex_unlock(&self->lock);
    for (size_t i = 0; status == K2_OK && (table = k2_engine_table_at(self->engine, i)); i++) {
        struct k2_level_request request = {
            .effort = folds_only ? K2_EFFORT_FOLDS : K2_EFFORT_BOUND,
            .pace = folds_only ? NULL : pace,
            .context = self,
        };
        struct k2_rewrite_report report;
        bool done = false;
        status = k2_level_step(self->engine, table, &request, &done, &report, error);
        if (status == K2_OK && done) {
            note_step(self, &report);
            *any = true;
        }
    }
    return *any && status == K2_OK ? look(self, error) : status;
}

static void set_state(struct k2_maintenance *self, enum k2_maintenance_state state,
                      const char *reason)
{
    self->figures.state = state;
    (void)snprintf(self->figures.reason, sizeof self->figures.reason, "%.255s", reason);
}

static enum k2_status run_round(struct k2_maintenance *self, bool *any, struct k2_error *error)
{
    enum k2_status status = work(self, false, any, error);
    if (status == K2_OK && *any) {
        status = k2_rewrite_retire_empty(self->engine, error);
    }
    // Also after a failure: a full disk may need it, and readers may have gone meanwhile.
    enum k2_status rest = k2_garbage_collect(self->engine, NULL, status == K2_OK ? error : NULL);
    return status == K2_OK ? rest : status;
}

// After a round, with the lock held: what it was, and how long to wait.
static void rest(struct k2_maintenance *self, enum k2_status status, bool any,
                 const struct k2_error *error)
{
    int64_t pause_ms = any ? 0 : LOOK_MS;
    if (self->paused) {
        set_state(self, K2_MAINTENANCE_PAUSED, "");
    } else if (status == K2_OK) {
        set_state(self, any ? K2_MAINTENANCE_WORKING : K2_MAINTENANCE_IDLE, "");
    } else if (status != K2_BUSY) {
        bool full = status == K2_NO_SPACE;
        set_state(self, full ? K2_MAINTENANCE_FULL : K2_MAINTENANCE_FAILED, error->text);
        pause_ms = full ? FULL_MS : FAILED_MS;
    }
    bool failed = status != K2_OK && status != K2_BUSY;
    self->resting = failed || self->paused || !any;
    (void)pthread_cond_broadcast(&self->rest);
    int64_t end_ns = now_ns(CLOCK_MONOTONIC) + pause_ms * 1000000;
    while (!self->ending && (self->paused || now_ns(CLOCK_MONOTONIC) < end_ns) &&
           (failed || !self->asked || self->paused)) {
        wait_ms(self, &self->wake, pause_ms > 0 ? pause_ms : LOOK_MS);
    }
    self->resting = false;
}

static void *run(void *context)
{
    struct k2_maintenance *self = context;
    struct k2_error error = {0};
    enum k2_status status = look(self, &error);
    (void)pthread_mutex_lock(&self->lock);
    while (!self->ending) {
        bool any = false;
        if (!self->paused && status == K2_OK) {
            (void)pthread_mutex_unlock(&self->lock);
            status = run_round(self, &any, &error);
            (void)pthread_mutex_lock(&self->lock);
        }
        rest(self, status, any, &error);
        status = K2_OK;
    }
    self->resting = true;
    (void)pthread_cond_broadcast(&self->rest);
    (void)pthread_mutex_unlock(&self->lock);
    return NULL;
}

// ---- from outside

// A commit has added groups to these tables; it waits while one of them has as many as may be.
static void committed(void *context, const size_t *tables, size_t table_count)
{
    struct k2_maintenance *self = context;
    (void)pthread_mutex_lock(&self->lock);
    for (size_t i = 0; i < table_count; i++) {
        uint64_t *groups = &self->unsorted[tables[i]];
        ++*groups;
        self->figures.backlog_groups++; // the bytes wait for the next look
        if (*groups >= K2_FOLD_GROUPS) {
            self->asked = true;
            (void)pthread_cond_signal(&self->wake);
        }
        while (*groups >= K2_MOST_UNSORTED_GROUPS && !self->ending && !self->paused &&
               self->figures.state != K2_MAINTENANCE_FULL &&
               self->figures.state != K2_MAINTENANCE_FAILED) {
            self->asked = true;
            (void)pthread_cond_signal(&self->wake);
            wait_ms(self, &self->rest, LOOK_MS);
        }
    }
    (void)pthread_mutex_unlock(&self->lock);
}

enum k2_status k2_maintenance_start(struct k2_maintenance **maintenance, struct k2_engine *engine,
                                    const struct k2_maintenance_options *options,
                                    struct k2_error *error)
{
    struct k2_maintenance *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "maintenance: out of memory");
    }
    self->engine = engine;
    self->options = *options;
    self->window_start_ns = now_ns(CLOCK_MONOTONIC);
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&self->lock, NULL);
    (void)pthread_cond_init(&self->wake, &monotonic);
    (void)pthread_cond_init(&self->rest, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    k2_engine_lock(engine);
    engine->after_commit = committed;
    engine->after_commit_context = self;
    k2_engine_unlock(engine);
    int code = pthread_create(&self->thread, NULL, run, self);
    if (code != 0) {
        k2_engine_lock(engine);
        engine->after_commit = NULL;
        k2_engine_unlock(engine);
        k2_free(self);
        return k2_fail_errno(error, code, "maintenance: cannot start a thread");
    }
    *maintenance = self;
    return K2_OK;
}

void k2_maintenance_stop(struct k2_maintenance *maintenance)
{
    if (maintenance == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&maintenance->lock);
    maintenance->ending = true;
    (void)pthread_cond_broadcast(&maintenance->wake);
    (void)pthread_cond_broadcast(&maintenance->rest);
    (void)pthread_mutex_unlock(&maintenance->lock);
    (void)pthread_join(maintenance->thread, NULL);
    k2_engine_lock(maintenance->engine);
    maintenance->engine->after_commit = NULL;
    k2_engine_unlock(maintenance->engine);
    (void)pthread_cond_destroy(&maintenance->wake);
    (void)pthread_cond_destroy(&maintenance->rest);
    (void)pthread_mutex_destroy(&maintenance->lock);
    k2_free(maintenance);
}

void k2_maintenance_pause(struct k2_maintenance *maintenance, bool paused)
{
    (void)pthread_mutex_lock(&maintenance->lock);
    maintenance->paused = paused;
    (void)pthread_cond_broadcast(&maintenance->wake);
    (void)pthread_cond_broadcast(&maintenance->rest);
    (void)pthread_mutex_unlock(&maintenance->lock);
}

void k2_maintenance_settle(struct k2_maintenance *maintenance)
{
    (void)pthread_mutex_lock(&maintenance->lock);
    maintenance->asked = true;
    maintenance->resting = false;
    (void)pthread_cond_signal(&maintenance->wake);
    while (!maintenance->resting && !maintenance->ending) {
        wait_ms(maintenance, &maintenance->rest, LOOK_MS);
    }
    (void)pthread_mutex_unlock(&maintenance->lock);
}

void k2_maintenance_get(struct k2_maintenance *maintenance, struct k2_maintenance_figures *figures)
{
    (void)pthread_mutex_lock(&maintenance->lock);
    *figures = maintenance->figures;
    (void)pthread_mutex_unlock(&maintenance->lock);
}
