// Metrics in Prometheus' text format 0.0.4.
//
// Pure: writes to a buffer; check the buffer once at the end.
#pragma once

#include "format/base/buffer.h"

// `# HELP` and `# TYPE`; once a family, before its samples. `type`: counter, gauge, histogram.
void k2_metric_family(struct k2_buffer *out, const char *name, const char *type, const char *help);

// One sample. `labels` is what stands between the braces (`table="trades"`), NULL for none; values
// of labels that are not constants go through k2_metric_put_label.
void k2_metric_count(struct k2_buffer *out, const char *name, const char *labels, uint64_t value);
void k2_metric_value(struct k2_buffer *out, const char *name, const char *labels, double value);

// A family with one sample without labels.
void k2_metric_single(struct k2_buffer *out, const char *name, const char *type, const char *help,
                      uint64_t value);

// `name="value"` with the value escaped, cut at the end of `labels`; returns the length so far.
size_t k2_metric_put_label(char *labels, size_t room_bytes, size_t used_bytes, const char *name,
                           const char *value);
