// How far a long command is, on stderr: a line that rewrites itself on a terminal, one JSON line a
// commit for programs, nothing otherwise. Belongs to one thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tools/cli.h"

#define K2_OPTION_PROGRESS                                                                         \
    {                                                                                              \
        "progress", "json|none", "`json`: one line on stderr after each durable commit", false     \
    }

enum k2_progress_mode {
    K2_PROGRESS_NONE = 0,
    K2_PROGRESS_BAR,
    K2_PROGRESS_JSON,
};

struct k2_progress {
    enum k2_progress_mode mode;
    const char *what;           // borrowed, such as `rows`
    uint64_t total;             // of the work below; 0: not known
    int64_t begun_ns, shown_ns; // monotonic
    bool line_open;
};

// Takes --progress, else a bar if stderr is a terminal. `total` is in the unit of `work` below.
K2_MUST_CHECK enum k2_status k2_progress_begin(struct k2_progress *progress,
                                               const struct k2_cli *cli, const char *what,
                                               uint64_t total, struct k2_error *error);

// `count` of `what` are done, which is `work` of the total (bytes read, or the same as count).
// Cheap: shows at most ten times a second.
void k2_progress_show(struct k2_progress *progress, uint64_t count, uint64_t work);

// Rows up to `row_count` are durable in `snapshot`; written at once.
void k2_progress_committed(struct k2_progress *progress, uint64_t row_count, uint64_t snapshot);

// Removes the bar, so that what follows begins on a clean line.
void k2_progress_end(struct k2_progress *progress);

// Seconds since begin.
double k2_progress_seconds(const struct k2_progress *progress);
