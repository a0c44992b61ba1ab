#include "engine/control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "engine/control_line.h"
#include "format/base/alloc.h"
#include "format/base/json_text.h"

enum { THREADS = 4, SILENT_SECONDS = 10, RESULT_CEILING_BYTES = K2_CONTROL_LINE_BYTES / 2 };
static const char fresh_name[] = "control.sock.tmp", name[] = "control.sock";

struct k2_control {
    const struct k2_control_command *commands; // borrowed
    void *context;
    int folder, listener, stop[2];
    atomic_bool stopping;
    pthread_t threads[THREADS];
    size_t thread_count;
};

static bool send_all(int peer, struct k2_slice bytes)
{
    while (bytes.size_bytes > 0) {
        ssize_t size = send(peer, bytes.data, bytes.size_bytes, MSG_NOSIGNAL);
        if (size <= 0 && errno != EINTR) {
            return false;
        }
        bytes.data += size > 0 ? size : 0;
        bytes.size_bytes -= size > 0 ? (size_t)size : 0;
    }
    return true;
}

void k2_control_progress(const struct k2_control_call *call, uint64_t done, uint64_t total)
{
    char line[96];
    int size = snprintf(line, sizeof line, "{\"done\":%llu,\"total\":%llu}\n",
                        (unsigned long long)done, (unsigned long long)total);
    // A client that does not listen misses it.
    (void)send(call->socket, line, (size_t)size, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static bool is_allowed(int peer)
{
    struct ucred who;
    socklen_t size = sizeof who;
    return getsockopt(peer, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0 &&
           (who.uid == geteuid() || who.uid == 0);
}

// The first line, without its end.
static enum k2_status receive_line(struct k2_control *self, int peer, char *line,
                                   size_t *size_bytes, struct k2_error *error)
{
    size_t used = 0;
    for (;;) {
        char *end = memchr(line, '\n', used);
        if (end != NULL) {
            *size_bytes = (size_t)(end - line);
            return K2_OK;
        }
        if (used == K2_CONTROL_LINE_BYTES) {
            return k2_fail(error, K2_BAD_REQUEST, "control: a line that is too long");
        }
        struct pollfd waits[] = {{.fd = peer, .events = POLLIN},
                                 {.fd = self->stop[0], .events = POLLIN}};
        int ready = poll(waits, 2, SILENT_SECONDS * 1000);
        if (ready == 0 || waits[1].revents != 0) {
            return k2_fail(error, K2_BUSY, "control: no request came");
        }
        ssize_t size = ready < 0 ? -1 : recv(peer, line + used, K2_CONTROL_LINE_BYTES - used, 0);
        if (size == 0 || (size < 0 && errno != EINTR)) {
            return k2_fail(error, K2_BUSY, "control: the client has gone");
        }
        used += size > 0 ? (size_t)size : 0;
    }
}

static enum k2_status run_command(struct k2_control *self, int peer, struct k2_slice line,
                                  struct k2_buffer *result, struct k2_error *error)
{
    struct k2_control_request request;
    enum k2_status status = k2_control_request_parse(&request, line, error);
    if (status == K2_OK) {
        const struct k2_control_command *command = self->commands;
        while (command->name != NULL && !k2_slice_equal(request.name, k2_slice_of(command->name))) {
            command++;
        }
        const struct k2_control_call call = {
            .context = self->context,
            .request = &request,
            .result = result,
            .stopping = &self->stopping,
            .socket = peer,
        };
        status = command->name != NULL ? command->run(&call, error)
                                       : k2_fail(error, K2_NOT_FOUND, "control: no command %.100s",
                                                 (const char *)request.name.data);
    }
    if (status == K2_OK) {
        status = k2_buffer_check(result, "control", error);
    }
    k2_control_request_deinit(&request);
    return status;
}

static void serve(struct k2_control *self, int peer)
{
    static const struct timeval silent = {.tv_sec = SILENT_SECONDS};
    (void)setsockopt(peer, SOL_SOCKET, SO_SNDTIMEO, &silent, sizeof silent);
    struct k2_error error = {0};
    struct k2_buffer result, answer;
    size_t size_bytes = 0;
    k2_buffer_init(&result, RESULT_CEILING_BYTES);
    k2_buffer_init(&answer, K2_CONTROL_LINE_BYTES);
    char *line = k2_alloc(K2_CONTROL_LINE_BYTES);
    enum k2_status status = line == NULL ? k2_fail(&error, K2_NO_MEMORY, "control: out of memory")
                                         : receive_line(self, peer, line, &size_bytes, &error);
    if (status == K2_OK) {
        struct k2_slice text = {(const uint8_t *)line, size_bytes};
        status = run_command(self, peer, text, &result, &error);
    }
    if (status == K2_OK) {
        k2_put_text(&answer, "{\"ok\":true,\"result\":{");
        k2_put_bytes(&answer, result.data, result.size_bytes);
        k2_put_text(&answer, "}}\n");
    } else {
        k2_put_format(&answer,
                      "{\"ok\":false,\"status\":\"%s\",\"error\":", k2_status_name(status));
        k2_json_put_string(&answer, k2_slice_of(error.text));
        k2_put_text(&answer, "}\n");
    }
    if (!answer.failed) {
        (void)send_all(peer, k2_buffer_slice(&answer));
    }
    k2_buffer_deinit(&result);
    k2_buffer_deinit(&answer);
    k2_free(line);
}

static void *run(void *context)
{
    struct k2_control *self = context;
    while (!self->stopping) {
        struct pollfd waits[] = {{.fd = self->listener, .events = POLLIN},
                                 {.fd = self->stop[0], .events = POLLIN}};
        if (poll(waits, 2, -1) <= 0 || waits[0].revents == 0) {
            continue;
        }
        int peer = accept4(self->listener, NULL, NULL, SOCK_CLOEXEC); // another may have been first
        if (peer >= 0) {
            if (is_allowed(peer)) {
                serve(self, peer);
            }
            (void)close(peer);
        }
    }
    return NULL;
}

// It gets its name when it listens and its mode is right.
static enum k2_status open_listener(struct k2_control *self, const char *data_path,
                                    struct k2_error *error)
{
    struct sockaddr_un address;
    enum k2_status status =
        k2_control_address(data_path, fresh_name, &address, &self->folder, error);
    if (status != K2_OK) {
        return status;
    }
    (void)unlinkat(self->folder, fresh_name, 0);
    self->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (self->listener < 0 ||
        bind(self->listener, (const struct sockaddr *)&address, sizeof address) != 0 ||
        fchmodat(self->folder, fresh_name, 0600, 0) != 0 || listen(self->listener, 16) != 0 ||
        renameat(self->folder, fresh_name, self->folder, name) != 0) {
        return k2_fail_errno(error, errno, "%s/control.sock", data_path);
    }
    return K2_OK;
}

enum k2_status k2_control_start(struct k2_control **control, const char *data_path,
                                const struct k2_control_command *commands, void *context,
                                struct k2_error *error)
{
    struct k2_control *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "control: out of memory");
    }
    self->commands = commands;
    self->context = context;
    self->folder = self->listener = self->stop[0] = self->stop[1] = -1;
    enum k2_status status = open_listener(self, data_path, error);
    if (status == K2_OK && pipe2(self->stop, O_CLOEXEC) != 0) {
        status = k2_fail_errno(error, errno, "control: no pipe");
    }
    while (status == K2_OK && self->thread_count < THREADS) {
        int code = pthread_create(&self->threads[self->thread_count], NULL, run, self);
        if (code != 0) {
            status = k2_fail_errno(error, code, "control: cannot start a thread");
        } else {
            self->thread_count++;
        }
    }
    if (status != K2_OK) {
        k2_control_stop(self);
        return status;
    }
    *control = self;
    return K2_OK;
}

void k2_control_stop(struct k2_control *control)
{
    if (control == NULL) {
        return;
    }
    control->stopping = true;
    if (control->stop[1] >= 0) {
        (void)close(control->stop[1]); // wakes all
    }
    for (size_t i = 0; i < control->thread_count; i++) {
        (void)pthread_join(control->threads[i], NULL);
    }
    if (control->folder >= 0) {
        (void)unlinkat(control->folder, name, 0);
        (void)close(control->folder);
    }
    if (control->listener >= 0) {
        (void)close(control->listener);
    }
    if (control->stop[0] >= 0) {
        (void)close(control->stop[0]);
    }
    k2_free(control);
}
