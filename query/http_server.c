#include "query/http_server.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "format/base/alloc.h"
#include "query/http_connections.h"
#include "query/http_head.h"
#include "query/worker_pool.h"

enum {
    IO_THREADS = 4,
    HEAD_BYTES = 64 << 10, // libmicrohttpd's memory of a connection; half of it is for the head
    PIECE_BYTES = 256 << 10,
    BODY_BYTES = 10 << 20, // of a request
    ANSWER_GRACE_SECONDS = 5,
};

struct k2_http_server {
    const struct k2_http_api *api;
    struct k2_http_server_options options;
    struct MHD_Daemon *daemon;
    struct k2_worker_pool *workers;
    struct k2_http_connections *connections;
    pthread_mutex_t gate; // whoever suspends a connection does so before `stopping`, or not at all
    atomic_bool stopping; // set under gate
    atomic_uint streams;  // answers that are not complete yet: each holds a scan
};

enum exchange_state {
    EXCHANGE_NEW,      // the head was not looked at
    EXCHANGE_CHECKED,  // to be answered
    EXCHANGE_ANSWERED, // `response` is ready
};

// One request and its answer. Belongs to the I/O thread of its connection; to a worker while the
// connection is suspended.
struct exchange {
    struct k2_http_server *server;
    struct MHD_Connection *connection;
    struct k2_http_connection *slot; // of this connection; NULL when memory was short
    enum exchange_state state;
    char *target;             // as received, owned
    const char *target_place; // where it was received
    struct k2_http_request request;
    struct k2_http_response response;
    struct k2_job job;
    struct MHD_Response *sent; // borrowed from the connection while it is sent
    size_t taken_bytes;        // of response.body, by the client
    bool done, failed;         // the stream: no piece follows, or none that is right
    bool counted;              // among the server's streams
    int64_t begun_ns, deadline_ns;
    uint64_t body_bytes;
};

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

// ---- the body of an answer ----------------------------------------------------------------------

// Gives the connection to a worker; false when the server is ending.
static bool hand_over(struct exchange *exchange, void (*run)(void *context))
{
    struct k2_http_server *server = exchange->server;
    pthread_mutex_lock(&server->gate);
    bool open = !atomic_load(&server->stopping);
    if (open) {
        MHD_suspend_connection(exchange->connection);
        exchange->job = (struct k2_job){.run = run, .context = exchange};
        k2_worker_pool_submit(server->workers, &exchange->job);
    }
    pthread_mutex_unlock(&server->gate);
    return open;
}

// On a worker: the next piece.
static void make_piece(void *context)
{
    struct exchange *exchange = context;
    struct k2_http_response *response = &exchange->response;
    struct k2_error error = {0};
    k2_buffer_clear(&response->body);
    exchange->taken_bytes = 0;
    exchange->failed = atomic_load(&exchange->server->stopping) ||
                       now_ns() > exchange->deadline_ns ||
                       response->stream.next(response->stream.context, response, PIECE_BYTES,
                                             &response->body, &exchange->done, &error) != K2_OK;
    if (error.status != K2_OK) {
        k2_http_api_tell(exchange->server->api, &exchange->request, response, &error);
    }
    MHD_resume_connection(exchange->connection); // from here on the exchange may be gone
}

static void add_trailers(const struct exchange *exchange)
{
    for (size_t i = 0; i < exchange->response.trailer_count; i++) {
        const struct k2_http_header *trailer = &exchange->response.trailers[i];
        (void)MHD_add_response_footer(exchange->sent, trailer->name, trailer->value);
    }
}

