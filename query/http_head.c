#include "query/http_head.h"

#include "query/canonical.h"
#include "query/http_text.h"

static bool is_token_byte(uint8_t byte)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || (byte != 0 && strchr(marks, byte) != NULL);
}

static bool is_token(struct k2_slice text)
{
    for (size_t i = 0; i < text.size_bytes; i++) {
        if (!is_token_byte(text.data[i])) {
            return false;
        }
    }
    return text.size_bytes > 0;
}

// No control characters but tabs.
static bool is_clean(struct k2_slice text)
{
    for (size_t i = 0; i < text.size_bytes; i++) {
        uint8_t byte = text.data[i];
        if (byte == 0x7f || (byte < 0x20 && byte != '\t')) {
            return false;
        }
    }
    return true;
}

static const uint8_t *end_of(struct k2_slice text)
{
    return text.data + text.size_bytes;
}

static enum k2_status malformed(struct k2_error *error, const char *what)
{
    return k2_fail(error, K2_BAD_REQUEST, "request: %s", what);
}

// Every byte of the head belongs to a part, to one separator or to a line end of two bytes.
static enum k2_status check_places(const struct k2_http_head *head, struct k2_error *error)
{
    if (head->target.data != end_of(head->method) + 1 ||
        head->version.data != end_of(head->target) + 1) {
        return malformed(error, "the request line has a NUL or more than two blanks");
    }
    const uint8_t *line = end_of(head->version) + 2;
    for (size_t i = 0; i < head->field_count; i++) {
        struct k2_slice name = head->fields[i].name, value = head->fields[i].value;
        if (name.data != line) {
            return malformed(error,
                             "a header line is folded, has a NUL, no name or a bare line end");
        }
        if (value.data == NULL || value.data <= end_of(name)) {
            return malformed(error, "a header line is folded");
        }
        struct k2_slice blanks = {end_of(name) + 1, (size_t)(value.data - end_of(name)) - 1};
        if (k2_http_trim(blanks).size_bytes != 0) {
            return malformed(error, "a header line has something between name and value");
        }
        line = end_of(value) + 2;
    }
    if (line + 2 != head->method.data + head->size_bytes) {
        return malformed(error, "a header line is malformed");
    }
    return K2_OK;
}

static enum k2_status check_texts(const struct k2_http_head *head, struct k2_error *error)
{
    if (!is_token(head->method)) {
        return malformed(error, "the method is malformed");
    }
    for (size_t i = 0; i < head->field_count; i++) {
        if (!is_token(head->fields[i].name)) {
            return malformed(error, "the name of a header is malformed");
        }
        if (!is_clean(head->fields[i].value)) {
            return malformed(error, "the value of a header has a control character");
        }
    }
    return K2_OK;
}

static size_t count_fields(const struct k2_http_head *head, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < head->field_count; i++) {
        count += k2_equal_without_case(head->fields[i].name, k2_slice_of(name));
    }
    return count;
}

struct k2_slice k2_http_head_find(const struct k2_http_head *head, const char *name)
{
    for (size_t i = 0; i < head->field_count; i++) {
        if (k2_equal_without_case(head->fields[i].name, k2_slice_of(name))) {
            return k2_http_trim(head->fields[i].value);
        }
    }
    return (struct k2_slice){0};
}

static enum k2_status check_length(struct k2_slice text, uint64_t *size_bytes,
                                   struct k2_error *error)
{
    uint64_t size = 0;
    bool good = text.size_bytes > 0 && text.size_bytes <= 18;
    for (size_t i = 0; good && i < text.size_bytes; i++) {
        good = text.data[i] >= '0' && text.data[i] <= '9';
        size = size * 10 + (uint64_t)(text.data[i] - '0');
    }
    if (!good) {
        return malformed(error, "Content-Length is not a length");
    }
    *size_bytes = size;
    return K2_OK;
}

static enum k2_status check_body(const struct k2_http_head *head, struct k2_http_body_size *body,
                                 struct k2_error *error)
{
    size_t lengths = count_fields(head, "Content-Length");
    size_t codings = count_fields(head, "Transfer-Encoding");
    if (lengths + codings > 1) {
        return malformed(error, "two lengths: Content-Length and Transfer-Encoding, at most one, "
                                "at most once");
    }
    if (codings == 1) {
        struct k2_slice coding = k2_http_head_find(head, "Transfer-Encoding");
        if (!k2_equal_without_case(coding, k2_slice_of("chunked"))) {
            return malformed(error, "Transfer-Encoding is not chunked");
        }
        body->chunked = true;
    }
    if (lengths == 1) {
        return check_length(k2_http_head_find(head, "Content-Length"), &body->size_bytes, error);
    }
    return K2_OK;
}

static enum k2_status check_host(const struct k2_http_head *head, struct k2_error *error)
{
    size_t hosts = count_fields(head, "Host");
    bool needed = !k2_slice_equal(head->version, k2_slice_of("HTTP/1.0"));
    if (hosts > 1 || (needed && hosts == 0)) {
        return malformed(error, "one Host is needed");
    }
    struct k2_slice host = k2_http_head_find(head, "Host");
    for (size_t i = 0; i < host.size_bytes; i++) {
        if (host.data[i] <= ' ' || strchr("/?#@,\\", host.data[i]) != NULL) {
            return malformed(error, "Host is not a host");
        }
    }
    return K2_OK;
}

enum k2_status k2_http_head_check(const struct k2_http_head *head, struct k2_http_body_size *body,
                                  struct k2_error *error)
{
    *body = (struct k2_http_body_size){0};
    if (head->too_many_fields) {
        return malformed(error, "too many headers");
    }
    enum k2_status status = check_places(head, error);
    if (status == K2_OK) {
        status = check_texts(head, error);
    }
    if (status == K2_OK) {
        status = check_host(head, error);
    }
    if (status == K2_OK) {
        status = check_body(head, body, error);
    }
    return status;
}
