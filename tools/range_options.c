#include "tools/range_options.h"

const struct k2_range_option k2_range_options[K2_RANGE_OPTION_COUNT] = {
    {"table", K2_RANGE_TABLE, NULL},          {"exchange", K2_RANGE_EXCHANGE, "exchange"},
    {"symbol", K2_RANGE_SYMBOL, "symbol"},    {"canonical", K2_RANGE_CANONICAL, "canonical"},
    {"start", K2_RANGE_START, "start_time"},  {"end", K2_RANGE_END, "end_time"},
    {"fields", K2_RANGE_FIELDS, "fields"},    {"order", K2_RANGE_ORDER, "order"},
    {"limit", K2_RANGE_LIMIT, "limit"},       {"as-of", K2_RANGE_AS_OF, "as_of"},
    {"format", K2_RANGE_FORMAT, NULL},        {"time", K2_RANGE_TIME, "time"},
    {"numbers", K2_RANGE_NUMBERS, "numbers"},
};

void k2_range_options_read(const struct k2_cli *cli, bool with_format,
                           struct k2_range_option_names *names, struct k2_range_request *request)
{
    for (size_t i = 0; i < K2_RANGE_OPTION_COUNT; i++) {
        enum k2_range_parameter parameter = k2_range_options[i].parameter;
        const char *value = parameter == K2_RANGE_FORMAT && !with_format
                                ? NULL
                                : k2_cli_value(cli, k2_range_options[i].option);
        char *name = names->texts[parameter];
        (void)snprintf(name, sizeof names->texts[parameter], "--%s", k2_range_options[i].option);
        request->texts[parameter].name = name;
        request->texts[parameter].given = value != NULL;
        request->texts[parameter].value = k2_slice_of(value != NULL ? value : "");
    }
}
