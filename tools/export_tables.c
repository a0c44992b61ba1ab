#include "tools/export_tables.h"

#include "engine/snapshot.h"
#include "format/base/alloc.h"
#include "format/base/json_text.h"
#include "format/base/timestamp.h"
#include "query/export/exporter.h"
#include "tools/progress.h"
#include "tools/table_names.h"

static const size_t answer_ceiling_bytes = (size_t)1 << 30;

struct export_tables {
    struct k2_cli *cli;
    struct k2_engine *engine;
    struct k2_warehouse warehouse;
    struct k2_snapshot snapshot, newest;
    struct k2_table_names names;
    bool writable;
    struct k2_export_request request;
    struct k2_progress progress;
    uint64_t rows_before; // of the tables that are done
    struct k2_buffer answer;
    size_t answered;
};

// ---- what is asked for ----------------------------------------------------------------------

static enum k2_status read_time(const struct k2_cli *cli, const char *option, bool *given,
                                int64_t *time_ns, struct k2_error *error)
{
    const char *text = k2_cli_value(cli, option);
    *given = text != NULL;
    enum k2_timestamp_result result =
        text == NULL ? K2_TIMESTAMP_OK : k2_timestamp_parse(k2_slice_of(text), time_ns);
    return result == K2_TIMESTAMP_OK
               ? K2_OK
               : k2_fail(error, K2_BAD_REQUEST,
                         "--%s: `%.60s` is no time (%s); write 2014-03-11T10:00:00Z, a date or "
                         "nanoseconds since 1970",
                         option, text, k2_timestamp_result_name(result));
}

static enum k2_status check_options(const struct k2_cli *cli, struct k2_error *error)
{
    static const char *const others[] = {"exchange", "symbol", "canonical", "fields",
                                         "order",    "limit",  "time"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (k2_cli_has(cli, others[i])) {
            return k2_fail(error, K2_BAD_REQUEST,
                           "--%s goes with --parquet; a table of --warehouse has all rows and "
                           "columns",
                           others[i]);
        }
    }
    if (k2_cli_has(cli, "parquet")) {
        return k2_fail(error, K2_BAD_REQUEST, "--parquet and --warehouse: give one of them");
    }
    return k2_cli_value(cli, "warehouse")[0] != '\0'
               ? K2_OK
               : k2_fail(error, K2_BAD_REQUEST, "--warehouse: the name is empty");
}

static void show_rows(void *context, uint64_t rows)
{
    struct export_tables *self = context;
    k2_progress_show(&self->progress, self->rows_before + rows, self->rows_before + rows);
}

static enum k2_status read_request(struct export_tables *self, struct k2_error *error)
{
    struct k2_export_request *request = &self->request;
    const char *retention = k2_cli_value(self->cli, "retention");
    request->full = k2_cli_has(self->cli, "full");
    if (retention != NULL && strcmp(retention, "keep") != 0 && strcmp(retention, "follow") != 0) {
        return k2_fail(error, K2_BAD_REQUEST,
                       "--retention: `%.40s` is not known; give keep or follow", retention);
    }
    request->retention = retention == NULL                ? K2_RETENTION_UNCHANGED
                         : strcmp(retention, "keep") == 0 ? K2_RETENTION_KEEP
                                                          : K2_RETENTION_FOLLOW;
    request->progress = show_rows;
    request->context = self;
    enum k2_status status =
        read_time(self->cli, "start", &request->has_start, &request->start_ns, error);
    if (status == K2_OK) {
        status = read_time(self->cli, "end", &request->has_end, &request->end_ns, error);
    }
    request->has_range = request->has_start || request->has_end;
    return status;
}

static enum k2_status open_store(struct export_tables *self, bool write, struct k2_error *error)
{
    const char *as_of = k2_cli_value(self->cli, "as-of");
    k2_engine_close(self->engine);
    self->engine = NULL;
    enum k2_status status = k2_engine_open(&self->engine, k2_cli_data(self->cli),
                                           write ? K2_ENGINE_WRITE : K2_ENGINE_READ, error);
    // Beside a server nothing is noted; what the table says is enough to be exact.
    if (write && (status == K2_BUSY || status == K2_NOT_PERMITTED)) {
        write = false;
        status = k2_engine_open(&self->engine, k2_cli_data(self->cli), K2_ENGINE_READ, error);
    }
    self->writable = write;
    if (status == K2_OK) {
        status = k2_table_names_read(&self->names, self->cli, self->engine, error);
    }
    if (status == K2_OK && self->newest.id == 0) { // the first time
        status = k2_snapshot_newest(self->engine, &self->newest, error);
        self->snapshot = self->newest;
        if (status == K2_OK && as_of != NULL) {
            status = k2_snapshot_resolve(self->engine, k2_slice_of(as_of), &self->snapshot, error);
        }
    }
    return status;
}

// ---- tables ---------------------------------------------------------------------------------

