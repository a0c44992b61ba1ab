#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "format/base/timestamp.h"
#include "ingest/simulate/market.h"
#include "tools/commands.h"

enum { CHUNK_BYTES = 1 << 18, CHUNK_CEILING_BYTES = CHUNK_BYTES + 4096 };

static enum k2_status read_options(const struct k2_cli *cli, struct k2_market_options *options,
                                   struct k2_error *error)
{
    static const char *const tables[] = {"trades", "quotes", NULL};
    uint64_t symbols = 1000, gaps = 0, late = 0, duplicates = 0;
    size_t table = 0;
    const struct {
        const char *name;
        uint64_t min, max, *number;
    } numbers[] = {
        {"rows", 0, UINT64_C(1) << 40, &options->row_count},
        {"symbols", 1, 100000, &symbols},
        {"seed", 0, UINT64_MAX, &options->seed},
        {"gaps", 0, 1000000, &gaps},
        {"late", 0, 500000, &late},
        {"duplicates", 0, 500000, &duplicates},
    };
    *options = (struct k2_market_options){.seed = 1, .row_count = 1000000};
    enum k2_status status = k2_cli_choice(cli, "table", tables, &table, error);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0] && status == K2_OK; i++) {
        status = k2_cli_number(cli, numbers[i].name, numbers[i].min, numbers[i].max,
                               numbers[i].number, error);
    }
    const char *start = k2_cli_value(cli, "start");
    if (status == K2_OK && start != NULL &&
        k2_timestamp_parse(k2_slice_of(start), &options->start_ns) != K2_TIMESTAMP_OK) {
        status = k2_fail(error, K2_BAD_REQUEST, "--start: `%.40s` is no time", start);
    }
    options->symbol_count = (uint32_t)symbols;
    options->quotes = table == 1;
    options->gaps_per_million = (uint32_t)gaps;
    options->late_per_million = (uint32_t)late;
    options->duplicates_per_million = (uint32_t)duplicates;
    return status;
}

static enum k2_status flush(FILE *out, struct k2_buffer *text, struct k2_error *error)
{
    enum k2_status status = k2_buffer_check(text, "simulated rows", error);
    if (status == K2_OK && fwrite(text->data, 1, text->size_bytes, out) != text->size_bytes) {
        status = k2_fail_errno(error, errno, "--to");
    }
    k2_buffer_clear(text);
    return status;
}

static enum k2_status write_rows(const struct k2_market_options *options, FILE *out,
                                 struct k2_error *error)
{
    struct k2_market *market = NULL;
    struct k2_market_row row;
    struct k2_buffer text;
    enum k2_status status = k2_market_create(&market, options, error);
    if (status != K2_OK) {
        return status;
    }
    k2_buffer_init(&text, CHUNK_CEILING_BYTES);
    k2_market_put_csv_header(market, &text);
    while (status == K2_OK && k2_market_next(market, &row)) {
        k2_market_put_csv(market, &row, &text);
        if (text.size_bytes >= CHUNK_BYTES || text.failed) {
            status = flush(out, &text, error);
        }
    }
    if (status == K2_OK) {
        status = flush(out, &text, error);
    }
    if (status == K2_OK && fflush(out) != 0) {
        status = k2_fail_errno(error, errno, "--to");
    }
    k2_buffer_deinit(&text);
    k2_market_destroy(market);
    return status;
}

static enum k2_status write_file(const struct k2_market_options *options, const char *path,
                                 struct k2_error *error)
{
    FILE *out = fopen(path, "we");
    if (out == NULL) {
        return k2_fail_errno(error, errno, "--to %s", path);
    }
    enum k2_status status = write_rows(options, out, error);
    if (fclose(out) != 0 && status == K2_OK) {
        status = k2_fail_errno(error, errno, "--to %s", path);
    }
    return status;
}

// `k2 simulate ... | k2 produce - ...` in one command: a child writes, this process produces.
static enum k2_exit run_produce(struct k2_cli *cli, const struct k2_market_options *options)
{
    static const char *const handed_on[] = {"kafka", "topic", "schema-registry", "format"};
    static const struct k2_command *const commands[] = {&k2_command_produce, NULL};
    char *arguments[16] = {"k2", "produce", "-", "--table", options->quotes ? "quotes" : "trades"};
    char names[sizeof handed_on / sizeof handed_on[0]][32];
    int count = 5, ends[2];
    for (size_t i = 0; i < sizeof handed_on / sizeof handed_on[0]; i++) {
        const char *value = k2_cli_value(cli, handed_on[i]);
        if (value != NULL) {
            (void)snprintf(names[i], sizeof names[i], "--%s", handed_on[i]);
            arguments[count++] = names[i];
            arguments[count++] = (char *)(uintptr_t)value;
        }
    }
    struct k2_error error;
    pid_t child = -1;
    if (pipe(ends) != 0 || (child = fork()) < 0) {
        (void)k2_fail_errno(&error, errno, "--to kafka");
        return k2_cli_fail(cli, &error);
    }
    if (child == 0) {
        (void)close(ends[0]);
        FILE *out = fdopen(ends[1], "w");
        _exit(out != NULL && write_rows(options, out, NULL) == K2_OK ? 0 : 1);
    }
    (void)close(ends[1]);
    bool piped = dup2(ends[0], STDIN_FILENO) >= 0;
    (void)close(ends[0]);
    int code = piped ? k2_cli_main(commands, count, arguments) : K2_EXIT_FAILED;
    (void)close(STDIN_FILENO); // a child that still writes ends
    int child_status = 0;
    (void)waitpid(child, &child_status, 0);
    return code == K2_EXIT_DONE && child_status != 0 ? K2_EXIT_FAILED : (enum k2_exit)code;
}

static enum k2_exit run(struct k2_cli *cli)
{
    struct k2_error error;
    struct k2_market_options options;
    const char *to = k2_cli_value(cli, "to");
    enum k2_status status = read_options(cli, &options, &error);
    if (status == K2_OK && to != NULL && strcmp(to, "kafka") == 0) {
        return run_produce(cli, &options);
    }
    if (status == K2_OK) {
        status = to == NULL || strcmp(to, "-") == 0 ? write_rows(&options, k2_cli_out(cli), &error)
                                                    : write_file(&options, to, &error);
    }
    return status == K2_OK ? K2_EXIT_DONE : k2_cli_fail(cli, &error);
}

const struct k2_command k2_command_simulate = {
    .name = "simulate",
    .summary = "writes a made-up market as CSV; the same bytes for the same options",
    .options =
        (const struct k2_option[]){
            {"rows", "N", "default 1,000,000", false},
            {"symbols", "N", "default 1,000", false},
            {"seed", "N", "default 1", false},
            {"table", "trades|quotes", "default trades", false},
            {"start", "TIME", "of the first row; default 2024-01-02T14:30:00Z", false},
            {"gaps", "N", "missing sequences at N places in a million rows", false},
            {"late", "N", "N rows in a million come 1,000 rows late", false},
            {"duplicates", "N", "N rows in a million come twice", false},
            {"to", "FILE|kafka", "default stdout; `kafka` sends them as `k2 produce` does", false},
            {"kafka", "BROKERS", "with --to kafka", false},
            {"topic", "NAME", "with --to kafka", false},
            {"schema-registry", "URL|DIR", "with --to kafka", false},
            {"format", "table|json", "what stdout carries with --to kafka", false},
            {0}},
    .run = run,
};
