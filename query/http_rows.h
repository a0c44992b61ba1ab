// The handler of every end point that answers with rows of one table.
#pragma once

#include "query/http_api.h"

enum k2_http_rows_kind {
    K2_HTTP_ROWS_IN_ORDER,     // oldest first, unless the request says an order
    K2_HTTP_ROWS_NEWEST_FIRST, // the other way round
    K2_HTTP_ROWS_WITH_QUOTES,  // oldest first, each row with the quote in force at it
};

// Pages of JSON, or a stream in a row format, of context->table.
K2_MUST_CHECK enum k2_status k2_http_rows(const struct k2_http_context *context,
                                          enum k2_http_rows_kind kind,
                                          struct k2_http_response *response,
                                          struct k2_error *error);
