#include <stdio.h>

#include "tools/change_tag.h"
#include "tools/commands.h"
#include "tools/serve_control.h"

// Here, or by the server that has the store.
static enum k2_status change_tag(const struct k2_cli *cli, uint64_t *id, struct k2_error *error)
{
    struct k2_tag_change change = {
        .name = k2_slice_of(k2_cli_argument(cli, 0)),
        .remove = k2_cli_has(cli, "delete"),
    };
    const char *arguments[4] = {k2_cli_argument(cli, 0)};
    size_t count = 1;
    bool asked = false;
    struct k2_engine *engine = NULL;
    struct k2_buffer result;
    k2_buffer_init(&result, K2_CONTROL_LINE_BYTES);
    enum k2_status status = k2_cli_number(cli, "snapshot", 1, UINT64_MAX, &change.snapshot, error);
    if (k2_cli_has(cli, "snapshot")) {
        arguments[count++] = "--snapshot";
        arguments[count++] = k2_cli_value(cli, "snapshot");
    }
    if (change.remove) {
        arguments[count++] = "--delete";
    }
    if (status == K2_OK) {
        status = k2_engine_open(&engine, k2_cli_data(cli), K2_ENGINE_WRITE, error);
        if (status == K2_OK) {
            status = k2_tag_change(engine, &change, id, error);
        } else {
            status = k2_control_or_busy(cli, status, "tag", arguments, count, NULL, NULL, &asked,
                                        &result, error);
        }
    }
    if (asked && status == K2_OK) {
        *id = k2_control_number(&result, "snapshot");
    }
    k2_engine_close(engine);
    k2_buffer_deinit(&result);
    return status;
}

static enum k2_exit run(struct k2_cli *cli)
{
    static const char *const formats[] = {"table", "json", NULL};
    size_t format = 0;
    uint64_t id = 0;
    struct k2_error error;
    enum k2_status status = k2_cli_choice(cli, "format", formats, &format, &error);
    if (status == K2_OK && k2_cli_has(cli, "delete") && k2_cli_has(cli, "snapshot")) {
        status = k2_fail(&error, K2_BAD_REQUEST, "tag: --delete takes no --snapshot");
    }
    if (status == K2_OK) {
        status = change_tag(cli, &id, &error);
    }
    if (status == K2_OK) {
        (void)fprintf(k2_cli_out(cli),
                      format == 1 ? "{\"tag\":\"%s\",\"snapshot\":%llu}\n" : "%s %llu\n",
                      k2_cli_argument(cli, 0), (unsigned long long)id);
    }
    return status == K2_OK ? K2_EXIT_DONE : k2_cli_fail(cli, &error);
}

const struct k2_command k2_command_tag = {
    .name = "tag",
    .summary = "names a snapshot and keeps it from expiring",
    .arguments = "NAME",
    .argument_min = 1,
    .argument_max = 1,
    .options = (const struct k2_option[]){K2_OPTION_DATA,
                                          {"snapshot", "ID", "the newest unless given", false},
                                          {"delete", NULL, "removes the name", false},
                                          K2_OPTION_FORMAT("table|json", "table"),
                                          {0}},
    .run = run,
};
