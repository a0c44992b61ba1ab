#include "query/http_exchange.h"

#include <curl/curl.h>
#include <string.h>

#include "format/base/alloc.h"
#include "query/canonical.h"
#include "query/http_text.h"

enum {
    CONNECT_SECONDS = 10,
    SILENT_SECONDS = 60,
    HEAD_BYTES = 64 << 10,
    BODY_BYTES = 1 << 20,
};

struct k2_http_exchange {
    CURL *curl;
    struct k2_buffer head, body;
    const struct k2_http_call *call; // the one that runs
    unsigned status;
    size_t sent_bytes; // of the body
    enum k2_status taken;
    struct k2_error *error;
};

enum k2_status k2_http_exchange_open(struct k2_http_exchange **exchange, struct k2_error *error)
{
    struct k2_http_exchange *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "http: out of memory");
    }
    k2_buffer_init(&self->head, HEAD_BYTES);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK) {
        self->curl = curl_easy_init();
    }
    if (self->curl == NULL) {
        k2_http_exchange_close(self);
        return k2_fail(error, K2_NO_MEMORY, "http: out of memory");
    }
    *exchange = self;
    return K2_OK;
}

void k2_http_exchange_close(struct k2_http_exchange *exchange)
{
    if (exchange == NULL) {
        return;
    }
    curl_easy_cleanup(exchange->curl);
    k2_buffer_deinit(&exchange->head);
    k2_buffer_deinit(&exchange->body);
    k2_free(exchange);
}

// Called for every line of a head, and for trailers. A new status line begins a new head (behind
// `100 Continue`).
static size_t take_header(char *bytes, size_t size, size_t count, void *context)
{
    struct k2_http_exchange *self = context;
    size_t line_bytes = size * count;
    if (line_bytes > 12 && memcmp(bytes, "HTTP/", 5) == 0) {
        k2_buffer_clear(&self->head);
        long status = 0;
        (void)curl_easy_getinfo(self->curl, CURLINFO_RESPONSE_CODE, &status);
        self->status = (unsigned)status;
    }
    k2_put_bytes(&self->head, bytes, line_bytes);
    return self->head.failed ? 0 : line_bytes;
}

static size_t take_body(char *bytes, size_t size, size_t count, void *context)
{
    struct k2_http_exchange *self = context;
    struct k2_slice piece = {(const uint8_t *)bytes, size * count};
    if (self->call->take != NULL && self->status >= 200 && self->status < 300) {
        self->taken = self->call->take(self->call->take_context, piece, self->error);
        return self->taken == K2_OK ? piece.size_bytes : CURL_WRITEFUNC_ERROR;
    }
    k2_put_bytes(&self->body, piece.data, piece.size_bytes);
    self->taken = k2_buffer_check(&self->body, "http: the answer", self->error);
    return self->taken == K2_OK ? piece.size_bytes : CURL_WRITEFUNC_ERROR;
}

static size_t give_body(char *bytes, size_t size, size_t count, void *context)
{
    struct k2_http_exchange *self = context;
    size_t rest = self->call->body.size_bytes - self->sent_bytes;
    size_t piece = rest < size * count ? rest : size * count;
    if (piece > 0) {
        memcpy(bytes, self->call->body.data + self->sent_bytes, piece);
    }
    self->sent_bytes += piece;
    return piece;
}

// libcurl sends a body again when a kept connection turns out to be closed.
static int rewind_body(void *context, curl_off_t offset, int origin)
{
    struct k2_http_exchange *self = context;
    if (origin != SEEK_SET || offset < 0 || (size_t)offset > self->call->body.size_bytes) {
        return CURL_SEEKFUNC_FAIL;
    }
    self->sent_bytes = (size_t)offset;
    return CURL_SEEKFUNC_OK;
}

static struct curl_slist *header_list(const struct k2_http_call *call)
{
    // No waiting for a `100 Continue` that many servers never send.
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");
    for (size_t i = 0; list != NULL && i < call->header_count; i++) {
        struct curl_slist *longer = curl_slist_append(list, call->headers[i]);
        if (longer == NULL) {
            curl_slist_free_all(list);
        }
        list = longer;
    }
    return list;
}

static void set_method(CURL *curl, struct k2_http_exchange *self, const struct k2_http_call *call)
{
    bool head = strcmp(call->method, "HEAD") == 0;
    if (head) {
        (void)curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    } else if (call->has_body) {
        (void)curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
        (void)curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)call->body.size_bytes);
        (void)curl_easy_setopt(curl, CURLOPT_READFUNCTION, give_body);
        (void)curl_easy_setopt(curl, CURLOPT_READDATA, self);
        (void)curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, rewind_body);
        (void)curl_easy_setopt(curl, CURLOPT_SEEKDATA, self);
    } else {
        (void)curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
    }
    if (!head) {
        (void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, call->method);
    }
}

