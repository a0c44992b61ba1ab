// control.sock: commands reach the server, failures come back, strangers and rubbish do no harm.
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/control.h"
#include "format/base/alloc.h"
#include "tests/support/folder.h"

static enum k2_status echo(const struct k2_control_call *call, struct k2_error *error)
{
    (void)error;
    k2_control_progress(call, 1, 2);
    k2_control_progress(call, 2, 2);
    k2_put_format(call->result, "\"arguments\":%zu,\"first\":\"%s\"", call->request->argument_count,
                  call->request->argument_count > 0 ? (const char *)call->request->arguments[0].data
                                                    : "");
    return K2_OK;
}

static enum k2_status refuse(const struct k2_control_call *call, struct k2_error *error)
{
    (void)call;
    return k2_fail(error, K2_LIMIT, "refused: \"quoted\"");
}

static enum k2_status wait_for_end(const struct k2_control_call *call, struct k2_error *error)
{
    while (!*call->stopping) {
        (void)usleep(1000);
    }
    return k2_fail(error, K2_BUSY, "ended");
}

static enum k2_status tell_too_much(const struct k2_control_call *call, struct k2_error *error)
{
    (void)error;
    for (int i = 0; i < 100; i++) {
        k2_put_zeros(call->result, K2_CONTROL_LINE_BYTES / 100);
    }
    return K2_OK;
}

static const struct k2_control_command commands[] = {{"echo", echo},
                                                     {"refuse", refuse},
                                                     {"wait", wait_for_end},
                                                     {"tell", tell_too_much},
                                                     {NULL, NULL}};

struct state {
    char folder[TEST_PATH_BYTES];
    struct k2_control *control;
};

static int set_up(void **state)
{
    static struct state self;
    test_folder_make(self.folder);
    assert_int_equal(k2_control_start(&self.control, self.folder, commands, NULL, NULL), K2_OK);
    *state = &self;
    return 0;
}

static int tear_down(void **state)
{
    struct state *self = *state;
    k2_control_stop(self->control);
    assert_int_equal(test_folder_count(self->folder, "."), 0);
    test_folder_remove(self->folder);
    return 0;
}

static void count(void *context, uint64_t done, uint64_t total)
{
    assert_true(done <= total);
    ++*(int *)context;
}

static void commands_are_answered(void **state)
{
    const struct state *self = *state;
    const char *const arguments[] = {"a b", "c"};
    struct k2_buffer result;
    struct k2_error error;
    struct stat about;
    bool reached = false;
    int told = 0;
    k2_buffer_init(&result, 4096);
    assert_int_equal(
        k2_control_ask(self->folder, "echo", arguments, 2, count, &told, &reached, &result, &error),
        K2_OK);
    assert_true(reached && told == 2);
    assert_true(k2_slice_equal(k2_buffer_slice(&result),
                               k2_slice_of("{\"arguments\":2,\"first\":\"a b\"}")));
    assert_int_equal(
        k2_control_ask(self->folder, "refuse", NULL, 0, NULL, NULL, &reached, &result, &error),
        K2_LIMIT);
    assert_string_equal(error.text, "refused: \"quoted\"");
    assert_int_equal(
        k2_control_ask(self->folder, "other", NULL, 0, NULL, NULL, &reached, &result, &error),
        K2_NOT_FOUND);
    char path[TEST_PATH_BYTES + 32];
    (void)snprintf(path, sizeof path, "%s/control.sock", self->folder);
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600);
    k2_buffer_deinit(&result);
}

// What comes back for raw bytes; empty when the server hangs up.
static void send_raw(const struct state *self, const char *bytes, size_t size, char *answer,
                     size_t room)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%.80s/control.sock", self->folder);
    int peer = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(peer, (const struct sockaddr *)&address, sizeof address), 0);
    for (size_t sent = 0; sent < size;) {
        ssize_t part = send(peer, bytes + sent, size - sent, MSG_NOSIGNAL);
        if (part <= 0) {
            break;
        }
        sent += (size_t)part;
    }
    (void)shutdown(peer, SHUT_WR);
    size_t size_bytes = 0; // progress and result may come in parts
    for (ssize_t got = 1; got > 0 && size_bytes < room - 1;) {
        got = recv(peer, answer + size_bytes, room - 1 - size_bytes, 0);
        size_bytes += got > 0 ? (size_t)got : 0;
    }
    answer[size_bytes] = '\0';
    (void)close(peer);
}

