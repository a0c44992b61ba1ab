#include "format/base/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#undef k2_fail // an analyser's; see status.h
#undef k2_fail_errno

enum k2_status k2_fail(struct k2_error *error, enum k2_status status, const char *format, ...)
{
    if (error != NULL) {
        va_list arguments;
        va_start(arguments, format);
        (void)vsnprintf(error->text, sizeof error->text, format, arguments);
        va_end(arguments);
        error->status = status;
    }
    return status;
}

void k2_error_annotate(struct k2_error *error, const char *format, ...)
{
    if (error == NULL) {
        return;
    }
    char text[K2_ERROR_TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    int used = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (used < 0 || (size_t)used + 2 >= sizeof text) {
        return;
    }
    size_t room = sizeof text - (size_t)used;
    (void)snprintf(text + used, room, ": %.*s", (int)(room - 3), error->text);
    memcpy(error->text, text, sizeof text);
}

static enum k2_status status_of_errno(int error_number)
{
    switch (error_number) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return K2_NO_SPACE;
    case EMFILE:
    case ENFILE:
        return K2_LIMIT;
    case ENOENT:
    case ENOTDIR:
        return K2_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EROFS:
        return K2_NOT_PERMITTED;
    case ENOMEM:
        return K2_NO_MEMORY;
    default:
        return K2_IO;
    }
}

enum k2_status k2_fail_errno(struct k2_error *error, int error_number, const char *format, ...)
{
    enum k2_status status = status_of_errno(error_number);
    if (error != NULL) {
        char what[K2_ERROR_TEXT_BYTES];
        va_list arguments;
        va_start(arguments, format);
        (void)vsnprintf(what, sizeof what, format, arguments);
        va_end(arguments);
        (void)k2_fail(error, status, "%.800s: %s", what, strerrordesc_np(error_number));
    }
    return status;
}

const char *k2_status_name(enum k2_status status)
{
    static const char *const names[] = {
        [K2_OK] = "ok",
        [K2_BAD_REQUEST] = "bad_request",
        [K2_NOT_FOUND] = "not_found",
        [K2_NOT_PERMITTED] = "not_permitted",
        [K2_BUSY] = "busy",
        [K2_NO_SPACE] = "no_space",
        [K2_LIMIT] = "limit",
        [K2_IO] = "io",
        [K2_CORRUPT] = "corrupt",
        [K2_NO_MEMORY] = "no_memory",
        [K2_REJECTED] = "rejected",
        [K2_EXPIRED] = "expired",
    };
    size_t index = (size_t)status;
    return index < sizeof names / sizeof names[0] ? names[index] : "unknown";
}
