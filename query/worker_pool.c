#include "query/worker_pool.h"

#include <pthread.h>
#include <stdbool.h>

#include "format/base/alloc.h"

struct k2_worker_pool {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct k2_job *first, *last; // guarded by lock
    bool ending;                 // guarded by lock
    pthread_t *threads;
    size_t thread_count;
};

static void *work(void *argument)
{
    struct k2_worker_pool *pool = argument;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (pool->first == NULL && !pool->ending) {
            pthread_cond_wait(&pool->changed, &pool->lock);
        }
        struct k2_job *job = pool->first;
        if (job == NULL) {
            break;
        }
        pool->first = job->next;
        pool->last = pool->first == NULL ? NULL : pool->last;
        pthread_mutex_unlock(&pool->lock);
        job->run(job->context);
        pthread_mutex_lock(&pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

enum k2_status k2_worker_pool_create(struct k2_worker_pool **pool, size_t thread_count,
                                     struct k2_error *error)
{
    *pool = NULL;
    struct k2_worker_pool *self = k2_alloc_zero(1, sizeof *self);
    pthread_t *threads = k2_alloc_zero(thread_count, sizeof *threads);
    if (self == NULL || threads == NULL) {
        k2_free(self);
        k2_free(threads);
        return k2_fail(error, K2_NO_MEMORY, "threads: no memory");
    }
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->changed, NULL);
    self->threads = threads;
    for (size_t i = 0; i < thread_count; i++) {
        int failure = pthread_create(&threads[i], NULL, work, self);
        if (failure != 0) {
            k2_worker_pool_destroy(self);
            return k2_fail_errno(error, failure, "threads: can not start one");
        }
        self->thread_count++;
    }
    *pool = self;
    return K2_OK;
}

void k2_worker_pool_destroy(struct k2_worker_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    pthread_mutex_lock(&pool->lock);
    pool->ending = true;
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
    for (size_t i = 0; i < pool->thread_count; i++) {
        pthread_join(pool->threads[i], NULL);
    }
    pthread_cond_destroy(&pool->changed);
    pthread_mutex_destroy(&pool->lock);
    k2_free(pool->threads);
    k2_free(pool);
}

void k2_worker_pool_submit(struct k2_worker_pool *pool, struct k2_job *job)
{
    job->next = NULL;
    pthread_mutex_lock(&pool->lock);
    if (pool->last == NULL) {
        pool->first = job;
    } else {
        pool->last->next = job;
    }
    pool->last = job;
    pthread_cond_signal(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
}
