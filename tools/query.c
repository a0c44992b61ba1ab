#include "tools/commands.h"
#include "tools/range_options.h"
#include "tools/range_run.h"

static const struct k2_option options[] = {
    K2_OPTION_DATA,
    K2_RANGE_OPTIONS,
    K2_OPTION_FORMAT("table|csv|json|ndjson|arrow|parquet", "table"),
    {"server", "URL", "asks a running server instead of reading the store; csv unless given",
     false},
    {"time", "iso|ns", "how times are printed; iso unless given", false},
    {"numbers", "string|float", "decimals in JSON; string unless given", false},
    {0},
};

// ---- from a server
// --------------------------------------------------------------------------------

// The server's NDJSON becomes one array: its lines with commas between.
struct row_taker {
    struct k2_cli *cli;
    bool array, begun, in_line;
};

static enum k2_status take_rows(void *context, struct k2_slice bytes, struct k2_error *error)
{
    struct row_taker *taker = context;
    if (!taker->array) {
        return k2_cli_write(taker->cli, bytes, error);
    }
    enum k2_status status = K2_OK;
    while (status == K2_OK && bytes.size_bytes > 0) {
        const uint8_t *end = memchr(bytes.data, '\n', bytes.size_bytes);
        size_t size = end == NULL ? bytes.size_bytes : (size_t)(end - bytes.data);
        if (!taker->in_line) {
            status = k2_cli_write(taker->cli, k2_slice_of(taker->begun ? ",\n" : "[\n"), error);
        }
        if (status == K2_OK) {
            status = k2_cli_write(taker->cli, (struct k2_slice){bytes.data, size}, error);
        }
        taker->begun = true;
        taker->in_line = end == NULL;
        size += end != NULL;
        bytes = (struct k2_slice){bytes.data + size, bytes.size_bytes - size};
    }
    return status;
}

static enum k2_status ask_server(struct k2_cli *cli, struct k2_http_result *result,
                                 struct k2_error *error)
{
    static const char *const formats[] = {"csv", "ndjson", "json", "parquet", "arrow", NULL};
    const char *names[K2_RANGE_PARAMETER_COUNT], *values[K2_RANGE_PARAMETER_COUNT];
    size_t count = 0, format = 0;
    enum k2_status status = k2_cli_choice(cli, "format", formats, &format, error);
    if (status != K2_OK) {
        return status;
    }
    for (size_t i = 0; i < K2_RANGE_OPTION_COUNT; i++) {
        const char *value = k2_cli_value(cli, k2_range_options[i].option);
        if (value != NULL && k2_range_options[i].http != NULL) {
            names[count] = k2_range_options[i].http;
            values[count++] = value;
        }
    }
    struct row_taker taker = {.cli = cli, .array = format == 2};
    names[count] = "format";
    values[count++] = taker.array ? "ndjson" : formats[format];
    const struct k2_http_query query = {.server = k2_cli_value(cli, "server"),
                                        .table = k2_cli_value(cli, "table"),
                                        .names = names,
                                        .values = values,
                                        .parameter_count = count,
                                        .take = take_rows,
                                        .take_context = &taker};
    status = k2_http_query_run(&query, result, error);
    if (status == K2_OK && taker.array) {
        status = k2_cli_write(cli, k2_slice_of(taker.begun ? "\n]\n" : "[]\n"), error);
    }
    return status == K2_OK ? k2_cli_flush(cli, error) : status;
}

// ---- from the store -----------------------------------------------------------------------------

static enum k2_status ask_store(struct k2_cli *cli, struct k2_http_result *result,
                                struct k2_error *error)
{
    struct k2_range_option_names names;
    struct k2_range_request request = {.format = k2_row_format_find(k2_slice_of("table"))};
    k2_range_options_read(cli, true, &names, &request);
    return k2_range_run(cli, "query", &request, result, error);
}

static enum k2_exit run(struct k2_cli *cli)
{
    struct k2_http_result result;
    struct k2_error error;
    enum k2_status status = K2_OK;
    if (k2_cli_value(cli, "table") == NULL) { // wrong usage, whether the store is there or not
        status =
            k2_fail(&error, K2_BAD_REQUEST, "query: --table is needed; such as --table trades");
    } else if (k2_cli_has(cli, "server") && k2_cli_has(cli, "data")) {
        status = k2_fail(&error, K2_BAD_REQUEST, "query: give --data or --server, not both");
    } else if (k2_cli_has(cli, "server")) {
        status = ask_server(cli, &result, &error);
    } else {
        status = ask_store(cli, &result, &error);
    }
    if (status != K2_OK) {
        return k2_cli_fail(cli, &error);
    }
    k2_range_print_result(&result);
    return K2_EXIT_DONE;
}

const struct k2_command k2_command_query = {
    .name = "query",
    .summary = "prints rows of a table: by time range, instruments and columns, now or as of then",
    .options = options,
    .run = run,
};
