// The handler of /v1/gaps.
#pragma once

#include "query/http_api.h"

k2_http_handler k2_http_get_gaps;
