#include "tools/serve_export.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "engine/snapshot.h"
#include "format/base/alloc.h"
#include "query/export/table_care.h"
#include "query/metric_text.h"
#include "tools/table_names.h"

enum {
    CARE_ROUNDS = 30, // rounds between two times of care
    CARE_FILES = 30,  // small files of a day before they become one
    DEFAULT_EVERY_MS = 60000,
};

struct k2_serve_export {
    const struct k2_cli *cli; // borrowed
    struct k2_warehouse_options places;
    int64_t every_ms;
    struct k2_engine *engine; // borrowed
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    atomic_bool ending; // set under the lock
    struct k2_warehouse warehouse;
    bool open;
    _Atomic uint64_t rows, rounds, failures, snapshot;
};

enum k2_status k2_serve_export_create(struct k2_serve_export **export, const struct k2_cli *cli,
                                      struct k2_error *error)
{
    const char *every = k2_cli_value(cli, "export-every");
    int64_t every_ms = DEFAULT_EVERY_MS;
    *export = NULL;
    if (!k2_cli_has(cli, "export")) {
        return !k2_cli_has(cli, "export-catalog") && every == NULL
                   ? K2_OK
                   : k2_fail(error, K2_BAD_REQUEST,
                             "--export-every and --export-catalog go with --export");
    }
    if (k2_cli_value(cli, "export")[0] == '\0') {
        return k2_fail(error, K2_BAD_REQUEST, "--export: the name is empty");
    }
    enum k2_status status =
        every == NULL ? K2_OK : k2_read_age(every, "--export-every", &every_ms, error);
    if (status == K2_OK && every_ms == 0) {
        status = k2_fail(error, K2_BAD_REQUEST, "--export-every: from 1s on");
    }
    if (status != K2_OK) {
        return status;
    }
    struct k2_serve_export *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "export: no memory");
    }
    pthread_condattr_t clock;
    self->cli = cli;
    self->every_ms = every_ms;
    self->places = (struct k2_warehouse_options){.warehouse = k2_cli_value(cli, "export"),
                                                 .catalog = k2_cli_value(cli, "export-catalog"),
                                                 .create = true};
    (void)pthread_mutex_init(&self->lock, NULL);
    (void)pthread_condattr_init(&clock);
    (void)pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&self->wake, &clock);
    (void)pthread_condattr_destroy(&clock);
    *export = self;
    return K2_OK;
}

// ---- a round --------------------------------------------------------------------------------

static enum k2_status care_for(struct k2_serve_export *self, const struct k2_table *table,
                               struct k2_error *error)
{
    struct k2_arena arena = {0};
    struct k2_care_result result;
    struct k2_care_options options = {.older_than_ms = -1, .least_files = CARE_FILES};
    struct k2_table_place place;
    bool found;
    enum k2_status status =
        k2_warehouse_find(&self->warehouse, table->schema, &arena, &place, &found, error);
    if (status == K2_OK && found) {
        status = k2_table_compact(&place, self->engine, table, &options, &result, error);
    }
    if (status == K2_OK && found) {
        status = k2_table_expire(&place, &options, &result, error);
    }
    if (status == K2_OK && found) {
        status = k2_table_orphans(&place, &options, &result, error);
    }
    k2_catalog_table_close(&place.table);
    k2_arena_deinit(&arena);
    return status;
}

static bool is_ending(void *context)
{
    struct k2_serve_export *self = context;
    return atomic_load(&self->ending);
}

static enum k2_status export_one(struct k2_serve_export *self, const struct k2_table *table,
                                 uint64_t snapshot, struct k2_error *error)
{
    struct k2_export_result result = {0};
    const struct k2_export_request request = {.engine = self->engine,
                                              .warehouse = &self->warehouse,
                                              .table = table,
                                              .snapshot = snapshot,
                                              .newest = snapshot,
                                              .writable = true,
                                              .context = self,
                                              .stop = is_ending};
    enum k2_status status = k2_export_table(&request, &result, error);
    atomic_fetch_add(&self->rows, result.rows_added);
    k2_free(result.metadata);
    return status;
}

