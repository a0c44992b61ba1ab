#include <pthread.h>
#include <signal.h>
#include <stdio.h>

#include "query/http_server.h"
#include "tools/commands.h"
#include "tools/serve_control.h"
#include "tools/serve_export.h"
#include "tools/serve_ingest.h"
#include "tools/serve_maintenance.h"
#include "tools/version.h"

static const struct k2_option options[] = {
    K2_OPTION_DATA,
    {"listen", "HOST:PORT",
     "loopback addresses alone; 127.0.0.1:8000 unless given, port 0 picks one", false},
    K2_OPTIONS_INGEST,
    K2_OPTIONS_EXPORT,
    K2_OPTIONS_MAINTENANCE,
    {0},
};

// What serves, from the first thing opened to the last; closable at any stage.
struct service {
    struct k2_cli *cli;
    struct k2_engine *engine;
    struct k2_serve_ingest *ingest;           // NULL without --kafka
    struct k2_serve_export *export;           // NULL without --export
    struct k2_serve_maintenance *maintenance; // NULL when it is off
    struct k2_control *control;
    struct k2_http_api *api;
    struct k2_http_server *server;
};

static void log_line(void *context, const char *text)
{
    k2_cli_warn(((const struct service *)context)->cli, "%s", text);
}

static void put_metrics(void *context, struct k2_buffer *out)
{
    struct service *service = context;
    k2_serve_ingest_put_metrics(service->ingest, out);
    k2_serve_export_put_metrics(service->export, out);
    k2_serve_maintenance_put_metrics(service->maintenance, out);
}

static bool put_health(void *context, struct k2_buffer *out)
{
    struct service *service = context;
    bool ingests = k2_serve_ingest_put_health(service->ingest, out);
    return k2_serve_maintenance_put_health(service->maintenance, out) && ingests;
}

static enum k2_status start_http(struct service *service, struct k2_error *error)
{
    const char *listen = k2_cli_value(service->cli, "listen");
    const struct k2_http_api_options api_options = {
        .version = K2_VERSION,
        .log = log_line,
        .log_context = service,
        .put_metrics = put_metrics,
        .put_health = put_health,
        .source_context = service,
    };
    struct k2_listen_address address;
    char url[K2_URL_BYTES];
    int listen_socket = -1;
    enum k2_status status =
        k2_listen_address_parse(&address, listen != NULL ? listen : "127.0.0.1:8000", error);
    if (status == K2_OK) {
        status = k2_http_api_create(&service->api, service->engine, &api_options, error);
    }
    if (status == K2_OK) {
        status = k2_listen_address_open(&address, &listen_socket, error);
    }
    if (status == K2_OK) {
        status = k2_http_server_start(&service->server, service->api, listen_socket,
                                      &(struct k2_http_server_options){0}, error);
    }
    if (status == K2_OK) {
        k2_listen_address_url(&address, url);
        (void)fprintf(stderr, "k2: serving %s at %s\n", k2_engine_path(service->engine), url);
    }
    return status;
}

// Blocks the signals that end the program, for this thread and those that it starts.
static sigset_t block_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    return signals;
}

static void close_service(struct service *service)
{
    k2_control_stop(service->control);
    k2_http_server_stop(service->server);
    k2_http_api_destroy(service->api);
    k2_serve_export_destroy(service->export);
    k2_serve_ingest_destroy(service->ingest);
    k2_serve_maintenance_destroy(service->maintenance); // nobody commits any more
    k2_engine_close(service->engine);
}

// Until a signal says so. That the store can not be changed any more is said once.
static void wait_for_end(const struct service *service, const sigset_t *signals)
{
    const struct timespec second = {.tv_sec = 1};
    bool told = false;
    while (sigtimedwait(signals, NULL, &second) < 0) {
        const char *failure = k2_engine_failure(service->engine);
        if (failure != NULL && !told) {
            (void)fprintf(stderr,
                          "k2: %s: read-only since a failure: %s; queries go on, nothing is taken "
                          "in until k2 serve is started again\n",
                          k2_engine_path(service->engine), failure);
            told = true;
        }
    }
}

static enum k2_exit run(struct k2_cli *cli)
{
    struct service service = {.cli = cli};
    struct k2_error error;
    struct k2_listen_address address;
    const char *listen = k2_cli_value(cli, "listen");
    enum k2_status status = K2_OK;
    if (listen != NULL) { // wrong usage creates no store
        status = k2_listen_address_parse(&address, listen, &error);
    }
    if (status == K2_OK) {
        status = k2_serve_ingest_create(&service.ingest, cli, &error);
    }
    if (status == K2_OK) {
        status = k2_serve_export_create(&service.export, cli, &error);
    }
    if (status == K2_OK) {
        status = k2_serve_maintenance_create(&service.maintenance, cli, &error);
    }
    sigset_t signals = block_signals();
    if (status == K2_OK) {
        status = k2_engine_open(&service.engine, k2_cli_data(cli), K2_ENGINE_CREATE, &error);
    }
    if (status == K2_OK) {
        status = k2_serve_maintenance_start(service.maintenance, service.engine, &error);
    }
    if (status == K2_OK) {
        status = k2_serve_ingest_start(service.ingest, service.engine, &error);
    }
    if (status == K2_OK) {
        status = k2_serve_export_start(service.export, service.engine, &error);
    }
    if (status == K2_OK) {
        status = k2_control_start(&service.control, k2_engine_path(service.engine),
                                  k2_serve_commands, service.engine, &error);
    }
    if (status == K2_OK) {
        status = start_http(&service, &error);
    }
    if (status == K2_OK) {
        wait_for_end(&service, &signals);
    }
    close_service(&service);
    return status == K2_OK ? K2_EXIT_DONE : k2_cli_fail(cli, &error);
}

const struct k2_command k2_command_serve = {
    .name = "serve",
    .summary = "takes in rows and answers over HTTP, until SIGTERM or ctrl-C",
    .options = options,
    .run = run,
};