static void rubbish_is_refused(void **state)
{
    static const char *const lines[] = {
        "\n",
        "{}\n",
        "{\"command\":1}\n",
        "{\"command\":\"echo\",\"arguments\":[1]}\n",
        "{\"command\":\"echo\",\"arguments\":[\"a\\u0000b\"]}\n",
        "{\"command\":\"echo\",\"arguments\":[]} x\n",
        "{\"command\":\"echo\",\"other\":[]}\n",
        "{\"command\":\"echo\",\"arguments\":\"a\"}\n",
        "{\"command\":\"echo\",\"arguments\":[\"a\"\n",
        "{\"command\":\"echo\",\"arguments\":[\"\\x\"]}\n",
        "{\"command\":\"echo\",\"arguments\" []}\n",
        "{\"command\":\"echo\",7:[]}\n",
        "{\"command\":\"echo\",\"arguments\":[]\n",
        "{\"command\" \"echo\"}\n",
        "{\"comm\\x\":\"echo\"}\n",
        "{\"other\":\"echo\"}\n",
        "{7}\n",
        "[\"echo\"]\n",
    };
    char answer[512];
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        send_raw(*state, lines[i], strlen(lines[i]), answer, sizeof answer);
        assert_non_null(strstr(answer, "\"status\":\"bad_request\""));
    }
    char many[1024] = "{\"command\":\"echo\",\"arguments\":[\"1\"";
    for (int i = 1; i <= K2_CONTROL_MOST_ARGUMENTS; i++) {
        strcat(many, ",\"1\"");
    }
    strcat(many, "]}\n");
    send_raw(*state, many, strlen(many), answer, sizeof answer);
    assert_non_null(strstr(answer, "\"status\":\"bad_request\""));
    static char endless[K2_CONTROL_LINE_BYTES + 4096];
    memset(endless, 'x', sizeof endless);
    send_raw(*state, endless, sizeof endless, answer, sizeof answer);
    send_raw(*state, "{\"comm", 7, answer, sizeof answer); // gone in the middle
    send_raw(*state, "{\"command\":\"echo\"}\n", 19, answer, sizeof answer);
    assert_non_null(strstr(answer, "\"ok\":true"));
}

static void no_server_is_no_failure(void **state)
{
    (void)state;
    char folder[TEST_PATH_BYTES];
    struct k2_buffer result;
    bool reached = true;
    k2_buffer_init(&result, 4096);
    test_folder_make(folder);
    assert_int_equal(k2_control_ask(folder, "echo", NULL, 0, NULL, NULL, &reached, &result, NULL),
                     K2_OK);
    assert_false(reached);
    test_folder_remove(folder);
    k2_buffer_deinit(&result);
}

static void a_stop_ends_what_is_under_way(void **state)
{
    struct state *self = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    static const char line[] = "{\"command\":\"wait\"}\n";
    char answer[256] = "";
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%.80s/control.sock", self->folder);
    int peer = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(peer, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(send(peer, line, sizeof line - 1, MSG_NOSIGNAL), sizeof line - 1);
    (void)usleep(50000);
    k2_control_stop(self->control);
    assert_true(recv(peer, answer, sizeof answer - 1, 0) > 0);
    assert_non_null(strstr(answer, "\"status\":\"busy\""));
    (void)close(peer);
    assert_int_equal(k2_control_start(&self->control, self->folder, commands, NULL, NULL), K2_OK);
}

// ---- a server that is another program

struct speaker {
    int listener;
    const char *says; // NULL: nothing
};

static void *speak(void *context)
{
    const struct speaker *speaker = context;
    char line[256];
    int peer = accept(speaker->listener, NULL, NULL);
    if (peer >= 0 && recv(peer, line, sizeof line, 0) > 0 && speaker->says != NULL) {
        (void)send(peer, speaker->says, strlen(speaker->says), MSG_NOSIGNAL);
    }
    (void)close(peer);
    return NULL;
}

static enum k2_status ask_speaker(const char *folder, const char *says, struct k2_error *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct speaker speaker = {.says = says};
    struct k2_buffer result;
    pthread_t thread;
    bool reached;
    int told = 0;
    k2_buffer_init(&result, 16);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%.80s/control.sock", folder);
    (void)unlink(address.sun_path);
    speaker.listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(speaker.listener, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(speaker.listener, 1), 0);
    assert_int_equal(pthread_create(&thread, NULL, speak, &speaker), 0);
    enum k2_status status =
        k2_control_ask(folder, "echo", NULL, 0, count, &told, &reached, &result, error);
    (void)pthread_join(thread, NULL);
    (void)close(speaker.listener);
    k2_buffer_deinit(&result);
    return status;
}

static void answers_that_are_none_are_told(void **state)
{
    (void)state;
    static char endless[K2_CONTROL_LINE_BYTES + 2];
    static const struct {
        const char *name, *says;
        enum k2_status status;
        const char *said;
    } rows[] = {
        {"nothing", NULL, K2_BUSY, "the server ended before it answered"},
        {"half a line", "{\"ok\":true", K2_BUSY, "the server ended before it answered"},
        {"a line without an end", endless, K2_BUSY, "the server ended before it answered"},
        {"no result", "{\"done\":1,\"total\":2}\n", K2_BUSY, "ended before it answered"},
        {"nonsense", "hello\n", K2_IO, "an answer that is none"},
        {"an object of nothing", "{}\n", K2_IO, "an answer that is none"},
        {"a name that is none", "{7:1}\n", K2_IO, "an answer that is none"},
        {"a name that does not end", "{\"ok\n", K2_IO, "an answer that is none"},
        {"no value", "{\"ok\"}\n", K2_IO, "an answer that is none"},
        {"a value that is none", "{\"ok\":}\n", K2_IO, "an answer that is none"},
        {"a value that does not end", "{\"ok\":[1\n", K2_IO, "an answer that is none"},
        {"no end", "{\"ok\":true\n", K2_IO, "an answer that is none"},
        {"no status", "{\"ok\":false}\n", K2_IO, ""},
        {"a status of later", "{\"ok\":false,\"status\":\"odd\",\"error\":\"e\"}\n", K2_IO, "e"},
        {"one as long as another", "{\"ok\":false,\"status\":\"xx\",\"error\":\"\"}\n", K2_IO, ""},
        {"a failure", "{\"ok\":false,\"status\":\"limit\",\"error\":\"a\\nb\"}\n", K2_LIMIT,
         "a\nb"},
        {"too much", "{\"ok\":true,\"result\":{\"a\":\"0123456789abcdef\"}}\n", K2_LIMIT,
         "control"},
        {"all of it", "{\"ok\":true,\"new\":1,\"result\":{\"a\":1}}\n", K2_OK, ""},
    };
    char folder[TEST_PATH_BYTES];
    test_folder_make(folder);
    memset(endless, 'x', sizeof endless - 1);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct k2_error error = {0};
        enum k2_status status = ask_speaker(folder, rows[i].says, &error);
        if (status != rows[i].status || strstr(error.text, rows[i].said) == NULL) {
            fail_msg("%s: %s: %s", rows[i].name, k2_status_name(status), error.text);
        }
    }
    test_folder_remove(folder);
}

