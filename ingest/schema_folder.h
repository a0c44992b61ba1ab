// A folder of `<id>.avsc` as a schema registry.
//
// Several processes may add at once: a file appears whole, and an id is never given twice.
#pragma once

#include <stdint.h>

#include "format/base/buffer.h"

// Appends the schema of `id` to `text`. K2_NOT_FOUND if there is no such file.
K2_MUST_CHECK enum k2_status k2_schema_folder_get(const char *folder, int32_t id,
                                                  struct k2_buffer *text, struct k2_error *error);

// The id of the file with exactly these bytes, or of a new one with the next id. Makes the folder.
K2_MUST_CHECK enum k2_status k2_schema_folder_add(const char *folder, struct k2_slice text,
                                                  int32_t *id, struct k2_error *error);
