// Both ways: `k2 backup` and `k2 restore` make a whole store out of another.
#include "engine/backup.h"

#include "tools/commands.h"

static enum k2_exit copy_store(struct k2_cli *cli, const char *from, const char *to, bool copy_all)
{
    static const char *const formats[] = {"table", "json", NULL};
    size_t format = 0;
    struct k2_error error;
    struct k2_engine *engine = NULL;
    struct k2_backup_report report;
    struct k2_backup_options options = {.copy_all = copy_all};
    enum k2_status status = k2_cli_choice(cli, "format", formats, &format, &error);
    if (status == K2_OK) {
        status = k2_engine_open(&engine, from, K2_ENGINE_READ, &error);
    }
    if (status == K2_OK) {
        status = k2_backup(engine, to, &options, &report, &error);
    }
    k2_engine_close(engine);
    if (status != K2_OK) {
        return k2_cli_fail(cli, &error);
    }
    unsigned long long snapshot = report.snapshot, bytes = report.bytes;
    if (format == 1) {
        (void)fprintf(k2_cli_out(cli), "{\"snapshot\":%llu,\"bytes\":%llu}\n", snapshot, bytes);
    } else {
        (void)fprintf(k2_cli_out(cli), "snapshot %llu, %llu bytes, checked\n", snapshot, bytes);
    }
    return K2_EXIT_DONE;
}

static enum k2_exit back_up(struct k2_cli *cli)
{
    return copy_store(cli, k2_cli_data(cli), k2_cli_argument(cli, 0), k2_cli_has(cli, "copy"));
}

static enum k2_exit restore(struct k2_cli *cli)
{
    return copy_store(cli, k2_cli_argument(cli, 0), k2_cli_data(cli), true);
}

const struct k2_command k2_command_backup = {
    .name = "backup",
    .summary = "makes a second, whole store of the state now; others may read and write meanwhile",
    .arguments = "DEST",
    .argument_min = 1,
    .argument_max = 1,
    .options =
        (const struct k2_option[]){
            K2_OPTION_DATA,
            {"copy", NULL, "copy segments also where a second name for the file would do", false},
            K2_OPTION_FORMAT("table|json", "table"),
            {0}},
    .run = back_up,
};

const struct k2_command k2_command_restore = {
    .name = "restore",
    .summary = "makes a store out of a backup",
    .arguments = "SRC",
    .argument_min = 1,
    .argument_max = 1,
    .options =
        (const struct k2_option[]){K2_OPTION_DATA, K2_OPTION_FORMAT("table|json", "table"), {0}},
    .run = restore,
};