// Called by libmicrohttpd whenever the client can take more.
static ssize_t read_body(void *context, uint64_t position, char *out, size_t room_bytes)
{
    (void)position;
    struct exchange *exchange = context;
    const struct k2_buffer *body = &exchange->response.body;
    size_t left = body->size_bytes - exchange->taken_bytes;
    if (exchange->failed || now_ns() > exchange->deadline_ns) {
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    if (left > 0) {
        size_t size = left < room_bytes ? left : room_bytes;
        memcpy(out, body->data + exchange->taken_bytes, size);
        exchange->taken_bytes += size;
        exchange->body_bytes += size;
        return (ssize_t)size;
    }
    if (exchange->done) {
        add_trailers(exchange);
        return MHD_CONTENT_READER_END_OF_STREAM;
    }
    return hand_over(exchange, make_piece) ? 0 : MHD_CONTENT_READER_END_WITH_ERROR;
}

static enum MHD_Result send_response(struct exchange *exchange)
{
    struct k2_http_response *response = &exchange->response;
    if (response->chunked) {
        exchange->done = response->stream.next == NULL;
        exchange->sent = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, PIECE_BYTES, read_body,
                                                           exchange, NULL);
    } else {
        exchange->body_bytes = response->body.size_bytes;
        exchange->sent = MHD_create_response_from_buffer(
            response->body.size_bytes, response->body.data, MHD_RESPMEM_PERSISTENT);
    }
    if (exchange->sent == NULL) {
        return MHD_NO;
    }
    (void)MHD_add_response_header(exchange->sent, MHD_HTTP_HEADER_CONTENT_TYPE,
                                  response->content_type);
    for (size_t i = 0; i < response->header_count; i++) {
        (void)MHD_add_response_header(exchange->sent, response->headers[i].name,
                                      response->headers[i].value);
    }
    if (response->chunked && strcmp(exchange->request.method, "HEAD") == 0) {
        // Otherwise libmicrohttpd sends a last chunk, which a HEAD must not have.
        (void)MHD_set_response_options(exchange->sent, MHD_RF_HTTP_VERSION_1_0_RESPONSE,
                                       MHD_RO_END);
    }
    if (response->ends_connection) {
        (void)MHD_add_response_header(exchange->sent, MHD_HTTP_HEADER_CONNECTION, "close");
    }
    enum MHD_Result result =
        MHD_queue_response(exchange->connection, response->status, exchange->sent);
    MHD_destroy_response(exchange->sent); // the connection keeps it while it is sent
    return result;
}

// ---- requests -----------------------------------------------------------------------------------

// Called with the target before libmicrohttpd takes it apart.
static void *begin_exchange(void *context, const char *target, struct MHD_Connection *connection)
{
    struct k2_http_server *server = context;
    struct exchange *exchange = k2_alloc_zero(1, sizeof *exchange);
    char *copy = k2_alloc_text(target, strlen(target));
    if (exchange == NULL || copy == NULL) {
        k2_free(exchange);
        k2_free(copy);
        return NULL;
    }
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    exchange->server = server;
    exchange->connection = connection;
    exchange->slot = info != NULL ? info->socket_context : NULL;
    exchange->target = copy;
    exchange->target_place = target;
    exchange->begun_ns = now_ns();
    exchange->deadline_ns =
        exchange->begun_ns + (int64_t)server->options.answer_seconds * 1000000000;
    exchange->request.method = "";
    k2_http_response_init(&exchange->response);
    k2_http_metrics_begin(k2_http_api_metrics(server->api));
    return exchange;
}

static enum MHD_Result add_field(void *context, enum MHD_ValueKind kind, const char *name,
                                 size_t name_bytes, const char *value, size_t value_bytes)
{
    (void)kind;
    struct k2_http_head *head = context;
    if (head->field_count == K2_HTTP_MAX_FIELDS) {
        head->too_many_fields = true;
        return MHD_NO;
    }
    head->fields[head->field_count++] =
        (struct k2_http_field){.name = {(const uint8_t *)name, name_bytes},
                               .value = {(const uint8_t *)value, value_bytes}};
    return MHD_YES;
}

static void read_head(const struct exchange *exchange, const char *method, const char *version,
                      struct k2_http_head *head)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(exchange->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    *head = (struct k2_http_head){
        .method = k2_slice_of(method),
        .target = {(const uint8_t *)exchange->target_place, strlen(exchange->target)},
        .version = k2_slice_of(version),
        .size_bytes = info != NULL ? info->header_size : 0};
    (void)MHD_get_connection_values_n(exchange->connection, MHD_HEADER_KIND, add_field, head);
}

// Refuses what must be refused before the body of the request is read. The connection then ends,
// for where the next request would begin is not known, or not worth reading.
static void refuse(struct exchange *exchange, unsigned status, const char *message)
{
    exchange->response.ends_connection = true;
    k2_http_response_error(&exchange->response, &exchange->request, status, NULL, message);
    k2_http_response_header(&exchange->response, "X-Correlation-ID", "%s",
                            exchange->request.correlation_id);
    exchange->state = EXCHANGE_ANSWERED;
}

