#include "query/http_connections.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <time.h>

#include "format/base/alloc.h"

struct k2_http_connection {
    int socket;
    int64_t deadline; // seconds, monotonic; guarded by the list's lock
    struct k2_http_connection *previous, *next;
};

struct k2_http_connections {
    pthread_mutex_t lock;
    pthread_cond_t changed;           // on the monotonic clock
    struct k2_http_connection *first; // guarded by lock
    bool ending;                      // guarded by lock
    pthread_t sweeper;
};

static struct timespec monotonic(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now;
}

static void *sweep(void *argument)
{
    struct k2_http_connections *connections = argument;
    pthread_mutex_lock(&connections->lock);
    while (!connections->ending) {
        struct timespec wake = monotonic();
        for (struct k2_http_connection *each = connections->first; each != NULL;
             each = each->next) {
            if (each->deadline < (int64_t)wake.tv_sec) {
                (void)shutdown(each->socket, SHUT_RDWR); // its owner sees the end and closes it
            }
        }
        wake.tv_sec++;
        pthread_cond_timedwait(&connections->changed, &connections->lock, &wake);
    }
    pthread_mutex_unlock(&connections->lock);
    return NULL;
}

enum k2_status k2_http_connections_create(struct k2_http_connections **connections,
                                          struct k2_error *error)
{
    *connections = NULL;
    struct k2_http_connections *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "http: no memory");
    }
    pthread_condattr_t monotonic_clock;
    pthread_condattr_init(&monotonic_clock);
    pthread_condattr_setclock(&monotonic_clock, CLOCK_MONOTONIC);
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->changed, &monotonic_clock);
    pthread_condattr_destroy(&monotonic_clock);
    int failure = pthread_create(&self->sweeper, NULL, sweep, self);
    if (failure != 0) {
        pthread_cond_destroy(&self->changed);
        pthread_mutex_destroy(&self->lock);
        k2_free(self);
        return k2_fail_errno(error, failure, "http: can not start a thread");
    }
    *connections = self;
    return K2_OK;
}

void k2_http_connections_destroy(struct k2_http_connections *connections)
{
    if (connections == NULL) {
        return;
    }
    pthread_mutex_lock(&connections->lock);
    connections->ending = true;
    pthread_cond_signal(&connections->changed);
    pthread_mutex_unlock(&connections->lock);
    pthread_join(connections->sweeper, NULL);
    pthread_cond_destroy(&connections->changed);
    pthread_mutex_destroy(&connections->lock);
    k2_free(connections);
}

struct k2_http_connection *k2_http_connections_add(struct k2_http_connections *connections,
                                                   int socket, int64_t seconds)
{
    struct k2_http_connection *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return NULL;
    }
    self->socket = socket;
    self->deadline = (int64_t)monotonic().tv_sec + seconds;
    pthread_mutex_lock(&connections->lock);
    self->next = connections->first;
    if (self->next != NULL) {
        self->next->previous = self;
    }
    connections->first = self;
    pthread_mutex_unlock(&connections->lock);
    return self;
}

void k2_http_connections_remove(struct k2_http_connections *connections,
                                struct k2_http_connection *connection)
{
    if (connection == NULL) {
        return;
    }
    pthread_mutex_lock(&connections->lock);
    if (connection->next != NULL) {
        connection->next->previous = connection->previous;
    }
    if (connection->previous != NULL) {
        connection->previous->next = connection->next;
    } else {
        connections->first = connection->next;
    }
    pthread_mutex_unlock(&connections->lock);
    k2_free(connection);
}

void k2_http_connections_extend(struct k2_http_connections *connections,
                                struct k2_http_connection *connection, int64_t seconds)
{
    if (connection != NULL) {
        pthread_mutex_lock(&connections->lock);
        connection->deadline = (int64_t)monotonic().tv_sec + seconds;
        pthread_mutex_unlock(&connections->lock);
    }
}
