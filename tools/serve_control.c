#include "tools/serve_control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/compact.h"
#include "engine/retain.h"
#include "format/base/json_scanner.h"
#include "format/base/json_text.h"
#include "tools/change_policy.h"
#include "tools/change_tag.h"

static bool is_option(struct k2_slice argument, const char *option)
{
    return k2_slice_equal(argument, k2_slice_of(option));
}

static enum k2_status run_tag(const struct k2_control_call *call, struct k2_error *error)
{
    const struct k2_control_request *request = call->request;
    struct k2_tag_change change = {.snapshot = 0};
    if (request->argument_count == 0) {
        return k2_fail(error, K2_BAD_REQUEST, "tag: no name");
    }
    change.name = request->arguments[0];
    for (size_t i = 1; i < request->argument_count; i++) {
        char *end = NULL;
        if (is_option(request->arguments[i], "--delete")) {
            change.remove = true;
        } else if (is_option(request->arguments[i], "--snapshot") &&
                   i + 1 < request->argument_count) {
            const char *digits = (const char *)request->arguments[++i].data;
            errno = 0;
            change.snapshot = strtoull(digits, &end, 10);
            if (errno != 0 || *digits < '0' || *digits > '9' || *end != '\0' ||
                change.snapshot == 0) {
                return k2_fail(error, K2_BAD_REQUEST, "tag: %.40s is no snapshot", digits);
            }
        } else {
            return k2_fail(error, K2_BAD_REQUEST, "tag: %.40s is not known",
                           (const char *)request->arguments[i].data);
        }
    }
    uint64_t snapshot = 0;
    enum k2_status status = k2_tag_change(call->context, &change, &snapshot, error);
    if (status == K2_OK) {
        k2_put_text(call->result, "\"tag\":");
        k2_json_put_string(call->result, change.name);
        k2_put_format(call->result, ",\"snapshot\":%llu", (unsigned long long)snapshot);
    }
    return status;
}

static void tell(void *context, uint64_t rows_done, uint64_t rows_total)
{
    k2_control_progress(context, rows_done, rows_total);
}

static enum k2_status run_compact(const struct k2_control_call *call, struct k2_error *error)
{
    const struct k2_control_request *request = call->request;
    struct k2_control_call told = *call;
    struct k2_compact_options options = {
        .progress = tell, .context = &told, .cancel = call->stopping};
    for (size_t i = 0; i < request->argument_count; i++) {
        if (!is_option(request->arguments[i], "--full")) {
            return k2_fail(error, K2_BAD_REQUEST, "compact: %.40s is not known",
                           (const char *)request->arguments[i].data);
        }
        options.full = true;
    }
    struct k2_compact_report report = {0};
    enum k2_status status = k2_compact(call->context, &options, &report, error);
    if (status == K2_OK) {
        k2_put_format(call->result,
                      "\"segments_before\":%llu,\"segments_after\":%llu,\"bytes_before\":%llu,"
                      "\"bytes_after\":%llu,\"snapshot\":%llu",
                      (unsigned long long)report.segments_before,
                      (unsigned long long)report.segments_after,
                      (unsigned long long)report.bytes_before,
                      (unsigned long long)report.bytes_after, (unsigned long long)report.snapshot);
    }
    return status;
}

static enum k2_status run_policy(const struct k2_control_call *call, struct k2_error *error)
{
    const struct k2_control_request *request = call->request;
    struct k2_policy_change change = {.table = NULL};
    const struct {
        const char *option;
        const char **value;
    } options[] = {{"--table", &change.table},
                   {"--duplicates", &change.duplicates},
                   {"--history", &change.history},
                   {"--retention", &change.retention}};
    for (size_t i = 0; i < request->argument_count; i += 2) {
        bool known = false;
        for (size_t j = 0; j < sizeof options / sizeof options[0]; j++) {
            if (is_option(request->arguments[i], options[j].option) &&
                i + 1 < request->argument_count) {
                *options[j].value = (const char *)request->arguments[i + 1].data;
                known = true;
            }
        }
        if (!known) {
            return k2_fail(error, K2_BAD_REQUEST, "policy: %.40s is not known",
                           (const char *)request->arguments[i].data);
        }
    }
    return change.table == NULL ? k2_fail(error, K2_BAD_REQUEST, "policy: no table")
                                : k2_policy_change_do(call->context, &change, error);
}

