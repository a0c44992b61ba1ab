#include <stdio.h>
#include <string.h>

#include "query/candle_query.h"
#include "tools/commands.h"
#include "tools/range_options.h"

enum {
    PIECE_BYTES = 256 << 10,
    PIECE_CEILING_BYTES = 1 << 30,
};

static const struct k2_option options[] = {
    K2_OPTION_DATA,
    {"interval", "1m", "<n>s, m, h or d that divides a day, or a number of days", false},
    {"table", "NAME", "trades unless given; of quotes: bid and ask", false},
    {"exchange", "X,...", "only these exchanges", false},
    {"symbol", "S,...", "only these symbols", false},
    {"canonical", "BASE/QUOTE,...", "only these pairs, however their exchange writes them", false},
    {"start", "TIME", "of rows from this time on", false},
    {"end", "TIME", "of rows before this time", false},
    {"order", "asc|desc", "by time; asc unless given", false},
    {"limit", "N", "at most so many candles", false},
    {"as-of", "SNAPSHOT", "the state of then: a snapshot id, a tag or a time", false},
    K2_OPTION_FORMAT("table|csv|json|ndjson|arrow|parquet", "table"),
    {"time", "iso|ns", "how times are printed; iso unless given", false},
    {"numbers", "string|float", "decimals in JSON; string unless given", false},
    {0},
};

static enum k2_status print_candles(struct k2_cli *cli, struct k2_candle_query *query,
                                    struct k2_error *error)
{
    struct k2_buffer piece;
    k2_buffer_init(&piece, PIECE_CEILING_BYTES);
    enum k2_status status = K2_OK;
    for (bool done = false; status == K2_OK && !done;) {
        k2_buffer_clear(&piece);
        status = k2_candle_query_next(query, PIECE_BYTES, &piece, &done, error);
        if (status == K2_OK && done && strcmp(k2_candle_query_format(query)->name, "json") == 0) {
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
    struct k2_engine *engine = NULL;
    struct k2_candle_query *query = NULL;
    struct k2_error error;
    struct k2_range_option_names names;
    struct k2_range_request range = {0};
    struct k2_candle_query_request request = {.format = k2_row_format_find(k2_slice_of("table"))};
    const char *interval = k2_cli_value(cli, "interval");
    k2_range_options_read(cli, true, &names, &range);
    memcpy(request.texts, range.texts, sizeof request.texts);
    request.interval = (struct k2_range_text){"--interval", interval != NULL,
                                              k2_slice_of(interval != NULL ? interval : "")};
    struct k2_range_text *table = &request.texts[K2_RANGE_TABLE];
    table->value = table->given ? table->value : k2_slice_of("trades");
    table->given = true;
    enum k2_status status = k2_engine_open(&engine, k2_cli_data(cli), K2_ENGINE_READ, &error);
    if (status == K2_OK) {
        status = k2_candle_query_open(&query, engine, &request, &error);
        if (status == K2_BAD_REQUEST || status == K2_NOT_FOUND) {
            k2_error_annotate(&error, "candles");
        }
    }
    if (status == K2_OK) {
        status = print_candles(cli, query, &error);
    }
    if (status == K2_OK) {
        (void)fprintf(stderr, "rows=%llu snapshot=%llu\n",
                      (unsigned long long)k2_candle_query_rows(query),
                      (unsigned long long)k2_candle_query_snapshot(query));
    }
    k2_candle_query_close(query);
    k2_engine_close(engine);
    return status == K2_OK ? K2_EXIT_DONE : k2_cli_fail(cli, &error);
}

const struct k2_command k2_command_candles = {
    .name = "candles",
    .summary = "prints open, high, low, close and volume by interval, of trades or of quotes",
    .options = options,
    .run = run,
};
