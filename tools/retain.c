#include "engine/retain.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "engine/snapshot.h"
#include "format/base/timestamp.h"
#include "tools/change_policy.h"
#include "tools/commands.h"
#include "tools/serve_control.h"

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

// By the server that has the store.
static enum k2_status ask(const struct k2_cli *cli, enum k2_status status, const char *table,
                          bool dry_run, struct k2_retain_report *report, struct k2_error *error)
{
    const char *const arguments[] = {"--table", table, "--dry-run"};
    struct k2_buffer result;
    bool asked = false;
    k2_buffer_init(&result, K2_CONTROL_LINE_BYTES);
    status = k2_control_or_busy(cli, status, "retain", arguments, dry_run ? 3 : 2, NULL, NULL,
                                &asked, &result, error);
    if (asked && status == K2_OK) {
        *report = (struct k2_retain_report){
            .rows_dropped = k2_control_number(&result, "rows_dropped"),
            .rows_old = k2_control_number(&result, "rows_old"),
            .history_floor = k2_control_number(&result, "history_snapshot"),
            .has_cut = k2_control_number(&result, "has_cut") != 0,
            .retention_cut_ns = (int64_t)k2_control_number(&result, "dropped_before_ns"),
            .snapshot = k2_control_number(&result, "snapshot"),
        };
    }
    k2_buffer_deinit(&result);
    return status;
}

struct done {
    const char *table; // borrowed from the engine
    struct k2_retain_report report;
};

// All tables, or only one. `busy` says that another process writes, and `error` which.
static enum k2_status retain(const struct k2_cli *cli, struct k2_engine *engine, bool busy,
                             struct done *done, size_t *count, struct k2_error *error)
{
    const char *only = k2_cli_value(cli, "table");
    bool dry_run = k2_cli_has(cli, "dry-run");
    const struct k2_table *table;
    struct timespec now;
    enum k2_status status = only == NULL ? K2_OK : k2_policy_table(engine, only, &table, error);
    (void)clock_gettime(CLOCK_REALTIME, &now);
    int64_t now_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    for (size_t i = 0; status == K2_OK && (table = k2_engine_table_at(engine, i)) != NULL; i++) {
        const char *name = table->schema->table;
        if (name[0] == '_' || (only != NULL && strcmp(name, only) != 0)) {
            continue;
        }
        done[*count] = (struct done){.table = name};
        struct k2_retain_report *report = &done[*count].report;
        status = busy ? ask(cli, K2_BUSY, name, dry_run, report, error)
                      : k2_retain(engine, table, now_ns, dry_run, report, error);
        *count += status == K2_OK;
    }
    return status;
}

static enum k2_exit run(struct k2_cli *cli)
{
    static const char *const formats[] = {"table", "json", NULL};
    struct done done[K2_MAX_SNAPSHOT_TABLES];
    size_t format = 0, count = 0;
    struct k2_engine *engine = NULL;
    struct k2_error error, unused;
    FILE *out = k2_cli_out(cli);
    enum k2_status status = k2_cli_choice(cli, "format", formats, &format, &error);
    bool json = format == 1, busy = false;
    if (status == K2_OK) {
        status = k2_engine_open(&engine, k2_cli_data(cli), K2_ENGINE_WRITE, &error);
        busy = status == K2_BUSY;
    }
    if (busy && k2_engine_open(&engine, k2_cli_data(cli), K2_ENGINE_READ, &unused) == K2_OK) {
        status = K2_OK;
    }
    if (status == K2_OK) {
        status = retain(cli, engine, busy, done, &count, &error);
    }
    if (status == K2_OK) {
        (void)fputs(json ? "[" : "", out);
        for (size_t i = 0; i < count; i++) {
            (void)fputs(json && i > 0 ? "," : "", out);
            put(out, done[i].table, &done[i].report, json);
        }
        (void)fputs(json ? "]\n" : "", out);
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