static CURLcode perform(struct k2_http_exchange *self, struct curl_slist *headers)
{
    // A failure of these shows when the request is made.
    const struct k2_http_call *call = self->call;
    CURL *curl = self->curl;
    long silent = call->silent_seconds != 0 ? (long)call->silent_seconds : SILENT_SECONDS;
    curl_easy_reset(curl); // keeps the connection
    (void)curl_easy_setopt(curl, CURLOPT_URL, call->url);
    (void)curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    (void)curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, silent);
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)call->total_seconds);
    (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    (void)curl_easy_setopt(curl, CURLOPT_HEADERDATA, self);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, self);
    set_method(curl, self, call);
    return curl_easy_perform(curl);
}

static enum k2_status judge(const struct k2_http_exchange *self, CURLcode code,
                            struct k2_http_answer *answer, struct k2_error *error)
{
    const char *url = self->call->url;
    int shown = (int)strcspn(url, "?"); // what follows may be secret
    if (self->taken != K2_OK) {
        answer->fate = K2_HTTP_STOPPED;
        return self->taken;
    }
    switch (code) {
    case CURLE_OK:
        answer->fate = K2_HTTP_ANSWERED;
        return K2_OK;
    case CURLE_URL_MALFORMAT:
        answer->fate = K2_HTTP_NOT_SENT;
        return k2_fail(error, K2_BAD_REQUEST, "%.*s: not an http URL", shown, url);
    case CURLE_OUT_OF_MEMORY:
        answer->fate = K2_HTTP_STOPPED;
        return k2_fail(error, K2_NO_MEMORY, "%.*s: out of memory", shown, url);
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
        answer->fate = K2_HTTP_NOT_SENT;
        return k2_fail(error, K2_BUSY, "%.*s: %s", shown, url, curl_easy_strerror(code));
    default: // a head that is too long among them
        answer->fate = K2_HTTP_UNKNOWN;
        return k2_fail(error, K2_IO, "%.*s: %s", shown, url, curl_easy_strerror(code));
    }
}

enum k2_status k2_http_exchange_run(struct k2_http_exchange *exchange,
                                    const struct k2_http_call *call, struct k2_http_answer *answer,
                                    struct k2_error *error)
{
    *answer = (struct k2_http_answer){.fate = K2_HTTP_STOPPED};
    if (strncmp(call->url, "http://", 7) != 0 && strncmp(call->url, "https://", 8) != 0) {
        return k2_fail(error, K2_BAD_REQUEST, "%s: neither http:// nor https://", call->url);
    }
    struct curl_slist *headers = header_list(call);
    if (headers == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "http: out of memory");
    }
    k2_buffer_deinit(&exchange->body);
    k2_buffer_init(&exchange->body, call->answer_ceiling_bytes != 0 ? call->answer_ceiling_bytes
                                                                    : (size_t)BODY_BYTES);
    k2_buffer_clear(&exchange->head);
    exchange->call = call;
    exchange->status = 0;
    exchange->sent_bytes = 0;
    exchange->taken = K2_OK;
    exchange->error = error;
    CURLcode code = perform(exchange, headers);
    curl_slist_free_all(headers);
    answer->status = exchange->status;
    answer->head = k2_buffer_slice(&exchange->head);
    answer->body = k2_buffer_slice(&exchange->body);
    return judge(exchange, code, answer, error);
}

bool k2_http_header(struct k2_slice head, const char *name, struct k2_slice *value)
{
    size_t name_bytes = strlen(name);
    bool found = false;
    while (head.size_bytes > 0) {
        const uint8_t *end = memchr(head.data, '\n', head.size_bytes);
        size_t line_bytes = end != NULL ? (size_t)(end - head.data) + 1 : head.size_bytes;
        if (line_bytes > name_bytes && head.data[name_bytes] == ':' &&
            k2_equal_without_case((struct k2_slice){head.data, name_bytes}, k2_slice_of(name))) {
            struct k2_slice rest = {head.data + name_bytes + 1, line_bytes - name_bytes - 1};
            struct k2_slice line = k2_http_take_until(&rest, '\n');
            *value = k2_http_trim(k2_http_take_until(&line, '\r'));
            found = true;
        }
        head.data += line_bytes;
        head.size_bytes -= line_bytes;
    }
    return found;
}

void k2_http_put_escaped(struct k2_buffer *out, struct k2_slice text, bool keep_slashes)
{
    for (size_t i = 0; i < text.size_bytes; i++) {
        uint8_t byte = text.data[i];
        bool plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                     (byte >= '0' && byte <= '9') || byte == '-' || byte == '.' || byte == '_' ||
                     byte == '~' || (byte == '/' && keep_slashes);
        if (plain) {
            k2_put_u8(out, byte);
        } else {
            k2_put_format(out, "%%%02X", byte);
        }
    }
}