static void what_can_not_be_asked_is_told(void **state)
{
    const struct state *self = *state;
    char text[K2_CONTROL_LINE_BYTES / 32] = "";
    const char *arguments[40];
    struct k2_buffer result;
    struct k2_error error;
    bool reached = true;
    memset(text, 'x', sizeof text - 1);
    for (size_t i = 0; i < 40; i++) {
        arguments[i] = text;
    }
    k2_buffer_init(&result, 4096);
    assert_int_equal(
        k2_control_ask(self->folder, "echo", arguments, 40, NULL, NULL, &reached, &result, &error),
        K2_LIMIT);
    assert_int_equal(
        k2_control_ask(self->folder, "tell", NULL, 0, NULL, NULL, &reached, &result, &error),
        K2_LIMIT);
    assert_true(reached);
    assert_int_equal(
        k2_control_ask("/nowhere", "echo", NULL, 0, NULL, NULL, &reached, &result, &error),
        K2_NOT_FOUND);
    assert_false(reached);
    k2_buffer_deinit(&result);
}

static void what_can_not_be_started_is_told(void **state)
{
    (void)state;
    struct k2_control *control = NULL;
    struct k2_error error;
    char folder[TEST_PATH_BYTES], taken[TEST_PATH_BYTES + 32];
    assert_int_equal(k2_control_start(&control, "/nowhere", commands, NULL, &error), K2_NOT_FOUND);
    assert_non_null(strstr(error.text, "/nowhere: cannot open"));
    test_folder_make(folder);
    k2_alloc_fail_after(0);
    assert_int_equal(k2_control_start(&control, folder, commands, NULL, &error), K2_NO_MEMORY);
    k2_alloc_fail_after(-1);
    (void)snprintf(taken, sizeof taken, "%s/control.sock.tmp", folder);
    assert_int_equal(mkdir(taken, 0700), 0); // something that is not removed as a socket is
    assert_int_equal(k2_control_start(&control, folder, commands, NULL, &error), K2_IO);
    assert_non_null(strstr(error.text, "control.sock: "));
    assert_null(control);
    k2_control_stop(NULL);
    assert_int_equal(rmdir(taken), 0);
    test_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(commands_are_answered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rubbish_is_refused, set_up, tear_down),
        cmocka_unit_test(no_server_is_no_failure),
        cmocka_unit_test(answers_that_are_none_are_told),
        cmocka_unit_test_setup_teardown(what_can_not_be_asked_is_told, set_up, tear_down),
        cmocka_unit_test(what_can_not_be_started_is_told),
        cmocka_unit_test_setup_teardown(a_stop_ends_what_is_under_way, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