static void put_result(struct export_tables *self, const struct k2_table *table,
                       const struct k2_export_result *result)
{
    struct k2_buffer *out = &self->answer;
    k2_put_text(out, self->answered++ == 0 ? "[" : ",");
    k2_put_text(out, "{\"table\":");
    k2_json_put_string(out, k2_slice_of(table->schema->table));
    k2_put_format(out, ",\"rows_added\":%llu,\"files_added\":%llu,\"bytes_added\":%llu",
                  (unsigned long long)result->rows_added, (unsigned long long)result->files_added,
                  (unsigned long long)result->bytes_added);
    k2_put_format(out, ",\"snapshot\":%llu", (unsigned long long)result->snapshot);
    if (result->has_iceberg_snapshot) {
        k2_put_format(out, ",\"iceberg_snapshot_id\":%lld", (long long)result->iceberg_snapshot_id);
    } else {
        k2_put_text(out, ",\"iceberg_snapshot_id\":null");
    }
    k2_put_text(out, ",\"metadata\":");
    if (result->metadata != NULL) {
        k2_json_put_string(out, k2_slice_of(result->metadata));
    } else {
        k2_put_text(out, "null");
    }
    k2_put_text(out, "}");
}

static void print_result(struct export_tables *self, const struct k2_table *table,
                         const struct k2_export_result *result)
{
    (void)fprintf(k2_cli_out(self->cli),
                  "%s: %llu rows in %llu files, %llu bytes, up to snapshot %llu\n",
                  table->schema->table, (unsigned long long)result->rows_added,
                  (unsigned long long)result->files_added, (unsigned long long)result->bytes_added,
                  (unsigned long long)result->snapshot);
}

// All tables, or with `only_look` until one has something to do.
static enum k2_status export_all(struct export_tables *self, bool only_look, bool json,
                                 bool *has_work, struct k2_error *error)
{
    enum k2_status status = K2_OK;
    *has_work = false;
    for (size_t i = 0; i < self->names.count && status == K2_OK && !*has_work; i++) {
        struct k2_export_request request = self->request;
        struct k2_export_result result = {0};
        request.engine = self->engine;
        request.warehouse = &self->warehouse;
        request.table = self->names.tables[i];
        request.snapshot = self->snapshot.id;
        request.newest = self->newest.id;
        request.only_look = only_look;
        request.create_empty = self->names.named;
        request.writable = self->writable;
        status = k2_export_table(&request, &result, error);
        *has_work = only_look && result.has_work;
        self->rows_before += result.rows_added;
        if (status == K2_OK && !only_look && result.there) {
            if (json) {
                put_result(self, self->names.tables[i], &result);
            } else {
                print_result(self, self->names.tables[i], &result);
            }
        }
        k2_free(result.metadata);
    }
    return status;
}

static enum k2_status export_tables(struct export_tables *self, bool json, struct k2_error *error)
{
    bool has_work = false;
    struct k2_warehouse_options options = {.warehouse = k2_cli_value(self->cli, "warehouse"),
                                           .catalog = k2_cli_value(self->cli, "catalog"),
                                           .create = true};
    enum k2_status status = open_store(self, false, error);
    if (status == K2_OK) {
        status = k2_warehouse_open(&self->warehouse, &options, error);
    }
    if (status == K2_OK) {
        status = export_all(self, true, json, &has_work, error);
    }
    if (status == K2_OK && has_work) { // else the store stays as it is
        status = open_store(self, true, error);
    }
    if (status == K2_OK) {
        status = k2_progress_begin(&self->progress, self->cli, "rows", 0, error);
    }
    if (status == K2_OK) {
        status = export_all(self, false, json, &has_work, error);
        k2_progress_end(&self->progress);
    }
    if (status == K2_OK && json) {
        k2_put_text(&self->answer, self->answered == 0 ? "[]\n" : "]\n");
        status = k2_buffer_check(&self->answer, "export: the answer", error);
    }
    return status;
}

enum k2_exit k2_export_tables_run(struct k2_cli *cli, bool json)
{
    struct export_tables *self = k2_alloc_zero(1, sizeof *self);
    struct k2_error error;
    if (self == NULL) {
        (void)k2_fail(&error, K2_NO_MEMORY, "export: no memory");
        return k2_cli_fail(cli, &error);
    }
    self->cli = cli;
    k2_buffer_init(&self->answer, answer_ceiling_bytes);
    enum k2_status status = check_options(cli, &error);
    if (status == K2_OK) {
        status = read_request(self, &error);
    }
    if (status == K2_OK) {
        status = export_tables(self, json, &error);
    }
    if (status == K2_OK && json) {
        status = k2_cli_write(cli, k2_buffer_slice(&self->answer), &error);
    } else if (status == K2_BAD_REQUEST || status == K2_NOT_FOUND) {
        k2_error_annotate(&error, "export");
    }
    k2_warehouse_close(&self->warehouse);
    k2_engine_close(self->engine);
    k2_buffer_deinit(&self->answer);
    k2_free(self);
    return status == K2_OK ? K2_EXIT_DONE : k2_cli_fail(cli, &error);
}
