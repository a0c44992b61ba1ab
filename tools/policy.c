#include "engine/policy.h"

#include <stdio.h>
#include <string.h>

#include "format/base/timestamp.h"
#include "tools/commands.h"
#include "tools/duration.h"

static const char *const rules[] = {"keep-first", "keep-last", "reject", NULL};

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

// `always` and `none` are 0.
static enum k2_status read_duration(const struct k2_cli *cli, const char *option, const char *zero,
                                    int64_t *duration_ns, struct k2_error *error)
{
    const char *text = k2_cli_value(cli, option);
    if (text == NULL) {
        return K2_OK;
    }
    if (strcmp(text, zero) == 0) {
        *duration_ns = 0;
        return K2_OK;
    }
    return k2_duration_parse(text, duration_ns)
               ? K2_OK
               : k2_fail(error, K2_BAD_REQUEST,
                         "--%s: `%.60s` is neither `%s` nor a time such as 90s, 12h, 30d, 5y",
                         option, text, zero);
}

static enum k2_status change(const struct k2_cli *cli, struct k2_engine *engine,
                             const struct k2_table *table, struct k2_error *error)
{
    struct k2_policy policy;
    enum k2_status status = k2_policy_get(engine, table, &policy, error);
    size_t rule = status == K2_OK ? (size_t)policy.duplicates : 0;
    if (status == K2_OK) {
        status = k2_cli_choice(cli, "duplicates", rules, &rule, error);
    }
    if (status == K2_OK) {
        policy.duplicates = (enum k2_duplicate_rule)rule;
        status = read_duration(cli, "history", "always", &policy.history_ns, error);
    }
    if (status == K2_OK) {
        status = read_duration(cli, "retention", "none", &policy.retention_ns, error);
    }
    return status == K2_OK ? k2_policy_set(engine, table, &policy, error) : status;
}

// What is wrong in the options is told before a store is looked for.
static enum k2_status check_options(const struct k2_cli *cli, bool sets, size_t *format,
                                    struct k2_error *error)
{
    static const char *const formats[] = {"table", "json", NULL};
    size_t rule = 0;
    int64_t unused;
    enum k2_status status = k2_cli_choice(cli, "format", formats, format, error);
    if (status == K2_OK) {
        status = k2_cli_choice(cli, "duplicates", rules, &rule, error);
    }
    if (status == K2_OK) {
        status = read_duration(cli, "history", "always", &unused, error);
    }
    if (status == K2_OK) {
        status = read_duration(cli, "retention", "none", &unused, error);
    }
    if (status == K2_OK && sets && !k2_cli_has(cli, "table")) {
        status = k2_fail(error, K2_BAD_REQUEST, "--table: missing; say whose policy changes");
    }
    return status;
}

static enum k2_exit run(struct k2_cli *cli)
{
    bool sets =
        k2_cli_has(cli, "duplicates") || k2_cli_has(cli, "history") || k2_cli_has(cli, "retention");
    size_t format = 0;
    struct k2_engine *engine = NULL;
    const struct k2_table *table = NULL;
    struct k2_error error;
    enum k2_status status = check_options(cli, sets, &format, &error);
    if (status == K2_OK) {
        status = k2_engine_open(&engine, k2_cli_data(cli), sets ? K2_ENGINE_CREATE : K2_ENGINE_READ,
                                &error);
    }
    if (status == K2_OK && k2_cli_has(cli, "table")) {
        const char *name = k2_cli_value(cli, "table");
        table = k2_engine_table(engine, k2_slice_of(name));
        if (table == NULL || name[0] == '_') {
            status = k2_fail(&error, K2_NOT_FOUND, "--table: there is no table `%.60s`", name);
        }
    }
    if (status == K2_OK && sets) {
        status = change(cli, engine, table, &error);
    }
    if (status == K2_OK) {
        status = print(cli, engine, table, format == 1, &error);
    }
    k2_engine_close(engine);
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
