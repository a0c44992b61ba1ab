// Asking the server of a store; declared in control.h.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "engine/control_line.h"
#include "format/base/json_scanner.h"

// A path may be longer than an address has room for; a descriptor's is short.
enum k2_status k2_control_address(const char *data_path, const char *name,
                                  struct sockaddr_un *address, int *folder, struct k2_error *error)
{
    *folder = open(data_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*folder < 0) {
        return k2_fail_errno(error, errno, "%s: cannot open", data_path);
    }
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    (void)snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/%s", *folder,
                   name);
    return K2_OK;
}

static enum k2_status connect_to(const char *data_path, int *peer, struct k2_error *error)
{
    struct sockaddr_un address;
    int folder;
    *peer = -1;
    enum k2_status status = k2_control_address(data_path, "control.sock", &address, &folder, error);
    if (status != K2_OK) {
        return status;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0) {
        *peer = fd;
    } else if (fd >= 0) {
        int code = errno;
        (void)close(fd);
        if (code == EACCES || code == EPERM) {
            status = k2_fail_errno(error, code, "%s/control.sock", data_path);
        }
    }
    (void)close(folder);
    return status;
}

static enum k2_status send_request(int peer, const char *name, const char *const *arguments,
                                   size_t argument_count, struct k2_error *error)
{
    struct k2_buffer line;
    k2_buffer_init(&line, K2_CONTROL_LINE_BYTES);
    k2_control_request_put(&line, name, arguments, argument_count);
    enum k2_status status = k2_buffer_check(&line, "control", error);
    for (size_t sent = 0; status == K2_OK && sent < line.size_bytes;) {
        ssize_t size = send(peer, line.data + sent, line.size_bytes - sent, MSG_NOSIGNAL);
        if (size < 0 && errno != EINTR) {
            status = k2_fail(error, K2_BUSY, "control.sock: the server has gone");
        }
        sent += size > 0 ? (size_t)size : 0;
    }
    k2_buffer_deinit(&line);
    return status;
}

static enum k2_status status_of(struct k2_slice name)
{
    for (int i = K2_OK + 1; i <= K2_EXPIRED; i++) {
        const char *known = k2_status_name((enum k2_status)i);
        if (name.size_bytes == strlen(known) + 2 &&
            memcmp(name.data + 1, known, strlen(known)) == 0) {
            return (enum k2_status)i;
        }
    }
    return K2_IO;
}

static enum k2_status finish(const struct k2_control_answer *answer, struct k2_buffer *result,
                             struct k2_error *error)
{
    if (answer->ok) {
        k2_put_bytes(result, answer->result.data, answer->result.size_bytes);
        return k2_buffer_check(result, "control.sock", error);
    }
    struct k2_buffer text;
    k2_buffer_init(&text, K2_CONTROL_LINE_BYTES);
    if (answer->error.size_bytes >= 2) {
        k2_json_put_unescaped(
            &text, (struct k2_slice){answer->error.data + 1, answer->error.size_bytes - 2});
    }
    enum k2_status status = k2_fail(error, status_of(answer->status), "%.*s", (int)text.size_bytes,
                                    text.data == NULL ? "" : (const char *)text.data);
    k2_buffer_deinit(&text);
    return status;
}

enum k2_status k2_control_ask(const char *data_path, const char *name, const char *const *arguments,
                              size_t argument_count,
                              void (*progress)(void *context, uint64_t done, uint64_t total),
                              void *progress_context, bool *reached, struct k2_buffer *result,
                              struct k2_error *error)
{
    static const size_t line_ceiling_bytes = (size_t)K2_CONTROL_LINE_BYTES;
    char line[K2_CONTROL_LINE_BYTES];
    size_t used = 0;
    int peer;
    struct k2_control_answer answer = {.last = false};
    enum k2_status status = connect_to(data_path, &peer, error);
    *reached = peer >= 0;
    if (status == K2_OK && *reached) {
        status = send_request(peer, name, arguments, argument_count, error);
    }
    while (status == K2_OK && *reached && !answer.last) {
        // cppcheck-suppress legacyUninitvar; `used` bytes are there
        char *end = memchr(line, '\n', used);
        if (end == NULL) {
            ssize_t size = used < line_ceiling_bytes
                               ? recv(peer, line + used, line_ceiling_bytes - used, 0)
                               : 0;
            if (size == 0 || (size < 0 && errno != EINTR)) {
                status =
                    k2_fail(error, K2_BUSY, "control.sock: the server ended before it answered");
            }
            used += size > 0 ? (size_t)size : 0;
            continue;
        }
        struct k2_slice text = {(const uint8_t *)line, (size_t)(end - line)};
        status = k2_control_answer_parse(&answer, text, error);
        if (status == K2_OK && answer.last) {
            status = finish(&answer, result, error);
        } else if (status == K2_OK && progress != NULL) {
            progress(progress_context, answer.done, answer.total);
        }
        used -= text.size_bytes + 1;
        memmove(line, end + 1, used);
    }
    if (peer >= 0) {
        (void)close(peer);
    }
    return status;
}
