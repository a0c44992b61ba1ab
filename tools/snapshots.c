#include "query/store_report.h"

#include <stdio.h>

#include "format/base/timestamp.h"
#include "tools/commands.h"

enum {
    REPORT_BYTES = 1 << 30,
    LISTED_AT_ONCE = 64,
};

static void put_line(struct k2_cli *cli, const struct k2_engine *engine,
                     const struct k2_snapshot *snapshot)
{
    char time[K2_TIMESTAMP_TEXT_BYTES];
    k2_timestamp_print(time, snapshot->time_ns);
    (void)fprintf(k2_cli_out(cli), "%10llu  %.*s  %-8s", (unsigned long long)snapshot->id,
                  (int)sizeof time, time, k2_operation_name(snapshot->operation));
    const struct k2_table *table = NULL;
    for (size_t i = 0; (table = k2_engine_table_at(engine, i)) != NULL; i++) {
        for (size_t j = 0; j < snapshot->table_count; j++) {
            if (snapshot->tables[j].table_id == table->id) {
                (void)fprintf(k2_cli_out(cli), "  %s %llu (+%llu)", table->schema->table,
                              (unsigned long long)snapshot->tables[j].rows,
                              (unsigned long long)snapshot->tables[j].added);
            }
        }
    }
    (void)fputc('\n', k2_cli_out(cli));
}

static enum k2_status print_table(struct k2_cli *cli, struct k2_engine *engine, uint64_t limit,
                                  struct k2_error *error)
{
    struct k2_snapshot page[LISTED_AT_ONCE];
    uint64_t before = 0, left = limit == 0 ? UINT64_MAX : limit;
    while (left > 0) {
        size_t count = left < LISTED_AT_ONCE ? (size_t)left : LISTED_AT_ONCE;
        enum k2_status status = k2_snapshot_list(engine, before, page, &count, error);
        if (status != K2_OK || count == 0) {
            return status;
        }
        for (size_t i = 0; i < count; i++) {
            put_line(cli, engine, &page[i]);
        }
        before = page[count - 1].id;
        left = before <= 1 ? 0 : left - count;
    }
    return K2_OK;
}

static enum k2_status print_json(struct k2_cli *cli, struct k2_engine *engine, uint64_t limit,
                                 bool lines, struct k2_error *error)
{
    const struct k2_snapshot_list_request request = {.limit = limit, .lines = lines};
    struct k2_buffer report;
    uint64_t count = 0, next = 0;
    k2_buffer_init(&report, REPORT_BYTES);
    enum k2_status status =
        k2_store_report_snapshots(engine, &request, &report, &count, &next, error);
    if (status == K2_OK && !lines) {
        k2_put_u8(&report, '\n');
        status = k2_buffer_check(&report, "snapshots", error);
    }
    if (status == K2_OK) {
        status = k2_cli_write(cli, k2_buffer_slice(&report), error);
    }
    k2_buffer_deinit(&report);
    return status;
}

static enum k2_exit run(struct k2_cli *cli)
{
    static const char *const formats[] = {"table", "json", "ndjson", NULL};
    size_t format = 0;
    uint64_t limit = 0;
    struct k2_engine *engine = NULL;
    struct k2_error error;
    enum k2_status status = k2_cli_choice(cli, "format", formats, &format, &error);
    if (status == K2_OK) {
        status = k2_cli_number(cli, "limit", 1, UINT64_MAX, &limit, &error);
    }
    if (status == K2_OK) {
        status = k2_engine_open(&engine, k2_cli_data(cli), K2_ENGINE_READ, &error);
    }
    if (status == K2_OK) {
        status = format == 0 ? print_table(cli, engine, limit, &error)
                             : print_json(cli, engine, limit, format == 2, &error);
    }
    k2_engine_close(engine);
    return status == K2_OK ? K2_EXIT_DONE : k2_cli_fail(cli, &error);
}

const struct k2_command k2_command_snapshots = {
    .name = "snapshots",
    .summary = "the states of the store, newest first",
    .options = (const struct k2_option[]){K2_OPTION_DATA,
                                          {"limit", "N", "at most so many", false},
                                          K2_OPTION_FORMAT("table|json|ndjson", "table"),
                                          {0}},
    .run = run,
};
