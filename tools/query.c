#include "query/range_query.h"

#include <stdio.h>

#include "tools/commands.h"

enum {
    PIECE_BYTES = 256 << 10,
    PIECE_CEILING_BYTES = 1 << 30,
};

static const struct {
    const char *option;
    enum k2_range_parameter parameter;
} parameters[] = {
    {"table", K2_RANGE_TABLE},         {"exchange", K2_RANGE_EXCHANGE}, {"symbol", K2_RANGE_SYMBOL},
    {"canonical", K2_RANGE_CANONICAL}, {"start", K2_RANGE_START},       {"end", K2_RANGE_END},
    {"fields", K2_RANGE_FIELDS},       {"order", K2_RANGE_ORDER},       {"limit", K2_RANGE_LIMIT},
    {"as-of", K2_RANGE_AS_OF},         {"format", K2_RANGE_FORMAT},     {"time", K2_RANGE_TIME},
    {"numbers", K2_RANGE_NUMBERS},
};

static const struct k2_option options[] = {
    K2_OPTION_DATA,
    {"table", "NAME", "the table: trades, quotes, ...", false},
    {"exchange", "X,...", "only these exchanges", false},
    {"symbol", "S,...", "only these symbols", false},
    {"canonical", "BASE/QUOTE,...", "only these pairs, however their exchange writes them", false},
    {"start", "TIME", "from this time on", false},
    {"end", "TIME", "before this time", false},
    {"fields", "A,B,...", "only these columns, in this order", false},
    {"order", "asc|desc", "by time; asc unless given", false},
    {"limit", "N", "at most so many rows", false},
    {"as-of", "SNAPSHOT", "the state of then: a snapshot id, a tag or a time", false},
    K2_OPTION_FORMAT("table|csv|json|ndjson", "table"),
    {"time", "iso|ns", "how times are printed; iso unless given", false},
    {"numbers", "string|float", "decimals in JSON; string unless given", false},
    {0},
};

static struct k2_range_request request_of(const struct k2_cli *cli,
                                          char names[K2_RANGE_PARAMETER_COUNT][16])
{
    struct k2_range_request request = {.format = k2_row_format_find(k2_slice_of("table"))};
    for (size_t i = 0; i < sizeof parameters / sizeof parameters[0]; i++) {
        enum k2_range_parameter parameter = parameters[i].parameter;
        const char *value = k2_cli_value(cli, parameters[i].option);
        (void)snprintf(names[parameter], sizeof names[parameter], "--%s", parameters[i].option);
        request.texts[parameter].name = names[parameter];
        request.texts[parameter].given = value != NULL;
        request.texts[parameter].value = k2_slice_of(value != NULL ? value : "");
    }
    return request;
}

static enum k2_status print_rows(struct k2_cli *cli, struct k2_range_query *query,
                                 struct k2_error *error)
{
    struct k2_buffer piece;
    k2_buffer_init(&piece, PIECE_CEILING_BYTES);
    enum k2_status status = K2_OK;
    for (bool done = false; status == K2_OK && !done;) {
        k2_buffer_clear(&piece);
        status = k2_range_query_next(query, PIECE_BYTES, &piece, &done, error);
        if (status == K2_OK && done &&
            strcmp(k2_range_query_summary(query).format->name, "json") == 0) {
            k2_put_u8(&piece, '\n');
        }
        if (status == K2_OK) {
            status = k2_cli_write(cli, k2_buffer_slice(&piece), error);
        }
    }
    k2_buffer_deinit(&piece);
    return status == K2_OK ? k2_cli_flush(cli, error) : status;
}

static enum k2_exit run(struct k2_cli *cli)
{
    char names[K2_RANGE_PARAMETER_COUNT][16];
    const struct k2_range_request request = request_of(cli, names);
    struct k2_engine *engine = NULL;
    struct k2_range_query *query = NULL;
    struct k2_error error;
    enum k2_status status = K2_OK;
    if (!request.texts[K2_RANGE_TABLE].given) { // a usage error, whether the store is there or not
        status =
            k2_fail(&error, K2_BAD_REQUEST, "query: --table is needed; such as --table trades");
        return k2_cli_fail(cli, &error);
    }
    status = k2_engine_open(&engine, k2_cli_data(cli), K2_ENGINE_READ, &error);
    if (status == K2_OK) {
        status = k2_range_query_open(&query, engine, &request, &error);
        if (status == K2_BAD_REQUEST || status == K2_NOT_FOUND) {
            k2_error_annotate(&error, "query");
        }
    }
    if (status == K2_OK) {
        status = print_rows(cli, query, &error);
    }
    if (status == K2_OK) {
        struct k2_range_summary summary = k2_range_query_summary(query);
        (void)fprintf(stderr, "rows=%llu snapshot=%llu complete=null gaps=0\n",
                      (unsigned long long)summary.rows, (unsigned long long)summary.snapshot);
    }
    k2_range_query_close(query);
    k2_engine_close(engine);
    return status == K2_OK ? K2_EXIT_DONE : k2_cli_fail(cli, &error);
}

const struct k2_command k2_command_query = {
    .name = "query",
    .summary = "prints rows of a table: by time range, instruments and columns, now or as of then",
    .options = options,
    .run = run,
};
