#include "query/http_rows.h"

#include "format/base/alloc.h"
#include "format/base/checksum.h"
#include "format/base/json_text.h"
#include "query/http_text.h"
#include "query/range_query.h"

enum {
    PAGE_ROWS = 100,
    PAGE_ROWS_MAX = 10000,
    FIRST_PIECE_BYTES = 64 << 10,
    FIRST_PAGE_BYTES = 1 << 20, // most pages fit and get a length instead of chunks
};

static const struct {
    const char *name;
    enum k2_range_parameter parameter;
} parameters[] = {
    {"exchange", K2_RANGE_EXCHANGE}, {"symbol", K2_RANGE_SYMBOL}, {"canonical", K2_RANGE_CANONICAL},
    {"start_time", K2_RANGE_START},  {"end_time", K2_RANGE_END},  {"fields", K2_RANGE_FIELDS},
    {"order", K2_RANGE_ORDER},       {"limit", K2_RANGE_LIMIT},   {"as_of", K2_RANGE_AS_OF},
    {"cursor", K2_RANGE_CURSOR},     {"format", K2_RANGE_FORMAT}, {"time", K2_RANGE_TIME},
    {"numbers", K2_RANGE_NUMBERS},
};
enum { PARAMETER_COUNT = sizeof parameters / sizeof parameters[0] };

// The text of an answer while it is made.
struct rows_body {
    struct k2_range_query *query;
    struct k2_hash_stream *hash;
    const struct k2_http_request *request; // borrowed
    bool begun;
};

static void close_body(void *context)
{
    struct rows_body *body = context;
    k2_range_query_close(body->query);
    k2_hash_stream_destroy(body->hash);
    k2_free(body);
}

static enum k2_status put_page_end(const struct rows_body *body,
                                   const struct k2_range_summary *summary, struct k2_buffer *out,
                                   struct k2_error *error)
{
    enum k2_status status = K2_OK;
    k2_put_format(out, ",\n\"pagination\":{\"limit\":%llu,\"next_cursor\":",
                  (unsigned long long)summary->limit);
    if (summary->has_more) {
        k2_put_u8(out, '"');
        status = k2_range_query_cursor(body->query, out, error);
        k2_put_u8(out, '"');
    } else {
        k2_put_text(out, "null");
    }
    k2_put_format(out, ",\"has_more\":%s},\n", summary->has_more ? "true" : "false");
    k2_http_put_meta(body->request, out);
    k2_put_format(out, ",\"snapshot\":%llu,\"rows\":%llu,", (unsigned long long)summary->snapshot,
                  (unsigned long long)summary->rows);
    if (status == K2_OK) {
        status = k2_range_query_put_meta(body->query, out, error);
    }
    k2_put_text(out, "}}\n");
    return status;
}

static enum k2_status next_piece(void *context, struct k2_http_response *response,
                                 size_t enough_bytes, struct k2_buffer *out, bool *done,
                                 struct k2_error *error)
{
    struct rows_body *body = context;
    struct k2_range_summary before = k2_range_query_summary(body->query);
    size_t old_bytes = out->size_bytes;
    if (!body->begun && before.paged) {
        k2_put_text(out, "{\"success\":true,\"data\":");
    }
    body->begun = true;
    enum k2_status status = k2_range_query_next(body->query, enough_bytes, out, done, error);
    struct k2_range_summary summary = k2_range_query_summary(body->query);
    if (status == K2_OK && *done && summary.paged) {
        status = put_page_end(body, &summary, out, error);
    }
    if (status == K2_OK) {
        status = k2_buffer_check(out, "answer", error);
    }
    if (status != K2_OK) {
        *done = false;
        return status;
    }
    k2_hash_stream_update(body->hash,
                          (struct k2_slice){out->data + old_bytes, out->size_bytes - old_bytes});
    response->row_count = summary.rows;
    if (*done) {
        k2_http_response_trailer(response, "X-K2-Rows", "%llu", (unsigned long long)summary.rows);
        k2_http_response_trailer(response, "X-K2-Checksum", "%016llx",
                                 (unsigned long long)k2_hash_stream_digest(body->hash));
    }
    return K2_OK;
}

