// The handler of every end point that answers with rows of one table.
#pragma once

#include "query/http_api.h"

// Pages of JSON, or a stream in a row format, of context->table. `newest_first` is the order
// unless the request says one.
K2_MUST_CHECK enum k2_status k2_http_rows(const struct k2_http_context *context, bool newest_first,
                                          struct k2_http_response *response,
                                          struct k2_error *error);
