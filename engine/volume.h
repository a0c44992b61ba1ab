// Is this a file system on which a store is safe?
#pragma once

#include "format/base/status.h"

// K2_BAD_REQUEST for NFS, SMB, 9p and FUSE: their locks and mappings are not what LMDB and readers
// rely on.
K2_MUST_CHECK enum k2_status k2_volume_check(const char *path, struct k2_error *error);
