// The metrics that every process has: processor time, memory, open files.
#pragma once

#include "format/base/buffer.h"

// Reads /proc/self; a figure that can not be read is left out.
void k2_process_metrics_put(struct k2_buffer *out);
