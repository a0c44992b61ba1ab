// Sees every call of this process that changes files below one folder: those of the engine and
// those of LMDB. It stands in for the functions of the C library themselves (open, pwrite,
// fdatasync, rename, ...), so a program that links it needs no other aid.
//
// What it does not see (stdio, writing through a mapping) shows when the log is compared with the
// files: disk_recorder_stop fails the test then.
#pragma once

#include "tests/crash/disk_log.h"
#include "tests/support/workload.h"

// From here on calls are noted in `log`, which begins with the files as they are, with the state of
// the journal at that moment. Both are borrowed.
void disk_recorder_start(struct disk_log *log, const char *path,
                         const struct workload_journal *journal);
void disk_recorder_stop(void);

// Writes that are not LMDB's end early now and then, as POSIX lets them; LMDB takes a short write
// for a failure.
void disk_recorder_cut_writes(bool cut);
