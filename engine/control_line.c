// Requests and answers of control.sock as lines; declared in control.h and control_line.h.
#include "engine/control_line.h"

#include <stdlib.h>
#include <string.h>

#include "format/base/json_scanner.h"
#include "format/base/json_text.h"

void k2_control_request_deinit(struct k2_control_request *request)
{
    k2_buffer_deinit(&request->texts);
}

static enum k2_status bad(struct k2_error *error, const char *what)
{
    return k2_fail(error, K2_BAD_REQUEST, "control: %s", what);
}

// Appends the text of a string and a NUL; only its size is known until the buffer is whole.
static bool put_text(struct k2_control_request *request, struct k2_json_scanner *scanner,
                     struct k2_slice *text)
{
    struct k2_json_string string;
    if (k2_json_peek(scanner) != K2_JSON_TYPE_STRING || !k2_json_scan_string(scanner, &string)) {
        return false;
    }
    size_t begin = request->texts.size_bytes;
    k2_json_put_unescaped(&request->texts, string.raw);
    text->size_bytes = request->texts.size_bytes - begin;
    bool has_nul =
        text->size_bytes > 0 && memchr(request->texts.data + begin, 0, text->size_bytes) != NULL;
    k2_put_u8(&request->texts, 0);
    return !has_nul;
}

static enum k2_status parse_arguments(struct k2_control_request *request,
                                      struct k2_json_scanner *scanner, struct k2_error *error)
{
    if (!k2_json_take(scanner, '[')) {
        return bad(error, "arguments: not an array");
    }
    if (k2_json_take(scanner, ']')) {
        return K2_OK;
    }
    do {
        if (request->argument_count == K2_CONTROL_MOST_ARGUMENTS) {
            return bad(error, "arguments: too many");
        }
        if (!put_text(request, scanner, &request->arguments[request->argument_count])) {
            return bad(error, "arguments: not texts");
        }
        request->argument_count++;
    } while (k2_json_take(scanner, ','));
    return k2_json_take(scanner, ']') ? K2_OK : bad(error, "arguments: not an array");
}

// The name comes first, so that the texts lie in the order in which they are used.
static enum k2_status parse_line(struct k2_control_request *request,
                                 struct k2_json_scanner *scanner, struct k2_error *error)
{
    struct k2_json_string key;
    bool opens = k2_json_take(scanner, '{') && k2_json_peek(scanner) == K2_JSON_TYPE_STRING &&
                 k2_json_scan_string(scanner, &key) &&
                 k2_slice_equal(key.raw, k2_slice_of("command")) && k2_json_take(scanner, ':');
    if (!opens || !put_text(request, scanner, &request->name)) {
        return bad(error, "no object that begins with a command");
    }
    enum k2_status status = K2_OK;
    if (k2_json_take(scanner, ',')) {
        bool arguments =
            k2_json_peek(scanner) == K2_JSON_TYPE_STRING && k2_json_scan_string(scanner, &key) &&
            k2_slice_equal(key.raw, k2_slice_of("arguments")) && k2_json_take(scanner, ':');
        status =
            arguments ? parse_arguments(request, scanner, error) : bad(error, "an unknown member");
    }
    if (status == K2_OK &&
        (!k2_json_take(scanner, '}') || k2_json_peek(scanner) != K2_JSON_TYPE_NONE ||
         scanner->at != scanner->end)) {
        status = bad(error, "something behind the request");
    }
    return status;
}

enum k2_status k2_control_request_parse(struct k2_control_request *request, struct k2_slice line,
                                        struct k2_error *error)
{
    *request = (struct k2_control_request){.argument_count = 0};
    k2_buffer_init(&request->texts, (size_t)2 * K2_CONTROL_LINE_BYTES);
    if (line.size_bytes > K2_CONTROL_LINE_BYTES) {
        return bad(error, "a line that is too long");
    }
    struct k2_json_scanner scanner = {line.data, line.data + line.size_bytes};
    enum k2_status status = parse_line(request, &scanner, error);
    if (status == K2_OK) {
        status = k2_buffer_check(&request->texts, "control", error);
    }
    const uint8_t *at = request->texts.data;
    request->name.data = status == K2_OK ? at : NULL;
    at += status == K2_OK ? request->name.size_bytes + 1 : 0;
    for (size_t i = 0; status == K2_OK && i < request->argument_count; i++) {
        request->arguments[i].data = at;
        at += request->arguments[i].size_bytes + 1;
    }
    return status;
}

void k2_control_request_put(struct k2_buffer *out, const char *name, const char *const *arguments,
                            size_t argument_count)
{
    k2_put_text(out, "{\"command\":");
    k2_json_put_string(out, k2_slice_of(name));
    k2_put_text(out, ",\"arguments\":[");
    for (size_t i = 0; i < argument_count; i++) {
        k2_put_text(out, i > 0 ? "," : "");
        k2_json_put_string(out, k2_slice_of(arguments[i]));
    }
    k2_put_text(out, "]}\n");
}

static uint64_t number_of(struct k2_slice text)
{
    char digits[24] = {0};
    size_t size = text.size_bytes < sizeof digits - 1 ? text.size_bytes : sizeof digits - 1;
    memcpy(digits, text.data, size);
    return strtoull(digits, NULL, 10);
}

enum k2_status k2_control_answer_parse(struct k2_control_answer *answer, struct k2_slice line,
                                       struct k2_error *error)
{
    struct k2_json_scanner scanner = {line.data, line.data + line.size_bytes};
    struct k2_json_string key;
    *answer = (struct k2_control_answer){.last = false};
    bool good = k2_json_take(&scanner, '{');
    do {
        struct k2_slice value;
        good = good && k2_json_peek(&scanner) == K2_JSON_TYPE_STRING &&
               k2_json_scan_string(&scanner, &key) && k2_json_take(&scanner, ':') &&
               k2_json_peek(&scanner) != K2_JSON_TYPE_NONE && k2_json_scan_value(&scanner, &value);
        if (!good) {
            break;
        }
        if (k2_slice_equal(key.raw, k2_slice_of("done"))) {
            answer->done = number_of(value);
        } else if (k2_slice_equal(key.raw, k2_slice_of("total"))) {
            answer->total = number_of(value);
        } else if (k2_slice_equal(key.raw, k2_slice_of("ok"))) {
            answer->last = true;
            answer->ok = k2_slice_equal(value, k2_slice_of("true"));
        } else if (k2_slice_equal(key.raw, k2_slice_of("result"))) {
            answer->result = value;
        } else if (k2_slice_equal(key.raw, k2_slice_of("status"))) {
            answer->status = value;
        } else if (k2_slice_equal(key.raw, k2_slice_of("error"))) {
            answer->error = value;
        }
    } while (k2_json_take(&scanner, ','));
    good = good && k2_json_take(&scanner, '}');
    return good ? K2_OK : k2_fail(error, K2_IO, "control.sock: an answer that is none");
}
