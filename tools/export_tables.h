// `k2 export --warehouse`: Iceberg tables brought up to a snapshot.
#pragma once

#include "tools/cli.h"

// Runs with the options of `k2 export`; `json`: what stdout carries.
enum k2_exit k2_export_tables_run(struct k2_cli *cli, bool json);