static void check_request(struct exchange *exchange, const char *method, const char *version)
{
    struct k2_http_head head;
    struct k2_http_body_size body;
    struct k2_error error = {0};
    read_head(exchange, method, version, &head);
    enum k2_status head_status = k2_http_head_check(&head, &body, &error);
    struct k2_slice target = k2_slice_of(exchange->target);
    const struct k2_http_request_texts texts = {
        .method = method,
        .target = target,
        .correlation_id = k2_http_head_find(&head, "X-Correlation-ID"),
        .accept = k2_http_head_find(&head, "Accept"),
        .accept_encoding = k2_http_head_find(&head, "Accept-Encoding"),
    };
    enum k2_status status =
        k2_http_request_parse(&exchange->request, &texts, head_status == K2_OK ? &error : NULL);
    exchange->state = EXCHANGE_CHECKED;
    if (head_status != K2_OK) {
        refuse(exchange, 400, error.text);
    } else if (target.size_bytes > K2_HTTP_TARGET_BYTES) {
        refuse(exchange, 414, "the target of the request is too long");
    } else if (body.size_bytes > BODY_BYTES) {
        refuse(exchange, 413, "the body of the request is over 10 MB");
    } else if (status != K2_OK) {
        refuse(exchange, status == K2_NO_MEMORY ? 503 : 400, error.text);
    } else if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        exchange->response.ends_connection = body.chunked || body.size_bytes > 0;
        k2_http_api_handle(exchange->server->api, &exchange->request, &exchange->response);
        exchange->state = EXCHANGE_ANSWERED;
    } else if (body.chunked || body.size_bytes > 0) {
        refuse(exchange, 400, "request: a body has no meaning here");
    }
}

// Clients that do not read must not pile up scans.
static void limit_streams(struct exchange *exchange)
{
    if (exchange->response.stream.next == NULL) {
        return;
    }
    exchange->counted = true;
    if (atomic_fetch_add(&exchange->server->streams, 1) >= exchange->server->options.stream_limit) {
        k2_http_response_error(&exchange->response, &exchange->request, 503, NULL,
                               "too many long answers are open; try again");
        k2_http_response_header(&exchange->response, "X-Correlation-ID", "%s",
                                exchange->request.correlation_id);
    }
}

// On a worker.
static void answer(void *context)
{
    struct exchange *exchange = context;
    if (atomic_load(&exchange->server->stopping)) {
        refuse(exchange, 503, "the server is ending");
    } else {
        k2_http_api_handle(exchange->server->api, &exchange->request, &exchange->response);
        limit_streams(exchange);
        exchange->state = EXCHANGE_ANSWERED;
    }
    MHD_resume_connection(exchange->connection); // from here on the exchange may be gone
}

// Called with the head, then (the connection is kept for another request only if the answer comes
// now, not at the first call) without more, and again whenever the connection is resumed.
static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_bytes, void **request_context)
{
    (void)connection;
    (void)url;
    (void)upload;
    struct k2_http_server *server = context;
    struct exchange *exchange = *request_context;
    if (exchange == NULL) {
        return MHD_NO; // memory was short
    }
    if (exchange->state == EXCHANGE_NEW) {
        k2_http_connections_extend(server->connections, exchange->slot,
                                   server->options.answer_seconds + ANSWER_GRACE_SECONDS);
        check_request(exchange, method, version);
        bool refused = exchange->state == EXCHANGE_ANSWERED && exchange->response.ends_connection;
        return refused ? send_response(exchange) : MHD_YES;
    }
    if (*upload_bytes > 0) {
        *upload_bytes = 0;
        return MHD_YES;
    }
    if (exchange->state == EXCHANGE_CHECKED) {
        if (k2_http_api_is_quick(server->api, &exchange->request)) {
            k2_http_api_handle(server->api, &exchange->request, &exchange->response);
            exchange->state = EXCHANGE_ANSWERED;
        } else {
            return hand_over(exchange, answer) ? MHD_YES : MHD_NO;
        }
    }
    return send_response(exchange);
}

static void end_exchange(void *context, struct MHD_Connection *connection, void **request_context,
                         enum MHD_RequestTerminationCode code)
{
    (void)connection;
    struct k2_http_server *server = context;
    struct exchange *exchange = *request_context;
    if (exchange == NULL) {
        return;
    }
    const struct k2_http_outcome outcome = {
        .route = exchange->response.route,
        .status = exchange->response.status,
        .duration_ns = now_ns() - exchange->begun_ns,
        .body_bytes = exchange->body_bytes,
        .row_count = exchange->response.row_count,
        .cut = code != MHD_REQUEST_TERMINATED_COMPLETED_OK,
    };
    k2_http_metrics_end(k2_http_api_metrics(server->api), &outcome);
    k2_http_connections_extend(server->connections, exchange->slot, server->options.head_seconds);
    k2_http_response_deinit(&exchange->response);
    k2_http_request_deinit(&exchange->request);
    if (exchange->counted) {
        atomic_fetch_sub(&server->streams, 1);
    }
    k2_free(exchange->target);
    k2_free(exchange);
    *request_context = NULL;
}

