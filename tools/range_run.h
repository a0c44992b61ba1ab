// Prints the rows of a range query of a store: behind `k2 query` and `k2 asof`.
#pragma once

#include "query/http_client.h"
#include "query/range_query.h"
#include "tools/cli.h"

// Opens the store of --data and prints what `request` asks for; `command` stands before complaints.
// `*result` is what the last line tells.
K2_MUST_CHECK enum k2_status k2_range_run(struct k2_cli *cli, const char *command,
                                          const struct k2_range_request *request,
                                          struct k2_http_result *result, struct k2_error *error);

// The last line on stderr: `rows=N snapshot=ID complete=... gaps=N`.
void k2_range_print_result(const struct k2_http_result *result);
