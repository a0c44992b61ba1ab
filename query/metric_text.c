#include "query/metric_text.h"

#include <stdio.h>

void k2_metric_family(struct k2_buffer *out, const char *name, const char *type, const char *help)
{
    k2_put_format(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_name(struct k2_buffer *out, const char *name, const char *labels)
{
    k2_put_text(out, name);
    if (labels != NULL) {
        k2_put_u8(out, '{');
        k2_put_text(out, labels);
        k2_put_u8(out, '}');
    }
}

void k2_metric_count(struct k2_buffer *out, const char *name, const char *labels, uint64_t value)
{
    put_name(out, name, labels);
    k2_put_format(out, " %llu\n", (unsigned long long)value);
}

void k2_metric_value(struct k2_buffer *out, const char *name, const char *labels, double value)
{
    put_name(out, name, labels);
    k2_put_format(out, " %.17g\n", value);
}

void k2_metric_single(struct k2_buffer *out, const char *name, const char *type, const char *help,
                      uint64_t value)
{
    k2_metric_family(out, name, type, help);
    k2_metric_count(out, name, NULL, value);
}

size_t k2_metric_put_label(char *labels, size_t room_bytes, size_t used_bytes, const char *name,
                           const char *value)
{
    size_t used = used_bytes;
    int head = snprintf(labels + used, room_bytes - used, "%s%s=\"", used > 0 ? "," : "", name);
    if (head < 0 || (size_t)head + 4 >= room_bytes - used) {
        labels[used_bytes] = '\0';
        return used_bytes;
    }
    used += (size_t)head;
    for (; *value != '\0' && used + 4 < room_bytes; value++) {
        if (*value == '\\' || *value == '"' || *value == '\n') {
            labels[used++] = '\\';
        }
        labels[used++] = (char)(*value == '\n' ? 'n' : *value);
    }
    labels[used++] = '"';
    labels[used] = '\0';
    return used;
}
