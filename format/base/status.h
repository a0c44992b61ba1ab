// What a call can end with, and the text that goes with it.
//
// C99-clean: libk2's public header stands on this one. A struct k2_error is caller's storage, not
// shared between threads; every call that takes one accepts NULL.
#pragma once

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum k2_status {
    K2_OK = 0,
    K2_BAD_REQUEST,   // the caller asked for something that can not be: wrong text, range, type
    K2_NOT_FOUND,     // a named thing (store, table, snapshot, file) is not there
    K2_NOT_PERMITTED, // the operating system or a role refuses
    K2_BUSY,          // another process holds it, or a peer is away: try again later
    K2_NO_SPACE,      // disk, quota or map is full; nothing was lost
    K2_LIMIT,         // a stated ceiling was reached; nothing moved
    K2_IO,            // the operating system failed; the object is to be closed
    K2_CORRUPT,       // bytes that K2 wrote are not what it wrote
    K2_NO_MEMORY,
    K2_REJECTED, // a row or message that can not be represented; others go on
    K2_EXPIRED,  // a past state that the store keeps no more
};

#define K2_ERROR_TEXT_BYTES 1024

// `text` reads `WHERE: WHAT; HINT` without a trailing newline. Untouched by calls that succeed.
struct k2_error {
    enum k2_status status;
    char text[K2_ERROR_TEXT_BYTES];
};

#if defined(__GNUC__)
#define K2_MUST_CHECK __attribute__((warn_unused_result))
#define K2_PRINTF(format_index, first_index)                                                       \
    __attribute__((format(printf, format_index, first_index)))
#else
#define K2_MUST_CHECK
#define K2_PRINTF(format_index, first_index)
#endif

// Sets `error` (if any) and returns `status`, so that a failure is one return statement.
enum k2_status k2_fail(struct k2_error *error, enum k2_status status, const char *format, ...)
    K2_PRINTF(3, 4);

// Puts `where: ` before the text; for callers who know more than the place that failed.
void k2_error_annotate(struct k2_error *error, const char *format, ...) K2_PRINTF(2, 3);

// Like k2_fail with the text of `errno` behind; ENOSPC, EDQUOT and EFBIG become K2_NO_SPACE,
// ENOENT K2_NOT_FOUND, EACCES and EPERM K2_NOT_PERMITTED, EMFILE and ENFILE K2_LIMIT, ENOMEM
// K2_NO_MEMORY, the rest K2_IO.
enum k2_status k2_fail_errno(struct k2_error *error, int error_number, const char *format, ...)
    K2_PRINTF(3, 4);

#if defined(__clang_analyzer__) || defined(K2_ANALYZER)
// An analyser sees one file at a time: this tells it what the two give.
#define k2_fail(error, status, ...) ((void)k2_fail(error, status, __VA_ARGS__), (status))
#define k2_fail_errno(error, error_number, ...)                                                    \
    ((void)k2_fail_errno(error, error_number, __VA_ARGS__), K2_IO)
#endif

// A lower-case word for the status, such as `corrupt`; static storage.
const char *k2_status_name(enum k2_status status);

#ifdef __cplusplus
}
#endif
