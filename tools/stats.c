#include "query/store_report.h"

#include <stdio.h>

#include "tools/commands.h"

enum { REPORT_BYTES = 64 << 20 };

static enum k2_status put_table_line(struct k2_cli *cli, struct k2_engine *engine,
                                     const struct k2_table *table, struct k2_error *error)
{
    struct k2_table_counters counters;
    enum k2_status status = k2_engine_counters(engine, table, &counters, error);
    if (status == K2_OK) {
        (void)fprintf(k2_cli_out(cli), "%-16s %14llu %9llu %14llu %12llu %11.2f\n",
                      table->schema->table, (unsigned long long)counters.rows,
                      (unsigned long long)counters.segments, (unsigned long long)counters.bytes,
                      (unsigned long long)counters.instruments,
                      counters.rows > 0 ? (double)counters.bytes / (double)counters.rows : 0.0);
    }
    return status;
}

static enum k2_status print_table(struct k2_cli *cli, struct k2_engine *engine,
                                  struct k2_error *error)
{
    struct k2_snapshot newest;
    uint64_t index_bytes = 0;
    enum k2_status status = k2_snapshot_newest(engine, &newest, error);
    if (status == K2_OK) {
        status = k2_engine_index_bytes(engine, &index_bytes, error);
    }
    if (status != K2_OK) {
        return status;
    }
    (void)fprintf(k2_cli_out(cli),
                  "snapshot %llu, index %llu bytes\n%-16s %14s %9s %14s %12s %11s\n",
                  (unsigned long long)newest.id, (unsigned long long)index_bytes, "table", "rows",
                  "segments", "bytes", "instruments", "bytes/row");
    const struct k2_table *table = NULL;
    for (size_t i = 0; status == K2_OK && (table = k2_engine_table_at(engine, i)) != NULL; i++) {
        status = put_table_line(cli, engine, table, error);
    }
    return status;
}

static enum k2_status print_json(struct k2_cli *cli, struct k2_engine *engine,
                                 struct k2_error *error)
{
    struct k2_buffer report;
    k2_buffer_init(&report, REPORT_BYTES);
    enum k2_status status = k2_store_report_stats(engine, &report, error);
    if (status == K2_OK) {
        k2_put_u8(&report, '\n');
        status = k2_buffer_check(&report, "stats", error);
    }
    if (status == K2_OK) {
        status = k2_cli_write(cli, k2_buffer_slice(&report), error);
    }
    k2_buffer_deinit(&report);
    return status;
}

static enum k2_exit run(struct k2_cli *cli)
{
    static const char *const formats[] = {"table", "json", NULL};
    size_t format = 0;
    struct k2_engine *engine = NULL;
    struct k2_error error;
    enum k2_status status = k2_cli_choice(cli, "format", formats, &format, &error);
    if (status == K2_OK) {
        status = k2_engine_open(&engine, k2_cli_data(cli), K2_ENGINE_READ, &error);
    }
    if (status == K2_OK) {
        status = format == 1 ? print_json(cli, engine, &error) : print_table(cli, engine, &error);
    }
    k2_engine_close(engine);
    return status == K2_OK ? K2_EXIT_DONE : k2_cli_fail(cli, &error);
}

const struct k2_command k2_command_stats = {
    .name = "stats",
    .summary = "what the store holds: rows, segments and bytes by table and column",
    .options =
        (const struct k2_option[]){K2_OPTION_DATA, K2_OPTION_FORMAT("table|json", "table"), {0}},
    .run = run,
};
