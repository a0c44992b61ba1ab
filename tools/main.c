#include <stddef.h>

#include "tools/commands.h"

int main(int argument_count, char **arguments)
{
    // In the order in which the usage shows them.
    static const struct k2_command *const commands[] = {
        &k2_command_load,    &k2_command_produce,   &k2_command_simulate, &k2_command_serve,
        &k2_command_query,   &k2_command_asof,      &k2_command_candles,  &k2_command_export,
        &k2_command_iceberg, &k2_command_snapshots, &k2_command_tag,      &k2_command_policy,
        &k2_command_retain,  &k2_command_stats,     &k2_command_gaps,     &k2_command_dlq,
        &k2_command_compact, &k2_command_check,     &k2_command_repair,   &k2_command_backup,
        &k2_command_restore, &k2_command_inspect,   &k2_command_version,  NULL,
    };
    return k2_cli_main(commands, argument_count, arguments);
}
