// Threads that run jobs in the order in which they were submitted.
//
// A job is part of whatever it works on and is not allocated here, so that submitting can not fail;
// how many wait is bounded by how many such things there are.
#pragma once

#include <stddef.h>

#include "format/base/status.h"

struct k2_job {
    void (*run)(void *context); // the job may be submitted again, or be gone, when it returns
    void *context;
    struct k2_job *next; // the pool's while it waits
};

struct k2_worker_pool; // opaque

K2_MUST_CHECK enum k2_status k2_worker_pool_create(struct k2_worker_pool **pool,
                                                   size_t thread_count, struct k2_error *error);

// Runs what still waits, then ends the threads. Nothing may be submitted meanwhile.
void k2_worker_pool_destroy(struct k2_worker_pool *pool);

// Any thread. The job must not be waiting already.
void k2_worker_pool_submit(struct k2_worker_pool *pool, struct k2_job *job);
