#include "engine/snapshot.h"

#include <stdio.h>

#include "tools/commands.h"

static enum k2_status find_snapshot(const struct k2_cli *cli, struct k2_engine *engine,
                                    uint64_t *id, struct k2_error *error)
{
    if (k2_cli_has(cli, "snapshot")) {
        return k2_cli_number(cli, "snapshot", 1, UINT64_MAX, id, error);
    }
    struct k2_snapshot newest;
    enum k2_status status = k2_snapshot_newest(engine, &newest, error);
    if (status == K2_OK && newest.id == 0) {
        return k2_fail(error, K2_NOT_FOUND, "tag: the store has no snapshot yet");
    }
    *id = status == K2_OK ? newest.id : 0;
    return status;
}

static enum k2_status delete_tag(struct k2_engine *engine, struct k2_slice name, uint64_t *id,
                                 struct k2_error *error)
{
    struct k2_snapshot snapshot;
    enum k2_status status = k2_snapshot_resolve(engine, name, &snapshot, error);
    if (status != K2_OK) {
        k2_error_annotate(error, "tag");
        return status;
    }
    *id = snapshot.id;
    return k2_tag_delete(engine, name, error);
}

static enum k2_status change_tag(const struct k2_cli *cli, struct k2_engine *engine, uint64_t *id,
                                 struct k2_error *error)
{
    struct k2_slice name = k2_slice_of(k2_cli_argument(cli, 0));
    if (k2_cli_has(cli, "delete")) {
        return delete_tag(engine, name, id, error);
    }
    enum k2_status status = find_snapshot(cli, engine, id, error);
    return status == K2_OK ? k2_tag_set(engine, name, *id, error) : status;
}

static enum k2_exit run(struct k2_cli *cli)
{
    static const char *const formats[] = {"table", "json", NULL};
    size_t format = 0;
    uint64_t id = 0;
    struct k2_engine *engine = NULL;
    struct k2_error error;
    enum k2_status status = k2_cli_choice(cli, "format", formats, &format, &error);
    if (status == K2_OK && k2_cli_has(cli, "delete") && k2_cli_has(cli, "snapshot")) {
        status = k2_fail(&error, K2_BAD_REQUEST, "tag: --delete takes no --snapshot");
    }
    if (status == K2_OK) {
        status = k2_engine_open(&engine, k2_cli_data(cli), K2_ENGINE_WRITE, &error);
    }
    if (status == K2_OK) {
        status = change_tag(cli, engine, &id, &error);
    }
    if (status == K2_OK) {
        (void)fprintf(k2_cli_out(cli),
                      format == 1 ? "{\"tag\":\"%s\",\"snapshot\":%llu}\n" : "%s %llu\n",
                      k2_cli_argument(cli, 0), (unsigned long long)id);
    }
    k2_engine_close(engine);
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