static enum k2_status run_retain(const struct k2_control_call *call, struct k2_error *error)
{
    const struct k2_control_request *request = call->request;
    const struct k2_table *table = NULL;
    struct k2_retain_report report = {0};
    struct timespec now;
    const char *name = NULL;
    bool dry_run = false;
    for (size_t i = 0; i < request->argument_count; i++) {
        if (is_option(request->arguments[i], "--dry-run")) {
            dry_run = true;
        } else if (is_option(request->arguments[i], "--table") && i + 1 < request->argument_count) {
            name = (const char *)request->arguments[++i].data;
        } else {
            return k2_fail(error, K2_BAD_REQUEST, "retain: %.40s is not known",
                           (const char *)request->arguments[i].data);
        }
    }
    (void)clock_gettime(CLOCK_REALTIME, &now);
    enum k2_status status = name == NULL ? k2_fail(error, K2_BAD_REQUEST, "retain: no table")
                                         : k2_policy_table(call->context, name, &table, error);
    if (status == K2_OK) {
        status = k2_retain(call->context, table, (int64_t)now.tv_sec * 1000000000 + now.tv_nsec,
                           dry_run, &report, error);
    }
    if (status == K2_OK) {
        k2_put_format(call->result,
                      "\"rows_dropped\":%llu,\"rows_old\":%llu,\"history_snapshot\":%llu,"
                      "\"has_cut\":%d,\"dropped_before_ns\":%lld,\"snapshot\":%llu",
                      (unsigned long long)report.rows_dropped, (unsigned long long)report.rows_old,
                      (unsigned long long)report.history_floor, report.has_cut,
                      (long long)report.retention_cut_ns, (unsigned long long)report.snapshot);
    }
    return status;
}

const struct k2_control_command k2_serve_commands[] = {
    {"tag", run_tag}, {"compact", run_compact}, {"policy", run_policy}, {"retain", run_retain},
    {NULL, NULL},
};

// ---- the other end

enum k2_status k2_control_or_busy(const struct k2_cli *cli, enum k2_status status, const char *name,
                                  const char *const *arguments, size_t argument_count,
                                  void (*progress)(void *, uint64_t, uint64_t),
                                  void *progress_context, bool *asked, struct k2_buffer *result,
                                  struct k2_error *error)
{
    *asked = false;
    if (status != K2_BUSY) {
        return status;
    }
    struct k2_error failure;
    enum k2_status answer = k2_control_ask(k2_cli_data(cli), name, arguments, argument_count,
                                           progress, progress_context, asked, result, &failure);
    if (*asked && answer != K2_OK) {
        *error = failure;
    }
    return *asked ? answer : status;
}

uint64_t k2_control_number(const struct k2_buffer *result, const char *member)
{
    struct k2_json_scanner scanner = {result->data, result->data + result->size_bytes};
    struct k2_json_string key;
    struct k2_slice value;
    bool good = k2_json_take(&scanner, '{');
    while (good && k2_json_peek(&scanner) == K2_JSON_TYPE_STRING) {
        good = k2_json_scan_string(&scanner, &key) && k2_json_take(&scanner, ':') &&
               k2_json_peek(&scanner) != K2_JSON_TYPE_NONE && k2_json_scan_value(&scanner, &value);
        if (good && k2_slice_equal(key.raw, k2_slice_of(member))) {
            return strtoull((const char *)value.data, NULL, 10); // a comma or brace ends it
        }
        good = good && k2_json_take(&scanner, ',');
    }
    return 0;
}
