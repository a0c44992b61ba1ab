#include "engine/volume.h"

#include <errno.h>
#include <stddef.h>
#include <sys/vfs.h>

enum k2_status k2_volume_check(const char *path, struct k2_error *error)
{
    static const struct {
        unsigned long type; // f_type of statfs(2)
        const char *name;
    } refused[] = {
        {0x6969, "NFS"},      {0x517b, "SMB"},    {0xff534d42, "CIFS"},
        {0xfe534d42, "SMB2"}, {0x01021997, "9p"}, {0x65735546, "FUSE"},
    };
    struct statfs status;
    if (statfs(path, &status) != 0) {
        return k2_fail_errno(error, errno, "%s: cannot ask the file system", path);
    }
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        if (((unsigned long)status.f_type & 0xffffffff) == refused[i].type) {
            return k2_fail(error, K2_BAD_REQUEST,
                           "%s: is on %s, where a store is not safe; use a local disk", path,
                           refused[i].name);
        }
    }
    return K2_OK;
}
