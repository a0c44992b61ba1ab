#include "engine/repair.h"

#include "format/base/json_text.h"
#include "format/base/timestamp.h"
#include "tools/commands.h"

struct losses {
    bool json;
    struct k2_buffer text; // JSON objects, comma-separated, or lines
};

static void put_text(struct k2_buffer *out, const char *name, const char *text)
{
    k2_put_format(out, ",\"%s\":", name);
    if (text == NULL) {
        k2_put_text(out, "null");
    } else {
        k2_json_put_string(out, k2_slice_of(text));
    }
}

static void put_number(struct k2_buffer *out, const char *name, uint64_t number)
{
    if (number == 0) {
        k2_put_format(out, ",\"%s\":null", name);
    } else {
        k2_put_format(out, ",\"%s\":%llu", name, (unsigned long long)number);
    }
}

static void put_json(struct k2_buffer *out, const struct k2_lost *lost, const char *first,
                     const char *last)
{
    char segment[24];
    (void)snprintf(segment, sizeof segment, "%016llx", (unsigned long long)lost->segment_id);
    k2_put_text(out, out->size_bytes == 0 ? "{\"reason\":" : ",{\"reason\":");
    k2_json_put_string(out, k2_slice_of(lost->reason));
    put_text(out, "table", lost->table);
    put_text(out, "exchange", lost->exchange);
    put_text(out, "symbol", lost->symbol);
    put_text(out, "first_time", first);
    put_text(out, "last_time", last);
    put_number(out, "rows", lost->rows);
    put_number(out, "snapshot", lost->snapshot);
    put_text(out, "segment", lost->segment_id == 0 ? NULL : segment);
    k2_put_u8(out, '}');
}

static void put_line(struct k2_buffer *out, const struct k2_lost *lost, const char *first,
                     const char *last)
{
    k2_put_text(out, "lost:");
    if (lost->table != NULL) {
        k2_put_format(out, " %s", lost->table);
    }
    if (lost->symbol != NULL) {
        k2_put_format(out, " %s %s", lost->exchange, lost->symbol);
    }
    if (first != NULL) {
        k2_put_format(out, " from %s to %s", first, last);
    }
    if (lost->rows > 0) {
        k2_put_format(out, ", %llu rows", (unsigned long long)lost->rows);
    }
    if (lost->snapshot > 0) {
        k2_put_format(out, ", snapshot %llu", (unsigned long long)lost->snapshot);
    }
    if (lost->segment_id > 0) {
        k2_put_format(out, ", segment %016llx", (unsigned long long)lost->segment_id);
    }
    k2_put_format(out, ": %s\n", lost->reason);
}

static void note(void *context, const struct k2_lost *lost)
{
    struct losses *losses = context;
    char first[K2_TIMESTAMP_TEXT_BYTES + 1] = "", last[K2_TIMESTAMP_TEXT_BYTES + 1] = "";
    k2_timestamp_print(first, lost->first_ns);
    k2_timestamp_print(last, lost->last_ns);
    (losses->json ? put_json : put_line)(&losses->text, lost, lost->has_range ? first : NULL,
                                         lost->has_range ? last : NULL);
}

static enum k2_status print(struct k2_cli *cli, const struct losses *losses,
                            const struct k2_repair_report *report, struct k2_error *error)
{
    FILE *out = k2_cli_out(cli);
    unsigned long long rows = report->recovered_rows;
    enum k2_status status = k2_buffer_check(&losses->text, "losses", error);
    if (status == K2_OK && losses->json) {
        (void)fprintf(out, "{\"recovered_rows\":%llu,\"lost\":[%.*s]}\n", rows,
                      (int)losses->text.size_bytes, (const char *)losses->text.data);
    } else if (status == K2_OK) {
        (void)fprintf(out, "%.*s%llu rows are there; %llu losses, %llu files in quarantine%s\n",
                      (int)losses->text.size_bytes, (const char *)losses->text.data, rows,
                      (unsigned long long)report->lost, (unsigned long long)report->quarantined,
                      report->changed ? "" : "; nothing was damaged");
    }
    return status;
}

static enum k2_exit run(struct k2_cli *cli)
{
    static const char *const formats[] = {"table", "json", NULL};
    size_t format = 0;
    struct k2_error error;
    struct k2_repair_report report;
    struct losses losses = {.json = false};
    struct k2_repair_options options = {
        .from_segments = k2_cli_has(cli, "from-segments"),
        .lost = note,
        .context = &losses,
    };
    k2_buffer_init(&losses.text, (size_t)1 << 30);
    enum k2_status status = k2_cli_choice(cli, "format", formats, &format, &error);
    losses.json = format == 1;
    if (status == K2_OK) {
        status = k2_repair(k2_cli_data(cli), &options, &report, &error);
    }
    if (status == K2_OK) {
        status = print(cli, &losses, &report, &error);
    }
    k2_buffer_deinit(&losses.text);
    if (status != K2_OK) {
        return k2_cli_fail(cli, &error);
    }
    return report.lost > 0 ? K2_EXIT_FAILED : K2_EXIT_DONE;
}

const struct k2_command k2_command_repair = {
    .name = "repair",
    .summary = "takes out what is damaged, makes the index again, and says what was lost",
    .options = (const struct k2_option[]){K2_OPTION_DATA,
                                          {"from-segments", NULL,
                                           "make the index anew even if there is one", false},
                                          K2_OPTION_FORMAT("table|json", "table"),
                                          {0}},
    .run = run,
};
