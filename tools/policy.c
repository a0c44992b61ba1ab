#include "engine/policy.h"

#include <stdio.h>

#include "format/base/timestamp.h"
#include "tools/change_policy.h"
#include "tools/commands.h"
#include "tools/duration.h"
#include "tools/serve_control.h"

static void put_duration(FILE *out, const char *name, int64_t duration_ns, const char *zero,
                         bool json)
{
    char text[K2_DURATION_TEXT_BYTES];
    k2_duration_print(text, duration_ns);
    (void)fprintf(out, json ? ",\"%s\":\"%s\"" : "  %s %-8s", name, duration_ns == 0 ? zero : text);
}

static void put_policy(FILE *out, const struct k2_table *table, const struct k2_policy *policy,
                       bool json)
{
    char cut[K2_TIMESTAMP_TEXT_BYTES];
    k2_timestamp_print(cut, policy->retention_cut_ns);
    (void)fprintf(out, json ? "{\"table\":\"%s\",\"duplicates\":\"%s\"" : "%-16s  duplicates %-10s",
                  table->schema->table, k2_duplicate_rule_name(policy->duplicates));
    put_duration(out, "history", policy->history_ns, "always", json);
    put_duration(out, "retention", policy->retention_ns, "none", json);
    if (json) {
        (void)fprintf(out, ",\"history_snapshot\":%llu,\"dropped_before\":",
                      (unsigned long long)policy->history_floor);
        (void)fprintf(out, policy->has_cut ? "\"%.*s\"}" : "null}", (int)sizeof cut, cut);
        return;
    }
    if (policy->history_floor > 0) {
        (void)fprintf(out, "  from snapshot %llu", (unsigned long long)policy->history_floor);
    }
    if (policy->has_cut) {
        (void)fprintf(out, "  dropped before %.*s", (int)sizeof cut, cut);
    }
    (void)fputc('\n', out);
}

static enum k2_status print(struct k2_cli *cli, struct k2_engine *engine,
                            const struct k2_table *only, bool json, struct k2_error *error)
{
    FILE *out = k2_cli_out(cli);
    const struct k2_table *table;
    bool first = true;
    (void)fputs(json ? "[" : "", out);
    for (size_t i = 0; (table = k2_engine_table_at(engine, i)) != NULL; i++) {
        struct k2_policy policy;
        if (table->schema->table[0] == '_' || (only != NULL && table != only)) {
            continue;
        }
        enum k2_status status = k2_policy_get(engine, table, &policy, error);
        if (status != K2_OK) {
            return status;
        }
        (void)fputs(json && !first ? "," : "", out);
        put_policy(out, table, &policy, json);
        first = false;
    }
    (void)fputs(json ? "]\n" : "", out);
    return K2_OK;
}

// Here, or by the server that has the store.
static enum k2_status change_policy(const struct k2_cli *cli, const struct k2_policy_change *change,
                                    struct k2_error *error)
{
    const struct {
        const char *option, *value;
    } texts[] = {{"--table", change->table},
                 {"--duplicates", change->duplicates},
                 {"--history", change->history},
                 {"--retention", change->retention}};
    const char *arguments[8];
    size_t count = 0;
    bool asked = false;
    struct k2_engine *engine = NULL;
    struct k2_buffer result;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (texts[i].value != NULL) {
            arguments[count++] = texts[i].option;
            arguments[count++] = texts[i].value;
        }
    }
    k2_buffer_init(&result, K2_CONTROL_LINE_BYTES);
    enum k2_status status = k2_engine_open(&engine, k2_cli_data(cli), K2_ENGINE_CREATE, error);
    if (status == K2_OK) {
        status = k2_policy_change_do(engine, change, error);
    } else {
        status = k2_control_or_busy(cli, status, "policy", arguments, count, NULL, NULL, &asked,
                                    &result, error);
    }
    k2_engine_close(engine);
    k2_buffer_deinit(&result);
    return status;
}

static enum k2_status show(struct k2_cli *cli, bool json, struct k2_error *error)
{
    const char *name = k2_cli_value(cli, "table");
    struct k2_engine *engine = NULL;
    const struct k2_table *table = NULL;
    enum k2_status status = k2_engine_open(&engine, k2_cli_data(cli), K2_ENGINE_READ, error);
    if (status == K2_OK && name != NULL) {
        status = k2_policy_table(engine, name, &table, error);
    }
    if (status == K2_OK) {
        status = print(cli, engine, table, json, error);
    }
    k2_engine_close(engine);
    return status;
}

// What is wrong in the options is told before a store is looked for.
static enum k2_exit run(struct k2_cli *cli)
{
    static const char *const formats[] = {"table", "json", NULL};
    const struct k2_policy_change change = {
        .table = k2_cli_value(cli, "table"),
        .duplicates = k2_cli_value(cli, "duplicates"),
        .history = k2_cli_value(cli, "history"),
        .retention = k2_cli_value(cli, "retention"),
    };
    bool sets = change.duplicates != NULL || change.history != NULL || change.retention != NULL;
    size_t format = 0;
    struct k2_error error;
    enum k2_status status = k2_cli_choice(cli, "format", formats, &format, &error);
    if (status == K2_OK) {
        status = k2_policy_change_check(&change, &error);
    }
    if (status == K2_OK && sets && change.table == NULL) {
        status = k2_fail(&error, K2_BAD_REQUEST, "--table: missing; say whose policy changes");
    }
    if (status == K2_OK && sets) {
        status = change_policy(cli, &change, &error);
    }
    if (status == K2_OK) {
        status = show(cli, format == 1, &error);
    }
    return status == K2_OK ? K2_EXIT_DONE : k2_cli_fail(cli, &error);
}

const struct k2_command k2_command_policy = {
    .name = "policy",
    .summary = "shows or sets what a table does with duplicates, and how long it keeps what",
    .options =
        (const struct k2_option[]){
            K2_OPTION_DATA,
            {"table", "T", "only this one; needed to set something", false},
            {"duplicates", "keep-first|keep-last|reject", "what a second row of a key does", false},
            {"history", "TIME|always", "how far back past states can be asked, such as 30d", false},
            {"retention", "TIME|none", "how old an event may get, such as 5y", false},
            K2_OPTION_FORMAT("table|json", "table"),
            {0}},
    .run = run,
};
