// What benchmarks share: an end with a message when something fails, clocks, made-up numbers, and a
// folder below TMPDIR (else /tmp) for a store.
#pragma once

#include <errno.h>
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "format/base/status.h"

enum { BENCH_FOLDER_BYTES = 256 };

static inline void bench_need(enum k2_status status, const struct k2_error *error)
{
    if (status != K2_OK) {
        (void)fprintf(stderr, "%s: %s\n", program_invocation_short_name, error->text);
        exit(1);
    }
}

static inline double bench_seconds(clockid_t clock)
{
    struct timespec time;
    (void)clock_gettime(clock, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

// The next of the numbers that follow from `*state`, which is not 0.
static inline uint64_t bench_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state * 0x2545f4914f6cdd1du;
}

static inline void bench_make_folder(char path[BENCH_FOLDER_BYTES])
{
    const char *parent = getenv("TMPDIR");
    (void)snprintf(path, BENCH_FOLDER_BYTES, "%s/k2-bench-XXXXXX",
                   parent == NULL ? "/tmp" : parent);
    if (mkdtemp(path) == NULL) {
        perror(path);
        exit(1);
    }
}

static inline int bench_remove_one(const char *path, const struct stat *stat, int kind,
                                   struct FTW *walk)
{
    (void)stat;
    (void)kind;
    (void)walk;
    return remove(path);
}

static inline void bench_remove_folder(const char *path)
{
    (void)nftw(path, bench_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