static enum k2_status run_round(struct k2_serve_export *self, bool care, struct k2_error *error)
{
    struct k2_snapshot newest = {0};
    enum k2_status status = K2_OK, failed = K2_OK;
    if (!self->open) { // what was away at the start may be there now
        status = k2_warehouse_open(&self->warehouse, &self->places, error);
        self->open = status == K2_OK;
    }
    if (status == K2_OK) {
        status = k2_snapshot_newest(self->engine, &newest, error);
    }
    for (size_t i = 0; status == K2_OK && newest.id > 0; i++) {
        const struct k2_table *table = k2_engine_table_at(self->engine, i);
        struct k2_error why;
        if (table == NULL) {
            break;
        }
        if (table->schema->table[0] == '_') {
            continue;
        }
        enum k2_status one = export_one(self, table, newest.id, &why);
        if (one == K2_OK && care) {
            one = care_for(self, table, &why);
        }
        if (one != K2_OK && failed == K2_OK) { // the others go on
            failed = k2_fail(error, one, "%s", why.text);
        }
    }
    if (status == K2_OK && failed == K2_OK) {
        atomic_store(&self->snapshot, newest.id);
    }
    return status == K2_OK ? failed : status;
}

static void try_round(struct k2_serve_export *self, bool care)
{
    struct k2_error error;
    if (run_round(self, care, &error) != K2_OK && !is_ending(self)) {
        atomic_fetch_add(&self->failures, 1);
        k2_cli_warn(self->cli, "export: %s", error.text);
    }
    atomic_fetch_add(&self->rounds, 1);
}

// Waits for the next round; true when it is time to end.
static bool wait_for_next(struct k2_serve_export *self)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += self->every_ms / 1000;
    (void)pthread_mutex_lock(&self->lock);
    while (!atomic_load(&self->ending) &&
           pthread_cond_timedwait(&self->wake, &self->lock, &until) == 0) {
    }
    bool ending = atomic_load(&self->ending);
    (void)pthread_mutex_unlock(&self->lock);
    return ending;
}

static void *run_thread(void *context)
{
    struct k2_serve_export *self = context;
    for (uint64_t round = 1;; round++) {
        try_round(self, round % CARE_ROUNDS == 0);
        if (wait_for_next(self)) {
            return NULL;
        }
    }
}

enum k2_status k2_serve_export_start(struct k2_serve_export *export, struct k2_engine *engine,
                                     struct k2_error *error)
{
    if (export == NULL) {
        return K2_OK;
    }
    export->engine = engine;
    // A place that can not be is told at once.
    enum k2_status status = k2_warehouse_open(&export->warehouse, &export->places, error);
    if (status != K2_OK) {
        k2_error_annotate(error, "export");
        return status;
    }
    export->open = true;
    int code = pthread_create(&export->thread, NULL, run_thread, export);
    if (code != 0) {
        return k2_fail_errno(error, code, "export: no thread");
    }
    export->started = true;
    return K2_OK;
}

void k2_serve_export_destroy(struct k2_serve_export *export)
{
    if (export == NULL) {
        return;
    }
    if (export->started) {
        (void)pthread_mutex_lock(&export->lock);
        atomic_store(&export->ending, true);
        (void)pthread_cond_signal(&export->wake);
        (void)pthread_mutex_unlock(&export->lock);
        (void)pthread_join(export->thread, NULL);
    }
    if (export->open) {
        k2_warehouse_close(&export->warehouse);
    }
    (void)pthread_cond_destroy(&export->wake);
    (void)pthread_mutex_destroy(&export->lock);
    k2_free(export);
}

void k2_serve_export_put_metrics(struct k2_serve_export *export, struct k2_buffer *out)
{
    if (export == NULL) {
        return;
    }
    k2_metric_single(out, "k2_export_rounds_total", "counter", "Exports to Iceberg tables.",
                     atomic_load(&export->rounds));
    k2_metric_single(out, "k2_export_failures_total", "counter",
                     "Exports that failed; the next one goes on.", atomic_load(&export->failures));
    k2_metric_single(out, "k2_export_rows_total", "counter", "Rows exported to Iceberg tables.",
                     atomic_load(&export->rows));
    k2_metric_single(out, "k2_export_snapshot", "gauge",
                     "Newest snapshot that all Iceberg tables have.",
                     atomic_load(&export->snapshot));
}
