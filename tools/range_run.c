#include "tools/range_run.h"

#include <stdio.h>

enum {
    PIECE_BYTES = 256 << 10,
    PIECE_CEILING_BYTES = 1 << 30,
};

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

enum k2_status k2_range_run(struct k2_cli *cli, const char *command,
                            const struct k2_range_request *request, struct k2_http_result *result,
                            struct k2_error *error)
{
    struct k2_engine *engine = NULL;
    struct k2_range_query *query = NULL;
    enum k2_status status = k2_engine_open(&engine, k2_cli_data(cli), K2_ENGINE_READ, error);
    if (status == K2_OK) {
        status = k2_range_query_open(&query, engine, request, error);
        if (status == K2_BAD_REQUEST || status == K2_NOT_FOUND) {
            k2_error_annotate(error, "%s", command);
        }
    }
    if (status == K2_OK) {
        status = print_rows(cli, query, error);
    }
    if (status == K2_OK) {
        struct k2_range_summary summary = k2_range_query_summary(query);
        *result = (struct k2_http_result){.rows = summary.rows,
                                          .snapshot = summary.snapshot,
                                          .gap_count = summary.completeness.gap_count};
        (void)snprintf(result->complete, sizeof result->complete, "%s",
                       k2_complete_name(summary.completeness.complete));
    }
    k2_range_query_close(query);
    k2_engine_close(engine);
    return status;
}

void k2_range_print_result(const struct k2_http_result *result)
{
    (void)fprintf(stderr, "rows=%llu snapshot=%llu complete=%s gaps=%llu\n",
                  (unsigned long long)result->rows, (unsigned long long)result->snapshot,
                  result->complete, (unsigned long long)result->gap_count);
}
