#include "engine/check.h"

#include "format/base/json_text.h"
#include "tools/commands.h"

struct findings {
    struct k2_cli *cli;
    bool json;
    struct k2_buffer list; // JSON strings, comma-separated
};

static void note(void *context, const char *text)
{
    struct findings *findings = context;
    if (!findings->json) {
        (void)fprintf(k2_cli_out(findings->cli), "%s\n", text);
        return;
    }
    if (findings->list.size_bytes > 0) {
        k2_put_u8(&findings->list, ',');
    }
    k2_json_put_string(&findings->list, k2_slice_of(text));
}

static enum k2_exit print(struct findings *findings, const struct k2_check_report *report,
                          struct k2_error *error)
{
    FILE *out = k2_cli_out(findings->cli);
    if (!findings->json) {
        (void)fprintf(out, "%llu segments, %llu groups, %llu rows: %llu findings\n",
                      (unsigned long long)report->segments, (unsigned long long)report->groups,
                      (unsigned long long)report->rows, (unsigned long long)report->findings);
    } else if (k2_buffer_check(&findings->list, "findings", error) != K2_OK) {
        return k2_cli_fail(findings->cli, error);
    } else {
        (void)fprintf(out, "{\"ok\":%s,\"segments\":%llu,\"rows\":%llu,\"findings\":[%.*s]}\n",
                      report->findings == 0 ? "true" : "false",
                      (unsigned long long)report->segments, (unsigned long long)report->rows,
                      (int)findings->list.size_bytes, (const char *)findings->list.data);
    }
    return report->findings == 0 ? K2_EXIT_DONE : K2_EXIT_CORRUPT;
}

static enum k2_exit run(struct k2_cli *cli)
{
    static const char *const formats[] = {"table", "json", NULL};
    size_t format = 0;
    struct k2_error error;
    struct k2_engine *engine = NULL;
    struct k2_check_report report;
    struct findings findings = {.cli = cli};
    k2_buffer_init(&findings.list, 64 << 20);
    struct k2_check_options options = {
        .deep = k2_cli_has(cli, "deep"),
        .finding = note,
        .context = &findings,
    };
    enum k2_status status = k2_cli_choice(cli, "format", formats, &format, &error);
    findings.json = format == 1;
    if (status == K2_OK) {
        status = k2_engine_open(&engine, k2_cli_data(cli), K2_ENGINE_READ, &error);
    }
    if (status == K2_OK) {
        status = k2_check(engine, &options, &report, &error);
    }
    enum k2_exit code =
        status == K2_OK ? print(&findings, &report, &error) : k2_cli_fail(cli, &error);
    k2_buffer_deinit(&findings.list);
    k2_engine_close(engine);
    return code;
}

const struct k2_command k2_command_check = {
    .name = "check",
    .summary = "verifies every checksum and invariant of a store",
    .options = (const struct k2_option[]){K2_OPTION_DATA,
                                          {"deep", NULL, "decode every value as well", false},
                                          K2_OPTION_FORMAT("table|json", "table"),
                                          {0}},
    .run = run,
};
