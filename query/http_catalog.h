// Handlers of what a store has: tables, instruments, symbols, snapshots, figures.
#pragma once

#include "query/http_api.h"

k2_http_handler k2_http_get_tables;
k2_http_handler k2_http_get_instruments;
k2_http_handler k2_http_get_symbols;
k2_http_handler k2_http_get_snapshots;
k2_http_handler k2_http_get_stats;
