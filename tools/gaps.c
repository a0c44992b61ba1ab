#include <stdio.h>

#include "query/gap_query.h"
#include "tools/commands.h"

enum { PIECE_BYTES = 256 << 10, PIECE_CEILING_BYTES = 1 << 30 };

static const struct {
    const char *option, *name;
    enum k2_range_parameter parameter;
} texts[] = {
    {"table", "--table", K2_RANGE_TABLE},    {"exchange", "--exchange", K2_RANGE_EXCHANGE},
    {"symbol", "--symbol", K2_RANGE_SYMBOL}, {"canonical", "--canonical", K2_RANGE_CANONICAL},
    {"start", "--start", K2_RANGE_START},    {"end", "--end", K2_RANGE_END},
    {"limit", "--limit", K2_RANGE_LIMIT},    {"as-of", "--as-of", K2_RANGE_AS_OF},
    {"format", "--format", K2_RANGE_FORMAT}, {"time", "--time", K2_RANGE_TIME},
};

static enum k2_status print(struct k2_cli *cli, struct k2_gap_query *query, bool line_end,
                            struct k2_error *error)
{
    struct k2_buffer piece;
    enum k2_status status = K2_OK;
    k2_buffer_init(&piece, PIECE_CEILING_BYTES);
    for (bool done = false; status == K2_OK && !done;) {
        k2_buffer_clear(&piece);
        status = k2_gap_query_next(query, PIECE_BYTES, &piece, &done, error);
        if (status == K2_OK && done && line_end) {
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
    struct k2_gap_query_request request = {
        .format = k2_row_format_find(k2_slice_of("table")),
        .open_only = k2_cli_has(cli, "open"),
    };
    struct k2_engine *engine = NULL;
    struct k2_gap_query *query = NULL;
    struct k2_error error;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        const char *value = k2_cli_value(cli, texts[i].option);
        request.texts[texts[i].parameter] = (struct k2_range_text){
            texts[i].name, value != NULL, k2_slice_of(value != NULL ? value : "")};
    }
    const struct k2_range_text *format = &request.texts[K2_RANGE_FORMAT];
    enum k2_status status = K2_OK;
    if (!request.texts[K2_RANGE_TABLE].given) { // wrong usage, whether the store is there or not
        status = k2_fail(&error, K2_BAD_REQUEST, "gaps: --table is needed; such as --table trades");
    }
    if (status == K2_OK) {
        status = k2_engine_open(&engine, k2_cli_data(cli), K2_ENGINE_READ, &error);
    }
    if (status == K2_OK) {
        status = k2_gap_query_open(&query, engine, &request, &error);
        if (status == K2_BAD_REQUEST || status == K2_NOT_FOUND) {
            k2_error_annotate(&error, "gaps");
        }
    }
    if (status == K2_OK) {
        status = print(cli, query, format->given && k2_range_text_is(format, "json"), &error);
    }
    k2_gap_query_close(query);
    k2_engine_close(engine);
    return status == K2_OK ? K2_EXIT_DONE : k2_cli_fail(cli, &error);
}

const struct k2_command k2_command_gaps = {
    .name = "gaps",
    .summary = "numbers that dense sources left out: open gaps and closed ones",
    .options =
        (const struct k2_option[]){
            K2_OPTION_DATA,
            {"table", "T", "the table: trades, quotes, ...; required", false},
            {"exchange", "X,...", "only these exchanges", false},
            {"symbol", "S,...", "only these symbols", false},
            {"canonical", "BASE/QUOTE,...", "only these pairs", false},
            {"start", "TIME", "gaps that may have rows from this time on", false},
            {"end", "TIME", "or before this time", false},
            {"open", NULL, "only what is still missing", false},
            {"limit", "N", "at most so many", false},
            {"as-of", "SNAPSHOT", "the ledger of then: a snapshot id, a tag or a time", false},
            {"time", "iso|ns", "how times are printed; iso unless given", false},
            K2_OPTION_FORMAT("table|csv|json|ndjson|arrow|parquet", "table"),
            {0}},
    .run = run,
};