// The first format of the Accept header that K2 writes; JSON without one.
static const struct k2_row_format *format_of_accept(struct k2_slice accept)
{
    while (accept.size_bytes > 0) {
        struct k2_slice part = k2_http_take_until(&accept, ',');
        const struct k2_row_format *format =
            k2_row_format_of_content_type(k2_http_trim(k2_http_take_until(&part, ';')));
        if (format != NULL && strcmp(format->name, "table") != 0) {
            return format;
        }
    }
    return k2_row_format_find(k2_slice_of("json"));
}

static enum k2_status read_parameters(const struct k2_http_request *request,
                                      struct k2_range_request *range, struct k2_error *error)
{
    for (size_t i = 0; i < PARAMETER_COUNT; i++) {
        range->texts[parameters[i].parameter].name = parameters[i].name;
    }
    for (size_t i = 0; i < request->parameter_count; i++) {
        const struct k2_http_parameter *given = &request->parameters[i];
        size_t place = 0;
        while (place < PARAMETER_COUNT && strcmp(parameters[place].name, given->name) != 0) {
            place++;
        }
        if (place == PARAMETER_COUNT) {
            return k2_fail(error, K2_BAD_REQUEST, "%s: unknown parameter", given->name);
        }
        struct k2_range_text *text = &range->texts[parameters[place].parameter];
        text->given = true;
        text->value = given->value;
    }
    return K2_OK;
}

static enum k2_status open_body(const struct k2_http_context *context,
                                const struct k2_range_request *range,
                                struct k2_http_response *response, struct k2_error *error)
{
    struct rows_body *body = k2_alloc_zero(1, sizeof *body);
    if (body == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "answer: no memory");
    }
    response->stream =
        (struct k2_http_stream){.context = body, .next = next_piece, .close = close_body};
    body->request = context->request;
    body->hash = k2_hash_stream_create();
    if (body->hash == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "answer: no memory");
    }
    return k2_range_query_open(&body->query, context->engine, range, error);
}

enum k2_status k2_http_rows(const struct k2_http_context *context, enum k2_http_rows_kind kind,
                            struct k2_http_response *response, struct k2_error *error)
{
    struct k2_range_request range = {
        .format = format_of_accept(context->request->accept),
        .order = kind == K2_HTTP_ROWS_NEWEST_FIRST ? K2_ORDER_TIME_DESCENDING : K2_ORDER_TIME,
        .with_quotes = kind == K2_HTTP_ROWS_WITH_QUOTES,
        .page_limit = PAGE_ROWS,
        .page_limit_max = PAGE_ROWS_MAX,
        .memory_bytes = context->options->scan_memory_bytes,
    };
    range.texts[K2_RANGE_TABLE] = (struct k2_range_text){"table", true, context->table};
    enum k2_status status = read_parameters(context->request, &range, error);
    if (status == K2_OK) {
        status = open_body(context, &range, response, error);
    }
    if (status != K2_OK) {
        return status;
    }
    struct rows_body *body = response->stream.context;
    struct k2_range_summary summary = k2_range_query_summary(body->query);
    bool done = false;
    status = next_piece(body, response, summary.paged ? FIRST_PAGE_BYTES : FIRST_PIECE_BYTES,
                        &response->body, &done, error);
    if (status != K2_OK) {
        return status;
    }
    response->content_type = summary.format->content_type;
    response->compressed = summary.format->compressed;
    response->chunked = !summary.paged || !done;
    k2_http_response_header(response, "X-K2-Snapshot", "%llu",
                            (unsigned long long)summary.snapshot);
    k2_http_response_header(response, "X-K2-Complete", "%s",
                            k2_complete_name(summary.completeness.complete));
    k2_http_response_header(response, "X-K2-Gaps", "%llu",
                            (unsigned long long)summary.completeness.gap_count);
    k2_http_response_header(response, "Cache-Control", "private, no-cache");
    if (response->chunked) {
        k2_http_response_header(response, "Trailer", "X-K2-Rows, X-K2-Checksum");
    }
    if (done) {
        close_body(body);
        response->stream = (struct k2_http_stream){0};
    }
    return K2_OK;
}
