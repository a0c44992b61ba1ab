#include "tools/file_text.h"

#include <errno.h>
#include <stdio.h>

enum k2_status k2_file_text_read(const char *path, struct k2_buffer *text, struct k2_error *error)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return k2_fail_errno(error, errno, "%s: cannot open", path);
    }
    char part[4096];
    size_t size;
    while ((size = fread(part, 1, sizeof part, file)) > 0) {
        k2_put_bytes(text, part, size);
    }
    bool failed = ferror(file) != 0;
    (void)fclose(file);
    return failed ? k2_fail(error, K2_IO, "%s: cannot read", path)
                  : k2_buffer_check(text, path, error);
}
