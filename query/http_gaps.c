#include "query/http_gaps.h"

#include <string.h>

#include "query/gap_query.h"

enum { GAPS_LISTED = 100, GAPS_LISTED_MAX = 10000 };

static const struct {
    const char *name;
    enum k2_range_parameter parameter;
} parameters[] = {
    {"table", K2_RANGE_TABLE},         {"exchange", K2_RANGE_EXCHANGE}, {"symbol", K2_RANGE_SYMBOL},
    {"canonical", K2_RANGE_CANONICAL}, {"start_time", K2_RANGE_START},  {"end_time", K2_RANGE_END},
    {"limit", K2_RANGE_LIMIT},         {"as_of", K2_RANGE_AS_OF},       {"cursor", K2_RANGE_CURSOR},
    {"time", K2_RANGE_TIME},
};
enum { PARAMETER_COUNT = sizeof parameters / sizeof parameters[0] };

static enum k2_status read_parameters(const struct k2_http_request *request,
                                      struct k2_gap_query_request *gaps, struct k2_error *error)
{
    for (size_t i = 0; i < PARAMETER_COUNT; i++) {
        gaps->texts[parameters[i].parameter].name = parameters[i].name;
    }
    for (size_t i = 0; i < request->parameter_count; i++) {
        const struct k2_http_parameter *given = &request->parameters[i];
        size_t place = 0;
        while (place < PARAMETER_COUNT && strcmp(parameters[place].name, given->name) != 0) {
            place++;
        }
        if (place < PARAMETER_COUNT) {
            gaps->texts[parameters[place].parameter].given = true;
            gaps->texts[parameters[place].parameter].value = given->value;
            continue;
        }
        bool open = strcmp(given->name, "open") == 0;
        gaps->open_only = open && k2_slice_equal(given->value, k2_slice_of("true"));
        if (!open) {
            return k2_fail(error, K2_BAD_REQUEST, "%s: unknown parameter", given->name);
        }
        if (!gaps->open_only && !k2_slice_equal(given->value, k2_slice_of("false"))) {
            return k2_fail(error, K2_BAD_REQUEST, "open: give true or false");
        }
    }
    struct k2_range_text *table = &gaps->texts[K2_RANGE_TABLE];
    if (!table->given) {
        table->given = true;
        table->value = k2_slice_of("trades");
    }
    if (table->value.size_bytes > 0 && table->value.data[0] == '_') {
        return k2_fail(error, K2_NOT_FOUND, "table: there is no table `%.*s`",
                       (int)table->value.size_bytes, (const char *)table->value.data);
    }
    return K2_OK;
}

static void put_end(const struct k2_http_context *context, const struct k2_gap_query *query,
                    struct k2_buffer *out)
{
    struct k2_gap_query_summary summary = k2_gap_query_summary(query);
    char cursor[K2_GAP_CURSOR_BYTES];
    k2_gap_query_cursor(query, cursor);
    const char *quote = summary.has_more ? "\"" : "";
    k2_put_format(out,
                  ",\n\"pagination\":{\"limit\":%llu,\"next_cursor\":%s%s%s,\"has_more\":%s},\n",
                  (unsigned long long)summary.limit, quote, summary.has_more ? cursor : "null",
                  quote, summary.has_more ? "true" : "false");
    k2_http_put_meta(context->request, out);
    k2_put_format(out, ",\"snapshot\":%llu,\"rows\":%llu}}\n", (unsigned long long)summary.snapshot,
                  (unsigned long long)summary.rows);
}

enum k2_status k2_http_get_gaps(const struct k2_http_context *context,
                                struct k2_http_response *response, struct k2_error *error)
{
    struct k2_gap_query_request request = {.format = k2_row_format_find(k2_slice_of("json")),
                                           .limit = GAPS_LISTED,
                                           .limit_max = GAPS_LISTED_MAX};
    struct k2_gap_query *query = NULL;
    enum k2_status status = read_parameters(context->request, &request, error);
    if (status == K2_OK) {
        status = k2_gap_query_open(&query, context->engine, &request, error);
    }
    if (status == K2_OK) {
        bool done;
        k2_put_text(&response->body, "{\"success\":true,\"data\":");
        status = k2_gap_query_next(query, SIZE_MAX, &response->body, &done, error);
    }
    if (status == K2_OK) {
        put_end(context, query, &response->body);
        k2_http_response_header(response, "X-K2-Snapshot", "%llu",
                                (unsigned long long)k2_gap_query_summary(query).snapshot);
        k2_http_response_header(response, "Cache-Control", "private, no-cache");
        status = k2_buffer_check(&response->body, "answer", error);
    }
    k2_gap_query_close(query);
    return status;
}
