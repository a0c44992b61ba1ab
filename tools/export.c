// `k2 export`: with --warehouse Iceberg tables (export_tables.h); with --parquet FILE rows of a
// table as one Parquet file, which is there whole or not. It grows as FILE.PID.part, which a killed
// export leaves behind.
#include <string.h>
#include <unistd.h>

#include "engine/file_io.h"
#include "format/base/alloc.h"
#include "tools/commands.h"
#include "tools/export_tables.h"
#include "tools/progress.h"
#include "tools/range_options.h"

enum {
    PIECE_BYTES = 1 << 20,
    PIECE_CEILING_BYTES = 1 << 30,
};

static const struct k2_option options[] = {
    K2_OPTION_DATA,
    {"warehouse", "DIR", "brings the Iceberg tables k2.TABLE below DIR up to the snapshot", false},
    {"catalog", "URL", "a REST catalog; DIR may be s3://BUCKET/FOLDER then (AWS_*, K2_CATALOG_*)",
     false},
    {"full", NULL, "with --warehouse: everything anew, in place of what is there", false},
    {"retention", "keep|follow",
     "with --warehouse: what `k2 retain` drops stays in the tables, or goes; "
     "kept with them, keep at first",
     false},
    {"parquet", "FILE", "one Parquet file; one that is there is replaced", false},
    K2_RANGE_OPTIONS,
    {"time", "iso|ns", "ns: times as integers alone, not beside microseconds", false},
    K2_OPTION_FORMAT("table|json", "table"),
    {0},
};

struct export
{
    struct k2_cli *cli;
    const char *path;
    struct k2_buffer part; // the path under which the file grows, with a NUL
    bool part_is_there;
    int file; // -1: not open
    uint64_t size_bytes;
    struct k2_engine *engine;
    struct k2_range_query *query;
    struct k2_progress progress;
};

static enum k2_status open_export(struct export *self, struct k2_error *error)
{
    struct k2_range_option_names names;
    struct k2_range_request request = {.format = k2_row_format_find(k2_slice_of("parquet")),
                                       .large_groups = true};
    k2_range_options_read(self->cli, false, &names, &request);
    enum k2_status status =
        k2_engine_open(&self->engine, k2_cli_data(self->cli), K2_ENGINE_READ, error);
    if (status == K2_OK) {
        status = k2_range_query_open(&self->query, self->engine, &request, error);
        if (status == K2_BAD_REQUEST || status == K2_NOT_FOUND) {
            k2_error_annotate(error, "export");
        }
    }
    if (status != K2_OK) {
        return status;
    }
    k2_put_format(&self->part, "%s.%ld.part", self->path, (long)getpid());
    k2_put_u8(&self->part, 0);
    status = k2_buffer_check(&self->part, "export", error);
    if (status == K2_OK) {
        status = k2_file_create((const char *)self->part.data, &self->file, error);
    }
    self->part_is_there = status == K2_OK;
    return status;
}

static enum k2_status write_rows(struct export *self, struct k2_error *error)
{
    struct k2_buffer piece;
    k2_buffer_init(&piece, PIECE_CEILING_BYTES);
    enum k2_status status = K2_OK;
    for (bool done = false; status == K2_OK && !done;) {
        k2_buffer_clear(&piece);
        status = k2_range_query_next(self->query, PIECE_BYTES, &piece, &done, error);
        if (status == K2_OK) {
            status = k2_file_write(self->file, k2_buffer_slice(&piece), self->size_bytes, error);
        }
        self->size_bytes += piece.size_bytes;
        uint64_t rows = k2_range_query_summary(self->query).rows;
        k2_progress_show(&self->progress, rows, rows);
    }
    k2_buffer_deinit(&piece);
    return status;
}

