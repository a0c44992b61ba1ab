#include "engine/compact.h"

#include "tools/commands.h"
#include "tools/progress.h"
#include "tools/serve_control.h"

static void show(void *context, uint64_t rows_done, uint64_t rows_total)
{
    struct k2_progress *progress = context;
    progress->total = rows_total;
    k2_progress_show(progress, rows_done, rows_done);
}

static void print(struct k2_cli *cli, bool json, const struct k2_compact_report *report)
{
    FILE *out = k2_cli_out(cli);
    unsigned long long segments[] = {report->segments_before, report->segments_after};
    unsigned long long bytes[] = {report->bytes_before, report->bytes_after};
    unsigned long long snapshot = report->snapshot;
    if (json) {
        (void)fprintf(out,
                      "{\"segments_before\":%llu,\"segments_after\":%llu,\"bytes_before\":%llu,"
                      "\"bytes_after\":%llu,\"snapshot\":%llu}\n",
                      segments[0], segments[1], bytes[0], bytes[1], snapshot);
    } else {
        (void)fprintf(out, "segments %llu -> %llu, bytes %llu -> %llu, snapshot %llu\n",
                      segments[0], segments[1], bytes[0], bytes[1], snapshot);
    }
}

// Here, or by the server that has the store.
static enum k2_status compact(struct k2_cli *cli, struct k2_progress *progress,
                              struct k2_compact_report *report, struct k2_error *error)
{
    const struct k2_compact_options options = {
        .full = k2_cli_has(cli, "full"),
        .progress = show,
        .context = progress,
    };
    const char *const arguments[] = {"--full"};
    struct k2_engine *engine = NULL;
    struct k2_buffer result;
    bool asked = false;
    k2_buffer_init(&result, K2_CONTROL_LINE_BYTES);
    enum k2_status status = k2_engine_open(&engine, k2_cli_data(cli), K2_ENGINE_WRITE, error);
    if (status == K2_OK) {
        status = k2_compact(engine, &options, report, error);
    } else {
        status = k2_control_or_busy(cli, status, "compact", arguments, options.full, show, progress,
                                    &asked, &result, error);
    }
    if (asked && status == K2_OK) {
        *report = (struct k2_compact_report){
            .segments_before = k2_control_number(&result, "segments_before"),
            .segments_after = k2_control_number(&result, "segments_after"),
            .bytes_before = k2_control_number(&result, "bytes_before"),
            .bytes_after = k2_control_number(&result, "bytes_after"),
            .snapshot = k2_control_number(&result, "snapshot"),
        };
    }
    k2_engine_close(engine);
    k2_buffer_deinit(&result);
    return status;
}

static enum k2_exit run(struct k2_cli *cli)
{
    static const char *const formats[] = {"table", "json", NULL};
    size_t format = 0;
    struct k2_error error;
    struct k2_progress progress = {0};
    struct k2_compact_report report = {0};
    enum k2_status status = k2_cli_choice(cli, "format", formats, &format, &error);
    if (status == K2_OK) {
        status = k2_progress_begin(&progress, cli, "rows", 0, &error);
    }
    if (status == K2_OK) {
        status = compact(cli, &progress, &report, &error);
        k2_progress_end(&progress);
    }
    if (status != K2_OK) {
        return k2_cli_fail(cli, &error);
    }
    print(cli, format == 1, &report);
    return K2_EXIT_DONE;
}

const struct k2_command k2_command_compact = {
    .name = "compact",
    .summary = "merges what was committed in small pieces and sorts it by instrument",
    .options = (const struct k2_option[]){K2_OPTION_DATA,
                                          {"full", NULL, "rewrite sorted segments, too", false},
                                          K2_OPTION_FORMAT("table|json", "table"),
                                          {0}},
    .run = run,
};
