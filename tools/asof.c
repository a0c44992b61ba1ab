#include "tools/commands.h"
#include "tools/range_options.h"
#include "tools/range_run.h"

static const struct k2_option options[] = {
    K2_OPTION_DATA,
    K2_RANGE_OPTIONS,
    K2_OPTION_FORMAT("table|csv|json|ndjson|arrow|parquet", "table"),
    {"time", "iso|ns", "how times are printed; iso unless given", false},
    {"numbers", "string|float", "decimals in JSON; string unless given", false},
    {0},
};

static enum k2_exit run(struct k2_cli *cli)
{
    struct k2_range_option_names names;
    struct k2_range_request request = {.format = k2_row_format_find(k2_slice_of("table")),
                                       .with_quotes = true};
    struct k2_http_result result;
    struct k2_error error;
    k2_range_options_read(cli, true, &names, &request);
    struct k2_range_text *table = &request.texts[K2_RANGE_TABLE];
    if (!table->given) {
        table->given = true;
        table->value = k2_slice_of("trades");
    }
    enum k2_status status = k2_range_run(cli, "asof", &request, &result, &error);
    if (status != K2_OK) {
        return k2_cli_fail(cli, &error);
    }
    k2_range_print_result(&result);
    return K2_EXIT_DONE;
}

const struct k2_command k2_command_asof = {
    .name = "asof",
    .summary = "prints each trade with the quote in force at it: the last one not later than it",
    .options = options,
    .run = run,
};
