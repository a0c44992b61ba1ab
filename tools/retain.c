#include "engine/retain.h"

#include <stdio.h>
#include <time.h>

#include "format/base/timestamp.h"
#include "tools/commands.h"

static void put(FILE *out, const char *name, const struct k2_retain_report *report, bool json)
{
    char cut[K2_TIMESTAMP_TEXT_BYTES];
    k2_timestamp_print(cut, report->retention_cut_ns);
    unsigned long long dropped = report->rows_dropped, old = report->rows_old;
    unsigned long long floor = report->history_floor, snapshot = report->snapshot;
    if (!json) {
        (void)fprintf(out, "%-16s  %llu rows dropped: %llu old, %llu replaced or deleted\n", name,
                      dropped, old, dropped - old);
        return;
    }
    (void)fprintf(out,
                  "{\"table\":\"%s\",\"rows_dropped\":%llu,\"rows_old\":%llu,"
                  "\"history_snapshot\":%llu,\"dropped_before\":",
                  name, dropped, old, floor);
    (void)fprintf(out, report->has_cut ? "\"%.*s\"" : "null", (int)sizeof cut, cut);
    (void)fprintf(out, ",\"snapshot\":%llu}", snapshot);
}

static enum k2_status retain(struct k2_cli *cli, struct k2_engine *engine,
                             const struct k2_table *only, bool json, struct k2_error *error)
{
    FILE *out = k2_cli_out(cli);
    const struct k2_table *table;
    struct timespec now;
    bool first = true;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    int64_t now_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    for (size_t i = 0; (table = k2_engine_table_at(engine, i)) != NULL; i++) {
        struct k2_retain_report report;
        if (table->schema->table[0] == '_' || (only != NULL && table != only)) {
            continue;
        }
        enum k2_status status =
            k2_retain(engine, table, now_ns, k2_cli_has(cli, "dry-run"), &report, error);
        if (status != K2_OK) {
            return status;
        }
        (void)fputs(!json ? "" : first ? "[" : ",", out);
        put(out, table->schema->table, &report, json);
        first = false;
    }
    (void)fputs(json ? "]\n" : "", out);
    return K2_OK;
}

static enum k2_exit run(struct k2_cli *cli)
{
    static const char *const formats[] = {"table", "json", NULL};
    size_t format = 0;
    struct k2_engine *engine = NULL;
    const struct k2_table *table = NULL;
    struct k2_error error;
    enum k2_status status = k2_cli_choice(cli, "format", formats, &format, &error);
    if (status == K2_OK) {
        status = k2_engine_open(&engine, k2_cli_data(cli), K2_ENGINE_WRITE, &error);
    }
    if (status == K2_OK && k2_cli_has(cli, "table")) {
        const char *name = k2_cli_value(cli, "table");
        table = k2_engine_table(engine, k2_slice_of(name));
        if (table == NULL || name[0] == '_') {
            status = k2_fail(&error, K2_NOT_FOUND, "--table: there is no table `%.60s`", name);
        }
    }
    if (status == K2_OK) {
        status = retain(cli, engine, table, format == 1, &error);
    }
    k2_engine_close(engine);
    return status == K2_OK ? K2_EXIT_DONE : k2_cli_fail(cli, &error);
}

const struct k2_command k2_command_retain = {
    .name = "retain",
    .summary = "drops what the policies of tables (k2 policy) do not keep",
    .options = (const struct k2_option[]){K2_OPTION_DATA,
                                          {"table", "T", "only this one", false},
                                          {"dry-run", NULL, "only tells what it would drop", false},
                                          K2_OPTION_FORMAT("table|json", "table"),
                                          {0}},
    .run = run,
};