// ---- connections and the server -------------------------------------------------------------

static void notice_connection(void *context, struct MHD_Connection *connection,
                              void **socket_context, enum MHD_ConnectionNotificationCode code)
{
    struct k2_http_server *server = context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        *socket_context = info == NULL
                              ? NULL
                              : k2_http_connections_add(server->connections, info->connect_fd,
                                                        server->options.head_seconds);
    } else {
        k2_http_connections_remove(server->connections, *socket_context);
        *socket_context = NULL;
    }
}

// Leaves escapes as they are: query/http_request.c decodes, and refuses what it can not.
static size_t keep_escapes(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context;
    (void)connection;
    return strlen(text);
}

// What libmicrohttpd says of broken clients is theirs to fix.
static void say_nothing(void *context, const char *format, va_list arguments)
{
    (void)context;
    (void)format;
    (void)arguments;
}

static struct MHD_Daemon *start_daemon(struct k2_http_server *server, int listen_socket)
{
    const struct k2_http_server_options *options = &server->options;
    return MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL,
        handle, server, MHD_OPTION_EXTERNAL_LOGGER, say_nothing, NULL, MHD_OPTION_LISTEN_SOCKET,
        listen_socket, MHD_OPTION_THREAD_POOL_SIZE, (unsigned)IO_THREADS,
        MHD_OPTION_CONNECTION_LIMIT, options->connection_limit, MHD_OPTION_CONNECTION_TIMEOUT,
        options->idle_seconds, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEAD_BYTES,
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_URI_LOG_CALLBACK, begin_exchange, server,
        MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_NOTIFY_COMPLETED, end_exchange,
        server, MHD_OPTION_NOTIFY_CONNECTION, notice_connection, server, MHD_OPTION_END);
}

static void set_defaults(struct k2_http_server_options *options)
{
    const struct k2_http_server_options defaults = {.connection_limit = 1000,
                                                    .idle_seconds = 60,
                                                    .head_seconds = 30,
                                                    .answer_seconds = 3600,
                                                    .worker_count = 4,
                                                    .stream_limit = 128};
    options->connection_limit =
        options->connection_limit > 0 ? options->connection_limit : defaults.connection_limit;
    options->idle_seconds =
        options->idle_seconds > 0 ? options->idle_seconds : defaults.idle_seconds;
    options->head_seconds =
        options->head_seconds > 0 ? options->head_seconds : defaults.head_seconds;
    options->answer_seconds =
        options->answer_seconds > 0 ? options->answer_seconds : defaults.answer_seconds;
    options->worker_count =
        options->worker_count > 0 ? options->worker_count : defaults.worker_count;
    options->stream_limit =
        options->stream_limit > 0 ? options->stream_limit : defaults.stream_limit;
}

enum k2_status k2_http_server_start(struct k2_http_server **server, const struct k2_http_api *api,
                                    int listen_socket, const struct k2_http_server_options *options,
                                    struct k2_error *error)
{
    *server = NULL;
    struct k2_http_server *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "http: no memory");
    }
    self->api = api;
    self->options = *options;
    set_defaults(&self->options);
    pthread_mutex_init(&self->gate, NULL);
    enum k2_status status =
        k2_worker_pool_create(&self->workers, self->options.worker_count, error);
    if (status == K2_OK) {
        status = k2_http_connections_create(&self->connections, error);
    }
    if (status == K2_OK) {
        self->daemon = start_daemon(self, listen_socket);
        status =
            self->daemon == NULL ? k2_fail(error, K2_IO, "http: can not start the server") : K2_OK;
    }
    if (status != K2_OK) {
        k2_http_server_stop(self);
        return status;
    }
    *server = self;
    return K2_OK;
}

void k2_http_server_stop(struct k2_http_server *server)
{
    if (server == NULL) {
        return;
    }
    pthread_mutex_lock(&server->gate);
    atomic_store(&server->stopping, true);
    pthread_mutex_unlock(&server->gate);
    k2_worker_pool_destroy(server->workers); // every suspended connection is resumed by its job
    if (server->daemon != NULL) {
        MHD_stop_daemon(server->daemon);
    }
    k2_http_connections_destroy(server->connections);
    pthread_mutex_destroy(&server->gate);
    k2_free(server);
}
