// A small file as text: schemas, maps, configuration.
#pragma once

#include "format/base/buffer.h"

// Appends the whole file; K2_LIMIT when it is longer than the buffer's ceiling.
K2_MUST_CHECK enum k2_status k2_file_text_read(const char *path, struct k2_buffer *text,
                                               struct k2_error *error);
