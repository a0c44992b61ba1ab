// The options that choose rows, of `k2 query` and `k2 export`.
#pragma once

#include "query/range_query.h"
#include "tools/cli.h"

// For their tables of options.
#define K2_RANGE_OPTIONS                                                                           \
    {"table", "NAME", "the table: trades, quotes, ...", false},                                    \
        {"exchange", "X,...", "only these exchanges", false},                                      \
        {"symbol", "S,...", "only these symbols", false},                                          \
        {"canonical", "BASE/QUOTE,...", "only these pairs, however their exchange writes them",    \
         false},                                                                                   \
        {"start", "TIME", "from this time on", false}, {"end", "TIME", "before this time", false}, \
        {"fields", "A,B,...", "only these columns, in this order", false},                         \
        {"order", "asc|desc", "by time; asc unless given", false},                                 \
        {"limit", "N", "at most so many rows", false},                                             \
    {                                                                                              \
        "as-of", "SNAPSHOT", "the state of then: a snapshot id, a tag or a time", false            \
    }

enum { K2_RANGE_OPTION_COUNT = 13, K2_RANGE_OPTION_BYTES = 16 };

struct k2_range_option {
    const char *option;
    enum k2_range_parameter parameter;
    const char *http; // its name for a server; NULL: not passed on as it is
};

// All that either command has.
extern const struct k2_range_option k2_range_options[K2_RANGE_OPTION_COUNT];

// Names of the options as users write them, `--limit`, for complaints.
struct k2_range_option_names {
    char texts[K2_RANGE_PARAMETER_COUNT][K2_RANGE_OPTION_BYTES];
};

// Fills the request's texts from the command line; `format` is of query alone, export has another
// option of that name. Borrows `names`.
void k2_range_options_read(const struct k2_cli *cli, bool with_format,
                           struct k2_range_option_names *names, struct k2_range_request *request);
