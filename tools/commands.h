// The subcommands of `k2`, one file each. Adding one means one file, one line here and one in
// main.c.
#pragma once

#include "tools/cli.h"

extern const struct k2_command k2_command_inspect;
extern const struct k2_command k2_command_version;
extern const struct k2_command k2_command_check;
extern const struct k2_command k2_command_compact;
extern const struct k2_command k2_command_repair;
extern const struct k2_command k2_command_backup;
extern const struct k2_command k2_command_restore;
extern const struct k2_command k2_command_load;
extern const struct k2_command k2_command_produce;
extern const struct k2_command k2_command_simulate;
extern const struct k2_command k2_command_query;
extern const struct k2_command k2_command_asof;
extern const struct k2_command k2_command_candles;
extern const struct k2_command k2_command_export;
extern const struct k2_command k2_command_iceberg;
extern const struct k2_command k2_command_snapshots;
extern const struct k2_command k2_command_tag;
extern const struct k2_command k2_command_policy;
extern const struct k2_command k2_command_retain;
extern const struct k2_command k2_command_stats;
extern const struct k2_command k2_command_gaps;
extern const struct k2_command k2_command_dlq;
extern const struct k2_command k2_command_serve;
