#include "query/process_metrics.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "query/metric_text.h"

static void put_times(struct k2_buffer *out)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0) {
        return;
    }
    double seconds = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                     (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    k2_metric_family(out, "process_cpu_seconds_total", "counter",
                     "Processor time, user and system.");
    k2_metric_value(out, "process_cpu_seconds_total", NULL, seconds);
}

static void put_memory(struct k2_buffer *out)
{
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long long virtual_pages = 0, resident_pages = 0;
    long page_bytes = sysconf(_SC_PAGESIZE);
    if (file == NULL) {
        return;
    }
    if (fscanf(file, "%llu %llu", &virtual_pages, &resident_pages) == 2 && page_bytes > 0) {
        k2_metric_single(out, "process_resident_memory_bytes", "gauge", "Resident memory.",
                         resident_pages * (unsigned long long)page_bytes);
        k2_metric_single(out, "process_virtual_memory_bytes", "gauge",
                         "Address space; the map reserved for the index is part of it.",
                         virtual_pages * (unsigned long long)page_bytes);
    }
    (void)fclose(file);
}

static void put_files(struct k2_buffer *out)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        k2_metric_single(out, "process_max_fds", "gauge", "Files that may be open at once.",
                         limit.rlim_cur);
    }
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL) {
        return;
    }
    uint64_t open_files = 0;
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        open_files += entry->d_name[0] != '.';
    }
    (void)closedir(folder);
    k2_metric_single(out, "process_open_fds", "gauge", "Files and sockets open.",
                     open_files - 1); // the folder itself
}

// Field 22 of /proc/self/stat is in clock ticks since boot, and /proc/stat has the time of boot.
static void put_start(struct k2_buffer *out)
{
    FILE *file = fopen("/proc/self/stat", "re");
    char line[1024];
    unsigned long long ticks = 0;
    if (file == NULL) {
        return;
    }
    const char *behind_name = fgets(line, sizeof line, file) != NULL ? strrchr(line, ')') : NULL;
    (void)fclose(file);
    struct timespec now, since_boot;
    long ticks_a_second = sysconf(_SC_CLK_TCK);
    if (behind_name == NULL || ticks_a_second <= 0 || clock_gettime(CLOCK_REALTIME, &now) != 0 ||
        clock_gettime(CLOCK_BOOTTIME, &since_boot) != 0 ||
        sscanf(behind_name + 1,
               " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
               &ticks) != 1) {
        return;
    }
    double boot =
        (double)(now.tv_sec - since_boot.tv_sec) + (double)(now.tv_nsec - since_boot.tv_nsec) / 1e9;
    k2_metric_family(out, "process_start_time_seconds", "gauge",
                     "When the process began, since 1970.");
    k2_metric_value(out, "process_start_time_seconds", NULL,
                    boot + (double)ticks / (double)ticks_a_second);
}

void k2_process_metrics_put(struct k2_buffer *out)
{
    put_times(out);
    put_memory(out);
    put_files(out);
    put_start(out);
}