// Durable under its own name: first the bytes, then the name.
static enum k2_status give_name(struct export *self, struct k2_error *error)
{
    enum k2_status status = k2_file_sync(self->file, error);
    (void)close(self->file);
    self->file = -1;
    if (status == K2_OK) {
        status = k2_file_rename((const char *)self->part.data, self->path, error);
    }
    if (status != K2_OK) {
        return status;
    }
    self->part_is_there = false;
    const char *slash = strrchr(self->path, '/');
    char *folder = slash == NULL ? k2_alloc_text(".", 1)
                                 : k2_alloc_text(self->path, (size_t)(slash - self->path) + 1);
    if (folder == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "export: no memory");
    }
    status = k2_file_sync_directory(folder, error);
    k2_free(folder);
    return status;
}

static void close_export(struct export *self)
{
    if (self->file >= 0) {
        (void)close(self->file);
    }
    if (self->part_is_there) {
        (void)k2_file_unlink((const char *)self->part.data, NULL);
    }
    k2_buffer_deinit(&self->part);
    k2_range_query_close(self->query);
    k2_engine_close(self->engine);
}

static enum k2_status check_options(const struct k2_cli *cli, struct k2_error *error)
{
    if (!k2_cli_has(cli, "parquet")) {
        return k2_fail(error, K2_BAD_REQUEST,
                       "export: where to? Give --warehouse DIR or --parquet FILE");
    }
    if (!k2_cli_has(cli, "table")) {
        return k2_fail(error, K2_BAD_REQUEST, "export: --table is needed; such as --table trades");
    }
    if (k2_cli_has(cli, "full") || k2_cli_has(cli, "catalog")) {
        return k2_fail(error, K2_BAD_REQUEST, "export: --%s goes with --warehouse",
                       k2_cli_has(cli, "full") ? "full" : "catalog");
    }
    if (k2_cli_value(cli, "parquet")[0] == '\0') {
        return k2_fail(error, K2_BAD_REQUEST, "export: --parquet: the name is empty");
    }
    return K2_OK;
}

static void print_result(struct k2_cli *cli, const struct k2_range_summary *summary,
                         uint64_t size_bytes, bool json)
{
    unsigned long long rows = summary->rows, snapshot = summary->snapshot, bytes = size_bytes;
    if (json) {
        (void)fprintf(k2_cli_out(cli), "{\"rows\":%llu,\"bytes\":%llu,\"snapshot\":%llu}\n", rows,
                      bytes, snapshot);
    } else {
        (void)fprintf(k2_cli_out(cli), "%llu rows, %llu bytes, as of snapshot %llu\n", rows, bytes,
                      snapshot);
    }
}

static enum k2_exit run(struct k2_cli *cli)
{
    static const char *const formats[] = {"table", "json", NULL};
    size_t format = 0;
    struct export self = {.cli = cli, .path = k2_cli_value(cli, "parquet"), .file = -1};
    struct k2_error error;
    k2_buffer_init(&self.part, SIZE_MAX);
    enum k2_status status = k2_cli_choice(cli, "format", formats, &format, &error);
    if (status == K2_OK && k2_cli_has(cli, "warehouse")) {
        return k2_export_tables_run(cli, format == 1);
    }
    if (status == K2_OK) {
        status = check_options(cli, &error);
    }
    if (status == K2_OK) {
        status = open_export(&self, &error);
    }
    if (status == K2_OK) {
        status = k2_progress_begin(&self.progress, cli, "rows", 0, &error);
    }
    if (status == K2_OK) {
        status = write_rows(&self, &error);
        k2_progress_end(&self.progress);
    }
    if (status == K2_OK) {
        status = give_name(&self, &error);
    }
    if (status == K2_OK) {
        struct k2_range_summary summary = k2_range_query_summary(self.query);
        print_result(cli, &summary, self.size_bytes, format == 1);
    }
    close_export(&self);
    return status == K2_OK ? K2_EXIT_DONE : k2_cli_fail(cli, &error);
}

const struct k2_command k2_command_export = {
    .name = "export",
    .summary = "writes tables as Iceberg tables, or rows of one to a Parquet file",
    .options = options,
    .run = run,
};
