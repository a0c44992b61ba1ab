#include "tools/version.h"

#include "tools/commands.h"

static enum k2_exit run(struct k2_cli *cli)
{
    static const char *const formats[] = {"table", "json", NULL};
    size_t format = 0;
    struct k2_error error;
    if (k2_cli_choice(cli, "format", formats, &format, &error) != K2_OK) {
        return k2_cli_fail(cli, &error);
    }
    (void)fprintf(k2_cli_out(cli), format == 1 ? "{\"version\":\"%s\"}\n" : "k2 %s\n", K2_VERSION);
    return K2_EXIT_DONE;
}

const struct k2_command k2_command_version = {
    .name = "version",
    .summary = "prints the version",
    .options = (const struct k2_option[]){K2_OPTION_FORMAT("table|json", "table"), {0}},
    .run = run,
};
