#include "query/http_request.h"

#include <stdint.h>
#include <stdio.h>
#include <sys/random.h>
#include <time.h>

#include "format/base/alloc.h"
#include "format/base/utf8.h"
#include "query/http_text.h"

struct text_writer {
    char *texts;
    size_t used_bytes;
};

static int hex_value(uint8_t digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    uint8_t lower = digit | 0x20;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// Decodes into the request's texts and puts a NUL behind. The texts have room for the whole target
// and one byte a piece, for nothing gets longer and every piece but one had a separator.
static enum k2_status decode(struct text_writer *writer, struct k2_slice raw, bool plus_is_blank,
                             struct k2_slice *decoded, struct k2_error *error)
{
    char *out = writer->texts + writer->used_bytes;
    size_t size = 0;
    for (size_t i = 0; i < raw.size_bytes; i++) {
        uint8_t byte = raw.data[i];
        if (byte == '%') {
            int high = i + 2 < raw.size_bytes ? hex_value(raw.data[i + 1]) : -1;
            int low = high >= 0 ? hex_value(raw.data[i + 2]) : -1;
            if (low < 0) {
                return k2_fail(error, K2_BAD_REQUEST,
                               "request: a `%%` in the target is not "
                               "followed by two hexadecimal digits");
            }
            byte = (uint8_t)(high * 16 + low);
            i += 2;
        } else if (byte == '+' && plus_is_blank) {
            byte = ' ';
        }
        if (byte < 0x20 || byte == 0x7f) {
            return k2_fail(error, K2_BAD_REQUEST, "request: the target has a control character");
        }
        out[size++] = (char)byte;
    }
    out[size] = '\0';
    writer->used_bytes += size + 1;
    *decoded = (struct k2_slice){(const uint8_t *)out, size};
    if (!k2_utf8_is_valid(*decoded)) {
        return k2_fail(error, K2_BAD_REQUEST, "request: the target is not UTF-8");
    }
    return K2_OK;
}

static bool is_climbing(struct k2_slice part)
{
    return k2_slice_equal(part, k2_slice_of(".")) || k2_slice_equal(part, k2_slice_of(".."));
}

static enum k2_status parse_path(struct k2_http_request *request, struct text_writer *writer,
                                 struct k2_slice path, struct k2_error *error)
{
    if (path.size_bytes == 0 || path.data[0] != '/') {
        return k2_fail(error, K2_BAD_REQUEST, "request: the target is not a path");
    }
    struct k2_slice rest = {path.data + 1, path.size_bytes - 1};
    while (rest.size_bytes > 0) {
        struct k2_slice part = {0};
        enum k2_status status = decode(writer, k2_http_take_until(&rest, '/'), false, &part, error);
        if (status != K2_OK) {
            return status;
        }
        if (part.size_bytes == 0 || is_climbing(part)) {
            return k2_fail(error, K2_BAD_REQUEST,
                           "request: the path has an empty part, `.` or "
                           "`..`");
        }
        if (request->part_count == K2_HTTP_MAX_PARTS) {
            return k2_fail(error, K2_BAD_REQUEST, "request: the path has more than %d parts",
                           K2_HTTP_MAX_PARTS);
        }
        request->parts[request->part_count++] = part;
    }
    return K2_OK;
}

static enum k2_status add_parameter(struct k2_http_request *request, struct text_writer *writer,
                                    struct k2_slice piece, struct k2_error *error)
{
    struct k2_slice value = piece, name = {0}, text = {0};
    struct k2_slice raw_name = k2_http_take_until(&value, '=');
    enum k2_status status = decode(writer, raw_name, true, &name, error);
    if (status == K2_OK) {
        status = decode(writer, value, true, &text, error);
    }
    if (status != K2_OK) {
        return status;
    }
    if (k2_http_request_find(request, (const char *)name.data) != NULL) {
        return k2_fail(error, K2_BAD_REQUEST, "%s: given twice", (const char *)name.data);
    }
    if (request->parameter_count == K2_HTTP_MAX_PARAMETERS) {
        return k2_fail(error, K2_BAD_REQUEST, "request: more than %d parameters",
                       K2_HTTP_MAX_PARAMETERS);
    }
    request->parameters[request->parameter_count++] =
        (struct k2_http_parameter){(const char *)name.data, text};
    return K2_OK;
}

static enum k2_status parse_target(struct k2_http_request *request, struct k2_slice target,
                                   struct text_writer *writer, struct k2_error *error)
{
    struct k2_slice query = target;
    struct k2_slice path = k2_http_take_until(&query, '?');
    enum k2_status status = parse_path(request, writer, path, error);
    while (status == K2_OK && query.size_bytes > 0) {
        struct k2_slice piece = k2_http_take_until(&query, '&');
        if (piece.size_bytes > 0) {
            status = add_parameter(request, writer, piece, error);
        }
    }
    return status;
}

static bool is_correlation_id(struct k2_slice text)
{
    for (size_t i = 0; i < text.size_bytes; i++) {
        uint8_t byte = text.data[i];
        if (byte <= 0x20 || byte > 0x7e || byte == '"' || byte == '\\') {
            return false;
        }
    }
    return text.size_bytes > 0 && text.size_bytes <= K2_HTTP_CORRELATION_BYTES;
}

static void set_correlation_id(struct k2_http_request *request, struct k2_slice given)
{
    if (is_correlation_id(given)) {
        memcpy(request->correlation_id, given.data, given.size_bytes);
        request->correlation_id[given.size_bytes] = '\0';
        return;
    }
    uint64_t id = 0;
    if (getrandom(&id, sizeof id, GRND_NONBLOCK) != (ssize_t)sizeof id) {
        struct timespec now; // no randomness yet after boot: the clock tells requests apart
        clock_gettime(CLOCK_MONOTONIC, &now);
        id = (uint64_t)now.tv_sec << 32 ^ (uint64_t)now.tv_nsec;
    }
    snprintf(request->correlation_id, sizeof request->correlation_id, "%016llx",
             (unsigned long long)id);
}

enum k2_status k2_http_request_parse(struct k2_http_request *request,
                                     const struct k2_http_request_texts *texts,
                                     struct k2_error *error)
{
    *request = (struct k2_http_request){.method = ""};
    set_correlation_id(request, texts->correlation_id);
    request->coding = k2_http_coding_choose(texts->accept_encoding);
    struct k2_slice accept = texts->accept;
    size_t method_bytes = strlen(texts->method);
    // Each of the at most target.size_bytes + 2 pieces needs a NUL where its separator was.
    size_t room = method_bytes + accept.size_bytes + 2 * texts->target.size_bytes + 8;
    struct text_writer writer = {k2_alloc(room), 0};
    if (writer.texts == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "request: no memory");
    }
    request->texts = writer.texts;
    memcpy(writer.texts, texts->method, method_bytes + 1);
    request->method = writer.texts;
    writer.used_bytes = method_bytes + 1;
    if (accept.size_bytes > 0) {
        memcpy(writer.texts + writer.used_bytes, accept.data, accept.size_bytes);
        request->accept =
            (struct k2_slice){(const uint8_t *)writer.texts + writer.used_bytes, accept.size_bytes};
        writer.used_bytes += accept.size_bytes;
    }
    return parse_target(request, texts->target, &writer, error);
}

void k2_http_request_deinit(struct k2_http_request *request)
{
    k2_free(request->texts);
    *request = (struct k2_http_request){.method = ""};
}

const struct k2_http_parameter *k2_http_request_find(const struct k2_http_request *request,
                                                     const char *name)
{
    for (size_t i = 0; i < request->parameter_count; i++) {
        if (strcmp(request->parameters[i].name, name) == 0) {
            return &request->parameters[i];
        }
    }
    return NULL;
}
