#include "tools/progress.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SHOW_EVERY_NS = 100 * 1000 * 1000 };

static int64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

enum k2_status k2_progress_begin(struct k2_progress *progress, const struct k2_cli *cli,
                                 const char *what, uint64_t total, struct k2_error *error)
{
    static const char *const choices[] = {"none", "json", NULL};
    static const enum k2_progress_mode modes[] = {K2_PROGRESS_NONE, K2_PROGRESS_JSON,
                                                  K2_PROGRESS_BAR};
    size_t choice = isatty(STDERR_FILENO) ? 2 : 0;
    enum k2_status status = k2_cli_choice(cli, "progress", choices, &choice, error);
    int64_t now = now_ns();
    *progress = (struct k2_progress){
        .mode = modes[choice], .what = what, .total = total, .begun_ns = now, .shown_ns = now};
    return status;
}

// "1,234,567", for people.
static void put_grouped(char *text, size_t room, uint64_t number)
{
    char digits[32];
    size_t length = (size_t)snprintf(digits, sizeof digits, "%" PRIu64, number);
    size_t used = 0;
    for (size_t i = 0; i < length && used + 2 < room; i++) {
        if (i > 0 && (length - i) % 3 == 0) {
            text[used++] = ',';
        }
        text[used++] = digits[i];
    }
    text[used] = '\0';
}

void k2_progress_show(struct k2_progress *progress, uint64_t count, uint64_t work)
{
    if (progress->mode != K2_PROGRESS_BAR) {
        return;
    }
    int64_t now = now_ns();
    if (now - progress->shown_ns < SHOW_EVERY_NS) {
        return;
    }
    progress->shown_ns = now;
    double seconds = (double)(now - progress->begun_ns) / 1e9;
    double rate = (double)count / seconds;
    char rows[40];
    char per_second[40];
    put_grouped(rows, sizeof rows, count);
    put_grouped(per_second, sizeof per_second, (uint64_t)rate);
    char line[200];
    if (progress->total > 0 && work > 0) {
        double part = work < progress->total ? (double)work / (double)progress->total : 1.0;
        long left = (long)(seconds * (1.0 - part) / part + 0.5);
        int filled = (int)(part * 24);
        (void)snprintf(line, sizeof line, "[%.*s%.*s] %3d%%  %s %s  %s/s  ETA %ld:%02ld", filled,
                       "########################", 24 - filled, "........................",
                       (int)(part * 100), rows, progress->what, per_second, left / 60, left % 60);
    } else {
        (void)snprintf(line, sizeof line, "%s %s  %s/s", rows, progress->what, per_second);
    }
    (void)fprintf(stderr, "\r%s\033[K", line);
    (void)fflush(stderr);
    progress->line_open = true;
}

void k2_progress_committed(struct k2_progress *progress, uint64_t row_count, uint64_t snapshot)
{
    if (progress->mode != K2_PROGRESS_JSON) {
        return;
    }
    // One write, so that a kill leaves a whole line or a part without its end, never two mixed.
    char line[96];
    int length =
        snprintf(line, sizeof line, "{\"committed_rows\":%" PRIu64 ",\"snapshot\":%" PRIu64 "}\n",
                 row_count, snapshot);
    ssize_t written = write(STDERR_FILENO, line, (size_t)length);
    (void)written; // whoever does not listen to progress does not hinder the work
}

void k2_progress_end(struct k2_progress *progress)
{
    if (progress->line_open) {
        (void)fprintf(stderr, "\r\033[K");
        (void)fflush(stderr);
        progress->line_open = false;
    }
}

double k2_progress_seconds(const struct k2_progress *progress)
{
    return (double)(now_ns() - progress->begun_ns) / 1e9;
}
